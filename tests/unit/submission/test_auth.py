"""Making keys: what is kept and what is shown."""

import re
from hashlib import sha256

from posthouse.submission.auth import make_key


def test_a_key_has_a_public_id_and_160_secret_bits() -> None:
    key, plain = make_key("shop", ["send", "logs"])
    assert re.fullmatch(rf"ph_{key.id}_[a-z2-7]{{32}}", plain)
    assert key.digest == sha256(plain.encode()).digest()
    assert (key.name, key.scopes) == ("shop", ("send", "logs"))


def test_no_two_keys_are_alike() -> None:
    assert len({make_key("shop", [])[1] for _ in range(100)}) == 100
