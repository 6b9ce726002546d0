"""The API as the command line uses it: over HTTP, or in this process on the store of the settings.

Both speak the same requests and get the same JSON, so a command is written once.
"""

import asyncio
import json
import os
import pwd
import secrets
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from posthouse.app import build_app
from posthouse.config import Settings
from posthouse.delivery.render import Renderer
from posthouse.queue.registry import open_queue
from posthouse.roles.api import open_api
from posthouse.roles.bulk import open_bulk
from posthouse.roles.links import open_links
from posthouse.roles.opened import opened_catalog, opened_store
from posthouse.suppressed import SuppressionList

HTTP_SECONDS = 30.0


class Reply(NamedTuple):
    """Status, headers (lower-case names) and the decoded JSON body, None where there is none."""

    status: int
    headers: dict[str, str]
    body: Any


class Unreachable(Exception):
    """No answer over HTTP."""


Desk = Callable[[str, str, Any], Awaitable[Reply]]
"""Asks with method, path and JSON body (or None)."""


def over_http(url: str, key: str) -> Desk:
    """Asks a running Posthouse."""

    def ask(method: str, path: str, body: Any) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url.rstrip("/") + path, data, method=method)
        request.add_header("Authorization", f"Bearer {key}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as answer:
                return _reply(answer.status, dict(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as error:
            return _reply(error.code, dict(error.headers.items()), error.read())
        except (OSError, ValueError, HTTPException) as error:
            why = " ".join(str(getattr(error, "reason", error)).split())
            raise Unreachable(f"{url}: {why}") from None

    async def desk(method: str, path: str, body: Any) -> Reply:
        return await asyncio.to_thread(ask, method, path, body)

    return desk


@asynccontextmanager
async def on_store(settings: Settings) -> AsyncGenerator[Desk]:
    """Asks the app in this process, with a key of its own; a running worker finds the mail by itself."""
    key = secrets.token_urlsafe(32)
    settings = msgspec.structs.replace(settings, api_key=key, rate_limit=None)
    async with opened_store(settings) as store, opened_catalog(settings, store) as catalog:
        linking = await open_links(settings, catalog)
        queue, renderer = open_queue("store:", store.next_due), Renderer(None, linking.links)
        bulk, suppressed = open_bulk(settings, store, catalog, queue), SuppressionList(catalog)
        api = open_api(
            settings,
            store,
            store,
            catalog,
            suppressed,
            linking,
            queue,
            renderer,
            _always_ready,
            bulk=bulk,
            by=_person(),
        )
        app = build_app(api)

        async def desk(method: str, path: str, body: Any) -> Reply:
            return await _ask_app(app, key, method, path, b"" if body is None else json.dumps(body).encode())

        try:
            yield desk
        finally:
            renderer.stop()
        await api.accept.drain()


def _person() -> str:
    """Who is at the command line, for the trail."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        name = f"user {os.getuid()}"
    return f"{name} at the command line"


async def _always_ready() -> dict[str, str]:
    return {}


async def _ask_app(app: Any, key: str, method: str, path: str, body: bytes) -> Reply:
    """One request by ASGI."""
    sent: list[dict[str, Any]] = []
    where, _, query = path.partition("?")
    headers = [(b"x-api-key", key.encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": unquote(where),
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*headers, (b"content-length", str(len(body)).encode())],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    await app(scope, receive, send)
    raw = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return _reply(sent[0]["status"], raw, b"".join(event.get("body", b"") for event in sent[1:]))


def _reply(status: int, headers: dict[str, str], body: bytes) -> Reply:
    lower = {name.lower(): value for name, value in headers.items()}
    decoded = json.loads(body) if body and "json" in lower.get("content-type", "") else None
    return Reply(status, lower, decoded)
