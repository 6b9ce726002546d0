"""Settings: the only reader of the environment. From posthouse.toml and POSTHOUSE_*, the environment winning.

All that is wrong is said at once, naming the setting, never its value. An unknown POSTHOUSE_* is a warning that names
the nearest known one. In posthouse.toml the names are those below, without the prefix: `transport = "inbox:"`.
"""

import difflib
import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec

from posthouse.mail.message import LANES, Lane
from posthouse.mail.retry import ON_UNKNOWN, OnUnknown
from posthouse.rate import read_rate

PREFIX = "POSTHOUSE_"
FILE = "posthouse.toml"
HIDDEN = "***"
"""What is shown of a secret."""
SECRET = 16
"""Characters of a word of POSTHOUSE_SECRET, at least."""
PUBLIC = 300
"""Characters of POSTHOUSE_PUBLIC_URL, at most."""

_PUBLIC = re.compile(
    rf"(?=.{{1,{PUBLIC}}}$)https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{{1,5}})?(/[A-Za-z0-9._~/-]*)?"
)

Seconds = Annotated[float, "seconds"]
Age = Annotated[float | None, "seconds"]
Size = Annotated[int, "bytes"]
Rate = Annotated[tuple[int, float] | None, "rate"]
Secret = Annotated[str | None, "secret"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of this version, with its default; docs/reference.md tells them in full."""

    host: str = "127.0.0.1"  # where to listen
    port: int | None = None  # HTTP port; 8025 for `serve`, none for `worker`
    grpc_port: int | None = None  # gRPC port; 50051 for `records`; `serve` has that role too if it is set
    grpc_tls_cert: Path | None = None  # certificate chain of the gRPC port (PEM); none = no TLS
    grpc_tls_key: Path | None = None  # its key
    grpc_tls_ca: Path | None = None  # whose certificates clients must have; none = an API key is enough
    state_dir: Path = Path("state")  # journals, the inbox, the secret
    hostname: str = ""  # our name in EHLO and Message-ID; default this machine's
    from_: str = msgspec.field(default="", name="from")  # of mail that names none
    from_domains: tuple[str, ...] = ()  # sender domains that are allowed; empty = any
    return_path: str | None = None  # envelope sender; default the mail's own From
    templates: Path | None = None  # folder of templates; none = mail brings what it says
    store: str = "sqlite:///posthouse.db"  # where the record lives
    audience_url: str | None = None  # a database that knows who has a role; none = the contacts
    audience_sql: str | None = None  # the query there: $1 = the roles; gives email, name, attributes
    catalog: str | None = None  # API keys, suppression list; default the store, or SQLite where it keeps none
    replica: str | None = None  # a read replica of a PostgreSQL store, for lists; none = the store itself
    queue: str = "store:"  # how work reaches workers
    transport: str = "inbox:"  # how mail leaves; several URLs, separated by spaces, are tried in order
    api_key: Secret = None  # a key with full access, 16 characters or more
    jwks_url: str | None = None  # where the keys of the tokens' issuer are; none = no tokens
    jwt_audience: str | None = None  # what a token must be for
    jwt_issuer: str | None = None  # who must have made it
    secret: Secret = None  # what tokens that leave the house are made with; several with spaces between
    public_url: str | None = None  # where people reach us, for links in mail; none = http://HOST:PORT
    webhook_secret: Secret = None  # what /webhooks/generic is signed with; several with spaces between
    rate_limit: Rate = (600, 60.0)  # requests per key, as 600/minute, or off
    max_body: Size = 40_000_000  # largest request
    max_text: Size = 10_000_000  # largest subject + headers + text + html of one mail
    send_reply: Literal[202, 201] = 202  # what POST /email/send answers
    attempts: int = 3  # tries before a mail is failed
    backoff: Seconds = 10.0  # wait after the first try; doubles
    expire: Seconds = 86_400.0  # how long a mail is tried at most
    outage: Seconds = 900.0  # how long a transport may be away before attempts alone fail mail; 0 = at once
    lease: Seconds = 60.0  # how long a worker holds mail without a word
    grace: Seconds = 25.0  # how long a stop may take
    concurrency: int | None = None  # SMTP transactions at once per process; default the pools' sum
    jobs: int = 5  # campaigns at work at once per process
    on_unknown: dict[Lane, OnUnknown] = msgspec.field(default_factory=lambda: dict(ON_UNKNOWN))
    on_queue_failure: Literal["defer", "reject"] = "defer"  # what the caller hears when the queue is away
    report: Literal["store", "events"] = "store"  # whether workers write outcomes or tell them to `records`
    republish: Seconds = 60.0  # how long a mail nobody took waits until `records` publishes its event again
    keep_bodies: Age = None  # how long closed mail keeps what it says; none = for ever
    keep_records: Age = None  # how long closed mail is kept at all; none = for ever
    log: Literal["json", "text", "auto"] = (
        "auto"  # form of the log lines; auto = text on a terminal, else json
    )


class BadSettings(Exception):
    """Settings that cannot be used; `problems` says what is wrong with each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> tuple[Settings, list[str]]:
    """The settings and the warnings about what was not understood; raises BadSettings."""
    merged: dict[str, Any] = {**_file(folder), **_environment(environ)}
    kinds = get_type_hints(Settings, include_extras=True)
    fields = {field.encode_name: field.name for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for name, raw in merged.items():
        if name not in fields:
            warnings.append(_unknown(name, list(fields)))
            continue
        try:
            values[fields[name]] = _convert(kinds[fields[name]], raw)
        except ValueError as error:
            problems.append(f"{PREFIX}{name.upper()}: {error}")
    problems += _beyond(values)
    if problems:
        raise BadSettings(problems)
    return _completed(Settings(**values)), warnings


class Effective(msgspec.Struct, frozen=True):
    """A setting as it holds: its value safe to show, and its `source`: environment, posthouse.toml or default."""

    name: str
    value: Any
    source: str


def effective(
    settings: Settings, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> list[Effective]:
    """All settings, and where each came from; secrets, and passwords within URLs, are not shown."""
    given, written = _environment(environ), _file(folder)
    kinds = get_type_hints(Settings, include_extras=True)

    def row(name: str, field: str) -> Effective:
        value = getattr(settings, field)
        secret = kinds[field] == Secret and value is not None
        source = "environment" if name in given else FILE if name in written else "default"
        return Effective(f"{PREFIX}{name.upper()}", HIDDEN if secret else _safe(value), source)

    return [row(field.encode_name, field.name) for field in msgspec.structs.fields(Settings)]


def _safe(value: Any) -> Any:
    """A value without the passwords and tokens that URLs in it may hold."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, Path) else value
    value = re.sub(r"(://[^:/?#@\s]*):\S*@", rf"\1:{HIDDEN}@", value)
    value = re.sub(r"(://)[^:/?#@\s]+@", rf"\1{HIDDEN}@", value)
    return re.sub(
        r"(?i)([?&](?!token_file=)[^=&\s]*(?:pass|secret|token|key)[^=&\s]*=)[^&\s]*", rf"\1{HIDDEN}", value
    )


def _environment(environ: Mapping[str, str] | None) -> dict[str, str]:
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in (os.environ if environ is None else environ).items()
        if name.startswith(PREFIX) and not name.startswith((f"{PREFIX}TEST_", f"{PREFIX}BENCH_"))
    }


def _file(folder: Path | None) -> dict[str, Any]:
    path = (folder or Path()) / FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadSettings([f"{path.name}: {why}"]) from None


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    meant = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
    return f"{PREFIX}{name.upper()} is not a setting of this version{meant}"


def _completed(settings: Settings) -> Settings:
    """With the defaults that come from the machine."""
    hostname = settings.hostname or _hostname()
    return msgspec.structs.replace(
        settings, hostname=hostname, from_=settings.from_ or f"posthouse@{hostname}"
    )


def _hostname() -> str:
    """This machine's name as far as it can stand in a Message-ID and an address."""
    name = socket.getfqdn().lower()
    usable = re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", name)
    return name if usable and not name.rpartition(".")[2].isdigit() else "posthouse.localhost"


def _beyond(values: Mapping[str, Any]) -> list[str]:
    """Values of the right kind that still cannot be."""
    problems: list[str] = []
    key = values.get("api_key")
    if key is not None and len(key) < 16:
        problems.append(f"{PREFIX}API_KEY: is shorter than 16 characters")
    problems += _tokens(values)
    problems += _links(values)
    for name in ("attempts", "lease", "republish", "concurrency", "jobs"):
        if name in values and values[name] <= 0:
            problems.append(f"{PREFIX}{name.upper()}: must be more than 0")
    for name, other in (("audience_url", "audience_sql"), ("audience_sql", "audience_url")):
        if values.get(name) and not values.get(other):
            problems.append(f"{PREFIX}{name.upper()}: needs {PREFIX}{other.upper()}, too")
    if "transport" in values and not values["transport"].split():
        problems.append(f"{PREFIX}TRANSPORT: names no transport")
    for name in ("port", "grpc_port"):
        if values.get(name) is not None and not 0 <= values[name] <= 65535:
            problems.append(f"{PREFIX}{name.upper()}: is not a port")
    for name, other in (("cert", "key"), ("key", "cert"), ("ca", "cert")):
        if f"grpc_tls_{name}" in values and f"grpc_tls_{other}" not in values:
            needed = f"{PREFIX}GRPC_TLS_{other.upper()}"
            problems.append(f"{PREFIX}GRPC_TLS_{name.upper()}: goes together with {needed}")
    return problems


def _tokens(values: Mapping[str, Any]) -> list[str]:
    """Tokens need all three settings, and keys that nobody on the way can exchange."""
    url = values.get("jwks_url")
    if url is None:
        return []
    problems = [] if _trustworthy(url) else [f"{PREFIX}JWKS_URL: must be an https URL, or http on loopback"]
    missing = [name for name in ("jwt_audience", "jwt_issuer") if not values.get(name)]
    return problems + [f"{PREFIX}{name.upper()}: is needed with {PREFIX}JWKS_URL" for name in missing]


def _links(values: Mapping[str, Any]) -> list[str]:
    """What links in mail are made with: a secret that nobody guesses, and an address that a header can hold."""
    problems: list[str] = []
    words = (values.get("secret") or "").split()
    if "secret" in values and (not words or any(len(word) < SECRET for word in words)):
        problems.append(f"{PREFIX}SECRET: has a word that is shorter than {SECRET} characters, or none")
    url = values.get("public_url")
    if url is not None and not _PUBLIC.fullmatch(url):
        problems.append(
            f"{PREFIX}PUBLIC_URL: must be an http or https URL of {PUBLIC} characters at most, without ? and #"
        )
    return problems


def _trustworthy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or re.search(r"[\x00-\x20\x7f]", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _convert(kind: Any, raw: Any) -> Any:
    """A value of the type a setting has, from what stands in the environment or the file."""
    text = ",".join(map(str, cast(list[object], raw))) if isinstance(raw, list) else str(raw).strip()
    mark = kind.__metadata__[0] if get_origin(kind) is Annotated else kind
    if get_origin(mark) is Literal:
        return _one_of(text, get_args(mark))
    convert = _CONVERTERS.get(mark)
    if convert is None:
        raise TypeError(f"no converter for {mark}")
    return convert(text)


def _one_of(text: str, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if text.lower() == str(choice):
            return choice
    raise ValueError("must be " + " or ".join(map(str, choices)))


def seconds(text: str) -> float:
    """`10s`, `15m`, `1d`, `250ms`, or plain seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", text.lower())
    if not match:
        raise ValueError("is not a duration such as 10s, 15m, 2h or 1d")
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, None: 1}
    return float(match[1]) * units[match[2]]


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|kib|mib|gib)?", text.lower())
    if not match:
        raise ValueError("is not a size such as 500KB or 40MB")
    unit = (match[2] or "b").removesuffix("b")
    base = 1024 if unit.endswith("i") else 1000
    return int(float(match[1]) * base ** " kmg".index(unit.removesuffix("i") or " "))


def rate(text: str) -> tuple[int, float] | None:
    """`600/minute` as (600, 60.0); `off` as None."""
    if text.lower() == "off":
        return None
    try:
        read = read_rate(text)
    except ValueError as error:
        raise ValueError(f"{error}, nor off") from None
    return read.quota, float(read.window)


def _on_unknown(text: str) -> dict[Lane, OnUnknown]:
    pairs = [part.split("=") for part in text.lower().replace(" ", "").split(",")]
    if len(pairs) == 1 and len(pairs[0]) == 1:
        pairs = [[lane, pairs[0][0]] for lane in LANES]
    if any(len(pair) != 2 or pair[0] not in LANES or pair[1] not in get_args(OnUnknown) for pair in pairs):
        raise ValueError("must be resend, hold, or transactional=resend,bulk=hold")
    return {**ON_UNKNOWN, **dict(pairs)}  # pyright: ignore[reportReturnType]


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text):
        raise ValueError("is not a whole number")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in re.split(r"[,\s]+", text) if word)


_CONVERTERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    str | None: str,
    int: _whole,
    int | None: _whole,
    Path: Path,
    Path | None: Path,
    tuple[str, ...]: _words,
    dict[Lane, OnUnknown]: _on_unknown,
    "seconds": seconds,
    "bytes": _size,
    "rate": rate,
    "secret": str,
}
