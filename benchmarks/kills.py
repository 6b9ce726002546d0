"""Deployment 4 in death: a campaign to 5,000 through a server that takes 20 ms a mail, while 20 times one of the processes
is killed by SIGKILL, for each policy of unknown: one process on SQLite; api, two workers and Redis on PostgreSQL.

The figures are what was lost, doubled without a word of it, doubled, and is unknown; `posthouse audit` must find nothing.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.processes import folder
from benchmarks.servers import servers
from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.campaigns import Place, alone, riders, shared
from tests.journey.kills import Toll, Victim, kill, toll
from tests.redis_server import RedisServer

POLICIES = ("resend", "hold")
MAIL_SECONDS = 0.02
CONNECTIONS = 3
"""Of each process: few, so that all kills come while there is mail left."""


def measure(people: int, kills: int) -> list[Figure]:
    """So many recipients, and kills for each policy."""
    figures: list[Figure] = []
    for policy in POLICIES:
        figures += _figures(f"{kills} kills, SQLite, {policy}", policy, _killed(None, policy, people, kills))
    for policy in POLICIES:
        with servers() as places:
            found = _killed(places.store, policy, people, kills)
        figures += _figures(f"{kills} kills, PostgreSQL, {policy}", policy, found)
    return figures


def _figures(name: str, policy: str, found: Toll) -> list[Figure]:
    """What is unknown is held or, twice at most, sent again, as the policy says; nothing else may be."""
    free = ("unknown",) if policy == "hold" else ("unknown", "doubled")
    return [
        Figure(f"{name}: {word}", value, "mails", None if word in free else 1, less=True)
        for word, value in found._asdict().items()
    ]


def _killed(store: str | None, policy: str, people: int, kills: int) -> Toll:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"  (kills, {policy}: seed {seed})", flush=True)
    with folder() as place:
        return asyncio.run(_run(place, store, policy, people, kills, random.Random(seed)))


async def _run(
    place: Path, store: str | None, policy: str, people: int, kills: int, chance: random.Random
) -> Toll:
    async with (
        SmtpSink([Rule(step="end", delay=MAIL_SECONDS)]) as sink,
        _deployed(place, store, sink, people, policy) as (house, victims),
    ):
        id = await house.begin()
        await kill(house, [chance.choice(victims) for _ in range(kills)], people, chance)
        return (await toll(house, id))[1]


@asynccontextmanager
async def _deployed(
    place: Path, store: str | None, sink: SmtpSink, people: int, policy: str
) -> AsyncGenerator[tuple[Place, list[Victim]]]:
    if store is None:
        async with alone(place, sink, riders(people), connections=CONNECTIONS, on_unknown=policy) as house:
            yield house, [house.api]
        return
    (place / "redis").mkdir()
    redis = RedisServer(place / "redis")
    await redis.start()
    settings = {"on_unknown": policy, "queue": f"{redis.url}?queue=email"}
    try:
        async with shared(place, store, sink, riders(people), connections=CONNECTIONS, **settings) as house:
            yield house, [house.api, *house.workers, redis]
    finally:
        redis.stop()
