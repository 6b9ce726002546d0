"""Render: mails with a template become what they say, and their bytes, in a process of its own (delivery.renderer); there a
template that is pushed is made ready, too.

Rules: no template can hang, swell or crash whoever asks. A chunk that does not come back is rendered again one by one, so
that only the culprit fails. Requests go one after the other.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from posthouse.delivery.apart import Apart, Away, Late
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.renderer import Built, Order, Orders, Press, Pressed
from posthouse.mail.outcome import Outcome, refused
from posthouse.mail.template import BadTemplate, Made, Source
from posthouse.mail.unsubscribe import Links

ANSWER = 10.0
"""Seconds after which a process that does not answer is ended: far more than what a mail may compute."""
START = 30.0
"""Seconds that its start may take."""
AGAIN = 10.0
"""Seconds before a start that failed is tried again."""

_BUILT = msgspec.msgpack.Decoder(list[Built])
_PRESSED = msgspec.msgpack.Decoder(Pressed)
_encode = msgspec.msgpack.Encoder().encode

_NOT_STARTED = Outcome(result="deferred", text="the process that renders templates does not start")
_ENDED = Outcome(result="deferred", text="the process that rendered it ended while it did")
_TOO_LONG = refused(f"the template takes more than {ANSWER:g} s to render")


class Renderer:
    """Renders from the templates it is given, and from those in `folder` if there is one; makes links with `links`, if
    given. Call `stop` in the end; it starts by itself."""

    def __init__(self, folder: Path | None, links: Links | None = None) -> None:
        self._links = links
        self._apart = Apart("posthouse.delivery.renderer", [] if folder is None else [str(folder)])
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._stopped = False

    async def render(self, mails: Sequence[Order], templates: Sequence[Made] = ()) -> list[Built]:
        """What became of each, in order; raises Away only once it was stopped."""
        async with self._turn:
            if await self._stands():
                try:
                    return await self._ask(mails, templates)
                except Away:
                    pass
            return [await self._alone(order, templates) for order in mails]

    async def press(self, source: Source) -> Made:
        """A template made ready to be rendered. Raises BadTemplate; Away where the process cannot be had."""
        async with self._turn:
            if not await self._stands():
                raise Away
            try:
                pressed = _PRESSED.decode(await self._apart.ask(_encode(Press(source)), ANSWER))
            except Late:
                raise BadTemplate(f"it takes more than {ANSWER:g} s to be made ready") from None
            except Away:
                raise BadTemplate("it is too deep or too large") from None
        if pressed.made is None:
            raise BadTemplate(pressed.fault)
        return pressed.made

    def stop(self) -> None:
        """Ends the process."""
        self._stopped = True
        self._apart.end()

    async def _alone(self, order: Order, templates: Sequence[Made]) -> Built:
        if not await self._stands():
            return Built(None, _NOT_STARTED)
        try:
            return (await self._ask([order], templates))[0]
        except Late:
            return Built(None, _TOO_LONG)
        except Away:
            return Built(None, _ENDED)

    async def _stands(self) -> bool:
        """Whether it can be asked, after a start where one was needed."""
        if self._stopped:
            raise Away
        if self._apart.stands or elapsed_clock() < self._not_before:
            return self._apart.stands
        try:
            await self._apart.start()
            await self._apart.ask(_encode(Orders([])), START)
        except Away:
            self._not_before = elapsed_clock() + AGAIN
        return self._apart.stands

    async def _ask(self, mails: Sequence[Order], templates: Sequence[Made]) -> list[Built]:
        return _BUILT.decode(await self._apart.ask(_encode(Orders(mails, templates, self._links)), ANSWER))
