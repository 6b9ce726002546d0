"""Mail made of a template: rendered by the worker at its first attempt, and the same mail in every later one."""

from pathlib import Path

from posthouse.testing.sink import Rule, SmtpSink
from tests.journey.house import opened


def write(folder: Path, **files: str) -> Path:
    place = folder / "templates" / "welcome"
    place.mkdir(parents=True, exist_ok=True)
    for part, text in files.items():
        (place / part.replace("_", ".")).write_text(text)
    return folder / "templates"


async def test_a_resend_is_the_same_mail_though_the_folder_changed(tmp_path: Path) -> None:
    templates = write(
        tmp_path, subject_txt="Welcome to {{ town }}", body_html="<p>Dear {{ userName }}, {{ town }}!</p>"
    )
    later = Rule(step="end", reply="451 4.3.0 later", times=1)
    async with SmtpSink([later]) as sink:
        transport = f"smtp://127.0.0.1:{sink.port}?tls=none"
        async with opened(tmp_path, transport, templates=str(templates), backoff="2s") as house:
            id = await house.send(
                "Ann <ann@example.org>",
                template="welcome",
                variables={"town": "Ulm"},
                body=None,
                subject=None,
            )
            first = await house.until(id, "deferred")
            assert (first["subject"], first["html"]) == ("Welcome to Ulm", "<p>Dear Ann, Ulm!</p>")
            write(tmp_path, subject_txt="Good bye", body_html="{{ nobody }}")
            done = await house.until(id, "sent")
        (mail,) = sink.mails
        assert done["attempts"] == 2
        assert (done["template"], done["variables"]) == ("welcome", {"town": "Ulm"})
        assert b"Subject: Welcome to Ulm\r\n" in mail.data
        assert b"<p>Dear Ann, Ulm!</p>" in mail.data
        assert b"Dear Ann, Ulm!\r\n" in mail.data


async def test_a_template_that_never_ends_fails_its_own_mail_only(tmp_path: Path) -> None:
    templates = write(tmp_path, subject_txt="S", body_txt="hello{% if n %}{{ 9 ** (9 ** n) }}{% endif %}")
    async with opened(tmp_path, templates=str(templates)) as house:
        ids = [
            await house.send(template="welcome", variables={"n": n}, body=None, subject=None)
            for n in (0, 9, 0)
        ]
        plain = await house.send()
        assert (await house.until(plain, "sent"))["attempts"] == 1
        fine, stopped, also = await house.until_all(ids, "sent", "failed", seconds=60)
        assert (fine["state"], stopped["state"], also["state"]) == ("sent", "failed", "sent")
        assert "the template takes more than" in stopped["error"]


async def test_what_is_wrong_with_a_template_is_in_the_record(tmp_path: Path) -> None:
    templates = write(tmp_path, subject_txt="S", body_txt="{{ town }}")
    async with opened(tmp_path, templates=str(templates)) as house:
        id = await house.send(template="welcome", body=None, subject=None)
        record = await house.until(id, "failed")
        assert record["error"] == "body.txt, line 1: the variable town is missing"
        assert record["attempts"] == 1
