"""The status log: one line for each final state and each deferral of a recipient, and nothing a log must not hold.

A line has id, attempt, state, class, code and the masked address; never a body, a key or a whole address.
"""

import re

from structlog.typing import FilteringBoundLogger as BoundLogger

from posthouse.mail.advance import Settlement
from posthouse.mail.message import Message

_ADDRESS = re.compile(r"[^\s<>:;,\"'()]+@[^\s<>:;,\"'()]+")
_LOUD = {"fail": "error", "park": "error", "defer": "warning"}


def report(log: BoundLogger, settlement: Settlement, message: Message | None) -> None:
    """Logs what a settlement did; a stale one is logged as such."""
    if message is None:
        log.warning("stale", id=settlement.id, fence=settlement.fence)
        return
    for recipient in message.recipients:
        decision = settlement.decisions.get(recipient.email)
        if decision is None or decision.event in ("return", "wait"):
            continue
        outcome = decision.outcome
        getattr(log, _LOUD.get(decision.event, "info"))(
            recipient.state,
            id=message.id,
            to=masked(recipient.email),
            attempt=recipient.attempts,
            **{"class": f"{outcome.scope}/{outcome.category}"},
            code=outcome.code,
            text=_ADDRESS.sub(_mask, outcome.text) if "@" in outcome.text else outcome.text,
            transport=settlement.transport,
        )


def masked(email: str) -> str:
    """`ann@example.org` → `a***@example.org`: enough to see where it went, not whose it is."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}***@{domain}"


def _mask(match: re.Match[str]) -> str:
    return masked(match.group())
