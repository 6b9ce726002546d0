"""An audience that is elsewhere: read by role from PostgreSQL and from SQLite, by the same words."""

import secrets
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.audience import Audience, BadAudience, open_audience, people
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
    ],
)
async def test_a_query_that_cannot_be_used_says_why(url: str, sql: str, why: str) -> None:
    with pytest.raises(BadAudience, match=why):
        await opened(url, sql).check()


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
