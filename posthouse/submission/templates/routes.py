"""The table of the routes of templates."""

from posthouse.submission.endpoint import Route
from posthouse.submission.templates import kept, tried
from posthouse.submission.templates.request import (
    PreviewRequest,
    TemplateRequest,
    TestRequest,
    TrialRequest,
)
from posthouse.submission.templates.shelf import Shelf

ALL = "/api/emails/templates"
ONE = f"{ALL}/{{templateId}}"


def template_routes(shelf: Shelf) -> list[Route]:
    """All of them."""
    read = [
        ("GET", ALL, kept.list_templates(shelf), kept.LIST),
        ("GET", ONE, kept.show(shelf), kept.SHOW),
        ("GET", f"{ONE}/versions", kept.list_versions(shelf), kept.LIST_VERSIONS),
        ("GET", f"{ONE}/usage", kept.list_uses(shelf), kept.LIST_USES),
        ("DELETE", ONE, kept.archive(shelf), kept.ARCHIVE),
    ]
    written = [
        ("PUT", ONE, kept.push(shelf), kept.PUSH, TemplateRequest),
        ("POST", f"{ONE}/preview", tried.preview(shelf), tried.PREVIEW, PreviewRequest),
        ("POST", f"{ONE}/validate", tried.try_out(shelf), tried.TRY, TrialRequest),
        ("POST", f"{ONE}/test", tried.test(shelf), tried.TEST, TestRequest),
    ]
    return [
        *(Route(method=m, path=p, scope="bulk", handler=h, doc=d) for m, p, h, d in read),
        *(Route(method=m, path=p, scope="bulk", handler=h, doc=d, request=r) for m, p, h, d, r in written),
    ]
