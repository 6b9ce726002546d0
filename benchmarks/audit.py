"""`posthouse audit` of a store of many mails beside one of a quarter of them: records a second, and peak memory, which must
not grow with the records. Once with nothing wrong, and once with a counter that is, for which all is walked again.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.logs_store import CAMPAIGN, fill
from benchmarks.processes import CLEAN, folder
from posthouse.mail.campaign import Campaign
from posthouse.store.sqlite import campaigns
from posthouse.store.sqlite.writer import connect

MEMORY = 200.0
HARM = "UPDATE counters SET n = n + 1 WHERE name = 'state:sent'"


def measure(mails: int) -> list[Figure]:
    """Records a second, and MiB (the process's greatest size)."""
    figures: list[Figure] = []
    for size in (mails // 4, mails):
        with folder() as place:
            path = place / "posthouse.db"
            fill(path, size)
            _give_campaign(path)
            rate, peak = _audited(path, size, wrong=0)
            figures += [
                Figure(f"audit, {size:,} mails", rate, "mails/s"),
                Figure(f"audit, {size:,} mails, memory", peak, "MiB", MEMORY, less=True),
            ]
            with sqlite3.connect(path) as connection:
                connection.execute(HARM)
            _, peak = _audited(path, size, wrong=1)
            figures.append(
                Figure(f"audit, {size:,}, one thing wrong, memory", peak, "MiB", MEMORY, less=True)
            )
    return figures


def _give_campaign(path: Path) -> None:
    """The campaign that the mails of the filled store are of."""
    connection = connect(str(path))
    campaigns.add(
        connection,
        Campaign(id=CAMPAIGN, template="spring", version=1, phase="running", frozen=True, ready=True),
        "bench",
    )
    connection.close()


def _audited(path: Path, mails: int, wrong: int) -> tuple[float, float]:
    """Any other finding than is expected ends the benchmarks."""
    environ = CLEAN | {
        "POSTHOUSE_STORE": f"sqlite:///{path}",
        "POSTHOUSE_STATE_DIR": str(path.parent / "state"),
    }
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "posthouse.cli", "audit"], env=environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    said = json.loads(process.stdout.read())
    _, _, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if (said["records"], said["wrong"]) != (mails, wrong):
        raise SystemExit(f"the audit found {said}")
    return mails / seconds, usage.ru_maxrss / 1024
