"""The parts of a mail: text, HTML and files, each with the transfer encoding that carries it unharmed.

Rules: 7-bit ASCII out, whatever comes in. Text goes as it is only if nothing on the way could change it; else
quoted-printable, or base64 where that is shorter. Files go as base64 in lines of 76 (RFC 2045). No part can hold a
line that begins with one of our boundaries: `=_` stands in no encoded part, and text with `--=_` is encoded.
"""

import re
from binascii import b2a_base64, b2a_qp
from functools import lru_cache
from struct import Struct
from typing import Literal
from urllib.parse import quote

from posthouse.mail.address import CONTROL
from posthouse.mail.errors import BadContent
from posthouse.mail.message import Attachment

Part = tuple[bytes, list[bytes]]
"""The header lines of a part, each with its CRLF, and its body in pieces."""

MAX_LINE = 998
QUOTED_LINE = 76
"""Characters of a line in quoted-printable."""
MAX_QUOTED = 256 << 10
"""Octets of a text beyond which only the speed of base64 counts."""
MAX_FILENAME = 255
"""Characters of a file name."""
MAX_TYPE = 200
MAX_ID = 200

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:; ?{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))*')
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]+")
_NAME_CHARS = r"[A-Za-z0-9!#$&'()+,.;=@\[\]^_`{}~-]+"
_PLAIN_FILENAME = re.compile(rf"{_NAME_CHARS}(?: {_NAME_CHARS})*")
# 1024 lines at a time: the line breaks are put in without a step of Python per line.
_LINES = Struct("76s" * 1024)
_CHUNK = 57 * 1024


def text_part(kind: Literal["plain", "html"], text: str) -> Part:
    """A text/plain or text/html part in UTF-8. All its line ends become CRLF."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        lines = text.split("\n")
        if _is_safe(text, lines):
            return text_head(kind, "7bit"), ["\r\n".join(lines).encode("ascii")]
    data = text.encode()
    # What UTF-8 adds is half or more of the octets that quoted-printable has to write as three.
    if (len(data) - len(text)) * 12 < len(data) <= MAX_QUOTED:
        quoted = quoted_printable(data)
        if quoted is not None:
            return text_head(kind, "quoted-printable"), [quoted]
    return text_head(kind, "base64"), _base64(data.replace(b"\n", b"\r\n"))


def attachment_part(attachment: Attachment) -> Part:
    """A file as an attachment, or inline if it has a content_id. Raises BadContent."""
    check_attachment(attachment)
    head = f"Content-Type: {_type(attachment.content_type, attachment.filename)}\r\nContent-Transfer-Encoding: base64\r\n"
    disposition = "attachment"
    if attachment.content_id is not None:
        head += f"Content-ID: <{attachment.content_id}>\r\n"
        disposition = "inline"
    head += f"Content-Disposition: {disposition}{_filename(attachment.filename)}\r\n"
    return head.encode("ascii"), _base64(attachment.content)


def multipart(kind: str, boundary: str, parts: list[Part]) -> Part:
    """Several parts as one of multipart/`kind` (RFC 2046 §5.1)."""
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n'
    line = f"--{boundary}".encode("ascii")
    body: list[bytes] = []
    for headers, pieces in parts:
        body += (line, b"\r\n", headers, b"\r\n", *pieces, b"\r\n")
    body += (line, b"--")
    return head.encode("ascii"), body


def check_attachment(attachment: Attachment) -> None:
    """Raises BadContent with the first thing that is wrong with it."""
    for _, detail in attachment_faults(attachment):
        raise BadContent(f"an attachment: {detail}")


def attachment_faults(attachment: Attachment) -> list[tuple[str, str]]:
    """What is wrong with an attachment: (field, detail) pairs."""
    faults: list[tuple[str, str]] = []
    if CONTROL.search(attachment.filename):
        faults.append(("filename", "a file name must not contain control characters"))
    if not attachment.filename.strip() or len(attachment.filename) > MAX_FILENAME:
        faults.append(
            ("filename", f"a file name must have 1 to {MAX_FILENAME} characters, and not only spaces")
        )
    kind = attachment.content_type
    if len(kind) > MAX_TYPE or not _TYPE.fullmatch(kind):
        faults.append(
            ("content_type", "a content type must look like type/subtype, with parameters if need be")
        )
    elif kind.lower().startswith(("multipart/", "message/")):
        faults.append(
            ("content_type", "multipart/* and message/* cannot be attached: use application/octet-stream")
        )
    content_id = attachment.content_id
    if content_id is not None and (len(content_id) > MAX_ID or not _CONTENT_ID.fullmatch(content_id)):
        faults.append(
            ("content_id", f"a content id must be 1 to {MAX_ID} letters, digits and . _ - @ without < >")
        )
    return faults


@lru_cache(maxsize=8)
def text_head(kind: str, encoding: str) -> bytes:
    """The header lines of a text."""
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return head.encode("ascii")


def _is_safe(text: str, lines: list[str]) -> bool:
    """Whether ASCII text can go as it is: nothing that servers cut (long lines, white space before a line end), quote
    (From at the start of a line) or take for the end (a lone dot), and nothing like a boundary of ours."""
    ends = [line[-1:] for line in lines]
    return (
        " " not in ends
        and "\t" not in ends
        and "." not in lines
        and (len(text) <= MAX_LINE or max(map(len, lines)) <= MAX_LINE)
        and not text.startswith("From ")
        and not any(map(text.__contains__, _UNSAFE))
    )


# The C0 controls but TAB and LF are refused at accept; a template's result has not been looked at.
_UNSAFE = ("\nFrom ", "--=_", *(chr(c) for c in (*range(9), *range(11, 32), 127)))


def quoted_printable(data: bytes) -> bytes | None:
    """RFC 2045 §6.7, lines ending with LF made lines ending with CRLF; None where they came out longer than QUOTED_LINE."""
    quoted = b2a_qp(data, istext=True)
    # A "From " at the start of a line is what some servers write ">From".
    mended = quoted.replace(b"\nFrom ", b"\n=46rom ")
    if mended.startswith(b"From "):
        mended = b"=46" + mended[1:]
    # The C function does not count the two octets that a space before a line end grows by.
    if (mended is not quoted or b"=20\n" in mended or b"=09\n" in mended) and _longest(mended) > QUOTED_LINE:
        return None
    return mended.replace(b"\n", b"\r\n")


def _longest(data: bytes) -> int:
    return max(map(len, data.split(b"\n")))


def _base64(data: bytes) -> list[bytes]:
    """Base64 in lines of 76, without a line end after the last."""
    view = memoryview(data)
    whole = len(view) // _CHUNK * _CHUNK
    pieces: list[bytes] = []
    for start in range(0, whole, _CHUNK):
        encoded = b2a_base64(view[start : start + _CHUNK], newline=False)
        pieces += (b"\r\n".join(_LINES.unpack(encoded)), b"\r\n")
    rest = b2a_base64(view[whole:], newline=False)
    pieces.append(b"\r\n".join([rest[at : at + 76] for at in range(0, len(rest), 76)]))
    if not rest and len(pieces) > 1:
        del pieces[-2:]
    return pieces


def _type(content_type: str, filename: str) -> str:
    """The content type; with the file name in ASCII, for readers that do not know RFC 2231, where it is not plain.

    It stands here since readers that meet `filename` beside `filename*` may take the poorer one."""
    if _is_plain_name(filename) or "name=" in content_type.lower():
        return content_type
    ascii_name = re.sub(r"[^A-Za-z0-9 .-]", "_", filename)[-60:]
    return f'{content_type};\r\n name="{ascii_name}"'


def _filename(name: str) -> str:
    """The filename parameter: as it is for a plain ASCII name, else as RFC 2231 wants it, in numbered pieces where it
    is long (§3, §4.1)."""
    if _is_plain_name(name):
        return f'; filename="{name}"'
    coded = quote(name, safe="")
    if len(coded) <= 60:
        return f";\r\n filename*=utf-8''{coded}"
    pieces = re.findall("(?:%..|[^%]){1,20}", coded)
    lines = [f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces)]
    lines[0] = lines[0].replace("=", "=utf-8''", 1)
    return "".join(lines)


def _is_plain_name(name: str) -> bool:
    return len(name) <= 60 and _PLAIN_FILENAME.fullmatch(name) is not None and "=?" not in name
