"""A link of the network: a TCP proxy on the loopback that can be cut and mended."""

import asyncio
import contextlib

from tests.journey.house import free_port


class Link:
    """Leads from `port` to `end`, once it is mended; cut, it refuses whoever comes and drops whoever is there."""

    def __init__(self, end: int) -> None:
        self.port, self._end = free_port(), end
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        """From now on it carries."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Nothing that is on its way arrives."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in self._open:
            each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self._end)
            self._open |= {writer, back}
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                self._open -= {writer, back}
                for each in (writer, back):
                    each.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()
