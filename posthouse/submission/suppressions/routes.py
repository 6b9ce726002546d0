"""The table of the routes of the suppression list, and of the trail."""

from collections.abc import Callable

from posthouse.store.catalog import Catalog
from posthouse.submission.endpoint import Route
from posthouse.submission.suppressions import kept
from posthouse.submission.suppressions.request import SuppressionsRequest
from posthouse.suppressed import SuppressionList

ALL = "/api/emails/suppressions"
FILE = f"{ALL}.csv"
TRAIL = "/api/emails/trail"


def suppression_routes(catalog: Catalog, suppressed: SuppressionList, now: Callable[[], int]) -> list[Route]:
    """All of them; `now` gives microseconds since 1970."""
    plain = [
        ("GET", ALL, kept.list_entries(catalog), kept.LIST),
        ("GET", FILE, kept.export(catalog), kept.EXPORT),
        ("DELETE", f"{ALL}/{{email}}", kept.remove(catalog), kept.REMOVE),
        ("GET", TRAIL, kept.list_acts(catalog), kept.TRAIL),
    ]
    return [
        *(Route(method=m, path=p, scope="bulk", handler=h, doc=d) for m, p, h, d in plain),
        Route(
            method="POST",
            path=ALL,
            scope="bulk",
            handler=kept.add(suppressed, now),
            doc=kept.ADD,
            request=SuppressionsRequest,
        ),
        Route(
            method="POST",
            path=FILE,
            scope="bulk",
            handler=kept.import_file(suppressed, now),
            doc=kept.IMPORT,
            upload=kept.FILE,
        ),
    ]
