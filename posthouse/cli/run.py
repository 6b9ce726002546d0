"""How a command runs: settings read, one event loop, every expected failure one clear line and an exit code."""

import asyncio
import io
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

from cyclopts import Parameter

from posthouse import config, terminal
from posthouse.config import BadSettings, Settings

Url = Annotated[str | None, Parameter(help="a running Posthouse to ask over HTTP, instead of the store")]
Key = Annotated[str | None, Parameter(help="the API key for --url; default POSTHOUSE_API_KEY")]


_GRPC = {"GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "ERROR"}
"""What grpc reads when it is loaded, and cannot be told otherwise: nothing here forks, and lines of its own would stand
among our JSON."""


def run(work: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Reads the settings and runs a command; its exit code."""
    from posthouse.desk import Unreachable
    from posthouse.log import quiet
    from posthouse.mail.errors import StoreAway
    from posthouse.server import PortTaken
    from posthouse.store.base import StoreUnfit
    from posthouse.store.migrate import SchemaMismatch

    try:
        settings, warnings = config.read()
        for warning in warnings:
            terminal.complain(f"warning: {warning}")
        with quiet():
            return _loop(work(settings))
    except (BadSettings, PortTaken, SchemaMismatch, StoreUnfit) as error:
        for line in str(error).splitlines():
            terminal.complain(line)
        return 2
    except (StoreAway, Unreachable) as error:
        terminal.complain(str(error))
        return 1


def _loop(work: Coroutine[Any, Any, int]) -> int:
    import uvloop

    for name, value in _GRPC.items():
        os.environ.setdefault(name, value)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@asynccontextmanager
async def opened_desk(settings: Settings, url: str | None, key: str | None) -> AsyncGenerator[Any]:
    """The API, over HTTP if there is a `url`, else on the store of the settings."""
    from posthouse.desk import on_store, over_http

    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise BadSettings([f"--url: {url} does not begin with http:// or https://"])
        yield over_http(url, key or settings.api_key or "")
    else:
        async with on_store(settings) as desk:
            yield desk


async def patiently(desk: Any, method: str, path: str, body: Any = None) -> Any:
    """The answer to one of many requests: where there were too many it waits as it is told to."""
    while True:
        reply = await desk(method, path, body)
        if reply.status != 429:
            return reply
        await asyncio.sleep(float(reply.headers.get("retry-after", 1)))


def opened_text(file: Path) -> TextIO:
    """A file as text, or standard input for -: UTF-8, and octets that are not are lone surrogates. Raises BadSettings."""
    if str(file) == "-":
        given = cast(Any, sys.stdin)
        if isinstance(given, io.TextIOWrapper):
            given.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")
        return cast(TextIO, given)
    try:
        return file.open(encoding="utf-8", errors="surrogateescape", newline="")
    except OSError as error:
        raise BadSettings([f"{file}: {error.strerror}"]) from None


def ask(
    method: str, path: str, shown: Callable[[Any], None], url: str | None = None, key: str | None = None
) -> int:
    """A command that is one request: its answer is shown, or what is wrong with it."""

    async def work(settings: Settings) -> int:
        async with opened_desk(settings, url, key) as desk:
            reply = await desk(method, path, None)
        if reply.status >= 400:
            return terminal.refuse(reply.body)
        shown(reply.body)
        return 0

    return run(work)
