"""What providers tell later: kept once, and applied to the mail it is about.

A mail is found by our id, by its Message-ID, or by the provider's name for it, which the settlement writes. A notice
that comes before that settlement is kept, and applied together with it. So that neither misses the other, a notice by
name waits for the settlements under way, and they for it: by advisory locks of the transaction, on one of PLACES for
each name, always taken first and in order.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from posthouse.mail import advance
from posthouse.mail.advance import Settlement
from posthouse.mail.identity import id_of
from posthouse.mail.message import Message
from posthouse.mail.notice import Notice
from posthouse.store.base import Heard
from posthouse.store.postgres import change
from posthouse.store.postgres.change import Tried, change_rows, lock
from posthouse.store.postgres.connection import NOW, Connection

PLACES = 64
SPACE = 0x706F7374
"""The first half of our advisory locks ("post")."""

HOLD = f"""SELECT pg_advisory_xact_lock{{shared}}({SPACE}, place)
  FROM (SELECT DISTINCT place FROM unnest($1::int[]) AS place ORDER BY place) AS places"""
KEEP = f"""INSERT INTO notices (provider, key, received_at, data)
  SELECT provider, key, {NOW}, data FROM unnest($1::text[], $2::text[], $3::bytea[]) AS told (provider, key, data)
  ORDER BY provider, key ON CONFLICT DO NOTHING RETURNING provider, key"""
FIND = "SELECT id FROM messages WHERE id = ANY($1::text[])"
FIND_BY_NAME = "SELECT name, id FROM provider_names JOIN messages USING (seq) WHERE name = ANY($1::text[])"
PLACE = """UPDATE notices SET id = placed.id, provider_message_id = placed.name
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS placed (provider, key, id, name)
  WHERE notices.provider = placed.provider AND notices.key = placed.key"""
LEARN = """INSERT INTO provider_names (name, seq)
  SELECT DISTINCT ON (name) name, seq FROM unnest($1::text[], $2::text[]) AS named (name, id) JOIN messages USING (id)
  ORDER BY name, seq ON CONFLICT (name) DO UPDATE SET seq = excluded.seq"""
WAITING = """SELECT data FROM notices WHERE id IS NULL AND provider_message_id = ANY($1::text[])
  ORDER BY received_at FOR UPDATE"""

_NOTICE = msgspec.msgpack.Decoder(Notice)


async def hear(connection: Connection, notices: Sequence[Notice], shard: int) -> list[Heard]:
    """See the port."""
    await _hold(connection, [each.provider_message_id for each in notices], "")
    new = await _keep(connection, notices)
    found = await _find(connection, new)
    applied = await _apply(connection, [(each, found[n]) for n, each in enumerate(new) if found[n]], shard)
    await _place(
        connection, [(each, found[n] if _name(each) in applied else None) for n, each in enumerate(new)]
    )
    return _answers(notices, {_name(each) for each in new}, applied)


async def settle(
    connection: Connection, tried: Tried, settlements: Sequence[Settlement], shard: int
) -> list[Message | None]:
    """Settles, and keeps the names under which providers will speak of these mails, or have already."""
    await _hold(connection, [name for each in settlements for name in _names(each)], "_shared")
    settled = await change.settle(connection, tried, settlements, shard)
    named = {
        m.provider_message_id: m.id for m in settled if m is not None and m.provider_message_id is not None
    }
    if named:
        await connection.execute(LEARN, list(named.keys()), list(named.values()))
        waiting = [_NOTICE.decode(row["data"]) for row in await connection.fetch(WAITING, list(named))]
        pairs = [(notice, named[notice.provider_message_id or ""]) for notice in waiting]
        applied = await _apply(connection, pairs, shard)
        await _place(connection, [(notice, id) for notice, id in pairs if _name(notice) in applied])
    return settled


async def _hold(connection: Connection, names: Iterable[str | None], shared: str) -> None:
    places = {zlib.crc32(name.encode()) % PLACES for name in names if name is not None}
    if places:
        await connection.execute(HOLD.format(shared=shared), list(places))


async def _keep(connection: Connection, notices: Sequence[Notice]) -> list[Notice]:
    """Those that are heard for the first time, each once."""
    given = {_name(each): each for each in reversed(notices)}
    rows = await connection.fetch(
        KEEP,
        [provider for provider, _ in given],
        [key for _, key in given],
        [msgspec.msgpack.encode(each) for each in given.values()],
    )
    fresh = {(row["provider"], row["key"]) for row in rows}
    return [each for name, each in reversed(given.items()) if name in fresh]


async def _find(connection: Connection, notices: Sequence[Notice]) -> list[str | None]:
    """The id of the mail that each is about."""
    ours = [[name for name in (each.id, id_of(each.message_id or "")) if name] for each in notices]
    found = await connection.fetch(FIND, [id for ids in ours for id in ids])
    theirs = [each.provider_message_id for each in notices]
    names = await connection.fetch(FIND_BY_NAME, [name for name in theirs if name is not None])
    known = {row["id"] for row in found}
    by_name: dict[str | None, str] = {row["name"]: row["id"] for row in names}
    return [
        next((id for id in ids if id in known), by_name.get(name))
        for ids, name in zip(ours, theirs, strict=True)
    ]


async def _apply(
    connection: Connection, pairs: Sequence[tuple[Notice, str | None]], shard: int
) -> set[tuple[str, str]]:
    """Writes them into the records of these ids; the names of those that were about one of its recipients."""
    applied: set[tuple[str, str]] = set()
    at, rows = await lock(connection, [id for _, id in pairs if id is not None])

    def tell(message: Message) -> None:
        for notice, id in pairs:
            if id == message.id and advance.hear(message, notice, at):
                applied.add(_name(notice))

    await change_rows(connection, {}, rows, tell, shard)
    return applied


async def _place(connection: Connection, placed: Sequence[tuple[Notice, str | None]]) -> None:
    if placed:
        columns: list[list[Any]] = [
            [each.provider for each, _ in placed],
            [each.key for each, _ in placed],
            [id for _, id in placed],
            [each.provider_message_id for each, _ in placed],
        ]
        await connection.execute(PLACE, *columns)


def _answers(
    notices: Sequence[Notice], new: set[tuple[str, str]], applied: set[tuple[str, str]]
) -> list[Heard]:
    answers: list[Heard] = []
    for name in map(_name, notices):
        answers.append("repeated" if name not in new else "applied" if name in applied else "unknown")
        new.discard(name)
    return answers


def _name(notice: Notice) -> tuple[str, str]:
    return notice.provider, notice.key


def _names(settlement: Settlement) -> set[str | None]:
    return {decision.outcome.provider_message_id for decision in settlement.decisions.values()}
