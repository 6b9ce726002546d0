"""bulk send, list, show, recipients, watch, pause, resume, cancel, retry-failed: one mail to many, and how it goes."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from cyclopts import App, Parameter

from posthouse import terminal
from posthouse.cli.run import Key, Url, ask, opened_desk, run
from posthouse.config import BadSettings, Settings

TURN = 0.5
"""Seconds between two looks of `watch`."""
JOBS = "/api/emails/jobs"

bulk = App(name="bulk", help="One mail to many: campaigns, and how they go.")


@bulk.command
def send(
    template: Annotated[str, Parameter(help="a template of the catalog")],
    *,
    role: Annotated[list[str] | None, Parameter(negative="")] = None,
    recipients: Path | None = None,
    subject: str | None = None,
    sender: Annotated[str | None, Parameter(name="--from")] = None,
    variables: str | None = None,
    rate: str | None = None,
    priority: int | None = None,
    at: str | None = None,
    until: str | None = None,
    metadata: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    watch: Annotated[bool, Parameter(negative="")] = False,
    url: Url = None,
    key: Key = None,
) -> int:
    """Send a template to everybody who has a role.

    Parameters
    ----------
    role: who gets it; several mean any of them, "*" everybody
    recipients: instead of roles, a JSON file with [{"email", "name", "variables"}]
    subject: replaces the template's, and is a template itself
    variables: JSON with what recipients have not of their own
    rate: the most there may be, as 100/s
    at: not before this time, as 2026-01-31T12:00:00Z
    until: not tried after this time
    metadata: JSON that is kept and shown with it
    dry_run: only tell how many would get it
    watch: until it is over; the exit code tells how
    """

    async def work(settings: Settings) -> int:
        request = {
            "templateId": template,
            "roleFilter": role,
            "recipients": None if recipients is None else _read(recipients),
            "subject": subject,
            "from": sender,
            "variables": None if variables is None else _parsed(variables, "--variables"),
            "rate": rate,
            "priority": priority,
            "scheduledAt": at,
            "expiresAt": until,
            "metadata": None if metadata is None else _parsed(metadata, "--metadata"),
            "dryRun": dry_run,
        }
        given = {name: value for name, value in request.items() if value is not None}
        async with opened_desk(settings, url, key) as desk:
            reply = await desk("POST", "/api/emails/send-bulk", given)
            if reply.status >= 400:
                return terminal.refuse(reply.body)
            if dry_run or not watch:
                terminal.show(reply.body)
                return 0
            return await _watch(desk, reply.body["jobId"])

    return run(work)


@bulk.command(name="list")
def list_jobs(*, limit: int = 20, cursor: str | None = None, url: Url = None, key: Key = None) -> int:
    """List campaigns, newest first."""
    asked = {name: value for name, value in (("limit", limit), ("cursor", cursor)) if value is not None}
    return ask("GET", f"{JOBS}?{urlencode(asked)}", terminal.jobs, url, key)


@bulk.command
def show(id: str, *, url: Url = None, key: Key = None) -> int:
    """Show one campaign with its counts."""
    return ask("GET", _path(id), terminal.show, url, key)


@bulk.command
def recipients(
    id: str,
    *,
    status: str | None = None,
    state: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """List who gets a campaign, what became of each and why: `--status FAILED` are its dead letters."""
    asked = {"status": status, "state": state, "limit": limit, "cursor": cursor}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return ask("GET", f"{_path(id)}/recipients?{query}", terminal.recipients, url, key)


@bulk.command
def watch(id: str, *, url: Url = None, key: Key = None) -> int:
    """Watch a campaign until it is over; the exit code tells how it ended: 0 completed, 1 not."""

    async def work(settings: Settings) -> int:
        async with opened_desk(settings, url, key) as desk:
            return await _watch(desk, id)

    return run(work)


@bulk.command
def pause(id: str, *, url: Url = None, key: Key = None) -> int:
    """Begin no more of a campaign, within a second."""
    return ask("POST", f"{_path(id)}/pause", terminal.job, url, key)


@bulk.command
def resume(id: str, *, url: Url = None, key: Key = None) -> int:
    """Let a paused campaign go on where it was."""
    return ask("POST", f"{_path(id)}/resume", terminal.job, url, key)


@bulk.command
def cancel(id: str, *, url: Url = None, key: Key = None) -> int:
    """Never send what of a campaign is not in the air yet."""
    return ask("POST", f"{_path(id)}/cancel", terminal.job, url, key)


@bulk.command
def retry_failed(
    id: str,
    *,
    state: str | None = None,
    category: str | None = None,
    domain: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    url: Url = None,
    key: Key = None,
) -> int:
    """Send what failed again: all of it, or exactly what is chosen.

    Parameters
    ----------
    state: failed, unknown, or both with a comma
    category: classes of failure, as mailbox_full,policy
    domain: only at these domains
    dry_run: only tell how many there are, and why they failed
    """
    asked = {"state": state, "category": category, "domain": domain, "dryRun": "true" if dry_run else None}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    shown = terminal.show if dry_run else terminal.job
    return ask("POST", f"{_path(id)}/retry-failed?{query}", shown, url, key)


async def _watch(desk: Any, id: str) -> int:
    with terminal.progress() as shown:
        while True:
            reply = await desk("GET", _path(id), None)
            if reply.status == 429:
                await asyncio.sleep(float(reply.headers.get("retry-after", 1)))
                continue
            if reply.status >= 400:
                return terminal.refuse(reply.body)
            job = reply.body
            shown(job)
            open_ = job["pendingCount"] + job["sendingCount"] + job["deferredCount"]
            if job["status"] in ("COMPLETED", "FAILED", "CANCELED") and not open_:
                return 0 if job["status"] == "COMPLETED" else 1
            await asyncio.sleep(TURN)


def _path(id: str) -> str:
    return f"{JOBS}/{quote(id, safe='')}"


def _read(path: Path) -> Any:
    try:
        return _parsed(path.read_text(encoding="utf-8"), "--recipients")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings([f"--recipients: {path} cannot be read: {error}"]) from None


def _parsed(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise BadSettings([f"{option}: this is not JSON"]) from None
