"""The suppression list in a file (csv_file): `email` must be there; `lane`, `reason`, `note` and `expires_at` (ISO 8601) may be.

Rules: what a line does not say is as whoever reads the file says. A reason that is none of ours becomes the note, since
lists of other programs tell in words of their own why somebody is on them; other columns are passed over.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple, cast

from posthouse.csv_file import Feed, column_names, csv_text, harmless
from posthouse.mail.contact import BadEntry, Flaw
from posthouse.mail.message import SECOND
from posthouse.mail.suppression import MAX_NOTE, REACHES, REASONS, Reach, Reason, Suppression, checked

COLUMNS = ("email", "lane", "reason", "note", "expires_at")
TOLD = ("created_at", "created_by")
"""Columns that are written and not read."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Line(NamedTuple):
    """A line of the file, by its number: an entry that can be kept, or what is wrong with it."""

    number: int
    entry: Suppression | None
    flaws: tuple[Flaw, ...] = ()


class SuppressionFile:
    """Reads a file piece by piece; `lane` and `reason` are for lines that say none, `now` is in microseconds."""

    def __init__(self, lane: Reach, reason: Reason, now: int) -> None:
        self._lane, self._reason, self._now = lane, reason, now
        self._feed = Feed(lambda row: column_names(row, (*COLUMNS, *TOLD), "email"))

    def take(self, text: str, *, last: bool = False) -> Iterator[Line]:
        """The lines that are whole now. Raises csv_file.BadFile."""
        for number, cells, fault in self._feed.take(text, last=last):
            if cells is None:
                yield Line(number, None, (Flaw("", fault),))
                continue
            try:
                yield Line(number, self._entry(cells))
            except BadEntry as error:
                yield Line(number, None, tuple(error.flaws))

    def _entry(self, cells: dict[str, str]) -> Suppression:
        lane, reason = cells.get("lane", "").strip().lower(), cells.get("reason", "").strip()
        note, flaws = cells.get("note", ""), list[Flaw]()
        if lane and lane not in REACHES:
            flaws.append(Flaw("lane", f"must be one of {', '.join(REACHES)}"))
        if reason and reason.lower() not in REASONS:
            note, reason = (note or " ".join(reason.split())[:MAX_NOTE]), ""
        expires_at = _moment(cells.get("expires_at", "").strip(), flaws)
        entry = Suppression(
            email=cells["email"].strip(),
            lane=cast(Reach, lane or self._lane),
            reason=cast(Reason, reason.lower() or self._reason),
            note=note,
            expires_at=expires_at,
        )
        return checked(entry, self._now, flaws)


def write_head() -> str:
    """The first line."""
    return csv_text([(*COLUMNS, *TOLD)])


def write_entries(entries: Iterable[Suppression]) -> str:
    """A line for each."""
    return csv_text(map(_row, entries))


def _row(entry: Suppression) -> tuple[str, ...]:
    texts = (entry.email, entry.lane, entry.reason, entry.note, _shown(entry.expires_at))
    return (*map(harmless, texts), _shown(entry.at), harmless(entry.by))


def _moment(text: str, flaws: list[Flaw]) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        flaws.append(Flaw("expires_at", "must be an ISO 8601 time, such as 2026-01-31T12:00:00Z"))
        return None
    return int(((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()) * SECOND


def _shown(at: int | None) -> str:
    """To the second."""
    return "" if not at else datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
