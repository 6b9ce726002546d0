"""Mail for the store contract: drafts to save, words of a transport, and settlements made of them."""

import secrets
import time
from typing import Any

from posthouse.mail.advance import Settlement
from posthouse.mail.identity import id_maker, message_id
from posthouse.mail.message import SECOND, Content, Lane, Mailbox, Message, Recipient
from posthouse.mail.outcome import Outcome, classify, not_begun, unknown
from posthouse.mail.retry import Policy, decide
from posthouse.store.base import Draft, Key, Query, Store

ACCEPTED = classify(250, "2.0.0", "taken")
DEFERRED = classify(451, "4.3.0", "later")
REFUSED = classify(550, "5.1.1", "no such user")
UNKNOWN = unknown("no reply")
NOT_BEGUN = not_begun("no connection was free")

AT_ONCE = Policy(backoff=0.0)
"""The policy of these tests: what is deferred is due again at once."""

LONG = 600.0
"""Seconds that no test lasts."""

new_id = id_maker(lambda: time.time_ns() // 1_000_000, secrets.randbits)


def draft(
    *recipients: str,
    lane: Lane = "transactional",
    key: Key | None = None,
    expire: float = LONG,
    content: dict[str, Any] | None = None,
    **record: Any,
) -> Draft:
    """A mail to these recipients (or to one of no matter what name); `record` are fields of its Message."""
    id = new_id()
    emails = recipients or (f"{id[-12:]}@example.org",)
    message = Message(
        id=id,
        message_id=message_id(id, "test.example"),
        lane=lane,
        recipients=[Recipient(email) for email in emails],
        **record,
    )
    said: dict[str, Any] = {"subject": "Horses", "text": f"are changed here, {id}", **(content or {})}
    sender, to = Mailbox("post@house.example"), tuple(Mailbox(email) for email in emails)
    return Draft(message, Content(sender=sender, to=to, **said), key, expire)


def key(name: str, fingerprint: bytes = b"same", scope: str = "test", seconds: float = LONG) -> Key:
    """An idempotency key."""
    return Key(scope, name, fingerprint, seconds)


async def saved(store: Store, count: int = 1, **more: Any) -> list[Message]:
    """So many new records, in the order of their creation."""
    return [each.message for each in await store.save([draft(**more) for _ in range(count)])]


def said(message: Message, *outcomes: Outcome, lost: bool = False, policy: Policy = AT_ONCE) -> Settlement:
    """The settlement for a message just claimed: these outcomes for its recipients, the last for all others."""
    sending = [recipient for recipient in message.recipients if recipient.state == "sending"]
    given = [outcomes[min(number, len(outcomes) - 1)] for number in range(len(sending))]
    decisions = {
        recipient.email: decide(recipient, message.lane, outcome, policy)
        for recipient, outcome in zip(sending, given, strict=True)
    }
    return Settlement(id=message.id, fence=message.fence, transport="test:", decisions=decisions, lost=lost)


async def settle(store: Store, settlement: Settlement) -> Message:
    """The record after a settlement whose fence is good."""
    (settled,) = await store.settle([settlement])
    assert settled is not None, "the fence was said to be stale"
    return settled


async def record(store: Store, id: str) -> Message:
    """The record as it stands."""
    found = await store.get(id)
    assert found is not None, f"the store has no {id}"
    return found[0]


async def everything(store: Store) -> list[Message]:
    """Every record, newest first, by way of the list."""
    records: list[Message] = []
    cursor: str | None = None
    while True:
        page = await store.page(Query(limit=50, cursor=cursor))
        records += [item.message for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return records


def microseconds(seconds_from_now: float = 0.0) -> int:
    """A time on this machine's clock, as records have it."""
    return time.time_ns() // 1000 + round(seconds_from_now * SECOND)
