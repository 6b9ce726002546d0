"""What Prometheus reads of a real process: valid, true as mail moves, and bounded whatever is asked."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from posthouse.metrics.families import FAMILIES
from posthouse.testing.sink import Offers, Rule, SmtpSink
from tests.journey.house import House, free_port, opened, until
from tests.pages import ROOT
from tests.unit.metrics.reading import Metrics


def smtp(port: int, user: str = "") -> str:
    return f"smtp://{user}127.0.0.1:{port}?tls=none"


async def text(house: House) -> str:
    """What a scrape without a key gets."""
    answer = await house.client.get("/metrics", headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    return answer.text


async def metrics(house: House) -> Metrics:
    return Metrics(await text(house))


def lint(promtool: str, metrics: str) -> str:
    done = subprocess.run([promtool, "check", "metrics"], input=metrics, text=True, capture_output=True)
    return f"{done.returncode} {done.stdout}{done.stderr}".strip()


async def test_numbers_move_as_mail_is_accepted_sent_deferred_and_refused(
    tmp_path: Path, promtool: str
) -> None:
    """Every family that a single process can have is there, and promtool finds nothing wrong with any."""
    rules = [
        Rule(step="RCPT", match="*refused*", reply="550 5.1.1 no such user"),
        Rule(step="RCPT", match="*later*", reply="450 4.2.2 full", times=1),
    ]
    async with SmtpSink(rules) as sink, opened(tmp_path, smtp(sink.port)) as house:
        ids = await house.send_many(20)
        mixed = await house.send(["ann@example.org", "refused@example.org", "later@example.org"])
        bulk = await house.send("bob@example.org", lane="bulk")
        await house.until_all([*ids, mixed, bulk], "sent")
        seen = await metrics(house)
        name = f"smtp://127.0.0.1:{sink.port}"
        assert lint(promtool, await text(house)) == "0"

    assert seen("posthouse_accepted_messages_total", lane="transactional") == 21
    assert seen("posthouse_accepted_messages_total", lane="bulk") == 1
    assert seen("posthouse_accepted_recipients_total") == 24
    assert seen("posthouse_accept_duration_seconds_count") == 22
    outcomes = {"accepted": 23, "refused": 1, "deferred": 1, "unknown": 0}
    for result, count in outcomes.items():
        assert seen("posthouse_outcomes_total", transport=name, result=result) == count
    assert seen("posthouse_outcomes_total", result="refused", category="address") == 1
    assert seen("posthouse_settled_recipients_total", state="sent") == 23
    assert seen("posthouse_messages", state="sent") == 22
    assert seen("posthouse_wait_duration_seconds_count", lane="transactional") == 21
    assert seen("posthouse_attempt_duration_seconds_count", transport=name, lane="transactional") == 22
    assert seen("posthouse_store_batch_messages_sum", call="save") == 22
    assert seen("posthouse_store_batch_messages_sum", call="settle") == 23
    assert seen("posthouse_waiting_messages") == seen("posthouse_held_messages") == 0
    assert 1 <= seen("posthouse_transport_connections", transport=name) <= 10
    assert seen("posthouse_http_responses_total", route="/email/send", status="2xx") == 22
    missing = {family.name for family in FAMILIES if family.kind != "histogram"} - seen.names
    assert missing == set()


async def test_a_relay_that_is_away_shows_in_breaker_and_age(tmp_path: Path) -> None:
    port = free_port()
    async with opened(tmp_path, smtp(port)) as house:
        ids = await house.send_many(10)
        await until(lambda: "transport away" in house.log, 10, lambda: house.log)

        async def waits() -> bool:
            seen = await metrics(house)
            return seen("posthouse_waiting_messages") == 10 and seen("posthouse_waiting_age_seconds") > 0

        await until(waits, 15)
        seen = await metrics(house)
        assert seen("posthouse_breaker_open") == seen("posthouse_breaker_openings_total") == 1
        assert seen("posthouse_transport_away_seconds") > 0
        assert seen("posthouse_outcomes_total", result="deferred", category="network") >= 3
        async with SmtpSink(port=port):
            await house.until_all(ids, "sent")
            seen = await metrics(house)
            assert (seen("posthouse_breaker_open"), seen("posthouse_breaker_openings_total")) == (0, 1)


async def test_strange_input_makes_no_labels_and_nothing_secret_is_one(tmp_path: Path) -> None:
    offers = Offers(users={"someone": "sesame"})
    async with (
        SmtpSink(offers=offers) as sink,
        opened(tmp_path, smtp(sink.port, "someone:sesame@")) as house,
    ):
        for number in range(200):
            await house.client.get(f"/odd/{number}?page={number}", headers={"X-Odd": str(number)})
            await house.client.get(f"/emails/nobody-{number}")
        await house.client.request("PROPFIND", "/email/logs")
        await house.until(await house.send("secret-person@example.org", subject="secret words"), "sent")
        said = await text(house)
        seen = Metrics(said)
        assert seen("posthouse_http_responses_total", route="unmatched", status="4xx") == 200
        assert seen("posthouse_http_responses_total", route="/emails/{id}", status="4xx") == 200
        assert seen.labels("route") <= {"unmatched", "/emails/{id}", "/email/logs", "/email/send", "/metrics"}
        assert seen.labels("method") <= {"GET", "POST", "other"}
        assert seen.labels("transport") <= {f"smtp://127.0.0.1:{sink.port}", "none"}
        for secret in ("someone", "sesame", "secret", "odd", "nobody"):
            assert secret not in said


async def test_a_worker_tells_its_own_where_it_has_a_port(tmp_path: Path) -> None:
    """Counters are each process's own; what the store holds is the same in both."""
    api = House(tmp_path, arguments=("serve", "--roles", "api"))
    worker = House(tmp_path, arguments=("worker",))
    worker.out = tmp_path / "worker.log"
    try:
        await api.start()
        await worker.start()
        await api.until(await api.send(), "sent")

        async def both_see_it() -> bool:
            return all([(await metrics(each))("posthouse_messages", state="sent") for each in (api, worker)])

        await until(both_see_it, 10)
        mine, theirs = await metrics(worker), await metrics(api)
        assert [each("posthouse_accepted_messages_total") for each in (mine, theirs)] == [0, 1]
        assert [each("posthouse_outcomes_total") for each in (mine, theirs)] == [1, 0]
        assert "posthouse_held_messages" in mine.names - theirs.names
        proxied = {"X-Forwarded-For": "192.0.2.7"}
        assert (await worker.client.get("/metrics", headers=proxied)).status_code == 200
        proxied["Authorization"] = ""
        assert (await worker.client.get("/metrics", headers=proxied)).status_code == 401
    finally:
        await worker.close()
        await api.close()


async def test_scrapes_hold_nobody_up(tmp_path: Path) -> None:
    """As many scrapes as one likes look at the store once a second at most, and mail is taken all the while."""
    async with opened(tmp_path) as house:
        texts, ids = await asyncio.gather(
            asyncio.gather(*(text(house) for _ in range(50))), house.send_many(50)
        )
        assert (len(set(ids)), len(texts)) == (50, 50)
        await house.until_all(ids, "sent")


@pytest.mark.parametrize(
    "arguments", [("rules", "alerts.yml"), ("config", "prometheus.yml")], ids=["alerts", "config"]
)
def test_the_examples_are_what_prometheus_takes(promtool: str, arguments: tuple[str, str]) -> None:
    kind, name = arguments
    done = subprocess.run(
        [promtool, "check", kind, str(ROOT / "examples/prometheus" / name)], text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_name_what_there_is() -> None:
    text = (ROOT / "examples/prometheus/alerts.yml").read_text()
    named = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bposthouse_\w+", text)}
    assert named
    assert named <= {family.name for family in FAMILIES}
