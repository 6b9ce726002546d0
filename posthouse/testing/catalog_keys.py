"""Catalog contract: API keys are kept, revoked and counted."""

from posthouse.store.catalog import ApiKey, ApiKeys


class KeepingKeys:
    """ApiKeys of a catalog."""

    async def test_keys_are_kept_and_revoked(self, catalog: ApiKeys, other: ApiKeys) -> None:
        for number, name in enumerate(("one", "two", "two")):
            given = _key(str(number), name)
            kept = await catalog.add_api_key(given, 3600.0 if name == "one" else None)
            assert (kept.expires_at is None) == (name == "two")
            assert kept.created_at > 0
        keys = await other.api_keys()
        assert [(each.name, each.scopes, each.revoked_at) for each in keys] == [
            ("one", ("send", "logs"), None),
            ("two", ("send", "logs"), None),
            ("two", ("send", "logs"), None),
        ]
        assert keys[0].expires_at == keys[0].created_at + 3_600_000_000
        assert await catalog.revoke_api_key("two") == 2
        assert await catalog.revoke_api_key("two") == 0
        assert await catalog.revoke_api_key("0") == 1
        assert await catalog.revoke_api_key("nobody") == 0
        assert all(each.revoked_at for each in await other.api_keys())

    async def test_the_version_grows_with_every_change(self, catalog: ApiKeys, other: ApiKeys) -> None:
        versions = [await other.api_key_version()]
        await catalog.add_api_key(_key("a", "one"))
        versions.append(await other.api_key_version())
        await catalog.revoke_api_key("one")
        versions.append(await other.api_key_version())
        await catalog.revoke_api_key("one")
        versions.append(await other.api_key_version())
        assert versions[0] < versions[1] < versions[2] == versions[3]


def _key(id: str, name: str) -> ApiKey:
    return ApiKey(id=id, name=name, digest=b"\0" * 32, scopes=("send", "logs"))
