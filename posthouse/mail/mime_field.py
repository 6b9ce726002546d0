"""Header fields as they go over the wire: folded, quoted or encoded, each ending with CRLF.

Rules: lines are folded at spaces only, so a URL or a msg-id stays whole; no line is longer than 998 octets (RFC 5322
§2.1.1). Encoded-words (RFC 2047) stand in free text and in display names, never in an address: one that is not ASCII stands in
UTF-8, and nothing else does (RFC 6532). What the caller typed
is what the reader sees: text that only looks like an encoded-word is encoded too. Control characters raise BadContent.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from functools import lru_cache

from posthouse.mail.address import CONTROL, MAX_EMAIL, is_phrase, quote
from posthouse.mail.errors import BadAddress, BadContent
from posthouse.mail.headers import MAX_WORD, check_structured
from posthouse.mail.message import Mailbox

LINE = 78
"""Characters a line should not exceed."""
WORD_LINE = 76
"""Characters a line with an encoded-word must not exceed (RFC 2047 §2)."""
_NEXT_LINE = "\r\n "
_FRAME = len("=?utf-8?q??=")
_WORD = 75 - _FRAME
_ADDR_SPEC = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]+@[A-Za-z0-9.-]+")
_LOOKS_ENCODED = re.compile(r"=\?.*\?=")
_RUNS = re.compile(" +[^ ]+")
_EVEN = re.compile("[!-~]+(?: [!-~]+)*")
# The strictest of RFC 2047's sets, that of a phrase (§5.3).
_Q = {byte: chr(byte) for byte in b"!*+-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"} | {
    32: "_"
}


def text_field(name: str, text: str) -> str:
    """A field of free text: as it is when it is ASCII, else in encoded-words. Spaces at its ends are dropped."""
    text = text.strip(" ")
    _refuse_controls(text)
    if text.isascii() and not _LOOKS_ENCODED.search(text) and _fits(text):
        return _fold(name, text)
    lead = len(name) + 2
    if lead > WORD_LINE // 2:
        return f"{name}:\r\n {_encode(text, _WORD)}\r\n"
    return f"{name}: {_encode(text, _WORD - lead)}\r\n"


def structured_field(name: str, value: str) -> str:
    """A field whose value has a syntax of its own: never encoded, folded at spaces. Raises BadContent."""
    value = value.strip(" ")
    _refuse_controls(value)
    check_structured(value)
    return _fold(name, value)


def mailboxes_field(name: str, mailboxes: Sequence[Mailbox]) -> str:
    """An address list (RFC 5322 §3.4): on one line if it fits, else one mailbox a line."""
    shown = [show_mailbox(mailbox) for mailbox in mailboxes]
    line = f"{name}: {', '.join(shown)}\r\n"
    if len(shown) == 1 or (len(line) <= LINE and _NEXT_LINE not in line):
        return line
    return f"{name}: " + ",\r\n ".join(shown) + "\r\n"


@lru_cache(maxsize=256)
def sender_field(name: str, mailbox: Mailbox) -> str:
    """The field of one mailbox that many mails share."""
    return mailboxes_field(name, (mailbox,))


def show_mailbox(mailbox: Mailbox) -> str:
    """One mailbox: its name as atoms, quoted-string or encoded-words, its address always as it is."""
    email, name = mailbox.email, mailbox.name
    if not _ADDR_SPEC.fullmatch(email) or not email.isprintable() or len(email.encode()) > MAX_EMAIL:
        raise BadAddress("an address was not brought to its normal form before it was written")
    if not name:
        return email
    _refuse_controls(name)
    if _LOOKS_ENCODED.search(name) or not _EVEN.fullmatch(name) or len(name) > MAX_WORD // 2:
        # 10 for the field's name: the longest we write is Reply-To.
        return f"{_encode(name, _WORD - 10)}\r\n <{email}>"
    return f"{name if is_phrase(name) else quote(name)} <{email}>"


def _refuse_controls(text: str) -> None:
    if not text.isprintable() and CONTROL.search(text):
        raise BadContent("a header must not contain control characters or line breaks")


def _fits(text: str) -> bool:
    return len(text) <= MAX_WORD or max(map(len, text.split(" "))) <= MAX_WORD


def _fold(name: str, text: str) -> str:
    if not text:
        return f"{name}:\r\n"
    line = f"{name}: {text}"
    if len(line) <= LINE:
        return line + "\r\n"
    first, *runs = _RUNS.findall(" " + text)
    lines = [f"{name}:{first}"]
    for run in runs:
        if len(lines[-1]) + len(run) <= LINE:
            lines[-1] += run
        else:
            lines.append(run)
    return "\r\n".join(lines) + "\r\n"


def _encode(text: str, first: int) -> str:
    """Encoded-words on a line each; the first has room for `first` characters of payload, the others for _WORD.

    Each holds whole characters (RFC 2047 §5); all are in Q or all in B, whichever is shorter."""
    data = text.encode()
    quoted = [sum(1 if byte in _Q else 3 for byte in char.encode()) for char in text]
    if sum(quoted) <= -(-len(data) // 3) * 4:
        return _NEXT_LINE.join(f"=?utf-8?q?{_q(part)}?=" for part in _slices(text, quoted, first, _WORD))
    sizes = [len(char.encode()) for char in text]
    parts = _slices(text, sizes, first // 4 * 3, _WORD // 4 * 3)
    return _NEXT_LINE.join(f"=?utf-8?b?{_b(part)}?=" for part in parts)


def _slices(text: str, costs: Sequence[int], first: int, rest: int) -> Iterator[str]:
    """`text` in slices: the characters of the first cost `first` at most together, those of the others `rest`."""
    start = cost = 0
    for at, more in enumerate(costs):
        if cost + more > (rest if start else first):
            yield text[start:at]
            start, cost = at, 0
        cost += more
    yield text[start:]


def _q(text: str) -> str:
    return "".join(_Q.get(byte) or f"={byte:02X}" for byte in text.encode())


def _b(text: str) -> str:
    return b2a_base64(text.encode(), newline=False).decode("ascii")
