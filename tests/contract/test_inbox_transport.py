"""The inbox passes the transport contract, and keeps the newest mails for whoever reads them from another process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.mail.errors import TransportAway
from posthouse.testing.transport import Parcel, TransportContract
from posthouse.transport.inbox import Inbox, captured, text_of


class Folder:
    """The far end: what lies in the inbox, oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def arrived(self) -> list[tuple[str, tuple[str, ...], bytes]]:
        return [(mail.sender, mail.recipients, mail.data) for mail in reversed(captured(self.path, 1000))]


@pytest.fixture
def far(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "inbox")


@pytest.fixture
async def transport(far: Folder) -> AsyncIterator[Inbox]:
    opened = Inbox(far.path)
    await opened.start()
    yield opened
    await opened.stop()


class TestInbox(TransportContract):
    remote = False


async def test_only_the_newest_are_kept(far: Folder) -> None:
    small = Inbox(far.path, kept=20)
    await small.start()
    small.send([Parcel(f"m{number}") for number in range(60)])
    kept = [recipients[0] for _, recipients, _ in far.arrived()]
    assert 20 <= len(kept) <= 21
    assert kept[-1] == "m59@example.com"


async def test_it_is_read_as_a_person_reads(transport: Inbox, far: Folder) -> None:
    data = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n"
    transport.send([Parcel("m", data=data)])
    (mail,) = captured(far.path, 10)
    assert text_of(mail) == ("Grüße", "hello\r\n")


async def test_a_folder_that_cannot_be_written_is_the_transports_failure(
    transport: Inbox, far: Folder
) -> None:
    far.path.rmdir()
    parcel = Parcel("m")
    transport.send([parcel])
    (outcome,) = await parcel.outcomes()
    assert (outcome.result, outcome.scope) == ("deferred", "transport")
    with pytest.raises(TransportAway):
        await transport.probe()
