"""An audience by role: how long it takes until all of it is frozen, on PostgreSQL and Redis with an api process and two
workers, and how much memory that takes. The limit: the same people put into the same table by one statement.

Nobody takes the mail, so that only the audience is measured.
"""

import time

from benchmarks.bulk import LIMIT_SECONDS, WORKERS, begin
from benchmarks.crowd import ROLE, gather
from benchmarks.figure import Figure, median
from benchmarks.processes import wait_until
from benchmarks.servers import ask, shared, tell

SECONDS = 60.0
MEMORY = 250.0
ANSWER_MS = 200.0
DEAD = "smtp://127.0.0.1:9?tls=none"

_AT_ONCE = f"""
INSERT INTO audience (campaign, email, address, name, roles, variables)
SELECT 'limit', key, email, name, contacts.roles, attributes FROM contact_roles JOIN contacts USING (key)
WHERE role = '{ROLE}'"""


def measure(rounds: int, people: int) -> list[Figure]:
    """So many people of one role."""
    runs = [_round(people) for _ in range(rounds)]
    answer, frozen, limit, memory = (median(values) for values in zip(*runs, strict=True))
    what = f"audience of {people:,} by role"
    return [
        Figure(f"{what}: frozen", frozen, "s", SECONDS, limit, "one statement", less=True),
        Figure(f"{what}: send-bulk answered", answer, "ms", ANSWER_MS, less=True),
        Figure(f"{what}: most memory of a process", memory, "MiB", MEMORY, less=True),
    ]


def _round(people: int) -> tuple[float, float, float, float]:
    with shared(DEAD, WORKERS) as house:
        gather(house.store, people)
        posted = time.perf_counter()
        job = begin(house.api.url)
        began = time.perf_counter()
        wait_until(lambda: _is_frozen(house.store, job), "the audience was not frozen", LIMIT_SECONDS)
        frozen = time.perf_counter() - began
        memory = max(each.peak_memory for each in house.processes)
        return (began - posted) * 1000, frozen, _limit(house.store), memory


def _limit(store: str) -> float:
    start = time.perf_counter()
    tell(store, _AT_ONCE)
    return time.perf_counter() - start


def _is_frozen(store: str, job: str) -> bool:
    return ask(store, f"SELECT (record::json ->> 'frozen')::bool FROM campaigns WHERE id = '{job}'") is True
