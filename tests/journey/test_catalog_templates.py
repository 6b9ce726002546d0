"""Templates of the catalog, end to end: pushed from a folder by the command line, then in the mail of campaigns and in
single mail, each from the version that was the newest when it was accepted.
"""

import json
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import msgspec

from posthouse.testing.sink import Mail, Rule, SmtpSink
from tests.journey.campaigns import Place, alone, rider, riders
from tests.journey.house import House, opened
from tests.journey.test_delivery import smtp
from tests.journey.test_postgres import call

MJML = """\
<mjml><mj-body><mj-section><mj-column>
<mj-text>Dear {{ userName }}, you ride {{ horse }} from {{ town }}{{ mood|default("") }}.</mj-text>
</mj-column></mj-section></mj-body></mjml>
"""
STYLED = "<style>b{color:red}</style><p>Dear {{ userName }}, your horse is <b>{{ horse }}</b>.</p>"


def written(folder: Path, id: str, **files: str) -> Path:
    """A template in the folder `templates`; names of files with an underscore for the point."""
    place = folder / "templates" / id
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name.replace("_", ".")).write_text(text)
    return folder / "templates"


def pushed(house: House, folder: Path) -> dict[str, tuple[str, int]]:
    """What `posthouse templates push` says of each: what it did, and the version."""
    done = call(house, "templates", "push", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return {each["id"]: (each["result"], each["version"]) for each in json.loads(done.stdout)["items"]}


def parts(mail: Mail) -> tuple[str, str, str]:
    """Subject, text and html as a mail program shows them, in one line each."""
    read = cast(EmailMessage, message_from_bytes(mail.data, policy=policy.default))
    bodies = [read.get_body([kind]) for kind in ("plain", "html")]
    texts = [read["Subject"], *(body.get_content() for body in bodies if body is not None)]
    subject, text, html = (" ".join(each.split()) for each in texts)
    return subject, text, html


def of(place: Place, email: str) -> tuple[str, str, str]:
    """The one mail that somebody got."""
    (mail,) = [mail for mail in place.sink.mails if mail.recipients == (email,)]
    return parts(mail)


async def uses(place: Place, id: str) -> list[dict[str, Any]]:
    answer = await place.api.client.get(f"/api/emails/templates/{id}/usage")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_what_was_pushed_is_in_the_mail_of_a_campaign(tmp_path: Path) -> None:
    """MJML, the defaults of the template beneath the campaign's variables beneath each rider's own; and the version that
    the campaign began with, though another one is pushed while it is sent."""
    folder = written(tmp_path, "news", subject_txt="News from {{ town }}", body_mjml=MJML)
    written(tmp_path, "news", defaults_json='{"town": "Ulm", "horse": "any horse"}')
    walks = msgspec.structs.replace(riders(1, start=90)[0], attributes={})
    moved = msgspec.structs.replace(riders(1, start=91)[0], attributes={"horse": "Arion", "town": "Metz"})
    slow = Rule(step="end", delay=0.02)
    people = [*riders(30), walks, moved]
    async with SmtpSink([slow]) as sink, alone(tmp_path, sink, people, connections=1) as place:
        assert pushed(place.api, folder) == {"news": ("new", 1)}
        assert pushed(place.api, folder) == {"news": ("unchanged", 1)}
        id = await place.begin(templateId="news", variables={"mood": " & sing"})
        await sink.received(1)
        written(tmp_path, "news", subject_txt="Old news")
        assert pushed(place.api, folder) == {"news": ("new", 2)}
        job = await place.over(id)
        assert (job["sentCount"], job["templateVersion"]) == (32, 1)
        subject, text, html = of(place, rider(7))
        assert subject == "News from Ulm"
        assert text == "Dear Rider 7, you ride Bayard-7 from Ulm & sing."
        assert "Dear Rider 7, you ride Bayard-7 from Ulm &amp; sing." in html
        assert "<table" in html and "mj-text" not in html
        assert of(place, rider(90))[1] == "Dear Rider 90, you ride any horse from Ulm & sing."
        assert of(place, rider(91))[:2] == (
            "News from Metz",
            "Dear Rider 91, you ride Arion from Metz & sing.",
        )
        assert {parts(mail)[0] for mail in sink.mails} == {"News from Ulm", "News from Metz"}
        again = await place.begin(templateId="news", roleFilter=["nobody"])
        await place.over(again)
        newest, first = await uses(place, "news")
        assert [newest["jobId"], first["jobId"]] == [again, id]
        assert [newest["templateVersion"], first["templateVersion"]] == [2, 1]
        assert (first["status"], first["totalCount"], first["sentCount"]) == ("COMPLETED", 32, 32)
        place.audit()


async def test_single_mail_is_of_the_catalog_wherever_that_is(tmp_path: Path) -> None:
    """Here it is beside the store. Styles are in place; what the folder of the server has goes first."""
    written(tmp_path, "own", subject_txt="From the catalog", body_txt="-")
    catalog = written(tmp_path, "letter", subject_txt="A letter", body_html=STYLED)
    folder = written(tmp_path / "server", "own", subject_txt="From the folder", body_txt="-")
    beside = f"sqlite:///{tmp_path}/catalog.db"
    async with (
        SmtpSink() as sink,
        opened(tmp_path, smtp(sink.port), catalog=beside, templates=str(folder)) as house,
    ):
        assert pushed(house, catalog).keys() == {"letter", "own"}
        variables = {"horse": "Arion & Bayard"}
        bare = {"subject": None, "body": None}
        id = await house.send("Ann <ann@example.org>", template="letter", variables=variables, **bare)
        record = await house.until(id, "sent", "failed")
        assert record["state"] == "sent", record["error"]
        subject, text, html = parts(sink.mails[0])
        assert (subject, text) == ("A letter", "Dear Ann, your horse is Arion & Bayard.")
        assert '<b style="color: red">Arion &amp; Bayard</b>' in html
        tested = call(house, "templates", "test", "letter", "--to", "bob@example.org", "--set", "horse=B")
        await house.until(json.loads(tested.stdout)["id"], "sent")
        assert "bob, your horse is B" in parts(sink.mails[1])[1]
        own = await house.send(template="own", **bare)
        assert (await house.until(own, "sent"))["subject"] == "From the folder"
