"""What an ses:// URL says, and how a bad one is told."""

import pytest

from posthouse.transport.registry import Surroundings, open_transports
from posthouse.transport.ses import SesOptions, read_options


def test_a_region_is_enough() -> None:
    assert read_options("ses://eu-west-1") == SesOptions(
        region="eu-west-1", endpoint="https://email.eu-west-1.amazonaws.com"
    )
    assert read_options("ses://cn-north-1").endpoint == "https://email.cn-north-1.amazonaws.com.cn"


def test_all_that_can_be_said() -> None:
    url = (
        "ses://AKID:a%2Fb%2Bc@us-gov-west-1?endpoint=http://127.0.0.1:5000/"
        "&configuration_set=main&connections=20&rate=14/s"
    )
    options = read_options(url)
    assert options == SesOptions(
        region="us-gov-west-1",
        endpoint="http://127.0.0.1:5000",
        key_id="AKID",
        secret="a/b+c",
        configuration_set="main",
        connections=20,
        rate=14.0,
    )
    assert options.name == "ses://us-gov-west-1"
    assert "a/b" not in repr(options)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ses://", "names a region"),
        ("ses://nowhere", "names a region"),
        ("ses://eu-west-1/path", "names a region"),
        ("ses://KEY@eu-west-1", "key without a secret"),
        ("ses://:hush@eu-west-1", "key without a secret"),
        ("ses://eu-west-1?endpoint=http://example.com", "endpoint"),
        ("ses://eu-west-1?endpoint=https://", "endpoint"),
        ("ses://eu-west-1?configuration_set=a%20b", "configuration_set"),
        ("ses://eu-west-1?connections=0", "connections"),
        ("ses://eu-west-1?rate=fast", "rate"),
        ("ses://eu-west-1?tls=none", "unknown option 'tls'"),
        ("ses://eu-west-1?rate=1/s&rate=2/s", "twice"),
    ],
)
def test_a_bad_one_says_what_is_wrong_and_no_secret(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        read_options(url)
    assert "hush" not in str(raised.value)


def test_the_registry_opens_it(tmp_path) -> None:
    around = Surroundings("me.example", tmp_path, concurrency=4)
    (transport,) = open_transports("ses://eu-west-1?connections=9", around)
    assert (transport.name, transport.connections) == ("ses://eu-west-1", 4)
