import pytest

from posthouse.mail.errors import BadContent
from posthouse.mail.headers import check_header, is_text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Order", "123"),
        ("x-free", "grüße 🎉"),
        ("List-Unsubscribe", "<https://example.org/u/" + "x" * 300 + ">"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", "News <news.example.org>"),
        ("In-Reply-To", "<a@example.org>"),
        ("References", "<a@example.org> " * 100),
        ("Feedback-ID", "a:b:c:d"),
        ("Auto-Submitted", "auto-generated"),
        ("Precedence", "bulk"),
        ("Importance", "high"),
        ("X-Priority", "1"),
        ("Organization", "Große Firma"),
        ("Thread-Topic", "Straße"),
        ("Disposition-Notification-To", "ann@example.org"),
    ],
)
def test_takes_what_callers_may_set(name: str, value: str) -> None:
    check_header(name, value)


@pytest.mark.parametrize(
    "name",
    [
        "Bcc",
        "To",
        "Cc",
        "From",
        "Sender",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Disposition",
        "Received",
        "Return-Path",
        "DKIM-Signature",
        "ARC-Seal",
        "Authentication-Results",
        "Resent-To",
        "Return-Receipt-To",
        "X-SMTPAPI",
        "x-mc-bccaddress",
        "bCC",
        "Errors-To",
        "Delivered-To",
        "Foo",
    ],
)
def test_denies_what_is_ours_or_unknown(name: str) -> None:
    with pytest.raises(BadContent, match="not among those") as caught:
        check_header(name, "canary")
    assert "canary" not in caught.value.text


@pytest.mark.parametrize(
    "name",
    ["", "X-A:", "X-A ", " X-A", "X A", "X-A\r\nBcc", "X-A\n", "X-é", "X-\x00", "X-" + "a" * 75, "X-A\t"],
)
def test_refuses_names_that_are_not_ftext(name: str) -> None:
    with pytest.raises(BadContent, match="header name"):
        check_header(name, "1")


@pytest.mark.parametrize("code", [*range(32), *range(127, 160), 0x2028, 0x2029, 0xD800])
def test_refuses_every_control_character_in_a_value(code: int) -> None:
    with pytest.raises(BadContent, match="control characters"):
        check_header("X-A", f"a{chr(code)}b")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("X-A", "", "empty"),
        ("X-A", "   ", "empty"),
        ("X-A", "x " * 4001, "longer than"),
        ("List-Unsubscribe", "<https://example.org/é>", "ASCII"),
        ("References", "<" + "a" * 900 + ">", "space after every"),
    ],
)
def test_bounds_values(name: str, value: str, why: str) -> None:
    with pytest.raises(BadContent, match=why) as caught:
        check_header(name, value)
    assert value.strip() == "" or value not in caught.value.text


def test_knows_which_headers_are_free_text() -> None:
    assert [n for n in ("X-A", "COMMENTS", "List-Id", "References", "Feedback-ID") if is_text(n)] == [
        "X-A",
        "COMMENTS",
    ]
