"""A mail's way out of a real process: sent, deferred, refused, half refused; a slow and a missing next hop."""

from pathlib import Path

import pytest

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import free_port, opened, until
from tests.services import Postfix


def smtp(port: int, **options: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"smtp://127.0.0.1:{port}?tls=none{more}"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_through_postfix_with_tls_and_auth_into_a_mailbox(
    tmp_path: Path, postfix: Postfix, tls: str
) -> None:
    """Read back from the Maildir with another parser it is what was posted, and the record says SENT."""
    async with opened(tmp_path, postfix.transport(tls), {"SSL_CERT_FILE": str(postfix.ca)}) as house:
        id = await house.send(
            f"Ann Müller <ann@{postfix.domain}>",
            subject="Grüße 🐎",
            body=None,
            html="<p>Hello <b>Ann</b></p>",
            attachments=[{"filename": "naïve.txt", "content": "aGVsbG8=", "content_type": "text/plain"}],
        )
        record = await house.until(id, "sent", "failed")
        assert (record["status"], record["error"]) == ("SENT", None)
        mail = postfix.wait_for_mail(record["message_id"])[f"ann@{postfix.domain}"]
    assert mail["Subject"] == "Grüße 🐎"
    assert mail["To"] == f"Ann Müller <ann@{postfix.domain}>"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text and text.get_content().strip() == "Hello Ann"
    assert html and html.get_content().strip() == "<p>Hello <b>Ann</b></p>"
    (attachment,) = mail.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("naïve.txt", "hello")


async def test_postfix_refuses_one_and_defers_another_of_three(tmp_path: Path, postfix: Postfix) -> None:
    """Each recipient has its own end; only the deferred one is tried again; nobody gets it twice."""
    people = [f"{name}@{postfix.domain}" for name in ("ann", "refused", "later")]
    async with opened(tmp_path, postfix.transport()) as house:
        id = await house.send(people)
        record = await house.until(id, "sent")
        ann, refused, later = record["recipients"]
        assert (ann["state"], ann["attempts"]) == ("sent", 1)
        assert (refused["state"], refused["attempts"], refused["code"]) == ("failed", 1, 550)
        assert (later["state"], later["attempts"], later["code"]) == ("failed", 3, 450)
        assert record["status"] == "SENT"
        assert "refused@" in record["error"]
    assert postfix.copies(record["message_id"], people[0]) == 1


async def test_answers_do_not_wait_for_a_slow_server(tmp_path: Path) -> None:
    """With a server that takes 2 s a mail, 200 requests are answered before it has taken the first."""
    async with SmtpSink([Rule(step="end", delay=2.0)]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        ids = await house.send_many(200)
        assert len(set(ids)) == 200
        assert sink.taken == 0
        await house.until(ids[0], "sent")
        assert sink.taken >= 1


async def test_a_server_that_is_down_then_up_loses_nothing(tmp_path: Path) -> None:
    """Mail waits while nobody listens, spends no budget that would fail it, and goes out once when it can."""
    port = free_port()
    async with opened(tmp_path, smtp(port)) as house:
        ids = await house.send_many(50)
        await until(lambda: "transport away" in house.log, 10, lambda: house.log)
        waiting = [await house.get(id) for id in ids]
        assert {record["status"] for record in waiting} == {"PENDING"}
        async with SmtpSink(port=port) as sink:
            records = await house.until_all(ids, "sent", "failed", seconds=30)
            assert {record["state"] for record in records} == {"sent"}
            assert sorted(mail.message_id for mail in sink.mails) == sorted(r["message_id"] for r in records)


async def test_without_an_outage_allowance_three_refused_connections_fail_a_mail(tmp_path: Path) -> None:
    async with opened(tmp_path, smtp(free_port()), outage="0") as house:
        record = await house.until(await house.send(), "failed")
        assert (record["attempts"], record["status"]) == (3, "FAILED")
        assert "refused" in record["error"].lower()
        assert record["failed_at"] is not None
        assert [entry["event"] for entry in record["history"]] == [
            "accepted",
            "deferred",
            "deferred",
            "failed",
        ]


async def test_4xx_then_2xx(tmp_path: Path) -> None:
    rule = Rule(step="end", reply="451 4.3.0 not now", times=1)
    async with SmtpSink([rule]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        record = await house.until(await house.send(), "sent")
        assert (record["attempts"], record["uncertain"], record["error"]) == (2, 0, None)
        assert [entry["event"] for entry in record["history"]] == ["accepted", "deferred", "sent"]
        assert sink.taken == 1


async def test_5xx_is_final_and_can_be_retried_by_a_person(tmp_path: Path) -> None:
    rule = Rule(step="RCPT", reply="550 5.1.1 no such user", times=1)
    async with SmtpSink([rule]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        id = await house.send()
        record = await house.until(id, "failed")
        assert (record["attempts"], record["recipients"][0]["enhanced_code"]) == (1, "5.1.1")
        failed_at = record["failed_at"]
        assert (await house.client.post(f"/emails/{id}/retry")).status_code == 200
        record = await house.until(id, "sent")
        assert (record["attempts"], record["failed_at"]) == (2, failed_at)
        assert sink.taken == 1
        assert (await house.client.post(f"/emails/{id}/retry")).status_code == 409


async def test_half_of_the_recipients_refused(tmp_path: Path) -> None:
    """One transaction, an outcome for each: ten people, every other one unknown there."""
    people = [f"{'no' if number % 2 else 'yes'}{number}@example.org" for number in range(10)]
    rule = Rule(step="RCPT", match="*no*", reply="550 5.1.1 no such user")
    async with SmtpSink([rule]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        record = await house.until(await house.send(people), "sent")
        states = {each["email"]: each["state"] for each in record["recipients"]}
        assert states == {email: "failed" if email.startswith("no") else "sent" for email in people}
        (mail,) = sink.mails
        assert sorted(mail.recipients) == sorted(email for email in people if email.startswith("yes"))


async def test_greylisting_spends_time_and_no_attempt(tmp_path: Path) -> None:
    rule = Rule(step="RCPT", reply="450 4.7.1 greylisted, come back", times=1)
    async with SmtpSink([rule]) as sink, opened(tmp_path, smtp(sink.port)) as house:
        record = await house.until(await house.send(), "deferred")
        assert record["attempts"] == 1
        waited = record["next_attempt_at"] > record["recipients"][0]["at"]
        assert waited and sink.taken == 0


@pytest.mark.parametrize(
    ("step", "drop"),
    [
        ("connect", "before"),
        ("connect", "after"),
        ("EHLO", "before"),
        ("EHLO", "after"),
        ("MAIL", "before"),
        ("RCPT", "before"),
        ("DATA", "before"),
        ("DATA", "after"),
        ("body", "before"),
        ("end", "before"),
        ("end", "after"),
    ],
)
async def test_a_link_lost_at_any_step_loses_and_doubles_nothing(
    tmp_path: Path, step: str, drop: str
) -> None:
    """The link dies once. The mail arrives once; only where the final dot went unanswered may it arrive twice, and
    then the record says so."""
    rule = Rule(step=step, drop=drop, times=1)  # pyright: ignore[reportArgumentType]
    async with SmtpSink([rule]) as sink, opened(tmp_path, smtp(sink.port, connections=1)) as house:
        record = await house.until(await house.send(), "sent", "failed")
        assert record["state"] == "sent", record
        # A small mail leaves in one write with its final dot, so from its 354 on nobody can know.
        unknown = (step, drop) in {("DATA", "after"), ("body", "before"), ("end", "before")}
        assert record["uncertain"] == int(unknown)
        assert sink.taken == 1
        assert {mail.message_id for mail in sink.mails} == {record["message_id"]}


async def test_a_server_that_hangs_up_at_every_mail_costs_no_attempt(tmp_path: Path) -> None:
    """It greets and then hangs up: nothing was begun, so nothing is spent; the breaker asks instead of the mail."""
    rule = Rule(step="MAIL", drop="before", times=5)
    async with SmtpSink([rule]) as sink, opened(tmp_path, smtp(sink.port, connections=1)) as house:
        record = await house.until(await house.send(), "sent", "failed", seconds=30)
        assert (record["state"], record["attempts"], record["uncertain"]) == ("sent", 1, 0)
        assert "transport away" in house.log
        assert sink.taken == 1


async def test_hold_parks_what_is_unknown_and_sends_nothing_again(tmp_path: Path) -> None:
    rule = Rule(step="end", drop="before")
    async with SmtpSink([rule]) as sink, opened(tmp_path, smtp(sink.port), on_unknown="hold") as house:
        record = await house.until(await house.send(), "unknown")
        assert (record["status"], record["state"], record["uncertain"]) == ("PENDING", "unknown", 1)
        assert record["next_attempt_at"] is None
        assert sum(visit.dots for visit in sink.visits) == 1
