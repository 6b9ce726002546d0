"""Who is not to be mailed: an address, in one lane or in both, why, and for how long.

Rules: addresses are compared without regard to case (`folded`). An entry never gets weaker by adding: of two for the same
address and lane the one that lasts longer holds, and of two that last as long the one that was there.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from posthouse.mail.address import CONTROL, folded, parse_mailbox
from posthouse.mail.contact import BadEntry, Flaw
from posthouse.mail.errors import BadAddress
from posthouse.mail.message import LANES, Lane, Message
from posthouse.mail.notice import Notice
from posthouse.mail.outcome import classify

Reason = Literal["bounced", "complained", "unsubscribed", "manual", "imported"]
REASONS: tuple[Reason, ...] = get_args(Reason)

Reach = Literal["both", "transactional", "bulk"]
"""The lanes that an entry is about."""
REACHES: tuple[Reach, ...] = get_args(Reach)

MAX_NOTE = 500
"""Characters of a note."""
SLICE = 500
"""Entries that one call changes at most: their write takes less than 10 ms."""


class Suppression(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One entry of the list. `email` is normalised (mail.address); `by` and `at` are who made it and when, `expires_at`
    when it ends, None for never: microseconds. The catalog gives `id`, which grows."""

    email: str
    lane: Reach = "both"
    reason: Reason = "manual"
    note: str = ""
    expires_at: int | None = None
    by: str = ""
    at: int = 0
    id: int = 0

    @property
    def text(self) -> str:
        """What a record says of a recipient that it held back."""
        return f"on the suppression list: {self.reason}"

    def concerns(self, message: Message, email: str) -> bool:
        """Whether it holds a mail back from an address that it is about. It does not where it ends before that is due;
        and what came back, and a person sends again all the same, is sent."""
        if self.expires_at is not None and self.expires_at <= (message.scheduled_at or 0):
            return False
        return self.reason != "bounced" or not any(
            entry.event == "retry" and entry.recipient == email for entry in message.history
        )

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Those that it is about."""
        return LANES if self.lane == "both" else (self.lane,)

    @property
    def place(self) -> tuple[str, Reach]:
        """There is one entry for each of these."""
        return folded(self.email), self.lane


def checked(entry: Suppression, now: int, flaws: Sequence[Flaw] = ()) -> Suppression:
    """The entry as it can be kept at a time (microseconds), its address normalised. Raises BadEntry, with these `flaws` and
    its own."""
    found, email = [*flaws], entry.email
    try:
        email = parse_mailbox(entry.email).email
    except BadAddress as error:
        found.insert(0, Flaw("email", error.text))
    if len(entry.note) > MAX_NOTE or CONTROL.search(entry.note):
        found.append(Flaw("note", f"must have {MAX_NOTE} characters at most, and no control characters"))
    if entry.expires_at is not None and entry.expires_at <= now:
        found.append(Flaw("expires_at", "must be later than now"))
    if found:
        raise BadEntry(found)
    return msgspec.structs.replace(entry, email=email)


def entry_of(notice: Notice) -> Suppression | None:
    """The entry that a provider's word makes: a complaint; mail that came back for good, unless an enhanced code in the text
    says that it was not the address (mail.outcome: a policy, a full mailbox). None for all else, and for what is no
    address."""
    if notice.kind not in ("complained", "bounced"):
        return None
    if notice.kind == "bounced" and not (notice.permanent and _blames_address(notice)):
        return None
    try:
        email = parse_mailbox(notice.recipient).email
    except BadAddress:
        return None
    return Suppression(email=email, reason=notice.kind, note=notice.text[:MAX_NOTE])


_ENHANCED = re.compile(r"(?<![\d.])5\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")


def _blames_address(notice: Notice) -> bool:
    found = _ENHANCED.search(notice.text)
    if found is None:
        return True
    outcome = classify(notice.code or 550, found[0], notice.text)
    return outcome.scope == "recipient" and outcome.category != "mailbox_full"


def outlasts(one: Suppression, other: Suppression | None) -> bool:
    """Whether `one` holds on after `other`, which may be missing, has ended."""
    if other is None:
        return True
    return other.expires_at is not None and (one.expires_at is None or one.expires_at > other.expires_at)


def strongest(entries: Iterable[Suppression]) -> list[Suppression]:
    """One entry for each place, in the order of places, so that two batches cannot deadlock."""
    found: dict[tuple[str, Reach], Suppression] = {}
    for entry in entries:
        if outlasts(entry, found.get(entry.place)):
            found[entry.place] = entry
    return [entry for _, entry in sorted(found.items())]
