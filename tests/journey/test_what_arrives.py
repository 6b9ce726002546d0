"""What arrives is what was sent, whatever was sent: posted to a real process, taken by a mail server, read by others.

Letters are made by Hypothesis, posted many at a time, and read back with the standard library and with a strict reader
of our own. What cannot be said in mail is refused with the field's name, and nothing of it arrives.
"""

import asyncio
import base64
import email
import json
import mimetypes
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from email import policy
from email.message import EmailMessage, Message
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from posthouse.testing.sink import Mail, SmtpSink
from tests.journey import letters, reading
from tests.journey.house import House, opened
from tests.journey.letters import Letter

OURS = ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"]
JSON = {"Content-Type": "application/json"}


class Post:
    """A house and the mail server that it sends to; what arrived, by Message-ID."""

    def __init__(self, runner: asyncio.Runner, house: House, sink: SmtpSink) -> None:
        self.run, self.house, self.sink = runner.run, house, sink
        self.accepted = 0

    async def deliver(self, written: list[Letter]) -> list[Mail]:
        """The mail that each letter became, in order. Exactly one for each."""
        answers = await asyncio.gather(*(self._ask(letter.json) for letter in written))
        assert [status for status, _, _ in answers] == [202] * len(written), answers
        self.accepted += len(written)
        await self.sink.received(self.accepted)
        arrived = {mail.message_id: mail for mail in self.sink.mails}
        assert len(arrived) == len(self.sink.mails) == self.accepted
        return [arrived[f"<{id}@house.test>"] for _, id, _ in answers]

    async def refused(self, bodies: list[bytes]) -> list[tuple[int, Any]]:
        """Status and problem of each."""
        answers = await asyncio.gather(*(self._ask(body) for body in bodies))
        return [(status, said) for status, _, said in answers]

    async def _ask(self, body: bytes) -> tuple[int, str | None, Any]:
        answer = await self.house.client.post("/email/send", content=body, headers=JSON)
        return answer.status_code, answer.headers.get("x-message-id"), answer.content and answer.json()


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """One house for all; at its end every mail that it took arrived once."""

    async def close(stack: AsyncExitStack, post: Post) -> None:
        await post.house.stop()
        await stack.aclose()

    async def open_all(stack: AsyncExitStack) -> Post:
        sink = await stack.enter_async_context(SmtpSink())
        transport = f"smtp://127.0.0.1:{sink.port}?tls=none&connections=4"
        folder = tmp_path_factory.mktemp("what_arrives")
        return Post(runner, await stack.enter_async_context(opened(folder, transport)), sink)

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        post = runner.run(open_all(stack))
        yield post
        runner.run(close(stack, post))
        assert set(Counter(mail.message_id for mail in post.sink.mails).values()) <= {1}
        assert len(post.sink.mails) == post.accepted


def bounded(examples: int) -> settings:
    """The same examples each time, and no search for smaller ones: an example is a dozen letters."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )


@bounded(40)
@given(written=st.lists(letters.letters(), min_size=1, max_size=12))
def test_what_arrives_is_what_was_sent(post: Post, written: list[Letter]) -> None:
    mails = post.run(post.deliver(written))
    for letter, mail in zip(written, mails, strict=True):
        check_envelope(letter, mail)
        check_head(letter, mail.data)
        check_with_library(letter, mail.data)
        check_parts(letter, mail.data)


@bounded(12)
@given(written=st.lists(letters.spoiled(letters.BREAKS, letters.CONTROLS), min_size=1, max_size=12))
def test_controls_are_refused_by_the_name_of_their_field(
    post: Post, written: list[tuple[Letter, str]]
) -> None:
    refusals = post.run(post.refused([letter.json for letter, _ in written]))
    for (_, pointer), (status, problem) in zip(written, refusals, strict=True):
        assert status == 400
        assert pointer in [error["pointer"] for error in problem["errors"]]


@bounded(12)
@given(written=st.lists(letters.spoiled(letters.HALVES, letters.HALVES), min_size=1, max_size=12))
def test_halves_of_surrogate_pairs_are_refused(post: Post, written: list[tuple[Letter, str]]) -> None:
    bodies = [
        json.dumps(letter.request, ensure_ascii=letter.ascii).encode("utf-8", "surrogatepass")
        for letter, _ in written
    ]
    assert {status for status, _ in post.run(post.refused(bodies))} == {400}


def check_envelope(letter: Letter, mail: Mail) -> None:
    people = letter.people
    asked = [address for kind in ("to", "cc", "bcc") for _, address in people.get(kind, [])]
    assert sorted(mail.recipients) == sorted(asked)
    assert "from" not in people or mail.sender == people["from"][0][1]


def check_head(letter: Letter, data: bytes) -> None:
    """Every field that was asked for stands there once with what it is to say, and no other."""
    reading.check_lines(data)
    fields = reading.read_fields(data)
    names = [name for name, _ in fields if name != "Content-Transfer-Encoding"]
    lists = {"to": "To", "cc": "Cc", "reply_to": "Reply-To", "from": "From"}
    given = [lists[kind] for kind in ("cc", "reply_to") if kind in letter.people]
    assert sorted(names) == sorted([*OURS, *given, *letter.headers])
    head = dict(fields)
    for kind, name in lists.items():
        if kind in letter.people:
            assert reading.read_mailboxes(head[name]) == letter.people[kind]
    assert reading.read_words(head["Subject"]) == letter.request["subject"].strip(" ")
    for name, value in letter.headers.items():
        read = reading.read_words(head[name]) if name in letters.TEXT_HEADERS else head[name]
        assert read == value.strip(" ")


def check_with_library(letter: Letter, data: bytes) -> None:
    """The standard library reads the same; of white space in names it makes one space."""
    mail = parsed(data)
    for part in mail.walk():
        assert not part.defects
    assert str(mail["Subject"]) == letter.request["subject"].strip(" ")
    for kind, name in (("from", "From"), ("to", "To"), ("cc", "Cc"), ("reply_to", "Reply-To")):
        if kind in letter.people:
            read = [(tight(box.display_name), box.addr_spec) for box in mail[name].addresses]
            assert read == [(tight(shown), address) for shown, address in letter.people[kind]]
    for name in set(letter.headers) & set(letters.TEXT_HEADERS):
        assert str(mail[name]).strip(" ") == letter.headers[name].strip(" ")


def check_parts(letter: Letter, data: bytes) -> None:
    """The texts and files, each once; the only part that may come by itself is a text beside HTML."""
    leaves = [part for part in parsed(data).walk() if not part.is_multipart()]
    texts = [part for part in leaves if part.get_content_disposition() is None]
    said = {part.get_content_subtype(): body(part) for part in texts}
    assert len(said) == len(texts) > 0
    for field, value in letter.request.items():
        if field in ("html", "text"):
            assert said["plain" if field == "text" else "html"] == lines(value)
        elif field == "body":
            assert said["html" if "html" in said else "plain"] == lines(value)
    raw = [part for part in email.message_from_bytes(data).walk() if part["Content-Disposition"]]
    assert sorted(map(file_of, raw)) == sorted(map(file_asked, letter.files))


def parsed(data: bytes) -> EmailMessage:
    mail = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def tight(name: str) -> str:
    return "".join(name.split())


def lines(text: str) -> str:
    """Text with its line ends as readers give them; the end of the last line may come with the mail's own."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


def body(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return lines(payload.decode())


def file_of(part: Message) -> tuple[str, str, str, bytes]:
    """Name, type, content id and bytes of a part as the plain old parser leaves it."""
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return reading.read_filename(part), part.get_content_type(), str(part["Content-ID"] or ""), payload


def file_asked(file: dict[str, Any]) -> tuple[str, str, str, bytes]:
    name = file["filename"]
    guessed = mimetypes.types_map.get(name[name.rfind(".") :].lower(), "application/octet-stream")
    kind = file.get("content_type", guessed).partition(";")[0]
    id = f"<{file['content_id']}>" if "content_id" in file else ""
    return name, kind, id, base64.b64decode(file["content"])
