"""The events' schemas are those in docs/events, and allow and refuse what the Structs do."""

import json
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from posthouse.mail.events import EmailSendEvent, EmailStatusEvent

ROOT = Path(__file__).parents[3]
SEND = {"eventId": "order-1", "recipient": "ann@example.org", "subject": "s", "text": "t"}
STATUS = {"eventId": "order-1", "status": "SENT", "attempt": 1, "occurredAt": "2026-11-23T20:00:00Z"}


def shown(name: str) -> Any:
    return json.loads((ROOT / "docs/events" / name).read_text())


def test_the_schemas_in_the_docs_are_those_of_the_structs() -> None:
    """Else: .venv/bin/python scripts/event_schemas.py"""
    written = runpy.run_path(str(ROOT / "scripts/event_schemas.py"))["written"]
    assert {name: (ROOT / "docs/events" / name).read_text() for name in written()} == written()


@pytest.mark.parametrize(
    "event",
    [
        SEND,
        {"eventId": "order-1"},
        {"eventIds": ["a", "b"]},
        {**SEND, "sender": None, "traceId": "theirs"},
        {**SEND, "attachments": [{"filename": "f", "contentType": "text/plain", "content": "QQ=="}]},
        {**SEND, "template": "welcome", "variables": {"n": 1, "list": [{}]}, "category": "c"},
    ],
)
def test_what_a_send_event_may_be(event: Any) -> None:
    jsonschema.validate(event, shown("EmailSendEvent.json"))
    read = msgspec.json.decode(json.dumps(event), type=EmailSendEvent)
    assert read.names == [event["eventId"]] if "eventId" in event else event["eventIds"]


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"eventId": ""},
        {"eventId": "a b"},
        {"eventId": "ä"},
        {"eventId": "x" * 256},
        {"eventIds": ["x"] * 101},
        {"recipient": "ann@example.org", "subject": "s"},
        {"eventId": "a", "recipient": "ann@example.org"},
        {**SEND, "attachments": [{"filename": "f"}]},
    ],
)
def test_what_a_send_event_may_not_be(event: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(event, shown("EmailSendEvent.json"))


def test_what_a_status_event_may_be() -> None:
    jsonschema.validate(STATUS, shown("EmailStatusEvent.json"))
    msgspec.json.decode(json.dumps(STATUS), type=EmailStatusEvent)
    for wrong in ({**STATUS, "status": "LOST"}, {**STATUS, "attempt": 0}, {"eventId": "order-1"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, shown("EmailStatusEvent.json"))
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps(wrong), type=EmailStatusEvent)
