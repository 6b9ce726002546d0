"""POSTHOUSE_ON_QUEUE_FAILURE=reject: a mail is accepted once the queue has heard of it, else it is FAILED.

Rules (DESIGN §3.1): the hint has HINT_SECONDS. Failing a mail begins with a claim of it, so a worker who was quicker
wins, and then the mail counts as accepted. The same key again makes the failed mail due again: no second record.
"""

from collections.abc import Awaitable, Callable, Sequence

from posthouse.mail.advance import Settlement
from posthouse.mail.message import Message
from posthouse.mail.outcome import refused
from posthouse.mail.retry import Decision
from posthouse.store.base import Key, Saved, Store
from posthouse.submission.accept import Accept, Submission, in_time
from posthouse.submission.hints import Hints
from posthouse.suppressed import SuppressionList

HINT_SECONDS = 0.1
LEASE_SECONDS = 5.0
REASON = "the queue did not take it"


class QueueRefused(Exception):
    """The mail `id` was stored, and is FAILED because the queue did not hear of it."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class AcceptQueued(Accept):
    """Accept, for which the queue has to answer, too. `owner` is its name in the leases that it fails mail under."""

    def __init__(
        self,
        store: Store,
        hints: Hints,
        *,
        new_id: Callable[[], str],
        hostname: str,
        expire: float,
        suppressed: SuppressionList | None = None,
        took: Callable[[Sequence[float]], None] = lambda seconds: None,
        owner: str,
    ) -> None:
        super().__init__(
            store,
            lambda messages: None,
            new_id=new_id,
            hostname=hostname,
            expire=expire,
            suppressed=suppressed,
            took=took,
        )
        self._hints, self._owner = hints, owner

    def __call__(self, submission: Submission, key: Key | None = None) -> Awaitable[Saved]:
        """As Accept; raises QueueRefused, too."""
        return self._queued(super().__call__(submission, key))

    async def _queued(self, saving: Awaitable[Saved]) -> Saved:
        saved = await saving
        message: Message | None = saved.message
        if saved.conflict or message.scheduled_at is not None or (saved.created and message.due_at is None):
            return saved
        if not saved.created:
            if not _was_refused(message):
                return saved
            message = await in_time(self._store.retry(message.id, self._expire)) or message
        if not await self._hints.heard(message, HINT_SECONDS) and await in_time(self._failed(message)):
            raise QueueRefused(message.id)
        return saved

    async def _failed(self, message: Message) -> bool:
        """Whether it is failed now; False when a worker has it."""
        leased = await self._store.claim(self._owner, 1, LEASE_SECONDS, ids=[message.id])
        return bool(leased) and (await self._store.settle([_failure(leased[0])])) != [None]


def _failure(message: Message) -> Settlement:
    decision = Decision(event="fail", outcome=refused(REASON), tried=False)
    decisions = {each.email: decision for each in message.recipients if each.state == "sending"}
    return Settlement(id=message.id, fence=message.fence, decisions=decisions)


def _was_refused(message: Message) -> bool:
    return all(each.state == "failed" and each.error == REASON for each in message.recipients)
