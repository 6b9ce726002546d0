import base64
import email
import email.header
import email.utils
import hashlib
import re
from email import policy
from email.message import EmailMessage
from email.message import Message as OldMessage

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from posthouse.mail.errors import BadContent, MailError
from posthouse.mail.message import Attachment, Content, Mailbox, Message, Recipient
from posthouse.mail.mime import check, write

ANN = Mailbox("ann@example.net", "Ann")
SHOP = Mailbox("shop@example.org", "The Shop")
RECORD = Message(
    id="0199c7f2-1de4-7000-8000-3b9aca000001",
    message_id="<0199c7f2@mail.example.org>",
    created_at=1_760_000_000_123_456,
    recipients=[Recipient("ann@example.net")],
)


def content(**fields: object) -> Content:
    return msgspec.structs.replace(Content(sender=SHOP, to=(ANN,), subject="Hello", text="Hi"), **fields)


def written(**fields: object) -> bytes:
    """A mail, checked for what holds for every mail."""
    mail = content(**fields)
    data = write(RECORD, mail)
    assert data.isascii()
    assert data == write(RECORD, mail)
    assert data.endswith(b"\r\n")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert b"\0" not in data
    return data


def read(data: bytes) -> EmailMessage:
    mail = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert not [defect for part in mail.walk() for defect in part.defects]
    return mail


def read_old(data: bytes) -> OldMessage:
    return email.message_from_bytes(data, policy=policy.compat32)


def lines(text: str) -> str:
    """Text with its line ends as a reader gives them, and without those at its end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def body(part: EmailMessage | OldMessage) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return lines(payload.decode())


def test_a_mail_with_text_only() -> None:
    assert written(text="Hello Ann,\n\nall is well.\n") == (
        b"Date: Thu, 09 Oct 2025 08:53:20 +0000\r\n"
        b"From: The Shop <shop@example.org>\r\n"
        b"To: Ann <ann@example.net>\r\n"
        b"Subject: Hello\r\n"
        b"Message-ID: <0199c7f2@mail.example.org>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello Ann,\r\n\r\nall is well.\r\n"
    )


def test_a_mail_with_everything() -> None:
    data = written(
        cc=(Mailbox("bob@example.net", "Bob, Dr."), Mailbox("eve@example.net", "Ève")),
        bcc=(Mailbox("secret@example.net"),),
        reply_to=(Mailbox("help@example.org"),),
        subject="Größe 5",
        html='<p>Größe <img src="cid:logo"></p>',
        text=None,
        headers={"X-Order": "5", "List-Unsubscribe": "<https://example.org/u>"},
        attachments=(
            Attachment("logo.png", b"PNG", "image/png", "logo"),
            Attachment("Größe.txt", b"5", "text/plain; charset=utf-8"),
        ),
    )
    mark = "=_" + hashlib.blake2b(RECORD.id.encode(), digest_size=12).hexdigest()
    assert data.decode().replace(mark, "=_MARK") == (
        "Date: Thu, 09 Oct 2025 08:53:20 +0000\r\n"
        "From: The Shop <shop@example.org>\r\n"
        "To: Ann <ann@example.net>\r\n"
        'Cc: "Bob, Dr." <bob@example.net>,\r\n'
        " =?utf-8?q?=C3=88ve?=\r\n"
        " <eve@example.net>\r\n"
        "Reply-To: help@example.org\r\n"
        "Subject: =?utf-8?b?R3LDtsOfZSA1?=\r\n"
        "Message-ID: <0199c7f2@mail.example.org>\r\n"
        "X-Order: 5\r\n"
        "List-Unsubscribe: <https://example.org/u>\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="=_MARK.m"\r\n'
        "\r\n"
        "--=_MARK.m\r\n"
        'Content-Type: multipart/alternative; boundary="=_MARK.a"\r\n'
        "\r\n"
        "--=_MARK.a\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "\r\n"
        "R3LDtsOfZQ==\r\n"
        "--=_MARK.a\r\n"
        'Content-Type: multipart/related; boundary="=_MARK.r"\r\n'
        "\r\n"
        "--=_MARK.r\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        '<p>Gr=C3=B6=C3=9Fe <img src=3D"cid:logo"></p>\r\n'
        "--=_MARK.r\r\n"
        "Content-Type: image/png\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "Content-ID: <logo>\r\n"
        'Content-Disposition: inline; filename="logo.png"\r\n'
        "\r\n"
        "UE5H\r\n"
        "--=_MARK.r--\r\n"
        "--=_MARK.a--\r\n"
        "--=_MARK.m\r\n"
        "Content-Type: text/plain; charset=utf-8;\r\n"
        ' name="Gr__e.txt"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment;\r\n"
        " filename*=utf-8''Gr%C3%B6%C3%9Fe.txt\r\n"
        "\r\n"
        "NQ==\r\n"
        "--=_MARK.m--\r\n"
    )


def test_the_date_is_the_scheduled_time_if_there_is_one() -> None:
    record = msgspec.structs.replace(RECORD, scheduled_at=1_800_000_000_000_000)
    assert read(write(record, content()))["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"


def test_boundaries_and_message_ids_of_any_id() -> None:
    record = msgspec.structs.replace(RECORD, id="é" + "x" * 300, message_id="a@b")
    mail = read(write(record, content(html="<p>a</p>")))
    assert mail["Message-ID"] == "<a@b>"
    assert len(mail.get_boundary() or "") < 70
    with pytest.raises(BadContent):
        write(msgspec.structs.replace(RECORD, message_id="<a@b>\r\nBcc: <c@d>"), content())


def test_bcc_is_never_written() -> None:
    data = written(to=(), bcc=(Mailbox("secret@example.net"),))
    assert b"secret" not in data
    assert b"\r\nTo: undisclosed-recipients:;\r\n" in data
    only_cc = written(to=(), cc=(ANN,))
    assert b"\r\nCc: Ann <ann@example.net>\r\n" in only_cc
    assert b"\r\nTo:" not in only_cc


@pytest.mark.parametrize(
    ("fields", "types"),
    [
        ({}, ["text/plain"]),
        ({"html": "<p>a</p>"}, ["multipart/alternative", "text/plain", "text/html"]),
        ({"html": "<p>a</p>", "text": None}, ["multipart/alternative", "text/plain", "text/html"]),
        ({"html": "<p>a</p>", "text": ""}, ["text/html"]),
        ({"html": "<img src=x>", "text": None}, ["text/html"]),
        (
            {"attachments": (Attachment("a", b""),)},
            ["multipart/mixed", "text/plain", "application/octet-stream"],
        ),
        (
            {"attachments": (Attachment("a", b"", "image/png", "c"),)},
            ["multipart/mixed", "text/plain", "image/png"],
        ),
        (
            {"html": "a", "text": "", "attachments": (Attachment("a", b"", "image/png", "c"),)},
            ["multipart/related", "text/html", "image/png"],
        ),
    ],
)
def test_the_tree_has_no_more_levels_than_it_needs(fields: dict[str, object], types: list[str]) -> None:
    mail = read(written(**fields))
    assert [part.get_content_type() for part in mail.walk()] == types


def test_there_must_be_something_to_write() -> None:
    with pytest.raises(BadContent, match="neither text nor html"):
        write(RECORD, content(text=None))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\nlines\n", "7bit"),
        ("a" * 998, "7bit"),
        ("a" * 999, "quoted-printable"),
        ("trailing \nspace", "quoted-printable"),
        ("trailing\t", "quoted-printable"),
        ("a\n.\nb", "quoted-printable"),
        (".", "quoted-printable"),
        ("From here\nFrom there", "quoted-printable"),
        ("--=_x", "quoted-printable"),
        ("nul\0", "quoted-printable"),
        ("f\fv\vd\x7f", "quoted-printable"),
        ("x" * 74 + " \ny", "base64"),
        ("a naïve café, quite long in all", "quoted-printable"),
        ("Привет", "base64"),
        ("日本", "base64"),
        ("\r\n\r\r\n", "7bit"),
        ("", "7bit"),
    ],
)
def test_text_goes_as_it_is_only_if_nothing_could_change_it(text: str, encoding: str) -> None:
    data = written(text=text)
    mail = read(data)
    assert mail["Content-Transfer-Encoding"] == encoding
    assert body(mail) == lines(text)
    if encoding != "7bit":
        written_lines = data.partition(b"\r\n\r\n")[2].split(b"\r\n")
        assert max(map(len, written_lines)) <= 76
        assert not [line for line in written_lines if line == b"." or line.endswith((b" ", b"\t"))]
        assert not [line for line in written_lines if line.startswith((b"From ", b"--=_"))]


HARD = st.sampled_from(
    [
        "\r",
        "\n",
        "\r\n",
        "\x00",
        ".",
        "..",
        "\r\n.\r\n",
        "\n.\n",
        "From ",
        " ",
        "\t",
        "=",
        "=_",
        "--",
        "é",
        "🎉",
        "\x85",
        "=?utf-8?q?x?=",
        "=?utf-8?b?eA==?=",
        "x" * 80,
        "y" * 1000,
        "\r\nBcc: eve@example.net\r\n",
        "--=_",
        ",",
        ";",
        '"',
        "\\",
        "<",
        ">",
        "日本語",
        "\u2028",
        "é",
        "https://example.org/" + "z" * 90,
        "  ",
        "?=",
        "=?",
        "(",
        ")",
        "'",
    ]
)
TEXT = st.lists(HARD | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=12).map(
    "".join
)
ONE_LINE = TEXT.map(lambda text: re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", "", text))


@given(TEXT, TEXT)
def test_text_and_html_are_read_back(text: str, html: str) -> None:
    mail = read(written(text=text, html=html))
    parts = [part for part in mail.walk() if not part.is_multipart()]
    assert [body(part) for part in parts] == ([lines(text), lines(html)] if text else [lines(html)])
    assert [body(part) for part in read_old(written(text=text)).walk()] == [lines(text)]


@given(TEXT)
def test_html_alone_makes_a_valid_mail(html: str) -> None:
    mail = read(written(text=None, html=html))
    assert body([part for part in mail.walk() if not part.is_multipart()][-1]) == lines(html)


def old_header(data: bytes, name: str) -> str:
    raw = read_old(data)[name]
    pieces = email.header.decode_header(re.sub("\r\n(?=[ \t])", "", raw))
    return "".join(p if isinstance(p, str) else p.decode(charset or "ascii") for p, charset in pieces)


@given(ONE_LINE)
@example("=?utf-8?q?x?=")
@example("a =?utf-8?q?x?= b")
@example("x" * 998)
@example("🎉" * 300)
@example("word " * 199)
@example("a" + " " * 100 + "b")
def test_a_subject_is_read_back(subject: str) -> None:
    data = written(subject=subject)
    assert str(read(data)["Subject"]) == subject.strip(" ")
    assert old_header(data, "Subject") == subject.strip(" ")


def spaced(name: str) -> str:
    """A name without white space: Python 3.11's new parser makes one of several, and one between encoded-words."""
    return "".join(name.split())


@given(ONE_LINE)
@example(" a  b ")
@example("é" * 256)
@example("日 本" * 80)
def test_a_name_is_read_back_by_the_old_parser_too(name: str) -> None:
    data = written(to=(Mailbox("one@example.net", name),))
    [(shown, address)] = email.utils.getaddresses([re.sub("\r\n(?=[ \t])", "", read_old(data)["To"])])
    pieces = email.header.decode_header(shown)
    found = "".join(p if isinstance(p, str) else p.decode(charset or "ascii") for p, charset in pieces)
    assert (found, address) == (name, "one@example.net")


@given(ONE_LINE, ONE_LINE)
@example("=?utf-8?q?x?=", "Ann, Dr.")
@example("é" * 256, "x" * 256)
@example(" a  b ", "eve@example.net")
def test_names_are_read_back_and_addresses_stay_as_they_are(one: str, two: str) -> None:
    boxes = (Mailbox("one@example.net", one), Mailbox("two@xn--mller-kva.de", two))
    data = written(sender=boxes[0], to=boxes, reply_to=boxes[1:])
    mail = read(data)
    assert [(spaced(a.display_name), a.addr_spec) for a in mail["To"].addresses] == [
        (spaced(box.name), box.email) for box in boxes
    ]
    assert [a.addr_spec for a in mail["From"].addresses] == ["one@example.net"]
    assert [a.addr_spec for a in mail["Reply-To"].addresses] == ["two@xn--mller-kva.de"]


@given(ONE_LINE)
@example("Jürgen")
def test_an_address_that_is_not_ascii_is_all_that_stands_in_utf_8(name: str) -> None:
    """RFC 6532: the address raw, names and subject in encoded-words as in any other mail."""
    boxes = (Mailbox("用户@example.org", name), Mailbox("ä" * 32 + "@example.net"))
    data = write(RECORD, content(sender=boxes[0], to=boxes, subject="für dich"))
    utf8 = [word for word in data.split() if not word.isascii()]
    assert {word.strip(b"<>,").decode() for word in utf8} == {box.email for box in boxes}
    assert max(map(len, data.split(b"\r\n"))) <= 998
    mail = email.message_from_bytes(data, policy=policy.SMTPUTF8)
    assert [(spaced(a.display_name), raw(a.addr_spec)) for a in mail["To"].addresses] == [
        (spaced(box.name), box.email) for box in boxes
    ]
    assert mail["Subject"] == "für dich"


def raw(text: str) -> str:
    """UTF-8 that the parser gave as escaped octets."""
    return text.encode("ascii", "surrogateescape").decode()


@given(ONE_LINE, ONE_LINE, ONE_LINE, TEXT)
def test_there_is_one_of_each_header_and_none_is_added(
    subject: str, name: str, value: str, text: str
) -> None:
    mail = content(
        subject=subject,
        sender=Mailbox("shop@example.org", name),
        headers={"X-Free": value, "List-Id": "a"},
        text=text,
        html=text,
    )
    if any(pointer.startswith("/headers") for pointer, _ in check(mail)):
        mail = msgspec.structs.replace(mail, headers={"List-Id": "a"})
    names = [name for name, _ in read_old(write(RECORD, mail)).items()]
    expected = ["Date", "From", "To", "Subject", "Message-ID", *mail.headers, "MIME-Version", "Content-Type"]
    assert [name for name in names if name != "Content-Transfer-Encoding"] == expected


@given(ONE_LINE)
@example("x" * 900 + " y")
def test_a_header_of_free_text_is_read_back(value: str) -> None:
    mail = content(headers={"X-" + "N" * 74: value, "X-Short": value})
    if check(mail):
        with pytest.raises(BadContent):
            write(RECORD, mail)
        return
    found = read(written(headers=mail.headers))
    assert [str(found[name]).strip(" ") for name in mail.headers] == [value.strip(" ")] * 2


def test_urls_and_message_ids_stay_whole() -> None:
    url = "<https://example.org/u/" + "t" * 300 + "?a=?utf-8?q?b?=>"
    thread = " ".join(f"<{n}.{'m' * 60}@example.org>" for n in range(20))
    data = written(headers={"List-Unsubscribe": url, "References": thread})
    assert f"\r\nList-Unsubscribe: {url}\r\n".encode() in data
    references = data.partition(b"References: ")[2].partition(b"\r\nMIME")[0].split(b"\r\n ")
    assert [part.decode() for part in references] == thread.split(" ")


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=255), st.binary()
)
@example("=?utf-8?q?x?=.pdf", b"")
@example("a" * 251 + ".pdf", b"\r\n.\r\n")
@example("🎉" * 255, b"--=_")
@example("a\"b\\c%d;e=f'.txt", b"x" * 57)
def test_a_file_is_read_back(filename: str, data: bytes) -> None:
    assume(filename.strip())
    mail = read(written(attachments=(Attachment(filename, data),)))
    [part] = mail.iter_attachments()
    assert part.get_filename() == filename.strip()
    assert part.get_content() == data
    old = read_old(written(attachments=(Attachment(filename, data),))).get_payload()[1]
    assert old.get_filename() == filename.strip()


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 1024 - 1, 57 * 1024, 57 * 1024 + 1, 3 * 57 * 1024])
def test_base64_is_that_of_the_standard_library(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    expected = base64.encodebytes(data).replace(b"\n", b"\r\n")
    mail = written(attachments=(Attachment("a", data),))
    assert b'filename="a"\r\n\r\n' + (expected or b"\r\n") + b"--=_" in mail


BAD_FILES = [
    (Attachment("", b""), "filename"),
    (Attachment("  ", b""), "filename"),
    (Attachment("a" * 256, b""), "filename"),
    (Attachment("a\r\nX-Evil: 1", b""), "filename"),
    (Attachment("a\0", b""), "filename"),
    (Attachment("a", b"", "text"), "content_type"),
    (Attachment("a", b"", "text/plain\r\nX-Evil: 1"), "content_type"),
    (Attachment("a", b"", 'text/plain; a="\r\nX-Evil: 1"'), "content_type"),
    (Attachment("a", b"", "multipart/mixed"), "content_type"),
    (Attachment("a", b"", "Message/rfc822"), "content_type"),
    (Attachment("a", b"", "text/plän"), "content_type"),
    (Attachment("a", b"", "image/png", ""), "content_id"),
    (Attachment("a", b"", "image/png", "<a>"), "content_id"),
    (Attachment("a", b"", "image/png", "a b"), "content_id"),
    (Attachment("a", b"", "image/png", "a\r\nX-Evil: 1"), "content_id"),
]


@pytest.mark.parametrize(("attachment", "field"), BAD_FILES)
def test_a_bad_file_is_named_and_never_written(attachment: Attachment, field: str) -> None:
    mail = content(attachments=(Attachment("good.ics", b"", "text/calendar; method=REQUEST"), attachment))
    assert [pointer for pointer, _ in check(mail)] == [f"/attachments/1/{field}"]
    with pytest.raises(BadContent):
        write(RECORD, mail)


def test_everything_wrong_is_named_at_once() -> None:
    canary = "c4nary"
    mail = Content(
        sender=Mailbox("shop@example.org", canary + "\r\n"),
        to=(ANN, Mailbox(canary + "@example.org>\r\nBcc: <a@b>")),
        cc=(Mailbox("ann@example.net", canary + "n" * 300),),
        bcc=(Mailbox(canary),),
        reply_to=(Mailbox("ä\u2028@example.org"),),
        subject=canary + "\n" + "s" * 1000,
        html=canary + "\0",
        text=canary + "\ud800\x1b",
        headers={"X-~/a": canary + "\r", "Bcc": canary, "X-A": "1", "x-a": "2", f"X-{canary} ": ""},
        attachments=(Attachment(canary + "\0", b"", canary, f"<{canary}>"),),
    )
    faults = check(mail)
    assert [pointer for pointer, _ in faults] == [
        "/from",
        "/to/1",
        "/cc/0",
        "/bcc/0",
        "/reply_to/0",
        "/subject",
        "/subject",
        "/html",
        "/text",
        "/text",
        "/headers/X-~0~1a",
        "/headers/Bcc",
        "/headers/x-a",
        f"/headers/X-{canary} ",
        "/attachments/0/filename",
        "/attachments/0/content_type",
        "/attachments/0/content_id",
    ]
    assert not [detail for _, detail in faults if canary in detail or not detail.isprintable()]
    with pytest.raises(MailError):
        write(RECORD, mail)


def test_counts_are_bounded() -> None:
    mail = content(
        headers={f"X-{n}": "1" for n in range(51)},
        attachments=tuple(Attachment("a", b"") for _ in range(101)),
    )
    assert [pointer for pointer, _ in check(mail)] == ["/headers", "/attachments"]


def test_a_good_mail_has_nothing_wrong() -> None:
    assert check(content(html="<p>\t\r\n</p>", subject="🎉", headers={"X-A": "é"})) == []


@pytest.mark.parametrize("field", ["subject", "text", "html"])
def test_half_a_surrogate_pair_is_bad_content(field: str) -> None:
    with pytest.raises(BadContent):
        write(RECORD, content(**{field: "a\ud800"}))
