"""What a provider tells of a mail after it took it: delivered, bounced, complained, or only that something happened.

One vocabulary for all providers (a provider's file translates); what it really said is kept beside, as `raw`.
"""

from typing import Literal, get_args

import msgspec

from posthouse.mail.lifecycle import Event

NoticeKind = Literal["delivered", "bounced", "complained", "deferred", "opened", "clicked"]

NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)

MOVES: dict[NoticeKind, Event] = {"delivered": "deliver", "bounced": "bounce", "complained": "complain"}
"""What a notice does to a recipient; the others are only remembered in the history."""


class Notice(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing told of one recipient. `provider` and `key` name it for ever: told again, it changes nothing.

    The mail is found by `id` (ours), else `message_id` (with or without angle brackets), else `provider_message_id`. `at` is the
    provider's time in microseconds. `permanent` is false where the address may still be good (a full mailbox).
    """

    provider: str
    key: str
    kind: NoticeKind
    recipient: str
    at: int
    id: str | None = None
    message_id: str | None = None
    provider_message_id: str | None = None
    code: int | None = None
    text: str = ""
    permanent: bool = True
    raw: bytes = b""
