"""The addresses of a relay, found so that a DNS which hangs holds up nobody but those who wait for this relay.

A look-up cannot be called off. On the threads of the loop (uvloop has four) a few that hang would keep everything else
in the process from looking up anything, and from ending. So each is on a thread of its own, which nobody waits for at the
end; a relay has one at a time, and all who want to connect share it.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

LookUp = Callable[[str, int], Sequence[tuple[Any, ...]]]
"""As socket.getaddrinfo: each item ends with the address. Raises OSError or UnicodeError."""


def look_up(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """The system's own."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """Of one host."""

    def __init__(self, host: str, port: int, look_up: LookUp = look_up) -> None:
        self._host, self._port, self._look_up = host, port, look_up
        self._is_address = is_address(host)
        self._asked: asyncio.Future[list[str]] | None = None

    async def addresses(self) -> list[str]:
        """In the order in which to try them. Raises OSError or UnicodeError; may take as long as the system likes, so who
        asks sets a time."""
        if self._is_address:
            return [self._host]
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
            self._asked.add_done_callback(self._heard)
            threading.Thread(target=self._ask, args=(self._asked,), name="look-up", daemon=True).start()
        return await asyncio.shield(self._asked)

    def _heard(self, asked: asyncio.Future[list[str]]) -> None:
        self._asked = None
        asked.exception()  # it may be that nobody waits any more

    def _ask(self, asked: asyncio.Future[list[str]]) -> None:
        tell = asked.get_loop().call_soon_threadsafe
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            try:
                found = self._look_up(self._host, self._port)
            except Exception as error:
                tell(asked.set_exception, error)
            else:
                tell(asked.set_result, list(dict.fromkeys(str(each[-1][0]) for each in found)))


def is_address(host: str) -> bool:
    """Whether there is nothing to look up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
