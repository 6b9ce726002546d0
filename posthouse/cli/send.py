"""send: hands in a mail, and waits for its end where asked to."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from posthouse import terminal
from posthouse.cli.run import Key, Url, opened_desk, run
from posthouse.cli.templates import Set, read_variables
from posthouse.config import BadSettings, Settings
from posthouse.mail.lifecycle import OPEN

WAIT_FIRST, WAIT_MOST = 0.05, 1.0
"""Seconds between two looks at a mail that is waited for: the second time longer, and so on."""


def send(
    to: Annotated[list[str], Parameter(help="addresses, as many as wanted")],
    *,
    subject: str | None = None,
    body: str | None = None,
    html: Path | None = None,
    text: Path | None = None,
    sender: Annotated[str | None, Parameter(name="--from")] = None,
    cc: Annotated[list[str] | None, Parameter(negative="")] = None,
    bcc: Annotated[list[str] | None, Parameter(negative="")] = None,
    attach: Annotated[list[Path] | None, Parameter(negative="")] = None,
    lane: str | None = None,
    template: str | None = None,
    variables: Set = None,
    wait: bool = False,
    timeout: float = 60.0,
    url: Url = None,
    key: Key = None,
) -> int:
    """Hand in a mail. Without --body, --html, --text or --template the body is read from standard input.

    Parameters
    ----------
    html: a file with the HTML
    text: a file with the plain text
    subject: needed, unless the template has one
    attach: files to attach
    template: what it is made of, with --set for its variables
    wait: until it is sent or failed; the exit code tells which
    timeout: seconds to wait at most
    """

    async def work(settings: Settings) -> int:
        try:
            request = terminal.request(
                to,
                subject,
                body,
                html=html,
                text=text,
                sender=sender,
                cc=cc,
                bcc=bcc,
                attach=attach,
                lane=lane,
                template=template,
                variables=read_variables(variables),
            )
        except OSError as error:
            raise BadSettings([f"{error.filename}: {error.strerror}"]) from None
        async with opened_desk(settings, url, key) as desk:
            reply = await desk("POST", "/email/send", request)
            if reply.status >= 400:
                return terminal.refuse(reply.body)
            id = reply.headers["x-message-id"]
            if not wait:
                terminal.show({"id": id, "status": "PENDING"})
                return 0
            reply = await until_closed(desk, id, timeout)
            return terminal.outcome(reply.body) if reply.status == 200 else terminal.refuse(reply.body)

    return run(work)


async def until_closed(desk: Any, id: str, seconds: float) -> Any:
    """The last answer: with the record once nothing of it is open, or as it is when the time is over."""
    loop = asyncio.get_running_loop()
    ends, pause = loop.time() + seconds, WAIT_FIRST
    while True:
        reply = await desk("GET", f"/emails/{id}", None)
        if reply.status == 429:
            pause = float(reply.headers.get("retry-after", 1))
        elif reply.status >= 400 or reply.body["state"] not in OPEN or loop.time() > ends:
            return reply
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, WAIT_MOST)
