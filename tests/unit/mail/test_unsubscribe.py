"""Links to unsubscribe: made again they are the same, nobody else can make or change one, and a mail has one if it is bulk
to one person and its caller said nothing of his own."""

import re
from email import message_from_bytes, policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.mail.message import Content, Lane, Mailbox, Message, Recipient
from posthouse.mail.mime import write
from posthouse.mail.unsubscribe import HEADERS, LIST, MOST, Links, key_of, link_of, opened, seal

KEY, OTHER = key_of("a secret of the house, long enough"), key_of("another secret of the house, as long")
LINKS = Links("https://post.example", KEY)
ANN = "ann@example.org"
emails = st.text(min_size=1, max_size=254).filter(lambda text: len(text.encode("utf-8", "replace")) <= 254)


def mail(*to: str, lane: Lane = "bulk", **more) -> tuple[Message, Content]:
    boxes = tuple(Mailbox(email) for email in to or (ANN,))
    content = Content(
        **{"sender": Mailbox("post@example.org"), "to": boxes, "subject": "s", "text": "t", **more}
    )
    message = Message(
        id="1", message_id="<1@x>", lane=lane, recipients=[Recipient(each.email) for each in boxes]
    )
    return message, content


def head(*to: str, **more) -> dict[str, str]:
    """The two fields that the head of a mail has."""
    message, content = mail(*to, **more)
    data = write(message, content, link_of(LINKS, message, content))
    parsed = message_from_bytes(data, policy=policy.SMTP.clone(max_line_length=998))
    return {name: str(parsed[name]) for name in HEADERS if name in parsed}


@given(st.emails() | st.just("jörg@bücher.test"))
@example("a" * 64 + "@" + "b" * 189)
def test_a_token_opens_to_its_person_and_list_and_shows_nothing_of_either(email: str) -> None:
    token = seal(KEY, LIST, email)
    assert opened([KEY], token) == (LIST, email)
    assert seal(KEY, LIST, email) == token
    assert re.fullmatch("[A-Za-z0-9_-]+", token)
    assert len(token) <= MOST
    assert email.partition("@")[0] not in token or len(email.partition("@")[0]) < 4


def test_each_person_list_and_key_has_its_own() -> None:
    tokens = {
        seal(KEY, "bulk", ANN),
        seal(KEY, "transactional", ANN),
        seal(KEY, "bulk", "Ann@example.org"),
        seal(OTHER, "bulk", ANN),
    }
    assert len(tokens) == 4


@given(st.data())
def test_what_was_changed_cut_or_put_together_is_no_token(data: st.DataObject) -> None:
    one, other = seal(KEY, LIST, ANN), seal(KEY, LIST, "bob@example.org")
    at = data.draw(st.integers(0, len(one) - 1))
    letter = data.draw(st.sampled_from("ABCXYZabcxyz0189-_="))
    for forged in (one[:at], one[at + 1 :], one[:at] + other[at:], one[:at] + letter + one[at + 1 :]):
        if forged not in (one, other):
            assert opened([KEY], forged) is None
    for spoiled in (one + "=", one + "A", " " + one, one + "\n", one * 9, one.swapcase()):
        assert opened([KEY], spoiled) is None


@given(st.text(max_size=80))
def test_any_other_word_is_no_token(word: str) -> None:
    assert opened([KEY, OTHER], word) is None


def test_another_house_opens_nothing_and_a_new_secret_still_opens_what_the_old_one_made() -> None:
    token = seal(KEY, LIST, ANN)
    assert opened([OTHER], token) is None
    assert opened([], token) is None
    assert opened([OTHER, KEY], token) == (LIST, ANN)


def test_bulk_mail_to_one_person_has_the_link_in_its_head() -> None:
    assert head() == {
        "List-Unsubscribe": f"<https://post.example/u/{seal(KEY, LIST, ANN)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_the_longest_link_stands_on_one_line() -> None:
    message, content = mail("a" * 64 + "@" + "b" * 180 + ".test")
    link = link_of(Links("https://" + "x" * 290, KEY), message, content) or ""
    data = write(message, content, link)
    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in data
    assert max(map(len, data.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("to", "more"),
    [
        ((), {"lane": "transactional"}),
        ((ANN, "bob@example.org"), {}),
        ((ANN,), {"bcc": (Mailbox("bob@example.org"),)}),
    ],
)
def test_mail_that_has_none(to: tuple[str, ...], more: dict) -> None:
    """A link in a mail to several would let each take the others off the list."""
    assert head(*to, **more) == {}


@pytest.mark.parametrize("name", ["List-Unsubscribe", "list-unsubscribe", "List-Unsubscribe-Post"])
def test_a_callers_own_word_stands_alone(name: str) -> None:
    told = head(headers={name: "<https://shop.example/leave>"})
    assert list(told.values()) == ["<https://shop.example/leave>"]


def test_a_mail_made_again_is_the_same_bytes() -> None:
    message, content = mail()
    assert len({write(message, content, link_of(LINKS, message, content)) for _ in range(3)}) == 1
