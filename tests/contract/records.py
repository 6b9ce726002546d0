"""A records role in this process, on a real SQLite store and a real port of the loopback."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio

from posthouse.mail.errors import StoreAway
from posthouse.mail.identity import id_maker
from posthouse.mail.message import Mailbox, Message
from posthouse.proto.records_pb2_grpc import EmailRecordsStub
from posthouse.records import Emails, RecordsServer, Tls, Wake
from posthouse.store.base import Store
from posthouse.store.sqlite import SqliteStore
from posthouse.submission.accept import Accept
from posthouse.submission.auth import Keyring
from posthouse.submission.compose import Rules
from posthouse.submission.event import with_templates
from posthouse.submission.pinned import pin_of
from posthouse.submission.times import wall_clock

MASTER = "a-master-key-of-the-tests"
KEY = (("x-api-key", MASTER),)


@dataclass
class Records:
    """A running records role. `hints` are the ids that workers were told of."""

    server: RecordsServer
    store: SqliteStore
    keys: Keyring
    port: int = 0
    hints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """POSTHOUSE_STORE for it."""
        return f"grpc://127.0.0.1:{self.port}?key={MASTER}"


@asynccontextmanager
async def records(
    folder: Path,
    port: int = 0,
    *,
    rules: Rules | None = None,
    tls: Tls | None = None,
    through: Callable[[Store], Store] = lambda store: store,
) -> AsyncIterator[Records]:
    """A records role with its file in `folder`; `through` puts something before its store."""
    store = SqliteStore(folder / "posthouse.db")
    await store.start()
    keys = Keyring(store, MASTER, wall_clock)
    await keys.refresh()
    new_id = id_maker(lambda: wall_clock() // 1000, random.getrandbits)
    hints: list[str] = []

    def told(messages: Sequence[Message]) -> None:
        hints.extend(message.id for message in messages)

    wake = Wake(told, "store:")

    async def ready() -> dict[str, str]:
        try:
            await store.ping()
        except StoreAway as error:
            return {"store": str(error)}
        return {}

    emails = Emails(
        store=through(store),
        accept=Accept(through(store), wake.accepted, new_id=new_id, hostname="post.example", expire=3600),
        rules=with_templates(rules or Rules(sender=Mailbox("posthouse@post.example"))),
        now=wall_clock,
        new_id=new_id,
        pin=pin_of(store, None),
    )
    server = RecordsServer(f"127.0.0.1:{port}", keys, emails, store, wake, ready, tls)
    running = Records(server, store, keys, await server.start(), hints)
    try:
        yield running
    finally:
        await server.stop()
        await store.stop()


@asynccontextmanager
async def calling(port: int, credentials: Any = None, **options: Any) -> AsyncIterator[Any]:
    """A stub of the public service, as a producer has it."""
    given = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1), *options.items()]
    target = f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
    channel = (
        grpc.aio.secure_channel(target, credentials, options=given)
        if credentials
        else grpc.aio.insecure_channel(target, options=given)
    )
    async with channel:
        yield EmailRecordsStub(channel)
