"""The catalog's API keys: without their secrets, changed seldom, asked for their version once a second."""

from typing import Protocol

import msgspec


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret: `digest` is the SHA-256 of the whole key. Times in microseconds."""

    id: str
    name: str
    digest: bytes
    scopes: tuple[str, ...]
    created_at: int = 0
    expires_at: int | None = None
    revoked_at: int | None = None

    @property
    def by(self) -> str:
        """Its bearer, as the trail names who did something."""
        return f"{self.name} ({self.id})" if self.id else self.name


class ApiKeys(Protocol):
    """Who may call."""

    async def add_api_key(self, key: ApiKey, seconds: float | None = None) -> ApiKey:
        """Keeps a key, valid for `seconds` or for ever."""
        ...

    async def api_keys(self) -> list[ApiKey]:
        """All keys, revoked and expired ones too, oldest first."""
        ...

    async def revoke_api_key(self, id_or_name: str) -> int:
        """Revokes the keys of that id or name; answers how many were live until now."""
        ...

    async def api_key_version(self) -> int:
        """A number that grows with every change of the keys: asked once a second, so a revoke holds everywhere."""
        ...
