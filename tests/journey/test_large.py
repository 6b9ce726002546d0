"""Large mail goes through whole, and beside it small mail is answered; what memory it takes has a bound."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from posthouse.testing.sink import SmtpSink
from tests.journey.house import KEY, House, opened

FILE = 40_000_000
TEXT = 9_900_000
LINE = "Größe und Preis: siehe unten. .\r\n.\r\nFrom hier\n"
MEMORY = 700
"""MiB. Six requests of 53 MB are 320 at once, and each is in memory several times on its way."""
PATIENCE = 4.0
"""Seconds in which a small request must be answered, on a machine that has other tests to run: without a way past
large mail it waits for all of it, which takes longer."""
MOST = "60MB"
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}


def request(**fields: Any) -> bytes:
    return json.dumps({"to": "ann@example.org", "subject": "Large", **fields}, ensure_ascii=False).encode()


def with_file(content: bytes) -> bytes:
    file = {"filename": "film.bin", "content": base64.b64encode(content).decode()}
    return request(text="See the file.", attachments=[file])


def with_text() -> tuple[bytes, str]:
    text = LINE * (TEXT // len(LINE.encode()))
    return request(text=text), text


async def post(house: House, body: bytes) -> str:
    """From a thread, so that writing it does not hold up the requests that are measured."""

    def ask() -> str:
        connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/email/send", body, HEADERS)
            answer = connection.getresponse()
            assert answer.status == 202, answer.read()
            return answer.headers["X-Message-Id"]

    return await asyncio.to_thread(ask)


def peak_memory(house: House) -> int:
    """The most MiB that the process ever had."""
    assert house.process is not None
    status = Path(f"/proc/{house.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


def decoded(data: bytes, after: bytes, until: bytes) -> bytes:
    """The base64 between two marks: the standard library takes half a minute for a mail of this size."""
    _, found, rest = data.partition(after)
    assert found
    return base64.b64decode(rest.partition(until)[0])


async def test_forty_megabytes_of_file_and_ten_of_text_arrive_whole(tmp_path: Path) -> None:
    content = os.urandom(FILE)
    long, text = with_text()
    transport = "smtp://127.0.0.1:{}?tls=none"
    async with SmtpSink() as sink, opened(tmp_path, transport.format(sink.port), max_body=MOST) as house:
        ids = [await post(house, with_file(content)), await post(house, long)]
        await house.until_all(ids, "sent", "failed", seconds=60)
        arrived = {mail.message_id: mail.data for mail in sink.mails}
        assert len(arrived) == len(sink.mails) == 2
    filed, texted = (arrived[f"<{id}@house.test>"] for id in ids)
    assert decoded(filed, b'filename="film.bin"\r\n\r\n', b"\r\n--") == content
    assert decoded(texted, b"base64\r\n\r\n", b"\r\n\r\n").decode() == text.replace("\r", "").replace(
        "\n", "\r\n"
    )


@asynccontextmanager
async def taking_sink(folder: Path) -> AsyncGenerator[str]:
    """The transport to a mail server in a process of its own, so that its work does not hold up who measures here."""
    command = [sys.executable, "-m", "posthouse.testing.sink"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=folder)
    try:
        assert process.stdout is not None
        ready = await asyncio.wait_for(process.stdout.readline(), 20)
        yield f"{ready.split()[1].decode()}?tls=none"
    finally:
        process.terminate()
        await process.wait()


async def test_small_mail_is_answered_beside_large_and_memory_has_a_bound(tmp_path: Path) -> None:
    """Six files of 40 MB and three long texts are posted at once; small requests go on until all is sent."""
    file, long = with_file(os.urandom(FILE)), with_text()[0]
    waits: list[float] = []
    over = asyncio.Event()

    async def small(house: House) -> list[str]:
        loop, ids = asyncio.get_running_loop(), list[str]()
        while not over.is_set():
            start = loop.time()
            ids.append(await house.send("bob@example.org"))
            assert (await house.client.get("/livez")).status_code == 200
            waits.append(loop.time() - start)
            await asyncio.sleep(0.01)
        return ids

    async with taking_sink(tmp_path) as transport, opened(tmp_path, transport, max_body=MOST) as house:
        going_on = asyncio.create_task(small(house))
        ids = await asyncio.gather(*(post(house, each) for each in [file] * 6 + [long] * 3))
        await house.until_all(list(ids), "sent", seconds=60)
        over.set()
        await house.until_all(await going_on, "sent", seconds=30)
        assert len(waits) > 20
        assert max(waits) < PATIENCE
        assert peak_memory(house) < MEMORY
