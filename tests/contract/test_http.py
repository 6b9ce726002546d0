"""The order of the checks, and what stands around every route (DESIGN §6 HTTP)."""

import asyncio
from pathlib import Path

import pytest

from posthouse.submission.auth import make_key
from posthouse.submission.emails import GET
from posthouse.submission.endpoint import Call, Endpoint, Gate, Route
from posthouse.submission.ratelimit import Rate
from tests.contract.asgi import BEARER, JSON, MAIL, call, house


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Basic abc"}, {"x-api-key": "wrong"}, {"authorization": "Bearer ph_x_y"}],
)
async def test_no_valid_key_is_401_with_a_challenge(tmp_path: Path, headers: dict[str, str]) -> None:
    async with house(tmp_path) as h:
        reply = await h.ask("POST", "/email/send", b"{", headers=headers)
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.json["type"] == "urn:posthouse:problem:unauthorized"
    assert reply.json["status"] == 401


async def test_a_key_works_in_either_header_and_for_its_scopes_only(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        key, plain = make_key("shop", ["send"])
        await h.store.add_api_key(key)
        await h.keys.refresh()
        assert (await h.ask("POST", "/email/send", MAIL, headers={"x-api-key": plain})).status == 202
        assert (
            await h.ask("POST", "/email/send", MAIL, headers={"authorization": f"bearer {plain}"})
        ).status == 202
        refused = await h.ask("GET", "/email/logs", headers={"x-api-key": plain})
        assert refused.status == 403
        assert 'scope="logs"' in refused.headers["www-authenticate"]


async def test_a_revoked_and_an_expired_key_are_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        key, plain = make_key("old", ["admin"])
        await h.store.add_api_key(key)
        short, short_plain = make_key("short", ["admin"])
        await h.store.add_api_key(short, 0.000_001)
        await h.keys.refresh()
        assert (await h.ask("GET", "/email/logs", headers={"x-api-key": plain})).status == 200
        assert (await h.ask("GET", "/email/logs", headers={"x-api-key": short_plain})).status == 401
        assert await h.store.revoke_api_key("old") == 1
        await h.keys.refresh()
        assert (await h.ask("GET", "/email/logs", headers={"x-api-key": plain})).status == 401


async def test_a_revoke_is_noticed_by_the_running_keyring(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        key, plain = make_key("old", ["admin"])
        await h.store.add_api_key(key)
        await h.keys.start()
        await h.store.revoke_api_key("old")
        async with asyncio.timeout(10):
            while (await h.ask("GET", "/email/logs", headers={"x-api-key": plain})).status != 401:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await h.keys.stop()


async def test_the_rate_is_asked_after_the_key_and_before_the_size(tmp_path: Path) -> None:
    now = [0.0]
    async with house(tmp_path, rate=Rate(2, 60), clock=lambda: now[0], max_body=100) as h:
        wrong = await h.ask("POST", "/email/send", MAIL, headers={})
        assert "ratelimit" not in wrong.headers
        large = await h.send(b" " * 200)
        assert large.status == 413
        assert large.headers["ratelimit-policy"] == '"default";q=2;w=60'
        assert large.headers["ratelimit"] == '"default";r=1;t=60'
        assert (await h.send()).status == 202
        over = await h.send(b" " * 200)
        assert over.status == 429
        assert over.json["type"] == "urn:posthouse:problem:quota-exceeded"
        assert (await h.ask("GET", "/livez", headers={})).status == 200
        now[0] += int(over.headers["retry-after"])
        assert (await h.send()).status == 202


async def test_size_comes_before_type_and_type_before_content(tmp_path: Path) -> None:
    text = {"content-type": "text/plain"}
    async with house(tmp_path, max_body=100) as h:
        assert (await h.ask("POST", "/email/send", b"x" * 101, headers=BEARER | text)).status == 413
        assert (await h.ask("POST", "/email/send", b"{", headers=BEARER | text)).status == 415
        assert (
            await h.ask("POST", "/email/send", [b"x" * 60, b"x" * 60], headers=BEARER | text)
        ).status == 413
        assert (await h.ask("POST", "/email/send", [b"{", b"x"], headers=BEARER | text)).status == 415
        assert (await h.ask("POST", "/email/send", b"{")).status == 400


async def test_a_declared_size_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    async with house(tmp_path, max_body=100) as h:
        unread = [b"never read"]
        reply = await call(h.app, "POST", "/email/send", unread, BEARER | JSON | {"content-length": "101"})
        assert reply.status == 413
        assert unread == [b"never read"]


async def test_a_chunked_body_is_read_no_further_than_its_limit(tmp_path: Path) -> None:
    async with house(tmp_path, max_body=100) as h:
        chunks = [b"x" * 60] * 10
        reply = await call(h.app, "POST", "/email/send", chunks, BEARER | JSON)
        assert reply.status == 413
        assert len(chunks) == 8


async def test_a_caller_who_hangs_up_gets_nothing_and_stores_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        reply = await call(h.app, "POST", "/email/send", [b"{", None], BEARER | JSON)  # type: ignore[list-item]
        assert reply.status == 0
        assert (await h.ask("GET", "/email/logs")).json["items"] == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ('Application/JSON;charset="UTF-8"', 202),
        ("application/json; charset=latin-1", 415),
        ("application/vnd.api+json", 415),
        ("text/json", 415),
        ("", 415),
    ],
)
async def test_content_types(tmp_path: Path, kind: str, status: int) -> None:
    async with house(tmp_path) as h:
        assert (await h.send(content_type=kind)).status == status


async def test_a_compressed_body_is_not_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        assert (await h.send(content_encoding="gzip")).status == 415


async def test_paths_and_methods_that_are_not_there(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for path in ("/nowhere", "/email/send/", "/emails/", "/"):
            missing = await h.ask("GET", path, headers={})
            assert missing.status == 404
            assert missing.json["type"] == "urn:posthouse:problem:not-found"
        wrong = await h.ask("GET", "/email/send", headers={})
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST, OPTIONS")
        assert wrong.json["status"] == 405
        assert (await h.ask("DELETE", "/livez", headers={})).status == 405
        options = await h.ask("OPTIONS", "/emails/x", headers={})
        assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_head_has_the_headers_of_get_and_no_body(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        get, head = await h.ask("GET", "/email/logs"), await h.ask("HEAD", "/email/logs")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


async def test_health_is_open_and_tells_the_truth(tmp_path: Path) -> None:
    missing: dict[str, str] = {}

    async def ready() -> dict[str, str]:
        return missing

    async with house(tmp_path, ready=ready) as h:
        assert (await h.ask("GET", "/livez", headers={})).status == 200
        assert (await h.ask("GET", "/readyz", headers={})).status == 200
        missing["store"] = "away"
        reply = await h.ask("GET", "/readyz", headers={})
        assert reply.status == 503
        assert reply.json["parts"] == [{"part": "store", "detail": "away"}]
        assert (await h.ask("GET", "/livez", headers={})).status == 200


async def test_readiness_that_breaks_is_not_ready(tmp_path: Path) -> None:
    async def ready() -> dict[str, str]:
        raise OSError("a secret")

    async with house(tmp_path, ready=ready) as h:
        reply = await h.ask("GET", "/readyz", headers={})
        assert reply.status == 503
        assert b"secret" not in reply.body


async def test_a_bug_is_a_500_without_a_word_of_what_happened(tmp_path: Path) -> None:
    async def breaks(_: Call) -> None:
        raise ValueError("a secret")

    async with house(tmp_path) as h:
        route = Route(method="GET", path="/x", scope="logs", handler=breaks, doc=GET)  # type: ignore[arg-type]
        endpoint = Endpoint(Gate(h.keys, None, 1), [route])
        reply = await call(endpoint, "GET", "/x", [b""], BEARER)
    assert reply.status == 500
    assert reply.json["type"] == "urn:posthouse:problem:internal"
    assert b"secret" not in reply.body
