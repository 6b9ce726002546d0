"""Ids: UUIDv7, and only ever growing."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.identity import id_maker, made_at, message_id


def test_an_id_is_a_uuid_of_version_seven_with_its_time() -> None:
    made = uuid.UUID(id_maker(lambda: 0x0123_4567_89AB, lambda n: (1 << n) - 1)())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 0x0123_4567_89AB
    assert str(made) == "01234567-89ab-7fff-bfff-ffffffffffff"


@given(st.lists(st.tuples(st.integers(0, 1 << 47), st.integers(0, (1 << 74) - 1)), min_size=2, max_size=50))
def test_ids_grow_even_while_the_clock_goes_back(moments: list[tuple[int, int]]) -> None:
    times, chances = [time for time, _ in moments], [chance for _, chance in moments] * 2
    new_id = id_maker(lambda: times.pop(0), lambda bits: chances.pop(0) & (1 << bits) - 1)
    ids = [new_id() for _ in moments]
    assert ids == sorted(set(ids))
    assert {uuid.UUID(id).version for id in ids} == {7}


@given(time=st.integers(0, (1 << 48) - 1), chance=st.integers(0, (1 << 74) - 1))
def test_an_id_tells_when_it_was_made_and_no_other_word_does(time: int, chance: int) -> None:
    id = id_maker(lambda: time, lambda bits: chance & (1 << bits) - 1)()
    assert made_at(id) == time * 1000
    for other in (id[1:], f"{id}0", id.replace("-", ""), f"{id[:14]}4{id[15:]}", ""):
        assert made_at(other) is None


def test_a_message_id_has_brackets() -> None:
    assert message_id("1", "post.example") == "<1@post.example>"
