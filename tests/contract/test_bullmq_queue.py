"""The queue `redis://` keeps the contract, on a real Redis; and what is only true of BullMQ."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bullmq import Queue as Board

from posthouse.mail.errors import StoreAway
from posthouse.queue.base import Hint, QueueAway, QueueUnfit, Taken, Unreadable
from posthouse.queue.bullmq import BullQueue
from posthouse.testing.queue import QueueContract, Worker, consuming, eventually
from posthouse.testing.sink_tls import Authority
from tests.journey.house import until
from tests.redis_server import RedisServer


@pytest.fixture
def url(redis: str) -> str:
    """A queue of this test's own."""
    return f"{redis}?queue={uuid4().hex}"


@pytest.fixture
async def queue(url: str) -> AsyncIterator[BullQueue]:
    queue = BullQueue(url)
    await queue.start()
    yield queue
    await queue.stop()


@pytest.fixture
async def board(url: str) -> AsyncIterator[Board]:
    """The same queue as another program sees it."""
    where, _, name = url.partition("?queue=")
    board = Board(name, {"connection": where})
    yield board
    await board.close()


class TestBullQueue(QueueContract):
    """Everything in QueueContract, each in a queue of its own."""


class Holder:
    """A handler that leases what it hears of, and settles it when told."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self.taken: list[Taken] = []

    async def __call__(self, hint: Hint) -> Taken:
        self.hints.append(hint)
        self.taken.append(Taken(hint.ids))
        return self.taken[-1]

    def settle(self) -> None:
        for hint, taken in zip(self.hints, self.taken, strict=True):
            for id in hint.ids:
                taken.settled(id)

    @property
    def ids(self) -> list[str]:
        return [id for hint in self.hints for id in hint.ids]


def plain(id: str = "one") -> Hint:
    return Hint("transactional", (id,))


async def counted(board: Board, **wanted: int) -> None:
    """Returns when so many jobs are in these states."""

    async def met() -> bool:
        counts = await board.getJobCounts(*wanted)
        return counts == wanted

    await until(met, 20, lambda: f"never {wanted}")


# Jobs.


async def test_a_job_is_active_until_all_of_it_is_settled(queue: BullQueue, board: Board) -> None:
    holder = Holder()
    task = asyncio.create_task(queue.consume(holder))
    await queue.publish([Hint("transactional", ("one", "two"))])
    await eventually(lambda: bool(holder.taken))
    holder.taken[0].settled("one")
    await counted(board, active=1, completed=0)
    holder.taken[0].settled("two")
    await counted(board, active=0, completed=1)
    task.cancel()


async def test_jobs_that_wait_for_their_settling_do_not_hold_up_the_next(
    queue: BullQueue, board: Board
) -> None:
    holder = Holder()
    task = asyncio.create_task(queue.consume(holder))
    for number in range(300):
        await queue.publish([plain(f"id-{number}")])
    await eventually(lambda: len(holder.ids) == 300)
    await counted(board, active=300)
    holder.settle()
    await counted(board, active=0, wait=0)
    task.cancel()


async def test_under_load_the_batch_is_the_job(queue: BullQueue, board: Board) -> None:
    """Hints of one publish share jobs, a hundred messages each; transactional has no priority, so it runs first."""
    bulk = [Hint("bulk", (f"b{number}",)) for number in range(3)]
    await queue.publish([*bulk, *(plain(f"t{number}") for number in range(250)), plain("t0")])
    found = [
        (job.name, job.data, job.priority) for job in await board.getJobs(["wait", "prioritized"], asc=True)
    ]
    waiting = [job for job in found if job[2] == 0]
    assert sorted(len(data["ids"]) for _, data, _ in waiting) == [50, 100, 100]
    assert {name for name, _, _ in found} == {"send"}
    assert [job for job in found if job[2]] == [("send", {"ids": ["b0", "b1", "b2"], "lane": "bulk"}, 10)]


async def test_transactional_runs_before_bulk_that_came_first(queue: BullQueue) -> None:
    for number in range(5):
        await queue.publish([Hint("bulk", (f"b{number}",))])
    await queue.publish([plain("urgent")])
    order: list[str] = []

    async def handler(hint: Hint) -> Taken:
        order.extend(hint.ids)
        return Taken()

    task = asyncio.create_task(queue.consume(handler))
    await eventually(lambda: len(order) == 6)
    assert order[0] == "urgent"
    task.cancel()


async def test_much_bulk_that_finds_no_room_leaves_the_door_to_transactional(queue: BullQueue) -> None:
    """It is not fetched beyond what may wait, so other workers find it, too."""
    heard: list[str] = []

    async def handler(hint: Hint) -> Taken:
        if hint.lane == "bulk":
            await asyncio.Event().wait()
        heard.extend(hint.ids)
        return Taken()

    task = asyncio.create_task(queue.consume(handler))
    await queue.publish([Hint("bulk", tuple(f"b{number}" for number in range(2000)))])
    await until(lambda: left(queue), 20)
    for number in range(20):
        await queue.publish([plain(f"t{number}")])
        await eventually(lambda number=number: f"t{number}" in heard)
    assert (await queue.depth())["bulk"] >= 15
    task.cancel()


async def left(queue: BullQueue) -> bool:
    return (await queue.depth())["bulk"] < 20


async def test_finished_jobs_are_trimmed(queue: BullQueue, board: Board) -> None:
    async with consuming(queue, Worker()):
        for number in range(150):
            await queue.publish([plain(f"id-{number}")])
        await counted(board, wait=0, active=0, completed=100)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("paint", {"ids": ["one"]}, "there are no jobs of this name here"),
        ("send", {"ids": ["one"], "lane": "slow"}, "the data must be"),
        ("send", {"ids": [1]}, "the data must be"),
        ("send", {"ids": ["a\x00b"]}, "the data must be"),
        ("send", [1, 2], "the data must be"),
        ("send", {"to": "ann@example.org"}, "foreign producers"),
    ],
)
async def test_what_cannot_be_read_fails_with_its_reason_and_stops_nobody(
    queue: BullQueue, board: Board, name: str, data: Any, reason: str
) -> None:
    await board.add(name, data, {"attempts": 5})
    worker = Worker()
    async with consuming(queue, worker):
        await queue.publish([plain("next")])
        await eventually(lambda: worker.heard_of("transactional", "next"))
        await counted(board, failed=1, active=0, wait=0, delayed=0)
    (job,) = await board.getFailed()
    assert reason in job.failedReason


@pytest.mark.parametrize("data", ['{"ids": ["on', "\xff", ""])
async def test_what_bullmq_itself_cannot_read(queue: BullQueue, board: Board, data: str) -> None:
    job = await board.add("send", {"ids": ["one"]})
    await board.client.hset(board.toKey(job.id), "data", data.encode("latin-1"))
    worker = Worker()
    async with consuming(queue, worker):
        await queue.publish([plain("next")])
        await eventually(lambda: worker.heard_of("transactional", "next"))
        await counted(board, failed=1, active=0)
    assert "not JSON" in (await board.client.hget(board.toKey(job.id), "failedReason"))


async def test_an_error_of_ours_is_tried_again(queue: BullQueue, board: Board) -> None:
    worker = Worker(RuntimeError("a bug"))
    async with consuming(queue, worker):
        await queue.publish([plain()])
        await counted(board, delayed=1)
        await counted(board, delayed=0, completed=1)
    assert len(worker.hints) == 2


async def test_while_the_store_is_away_the_job_is_held_not_given_back(queue: BullQueue, board: Board) -> None:
    worker = Worker(StoreAway("away"))
    async with consuming(queue, worker):
        await queue.publish([plain()])
        await eventually(lambda: len(worker.hints) == 1)
        await counted(board, active=1)
        await counted(board, active=0, completed=1, failed=0)
    (job,) = await board.getCompleted()
    assert (len(worker.hints), job.attemptsMade) == (2, 1)


# Foreign producers.


class Shelf:
    """Stores foreign mail: keeps what it gets; raises `errors` first."""

    def __init__(self, *errors: Exception) -> None:
        self.stored: list[tuple[Any, str, str]] = []
        self._errors = list(errors)

    async def __call__(self, raw: bytes, queue: str, name: str) -> Hint:
        self.stored.append((json.loads(raw), queue, name))
        if self._errors:
            raise self._errors.pop(0)
        return Hint("transactional", (f"id-of-{name.split()[0]}",))


@asynccontextmanager
async def taking(url: str, foreign: Shelf, worker: Worker) -> AsyncIterator[None]:
    queue = BullQueue(url, foreign)
    await queue.start()
    async with consuming(queue, worker):
        yield
    await queue.stop()


async def test_foreign_mail_is_stored_under_its_name_and_taken(url: str, board: Board) -> None:
    mail = {"to": "ann@example.org", "subject": "Ü", "body": "b"}
    job = await board.add("send", mail)
    shelf, worker = Shelf(), Worker()
    async with taking(url, shelf, worker):
        await eventually(lambda: worker.heard_of("transactional", f"id-of-{job.id}"))
    assert shelf.stored == [(mail, board.name, f"{job.id} {job.timestamp}")]


async def test_foreign_mail_waits_for_the_store(url: str, board: Board) -> None:
    job = await board.add("send", {"to": "a"})
    shelf, worker = Shelf(StoreAway("away")), Worker()
    async with taking(url, shelf, worker):
        await eventually(lambda: worker.heard_of("transactional", f"id-of-{job.id}"))
    assert len(shelf.stored) == 2
    await counted(board, failed=0, delayed=0)


async def test_foreign_mail_that_cannot_be_read(url: str, board: Board) -> None:
    await board.add("send", {"to": "a"}, {"attempts": 3})
    shelf, worker = Shelf(Unreadable("/to: must be an address")), Worker()
    async with taking(url, shelf, worker):
        await counted(board, failed=1)
    (job,) = await board.getFailed()
    assert (job.failedReason, job.stacktrace) == ("/to: must be an address", [])


# Death and drain.


async def test_a_stop_puts_back_at_once_what_is_not_settled(url: str, board: Board) -> None:
    queue, holder = BullQueue(url), Holder()
    await queue.start()
    task = asyncio.create_task(queue.consume(holder))
    await queue.publish([plain()])
    await eventually(lambda: bool(holder.taken))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await queue.stop()
    worker = Worker()
    async with taking(url, Shelf(), worker):
        await eventually(lambda: worker.heard_of("transactional", "one"))
        await counted(board, completed=1)
    (job,) = await board.getCompleted()
    assert (job.attemptsMade, job.stalledCounter) == (1, 0)


async def test_what_is_settled_after_the_last_job_was_taken_is_acked_by_the_stop(
    url: str, board: Board
) -> None:
    """A worker stops taking, then drains, then the queue is stopped."""
    queue, holder = BullQueue(url), Holder()
    await queue.start()
    task = asyncio.create_task(queue.consume(holder))
    await queue.publish([plain()])
    await eventually(lambda: bool(holder.taken))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    holder.settle()
    await counted(board, completed=1)
    await queue.stop()


async def test_stalls_burn_no_attempts(url: str, board: Board) -> None:
    """Its lock is lost again and again, as when worker after worker dies: BullMQ's own limit is one stall."""
    queue, holder = BullQueue(url, lock=0.4), Holder()
    await queue.start()
    task = asyncio.create_task(queue.consume(holder))
    await queue.publish([plain()])
    for deaths in range(1, 4):
        await eventually(lambda deaths=deaths: len(holder.taken) == deaths)
        await board.client.delete(f"{board.toKey('1')}:lock")
    await eventually(lambda: len(holder.taken) == 4)
    holder.settle()
    await counted(board, completed=1, failed=0)
    (job,) = await board.getCompleted()
    assert (job.stalledCounter, job.attemptsMade) == (3, 1)
    task.cancel()
    await queue.stop()


async def test_locks_are_renewed_while_nothing_is_settled(url: str, board: Board) -> None:
    """Two workers, a lock of 0.6 s, a job that takes 2.5 s: the other one never gets it."""
    first, second = BullQueue(url, lock=0.6), BullQueue(url, lock=0.6)
    holder, other = Holder(), Worker()
    await first.start()
    await second.start()
    await first.publish([plain()])
    task = asyncio.create_task(first.consume(holder))
    await eventually(lambda: bool(holder.taken))
    loop = asyncio.get_running_loop()
    ends = loop.time() + 2.5
    async with consuming(second, other):
        await until(lambda: loop.time() > ends, 5)
    assert (other.hints, len(holder.hints)) == ([], 1)
    holder.settle()
    await counted(board, completed=1)
    task.cancel()
    await first.stop()
    await second.stop()


# A Redis of its own.


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()


async def test_down_at_the_start_it_comes_later(server: RedisServer) -> None:
    queue, worker = BullQueue(server.url), Worker()
    await queue.start()
    with pytest.raises(QueueAway):
        await queue.publish([plain()])
    with pytest.raises(QueueAway):
        await queue.depth()
    async with consuming(queue, worker):
        await server.start()
        await queue.publish([plain()])
        await eventually(lambda: worker.heard_of("transactional", "one"))
    await queue.stop()


async def test_after_a_restart_it_goes_on(server: RedisServer) -> None:
    await server.start()
    queue, worker = BullQueue(server.url), Worker()
    await queue.start()
    async with consuming(queue, worker):
        for round in ("one", "two", "three"):
            await queue.publish([plain(round)])
            await eventually(lambda round=round: worker.heard_of("transactional", round))
            server.stop()
            with pytest.raises(QueueAway):
                await queue.publish([plain("lost")])
            await server.start()
    await queue.stop()


async def test_wiped_it_goes_on(server: RedisServer) -> None:
    await server.start()
    queue, holder = BullQueue(server.url), Holder()
    await queue.start()
    task = asyncio.create_task(queue.consume(holder))
    await queue.publish([plain("one")])
    await eventually(lambda: holder.ids == ["one"])
    server.ask("FLUSHALL")
    holder.settle()
    await queue.publish([plain("two")])
    await eventually(lambda: "two" in holder.ids)
    task.cancel()
    await queue.stop()


async def test_one_that_hangs_is_away_and_comes_back(server: RedisServer) -> None:
    await server.start()
    queue, worker = BullQueue(server.url), Worker()
    await queue.start()
    async with consuming(queue, worker):
        loop = asyncio.get_running_loop()
        with server.hanging():
            started = loop.time()
            with pytest.raises(QueueAway):
                await queue.publish([plain("lost")])
            assert loop.time() - started < 5
        await queue.publish([plain()])
        await eventually(lambda: worker.heard_of("transactional", "one"))
    await queue.stop()


async def test_one_that_evicts_is_refused(server: RedisServer) -> None:
    await server.start()
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    queue = BullQueue(server.url)
    with pytest.raises(QueueUnfit, match=r"maxmemory-policy is allkeys-lru, and must be noeviction"):
        await queue.start()
    await queue.stop()


async def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    await server.start()
    server.ask("CONFIG", "SET", "requirepass", "horses")
    for login in ("", "ann:secret@", ":secret@"):
        queue = BullQueue(server.url.replace("://", f"://{login}"))
        with pytest.raises(QueueUnfit, match="refuses us") as refused:
            await queue.start()
        assert "secret" not in str(refused.value)
        await queue.stop()
    queue = BullQueue(server.url.replace("://", "://:horses@"))
    await queue.start()
    assert await queue.depth() == {"transactional": 0, "bulk": 0}
    await queue.stop()
    server.stop()


async def test_one_that_is_too_old_is_refused() -> None:
    """Redis 6.0, as far as its answer to INFO tells."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.upper().startswith(b"INFO"):
                info = b"redis_version:6.0.16\r\nmaxmemory_policy:noeviction\r\n"
                writer.write(b"$%d\r\n%s\r\n" % (len(info), info))
            elif line.upper().startswith(b"HELLO"):
                writer.write(b"%1\r\n+proto\r\n:3\r\n")
            elif line.upper().startswith(b"CLIENT"):
                writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as fake:
        port = fake.sockets[0].getsockname()[1]
        queue = BullQueue(f"redis://127.0.0.1:{port}")
        with pytest.raises(QueueUnfit, match=r"is of version 6\.0\.16; 6\.2 or newer is needed"):
            await queue.start()
        await queue.stop()


async def test_over_tls_the_certificate_is_verified(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis behind a TLS door, as with `rediss://` of a provider."""
    await server.start()
    authority = Authority(("localhost",))

    async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, out = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(_pipe(reader, out), _pipe(inside, writer))

    async with await asyncio.start_server(door, "localhost", 0, ssl=authority.server) as listener:
        url = f"rediss://localhost:{listener.sockets[0].getsockname()[1]}"
        stranger = BullQueue(url)
        await stranger.start()
        with pytest.raises(QueueAway, match="certificate"):
            await stranger.publish([plain()])
        await stranger.stop()
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        queue, worker = BullQueue(url), Worker()
        await queue.start()
        async with consuming(queue, worker):
            await queue.publish([plain()])
            await eventually(lambda: worker.heard_of("transactional", "one"))
        await queue.stop()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
