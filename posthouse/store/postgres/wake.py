"""The wake-up: each batch that is saved notifies once which lanes have mail that is due. A hint, like any other.

It is listened to on a connection of its own, and never behind a pooler, which would not pass it on: there, and while
the connection is lost, workers find their mail by looking.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from posthouse.mail.message import LANES, Lane
from posthouse.store.postgres.connection import PAUSE_MOST, Connections, away


def channel(identity: str) -> str:
    """The channel of one store; others may share the database."""
    return f"posthouse_{identity}"


async def listen(connections: Connections, channel: str, woken: Callable[[Lane], None]) -> None:
    """Calls `woken` until cancelled; for each lane once when the connection stands, since it may have missed some."""
    if connections.pooled:
        return
    while True:
        try:
            await _listen_once(connections, channel, woken)
        except Exception as error:
            if away(error) is None:
                raise
        await asyncio.sleep(PAUSE_MOST)


async def _listen_once(connections: Connections, channel: str, woken: Callable[[Lane], None]) -> None:
    """Until the connection is lost."""
    lost = asyncio.Event()

    def ended(connection: Any) -> None:
        lost.set()

    def heard(connection: Any, pid: int, channel: str, payload: str) -> None:
        for lane in LANES:
            if lane in payload.split():
                woken(lane)

    async with connections.own() as connection:
        connection.add_termination_listener(ended)
        await connection.add_listener(channel, heard)
        for lane in LANES:
            woken(lane)
        await lost.wait()
