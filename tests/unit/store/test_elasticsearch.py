"""What needs no server: the URL, the clock, refreshes that are shared, what is remembered, the size of bulks."""

import asyncio

import pytest

from posthouse.config import Settings
from posthouse.roles.opened import local_catalog
from posthouse.store.elasticsearch import recent
from posthouse.store.elasticsearch.address import parse
from posthouse.store.elasticsearch.clock import Clock, own
from posthouse.store.elasticsearch.recent import Recent, Written
from posthouse.store.elasticsearch.session import BULK, Item, Refreshes, parts
from posthouse.store.registry import catalog_url


def test_a_url_with_everything() -> None:
    address = parse("elasticsearch://us%40er:p%3Aw@es.example:9201/mail")
    assert (address.url, address.index) == ("https://es.example:9201", "mail")
    assert address.login == ("us@er", "p:w")
    assert address.shown == "es.example:9201/mail"


def test_defaults() -> None:
    assert parse("elasticsearch://[::1]/mail").url == "http://[::1]:9200"
    assert parse("elasticsearch://u:p@host/mail?tls=none").url == "http://host:9200"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("elasticsearch://host:9200", "is written elasticsearch://host:9200/index"),
        ("elasticsearch://host/Mail", "lower case"),
        ("elasticsearch://host/a,b", "is written"),
        ("elasticsearch://host/mail?shards=3", "shards: is not an option"),
        ("elasticsearch://host/mail?tls=maybe", "tls: must be none or verify"),
    ],
)
def test_what_is_not_understood(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(url)


def test_a_clock_that_agrees_is_left_alone() -> None:
    clock, at = Clock(), own()
    clock.set(at, (at + 2_000) // 1000, at + 4_000)
    assert abs(clock.now() - own()) < 1_000


@pytest.mark.parametrize("seconds", [-90, 90])
def test_a_clock_that_differs_follows_the_masters(seconds: int) -> None:
    clock, at = Clock(), own()
    clock.set(at, at // 1000 + seconds * 1000, at + 2_000)
    assert abs(clock.now() - own() - seconds * 1_000_000) < 100_000


def test_ticks_only_grow() -> None:
    clock = Clock()
    ticks = [clock.tick() for _ in range(1000)]
    clock.set(own(), own() // 1000 - 60_000, own())
    ticks += [clock.tick() for _ in range(1000)]
    assert sorted(set(ticks)) == ticks


async def test_those_who_ask_while_a_refresh_runs_share_the_next() -> None:
    shared, gate, begun = Refreshes(), asyncio.Event(), 0

    async def refresh() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    first = asyncio.create_task(shared.share("mail", refresh))
    await asyncio.sleep(0)
    others = [asyncio.create_task(shared.share("mail", refresh)) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *others)
    assert begun == 2, "what runs may have missed what the others wrote"


async def test_a_refresh_that_failed_is_nobodys_refresh() -> None:
    shared, gate, begun = Refreshes(), asyncio.Event(), 0

    async def refresh() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()
        if begun == 2:
            raise OSError

    calls = [asyncio.create_task(shared.share("mail", refresh)) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), OSError, type(None)]
    assert begun == 3


async def test_a_search_that_may_see_a_little_less_shares_the_last_refresh() -> None:
    shared, begun = Refreshes(), 0

    async def refresh() -> None:
        nonlocal begun
        begun += 1

    for age in (60.0, 60.0, 0.0, 60.0):
        await shared.share("mail", refresh, age)
    assert begun == 2
    await shared.share("other", refresh, 60.0)
    assert begun == 3


def test_what_was_written_last_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Written(b"x" * 1000, b"y" * 1000, [], (1, 1))
    monkeypatch.setattr(recent, "BYTES", 3 * one.size)
    kept = Recent()
    for id in ("a", "b", "a", "c", "d"):
        kept.put(id, one)
    assert [id for id in "abcd" if kept.get(id)] == ["a", "c", "d"], "the oldest goes first"
    kept.put("c", one._replace(record=b"x" * recent.LARGEST))
    assert kept.get("c") is None, "too large"
    kept.drop("a")
    kept.put("e", one)
    kept.put("f", one)
    assert [id for id in "adef" if kept.get(id)] == ["d", "e", "f"]


def test_bulks_are_bounded_and_a_large_item_goes_alone() -> None:
    small, large = Item("create", "mail", "a", b"x" * 1000), Item("create", "mail", "b", b"x" * (BULK + 1))
    assert parts([small, small, large, small]) == [[0, 1], [2], [3]]
    assert len(parts([small] * 20_000)) == 3
    assert parts([]) == []


@pytest.mark.parametrize(
    ("store", "given", "where"),
    [
        ("sqlite:///a.db", None, None),
        ("postgresql://host/db", None, None),
        ("elasticsearch://host/mail", None, "sqlite:///posthouse.db"),
        ("elasticsearch://host/mail", "postgresql://host/db", "postgresql://host/db"),
        ("sqlite:///a.db", "sqlite:///a.db", None),
    ],
)
def test_where_the_catalog_is(store: str, given: str | None, where: str | None) -> None:
    assert catalog_url(store, given) == where


def test_a_catalog_that_only_this_machine_has_is_known() -> None:
    """Which is said at start, where others may share the store."""
    shared = "elasticsearch://host/mail"
    assert local_catalog(Settings(store=shared)) == "sqlite:///posthouse.db"
    assert local_catalog(Settings(store="postgresql://host/a", catalog="sqlite:///b")) == "sqlite:///b"
    assert local_catalog(Settings(store=shared, catalog="postgresql://host/a")) is None
    assert local_catalog(Settings(store="sqlite:///a", catalog="sqlite:///b")) is None
    assert local_catalog(Settings(store="grpc://host:1")) is None


def test_a_catalog_is_sql() -> None:
    with pytest.raises(ValueError, match="POSTHOUSE_CATALOG: must be"):
        catalog_url("elasticsearch://host/mail", "elasticsearch://host/mail")
