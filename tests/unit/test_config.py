"""Settings: read from the environment and posthouse.toml, all that is wrong said at once, no value ever repeated."""

from pathlib import Path

import pytest

from posthouse.config import BadSettings, Settings, effective, rate, read, seconds
from posthouse.roles.links import public_url


def given(folder: Path, toml: str = "", **environ: str) -> Settings:
    if toml:
        (folder / "posthouse.toml").write_text(toml, encoding="utf-8")
    return read({f"POSTHOUSE_{name.upper()}": value for name, value in environ.items()}, folder)[0]


def problems(folder: Path, toml: str = "", **environ: str) -> list[str]:
    with pytest.raises(BadSettings) as raised:
        given(folder, toml, **environ)
    return raised.value.problems


def test_defaults(tmp_path: Path) -> None:
    settings = given(tmp_path, hostname="mail.example.org")
    assert (settings.host, settings.port, settings.store) == ("127.0.0.1", None, "sqlite:///posthouse.db")
    assert (settings.queue, settings.transport, settings.log) == ("store:", "inbox:", "auto")
    assert (settings.attempts, settings.backoff, settings.expire) == (3, 10.0, 86_400.0)
    assert (settings.outage, settings.lease, settings.grace) == (900.0, 60.0, 25.0)
    assert settings.on_unknown == {"transactional": "resend", "bulk": "hold"}
    assert (settings.rate_limit, settings.max_body, settings.max_text) == (
        (600, 60.0),
        40_000_000,
        10_000_000,
    )
    assert settings.from_ == "posthouse@mail.example.org"
    assert given(tmp_path).from_ == f"posthouse@{given(tmp_path).hostname}"


VALUES = [
    ("port", "8025", 8025),
    ("port", "0", 0),
    ("state_dir", "/var/lib/x", Path("/var/lib/x")),
    ("from_domains", "Example.org, x.example", ("example.org", "x.example")),
    ("return_path", "bounces@x.example", "bounces@x.example"),
    ("rate_limit", "off", None),
    ("rate_limit", "10/s", (10, 1.0)),
    ("max_body", "1.5MB", 1_500_000),
    ("max_body", "2MiB", 2 << 20),
    ("max_body", "700", 700),
    ("send_reply", "201", 201),
    ("backoff", "250ms", 0.25),
    ("outage", "0", 0.0),
    ("expire", "2d", 172_800.0),
    ("concurrency", "7", 7),
    ("jobs", "2", 2),
    ("keep_bodies", "30d", 30 * 86_400.0),
    ("keep_records", "0", 0.0),
    ("on_unknown", "hold", {"transactional": "hold", "bulk": "hold"}),
    ("on_unknown", "bulk=resend", {"transactional": "resend", "bulk": "resend"}),
    ("on_unknown", "transactional=hold, bulk=resend", {"transactional": "hold", "bulk": "resend"}),
    ("log", "JSON", "json"),
    ("api_key", "0123456789abcdef", "0123456789abcdef"),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_values(tmp_path: Path, name: str, text: str, value: object) -> None:
    assert getattr(given(tmp_path, **{name: text}), name) == value


WRONG = [
    ("port", "http"),
    ("port", "65536"),
    ("port", "-1"),
    ("lease", "0"),
    ("attempts", "0"),
    ("attempts", "three"),
    ("concurrency", "-2"),
    ("jobs", "0"),
    ("keep_bodies", "-1d"),
    ("keep_records", "for ever"),
    ("backoff", "soon"),
    ("backoff", "-1s"),
    ("max_body", "40 parsecs"),
    ("rate_limit", "0/hour"),
    ("rate_limit", "600"),
    ("send_reply", "200"),
    ("on_unknown", "maybe"),
    ("on_unknown", "express=hold"),
    ("log", "xml"),
    ("api_key", "short-secret"),
    ("secret", "one that is long enough to be a secret, short"),
    ("secret", "  "),
    ("public_url", "post.example"),
    ("public_url", "https://post.example/?from=mail"),
    ("public_url", "https://ann:secret@post.example"),
    ("public_url", "https://post.example/" + "x" * 300),
    ("transport", "  "),
]


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_what_is_wrong_names_the_setting_and_never_its_value(tmp_path: Path, name: str, text: str) -> None:
    (problem,) = problems(tmp_path, **{name: text})
    assert problem.startswith(f"POSTHOUSE_{name.upper()}: ")
    assert len(text.strip()) < 4 or text not in problem.partition(": ")[2]


TOKENS = {"jwt_audience": "posthouse", "jwt_issuer": "https://issuer.example/"}


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example/jwks.json",
        "HTTPS://issuer.example:8443/keys?v=1",
        "http://localhost:8080/",
        "http://127.0.0.9/jwks",
        "http://[::1]:1/jwks",
    ],
)
def test_where_the_keys_of_tokens_may_be(tmp_path: Path, url: str) -> None:
    assert given(tmp_path, jwks_url=url, **TOKENS).jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "issuer.example",
        "http://issuer.example/jwks",
        "http://127.0.0.1.example/jwks",
        "http://localhost.example/jwks",
        "http://10.0.0.1/jwks",
        "https://",
        "https:///jwks",
        "https://issuer.example:port/",
        "https://[::1/",
        "https://user:pass@issuer.example/",
        "https://issuer.example/a b",
        "file:///etc/passwd",
    ],
)
def test_where_the_keys_of_tokens_may_not_be(tmp_path: Path, url: str) -> None:
    assert problems(tmp_path, jwks_url=url, **TOKENS) == [
        "POSTHOUSE_JWKS_URL: must be an https URL, or http on loopback"
    ]


@pytest.mark.parametrize("missing", list(TOKENS))
def test_tokens_need_an_audience_and_an_issuer(tmp_path: Path, missing: str) -> None:
    some = {**TOKENS, missing: ""}
    problem = f"POSTHOUSE_{missing.upper()}: is needed with POSTHOUSE_JWKS_URL"
    assert problems(tmp_path, jwks_url="https://issuer.example/", **some) == [problem]
    del some[missing]
    assert problems(tmp_path, jwks_url="https://issuer.example/", **some) == [problem]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, port="x", lease="y", api_key="z")
    assert {line.partition(":")[0] for line in found} == {
        "POSTHOUSE_PORT",
        "POSTHOUSE_LEASE",
        "POSTHOUSE_API_KEY",
    }


def test_the_file_and_the_environment_which_wins(tmp_path: Path) -> None:
    toml = 'port = 1\nattempts = 5\nfrom = "Grüße <a@x.example>"\nfrom_domains = ["A.example", "b.example"]\n'
    settings = given(tmp_path, toml, port="2")
    assert (settings.port, settings.attempts) == (2, 5)
    assert settings.from_ == "Grüße <a@x.example>"
    assert settings.from_domains == ("a.example", "b.example")


@pytest.mark.parametrize("toml", ["port = ", "= 3", "port = 1\nport = 2"])
def test_a_file_that_is_no_toml(tmp_path: Path, toml: str) -> None:
    (problem,) = problems(tmp_path, toml)
    assert problem.startswith("posthouse.toml: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "posthouse.toml").write_bytes(b'from = "\xff"')
    assert problems(tmp_path)[0].startswith("posthouse.toml: ")
    (tmp_path / "posthouse.toml").unlink()
    (tmp_path / "posthouse.toml").mkdir()
    assert problems(tmp_path) == ["posthouse.toml: Is a directory"]


def test_an_unknown_setting_is_a_warning_that_names_the_nearest(tmp_path: Path) -> None:
    environ = {"POSTHOUSE_ATEMPTS": "9", "POSTHOUSE_ZZZZZZ": "1", "POSTHOUSE_TEST_POSTFIX": "x", "HOME": "/"}
    settings, warnings = read(environ, tmp_path)
    assert settings.attempts == 3
    assert warnings == [
        "POSTHOUSE_ATEMPTS is not a setting of this version; did you mean POSTHOUSE_ATTEMPTS?",
        "POSTHOUSE_ZZZZZZ is not a setting of this version",
    ]


def test_every_setting_can_be_given(tmp_path: Path) -> None:
    """Each has a converter: nothing but a wrong value is ever said of any of them."""
    for name in Settings.__struct_fields__:
        try:
            given(tmp_path, **{name.rstrip("_"): "1"})
        except BadSettings as error:
            assert error.problems[0].startswith(f"POSTHOUSE_{name.rstrip('_').upper()}: ")


@pytest.mark.parametrize(
    ("text", "value"), [("10", 10.0), ("10s", 10.0), ("1.5m", 90.0), ("2 h", 7200.0), ("250ms", 0.25)]
)
def test_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("600/minute", (600, 60.0)),
        ("5 / s", (5, 1.0)),
        ("1/HOUR", (1, 3600.0)),
        ("1/second", (1, 1.0)),
        ("off", None),
        ("OFF", None),
    ],
)
def test_rates_are_read(text: str, value: tuple[int, float] | None) -> None:
    assert rate(text) == value


@pytest.mark.parametrize("text", ["", "0/minute", "-1/s", "600", "600/fortnight", "1e3/s", "on"])
def test_what_is_no_rate_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="600/minute"):
        rate(text)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"POSTHOUSE_GRPC_PORT": "70000"}, "POSTHOUSE_GRPC_PORT: is not a port"),
        ({"POSTHOUSE_GRPC_TLS_CERT": "cert.pem"}, "goes together with"),
        ({"POSTHOUSE_GRPC_TLS_KEY": "key.pem"}, "goes together with"),
        ({"POSTHOUSE_GRPC_TLS_CA": "ca.pem"}, "POSTHOUSE_GRPC_TLS_CA: goes together"),
    ],
)
def test_settings_of_grpc_that_cannot_be(given: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=says):
        read(given, tmp_path)


def test_the_key_within_a_store_url_is_not_shown(tmp_path: Path) -> None:
    given = {"POSTHOUSE_STORE": "grpc://records:50051?key=s3cret&ca=ca.pem"}
    settings, _ = read(given, tmp_path)
    (row,) = [each for each in effective(settings, given, tmp_path) if each.name == "POSTHOUSE_STORE"]
    assert row.value == "grpc://records:50051?key=***&ca=ca.pem"


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("https://post.example/mail/", "127.0.0.1", None, "https://post.example/mail"),
        ("http://[::1]:8025", "127.0.0.1", None, "http://[::1]:8025"),
        (None, "127.0.0.1", None, "http://127.0.0.1:8025"),
        (None, "::1", 9000, "http://[::1]:9000"),
        (None, "0.0.0.0", 0, "http://post.example:8025"),
    ],
)
def test_where_people_reach_us(
    tmp_path: Path, url: str | None, host: str, port: int | None, shown: str
) -> None:
    asked = {"public_url": url, "host": host, "port": port, "hostname": "post.example"}
    settings = given(tmp_path, **{name: str(value) for name, value in asked.items() if value is not None})
    assert public_url(settings) == shown
