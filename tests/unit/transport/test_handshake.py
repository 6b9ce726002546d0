"""Bytes in, bytes out: the way from the greeting to a session, without a socket."""

from base64 import b64decode, b64encode

import pytest

from posthouse.transport.smtp.handshake import Handshake, Offer, Refused
from posthouse.transport.smtp.options import SmtpOptions
from posthouse.transport.smtp.replies import Broken

EHLO = b"EHLO me.example\r\n"
PLAIN = b"AUTH PLAIN " + b64encode(b"\0user\0pass") + b"\r\n"


def handshake(tls="none", login=False, encrypted=False, auth="password", password="pass") -> Handshake:
    user, secret = ("user", password) if login else (None, None)
    options = SmtpOptions(host="h", port=25, tls=tls, user=user, password=secret, auth=auth)
    return Handshake(options, "me.example", encrypted)


def play(machine: Handshake, dialogue: list[tuple[bytes, bytes]]) -> Handshake:
    for said, answered in dialogue:
        machine.receive(said)
        assert machine.take() == answered
    return machine


def test_greeting_and_ehlo():
    ehlo = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250 AUTH plain LOGIN\r\n"
    machine = play(handshake(), [(b"220-hello\r\n220 there\r\n", EHLO), (ehlo, b"")])
    assert machine.awaits == "nothing"
    auth = frozenset({"PLAIN", "LOGIN"})
    assert machine.offer == Offer(pipelining=True, eight_bit=True, size=1000, auth=auth)


@pytest.mark.parametrize(
    ("line", "size"), [(b"", None), (b"SIZE", 0), (b"SIZE 0", 0), (b"SIZE x", 0), (b"size 77", 77)]
)
def test_size(line, size):
    ehlo = b"250-sink\r\n250-" + line + b"\r\n250 HELP\r\n"
    assert play(handshake(), [(b"220 hi\r\n", EHLO), (ehlo, b"")]).offer.size == size


@pytest.mark.parametrize("code", [b"500", b"502", b"504"])
def test_helo_where_ehlo_is_not_known(code):
    dialogue = [(b"220 hi\r\n", EHLO), (code + b" what\r\n", b"HELO me.example\r\n"), (b"250 sink\r\n", b"")]
    machine = play(handshake("opportunistic"), dialogue)
    assert (machine.awaits, machine.offer) == ("nothing", Offer())


def test_starttls_forgets_what_was_said_before():
    machine = handshake("starttls", login=True)
    ehlo = b"250-sink\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
    play(machine, [(b"220 hi\r\n", EHLO), (ehlo, b"STARTTLS\r\n"), (b"220 go\r\n", b"")])
    assert machine.awaits == "tls"
    machine.secured()
    assert machine.take() == EHLO
    play(machine, [(b"250-sink\r\n250 AUTH PLAIN\r\n", PLAIN), (b"235 ok\r\n", b"")])
    assert (machine.awaits, machine.offer.pipelining) == ("nothing", False)


def test_opportunistic_goes_on_without_tls():
    machine = handshake("opportunistic")
    play(
        machine,
        [(b"220 hi\r\n", EHLO), (b"250-sink\r\n250 STARTTLS\r\n", b"STARTTLS\r\n"), (b"454 no\r\n", b"")],
    )
    assert machine.awaits == "nothing"


def test_login():
    machine = handshake(login=True)
    dialogue = [
        (b"220 hi\r\n", EHLO),
        (b"250-sink\r\n250 AUTH=LOGIN\r\n", b"AUTH LOGIN\r\n"),
        (b"334 VXNlcm5hbWU6\r\n", b64encode(b"user") + b"\r\n"),
        (b"334 UGFzc3dvcmQ6\r\n", b64encode(b"pass") + b"\r\n"),
        (b"235 2.7.0 ok\r\n", b""),
    ]
    assert play(machine, dialogue).awaits == "nothing"


XOAUTH2 = b64encode(b"user=user\1auth=Bearer pass\1\1")
OAUTHBEARER = b64encode(b"n,a=user,\1host=h\1port=25\1auth=Bearer pass\1\1")


@pytest.mark.parametrize(
    ("auth", "mechanism", "response"),
    [("xoauth2", b"XOAUTH2", XOAUTH2), ("oauthbearer", b"OAUTHBEARER", OAUTHBEARER)],
)
def test_login_by_token(auth, mechanism, response):
    ehlo = b"250-sink\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n"
    first = b"AUTH " + mechanism + b" " + response + b"\r\n"
    dialogue = [(b"220 hi\r\n", EHLO), (ehlo, first), (b"235 2.7.0 ok\r\n", b"")]
    assert play(handshake(login=True, auth=auth), dialogue).awaits == "nothing"


@pytest.mark.parametrize(
    ("auth", "enough"), [("xoauth2", b"\r\n"), ("oauthbearer", b64encode(b"\1") + b"\r\n")]
)
@pytest.mark.parametrize("verdict", [b"535 5.7.8 expired\r\n", b"235 strange\r\n"])
def test_a_token_that_is_not_taken_is_refused_in_two_steps(auth, enough, verdict):
    machine = handshake(login=True, auth=auth)
    machine.receive(b"220 hi\r\n")
    machine.take()
    machine.receive(b"250-sink\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n")
    machine.take()
    machine.receive(b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n")
    assert machine.take() == enough
    with pytest.raises(Refused) as caught:
        machine.receive(verdict)
    assert caught.value.code == int(verdict[:3])


@pytest.mark.parametrize("auth", ["password", "xoauth2", "oauthbearer"])
def test_a_response_that_is_too_long_for_its_command_goes_on_a_line_of_its_own(auth):
    machine = handshake(login=True, auth=auth, password="x" * 2000)
    play(machine, GREETED)
    machine.receive(b"250-sink\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n")
    mechanism = b"PLAIN" if auth == "password" else auth.upper().encode()
    assert machine.take() == b"AUTH " + mechanism + b"\r\n"
    machine.receive(b"334 \r\n")
    assert b"x" * 2000 in b64decode(machine.take())
    machine.receive(b"235 ok\r\n")
    assert machine.awaits == "nothing"


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (b"LIMITS RCPTMAX=10 MAILMAX=5 RCPTDOMAINMAX=1", (5, 10, 1)),
        (b"limits rcptmax=999999", (None, 999999, None)),
        (b"LIMITS RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=x NEWMAX=3 odd", (None, None, None)),
        (b"LIMITS RCPTMAX=1000000", (None, None, None)),
        (b"LIMITS", (None, None, None)),
    ],
)
def test_limits(said, limits):
    offer = play(handshake(), [*GREETED, (b"250-sink\r\n250 " + said + b"\r\n", b"")]).offer
    assert (offer.most_mails, offer.most_recipients, offer.most_domains) == limits


@pytest.mark.parametrize(
    ("said", "utf8"), [(b"8BITMIME\r\n250 SMTPUTF8", True), (b"HELP\r\n250 SMTPUTF8", False)]
)
def test_smtputf8_includes_8bitmime(said, utf8):
    assert play(handshake(), [*GREETED, (b"250-sink\r\n250-" + said + b"\r\n", b"")]).offer.utf8 is utf8


GREETED = [(b"220 hi\r\n", EHLO)]
OFFERED = [*GREETED, (b"250-sink\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n", PLAIN)]


@pytest.mark.parametrize(
    ("tls", "login", "dialogue", "last", "code"),
    [
        ("none", False, [], b"421 busy\r\n", 421),
        ("none", False, [], b"554 no\r\n", 554),
        ("none", False, [], b"250 odd\r\n", 250),
        ("none", False, GREETED, b"421 busy\r\n", 421),
        ("none", False, GREETED, b"550 no\r\n", 550),
        ("none", False, GREETED, b"450 no\r\n", 450),
        ("none", False, [*GREETED, (b"500 what\r\n", b"HELO me.example\r\n")], b"550 no\r\n", 550),
        ("starttls", False, GREETED, b"250 sink\r\n", None),
        ("starttls", False, [*GREETED, (b"250-s\r\n250 STARTTLS\r\n", b"STARTTLS\r\n")], b"454 no\r\n", 454),
        ("none", False, [*GREETED, (b"500 what\r\n", b"HELO me.example\r\n")], b"421 bye\r\n", 421),
        ("none", True, GREETED, b"250 sink\r\n", None),
        ("none", True, GREETED, b"250-sink\r\n250 AUTH CRAM-MD5\r\n", None),
        ("none", True, OFFERED, b"535 5.7.8 wrong\r\n", 535),
        ("none", True, OFFERED, b"421 bye\r\n", 421),
        ("none", True, OFFERED, b"334 go on\r\n", 334),
        ("starttls", False, [*GREETED, (b"250-s\r\n250 STARTTLS\r\n", b"STARTTLS\r\n")], b"421 bye\r\n", 421),
        (
            "opportunistic",
            False,
            [*GREETED, (b"250-s\r\n250 STARTTLS\r\n", b"STARTTLS\r\n")],
            b"421 x\r\n",
            421,
        ),
    ],
)
def test_refusals(tls, login, dialogue, last, code):
    machine = play(handshake(tls, login), dialogue)
    with pytest.raises(Refused) as caught:
        machine.receive(last)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "behind", [b"250 injected\r\n", b"250-half", b"x", b"220 go\r\n250-sink\r\n250 PIPELINING\r\n"]
)
def test_bytes_behind_the_reply_to_starttls_end_the_link(behind):
    machine = handshake("starttls")
    play(machine, [(b"220 hi\r\n", EHLO), (b"250-sink\r\n250 STARTTLS\r\n", b"STARTTLS\r\n")])
    with pytest.raises(Broken):
        machine.receive(b"220 go\r\n" + behind)


@pytest.mark.parametrize(
    "said", [b"220 hi\r\n220 again\r\n", b"220 hi\r\n250 early\r\n", b"220 hi\r\n25", b"garbage\r\n"]
)
def test_a_server_that_does_not_wait_its_turn(said):
    with pytest.raises(Broken):
        handshake().receive(said)


def test_no_login_before_tls():
    machine = play(handshake("starttls", login=True), GREETED)
    with pytest.raises(Refused):
        machine.receive(b"250-sink\r\n250 AUTH PLAIN\r\n")
    assert machine.take() == b""
