"""POSTHOUSE_QUEUE=redis://… is read once, and what is wrong with it is named."""

import pytest

from posthouse.queue.bullmq.address import read_address
from posthouse.queue.registry import open_queue


@pytest.mark.parametrize(
    ("url", "plain", "where", "queue"),
    [
        ("redis://h:7000/3?queue=mails", "redis://h:7000/3", "h:7000", "mails"),
        ("redis://h", "redis://h", "h:6379", "email"),
        ("rediss://ann:s%40c@h/0", "rediss://ann:s%40c@h/0", "h:6379", "email"),
        ("redis://[::1]:7000", "redis://[::1]:7000", "[::1]:7000", "email"),
    ],
)
def test_what_a_url_says(url: str, plain: str, where: str, queue: str) -> None:
    address = read_address(url)
    assert (address.url, address.where, address.queue) == (plain, where, queue)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("redis://h?colour=red", "has no option colour"),
        ("redis://h?queue=", "name of a queue"),
        ("redis://h?queue=a:b", "name of a queue"),
        ("redis://", "names no host"),
        ("redis://h:99999", "port"),
        ("redis://h:x", "port"),
        ("redis://h/zero", "number of a database"),
    ],
)
def test_what_is_wrong_is_named(url: str, wrong: str) -> None:
    async def never(lane: object) -> None: ...

    with pytest.raises(ValueError, match=wrong) as error:
        open_queue(url, never)
    assert "POSTHOUSE_QUEUE" in str(error.value)
