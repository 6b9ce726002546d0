"""templates push, list, show, preview, test, validate, archive, usage: what mail is made of.

A template is pushed from a folder that is named by its id, with the files that POSTHOUSE_TEMPLATES has, too.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from cyclopts import App, Parameter

from posthouse import terminal
from posthouse.cli.run import Key, Url, ask, opened_desk, run
from posthouse.config import BadSettings, Settings

ALL = "/api/emails/templates"
Set = Annotated[
    list[str] | None, Parameter(name="--set", negative="", help="a variable, as name=value; JSON, else text")
]

templates = App(name="templates", help="Templates of the catalog: what mail is made of.")


@templates.command
def push(
    folder: Path,
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="only say what is wrong")] = False,
    url: Url = None,
    key: Key = None,
) -> int:
    """Push each template below a folder: a folder for each, named by its id, with subject.txt, body.html or body.mjml,
    body.txt, defaults.json. 1 when one of them cannot be used; the others are pushed."""

    async def work(settings: Settings) -> int:
        found = list(_found(folder))
        if not found:
            raise BadSettings([f"{folder}: there is no template below it"])
        results: list[dict[str, Any]] = []
        async with opened_desk(settings, url, key) as desk:
            for id, source, fault in found:
                results.append(await _pushed(desk, id, source, dry_run) if source else _wrong(id, fault))
        terminal.pushed(results)
        return int(any(each["error"] for each in results))

    return run(work)


@templates.command
def validate(folder: Path, *, url: Url = None, key: Key = None) -> int:
    """Say what is wrong with the templates below a folder, and what they need. Nothing is kept."""
    return push(folder, dry_run=True, url=url, key=key)


@templates.command(name="list")
def list_templates(*, limit: int = 20, cursor: str | None = None, url: Url = None, key: Key = None) -> int:
    """List templates by id, the newest version of each."""
    asked = {name: value for name, value in (("limit", limit), ("cursor", cursor)) if value is not None}
    return ask("GET", f"{ALL}?{urlencode(asked)}", terminal.templates, url, key)


@templates.command
def show(id: str, *, version: int | None = None, url: Url = None, key: Key = None) -> int:
    """Show a version of a template, as it was written; the newest if none is given."""
    query = "" if version is None else f"?version={version}"
    return ask("GET", f"{_path(id)}{query}", terminal.show, url, key)


@templates.command
def usage(id: str, *, limit: int = 20, url: Url = None, key: Key = None) -> int:
    """List the campaigns that used a template, newest first."""
    return ask("GET", f"{_path(id)}/usage?limit={limit}", terminal.uses, url, key)


@templates.command
def preview(
    id: str,
    *,
    variables: Set = None,
    to: str | None = None,
    version: int | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Show what a template gives, made as mail is; 1 when it gives nothing."""

    def shown(reply: Any) -> int:
        terminal.show(reply.body)
        return int(reply.body["fault"] is not None)

    return _try_out(f"{_path(id)}/preview", variables, to, version, url, key, shown)


@templates.command
def test(
    id: str,
    *,
    to: str,
    variables: Set = None,
    version: int | None = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Send one mail of a template; its id."""

    def shown(reply: Any) -> int:
        terminal.show({"id": reply.headers["x-message-id"]})
        return 0

    return _try_out(f"{_path(id)}/test", variables, to, version, url, key, shown)


@templates.command
def archive(id: str, *, url: Url = None, key: Key = None) -> int:
    """Take a template out of use. What was accepted with it is still sent; a push brings it back."""
    return ask("DELETE", _path(id), lambda _: terminal.say(f"{id} is archived."), url, key)


def _try_out(
    path: str,
    variables: list[str] | None,
    to: str | None,
    version: int | None,
    url: str | None,
    key: str | None,
    shown: Callable[[Any], int],
) -> int:
    async def work(settings: Settings) -> int:
        asked = {"variables": read_variables(variables), "to": to, "version": version}
        async with opened_desk(settings, url, key) as desk:
            reply = await desk("POST", path, _given(asked))
        return terminal.refuse(reply.body) if reply.status >= 400 else shown(reply)

    return run(work)


async def _pushed(desk: Any, id: str, source: dict[str, Any], dry_run: bool) -> dict[str, Any]:
    if dry_run:
        reply = await desk("POST", f"{_path(id)}/validate", {"template": source})
    else:
        reply = await desk("PUT", _path(id), source)
    if reply.status >= 400:
        return _wrong(id, _why(reply.body))
    body = reply.body
    if dry_run and not body["usable"]:
        return _wrong(id, body["fault"])
    said = "valid" if dry_run else "new" if body["created"] else "unchanged"
    return {
        "id": id,
        "result": said,
        "version": body["version"],
        "variables": body["variables"],
        "required": body["required"],
        "error": None,
    }


def _wrong(id: str, why: str) -> dict[str, Any]:
    return {"id": id, "result": "wrong", "version": None, "variables": [], "required": [], "error": why}


def _why(problem: dict[str, Any]) -> str:
    """What is wrong, in one line."""
    errors: list[dict[str, str]] = problem.get("errors") or []
    return "; ".join(": ".join(filter(None, (each["pointer"], each["detail"]))) for each in errors) or str(
        problem.get("detail") or problem.get("title")
    )


def _found(folder: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each template below a folder: its id, what is written there, or what is wrong with it."""
    import msgspec

    from posthouse.mail.template import BadTemplate
    from posthouse.templates import ID, TemplateFolder

    if not folder.is_dir():
        raise BadSettings([f"{folder} is no folder"])
    for place in sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")):
        if not ID.fullmatch(place.name):
            yield place.name, {}, "an id has letters, digits, _ . - only, 128 of them at most"
            continue
        try:
            source = TemplateFolder(folder).find(place.name)
        except BadTemplate as error:
            yield place.name, {}, error.text
            continue
        if source is None:
            yield place.name, {}, "there is no body.html, body.mjml or body.txt"
            continue
        written = msgspec.structs.asdict(source)
        if source.subject is not None:
            written["subject"] = " ".join(source.subject.split())
        yield place.name, _given(written), ""


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def read_variables(given: list[str] | None) -> dict[str, Any] | None:
    """`name=value` each; a value that is JSON is what it says, any other is text."""
    if given is None:
        return None
    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise BadSettings(["--set: is written name=value"])
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _path(id: str) -> str:
    return f"{ALL}/{quote(id, safe='')}"
