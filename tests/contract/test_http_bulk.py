"""The routes of bulk sends over HTTP: what they take, what they refuse, what they show. Sending is in tests/journey."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from posthouse.mail.campaign import Campaign, Person
from posthouse.mail.contact import Entry, checked
from posthouse.mail.message import Content, Mailbox, Message, Recipient
from posthouse.mail.outcome import Outcome
from posthouse.mail.press import press
from posthouse.mail.template import Source
from posthouse.store.base import Draft
from posthouse.submission.auth import make_key
from tests.contract.asgi import BEARER, House, Reply, house

SEND = "/api/emails/send-bulk"
JOBS = "/api/emails/jobs"
COUNTS = ("pending", "sending", "deferred", "sent", "failed", "suppressed", "unknown", "canceled")
TOLD = Outcome(result="accepted", code=250, text="taken")


@asynccontextmanager
async def stocked(folder: Path, people: int = 3) -> AsyncIterator[House]:
    """A house with a template and contacts who are riders."""
    async with house(folder) as place:
        source = Source(subject="Hello {{ userName }}", text="You ride {{ horse }}.")
        await place.store.push_template("welcome", source, press(source), "Ann")
        entries = [
            checked(Entry(email=email(n), roles=("rider",), attributes={"horse": f"B{n}"}))
            for n in range(people)
        ]
        await place.store.write_contacts(entries)
        yield place


async def test_a_campaign_is_kept_and_shown(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        job = await shown(place, await begun(place, metadata={"a": 1}))
        assert (job["status"], job["progress"], job["totalCount"]) == ("QUEUED", 0, 0)
        assert (job["templateId"], job["templateVersion"], job["createdBy"]) == (
            "welcome",
            1,
            "POSTHOUSE_API_KEY",
        )
        assert (job["metadata"], job["queueJobId"], job["subject"]) == ({"a": 1}, None, None)
        await enlisted(place, job["id"])
        job = await shown(place, job["id"])
        assert (job["status"], job["totalCount"], job["pendingCount"]) == ("PROCESSING", 3, 3)
        acts = await place.store.acts(10, about=f"campaign:{job['id']}")
        assert [act.act for act in acts][-1] == "created"


async def test_a_template_is_pinned_when_the_campaign_is_made(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        id = await begun(place)
        source = Source(subject="Farewell", text="No more horses.")
        await place.store.push_template("welcome", source, press(source), "Ann")
        assert (await shown(place, id))["templateVersion"] == 1
        assert (await shown(place, await begun(place)))["templateVersion"] == 2


WRONG: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"/templateId", "/roleFilter"}),
    ({"templateId": "nobody", "roleFilter": "rider"}, {"/templateId"}),
    ({"templateId": "welcome", "roleFilter": []}, {"/roleFilter"}),
    ({"templateId": "welcome", "roleFilter": ["rider", ""]}, {"/roleFilter/1"}),
    (
        {"templateId": "welcome", "roleFilter": "rider", "recipients": [{"email": "a@b.example"}]},
        {"/recipients"},
    ),
    ({"templateId": "welcome", "recipients": []}, {"/recipients"}),
    (
        {
            "templateId": "welcome",
            "recipients": [{"email": "a@b.example"}, {"email": "nobody", "name": "A\nB"}],
        },
        {"/recipients/1/email", "/recipients/1/name"},
    ),
    (
        {"templateId": "welcome", "recipients": [{"email": "a@b.example", "variables": {"x": "\0"}}]},
        {"/recipients/0/variables/x"},
    ),
    (
        {
            "templateId": "welcome",
            "roleFilter": "rider",
            "subject": " ",
            "rate": "fast",
            "priority": 101,
            "from": "nobody",
            "variables": {"a": "\0"},
            "metadata": {"b": "x" * 20_000},
            "scheduledAt": "2031-01-01T00:00:00Z",
            "expiresAt": "2030-01-01T00:00:00Z",
            "colour": "red",
        },
        {"/subject", "/rate", "/priority", "/from", "/variables/a", "/metadata", "/expiresAt", "/colour"},
    ),
]


@pytest.mark.parametrize(("request_", "pointers"), WRONG)
async def test_every_wrong_field_is_named(
    tmp_path: Path, request_: dict[str, Any], pointers: set[str]
) -> None:
    async with stocked(tmp_path) as place:
        reply = await place.ask("POST", SEND, request_)
        assert (reply.status, set(reply.pointers)) == (400, pointers), reply.body
        assert (await place.ask("GET", JOBS)).json["items"] == []


async def test_a_template_without_a_subject_needs_one(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        source = Source(text="Horses.")
        await place.store.push_template("bare", source, press(source), "Ann")
        request = {"templateId": "bare", "roleFilter": "rider"}
        assert (await place.ask("POST", SEND, request)).pointers == ["/subject"]
        assert (await place.ask("POST", SEND, request | {"subject": "Now"})).status == 202


async def test_a_dry_run_counts_and_keeps_nothing(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        request = {"templateId": "welcome", "roleFilter": "*", "dryRun": True}
        reply = await place.ask("POST", SEND, request)
        assert (reply.status, reply.json) == (200, {"success": True, "dryRun": True, "totalCount": 3})
        named = [{"email": "ann@example.org"}, {"email": "Ann@example.org"}, {"email": "bob@example.org"}]
        reply = await place.ask("POST", SEND, {"templateId": "welcome", "recipients": named, "dryRun": True})
        assert reply.json["totalCount"] in (2, 3)
        assert (await place.ask("GET", JOBS)).json["items"] == []


async def test_the_list_goes_on_by_cursor(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        ids = [await begun(place) for _ in range(5)][::-1]
        first = (await place.ask("GET", f"{JOBS}?limit=3")).json
        assert [each["id"] for each in first["items"]] == ids[:3]
        assert first["pagination"] == {"limit": 3, "nextCursor": ids[2]}
        rest = (await place.ask("GET", f"{JOBS}?limit=3&cursor={ids[2]}")).json
        assert [each["id"] for each in rest["items"]] == ids[3:]
        assert rest["pagination"]["nextCursor"] is None
        for cursor in ("nobody", "%00"):
            assert (await place.ask("GET", f"{JOBS}?cursor={cursor}")).pointers == ["/cursor"]


async def test_recipients_are_listed_filtered_and_exported(tmp_path: Path) -> None:
    async with stocked(tmp_path, 4) as place:
        id = await begun(place)
        await enlisted(place, id)
        await settled(place, id, email(1), Outcome(result="refused", code=550, text="no such rider"))
        first = (await place.ask("GET", f"{JOBS}/{id}/recipients?limit=3")).json
        rest = (
            await place.ask("GET", f"{JOBS}/{id}/recipients?cursor={first['pagination']['nextCursor']}")
        ).json
        listed = {each["email"]: each["state"] for each in first["items"] + rest["items"]}
        assert listed == {email(n): "failed" if n == 1 else "pending" for n in range(4)}
        (failed,) = (await place.ask("GET", f"{JOBS}/{id}/recipients?status=failed")).json["items"]
        assert (failed["email"], failed["status"], failed["attempts"]) == (email(1), "FAILED", 1)
        assert (failed["code"], failed["category"]) == (550, "other")
        assert "no such rider" in failed["error"] and failed["sentAt"] is None
        wrong = await place.ask("GET", f"{JOBS}/{id}/recipients?status=lost&state=gone&recipient=nobody")
        assert set(wrong.pointers) == {"/status", "/state", "/recipient"}
        reply = await place.ask("GET", f"{JOBS}/{id}/recipients.csv?state=failed")
        lines = reply.body.decode().split("\r\n")
        assert lines[0] == "id,email,status,state,attempts,code,category,error,sentAt"
        assert lines[1].startswith(f"{failed['id']},{email(1)},FAILED,failed,1,550,other,") and lines[2:] == [
            ""
        ]


async def test_the_breakdown_names_domain_state_and_class(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        id = await begun(place)
        await enlisted(place, id)
        await settled(
            place, id, email(0), Outcome(result="refused", code=550, text="no such rider", category="address")
        )
        items = (await place.ask("GET", f"{JOBS}/{id}/breakdown")).json["items"]
        assert items == [
            {"domain": "example.org", "state": "pending", "category": "", "count": 2},
            {"domain": "example.org", "state": "failed", "category": "address", "count": 1},
        ]


async def test_acts_are_answered_with_the_campaign_and_repeated_without_harm(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        id = await begun(place)
        await enlisted(place, id)
        for act, status in (
            ("pause", "PAUSED"),
            ("pause", "PAUSED"),
            ("resume", "PROCESSING"),
            ("cancel", "CANCELED"),
        ):
            reply = await place.ask("POST", f"{JOBS}/{id}/{act}")
            assert (reply.status, reply.json["status"]) == (200, status)
        for act in ("pause", "resume", "retry-failed"):
            reply = await place.ask("POST", f"{JOBS}/{id}/{act}")
            assert (reply.status, reply.json["type"].endswith("campaign-state")) == (409, True)
        acts = [act.act for act in await place.store.acts(10, about=f"campaign:{id}")]
        assert acts == ["canceled", "resumed", "paused", "started", "created"]


async def test_what_failed_is_sent_again_exactly(tmp_path: Path) -> None:
    async with stocked(tmp_path, 4) as place:
        id = await begun(place)
        await enlisted(place, id)
        await settled(
            place, id, email(0), Outcome(result="refused", code=550, text="no such rider", category="address")
        )
        await settled(
            place, id, email(1), Outcome(result="refused", code=554, text="you are listed", category="policy")
        )
        for rest in (email(2), email(3)):
            await settled(place, id, rest, TOLD)
        again = f"{JOBS}/{id}/retry-failed"
        dry = (
            await place.ask("POST", f"{again}?dryRun=true&category=policy,address&domain=example.org")
        ).json
        assert (dry["dryRun"], dry["totalCount"]) == (True, 2)
        assert {each["category"]: each["count"] for each in dry["items"]} == {"address": 1, "policy": 1}
        assert (await place.ask("POST", f"{again}?domain=example.net")).status == 409
        wrong = await place.ask("POST", f"{again}?state=sent&category=weather")
        assert set(wrong.pointers) == {"/state", "/category"}
        job = (await place.ask("POST", f"{again}?category=policy")).json
        assert (job["status"], job["pendingCount"], job["failedCount"], job["sentCount"]) == (
            "PROCESSING",
            1,
            1,
            2,
        )
        retried = (await place.store.acts(1, about=f"campaign:{id}"))[0]
        assert (retried.act, retried.detail["categories"], retried.detail["count"]) == (
            "retried",
            ["policy"],
            1,
        )


async def test_the_stream_of_a_campaign_that_is_over_is_one_event(tmp_path: Path) -> None:
    async with stocked(tmp_path, 1) as place:
        id = await begun(place)
        await enlisted(place, id)
        await settled(place, id, email(0), TOLD)
        reply = await place.ask("GET", f"{JOBS}/{id}/events")
        assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")
        retry, event, end = reply.body.decode().split("\n\n")
        assert (retry, end) == ("retry: 2000", "")
        name, told, data = event.split("\n")
        assert name == "event: job"
        job = msgspec.json.decode(data.removeprefix("data: "))
        assert (job["status"], job["sentCount"]) == ("COMPLETED", 1) and job["completedAt"]
        seen = BEARER | {"last-event-id": told.removeprefix("id: ")}
        assert (await place.ask("GET", f"{JOBS}/{id}/events", headers=seen)).status == 204
        again = await place.ask("GET", f"{JOBS}/{id}/events", headers=BEARER | {"last-event-id": "another"})
        assert told in again.body.decode()


async def test_the_stream_tells_of_changes_until_nothing_is_open(tmp_path: Path) -> None:
    async with stocked(tmp_path, 1) as place:
        id = await begun(place)
        await enlisted(place, id)
        watching = [asyncio.create_task(place.ask("GET", f"{JOBS}/{id}/events")) for _ in range(3)]
        await settled(place, id, email(0), TOLD)
        for reply in await asyncio.wait_for(asyncio.gather(*watching), 30):
            events = [each.partition("data: ")[2] for each in reply.body.decode().split("\n\n")[1:-1]]
            told = [(job["status"], job["sentCount"]) for job in map(msgspec.json.decode, events)]
            assert told[-1] == ("COMPLETED", 1) and len(told) == len(set(told)) <= 3


async def test_an_idempotency_key_makes_a_campaign_once(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        request = {"templateId": "welcome", "recipients": [{"email": email(0)}]}
        asked = [
            place.ask("POST", SEND, request, headers=BEARER | {"idempotency-key": '"spring"'})
            for _ in range(4)
        ]
        replies = await asyncio.gather(*asked)
        (id,) = {reply.json["jobId"] for reply in replies}
        other = request | {"recipients": [{"email": email(1)}, {"email": email(2)}]}
        reply = await place.ask("POST", SEND, other, headers=BEARER | {"idempotency-key": "spring"})
        assert (reply.status, reply.json["type"].endswith("idempotency-key-reused")) == (422, True)
        assert (
            await place.ask("POST", SEND, request, headers=BEARER | {"idempotency-key": ""})
        ).status == 400
        await enlisted(place, id)
        assert (await place.ask("DELETE", "/api/emails/templates/welcome")).status == 204
        assert (await place.ask("POST", SEND, request)).pointers == ["/templateId"]
        assert (await place.ask("POST", SEND, request, headers=BEARER | {"idempotency-key": "spring"})).json[
            "jobId"
        ] == id
        assert (await shown(place, id))["totalCount"] == 1
        assert len((await place.ask("GET", JOBS)).json["items"]) == 1


async def test_who_did_what_with_a_campaign_is_listed(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        id = await begun(place)
        await enlisted(place, id)
        await place.ask("POST", f"{JOBS}/{id}/pause")
        first = (await place.ask("GET", f"{JOBS}/{id}/acts?limit=2")).json
        assert [(each["act"], each["by"]) for each in first["items"]] == [
            ("paused", "POSTHOUSE_API_KEY"),
            ("started", "worker"),
        ]
        cursor = first["pagination"]["nextCursor"]
        rest = (await place.ask("GET", f"{JOBS}/{id}/acts?limit=2&cursor={cursor}")).json
        assert [(each["act"], each["detail"]) for each in rest["items"]] == [
            ("created", {"template": "welcome", "version": 1})
        ]
        assert (await place.ask("GET", f"{JOBS}/{id}/acts?cursor=x")).pointers == ["/cursor"]


async def test_no_campaign_is_404_and_other_scopes_are_403(tmp_path: Path) -> None:
    async with stocked(tmp_path) as place:
        key, plain = make_key("reader", ("send", "logs"))
        await place.store.add_api_key(key)
        await place.keys.refresh()
        paths = ["", "/recipients", "/recipients.csv", "/breakdown", "/events", "/acts"]
        asked = [("GET", path) for path in paths]
        asked += [("POST", f"/{act}") for act in ("pause", "resume", "cancel", "retry-failed")]
        for method, path in asked:
            assert (await place.ask(method, f"{JOBS}/nobody{path}")).status == 404
            forbidden = await place.ask(method, f"{JOBS}/nobody{path}", headers={"x-api-key": plain})
            assert forbidden.status == 403


def email(number: int) -> str:
    return f"rider{number}@example.org"


async def begun(place: House, **more: Any) -> str:
    """A campaign to all the contacts there are."""
    named = [{"email": each.email, "variables": each.attributes} for each in await place.store.contacts(10)]
    reply = await place.ask("POST", SEND, {"templateId": "welcome", "recipients": named, **more})
    assert (reply.status, reply.json["success"]) == (202, True), reply.body
    return reply.json["jobId"]


async def shown(place: House, id: str) -> dict[str, Any]:
    """The campaign over HTTP, whose counts add up."""
    reply: Reply = await place.ask("GET", f"{JOBS}/{id}")
    assert reply.status == 200, reply.body
    assert reply.json["totalCount"] == sum(reply.json[f"{name}Count"] for name in COUNTS)
    return reply.json


async def enlisted(place: House, id: str) -> None:
    """What a worker does before it sends."""
    await place.store.act(id, "start", "worker")
    while await place.store.freeze_kept(id) == "more":
        pass

    def make(campaign: Campaign, person: Person) -> Draft:
        to = Mailbox(person.email, person.name)
        content = Content(sender=Mailbox("post@example.org"), to=(to,), template=campaign.template)
        new = f"{campaign.id[:-4]}{person.email[5]:0>4}"
        recipients = [Recipient(person.email)]
        message = Message(id=new, message_id=f"<{new}@x>", lane="bulk", campaign=id, recipients=recipients)
        return Draft(message, content, expire=3600)

    while await place.store.enlist(id, 100, make) == "more":
        pass


async def settled(place: House, id: str, address: str, outcome: Outcome) -> None:
    """A worker sent it, and this came of it."""
    (item,) = (await place.ask("GET", f"{JOBS}/{id}/recipients?recipient={address}")).json["items"]
    await place.settle(item["id"], outcome, "accept" if outcome.result == "accepted" else "fail")
