"""A small producer of the event-driven deployment: reads orders as JSON lines from standard input, confirms each by mail.

    echo '{"id": "4711", "email": "ann@example.org", "total": "12.00"}' | python orders_by_event.py

Settings: POSTHOUSE_RECORDS (`grpc://host:50051?key=…`) and POSTHOUSE_QUEUE (`amqp://…`). The order's id names the mail, so the
same orders can be fed in again after a crash: each is confirmed once. It ends with 1 where an order could not be confirmed.
"""

import os
import sys

import msgspec

from posthouse.client import Error
from posthouse.client.events import EmailDocument
from posthouse.client.sync_events import SyncEventClient


class Order(msgspec.Struct):
    """A line of the input."""

    id: str
    email: str
    total: str


def confirmation(order: Order) -> EmailDocument:
    """The mail that an order is confirmed by."""
    return EmailDocument(
        event_id=f"order-{order.id}",
        recipient=order.email,
        subject=f"Your order {order.id}",
        text=f"Thank you. We have your order {order.id} over {order.total} €.",
        category="order",
    )


def confirm(client: SyncEventClient, order: Order) -> bool:
    """Waits until its mail is on its way; whether it is."""
    try:
        document = client.wait(f"order-{order.id}")
    except Error as error:
        print(f"{order.id}: {error}", file=sys.stderr)
        return False
    print(f"{order.id}: {document.status} {document.event_id}")
    return document.status == "SENT"


def main() -> int:
    """All orders of the input are handed in at the same time; then each is looked at."""
    orders = [msgspec.json.decode(line, type=Order) for line in sys.stdin if line.strip()]
    with SyncEventClient(os.environ["POSTHOUSE_RECORDS"], os.environ["POSTHOUSE_QUEUE"]) as client:
        handed_in = client.batch([confirmation(order) for order in orders])
        for order, answer in zip(orders, handed_in, strict=True):
            if isinstance(answer, Error):
                print(f"{order.id}: {answer}", file=sys.stderr)
        saved = [
            order for order, answer in zip(orders, handed_in, strict=True) if not isinstance(answer, Error)
        ]
        confirmed = [confirm(client, order) for order in saved]
    return 0 if len(saved) == len(orders) and all(confirmed) else 1


if __name__ == "__main__":
    sys.exit(main())
