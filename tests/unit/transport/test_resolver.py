"""A look-up that hangs holds up nobody but who waits for it: not another relay, not the loop's threads, not the end."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from posthouse.testing.sink import SmtpSink
from posthouse.testing.transport import Parcel
from posthouse.transport.smtp import SmtpTransport, Timeouts, open_smtp, read_options
from posthouse.transport.smtp.resolver import Resolver

SHORT = Timeouts(connect=0.2)
FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 25))]


class Dns:
    """Answers once `answers` is set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def look_up(self, host: str, port: int) -> list[tuple[object, ...]]:
        self.asked += 1
        assert self.answers.wait(30)
        return [*FOUND, *FOUND]


@pytest.fixture
def dns() -> Iterator[Dns]:
    made = Dns()
    yield made
    made.answers.set()


async def test_all_who_ask_share_one_look_up(dns: Dns) -> None:
    resolver = Resolver("relay.example", 25, dns.look_up)
    waiting = [asyncio.create_task(resolver.addresses()) for _ in range(20)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await resolver.addresses()
    assert dns.asked == 1
    dns.answers.set()
    assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * 20
    assert await resolver.addresses() == ["127.0.0.1"]
    assert dns.asked == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(dns: Dns, host: str) -> None:
    assert await Resolver(host, 25, dns.look_up).addresses() == [host]
    assert dns.asked == 0


async def test_a_name_that_is_not_there() -> None:
    def look_up(host: str, port: int) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    resolver = Resolver("relay.example", 25, look_up)
    for _ in range(2):
        with pytest.raises(socket.gaierror, match="not known"):
            await resolver.addresses()


async def test_mail_waits_no_longer_than_a_connection_may_take(dns: Dns) -> None:
    """Each try is the transport's failure, in its time, and all of them wait for the same look-up; a transport beside it
    sends meanwhile, and as soon as the name is found so does this one."""
    async with SmtpSink() as sink:
        url = f"smtp://relay.example:{sink.port}?tls=none"
        hung = SmtpTransport(read_options(url), "me.example", SHORT, look_up=dns.look_up)
        well = open_smtp(f"smtp://localhost:{sink.port}?tls=none", "me.example")
        for each in (hung, well):
            await each.start()
        parcels = [Parcel(f"m{number}") for number in range(3)]
        hung.send(parcels)
        for number, parcel in enumerate(parcels):
            (outcome,) = await parcel.outcomes()
            assert (outcome.result, outcome.scope) == ("deferred", "transport")
            assert "within 0.2 s (the name is looked up)" in outcome.text
            beside = Parcel(f"n{number}")
            well.send([beside])
            assert await beside.results() == ["accepted"]
        assert dns.asked == 1
        dns.answers.set()
        last = Parcel("last")
        hung.send([last])
        assert await last.results() == ["accepted"]
        for each in (hung, well):
            await each.stop()


HANGS = """
import asyncio, time, uvloop
from posthouse.transport.smtp.resolver import Resolver

async def main():
    try:
        async with asyncio.timeout(0.1):
            await Resolver("relay.example", 25, lambda host, port: time.sleep(60)).addresses()
    except TimeoutError:
        print("ended")

uvloop.run(main())
"""


def test_a_process_that_ends_does_not_wait_for_it() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")
