"""Writes the JSON Schemas of the events into docs/events, from their Structs. A test says when they are stale."""

import json
from pathlib import Path

from posthouse.mail.events import EmailSendEvent, EmailStatusEvent, schema

FOLDER = Path(__file__).parent.parent / "docs/events"


def written() -> dict[str, str]:
    """The text of each file, by its name."""
    return {
        f"{event.__name__}.json": json.dumps(schema(event), indent=2) + "\n"
        for event in (EmailSendEvent, EmailStatusEvent)
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in written().items():
        (FOLDER / name).write_text(text)
