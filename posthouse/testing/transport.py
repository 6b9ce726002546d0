"""The transport contract: what every transport keeps, as tests. Subclass TransportContract and give it two fixtures.

`transport` is a started transport with at least two connections, stopped when the test is over; `far` is the far end
that it sends to (FarEnd). A transport without a network sets `remote` to False: what only a network does is skipped.
One whose far end gives a single answer for all recipients sets `apart` to False: then all get that answer.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import pytest

from posthouse.mail.errors import TransportAway
from posthouse.mail.message import LANES, Lane
from posthouse.mail.outcome import Outcome
from posthouse.transport.base import Transport, Use

DATA = b"From: a@example.com\r\nSubject: hello\r\n\r\n.a dot first\r\nand more\r\n"
PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


class Parcel:
    """An envelope that keeps what happens to it. `lease` is what `begin` answers."""

    def __init__(
        self,
        name: str,
        *recipients: str,
        lane: Lane = "transactional",
        sender: str = "a@example.com",
        data: bytes = DATA,
        lease: bool = True,
    ) -> None:
        self.id, self.sender, self.data, self.lease = name, sender, data, lease
        self.lane: Lane = lane
        self.recipients = recipients or (f"{name}@example.com",)
        self.begun: list[tuple[Outcome | None, ...]] = []
        self.finished: asyncio.Future[tuple[Outcome, ...]] = asyncio.get_running_loop().create_future()
        self.settled = 0
        self.has_begun = asyncio.Event()

    def begin(self, replies: Sequence[Outcome | None]) -> bool:
        """Keeps the replies."""
        self.begun.append(tuple(replies))
        self.has_begun.set()
        return self.lease

    def done(self, outcomes: Sequence[Outcome]) -> None:
        """Keeps the outcomes, and counts."""
        self.settled += 1
        if not self.finished.done():
            self.finished.set_result(tuple(outcomes))

    async def outcomes(self, seconds: float = PATIENCE) -> tuple[Outcome, ...]:
        """Its outcomes, once it is done."""
        async with asyncio.timeout(seconds):
            return await asyncio.shield(self.finished)

    async def results(self) -> list[str]:
        """The results of its outcomes."""
        return [outcome.result for outcome in await self.outcomes()]


class FarEnd(Protocol):
    """Where the transport's mail arrives."""

    def arrived(self) -> list[tuple[str, tuple[str, ...], bytes]]:
        """Sender, recipients and data of every mail that was taken, in order."""
        ...

    def refuse(self, address: str) -> None:
        """From now on this recipient is refused for good."""
        ...

    def slow(self, seconds: float) -> None:
        """From now on each mail is answered so much later."""
        ...

    async def leave(self) -> None:
        """Goes down."""
        ...

    async def come_back(self) -> None:
        """Comes up again where it was."""
        ...


class TransportContract:
    """What every transport keeps (posthouse.transport.base)."""

    remote = True
    apart = True

    @pytest.fixture(autouse=True)
    def _only_where_it_applies(self, request: pytest.FixtureRequest) -> None:
        if request.node.get_closest_marker("usefixtures") and not self.remote:
            pytest.skip("needs a far end that can refuse, wait and go away")

    async def test_each_envelope_is_done_once(self, transport: Transport, far: FarEnd) -> None:
        parcels = [Parcel(f"m{number}") for number in range(50)]
        transport.send(parcels)
        for parcel in parcels:
            assert await parcel.results() == ["accepted"]
        assert [parcel.settled for parcel in parcels] == [1] * 50
        assert sorted(recipients[0] for _, recipients, _ in far.arrived()) == sorted(
            parcel.recipients[0] for parcel in parcels
        )

    async def test_what_arrives_is_what_was_sent(self, transport: Transport, far: FarEnd) -> None:
        parcel = Parcel("m", "one@example.com", "two@example.com", sender="")
        transport.send([parcel])
        assert await parcel.results() == ["accepted", "accepted"]
        assert far.arrived() == [("", ("one@example.com", "two@example.com"), DATA)]

    async def test_begin_comes_once_and_before_the_mail_is_there(
        self, transport: Transport, far: FarEnd
    ) -> None:
        there: list[int] = []
        parcel = Parcel("m", "one@example.com", "two@example.com")
        keep = parcel.begin

        def begin(replies: Sequence[Outcome | None]) -> bool:
            there.append(len(far.arrived()))
            return keep(replies)

        parcel.begin = begin
        transport.send([parcel])
        await parcel.outcomes()
        assert parcel.begun == [(None, None)]
        assert there == [0]

    async def test_without_the_lease_nothing_is_sent(self, transport: Transport, far: FarEnd) -> None:
        parcel, other = Parcel("gone", lease=False), Parcel("other")
        transport.send([parcel])
        (outcome,) = await parcel.outcomes()
        assert (outcome.result, outcome.spends) == ("deferred", "nothing")
        transport.send([other])
        assert await other.results() == ["accepted"]
        assert [recipients for _, recipients, _ in far.arrived()] == [other.recipients]

    async def test_a_line_break_in_an_address_is_refused(self, transport: Transport, far: FarEnd) -> None:
        bad, half = (
            Parcel("m", sender="a@b.example>\r\nRSET"),
            Parcel("n", "x\r\nRSET@b.example", "y@b.example"),
        )
        transport.send([bad, half])
        assert await bad.results() == ["refused"]
        assert await half.results() == ["refused", "accepted"]
        assert [recipients for _, recipients, _ in far.arrived()] == [("y@b.example",)]

    async def test_after_stop_everything_is_given_back(self, transport: Transport) -> None:
        await transport.stop()
        parcel = Parcel("late")
        transport.send([parcel])
        (outcome,) = await parcel.outcomes()
        assert (outcome.result, outcome.spends) == ("deferred", "nothing")

    async def test_probe_of_a_far_end_that_is_there(self, transport: Transport, far: FarEnd) -> None:
        await transport.probe()
        assert far.arrived() == []

    @pytest.mark.usefixtures("far")
    async def test_refused_recipients_have_their_own_outcome(self, transport: Transport, far: FarEnd) -> None:
        far.refuse("bad@example.com")
        parcel = Parcel("m", "one@example.com", "bad@example.com", "two@example.com")
        transport.send([parcel])
        if not self.apart:
            assert await parcel.results() == ["refused", "refused", "refused"]
            assert (parcel.begun, far.arrived()) == ([(None, None, None)], [])
            return
        assert await parcel.results() == ["accepted", "refused", "accepted"]
        ((one, bad, two),) = parcel.begun
        assert (one, two) == (None, None)
        assert bad is not None
        assert bad.result == "refused"
        assert far.arrived()[0][1] == ("one@example.com", "two@example.com")

    @pytest.mark.usefixtures("far")
    async def test_begin_does_not_come_when_all_are_refused(self, transport: Transport, far: FarEnd) -> None:
        far.refuse("bad@example.com")
        parcel, other = Parcel("m", "bad@example.com"), Parcel("other")
        transport.send([parcel, other])
        assert await parcel.results() == ["refused"]
        assert await other.results() == ["accepted"]
        assert parcel.begun == ([] if self.apart else [(None,)])

    @pytest.mark.usefixtures("far")
    async def test_recall_gives_back_what_waits(self, transport: Transport, far: FarEnd) -> None:
        far.slow(0.2)
        parcels = [Parcel(f"m{number}") for number in range(20 * transport.connections)]
        transport.send(parcels)
        await parcels[0].outcomes()
        transport.recall()
        outcomes = [(await parcel.outcomes())[0] for parcel in parcels]
        back = [outcome for outcome in outcomes if outcome.spends == "nothing"]
        assert back
        assert len(far.arrived()) == len(parcels) - len(back)
        assert {parcel.settled for parcel in parcels} == {1}

    @pytest.mark.usefixtures("far")
    async def test_recall_of_some_leaves_the_others(self, transport: Transport, far: FarEnd) -> None:
        far.slow(0.05)
        parcels = [Parcel(f"m{number}", lane="bulk") for number in range(8 * transport.connections)]
        transport.send(parcels)
        await parcels[0].outcomes()
        unwanted = {parcel.id for parcel in parcels[::2]}
        transport.recall(unwanted)
        outcomes = {parcel.id: (await parcel.outcomes())[0] for parcel in parcels}
        back = {id for id, outcome in outcomes.items() if outcome.spends == "nothing"}
        assert back
        assert back < unwanted
        assert len(far.arrived()) == len(parcels) - len(back)

    @pytest.mark.usefixtures("far")
    async def test_use_tells_what_it_is_busy_with(self, transport: Transport, far: FarEnd) -> None:
        far.slow(0.2)
        parcels = [Parcel(f"m{number}", lane="bulk") for number in range(20 * transport.connections)]
        transport.send(parcels)
        async with asyncio.timeout(PATIENCE):
            await parcels[0].has_begun.wait()
        use = transport.use()
        assert 0 < use.connections <= transport.connections
        assert 0 < use.in_air < len(parcels)
        assert 0 < use.waiting["bulk"] < len(parcels)
        transport.recall()
        for parcel in parcels:
            await parcel.outcomes()
        await transport.stop()
        assert transport.use() == Use(0, 0, dict.fromkeys(LANES, 0))

    @pytest.mark.usefixtures("far")
    async def test_stop_ends_everything_at_once(self, transport: Transport, far: FarEnd) -> None:
        far.slow(30.0)
        parcels = [Parcel(f"m{number}", lane="bulk") for number in range(5 * transport.connections)]
        transport.send(parcels)
        async with asyncio.timeout(PATIENCE):
            await parcels[0].has_begun.wait()
        await transport.stop()
        outcomes = [await parcel.outcomes(1.0) for parcel in parcels]
        assert {parcel.settled for parcel in parcels} == {1}
        for parcel, (outcome,) in zip(parcels, outcomes, strict=True):
            assert outcome.result == ("unknown" if parcel.begun else "deferred")

    @pytest.mark.usefixtures("far")
    async def test_transactional_overtakes_bulk(self, transport: Transport, far: FarEnd) -> None:
        far.slow(0.1)
        order: list[str] = []
        bulk = [Parcel(f"bulk{number}", lane="bulk") for number in range(20 * transport.connections)]
        transport.send(bulk)
        await bulk[0].outcomes()
        quick = Parcel("quick")
        for parcel in [*bulk, quick]:
            parcel.finished.add_done_callback(lambda _, name=parcel.id: order.append(name))
        transport.send([quick])
        assert await quick.results() == ["accepted"]
        transport.recall()
        assert len([name for name in order if name != "quick"]) <= 3 * transport.connections

    @pytest.mark.usefixtures("far")
    async def test_a_far_end_that_is_away(self, transport: Transport, far: FarEnd) -> None:
        await far.leave()
        with pytest.raises(TransportAway):
            await transport.probe()
        parcel, again = Parcel("m"), Parcel("again")
        transport.send([parcel])
        (outcome,) = await parcel.outcomes()
        assert (outcome.result, outcome.scope, outcome.spends) == ("deferred", "transport", "attempt")
        await far.come_back()
        transport.send([again])
        assert await again.results() == ["accepted"]
