"""The command line. Commands act on the store of their settings, or over HTTP with --url and --key.

JSON when piped, tables on a terminal. Exit codes: 0 done; 1 it failed; 2 the call or the settings are wrong; 3 the
outcome is unknown, or not known in time.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from cyclopts import App, Parameter

from posthouse import __version__, config, terminal
from posthouse.config import BadSettings, Settings
from posthouse.mail.lifecycle import OPEN

app = App(
    name="posthouse",
    version=__version__,
    help="Posthouse: answers at once, sends in the background, keeps the true record of every mail.",
)
keys = App(name="keys", help="API keys.")
app.command(keys)

Url = Annotated[str | None, Parameter(help="a running Posthouse to ask over HTTP, instead of the store")]
Key = Annotated[str | None, Parameter(help="the API key for --url; default POSTHOUSE_API_KEY")]

WAIT_FIRST, WAIT_MOST = 0.05, 1.0
"""Seconds between two looks at a mail that is waited for: the second time longer, and so on."""


@app.command
def serve(*, roles: str = "api,worker", migrate: bool = False, welcome: bool = False) -> int:
    """Run everything in one process, until SIGTERM or Ctrl-C.

    Parameters
    ----------
    roles: which roles this process has, of api and worker, joined by commas
    migrate: bring the store's schema up to date first (an embedded store always does)
    welcome: send a first mail through it
    """
    return _run_roles(tuple(role.strip() for role in roles.split(",")), migrating=migrate, welcome=welcome)


@app.command
def worker() -> int:
    """Send what is due, and nothing else; start as many as you like."""
    return _run_roles(("worker",))


@app.command
def migrate() -> int:
    """Bring the store's schema up to date."""

    async def work(settings: Settings) -> int:
        from posthouse.roles import opened_store

        async with opened_store(settings):
            terminal.say("The store's schema is that of this version.")
        return 0

    return _run(work)


@app.command
def send(
    to: Annotated[list[str], Parameter(help="addresses, as many as wanted")],
    *,
    subject: str,
    body: str | None = None,
    html: Path | None = None,
    text: Path | None = None,
    sender: Annotated[str | None, Parameter(name="--from")] = None,
    cc: Annotated[list[str] | None, Parameter(negative="")] = None,
    bcc: Annotated[list[str] | None, Parameter(negative="")] = None,
    attach: Annotated[list[Path] | None, Parameter(negative="")] = None,
    lane: str | None = None,
    wait: bool = False,
    timeout: float = 60.0,
    url: Url = None,
    key: Key = None,
) -> int:
    """Hand in a mail. Without --body, --html or --text the body is read from standard input.

    Parameters
    ----------
    html: a file with the HTML
    text: a file with the plain text
    attach: files to attach
    wait: until it is sent or failed; the exit code tells which
    timeout: seconds to wait at most
    """

    async def work(settings: Settings) -> int:
        try:
            request = terminal.request(
                to,
                subject,
                body,
                html=html,
                text=text,
                sender=sender,
                cc=cc,
                bcc=bcc,
                attach=attach,
                lane=lane,
            )
        except OSError as error:
            raise BadSettings([f"{error.filename}: {error.strerror}"]) from None
        async with _desk(settings, url, key) as desk:
            reply = await desk("POST", "/email/send", request)
            if reply.status >= 400:
                return terminal.refuse(reply.body)
            id = reply.headers["x-message-id"]
            if not wait:
                terminal.show({"id": id, "status": "PENDING"})
                return 0
            reply = await _until_closed(desk, id, timeout)
            return terminal.outcome(reply.body) if reply.status == 200 else terminal.refuse(reply.body)

    return _run(work)


@app.command
def logs(
    *,
    limit: int = 20,
    cursor: str | None = None,
    page: int | None = None,
    status: str | None = None,
    recipient: str | None = None,
    tag: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """List records, newest first; with --page oldest first."""
    asked = {
        "limit": limit,
        "cursor": cursor,
        "page": page,
        "status": status,
        "recipient": recipient,
        "tag": tag,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return _run(lambda settings: _ask(settings, url, key, "GET", f"/email/logs?{query}", terminal.table))


@app.command
def show(id: str, *, url: Url = None, key: Key = None) -> int:
    """Show one record with its history."""
    return _run(
        lambda settings: _ask(settings, url, key, "GET", f"/emails/{quote(id, safe='')}", terminal.show)
    )


@app.command
def retry(id: str, *, url: Url = None, key: Key = None) -> int:
    """Make the failed and unknown recipients of a mail due again."""
    path = f"/emails/{quote(id, safe='')}/retry"
    return _run(lambda settings: _ask(settings, url, key, "POST", path, terminal.brief))


@app.command
def inbox(*, limit: int = 20, full: bool = False) -> int:
    """Read what the inbox: transport captured, newest first.

    Parameters
    ----------
    full: with the text of each mail
    """

    async def work(settings: Settings) -> int:
        from posthouse.roles import inbox_folder
        from posthouse.transport.inbox import captured

        terminal.mails(captured(inbox_folder(settings), limit), full)
        return 0

    return _run(work)


@app.command
def status() -> int:
    """Show what waits and since when, what failed, what is unknown."""

    async def work(settings: Settings) -> int:
        from posthouse.roles import opened_store
        from posthouse.submission.times import wall_clock

        async with opened_store(settings) as store:
            terminal.overview(await store.overview(), wall_clock())
        return 0

    return _run(work)


@keys.command
def create(
    name: str,
    *,
    scope: Annotated[list[str], Parameter(name="--scope", negative="")],
    expires: Annotated[str | None, Parameter(help="how long it is valid, as 90d; default for ever")] = None,
) -> int:
    """Make an API key; it is shown only now. Scopes: send, logs, bulk, admin."""

    async def work(settings: Settings) -> int:
        from posthouse.submission.auth import SCOPES, KeyScope, make_key

        wanted: list[KeyScope] = [each for each in SCOPES if each in scope]
        if len(wanted) != len(set(scope)):
            raise BadSettings([f"--scope: must be of {', '.join(SCOPES)}"])
        try:
            seconds = config.seconds(expires) if expires else None
        except ValueError as error:
            raise BadSettings([f"--expires: {error}"]) from None
        made, plain = make_key(name, wanted)
        async with _catalog(settings) as catalog:
            await catalog.add_api_key(made, seconds)
        terminal.new_key(made, plain)
        return 0

    return _run(work)


@keys.command(name="list")
def list_keys() -> int:
    """List the API keys, without their secrets."""

    async def work(settings: Settings) -> int:
        async with _catalog(settings) as catalog:
            terminal.api_keys(await catalog.api_keys())
        return 0

    return _run(work)


@keys.command
def revoke(id_or_name: str) -> int:
    """Revoke a key by its id, or all keys of a name: at once, everywhere."""

    async def work(settings: Settings) -> int:
        async with _catalog(settings) as catalog:
            count = await catalog.revoke_api_key(id_or_name)
        terminal.say(f"{count} revoked." if count else "There is no live key of that id or name.")
        return 0 if count else 1

    return _run(work)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the `posthouse` command."""
    sys.exit(app(arguments))


def _run(work: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Reads the settings and runs a command; every expected failure is one clear line, and an exit code."""
    from posthouse.desk import Unreachable
    from posthouse.mail.errors import StoreAway
    from posthouse.server import PortTaken
    from posthouse.store.migrate import SchemaMismatch

    try:
        settings, warnings = config.read()
        for warning in warnings:
            terminal.complain(f"warning: {warning}")
        return _loop(work(settings))
    except (BadSettings, PortTaken, SchemaMismatch) as error:
        for line in str(error).splitlines():
            terminal.complain(line)
        return 2
    except (StoreAway, Unreachable) as error:
        terminal.complain(str(error))
        return 1


def _loop(work: Coroutine[Any, Any, int]) -> int:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _run_roles(roles: tuple[str, ...], *, migrating: bool = False, welcome: bool = False) -> int:
    async def work(settings: Settings) -> int:
        from posthouse import log
        from posthouse.roles import ROLES, run
        from posthouse.store.registry import is_embedded

        if not set(roles) <= set(ROLES):
            raise BadSettings([f"--roles: must be of {', '.join(ROLES)}"])
        style = settings.log if settings.log != "auto" else "text" if sys.stdout.isatty() else "json"
        lines = log.configure(style)

        async def ready(address: str) -> None:
            if welcome:
                await _welcome(settings, lines.msg)
            lines.msg(f"ready {address}".rstrip())

        try:
            await run(settings, roles, lines.msg, ready, migrating or is_embedded(settings.store))
        finally:
            lines.close()
        return 0

    return _run(work)


async def _welcome(settings: Settings, tell: Any) -> None:
    """Sends a first mail and says where it went; never to a real relay, whose recipients we cannot know."""
    from posthouse.desk import on_store

    if settings.transport.split()[0] != "inbox:":
        tell("The first mail is left out: it is only sent where POSTHOUSE_TRANSPORT begins with inbox:")
        return
    body = "This mail went through the whole house: accepted, kept, sent, and told of in its record."
    request = {"to": "you@example.org", "subject": "Welcome to Posthouse", "body": body}
    async with on_store(settings) as desk:
        reply = await desk("POST", "/email/send", request)
        record = (await _until_closed(desk, reply.headers["x-message-id"], 10.0)).body
    tell(
        f"A first mail was accepted as {record['id']} and is {record['status']}. Read it with: posthouse inbox"
    )


async def _ask(
    settings: Settings, url: str | None, key: str | None, method: str, path: str, shown: Any
) -> int:
    async with _desk(settings, url, key) as desk:
        reply = await desk(method, path, None)
    if reply.status >= 400:
        return terminal.refuse(reply.body)
    shown(reply.body)
    return 0


async def _until_closed(desk: Any, id: str, seconds: float) -> Any:
    """The last answer: with the record once nothing of it is open, or as it is when the time is over."""
    loop = asyncio.get_running_loop()
    ends, pause = loop.time() + seconds, WAIT_FIRST
    while True:
        reply = await desk("GET", f"/emails/{id}", None)
        if reply.status == 429:
            pause = float(reply.headers.get("retry-after", 1))
        elif reply.status >= 400 or reply.body["state"] not in OPEN or loop.time() > ends:
            return reply
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, WAIT_MOST)


@asynccontextmanager
async def _desk(settings: Settings, url: str | None, key: str | None) -> AsyncGenerator[Any]:
    from posthouse.desk import on_store, over_http

    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise BadSettings([f"--url: {url} does not begin with http:// or https://"])
        yield over_http(url, key or settings.api_key or "")
    else:
        async with on_store(settings) as desk:
            yield desk


@asynccontextmanager
async def _catalog(settings: Settings) -> AsyncGenerator[Any]:
    from posthouse.roles import opened_store
    from posthouse.store.registry import open_catalog

    async with opened_store(settings) as store:
        yield open_catalog(settings.store, store)


if __name__ == "__main__":
    main()
