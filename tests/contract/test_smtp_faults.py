"""Every fault that the sink can act out has the outcome that docs/smtp.md says, and the link after it is good."""

import asyncio
import sys

import pytest

from posthouse.mail.message import Recipient
from posthouse.mail.outcome import Outcome
from posthouse.mail.retry import GREYLIST_FIRST, Policy, decide
from posthouse.testing.fault import MEANINGS, Fault, Verdict
from posthouse.testing.sink import SmtpSink
from posthouse.testing.sink_faults import FAULTS
from posthouse.testing.transport import Parcel
from posthouse.transport.smtp import SmtpTransport, Timeouts, open_smtp

SHORT = 0.3


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault(fault: Fault) -> None:
    async with SmtpSink(fault.fresh_rules(), fault.offers) as sink:
        transport = client(fault, sink)
        await transport.start()
        parcel = Parcel("m", *fault.to, data=fault.data)
        transport.send([parcel])
        outcomes = await parcel.outcomes()
        assert [meaning(outcome) for outcome in outcomes] == [says(verdict) for verdict in fault.verdicts]
        assert all(outcome.text and len(outcome.text) <= 500 for outcome in outcomes)
        assert len(sink.mails) <= 1
        if "sent" in fault.verdicts:
            taken = [to for to, verdict in zip(fault.to, fault.verdicts, strict=True) if verdict == "sent"]
            assert [(mail.recipients, mail.data) for mail in sink.mails] == [(tuple(taken), fault.data)]
        await the_next_mail_is_sent(transport, sink, fault)
        assert parcel.settled == 1
        await transport.stop()


async def test_a_fault_is_acted_out_by_the_command_line() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "posthouse.testing.sink", "--fault", "550-at-mail"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        ready = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        transport = open_smtp(f"{ready.removeprefix('ready ')}?tls=none", "me.example")
        await transport.start()
        parcel = Parcel("m")
        transport.send([parcel])
        assert [outcome.code for outcome in await parcel.outcomes()] == [550]
        await transport.stop()
    finally:
        process.terminate()
        await process.wait()


async def the_next_mail_is_sent(transport: SmtpTransport, sink: SmtpSink, fault: Fault) -> None:
    if fault.lasts:
        return
    sink.rules.clear()
    parcel = Parcel("next")
    transport.send([parcel])
    assert await parcel.results() == ["accepted"]


def client(fault: Fault, sink: SmtpSink) -> SmtpTransport:
    context = sink.authority.context() if sink.authority and fault.trusted else None
    url = f"smtp://{fault.login}127.0.0.1:{sink.port}?{fault.query}"
    return open_smtp(url, "me.example", times(fault), context=context)


def times(fault: Fault) -> Timeouts:
    """Short ones where the sink says nothing in time, so that only those faults depend on the speed of the machine."""
    if not fault.offers.pause and not any(rule.delay for rule in fault.rules):
        return Timeouts()
    return Timeouts(greeting=SHORT, hello=SHORT, mail=SHORT, rcpt=SHORT, data=SHORT, end=SHORT)


def meaning(outcome: Outcome) -> tuple[object, ...]:
    """What an outcome is, what it costs, and what follows from it at a first attempt."""
    decision = decide(Recipient("ann@one.example"), "transactional", outcome, Policy())
    later = decision.event == "defer" and decision.wait >= GREYLIST_FIRST
    return outcome.result, outcome.spends, outcome.scope == "transport", decision.event, later


def says(verdict: Verdict) -> tuple[object, ...]:
    said = MEANINGS[verdict]
    return said.result, said.spends, said.away, said.event, verdict == "greylisted"
