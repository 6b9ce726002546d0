"""POSTHOUSE_QUEUE=amqp://… is read once, and what is wrong with it is named."""

import pytest

from posthouse.queue.rabbitmq.address import read_address
from posthouse.queue.registry import open_queue


@pytest.mark.parametrize(
    ("url", "plain", "where", "host"),
    [
        ("amqp://h", "amqp://h/%2F", "h:5672", "/"),
        ("amqp://h/", "amqp://h/%2F", "h:5672", "/"),
        ("amqps://ann:s%40c@h/%2F", "amqps://ann:s%40c@h/%2F", "h:5671", "/"),
        ("amqp://h:7000/mail", "amqp://h:7000/mail", "h:7000", "mail"),
        ("amqp://[::1]/a%2Fb", "amqp://[::1]/a%2Fb", "[::1]:5672", "a/b"),
    ],
)
def test_what_a_url_says(url: str, plain: str, where: str, host: str) -> None:
    address = read_address(url)
    assert (address.url, address.where, address.host) == (plain, where, host)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("amqp://h?heartbeat=1", "has no option heartbeat"),
        ("amqp://", "names no host"),
        ("amqp://h:99999", "port"),
        ("amqp://h:x", "port"),
        ("amqp://h/a/b", "virtual host with a slash"),
    ],
)
def test_what_is_wrong_is_named(url: str, wrong: str) -> None:
    async def never(lane: object) -> None: ...

    with pytest.raises(ValueError, match=wrong) as error:
        open_queue(url, never)
    assert "POSTHOUSE_QUEUE" in str(error.value)
