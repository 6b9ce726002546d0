"""Saving new mail on Elasticsearch: keys first, then contents, then the records, each step one bulk of creations.

A key document names the id of its mail. A producer's name for a mail is its id, so there the content is the key's document,
too, and a step less is made. Whoever meets a key whose mail is missing creates that mail under that id: its first saver died in
between, or has not come so far yet, and then one of the two creates it. A creation that was answered too late is known again by
what stands there.
"""

import base64
import hashlib
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from posthouse.mail import advance
from posthouse.mail.message import Message
from posthouse.mail.retry import until
from posthouse.store.base import EVENT, Draft, Key, Saved
from posthouse.store.elasticsearch.recent import Version, Written
from posthouse.store.elasticsearch.records import (
    contents,
    fixed,
    microseconds,
    moving,
    pack,
    time,
    unpack,
    whole,
)
from posthouse.store.elasticsearch.session import Item, Session


class _Held(NamedTuple):
    """What a key document says: the id of its mail, the fingerprint, whether it is ours, and whether its time is over.
    `new`: it was not there before. Content that came without a key has no fingerprint."""

    id: str
    fingerprint: bytes | None
    ours: bool
    over: bool
    seen: tuple[int, int]
    new: bool = False


async def save(session: Session, drafts: Sequence[Draft]) -> list[Saved]:
    """See the port."""
    at = session.clock.now()
    for draft in drafts:
        _name_by_event(draft)
    held = await _take_keys(session, drafts, at) | await _take_names(session, drafts)
    firsts: dict[str, Draft] = {}
    for draft in drafts:
        if not _differs(draft, held):
            firsts.setdefault(_id(draft, held), draft)
    known = {held_by.id for held_by in held.values() if not held_by.new}
    made = await _create(session, [_under(draft, id) for id, draft in firsts.items()], known, at)
    others = {_id(draft, held) for draft in drafts} - made.keys()
    made |= {id: Saved(message) for id, message in (await _standing(session, list(others))).items()}
    return [_answer(draft, _id(draft, held), firsts, made, held) for draft in drafts]


def _name_by_event(draft: Draft) -> None:
    """Here the id of a mail is its producer's name for it, where it has one; the Message-ID stays what it was made."""
    if (named := _name(draft)) is not None:
        draft.message.id = named.key


def _name(draft: Draft) -> Key | None:
    """Its key, if that is its producer's name for it."""
    return draft.key if draft.key is not None and draft.key.scope == EVENT else None


async def named(session: Session, scope: str, keys: Sequence[str]) -> dict[str, str]:
    """The ids that these keys lead to. A producer's name for a mail is its id."""
    if scope == EVENT:
        new = [key for key in keys if session.recent.get(key) is None]
        there = await session.read(session.messages, new, "_source=false")
        return {id: id for id in {*keys} - {*new} | {each.id for each in there}}
    ids = {key_id(scope, key): key for key in keys}
    at = session.clock.now()
    documents = (await session.get(session.keys, list(ids), "id,expiresAt")).items()
    led = {ids[id]: each["_source"]["id"] for id, each in documents if _until(each["_source"]) > at}
    there = await _standing(session, list(led.values()))
    return {key: id for key, id in led.items() if id in there}


def key_id(scope: str, key: str) -> str:
    """The id of a key's document."""
    return hashlib.sha256(f"{scope}\0{key}".encode()).hexdigest()


async def _take_keys(session: Session, drafts: Sequence[Draft], at: int) -> dict[str, _Held]:
    """Who has the keys of these drafts, by the id of the key's document; those that nobody had are ours now."""
    wanted: dict[str, tuple[Draft, Key]] = {}
    for draft in drafts:
        if draft.key and not _name(draft):
            wanted.setdefault(key_id(draft.key.scope, draft.key.key), (draft, draft.key))
    held: dict[str, _Held] = {}
    seen: dict[str, tuple[int, int]] = {}
    while left := sorted(wanted.keys() - held.keys()):
        items = [_key(session, id, *wanted[id], at, seen.get(id)) for id in left]
        won = await session.bulk(items)
        held |= {id: _mine(*wanted[id]) for id, done in zip(left, won, strict=True) if done}
        lost = await session.get(session.keys, [id for id in left if id not in held])
        for id, document in lost.items():
            known = _read(document, wanted[id][0], at)
            seen[id] = known.seen
            if known.ours or not known.over:
                held[id] = known
        for id in seen.keys() - lost.keys():  # swept meanwhile
            if id in left and id not in held:
                del seen[id]
    return held


async def _take_names(session: Session, drafts: Sequence[Draft]) -> dict[str, _Held]:
    """The same for producers' names: who comes first brings the content with it."""
    firsts: dict[str, tuple[Draft, Key]] = {}
    for draft in drafts:
        if (key := _name(draft)) is not None:
            firsts.setdefault(key.key, (draft, key))
    won = await session.bulk([_content(session, draft) for draft, _ in firsts.values()])
    held = {id: _mine(*firsts[id]) for id, done in zip(firsts, won, strict=True) if done}
    lost = await session.get(session.contents, [id for id in firsts if id not in held], "fingerprint")
    for id, document in lost.items():
        known = document["_source"].get("fingerprint")
        held[id] = _Held(id, known and base64.b64decode(known), True, False, (0, 0))
    return {key_id(EVENT, id): each for id, each in held.items()}


def _content(session: Session, draft: Draft) -> Item:
    key = _name(draft)
    body = contents(draft.content, key and key.fingerprint)
    return Item("create", session.contents, draft.message.id, body)


def _key(session: Session, id: str, draft: Draft, key: Key, at: int, seen: tuple[int, int] | None) -> Item:
    """Creates the document of a key, or takes over one whose time is over."""
    body = {"id": draft.message.id, "fingerprint": key.fingerprint, "expiresAt": time(until(at, key.seconds))}
    return Item("create" if seen is None else "index", session.keys, id, msgspec.json.encode(body), seen)


def _mine(draft: Draft, key: Key) -> _Held:
    return _Held(draft.message.id, key.fingerprint, True, False, (0, 0), True)


def _read(document: dict[str, Any], draft: Draft, at: int) -> _Held:
    source = document["_source"]
    return _Held(
        source["id"],
        base64.b64decode(source["fingerprint"]),
        source["id"] == draft.message.id,
        _until(source) <= at,
        (document["_seq_no"], document["_primary_term"]),
    )


def _until(source: dict[str, Any]) -> int:
    return microseconds(source["expiresAt"]) or 0


def _id(draft: Draft, held: dict[str, _Held]) -> str:
    """Under which id a draft is, or is to be, kept."""
    return held[key_id(draft.key.scope, draft.key.key)].id if draft.key else draft.message.id


def _differs(draft: Draft, held: dict[str, _Held]) -> bool:
    """Whether its key belongs to another payload."""
    if draft.key is None:
        return False
    known = held[key_id(draft.key.scope, draft.key.key)].fingerprint
    return known is not None and known != draft.key.fingerprint


def _under(draft: Draft, id: str) -> Draft:
    """The same mail under the id that its key names."""
    if id != draft.message.id:
        draft.message.message_id = draft.message.message_id.replace(draft.message.id, id)
        draft.message.id = id
    return draft


async def _create(
    session: Session, drafts: Sequence[Draft], known: Collection[str], at: int
) -> dict[str, Saved]:
    """Creates what is not there yet, as those may be whose ids are `known`; what then stands there, by id."""
    stand = await _standing(session, [draft.message.id for draft in drafts if draft.message.id in known])
    new = [draft for draft in drafts if draft.message.id not in stand]
    for draft in new:
        advance.accept(
            draft.message, at, draft.expire, after=session.clock.tick() - 1, suppressed=draft.suppressed
        )
    await session.bulk([_content(session, draft) for draft in new if not _name(draft)])
    made = await _write(session, new)
    saved = {id: Saved(message, created=False) for id, message in stand.items()}
    saved |= {d.message.id: Saved(d.message) for d, done in zip(new, made, strict=True) if done}
    return saved | await _met(session, [d for d, done in zip(new, made, strict=True) if not done])


async def _write(session: Session, drafts: Sequence[Draft]) -> list[Version | None]:
    """Creates the records; what was created is remembered."""
    records = [pack(draft.message) for draft in drafts]
    parts = [fixed(draft.message, draft.content) for draft in drafts]
    items = [
        Item("create", session.messages, draft.message.id, whole(part, moving(draft.message, record, [])))
        for draft, record, part in zip(drafts, records, parts, strict=True)
    ]
    made = await session.bulk(items)
    for draft, record, part, version in zip(drafts, records, parts, made, strict=True):
        if version is not None:
            session.recent.put(draft.message.id, Written(record, part, [], version))
    return made


async def _met(session: Session, drafts: Sequence[Draft]) -> dict[str, Saved]:
    """Those whose id was taken: by somebody else, or by us, when the answer to an earlier try was lost."""
    stand = await _standing(session, [draft.message.id for draft in drafts])
    return {
        d.message.id: Saved(stand[d.message.id], created=_same(stand[d.message.id], d.message))
        for d in drafts
    }


def _same(one: Message, other: Message) -> bool:
    return (one.message_id, one.created_at) == (other.message_id, other.created_at)


async def _standing(session: Session, ids: Sequence[str]) -> dict[str, Message]:
    documents = await session.get(session.messages, ids, "record")
    return {id: unpack(document["_source"]) for id, document in documents.items()}


def _answer(
    draft: Draft, id: str, firsts: dict[str, Draft], made: dict[str, Saved], held: dict[str, _Held]
) -> Saved:
    conflict = _differs(draft, held)
    if id not in made:  # another payload's key, whose mail nobody made yet
        return Saved(_under(draft, id).message, created=False, conflict=True)
    saved = made[id]
    return saved if firsts.get(id) is draft else Saved(saved.message, created=False, conflict=conflict)
