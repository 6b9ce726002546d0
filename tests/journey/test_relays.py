"""A real process before relays with ways of their own: limits, no SMTPUTF8, access tokens that end."""

from pathlib import Path

from posthouse.testing.sink import Offers, SmtpSink
from tests.journey.house import opened


def relay(sink: SmtpSink, login: str = "", **options: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"smtp://{login}127.0.0.1:{sink.port}?tls=none{more}"


async def test_a_mail_goes_out_in_as_many_transactions_as_the_relay_wants(tmp_path: Path) -> None:
    """RCPTMAX: the others' turn comes with the next attempt, which costs nothing of the budget."""
    people = [f"user{number}@example.org" for number in range(7)]
    async with (
        SmtpSink(offers=Offers(limits={"RCPTMAX": 3})) as sink,
        opened(tmp_path, relay(sink), attempts="1") as house,
    ):
        record = await house.until(await house.send(people), "sent")
        assert {each["state"] for each in record["recipients"]} == {"sent"}
        assert [each["attempts"] for each in record["recipients"]] == [1] * 7
        assert [mail.recipients for mail in sink.mails] == [
            tuple(people[:3]),
            tuple(people[3:6]),
            (people[6],),
        ]
        assert len({mail.data for mail in sink.mails}) == 1


async def test_an_address_that_the_relay_cannot_be_told_of_fails_at_once(tmp_path: Path) -> None:
    async with SmtpSink(offers=Offers(utf8=False)) as sink, opened(tmp_path, relay(sink)) as house:
        id = await house.send("ann@example.org", bcc="用户@example.org")
        record = await house.until(id, "sent")
        ann, user = record["recipients"]
        assert (ann["state"], user["state"], user["code"], user["enhanced_code"]) == (
            "sent",
            "failed",
            553,
            "5.6.7",
        )
        assert "SMTPUTF8" in user["error"]
        in_header = await house.until(await house.send(["ann@example.org", "用户@example.org"]), "failed")
        assert {each["enhanced_code"] for each in in_header["recipients"]} == {"5.6.7"}
        assert [mail.recipients for mail in sink.mails] == [("ann@example.org",)]


async def test_mail_waits_for_a_token_that_is_taken(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("stale")
    offers = Offers(users={"ann": "fresh-token"}, mechanisms=("XOAUTH2",))
    async with SmtpSink(offers=offers) as sink:
        url = relay(sink, "ann@", auth="xoauth2", token_file=token)
        async with opened(tmp_path, url, attempts="1") as house:
            id = await house.send()
            await sink.until(lambda: len(sink.visits) >= 2)
            assert (await house.get(id))["status"] == "PENDING"
            token.with_suffix(".new").write_text("fresh-token")
            token.with_suffix(".new").rename(token)
            record = await house.until(id, "sent", seconds=30.0)
            assert record["attempts"] >= 2
        assert "stale" not in house.log
        assert "fresh-token" not in house.log
