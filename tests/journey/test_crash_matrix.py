"""The crash matrix (`make crash`) in small: of each deployment a few cells, chosen so that every kind of harm and of part
has one. The server that a cell kills is a deployment's own.
"""

from collections.abc import Sequence

import pytest

from tests.crash import trap
from tests.crash.cell import ALL, KILL, LOST, STOP, Cell
from tests.crash.ground import ground
from tests.crash.matrix import WORKER, cells
from tests.crash.run import run

MAILS = 60
CHOSEN = (
    (
        Cell(1, ALL, KILL, trap.AFTER_COMMIT),
        Cell(1, ALL, KILL, trap.AFTER_END, policy="hold"),
        Cell(1, ALL, LOST),
    ),
    (
        Cell(2, WORKER, KILL, trap.AFTER_REPLY),
        Cell(2, WORKER, STOP, trap.BEFORE_END),
        Cell(2, "PostgreSQL", KILL),
    ),
    (
        Cell(3, "records", KILL, trap.AFTER_SETTLE),
        Cell(3, WORKER, KILL, trap.BEFORE_ACK),
    ),
    (
        Cell(4, WORKER, KILL, trap.BUILDING, policy="hold"),
        Cell(4, WORKER, KILL, trap.AFTER_END, policy="hold"),
    ),
)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("chosen", CHOSEN, ids=lambda chosen: f"deployment {chosen[0].deployment}")
async def test_nothing_is_lost_and_nothing_doubled_without_a_word(chosen: Sequence[Cell]) -> None:
    assert set(chosen) <= set(cells())
    async with ground(chosen[0].deployment) as servers:
        for cell in chosen:
            books = await run(cell, servers, MAILS)
            assert (books.accepted, books.lost, list(books.wrong)) == (MAILS, 0, []), str(cell)
