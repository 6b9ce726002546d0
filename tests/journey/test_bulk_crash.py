"""What death does to a campaign: api, worker and queue server are killed at random points, for each policy of unknown.

The full form, with 5,000 recipients and 20 kills, is `python -m benchmarks kills`.
"""

import asyncio
import random
from pathlib import Path

import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.campaigns import Place, alone, riders, shared
from tests.journey.house import House
from tests.redis_server import RedisServer

SLOW = Rule(step="end", delay=0.02)
PEOPLE = 300


@pytest.mark.parametrize("policy", ["resend", "hold"])
async def test_one_process_on_sqlite_killed_again_and_again(tmp_path: Path, policy: str) -> None:
    async with SmtpSink([SLOW]) as sink, alone(tmp_path, sink, riders(PEOPLE), on_unknown=policy) as place:
        id, chance = await place.begin(), random.Random(policy)
        for _ in range(3):
            await sink.received(sink.taken + chance.randrange(1, 60))
            await place.api.kill()
            await place.api.start()
        await said(place, id, policy)


@pytest.mark.parametrize("policy", ["resend", "hold"])
async def test_api_workers_and_queue_server_killed_while_the_others_go_on(
    tmp_path: Path, postgres: str, policy: str
) -> None:
    (tmp_path / "redis").mkdir()
    redis = RedisServer(tmp_path / "redis")
    await redis.start()
    settings = {"on_unknown": policy, "queue": f"{redis.url}?queue=email"}
    try:
        async with (
            SmtpSink([SLOW]) as sink,
            shared(tmp_path, postgres, sink, riders(PEOPLE), **settings) as place,
        ):
            id, chance = await place.begin(), random.Random(policy)
            one, two = place.workers
            starting: dict[House | RedisServer, asyncio.Task[object]] = {}
            for victim in (one, redis, place.api, two, one):
                if victim in starting:
                    await starting[victim]
                await sink.received(min(PEOPLE, sink.taken + chance.randrange(1, 40)))
                await victim.kill()
                starting[victim] = asyncio.ensure_future(victim.start())
            await asyncio.gather(*starting.values())
            await said(place, id, policy)
    finally:
        redis.stop()


async def said(place: Place, id: str, policy: str) -> None:
    """Every recipient is closed, none lost; doubled is what says so, and with `hold` nothing is."""
    job = await place.kept_promise(id)
    assert job["totalCount"] == PEOPLE == job["sentCount"] + job["unknownCount"]
    if policy == "hold":
        assert max(place.taken.values()) == 1
    else:
        assert job["sentCount"] == PEOPLE
