"""`python -m tests.crash [words…] [--mails 500] [--write PAGE]`: the crash matrix, or those cells whose line has all the words.

Each line says what befell which part of which deployment and when, and what was found. Ends with 1 when the promise did
not hold. What was found where it did is written into the page.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.crash.cell import Cell
from tests.crash.ground import Ground, ground
from tests.crash.matrix import cells
from tests.crash.page import surroundings, write
from tests.crash.run import Books, run
from tests.crash.table import HEADER, row, summary

AT_ONCE = 2
"""Deployments: most of a cell is waiting."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.crash", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--mails", type=int, default=500)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    asked = parser.parse_args()
    chosen = [cell for cell in cells() if all(word in str(cell) for word in asked.words)]
    started, where = time.monotonic(), surroundings()
    print(f"{where}\n\n{HEADER}", flush=True)
    found = asyncio.run(run_all(chosen, asked.mails))
    seconds = time.monotonic() - started
    print(f"\n{summary([*found.values()])} In {seconds / 60:.0f} minutes.")
    if asked.write:
        write(asked.write, cells(), found, where, seconds)
    return int(any(books.wrong for books in found.values()))


async def run_all(chosen: Sequence[Cell], mails: int) -> dict[Cell, Books]:
    """Of a deployment one after another, on servers that are started once; AT_ONCE deployments side by side."""
    found: dict[Cell, Books] = {}
    turns = asyncio.Semaphore(AT_ONCE)

    async def run_deployment(deployment: int) -> None:
        async with turns, ground(deployment) as servers:
            for cell in chosen:
                if cell.deployment == deployment:
                    found[cell] = await books_of(cell, servers, mails)
                    print(row(cell, found[cell]), flush=True)

    sizes = Counter(cell.deployment for cell in chosen)
    async with asyncio.TaskGroup() as tasks:
        for deployment, _ in sizes.most_common():
            tasks.create_task(run_deployment(deployment))
    return found


async def books_of(cell: Cell, servers: Ground, mails: int) -> Books:
    """Of one that does not come to its end, why: what went wrong first."""
    try:
        return await run(cell, servers, mails)
    except Exception as error:
        first: BaseException = error
        while first.__context__ is not None:
            first = first.__context__
        return Books(wrong=[f"{type(first).__name__}: {first}"])


if __name__ == "__main__":
    sys.exit(main())
