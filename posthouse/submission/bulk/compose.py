"""Makes a checked campaign of a request: the rules beyond types, all of them asked, so that every wrong field is named."""

from collections.abc import Callable

import msgspec

from posthouse.mail.campaign import Campaign, Person
from posthouse.rate import read_rate
from posthouse.store.catalog.templates import Head
from posthouse.submission.bulk.request import MAX_METADATA, MAX_ROLES, MAX_WORD, PRIORITIES, BulkRequest
from posthouse.submission.compose import Note, Rules, mailbox_of, sender_of, times_of
from posthouse.submission.templated import variable_faults


def compose(
    request: BulkRequest, pinned: Head | None, rules: Rules, new_id: Callable[[], str], now: int, note: Note
) -> tuple[Campaign, list[Person]]:
    """The campaign, and those who were named with it; what is wrong goes to `note` (then neither is to be used)."""
    if pinned is None:
        note("/templateId", "there is no template of this name")
    elif request.subject is None and pinned.subject is None:
        note("/subject", "this field is required: the template has no subject")
    late = "must be later than now and than scheduledAt"
    scheduled_at, expires_at = times_of(
        request.scheduled_at, request.expires_at, now, lambda: note("/expiresAt", late)
    )
    campaign = Campaign(
        id=new_id(),
        template=request.template_id,
        version=0 if pinned is None else pinned.version,
        subject=_subject(request, note),
        roles=_roles(request, note),
        sender=None if request.from_ is None else sender_of(request.from_, rules.domains, note),
        variables=_plain(request.variables, note),
        metadata=_metadata(request, note),
        priority=_priority(request, note),
        rate=_rate(request, note),
        scheduled_at=scheduled_at,
        expires_at=expires_at,
    )
    return campaign, _people(request, note)


def _subject(request: BulkRequest, note: Note) -> str | None:
    if request.subject is not None and not request.subject.strip():
        note("/subject", "must not be empty")
    return request.subject


def _roles(request: BulkRequest, note: Note) -> tuple[str, ...]:
    given = request.role_filter
    if (given is None) == (request.recipients is None):
        where = "/roleFilter" if given is None else "/recipients"
        note(where, "this field is required: one of roleFilter and recipients, not both")
    roles = [given] if isinstance(given, str) else given or []
    if given is not None and not 0 < len(roles) <= MAX_ROLES:
        note("/roleFilter", f"must name 1 to {MAX_ROLES} roles")
    for n, role in enumerate(roles):
        if not 0 < len(role) <= MAX_WORD or not role.isprintable():
            where = "/roleFilter" if isinstance(given, str) else f"/roleFilter/{n}"
            note(where, f"must have 1 to {MAX_WORD} characters, none of them control")
    return tuple(dict.fromkeys(roles))


def _people(request: BulkRequest, note: Note) -> list[Person]:
    people: dict[str, Person] = {}
    if request.recipients is not None and not request.recipients:
        note("/recipients", "must name at least one address")
    for n, each in enumerate(request.recipients or ()):
        box = mailbox_of(each.email, f"/recipients/{n}/email", note)
        for where, detail in variable_faults(each.variables or {}, "recipients", n):
            note(where, detail)
        name = each.name or box.name
        if not name.isprintable():
            note(f"/recipients/{n}/name", "control characters are not allowed")
        people.setdefault(box.email, Person(box.email, name, (), each.variables or {}))
    return list(people.values())


def _plain(variables: dict[str, object] | None, note: Note) -> dict[str, object]:
    for where, detail in variable_faults(variables or {}):
        note(where, detail)
    return variables or {}


def _metadata(request: BulkRequest, note: Note) -> dict[str, object]:
    metadata = request.metadata or {}
    for where, detail in variable_faults(metadata):
        note(where.replace("/variables", "/metadata", 1), detail)
    if len(msgspec.json.encode(metadata)) > MAX_METADATA:
        note("/metadata", f"must not exceed {MAX_METADATA} bytes as JSON")
    return metadata


def _priority(request: BulkRequest, note: Note) -> int:
    priority = request.priority or 0
    if not PRIORITIES[0] <= priority <= PRIORITIES[1]:
        note("/priority", f"must be from {PRIORITIES[0]} to {PRIORITIES[1]}")
    return priority


def _rate(request: BulkRequest, note: Note) -> tuple[int, int] | None:
    if request.rate is None:
        return None
    try:
        read = read_rate(request.rate)
    except ValueError:
        note("/rate", "must be a rate such as 100/s or 5000/hour")
        return None
    return read.quota, read.window
