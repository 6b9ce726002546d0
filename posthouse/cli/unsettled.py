"""unsettled list, count, retry, mark-sent: mail that is left for a person."""

from typing import Annotated, Any
from urllib.parse import urlencode

from cyclopts import App, Parameter

from posthouse import terminal
from posthouse.cli.run import Key, Url, ask
from posthouse.mail.unsettled import Unsettled

ALL = "/api/emails/unsettled"

Dry = Annotated[bool, Parameter(negative="", help="change nothing: only tell how many there are")]
State = Annotated[str | None, Parameter(help="unknown, failed, or both with a comma")]
Category = Annotated[str | None, Parameter(help="classes of failure, as mailbox_full,policy")]
Domain = Annotated[str | None, Parameter(help="only at these domains, with commas")]

unsettled = App(
    name="unsettled", help="Mail that is left for a person: of unknown outcome, or failed for good."
)


@unsettled.command(name="list")
def list_left(
    *,
    state: Unsettled = "failed",
    category: Category = None,
    domain: Domain = None,
    limit: int = 20,
    cursor: str | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """List it, newest first."""
    query = _query(state=state, category=category, domain=domain, limit=limit, cursor=cursor)
    return ask("GET", f"{ALL}?{query}", terminal.left, url, key)


@unsettled.command
def count(
    *,
    state: State = None,
    category: Category = None,
    domain: Domain = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Count it by domain, state and class of failure."""
    query = _query(state=state, category=category, domain=domain)
    return ask("GET", f"{ALL}/counts?{query}", terminal.left_counts, url, key)


@unsettled.command
def retry(
    *,
    state: State = None,
    category: Category = None,
    domain: Domain = None,
    dry_run: Dry = False,
    url: Url = None,
    key: Key = None,
) -> int:
    """Send again all that failed, or exactly what is chosen."""
    query = _query(state=state, category=category, domain=domain, dryRun="true" if dry_run else None)
    shown = terminal.left_counts if dry_run else terminal.show
    return ask("POST", f"{ALL}/retry?{query}", shown, url, key)


@unsettled.command(name="mark-sent")
def mark_all_sent(
    *,
    category: Category = None,
    domain: Domain = None,
    dry_run: Dry = False,
    url: Url = None,
    key: Key = None,
) -> int:
    """Settle all unknown outcomes, or exactly those that are chosen, as sent: it is known that they have arrived."""
    query = _query(category=category, domain=domain, dryRun="true" if dry_run else None)
    shown = terminal.left_counts if dry_run else terminal.show
    return ask("POST", f"{ALL}/mark-sent?{query}", shown, url, key)


def _query(**asked: Any) -> str:
    return urlencode({name: value for name, value in asked.items() if value is not None})
