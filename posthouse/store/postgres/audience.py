"""The audience of a campaign in the PostgreSQL database is frozen, a slice in each transaction.

Who freezes locks the campaign's row.
"""

from collections.abc import Sequence

import msgspec

from posthouse.mail.campaign import Campaign, Person
from posthouse.store.campaign import (
    pack_people,
    parts,
    row_of,
    takes_people,
    unpack_people,
)
from posthouse.store.catalog.campaigns import Slice
from posthouse.store.postgres.change import COUNT, columns_of
from posthouse.store.postgres.connection import Connection
from posthouse.store.postgres.contacts import keys_after
from posthouse.store.postgres.kept import locked, rewrite
from posthouse.store.tally import Tally

PART = 5000
"""People that are frozen in one transaction."""

STOPPED = "SELECT stopped FROM campaigns WHERE id = $1"
STOP = "UPDATE campaigns SET stopped = $2 WHERE id = $1"
COPY = """INSERT INTO audience (campaign, email, address, name, roles, variables)
  SELECT $1, key, email, name, roles, attributes FROM contacts WHERE key = ANY($2::text[]) ON CONFLICT DO NOTHING"""
GIVE = "INSERT INTO given (campaign, slice, people) VALUES ($1, $2, $3)"
GIVEN = "SELECT slice, people FROM given WHERE campaign = $1 ORDER BY slice LIMIT 1"
FORGET_GIVEN = "DELETE FROM given WHERE campaign = $1 AND slice = $2"
FORGET = "DELETE FROM given WHERE campaign = $1"
FREEZE = """INSERT INTO audience (campaign, email, address, name, roles, variables)
  SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) ON CONFLICT DO NOTHING"""


async def give(connection: Connection, id: str, people: Sequence[Person]) -> None:
    """Keeps those that were given with a campaign, until they are frozen."""
    for number, part in enumerate(parts(people, PART)):
        await connection.execute(GIVE, id, number, pack_people(part))


async def freeze(connection: Connection, id: str, people: Sequence[Person], last: bool, shard: int) -> int:
    """See the port."""
    found = await locked(connection, id)
    if found is None or not takes_people(found[0]):
        return 0
    new = await _add(connection, id, people, shard)
    if last:
        await rewrite(connection, msgspec.structs.replace(found[0], frozen=True))
    return new


async def freeze_kept(connection: Connection, id: str, shard: int) -> Slice:
    """See the port."""
    found = await locked(connection, id)
    if found is None:
        return "done"
    if not takes_people(found[0]):
        await connection.execute(FORGET, id)
        return "done"
    more = _freeze_contacts if found[0].roles else _freeze_given
    if await more(connection, found[0], shard):
        return "more"
    await rewrite(connection, msgspec.structs.replace(found[0], frozen=True))
    return "done"


async def _freeze_given(connection: Connection, campaign: Campaign, shard: int) -> bool:
    """Whether there were any left."""
    row = await connection.fetchrow(GIVEN, campaign.id)
    if row is None:
        return False
    await _add(connection, campaign.id, unpack_people(row["people"]), shard)
    await connection.execute(FORGET_GIVEN, campaign.id, row["slice"])
    return True


async def _freeze_contacts(connection: Connection, campaign: Campaign, shard: int) -> bool:
    """The next of the contacts that have its roles, as they are now; whether there were any left."""
    after = await connection.fetchval(STOPPED, campaign.id)
    keys = await keys_after(connection, after, PART, campaign.roles)
    if not keys:
        return False
    await _frozen(connection, campaign.id, _rows(await connection.execute(COPY, campaign.id, keys)), shard)
    await connection.execute(STOP, campaign.id, keys[-1])
    return True


async def _add(connection: Connection, id: str, people: Sequence[Person], shard: int) -> int:
    rows = sorted({(row := row_of(person))[0]: row for person in people}.values())
    new = _rows(await connection.execute(FREEZE, id, *_turned(rows, 5)))
    await _frozen(connection, id, new, shard)
    return new


async def _frozen(connection: Connection, id: str, new: int, shard: int) -> None:
    tally = Tally()
    tally.frozen(id, new)
    await connection.execute(COUNT, shard, *columns_of(tally))


def _rows(done: str) -> int:
    """How many a statement wrote."""
    return int(done.split()[-1])


def _turned(rows: Sequence[tuple[str, ...]], width: int) -> list[list[str]]:
    """Rows as columns."""
    return [[row[place] for row in rows] for place in range(width)]
