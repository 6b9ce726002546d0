"""The tally: each message in one state, each first time counted once, in the quarter of an hour it fell into."""

from posthouse.mail.message import Message, Recipient
from posthouse.store.tally import QUARTER, Tally, before


def message(**fields) -> Message:
    return Message(id="1", message_id="<1@x>", recipients=[Recipient("a@x.example")], **fields)


def test_a_new_record_is_counted_in_its_quarter() -> None:
    tally = Tally()
    for at in (0, QUARTER - 1, QUARTER, 5 * QUARTER + 7):
        tally.created(message(created_at=at))
    assert tally.sums == {
        ("created", 0): 2,
        ("created", QUARTER): 1,
        ("created", 5 * QUARTER): 1,
        ("state:pending", 0): 4,
    }


def test_a_change_moves_one_from_state_to_state() -> None:
    tally, mail = Tally(), message()
    was = before(mail)
    mail.recipients[0].state, mail.sent_at = "sent", QUARTER + 1
    tally.changed(was, mail)
    assert tally.sums == {("state:pending", 0): -1, ("state:sent", 0): 1, ("sent", QUARTER): 1}


def test_a_first_time_that_was_there_is_not_counted_again() -> None:
    tally, mail = Tally(), message(sent_at=1, failed_at=None)
    was = before(mail)
    mail.failed_at = 3 * QUARTER
    tally.changed(was, mail)
    tally.changed(before(mail), mail)
    assert tally.sums == {("failed", 3 * QUARTER): 1}


def test_what_a_removed_record_added_is_counted_as_gone() -> None:
    tally, mail = Tally(), message(created_at=QUARTER, sent_at=2 * QUARTER)
    tally.removed(mail)
    assert tally.sums == {
        ("state:pending", 0): -1,
        ("gone:created", QUARTER): 1,
        ("gone:sent", 2 * QUARTER): 1,
    }


def test_a_way_there_and_back_adds_nothing() -> None:
    tally, mail = Tally(), message()
    for state in ("sending", "pending"):
        was = before(mail)
        mail.recipients[0].state = state
        tally.changed(was, mail)
    assert not any(tally.sums.values())
