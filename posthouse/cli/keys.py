"""keys create, list, revoke: who may call."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from cyclopts import Parameter

from posthouse import config, terminal
from posthouse.cli.run import run
from posthouse.config import BadSettings, Settings


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

    return run(work)


def list_keys() -> int:
    """List the API keys, without their secrets."""

    async def work(settings: Settings) -> int:
        async with _catalog(settings) as catalog:
            terminal.api_keys(await catalog.api_keys())
        return 0

    return run(work)


def revoke(id_or_name: str) -> int:
    """Revoke a key by its id, or all keys of a name: at once, everywhere."""

    async def work(settings: Settings) -> int:
        async with _catalog(settings) as catalog:
            count = await catalog.revoke_api_key(id_or_name)
        terminal.say(f"{count} revoked." if count else "There is no live key of that id or name.")
        return 0 if count else 1

    return run(work)


@asynccontextmanager
async def _catalog(settings: Settings) -> AsyncGenerator[Any]:
    from posthouse.roles.opened import opened_catalog, opened_store

    async with opened_store(settings) as store, opened_catalog(settings, store) as catalog:
        yield catalog
