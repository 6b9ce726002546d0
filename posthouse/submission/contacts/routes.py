"""The table of the routes of contacts."""

from posthouse.store.catalog.contacts import Contacts
from posthouse.submission.contacts import imported, kept
from posthouse.submission.contacts.request import ContactFields, ContactsRequest
from posthouse.submission.endpoint import Route

ALL = "/api/emails/contacts"
ONE = f"{ALL}/{{email}}"


def contact_routes(contacts: Contacts) -> list[Route]:
    """All of them."""
    read = [
        ("GET", ALL, kept.list_contacts(contacts), kept.LIST),
        ("GET", f"{ALL}.csv", kept.export(contacts), kept.EXPORT),
        ("GET", f"{ALL}/roles", kept.list_roles(contacts), kept.LIST_ROLES),
        ("GET", ONE, kept.get_contact(contacts), kept.GET),
        ("DELETE", ONE, kept.remove_contact(contacts), kept.REMOVE),
    ]
    written = [
        ("POST", ALL, kept.write_many(contacts), kept.WRITE_MANY, ContactsRequest),
        ("PUT", ONE, kept.put_contact(contacts), kept.PUT, ContactFields),
    ]
    file = Route(
        method="POST",
        path=f"{ALL}/import",
        scope="bulk",
        handler=imported.import_contacts(contacts),
        doc=imported.IMPORT,
        upload=imported.FILE,
    )
    return [
        file,
        *(Route(method=m, path=p, scope="bulk", handler=h, doc=d) for m, p, h, d in read),
        *(Route(method=m, path=p, scope="bulk", handler=h, doc=d, request=r) for m, p, h, d, r in written),
    ]
