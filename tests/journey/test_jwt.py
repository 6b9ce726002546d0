"""Services that call with a token of their issuer: a real process, a real JWKS endpoint whose keys rotate, that goes
down and comes back; every bad kind of token; and what is counted and kept for a caller without a key."""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from posthouse.testing.sink import SmtpSink
from tests.issuer import AUDIENCE, NAME, Issuer, Key, good_claims, issuer
from tests.journey.house import House, free_port, opened, until

ONE, TWO = Key("one"), Key("two", "EdDSA")
RSA = Key("rsa", "RS256")
MAIL = {"to": "ann@example.org", "subject": "Horses", "body": "are changed here."}


def settings(there: Issuer, **more: str) -> dict[str, str]:
    return {"jwks_url": there.url, "jwt_audience": AUDIENCE, "jwt_issuer": NAME, **more}


async def post(house: House, token: str, mail: Any = MAIL, **headers: str) -> httpx2.Response:
    given = {"authorization": f"Bearer {token}", **headers}
    return await house.client.post("/email/send", json=mail, headers=given)


def refused(answer: httpx2.Response, text: str) -> bool:
    """Whether this is the 401 of RFC 6750 §3.1, as a problem document with this text."""
    assert answer.headers["www-authenticate"] == 'Bearer realm="posthouse", error="invalid_token"'
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == ("urn:posthouse:problem:unauthorized", 401)
    assert answer.status_code == 401
    return problem["detail"] == text


async def test_tokens_of_every_algorithm_send_and_read_within_their_scope(tmp_path: Path) -> None:
    with issuer(ONE, TWO, RSA) as there:
        async with SmtpSink() as sink:
            transport = f"smtp://127.0.0.1:{sink.port}?tls=none"
            async with opened(tmp_path, transport, **settings(there)) as house:
                for key in (ONE, TWO, RSA):
                    answer = await post(house, key.token("send"))
                    assert answer.status_code == 202, answer.text
                    await house.until(answer.headers["x-message-id"], "sent")
                assert sink.taken == 3
                lacks = await post(house, ONE.token("logs openid"))
                assert lacks.status_code == 403
                assert lacks.json()["type"] == "urn:posthouse:problem:forbidden"
                challenge = 'Bearer realm="posthouse", error="insufficient_scope", scope="send"'
                assert lacks.headers["www-authenticate"] == challenge
                assert (await post(house, ONE.token(None))).status_code == 403
                for scope, status in (("logs", 200), ("send bulk", 403), ("admin", 200), ("sending", 403)):
                    bearer = {"authorization": f"Bearer {ONE.token(scope)}"}
                    assert (await house.client.get("/email/logs", headers=bearer)).status_code == status
                assert (await post(house, "", authorization="Basic eDp5")).headers["www-authenticate"] == (
                    'Bearer realm="posthouse"'
                )
                assert there.fetches == 1
                assert await house.send()


def _plain(header: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (header, good_claims(scope="send")))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


async def test_every_bad_token_is_401_and_stores_nothing(tmp_path: Path) -> None:
    now = int(time.time())
    late = now + 300
    hidden = "canary-7Q"
    bad = {
        _plain({"alg": "none", "kid": "one"}): "The token is not valid.",
        Key("one").token(): "The token is not valid.",
        Key("elsewhere").token(): "The token is not valid.",
        ONE.sign(good_claims(scope="send"), kid=None): "The token is not valid.",
        RSA.sign(good_claims(scope="send"), "PS256"): "The token is not valid.",
        Key("one", "ES384").sign(good_claims(scope="send")): "The token is not valid.",
        ONE.token(exp=now - 90): "The token has expired.",
        ONE.token(exp=None): "The token lacks one of exp, iss and aud.",
        ONE.token(nbf=late, sub=hidden): "The token is not valid yet.",
        ONE.token(aud=hidden): "The token is for another audience.",
        ONE.token(iss=hidden): "The token is from another issuer.",
        ONE.token(more="x" * 9000): "The token is too long.",
    }
    with issuer(ONE, RSA) as there:
        async with opened(tmp_path, **settings(there)) as house:
            assert (await post(house, ONE.token(exp=now - 30))).status_code == 202
            for token, text in bad.items():
                answer = await post(house, token)
                assert refused(answer, text), (text, answer.text)
                assert hidden not in answer.text
            assert len(await house.all()) == 1
            assert hidden not in house.log
            assert there.fetches <= 3


async def test_a_new_key_is_found_at_once_and_the_old_one_is_gone(tmp_path: Path) -> None:
    with issuer(ONE) as there:
        async with opened(tmp_path, **settings(there)) as house:
            old = ONE.token()
            assert (await post(house, old)).status_code == 202
            there.show(TWO)
            assert (await post(house, TWO.token())).status_code == 202
            assert refused(await post(house, old), "The token is not valid.")


async def test_unknown_keys_cost_the_issuer_a_fetch_a_second_at_most(tmp_path: Path) -> None:
    with issuer(ONE) as there:
        async with opened(tmp_path, **settings(there)) as house:
            assert (await post(house, ONE.token())).status_code == 202
            started = time.monotonic()
            strangers = [Key(f"stranger {number}", private=ONE.private).token() for number in range(100)]
            answers = await asyncio.gather(*(post(house, token) for token in strangers))
            assert {answer.status_code for answer in answers} == {401}
            assert there.fetches <= 2 + (time.monotonic() - started)


async def test_the_keys_outlive_the_endpoint_and_follow_it_when_it_is_back(tmp_path: Path) -> None:
    with issuer(ONE) as there:
        async with opened(tmp_path, **settings(there)) as house:
            assert (await post(house, ONE.token())).status_code == 202
            there.down()
            assert (await post(house, ONE.token(sub="another"))).status_code == 202
            unknown = TWO.token()

            async def noticed() -> bool:
                assert refused(await post(house, unknown), "The token is not valid.")
                return "token keys not fetched" in house.log

            await until(noticed, 10, lambda: house.log)
            assert (await post(house, ONE.token())).status_code == 202
            there.show(TWO)
            there.up()

            async def taken() -> bool:
                return (await post(house, unknown)).status_code == 202

            await until(taken, 10, lambda: house.log)


async def test_an_endpoint_that_hangs_holds_up_nobody_whose_key_is_known(tmp_path: Path) -> None:
    with issuer(ONE) as there:
        async with opened(tmp_path, **settings(there)) as house:
            assert (await post(house, ONE.token())).status_code == 202
            there.delay = 60.0
            waits = asyncio.create_task(post(house, TWO.token()))
            await until(lambda: there.fetches == 2, 10, lambda: house.log)
            assert (await post(house, ONE.token(sub="another"))).status_code == 202
            assert not waits.done()
            assert (await waits).status_code == 401


async def test_keys_that_never_came_are_503_for_tokens_and_nothing_for_keys(tmp_path: Path) -> None:
    there = Issuer(ONE)
    there.port = free_port()
    async with opened(tmp_path, **settings(there)) as house:
        away = await post(house, ONE.token())
        assert (away.status_code, away.headers["retry-after"]) == (503, "5")
        assert away.json()["type"] == "urn:posthouse:problem:unavailable"
        assert (await house.client.get("/readyz")).status_code == 200
        assert await house.send()
        there.up()

        async def taken() -> bool:
            return (await post(house, ONE.token())).status_code == 202

        await until(taken, 15, lambda: house.log)
        there.down()


async def test_requests_are_counted_and_idempotency_keys_kept_by_subject(tmp_path: Path) -> None:
    with issuer(ONE) as there:
        async with opened(tmp_path, **settings(there, rate_limit="3/hour")) as house:
            key = {"idempotency-key": "order-7"}
            first = await post(house, ONE.token(), **key)
            again = await post(house, ONE.token(jti="another token"), **key)
            other = await post(house, ONE.token(sub="bakery"), **key)
            assert [answer.status_code for answer in (first, again, other)] == [202, 202, 202]
            assert first.headers["x-message-id"] == again.headers["x-message-id"]
            assert first.headers["x-message-id"] != other.headers["x-message-id"]
            assert (await post(house, ONE.token())).status_code == 202
            over = await post(house, ONE.token(jti="yet another"))
            assert over.status_code == 429
            assert int(over.headers["retry-after"]) > 0
            assert (await post(house, ONE.token(sub="bakery"))).status_code == 202
            assert (await post(house, ONE.token(sub=None, client_id="shop"))).status_code == 202


async def test_a_missing_companion_is_named_and_nothing_starts(tmp_path: Path) -> None:
    house = House(tmp_path, jwks_url="https://issuer.example/secret-path")
    with pytest.raises(AssertionError, match="it ended with"):
        await house.start()
    for name in ("POSTHOUSE_JWT_AUDIENCE", "POSTHOUSE_JWT_ISSUER"):
        assert f"{name}: is needed with POSTHOUSE_JWKS_URL" in house.log
    assert "secret-path" not in house.log
    await house.close()
