"""The producer library: what other services send mail with. It stands alone: of Posthouse it needs this folder, msgspec and
httpx2 (event clients also posthouse.proto, with the extras `grpc` and `rabbitmq`).

    async with Client("http://127.0.0.1:8025", key) as client:
        sent = await client.send(Mail(to="ann@example.org", subject="Horses", text="are changed here."))
        record = await client.wait(sent.id)

Rules: a call is repeated, under one Idempotency-Key, for as long as its patience lasts, so it is never doubled; an error
says whether anything may have happened.
"""

from posthouse.client.http import Client, SyncClient
from posthouse.client.mail import (
    Attachment,
    Error,
    Fault,
    HistoryEntry,
    Mail,
    Recipient,
    Record,
    Refused,
    Sent,
    StillOpen,
    Unreached,
)

__all__ = [
    "Attachment",
    "Client",
    "Error",
    "Fault",
    "HistoryEntry",
    "Mail",
    "Recipient",
    "Record",
    "Refused",
    "Sent",
    "StillOpen",
    "SyncClient",
    "Unreached",
]
