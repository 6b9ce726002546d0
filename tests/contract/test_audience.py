"""An audience that is elsewhere: read by role from PostgreSQL and from SQLite, by the same words."""

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from posthouse.audience import Audience, BadAudience, open_audience, people
from posthouse.mail.address import MAX_NAME
from posthouse.mail.campaign import Person
from posthouse.mail.errors import StoreAway
from tests.services import server_connection

TABLE = "CREATE TABLE users (email TEXT, name TEXT, role TEXT, horses INTEGER)"
USERS = [
    ("Ann@Example.org", "Ann\n", "rider", 3),
    ("ben@example.org", None, "rider", None),
    ("nobody", "N", "rider", 1),
    ("ANN@example.org", "Ann", "rider", 3),
    ("cat@example.org", "Cat", "judge", 0),
]
SELECT = "SELECT email, name, horses FROM users WHERE "
POSTGRES = f"{SELECT}'*' = ANY($1) OR role = ANY($1) ORDER BY email;"
SQLITE = f"{SELECT}role IN (SELECT value FROM json_each($1)) OR '[\"*\"]' = $1 ORDER BY email"


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A database with USERS in it."""
    if request.param == "sqlite":
        with sqlite3.connect(tmp_path / "users.db") as connection:
            connection.execute(TABLE)
            connection.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", USERS)
        connection.close()
        yield f"sqlite:///{tmp_path}/users.db"
        return
    server, schema = request.getfixturevalue("postgres_server"), f"test_{secrets.token_hex(8)}"
    async with server_connection(server) as connection:
        await connection.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {TABLE}")
        await connection.executemany("INSERT INTO users VALUES ($1, $2, $3, $4)", USERS)
        yield f"{server}?search_path={schema}"
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")


def opened(url: str, sql: str = "") -> Audience:
    return open_audience(url, sql or (SQLITE if url.startswith("sqlite") else POSTGRES))


async def read(audience: Audience, *roles: str) -> list[Person]:
    return [person async for slice_ in people(audience, roles) for person in slice_]


async def test_people_have_what_the_query_gives(url: str) -> None:
    audience = opened(url)
    await audience.check()
    found = await read(audience, "rider")
    assert sorted((each.email, each.name, str(each.variables)) for each in found) == [
        ("ANN@example.org", "Ann", "{'horses': 3}"),
        ("Ann@example.org", "Ann", "{'horses': 3}"),
        ("ben@example.org", "", "{}"),
    ]
    assert len(await read(audience, "*")) == 4
    assert await read(audience, "nobody") == []
    assert [await audience.count(roles) for roles in (["rider"], ["*"], ["judge", "x"])] == [3, 4, 1]


async def test_a_query_without_roles(url: str) -> None:
    audience = opened(url, "SELECT email FROM users")
    await audience.check()
    assert len(await read(audience, "whatever")) == 4
    assert await audience.count(["whatever"]) == 4


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT name FROM users", "no column named email"),
        ("SELEC email", "AUDIENCE_SQL"),
        ("SELECT email FROM people", "people"),
        ("SELECT email, colour FROM users", "colour"),
        ("SELECT 1; SELECT email FROM users", "AUDIENCE_SQL"),
        ("DELETE FROM users RETURNING email", "AUDIENCE_SQL"),
        ("SELECT email FROM users WHERE role = $2 OR role = $1", r"beside \$1"),
    ],
)
async def test_a_query_that_cannot_be_used_says_why(url: str, sql: str, why: str) -> None:
    with pytest.raises(BadAudience, match=why):
        await opened(url, sql).check()


async def test_postgres_takes_no_role_for_an_array_of_them(postgres_server: str) -> None:
    with pytest.raises(BadAudience, match="must be an array"):
        await opened(postgres_server, "SELECT 'a@b.example' AS email WHERE $1 = 'rider'").check()


async def test_a_role_is_never_part_of_the_query(url: str) -> None:
    assert await read(opened(url), "x') OR ('1' = '1", 'x"]') == []


async def test_what_the_query_gives_is_as_json_has_it(postgres_server: str) -> None:
    sql = """SELECT 'a@b.example' AS email, repeat('n', 999) AS name, ARRAY['x', 'y'] AS roles, 1.50::numeric AS price,
      DATE '2026-01-31' AS day, NULL AS nothing -- and a remark"""
    audience = opened(postgres_server, sql)
    await audience.check()
    (person,) = await read(audience, "*")
    assert (len(person.name), await audience.count(["*"])) == (MAX_NAME, 1)
    assert person.variables == {"roles": ["x", "y"], "price": "1.50", "day": "2026-01-31"}


async def test_cells_of_sqlite_that_are_no_text_stop_nobody(tmp_path: Path) -> None:
    file = tmp_path / "users of 100% #1?.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE users (email TEXT, name TEXT)")
        connection.execute("INSERT INTO users VALUES ('a@b.example', CAST(x'ff41' AS TEXT)), (x'00ff', 'B')")
        connection.execute("INSERT INTO users VALUES ('c@b.example', 'C')")
    connection.close()
    found = await read(opened(f"sqlite:///{quote(str(file))}", "SELECT email, name FROM users"), "*")
    assert [(each.email, each.name) for each in found] == [("a@b.example", "\ufffdA"), ("c@b.example", "C")]


async def test_a_file_that_somebody_locks_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.audience.CONNECT_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / "users.db", isolation_level=None)) as connection:
        connection.execute(TABLE)
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreAway):
            await opened(f"sqlite:///{tmp_path}/users.db").check()


async def test_counting_takes_no_longer_than_it_may(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.audience.COUNT_SECONDS", 0.1)
    endless = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT n || '@b.example' AS email FROM n"
    async with asyncio.timeout(20):
        with pytest.raises(StoreAway):
            await opened(url, endless).count(["*"])


async def test_a_server_that_dies_while_it_is_read_is_away(postgres_server: str) -> None:
    sql = """SELECT 'u' || n || '@b.example' AS email, pg_backend_pid() AS pid FROM generate_series(1, 5000) AS n"""
    taken = 0
    with pytest.raises(StoreAway):
        async for slice_ in people(opened(postgres_server, sql), ["*"]):
            taken += len(slice_)
            async with server_connection(postgres_server) as connection:
                await connection.execute("SELECT pg_terminate_backend($1)", slice_[0].variables["pid"])
    assert 0 < taken < 5_000


async def test_it_can_only_read(url: str) -> None:
    audience = opened(url, "DELETE FROM users RETURNING email")
    with pytest.raises(StoreAway):
        await read(audience, "rider")
    assert len(await read(opened(url), "*")) == 4


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/x", "sqlite:////nowhere/at/all.db"])
async def test_one_that_is_away_is_away(url: str) -> None:
    audience = opened(url)
    for call in (audience.check(), audience.count(["a"]), read(audience, "a")):
        with pytest.raises(StoreAway):
            await call


def test_other_databases_are_not_known() -> None:
    with pytest.raises(ValueError, match="POSTHOUSE_AUDIENCE_URL"):
        open_audience("mysql://host/db", "SELECT 1")
