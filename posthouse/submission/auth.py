"""Who is calling: API keys, kept in memory, compared in constant time; else tokens, if an issuer is trusted.

A key is `ph_<id>_<secret>`: the id is public, the secret has 160 bits. Only the SHA-256 of the whole key is kept, so it
is shown once and never again. The string of POSTHOUSE_API_KEY has full access. Unknown, wrong, expired and revoked
keys get the same answer. A change counter asked once a second makes a revoke hold everywhere within a second.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Literal, get_args

import structlog

from posthouse.store.catalog import ApiKey, Catalog
from posthouse.submission.jwks import RETRY, KeysAway
from posthouse.submission.problems import Problem
from posthouse.submission.tokens import BadToken, Tokens, looks_like_token

KeyScope = Literal["send", "logs", "bulk", "admin"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)

MASTER = "POSTHOUSE_API_KEY"
"""What whoever has that key is called."""
SECRET_BYTES = 20
ID_BYTES = 5
REFRESH = 1.0
"""Seconds between two looks at the change counter."""

_REALM = b'Bearer realm="posthouse"'


def make_key(name: str, scopes: Sequence[KeyScope]) -> tuple[ApiKey, str]:
    """A new key for the catalog, and the key itself, which is shown once."""
    public = _letters(ID_BYTES)
    plain = f"ph_{public}_{_letters(SECRET_BYTES)}"
    return ApiKey(id=public, name=name, digest=digest(plain.encode()), scopes=tuple(scopes)), plain


def digest(key: bytes) -> bytes:
    """What is kept of a key. It has 160 random bits, so a plain SHA-256 is enough."""
    return sha256(key).digest()


class Keyring:
    """The keys in memory, and the tokens that are taken beside them. `master` is the string with full access, or None,
    and `master_name` what the trail says of whoever has it; `now` gives microseconds since 1970."""

    def __init__(
        self,
        catalog: Catalog,
        master: str | None,
        now: Callable[[], int],
        every: float = REFRESH,
        tokens: Tokens | None = None,
        master_name: str = MASTER,
    ) -> None:
        self._catalog, self._tokens = catalog, tokens
        self._master = ApiKey(id="", name=master_name, digest=b"", scopes=("admin",))
        # Without a master key a digest that no key has is compared, so both ways take the same time.
        self._master_digest = digest(master.encode()) if master else secrets.token_bytes(32)
        self._now, self._every = now, every
        self._keys: dict[bytes, ApiKey] = {}
        self._version: int | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads the keys and keeps them fresh; raises StoreAway when the catalog is away."""
        await self.refresh()
        if self._tokens is not None:
            await self._tokens.keys.start()
        self._task = asyncio.get_running_loop().create_task(self._keep_fresh())

    async def stop(self) -> None:
        """Ends the looks at the counter."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            if self._tokens is not None:
                await self._tokens.keys.stop()

    async def refresh(self) -> None:
        """Reads the keys again if they have changed."""
        version = await self._catalog.api_key_version()
        if version != self._version:
            self._keys = {key.id.encode(): key for key in await self._catalog.api_keys()}
            self._version = version

    async def identify(self, headers: Mapping[bytes, bytes], scope: KeyScope) -> ApiKey:
        """Who makes a request, which needs `scope`: a key, or what a token says, in the form of one. Raises Problem:
        401, 403 (RFC 6750 §3), or 503 for a token while the issuer's keys have never been fetched."""
        presented = _presented(headers)
        if presented is None:
            text = "Send an API key as Authorization: Bearer KEY or as x-api-key: KEY."
            raise Problem("unauthorized", text, headers=[(b"www-authenticate", _REALM)])
        key = self._find(presented)
        if key is None and self._tokens is not None and looks_like_token(presented):
            key = await _bearer(self._tokens, presented)
        if key is None:
            raise _refused("The API key is not valid.")
        if scope not in key.scopes and "admin" not in key.scopes:
            words = f', error="insufficient_scope", scope="{scope}"'.encode()
            text = f"This needs the scope {scope}."
            raise Problem("forbidden", text, headers=[(b"www-authenticate", _REALM + words)])
        return key

    def _find(self, presented: bytes) -> ApiKey | None:
        given = digest(presented)
        if hmac.compare_digest(given, self._master_digest):
            return self._master
        key = self._keys.get(presented[3:].partition(b"_")[0])
        if key is None or not hmac.compare_digest(given, key.digest) or key.revoked_at is not None:
            return None
        return None if key.expires_at is not None and key.expires_at <= self._now() else key

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.refresh()
            except Exception as error:
                structlog.get_logger().warning("API keys not refreshed", reason=type(error).__name__)


async def _bearer(tokens: Tokens, presented: bytes) -> ApiKey:
    try:
        return await tokens.caller(presented)
    except BadToken as bad:
        raise _refused(bad.text) from None
    except KeysAway:
        text = "The keys that tokens are checked with could not be fetched yet."
        raise Problem("unavailable", text, headers=[(b"retry-after", b"%d" % RETRY)]) from None


def _refused(text: str) -> Problem:
    challenge = (b"www-authenticate", _REALM + b', error="invalid_token"')
    return Problem("unauthorized", text, headers=[challenge])


def _presented(headers: Mapping[bytes, bytes]) -> bytes | None:
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == b"bearer ":
        return authorization[7:].strip()
    return headers.get(b"x-api-key")


def _letters(count: int) -> str:
    return base64.b32encode(secrets.token_bytes(count)).decode().rstrip("=").lower()
