"""From Settings to what the worker role is made of: queue, transports, policy, worker."""

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from functools import partial

from posthouse.config import BadSettings, Settings
from posthouse.delivery.announce import Tell
from posthouse.delivery.campaigns import Bulk
from posthouse.delivery.hands import WorkerOptions
from posthouse.delivery.manner import FindMade
from posthouse.delivery.worker import Worker
from posthouse.mail.address import parse_mailbox
from posthouse.mail.errors import BadAddress
from posthouse.mail.identity import id_maker
from posthouse.mail.retry import Policy
from posthouse.mail.unsubscribe import Links
from posthouse.metrics.watch import AttemptOver
from posthouse.queue.base import Queue, Statuses
from posthouse.queue.registry import Listen, open_queue
from posthouse.roles.opened import named
from posthouse.store.base import EVENT, Store
from posthouse.store.registry import (
    is_embedded,
)
from posthouse.submission.accept import Accept
from posthouse.submission.compose import Rules
from posthouse.submission.event import accept_event, with_templates
from posthouse.submission.foreign import accept_foreign
from posthouse.submission.pinned import Pin
from posthouse.submission.times import wall_clock
from posthouse.suppressed import SuppressionList
from posthouse.templates import TemplateFolder
from posthouse.transport.base import Transport
from posthouse.transport.pace import Pacer, Pacing, SharedPace, alone
from posthouse.transport.registry import Surroundings, open_transports


def open_queue_of(
    settings: Settings, store: Store, suppressed: SuppressionList, listen: Listen | None, pin: Pin
) -> Queue:
    """The queue, and how mail that other programs put into it becomes a record; `pin` finds templates of the catalog."""
    accept = Accept(
        store,
        lambda messages: None,
        new_id=new_id(),
        hostname=settings.hostname,
        expire=settings.expire,
        suppressed=suppressed,
    )
    named = partial(store.named, EVENT)
    return open_queue(
        settings.queue,
        store.next_due,
        accept_foreign(accept, rules(settings), wall_clock),
        listen,
        accept_event(accept, named, with_templates(rules(settings)), wall_clock, pin),
        named,
    )


def open_worker(
    settings: Settings,
    store: Store,
    suppressed: SuppressionList,
    links: Links,
    queue: Queue,
    ways_out: Sequence[Transport],
    over: AttemptOver,
    bulk: Bulk | None = None,
    find: FindMade | None = None,
) -> Worker:
    """The worker of these settings, not yet started; `over` hears of each attempt that ended. With `bulk` it sends
    campaigns, with `find` mail with a template of the catalog."""
    options = WorkerOptions(
        owner=owner(),
        state_dir=settings.state_dir,
        lease=settings.lease,
        grace=settings.grace,
        return_path=settings.return_path,
        templates=settings.templates,
        links=links,
        keep_bodies=settings.keep_bodies,
        keep_records=settings.keep_records,
    )
    tell = _telling(settings, queue)
    policy = retry_policy(settings)
    return Worker(store, queue, ways_out, policy, options, over, tell, bulk, suppressed, find)


def open_transports_of(settings: Settings, store: Store) -> list[Transport]:
    """The transports of these settings, whose rates hold for all processes that share the store."""
    return transports(settings, _pacing(settings, store))


def _telling(settings: Settings, queue: Queue) -> Tell | None:
    if settings.report == "store":
        return None
    if not isinstance(queue, Statuses):
        raise BadSettings(["POSTHOUSE_REPORT: events needs a POSTHOUSE_QUEUE that carries them: amqp://…"])
    return queue.tell


def transports(settings: Settings, pacing: Pacing = alone) -> list[Transport]:
    """The transports of these settings, in their order, not yet started."""
    around = Surroundings(settings.hostname, settings.state_dir, settings.concurrency, pacing)
    with named():
        return open_transports(settings.transport, around)


def _pacing(settings: Settings, store: Store) -> Pacing:
    """The rate of a transport holds for all processes that share a store."""
    if is_embedded(settings.store):
        return alone

    def shared(rate: float, name: str) -> Pacer:
        return SharedPace(rate, lambda wanted, rate: store.lease_rate(f"transport {name}", wanted, rate))

    return shared


def retry_policy(settings: Settings) -> Policy:
    """What follows from an outcome, by these settings."""
    return Policy(
        attempts=settings.attempts,
        backoff=settings.backoff,
        outage=settings.outage,
        on_unknown=settings.on_unknown,
    )


def owner() -> str:
    """This process's name in leases."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def new_id() -> Callable[[], str]:
    return id_maker(lambda: wall_clock() // 1000, secrets.randbits)


def rules(settings: Settings) -> Rules:
    """What a mail must keep to."""
    try:
        sender = parse_mailbox(settings.from_)
    except BadAddress as error:
        raise BadSettings([f"POSTHOUSE_FROM: {error.text}"]) from None
    return Rules(
        sender=sender,
        domains=frozenset(settings.from_domains),
        max_text=settings.max_text,
        find=None if settings.templates is None else TemplateFolder(settings.templates).find,
    )
