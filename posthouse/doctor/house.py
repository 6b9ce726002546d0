"""What the doctor can say of the record, the queue and the ways out: it opens each as a house would."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from posthouse.check import Check, Examined, examine_folder
from posthouse.config import BadSettings, Settings, is_loopback
from posthouse.mail.errors import StoreAway, TransportAway
from posthouse.mail.message import SECOND, Lane
from posthouse.queue.base import QueueAway
from posthouse.queue.registry import open_queue
from posthouse.roles.campaigns import check_audience
from posthouse.roles.links import public_url
from posthouse.roles.opened import local_catalog, opened_store
from posthouse.store.base import Query, Store, StoreUnfit
from posthouse.store.migrate import SchemaMismatch
from posthouse.store.registry import is_embedded, sqlite_path
from posthouse.submission.times import wall_clock
from posthouse.transport.base import Transport

PATIENCE = 10.0
"""Seconds that the queue may take to answer."""
LATE = 60
"""Seconds that due mail may wait before it is asked whether anybody works."""
SKEW = 2
"""Seconds by which a record may lie in the future."""


async def examine_record(settings: Settings) -> AsyncIterator[Check]:
    """The store, and the queue that leads to it."""
    if missing := _missing(settings):
        for check in missing:
            yield check
        return
    try:
        async with opened_store(settings, migrating=False) as store:
            for check in [*await _store(store), *await _work(store), await _queue(settings, store)]:
                yield check
    except SchemaMismatch as error:
        yield Check(
            "store", "fail", str(error), "run `posthouse migrate` with this version, or the newer version"
        )
    except StoreUnfit as error:
        yield Check("store", "fail", str(error), "set the server up as docs/reference.md says")
    except (StoreAway, BadSettings) as error:
        yield Check("store", "fail", str(error), "check POSTHOUSE_STORE, and that the server runs")


async def examine_audience(settings: Settings) -> list[Check]:
    """Whether the query for an audience that is elsewhere can be used."""
    with_query = settings.audience_url is not None
    try:
        await check_audience(settings, patient=False)
    except (BadSettings, StoreAway) as error:
        return [
            Check("audience", "fail", str(error), "check POSTHOUSE_AUDIENCE_URL and POSTHOUSE_AUDIENCE_SQL")
        ]
    return [Check("audience", "ok", "the query gives addresses")] if with_query else []


def _missing(settings: Settings) -> list[Check]:
    """An embedded store before its first start: looking at it must not make it."""
    path = Path(sqlite_path(settings.store)).absolute() if is_embedded(settings.store) else None
    if path is None or path.exists():
        return []
    told = Check("store", "ok", "it is not there yet: `posthouse serve` makes it")
    return [told, *examine_folder("store", path.parent)]


async def _store(store: Store) -> list[Check]:
    began = time.monotonic()
    await store.ping()
    took = time.monotonic() - began
    verdict = "ok" if took < 1 else "warn"
    advice = "" if took < 1 else "its disk or its server is busy: see what else writes there"
    found = [Check("store", verdict, f"it answered a write within {took * 1000:.0f} ms", advice)]
    if isinstance(store, Examined):
        found += await store.examine()
    newest = (await store.page(Query(limit=1))).items
    ahead = (newest[0].message.created_at - wall_clock()) / SECOND if newest else 0.0
    if ahead > SKEW:
        text = (
            f"the newest record lies {ahead:.0f} s in the future: a clock was set back, or two do not agree"
        )
        found.append(Check("clock", "warn", text, "let NTP keep the time of this machine and the store's"))
    return found


async def _work(store: Store) -> list[Check]:
    """Whether mail moves."""
    seen = await store.overview()
    waits = 0 if seen.oldest_due_at is None else (wall_clock() - seen.oldest_due_at) // SECOND
    found = [Check("work", "ok", "no mail is overdue")]
    if waits > LATE:
        advice = "start a worker, or see in its log what its transport says; `posthouse explain ID` tells of a mail"
        found = [Check("work", "warn", f"mail has been due for {waits} s and nobody took it", advice)]
    if unknown := seen.states.get("unknown", 0):
        advice = "a person decides: `posthouse explain ID`, `posthouse retry ID`"
        found.append(Check("work", "warn", f"nobody knows of {unknown} mails whether they were sent", advice))
    return found


async def queue_depth(settings: Settings, store: Store) -> dict[Lane, int]:
    """How many hints wait in each lane of the queue. Raises QueueAway, ValueError where the URL is no queue's."""
    try:
        async with asyncio.timeout(PATIENCE):
            queue = open_queue(settings.queue, store.next_due)
            await queue.start()
            try:
                return await queue.depth()
            finally:
                await queue.stop()
    except (OSError, TimeoutError) as error:
        raise QueueAway(str(error) or "no answer in time") from None


async def _queue(settings: Settings, store: Store) -> Check:
    try:
        depth = await queue_depth(settings, store)
    except (QueueAway, ValueError) as error:
        advice = "check POSTHOUSE_QUEUE and its server; meanwhile mail is found through the store, about a second later"
        return Check("queue", "fail", f"it does not answer: {error}", advice)
    return Check("queue", "ok", f"it answers; {sum(depth.values())} hints wait")


def examine_links(settings: Settings) -> list[Check]:
    """Where the links in bulk mail lead, where any leaves the house."""
    if settings.transport.split() == ["inbox:"]:
        return []
    url = public_url(settings)
    parts, found = urlsplit(url), list[Check]()
    advice = "set POSTHOUSE_PUBLIC_URL to the https address at which people reach this server"
    if is_loopback(parts.hostname or ""):
        found.append(
            Check("links", "warn", f"bulk mail has links to {url}, which nobody else reaches", advice)
        )
    elif parts.scheme != "https":
        text = f"bulk mail has links to {url}: without https no mail program offers one click (RFC 8058)"
        found.append(Check("links", "warn", text, advice))
    with contextlib.suppress(BadSettings):  # told of with the store
        found += _own_secret(settings)
    return found or [Check("links", "ok", f"people unsubscribe at {url}/u/…")]


def _own_secret(settings: Settings) -> list[Check]:
    if settings.secret is None and local_catalog(settings) is not None:
        text = "this machine makes links with a secret of its own, so no other one knows them"
        advice = "set POSTHOUSE_SECRET, the same everywhere, or POSTHOUSE_CATALOG=postgresql://…"
        return [Check("links", "warn", text, advice)]
    return []


async def examine_transport(transport: Transport) -> list[Check]:
    part = f"transport {transport.name}"
    try:
        await transport.start()
        try:
            if isinstance(transport, Examined):
                return await transport.examine()
            await transport.probe()
        finally:
            await transport.stop()
    except (TransportAway, OSError) as error:
        return [Check(part, "fail", str(error), "check POSTHOUSE_TRANSPORT and that the other side runs")]
    return [Check(part, "ok", "it answers")]
