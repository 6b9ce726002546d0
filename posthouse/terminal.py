"""What the command line reads and prints: JSON when piped, tables and plain lines on a terminal."""

import base64
import mimetypes
import re
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from posthouse.check import Check
from posthouse.config import Effective
from posthouse.mail.message import SECOND
from posthouse.store.audit import Audited
from posthouse.store.base import Overview
from posthouse.store.catalog import ApiKey
from posthouse.transport.inbox import Captured, text_of

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WORD = {"SENT": 0, "FAILED": 1}


def on_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout.isatty()


def say(line: str) -> None:
    """A line for whoever reads."""
    print(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line))


def complain(line: str) -> None:
    """A line about what is wrong."""
    print(f"posthouse: {_CONTROLS.sub(' ', line)}", file=sys.stderr)


def show(value: Any) -> None:
    """A JSON value, indented on a terminal."""
    text = msgspec.json.encode(value)
    print((msgspec.json.format(text, indent=2) if on_terminal() else text).decode())


def refuse(problem: dict[str, Any] | None) -> int:
    """Tells of a problem document; 2 where the call was wrong."""
    problem = problem or {"title": "no answer that can be read"}
    complain(f"{problem.get('title')}: {problem.get('detail', '')}".rstrip(": "))
    for error in problem.get("errors", []):
        complain(f"  {error['pointer']}: {error['detail']}")
    return 2 if problem.get("status", 500) < 500 else 1


def outcome(record: dict[str, Any]) -> int:
    """The end of a mail that was waited for: 0 sent, 1 failed, 3 not known."""
    brief(record)
    return _WORD.get(record["status"], 3)


def brief(record: dict[str, Any]) -> None:
    """The state of a record."""
    names = ("id", "status", "state", "attempts", "error", "next_attempt_at")
    show({name: record.get(name) for name in names if record.get(name) is not None})


def explained(answer: dict[str, Any]) -> None:
    """Why a mail is where it is."""
    if not on_terminal():
        show(answer)
        return
    for sentence in answer["explanation"]:
        say(sentence)


def audited(seen: Audited) -> int:
    """What an audit found; 1 when something is wrong."""
    if not on_terminal():
        show(seen)
    else:
        _table(("id", "what is wrong"), [(each.id or "", each.fault) for each in seen.findings])
        more = f", of which {len(seen.findings)} are listed" if seen.wrong > len(seen.findings) else ""
        say(f"{seen.records} records, {seen.wrong or 'nothing'} wrong{more}.")
    return 1 if seen.wrong else 0


def checked(check: Check) -> None:
    """A line of a diagnosis, as soon as it is known."""
    if on_terminal():
        say(f"{check.verdict:<5} {check.part}: {check.found}")
        say(f"      {check.advice}") if check.advice else None


def diagnosed(checks: Sequence[Check]) -> int:
    """All of it; 1 when something fails."""
    failed = sum(check.verdict == "fail" for check in checks)
    if not on_terminal():
        show({"ok": not failed, "checks": checks})
    return 1 if failed else 0


def settings(rows: Sequence[Effective]) -> None:
    """The settings, each with its source."""
    if not on_terminal():
        show({row.name: {"value": row.value, "source": row.source} for row in rows})
        return
    _table(("setting", "value", "from"), [(row.name, _written(row.value), row.source) for row in rows])


def _written(value: Any) -> str:
    """A setting's value for a person."""
    if value is None or value == ():
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def table(answer: dict[str, Any]) -> None:
    """A page of records."""
    if not on_terminal():
        show(answer)
        return
    rows = [
        (item["created_at"], item["id"], item["status"], item["to"], item["subject"], item["error"] or "")
        for item in answer["items"]
    ]
    _table(("created", "id", "status", "to", "subject", "error"), rows)
    cursor = answer["pagination"].get("next_cursor")
    if cursor:
        say(f"more: --cursor {cursor}")


def jobs(answer: dict[str, Any]) -> None:
    """A page of campaigns."""
    if not on_terminal():
        show(answer)
        return
    names = ("createdAt", "id", "status", "progress", "templateId", "totalCount", "sentCount", "failedCount")
    _table(names, [tuple(str(item[name]) for name in names) for item in answer["items"]])
    cursor = answer["pagination"].get("nextCursor")
    if cursor:
        say(f"more: --cursor {cursor}")


def recipients(answer: dict[str, Any]) -> None:
    """A page of a campaign's recipients."""
    if not on_terminal():
        show(answer)
        return
    names = ("email", "state", "attempts", "category", "error")
    _table(names, [tuple(str(item[name] or "") for name in names) for item in answer["items"]])
    cursor = answer["pagination"].get("nextCursor")
    if cursor:
        say(f"more: --cursor {cursor}")


def job(answer: dict[str, Any]) -> None:
    """A campaign in a line."""
    if not on_terminal():
        show(answer)
        return
    say(f"{answer['id']} {answer['status']}: {_counted(answer)}")


@contextmanager
def progress() -> Generator[Callable[[dict[str, Any]], None]]:
    """Shows a campaign each time that it is given one: a bar on a terminal, else a line of JSON when it changed."""
    if not on_terminal():
        last: list[Any] = []

        def print_changes(answer: dict[str, Any]) -> None:
            told = {
                name: value for name, value in answer.items() if name not in ("ratePerSecond", "expectedEnd")
            }
            if last != [told]:
                last[:] = [told]
                show(answer)
                sys.stdout.flush()

        yield print_changes
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counted]}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=None, counted="")

        def draw(answer: dict[str, Any]) -> None:
            total = answer["totalCount"] if answer["audienceComplete"] else None
            open_ = answer["pendingCount"] + answer["sendingCount"] + answer["deferredCount"]
            done = answer["totalCount"] - open_
            bar.update(
                task, description=answer["status"], total=total, completed=done, counted=_counted(answer)
            )

        yield draw


def _counted(answer: dict[str, Any]) -> str:
    """The counts that are not 0, and how fast it goes."""
    names = ("sent", "failed", "suppressed", "unknown", "canceled", "deferred")
    told = [f"{answer[f'{name}Count']} {name}" for name in names if answer[f"{name}Count"]]
    rate = answer["ratePerSecond"]
    return ", ".join([f"{answer['totalCount']} in all", *told, *([f"{rate:g}/s"] if rate else [])])


def mails(captured: Sequence[Captured], full: bool) -> None:
    """Mails of the inbox."""
    for mail in captured:
        subject, text = text_of(mail)
        if on_terminal():
            say(f"{mail.id}  to {', '.join(mail.recipients)}  {subject}")
            say(f"\n{text}\n") if full else None
        else:
            value: dict[str, Any] = {
                "id": mail.id,
                "at": mail.at,
                "from": mail.sender,
                "to": list(mail.recipients),
            }
            show({**value, "subject": subject, "text": text, "data": mail.data.decode("utf-8", "replace")})


def overview(seen: Overview, now: int, hints: Mapping[str, int] | None = None) -> None:
    """What waits, failed, is unknown; and the hints that wait in each lane of the queue, where they are known."""
    age = None if seen.oldest_due_at is None else round((now - seen.oldest_due_at) / SECOND, 1)
    waiting = seen.states["pending"] + seen.states["sending"] + seen.states["deferred"]
    failed = seen.states["failed"] + seen.states["bounced"]
    summary = {
        "waiting": waiting,
        "oldest_due_seconds": age,
        "failed": failed,
        "unknown": seen.states["unknown"],
    }
    if not on_terminal():
        show({**summary, "states": seen.states, **({} if hints is None else {"hints": hints})})
        return
    _table(
        ("", ""),
        [(name.replace("_", " "), "-" if value is None else value) for name, value in summary.items()],
    )
    if hints is not None:
        _table(("lane", "hints in the queue"), list(hints.items()))
    _table(("state", "messages"), [(state, count) for state, count in seen.states.items() if count])


def new_key(key: ApiKey, plain: str) -> None:
    """A key, once: on the last line alone, or as JSON."""
    if not on_terminal():
        show({"key": plain, "id": key.id, "name": key.name, "scopes": list(key.scopes)})
        return
    say(f"Key {key.name!r} ({key.id}) for {', '.join(key.scopes)}. It is shown only now:")
    say(plain)


def api_keys(keys: Sequence[ApiKey]) -> None:
    """The keys without their secrets."""
    rows = [
        {
            "id": key.id,
            "name": key.name,
            "scopes": list(key.scopes),
            "state": _state(key, time.time_ns() // 1000),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        }
        for key in keys
    ]
    if on_terminal():
        _table(
            ("id", "name", "scopes", "state"),
            [(r["id"], r["name"], *map(str, [r["scopes"], r["state"]])) for r in rows],
        )
    else:
        show(rows)


def templates(page: dict[str, Any]) -> None:
    """A list of templates."""
    if not on_terminal():
        show(page)
        return
    _table(
        ("id", "version", "subject", "pushed", "by"),
        [
            (each["id"], str(each["version"]), each["subject"] or "", each["createdAt"], each["createdBy"])
            for each in page["items"]
        ],
    )


def uses(page: dict[str, Any]) -> None:
    """The campaigns that used a template."""
    if not on_terminal():
        show(page)
        return
    columns = ("jobId", "templateVersion", "status", "sentCount", "totalCount", "createdAt", "createdBy")
    _table(
        ("campaign", "version", "status", "sent", "of", "created", "by"),
        [tuple(str(each[column]) for column in columns) for each in page["items"]],
    )


def contacts(page: dict[str, Any]) -> None:
    """A list of contacts."""
    if not on_terminal():
        show(page)
        return
    _table(
        ("email", "name", "roles"),
        [(each["email"], each["name"], ", ".join(each["roles"])) for each in page["items"]],
    )


def roles(page: dict[str, Any]) -> None:
    """A list of roles."""
    if not on_terminal():
        show(page)
        return
    _table(("role", "people"), [(each["role"], str(each["count"])) for each in page["items"]])


def suppressions(page: dict[str, Any]) -> None:
    """A list of those who are not to be mailed."""
    names = ("email", "lane", "reason", "expiresAt", "createdAt", "createdBy", "note")
    _page(page, names, [tuple(each[name] or "" for name in names) for each in page["items"]])


def left(page: dict[str, Any]) -> None:
    """A list of mail that is left for a person: a line for each recipient."""
    rows = [
        (
            mail["id"],
            each["email"],
            each["state"],
            each["category"] or "",
            each["attempts"],
            each["error"] or "",
        )
        for mail in page["items"]
        for each in mail["recipients"]
    ]
    _page(page, ("id", "to", "state", "class", "attempts", "why"), rows)


def left_counts(answer: dict[str, Any]) -> None:
    """How many are left, and what of."""
    if not on_terminal():
        show(answer)
        return
    names = ("count", "state", "category", "domain")
    _table(names, [tuple(each[name] for name in names) for each in answer["items"]])
    least = "" if answer["complete"] else "at least "
    say(f"{least}{answer['totalCount']} recipients of {answer['messageCount']} mails.")


def trail(page: dict[str, Any]) -> None:
    """A list of acts."""
    rows = [(e["at"], e["by"], e["act"], e["about"], _written(e["detail"] or None)) for e in page["items"]]
    _page(page, ("at", "by", "act", "about", "detail"), rows)


def _page(page: dict[str, Any], head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A page of a list, and where it goes on."""
    if not on_terminal():
        show(page)
        return
    _table(head, rows)
    if cursor := page["pagination"]["nextCursor"]:
        say(f"more: --cursor {cursor}")


def imported(told: dict[str, Any]) -> None:
    """What became of a file."""
    if not on_terminal():
        show(told)
        return
    words = [name for name in ("created", "added", "updated", "unchanged", "wrong") if name in told]
    _table(words, [[f"{told[word]:,}" for word in words]])
    if told["errors"]:
        _table(("line", "column", ""), [(str(e["line"]), e["column"], e["error"]) for e in told["errors"]])


@contextmanager
def counting(whole: int | None) -> Generator[Callable[[int], None]]:
    """A bar of how much of a file was read, on a terminal; what it gives is to be told the octets."""
    if not sys.stderr.isatty():
        yield lambda octets: None
        return
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("contacts", total=whole)
        yield lambda octets: bar.update(task, completed=octets)


def pushed(results: list[dict[str, Any]]) -> None:
    """What became of each template of a folder."""
    if not on_terminal():
        show({"items": results})
        return
    _table(
        ("id", "", "version", "needs"),
        [
            (
                each["id"],
                each["error"] or each["result"],
                str(each["version"] or ""),
                ", ".join(each["required"]),
            )
            for each in results
        ],
    )


def _state(key: ApiKey, now: int) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "live" if key.expires_at is None or key.expires_at > now else "expired"


def request(
    to: list[str],
    subject: str | None,
    body: str | None,
    *,
    html: Path | None,
    text: Path | None,
    sender: str | None,
    cc: list[str] | None,
    bcc: list[str] | None,
    attach: list[Path] | None,
    lane: str | None,
    template: str | None,
    variables: dict[str, Any] | None,
) -> dict[str, Any]:
    """The JSON of POST /email/send from arguments, files or standard input."""
    if body is None and html is None and text is None and template is None:
        body = sys.stdin.read()
    asked: dict[str, Any] = {
        "to": to,
        "subject": subject,
        "body": body,
        "html": html and html.read_text(),
        "text": text and text.read_text(),
        "from": sender,
        "cc": cc,
        "bcc": bcc,
        "attachments": attach and [_attachment(path) for path in attach],
        "lane": lane,
        "template": template,
        "variables": variables,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _attachment(path: Path) -> dict[str, str]:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content = base64.b64encode(path.read_bytes()).decode()
    return {"filename": path.name, "content": content, "content_type": kind}


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    made = Table(*head, box=None, show_header=any(head))
    for row in rows:
        made.add_row(*(_CONTROLS.sub(" ", str(cell)) for cell in row))
    Console().print(made, markup=False)
