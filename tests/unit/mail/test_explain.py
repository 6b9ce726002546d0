"""What is said of a mail, in every state and beside it: each case a record, and the words that must be there."""

from typing import Any

import pytest

from posthouse.mail.explain import explain
from posthouse.mail.lifecycle import OPEN, STATES, State
from posthouse.mail.message import SECOND, HistoryEntry, Message, Recipient
from posthouse.mail.retry import Policy

NOW = 1_790_000_000 * SECOND  # 2026-09-21 14:13:20 UTC
MINUTE = 60 * SECOND


def mail(state: State, *, recipient: dict[str, Any] | None = None, **record: Any) -> Message:
    """A mail accepted five minutes ago, with a day to live; open ones are due in 12 seconds."""
    given = {"created_at": NOW - 5 * MINUTE, "expires_at": NOW + 1440 * MINUTE, "id": "id-1", **record}
    given.setdefault("due_at", NOW + 12 * SECOND if state in OPEN else None)
    one = Recipient("a@x.example", state=state, **(recipient or {}))
    return Message(message_id="<1@x>", recipients=[one], **given)


def said(message: Message) -> str:
    return "\n".join(explain(message, NOW, Policy(attempts=3)))


REPLY = {"at": NOW - MINUTE, "attempts": 1, "spent": 1, "code": 451, "error": "later, please"}
DUE = {"due_at": NOW - 2 * SECOND}

CASES: dict[str, tuple[Message, tuple[str, ...]]] = {
    "just accepted": (
        mail("pending", **DUE),
        (
            "accepted at 2026-09-21 14:08:20 UTC (5 min ago) for one recipient",
            "waits for a worker",
            "not tried",
        ),
    ),
    "nobody works": (mail("pending", due_at=NOW - 10 * MINUTE), ("is a worker running", "posthouse doctor")),
    "scheduled": (
        mail("pending", due_at=NOW + 90 * MINUTE, scheduled_at=NOW + 90 * MINUTE),
        ("is scheduled at 2026-09-21 15:43:20 UTC (in 1 h 30 min)",),
    ),
    "handed back": (mail("pending"), ("tried again", "(in 12 s)", "not tried yet")),
    "leased": (
        mail("sending", owner="host-7", due_at=NOW + MINUTE),
        ("Worker host-7 has it in hand", "ends at 2026-09-21 14:14:20 UTC (in 1 min)", "as attempt 1"),
    ),
    "leased again": (
        mail("sending", owner="host-7", due_at=NOW + MINUTE, recipient=REPLY),
        ("as attempt 2", "451 later, please"),
    ),
    "lease lapsed": (
        mail("sending", owner="host-7", due_at=NOW - 3 * MINUTE),
        ("host-7 had it", "ran out", "(3 min ago)", "journal", "worker lost", "is a worker running"),
    ),
    "deferred": (
        mail("deferred", recipient=REPLY),
        (
            "tried again at 2026-09-21 14:13:32 UTC (in 12 s)",
            "1 of 3 attempts",
            "(1 min ago): 451 later, please.",
        ),
    ),
    "deferred beyond its budget": (
        mail("deferred", recipient={**REPLY, "spent": 3}),
        ("3 of 3 attempts", "the transport itself is away"),
    ),
    "deferred after an unknown outcome": (
        mail("deferred", recipient={**REPLY, "uncertain": 1}),
        ("ended without an answer", "more than once"),
    ),
    "expires soon": (mail("deferred", recipient=REPLY, expires_at=NOW + MINUTE), ("over soon", "(in 1 min)")),
    "expired": (mail("deferred", recipient=REPLY, expires_at=NOW - SECOND, **DUE), ("Its time was over",)),
    "workers died": (mail("pending", losses=1), ("One worker died",)),
    "poison to be": (
        mail("pending", losses=3),
        ("3 workers died", "sent alone", "at 5 it is failed as poison"),
    ),
    "poison": (
        mail("failed", recipient={"at": NOW, "error": "poison: 5 workers died while they held it"}),
        ("no attempt: poison: 5 workers died", "posthouse retry id-1", "closed"),
    ),
    "failed": (
        mail("failed", recipient={**REPLY, "code": 550, "enhanced_code": "5.1.1", "error": "no such user"}),
        ("after one attempt: 550 5.1.1 no such user.", "kept whole", "posthouse retry id-1"),
    ),
    "unknown": (
        mail("unknown", recipient={"at": NOW, "attempts": 1, "uncertain": 1, "error": "no reply"}),
        ("nobody knows", "no reply", "could double it", "posthouse retry id-1", "same Message-ID"),
    ),
    "sent": (
        mail(
            "sent",
            recipient={"at": NOW, "attempts": 1, "code": 250},
            history=[HistoryEntry(at=NOW, event="sent", recipient="a@x.example", transport="smtp://r:25")],
        ),
        ("the next server took it (smtp://r:25)", "closed"),
    ),
    "delivered": (mail("delivered"), ("delivered to the mailbox",)),
    "bounced": (mail("bounced", recipient={"at": NOW, "error": "full"}), ("came back", "full")),
    "complained": (mail("complained"), ("marked as spam",)),
    "suppressed": (mail("suppressed"), ("suppression list",)),
    "canceled": (mail("canceled"), ("canceled by a person",)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_said(case: str) -> None:
    message, words = CASES[case]
    text = said(message)
    for word in words:
        assert word in text


def test_every_state_has_its_case() -> None:
    assert {message.state for message, _ in CASES.values()} == set(STATES)


def test_each_recipient_has_its_sentence() -> None:
    message = mail("deferred", recipient=REPLY)
    message.recipients.append(Recipient("b@x.example", state="sent"))
    text = said(message)
    assert "for 2 recipients" in text
    assert "a@x.example: not sent yet" in text
    assert "b@x.example: sent" in text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (93_600, "1 d 2 h")],
)
def test_how_far_a_moment_is(seconds: int, shown: str) -> None:
    assert f"({shown} ago)" in said(mail("sent", created_at=NOW - seconds * SECOND))
