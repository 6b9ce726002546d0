"""GET /metrics over HTTP: open to callers on this machine, else for admins; and what is counted of every answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from posthouse.metrics.meters import Meters
from posthouse.metrics.watch import watch_routes
from posthouse.submission.auth import KeyScope, make_key
from posthouse.submission.metrics import Watching
from posthouse.submission.ratelimit import Rate
from tests.contract.asgi import BEARER, House, Reply, call, house

ODD = ["/", "/emails/a/b", "/%00", "/..%2f..%2fetc", "/email/send/", "/🐎", *(f"/x{n}" for n in range(100))]


async def some_text() -> bytes:
    return b"posthouse_build_info 1.0\n"


def counted(meters: Meters) -> dict[tuple[str, ...], float]:
    return meters.counts("posthouse_http_responses_total")


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
async def there(tmp_path: Path, meters: Meters) -> AsyncIterator[House]:
    async with house(tmp_path, watching=Watching(some_text, watch_routes(meters))) as opened:
        yield opened


async def scraped(app: ASGIApp, client: Any, method: str = "GET", **headers: str) -> Reply:
    """A request for /metrics from an address."""

    async def from_there(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": client}, receive, send)

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await call(from_there, method, "/metrics", [b""], named)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
async def test_callers_on_this_machine_need_no_key(there: House, address: str) -> None:
    reply = await scraped(there.app, (address, 1234))
    assert (reply.status, reply.body) == (200, await some_text())
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("client", [("192.0.2.7", 1), ("2001:db8::1", 1), ("", 0), ("testclient", 1), None])
async def test_all_others_do(there: House, client: Any) -> None:
    assert (await scraped(there.app, client)).status == 401
    assert (await scraped(there.app, client, **BEARER)).status == 200


@pytest.mark.parametrize("header", ["forwarded", "x_forwarded_for", "x_real_ip", "via"])
async def test_who_comes_through_a_proxy_on_this_machine_is_not_here(there: House, header: str) -> None:
    assert (await scraped(there.app, ("127.0.0.1", 1), **{header: "1.1 proxy"})).status == 401


@pytest.mark.parametrize(("scopes", "status"), [(("logs", "send", "bulk"), 403), (("admin",), 200)])
async def test_only_the_scope_admin_will_do(there: House, scopes: tuple[KeyScope, ...], status: int) -> None:
    key, plain = make_key("k", scopes)
    await there.store.add_api_key(key)
    await there.keys.refresh()
    assert (await scraped(there.app, ("192.0.2.7", 1), x_api_key=plain)).status == status


async def test_other_methods(there: House) -> None:
    here = ("127.0.0.1", 1)
    head = await scraped(there.app, here, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert (await scraped(there.app, here, "POST")).status == 405
    assert (await scraped(there.app, here, "OPTIONS")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_it_is_in_the_document(there: House) -> None:
    document = (await there.ask("GET", "/openapi.json")).json
    operation = document["paths"]["/metrics"]["get"]
    assert {} in operation["security"] and len(operation["security"]) > 1
    assert {"200", "401", "403", "429"} <= set(operation["responses"])


async def test_answers_count_by_route_and_class(there: House, meters: Meters) -> None:
    id = await there.sent()
    await there.ask("GET", f"/emails/{id}")
    await there.ask("GET", "/emails/nobody")
    await there.ask("PUT", "/emails/nobody")
    await there.send({"to": "nonsense"})
    await there.ask("GET", "/livez")
    assert counted(meters) == {
        ("POST", "/email/send", "2xx"): 1,
        ("POST", "/email/send", "4xx"): 1,
        ("GET", "/emails/{id}", "2xx"): 1,
        ("GET", "/emails/{id}", "4xx"): 1,
        ("PUT", "/emails/{id}", "4xx"): 1,
        ("GET", "/livez", "2xx"): 1,
    }
    buckets = meters.spread("posthouse_http_response_duration_seconds", "POST", "/email/send").buckets
    assert buckets[-1] == ("+Inf", 2)


async def test_strange_input_makes_no_labels(there: House, meters: Meters) -> None:
    asked_by_the_house = {"/openapi.json"}
    for path in ODD:
        assert (await there.ask("GET", path)).status in (400, 404)
    for method in ("BREW", "PROPFIND", "X" * 1000):
        await there.ask(method, "/email/logs")
    labels = set(counted(meters))
    assert {route for _, route, _ in labels} - asked_by_the_house <= {
        "unmatched",
        "/emails/{id}",
        "/email/logs",
    }
    assert {method for method, _, _ in labels} == {"GET", "other"}


async def test_the_rate_limit_counts(tmp_path: Path, meters: Meters) -> None:
    watching = Watching(some_text, watch_routes(meters))
    async with house(tmp_path, rate=Rate(2, 60), clock=lambda: 0.0, watching=watching) as there:
        statuses = [(await there.ask("GET", "/email/logs")).status for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    assert meters.counts("posthouse_http_rate_limited_total") == {(): 3}


async def test_a_caller_who_hangs_up_is_no_answer(there: House, meters: Meters) -> None:
    reply = await there.ask("POST", "/email/send", [b'{"to": ', None])
    assert reply.status == 0
    assert counted(meters) == {}
