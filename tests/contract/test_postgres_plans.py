"""How PostgreSQL goes about each question: by an index, never through all messages, at any depth the same."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from posthouse.mail.message import LANES
from posthouse.store.base import Query
from posthouse.store.postgres import PostgresStore, change, contacts, pages, retention, sweep
from posthouse.store.postgres.connection import Connection
from posthouse.store.postgres.search import STRIDE
from posthouse.testing.store_mail import draft
from tests.services import server_connection

ROWS = 20_000
FILL = f"""
WITH one AS (SELECT messages.*, data FROM messages JOIN contents USING (seq)),
more AS (
  INSERT INTO messages (seq, created_at, due_at, expires_at, losses, id, status, state, lane, campaign, record)
  SELECT n, one.created_at + n, CASE WHEN n % 100 IN (0, 3) THEN one.due_at END, one.expires_at, 0, 'id-' || n,
    CASE WHEN n % 100 IN (0, 3) THEN 'PENDING' WHEN n % 1000 = 1 THEN 'FAILED' ELSE 'SENT' END,
    CASE WHEN n % 10 <> 0 THEN '' WHEN n % 100 = 0 THEN 'pending' WHEN n % 1000 = 10 THEN 'failed' ELSE 'sent' END,
    CASE WHEN n % 10 = 0 THEN 'bulk' ELSE one.lane END, CASE WHEN n % 10 = 0 THEN 'spring' ELSE '' END, one.record
  FROM one, generate_series(2, {ROWS}) AS n
), their_contents AS (
  INSERT INTO contents (seq, data) SELECT n, one.data FROM one, generate_series(2, {ROWS}) AS n
), their_recipients AS (
  INSERT INTO recipients (email, seq) SELECT 'r' || n % 50, n FROM generate_series(2, {ROWS}) AS n
), their_tags AS (
  INSERT INTO tags (tag, seq) SELECT 't' || n % 50, n FROM generate_series(2, {ROWS}) AS n
  UNION ALL SELECT 'even', n FROM generate_series(2, {ROWS}, 2) AS n
), people AS (
  INSERT INTO contacts SELECT 'p' || n, 'p' || n, '', '[]', '{{}}', '', '', 0, 0 FROM generate_series(1, {ROWS}) AS n
), their_roles AS (
  INSERT INTO contact_roles SELECT role, 'p' || n FROM generate_series(1, {ROWS}) AS n, (VALUES ('a'), ('b')) AS of (role)
)
UPDATE place SET seq = {ROWS}"""


class Planned:
    """A connection that runs nothing without noting its plan and what it really read."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.steps: list[str] = []

    async def use(self, mode: str) -> None:
        """Plans in this mode from now on."""
        await self._connection.execute(f"SET plan_cache_mode = {mode}")

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        await self._connection.execute(f"PREPARE asked AS {sql}")
        values = f"({', '.join(map(literal, args))})" if args else ""
        self.steps += [
            row[0] for row in await self._connection.fetch(f"EXPLAIN ANALYZE EXECUTE asked{values}")
        ]
        await self._connection.execute("DEALLOCATE asked")
        return await self._connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        return next(iter(await self.fetch(sql, *args)), None)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        row = await self.fetchrow(sql, *args)
        return row and row[0]


def literal(value: Any) -> str:
    """A value of these tests as it stands in SQL."""
    if isinstance(value, list):
        return f"'{{{','.join(map(str, value))}}}'"
    return f"'{value}'" if isinstance(value, str) else str(value)


@pytest.fixture
async def planned(postgres: str) -> AsyncIterator[Planned]:
    """A store with many records, few of which wait."""
    store = PostgresStore(postgres, migrating=True)
    await store.start()
    await store.save([draft()])
    await store.stop()
    async with server_connection(postgres) as connection:
        await connection.execute(FILL)
        await connection.execute("ANALYZE messages, contents, recipients, tags, contacts, contact_roles")
        yield Planned(connection)


Ask = Callable[[Connection], Awaitable[Any]]


def listed(**asked: Any) -> Ask:
    return lambda connection: pages.page(connection, Query(**asked))


QUESTIONS: dict[str, tuple[Ask, str]] = {
    "claim": (lambda c: c.fetch(change.CLAIM, 0, 9, "bulk", 2, ""), "messages_due"),
    "claim of a campaign": (lambda c: c.fetch(change.CLAIM, 0, 9, "bulk", 2, "spring"), "messages_due"),
    "claim alone": (lambda c: c.fetch(change.CLAIM_ALONE, 0, 1, "bulk", 2, "spring"), "messages_costly"),
    "claim ids": (lambda c: c.fetch(change.CLAIM_IDS, 0, 9, ["id-9"], 2), "messages_id_key"),
    "lapsed": (lambda c: c.fetch(change.LAPSED, 0, 9), "messages_leased"),
    "expired": (lambda c: c.fetch(change.EXPIRED, 0, 9), "messages_expiry"),
    "lock": (lambda c: c.fetch(change.THESE, ["id-9"]), "messages_id_key"),
    "held": (lambda c: pages.held(c, "w"), "messages_leased"),
    "next due": (lambda c: pages.next_due(c, LANES), "messages_due"),
    "get": (lambda c: pages.get(c, "id-9"), "messages_id_key"),
    "first page": (listed(page=1), "messages_pkey"),
    "last page": (listed(page=ROWS // 20), "messages_pkey"),
    "newest": (listed(), "messages_pkey"),
    "after a cursor": (listed(cursor="id-900"), "messages_pkey"),
    "status": (listed(status="FAILED"), "messages_status"),
    "status of nearly all": (listed(status="SENT", cursor="id-900"), "messages_status"),
    "campaign": (listed(campaign="spring"), "messages_campaign"),
    "recipient": (listed(recipient="r7"), "recipients_pkey"),
    "recipient and status": (listed(recipient="r7", status="SENT"), "recipients_pkey"),
    "campaign and status": (listed(campaign="spring", status="FAILED"), "messages_campaign"),
    "campaign and state": (listed(campaign="spring", state="sent"), "messages_campaign"),
    "campaign and tag": (listed(campaign="spring", tag="t20"), "tags_pkey"),
    "two that never meet": (listed(tag="even", status="FAILED"), "messages_status"),
    "recipient and tag": (listed(recipient="r7", tag="t7"), "recipients_pkey"),
    "tag": (listed(tag="t7"), "tags_pkey"),
    "unknown": (listed(unsettled="unknown"), "messages_unknown"),
    "failed and status": (listed(unsettled="failed", status="SENT"), "messages_failed"),
    "since": (listed(since=1), "messages_pkey"),
    "until": (listed(until=1 << 60), "messages_pkey"),
    "old bodies": (lambda c: c.fetch(retention.BODIES, 5, 9000, retention.SLICE), "contents_pkey"),
    "closed ones": (lambda c: c.fetch(retention.LOCK, [7, 8, 9]), "messages_pkey"),
    "oldest": (lambda c: c.fetch(retention.OLDEST, 1, 9000, retention.SLICE), "messages_pkey"),
    "forget": (lambda c: c.fetch(retention.OF_PLACES.format(table="messages"), 0, 1), "messages_pkey"),
    "forget keys": (lambda c: c.fetch(retention.OF_IDS.format(table="keys"), ["none"]), "keys"),
    "forget addresses": (
        lambda c: c.fetch(retention.NAMED.format(table="recipients", column="email"), ["none"], [1]),
        "recipients_pkey",
    ),
    "contacts": (lambda c: contacts.contacts_after(c, "p5", 9, ["*"]), "contacts_pkey"),
    "contacts of roles": (lambda c: contacts.contacts_after(c, "p5", 9, ["a", "b"]), "contact_roles_pkey"),
    "these contacts": (lambda c: contacts.these(c, ["p7", "p9"]), "contacts_pkey"),
    "forget names": (lambda c: c.fetch(sweep.NAMES, "(0,0)", "(64,0)", 0), "Tid Range Scan"),
}


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_by_an_index(planned: Planned, mode: str) -> None:
    """Whether the planner knows the values or, as after a few calls of a prepared statement, does not."""
    await planned.use(mode)
    for name, (ask, expected) in QUESTIONS.items():
        planned.steps.clear()
        await ask(planned)
        text = "\n".join(planned.steps)
        assert expected in text, f"{name}: {text}"
        for table in ("messages", "contents", "recipients", "tags", "contacts", "contact_roles"):
            assert f"Seq Scan on {table}" not in text, f"{name}: {text}"
        assert most_rows(text) <= STRIDE, f"{name}: {text}"
        assert most_removed(text) <= 50, f"{name}: {text}"


def most_rows(plan: str) -> int:
    """The most rows that any step gave."""
    return max(int(part.split()[0]) for part in plan.split("rows=")[2::2])


def most_removed(plan: str) -> int:
    """The most rows that any step read for nothing."""
    return max((int(part.split()[0]) for part in plan.split("Removed by Filter: ")[1:]), default=0)


async def test_any_page_costs_the_same(planned: Planned) -> None:
    """The first, one in the middle, the last: no step gives more rows than are asked for."""
    costs: list[int] = []
    for number in (1, ROWS // 40, ROWS // 20):
        planned.steps.clear()
        await pages.page(planned, Query(page=number))
        costs.append(most_rows("\n".join(planned.steps)))
    assert max(costs) <= 20
