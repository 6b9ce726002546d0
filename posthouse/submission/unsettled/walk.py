"""A walk through the work lists, newest first, a slice at a time, so that no question to the store is long."""

from collections import Counter
from collections.abc import AsyncGenerator

from posthouse.mail.message import Message
from posthouse.mail.unsettled import UNSETTLED, Unsettled, Which, chosen
from posthouse.store.base import Listed, Page, Query, Store, UnknownCursor
from posthouse.submission.accept import in_time
from posthouse.submission.bulk.views import PlaceView, ShareView
from posthouse.submission.logs import BAD_CURSOR
from posthouse.submission.problems import invalid
from posthouse.submission.unsettled.views import CountsView

SLICE = 100
"""Mails of a slice."""
LOOKED_AT = 1_000
"""Mails that one page of a list is looked for in, at most."""
COUNTED = 10_000
"""Mails that are counted at most, of each state."""


async def listed(
    store: Store, state: Unsettled, which: Which, limit: int, cursor: str | None
) -> tuple[list[Listed], PlaceView]:
    """A page: mails with a recipient that is chosen. There may be fewer than asked for, and more behind them."""
    found: list[Listed] = []
    for _ in range(LOOKED_AT // SLICE):
        page = await _page(store, state, cursor)
        for item in page.items:
            if len(found) == limit:
                return found, PlaceView(limit, found[-1].message.id)
            if any(chosen(item.message, which)):
                found.append(item)
        cursor = page.next_cursor
        if cursor is None or len(found) == limit:
            break
    return found, PlaceView(limit, cursor)


async def slices(store: Store, which: Which) -> AsyncGenerator[list[Message]]:
    """All mails with a recipient that is chosen; one that is on both lists comes twice."""
    for state in UNSETTLED:
        cursor: str | None = None
        while state in which.states:
            page = await _page(store, state, cursor)
            yield [item.message for item in page.items if any(chosen(item.message, which))]
            cursor = page.next_cursor
            if cursor is None:
                break


async def counted(store: Store, which: Which) -> CountsView:
    """How many there are; not all of them where there are very many."""
    shares, seen, complete = Counter[tuple[str, Unsettled, str]](), set[str](), True
    for state in UNSETTLED:
        if state in which.states:
            complete &= await _count(store, state, which, shares, seen)
    items = [ShareView(domain, state, category, n) for (domain, state, category), n in shares.most_common()]
    return CountsView(shares.total(), len(seen), complete, items)


async def _count(
    store: Store,
    state: Unsettled,
    which: Which,
    shares: Counter[tuple[str, Unsettled, str]],
    seen: set[str],
) -> bool:
    """Counts those of a state; whether it came to the end."""
    cursor: str | None = None
    for _ in range(COUNTED // SLICE):
        page = await _page(store, state, cursor)
        for message in (item.message for item in page.items):
            for each in chosen(message, which):
                if each.state == state:
                    seen.add(message.id)
                    shares[each.email.rpartition("@")[2].lower(), state, each.category or ""] += 1
        cursor = page.next_cursor
        if cursor is None:
            return True
    return False


async def _page(store: Store, state: Unsettled, cursor: str | None) -> Page:
    try:
        return await in_time(store.page(Query(limit=SLICE, cursor=cursor, unsettled=state)))
    except UnknownCursor:
        raise invalid([BAD_CURSOR]) from None
