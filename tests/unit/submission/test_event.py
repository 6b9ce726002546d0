"""An EmailSendEvent becomes a mail by the rules of POST /email/send, once for its eventId, which its document shares."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.address import parse_mailbox
from posthouse.mail.events import EmailSendEvent, EventAttachment
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.proto import records_pb2 as pb
from posthouse.queue.base import ForeignEvent, Hint, Unreadable
from posthouse.records.document import read_document
from posthouse.store.base import EVENT
from posthouse.store.sqlite import SqliteStore
from posthouse.submission.accept import Accept
from posthouse.submission.compose import Rules
from posthouse.submission.event import accept_event, read_event, with_templates
from posthouse.submission.pinned import pin_of
from posthouse.testing.store_mail import microseconds, new_id

RULES = Rules(sender=parse_mailbox("House <house@example.org>"))


def event(**fields: Any) -> EmailSendEvent:
    mail = {"event_id": "order-1", "recipient": "Ann <ann@example.org>", "subject": "Hü", "html": "<p>h</p>"}
    return EmailSendEvent(**{**mail, **fields})


def read(given: EmailSendEvent, rules: Rules = RULES) -> Any:
    return read_event(given, "bulk", rules, 0)[0]


def test_what_becomes_of_its_fields() -> None:
    files = [EventAttachment("a.txt", b"A"), EventAttachment("b", b"B", "image/png")]
    mail = read(event(sender="Bob <bob@example.org>", text="t", category="news", attachments=files))
    content = mail.content
    assert (mail.event_id, mail.lane, mail.tags) == ("order-1", "bulk", ("news",))
    assert [each.email for each in mail.recipients] == ["ann@example.org"]
    assert (content.to[0].name, content.sender.email, content.subject) == ("Ann", "bob@example.org", "Hü")
    assert (content.html, content.text) == ("<p>h</p>", "t")
    assert [(each.filename, each.content, each.content_type) for each in content.attachments] == [
        ("a.txt", b"A", "text/plain"),
        ("b", b"B", "image/png"),
    ]
    assert read(event()).content.sender == RULES.sender


def test_every_wrong_field_is_named_in_the_event_s_words_and_no_value_is_told() -> None:
    with pytest.raises(Unreadable) as error:
        read(event(recipient="s3cret", sender="s3cret", subject=None, html=None))
    for name in ("/recipient", "/sender", "/subject", "/html"):
        assert f"{name}:" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_limits() -> None:
    with pytest.raises(Unreadable, match="must not exceed 10 bytes"):
        read(event(), Rules(sender=RULES.sender, max_text=10))
    with pytest.raises(Unreadable, match="/sender: this domain"):
        read(event(sender="a@other.example"), Rules(sender=RULES.sender, domains=frozenset({"example.org"})))


def test_an_event_and_its_document_are_one_mail() -> None:
    """Whatever each leaves out or writes in its own way: null, "", a number with a point."""
    files = [EventAttachment("a.txt", b"A"), EventAttachment("b", b"B", "image/png")]
    variables = {"n": 1.0, "list": [2.0, {"half": 0.5}]}
    told = event(html="", text="t", sender="", category="news", attachments=files, variables=variables)
    document = pb.EmailDocument(
        event_id="order-1", recipient="Ann <ann@example.org>", subject="Hü", text="t", category="news"
    )
    document.variables.update(variables)
    document.attachments.add(filename="a.txt", content=b"A")
    document.attachments.add(filename="b", content=b"B", content_type="image/png")
    rules = with_templates(RULES)
    mail, by_event = read_event(told, "bulk", rules, 0)
    saved, by_document = read_document(document, rules, 0, lambda: "id")
    assert by_event == by_document
    assert mail.content == saved.content
    assert read_event(event(text="other"), "bulk", rules, 0)[1].fingerprint != by_event.fingerprint


def test_variables_beside_html_are_kept_and_looked_at() -> None:
    """As in a document."""
    assert read(event(variables={"n": 1}), with_templates(RULES)).content.variables == {"n": 1}
    with pytest.raises(Unreadable, match="/variables/n"):
        read(event(variables={"n": "\0"}), with_templates(RULES))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    yield store
    await store.stop()


def taking(store: SqliteStore) -> ForeignEvent:
    accept = Accept(store, lambda messages: None, new_id=new_id, hostname="house.test", expire=60.0)
    pin = pin_of(store, lambda id: id == "in-folder")
    return accept_event(accept, partial(store.named, EVENT), with_templates(RULES), microseconds, pin)


@pytest.mark.parametrize("text", ["t", "t" * 1_500_000])
async def test_the_same_event_is_one_mail(store: SqliteStore, text: str) -> None:
    """Large ones are checked in a thread."""
    take = taking(store)
    first = await take(event(text=text), "transactional")
    assert await take(event(text="another"), "bulk") == first
    found = await store.get(first.ids[0])
    assert found is not None
    message, content = found
    assert (message.event_id, content and content.text, first.lane) == ("order-1", text, "transactional")


async def test_an_event_may_leave_out_what_its_document_holds(store: SqliteStore) -> None:
    take = taking(store)
    with pytest.raises(Unreadable, match="/html"):
        await take(event(html=None), "transactional")
    whole = await take(event(), "transactional")
    assert await take(event(html=None), "bulk") == Hint("bulk", whole.ids)
    assert await take(event(html=None, subject=None), "transactional") == whole


async def test_the_version_of_the_catalog_stays_with_the_mail(store: SqliteStore) -> None:
    """What is in the folder, or nowhere yet, has none. A variable that is missing is for the record to say."""
    for id in ("welcome", "in-folder"):
        source = Source(subject="Hello", text="{{ horse }}")
        await store.push_template(id, source, press(source), "ann")
    take = taking(store)
    found: dict[str, int | None] = {}
    for id in ("welcome", "in-folder", "nowhere"):
        mail = event(event_id=id, template=id, subject="", text="", html="")
        (saved,) = (await take(mail, "transactional")).ids
        found[id] = (await store.contents([saved]))[saved].template_version
    assert found == {"welcome": 1, "in-folder": None, "nowhere": None}
