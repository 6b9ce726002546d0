"""Mail through real mail servers, Postfix and Exim, into a mailbox: what is read back there is what was handed in."""

import asyncio
import email
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from posthouse.testing.transport import Parcel
from posthouse.transport.smtp import open_smtp
from tests.journey.house import opened
from tests.services import Exim, Postfix

TEXT = "Horses are changed here.\n.\n..\nFrom here on äöü 🐎\n"


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_a_mail_is_read_back(tmp_path: Path, peer: Postfix, tls: str) -> None:
    people = [f"ann@{peer.domain}", f"bob@{peer.domain}"]
    async with opened(tmp_path, peer.transport(tls), {"SSL_CERT_FILE": str(peer.ca)}) as house:
        id = await house.send(people, subject="Für Ann 🐎", body=TEXT, bcc=f"eve@{peer.domain}")
        record = await house.until(id, "sent")
    found = peer.wait_for_mail(record["message_id"], recipients=3)
    assert set(found) == {*people, f"eve@{peer.domain}"}
    for mail in found.values():
        assert (mail["Subject"], mail["To"], mail["Bcc"]) == ("Für Ann 🐎", ", ".join(people), None)
        assert mail.get_content().replace("\r\n", "\n") == TEXT


async def test_each_recipient_has_its_own_outcome(tmp_path: Path, peer: Postfix) -> None:
    people = [f"{name}@{peer.domain}" for name in ("ann", "refused", "later")]
    async with opened(tmp_path, peer.transport(), attempts="1") as house:
        record = await house.until(await house.send(people), "sent")
    said = {each["email"]: (each["state"], each["code"]) for each in record["recipients"]}
    assert said == dict(
        zip(people, [("sent", 250), ("failed", 550), ("failed", said[people[2]][1])], strict=True)
    )
    assert said[people[2]][1] in (450, 451)


async def test_an_address_that_is_not_ascii(tmp_path: Path, peer: Postfix) -> None:
    """SMTPUTF8: the address stands raw in envelope and header, and only such mail asks for it."""
    written, kept = f"用户@{peer.domain}", f"ann@{peer.domain}"
    async with opened(tmp_path, peer.transport()) as house:
        # The plain one first: once asked for, Exim notes SMTPUTF8 for the rest of the connection.
        plain = await house.until(await house.send(kept, subject="Für dich"), "sent")
        utf8 = await house.until(await house.send(written, subject="Für dich"), "sent")
    assert utf8["to"] == [written]
    mail = peer.wait_for_mail(utf8["message_id"])[written]
    assert raw(mail, "To") == written
    assert mail["Subject"] == "Für dich"
    assert peer.wait_for_mail(plain["message_id"])[kept]["Subject"] == "Für dich"
    received = [mail["Received"], peer.wait_for_mail(plain["message_id"])[kept]["Received"]]
    assert ["UTF8" in line.upper() for line in received] == [True, False]


async def test_many_mails_over_few_pipelined_connections(peer: Postfix) -> None:
    """The next envelope goes out behind a final dot: none is lost, none is taken twice."""
    transport = open_smtp(peer.transport(connections=2), "me.example")
    await transport.start()
    parcels = [letter(peer, number) for number in range(60)]
    transport.send(parcels)
    assert [await parcel.results() for parcel in parcels] == [["accepted"]] * 60
    await transport.stop()
    for number in range(60):
        peer.wait_for_mail(f"<many-{number}@{peer.name}.example>")
        assert peer.copies(f"<many-{number}@{peer.name}.example>", f"ann@{peer.domain}") == 1


def letter(peer: Postfix, number: int) -> Parcel:
    head = f"From: a@{peer.domain}\r\nMessage-ID: <many-{number}@{peer.name}.example>\r\n\r\n"
    to = f"ann@{peer.domain}"
    return Parcel(str(number), to, sender=to, data=f"{head}{number}\r\n".encode())


SMUGGLED = [
    b"\n.\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\n\x00.\r\n",
    b"\r\r\n.\r\r\n",
]


@pytest.mark.parametrize("end", SMUGGLED)
async def test_no_line_end_smuggles_a_second_mail(peer: Postfix, end: bytes) -> None:
    """However the first mail's data would like to end, the server sees one mail, with all of its text."""
    name = f"smuggled-{SMUGGLED.index(end)}@{peer.name}.example"
    second = f"MAIL FROM:<eve@{peer.domain}>\r\nRCPT TO:<eve@{peer.domain}>\r\nDATA\r\n".encode()
    second += f"Message-ID: <evil-{name}>\r\n\r\nhello\r\n".encode()
    data = f"Message-ID: <{name}>\r\n\r\nbefore".encode() + end + second
    transport = open_smtp(peer.transport(connections=1), "me.example")
    await transport.start()
    to = f"ann@{peer.domain}"
    parcels = [Parcel("m", to, sender=to, data=data), letter(peer, 1000 + SMUGGLED.index(end))]
    transport.send(parcels)
    assert [await parcel.results() for parcel in parcels] == [["accepted"], ["accepted"]]
    await transport.stop()
    body = (await asyncio.to_thread(peer.wait_for_mail, f"<{name}>"))[to].get_payload()
    await asyncio.to_thread(peer.wait_for_mail, f"<many-{1000 + SMUGGLED.index(end)}@{peer.name}.example>")
    assert peer.mails(f"<evil-{name}>") == {}
    assert "MAIL FROM:<eve@" in body
    assert "hello" in body


def raw(mail: EmailMessage, header: str) -> str:
    """A header in UTF-8, which the parser of the standard library gives as escaped octets."""
    parsed = email.message_from_bytes(mail.as_bytes(), policy=policy.SMTPUTF8)
    return str(parsed[header]).encode("utf-8", "surrogateescape").decode()


async def test_exim_is_exim(exim: Exim, postfix: Postfix) -> None:
    """The two peers are two programs."""
    assert exim.log.read_text().count("exim") > 0
    assert exim.plain != postfix.plain
