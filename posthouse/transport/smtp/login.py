"""What we say to log in: PLAIN (RFC 4616), LOGIN, and with an access token XOAUTH2 and OAUTHBEARER (RFC 7628).

An access token is the password of the URL, or stands in a file that is read anew for each login, so that one which was
refreshed is used from the next connection on. No error shows a secret.
"""

from base64 import b64encode
from collections.abc import Set
from pathlib import Path
from typing import Literal

import msgspec

from posthouse.mail.errors import TransportAway
from posthouse.transport.smtp.options import Auth, SmtpOptions

Mechanism = Literal["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"]

MECHANISMS: dict[Auth, tuple[Mechanism, ...]] = {
    "password": ("PLAIN", "LOGIN"),
    "xoauth2": ("XOAUTH2",),
    "oauthbearer": ("OAUTHBEARER",),
}
"""What we speak, best first."""
ENOUGH: dict[Mechanism, str] = {"XOAUTH2": "", "OAUTHBEARER": "AQ=="}
"""The answer to a server that says by 334 why it does not take a token; its refusal comes after that."""
MOST_TOKEN = 16 << 10
"""Bytes of a token file at most."""


def choose(auth: Auth, offered: Set[str]) -> Mechanism | None:
    """The best mechanism that both sides speak."""
    return next((mechanism for mechanism in MECHANISMS[auth] if mechanism in offered), None)


def response(mechanism: Mechanism, options: SmtpOptions) -> str:
    """The one line that says everything (not for LOGIN, which says it in two), in base64."""
    user, secret = options.user or "", options.password or ""
    if mechanism == "PLAIN":
        return coded(f"\0{user}\0{secret}")
    if mechanism == "XOAUTH2":
        return coded(f"user={user}\1auth=Bearer {secret}\1\1")
    name = user.replace("=", "=3D").replace(",", "=2C")
    return coded(f"n,a={name},\1host={options.host}\1port={options.port}\1auth=Bearer {secret}\1\1")


def coded(text: str) -> str:
    """`text` as AUTH wants it."""
    return b64encode(text.encode()).decode("ascii")


def with_token(options: SmtpOptions) -> SmtpOptions:
    """The options with the token that the token file holds now as the password. Raises TransportAway."""
    if options.token_file is None:
        return options
    return msgspec.structs.replace(options, password=read_token(options.token_file))


def read_token(path: Path) -> str:
    """The one line of a token file, without the white space around it. Raises TransportAway."""
    try:
        with path.open("rb") as file:
            token = file.read(MOST_TOKEN + 1).decode("ascii").strip()
    except OSError as error:
        raise TransportAway(f"the token file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise TransportAway("the token file holds no token: it is not ASCII") from None
    if not token or len(token) > MOST_TOKEN or not token.isprintable() or " " in token:
        raise TransportAway("the token file holds no token: there must be one line in it, and nothing else")
    return token
