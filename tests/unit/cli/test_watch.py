"""explain, doctor, config, audit: what the house says of a mail, and of itself."""

import socket
import sqlite3
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from posthouse import config, terminal
from posthouse.doctor.house import examine_links
from tests.unit.cli.shell import Ran, Shell, one_line


def lines(ran: Ran, part: str, verdict: str | None = None) -> list[str]:
    """What the doctor found of a part."""
    checks = ran.json["checks"]
    return [c["found"] for c in checks if c["part"] == part and verdict in (None, c["verdict"])]


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person reads along."""
    monkeypatch.setattr(terminal, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def free(posthouse: Shell, monkeypatch: pytest.MonkeyPatch) -> int:
    """A port that nobody listens on, set as the house's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    monkeypatch.setenv("POSTHOUSE_PORT", str(port))
    return port


# explain


def test_explain_says_why_a_mail_is_where_it_is(posthouse: Shell) -> None:
    id = posthouse.send()
    ran = posthouse("explain", id)
    assert (ran.code, ran.json["id"], ran.json["state"]) == (0, id, "pending")
    assert "waits for a worker" in " ".join(ran.json["explanation"])


def test_explain_for_a_person(posthouse: Shell, on_terminal: None) -> None:
    id = posthouse("send", "ann@example.org", "--subject", "x", "--body", "y").out.split('"')[3]
    out = posthouse("explain", id).out
    assert out.startswith("It was accepted at ")
    assert "ann@example.org: not tried yet." in out


def test_explain_over_http(posthouse: Shell, free: int) -> None:
    id = posthouse.send()
    key = "sixteen-characters-and-more"
    server = posthouse.start("serve", log="json", api_key=key)
    try:
        assert server.stdout is not None
        assert any(line.startswith("ready ") for line in server.stdout)
        asked = ("--url", f"http://127.0.0.1:{free}", "--key", key)
        assert posthouse("explain", id, *asked).json["id"] == id
        one_line(posthouse("explain", "no-such", *asked), 2, "no mail with this id")
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_explain_of_an_unknown_id(posthouse: Shell) -> None:
    one_line(posthouse("explain", "no-such"), 2, "no mail with this id")


# audit


def test_an_audit_of_a_store_in_order(posthouse: Shell) -> None:
    posthouse.send()
    ran = posthouse("audit")
    assert (ran.code, ran.json) == (0, {"records": 1, "wrong": 0, "findings": []})


def test_an_audit_that_finds_something(posthouse: Shell, on_terminal: None) -> None:
    posthouse("send", "ann@example.org", "--subject", "x", "--body", "y")
    with sqlite3.connect(posthouse.folder / "posthouse.db") as connection:
        connection.execute("UPDATE messages SET due_at = NULL")
    connection.close()
    ran = posthouse("audit")
    assert ran.code == 1
    assert "due_at beside the record is nothing" in ran.out
    assert "1 records, 1 wrong." in ran.out


# config


def test_config_tells_each_source_and_no_secret(posthouse: Shell) -> None:
    Path("posthouse.toml").write_text('attempts = 5\nstore = "sqlite:///ignored.db"\n')
    secrets = {
        "api_key": "sixteen-secret-characters",
        "transport": "smtp://user:se%40cret@one.example smtp://to_secret_ken@two.example inbox:",
        "queue": "store:?password=topsecret&queue=email",
    }
    ran = posthouse("config", **secrets)
    assert "secret" not in ran.out.replace("se%40cret", "secret")
    shown = {name.removeprefix("POSTHOUSE_"): tuple(row.values()) for name, row in ran.json.items()}
    assert shown["ATTEMPTS"] == (5, "posthouse.toml")
    assert shown["STORE"] == (f"sqlite:///{posthouse.folder}/posthouse.db", "environment")
    assert shown["LEASE"] == (60.0, "default")
    assert shown["API_KEY"] == ("***", "environment")
    assert shown["TRANSPORT"][0] == "smtp://user:***@one.example smtp://***@two.example inbox:"
    assert shown["QUEUE"][0] == "store:?password=***&queue=email"


def test_config_for_a_person(posthouse: Shell, on_terminal: None) -> None:
    out = posthouse("config").out
    assert "POSTHOUSE_API_KEY " in out
    assert "default" in out


# doctor


def test_a_house_before_its_first_start(posthouse: Shell, free: int) -> None:
    ran = posthouse("doctor")
    assert (ran.code, ran.json["ok"]) == (0, True), ran.out
    assert lines(ran, "http") == [f"127.0.0.1:{free} is free; `posthouse serve` would listen there"]
    assert "it is not there yet" in lines(ran, "store")[0]
    assert not (posthouse.folder / "posthouse.db").exists(), "looking must not make it"


def test_a_house_at_work(posthouse: Shell, free: int) -> None:
    server = posthouse.start("serve", log="json", api_key="sixteen-characters-and-more")
    try:
        assert server.stdout is not None
        assert any(line.startswith("ready ") for line in server.stdout)
        ran = posthouse("doctor")
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert ran.code == 0, ran.out
    assert lines(ran, "http") == [f"a Posthouse serves 127.0.0.1:{free} and is ready"]
    assert "a commit is on disk before it is answered (WAL, synchronous=FULL)" in lines(ran, "store", "ok")
    assert "journals: 1 of living workers, 0 of dead ones" in lines(ran, "state")
    assert lines(ran, "queue", "ok")
    assert lines(ran, "work", "ok") == ["no mail is overdue"]
    assert lines(ran, "transport inbox:", "ok")


def test_mail_that_nobody_takes_and_journals_that_nobody_reads(posthouse: Shell, free: int) -> None:
    posthouse.send()
    with sqlite3.connect(posthouse.folder / "posthouse.db") as connection:
        connection.execute("UPDATE messages SET due_at = due_at - 100000000")
    connection.close()
    (posthouse.folder / "state/journals").mkdir(parents=True)
    (posthouse.folder / "state/journals/dead.journal").touch()
    ran = posthouse("doctor")
    assert ran.code == 0
    assert "mail has been due for 10" in lines(ran, "work", "warn")[0]
    assert "journals of 1 dead workers" in lines(ran, "state", "warn")[0]


def test_a_clock_that_was_set_back(posthouse: Shell, free: int) -> None:
    posthouse.send()
    with sqlite3.connect(posthouse.folder / "posthouse.db") as connection:
        connection.execute("UPDATE messages SET record = json_set(record, '$.created_at', 4000000000000000)")
    connection.close()
    assert "in the future" in lines(posthouse("doctor"), "clock", "warn")[0]


def test_a_relay_that_is_away(posthouse: Shell, free: int) -> None:
    ran = posthouse("doctor", transport=f"smtp://127.0.0.1:{free}?tls=none")
    assert (ran.code, ran.json["ok"]) == (1, False)
    assert "Connection refused" in lines(ran, f"transport smtp://127.0.0.1:{free}", "fail")[0]


@pytest.mark.parametrize(
    ("settings", "verdict", "words"),
    [
        ({"transport": "inbox:"}, None, []),
        ({}, "warn", ["nobody else reaches"]),
        ({"public_url": "http://post.example"}, "warn", ["without https"]),
        ({"public_url": "https://post.example/"}, "ok", ["at https://post.example/u/…"]),
        (
            {"public_url": "https://post.example", "store": "elasticsearch://127.0.0.1:1/x"},
            "warn",
            ["a secret of its own"],
        ),
        (
            {
                "public_url": "https://post.example",
                "store": "elasticsearch://127.0.0.1:1/x",
                "secret": "0123456789abcdef" * 2,
            },
            "ok",
            ["people unsubscribe"],
        ),
    ],
)
def test_where_the_links_of_bulk_mail_lead(
    tmp_path: Path, settings: dict[str, str], verdict: str | None, words: list[str]
) -> None:
    given = {"transport": "smtp://relay.example", **settings}
    environ = {f"POSTHOUSE_{name.upper()}": value for name, value in given.items()}
    found = examine_links(config.read(environ, tmp_path)[0])
    assert [check.verdict for check in found] == [verdict] * len(words)
    assert all(word in check.found for word, check in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("settings", "part", "word"),
    [
        ({"transport": "pigeon:"}, "settings", "no transport for pigeon"),
        ({"from": "not an address"}, "settings", "POSTHOUSE_FROM"),
        ({"queue": "pigeon:"}, "queue", "no queue for pigeon"),
        ({"store": "sqlite:////proc/none/posthouse.db"}, "store", "cannot be written"),
        ({"state_dir": "/proc/none"}, "state", "cannot be written"),
        ({"host": "203.0.113.1", "port": "0"}, None, ""),
    ],
)
def test_what_fails_is_a_line(
    posthouse: Shell, free: int, settings: dict[str, str], part: str | None, word: str
) -> None:
    posthouse.send()
    ran = posthouse("doctor", **settings)
    if part is None:
        assert ran.code == 0
    else:
        assert ran.code == 1
        assert word in lines(ran, part, "fail")[0]


def test_a_store_of_another_version(posthouse: Shell, free: int) -> None:
    posthouse.send()
    with sqlite3.connect(posthouse.folder / "posthouse.db") as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'x', 'y', 'z')")
    connection.close()
    ran = posthouse("doctor")
    assert ran.code == 1
    assert "migration 9999" in lines(ran, "store", "fail")[0]


def test_an_unknown_setting_is_a_line(posthouse: Shell, free: int) -> None:
    ran = posthouse("doctor", atempts="3")
    assert ran.code == 0
    assert "POSTHOUSE_ATEMPTS" in lines(ran, "settings", "warn")[0]


class Stranger(BaseHTTPRequestHandler):
    """Somebody else's server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def stranger(free: int) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", free), Stranger)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_somebody_else_on_our_port(posthouse: Shell, stranger: None) -> None:
    ran = posthouse("doctor")
    assert ran.code == 1
    assert "something else answers" in lines(ran, "http", "fail")[0]


def test_the_doctor_for_a_person(posthouse: Shell, free: int, on_terminal: None) -> None:
    ran = posthouse("doctor", transport=f"smtp://127.0.0.1:{free}?tls=none")
    assert ran.code == 1
    assert f"\nfail  transport smtp://127.0.0.1:{free}: no connection" in ran.out
    assert "\n      check host, port and tls" in ran.out


def test_a_system_without_certificates(posthouse: Shell, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(posthouse.folder / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(posthouse.folder / "none"))
    ran = posthouse("doctor")
    assert ran.code == 1
    assert "no store of certificates" in lines(ran, "tls", "fail")[0]
