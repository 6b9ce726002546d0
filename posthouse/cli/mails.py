"""logs, show, explain, retry, mark-sent, inbox: mails that are there already."""

from urllib.parse import quote, urlencode

from posthouse import terminal
from posthouse.cli.run import Key, Url, ask, run
from posthouse.config import Settings


def logs(
    *,
    limit: int = 20,
    cursor: str | None = None,
    page: int | None = None,
    status: str | None = None,
    recipient: str | None = None,
    tag: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """List records, newest first; with --page oldest first."""
    asked = {
        "limit": limit,
        "cursor": cursor,
        "page": page,
        "status": status,
        "recipient": recipient,
        "tag": tag,
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return ask("GET", f"/email/logs?{query}", terminal.table, url, key)


def show(id: str, *, url: Url = None, key: Key = None) -> int:
    """Show one record with its history."""
    return ask("GET", _path(id), terminal.show, url, key)


def explain(id: str, *, url: Url = None, key: Key = None) -> int:
    """Say why a mail is where it is, what happens next and when."""
    return ask("GET", f"{_path(id)}/explain", terminal.explained, url, key)


def retry(id: str, *, url: Url = None, key: Key = None) -> int:
    """Make the failed and unknown recipients of a mail due again."""
    return ask("POST", f"{_path(id)}/retry", terminal.brief, url, key)


def mark_sent(id: str, *, url: Url = None, key: Key = None) -> int:
    """Settle the recipients of a mail whose outcome is unknown as sent: it is known that they have it."""
    return ask("POST", f"{_path(id)}/mark-sent", terminal.brief, url, key)


def inbox(*, limit: int = 20, full: bool = False) -> int:
    """Read what the inbox: transport captured, newest first.

    Parameters
    ----------
    full: with the text of each mail
    """

    async def work(settings: Settings) -> int:
        from posthouse.roles.opened import inbox_folder
        from posthouse.transport.inbox import captured

        terminal.mails(captured(inbox_folder(settings), limit), full)
        return 0

    return run(work)


def _path(id: str) -> str:
    return f"/emails/{quote(id, safe='')}"
