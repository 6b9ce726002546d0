"""How SQLite goes about each question: by an index, never through all messages, and without sorting what it lists."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.message import LANES
from posthouse.store.base import Query
from posthouse.store.sqlite import contacts, messages, pages, retention
from posthouse.store.sqlite.schema import migrate
from posthouse.store.sqlite.writer import connect

Ask = Callable[[Any], Any]


class Planned:
    """A connection that notes the plan of each statement before it runs it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.steps: list[str] = []

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql not in ("BEGIN", "COMMIT"):
            plan = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
            self.steps += [step for *_, step in plan]
        return self._connection.execute(sql, parameters)


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[Planned]:
    migrate(str(tmp_path / "posthouse.db"))
    connection = connect(str(tmp_path / "posthouse.db"))
    yield Planned(connection)
    connection.close()


def listed(**asked: Any) -> Ask:
    return lambda connection: pages.page(connection, Query(**asked))


BODY = retention.Body(1, "a", 10, b"")

QUESTIONS: dict[str, tuple[Ask, str]] = {
    "claim": (lambda c: messages.claim_due(c, "w", 9, 9.0, "bulk", None, 0.0, False), "messages_due (lane=?"),
    "claim alone": (
        lambda c: messages.claim_due(c, "w", 9, 9.0, "bulk", "c", 0.0, True),
        "messages_due (lane=?",
    ),
    "claim ids": (lambda c: messages.claim_ids(c, "w", 9, 9.0, ["a"]), "(id=?)"),
    "take lapsed": (lambda c: messages.lapsed(c, "w", 9.0, ["a"]), "(id=?)"),
    "take expired": (lambda c: messages.expired(c, "w", 9.0, ["a"]), "(id=?)"),
    "lapsed": (lambda c: pages.lapsed(c, 9), "messages_due"),
    "expired": (lambda c: pages.expired(c, 9), "messages_due"),
    "held": (lambda c: pages.held(c, "w"), "messages_due"),
    "next due": (lambda c: pages.next_due(c, LANES), "COVERING INDEX messages_due (lane=?"),
    "overview": (pages.overview, "COVERING INDEX messages_due (lane=?"),
    "get": (lambda c: pages.get(c, "a"), "(id=?)"),
    "contents": (lambda c: pages.contents(c, ["a"]), "(id=?)"),
    "totals": (
        lambda c: pages.totals(c, 0, 9),
        "counters USING PRIMARY KEY (name=? AND bucket>? AND bucket<?)",
    ),
    "sweep": (messages.sweep, "keys_expiry (expires_at<?)"),
    "old bodies": (lambda c: retention.old_bodies(c, 5, 9.0), "contents USING INTEGER PRIMARY KEY (rowid>?"),
    "forget bodies": (
        lambda c: retention.forget_bodies(c, [BODY]),
        "messages USING INTEGER PRIMARY KEY (rowid=?)",
    ),
    "old records": (lambda c: retention.old_records(c, 9.0), "messages USING INTEGER PRIMARY KEY (rowid<?)"),
    "forget keys": (lambda c: retention.forget_records(c, 9, 9.0), "keys_id (id=?)"),
    "forget notices": (lambda c: retention.forget_records(c, 9, 9.0), "notices_id (id=?)"),
    "forget addresses": (
        lambda c: retention.forget_records(c, 9, 9.0),
        "recipients USING PRIMARY KEY (email=?",
    ),
    "forget tags": (lambda c: retention.forget_records(c, 9, 9.0), "tags USING PRIMARY KEY (tag=?"),
    "contacts": (lambda c: contacts.contacts_after(c, "a", 9, ["*"]), "contacts USING PRIMARY KEY (key>?)"),
    "contacts of roles": (
        lambda c: contacts.contacts_after(c, "a", 9, ["b", "c"]),
        "contact_roles USING PRIMARY KEY (role=? AND key>?)",
    ),
    "contact": (lambda c: contacts.these(c, ["a"]), "contacts USING PRIMARY KEY (key=?)"),
    "contact roles": (
        lambda c: contacts.contact_roles(c, 9, "a"),
        "contact_counts USING PRIMARY KEY (role>?)",
    ),
    "page": (listed(page=900), "PRIMARY KEY (rowid>? AND rowid<?)"),
    "status": (listed(status="SENT"), "messages_status (status=?"),
    "recipient": (listed(recipient="a@x.example"), "x USING PRIMARY KEY (email=?"),
    "recipient and time": (listed(recipient="a", since=1), "x USING PRIMARY KEY (email=? AND seq>?"),
    "recipient and tag": (listed(recipient="a", tag="t"), "x USING PRIMARY KEY (email=?"),
    "tag": (listed(tag="t"), "x USING PRIMARY KEY (tag=?"),
    "tag and status": (listed(tag="t", status="SENT"), "x USING PRIMARY KEY (tag=?"),
    "status and tag": (listed(tag="t", status="SENT"), "COVERING INDEX messages_status (status=? AND seq"),
    "status and time": (listed(status="SENT", until=1), "messages_status (status=? AND seq"),
    "campaign": (listed(campaign="c"), "messages_campaign (campaign=?"),
    "campaign and status": (
        listed(campaign="c", status="SENT"),
        "messages_campaign (campaign=? AND state=? AND seq",
    ),
    "campaign and tag": (listed(campaign="c", tag="t"), "messages_campaign (campaign=? AND state=?"),
    "since": (listed(since=1), "messages_created (created_at>?)"),
    "until": (listed(until=1), "messages_created (created_at>?)"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_by_an_index(planned: Planned, name: str) -> None:
    ask, expected = QUESTIONS[name]
    ask(planned)
    assert any(expected in step for step in planned.steps), planned.steps
    for step in planned.steps:
        assert (
            not step.startswith(("SCAN messages", "SCAN m", "SCAN co", "SCAN keys", "SCAN notices"))
            or "INDEX" in step
        )
        assert name == "claim ids" or "TEMP B-TREE" not in step, "a list must not be sorted"


def test_the_newest_are_read_from_the_end(planned: Planned) -> None:
    """Without a filter the list walks down seq itself, and stops at its limit: nothing is sorted or counted."""
    listed()(planned)
    assert not any("TEMP B-TREE" in step or "SCAN counters" in step for step in planned.steps)
