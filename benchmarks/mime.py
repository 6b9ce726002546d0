"""What it costs to write a mail: 4 KiB of HTML with 1 KiB of text, and the same with the text derived from the HTML.

`run()` gives microseconds a mail (medians of three) and how many times longer the standard library takes for the same.
"""

import statistics
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP

import msgspec

from posthouse.mail.message import Attachment, Content, Mailbox, Message, Recipient
from posthouse.mail.mime import check, write
from posthouse.mail.plain import text_of

ROUNDS = 3
MAILS = 2_000
_STYLE = (
    "margin:0 0 16px;font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:24px;color:#333333"
)
_PARAGRAPH = f'<p style="{_STYLE}">Your order has left our house today and should be with you in two to three days; if nobody is at home, a neighbour may take it in.</p>\n'
_ROW = '<tr><td style="padding:8px 0">A pair of walking boots, brown, size 43</td><td align="right">&pound;{price}.00</td></tr>\n'


def page(size: int) -> str:
    """An order confirmation of about `size` characters, as shops send it: styles inline, a table, a few links."""
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Your order</title>\n'
        "<style>body{margin:0;background:#f6f6f6}.button{color:#ffffff;padding:12px}</style></head>\n<body>\n"
        '<table width="100%" cellpadding="0" cellspacing="0" role="presentation"><tr><td align="center">\n'
        '<h1 style="font-size:24px">Thank you, Ann!</h1>\n'
        '<p>Follow it <a href="https://shop.example.org/orders/123456?key=abc&amp;lang=en">on this page</a>.</p>\n'
    )
    rows = "<table>\n" + "".join(_ROW.format(price=price) for price in range(40, 46)) + "</table>\n"
    tail = (
        '<p style="font-size:12px">Example Ltd, 1 Example Street<br>'
        '<a href="https://shop.example.org/unsubscribe/0123456789">Unsubscribe</a></p>\n'
        "</td></tr></table>\n</body></html>\n"
    )
    paragraphs = max(0, (size - len(head) - len(rows) - len(tail)) // len(_PARAGRAPH))
    return head + _PARAGRAPH * paragraphs + rows + tail


def mail() -> tuple[Message, Content]:
    """The record and the content that all are measured with."""
    message = Message(
        id="0199c7f2-1de4-7000-8000-3b9aca000001",
        message_id="<0199c7f2-1de4-7000-8000-3b9aca000001@mail.example.org>",
        created_at=1_760_000_000_000_000,
        recipients=[Recipient("ann@example.net")],
    )
    content = Content(
        sender=Mailbox("orders@shop.example.org", "The Shop"),
        to=(Mailbox("ann@example.net", "Ann Example"),),
        subject="Your order 123456 is on its way",
        html=page(4_200),
        text=("Your order has left our house today. You can follow it on our pages.\n" * 15)[:1024],
        headers={"List-Unsubscribe": "<https://shop.example.org/unsubscribe/0123456789>"},
    )
    return message, content


def run() -> dict[str, float]:
    """µs a mail for each case, and the ratio to the standard library's EmailMessage on the same input."""
    message, content = mail()
    bare = msgspec.structs.replace(content, text=None)
    large = msgspec.structs.replace(
        content, attachments=(Attachment("film.bin", bytes(range(250)) * 160_000),)
    )
    given = _median(lambda: write(message, content), MAILS)
    derived = _median(lambda: write(message, bare), MAILS)
    library = _median(lambda: _library(content), MAILS // 20)
    return {
        "mime_given_us": given,
        "mime_derived_us": derived,
        "mime_check_us": _median(lambda: check(content), MAILS),
        "text_of_us": _median(lambda: text_of(content.html or ""), MAILS),
        "mime_40mb_ms": _median(lambda: write(message, large), 1) / 1000,
        "emailmessage_us": library,
        "emailmessage_ratio": library / given,
    }


def _median(act: Callable[[], object], times: int) -> float:
    return round(statistics.median(_one(act, times) for _ in range(ROUNDS)), 1)


def _one(act: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - start) / times * 1e6


def _library(content: Content) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"{content.sender.name} <{content.sender.email}>"
    mail["To"] = f"{content.to[0].name} <{content.to[0].email}>"
    mail["Subject"] = content.subject
    mail.set_content(content.text or "")
    mail.add_alternative(content.html or "", subtype="html")
    return mail.as_bytes()


if __name__ == "__main__":
    figures = run()
    print(f"text given:    {figures['mime_given_us']:8.1f} µs a mail (floor 60)")
    print(f"text derived:  {figures['mime_derived_us']:8.1f} µs a mail (floor 120)")
    print(f"check:         {figures['mime_check_us']:8.1f} µs a mail")
    print(f"text from HTML:{figures['text_of_us']:8.1f} µs a page of 4 KiB")
    print(f"40 MB file:    {figures['mime_40mb_ms']:8.1f} ms a mail (floor 500)")
    print(
        f"EmailMessage:  {figures['emailmessage_us']:8.1f} µs a mail: {figures['emailmessage_ratio']:.0f} times ours"
    )
