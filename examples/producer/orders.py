"""A small producer: reads orders as JSON lines from standard input and sends a confirmation of each by Posthouse.

    echo '{"id": "4711", "email": "ann@example.org", "total": "12.00"}' | python orders.py

Settings: POSTHOUSE_URL and POSTHOUSE_KEY. The order's id is the mail's key, so the same orders can be fed in again after a
crash: each is confirmed once. It ends with 1 where an order could not be confirmed.
"""

import asyncio
import os
import sys

import msgspec

from posthouse.client import Client, Error, Mail


class Order(msgspec.Struct):
    """A line of the input."""

    id: str
    email: str
    total: str


def confirmation(order: Order) -> Mail:
    """The mail that an order is confirmed by."""
    return Mail(
        to=order.email,
        subject=f"Your order {order.id}",
        text=f"Thank you. We have your order {order.id} over {order.total} €.",
        tags=["order"],
    )


async def confirm(client: Client, order: Order) -> bool:
    """Sends it and waits until it is on its way; whether it is."""
    try:
        sent = await client.send(confirmation(order), key=f"order-{order.id}")
        record = await client.wait(sent.id)
    except Error as error:
        print(f"{order.id}: {error}", file=sys.stderr)
        return False
    print(f"{order.id}: {record.status} {record.id}")
    return record.status == "SENT"


async def main() -> int:
    """All orders of the input, at the same time."""
    orders = [msgspec.json.decode(line, type=Order) for line in sys.stdin if line.strip()]
    async with Client(os.environ["POSTHOUSE_URL"], os.environ["POSTHOUSE_KEY"]) as client:
        confirmed = await asyncio.gather(*(confirm(client, order) for order in orders))
    return 0 if all(confirmed) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
