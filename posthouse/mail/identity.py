"""A message's identity: its id, a UUIDv7 (RFC 9562 §5.7) that only grows within a process, and its Message-ID."""

import re
from collections.abc import Callable

_RANDOM_BITS = 74
_STEP_BITS = 32
_UUID7 = re.compile("([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def id_maker(now_ms: Callable[[], int], random_bits: Callable[[int], int]) -> Callable[[], str]:
    """A function that makes ids. `now_ms` gives milliseconds since 1970, `random_bits(n)` a number of n random bits.

    Within a millisecond, and while the clock goes back, the random part grows by a random step (RFC 9562 §6.2,
    method 2), so later ids sort behind earlier ones and none can be guessed from another."""
    last = 0

    def new_id() -> str:
        nonlocal last
        fresh = now_ms() << _RANDOM_BITS | random_bits(_RANDOM_BITS)
        last = fresh if fresh > last else last + 1 + random_bits(_STEP_BITS)
        return _as_uuid(last)

    return new_id


def message_id(id: str, hostname: str) -> str:
    """The Message-ID that a message keeps for ever, with its angle brackets (RFC 5322 §3.6.4)."""
    return f"<{id}@{hostname}>"


def id_of(message_id: str) -> str:
    """The id of the message that has this Message-ID, with or without its angle brackets."""
    return message_id.strip().removeprefix("<").rpartition("@")[0]


def made_at(id: str) -> int | None:
    """When an id of ours was made, in microseconds since 1970 (to the millisecond); None for any other word."""
    parts = _UUID7.fullmatch(id)
    return parts and int(parts[1] + parts[2], 16) * 1000


def _as_uuid(number: int) -> str:
    """122 bits (48 of time, 74 of chance) with version and variant put in between."""
    time, a, b = number >> 74, number >> 62 & 0xFFF, number & (1 << 62) - 1
    text = f"{time << 80 | 0x7 << 76 | a << 64 | 0b10 << 62 | b:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
