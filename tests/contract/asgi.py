"""Asks the api role in this process, as a server would: the app before a real SQLite store, and a small ASGI caller."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp

from posthouse.app import Api, build_app
from posthouse.config import Settings
from posthouse.delivery.render import Renderer
from posthouse.feedback.generic import GenericHook
from posthouse.mail.advance import Settlement
from posthouse.mail.campaign import Campaign, Person
from posthouse.mail.identity import id_maker
from posthouse.mail.message import Mailbox, Message
from posthouse.mail.outcome import Outcome
from posthouse.mail.retry import Decision
from posthouse.mail.unsubscribe import Links, key_of
from posthouse.queue.store import StoreQueue
from posthouse.roles.templates import open_shelf
from posthouse.store.catalog.contacts import Headcount
from posthouse.store.sqlite import SqliteStore
from posthouse.submission.accept import Accept
from posthouse.submission.auth import Keyring
from posthouse.submission.bulk.announce import Announcements
from posthouse.submission.bulk.create import Bulk
from posthouse.submission.compose import Rules
from posthouse.submission.endpoint import Gate
from posthouse.submission.pinned import pin_of
from posthouse.submission.ratelimit import Rate, RateLimiter
from posthouse.submission.times import wall_clock
from posthouse.suppressed import SuppressionList
from tests.contract.conformance import Document

LINK_KEY = key_of("what links are made with in the tests")
LINKS = Links("https://post.example", LINK_KEY)
MASTER = "a master key of the tests"
WEBHOOK_KEY = b"what webhooks are signed with"
BEARER = {"authorization": f"Bearer {MASTER}"}
JSON = {"content-type": "application/json"}
MAIL = {"to": "ann@example.org", "subject": "Hello", "body": "Hi Ann"}


_DOCUMENTS: list[Document] = []


@dataclass
class Reply:
    """What the app answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as plain data."""
        return msgspec.json.decode(self.body)

    @property
    def pointers(self) -> list[str]:
        """Where a problem document says that something is wrong; fails for what is not such a document."""
        assert self.headers["content-type"] == "application/problem+json"
        return [error["pointer"] for error in self.json.get("errors", [])]


@dataclass
class House:
    """An api role and what stands behind it. `hints` are the ids that workers were told of."""

    app: ASGIApp
    store: SqliteStore
    keys: Keyring
    hints: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A request with the master key. `body` is JSON-encoded unless it is bytes or a list of chunks (bytes)."""
        headers = options.pop("headers", BEARER)
        chunks = _chunks(body)
        if body is not None:
            headers = JSON | headers
        if isinstance(body, list) and body and isinstance(body[0], bytes):
            headers = {"transfer-encoding": "chunked"} | headers
        elif body is not None:
            headers = {"content-length": str(len(chunks[0]))} | headers
        reply = await call(self.app, method, path, chunks, headers)
        if reply.status:
            document = await self.document()
            document.check(method, unquote(path.partition("?")[0]), reply.status, reply.headers, reply.body)
        return reply

    async def document(self) -> Document:
        """What the app says of itself: the same in every house, so it is read once."""
        if not _DOCUMENTS:
            _DOCUMENTS.append(Document((await call(self.app, "GET", "/openapi.json", [b""], {})).body))
        return _DOCUMENTS[0]

    async def send(self, mail: Any = None, **headers: str) -> Reply:
        """POST /email/send; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", "/email/send", MAIL if mail is None else mail, headers=BEARER | named)

    async def sent(self, mail: Any = None) -> str:
        """Sends a mail that must be accepted; its id."""
        reply = await self.send(mail)
        assert reply.status == 202, reply.body
        return reply.headers["x-message-id"]

    async def settle(self, id: str, outcome: Outcome, event: Any) -> Message:
        """Lets a worker claim a mail and settle each recipient with one event of the lifecycle."""
        (claimed,) = await self.store.claim("worker", 1, 60, ids=[id])
        decisions = {r.email: Decision(event=event, outcome=outcome) for r in claimed.recipients}
        settlement = Settlement(id=id, fence=claimed.fence, transport="inbox", decisions=decisions)
        (settled,) = await self.store.settle([settlement])
        assert settled is not None
        return settled


@asynccontextmanager
async def house(
    folder: Path, *, rate: Rate | None = None, clock: Any = None, **options: Any
) -> AsyncIterator[House]:
    """A house in `folder`. Options are those of Api, and max_body, rules, ready, suppressed."""
    store = SqliteStore(folder / "posthouse.db")
    await store.start()
    keys = Keyring(store, MASTER, wall_clock)
    await keys.refresh()
    hints: list[str] = []

    def hint(messages: Sequence[Message]) -> None:
        hints.extend(message.id for message in messages)

    new_id = id_maker(lambda: wall_clock() // 1000, random.getrandbits)
    limiter = RateLimiter(rate, clock) if rate else None
    suppressed = options.pop("suppressed", SuppressionList(store))
    accept = Accept(
        options.pop("saver", store),
        hint,
        new_id=new_id,
        hostname="post.example",
        expire=3600,
        suppressed=suppressed,
    )
    renderer = Renderer(None, LINKS)
    api = Api(
        store=store,
        catalog=store,
        accept=accept,
        hint=hint,
        gate=Gate(keys, limiter, options.pop("max_body", 100_000)),
        rules=options.pop("rules", Rules(sender=Mailbox("posthouse@post.example"), find=lambda id: None)),
        ready=options.pop("ready", _all_ready),
        now=wall_clock,
        hooks=[GenericHook([WEBHOOK_KEY.decode()])],
        bulk=_bulk(store, new_id),
        contacts=store,
        shelf=open_shelf(
            Settings(hostname="post.example", from_="posthouse@post.example"), store, store, accept, renderer
        ),
        pin=pin_of(store, None),
        suppressed=suppressed,
        link_keys=[LINK_KEY],
        **options,
    )
    try:
        yield House(build_app(api), store, keys, hints)
    finally:
        renderer.stop()
        await store.stop()


def _bulk(store: SqliteStore, new_id: Callable[[], str]) -> Bulk:
    async def reach(campaign: Campaign, people: Sequence[Person]) -> Headcount:
        return (
            await store.contact_count(campaign.roles)
            if campaign.roles
            else Headcount(len(people), len(people))
        )

    return Bulk(
        campaigns=store,
        trail=store,
        newest=store.template_head,
        reach=reach,
        announcements=Announcements(StoreQueue(store.next_due), store),
        rules=Rules(sender=Mailbox("posthouse@post.example")),
        new_id=new_id,
        now=wall_clock,
        expire=3600,
        stopping=asyncio.Event(),
    )


async def call(app: ASGIApp, method: str, path: str, chunks: list[bytes], headers: dict[str, str]) -> Reply:
    """One request; `chunks` come one by one, as the app asks for them, and the caller hangs up after a None."""
    place, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(place),
        "raw_path": place.encode(),
        "query_string": query.encode(),
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ],
    }
    waiting = list(chunks)
    events: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()  # the caller stays until it has the answer
        chunk = waiting.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(event: Any) -> None:
        events.append(event)

    await app(scope, receive, send)
    if not events:
        return Reply(0, {}, b"")
    start, *pieces = events
    shown = {name.decode(): value.decode() for name, value in start["headers"]}
    chunks[:] = waiting
    return Reply(start["status"], shown, b"".join(piece["body"] for piece in pieces))


def _chunks(body: Any) -> list[Any]:
    if body is None:
        return [b""]
    if isinstance(body, bytes):
        return [body]
    if isinstance(body, list) and body and isinstance(body[0], bytes):
        return body
    return [msgspec.json.encode(body)]


async def _all_ready() -> dict[str, str]:
    return {}
