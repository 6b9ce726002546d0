"""The real outcome, told later by a provider that signs as Standard Webhooks says: it is in the record, kill -9 or not."""

import base64
import hmac
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, opened

SECRET = "whsec_" + base64.b64encode(b"a secret that is 24 long").decode()
NAME = "0100019aaaaa-bbbb-cccc"


async def tell(house: House, kind: str, key: str, **data: Any) -> httpx2.Response:
    """What a provider posts."""
    event = {
        "type": kind,
        "timestamp": "2026-11-23T12:00:00Z",
        "data": {"recipient": "ann@example.org"} | data,
    }
    body, at = json.dumps(event).encode(), str(int(time.time()))
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    signature = hmac.new(secret, f"{key}.{at}.".encode() + body, sha256).digest()
    headers = {
        "content-type": "application/json",
        "webhook-id": key,
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }
    return await house.client.post("/webhooks/generic", content=body, headers=headers)


async def test_a_bounce_after_sent_is_in_the_record_and_outlives_kill_9(tmp_path: Path) -> None:
    async with SmtpSink() as sink, opened(tmp_path, smtp(sink.port), webhook_secret=SECRET) as house:
        id = await house.send()
        sent = await house.until(id, "sent")
        answer = await tell(
            house, "bounced", "one", message_id=sent["message_id"], code=550, reason="no such user"
        )
        assert answer.status_code == 204
        await house.kill()
        await house.start()
        record = await house.get(id)
        assert (record["status"], record["state"], record["error"]) == ("FAILED", "bounced", "no such user")
        assert record["sent_at"] == sent["sent_at"]
        assert record["failed_at"] is not None
        assert (await tell(house, "bounced", "one", message_id=sent["message_id"])).status_code == 204
        assert await house.get(id) == record
        assert len(sink.mails) == 1


async def test_by_the_providers_own_name_before_and_after_the_settlement(tmp_path: Path) -> None:
    """The provider gives its name for the mail in its reply, and can speak of it before we have read that reply."""
    replies = [Rule(step="end", reply=f"250 Ok {NAME}", delay=1.0)]
    async with SmtpSink(replies) as sink, opened(tmp_path, smtp(sink.port), webhook_secret=SECRET) as house:
        id = await house.send()
        early = await tell(house, "delivered", "early", provider_message_id=NAME)
        assert early.status_code == 202
        record = await house.until(id, "delivered")
        assert record["delivered_at"] is not None
        late = await tell(house, "complained", "late", provider_message_id=NAME)
        assert late.status_code == 204
        assert (await house.get(id))["state"] == "complained"


async def test_without_the_secret_nobody_is_believed(tmp_path: Path) -> None:
    async with opened(tmp_path, "inbox:") as house:
        id = await house.send()
        before = await house.until(id, "sent")
        assert (await tell(house, "bounced", "one", id=id)).status_code == 401
        assert await house.get(id) == before


def smtp(port: int) -> str:
    return f"smtp://127.0.0.1:{port}?tls=none"
