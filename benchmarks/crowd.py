"""Who bulk is sent to, and what: contacts of one role, made by the database itself, and a template of three variables."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import cast

from benchmarks.mime import page
from benchmarks.request import SIZE
from benchmarks.servers import tell
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.store.catalog import Catalog
from posthouse.store.registry import open_store

ROLE = "rider"
TEMPLATE = "welcome"
WELCOME = Source(
    subject="{{ userName }}, your order is on its way to {{ town }}",
    html=page(SIZE).replace("Thank you, Ann!", "Thank you, {{ userName }}!").replace("123456", "{{ order }}"),
)
"""4 KiB of HTML, its text derived: names are in it, a town, a number."""
DOMAINS = 20

_PEOPLE = """
INSERT INTO contacts (key, email, name, roles, attributes, consent_when, consent_how, created_at, updated_at)
SELECT email, email, 'Ann Rider ' || n, '["rider"]', '{{"town":"Ulm ' || (n % 1000) || '","order":"' || n || '"}}', '', '', 0, 0
FROM (SELECT n, 'ann' || n || '@example' || (n % {domains}) || '.org' AS email FROM {numbers}) AS made"""
_ROLES = "INSERT INTO contact_roles (role, key) SELECT 'rider', key FROM contacts"
_SERIES = (
    "(WITH RECURSIVE s (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM s WHERE n < {many}) SELECT n FROM s)"
)


def gather(store: str, many: int) -> None:
    """Puts so many contacts and the template into the store of a URL, which is up to date and has none yet."""
    asyncio.run(_push(store))
    if store.startswith("sqlite:"):
        with (
            contextlib.closing(
                sqlite3.connect(Path("/", store.removeprefix("sqlite:///")), timeout=60)
            ) as file,
            file,
        ):
            for statement in _statements(_SERIES.format(many=many), many):
                file.execute(statement)
        return
    made = _statements(f"generate_series(1, {many}) AS n", many)
    for statement in [*made, "VACUUM ANALYZE contacts", "VACUUM ANALYZE contact_roles"]:
        tell(store, statement)


def _statements(numbers: str, many: int) -> list[str]:
    return [
        _PEOPLE.format(domains=DOMAINS, numbers=numbers),
        _ROLES,
        f"UPDATE contact_counts SET n = {many} WHERE role = '*'",
        f"INSERT INTO contact_counts (role, n) VALUES ('rider', {many})",
    ]


async def _push(store: str) -> None:
    opened = open_store(store, migrating=False)
    await opened.start()
    try:
        await cast(Catalog, opened).push_template(TEMPLATE, WELCOME, press(WELCOME), "benchmarks")
    finally:
        await opened.stop()
