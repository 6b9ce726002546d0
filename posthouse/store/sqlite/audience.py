"""The audience of a campaign in the SQLite file: frozen, then made messages of, in slices that hold the lock for a few
milliseconds. A reader looks for the next slice and its mail is made before the writer takes them; whom another process
took meanwhile it leaves out.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence

import msgspec

from posthouse.mail import advance
from posthouse.mail.campaign import Campaign, Person
from posthouse.mail.message import Message
from posthouse.mail.retry import until
from posthouse.mail.suppression import Suppression
from posthouse.store.base import Draft
from posthouse.store.campaign import (
    given_name,
    gives_people,
    key_of,
    pack_people,
    person_of,
    row_of,
    takes_people,
    text,
    unpack_people,
)
from posthouse.store.catalog.campaigns import Mails, Slice
from posthouse.store.sqlite import messages
from posthouse.store.sqlite.contacts import keys_after
from posthouse.store.sqlite.kept import kept, rewrite
from posthouse.store.sqlite.statements import execute_rows
from posthouse.store.sqlite.suppressions import suppressed
from posthouse.store.tally import Tally

Connection = sqlite3.Connection

PART = 500
"""People that are frozen in one transaction."""
ENLISTED = 100
"""People that messages are made of in one transaction."""

STOPPED = "SELECT stopped FROM campaigns WHERE id = ?"
STOP = "UPDATE campaigns SET stopped = ? WHERE id = ?"
COPY = """INSERT OR IGNORE INTO audience (campaign, email, address, name, roles, variables)
SELECT ?, key, email, name, roles, attributes FROM contacts WHERE key IN (SELECT value FROM json_each(?))"""
GIVE = "INSERT OR REPLACE INTO given (campaign, slice, people) VALUES (?, ?, ?)"
GIVEN = "SELECT slice, people FROM given WHERE campaign = ? ORDER BY slice LIMIT 1"
FORGET_GIVEN = "DELETE FROM given WHERE campaign = ? AND slice = ?"
FORGET = "DELETE FROM given WHERE campaign = ?"
FREEZE = "INSERT OR IGNORE INTO audience (campaign, email, address, name, roles, variables) VALUES {rows}"
WAITING = "SELECT address, name, roles, variables FROM audience WHERE campaign = ? ORDER BY email LIMIT ?"
TAKE = "DELETE FROM audience WHERE campaign = ? AND email IN (SELECT value FROM json_each(?)) RETURNING email"
ANY = "SELECT 1 FROM audience WHERE campaign = ? LIMIT 1"


def give(connection: Connection, campaign: Campaign, number: int, people: Sequence[Person]) -> None:
    """Keeps some that are given with a campaign which is not yet there, until they are frozen."""
    if kept(connection, campaign.id) is None:
        connection.execute(GIVE, (given_name(campaign), number, pack_people(people)))


def freeze(connection: Connection, id: str, people: Sequence[Person], last: bool) -> int:
    """See the port."""
    found = kept(connection, id)
    if found is None or not takes_people(found[0]):
        return 0
    new = _add(connection, id, people)
    if last:
        rewrite(connection, msgspec.structs.replace(found[0], frozen=True))
    return new


def freeze_kept(connection: Connection, id: str) -> Slice:
    """See the port."""
    found = kept(connection, id)
    if found is None:
        return "done"
    given = given_name(found[0])
    if not takes_people(found[0]):
        connection.execute(FORGET, (given,))
        return "done"
    row = connection.execute(GIVEN, (given,)).fetchone()
    if row is None:
        freeze(connection, id, [], last=True)
        return "done"
    freeze(connection, id, unpack_people(row[1]), last=False)
    connection.execute(FORGET_GIVEN, (given, row[0]))
    return "more"


def next_contacts(connection: Connection, id: str) -> tuple[str, list[str]] | None:
    """The key that the freezing of a campaign's contacts has come to, and the next behind it; None where it has no roles."""
    found, row = kept(connection, id), connection.execute(STOPPED, (id,)).fetchone()
    if found is None or not found[0].roles:
        return None
    return row[0], keys_after(connection, row[0], PART, found[0].roles)


def freeze_contacts(connection: Connection, id: str, after: str, keys: Sequence[str]) -> Slice:
    """Freezes those, unless another process did so meanwhile; nobody left means that the audience is complete."""
    found, row = kept(connection, id), connection.execute(STOPPED, (id,)).fetchone()
    if found is None or not takes_people(found[0]):
        return "done"
    if row[0] != after:
        return "more"
    if not keys:
        rewrite(connection, msgspec.structs.replace(found[0], frozen=True))
        return "done"
    new = connection.execute(COPY, (id, text(keys))).rowcount
    _count(connection, id, new)
    connection.execute(STOP, (keys[-1], id))
    return "more"


def waiting(
    connection: Connection, id: str, limit: int
) -> tuple[Campaign, list[Person], dict[str, Suppression]] | None:
    """A campaign, the next of its audience, and which of their keys are not to be mailed."""
    found = kept(connection, id)
    people = [person_of(*row) for row in connection.execute(WAITING, (id, min(limit, ENLISTED)))]
    keys = [key_of(person) for person in people]
    return found and (found[0], people, suppressed(connection, keys, "bulk", messages.now()))


def enlist(connection: Connection, id: str, drafts: Mapping[str, Draft]) -> Slice:
    """Takes these from the audience and saves their mail."""
    _take(connection, id, drafts, lambda message, at: None)
    found = kept(connection, id)
    if found is None or not gives_people(found[0]) or connection.execute(ANY, (id,)).fetchone():
        return "more"
    rewrite(connection, msgspec.structs.replace(found[0], ready=True))
    return "done"


def draw(connection: Connection, id: str, drafts: Mapping[str, Draft], owner: str, lease: float) -> Mails:
    """The same, each leased to `owner`."""
    found = kept(connection, id)
    if found is None or found[0].phase != "running":
        return []

    def claim(message: Message, at: int) -> None:
        if message.open:
            advance.claim(message, owner, until(at, lease))

    taken = _take(connection, id, drafts, claim)
    return [(draft.message, draft.content) for draft in taken if draft.message.open]


def _take(
    connection: Connection, id: str, drafts: Mapping[str, Draft], then: Callable[[Message, int], None]
) -> list[Draft]:
    gone = {key for (key,) in connection.execute(TAKE, (id, text(list(drafts)))).fetchall()}
    taken = [draft for key, draft in drafts.items() if key in gone]
    messages.enter(connection, taken, then)
    _count(connection, id, -len(taken))
    return taken


def _add(connection: Connection, id: str, people: Sequence[Person]) -> int:
    before = connection.total_changes
    execute_rows(connection, FREEZE, [(id, *row_of(person)) for person in people])
    new = connection.total_changes - before
    _count(connection, id, new)
    return new


def _count(connection: Connection, id: str, n: int) -> None:
    tally = Tally()
    tally.frozen(id, n)
    messages.count(connection, tally)
