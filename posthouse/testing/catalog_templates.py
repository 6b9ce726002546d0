"""Catalog contract: templates, their versions, and what becomes of them."""

import asyncio

from posthouse.mail.template import Made, Source
from posthouse.store.catalog import Catalog

ONE = Source("S {{ a }}", "<p>{{ a }}</p>", defaults={"a": 1, "b": [None, 2.5]})
MADE = Made(
    "S {{ a }}", "<p style='x'>{{ a }}</p>", "{{ a }}", derived=True, defaults={"a": 1}, variables=("a",)
)
TWO = Source("Two", text="two")


class KeepingTemplates:
    """Templates of a catalog."""

    async def test_a_version_keeps_what_was_written_and_what_was_made(
        self, catalog: Catalog, other: Catalog
    ) -> None:
        head, new = await catalog.push_template("welcome", ONE, MADE, "Ann")
        assert new
        assert (head.template, head.version, head.subject, head.by) == ("welcome", 1, "S {{ a }}", "Ann")
        assert head.at > 0
        for asked in (await other.template("welcome"), await other.template("welcome", 1)):
            assert asked is not None
            assert (asked.head, asked.source, asked.made) == (head, ONE, MADE)
        assert await other.template_head("welcome") == head
        assert await other.template("welcome", 2) is None
        assert await other.template("other") is None
        assert await other.template_head("other") is None

    async def test_versions_count_up_and_what_equals_the_latest_adds_none(self, catalog: Catalog) -> None:
        pushed = [
            await catalog.push_template("welcome", source, MADE, "Ann")
            for source in (ONE, ONE, TWO, TWO, ONE)
        ]
        assert [(head.version, new) for head, new in pushed] == [
            (1, True),
            (1, False),
            (2, True),
            (2, False),
            (3, True),
        ]
        assert pushed[1][0] == pushed[0][0]
        old = await catalog.template("welcome", 1)
        assert old is not None
        assert old.source == ONE
        heads = [head for head, new in pushed if new]
        assert await catalog.template_versions("welcome", 9) == heads[::-1]
        assert await catalog.template_versions("welcome", 1, cursor=3) == [heads[1]]
        assert await catalog.template_versions("other", 9) == []
        acts = await catalog.acts(9, about="template:welcome")
        assert [(act.act, act.by, act.detail) for act in acts] == [
            ("pushed", "Ann", {"version": number}) for number in (3, 2, 1)
        ]

    async def test_defaults_tell_one_version_from_another_and_their_order_does_not(
        self, catalog: Catalog
    ) -> None:
        for number, defaults in enumerate(({"a": 1, "b": 2}, {"a": 1, "b": 3}), 1):
            for order in (defaults, dict(reversed(defaults.items()))):
                head, _ = await catalog.push_template("t", Source(text="x", defaults=order), MADE, "")
                assert head.version == number

    async def test_those_who_push_together_make_each_version_once(
        self, catalog: Catalog, other: Catalog
    ) -> None:
        sources = [Source(str(number % 5), text="x") for number in range(20)]
        await asyncio.gather(
            *(
                (catalog, other)[n % 2].push_template("t", source, MADE, "")
                for n, source in enumerate(sources)
            )
        )
        numbers = [head.version for head in await catalog.template_versions("t", 100)]
        assert numbers == list(range(len(numbers), 0, -1))
        assert 5 <= len(numbers) <= 20

    async def test_lists_go_by_id(self, catalog: Catalog, other: Catalog) -> None:
        for id in ("b", "a", "c", "B", "b-2"):
            await catalog.push_template(id, ONE, MADE, "")
        await catalog.push_template("a", TWO, MADE, "")
        first = await other.templates(3)
        assert [(head.template, head.version, head.subject) for head in first] == [
            ("B", 1, "S {{ a }}"),
            ("a", 2, "Two"),
            ("b", 1, "S {{ a }}"),
        ]
        assert [head.template for head in await other.templates(3, cursor="b")] == ["b-2", "c"]

    async def test_an_archived_one_is_found_by_its_versions_only(
        self, catalog: Catalog, other: Catalog
    ) -> None:
        await catalog.push_template("welcome", ONE, MADE, "")
        assert await catalog.archive_template("welcome", "Bob")
        assert not await catalog.archive_template("welcome", "Bob")
        assert not await catalog.archive_template("other", "Bob")
        assert await other.template("welcome") is None
        assert await other.template_head("welcome") is None
        assert await other.templates(9) == []
        kept = await other.template("welcome", 1)
        assert kept is not None
        assert [head.version for head in await other.template_versions("welcome", 9)] == [1]
        assert (await catalog.push_template("welcome", ONE, MADE, "Cy"))[1] is False
        assert await other.template("welcome") == kept
        await catalog.archive_template("welcome", "Bob")
        head, new = await catalog.push_template("welcome", TWO, MADE, "Cy")
        assert (head.version, new) == (2, True)
        assert await other.template_head("welcome") == head
        acts = await catalog.acts(9, about="template:welcome")
        assert [act.act for act in acts] == ["pushed", "archived", "restored", "archived", "pushed"]
