"""Catalog contract: what was done is listed, the newest first, and of one thing; and the secret is one."""

from posthouse.mail.suppression import Suppression
from posthouse.store.catalog import Catalog
from posthouse.store.catalog.trail import Deed


class Trailing:
    """`acts`, by way of the suppression list, whose changes are acts; and `secret`."""

    async def test_acts_are_listed_newest_first_in_pages(self, catalog: Catalog) -> None:
        for number in range(5):
            await catalog.suppress([Suppression(email=f"{number}@example.org")], by="Ann")
        first = await catalog.acts(3)
        second = await catalog.acts(3, cursor=first[-1].id)
        about = [entry.about.partition(":")[2][0] for entry in (*first, *second)]
        assert about == list("43210")
        assert {(entry.by, entry.act) for entry in first} == {("Ann", "suppressed")}
        assert [entry.at for entry in (*first, *second)] == sorted(
            (entry.at for entry in (*first, *second)), reverse=True
        )
        assert await catalog.acts(3, cursor=second[-1].id) == []

    async def test_acts_about_one_thing(self, catalog: Catalog) -> None:
        await catalog.suppress(
            [Suppression(email="ann@example.org"), Suppression(email="bob@example.org")], "A"
        )
        await catalog.unsuppress(["ann@example.org"], "B")
        acts = await catalog.acts(9, about="suppression:ann@example.org")
        assert [(entry.act, entry.by) for entry in acts] == [("unsuppressed", "B"), ("suppressed", "A")]
        assert await catalog.acts(9, about="suppression:ann") == []
        assert [entry.by for entry in await catalog.acts(1, cursor=acts[0].id, about=acts[0].about)] == ["A"]

    async def test_an_act_of_elsewhere_is_noted(self, catalog: Catalog) -> None:
        await catalog.note("Ann", Deed("retried", "mail:unknown", {"count": 2}))
        (entry,) = await catalog.acts(9)
        assert (entry.by, entry.act, entry.about, entry.detail) == (
            "Ann",
            "retried",
            "mail:unknown",
            {"count": 2},
        )

    async def test_the_secret_is_always_the_same(self, catalog: Catalog) -> None:
        secret = await catalog.secret()
        assert len(set(secret)) > 8
        assert len(secret) >= 32
        assert await catalog.secret() == secret
