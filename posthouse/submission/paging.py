"""The lists of the catalog, page by page: where a caller is in one, and where it goes on.

Rules (DESIGN §6): what places the caller is put right, but for a cursor, which is one of an earlier answer or refused. A list is
asked for one more than a page shows: whether it is there tells whether there is a next page.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import msgspec

from posthouse.mail.address import CONTROL
from posthouse.submission.bulk.views import PlaceView
from posthouse.submission.logs import BAD_CURSOR, LIMIT, MAX_FILTER, MAX_LIMIT, number
from posthouse.submission.problems import invalid
from posthouse.submission.reference.describe import Parameter

_NUMBER = re.compile("[0-9]{1,18}")

T = TypeVar("T")

LIST_LIMIT = Parameter("limit", Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)], f"Default {LIMIT}.")
CURSOR = Parameter("cursor", str, "The `nextCursor` of the page before.")


def read_place(arguments: Mapping[str, str]) -> tuple[int, str | None]:
    """Limit and cursor of a list; raises Problem."""
    cursor = arguments.get("cursor") or None
    if cursor is not None and (len(cursor) > MAX_FILTER or CONTROL.search(cursor)):
        raise invalid([BAD_CURSOR])
    return number(arguments.get("limit"), LIMIT, MAX_LIMIT), cursor


def read_numbered_place(arguments: Mapping[str, str]) -> tuple[int, int | None]:
    """The same of a list whose cursors are numbers."""
    limit, cursor = read_place(arguments)
    if cursor is not None and not _NUMBER.fullmatch(cursor):
        raise invalid([BAD_CURSOR])
    return limit, None if cursor is None else int(cursor)


def page_of(found: Sequence[T], limit: int, cursor: Callable[[T], object]) -> tuple[Sequence[T], PlaceView]:
    """What a page shows of one more than that, and where the list goes on: `cursor` tells the place of an item."""
    following = str(cursor(found[limit - 1])) if len(found) > limit else None
    return found[:limit], PlaceView(limit, following)
