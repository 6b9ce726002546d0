"""The smtp transport keeps the contract, and does the right thing at every step at which a server can go wrong.

The far end is the scriptable sink; both run in the test's own loop.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mail.errors import TransportAway
from posthouse.mail.outcome import Outcome
from posthouse.testing.sink import Offers, Rule, SmtpSink
from posthouse.testing.transport import DATA, Parcel, TransportContract
from posthouse.transport.smtp import Limits, SmtpTransport, Timeouts, open_smtp

SHORT = 0.2


class Far:
    """The sink as the contract's far end."""

    def __init__(self, sink: SmtpSink) -> None:
        self.sink = sink

    def arrived(self) -> list[tuple[str, tuple[str, ...], bytes]]:
        return [(mail.sender, mail.recipients, mail.data) for mail in self.sink.mails]

    def refuse(self, address: str) -> None:
        self.sink.rules.append(Rule(step="RCPT", match=address, reply="550 5.1.1 no such user"))

    def slow(self, seconds: float) -> None:
        self.sink.rules.append(Rule(step="end", delay=seconds))

    async def leave(self) -> None:
        await self.sink.stop()

    async def come_back(self) -> None:
        await self.sink.start()


@asynccontextmanager
async def pair(
    *rules: Rule,
    offers: Offers | None = None,
    query: str = "tls=none&connections=3",
    login: str = "",
    host: str = "127.0.0.1",
    **more,
) -> AsyncIterator[tuple[SmtpSink, SmtpTransport]]:
    """A sink and a started transport that sends to it."""
    async with SmtpSink(list(rules), offers) as sink:
        transport = open_smtp(f"smtp://{login}{host}:{sink.port}?{query}", "me.example", **more)
        await transport.start()
        try:
            yield sink, transport
        finally:
            await transport.stop()


async def send(transport: SmtpTransport, *recipients: str, **more) -> tuple[Outcome, ...]:
    parcel = Parcel("m", *recipients, **more)
    transport.send([parcel])
    return await parcel.outcomes()


@pytest.fixture(params=["pipelining", "one at a time", "helo", "starttls"])
async def far(request) -> AsyncIterator[Far]:
    offers = {
        "pipelining": Offers(),
        "one at a time": Offers(pipelining=False),
        "helo": Offers(ehlo=False),
        "starttls": Offers(tls="starttls"),
    }[request.param]
    async with SmtpSink(offers=offers) as sink:
        yield Far(sink)


@pytest.fixture
async def transport(far: Far) -> AsyncIterator[SmtpTransport]:
    tls, context = "none", None
    if far.sink.authority:
        tls, context = "starttls", far.sink.authority.context()
    url = f"smtp://127.0.0.1:{far.sink.port}?tls={tls}&connections=3"
    transport = open_smtp(url, "me.example", context=context)
    await transport.start()
    yield transport
    await transport.stop()


class TestSmtpTransport(TransportContract):
    """The contract, over each way a server may talk."""


# --- the link is lost, at every step of the dialogue ---------------------------------------------------------------

AWAY = ("deferred", "transport", "attempt")
NOT_BEGUN = ("deferred", "transport", "nothing")
LOST = ("deferred", "message", "attempt")
UNKNOWN = ("unknown", "message", "attempt")
ACCEPTED = ("accepted", "message", "attempt")


def kind(outcome: Outcome) -> tuple[str, str, str]:
    return outcome.result, outcome.scope, outcome.spends


STEPS = [
    ("connect", "before", AWAY),
    ("connect", "after", AWAY),
    ("EHLO", "before", AWAY),
    ("MAIL", "before", NOT_BEGUN),
    ("MAIL", "after", LOST),
    ("RCPT", "before", LOST),
    ("RCPT", "after", LOST),
    ("DATA", "before", LOST),
    ("end", "before", UNKNOWN),
    ("end", "after", ACCEPTED),
]


@pytest.mark.parametrize(("step", "drop", "expected"), STEPS)
@pytest.mark.parametrize("pipelining", [True, False])
async def test_link_lost(step, drop, expected, pipelining):
    rule = Rule(step=step, drop=drop, times=1)
    async with pair(rule, offers=Offers(pipelining=pipelining)) as (sink, transport):
        (outcome,) = await send(transport)
        assert kind(outcome) == expected
        assert len(sink.mails) == (1 if expected == ACCEPTED else 0)
        assert kind((await send(transport))[0]) == ACCEPTED


async def test_link_lost_in_the_middle_of_a_large_body():
    async with pair(Rule(step="body", drop="before", times=1)) as (sink, transport):
        parcel = Parcel("m", data=b"x" * 70 * 1024 * 1024 + b"\r\n")
        transport.send([parcel])
        (outcome,) = await parcel.outcomes()
        assert kind(outcome) == LOST
        assert parcel.begun == []
        assert sink.visits[0].dots == 0


async def test_link_lost_in_the_middle_of_a_small_body_is_unknown():
    """One write holds body and dot: what of it arrived, nobody can tell."""
    async with pair(Rule(step="body", drop="before", times=1)) as (_, transport):
        assert kind((await send(transport))[0]) == UNKNOWN


@pytest.mark.parametrize(("step", "expected"), [(s, e) for s, d, e in STEPS if d == "before"])
async def test_no_reply_in_time(step, expected):
    times = Timeouts(greeting=SHORT, hello=SHORT, mail=SHORT, rcpt=SHORT, data=SHORT, end=SHORT)
    rule = Rule(step=step, reply="", times=1)
    async with pair(rule, offers=Offers(pipelining=False), timeouts=times) as (_, transport):
        (outcome,) = await send(transport)
        assert kind(outcome) == expected
        assert "within" in outcome.text or "link" in outcome.text


async def test_a_recipient_refused_at_rcpt_keeps_its_outcome_when_the_link_is_lost():
    rules = [Rule(step="RCPT", match="bad@*", reply="550 5.1.1 no"), Rule(step="end", drop="before")]
    async with pair(*rules) as (_, transport):
        outcomes = await send(transport, "one@x.example", "bad@x.example", "two@x.example")
        assert [o.result for o in outcomes] == ["unknown", "refused", "unknown"]


async def test_the_mail_behind_an_unanswered_dot_goes_another_way():
    """Two mails on the one connection: the first is lost at its dot, the second was never begun and is sent again."""
    rule = Rule(step="end", delay=0.1, drop="before", times=1)
    async with pair(rule, query="tls=none&connections=1") as (sink, transport):
        parcels = [Parcel("a"), Parcel("b")]
        transport.send(parcels)
        assert [await parcel.results() for parcel in parcels] == [["unknown"], ["accepted"]]
        assert "MAIL FROM:<a@example.com>" in sink.visits[0].commands
        assert len(sink.mails) == 1


async def test_an_idle_connection_that_died_costs_nothing():
    async with pair(query="tls=none&connections=1") as (sink, transport):
        assert kind((await send(transport))[0]) == ACCEPTED
        await sink.stop()
        await sink.start()
        assert kind((await send(transport))[0]) == ACCEPTED


async def test_a_connection_that_dies_at_its_next_mail_costs_nothing():
    rule = Rule(step="MAIL", skip=1, times=1, drop="before")
    async with pair(rule, query="tls=none&connections=1") as (sink, transport):
        assert kind((await send(transport))[0]) == ACCEPTED
        parcel = Parcel("n")
        transport.send([parcel])
        assert await parcel.results() == ["accepted"]
        assert (len(sink.visits), len(sink.mails), parcel.settled) == (2, 2, 1)


# --- what the server says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("connect", "554 5.3.2 not today"),
        ("connect", "421 4.3.2 busy"),
        ("connect", "HTTP/1.1 400 Bad Request"),
        ("EHLO", "550 5.7.1 not you"),
        ("EHLO", "421 4.3.2 closing"),
        ("MAIL", "530 5.7.0 log in first"),
        ("MAIL", "421 4.3.2 closing"),
        ("RCPT", "530 5.7.0 log in first"),
    ],
)
async def test_the_transports_failure(step, reply):
    async with pair(Rule(step=step, reply=reply)) as (sink, transport):
        (outcome,) = await send(transport)
        assert kind(outcome) == AWAY
        assert sink.mails == []


@pytest.mark.parametrize(
    ("step", "reply", "expected"),
    [
        ("MAIL", "550 5.7.1 not from you", "refused"),
        ("MAIL", "451 4.3.0 later", "deferred"),
        ("RCPT", "550-5.1.1 no such\n550 5.1.1 user", "refused"),
        ("RCPT", "450 4.2.0 greylisted", "deferred"),
        ("RCPT", "421 4.3.2 closing", "deferred"),
        ("RCPT", "552 5.2.2 full", "refused"),
        ("DATA", "451 4.3.0 later", "deferred"),
        ("DATA", "250 odd", "deferred"),
        ("DATA", "354 go\n250 early", "deferred"),
        ("end", "250-2.0.0 taken\n250 2.0.0 queued", "accepted"),
        ("end", "452 4.3.1 no room", "deferred"),
        ("end", "554 5.6.0 bad content", "refused"),
        ("end", "421 4.3.2 closing", "deferred"),
        ("end", "354 what?", "unknown"),
        ("end", "nonsense", "unknown"),
        ("end", "250 " + "x" * 70_000, "unknown"),
    ],
)
@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_reply(step, reply, expected, pipelining):
    async with pair(Rule(step=step, reply=reply, times=1), offers=Offers(pipelining=pipelining)) as (
        _,
        transport,
    ):
        (outcome,) = await send(transport)
        assert (outcome.result, outcome.scope == "transport") == (expected, False)
        assert len(outcome.text) <= 500
        assert kind((await send(transport))[0]) == ACCEPTED


async def test_half_the_recipients_refused():
    rule = Rule(step="RCPT", match="bad*", reply="550 5.1.1 no")
    async with pair(rule) as (sink, transport):
        names = [f"{'bad' if n % 2 else 'good'}{n}@x.example" for n in range(50)]
        outcomes = await send(transport, *names)
        assert [o.result for o in outcomes] == ["accepted", "refused"] * 25
        assert sink.mails[0].recipients == tuple(names[::2])


async def test_go_ahead_for_nobody():
    rules = [Rule(step="RCPT", reply="550 no", times=1), Rule(step="DATA", reply="354 go", times=1)]
    async with pair(*rules) as (sink, transport):
        assert (await send(transport))[0].result == "refused"
        assert kind((await send(transport))[0]) == ACCEPTED
        assert (len(sink.visits), len(sink.mails), sink.visits[0].dots) == (1, 1, 2)


async def test_replies_byte_by_byte():
    """A server whose replies come in crumbs."""
    heard: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(text: str) -> None:
            for byte in text.encode() + b"\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

        try:
            await say("220 hi")
            async for line in reader:
                heard.append(line.decode().strip())
                verb = heard[-1][:4]
                await say(
                    {"EHLO": "250-me\r\n250 PIPELINING", "DATA": "354 go", "QUIT": "221 bye"}.get(
                        verb, "250 ok"
                    )
                )
                if verb == "DATA":
                    await reader.readuntil(b"\r\n.\r\n")
                    await say("250 2.0.0 taken")
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    transport = open_smtp(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}?tls=none", "me.example")
    await transport.start()
    assert kind((await send(transport))[0]) == ACCEPTED
    await transport.stop()
    server.close()


async def test_size():
    async with pair(offers=Offers(size=1000)) as (sink, transport):
        (outcome,) = await send(transport, data=b"x" * 999 + b"\r\n")
        assert (outcome.result, outcome.category) == ("refused", "size")
        assert kind((await send(transport))[0]) == ACCEPTED
        assert sink.visits[0].commands[1] == f"MAIL FROM:<a@example.com> SIZE={len(DATA)}"


# --- the bytes --------------------------------------------------------------------------------------------------------


def test_what_arrives_is_what_was_sent():
    pieces = [b"\r\n", b"\r", b"\n", b".", b"\r\n.\r\n", b"\n.\n", b"MAIL FROM:<x@y>", b"\xe9", b"\0", b" "]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.lists(st.sampled_from(pieces)).map(b"".join), min_size=1, max_size=20))
    def check(bodies: list[bytes]) -> None:
        asyncio.run(both_ways(bodies))

    async def both_ways(bodies: list[bytes]) -> None:
        async with pair(query="tls=none&connections=1") as (sink, transport):
            parcels = [Parcel(f"m{number}", data=body) for number, body in enumerate(bodies)]
            transport.send(parcels)
            for parcel in parcels:
                assert await parcel.results() == ["accepted"]
            assert [mail.data for mail in sink.mails] == [normal(body) for body in bodies]

    check()


def normal(data: bytes) -> bytes:
    """Every line end as CRLF, and one at the end."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_a_large_mail_begins_only_right_before_its_dot(tls):
    line = b".x" + b"y" * 70 + b"\r\n"
    data = line * (20 * 1024 * 1024 // len(line))
    async with SmtpSink(offers=Offers(tls=tls)) as sink:
        context = sink.authority.context() if sink.authority else None
        transport = open_smtp(f"smtp://127.0.0.1:{sink.port}?tls={tls}", "me.example", context=context)
        await transport.start()
        parcel = Parcel("m", data=data)
        buffered: list[int] = []
        keep = parcel.begin

        def begin(replies) -> bool:
            (connection,) = transport._live
            buffered.append(connection._transport.get_write_buffer_size())
            buffered.append(connection._link.wire.get_write_buffer_size())
            buffered.append(len(connection._body))
            return keep(replies)

        parcel.begin = begin
        transport.send([parcel])
        assert await parcel.results() == ["accepted"]
        assert buffered == [0, 0, 0]
        assert sink.mails[0].data == data
        await transport.stop()


async def test_a_large_mail_without_its_lease_gets_no_dot():
    async with pair() as (sink, transport):
        (outcome,) = await send(transport, data=b"x" * 300_000 + b"\r\n", lease=False)
        assert kind(outcome) == NOT_BEGUN
        assert (sink.mails, sink.visits[0].dots) == ([], 0)


async def test_a_body_that_is_not_taken_in_time():
    heard = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        await reader.readline()
        writer.write(b"250 me\r\n")
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(reply)
        await heard.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = open_smtp(f"smtp://127.0.0.1:{port}?tls=none", "me.example", Timeouts(block=SHORT))
    await transport.start()
    parcel = Parcel("m", data=b"x" * 50_000_000 + b"\r\n")
    transport.send([parcel])
    assert kind((await parcel.outcomes())[0]) == LOST
    assert parcel.begun == []
    await transport.stop()
    heard.set()
    server.close()


# --- TLS and login ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offered", "asked"), [("starttls", "starttls"), ("implicit", "implicit")])
async def test_verified_tls_through_the_systems_store(offered, asked, tmp_path, monkeypatch):
    async with SmtpSink(offers=Offers(tls=offered)) as sink:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(sink.authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        transport = open_smtp(f"smtp://127.0.0.1:{sink.port}?tls={asked}", "me.example")
        await transport.start()
        await transport.probe()
        assert kind((await send(transport))[0]) == ACCEPTED
        assert all(visit.secured for visit in sink.visits)
        await transport.stop()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_bad_certificate_is_the_transports_failure(tls, trusted):
    """Not trusted; or trusted, and for another host."""
    async with SmtpSink(offers=Offers(tls=tls), names=("elsewhere.example",)) as sink:
        context = sink.authority.context() if trusted else None
        transport = open_smtp(f"smtp://127.0.0.1:{sink.port}?tls={tls}", "me.example", context=context)
        await transport.start()
        (outcome,) = await send(transport)
        assert kind(outcome) == AWAY
        assert outcome.text.startswith("TLS failed: ")
        with pytest.raises(TransportAway, match="TLS failed"):
            await transport.probe()
        await transport.stop()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_link_lost_in_the_tls_handshake(tls):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if tls == "starttls":
            writer.write(b"220 hi\r\n")
            await reader.readline()
            writer.write(b"250-me\r\n250 STARTTLS\r\n")
            await reader.readline()
            writer.write(b"220 go\r\n")
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = open_smtp(f"smtp://127.0.0.1:{port}?tls={tls}", "me.example")
    await transport.start()
    (outcome,) = await send(transport)
    assert kind(outcome) == AWAY
    assert outcome.text.startswith("TLS failed: ")
    await transport.stop()
    server.close()


async def test_opportunistic_tls_takes_any_certificate():
    async with pair(offers=Offers(tls="starttls"), query="tls=opportunistic") as (sink, transport):
        assert kind((await send(transport))[0]) == ACCEPTED
        assert sink.visits[0].secured


async def test_opportunistic_tls_goes_on_without_where_the_handshake_fails():
    async with pair(offers=Offers(tls="starttls"), query="tls=opportunistic") as (sink, transport):
        sink.authority.server.minimum_version = ssl.TLSVersion.TLSv1_3
        transport._context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert kind((await send(transport))[0]) == ACCEPTED
        assert [visit.secured for visit in sink.visits] == [False, False]


async def test_starttls_that_is_not_offered_is_the_transports_failure():
    async with pair(query="tls=starttls") as (sink, transport):
        assert kind((await send(transport))[0]) == AWAY
        assert not any("MAIL" in command for command in sink.visits[0].commands)


async def test_bytes_behind_starttls_are_never_believed():
    rule = Rule(step="STARTTLS", raw=b"220 go\r\n250-sink\r\n250 AUTH PLAIN\r\n", reply="")
    async with pair(rule, offers=Offers(tls="starttls"), query="tls=starttls") as (_, transport):
        assert kind((await send(transport))[0]) == AWAY


async def test_plain_text_in_the_place_of_a_tls_handshake_is_never_believed():
    """It comes in a packet of its own, when the client has said its first word of TLS already."""
    said, over = [], asyncio.Event()

    async def serve(reader, writer):
        writer.write(b"220 hi\r\n")
        said.append(await reader.readuntil(b"\r\n"))
        writer.write(b"250-me\r\n250 STARTTLS\r\n")
        said.append(await reader.readuntil(b"\r\n"))
        writer.write(b"220 go\r\n")
        await reader.read(1000)
        writer.write(b"250-me\r\n250 AUTH PLAIN\r\n")
        said.append(await reader.read())
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = open_smtp(f"smtp://u:secret@127.0.0.1:{port}?tls=starttls", "me.example")
    await transport.start()
    (outcome,) = await send(transport, "a@x")
    assert (outcome.result, outcome.scope) == ("deferred", "transport")
    assert "TLS failed" in outcome.text
    await asyncio.wait_for(over.wait(), 10)
    assert said[:2] == [b"EHLO me.example\r\n", b"STARTTLS\r\n"]
    assert b"AUTH" not in said[2] and b"EHLO" not in said[2]
    await transport.stop()
    server.close()


@pytest.mark.parametrize(("step", "expected"), [("RCPT", "deferred"), ("end", "unknown")])
async def test_a_reply_that_drips_is_not_waited_for(step, expected):
    """A byte every 50 ms: there is always news, but the reply is not there in its time."""
    times = Timeouts(rcpt=SHORT, end=SHORT)
    async with pair(query="tls=none&connections=1", timeouts=times) as (sink, transport):
        await send(transport, "a@x")

        class Dripping(Rule):
            def fits(self, argument):
                sink.offers = Offers(crumbs=True, pause=SHORT / 6)
                return False

        sink.rules.append(Dripping(step=step))
        (outcome,) = await send(transport, "a@x")
        assert (outcome.result, outcome.spends) == (expected, "attempt")
        assert f"within {SHORT:g} s" in outcome.text


@pytest.mark.parametrize("mechanisms", [("PLAIN", "LOGIN"), ("LOGIN",)])
@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_login(mechanisms, tls):
    offers = Offers(users={"ü@x": "p/w"}, mechanisms=mechanisms, tls=tls)
    async with SmtpSink(offers=offers) as sink:
        context = sink.authority.context() if sink.authority else None
        url = f"smtp://%C3%BC%40x:p%2Fw@127.0.0.1:{sink.port}?tls={tls}"
        transport = open_smtp(url, "me.example", context=context)
        await transport.start()
        assert kind((await send(transport))[0]) == ACCEPTED
        assert (sink.visits[0].user, sink.visits[0].secured) == ("ü@x", tls != "none")
        assert "p/w" not in transport.name
        await transport.stop()


@pytest.mark.parametrize("mechanisms", [("PLAIN",), ("LOGIN",), ("CRAM-MD5",)])
async def test_login_refused(mechanisms):
    offers = Offers(users={"u": "right"}, mechanisms=mechanisms)
    async with pair(offers=offers, login="u:wrong@", query="tls=none") as (_, transport):
        (outcome,) = await send(transport)
        assert kind(outcome) == AWAY
        assert "wrong@" not in outcome.text


async def test_a_refreshed_token_is_used_at_the_next_login(tmp_path):
    token = tmp_path / "token"
    offers = Offers(users={"ann": "fresh"}, mechanisms=("PLAIN", "XOAUTH2"))
    query = f"tls=none&auth=xoauth2&token_file={token}"
    async with pair(offers=offers, login="ann@", query=query) as (sink, transport):
        missing = (await send(transport))[0]
        assert (kind(missing), "No such file" in missing.text) == (AWAY, True)
        for written in ("", "two\nlines", "ä", "x" * 20_000):
            token.write_text(written)
            assert "token file holds no token" in (await send(transport))[0].text
        assert sink.visits == []
        token.write_text("stale\n")
        stale = (await send(transport))[0]
        assert (kind(stale), stale.code, "stale" in stale.text) == (AWAY, 535, False)
        token.write_text("fresh\n")
        assert kind((await send(transport))[0]) == ACCEPTED
        assert sink.visits[-1].user == "ann"


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("token", ["short", "long" * 500])
async def test_login_by_token(mechanism, token):
    offers = Offers(users={"ann@x": token}, mechanisms=(mechanism,))
    query = f"tls=none&auth={mechanism.lower()}"
    async with pair(offers=offers, login=f"ann%40x:{token}@", query=query) as (sink, transport):
        assert kind((await send(transport))[0]) == ACCEPTED
        assert sink.visits[0].user == "ann@x"


async def test_no_more_mails_in_a_session_than_the_server_takes():
    async with pair(offers=Offers(limits={"MAILMAX": 3}), query="tls=none&connections=2") as (
        sink,
        transport,
    ):
        parcels = [Parcel(f"m{number}") for number in range(20)]
        transport.send(parcels)
        assert [await parcel.results() for parcel in parcels] == [["accepted"]] * 20
        assert max(visit.mails for visit in sink.visits) == 3
        assert len(sink.mails) == 20


async def test_no_more_domains_in_a_session_than_the_server_takes():
    limits = {"RCPTDOMAINMAX": 2, "RCPTMAX": 3}
    async with pair(offers=Offers(limits=limits), query="tls=none&connections=1") as (sink, transport):
        parcels = [Parcel(f"m{number}", f"ann@d{number}.example") for number in range(9)]
        transport.send(parcels)
        assert [await parcel.results() for parcel in parcels] == [["accepted"]] * 9
        assert len(sink.visits) >= 5


# --- the pool ---------------------------------------------------------------------------------------------------------


async def test_a_dead_relay_costs_one_mail_a_connection():
    async with pair() as (sink, transport):
        await sink.stop()
        parcels = [Parcel(f"m{number}") for number in range(5)]
        failed: list[str] = []

        def tell(name: str) -> Callable[[object], None]:
            def note(_: object) -> None:
                failed.append(name)
                if len(failed) == 3:
                    transport.recall()

            return note

        for parcel in parcels:
            parcel.finished.add_done_callback(tell(parcel.id))
        transport.send(parcels)
        kinds = [kind((await parcel.outcomes())[0]) for parcel in parcels]
        assert kinds[:3] == [AWAY] * 3
        assert kinds[4] == NOT_BEGUN
        assert failed[:3] == ["m0", "m1", "m2"]


async def test_only_one_connection_is_tried_at_first():
    async with pair(Rule(step="connect", delay=0.1, reply="421 busy"), query="tls=none&connections=5") as (
        sink,
        transport,
    ):
        parcels = [Parcel(f"m{number}") for number in range(5)]
        transport.send(parcels)
        await parcels[0].outcomes()
        assert len(sink.visits) == 1


async def test_a_relay_that_takes_no_more_connections_fails_nobody():
    rules = [
        Rule(step="connect", skip=1, reply="421 4.7.0 too many connections"),
        Rule(step="end", delay=0.02),
    ]
    async with pair(*rules, query="tls=none&connections=5") as (sink, transport):
        parcels = [Parcel(f"m{number}") for number in range(20)]
        transport.send(parcels)
        assert [await parcel.results() for parcel in parcels] == [["accepted"]] * 20
        assert {mail.visit for mail in sink.mails} == {0}


async def test_a_fifth_is_kept_for_transactional():
    async with pair(Rule(step="end", delay=0.5), query="tls=none&connections=5") as (sink, transport):
        bulk = [Parcel(f"b{number}", lane="bulk") for number in range(30)]
        transport.send(bulk)
        await bulk[0].outcomes()
        assert transport.waiting["bulk"] > 0
        assert len({mail.visit for mail in sink.mails} | {v.number for v in sink.visits}) == 4
        quick = Parcel("quick")
        transport.send([quick])
        await sink.until(lambda: len(sink.visits) == 5)
        assert await quick.results() == ["accepted"]
        transport.recall()


async def test_nothing_goes_out_behind_a_dot_while_another_connection_is_free():
    async with pair(query="tls=none&connections=3") as (sink, transport):
        warm = [Parcel(f"w{number}") for number in range(30)]
        transport.send(warm)
        for parcel in warm:
            await parcel.outcomes()
        await sink.until(lambda: transport.in_air == 0)
        sink.rules.append(Rule(step="end", delay=0.1))
        seen = [visit.commands.count("DATA") for visit in sink.visits]
        parcels = [Parcel(f"m{number}") for number in range(len(sink.visits))]
        transport.send(parcels)
        for parcel in parcels:
            await parcel.outcomes()
        assert [visit.commands.count("DATA") for visit in sink.visits] == [count + 1 for count in seen]


async def test_transactional_never_waits_behind_a_bulk_dot():
    async with pair(Rule(step="end", delay=0.1), query="tls=none&connections=1") as (sink, transport):
        first = Parcel("first", lane="bulk")
        transport.send([first])
        await first.has_begun.wait()
        transport.send([Parcel("later", lane="bulk"), quick := Parcel("quick")])
        assert transport.waiting == {"transactional": 1, "bulk": 1}
        await quick.outcomes()
        assert [mail.recipients[0] for mail in sink.mails] == ["first@example.com", "quick@example.com"]


async def test_connections_are_changed_after_their_share():
    async with pair(query="tls=none&connections=1", limits=Limits(messages=5)) as (sink, transport):
        parcels = [Parcel(f"m{number}") for number in range(20)]
        transport.send(parcels)
        for parcel in parcels:
            assert await parcel.results() == ["accepted"]
        assert [sum(mail.visit == n for mail in sink.mails) for n in range(4)] == [5, 5, 5, 5]
        await sink.until(lambda: sink.visits[0].commands[-1] == "QUIT")


async def test_an_idle_connection_is_closed():
    async with pair(limits=Limits(idle=0.1)) as (sink, transport):
        await send(transport)
        await sink.until(lambda: not sink.visits[0].open)
        assert sink.visits[0].commands[-1] == "QUIT"


async def test_the_rate_spaces_the_starts():
    async with pair(query="tls=none&rate=50/s") as (_, transport):
        loop = asyncio.get_running_loop()
        start, parcels = loop.time(), [Parcel(f"m{number}") for number in range(15)]
        transport.send(parcels)
        for parcel in parcels:
            assert await parcel.results() == ["accepted"]
        assert loop.time() - start >= 0.2


async def test_many_mails_at_once_and_again_from_done():
    """A caller that sends its next mail from `done`, as a worker does."""
    async with pair(query="tls=none&connections=4") as (sink, transport):

        def more(_: object) -> None:
            if sink.taken < 500:
                feed()

        def feed() -> None:
            parcel = Parcel("m")
            parcel.finished.add_done_callback(more)
            transport.send([parcel])

        for _ in range(50):
            feed()
        await sink.received(500)


async def test_the_sink_as_its_own_process(tmp_path):
    log, ca = tmp_path / "log", tmp_path / "ca.pem"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "posthouse.testing.sink", "--log", str(log)),
        *("--tls", "starttls", "--ca", str(ca), "--user", "u:p"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        ready = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        url = ready.removeprefix("ready ").replace("smtp://", "smtp://u:p@")
        context = ssl.create_default_context(cafile=str(ca))
        transport = open_smtp(url, "me.example", context=context)
        await transport.start()
        data = b"Message-ID: <1@x>\r\n\r\nhi\r\n"
        assert kind((await send(transport, data=data))[0]) == ACCEPTED
        await transport.stop()
        (line,) = [json.loads(line) for line in log.read_text().splitlines()]
        assert (line["message_id"], line["recipients"]) == ("<1@x>", ["m@example.com"])
        assert (line["sender"], line["size"]) == ("a@example.com", len(data))
    finally:
        process.terminate()
        await process.wait()


STORIES: dict[str, Callable[[], Coroutine[None, None, None]]] = {
    "many": test_many_mails_at_once_and_again_from_done,
    "large": lambda: test_a_large_mail_begins_only_right_before_its_dot("none"),
    "large, starttls": lambda: test_a_large_mail_begins_only_right_before_its_dot("starttls"),
    "large, implicit": lambda: test_a_large_mail_begins_only_right_before_its_dot("implicit"),
    "not taken": test_a_body_that_is_not_taken_in_time,
    "lost": lambda: test_link_lost("end", "before", UNKNOWN, True),
    "lease": test_a_large_mail_without_its_lease_gets_no_dot,
    "login": lambda: test_login(("PLAIN",), "starttls"),
    "bad certificate": lambda: test_a_bad_certificate_is_the_transports_failure("starttls", False),
    "lost in the handshake": lambda: test_a_link_lost_in_the_tls_handshake("starttls"),
    "lost in the handshake, implicit": lambda: test_a_link_lost_in_the_tls_handshake("implicit"),
    "opportunistic": test_opportunistic_tls_goes_on_without_where_the_handshake_fails,
    "idle": test_an_idle_connection_that_died_costs_nothing,
}


@pytest.mark.parametrize("story", STORIES)
def test_on_the_loop_that_posthouse_runs_on(story):
    """uvloop's transports differ from asyncio's: in their classes, their buffers, and their TLS."""
    uvloop.run(STORIES[story]())
