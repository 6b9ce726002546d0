"""Who is calling with a token: a JWT of the one issuer we trust (RFC 7519, checked as RFC 8725 asks).

Rules: the algorithm is the key's, never the token's choice; `kid`, exp, iss and aud are required; nbf and iat are heeded.
A token that was found good is remembered by its SHA-256 until it expires, or until the issuer's keys change.
"""

from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from posthouse.store.catalog import ApiKey
from posthouse.submission.jwks import Jwks

if TYPE_CHECKING:
    from jwt import PyJWK

LEEWAY = 60
"""Seconds that clocks may differ."""
MAX_TOKEN = 8192
"""Bytes of a token."""
REMEMBERED = 10_000
"""Tokens that are remembered; beyond, the oldest is forgotten, and checked again when it comes back."""

_NOT_VALID = "The token is not valid."
_CLAIMS_WRONG = {
    "ExpiredSignatureError": "The token has expired.",
    "ImmatureSignatureError": "The token is not valid yet.",
    "InvalidAudienceError": "The token is for another audience.",
    "InvalidIssuerError": "The token is from another issuer.",
    "MissingRequiredClaimError": "The token lacks one of exp, iss and aud.",
}
"""PyJWT's error → what the caller is told; only a token with a good signature is told this much."""


class BadToken(Exception):
    """A token that opens nothing; `text` says why and may be shown."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Header(msgspec.Struct):
    """What says which key a token is signed with (RFC 7515 §4.1)."""

    alg: Literal["RS256", "ES256", "EdDSA"]
    kid: str


class _Claims(msgspec.Struct):
    """What a caller is made of."""

    exp: int | float
    sub: str | None = None
    client_id: str | None = None
    scope: str = ""


class Tokens:
    """Tokens of `issuer` for `audience`, signed with one of `keys`. `now` gives microseconds since 1970."""

    def __init__(
        self, keys: Jwks, issuer: str, audience: str, now: Callable[[], int], remembered: int = REMEMBERED
    ) -> None:
        self.keys = keys
        self._issuer, self._audience, self._now = issuer, audience, now
        self._remembered = remembered
        self._good: OrderedDict[bytes, ApiKey] = OrderedDict()
        self._version = keys.version

    async def caller(self, token: bytes) -> ApiKey:
        """Who calls with this token, until it expires; raises BadToken, KeysAway."""
        if len(token) > MAX_TOKEN:
            raise BadToken("The token is too long.")
        if self._version != self.keys.version:
            self._good.clear()
            self._version = self.keys.version
        name = sha256(token).digest()
        known = self._good.get(name)
        if known is not None and known.expires_at is not None and self._now() < known.expires_at:
            return known
        kid, algorithm = _named_key(token)
        key = await self.keys.find(kid, algorithm)
        if key is None:
            raise BadToken(_NOT_VALID)
        found = _caller(self._issuer, self._check(token, key))
        self._remember(name, found)
        return found

    def _check(self, token: bytes, key: "PyJWK") -> _Claims:
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
            return msgspec.convert(claims, _Claims)
        except jwt.PyJWTError as error:
            raise BadToken(_CLAIMS_WRONG.get(type(error).__name__, _NOT_VALID)) from None
        except msgspec.ValidationError:
            raise BadToken("The token has a claim of the wrong kind.") from None

    def _remember(self, name: bytes, caller: ApiKey) -> None:
        self._good[name] = caller
        if len(self._good) > self._remembered:
            self._good.popitem(last=False)


def looks_like_token(presented: bytes) -> bool:
    """Whether this has the three parts of a signed token (RFC 7515 §3.1); no key that we make has a dot."""
    return presented.count(b".") == 2


def _named_key(token: bytes) -> tuple[str, str]:
    """The `kid` and algorithm that a token says it is signed with; raises BadToken. PyJWT reads the header once more,
    and strictly, when it checks the signature; twice would cost a stranger's token as much again."""
    first = token.partition(b".")[0]
    try:
        header = msgspec.json.decode(urlsafe_b64decode(first + b"=" * (-len(first) % 4)), type=_Header)
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise BadToken(_NOT_VALID) from None
    return header.kid, header.alg


def _caller(issuer: str, claims: _Claims) -> ApiKey:
    """The caller as one who has a key. The id is the same for every token of a subject of this issuer, else of a client
    (RFC 9068 §2.2), and has nothing in common with the id of a key."""
    kind, who = ("sub", claims.sub) if claims.sub is not None else ("client_id", claims.client_id or "")
    identity = "\0".join((issuer, kind, who)).encode("utf-8", "surrogatepass")
    return ApiKey(
        id=f"jwt-{sha256(identity).hexdigest()[:32]}",
        name=who,
        digest=b"",
        scopes=tuple(claims.scope.split()),
        expires_at=int((claims.exp + LEEWAY) * 1_000_000),
    )
