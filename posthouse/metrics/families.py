"""The table of metrics: every name with its labels and what it says. docs/metrics.md repeats it, held to it by a test.

Rules: base units (seconds, bytes), counters end in `_total`; labels are words of ours or of the settings (lane,
transport, result, state, route), never an address, an id, a path as asked for or a text from outside. A family is of
this process unless it says that it is of the store: such ones are the same in every process, so take their max.
"""

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

CALLS = ("save", "claim", "draw", "settle")
"""The calls of the store that are measured: the batches mail moves in."""

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ATTEMPT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
_WAIT = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
_BATCH = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Family(NamedTuple):
    """One metric; `buckets` are the upper bounds of a histogram, in its unit."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


def _counter(name: str, labels: tuple[str, ...], text: str) -> Family:
    return Family(name, "counter", labels, text)


def _gauge(name: str, labels: tuple[str, ...], text: str) -> Family:
    return Family(name, "gauge", labels, text)


def _histogram(name: str, labels: tuple[str, ...], text: str, buckets: tuple[float, ...]) -> Family:
    return Family(name, "histogram", labels, text, buckets)


_SUBMISSION = (
    _counter(
        "posthouse_accepted_messages_total",
        ("lane",),
        "Messages stored durably; a repeated idempotency key counts once.",
    ),
    _counter("posthouse_accepted_recipients_total", ("lane",), "Recipients of those messages."),
    _histogram(
        "posthouse_accept_duration_seconds",
        (),
        "Time from a checked mail to the commit that holds it.",
        _QUICK,
    ),
    _counter(
        "posthouse_http_responses_total",
        ("method", "route", "status"),
        "HTTP answers by route template and status class, as 2xx.",
    ),
    _histogram(
        "posthouse_http_response_duration_seconds",
        ("method", "route"),
        "Time from the request's head to the end of the answer.",
        _QUICK,
    ),
    _counter("posthouse_http_rate_limited_total", (), "Requests answered 429: too many of one API key."),
)

_RECORD = (
    _histogram(
        "posthouse_store_batch_messages",
        ("call",),
        "Messages that one call of the store took or gave.",
        _BATCH,
    ),
    _histogram(
        "posthouse_store_batch_duration_seconds",
        ("call",),
        "Time of one call of the store, commit included.",
        _QUICK,
    ),
    _counter("posthouse_store_failures_total", ("call",), "Calls that ended without the store's answer."),
    _gauge("posthouse_store_up", (), "Whether the store answered when last looked at: 1 or 0."),
    _gauge("posthouse_messages", ("state",), "Messages in each state, of the whole store."),
    _gauge(
        "posthouse_waiting_messages",
        ("lane",),
        "Messages that are due and held by no worker, of the whole store.",
    ),
    _gauge(
        "posthouse_waiting_age_seconds",
        ("lane",),
        "How long the oldest of them has been due; 0 when none waits; of the whole store.",
    ),
    _gauge("posthouse_queue_up", (), "Whether the queue answered when last looked at: 1 or 0."),
    _gauge("posthouse_queue_hints", ("lane",), "Hints that wait in the queue, of the whole queue."),
)

_DELIVERY = (
    _counter("posthouse_claimed_messages_total", ("lane",), "Messages that this process took on to send."),
    _histogram(
        "posthouse_wait_duration_seconds",
        ("lane",),
        "Time from when a message was first due until it was first claimed.",
        _WAIT,
    ),
    _histogram(
        "posthouse_attempt_duration_seconds",
        ("lane", "transport"),
        "Time from the claim of a message to the transport's last word on it.",
        _ATTEMPT,
    ),
    _counter(
        "posthouse_outcomes_total",
        ("lane", "transport", "result", "category"),
        "What attempts gave, counted by recipient: accepted, deferred, refused or unknown, and of what kind.",
    ),
    _counter(
        "posthouse_settled_recipients_total",
        ("lane", "state"),
        "Recipients by the state that a settled attempt left them in.",
    ),
    _counter(
        "posthouse_handed_back_recipients_total",
        ("lane",),
        "Recipients given back untried: nothing was begun and nothing spent.",
    ),
    _counter(
        "posthouse_lost_messages_total", ("lane",), "Messages settled for a worker that died holding them."
    ),
    _counter(
        "posthouse_stale_settlements_total", (), "Settlements that came too late: the lease had gone on."
    ),
    _gauge("posthouse_held_messages", (), "Messages that this worker holds."),
    _gauge("posthouse_journal_unsettled_messages", (), "Messages whose outcome only the journal has so far."),
)

_TRANSPORT = (
    _gauge("posthouse_transport_connections", ("transport",), "Connections that stand."),
    _gauge("posthouse_transport_connections_limit", ("transport",), "Connections that there may be at most."),
    _gauge(
        "posthouse_transport_in_air_messages", ("transport",), "Messages that connections carry right now."
    ),
    _gauge(
        "posthouse_transport_waiting_messages", ("lane", "transport"), "Messages that wait for a connection."
    ),
    _gauge(
        "posthouse_breaker_open",
        ("transport",),
        "Whether mail is held back from a transport that is away: 1 or 0.",
    ),
    _counter("posthouse_breaker_openings_total", ("transport",), "How often that began."),
    _gauge(
        "posthouse_transport_away_seconds",
        ("transport",),
        "How long a transport has failed without a break; 0 while it works.",
    ),
)

FAMILIES = (
    _gauge("posthouse_build_info", ("version", "python"), "Always 1; its labels say what runs."),
    *_SUBMISSION,
    *_RECORD,
    *_DELIVERY,
    *_TRANSPORT,
)
