"""Times as callers read and write them: ISO 8601, UTC, microseconds, a Z; inside they are whole microseconds."""

import time
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from posthouse.mail.message import SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_ZONE = 64


def wall_clock() -> int:
    """Microseconds since 1970 by this machine's clock."""
    return time.time_ns() // 1000


def show_time(at: int | None) -> str | None:
    """`2026-11-23T19:34:29.000000Z`."""
    return None if at is None else _show(at)


def microseconds(moment: datetime) -> int:
    """A moment with a zone as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def read_zone(name: str) -> tzinfo | None:
    """The IANA time zone of that name, or None when there is none."""
    if len(name) > _MAX_ZONE or not name.isascii():
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # what ZoneInfo raises for odd names, unknown ones and folders
        return None


def day_of(at: int, zone: tzinfo) -> tuple[date, int, int]:
    """The day that a moment lies in: its date, its first microsecond and that of the next day."""
    day = (_EPOCH + at * _MICROSECOND).astimezone(zone).date()
    return day, start_of(day, zone), start_of(day + timedelta(days=1), zone)


def start_of(day: date, zone: tzinfo) -> int:
    """The first microsecond of a day."""
    return microseconds(datetime(day.year, day.month, day.day, tzinfo=zone))


def _show(at: int) -> str:
    seconds, rest = divmod(at, SECOND)
    t = time.gmtime(seconds)
    return (
        f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}"
        f"T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.{rest:06d}Z"
    )
