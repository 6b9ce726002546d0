"""Store contract: what providers tell later reaches the record once, whenever it comes, and is kept."""

from typing import Any

import pytest

from posthouse.mail.message import Message
from posthouse.mail.notice import Notice, NoticeKind
from posthouse.mail.outcome import Outcome
from posthouse.store.base import Store
from posthouse.testing.store_mail import (
    ACCEPTED,
    DEFERRED,
    LONG,
    REFUSED,
    UNKNOWN,
    draft,
    microseconds,
    new_id,
    record,
    said,
    saved,
    settle,
)

NAMED = Outcome(
    result="accepted", code=250, text="Ok 0123456789abcdef", provider_message_id="0123456789abcdef"
)


def notice(message: Message | None, kind: NoticeKind = "delivered", **more: Any) -> Notice:
    """What a provider tells of the first recipient of a mail, by its id unless `more` says otherwise."""
    about: dict[str, Any] = {"recipient": "nobody@example.org"}
    if message is not None:
        about = {"id": message.id, "recipient": message.recipients[0].email}
    said: dict[str, Any] = {"provider": "generic", "key": new_id(), "at": microseconds()}
    return Notice(kind=kind, **(said | about | more))


async def sent(store: Store, outcome: Outcome = ACCEPTED) -> Message:
    """A mail whose attempt gave this outcome."""
    await saved(store)
    (claimed,) = await store.claim("worker", 1, LONG)
    return await settle(store, said(claimed, outcome))


class Hearing:
    """`hear` of a store."""

    @pytest.mark.parametrize(
        ("kind", "state", "status"),
        [
            ("delivered", "delivered", "SENT"),
            ("bounced", "bounced", "FAILED"),
            ("complained", "complained", "SENT"),
        ],
    )
    async def test_what_became_of_a_mail_is_in_its_record(
        self, store: Store, kind: NoticeKind, state: str, status: str
    ) -> None:
        before = await sent(store)
        assert await store.hear([notice(before, kind, code=550, text="as it was told")]) == ["applied"]
        after = await record(store, before.id)
        assert (after.state, after.status, after.due_at) == (state, status, None)
        assert after.sent_at == before.sent_at
        assert (after.delivered_at is not None) == (kind == "delivered")
        assert (after.failed_at is not None) == (kind == "bounced")
        assert after.history[-1].event == kind
        assert after.history[-1].text == "as it was told"
        assert after.version == before.version + 1

    async def test_told_again_it_changes_nothing(self, store: Store) -> None:
        message = await sent(store)
        told = notice(message, "bounced")
        assert await store.hear([told, told]) == ["applied", "repeated"]
        after = await record(store, message.id)
        assert await store.hear([told]) == ["repeated"]
        assert await record(store, message.id) == after

    async def test_the_same_name_from_another_provider_is_another_notice(self, store: Store) -> None:
        message = await sent(store)
        told = [notice(message, key="one", provider=provider) for provider in ("one", "two")]
        assert await store.hear(told) == ["applied", "applied"]

    async def test_a_late_bounce_beats_delivered_and_not_the_other_way(self, store: Store) -> None:
        message = await sent(store)
        for kind in ("bounced", "delivered"):
            await store.hear([notice(message, kind)])
            assert (await record(store, message.id)).state == "bounced"
        message = await sent(store)
        for kind in ("delivered", "bounced"):
            await store.hear([notice(message, kind)])
        assert (await record(store, message.id)).state == "bounced"

    @pytest.mark.parametrize("kind", ["deferred", "opened", "clicked"])
    async def test_what_moves_nothing_is_remembered(self, store: Store, kind: NoticeKind) -> None:
        message = await sent(store)
        assert await store.hear([notice(message, kind)]) == ["applied"]
        after = await record(store, message.id)
        assert after.recipients == message.recipients
        assert after.history[-1].event == kind

    async def test_before_the_settlement_it_holds_and_the_settlement_still_counts(self, store: Store) -> None:
        """The webhook beats the worker's own write."""
        await saved(store)
        (claimed,) = await store.claim("worker", 1, LONG)
        await store.hear([notice(claimed, "delivered")])
        assert (await record(store, claimed.id)).state == "delivered"
        settled = await settle(store, said(claimed, ACCEPTED))
        assert (settled.state, settled.attempts, settled.owner, settled.due_at) == (
            "delivered",
            1,
            None,
            None,
        )

    async def test_it_moves_an_unknown(self, store: Store) -> None:
        await saved(store, lane="bulk")
        (claimed,) = await store.claim("worker", 1, LONG)
        unknown = await settle(store, said(claimed, UNKNOWN))
        assert unknown.state == "unknown"
        await store.hear([notice(unknown, "delivered")])
        assert (await record(store, unknown.id)).state == "delivered"

    async def test_a_deferred_one_that_was_delivered_is_not_sent_again(self, store: Store) -> None:
        message = await sent(store, outcome=DEFERRED)
        await store.hear([notice(message, "delivered")])
        assert await store.claim("worker", 1, LONG) == []

    async def test_only_the_recipient_it_names_is_moved(self, store: Store) -> None:
        (message,) = await saved(store)
        (two,) = [each.message for each in await store.save([draft("Ann@example.org", "bob@example.org")])]
        await store.hear([notice(two, "bounced", recipient="ann@EXAMPLE.org")])
        after = await record(store, two.id)
        assert [recipient.state for recipient in after.recipients] == ["bounced", "pending"]
        assert after.due_at is not None
        assert await store.hear([notice(message, recipient="who@example.org")]) == ["unknown"]

    async def test_it_is_found_by_message_id(self, store: Store) -> None:
        message = await sent(store)
        for message_id in (message.message_id, message.message_id.strip("<>")):
            told = notice(message, id=None, message_id=message_id)
            assert await store.hear([told]) == ["applied"]
        assert await store.hear([notice(message, id=None, message_id="<other@x>")]) == ["unknown"]

    async def test_it_is_found_by_the_providers_own_name(self, store: Store) -> None:
        message = await sent(store, outcome=NAMED)
        assert message.provider_message_id == NAMED.provider_message_id
        told = notice(message, "bounced", id=None, provider_message_id=NAMED.provider_message_id)
        assert await store.hear([told]) == ["applied"]
        assert (await record(store, message.id)).state == "bounced"

    async def test_one_that_comes_before_its_name_is_known_waits_for_it(self, store: Store) -> None:
        await saved(store)
        (claimed,) = await store.claim("worker", 1, LONG)
        told = notice(claimed, "bounced", id=None, provider_message_id=NAMED.provider_message_id)
        assert await store.hear([told]) == ["unknown"]
        settled = await settle(store, said(claimed, NAMED))
        assert settled.id == claimed.id
        assert (await record(store, claimed.id)).state == "bounced"
        assert await store.hear([told]) == ["repeated"]

    async def test_one_about_no_mail_is_kept_and_known_again(self, store: Store) -> None:
        told = notice(None, id=new_id())
        assert await store.hear([told]) == ["unknown"]
        assert await store.hear([told]) == ["repeated"]

    async def test_the_counts_follow(self, store: Store) -> None:
        message = await sent(store)
        before = await store.overview()
        await store.hear([notice(message, "bounced")])
        after = await store.overview()
        assert after.states.get("bounced", 0) == before.states.get("bounced", 0) + 1
        assert after.states.get("sent", 0) == before.states.get("sent", 0) - 1

    async def test_what_failed_and_was_delivered_after_all(self, store: Store) -> None:
        message = await sent(store, outcome=REFUSED)
        await store.hear([notice(message, "delivered")])
        after = await record(store, message.id)
        assert (after.status, after.failed_at) == ("SENT", message.failed_at)

    async def test_one_closed_while_it_is_held_is_owed_to_nobody(self, store: Store) -> None:
        """Should its worker die, there is nothing left to take over."""
        (message,) = [
            each.message for each in await store.save([draft("ann@example.org", "bob@example.org")])
        ]
        (claimed,) = await store.claim("worker", 1, LONG)
        await store.hear(
            [notice(claimed, "delivered"), notice(claimed, "delivered", recipient="bob@example.org")]
        )
        after = await record(store, message.id)
        assert after.due_at is None
        assert await store.claim("worker", 1, LONG) == []
