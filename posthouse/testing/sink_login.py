"""How the SMTP sink takes a login: PLAIN, LOGIN, XOAUTH2 and OAUTHBEARER. Pure: lines in, a reply out."""

from base64 import b64encode
from collections.abc import Mapping, Sequence

DENIED = b64encode(b'{"status":"401","schemes":"bearer"}').decode()
"""Why a token is not taken; the refusal comes when the client has answered this (RFC 7628 §3.2.3)."""


def log_in(said: Sequence[str], users: Mapping[str, str]) -> tuple[str, str | None]:
    """The reply to what the client `said` (the mechanism, then its lines, decoded), and who is logged in by it.

    `users` maps names to passwords or tokens. A reply of 334 wants another line."""
    mechanism, *lines = said
    if mechanism == "LOGIN" and len(lines) == 1:
        return "334 UGFzc3dvcmQ6", None
    user, secret = _credentials(mechanism, lines)
    if users.get(user) == secret:
        return "235 2.7.0 welcome", user
    if mechanism in ("XOAUTH2", "OAUTHBEARER") and len(lines) == 1:
        return f"334 {DENIED}", None
    return "535 5.7.8 wrong user or password", None


def _credentials(mechanism: str, lines: Sequence[str]) -> tuple[str, str]:
    if mechanism == "LOGIN":
        return lines[0], lines[1]
    if mechanism == "PLAIN":
        _, user, password = lines[0].split("\0")
        return user, password
    words = dict(word.split("=", 1) for word in lines[0].split("\1") if "=" in word)
    user = words["user"] if mechanism == "XOAUTH2" else lines[0].split(",")[1].removeprefix("a=")
    return user, words["auth"].removeprefix("Bearer ")
