"""Where the numbers come from: around the store, around the routes of HTTP, and two hooks into accept and the worker.

A store is watched from outside: each batch is counted once for all doors that mail comes in by, and no adapter knows.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any, TypeVar, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Event

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.clock import elapsed_clock
from posthouse.mail.advance import Settlement
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import SECOND, Message
from posthouse.metrics.meters import Count, Labels, Meters, Spread
from posthouse.store.base import Draft, Saved, Store
from posthouse.store.catalog.campaigns import Campaigns, Mails, MakeDraft

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
NO_TRANSPORT = "none"
"""The label of an outcome that no transport gave: the worker died, the time was over, it could not be written."""

AttemptOver = Callable[[Attempt, Settlement], None]
"""Hears of an attempt that ended, and of what became of it."""

T = TypeVar("T")


def watch_store(store: Store, meters: Meters) -> Store:
    """The same store, its batches counted. What a store can do beside the port is asked of the store itself: isinstance
    does not see it here."""
    return cast(Store, _WatchedStore(store, meters))


class _WatchedStore:
    """Everything but the calls that mail moves by goes straight through."""

    def __init__(self, store: Store, meters: Meters) -> None:
        self._store, self._meters = store, meters

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def save(self, drafts: Sequence[Draft]) -> list[Saved]:
        results = await self._timed("save", self._store.save(drafts))
        new = [saved.message for saved in results if saved.created]
        for lane, messages in Counter(message.lane for message in new).items():
            self._meters.count("posthouse_accepted_messages_total", lane, by=messages)
            recipients = sum(len(message.recipients) for message in new if message.lane == lane)
            self._meters.count("posthouse_accepted_recipients_total", lane, by=recipients)
        return results

    async def claim(self, owner: str, limit: int, lease: float, **asked: Any) -> list[Message]:
        claimed = await self._timed("claim", self._store.claim(owner, limit, lease, **asked))
        self._count_claimed(claimed, lease)
        return claimed

    async def draw(self, id: str, limit: int, make: MakeDraft, owner: str, lease: float) -> Mails:
        """Of a store that keeps campaigns: made and claimed at once."""
        campaigns = cast(Campaigns, self._store)
        drawn = await self._timed("draw", campaigns.draw(id, limit, make, owner, lease))
        self._count_claimed([message for message, _ in drawn], lease)
        return drawn

    def _count_claimed(self, claimed: Sequence[Message], lease: float) -> None:
        for lane, messages in Counter(message.lane for message in claimed).items():
            self._meters.count("posthouse_claimed_messages_total", lane, by=messages)
            spread = self._meters.spread("posthouse_wait_duration_seconds", lane)
            for message in claimed:
                if message.lane == lane and message.fence == 1:
                    spread.add(_waited(message, lease))

    async def settle(self, settlements: Sequence[Settlement]) -> list[Message | None]:
        messages = await self._timed("settle", self._store.settle(settlements))
        seen = Counter(_told(zip(settlements, messages, strict=True)))
        for (name, *labels), times in seen.items():
            self._meters.count(name, *labels, by=times)
        return messages

    async def _timed(self, call: str, answer: Awaitable[list[T]]) -> list[T]:
        started = perf_counter()
        try:
            results = await answer
        except StoreAway:
            self._meters.count("posthouse_store_failures_total", call)
            raise
        self._meters.spread("posthouse_store_batch_duration_seconds", call).add(perf_counter() - started)
        self._meters.spread("posthouse_store_batch_messages", call).add(len(results))
        return results


def _waited(message: Message, lease: float) -> float:
    """Seconds from when it was first due until the claim just made, on the store's clock as all times of a record."""
    claimed_at = (message.due_at or 0) - lease * SECOND
    return max(0.0, (claimed_at - max(message.created_at, message.scheduled_at or 0)) / SECOND)


def _told(settled: Iterable[tuple[Settlement, Message | None]]) -> Iterator[Labels]:
    """What settlements did to each recipient: a family's name and its labels for each thing to count. A message of
    None says that its settlement came too late."""
    for settlement, message in settled:
        if message is None:
            yield ("posthouse_stale_settlements_total",)
            continue
        lane, transport = message.lane, settlement.transport or NO_TRANSPORT
        if settlement.lost:
            yield "posthouse_lost_messages_total", lane
        for recipient in message.recipients:
            decision = settlement.decisions.get(recipient.email)
            if decision is None:
                continue
            if decision.event in ("return", "wait"):
                yield "posthouse_handed_back_recipients_total", lane
                continue
            outcome = decision.outcome
            if decision.event != "suppress":
                yield "posthouse_outcomes_total", lane, transport, outcome.result, outcome.category
            yield "posthouse_settled_recipients_total", lane, recipient.state


def watch_routes(meters: Meters) -> Callable[[str, ASGIApp], ASGIApp]:
    """Wraps the app of one route, whose template is its label: a path as asked for never is."""
    return lambda route, app: _WatchedRoute(meters, route, app)


class _WatchedRoute:
    """Counts the answers of one route, and how long they took."""

    def __init__(self, meters: Meters, route: str, app: ASGIApp) -> None:
        self._meters, self._route, self._app = meters, route, app
        self._kept: dict[tuple[str, int], tuple[Count, Spread]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = perf_counter(), 0

        def note(event: Event) -> Awaitable[None]:
            nonlocal status
            if "status" in event:
                status = event["status"]
            return send(event)

        await self._app(scope, receive, note)
        if status:  # else the caller hung up, or it was no HTTP
            self._answered(scope["method"], status, perf_counter() - started)

    def _answered(self, method: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else "other"
        kept = self._kept.get((method, status)) or self._keep(method, status)
        kept[0].value += 1
        kept[1].add(seconds)
        if status == 429:
            self._meters.count("posthouse_http_rate_limited_total")

    def _keep(self, method: str, status: int) -> tuple[Count, Spread]:
        labels = method, self._route
        count = self._meters.counter("posthouse_http_responses_total", *labels, f"{status // 100}xx")
        spread = self._meters.spread("posthouse_http_response_duration_seconds", *labels)
        return self._kept.setdefault((method, status), (count, spread))


def accept_times(meters: Meters) -> Callable[[Sequence[float]], None]:
    """Takes the seconds that each mail of a batch waited for its commit."""
    spread = meters.spread("posthouse_accept_duration_seconds")

    def took(seconds: Sequence[float]) -> None:
        for each in seconds:
            spread.add(each)

    return took


def attempt_times(meters: Meters) -> AttemptOver:
    """Takes each attempt that is over; what was handed back was none."""

    def over(attempt: Attempt, settlement: Settlement) -> None:
        transport = settlement.transport
        if transport is None:
            return
        for decision in settlement.decisions.values():
            if decision.tried:
                spread = meters.spread("posthouse_attempt_duration_seconds", attempt.lane, transport)
                spread.add(elapsed_clock() - attempt.started)
                return

    return over
