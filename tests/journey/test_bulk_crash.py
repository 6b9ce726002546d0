"""What death does to a campaign: api, worker and queue server are killed at random points, for each policy of unknown.

The full form, with 5,000 recipients and 20 kills, is `python -m benchmarks kills`.
"""

import random
from pathlib import Path

import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.campaigns import Place, alone, riders, shared
from tests.journey.kills import kill, toll
from tests.redis_server import RedisServer

SLOW = Rule(step="end", delay=0.02)
PEOPLE = 300


@pytest.mark.parametrize("policy", ["resend", "hold"])
async def test_one_process_on_sqlite_killed_again_and_again(tmp_path: Path, policy: str) -> None:
    async with SmtpSink([SLOW]) as sink, alone(tmp_path, sink, riders(PEOPLE), on_unknown=policy) as place:
        id = await place.begin()
        await kill(place, [place.api] * 3, PEOPLE, random.Random(policy))
        await nothing_lost(place, id, policy)


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
            id, (one, two) = await place.begin(), place.workers
            await kill(place, [one, redis, place.api, two, one], PEOPLE, random.Random(policy))
            await nothing_lost(place, id, policy)
    finally:
        redis.stop()


async def nothing_lost(place: Place, id: str, policy: str) -> None:
    """Every recipient is closed, none lost; doubled is what says so, and with `hold` nothing is."""
    job, taken = await toll(place, id)
    assert (taken.open, taken.lost, taken.silent) == (0, 0, 0)
    assert job["totalCount"] == PEOPLE == job["sentCount"] + job["unknownCount"]
    assert policy == "resend" or taken.doubled == 0
