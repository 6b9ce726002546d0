"""Searches by several filters in a store of many records: whole, in order, and never long."""

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from posthouse.store.base import Query
from posthouse.store.sqlite.schema import migrate
from posthouse.store.sqlite.walks import STRIDES, newest, walks
from posthouse.store.sqlite.writer import connect

MAILS = 20_000
ROW = "INSERT INTO messages VALUES (?, ?, 0, ?, 'bulk', ?, NULL, NULL, 0, 0, '', ?)"


def kinds(seq: int) -> dict[str, Any]:
    """What stands in a record; of status and tag `never` no two meet, and `often` is in half of them by chance."""
    chance = random.Random(seq)
    return {
        "status": "FAILED" if seq % 2 else "SENT",
        "state": ("bounced", "failed")[seq % 4 // 2] if seq % 2 else ("sent", "delivered")[seq % 4 // 2],
        "campaign": "spring" if seq % 5 == 0 else "",
        "tags": {"never" if seq % 2 == 0 else "odd", *(["often"] if chance.random() < 0.5 else [])},
        "recipients": {"all@x.example", *(["rare@x.example"] if seq % 3333 == 7 else [])},
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = str(tmp_path_factory.mktemp("walks") / "posthouse.db")
    migrate(path)
    connection = connect(path)
    connection.execute("BEGIN")
    for seq in range(1, MAILS + 1):
        kind = kinds(seq)
        state = kind["state"] if kind["campaign"] else ""
        connection.execute(ROW, (seq, f"id{seq}", kind["status"], kind["campaign"], state))
        connection.executemany("INSERT INTO tags VALUES (?, ?)", [(tag, seq) for tag in kind["tags"]])
        connection.executemany(
            "INSERT INTO recipients VALUES (?, ?)", [(to, seq) for to in kind["recipients"]]
        )
    connection.execute("COMMIT")
    yield connection
    connection.close()


def all_found(connection: sqlite3.Connection, query: Query, low: int, high: int) -> tuple[list[int], int]:
    """The places of a search to its end, and in how many pages."""
    seqs: list[int] = []
    for page in range(1, 1000):
        found = newest(connection, walks(query), low, high, 50)
        assert found.stopped is None or low <= found.stopped < high, "a search that does not come on"
        seqs += found.seqs
        if found.stopped is not None:
            high = found.stopped
        elif len(found.seqs) == 50:
            high = found.seqs[-1]
        else:
            return seqs, page
    raise AssertionError("it does not end")


@pytest.mark.parametrize(
    "asked",
    [
        {"status": "FAILED", "tag": "never"},
        {"status": "FAILED", "tag": "odd"},
        {"status": "SENT", "tag": "often"},
        {"recipient": "rare@x.example", "status": "SENT"},
        {"recipient": "rare@x.example", "tag": "never"},
        {"recipient": "all@x.example", "campaign": "spring", "tag": "often", "status": "FAILED"},
        {"recipient": "nobody@x.example", "status": "SENT"},
        {"campaign": "spring"},
        {"campaign": "spring", "status": "SENT"},
        {"campaign": "spring", "state": "bounced"},
        {"campaign": "spring", "state": "bounced", "status": "SENT"},
        {"campaign": "spring", "state": "failed", "tag": "often"},
        {"campaign": "autumn", "state": "failed"},
        {"tag": "often"},
        {},
    ],
)
@pytest.mark.parametrize(("low", "high"), [(0, 1 << 62), (4_321, 15_432)])
def test_every_record_is_found_once_in_order(
    many: sqlite3.Connection, asked: dict[str, Any], low: int, high: int
) -> None:
    def fits(kind: dict[str, Any]) -> bool:
        return (
            asked.get("status") in (None, kind["status"])
            and asked.get("campaign") in (None, kind["campaign"])
            and asked.get("state") in (None, kind["state"])
            and ("tag" not in asked or asked["tag"] in kind["tags"])
            and ("recipient" not in asked or asked["recipient"] in kind["recipients"])
        )

    places = range(min(high, MAILS + 1) - 1, max(low, 1) - 1, -1)
    found, _ = all_found(many, Query(**asked), low, high)
    assert found == [seq for seq in places if fits(kinds(seq))]


def test_what_never_meets_is_given_up_after_some_thousand_places(many: sqlite3.Connection) -> None:
    found = newest(many, walks(Query(status="FAILED", tag="never")), 0, 1 << 62, 50)
    assert found.seqs == []
    assert found.stopped == pytest.approx(MAILS - 2 * sum(STRIDES), abs=2 * len(STRIDES) + 2)


def test_a_rare_filter_ends_the_search_however_many_the_others_have(many: sqlite3.Connection) -> None:
    _, pages = all_found(many, Query(recipient="rare@x.example", status="SENT", tag="often"), 0, 1 << 62)
    assert pages == 1


def test_the_number_of_steps_does_not_grow_with_the_store(many: sqlite3.Connection) -> None:
    """Counted by SQLite itself, in the instructions of its machine: a thousand at a time."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    many.set_progress_handler(count, 1000)
    for query in (Query(status="FAILED", tag="never"), Query(recipient="all@x.example", campaign="spring")):
        counted = 0
        newest(many, walks(query), 0, 1 << 62, 50)
        assert counted * 1000 < 40 * sum(STRIDES)
    many.set_progress_handler(None, 0)
