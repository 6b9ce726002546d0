"""What the doctor can say of this machine: its clock, its certificates, the address, the journals that lie about."""

import asyncio
import fcntl
import http.client
import os
import ssl
import time
from pathlib import Path

from posthouse.check import Check
from posthouse.server import PortTaken, listen_on

PATIENCE = 10.0
"""Seconds that one answer may take."""
THEN = 1_767_225_600
"""2026 began: no clock that is right shows less."""
ELSE = "stop what is there, or set POSTHOUSE_PORT"


def examine_clock() -> list[Check]:
    """What can be said without asking anybody: leases and records have their own look at it."""
    found: list[Check] = []
    if time.time() < THEN:
        advice = "set it: records and certificates depend on it"
        found.append(Check("clock", "fail", "this machine's clock is years behind", advice))
    if not hasattr(time, "CLOCK_BOOTTIME"):
        text = "this system has no clock that runs through suspend"
        found.append(Check("clock", "warn", text, "do not let this machine sleep while it sends"))
    return found or [Check("clock", "ok", "its date is plausible, and leases are counted through suspend")]


def examine_trust() -> list[Check]:
    """Whether certificates can be verified at all: small images often lack the store."""
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath) if paths.capath else None
    if paths.cafile or (folder and folder.is_dir() and any(folder.iterdir())):
        return [Check("tls", "ok", f"certificates are verified against {paths.cafile or folder}")]
    advice = "install the package ca-certificates, or set SSL_CERT_FILE"
    return [Check("tls", "fail", "this system has no store of certificates", advice)]


async def examine_address(host: str, port: int) -> Check:
    """Whether somebody answers where the API would be, and whether it is one of ours."""
    where = f"{host}:{port}"
    if port == 0:
        return Check("http", "ok", "any free port will be taken")
    try:
        status, body = await asyncio.to_thread(_get_ready, host, port)
    except ConnectionRefusedError:
        return _bindable(host, port)
    except (OSError, http.client.HTTPException) as error:
        found = f"{where} does not answer as HTTP does: {error or type(error).__name__}"
        return Check("http", "fail", found, ELSE)
    if status == 200 and b'"status":"ok"' in body:
        return Check("http", "ok", f"a Posthouse serves {where} and is ready")
    if status == 503 and b"not-ready" in body:
        advice = "see /readyz there, and its log"
        return Check("http", "warn", f"a Posthouse serves {where} but is not ready", advice)
    return Check("http", "fail", f"something else answers on {where}", ELSE)


def _get_ready(host: str, port: int) -> tuple[int, bytes]:
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(asked, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(10_000)
    finally:
        connection.close()


def _bindable(host: str, port: int) -> Check:
    try:
        listen_on(host, port).close()
    except (PortTaken, OSError) as error:
        return Check(
            "http", "fail", str(error), "set POSTHOUSE_HOST and POSTHOUSE_PORT to what this machine has"
        )
    return Check("http", "ok", f"{host}:{port} is free; `posthouse serve` would listen there")


def examine_journals(folder: Path) -> list[Check]:
    """Which workers live here, and whether the journals of dead ones still wait for somebody."""
    journals = list(folder.glob("*.journal"))
    alive = living(folder)
    dead = len(journals) - alive
    found = [Check("state", "ok", f"journals: {alive} of living workers, {dead} of dead ones")]
    if dead and not alive:
        advice = "start a worker (`posthouse serve`): it settles from them what they were sending"
        found = [Check("state", "warn", f"nobody has read the journals of {dead} dead workers yet", advice)]
    return found


def living(folder: Path) -> int:
    """How many journals a living worker of this machine holds."""
    return sum(_held(path) for path in folder.glob("*.journal"))


def _held(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
