"""The command line: the table of commands. They act on the store of their settings, or over HTTP with --url and --key.

JSON when piped, tables on a terminal. Exit codes: 0 done; 1 it failed; 2 the call or the settings are wrong; 3 the
outcome is unknown, or not known in time. What a command needs of the house is loaded when it runs.
"""

import sys
from collections.abc import Callable, Sequence

from cyclopts import App

from posthouse import __version__
from posthouse.cli.backup import backup, hold, restore
from posthouse.cli.bulk import bulk
from posthouse.cli.contacts import contacts
from posthouse.cli.keys import create, list_keys, revoke
from posthouse.cli.mails import explain, inbox, logs, mark_sent, retry, show
from posthouse.cli.send import send
from posthouse.cli.serve import migrate, records, serve, worker
from posthouse.cli.suppressions import suppressions, trail
from posthouse.cli.templates import templates
from posthouse.cli.unsettled import unsettled
from posthouse.cli.watch import audit, config, doctor, status

COMMANDS: tuple[Callable[..., int], ...] = (
    *(serve, worker, records, migrate),
    *(send, logs, show, explain, retry, mark_sent, inbox),
    *(status, doctor, config, audit),
    *(trail, backup, restore, hold),
)

app = App(
    name="posthouse",
    version=__version__,
    help="Posthouse: answers at once, sends in the background, keeps the true record of every mail.",
)
for command in COMMANDS:
    app.command(command)
keys = App(name="keys", help="API keys.")
keys.command(create)
keys.command(list_keys, name="list")
keys.command(revoke)
app.command(keys)
app.command(bulk)
app.command(templates)
app.command(suppressions)
app.command(contacts)
app.command(unsettled)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of the `posthouse` command."""
    sys.exit(app(arguments))
