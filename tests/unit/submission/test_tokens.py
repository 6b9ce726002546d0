"""Which tokens are taken, whom they name, and what is told of the others."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from posthouse.submission.jwks import Jwks
from posthouse.submission.times import wall_clock
from posthouse.submission.tokens import MAX_TOKEN, BadToken, Tokens, looks_like_token
from tests.issuer import AUDIENCE, NAME, Issuer, Key, good_claims, issuer

KEY = Key("one")
RSA = Key("two", "RS256")
ED = Key("three", "EdDSA")
STRANGER = Key("one")
"""Has the `kid` of a known key, and is another."""


@asynccontextmanager
async def opened(
    there: Issuer, clock: Any = lambda: 0.0, now: Any = wall_clock, remembered: int = 100
) -> AsyncIterator[Tokens]:
    keys = Jwks(there.url, clock, 3600.0)
    await keys.start()
    try:
        await keys.refresh()
        yield Tokens(keys, NAME, AUDIENCE, now, remembered)
    finally:
        await keys.stop()


async def refused(tokens: Tokens, token: str | bytes) -> str:
    """What is told of a token that must be refused."""
    with pytest.raises(BadToken) as raised:
        await tokens.caller(token.encode() if isinstance(token, str) else token)
    return raised.value.text


@pytest.mark.parametrize("key", [KEY, RSA, ED], ids=lambda key: key.algorithm)
async def test_a_good_token_of_each_algorithm(key: Key) -> None:
    with issuer(KEY, RSA, ED) as there:
        async with opened(there) as tokens:
            caller = await tokens.caller(key.token("send logs profile").encode())
    assert (caller.name, caller.scopes) == ("shop", ("send", "logs", "profile"))
    assert caller.digest == b""


class after(float):  # noqa: N801
    """So many seconds after the moment the token is made."""


def made(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims with their times, counted from now."""
    times = {name: time.time() + value for name, value in claims.items() if isinstance(value, after)}
    return {"scope": "send", **claims, **times}


GOOD: list[dict[str, Any]] = [
    {"aud": ["other", AUDIENCE]},
    {"exp": after(-40)},
    {"exp": after(9.5)},
    {"nbf": after(40)},
    {"scope": None},
    {"sub": None},
    {"sub": "\ud800"},
    {"iat": None},
]


@pytest.mark.parametrize("claims", GOOD, ids=str)
async def test_what_a_good_token_may_also_say(claims: dict[str, Any]) -> None:
    with issuer(KEY) as there:
        async with opened(there) as tokens:
            assert await tokens.caller(KEY.token(**made(claims)).encode())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"exp": after(-61)}, "The token has expired."),
    ({"nbf": after(600)}, "The token is not valid yet."),
    ({"iat": after(600)}, "The token is not valid yet."),
    ({"aud": "other"}, "The token is for another audience."),
    ({"aud": [AUDIENCE, 7]}, "The token is for another audience."),
    ({"iss": NAME.rstrip("/")}, "The token is from another issuer."),
    ({"exp": None}, "The token lacks one of exp, iss and aud."),
    ({"iss": None}, "The token lacks one of exp, iss and aud."),
    ({"aud": None}, "The token lacks one of exp, iss and aud."),
    ({"aud": []}, "The token lacks one of exp, iss and aud."),
    ({"exp": float("nan")}, "The token is not valid."),
    ({"exp": float("inf")}, "The token is not valid."),
    ({"exp": "9999999999"}, "The token has a claim of the wrong kind."),
    ({"scope": ["send"]}, "The token has a claim of the wrong kind."),
    ({"client_id": 7}, "The token has a claim of the wrong kind."),
    ({"sub": 7}, "The token is not valid."),
]


@pytest.mark.parametrize(("claims", "text"), WRONG, ids=str)
async def test_claims_that_are_wrong(claims: dict[str, Any], text: str) -> None:
    with issuer(KEY) as there:
        async with opened(there) as tokens:
            assert await refused(tokens, KEY.token(**made(claims))) == text


def _forged(header: Any, claims: Any = None, signature: bytes = b"") -> str:
    parts = [json.dumps(each).encode() for each in (header, good_claims() if claims is None else claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, signature])


def _signed_with_the_public_key(key: Key) -> str:
    """HS256 with what everybody can read as the secret."""
    public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = _forged({"alg": "HS256", "typ": "JWT", "kid": key.kid}).rpartition(".")[0]
    return f"{head}.{base64.urlsafe_b64encode(hmac.digest(public, head.encode(), 'sha256')).rstrip(b'=').decode()}"


BAD: dict[str, str] = {
    "alg none": _forged({"alg": "none", "kid": "one"}),
    "alg None": _forged({"alg": "None", "kid": "one"}),
    "alg a list": _forged({"alg": ["ES256"], "kid": "one"}),
    "no alg": _forged({"kid": "one"}),
    "no signature": _forged({"alg": "ES256", "kid": "one"}),
    "signature of zeros": _forged({"alg": "ES256", "kid": "one"}, None, bytes(64)),
    "HS256 with the RSA key": _signed_with_the_public_key(RSA),
    "HS256 with the EC key": _signed_with_the_public_key(KEY),
    "another key of this kid": STRANGER.token(),
    "kid unknown": Key("four").token(),
    "no kid": KEY.sign(good_claims(), kid=None),
    "kid of another algorithm": KEY.sign(good_claims(), kid="two"),
    "algorithm of another family": RSA.sign(good_claims(), "RS512"),
    "PSS": RSA.sign(good_claims(), "PS256"),
    "wrong curve": Key("one", "ES384").sign(good_claims()),
    "wrong curve, named right": _forged({"alg": "ES256", "kid": "one"}, None, bytes(96)),
    "its own key": STRANGER.sign(good_claims(), jwk=STRANGER.jwk),
    "a critical header": KEY.sign(good_claims(), crit=["exp"]),
    "claims are a list": _forged({"alg": "ES256", "kid": "one"}, []),
    "deep header": f"{base64.urlsafe_b64encode(b'[' * 4000).decode().rstrip('=')}.e30.",
    "header a number": _forged(7),
    "header a string": _forged("alg"),
    "kid a number": _forged({"alg": "ES256", "kid": 7}),
    "header not UTF-8": _forged({"alg": "ES256", "kid": "one"}).replace("ey", "_y", 1),
    "not base64": "!.!.!",
    "empty": "..",
    "not ASCII": "é.é.é",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
async def test_a_token_that_nobody_signed_for_us_is_told_nothing(token: str) -> None:
    with issuer(KEY, RSA) as there:
        async with opened(there) as tokens:
            assert await refused(tokens, token) == "The token is not valid."


async def test_an_algorithm_that_is_not_ours_costs_the_issuer_nothing() -> None:
    with issuer(KEY) as there:
        async with opened(there) as tokens:
            fetches = there.fetches
            for algorithm in ("none", "HS256", "RS512", "ES384"):
                await refused(tokens, _forged({"alg": algorithm, "kid": "unknown"}))
            assert there.fetches == fetches


async def test_one_changed_character_anywhere_is_refused() -> None:
    with issuer(KEY) as there:
        async with opened(there) as tokens:
            good = KEY.token().encode()
            for place in range(0, len(good), 7):
                if good[place] != ord("."):
                    changed = bytes([ord("A") if good[place] != ord("A") else ord("B")])
                    await refused(tokens, good[:place] + changed + good[place + 1 :])


async def test_a_token_that_is_too_long_is_refused_whatever_it_says() -> None:
    with issuer(KEY) as there:
        async with opened(there) as tokens:
            assert await refused(tokens, KEY.token(more="x" * MAX_TOKEN)) == "The token is too long."


@given(st.binary(max_size=300))
def test_what_looks_like_a_token_has_three_parts(presented: bytes) -> None:
    assert looks_like_token(presented) == (len(presented.split(b".")) == 3)


async def test_a_subject_is_one_caller_whatever_its_token_and_nobody_else() -> None:
    with issuer(KEY, ED) as there:
        async with opened(there) as tokens:

            async def id(key: Key = KEY, **claims: Any) -> str:
                return (await tokens.caller(key.token(**claims).encode())).id

            shop = await id()
            assert shop == await id(ED, scope="logs", client_id="x")
            assert shop.startswith("jwt-") and len(shop) == 36
            others = [await id(sub="shop2"), await id(sub=None, client_id="shop"), await id(sub=None)]
            assert len({shop, *others}) == 4


async def test_a_token_is_remembered_until_it_expires() -> None:
    now = [int(time.time() * 1_000_000)]
    with issuer(KEY) as there:
        async with opened(there, now=lambda: now[0]) as tokens:
            token = KEY.token().encode()
            first = await tokens.caller(token)
            assert await tokens.caller(token) is first
            assert first.expires_at is not None
            now[0] = first.expires_at
            assert await tokens.caller(token) is not first


async def test_a_remembered_token_is_refused_once_its_key_is_withdrawn() -> None:
    now = [0.0]
    with issuer(KEY) as there:
        async with opened(there, lambda: now[0]) as tokens:
            token = KEY.token().encode()
            await tokens.caller(token)
            there.show(ED)
            now[0] = 1.0
            assert await tokens.caller(ED.token().encode())
            assert await refused(tokens, token.decode()) == "The token is not valid."


async def test_no_more_tokens_are_remembered_than_told() -> None:
    with issuer(ED) as there:
        async with opened(there, remembered=2) as tokens:
            one, two, three = (ED.token(jti=str(number)).encode() for number in range(3))
            first = await tokens.caller(one)
            second = await tokens.caller(two)
            await tokens.caller(three)
            assert await tokens.caller(two) is second
            assert await tokens.caller(one) is not first
