"""EmailRecords as a producer calls it, on a real port: saved once, every wrong field named, read as it was saved."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from posthouse.mail.events import EmailSendEvent
from posthouse.mail.message import Mailbox
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.proto import records_pb2 as pb
from posthouse.store.base import EVENT, Query, Store
from posthouse.submission.accept import Accept
from posthouse.submission.auth import KeyScope, make_key
from posthouse.submission.compose import Rules
from posthouse.submission.event import accept_event
from posthouse.testing.store_mail import ACCEPTED, LONG, microseconds, new_id, said
from tests.contract.records import KEY, Records, calling, records

Code = grpc.StatusCode


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Records]:
    async with records(tmp_path) as running:
        yield running


@pytest.fixture
async def stub(house: Records) -> AsyncIterator[Any]:
    async with calling(house.port) as stub:
        yield stub


def mail(event_id: str = "", **fields: Any) -> pb.EmailDocument:
    given = {"recipient": "Ann <ann@example.org>", "subject": "Horses", "text": "are changed here", **fields}
    return pb.EmailDocument(event_id=event_id, **given)


def variables(**values: Any) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value


def wrong_fields(error: grpc.aio.AioRpcError) -> set[str]:
    """The fields that a failure names, in its details and in its text."""
    assert error.code() == Code.INVALID_ARGUMENT
    packed = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    status = Status.FromString(packed)
    assert status.code == Code.INVALID_ARGUMENT.value[0]
    told = BadRequest()
    assert status.details[0].Unpack(told)
    names = {violation.field for violation in told.field_violations}
    assert all(f"{name}: " in (error.details() or "") for name in names)
    return names


async def test_a_document_is_read_as_it_was_saved(house: Records, stub: Any) -> None:
    attachment = pb.Attachment(filename="a.bin", content_type="application/x-test", content=bytes(range(256)))
    saved = await stub.SaveEmail(
        mail(
            "order-4711",
            sender="Post <post@house.example>",
            html="<p>are changed here</p>",
            category="welcome",
            attachments=[attachment],
            status="PENDING",
        ),
        metadata=KEY,
    )
    assert saved == pb.SaveReply(event_id="order-4711", status="PENDING", created=True)
    read = await stub.GetEmail(pb.GetEmailRequest(event_id="order-4711"), metadata=KEY)
    assert (read.event_id, read.status, read.state) == ("order-4711", "PENDING", "pending")
    assert (read.recipient, read.sender) == ("Ann <ann@example.org>", "Post <post@house.example>")
    assert (read.subject, read.text, read.html) == ("Horses", "are changed here", "<p>are changed here</p>")
    assert (read.category, list(read.attachments)) == ("welcome", [attachment])
    assert read.HasField("created_at")
    assert read.HasField("due_at")
    assert not read.HasField("sent_at")
    assert [(each.email, each.state) for each in read.recipients] == [("ann@example.org", "pending")]
    ((message, _),) = [found for id in house.hints if (found := await house.store.get(id))]
    assert message.event_id == "order-4711"


async def test_whole_numbers_are_read_back_as_integers(house: Records, stub: Any) -> None:
    given = {"n": 3, "price": 1.5, "big": 2**53, "list": [1, {"deep": 2, "no": None}], "yes": True, "s": "x"}
    document = mail("v", template="welcome", variables=variables(**given), text="", subject="")
    await stub.SaveEmail(document, metadata=KEY)
    (id,) = house.hints
    found = await house.store.get(id)
    assert found is not None
    assert found[1] is not None
    assert found[1].variables == given
    assert [type(found[1].variables[name]) for name in ("n", "price", "yes")] == [int, float, bool]
    assert found[1].template == "welcome"
    read = await stub.GetEmail(pb.GetEmailRequest(event_id="v"), metadata=KEY)
    assert (read.template, read.variables) == ("welcome", document.variables)


async def test_a_template_of_the_catalog_keeps_its_version(house: Records, stub: Any) -> None:
    source = Source(subject="Hello", text="{{ horse }}")
    await house.store.push_template("welcome", source, press(source), "ann")
    await stub.SaveEmail(mail("t", template="welcome", text="", subject=""), metadata=KEY)
    (id,) = house.hints
    content = (await house.store.contents([id]))[id]
    assert (content.template, content.template_version) == ("welcome", 1)


async def test_variables_may_stand_beside_html(stub: Any) -> None:
    await stub.SaveEmail(mail("v", variables=variables(n=1)), metadata=KEY)
    read = await stub.GetEmail(pb.GetEmailRequest(event_id="v"), metadata=KEY)
    assert read.variables["n"] == 1


async def test_an_event_id_is_saved_once(house: Records, stub: Any) -> None:
    replies = await asyncio.gather(*(stub.SaveEmail(mail("once"), metadata=KEY) for _ in range(10)))
    assert sorted(reply.created for reply in replies) == [False] * 9 + [True]
    again = await stub.SaveEmail(mail("once"), metadata=KEY)
    assert again == pb.SaveReply(event_id="once", status="PENDING", created=False)
    other = await failure(stub.SaveEmail(mail("once", subject="Other"), metadata=KEY))
    assert other.code() == Code.ALREADY_EXISTS
    assert len(house.hints) == 1


async def test_a_document_whose_event_was_quicker(house: Records, stub: Any) -> None:
    """The event carried the same mail, and is stored: it is one mail, and another one is still refused."""
    accept = Accept(house.store, lambda _: None, new_id=new_id, hostname="house.test", expire=LONG)
    named = partial(house.store.named, EVENT)
    take = accept_event(accept, named, Rules(sender=Mailbox("posthouse@post.example")), microseconds)
    event = EmailSendEvent(
        event_id="once", recipient="Ann <ann@example.org>", subject="Horses", text="are changed here"
    )
    hint = await take(event, "bulk")
    saved = await stub.SaveEmail(mail("once"), metadata=KEY)
    assert saved == pb.SaveReply(event_id="once", status="PENDING", created=False)
    other = await failure(stub.SaveEmail(mail("once", text="stand still"), metadata=KEY))
    assert other.code() == Code.ALREADY_EXISTS
    (message,) = [item.message for item in (await house.store.page(Query())).items]
    assert (message.id,) == hint.ids


async def test_a_repeated_save_tells_the_status_as_it_is(house: Records, stub: Any) -> None:
    await stub.SaveEmail(mail("done"), metadata=KEY)
    await settled(house.store)
    again = await stub.SaveEmail(mail("done"), metadata=KEY)
    assert (again.status, again.created) == ("SENT", False)
    read = await stub.GetEmail(pb.GetEmailRequest(event_id="done"), metadata=KEY)
    assert (read.status, read.attempts, read.provider) == ("SENT", 1, "test:")
    assert read.HasField("sent_at")
    assert read.metrics.HasField("total_ms")
    assert not read.HasField("due_at")


async def test_the_server_makes_an_event_id(stub: Any) -> None:
    made = await stub.SaveEmail(mail(), metadata=KEY)
    read = await stub.GetEmail(pb.GetEmailRequest(event_id=made.event_id), metadata=KEY)
    assert read.event_id == made.event_id
    again = await stub.SaveEmail(mail(made.event_id), metadata=KEY)
    assert (again.event_id, again.created) == (made.event_id, False)


async def test_every_wrong_field_is_named(stub: Any) -> None:
    document = pb.EmailDocument(
        event_id="with space",
        recipient="nobody",
        sender="neither",
        subject="two\nlines",
        status="SENT",
        category="x" * 300,
        attachments=[pb.Attachment(content=b"x")],
        variables=variables(bad="\0"),
    )
    error = await failure(stub.SaveEmail(document, metadata=KEY))
    assert wrong_fields(error) == {
        *("event_id", "recipient", "sender", "subject", "status", "category", "html"),
        *("attachments[0].filename", "variables.bad"),
    }
    assert "nobody" not in (error.details() or "")


@pytest.mark.parametrize("event_id", ["ü", "a b", "x" * 256, "tab\t"])
async def test_event_ids_are_printable_ascii(stub: Any, event_id: str) -> None:
    assert wrong_fields(await failure(stub.SaveEmail(mail(event_id), metadata=KEY))) == {"event_id"}
    read = stub.GetEmail(pb.GetEmailRequest(event_id=event_id), metadata=KEY)
    assert wrong_fields(await failure(read)) == {"event_id"}


async def test_the_rules_of_the_server_hold(tmp_path: Path) -> None:
    rules = Rules(sender=Mailbox("post@house.example"), domains=frozenset(["house.example"]), max_text=1000)
    async with records(tmp_path, rules=rules) as house, calling(house.port) as stub:
        error = await failure(stub.SaveEmail(mail(sender="post@other.example"), metadata=KEY))
        assert wrong_fields(error) == {"sender"}
        error = await failure(stub.SaveEmail(mail(text="x" * 1001), metadata=KEY))
        assert error.code() == Code.INVALID_ARGUMENT
        made = await stub.SaveEmail(mail(), metadata=KEY)
        read = await stub.GetEmail(pb.GetEmailRequest(event_id=made.event_id), metadata=KEY)
        assert read.sender == "post@house.example"


async def test_a_batch_has_a_result_each(house: Records, stub: Any) -> None:
    await stub.SaveEmail(mail("old"), metadata=KEY)
    emails = [mail("new"), mail("old"), mail("old", subject="Other"), mail("bad", recipient="nobody"), mail()]
    reply = await stub.SaveEmails(pb.SaveEmailsRequest(emails=[*emails, mail("new")]), metadata=KEY)
    new, old, other, bad, made, twice = reply.results
    assert (new.event_id, new.status, new.created) == ("new", "PENDING", True)
    assert (old.event_id, old.status, old.created) == ("old", "PENDING", False)
    assert (other.event_id, other.refusal.code) == ("old", Code.ALREADY_EXISTS.value[0])
    assert bad.refusal.code == Code.INVALID_ARGUMENT.value[0]
    assert [field.field for field in bad.refusal.fields] == ["recipient"]
    assert (bool(made.event_id), made.created) == (True, True)
    assert (twice.event_id, twice.created) == ("new", False)
    assert not new.HasField("refusal")
    assert len(house.hints) == 3


async def test_singles_that_come_together_share_a_commit(tmp_path: Path) -> None:
    """300 calls; how many batches they make is for the machine to say, but by far not one each."""
    batches: list[int] = []

    class Counting:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def save(self, drafts: Any) -> Any:
            batches.append(len(drafts))
            return await self._store.save(drafts)

    async with records(tmp_path, through=Counting) as house, calling(house.port) as stub:
        saves = [stub.SaveEmail(mail(f"event-{number}"), metadata=KEY) for number in range(300)]
        replies = await asyncio.gather(*saves)
    assert all(reply.created for reply in replies)
    assert sum(batches) == 300
    assert len(batches) < 150


async def test_lists(house: Records, stub: Any) -> None:
    for number in range(5):
        await stub.SaveEmail(
            mail(f"e{number}", category="odd" if number % 2 else "even", text="x" * 20_000), metadata=KEY
        )
    await settled(house.store)
    first = await stub.ListEmails(pb.ListEmailsRequest(limit=2), metadata=KEY)
    assert [each.event_id for each in first.emails] == ["e4", "e3"]
    assert (first.total, len(first.emails[0].text), first.emails[0].truncated) == (5, 10_000, True)
    rest = await stub.ListEmails(pb.ListEmailsRequest(cursor=first.next_cursor), metadata=KEY)
    assert [each.event_id for each in rest.emails] == ["e2", "e1", "e0"]
    assert not rest.next_cursor
    odd = await stub.ListEmails(pb.ListEmailsRequest(category="odd", status="PENDING"), metadata=KEY)
    assert [each.event_id for each in odd.emails] == ["e3", "e1"]
    assert not odd.HasField("total")
    sent = await stub.ListEmails(
        pb.ListEmailsRequest(status="SENT", recipient="ann@example.org"), metadata=KEY
    )
    assert [each.event_id for each in sent.emails] == ["e0"]
    none = await stub.ListEmails(pb.ListEmailsRequest(until=Timestamp(seconds=1)), metadata=KEY)
    assert len(none.emails) == 0


async def test_wrong_arguments_of_lists(stub: Any) -> None:
    asked = pb.ListEmailsRequest(status="LOST", recipient="nobody", cursor="no such")
    error = await failure(stub.ListEmails(asked, metadata=KEY))
    assert wrong_fields(error) == {"status", "recipient", "cursor"}
    error = await failure(stub.ListEmails(pb.ListEmailsRequest(cursor="unknown"), metadata=KEY))
    assert wrong_fields(error) == {"cursor"}


async def test_foreign_workers_claim(house: Records, stub: Any) -> None:
    for number in range(3):
        await stub.SaveEmail(mail(f"e{number}"), metadata=KEY)
    asked = pb.ClaimEmailsRequest(
        owner="foreign", event_ids=["e1", "none"], limit=5, lease=Duration(seconds=5)
    )
    (claimed,) = (await stub.ClaimEmails(asked, metadata=KEY)).claimed
    assert (claimed.email.event_id, claimed.email.text, claimed.fence) == ("e1", "are changed here", 1)
    assert claimed.email.state == "sending"
    assert not (await stub.ClaimEmails(asked, metadata=KEY)).claimed
    rest = await stub.ClaimEmails(pb.ClaimEmailsRequest(owner="foreign", limit=5), metadata=KEY)
    assert [each.email.event_id for each in rest.claimed] == ["e0", "e2"]
    bulk = await stub.ClaimEmails(pb.ClaimEmailsRequest(owner="foreign", lane="bulk"), metadata=KEY)
    assert not bulk.claimed


async def test_wrong_arguments_of_claims(stub: Any) -> None:
    asked = pb.ClaimEmailsRequest(lane="fast", lease=Duration(seconds=7200), event_ids=["x"] * 101)
    error = await failure(stub.ClaimEmails(asked, metadata=KEY))
    assert wrong_fields(error) == {"owner", "lane", "lease", "event_ids"}


async def test_no_claim_gives_more_than_a_message_can_hold(house: Records, stub: Any) -> None:
    large = pb.Attachment(filename="a.bin", content=bytes(25 << 20))
    for number in range(3):
        await stub.SaveEmail(mail(f"e{number}", attachments=[large]), metadata=KEY)
    asked = pb.ClaimEmailsRequest(owner="foreign", limit=3)
    first = await stub.ClaimEmails(asked, metadata=KEY)
    second = await stub.ClaimEmails(asked, metadata=KEY)
    assert [len(reply.claimed) for reply in (first, second)] == [2, 1]


async def test_64_mib(stub: Any) -> None:
    room = (64 << 20) - 1000
    large = mail("large", attachments=[pb.Attachment(filename="a.bin", content=bytes(room))])
    assert large.ByteSize() <= 64 << 20
    assert (await stub.SaveEmail(large, metadata=KEY)).created
    read = await stub.GetEmail(pb.GetEmailRequest(event_id="large"), metadata=KEY)
    assert len(read.attachments[0].content) == room


async def test_nothing_is_found_under_an_unknown_event_id(stub: Any) -> None:
    error = await failure(stub.GetEmail(pb.GetEmailRequest(event_id="none"), metadata=KEY))
    assert error.code() == Code.NOT_FOUND


CALLS: list[tuple[str, Any, KeyScope]] = [
    ("SaveEmail", mail(), "send"),
    ("SaveEmails", pb.SaveEmailsRequest(emails=[mail()]), "send"),
    ("GetEmail", pb.GetEmailRequest(event_id="none"), "logs"),
    ("ListEmails", pb.ListEmailsRequest(), "logs"),
    ("ClaimEmails", pb.ClaimEmailsRequest(owner="foreign"), "admin"),
]


@pytest.mark.parametrize(("name", "request_", "scope"), CALLS)
async def test_each_call_has_its_scope(
    house: Records, stub: Any, name: str, request_: Any, scope: KeyScope
) -> None:
    call = getattr(stub, name)
    for metadata in ((), (("x-api-key", "wrong"),), (("x-api-key", ""),)):
        assert (await failure(call(request_, metadata=metadata))).code() == Code.UNAUTHENTICATED
    for given in ("send", "logs", "bulk", "admin"):
        key, plain = make_key(given, (given,))
        await house.store.add_api_key(key)
        await house.keys.refresh()
        asked = call(request_, metadata=(("x-api-key", plain),))
        if given in (scope, "admin"):
            assert await code(asked) in (None, Code.NOT_FOUND)
        else:
            assert await code(asked) == Code.PERMISSION_DENIED


async def test_a_large_message_of_nobody_is_not_waited_for(stub: Any) -> None:
    large = mail(attachments=[pb.Attachment(filename="a.bin", content=bytes(60 << 20))])
    assert (await failure(stub.SaveEmail(large))).code() == Code.UNAUTHENTICATED


async def code(call: Any) -> grpc.StatusCode | None:
    """How a call ended, None for well."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None


async def settled(store: Any) -> None:
    """A worker sends the oldest."""
    (claimed,) = await store.claim("worker", 1, LONG)
    await store.settle([said(claimed, ACCEPTED)])
