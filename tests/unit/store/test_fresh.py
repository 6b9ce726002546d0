"""Fresh contents: given once, bounded, and only what was really new."""

from posthouse.store import fresh as module
from posthouse.store.base import Saved
from posthouse.store.fresh import BYTES, Fresh
from posthouse.testing.store_mail import draft


def test_what_was_saved_is_given_once() -> None:
    fresh, one = Fresh(), draft()
    fresh.saved([one], [Saved(one.message)])
    assert fresh.take([one.message.id, "other"]) == {one.message.id: one.content}
    assert fresh.take([one.message.id]) == {}


def test_what_was_there_before_or_is_not_due_yet_is_left_to_the_store() -> None:
    fresh, again, later = Fresh(), draft(), draft(scheduled_at=2**50)
    fresh.saved([again, later], [Saved(draft().message, created=False), Saved(later.message)])
    assert fresh.take([again.message.id, later.message.id]) == {}


def test_it_is_bounded_and_the_oldest_go_first() -> None:
    fresh, size = Fresh(), BYTES // 20
    drafts = [draft(size=size) for _ in range(25)]
    fresh.saved(drafts, [Saved(each.message) for each in drafts])
    assert list(fresh.take(each.message.id for each in drafts)) == [each.message.id for each in drafts[-20:]]
    assert fresh._bytes == 0


def test_a_large_one_is_left_to_the_store() -> None:
    fresh, large = Fresh(), draft(size=module.BYTES // 4)
    fresh.saved([large], [Saved(large.message)])
    assert fresh.take([large.message.id]) == {}


def test_what_waits_for_its_template_is_left_to_the_store() -> None:
    """Another process may render it first."""
    fresh, waits = Fresh(), draft(content={"text": None, "template": "welcome"})
    fresh.saved([waits], [Saved(waits.message)])
    assert fresh.take([waits.message.id]) == {}
