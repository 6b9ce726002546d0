"""A role with a trap in it, as a process: `python -m tests.crash.program POINT NTH kill|stop ROLE…`."""

import sys

from posthouse import log, terminal
from posthouse.cli.run import run
from posthouse.config import Settings
from posthouse.roles import run as house
from posthouse.store.registry import is_embedded
from tests.crash.trap import Trap


def main(point: str, nth: str, how: str, *roles: str) -> int:
    """Runs until it is told to end, or the trap springs."""
    trap = Trap(point, int(nth), how)

    async def work(settings: Settings) -> int:
        lines = log.configure("json")

        async def ready(address: str) -> None:
            lines.msg(f"ready {address}".rstrip())

        try:
            migrating = is_embedded(settings.store)
            await house.run(settings, roles, terminal.complain, ready, migrating, faults=trap.faults)
        finally:
            lines.close()
        return 0

    return run(work)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
