"""A limit, not the product: the API with everything but the store, so that accept can be told from what keeping costs.

`python -m benchmarks.storeless` serves on a free port with the settings of its environment, and says `ready URL`.
"""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from typing import Any, cast

import uvloop

from posthouse.app import build_app
from posthouse.config import read
from posthouse.delivery.render import Renderer
from posthouse.mail.unsubscribe import Links
from posthouse.queue.store import StoreQueue
from posthouse.roles.api import open_api
from posthouse.roles.links import Linking, public_url
from posthouse.server import Server, listen_on
from posthouse.store.base import Draft, Saved
from posthouse.store.catalog import ApiKey
from posthouse.suppressed import SuppressionList


class Forgetful:
    """Of store and catalog just what accept calls: it says at once that it has saved, and keeps nothing."""

    async def save(self, drafts: Sequence[Draft]) -> list[Saved]:
        for draft in drafts:
            draft.message.due_at = draft.message.created_at
        return [Saved(draft.message) for draft in drafts]

    async def next_due(self) -> None:
        return None

    async def api_keys(self) -> list[ApiKey]:
        return []

    async def api_key_version(self) -> int:
        return 0


async def serve() -> None:
    """Until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    settings, _ = read()
    store = Forgetful()
    queue = StoreQueue(store.next_due)
    linking = Linking(Links(public_url(settings), b""), [])
    api = open_api(
        settings, *[cast(Any, store)] * 3, SuppressionList(), linking, queue, Renderer(None), _ready
    )
    await api.gate.keys.start()
    listener = listen_on("127.0.0.1", 0)
    async with contextlib.AsyncExitStack() as stack:
        server = Server(build_app(api), listener)
        await server.start()
        stack.push_async_callback(server.stop)
        print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await stopping.wait()


async def _ready() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    uvloop.run(serve())
