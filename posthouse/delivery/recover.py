"""What becomes of mail whose worker died: from its journal at once, or when its lease has run out.

The journal says for each message it held: no begin → due again, nothing spent; a reply → that outcome; begin alone →
unknown. A lease that lapses without a usable journal is an outcome too: unknown, reason `worker lost`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from posthouse.delivery.journal import Abandoned, Begin, abandoned
from posthouse.mail.advance import Settlement
from posthouse.mail.message import Message, Recipient
from posthouse.mail.outcome import Outcome, not_begun, refused, unknown
from posthouse.mail.retry import Decision, Policy, decide
from posthouse.store.base import Store

WORKER_LOST = "worker lost"
LINK_LOST = "the worker died after the end of data, before the reply"


async def settle_journals(
    folder: Path,
    store: Store,
    policy: Policy,
    told: Callable[[Settlement, Message | None], None],
    over: Callable[[Path], bool] = lambda journal: True,
) -> int:
    """Settles from every usable journal of a dead worker; how many messages that freed. Raises StoreAway.

    One is removed when it is `over`: when nothing that its worker asked for can still be answered. A claim that was on its
    way gives the dead a lease after their death, of which the journal knows that nothing was begun."""
    count = 0
    for journal in abandoned(folder, store.identity):
        removable, is_over = False, over(journal.path)
        try:
            settlements = [
                _from_journal(message, journal, policy) for message in await store.held(journal.owner)
            ]
            for settlement, message in zip(settlements, await store.settle(settlements), strict=True):
                told(settlement, message)
            count += len(settlements)
            removable = is_over
        finally:
            journal.close(remove=removable)
    return count


async def take_over(store: Store, owner: str, limit: int, lease: float, policy: Policy) -> list[Settlement]:
    """What is to be settled of leases that have run out. Raises StoreAway.

    They are held under a name of their own, for which no journal speaks: if `owner` dies before they are settled they
    lapse again. Under its own name its journal, which knows nothing of them, would call them untouched, and what may
    have been sent would be sent again without a word."""
    lapsed = await store.lapsed(f"{owner}+takeover", limit, lease)
    return [worker_lost(message, policy) for message in lapsed]


def worker_lost(message: Message, policy: Policy) -> Settlement:
    """A lapsed lease that nobody can tell anything of."""
    outcomes = [unknown(WORKER_LOST)] * len(_sending(message))
    return _settlement(message, None, outcomes, policy)


def expired(message: Message) -> Settlement:
    """Its time was over before it could be sent (again)."""
    decisions = {
        recipient.email: Decision(event="fail", outcome=_too_late(recipient), tried=False)
        for recipient in _sending(message)
    }
    return Settlement(id=message.id, fence=message.fence, decisions=decisions)


def _too_late(recipient: Recipient) -> Outcome:
    last = f"; the last try: {recipient.error}" if recipient.error else " before its first try"
    return refused(f"expired{last}", "expired", recipient.code)


def _from_journal(message: Message, journal: Abandoned, policy: Policy) -> Settlement:
    begin, reply = journal.begun.get(message.id), journal.replies.get(message.id)
    if begin is None or begin.fence != message.fence:
        outcomes = [not_begun(WORKER_LOST)] * len(_sending(message))
        return _settlement(message, None, outcomes, policy)
    known = reply.outcomes if reply and reply.fence == message.fence else _without_reply(begin)
    outcomes = [known.get(recipient.email, not_begun(WORKER_LOST)) for recipient in _sending(message)]
    return _settlement(message, begin.transport, outcomes, policy)


def _without_reply(begin: Begin) -> dict[str, Outcome]:
    return {email: unknown(LINK_LOST) if fate is None else fate for email, fate in begin.replies.items()}


def _settlement(
    message: Message, transport: str | None, outcomes: Sequence[Outcome], policy: Policy
) -> Settlement:
    decisions = {
        recipient.email: decide(recipient, message.lane, outcome, policy)
        for recipient, outcome in zip(_sending(message), outcomes, strict=True)
    }
    return Settlement(id=message.id, fence=message.fence, transport=transport, decisions=decisions, lost=True)


def _sending(message: Message) -> list[Recipient]:
    return [recipient for recipient in message.recipients if recipient.state == "sending"]
