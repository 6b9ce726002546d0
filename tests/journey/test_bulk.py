"""Deployment 4: campaigns by role from a template, with real processes and a real SMTP server.

Each story is told on SQLite in one process, and on PostgreSQL and Redis with an api and two workers.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from posthouse.mail.contact import Entry
from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.campaigns import Place, alone, rider, riders, shared

SLOW = Rule(step="end", delay=0.02)


class Deploy(Protocol):
    """Starts a deployment that sends to `sink`."""

    def __call__(
        self, sink: SmtpSink, people: Sequence[Entry], **settings: str
    ) -> AbstractAsyncContextManager[Place]: ...


@pytest.fixture(params=["sqlite", "postgres-redis"])
def deploy(request: pytest.FixtureRequest, tmp_path: Path) -> Deploy:
    """One process on SQLite, or several on PostgreSQL and Redis."""
    if request.param == "sqlite":
        return lambda sink, people, **settings: alone(tmp_path, sink, people, **settings)
    postgres, redis = (request.getfixturevalue(name) for name in ("postgres", "redis"))
    queue = f"{redis}?queue={uuid4().hex}"
    return lambda sink, people, **settings: shared(tmp_path, postgres, sink, people, queue=queue, **settings)


async def test_by_role_each_gets_one_mail_in_their_own_words(deploy: Deploy) -> None:
    people = [*riders(300), *riders(20, "groom", start=1000)]
    async with SmtpSink() as sink, deploy(sink, people) as place:
        id = await place.begin(subject="{{ horse }} waits", metadata={"season": "spring"})
        job = await place.over(id)
        assert (job["status"], job["progress"], job["totalCount"], job["sentCount"]) == (
            "COMPLETED",
            100,
            300,
            300,
        )
        assert (job["subject"], job["metadata"]) == ("{{ horse }} waits", {"season": "spring"})
        assert place.taken == {rider(n): 1 for n in range(300)}
        mail = next(mail for mail in sink.mails if mail.recipients == (rider(7),))
        assert b"Subject: Bayard-7 waits\r\n" in mail.data
        assert b"Dear Rider 7, you ride Bayard-7 from Ulm." in mail.data
        assert place.audit()["records"] == 300
