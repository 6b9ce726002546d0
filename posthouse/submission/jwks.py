"""The keys that tokens are checked with: fetched from the issuer's JWKS URL (RFC 7517), kept, refreshed in the background.

Rules: what was fetched last stands until something readable takes its place, so a dead endpoint costs nothing. A key
that is not known makes one fetch, at most once a second, however many ask; who asks during a fetch waits for that one.
No redirect is followed, no proxy of the environment used, and no answer read further than MAX_ANSWER.
"""

import asyncio
import math
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

if TYPE_CHECKING:
    import httpx2
    from jwt import PyJWK

REFRESH = 60.0
"""Seconds between two looks at the URL: how long a key that was withdrawn may still be good."""
RETRY = 5.0
"""Seconds until the next look after one that failed."""
ASK = 1.0
"""Seconds at least between two fetches for keys that are not known."""
FETCH_SECONDS = 5.0
MAX_ANSWER = 256 * 1024
MIN_RSA_BITS = 2048
"""RFC 7518 §3.3."""

FITS: dict[tuple[str, str | None], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""Kind and curve of a key → the one algorithm it is used with."""

Keys = Mapping[tuple[str, str], "PyJWK"]
"""Keys by `kid` and algorithm."""


class KeysAway(Exception):
    """The keys have never been fetched, so no token can be judged."""


class _Unusable(Exception):
    """An answer that holds no set of keys; the text says why and may be logged."""


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]


class _Entry(msgspec.Struct):
    """What decides whether a key is for us (RFC 7517 §4)."""

    kty: str
    kid: str
    crv: str | None = None
    alg: str | None = None
    use: str = "sig"
    key_ops: tuple[str, ...] = ("verify",)


class Jwks:
    """The keys behind `url`. `clock` gives seconds that never go back; `version` changes when the keys do."""

    def __init__(self, url: str, clock: Callable[[], float], every: float = REFRESH) -> None:
        self._url, self._clock, self._every = url, clock, every
        self._keys: Keys | None = None
        self._body = b""
        self._asked = -math.inf
        self._failing = False
        self._task: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self.version = 0

    async def start(self) -> None:
        """Fetches from now on, in the background: a dead endpoint holds up nobody but the callers with tokens."""
        self._client = _open_client()
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """Ends the fetching."""
        for task in (self._task, self._fetching):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self._client.aclose()

    async def find(self, kid: str, algorithm: str) -> "PyJWK | None":
        """The key, after a fetch if it is not known and one is allowed; raises KeysAway."""
        key = (self._keys or {}).get((kid, algorithm))
        if key is None and (self._under_way() or self._may_ask()):
            await self.refresh()
            key = (self._keys or {}).get((kid, algorithm))
        if self._keys is None:
            raise KeysAway
        return key

    async def refresh(self) -> None:
        """Fetches the keys, or waits for the fetch that is under way. A failure is logged, and changes nothing."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    def _may_ask(self) -> bool:
        """Whether a key that is not known may make a fetch now, which then is the one of this second."""
        now = self._clock()
        if now - self._asked < ASK:
            return False
        self._asked = now
        return True

    def _under_way(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    async def _keep_fresh(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(min(RETRY, self._every) if self._failing else self._every)

    async def _fetch(self) -> None:
        log = structlog.get_logger()
        try:
            body = await self._read()
            changed = body != self._body
            if changed:
                self._keys, self._body = read_keys(body), body
                self.version += 1
            if changed or self._failing:
                log.info("token keys fetched", keys=len(self._keys or ()))
            self._failing = False
        except Exception as error:
            if not self._failing:
                reason = str(error) if isinstance(error, _Unusable) else type(error).__name__
                log.warning("token keys not fetched", reason=reason)
            self._failing = True

    async def _read(self) -> bytes:
        body = bytearray()
        async with asyncio.timeout(FETCH_SECONDS), self._client.stream("GET", self._url) as answer:
            if answer.status_code != 200:
                raise _Unusable(f"status {answer.status_code}")
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise _Unusable(f"more than {MAX_ANSWER} bytes")
        return bytes(body)


def read_keys(body: bytes) -> Keys:
    """The keys of a set (RFC 7517 §5) that are for us; the others are passed over. Raises an error with a safe text."""
    try:
        found = msgspec.json.decode(body, type=_Set)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Unusable("not a JSON Web Key Set") from None
    keys: dict[tuple[str, str], PyJWK] = {}
    for raw in found.keys:
        key = _read_key(raw)
        if key is not None:
            keys[raw["kid"], key.algorithm_name] = key
    return keys


def _read_key(raw: dict[str, Any]) -> "PyJWK | None":
    from jwt import PyJWK, PyJWTError

    try:
        entry = msgspec.convert(raw, _Entry)
        algorithm = FITS.get((entry.kty, entry.crv))
        if algorithm is None or entry.alg not in (None, algorithm):
            return None
        if entry.use != "sig" or "verify" not in entry.key_ops:
            return None
        public = {name: raw[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in raw}
        key = PyJWK(public, algorithm)
    except (msgspec.ValidationError, PyJWTError, ValueError, TypeError):
        return None
    return None if algorithm == "RS256" and key.key.key_size < MIN_RSA_BITS else key


def _open_client() -> "httpx2.AsyncClient":
    """Loaded where it is needed: without a JWKS URL nothing is fetched."""
    import httpx2

    headers = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}
    return httpx2.AsyncClient(
        headers=headers,
        timeout=FETCH_SECONDS,
        verify=ssl.create_default_context(),
        trust_env=False,
        limits=httpx2.Limits(max_keepalive_connections=0),
    )
