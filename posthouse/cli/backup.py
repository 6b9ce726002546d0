"""backup, restore, hold: the store put aside, and taken up again."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from posthouse import terminal
from posthouse.cli.run import run
from posthouse.config import BadSettings, Settings


def backup(file: Path) -> int:
    """Write the SQLite store to a file, checked, while everything goes on. Nothing is overwritten."""

    async def work(settings: Settings) -> int:
        from posthouse.store.sqlite.backup import BadBackup, back_up

        try:
            records = back_up(_path_of(settings), file)
        except BadBackup as error:
            raise BadSettings([str(error)]) from None
        terminal.show({"backup": str(file), "records": records})
        return 0

    return run(work)


def restore(
    file: Path, *, resend: Annotated[bool, Parameter(name="--resend", negative="--hold")] = False
) -> int:
    """Make the store of the settings from a backup, with nobody at work. Nothing is overwritten.

    Parameters
    ----------
    resend: mail that was due in the backup is sent (again); the default is to hold it as unknown for a person to decide
    """

    async def work(settings: Settings) -> int:
        from posthouse.store.sqlite.backup import BadBackup, restoring

        path = _path_of(settings)
        _nobody_works(settings)
        try:
            with restoring(file, path) as part:
                held = {} if resend else await _hold(f"sqlite:///{part}")
        except BadBackup as error:
            raise BadSettings([str(error)]) from None
        terminal.show({"restored": path, **held})
        return 0

    return run(work)


def hold() -> int:
    """Hold all mail that is due as unknown until a person decides: after a store of any kind was restored."""

    async def work(settings: Settings) -> int:
        _nobody_works(settings)
        terminal.show(await _hold(settings.store))
        return 0

    return run(work)


async def _hold(store_url: str) -> dict[str, Any]:
    from posthouse.config import Settings
    from posthouse.delivery.hold import hold
    from posthouse.roles.opened import opened_store

    async with opened_store(Settings(store=store_url)) as store:
        held = await hold(store)
    return {"held": held.held, "due_later": held.later, "campaigns_paused": held.paused}


def _path_of(settings: Settings) -> str:
    from posthouse.store.registry import is_embedded, sqlite_path

    if not is_embedded(settings.store):
        raise BadSettings(
            ["POSTHOUSE_STORE: is not SQLite; use its own tools (pg_dump), then `posthouse hold`"]
        )
    return sqlite_path(settings.store)


def _nobody_works(settings: Settings) -> None:
    from posthouse.doctor.machine import living

    if living(settings.state_dir / "journals"):
        raise BadSettings(["a worker is running here: stop everything that uses the store first"])
