"""What a fault of an SMTP server is, and what Posthouse can make of one, in the words of the table in docs/smtp.md."""

from typing import Literal

import msgspec

from posthouse.mail.lifecycle import Event
from posthouse.mail.outcome import Result, Spends
from posthouse.testing.sink import Offers, Rule

Verdict = Literal["sent", "failed", "again", "away", "greylisted", "given back", "unknown"]


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as the outcome of a transport and the event that follows at a first attempt, and in the words of the
    table. `away`: the outcome's scope is the transport."""

    result: Result
    spends: Spends
    event: Event
    away: bool = False
    attempt: str
    next: str


MEANINGS: dict[Verdict, Meaning] = {
    "sent": Meaning(
        result="accepted", spends="attempt", event="accept", attempt="yes", next="none, it is sent"
    ),
    "failed": Meaning(
        result="refused",
        spends="attempt",
        event="fail",
        attempt="yes",
        next="failed, kept whole for a retry by hand",
    ),
    "again": Meaning(
        result="deferred",
        spends="attempt",
        event="defer",
        attempt="yes",
        next="tried again after the backoff",
    ),
    "away": Meaning(
        result="deferred",
        spends="attempt",
        event="defer",
        away=True,
        attempt="yes, but it fails no mail for 15 min",
        next="feeds the breaker; tried again after the backoff",
    ),
    "greylisted": Meaning(
        result="deferred",
        spends="time",
        event="defer",
        attempt="no, only time",
        next="tried again after 5 min",
    ),
    "given back": Meaning(
        result="deferred", spends="nothing", event="return", away=True, attempt="no", next="due again at once"
    ),
    "unknown": Meaning(
        result="unknown",
        spends="attempt",
        event="defer",
        attempt="yes, and counted as uncertain",
        next="transactional: sent again; bulk: held",
    ),
}


class Fault(msgspec.Struct, frozen=True):
    """`does` is what the sink does; `verdicts` are those of the recipients, in their order. `trusted`: the client knows
    the sink's authority. `lasts`: it is still there for the next mail when the rules are gone. The mail is `head` and
    `repeat` times `text`."""

    name: str
    does: str
    verdicts: tuple[Verdict, ...]
    rules: tuple[Rule, ...] = ()
    offers: Offers = Offers()
    to: tuple[str, ...] = ("ann@one.example",)
    query: str = "tls=none"
    login: str = ""
    head: bytes = b"Subject: horses\r\n"
    text: bytes = b"are changed here.\r\n"
    repeat: int = 1
    trusted: bool = True
    lasts: bool = False

    @property
    def data(self) -> bytes:
        """The mail."""
        return self.head + b"\r\n" + self.text * self.repeat

    def fresh_rules(self) -> list[Rule]:
        """Rules to give to a sink, which counts in them."""
        return [msgspec.structs.replace(rule) for rule in self.rules]
