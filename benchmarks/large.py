"""Large mail beside small: files of 40 MB and texts of 10 MB go through, four requests at a time, while small mails are
posted at a slow pace. What the small ones wait for their answers, beside what they wait alone; and peak memory.
"""

import http.client
import json
import os
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from benchmarks.figure import Figure, median
from benchmarks.load import run_load
from benchmarks.processes import KEY, House, folder, house, slow_sink
from benchmarks.request import PATH

RATE = 50
"""Small mails a second."""
SECONDS = 2
"""How long they are posted for one figure."""
AT_ONCE = 4
SLOWEST_MS = 1000.0
MEMORY = 800.0
FILE = 40_000_000
TEXT = 9_900_000


def measure(rounds: int, each: int) -> list[Figure]:
    """So many mails with a file, and as many with a long text."""
    bodies = [_file(), _text()] * each
    runs = [_round(bodies) for _ in range(rounds)]
    beside, alone, rate, peak = (median(values) for values in zip(*runs, strict=True))
    return [
        Figure("small mail beside large, slowest", beside, "ms", SLOWEST_MS, alone, "alone", less=True),
        Figure("large mail accepted", rate, "MB/s"),
        Figure(f"memory, {AT_ONCE} large requests at a time", peak, "MiB", MEMORY, less=True),
    ]


def _round(bodies: list[bytes]) -> tuple[float, float, float, float]:
    with slow_sink(0.0) as port, folder() as place:
        transport = f"smtp://127.0.0.1:{port}?tls=none"
        with house(place, transport, max_body="60MB") as served, ThreadPoolExecutor(AT_ONCE) as pool:
            alone = _slowest(served)
            start = time.perf_counter()
            posted = [pool.submit(_post, served.url, body) for body in bodies]
            beside = _slowest(served)
            while not all(each.done() for each in posted):
                beside = max(beside, _slowest(served))
            seconds = max(each.result() for each in posted) - start
            return beside, alone, sum(map(len, bodies)) / seconds / 1e6, served.peak_memory


def _slowest(served: House) -> float:
    return run_load(served.url, RATE * SECONDS, rate=RATE, connections=RATE)["max_ms"]


def _post(url: str, body: bytes) -> float:
    """When it was answered; anything but 202 ends the benchmarks."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection.request("POST", PATH, body, headers)
    answer = connection.getresponse()
    if answer.status != 202:
        raise SystemExit(f"a large mail was answered with {answer.status}: {answer.read()!r}")
    connection.close()
    return time.perf_counter()


def _file() -> bytes:
    content = b64encode(os.urandom(FILE)).decode()
    file = {"filename": "film.bin", "content": content}
    return _mail(text="See the file.", attachments=[file])


def _text() -> bytes:
    line = "Größe und Preis der Ware stehen auf dem beiliegenden Blatt, mit Gruß.\n"
    return _mail(text=line * (TEXT // len(line.encode())))


def _mail(**fields: object) -> bytes:
    return json.dumps({"to": "ann@example.net", "subject": "Large", **fields}, ensure_ascii=False).encode()
