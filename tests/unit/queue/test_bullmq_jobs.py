"""What stands in a job: hints there and back, and a foreign mail told from a hint."""

import json

import pytest

from posthouse.queue.base import Hint, Unreadable
from posthouse.queue.bullmq.jobs import MOST_IDS, read, write


def test_hints_come_back_as_they_were() -> None:
    hints = [Hint("transactional", ("a", "b")), Hint("bulk", ("c",)), Hint("bulk")]
    found = [read(job["name"], json.dumps(job["data"]).encode()) for job in write(hints)]
    assert sorted(found, key=repr) == sorted(hints, key=repr)


def test_ids_share_jobs_and_each_is_named_once() -> None:
    hints = [Hint("transactional", (str(number), "same")) for number in range(MOST_IDS)]
    sizes = [len(job["data"]["ids"]) for job in write(hints)]
    assert sizes == [MOST_IDS, 1]
    assert write([]) == []


def test_a_mail_is_no_hint() -> None:
    assert read("send", b'{"to": "a", "subject": "s", "body": "b"}') is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"ids": ' + b"[" * 100_000])
def test_what_is_not_json(data: bytes) -> None:
    with pytest.raises(Unreadable, match="not JSON"):
        read("send", data)


@pytest.mark.parametrize("data", [b"1", b"[]", b'{"ids": 1}', b'{"ids": [""]}', b'{"ids": ["a"], "to": "x"}'])
def test_what_is_neither_says_so_and_repeats_nothing(data: bytes) -> None:
    with pytest.raises(Unreadable, match="the data must be"):
        read("send", data)
