"""suppressions list, add, remove, import, export: who is not to be mailed; and trail: who did what.

A file is read and written a piece at a time, so its size does not matter.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TextIO
from urllib.parse import quote, urlencode

from cyclopts import App, Parameter

from posthouse import config, terminal
from posthouse.cli.run import Key, Url, ask, opened_desk, opened_text, patiently, run
from posthouse.config import BadSettings, Settings
from posthouse.mail.suppression import Reach, Reason

ALL = "/api/emails/suppressions"
PIECE = 1 << 16
"""Characters of a file that are read at once."""
CHUNK = 500
"""Entries of one request."""
SHOWN = 100
"""Lines that are wrong and shown; all are counted."""

suppressions = App(name="suppressions", help="The suppression list: who is not to be mailed.")


@suppressions.command(name="list")
def list_entries(
    *,
    email: str | None = None,
    reason: Reason | None = None,
    limit: int = 20,
    cursor: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """List who is not to be mailed, newest first: all, those of an address, those for a reason."""
    query = _query(email=email, reason=reason, limit=limit, cursor=cursor)
    return ask("GET", f"{ALL}?{query}", terminal.suppressions, url, key)


@suppressions.command
def add(
    emails: Annotated[list[str], Parameter(help="addresses, as many as wanted")],
    *,
    lane: Reach = "both",
    reason: Reason = "manual",
    note: str | None = None,
    expires: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Put addresses on the list. It holds within a second, also for mail that waits.

    Parameters
    ----------
    lane: which mail
    note: in your words
    expires: how long it holds, as 90d, or until when, as 2036-01-31T12:00:00Z; for ever if it is left out
    """

    async def work(settings: Settings) -> int:
        until = None if expires is None else _until(expires)
        entry = {"lane": lane, "reason": reason, "note": note, "expiresAt": until}
        given = {name: value for name, value in entry.items() if value is not None}
        async with opened_desk(settings, url, key) as desk:
            reply = await desk("POST", ALL, {"suppressions": [{"email": email, **given} for email in emails]})
        if reply.status >= 400:
            return terminal.refuse(reply.body)
        terminal.show(reply.body)
        return 0

    return run(work)


@suppressions.command
def remove(
    emails: Annotated[list[str], Parameter(help="addresses, as many as wanted")],
    *,
    lane: Reach | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Take addresses off the list: for one lane, or for all. 1 when one was not on it."""

    async def work(settings: Settings) -> int:
        missing = 0
        async with opened_desk(settings, url, key) as desk:
            for email in emails:
                reply = await desk("DELETE", f"{ALL}/{quote(email, safe='')}?{_query(lane=lane)}", None)
                if reply.status == 404:
                    missing = 1
                elif reply.status >= 400:
                    return terminal.refuse(reply.body)
                told = "was not on the list" if reply.status == 404 else "is off the list"
                terminal.say(f"{email} {told}.")
        return missing

    return run(work)


@suppressions.command(name="import")
def import_file(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    *,
    lane: Reach = "both",
    reason: Reason = "imported",
    url: Url = None,
    key: Key = None,
) -> int:
    """Put those in a CSV file on the list; - is standard input. The first line names the columns: email, and perhaps lane,
    reason, note, expires_at; others are passed over. 1 when a line is wrong; the others are taken.

    Parameters
    ----------
    lane: for lines that say none
    reason: for lines that say none
    """

    async def work(settings: Settings) -> int:
        from posthouse.csv_file import BadFile

        try:
            with opened_text(file) as text:
                async with opened_desk(settings, url, key) as desk:
                    return await _import(desk, text, lane, reason)
        except BadFile as error:
            raise BadSettings([f"{file}: {error}"]) from None

    return run(work)


@suppressions.command
def export(
    *, email: str | None = None, reason: Reason | None = None, url: Url = None, key: Key = None
) -> int:
    """Write the list as CSV, as `suppressions import` reads it."""

    async def work(settings: Settings) -> int:
        from posthouse.suppression_file import write_head

        sys.stdout.write(write_head())
        cursor: str | None = None
        async with opened_desk(settings, url, key) as desk:
            while True:
                query = _query(email=email, reason=reason, limit=100, cursor=cursor)
                reply = await patiently(desk, "GET", f"{ALL}?{query}")
                if reply.status >= 400:
                    return terminal.refuse(reply.body)
                _write(reply.body["items"])
                cursor = reply.body["pagination"]["nextCursor"]
                if cursor is None:
                    return 0

    return run(work)


def trail(
    *,
    about: Annotated[str | None, Parameter(help="only one thing, as suppression:ann@example.com")] = None,
    limit: int = 20,
    cursor: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """List who did what, newest first."""
    query = _query(about=about, limit=limit, cursor=cursor)
    return ask("GET", f"/api/emails/trail?{query}", terminal.trail, url, key)


async def _import(desk: Any, text: TextIO, lane: Reach, reason: Reason) -> int:
    from posthouse.submission.times import wall_clock
    from posthouse.suppression_file import Line, SuppressionFile

    file, told = SuppressionFile(lane, reason, wall_clock()), _Told()
    waiting: list[Line] = []
    piece: str | None = None
    while piece != "":
        piece = text.read(PIECE)
        waiting += told.good(file.take(piece, last=piece == ""))
        while waiting and (len(waiting) >= CHUNK or piece == ""):
            chunk, waiting = waiting[:CHUNK], waiting[CHUNK:]
            entries = [_entry(each.entry) for each in chunk]
            reply = await patiently(desk, "POST", ALL, {"suppressions": entries})
            if reply.status >= 400:
                terminal.imported(told.json)
                return terminal.refuse(reply.body)
            told.counts["added"] += reply.body["added"]
            told.counts["unchanged"] += reply.body["unchanged"]
    terminal.imported(told.json)
    return int(told.counts["wrong"] > 0)


class _Told:
    """What became of a file: counts, and what is wrong with which lines."""

    def __init__(self) -> None:
        self.counts = {"added": 0, "unchanged": 0, "wrong": 0}
        self.errors: list[dict[str, Any]] = []

    def good(self, lines: Any) -> list[Any]:
        """Those that can be taken; the others are noted."""
        found = list(lines)
        for line in found:
            if line.entry is None:
                self.counts["wrong"] += 1
                told = [
                    {"line": line.number, "column": flaw.field, "error": flaw.text} for flaw in line.flaws
                ]
                self.errors += told[: SHOWN - len(self.errors)]
        return [line for line in found if line.entry is not None]

    @property
    def json(self) -> dict[str, Any]:
        """All of it."""
        return {**self.counts, "errors": self.errors}


def _entry(entry: Any) -> dict[str, Any]:
    """An entry as the API takes it."""
    from posthouse.submission.times import show_time

    said = {
        "email": entry.email,
        "lane": entry.lane,
        "reason": entry.reason,
        "note": entry.note or None,
        "expiresAt": show_time(entry.expires_at),
    }
    return {name: value for name, value in said.items() if value is not None}


def _write(items: list[dict[str, Any]]) -> None:
    from posthouse.mail.suppression import Suppression
    from posthouse.submission.times import microseconds
    from posthouse.suppression_file import write_entries

    def moment(text: str | None) -> int | None:
        return None if text is None else microseconds(datetime.fromisoformat(text))

    made = [
        Suppression(
            email=each["email"],
            lane=each["lane"],
            reason=each["reason"],
            note=each["note"],
            expires_at=moment(each["expiresAt"]),
            at=moment(each["createdAt"]) or 0,
            by=each["createdBy"],
        )
        for each in items
    ]
    sys.stdout.write(write_entries(made))


def _until(text: str) -> str:
    """A duration from now, or a time, as a time."""
    try:
        ends = datetime.now(UTC) + timedelta(seconds=config.seconds(text))
    except (ValueError, OverflowError):
        try:
            ends = datetime.fromisoformat(text)
        except ValueError:
            raise BadSettings(
                ["--expires: must be a duration such as 90d, or a time such as 2036-01-31T12:00:00Z"]
            ) from None
    return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).isoformat()


def _query(**asked: Any) -> str:
    return urlencode({name: value for name, value in asked.items() if value is not None})
