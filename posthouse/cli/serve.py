"""serve, worker, migrate: the roles, until SIGTERM or Ctrl-C, and what comes before them."""

import sys
from typing import Any

from posthouse import terminal
from posthouse.cli.run import run
from posthouse.cli.send import until_closed
from posthouse.config import BadSettings, Settings


def serve(
    *, roles: str | None = None, migrate: bool = False, welcome: bool = False, beside: bool = False
) -> int:
    """Run everything in one process, until SIGTERM or Ctrl-C.

    Parameters
    ----------
    roles: of api, worker and records, joined by commas; default api and worker, and records where POSTHOUSE_GRPC_PORT
        is set
    migrate: bring the store's schema up to date first (an embedded store always does)
    welcome: send a first mail through it
    beside: listen where an older process still does, which is then to be stopped: no connection is refused
    """
    chosen = None if roles is None else tuple(role.strip() for role in roles.split(","))
    return _run_roles(chosen, migrating=migrate, welcome=welcome, beside=beside)


def worker() -> int:
    """Send what is due, and nothing else; start as many as you like."""
    return _run_roles(("worker",))


def records() -> int:
    """Own the record, for producers and our own processes, over gRPC."""
    return _run_roles(("records",))


def migrate() -> int:
    """Bring the store's schema up to date."""

    async def work(settings: Settings) -> int:
        from posthouse.roles.opened import opened_catalog, opened_store

        async with (
            opened_store(settings, migrating=True) as store,
            opened_catalog(settings, store, migrating=True),
        ):
            terminal.say("The store's schema is that of this version.")
        return 0

    return run(work)


def _run_roles(
    chosen: tuple[str, ...] | None, *, migrating: bool = False, welcome: bool = False, beside: bool = False
) -> int:
    async def work(settings: Settings) -> int:
        from posthouse import log
        from posthouse.roles import run as house
        from posthouse.store.registry import is_embedded

        roles = chosen or house.all_roles(settings)
        if not set(roles) <= set(house.ROLES):
            raise BadSettings([f"--roles: must be of {', '.join(house.ROLES)}"])
        style = settings.log if settings.log != "auto" else "text" if sys.stdout.isatty() else "json"
        lines = log.configure(style)

        async def ready(address: str) -> None:
            if welcome:
                await _welcome(settings, lines.msg)
            lines.msg(f"ready {address}".rstrip())

        try:
            migrating_too = migrating or is_embedded(settings.store)
            await house.run(settings, roles, lines.msg, ready, migrating_too, beside=beside)
        finally:
            lines.close()
        return 0

    return run(work)


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
        record = (await until_closed(desk, reply.headers["x-message-id"], 10.0)).body
    tell(
        f"A first mail was accepted as {record['id']} and is {record['status']}. Read it with: posthouse inbox"
    )
