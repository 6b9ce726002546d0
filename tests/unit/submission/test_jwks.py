"""The issuer's keys: which are taken, when they are fetched, and what they outlive."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from posthouse.submission.jwks import MAX_ANSWER, Jwks, KeysAway, read_keys
from tests.issuer import Issuer, Key, issuer
from tests.journey.house import free_port, until

FIRST = Key("first")
SECOND = Key("second", "EdDSA")


@asynccontextmanager
async def opened(url: str, clock: Any = lambda: 0.0, every: float = 3600.0) -> AsyncIterator[Jwks]:
    """Started keys, the first fetch done."""
    keys = Jwks(url, clock, every)
    await keys.start()
    try:
        await asyncio.sleep(0)
        await keys.refresh()
        yield keys
    finally:
        await keys.stop()


def test_each_kind_of_key_has_its_one_algorithm() -> None:
    keys = [Key("a", "RS256"), Key("b", "ES256"), Key("c", "EdDSA")]
    body = json.dumps({"keys": [key.jwk for key in keys]}).encode()
    assert set(read_keys(body)) == {("a", "RS256"), ("b", "ES256"), ("c", "EdDSA")}


def test_the_members_that_may_be_missing_may_be_missing() -> None:
    bare = {name: value for name, value in FIRST.jwk.items() if name not in ("use", "alg")}
    assert set(read_keys(json.dumps({"keys": [bare]}).encode())) == {("first", "ES256")}


PASSED_OVER: list[Any] = [
    {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "x"},
    {"kty": "RSA", "n": 7, "e": [], "kid": "x"},
    {"kty": "AKP", "kid": "x", "alg": "ML-DSA-44", "pub": "AA"},
    {},
    {**FIRST.jwk, "use": "enc"},
    {**FIRST.jwk, "key_ops": ["sign"]},
    {**FIRST.jwk, "alg": "ES384"},
    {**FIRST.jwk, "kid": 7},
    {name: value for name, value in FIRST.jwk.items() if name != "kid"},
    Key("x", "ES384").jwk,
    Key("x", "RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024)).jwk,
]


@pytest.mark.parametrize("key", PASSED_OVER)
def test_a_key_that_is_not_for_us_is_passed_over_and_the_others_stand(key: Any) -> None:
    assert set(read_keys(json.dumps({"keys": [key, SECOND.jwk]}).encode())) == {("second", "EdDSA")}


async def test_an_unknown_key_fetches_at_most_once_a_second() -> None:
    now = [0.0]
    with issuer(FIRST) as there:
        async with opened(there.url, lambda: now[0]) as keys:
            assert there.fetches == 1
            assert await keys.find("first", "ES256") is not None
            assert there.fetches == 1
            assert await keys.find("second", "EdDSA") is None
            assert there.fetches == 2
            assert await keys.find("second", "EdDSA") is None
            assert there.fetches == 2
            now[0] = 1.0
            there.show(FIRST, SECOND)
            found = await asyncio.gather(*(keys.find("second", "EdDSA") for _ in range(50)))
            assert None not in found
            assert there.fetches == 3
            now[0] = 1.9
            assert await keys.find("third", "ES256") is None
            assert there.fetches == 3


async def test_a_key_that_is_withdrawn_is_gone_after_the_next_look() -> None:
    with issuer(FIRST, SECOND) as there:
        async with opened(there.url, every=0.02) as keys:
            version = keys.version
            there.show(SECOND)
            await until(lambda: keys.version != version, 10)
            assert await keys.find("first", "ES256") is None
            assert await keys.find("second", "EdDSA") is not None


async def test_the_version_stands_while_the_keys_do() -> None:
    with issuer(FIRST) as there:
        async with opened(there.url) as keys:
            version = keys.version
            await keys.refresh()
            assert (there.fetches, keys.version) == (2, version)


def _break(there: Issuer, how: str) -> None:
    answers = {"words": b"<html>", "list": b"[]", "deep": b"[" * 100_000, "latin": b'{"keys": "\xff"}'}
    if how in answers:
        there.body = answers[how]
    elif how == "large":
        there.body = b" " * MAX_ANSWER + there.body
    elif how == "redirect":
        there.status, there.location = 302, f"http://127.0.0.1:{there.port}/elsewhere"
    elif how == "error":
        there.status = 503
    else:
        there.down()


@pytest.mark.parametrize("how", ["words", "list", "deep", "latin", "large", "redirect", "error", "down"])
async def test_the_keys_outlive_an_endpoint_that_answers_no_keys(how: str) -> None:
    with issuer(FIRST) as there:
        async with opened(there.url) as keys:
            there.show(SECOND)
            _break(there, how)
            await keys.refresh()
            assert await keys.find("first", "ES256") is not None
            assert await keys.find("second", "EdDSA") is None


async def test_keys_that_never_came_are_away_until_they_come() -> None:
    now = [0.0]
    there = Issuer(FIRST)
    there.port = free_port()
    async with opened(there.url, lambda: now[0]) as keys:
        with pytest.raises(KeysAway):
            await keys.find("first", "ES256")
        there.up()
        now[0] = 1.0
        assert await keys.find("first", "ES256") is not None
        there.down()


async def test_whoever_waits_for_a_fetch_may_leave_without_ending_it() -> None:
    now = [0.0]
    with issuer(FIRST) as there:
        async with opened(there.url, lambda: now[0]) as keys:
            there.show(SECOND)
            now[0], there.delay = 1.0, 0.2
            leaves = asyncio.create_task(keys.find("second", "EdDSA"))
            await until(lambda: there.fetches == 2, 10)
            stays = asyncio.create_task(keys.find("second", "EdDSA"))
            await asyncio.sleep(0)
            leaves.cancel()
            assert await stays is not None
            assert there.fetches == 2
