"""What the doctor is told of a relay, by a real one on the wire: each step a line, the first that fails the last."""

import pytest

from posthouse.check import Check
from posthouse.testing.sink import Offers, Rule, SmtpSink
from posthouse.transport.smtp import examine as examining
from posthouse.transport.smtp import open_smtp


async def examined(
    sink: SmtpSink, login: str = "", query: str = "tls=none", trusted: bool = True
) -> list[Check]:
    context = sink.authority.context() if sink.authority and trusted else None
    transport = open_smtp(f"smtp://{login}127.0.0.1:{sink.port}?{query}", "me.example", context=context)
    await transport.start()
    try:
        return await transport.examine()
    finally:
        await transport.stop()


def verdicts(checks: list[Check]) -> list[str]:
    return [check.verdict for check in checks]


async def test_a_plain_relay() -> None:
    async with SmtpSink(offers=Offers(size=10_000_000)) as sink:
        checks = await examined(sink)
        assert sink.mails == []
    assert verdicts(checks) == ["ok", "ok", "warn", "ok", "ok"]
    assert "unsigned" in checks[-1].found
    assert "127.0.0.1 is 127.0.0.1" in checks[0].found
    assert "PIPELINING, 8BITMIME, SMTPUTF8, mails up to 10 MB" in checks[1].found
    assert "not encrypted: tls=none" in checks[2].found
    assert {check.part for check in checks} == {f"transport smtp://127.0.0.1:{sink.port}"}


async def test_a_relay_with_everything() -> None:
    async with SmtpSink(offers=Offers(tls="starttls", users={"me": "secret"})) as sink:
        checks = await examined(sink, "me:secret@", "tls=starttls")
    assert verdicts(checks) == ["ok"] * 5
    assert "the certificate is good for 29 more days" in checks[2].found
    assert "takes our credentials" in checks[3].found
    assert "secret" not in str(checks)


async def test_a_certificate_that_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "DAYS", 60)
    async with SmtpSink(offers=Offers(tls="implicit")) as sink:
        checks = await examined(sink, query="tls=implicit")
    assert (checks[2].verdict, "renewed" in checks[2].advice) == ("warn", True)


async def test_tls_that_nobody_verifies() -> None:
    async with SmtpSink(offers=Offers(tls="starttls")) as sink:
        checks = await examined(sink, query="tls=opportunistic", trusted=False)
    assert "not verified" in checks[2].found


@pytest.mark.parametrize(
    ("offers", "rules", "login", "query", "found", "advice"),
    [
        (Offers(tls="starttls"), [], "", "tls=starttls", "TLS failed", "SSL_CERT_FILE"),
        (Offers(), [], "", "tls=starttls", "offers no STARTTLS", "tls in POSTHOUSE_TRANSPORT"),
        (
            Offers(users={"me": "good"}),
            [],
            "me:bad@",
            "tls=none",
            "AUTH was refused: 535",
            "user and password",
        ),
        (Offers(), [Rule(step="connect", reply="554 go away")], "", "tls=none", "554", "check host, port"),
    ],
)
async def test_what_fails_is_the_last_line(
    offers: Offers, rules: list[Rule], login: str, query: str, found: str, advice: str
) -> None:
    async with SmtpSink(rules, offers) as sink:
        checks = await examined(sink, login, query, trusted=False)
    assert verdicts(checks) == ["ok", "fail"]
    assert found in checks[1].found
    assert advice in checks[1].advice
    assert "bad" not in str(checks)


async def test_nobody_there() -> None:
    async with SmtpSink() as sink:
        pass
    checks = await examined(sink)
    assert verdicts(checks) == ["ok", "fail"]
    assert "no connection" in checks[1].found


async def test_a_name_that_cannot_be() -> None:
    transport = open_smtp(f"smtp://{'a' * 70}.example?tls=none", "me.example")
    (check,) = await transport.examine()
    assert check.verdict == "fail"
    assert "is not found" in check.found
