"""GET and POST /u/{token} (RFC 8058): the page changes nothing, a click acts, and no other token or body does anything."""

import asyncio
import base64
import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from posthouse.mail.errors import StoreAway
from posthouse.mail.unsubscribe import LIST, key_of, seal
from posthouse.suppressed import SuppressionList
from tests.contract.asgi import LINK_KEY, MAIL, House, Reply, house

ANN = "ann@example.org"
TOKEN = seal(LINK_KEY, LIST, ANN)
CLICK = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
PARTS = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'


async def post(h: House, token: str = TOKEN, body: bytes = CLICK, kind: str = FORM) -> Reply:
    return await h.ask("POST", f"/u/{token}", body, headers={"content-type": kind})


async def listed(h: House) -> list[tuple[str, str, str, str]]:
    entries = await h.store.suppressions(9)
    return [(each.email, each.lane, each.reason, each.by) for each in entries]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (CLICK, FORM),
        (CLICK, f"{FORM}; charset=UTF-8"),
        (b"List%2DUnsubscribe=One%2DClick&email=bob%40example.org&token=x", FORM),
        (PARTS, "multipart/form-data; boundary=x"),
        (PARTS.replace(b"x", b"y"), 'Multipart/Form-Data; boundary="y"'),
    ],
)
async def test_a_click_takes_the_person_of_the_token_off_the_list(
    tmp_path: Path, body: bytes, kind: str
) -> None:
    async with house(tmp_path) as h:
        for _ in range(2):
            reply = await post(h, body=body, kind=kind)
            assert (reply.status, "set-cookie" in reply.headers, "location" in reply.headers) == (
                200,
                False,
                False,
            )
            assert await listed(h) == [(ANN, "bulk", "unsubscribed", "recipient")]
        (act,) = await h.store.acts(9, about=f"suppression:{ANN}")
        assert (act.act, act.by) == ("suppressed", "recipient")
        for lane, state in (("bulk", "suppressed"), ("transactional", "pending")):
            record = await h.ask("GET", f"/emails/{await h.sent(MAIL | {'lane': lane})}")
            assert record.json["state"] == state


async def test_looking_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for method in ("GET", "HEAD", "OPTIONS"):
            assert (await h.ask(method, f"/u/{TOKEN}", headers={})).status in (200, 204)
        assert await listed(h) == []


OTHERS = [
    seal(key_of("the secret of another house, long"), LIST, ANN),
    TOKEN[:-1],
    TOKEN[1:],
    TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B"),
    TOKEN[:20] + seal(LINK_KEY, LIST, "bob@example.org")[20:],
    TOKEN.swapcase(),
    "x",
    "x" * 5_000,
    "%00",
    "%F0%9F%90%8E",
]


@pytest.mark.parametrize("token", OTHERS)
async def test_another_token_gets_the_same_answers_and_does_nothing(tmp_path: Path, token: str) -> None:
    async with house(tmp_path) as h:
        for method, body in (("GET", None), ("POST", CLICK)):
            headers = {"content-type": FORM}
            other = await h.ask(method, f"/u/{token}", body, headers=headers)
            assert await listed(h) == []
            mine = await h.ask(method, f"/u/{TOKEN}", body, headers=headers)
            assert (other.status, other.headers, other.body) == (mine.status, mine.headers, mine.body)
            await h.store.unsuppress([ANN], "Cy")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", FORM, 400),
        (b"List-Unsubscribe=Yes", FORM, 400),
        (b"list-unsubscribe=One-Click", FORM, 400),
        (b"List-Unsubscribe=One-Click&List-Unsubscribe=No", FORM, 400),
        (b"&" * 99 + CLICK, FORM, 400),
        (PARTS, "multipart/form-data", 400),
        (PARTS, "multipart/form-data; boundary=other", 400),
        (CLICK, "text/plain", 415),
        (CLICK, "application/json", 415),
        (CLICK + b"&x=" + b"x" * 9_000, FORM, 413),
    ],
)
async def test_any_other_body_does_nothing(tmp_path: Path, body: bytes, kind: str, status: int) -> None:
    async with house(tmp_path) as h:
        assert (await post(h, body=body, kind=kind)).status == status
        assert await listed(h) == []


async def test_a_person_who_was_taken_off_the_list_can_leave_again(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for _ in range(2):
            await post(h)
            assert await h.store.unsuppress([ANN], "Cy") == 1


async def test_each_token_has_a_rate_whether_it_is_good_or_not(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        for token in (TOKEN, TOKEN[:-1]):
            statuses = [(await post(h, token)).status for _ in range(21)]
            assert statuses == [200] * 20 + [429]
        assert (await post(h, seal(LINK_KEY, LIST, "bob@example.org"))).status == 200


class Away(SuppressionList):
    """A list that nobody can write."""

    async def add(self, entries: Any, by: str) -> int:
        raise StoreAway("it is away")


async def test_a_list_that_is_away_is_said_to_be_so(tmp_path: Path) -> None:
    """Mail programs post again."""
    async with house(tmp_path, suppressed=Away()) as h:
        assert (await post(h)).status == 503
        assert (await post(h, TOKEN[:-1])).status == 200


class Counting(SuppressionList):
    """A list that notes how many come with each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []

    async def add(self, entries: Any, by: str) -> int:
        self.writes.append(len(entries))
        return len(entries)


async def test_those_who_come_together_share_a_write(tmp_path: Path) -> None:
    counting = Counting()
    async with house(tmp_path, suppressed=counting) as h:
        tokens = [seal(LINK_KEY, LIST, f"rider{n}@example.org") for n in range(40)]
        replies = await asyncio.gather(*(post(h, token) for token in tokens))
    assert {reply.status for reply in replies} == {200}
    assert (sum(counting.writes), len(counting.writes) < 10) == (40, True)


class Page(HTMLParser):
    """What stands in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_pages_are_plain_and_keep_to_themselves(tmp_path: Path, method: str) -> None:
    async with house(tmp_path) as h:
        reply = await (h.ask("GET", f"/u/{TOKEN}", headers={}) if method == "GET" else post(h))
    html, headers = reply.body.decode(), reply.headers
    page = Page(html)
    assert ANN not in html
    assert TOKEN not in html
    assert not {"script", "img", "iframe", "a"} & {tag for tag, _ in page.tags}
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags if tag in ("h1", "main", "title")] == ["title", "main", "h1"]
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style is not None
    digest = base64.b64encode(sha256(style[1].encode()).digest()).decode()
    assert headers["content-security-policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert (headers["cache-control"], headers["x-robots-tag"], headers["referrer-policy"]) == (
        "no-store",
        "noindex",
        "no-referrer",
    )


async def test_what_the_pages_button_posts_is_a_click(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        page = Page((await h.ask("GET", f"/u/{TOKEN}", headers={})).body.decode())
        (form,) = [attributes for tag, attributes in page.tags if tag == "form"]
        assert form == {"method": "post"}, "to the same address"
        fields = [attributes for tag, attributes in page.tags if tag == "input"]
        body = "&".join(f"{field['name']}={field['value']}" for field in fields).encode()
        assert (await post(h, body=body)).status == 200
        assert len(await listed(h)) == 1
