"""Mail leaves through SES: an emulator takes it, says why it does not, and forgets nothing that it throttled."""

from pathlib import Path

from tests.aws import REGION, Answer, Ses, moto, verify
from tests.journey.house import opened


async def test_a_mail_leaves_through_an_emulator(tmp_path: Path) -> None:
    async with moto(tmp_path / "moto.log") as url:
        transport = f"ses://key:secret@{REGION}?endpoint={url}"
        async with opened(tmp_path, transport, **{"from": "post@house.example"}) as house:
            refused = await house.until(await house.send(), "failed")
            assert "MessageRejected" in refused["error"]
            assert refused["attempts"] == 1
            await verify(url, "house.example")
            sent = await house.until(await house.send("ann@example.org", bcc=["eve@example.org"]), "sent")
            assert [r["state"] for r in sent["recipients"]] == ["sent", "sent"]
            assert sent["history"][-1]["transport"] == f"ses://{REGION}"


async def test_what_is_throttled_waits_and_spends_nothing(tmp_path: Path) -> None:
    far = Ses()
    await far.start()
    far.answers += [Answer(429, "TooManyRequestsException", "Maximum sending rate exceeded.")] * 2
    try:
        async with opened(tmp_path, f"{far.url}&connections=2") as house:
            ids = await house.send_many(6)
            records = await house.until_all(ids, "sent", "failed", "unknown")
        assert {(each["state"], each["attempts"]) for each in records} == {("sent", 1)}
        assert len(far.mails) == 6
    finally:
        await far.stop()
