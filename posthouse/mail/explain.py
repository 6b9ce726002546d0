"""Why a mail is where it is, what happens next and when: plain sentences, from its record alone.

Rules: every state has its sentence, and so has everything that can be true beside it (a lease, a lapsed one, a time that
is over, a worker that died). What a person can do is said where nothing happens by itself. Pure: `now` comes in.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from posthouse.mail.advance import LONELY, POISON
from posthouse.mail.lifecycle import State
from posthouse.mail.message import SECOND, HistoryEntry, Message, Recipient
from posthouse.mail.retry import Policy

LONG = 60
"""Seconds of waiting after which it is said where to look."""
SOON = 3600
"""Seconds before the end of its time within which that is said."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def explain(message: Message, now: int, policy: Policy) -> list[str]:
    """The sentences: how it came here, where it is, what each recipient's last word was, what happens next.

    `now` in microseconds; `policy` is the one that the workers keep to.
    """
    told = [_accepted(message, now), *_place(message, now)]
    told += [_recipient(message, recipient, now, policy) for recipient in message.recipients]
    return told + _doubts(message)


def _accepted(message: Message, now: int) -> str:
    count = len(message.recipients)
    to = "one recipient" if count == 1 else f"{count} recipients"
    return f"It was accepted {_when(message.created_at, now)} for {to}, in the {message.lane} lane."


def _place(message: Message, now: int) -> list[str]:
    """Where the message as a whole is, and what moves it."""
    due = message.due_at
    if due is None:
        return ["It is closed: nothing happens to it by itself any more."]
    if message.owner is not None:
        return _leased(message, message.owner, due, now)
    if message.expires_at <= now:
        return [f"Its time was over {_when(message.expires_at, now)}: a worker closes it at its next look."]
    return [_waiting(message, due, now), *_alone(message), *_end(message, now)]


def _leased(message: Message, owner: str, due: int, now: int) -> list[str]:
    if due > now:
        return [
            f"Worker {owner} has it in hand, under a lease that it renews; this one ends {_when(due, now)}. "
            "If the worker dies, its journal or the end of the lease tells the next one what to do."
        ]
    return [
        f"Worker {owner} had it in hand, but its lease ran out {_when(due, now)}: it died or lost the store. "
        "A running worker settles it from the journal at once, or, where there is none, one lease after it came to "
        "the store: the outcome is then unknown (worker lost).",
        *_who_works(due, now),
    ]


def _waiting(message: Message, due: int, now: int) -> str:
    if due > now:
        scheduled = message.state == "pending" and message.scheduled_at == due
        return f"It is {'scheduled' if scheduled else 'tried again'} {_when(due, now)}; until then nobody touches it."
    return " ".join([f"It has been due since {_at(due)} and waits for a worker.", *_who_works(due, now)])


def _who_works(due: int, now: int) -> list[str]:
    if now - due < LONG * SECOND:
        return []
    return ["That is long: is a worker running, and can its transport be used? `posthouse doctor` looks."]


def _alone(message: Message) -> list[str]:
    """A message that workers died over."""
    if not message.losses:
        return []
    workers = "One worker" if message.losses == 1 else f"{message.losses} workers"
    text = f"{workers} died while holding it."
    if message.losses >= LONELY:
        text += f" So it is sent alone, when nothing else is in hand; at {POISON} it is failed as poison."
    return [text]


def _end(message: Message, now: int) -> list[str]:
    if message.expires_at - now > SOON * SECOND:
        return []
    return [f"Its time is over soon, {_when(message.expires_at, now)}: what is not sent by then has failed."]


def _recipient(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
    return f"{recipient.email}: {_STATES[recipient.state](message, recipient, now, policy)}"


def _pending(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
    again = " since it was asked for again" if recipient.attempts else ""
    return f"not tried yet{again}."


def _sending(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
    return f"being sent, as attempt {recipient.attempts + 1}.{_last(recipient, now)}"


def _deferred(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
    left = max(policy.attempts - recipient.spent, 0)
    budget = f"{recipient.spent} of {policy.attempts} attempts are spent"
    if not left:
        budget += ", but it is kept while the transport itself is away or its outcome is in doubt"
    return f"not sent yet; {budget}.{_last(recipient, now)}"


def _sent(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
    by = _transport(message, recipient)
    return (
        f"sent{_since(recipient, now)}: the next server took it{by}. "
        "Whether it reached the mailbox is known only where a provider tells."
    )


def _unknown(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
    return (
        f"nobody knows whether it was sent{_since(recipient, now)}{_reason(recipient)}. It is not sent again by "
        f"itself, for that could double it. A person decides: `posthouse retry {message.id}` sends it again under "
        f"the same Message-ID; `posthouse mark-sent {message.id}` settles it, where it is known that it arrived."
    )


def _failed(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
    return (
        f"failed{_since(recipient, now)}, after {_times(recipient.attempts)}{_reason(recipient)}. It is kept whole: "
        f"`posthouse retry {message.id}` makes it due again."
    )


def _told(word: str) -> Callable[[Message, Recipient, int, Policy], str]:
    """A state that somebody else's word, or a person, put it in."""

    def tell(message: Message, recipient: Recipient, now: int, policy: Policy) -> str:
        return f"{word}{_since(recipient, now)}{_reason(recipient)}."

    return tell


_STATES: dict[State, Callable[[Message, Recipient, int, Policy], str]] = {
    "pending": _pending,
    "sending": _sending,
    "deferred": _deferred,
    "sent": _sent,
    "unknown": _unknown,
    "failed": _failed,
    "delivered": _told("delivered to the mailbox, says the provider"),
    "bounced": _told("it came back, says the provider"),
    "complained": _told("delivered, and marked as spam by its reader"),
    "suppressed": _told("not tried, for the address is on the suppression list"),
    "canceled": _told("canceled by a person"),
}
"""What is said of a recipient in each state."""


def _doubts(message: Message) -> list[str]:
    """Tries that may have been mails of their own."""
    count = message.uncertain
    if not count or message.state == "unknown":
        return []
    tries = "One try" if count == 1 else f"{count} tries"
    return [f"{tries} of it ended without an answer, so it may arrive more than once (under one Message-ID)."]


def _last(recipient: Recipient, now: int) -> str:
    if recipient.at is None:
        return ""
    return f" The last try ended{_since(recipient, now)}{_reason(recipient)}."


def _reason(recipient: Recipient) -> str:
    """The reply or the error, as it was given."""
    parts = (recipient.code, recipient.enhanced_code, recipient.error)
    given = " ".join(str(part) for part in parts if part)
    return f": {given.rstrip('.')}" if given else ""


def _since(recipient: Recipient, now: int) -> str:
    return "" if recipient.at is None else f" {_when(recipient.at, now)}"


def _transport(message: Message, recipient: Recipient) -> str:
    def concerns(entry: HistoryEntry) -> bool:
        return entry.recipient == recipient.email and entry.event == "sent" and entry.transport is not None

    last = next((entry for entry in reversed(message.history) if concerns(entry)), None)
    return f" ({last.transport})" if last else ""


def _times(count: int) -> str:
    return {0: "no attempt", 1: "one attempt"}.get(count, f"{count} attempts")


def _when(at: int, now: int) -> str:
    """A moment, and how far it is."""
    far = _span(abs(at - now) // SECOND)
    return f"at {_at(at)} ({f'in {far}' if at > now else f'{far} ago'})"


def _at(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(seconds: int) -> str:
    """Its two largest units: 2 d 3 h, 5 min 20 s, 4 s."""
    for place, (size, unit) in enumerate(_UNITS):
        if seconds >= size and unit != "s":
            below, name = _UNITS[place + 1]
            rest = seconds % size // below
            return f"{seconds // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{seconds} s"
