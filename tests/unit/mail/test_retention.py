"""What retention may take: closed mail, by its date; and what is left of a content."""

import pytest

from posthouse.mail.identity import id_maker
from posthouse.mail.lifecycle import OPEN, STATES, State
from posthouse.mail.message import Attachment, Content, Mailbox, Message, Recipient
from posthouse.mail.retention import has_body, head, may_go, precedes


def mail(*states: State, **times: int) -> Message:
    recipients = [Recipient(f"{n}@x.example", state=state) for n, state in enumerate(states)]
    return Message(id="1", message_id="<1@x>", recipients=recipients, **times)


@pytest.mark.parametrize("state", STATES)
def test_what_has_anything_open_stays_however_old(state: State) -> None:
    assert may_go(mail(state, "sent", created_at=1), 10) == (state not in OPEN)


@pytest.mark.parametrize(
    ("times", "gone"),
    [
        ({"created_at": 9}, True),
        ({"created_at": 10}, False),
        ({"created_at": 5, "scheduled_at": 9}, True),
        ({"created_at": 5, "scheduled_at": 10}, False),
        ({"created_at": 10, "scheduled_at": 5}, False),
        ({"created_at": 5, "sent_at": 11}, True),
    ],
)
def test_age_counts_from_the_date(times: dict[str, int], gone: bool) -> None:
    assert may_go(mail("sent", **times), 10) == gone


def test_of_a_content_the_head_is_left() -> None:
    boxes = {name: (Mailbox(f"{name}@x.example"),) for name in ("to", "cc", "bcc", "reply_to")}
    left = Content(sender=Mailbox("a@x.example", "A"), subject="Horses", **boxes)
    for said in ({"text": ""}, {"html": "<p>"}, {"template": "t", "variables": {"a": 1}}):
        given = Content(
            sender=left.sender,
            subject=left.subject,
            headers={"X-A": "b"},
            attachments=(Attachment("f", b""),),
            **boxes,
            **said,
        )
        assert has_body(given)
        assert head(given) == left
    assert not has_body(left)
    assert not has_body(None)


def test_only_an_id_of_ours_from_before_the_oldest_precedes_it() -> None:
    id = id_maker(lambda: 7, lambda bits: 1 << bits - 1)()
    assert precedes(id, 7000)
    assert not precedes(id, 6999)
    assert precedes(id, None)
    assert not precedes("no-such-id", None)
