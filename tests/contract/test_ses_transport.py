"""The ses transport keeps the contract, and reads every answer of SES; and a mail gets through to moto's SES."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.mail.errors import TransportAway
from posthouse.mail.outcome import Outcome
from posthouse.testing.transport import DATA, Parcel, TransportContract
from posthouse.transport.pace import Pace
from posthouse.transport.ses import SesTransport, read_options
from posthouse.transport.ses import transport as module
from tests.aws import REGION, Answer, Ses, moto, verify


@pytest.fixture
async def far() -> AsyncIterator[Ses]:
    ses = Ses()
    await ses.start()
    yield ses
    await ses.stop()


@pytest.fixture
async def transport(far: Ses) -> AsyncIterator[SesTransport]:
    opened = SesTransport(read_options(f"{far.url}&connections=3&configuration_set=house"))
    await opened.start()
    yield opened
    await opened.stop()


class TestSesTransport(TransportContract):
    """The contract; SES gives one answer for all recipients."""

    apart = False


async def send(transport: SesTransport, *recipients: str) -> Outcome:
    parcel = Parcel("m", *recipients)
    transport.send([parcel])
    return (await parcel.outcomes())[0]


def kind(outcome: Outcome) -> tuple[str, str, str, str]:
    return outcome.result, outcome.scope, outcome.spends, outcome.category


async def test_it_says_all_there_is_to_say(transport: SesTransport, far: Ses) -> None:
    outcome = await send(transport, "to@x.example", "hidden@x.example")
    assert outcome.provider_message_id == "0102-1"
    assert far.requests[0]["Destination"] == {"ToAddresses": ["to@x.example", "hidden@x.example"]}
    assert far.requests[0]["FeedbackForwardingEmailAddress"] == "a@example.com"
    assert far.requests[0]["ConfigurationSetName"] == "house"


REFUSED = ("refused", "message", "attempt", "content")
AWAY = ("deferred", "transport", "attempt", "network")
LOGIN = ("deferred", "transport", "attempt", "login")
THROTTLED = ("deferred", "transport", "nothing", "rate")
UNKNOWN = ("unknown", "message", "attempt", "lost")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(400, "MessageRejected"), REFUSED),
        (Answer(400, "BadRequestException:http://internal.amazon.com/x"), REFUSED),
        (Answer(400, "MailFromDomainNotVerifiedException"), ("refused", "message", "attempt", "policy")),
        (Answer(413, ""), ("refused", "message", "attempt", "size")),
        (Answer(429, "TooManyRequestsException"), THROTTLED),
        (Answer(400, "LimitExceededException", "Daily message quota exceeded"), THROTTLED),
        (Answer(400, "SendingPausedException"), AWAY),
        (Answer(404, "NotFoundException", "no configuration set"), AWAY),
        (Answer(403, "InvalidClientTokenId"), LOGIN),
        (Answer(403, "AccessDeniedException"), LOGIN),
        (Answer(500, "InternalFailure"), AWAY),
        (Answer(503, ""), AWAY),
        (Answer(504, ""), UNKNOWN),
        (Answer(hang_up="after"), UNKNOWN),
    ],
)
async def test_what_an_answer_means(
    transport: SesTransport, far: Ses, answer: Answer, expected: tuple[str, ...]
) -> None:
    far.answers.append(answer)
    outcome = await send(transport)
    assert kind(outcome) == expected
    assert far.arrived() == []
    if not answer.hang_up:
        assert outcome.text.startswith(f"SES: {answer.kind.split(':')[0] or f'HTTP {answer.status}'}")
        assert answer.text in outcome.text


async def test_a_link_that_is_lost_while_the_mail_is_written_is_unknown(
    transport: SesTransport, far: Ses
) -> None:
    far.answers.append(Answer(hang_up="before"))
    parcel = Parcel("m", data=DATA + b"x" * 5_000_000 + b"\r\n")
    transport.send([parcel])
    assert await parcel.results() == ["unknown"]
    assert parcel.begun == [(None,)]


async def test_what_is_too_much_is_asked_for_later(
    transport: SesTransport, far: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.3)
    far.answers += [Answer(429, "TooManyRequestsException")] * 2
    loop = asyncio.get_running_loop()
    pauses: list[float] = []
    for expected in ("deferred", "deferred", "accepted", "accepted"):
        asked = loop.time()
        assert (await send(transport)).result == expected
        pauses.append(loop.time() - asked)
    assert pauses[1] > 0.25
    assert pauses[2] > 0.55
    assert pauses[3] < 0.25


async def test_a_rate_is_kept(far: Ses) -> None:
    paced = SesTransport(read_options(far.url), Pace(20))
    await paced.start()
    started = asyncio.get_running_loop().time()
    parcels = [Parcel(f"m{number}") for number in range(12)]
    paced.send(parcels)
    assert [await parcel.results() for parcel in parcels] == [["accepted"]] * 12
    assert asyncio.get_running_loop().time() - started > 0.45
    await paced.stop()


@pytest.mark.parametrize(
    ("account", "away"),
    [
        (Answer(200, ""), False),
        (Answer(403, "AccessDeniedException"), False),
        (Answer(404, "NotFoundException"), False),
        (Answer(403, "SignatureDoesNotMatch"), True),
        (Answer(503, ""), True),
    ],
)
async def test_a_probe_asks_about_the_account(
    transport: SesTransport, far: Ses, account: Answer, away: bool
) -> None:
    """A key that may only send says so, and is good."""
    far.account = account
    if away:
        with pytest.raises(TransportAway):
            await transport.probe()
    else:
        await transport.probe()


async def test_without_credentials_nothing_is_begun(
    far: Ses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    lost = SesTransport(read_options(f"ses://eu-west-1?endpoint=http://127.0.0.1:{far.port}"))
    await lost.start()
    outcome = await send(lost)
    assert (kind(outcome), outcome.text) == (AWAY, "SES: no AWS credentials were found")
    await lost.stop()


async def test_botocores_chain_finds_the_credentials(far: Ses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a/secret+key")
    found = SesTransport(read_options(f"ses://eu-west-1?endpoint=http://127.0.0.1:{far.port}"))
    await found.start()
    assert (await send(found)).result == "accepted"
    await found.stop()


async def test_a_mail_arrives_at_moto(tmp_path: Path) -> None:
    async with moto(tmp_path / "moto.log") as url:
        await _arrives(url)


async def _arrives(url: str) -> None:
    transport = SesTransport(read_options(f"ses://key:secret@{REGION}?endpoint={url}"))
    await transport.start()
    await transport.probe()
    assert (await send(transport, "ann@example.org")).result == "refused", "its sender is not verified"
    await verify(url, "example.com")
    outcome = await send(transport, "ann@example.org")
    assert outcome.result == "accepted"
    assert outcome.provider_message_id
    await transport.stop()
