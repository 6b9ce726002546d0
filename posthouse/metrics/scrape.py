"""The answer of /metrics: what was counted, and what is so at this moment, as Prometheus reads it.

The store is looked at once a second at most, whoever asks how often, and no longer than it may take; while it is away
everything else is still told. The text is written on a thread, since it takes milliseconds.
"""

import asyncio
import platform
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from posthouse import __version__
from posthouse.delivery.worker import Load
from posthouse.mail.errors import StoreAway
from posthouse.mail.message import LANES, SECOND
from posthouse.metrics.families import FAMILIES, Family
from posthouse.metrics.meters import Labels, Meters
from posthouse.queue.base import Queue, QueueAway
from posthouse.store.base import Overview, Store

CACHED = 1.0
"""Seconds that a look at the store and the queue is good for, at least."""
SHARE = 20
"""A look walks what waits; it may take a twentieth of the time."""
PATIENCE = 2.0
"""Seconds that the store and the queue have to answer: a scrape is given up after ten."""

Values = dict[str, dict[Labels, float]]
"""Family → labels → value."""


class Scrape:
    """Called for each scrape, gives its text. `now` gives microseconds since 1970, as the store's clock does;
    `load` what the worker of this process holds, where it has one."""

    def __init__(
        self,
        registry: CollectorRegistry,
        meters: Meters,
        store: Store,
        queue: Queue,
        now: Callable[[], int],
        load: Callable[[], Load] | None,
    ) -> None:
        self._registry, self._store, self._queue, self._now, self._load = registry, store, queue, now, load
        self._outside: Values = {}
        self._fresh_until = 0.0
        self._looking = asyncio.Lock()
        self._told = Told(meters)
        registry.register(self._told)
        ProcessCollector(registry=registry)

    async def __call__(self) -> bytes:
        async with self._looking:
            loop = asyncio.get_running_loop()
            started = loop.time()
            if started >= self._fresh_until:
                self._outside = {**await self._look_at_store(), **await self._look_at_queue()}
                self._fresh_until = loop.time() + max(CACHED, SHARE * (loop.time() - started))
            self._told.gauges = {**_build(), **self._outside, **(_worker(self._load()) if self._load else {})}
            return await asyncio.to_thread(generate_latest, self._registry)

    async def _look_at_store(self) -> Values:
        try:
            async with asyncio.timeout(PATIENCE):
                seen = await self._store.overview()
        except (StoreAway, TimeoutError):
            return {"posthouse_store_up": {(): 0}}
        return {"posthouse_store_up": {(): 1}, **_overview(seen, self._now())}

    async def _look_at_queue(self) -> Values:
        try:
            async with asyncio.timeout(PATIENCE):
                depth = await self._queue.depth()
        except (QueueAway, TimeoutError):
            return {"posthouse_queue_up": {(): 0}}
        hints = {(lane,): float(depth.get(lane, 0)) for lane in LANES}
        return {"posthouse_queue_up": {(): 1}, "posthouse_queue_hints": hints}


class Told:
    """The families as prometheus-client wants them: a collector."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self.gauges: Values = {}

    def collect(self) -> Iterator[Metric]:
        """Each family that there is something to tell of."""
        for family in FAMILIES:
            metric = self._metric(family)
            if metric.samples:
                yield metric

    def _metric(self, family: Family) -> Metric:
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for labels, spread in self._meters.spreads(family.name):
                histogram.add_metric(labels, spread.buckets, spread.sum)
            return histogram
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=family.labels)
        now = {**self._meters.counts(family.name), **self.gauges.get(family.name, {})}
        for labels, value in now.items():
            metric.add_metric(labels, value)
        return metric


def _build() -> Values:
    return {"posthouse_build_info": {(__version__, platform.python_version()): 1}}


def _overview(seen: Overview, now: int) -> Values:
    ages = {lane: 0 if waiting.since is None else now - waiting.since for lane, waiting in seen.lanes.items()}
    return {
        "posthouse_messages": {(state,): count for state, count in seen.states.items()},
        "posthouse_waiting_messages": {(lane,): waiting.count for lane, waiting in seen.lanes.items()},
        "posthouse_waiting_age_seconds": {(lane,): max(0, age) / SECOND for lane, age in ages.items()},
    }


def _worker(load: Load) -> Values:
    values: Values = {
        "posthouse_held_messages": {(): load.held},
        "posthouse_journal_unsettled_messages": {(): load.unsettled},
    }
    for breaker in load.breakers:
        transport, use = breaker.transport, breaker.transport.use()
        name = transport.name
        _add(values, "posthouse_transport_connections", (name,), use.connections)
        _add(values, "posthouse_transport_connections_limit", (name,), transport.connections)
        _add(values, "posthouse_transport_in_air_messages", (name,), use.in_air)
        for lane in LANES:
            _add(values, "posthouse_transport_waiting_messages", (lane, name), use.waiting.get(lane, 0))
        _add(values, "posthouse_breaker_openings_total", (name,), breaker.openings)
        _most(values, "posthouse_breaker_open", (name,), 0 if breaker.closed.is_set() else 1)
        _most(values, "posthouse_transport_away_seconds", (name,), breaker.away)
    return values


def _add(values: Values, name: str, labels: Labels, value: float) -> None:
    """Two transports of one name (one relay, two users) are told as one."""
    series = values.setdefault(name, {})
    series[labels] = series.get(labels, 0) + value


def _most(values: Values, name: str, labels: Labels, value: float) -> None:
    series = values.setdefault(name, {})
    series[labels] = max(series.get(labels, 0), value)
