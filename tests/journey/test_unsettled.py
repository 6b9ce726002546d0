"""What is left for a person, as they go about it: mail whose outcome nobody knows is listed, counted and settled."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import House, opened
from tests.journey.test_delivery import smtp

LEFT = "/api/emails/unsettled"


async def posthouse(house: House, *words: str) -> Any:
    """What the command prints, on the store of the house's settings."""
    command = [sys.executable, "-m", "posthouse.cli", *words]
    process = await asyncio.create_subprocess_exec(
        *command, env=house.environ, cwd=house.folder, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return json.loads(out)


async def test_mail_of_unknown_outcome_is_settled_one_and_many(tmp_path: Path) -> None:
    """Three mails hang at the final dot and one is refused: one is known to have come, one is sent again, the rest at once."""
    rules = [
        Rule(step="end", drop="before", times=3),
        Rule(step="RCPT", match="nobody@*", reply="550 5.1.1 no such user"),
    ]
    async with SmtpSink(rules) as sink, opened(tmp_path, smtp(sink.port), on_unknown="hold") as house:
        ids = [await house.send(f"user{number}@{at}.example") for number, at in enumerate("xxy")]
        await house.until_all(ids, "unknown")
        failed = await house.send("nobody@x.example")
        await house.until(failed, "failed")

        page = (await house.client.get(LEFT, params={"state": "unknown", "limit": 2})).json()
        assert [item["id"] for item in page["items"]] == ids[:0:-1]
        more = {"state": "unknown", "cursor": page["pagination"]["nextCursor"]}
        assert [item["id"] for item in (await house.client.get(LEFT, params=more)).json()["items"]] == ids[:1]
        counts = await posthouse(house, "unsettled", "count")
        assert (counts["totalCount"], counts["messageCount"], counts["complete"]) == (4, 4, True)
        assert {(each["domain"], each["state"]): each["count"] for each in counts["items"]} == {
            ("x.example", "unknown"): 2,
            ("y.example", "unknown"): 1,
            ("x.example", "failed"): 1,
        }

        marked = (await house.client.post(f"/emails/{ids[0]}/mark-sent")).json()
        assert (marked["status"], marked["history"][-1]["event"]) == ("SENT", "mark_sent")
        assert (await house.client.post(f"/emails/{ids[0]}/mark-sent")).status_code == 409
        chosen = {"state": "unknown", "domain": "x.example"}
        told = (await house.client.post(f"{LEFT}/retry", params={**chosen, "dryRun": "true"})).json()
        assert told["totalCount"] == 1
        assert (await house.get(ids[1]))["state"] == "unknown"
        told = (await house.client.post(f"{LEFT}/retry", params=chosen)).json()
        assert told == {"totalCount": 1, "messageCount": 1}
        again = await house.until(ids[1], "sent")
        assert [each["text"] for each in again["history"] if each["event"] == "retry"] == [
            "by POSTHOUSE_API_KEY"
        ]

        told = await posthouse(house, "unsettled", "mark-sent")
        assert told == {"totalCount": 1, "messageCount": 1}
        assert (await house.get(ids[2]))["history"][-1]["text"].startswith("by ")
        left = await posthouse(house, "unsettled", "list")
        assert [item["id"] for item in left["items"]] == [failed]
        acts = (await house.client.get("/api/emails/trail")).json()["items"]
        assert [(act["act"], act["about"], act["detail"]["recipients"]) for act in acts] == [
            ("marked_sent", "mail:unknown", 1),
            ("retried", "mail:unknown", 1),
        ]
        assert len(sink.mails) == 1  # what was marked was not sent
