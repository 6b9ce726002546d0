"""What happens to mail on Elasticsearch once it is saved: claim, renew, release, settle, retry.

A record is read with its version, changed by mail.advance, and written back if it still has that version: this compare-and-set
is the transaction. Whoever must have its record reads it again after a conflict and decides again; a claim leaves it to
whoever was quicker. After a conflict a record may stand as we wanted to write it: then the answer to that write was lost.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from posthouse.mail import advance
from posthouse.mail.advance import LONELY, Settlement
from posthouse.mail.message import SECOND, Content, Lane, Message
from posthouse.mail.retry import until
from posthouse.store.elasticsearch.recent import Version, Written
from posthouse.store.elasticsearch.records import (
    READ,
    UNREAD,
    Found,
    found,
    kept,
    moving,
    pack,
    remembered,
    subject,
    text,
    update,
    whole,
)
from posthouse.store.elasticsearch.records import read as as_read
from posthouse.store.elasticsearch.session import Item, Session

Change = Callable[[Found, int], bool]
"""Changes a record as it was read, at a time of the store's clock; False where nothing is to be written."""

FREE: dict[str, Any] = {"bool": {"must_not": {"exists": {"field": "owner"}}}}
LEASED: dict[str, Any] = {"exists": {"field": "owner"}}
IN_NO_CAMPAIGN: dict[str, Any] = {"bool": {"must_not": {"exists": {"field": "campaign"}}}}
OLDEST = ["dueAt", "createdAt", "eventId"]
"""The order of claims."""


def due(at: int) -> dict[str, Any]:
    """What is due at a time."""
    return {"range": {"dueAt": {"lte": text(at)}}}


def over(at: int) -> dict[str, Any]:
    """What lives no longer at a time."""
    return {"range": {"expiresAt": {"lte": text(at)}}}


def ready(lane: Lane, at: int, campaign: str | None = None, alone: bool = False) -> list[dict[str, Any]]:
    """What waits for a worker in a lane, of a campaign or of none, and may be given at `at`; its time need not have
    come."""
    losses = {"gte" if alone else "lt": LONELY}
    return [
        {"term": {"lane": lane}},
        FREE,
        IN_NO_CAMPAIGN if campaign is None else {"term": {"campaign": campaign}},
        {"range": {"losses": losses}},
        {"range": {"expiresAt": {"gt": text(at)}}},
    ]


async def claim(
    session: Session,
    owner: str,
    limit: int,
    lease: float,
    lanes: Sequence[Lane],
    campaign: str | None,
    overdue: float,
    alone: bool,
) -> list[Message]:
    """Leases the oldest that are due, lane by lane, of a campaign or of none."""
    claimed: list[Message] = []
    for lane in lanes:

        def asked(at: int, lane: Lane = lane) -> list[dict[str, Any]]:
            return [due(at - round(overdue * SECOND)), *ready(lane, at, campaign, alone)]

        claimed += await _take(session, asked, owner, limit - len(claimed), lease, overdue)
    return claimed


async def claim_ids(
    session: Session, owner: str, limit: int, lease: float, ids: Sequence[str]
) -> list[Message]:
    """Leases those of `ids` that are due and free, the oldest first."""
    claimed: list[Message] = []
    left: Sequence[str] = ids
    while left and limit > len(claimed):
        records = await current(session, left)
        waiting, others = _parted(records, lambda each: _is_ready(each.message, session.clock.now()))
        waiting.sort(key=lambda each: (each.message.due_at or 0, each.message.created_at, each.message.id))
        taken = waiting[: limit - len(claimed)]
        won = await _lease(session, taken, owner, lease)
        claimed += won
        lost = {each.message.id for each in taken} - {message.id for message in won}
        left = [*lost, *await _outdated(session, others)]
    return claimed


async def lapsed(session: Session, owner: str, limit: int, lease: float) -> list[Message]:
    """Takes over leases that have run out."""
    return await _take(session, lambda at: [due(at), LEASED], owner, limit, lease)


async def expired(session: Session, owner: str, limit: int, lease: float) -> list[Message]:
    """Leases what waits beyond its time."""
    return await _take(session, lambda at: [due(at), FREE, over(at)], owner, limit, lease)


async def renew(session: Session, owner: str, ids: Sequence[str], lease: float) -> list[str]:
    """Moves the end of the leases that `owner` holds."""

    def prolong(each: Found, at: int) -> bool:
        if each.message.owner != owner:
            return False
        advance.renew(each.message, until(at, lease))
        return True

    return list(await change(session, ids, prolong))


async def release(session: Session, leases: Sequence[tuple[str, int]], wait: float) -> None:
    """Hands back what is still held under these fences."""
    fences = set(leases)

    def hand_back(each: Found, at: int) -> bool:
        if each.message.owner is None or (each.message.id, each.message.fence) not in fences:
            return False
        advance.release(each.message, wait, at)
        return True

    await change(session, [id for id, _ in leases], hand_back)


async def settle(
    session: Session, settlements: Sequence[Settlement], beside: Sequence[Item] = ()
) -> tuple[list[Message | None], list[bool]]:
    """Writes outcomes under fences that are still good; of two for one lease the first. `beside` is written in the same
    bulk; whether each of it was done."""
    given: dict[str, list[int]] = {}
    for n, each in enumerate(settlements):
        given.setdefault(each.id, []).append(n)
    answers: list[Message | None] = [None] * len(settlements)

    def write(each: Found, at: int) -> bool:
        message, version = each.message, each.message.version
        numbers = given[message.id]
        good = next((n for n in numbers if advance.fits(message, settlements[n])), None)
        for n in numbers:
            answers[n] = message if n == good else None
        if good is not None:
            advance.settle(message, settlements[good], at)
        return message.version != version

    done: list[bool] = []
    await change(session, list(given), write, beside, done)
    return answers, done


async def keep(session: Session, rendered: Sequence[tuple[str, int, Content]]) -> list[str]:
    """Rewrites contents under fences that are still good; done twice it is the same."""
    records = {each.message.id: each for each in await read(session, [id for id, _, _ in rendered])}
    good = {
        id: content
        for id, fence, content in rendered
        if id in records and records[id].message.owner is not None and records[id].message.fence == fence
    }
    items = [Item("update", session.contents, id, kept(content)) for id, content in good.items()]
    items += [
        Item("update", session.messages, id, subject(content), records[id].seen)
        for id, content in good.items()
    ]
    await session.bulk(items)
    for id in good:
        session.recent.drop(id)
    return list(good)


async def retry(session: Session, id: str, expire: float) -> Message | None:
    """Makes failed and unknown recipients due again, where there is still something to send."""
    unchanged: dict[str, Message] = {}

    def again(each: Found, at: int) -> bool:
        unchanged[id] = each.message
        return each.whole and bool(advance.retry(each.message, at, expire))

    return (await change(session, [id], again) or unchanged).get(id)


async def current(session: Session, ids: Iterable[str]) -> list[Found]:
    """The records of these ids: as this process wrote them last, the others as they stand now."""
    records: list[Found] = []
    left: list[str] = []
    for id in ids:
        written = session.recent.get(id)
        if written is None:
            left.append(id)
        else:
            records.append(remembered(written))
    return records + await read(session, left)


async def read(session: Session, ids: Iterable[str]) -> list[Found]:
    """The records of these ids as they stand now."""
    return [as_read(each) for each in await session.read(session.messages, ids, READ)]


async def change(
    session: Session,
    ids: Sequence[str],
    decide: Change,
    beside: Sequence[Item] = (),
    done: list[bool] | None = None,
) -> dict[str, Message]:
    """Reads, changes and writes these records, until each was written as it was decided; those that were, by id. `beside`
    goes with the first write, and `done` then holds what became of it."""
    written: dict[str, Message] = {}
    tried: dict[str, Message] = {}
    left: Sequence[str] = list(dict.fromkeys(ids))
    while left or beside:
        records = await current(session, left)
        written |= {
            each.message.id: each.message for each in records if tried.get(each.message.id) == each.message
        }
        records = [each for each in records if each.message.id not in written]
        wanted, others = _parted(records, lambda each: decide(each, _at(session, each)))
        left = await _outdated(session, others)
        tried = {each.message.id: each.message for each in wanted}
        results = await _write(session, wanted, beside)
        if done is not None:
            done += map(bool, results[len(wanted) :])
        beside = ()
        for each, ok in zip(wanted, results, strict=False):
            if ok:
                written[each.message.id] = each.message
            else:
                left.append(each.message.id)
    return written


def _parted(records: Iterable[Found], which: Callable[[Found], bool]) -> tuple[list[Found], list[Found]]:
    """Those that it is true of, and the others."""
    parts: tuple[list[Found], list[Found]] = ([], [])
    for each in records:
        parts[not which(each)].append(each)
    return parts


async def _outdated(session: Session, records: Iterable[Found]) -> list[str]:
    """Those that were only remembered, and have been changed by others since."""
    return await session.outdated(
        {each.message.id: each.seen for each in records if each.remembered is not None}
    )


async def _write(
    session: Session, records: Sequence[Found], beside: Sequence[Item] = ()
) -> list[Version | None]:
    """Writes them where they still have the version they were read in."""
    packed = [pack(each.message) for each in records]
    items = [_item(session, each, record) for each, record in zip(records, packed, strict=True)]
    results = await session.bulk([*items, *beside])
    for each, record, version in zip(records, packed, results, strict=False):
        if version is None or each.remembered is None:
            session.recent.drop(each.message.id)
        else:
            session.recent.put(each.message.id, Written(record, each.remembered.fixed, each.heard, version))
    return results


def _item(session: Session, each: Found, record: bytes) -> Item:
    """All of the document where it is known; to change a part of it costs the server three times as much."""
    new = moving(each.message, record, each.heard)
    if each.remembered is None:
        return Item("update", session.messages, each.message.id, update(new), each.seen)
    return Item("index", session.messages, each.message.id, whole(each.remembered.fixed, new), each.seen)


def _at(session: Session, each: Found) -> int:
    """Now, and never before what its history ends with: another process's clock may be a moment ahead."""
    return max(session.clock.now(), each.message.history[-1].at)


async def _take(
    session: Session,
    asked: Callable[[int], list[dict[str, Any]]],
    owner: str,
    limit: int,
    lease: float,
    overdue: float = 0.0,
) -> list[Message]:
    """Leases the oldest of what a search finds; searches again where others were quicker. What has been due for `overdue`
    seconds was written then, or soon after: a refresh may be half as old."""
    taken: list[Message] = []
    while limit > len(taken):
        body = {
            "query": {"bool": {"filter": asked(session.clock.now())}},
            "sort": OLDEST,
            "size": min(limit - len(taken), 1000),
            "_source": {"excludes": UNREAD},
            "seq_no_primary_term": True,
            "track_total_hits": False,
        }
        answer = await session.search(session.messages, body, overdue / 2)
        candidates = [found(hit) for hit in answer["hits"]["hits"]]
        if not candidates:
            break
        taken += await _lease(session, candidates, owner, lease)
    return taken


async def _lease(session: Session, records: Sequence[Found], owner: str, lease: float) -> list[Message]:
    """Those of them that nobody else changed meanwhile."""
    for each in records:
        advance.claim(each.message, owner, until(session.clock.now(), lease))
    won = await _write(session, records)
    lost = {each.message.id: each.message for each, ok in zip(records, won, strict=True) if not ok}
    again = await read(session, lost)
    ours = {each.message.id for each in again if each.message == lost[each.message.id]}
    return [each.message for each in records if each.message.id not in lost or each.message.id in ours]


def _is_ready(message: Message, at: int) -> bool:
    return (
        message.due_at is not None
        and message.due_at <= at
        and message.owner is None
        and message.losses < LONELY
        and message.expires_at > at
    )
