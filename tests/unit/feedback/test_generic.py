"""Standard Webhooks: what is signed as the specification says is taken, and nothing else."""

import base64
import hmac
from hashlib import sha256

import pytest

from posthouse.feedback.base import BadSignature
from posthouse.feedback.generic import GenericHook
from posthouse.mail.message import SECOND

# The example of the specification: a secret, what is signed with it, and the signature.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIME = b"msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = TIME * SECOND


def headers(
    signature: bytes = SIGNATURE, at: int = TIME, id: bytes = ID, family: str = "webhook"
) -> dict[bytes, bytes]:
    named = {"id": id, "timestamp": str(at).encode(), "signature": signature}
    return {f"{family}-{name}".encode(): value for name, value in named.items()}


def signed(key: bytes, at: int = TIME, id: bytes = ID, body: bytes = BODY) -> bytes:
    text = b".".join((id, str(at).encode(), body))
    return b"v1," + base64.b64encode(hmac.new(key, text, sha256).digest())


@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_the_example_of_the_specification_is_taken(family: str) -> None:
    assert GenericHook([SECRET]).verify(headers(family=family), BODY, NOW) == ID.decode()


@pytest.mark.parametrize("late", [-300, 300])
def test_clocks_may_differ_by_five_minutes(late: int) -> None:
    GenericHook([SECRET]).verify(headers(), BODY, NOW + late * SECOND)
    with pytest.raises(BadSignature, match="five minutes"):
        GenericHook([SECRET]).verify(headers(), BODY, NOW + (late + late // 300) * SECOND)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (headers(), BODY + b" "),
        (headers(id=b"another"), BODY),
        (headers(at=TIME + 1), BODY),
        (headers(SIGNATURE.replace(b"v1,", b"v1a,")), BODY),
        (headers(SIGNATURE.replace(b"v1,", b"")), BODY),
        (headers(b"v1,"), BODY),
        (headers(b"v1,not base64"), BODY),
        (headers(signed(b"another secret")), BODY),
    ],
)
def test_what_is_not_signed_by_the_secret_is_refused(given: dict[bytes, bytes], body: bytes) -> None:
    with pytest.raises(BadSignature, match="signature"):
        GenericHook([SECRET]).verify(given, body, NOW)


@pytest.mark.parametrize("missing", ["id", "timestamp", "signature"])
def test_all_three_headers_are_needed(missing: str) -> None:
    given = headers()
    del given[f"webhook-{missing}".encode()]
    with pytest.raises(BadSignature, match="required"):
        GenericHook([SECRET]).verify(given, BODY, NOW)


@pytest.mark.parametrize("at", [b"soon", b"-1614265330", b"1614265330.0", b"9" * 400])
def test_a_timestamp_is_a_number_of_seconds(at: bytes) -> None:
    with pytest.raises(BadSignature, match="seconds"):
        GenericHook([SECRET]).verify(headers() | {b"webhook-timestamp": at}, BODY, NOW)


def test_secrets_can_be_changed_without_a_gap() -> None:
    """Several secrets at the receiver, or several signatures by the sender."""
    new = base64.b64encode(b"a new secret of 24 bytes!").decode()
    assert GenericHook([f"whsec_{new}", SECRET]).verify(headers(), BODY, NOW)
    both = signed(b"of another one") + b" " + SIGNATURE
    assert GenericHook([SECRET]).verify(headers(both), BODY, NOW)


def test_a_secret_can_be_any_text() -> None:
    """Senders differ in what they take for the key of a secret without a prefix."""
    plain = "correct-horse-battery-staple"
    assert GenericHook([plain]).verify(headers(signed(plain.encode())), BODY, NOW)
    base = base64.b64encode(b"of bytes").decode()
    assert GenericHook([base]).verify(headers(signed(b"of bytes")), BODY, NOW)


@pytest.mark.parametrize("secrets", [[], ["whsec_"], ["whsec_!"]])
def test_without_a_secret_nothing_is_taken(secrets: list[str]) -> None:
    with pytest.raises(BadSignature):
        GenericHook(secrets).verify(headers(signed(b"")), BODY, NOW)
