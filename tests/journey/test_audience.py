"""A campaign whose audience another database knows: frozen from there by role, sent, and its sums right."""

import sqlite3
from collections import Counter
from pathlib import Path

from posthouse.testing.sink import SmtpSink
from tests.journey.house import House, opened, until
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import call

SQL = "SELECT email, name, horse FROM users WHERE role IN (SELECT value FROM json_each($1))"
SLOW = "(SELECT count(*) FROM users AS other, (VALUES (1), (2), (3)) WHERE other.email LIKE '%' || users.email) > 0"
"""Of each row: a second or so for a slice."""
PEOPLE = 1_200


def stocked(folder: Path) -> str:
    """A database of riders and one judge, and a template; the URL of the database."""
    with sqlite3.connect(folder / "users.db") as users:
        users.execute("CREATE TABLE users (email TEXT, name TEXT, horse TEXT, role TEXT)")
        riders = [(f"user{n}@example.org", f"User {n}", f"Horse {n}", "rider") for n in range(PEOPLE)]
        more = [("USER7@example.org", "Again", "Arion", "rider"), ("no address", "", "", "rider")]
        judges = [("judge@example.org", "Judge", "", "judge")]
        users.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", [*riders, *more, *judges])
    users.close()
    (folder / "templates" / "race").mkdir(parents=True)
    (folder / "templates" / "race" / "subject.txt").write_text("For {{ userName }}")
    (folder / "templates" / "race" / "body.txt").write_text("You ride {{ horse }}.")
    return f"sqlite:///{folder}/users.db"


async def test_a_campaign_asks_the_database_that_is_there(tmp_path: Path) -> None:
    url = stocked(tmp_path)
    async with (
        SmtpSink() as sink,
        opened(tmp_path, smtp(sink.port), audience_url=url, audience_sql=SQL) as house,
    ):
        assert call(house, "templates", "push", "templates").returncode == 0
        request = {"templateId": "race", "roleFilter": "rider"}
        dry = await house.client.post("/api/emails/send-bulk", json=request | {"dryRun": True})
        assert dry.json()["totalCount"] == PEOPLE + 1, "it counts addresses, be they usable or not"
        begun = await house.client.post("/api/emails/send-bulk", json=request)
        assert begun.status_code == 202, begun.text
        job = await completed(house, begun.json()["jobId"])
        assert (job["totalCount"], job["sentCount"]) == (PEOPLE, PEOPLE)
        assert sink.taken == PEOPLE
        (one,) = [mail for mail in sink.mails if mail.recipients == ("user9@example.org",)]
        assert b"You ride Horse 9." in one.data and b"Subject: For User 9" in one.data
        assert "have no usable address" in house.log


async def test_a_death_while_the_audience_is_read(tmp_path: Path) -> None:
    """It is read again from its beginning: who was frozen before stays one, and everybody is there."""
    url = stocked(tmp_path)
    async with (
        SmtpSink() as sink,
        opened(tmp_path, smtp(sink.port), audience_url=url, audience_sql=f"{SQL} AND {SLOW}") as house,
    ):
        assert call(house, "templates", "push", "templates").returncode == 0
        request = {"templateId": "race", "roleFilter": "rider"}
        begun = await house.client.post("/api/emails/send-bulk", json=request)
        job = f"/api/emails/jobs/{begun.json()['jobId']}"

        async def in_the_middle() -> bool:
            shown = (await house.client.get(job)).json()
            assert not shown["audienceComplete"], "killed too late"
            return shown["totalCount"] > 0

        await until(in_the_middle, 30, lambda: house.log[-2000:])
        await house.kill()
        await house.start()
        shown = await completed(house, begun.json()["jobId"])
        assert (shown["totalCount"], shown["sentCount"]) == (PEOPLE, PEOPLE)
        taken = Counter(address for mail in sink.mails for address in mail.recipients)
        again = sum(taken.values()) - PEOPLE
        assert len(taken) == PEOPLE and again <= 10, "each connection may have had one in the air"


async def completed(house: House, id: str) -> dict[str, object]:
    async def over() -> bool:
        return (await house.client.get(f"/api/emails/jobs/{id}")).json()["status"] == "COMPLETED"

    await until(over, 60, lambda: house.log[-2000:])
    return (await house.client.get(f"/api/emails/jobs/{id}")).json()


def test_a_wrong_query_is_said_at_start(tmp_path: Path) -> None:
    house = House(tmp_path, audience_url=stocked(tmp_path), audience_sql="SELECT name FROM users")
    ended = call(house, "serve")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        2,
        "posthouse: POSTHOUSE_AUDIENCE_SQL: gives no column named email",
    )
    assert "gives no column named email" in call(house, "doctor").stdout
