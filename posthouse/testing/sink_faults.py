"""The faults that the SMTP sink can act out, in the order of a session: the table in docs/smtp.md, as data.

`python -m posthouse.testing.sink --fault NAME` acts one out for any client. A fault is a mail to `to` over a link that
is opened by `query` and `login` (the parts of an smtp:// URL), to a sink with these rules and offers.
"""

from posthouse.testing.fault import Fault, Verdict
from posthouse.testing.sink import Offers, Rule, Step


def _reply(step: Step, reply: str) -> Rule:
    return Rule(step=step, reply=reply)


def _silent(step: Step) -> Rule:
    return Rule(step=step, delay=3600.0)


SENT: tuple[Verdict, ...] = ("sent",)
FAILED: tuple[Verdict, ...] = ("failed",)
AGAIN: tuple[Verdict, ...] = ("again",)
AWAY: tuple[Verdict, ...] = ("away",)
GIVEN_BACK: tuple[Verdict, ...] = ("given back",)
UNKNOWN: tuple[Verdict, ...] = ("unknown",)

_CLOSING = "421 4.3.2 closing"
_LINES = "\n".join(["250-x"] * 2000 + ["250 x"])
_MEGABYTE = "x" * 1_000_000
_TLS = Offers(tls="starttls")
_USERS = Offers(users={"ann": "right"})
_TOKEN = Offers(users={"ann": "right"}, mechanisms=("XOAUTH2", "OAUTHBEARER"))
_THREE = ("a@one.example", "b@one.example", "c@two.example")
_UTF8 = "ä@one.example"

CONNECTION: tuple[Fault, ...] = (
    Fault("drop-at-connect", "hangs up instead of a greeting", AWAY, (Rule(step="connect", drop="before"),)),
    Fault("silent-greeting", "never greets", AWAY, (_silent("connect"),)),
    Fault("421-greeting", "greets by 421", AWAY, (_reply("connect", _CLOSING),)),
    Fault("554-greeting", "greets by 554", AWAY, (_reply("connect", "554 no"),)),
    Fault("not-smtp", "speaks HTTP", AWAY, (_reply("connect", "HTTP/1.1 400 Bad Request"),)),
    Fault(
        "early-ehlo", "answers EHLO before it is asked", AWAY, (Rule(step="connect", raw=b"250 sink\r\n"),)
    ),
    Fault("drop-at-ehlo", "hangs up at EHLO", AWAY, (Rule(step="EHLO", drop="before"),)),
    Fault("silent-ehlo", "never answers EHLO", AWAY, (_silent("EHLO"),)),
    Fault("421-at-ehlo", "421 to EHLO", AWAY, (_reply("EHLO", _CLOSING),)),
    Fault("550-at-ehlo", "550 to EHLO", AWAY, (_reply("EHLO", "550 not you"),)),
    Fault("endless-ehlo", "answers EHLO by 2,000 lines", AWAY, (_reply("EHLO", _LINES),)),
    Fault("no-ehlo", "knows HELO only", SENT, offers=Offers(ehlo=False)),
    Fault("no-pipelining", "offers no PIPELINING", SENT, offers=Offers(pipelining=False)),
    Fault(
        "early-without-pipelining",
        "answers MAIL and RCPT at once, without PIPELINING",
        AGAIN,
        (Rule(step="MAIL", raw=b"250 2.1.5 ok\r\n"),),
        offers=Offers(pipelining=False),
    ),
    Fault("bare-lf", "ends its replies by a bare LF", SENT, offers=Offers(line_end="\n")),
    Fault("crumbs", "writes its replies byte by byte", SENT, offers=Offers(crumbs=True)),
    Fault(
        "drip",
        "writes its greeting byte by byte, and so slowly that it is not there in time",
        AWAY,
        offers=Offers(crumbs=True, pause=0.1),
        lasts=True,
    ),
    Fault("long-greeting", "greets by a line of 1 MB", AWAY, (_reply("connect", f"220 {_MEGABYTE}"),)),
    Fault("long-ehlo", "answers EHLO by a line of 1 MB", AWAY, (_reply("EHLO", f"250 {_MEGABYTE}"),)),
)

LOGIN: tuple[Fault, ...] = (
    Fault("no-starttls", "offers no STARTTLS, where tls=starttls", AWAY, query="tls=starttls", lasts=True),
    Fault(
        "454-at-starttls",
        "454 to STARTTLS",
        AWAY,
        (_reply("STARTTLS", "454 4.7.0 not now"),),
        offers=_TLS,
        query="tls=starttls",
    ),
    Fault(
        "421-at-starttls",
        "421 to STARTTLS",
        AWAY,
        (_reply("STARTTLS", _CLOSING),),
        offers=_TLS,
        query="tls=starttls",
    ),
    Fault(
        "injected-at-starttls",
        "sends plain text behind its 220 to STARTTLS",
        AWAY,
        (Rule(step="STARTTLS", reply="", raw=b"220 go\r\n250 sink\r\n"),),
        offers=_TLS,
        query="tls=starttls",
    ),
    Fault(
        "drop-in-tls",
        "hangs up in the TLS handshake",
        AWAY,
        (Rule(step="STARTTLS", reply="", raw=b"220 go\r\n", drop="after"),),
        offers=_TLS,
        query="tls=starttls",
    ),
    Fault(
        "unknown-authority",
        "has a certificate of an unknown authority",
        AWAY,
        offers=_TLS,
        query="tls=starttls",
        trusted=False,
        lasts=True,
    ),
    Fault("wrong-password", "535 to AUTH", AWAY, offers=_USERS, login="ann:wrong@", lasts=True),
    Fault("421-at-auth", "421 to AUTH", AWAY, (_reply("AUTH", _CLOSING),), offers=_USERS, login="ann:right@"),
    Fault(
        "454-at-auth",
        "454 to AUTH",
        AWAY,
        (_reply("AUTH", "454 4.7.0 not now"),),
        offers=_USERS,
        login="ann:right@",
    ),
    Fault(
        "no-mechanism",
        "offers no AUTH that we speak",
        AWAY,
        offers=Offers(users={"ann": "right"}, mechanisms=("CRAM-MD5",)),
        login="ann:right@",
        lasts=True,
    ),
    Fault(
        "old-xoauth2-token",
        "does not take the access token (XOAUTH2)",
        AWAY,
        offers=_TOKEN,
        login="ann:old@",
        query="tls=none&auth=xoauth2",
        lasts=True,
    ),
    Fault(
        "old-oauthbearer-token",
        "does not take the access token (OAUTHBEARER)",
        AWAY,
        offers=_TOKEN,
        login="ann:old@",
        query="tls=none&auth=oauthbearer",
        lasts=True,
    ),
    Fault("login-wanted", "530 to MAIL, where the URL names no user", AWAY, offers=_USERS, lasts=True),
)

ENVELOPE: tuple[Fault, ...] = (
    Fault("drop-at-mail", "hangs up at MAIL", GIVEN_BACK, (Rule(step="MAIL", drop="before"),)),
    Fault("silent-mail", "never answers MAIL", GIVEN_BACK, (_silent("MAIL"),)),
    Fault("421-at-mail", "421 to MAIL", AWAY, (_reply("MAIL", _CLOSING),)),
    Fault("451-at-mail", "451 to MAIL", AGAIN, (_reply("MAIL", "451 4.3.0 later"),)),
    Fault("550-at-mail", "550 to MAIL", FAILED, (_reply("MAIL", "550 5.7.1 not from you"),)),
    Fault("twice-at-mail", "answers MAIL twice", AGAIN, (Rule(step="MAIL", raw=b"250 2.1.0 again\r\n"),)),
    Fault(
        "no-reply-to-mail",
        "leaves out its reply to MAIL, so that every other one comes a step early",
        AWAY,
        (_reply("MAIL", ""),),
    ),
    Fault(
        "503-at-rcpt",
        "503 to RCPT behind a MAIL that it took",
        AGAIN,
        (_reply("RCPT", "503 5.5.1 MAIL first"),),
    ),
    Fault("354-at-mail", "354 to MAIL", AGAIN, (_reply("MAIL", "354 go"),)),
    Fault("drop-at-rcpt", "hangs up at RCPT", AGAIN, (Rule(step="RCPT", drop="before"),)),
    Fault("silent-rcpt", "never answers RCPT", AGAIN, (_silent("RCPT"),)),
    Fault("long-rcpt", "answers RCPT by a line of 1 MB", AGAIN, (_reply("RCPT", f"250 {_MEGABYTE}"),)),
    Fault("421-at-rcpt", "421 to RCPT", AGAIN, (_reply("RCPT", _CLOSING),)),
    Fault(
        "421-at-second-rcpt",
        "550 to the first RCPT, 421 to the second",
        ("failed", "again", "again"),
        (
            Rule(step="RCPT", match="a@*", reply="550 5.1.1 no"),
            Rule(step="RCPT", match="b@*", reply=_CLOSING),
        ),
        to=_THREE,
    ),
    Fault("greylisting", "450 4.7.1 to RCPT", ("greylisted",), (_reply("RCPT", "450 4.7.1 greylisted"),)),
    Fault("451-at-rcpt", "451 to RCPT", AGAIN, (_reply("RCPT", "451 4.3.0 later"),)),
    Fault(
        "550-at-rcpt",
        "550 to one of three RCPT",
        ("sent", "failed", "sent"),
        (Rule(step="RCPT", match="b@*", reply="550 5.1.1 no such user"),),
        to=_THREE,
    ),
    Fault(
        "no-enhanced-code",
        "550 to RCPT without an enhanced code, in two lines",
        FAILED,
        (_reply("RCPT", "550-no such\n550 user"),),
    ),
    Fault(
        "other-enhanced-code",
        "450 to RCPT with an enhanced code of another class",
        AGAIN,
        (_reply("RCPT", "450 5.1.1 busy"),),
    ),
    Fault(
        "552-too-many",
        "552 to the third RCPT, which means too many",
        ("sent", "sent", "again"),
        (Rule(step="RCPT", match="c@*", reply="552 too many recipients"),),
        to=_THREE,
    ),
    Fault(
        "changing-code",
        "a reply to RCPT whose lines differ in their code",
        AGAIN,
        (_reply("RCPT", "250-ok\n550 no"),),
    ),
)

BODY: tuple[Fault, ...] = (
    Fault("drop-at-data", "hangs up at DATA", AGAIN, (Rule(step="DATA", drop="before"),)),
    Fault("silent-data", "never answers DATA", AGAIN, (_silent("DATA"),)),
    Fault("421-at-data", "421 to DATA", AGAIN, (_reply("DATA", _CLOSING),)),
    Fault("451-at-data", "451 to DATA", AGAIN, (_reply("DATA", "451 4.3.0 later"),)),
    Fault("554-at-data", "554 to DATA", FAILED, (_reply("DATA", "554 5.7.1 no"),)),
    Fault("250-at-data", "250 to DATA", AGAIN, (_reply("DATA", "250 odd"),)),
    Fault(
        "354-for-nobody",
        "550 to every RCPT, then 354 to DATA",
        FAILED,
        (_reply("RCPT", "550 5.1.1 no"), _reply("DATA", "354 go")),
    ),
    Fault(
        "early-acceptance",
        "accepts behind its 354, before the mail was there",
        AGAIN,
        (Rule(step="DATA", raw=b"250 2.0.0 taken\r\n"),),
    ),
    Fault(
        "drop-in-small-body",
        "hangs up in a mail that went out in one write with its dot",
        UNKNOWN,
        (Rule(step="body", drop="before"),),
    ),
    Fault(
        "drop-in-large-body",
        "hangs up in a mail of 38 MB",
        AGAIN,
        (Rule(step="body", drop="before"),),
        repeat=2_000_000,
    ),
    Fault(
        "tls-cut-in-large-body",
        "cuts the link, under TLS, in a mail of 38 MB",
        AGAIN,
        (Rule(step="body", drop="before"),),
        offers=_TLS,
        query="tls=starttls",
        repeat=2_000_000,
    ),
    Fault(
        "tls-cut-at-dot",
        "cuts the link, under TLS, at the final dot",
        UNKNOWN,
        (Rule(step="end", drop="before"),),
        offers=_TLS,
        query="tls=starttls",
    ),
    Fault("drop-at-dot", "hangs up at the final dot", UNKNOWN, (Rule(step="end", drop="before"),)),
    Fault("silent-dot", "never answers the final dot", UNKNOWN, (_silent("end"),)),
    Fault("421-at-dot", "421 to the final dot", AGAIN, (_reply("end", _CLOSING),)),
    Fault("452-at-dot", "452 to the final dot", AGAIN, (_reply("end", "452 4.3.1 no room"),)),
    Fault("554-at-dot", "554 to the final dot", FAILED, (_reply("end", "554 5.6.0 bad content"),)),
    Fault("354-at-dot", "354 to the final dot", UNKNOWN, (_reply("end", "354 what?"),)),
    Fault(
        "garbage-at-dot", "answers the final dot by what is no reply", UNKNOWN, (_reply("end", "thank you"),)
    ),
    Fault(
        "long-line-at-dot",
        "answers the final dot by a line of 20 kB",
        UNKNOWN,
        (_reply("end", "250 " + "x" * 20_000),),
    ),
    Fault(
        "long-at-dot",
        "answers the final dot by a line of 1 MB",
        UNKNOWN,
        (_reply("end", f"250 {_MEGABYTE}"),),
    ),
    Fault("endless-at-dot", "answers the final dot by 2,000 lines", UNKNOWN, (_reply("end", _LINES),)),
    Fault("drop-after-dot", "accepts and hangs up", SENT, (Rule(step="end", drop="after"),)),
    Fault(
        "twice-at-dot", "answers the final dot twice", SENT, (Rule(step="end", raw=b"250 2.0.0 again\r\n"),)
    ),
    Fault(
        "421-between-mails",
        "accepts and then says 421",
        SENT,
        (Rule(step="end", raw=b"421 4.3.2 closing\r\n"),),
    ),
)

LIMITS: tuple[Fault, ...] = (
    Fault("size", "takes mail of 20 bytes at most", FAILED, offers=Offers(size=20), lasts=True),
    Fault(
        "no-8bitmime",
        "offers no 8BITMIME, and the body is 8-bit",
        FAILED,
        offers=Offers(eight_bit=False),
        text=b"\xc3\xa4\r\n",
    ),
    Fault(
        "no-smtputf8",
        "offers no SMTPUTF8, and one of two addresses needs it",
        ("failed", "sent"),
        to=(_UTF8, "bob@one.example"),
        offers=Offers(utf8=False),
    ),
    Fault(
        "no-smtputf8-for-header",
        "offers no SMTPUTF8, and an address in the header needs it",
        FAILED,
        head=f"Cc: {_UTF8}\r\n".encode(),
        offers=Offers(utf8=False),
    ),
    Fault(
        "rcptmax",
        "takes two recipients at a time (LIMITS RCPTMAX=2)",
        ("sent", "sent", "given back"),
        to=_THREE,
        offers=Offers(limits={"RCPTMAX": 2}),
    ),
    Fault(
        "rcptdomainmax",
        "takes recipients of one domain in a session (LIMITS RCPTDOMAINMAX=1)",
        ("sent", "sent", "given back"),
        to=_THREE,
        offers=Offers(limits={"RCPTDOMAINMAX": 1}),
    ),
    Fault(
        "mailmax",
        "takes one mail in a session (LIMITS MAILMAX=1)",
        SENT,
        offers=Offers(limits={"MAILMAX": 1}),
    ),
)

FAULTS: dict[str, Fault] = {fault.name: fault for fault in (*CONNECTION, *LOGIN, *ENVELOPE, *BODY, *LIMITS)}
"""Every fault by its name, in the order of a session."""
