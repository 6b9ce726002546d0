"""The doctor: looks at everything that a house of these settings needs, by really connecting. It sends no mail.

Rules: each line says what was found and, where it is not well, what to do. What does not answer is a line, never an
error; and no look takes longer than some seconds (a relay: the time of its handshake).
"""

from collections.abc import AsyncIterator

from posthouse.check import Check, examine_folder
from posthouse.config import BadSettings, Settings
from posthouse.doctor.house import examine_audience, examine_links, examine_record, examine_transport
from posthouse.doctor.machine import examine_address, examine_clock, examine_journals, examine_trust
from posthouse.roles.links import DEFAULT_PORT
from posthouse.roles.work import rules, transports
from posthouse.transport.base import Transport


async def examine(settings: Settings, warnings: list[str]) -> AsyncIterator[Check]:
    """All checks, in the order in which a mail would meet what they look at. `warnings` are those of the settings."""
    for check in [*_settings(settings, warnings), *examine_clock(), *examine_trust()]:
        yield check
    port = DEFAULT_PORT if settings.port is None else settings.port
    for check in [
        await examine_address(settings.host, port),
        *examine_folder("state", settings.state_dir),
        *examine_journals(settings.state_dir / "journals"),
    ]:
        yield check
    async for check in examine_record(settings):
        yield check
    for check in await examine_audience(settings):
        yield check
    for check in examine_links(settings):
        yield check
    for transport in _transports(settings):
        for check in await examine_transport(transport):
            yield check


def _transports(settings: Settings) -> list[Transport]:
    try:
        return transports(settings)
    except BadSettings:  # told of with the settings
        return []


def _settings(settings: Settings, warnings: list[str]) -> list[Check]:
    found = [Check("settings", "warn", warning, "mend the name, or remove it") for warning in warnings]
    try:
        rules(settings)
        transports(settings)
    except BadSettings as error:
        return [*found, *(Check("settings", "fail", problem, "mend it") for problem in error.problems)]
    if settings.hostname.endswith(".localhost") and not settings.transport.startswith("inbox:"):
        text = f"we call ourselves {settings.hostname}, which relays and readers distrust"
        found.append(
            Check("settings", "warn", text, "set POSTHOUSE_HOSTNAME to this machine's name in the DNS")
        )
    return found or [Check("settings", "ok", "all can be used; `posthouse config` shows them")]
