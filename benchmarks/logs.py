"""How long a list of mail takes when the store holds a million: GET /email/logs in both its forms, at any depth, with
each filter and with several. The limit is the same question asked of the store itself.

Each question is asked many times with other places and names, so that not one page of the file answers them all.
"""

import asyncio
import http.client
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from benchmarks.figure import Figure
from benchmarks.logs_store import CAMPAIGN, COMMON, OPS, RARE, Filled, fill, fill_store
from benchmarks.processes import KEY, folder, house
from benchmarks.servers import process, servers, tell
from posthouse.mail.message import SECOND, Message
from posthouse.store.base import Store
from posthouse.store.postgres import PostgresStore
from posthouse.store.sqlite import SqliteStore
from posthouse.submission.logs import read_arguments, read_query

FLOOR = 10.0
DEAD = "smtp://127.0.0.1:9?tls=none"
LIMIT = 20
DAY = 86_400 * SECOND

T = TypeVar("T")
Ask = Callable[[Filled], dict[str, str]]


def measure(mails: int, calls: int) -> list[Figure]:
    """Milliseconds, p99, of each question; p50 beside it. On SQLite."""
    with folder() as place:
        path = place / "posthouse.db"
        filled = fill(path, mails)
        with house(place, DEAD, "--roles", "api") as served:
            return _measure(f"logs, {mails:,}", lambda: SqliteStore(path), served.url, filled, calls)


def measure_shared(mails: int, calls: int) -> list[Figure]:
    """The same on PostgreSQL, which has looked at its tables once they are full, as it does by itself in a minute."""
    with folder() as place, servers() as places:

        def open_store() -> Store:
            return PostgresStore(places.store, migrating=True)

        filled = asyncio.run(_with(open_store, lambda store: fill_store(store, mails)))
        tell(places.store, "VACUUM ANALYZE")
        with process(place, places, DEAD, "--roles", "api") as served:
            return _measure(f"shared logs, {mails:,}", open_store, served.url, filled, calls)


def _measure(
    size: str, open_store: Callable[[], Store], url: str, filled: Filled, calls: int
) -> list[Figure]:
    asked = {name: [urlencode(ask(filled)) for _ in range(calls)] for name, ask in QUESTIONS.items()}
    alone = asyncio.run(_with(open_store, lambda store: _ask_store(store, asked)))
    over_http = _ask_http(url, asked)
    totals = asyncio.run(_with(open_store, lambda store: _ask_totals(store, calls)))
    lines = [_figure(f"{size}: {name}", over_http[name], alone[name]) for name in QUESTIONS]
    return [
        *lines,
        Figure(f"{size}: totals of a day, store alone", _at(totals, 0.99), "ms", FLOOR, less=True),
    ]


async def _with(open_store: Callable[[], Store], work: Callable[[Store], Awaitable[T]]) -> T:
    """What the work gives with the store started."""
    store = open_store()
    await store.start()
    try:
        return await work(store)
    finally:
        await store.stop()


def _figure(name: str, over_http: list[float], alone: list[float]) -> Figure:
    medians = f"store.page alone; p50 {_at(over_http, 0.5):.1f} and {_at(alone, 0.5):.1f} ms"
    return Figure(name, _at(over_http, 0.99), "ms", FLOOR, _at(alone, 0.99), medians, less=True)


def _at(times: Sequence[float], share: float) -> float:
    """The quantile, in milliseconds."""
    return sorted(times)[int(len(times) * share)] * 1000


async def _ask_store(store: Store, asked: dict[str, list[str]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for name, questions in asked.items():
        queries = [read_query(read_arguments(question.encode()))[0] for question in questions]
        times[name] = [await _timed(store.page, query) for query in queries]
    return times


async def _ask_totals(store: Store, calls: int) -> list[float]:
    today = time.time_ns() // 1000 // DAY * DAY
    return [await _timed(store.totals, today, today + DAY) for _ in range(calls)]


async def _timed(call: Callable[..., Awaitable[object]], *arguments: object) -> float:
    start = time.perf_counter()
    await call(*arguments)
    return time.perf_counter() - start


def _ask_http(url: str, asked: dict[str, list[str]]) -> dict[str, list[float]]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    times = {name: [_get(connection, each) for each in questions] for name, questions in asked.items()}
    connection.close()
    return times


def _get(connection: http.client.HTTPConnection, query: str) -> float:
    start = time.perf_counter()
    connection.request("GET", f"/email/logs?{query}", headers={"Authorization": f"Bearer {KEY}"})
    answer = connection.getresponse()
    body = answer.read()
    taken = time.perf_counter() - start
    if answer.status != 200 or "items" not in json.loads(body):
        raise SystemExit(f"/email/logs?{query} was answered with {answer.status}")
    return taken


def _page(filled: Filled, number: int, limit: int = LIMIT) -> dict[str, str]:
    last = -(-filled.mails // limit)
    return {"page": str(number % last or last), "limit": str(limit)}


def _any_page(filled: Filled, limit: int = LIMIT) -> dict[str, str]:
    return _page(filled, random.randrange(filled.mails), limit)


def _some(filled: Filled) -> Message:
    return random.choice(filled.sample)


def _deep(filled: Filled) -> dict[str, str]:
    return {"cursor": _some(filled).id}


def _someone(filled: Filled) -> dict[str, str]:
    return {"recipient": _some(filled).recipients[0].email}


def _span(filled: Filled) -> dict[str, str]:
    """A span between two mails."""
    times = sorted(_some(filled).created_at for _ in range(2))
    since, until = (datetime.fromtimestamp(at / SECOND, UTC).isoformat() for at in times)
    return {"from": since, "to": until}


def _always(**arguments: str) -> Ask:
    return lambda filled: arguments


QUESTIONS: dict[str, Ask] = {
    "page=1": _always(page="1"),
    "page=any": _any_page,
    "page=any, 100 a page": lambda filled: _any_page(filled, 100),
    "page=last": lambda filled: _page(filled, 0),
    "newest": _always(limit="20"),
    "deep cursor": _deep,
    "deep cursor, 100 a page": lambda filled: {**_deep(filled), "limit": "100"},
    "status SENT, deep": lambda filled: {"status": "SENT", **_deep(filled)},
    "status FAILED (3 %), deep": lambda filled: {"status": "FAILED", **_deep(filled)},
    "status PENDING (0.1 %), deep": lambda filled: {"status": "PENDING", **_deep(filled)},
    "recipient of 20 mails": _someone,
    "recipient of 10 %, deep": lambda filled: {"recipient": OPS, **_deep(filled)},
    "tag of 33 %, deep": lambda filled: {"tag": COMMON, **_deep(filled)},
    "tag of 0.01 %, deep": lambda filled: {"tag": RARE, **_deep(filled)},
    "campaign, deep": lambda filled: {"campaign": CAMPAIGN, **_deep(filled)},
    "from, to": _span,
    "from, to and FAILED": lambda filled: {"status": "FAILED", **_span(filled)},
    "tag invoice and FAILED, deep": lambda filled: {"tag": "invoice", "status": "FAILED", **_deep(filled)},
    "tag and FAILED, never both": lambda filled: {"tag": COMMON, "status": "FAILED", **_deep(filled)},
    "recipient and FAILED, never both": lambda filled: {
        "recipient": OPS,
        "status": "FAILED",
        **_deep(filled),
    },
    "recipient and rare tag, never both": lambda filled: {"recipient": OPS, "tag": RARE, **_deep(filled)},
    "campaign and FAILED, never both": lambda filled: {
        "campaign": CAMPAIGN,
        "status": "FAILED",
        **_deep(filled),
    },
    "all filters at once": lambda filled: {
        "recipient": OPS,
        "tag": COMMON,
        "status": "SENT",
        "campaign": CAMPAIGN,
        **_span(filled),
    },
}
