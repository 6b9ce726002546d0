"""The renderer: whatever a template does, the worker goes on, and only that template's mail pays for it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from posthouse.delivery import render
from posthouse.delivery.apart import Away
from posthouse.delivery.builder import write_or_refuse
from posthouse.delivery.render import Renderer
from posthouse.delivery.renderer import Built, Order
from posthouse.mail.message import Content, Mailbox
from posthouse.mail.outcome import Outcome
from posthouse.mail.press import press
from posthouse.mail.template import BadTemplate, Made, Source
from posthouse.mail.unsubscribe import Links, key_of
from tests.unit.delivery.parts import claimed

POW = "{{ 9 ** (9 ** 9) }}"
"""One operation that no signal interrupts."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path, "hello", "Dear {{ name }}", subject="№ {{ n }}")
    return tmp_path


@pytest.fixture
async def renderer(folder: Path) -> AsyncIterator[Renderer]:
    made = Renderer(folder)
    yield made
    made.stop()


def add(folder: Path, id: str, body: str, subject: str = "S") -> None:
    (folder / id).mkdir(exist_ok=True)
    (folder / id / "subject.txt").write_text(subject)
    (folder / id / "body.html").write_text(body)


def letter(template: str = "hello", n: int = 1, place: int | None = None, **variables: Any) -> Order:
    sender, to = Mailbox("bob@x.example"), (Mailbox("ann@x.example", "Änn"),)
    content = Content(sender=sender, to=to, template=template, variables={"n": n, **variables})
    return Order(claimed(id=f"id-{template}-{n}"), content, place)


def why(built: Built) -> tuple[str, str]:
    assert isinstance(built.data, Outcome)
    assert built.content is None
    return built.data.result, built.data.text


async def test_mails_are_rendered_and_written(renderer: Renderer) -> None:
    mails = [letter(n=n) for n in range(5)]
    for order, built in zip(mails, await renderer.render(mails), strict=True):
        assert built.content is not None
        assert (built.content.subject, built.content.html) == (f"№ {order.message.id[-1]}", "Dear Änn")
        assert built.data == write_or_refuse(order.message, built.content)


async def test_a_template_may_come_with_its_mails(renderer: Renderer) -> None:
    """Beside mails of the folder; and where there is no folder."""
    given = [Made("№ {{ n }}", text="given"), Made("№ {{ n }}", "<p>x</p>", "{{ nobody }}", derived=True)]
    mails = [letter(place=1), letter(n=2), letter(place=0)]
    built = [each.content for each in await renderer.render(mails, given)]
    assert [each and (each.html, each.text) for each in built] == [
        ("<p>x</p>", None),
        ("Dear Änn", "Dear Änn"),
        (None, "given"),
    ]
    alone = Renderer(None)
    (also, waits) = await alone.render([mails[0], mails[1]], given)
    assert also.content == built[0]
    assert why(waits) == ("deferred", "this worker has no templates: POSTHOUSE_TEMPLATES is not set")
    alone.stop()


async def test_a_template_is_made_ready(renderer: Renderer) -> None:
    made = await renderer.press(Source("S", "<style>p{color:red}</style><p>{{ x }}</p>"))
    assert made == press(Source("S", "<style>p{color:red}</style><p>{{ x }}</p>"))
    with pytest.raises(BadTemplate, match=r"body\.txt, line 1: it is not valid Jinja2"):
        await renderer.press(Source("S", text="{% if %}"))


@pytest.mark.parametrize("body", ["<style>p{x:y}</style>" + "<b>" * 50_000, "{{ " + "-" * 90_000 + "x }}"])
async def test_one_that_costs_the_process_is_refused_and_the_next_is_made(
    renderer: Renderer, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await renderer.press(Source("S", text="x"))).text == "x"
    monkeypatch.setattr(render, "ANSWER", 2.0)
    with pytest.raises(BadTemplate, match=r"too deep or too large|takes more than 2 s"):
        await renderer.press(Source("S", body))
    monkeypatch.undo()
    assert (await renderer.press(Source("S", text="x"))).text == "x"


async def test_a_template_that_changed_is_read_again(renderer: Renderer, folder: Path) -> None:
    await renderer.render([letter()])
    add(folder, "hello", "Good day")
    (built,) = await renderer.render([letter(n=2)])
    assert built.content is not None
    assert built.content.html == "Good day"


async def test_what_is_wrong_with_one_is_its_own_matter(renderer: Renderer, folder: Path) -> None:
    add(folder, "wants", "{{ town }}")
    fine, missing, unknown = await renderer.render([letter(), letter("wants"), letter("gone")])
    assert isinstance(fine.data, bytes)
    assert why(missing) == ("refused", "body.html, line 1: the variable town is missing")
    assert why(unknown) == ("refused", "there is no template of this name any more")


async def test_a_template_names_the_link_that_bulk_mail_has_in_its_head() -> None:
    links = Links("https://post.example", key_of("a secret of the house, long enough"))
    made, link = Renderer(None, links), links.to("ann@x.example")
    source = press(Source(subject="S", text="{{ unsubscribeUrl }}"))
    orders = [letter(place=0), msgspec.structs.replace(letter(place=0), message=claimed(lane="bulk"))]
    single, bulk = [built.data for built in await made.render(orders, [source])]
    made.stop()
    assert isinstance(single, bytes) and isinstance(bulk, bytes)
    head = f"List-Unsubscribe: <{link}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n".encode()
    assert (head in bulk, head in single) == (True, False)
    assert link.encode() in single.replace(b"=\r\n", b"")


async def test_one_that_computes_for_ever_is_stopped_and_its_process_lives(
    renderer: Renderer, folder: Path
) -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    add(folder, "loops", loops)
    stopped, fine = await renderer.render([letter("loops"), letter()])
    assert why(stopped) == ("refused", "the template takes more than 2 s to render")
    assert isinstance(fine.data, bytes)


@pytest.mark.parametrize(
    "body", ["{{ 'x' * 10**10 }}", "{{ 'x'|center(10**10) }}", "{{ '%10000000000d' % 1 }}"]
)
async def test_one_that_swells_is_stopped_and_its_process_lives(
    renderer: Renderer, folder: Path, body: str
) -> None:
    add(folder, "swells", body)
    stopped, fine = await renderer.render([letter("swells"), letter()])
    result, text = why(stopped)
    assert result == "refused"
    assert "memory" in text or "Error" in text
    assert isinstance(fine.data, bytes)


async def test_one_that_nothing_stops_costs_only_itself(
    renderer: Renderer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await renderer.render([letter()])
    monkeypatch.setattr(render, "ANSWER", 2.0)
    add(folder, "power", POW)
    before, culprit, after = await renderer.render([letter(n=1), letter("power"), letter(n=2)])
    assert why(culprit)[0] == "refused"
    assert "s to render" in why(culprit)[1]
    assert isinstance(before.data, bytes)
    assert isinstance(after.data, bytes)


async def test_a_process_that_dies_is_replaced(renderer: Renderer) -> None:
    await renderer.render([letter()])
    process = renderer._apart.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    asked = asyncio.ensure_future(renderer.render([letter(n=n) for n in range(3)]))
    await asyncio.sleep(0)
    os.kill(process.pid, signal.SIGKILL)
    assert [type(built.data) for built in await asked] == [bytes] * 3


async def test_after_stop_nothing_is_started(renderer: Renderer) -> None:
    await renderer.render([letter()])
    process = renderer._apart.process
    renderer.stop()
    assert process is not None and process.returncode is not None
    with pytest.raises(Away):
        await renderer.render([letter()])
    assert renderer._apart.process is None
