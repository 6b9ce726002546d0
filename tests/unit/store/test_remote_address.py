"""What a grpc:// URL says, and what is said of one that says it wrongly."""

from pathlib import Path

import pytest

from posthouse.store.registry import with_key
from posthouse.store.remote.address import parse


def test_the_least_that_is_needed() -> None:
    address = parse("grpc://records?key=a-key")
    assert (address.target, address.key, address.tls) == ("records:50051", "a-key", False)
    assert parse("grpc://[::1]:7?key=k").target == "[::1]:7"


def test_tls(tmp_path: Path) -> None:
    for name in ("ca", "cert", "cert_key"):
        (tmp_path / name).write_text(name)
    files = "".join(f"&{name}={tmp_path}/{name}" for name in ("ca", "cert", "cert_key"))
    address = parse(f"grpc://records?key=k{files}")
    assert (address.tls, address.ca, address.cert, address.cert_key) == (True, b"ca", b"cert", b"cert_key")
    assert parse("grpc://records?key=k&tls=verified").tls
    assert parse("grpc://records?key=k&tls=verified").ca is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("grpc:records", "is written"),
        ("grpc://user:s3cret@records?key=s3cret", "is written"),
        ("grpc://records/path?key=s3cret", "is written"),
        ("grpc://records", "POSTHOUSE_API_KEY"),
        ("grpc://records?key=", "POSTHOUSE_API_KEY"),
        ("grpc://records?key=s3cret&tsl=none", "no such option"),
        ("grpc://records?key=s3cret&tls=maybe", "tls must be"),
        ("grpc://records:99999?key=s3cret", "port"),
        ("grpc://records?key=s3cret&cert=/none", "go together"),
        ("grpc://records?key=s3cret&ca=/no/such/file", "the file of ca cannot be read"),
    ],
)
def test_what_is_wrong_is_said_without_the_key(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as wrong:
        parse(url)
    assert "s3cret" not in str(wrong.value)


@pytest.mark.parametrize(
    ("url", "with_it"),
    [
        ("grpc://records", "grpc://records?key=a%26b"),
        ("grpc://records?tls=none", "grpc://records?tls=none&key=a%26b"),
        ("grpc://records?key=own", "grpc://records?key=own"),
        ("sqlite:///file.db", "sqlite:///file.db"),
    ],
)
def test_the_key_of_the_settings_is_taken_where_the_url_has_none(url: str, with_it: str) -> None:
    assert with_key(url, "a&b") == with_it
    assert with_key(url, None) == url
