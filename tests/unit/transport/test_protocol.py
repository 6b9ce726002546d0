"""Bytes in, bytes out: a session's dialogue, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.outcome import Outcome
from posthouse.transport.smtp.handshake import Offer
from posthouse.transport.smtp.protocol import GoAhead, Over, Session, Settled
from posthouse.transport.smtp.transaction import Transaction, on_the_wire

PIPELINING = Offer(pipelining=True)
GROUP = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"
TAKEN = b"250 ok\r\n250 ok\r\n354 go\r\n"


class Letter:
    """An envelope; the session only reads it."""

    id, lane = "m", "transactional"

    def __init__(self, *recipients: str, sender="a@x", data=b"hi\r\n") -> None:
        self.recipients, self.sender, self.data = recipients or ("b@x",), sender, data

    def begin(self, replies) -> bool:
        raise AssertionError("a session has no business with begin")

    def done(self, outcomes) -> None:
        raise AssertionError("a session has no business with done")


def letter(*recipients: str, **more) -> Transaction:
    return Transaction(Letter(*recipients, **more))


def results(transaction: Transaction) -> list[tuple[str, int | None]]:
    return [(o.result, o.code) if o else ("none", None) for o in transaction.outcomes]


def started(offer=PIPELINING, *recipients: str) -> tuple[Session, Transaction]:
    session, transaction = Session(offer), letter(*recipients)
    assert session.start(transaction)
    session.take()
    return session, transaction


def test_one_group_then_body_dot_and_next_group():
    session, first, second = Session(PIPELINING), letter(), letter("c@x")
    assert session.start(first)
    assert session.take() == GROUP
    assert session.receive(TAKEN) == [GoAhead(first)]
    session.end(b"hi\r\n")
    assert session.start(second)
    assert session.take() == b"hi\r\n.\r\nMAIL FROM:<a@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n"
    assert session.in_air == 2
    assert session.receive(b"250 2.0.0 queued as 1\r\n" + TAKEN) == [Settled(first), GoAhead(second)]
    assert first.outcomes == [
        Outcome(result="accepted", code=250, enhanced_code="2.0.0", text="queued as 1", category="ok")
    ]


def test_one_at_a_time_without_pipelining():
    session, transaction = Session(Offer()), letter("b@x", "c@x")
    session.start(transaction)
    for said, answered in [
        (b"", b"MAIL FROM:<a@x>\r\n"),
        (b"250 ok\r\n", b"RCPT TO:<b@x>\r\n"),
        (b"550 no\r\n", b"RCPT TO:<c@x>\r\n"),
        (b"250 ok\r\n", b"DATA\r\n"),
    ]:
        assert session.receive(said) == []
        assert session.take() == answered
    assert session.receive(b"354 go\r\n") == [GoAhead(transaction)]
    session.end(b"")
    assert session.receive(b"250 ok\r\n") == [Settled(transaction)]
    assert results(transaction) == [("refused", 550), ("accepted", 250)]


@pytest.mark.parametrize("replies", [[b"550 no\r\n"], [b"250 ok\r\n", b"550 no\r\n"], [b"450 later\r\n"]])
def test_without_pipelining_nothing_is_said_after_a_refusal(replies):
    session, transaction = Session(Offer()), letter()
    session.start(transaction)
    for reply in replies:
        session.take()
        events = session.receive(reply)
    assert events == [Settled(transaction)]
    assert session.take() == b""


@pytest.mark.parametrize("nested", [True, False])
def test_rset_only_where_the_server_is_inside_a_transaction(nested):
    session, transaction = started()
    mail = b"250 ok\r\n" if nested else b"550 no\r\n"
    assert session.receive(mail + b"550 no\r\n554 none\r\n") == [Settled(transaction)]
    session.start(letter())
    assert session.take() == (b"RSET\r\n" if nested else b"") + GROUP
    after = letter()
    assert session.receive((b"250 ok\r\n" if nested else b"") + b"250 ok\r\n550 no\r\n554 none\r\n")
    session.start(after)
    assert session.take() == b"RSET\r\n" + GROUP


@pytest.mark.parametrize("mail", [b"250 ok\r\n", b"550 no\r\n"])
def test_go_ahead_for_nobody_gets_the_lone_dot(mail):
    session, transaction = started()
    assert session.receive(mail + b"550 no such\r\n354 go\r\n") == []
    assert session.take() == b".\r\n"
    assert session.receive(b"250 taken, strangely\r\n") == [Settled(transaction)]
    assert results(transaction) == [("refused", 550)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"550 no\r\n503 x\r\n503 x\r\n503 x\r\n", [("refused", 550)] * 2),
        (b"450 later\r\n503 x\r\n503 x\r\n503 x\r\n", [("deferred", 450)] * 2),
        (b"250 ok\r\n250 ok\r\n450 later\r\n451 bad day\r\n", [("deferred", 451), ("deferred", 450)]),
        (b"250 ok\r\n550 no\r\n450 later\r\n554 none\r\n", [("refused", 550), ("deferred", 450)]),
        (b"250 ok\r\n552 many\r\n550 no\r\n554 none\r\n", [("refused", 552), ("refused", 550)]),
    ],
)
def test_refused_before_the_body(said, expected):
    session, transaction = started(PIPELINING, "b@x", "c@x")
    assert session.receive(said) == [Settled(transaction)]
    assert results(transaction) == expected


@pytest.mark.parametrize(
    ("reply", "result"),
    [(b"552 too many", "deferred"), (b"552 5.2.2 full", "refused"), (b"452 too many", "deferred")],
)
def test_552_beside_taken_recipients_means_too_many(reply, result):
    session, transaction = started(PIPELINING, "b@x", "c@x")
    assert session.receive(b"250 ok\r\n250 ok\r\n" + reply + b"\r\n354 go\r\n") == [GoAhead(transaction)]
    assert results(transaction)[0] == ("none", None)
    assert results(transaction)[1][0] == result


@pytest.mark.parametrize(
    ("said", "result"), [(b"250 ok\r\n", "accepted"), (b"451 no\r\n", "deferred"), (b"554 no\r\n", "refused")]
)
def test_the_final_reply_is_for_those_who_were_taken(said, result):
    session, transaction = started(PIPELINING, "b@x", "c@x")
    session.receive(b"250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n")
    session.end(b"")
    assert session.receive(said) == [Settled(transaction)]
    assert [name for name, _ in results(transaction)] == ["refused", result]


def test_421_at_rset_is_the_transports_failure():
    session, transaction = started()
    session.receive(b"250 ok\r\n550 no\r\n554 none\r\n")
    following = letter()
    session.start(following)
    assert session.take() == b"RSET\r\n" + GROUP
    (over,) = session.receive(b"421 4.3.2 closing\r\n")
    assert (over.transactions, following.phase, over.unbegun.scope) == ([following], "asked", "transport")
    assert results(transaction) == [("refused", 550)]


def test_421_at_mail_is_the_transports_failure():
    session, transaction = started()
    (over,) = session.receive(b"421 4.3.2 closing\r\n")
    assert over.transactions == [transaction]
    assert transaction.phase == "asked"
    assert (over.unbegun.scope, over.unbegun.code, over.unbegun.spends) == ("transport", 421, "attempt")


@pytest.mark.parametrize("before", [b"250 ok\r\n", b"250 ok\r\n250 ok\r\n", TAKEN])
def test_421_inside_a_transaction_defers_the_mail(before):
    session, transaction = started()
    *_, over = session.receive(before + b"421 closing\r\n")
    assert isinstance(over, Over)
    assert results(transaction) == [("deferred", 421)]
    assert transaction.outcomes[0].scope != "transport"


def test_421_to_the_end_of_data_is_an_answer():
    session, transaction = started()
    session.receive(TAKEN)
    session.end(b"")
    following = letter()
    session.start(following)
    (over,) = session.receive(b"421 closing\r\n")
    assert results(transaction) == [("deferred", 421)]
    assert over.transactions == [transaction, following]
    assert following.phase == "asked"


@pytest.mark.parametrize("before", [b"", b"250 ok\r\n", b"250 ok\r\n250 ok\r\n"])
def test_530_is_the_transports_failure(before):
    session, transaction = started()
    *_, over = session.receive(before + b"530 5.7.0 log in\r\n")
    transaction.fill(over.unbegun)
    assert transaction.outcomes[0].result == "deferred"
    assert transaction.outcomes[0].scope == "transport"


def test_a_server_that_leaves_while_nothing_is_under_way():
    assert Session(PIPELINING).receive(b"421 idle too long\r\n")[0].transactions == []


LOST = [
    (b"", "asked", "none"),
    (b"250 ok\r\n", "begun", "deferred"),
    (b"250 ok\r\n250 ok\r\n", "begun", "deferred"),
    (TAKEN, "begun", "deferred"),
]


@pytest.mark.parametrize(("before", "phase", "result"), LOST)
@pytest.mark.parametrize("how", ["lost", "garbage"])
def test_the_link_is_lost(before, phase, result, how):
    session, transaction = started()
    session.receive(before)
    over = session.over("gone") if how == "lost" else session.receive(b"what?\r\n")[-1]
    assert over.transactions == [transaction]
    assert (transaction.phase, results(transaction)[0][0]) == (phase, result)
    assert over.unbegun.spends == "nothing"


@pytest.mark.parametrize("how", [b"", b"what?\r\n", b"354 go\r\n", b"250-half"])
def test_the_link_is_lost_after_the_end_of_data(how):
    session, transaction = started(PIPELINING, "b@x", "c@x")
    session.receive(b"250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n")
    session.end(b"hi\r\n")
    following = letter()
    session.start(following)
    events = session.receive(how) or [session.over("gone")]
    assert events[-1].transactions == [transaction, following]
    assert results(transaction) == [("unknown", None), ("refused", 550)]
    assert results(following) == [("none", None)]


def test_what_was_answered_before_the_garbage_counts():
    session, transaction = started()
    session.receive(TAKEN)
    session.end(b"")
    settled, over = session.receive(b"250 ok\r\nwhat?\r\n")
    assert (settled, over.transactions) == (Settled(transaction), [])
    assert results(transaction) == [("accepted", 250)]


@pytest.mark.parametrize(
    "said",
    [
        b"354 go\r\n",
        b"250 ok\r\n354 go\r\n",
        b"250 ok\r\n250 ok\r\n250 ok\r\n",
        TAKEN + b"250 early\r\n",
        TAKEN + b"552 early\r\n",
    ],
)
def test_replies_out_of_step_close_the_link_and_never_accept(said):
    session, transaction = started()
    assert isinstance(session.receive(said)[-1], Over)
    assert results(transaction)[0][0] == "deferred"


@given(st.lists(st.sampled_from([220, 250, 334, 354, 421, 450, 452, 530, 550, 552, 554]), max_size=12))
def test_no_row_of_replies_accepts_before_the_end_of_data(codes):
    session, transaction = started(PIPELINING, "b@x", "c@x")
    for code in codes:
        events = session.receive(b"%d said\r\n" % code)
        ended = b".\r\n" in session.take()
        if any(isinstance(event, Over | GoAhead | Settled) for event in events) or ended:
            break
    assert "accepted" not in [name for name, _ in results(transaction)]


@given(st.integers(1, 30))
def test_byte_by_byte_gives_the_same(step):
    said = b"250-a\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n"
    session, transaction = started(PIPELINING, "b@x", "c@x")
    events = []
    for at in range(0, len(said), step):
        events += session.receive(said[at : at + step])
    assert events == [GoAhead(transaction)]


def test_size_is_declared_and_kept():
    session = Session(Offer(pipelining=True, size=4))
    assert session.start(letter(data=b"hi\r\n"))
    assert session.take().startswith(b"MAIL FROM:<a@x> SIZE=4\r\n")
    large = letter("b@x", "c@x", data=b"hello\r\n")
    assert not Session(Offer(size=4)).start(large)
    assert [(o.result, o.category) for o in large.outcomes] == [("refused", "size")] * 2
    assert Session(Offer(size=0)).start(letter(data=b"hello\r\n"))


def test_8_bit_data_goes_only_where_it_is_taken():
    session = Session(Offer(pipelining=True, eight_bit=True))
    assert session.start(letter(data=b"caf\xe9\r\n"))
    assert b"<a@x> BODY=8BITMIME\r\n" in session.take()
    assert session.start(letter(data=b"cafe\r\n"))
    assert b"BODY" not in session.take()
    eight = letter(data=b"caf\xe9\r\n")
    assert not Session(PIPELINING).start(eight)
    assert results(eight)[0][0] == "refused"


UTF8 = Offer(pipelining=True, eight_bit=True, utf8=True)


@pytest.mark.parametrize(
    ("mail", "group"),
    [
        (letter("b@x"), "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"),
        (letter("é@x", "b@x"), "MAIL FROM:<a@x> SMTPUTF8\r\nRCPT TO:<é@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"),
        (letter("b@x", sender="é@x"), "MAIL FROM:<é@x> SMTPUTF8\r\nRCPT TO:<b@x>\r\nDATA\r\n"),
        (
            letter("b@x", data="To: é@x\r\n\r\nhi\r\n".encode()),
            "MAIL FROM:<a@x> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<b@x>\r\nDATA\r\n",
        ),
        (
            letter("b@x", data="To: b@x\r\n\r\né\r\n".encode()),
            "MAIL FROM:<a@x> BODY=8BITMIME\r\nRCPT TO:<b@x>\r\nDATA\r\n",
        ),
    ],
)
def test_smtputf8_only_for_mail_that_needs_it(mail, group):
    session = Session(UTF8)
    assert session.start(mail)
    assert session.take() == group.encode()


def test_without_smtputf8_only_who_needs_it_is_refused():
    session, transaction = Session(Offer(pipelining=True, eight_bit=True)), letter("é@x", "b@x")
    assert session.start(transaction)
    assert session.take() == GROUP
    assert results(transaction) == [("refused", 553), ("none", None)]
    outcome = transaction.outcomes[0]
    assert (outcome.enhanced_code, outcome.spends, "SMTPUTF8" in outcome.text) == ("5.6.7", "attempt", True)


@pytest.mark.parametrize(
    "transaction", [letter(sender="é@x"), letter(data="To: é@x\r\n\r\nhi\r\n".encode()), letter("é@x")]
)
def test_without_smtputf8_nothing_is_said_of_a_mail_that_needs_it(transaction):
    session = Session(Offer(pipelining=True, eight_bit=True))
    assert not session.start(transaction)
    assert session.take() == b""
    assert (results(transaction)[0][0], transaction.outcomes[0].enhanced_code) == ("refused", "5.6.7")


@pytest.mark.parametrize("address", ["é b@x", "é>@x", "<é@x", "é\r\n@x", "é\u2028@x", "é\x85@x", "é\ud800@x"])
def test_no_address_in_utf_8_breaks_out_of_its_command(address):
    session, transaction = Session(UTF8), letter(address, "c@x")
    assert session.start(transaction)
    assert session.take() == b"MAIL FROM:<a@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n"
    assert results(transaction) == [("refused", 553), ("none", None)]
    assert not Session(UTF8).start(letter(sender=address))


def test_recipients_beyond_the_limit_are_given_back():
    session, transaction = Session(Offer(pipelining=True, most_recipients=2)), letter("b@x", "c@x", "d@x")
    assert session.start(transaction)
    assert session.take() == b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n"
    session.receive(b"250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n")
    session.end(b"")
    session.receive(b"250 ok\r\n")
    assert results(transaction) == [("accepted", 250), ("refused", 550), ("deferred", None)]
    assert transaction.outcomes[2].spends == "nothing"


def test_domains_are_counted_over_the_session():
    session = Session(Offer(most_domains=2))
    first, second = letter("b@x", "c@X", "d@y", "e@z"), letter("b@y", "c@z")
    assert session.start(first)
    assert [outcome and outcome.spends for outcome in first.outcomes] == [None, None, None, "nothing"]
    assert session.full
    for reply in (b"550 no\r\n",):
        session.receive(reply)
    session.take()
    assert session.start(second)
    assert [outcome and outcome.spends for outcome in second.outcomes] == [None, "nothing"]


@pytest.mark.parametrize(
    "said",
    [b"250 ok\r\n250 early\r\n", b"250 ok\r\n250 early\r\n354 go\r\n250 taken\r\n", b"250 ok\r\n25"],
)
def test_a_reply_before_its_command_was_written_ends_the_link(said):
    session, transaction = Session(Offer()), letter()
    session.start(transaction)
    session.take()
    assert isinstance(session.receive(said)[-1], Over)
    assert results(transaction)[0][0] == "deferred"


def test_a_reply_to_the_lone_dot_before_it_was_written_ends_the_link():
    session, transaction = started()
    over = session.receive(b"250 ok\r\n550 no\r\n354 go\r\n250 early\r\n")[-1]
    assert isinstance(over, Over)
    assert results(transaction) == [("refused", 550)]


@pytest.mark.parametrize("before", [b"250 ok\r\n", b"250 ok\r\n250 ok\r\n"])
def test_503_where_we_kept_to_the_sequence_refuses_nobody(before):
    session, transaction = started()
    assert isinstance(session.receive(before + b"503 5.5.1 bad sequence\r\n")[-1], Over)
    assert results(transaction)[0][0] == "deferred"


def test_503_at_mail_is_the_transports_failure():
    session, transaction = started()
    (over,) = session.receive(b"503 5.5.1 log in first\r\n")
    assert (over.transactions, transaction.phase) == ([transaction], "asked")
    assert (over.unbegun.scope, over.unbegun.spends) == ("transport", "attempt")


BAD = ["a\r\nRSET@x", "a\n@x", "a\0@x", "a\x7f@x", "a b@x", "a>@x", "<a@x", "é@x", ""]


@pytest.mark.parametrize("address", BAD)
def test_no_address_breaks_out_of_its_command(address):
    transaction = letter(address, "c@x")
    session = Session(PIPELINING)
    assert session.start(transaction)
    assert session.take() == b"MAIL FROM:<a@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n"
    assert results(transaction) == [("refused", 553), ("none", None)]
    session.receive(TAKEN)
    session.end(b"")
    session.receive(b"250 ok\r\n")
    assert results(transaction) == [("refused", 553), ("accepted", 250)]


@pytest.mark.parametrize("address", [bad for bad in BAD if bad])
def test_no_sender_breaks_out_of_its_command(address):
    session, transaction = Session(PIPELINING), letter(sender=address)
    assert not session.start(transaction)
    assert session.take() == b""
    assert results(transaction)[0][0] == "refused"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"hi\r\n", b"hi\r\n"),
        (b"hi", b"hi\r\n"),
        (b".", b"..\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\n.\nb\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r.\rb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r\n.\rMAIL\r\n", b"a\r\n..\r\nMAIL\r\n"),
        (b"a\n\r\n.\r\n", b"a\r\n\r\n..\r\n"),
        (b"a\r\r\n", b"a\r\n\r\n"),
        (b"a\n\rb\r\n", b"a\r\n\r\nb\r\n"),
    ],
)
def test_on_the_wire(data, expected):
    assert on_the_wire(data) == expected


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\r\n", b"\r\n.", b"\r\n.\r\n"])).map(b"".join))
def test_no_data_ends_early(data):
    wire = on_the_wire(data)
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    if lines and not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    unstuffed = b"".join(line[line.startswith(b".") :] for line in wire.splitlines(keepends=True))
    assert unstuffed == lines
