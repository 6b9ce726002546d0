"""status, doctor, config, audit: the house itself."""

from typing import Any

from posthouse import config as config_file
from posthouse import terminal
from posthouse.check import Check
from posthouse.cli.run import run
from posthouse.config import BadSettings, Settings


def status() -> int:
    """Show what waits and since when, what failed, what is unknown; and how many hints wait in the queue."""

    async def work(settings: Settings) -> int:
        from posthouse.roles.opened import opened_store
        from posthouse.submission.times import wall_clock

        async with opened_store(settings) as store:
            terminal.overview(await store.overview(), wall_clock(), await _depth(settings, store))
        return 0

    return run(work)


async def _depth(settings: Settings, store: Any) -> dict[str, int] | None:
    """Hints in each lane; None where the store is the queue, or the queue is away, which is told."""
    from posthouse.doctor.house import queue_depth
    from posthouse.queue.base import QueueAway

    if settings.queue == "store:":
        return None
    try:
        return {**await queue_depth(settings, store)}
    except QueueAway as error:
        terminal.complain(f"the queue is away: {error}")
    except ValueError as error:
        raise BadSettings([str(error)]) from None
    return None


def audit() -> int:
    """Look at every record: open mail has a clock and a next step, histories are legal, what is counted adds up, what
    leads to a record leads there, nothing is left over.

    It changes nothing, may run beside the work, and ends with 1 when something is wrong.
    """

    async def work(settings: Settings) -> int:
        from posthouse.roles.opened import opened_catalog, opened_store
        from posthouse.store.audit import audit

        async with (
            opened_store(settings, migrating=False) as store,
            opened_catalog(settings, store) as catalog,
        ):
            return terminal.audited(await audit(store, catalog))

    return run(work)


def doctor() -> int:
    """Look at settings, clock, certificates, address, folders, store, queue and transports by really connecting.

    No mail is sent. Ends with 1 when something fails.
    """

    async def work(settings: Settings) -> int:
        from posthouse.doctor import examine

        checks: list[Check] = []
        async for check in examine(settings, config_file.read()[1]):
            checks.append(check)
            terminal.checked(check)
        return terminal.diagnosed(checks)

    return run(work)


def config() -> int:
    """Show the settings as they hold, and where each came from. Secrets are not shown."""

    async def work(settings: Settings) -> int:
        terminal.settings(config_file.effective(settings))
        return 0

    return run(work)
