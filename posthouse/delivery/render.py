"""Render: mails with a template become what they say, and their bytes, in a process of its own (delivery.renderer).

Rules: no template can hang, swell or crash the worker. A chunk that does not come back is rendered again one by one, so
that only the culprit fails. Chunks go one after the other.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from posthouse.delivery.apart import Apart, Away, Late
from posthouse.delivery.build import Mail
from posthouse.delivery.clock import elapsed_clock
from posthouse.delivery.renderer import Built
from posthouse.mail.outcome import Outcome, refused

ANSWER = 10.0
"""Seconds after which a process that does not answer is ended: far more than what a mail may compute."""
START = 30.0
"""Seconds that its start may take."""
AGAIN = 10.0
"""Seconds before a start that failed is tried again."""

_ANSWER = msgspec.msgpack.Decoder(list[Built])
_encode = msgspec.msgpack.Encoder().encode

_NO_FOLDER = Outcome(result="deferred", text="this worker has no templates: POSTHOUSE_TEMPLATES is not set")
_NOT_STARTED = Outcome(result="deferred", text="the process that renders templates does not start")
_ENDED = Outcome(result="deferred", text="the process that rendered it ended while it did")
_TOO_LONG = refused(f"the template takes more than {ANSWER:g} s to render")


class Renderer:
    """Renders from the templates in `folder`, or says that there are none. Call `stop` in the end; it starts by itself."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._apart = Apart("posthouse.delivery.renderer", [str(folder)])
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._stopped = False

    async def render(self, mails: Sequence[Mail]) -> list[Built]:
        """What became of each, in order; raises Away only once it was stopped."""
        if self._folder is None:
            return [Built(None, _NO_FOLDER)] * len(mails)
        async with self._turn:
            if await self._stands():
                try:
                    return await self._ask(mails)
                except Away:
                    pass
            return [await self._alone(mail) for mail in mails]

    def stop(self) -> None:
        """Ends the process."""
        self._stopped = True
        self._apart.end()

    async def _alone(self, mail: Mail) -> Built:
        if not await self._stands():
            return Built(None, _NOT_STARTED)
        try:
            return (await self._ask([mail]))[0]
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
            await self._apart.ask(_encode([]), START)
        except Away:
            self._not_before = elapsed_clock() + AGAIN
        return self._apart.stands

    async def _ask(self, mails: Sequence[Mail]) -> list[Built]:
        return _ANSWER.decode(await self._apart.ask(_encode(mails), ANSWER))
