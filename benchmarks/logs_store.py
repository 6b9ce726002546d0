"""A store full of mail for the logs to be read from: filled by the store's own steps, a thousand mails at a time.

What stands in it follows from each mail's number, so that questions know what they will find: a third is tagged
`welcome` and none of these ever fails; a tenth has a copy for OPS, and none of these fails; all others get EACH.
"""

import secrets
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from posthouse.mail.advance import Settlement
from posthouse.mail.identity import id_maker, message_id
from posthouse.mail.message import Content, Mailbox, Message, Recipient
from posthouse.mail.outcome import Outcome, classify
from posthouse.mail.retry import Policy, decide
from posthouse.store.base import Draft, Store
from posthouse.store.sqlite import messages
from posthouse.store.sqlite.schema import migrate
from posthouse.store.sqlite.writer import connect

BATCH = 250
LEASE = 600.0
EACH = 20
"""Mails that an ordinary recipient has."""
OPS = "ops@shop.example.org"
COMMON, RARE = "welcome", "recall"
CAMPAIGN = "spring"
_SENT = classify(250, "2.0.0", "queued as 4F2A1C")
_FAILED = classify(550, "5.1.1", "no such user")
_DEFERRED = classify(451, "4.3.0", "try again later")
_POLICY = Policy(backoff=3600.0)
_HTML = "<p>Dear customer {number},</p>\n" + "<p>Your order has left our house today.</p>\n" * 20


class Filled(NamedTuple):
    """What was put in: how many mails, and one of each batch, oldest first."""

    mails: int
    sample: list[Message]


def fill(path: Path, mails: int) -> Filled:
    """So many mails: 96 in 100 sent, 3 failed, and one in a thousand deferred for an hour. Nothing waits for the disk
    here, so a store that was filled is good for measuring only."""
    migrate(str(path))
    connection = connect(str(path))
    connection.execute("PRAGMA synchronous = OFF")
    new_id = id_maker(lambda: time.time_ns() // 1_000_000, secrets.randbits)
    people = max(1, mails // EACH)
    sample: list[Message] = []
    for start in range(0, mails, BATCH):
        numbers = range(start, min(start + BATCH, mails))
        connection.execute("BEGIN IMMEDIATE")
        saved = _write(connection, [_draft(new_id(), number, people) for number in numbers], numbers)
        connection.execute("COMMIT")
        sample.append(saved[secrets.randbelow(len(saved))])
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Filled(mails, sample)


async def fill_store(store: Store, mails: int) -> Filled:
    """The same through the port, whatever the store."""
    new_id = id_maker(lambda: time.time_ns() // 1_000_000, secrets.randbits)
    people = max(1, mails // EACH)
    sample: list[Message] = []
    for start in range(0, mails, BATCH):
        numbers = range(start, min(start + BATCH, mails))
        saved = await store.save([_draft(new_id(), number, people) for number in numbers])
        outcome = {each.message.id: _outcome(number) for number, each in zip(numbers, saved, strict=True)}
        claimed = await store.claim("benchmark", len(saved), LEASE, ids=list(outcome))
        await store.settle([_settlement(message, outcome[message.id]) for message in claimed])
        sample.append(saved[secrets.randbelow(len(saved))].message)
    return Filled(mails, sample)


def _write(connection: sqlite3.Connection, drafts: list[Draft], numbers: range) -> list[Message]:
    """The store's own steps: saved, claimed and settled."""
    saved = [each.message for each in messages.save(connection, drafts)]
    outcome = {message.id: _outcome(number) for number, message in zip(numbers, saved, strict=True)}
    claimed = messages.claim_ids(connection, "benchmark", len(saved), LEASE, list(outcome))
    messages.settle(connection, [_settlement(message, outcome[message.id]) for message in claimed])
    return saved


def _draft(id: str, number: int, people: int) -> Draft:
    emails = [f"user{number % people}@example.org"]
    if number % 10 == 0:
        emails.append(OPS)
    message = Message(
        id=id,
        message_id=message_id(id, "bench.example"),
        recipients=[Recipient(email) for email in emails],
        tags=_tags(number),
        campaign=CAMPAIGN if number % 5 == 0 else None,
    )
    content = Content(
        sender=Mailbox("orders@shop.example.org", "The Shop"),
        to=tuple(Mailbox(email) for email in emails),
        subject=f"Your order {number} is on its way",
        html=_HTML.format(number=number),
    )
    return Draft(message, content)


def _tags(number: int) -> tuple[str, ...]:
    kind = (COMMON, "invoice", "reminder")[number % 3]
    return (kind, RARE) if number % 10_000 == 7 else (kind,)


def _outcome(number: int) -> Outcome:
    if number % 1000 == 2:
        return _DEFERRED
    return _FAILED if number % 30 == 1 else _SENT


def _settlement(message: Message, outcome: Outcome) -> Settlement:
    decisions = {each.email: decide(each, message.lane, outcome, _POLICY) for each in message.recipients}
    return Settlement(id=message.id, fence=message.fence, transport="smtp", decisions=decisions)
