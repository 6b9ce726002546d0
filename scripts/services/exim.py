"""A private Exim: plain, STARTTLS + AUTH and implicit-TLS + AUTH ports, delivering @posthouse.test to one Maildir.

Any address of the domain is taken, but `refused@` (550) and `later@` (450). Nothing leaves the machine: every other
domain is refused. Envelope-To tells which recipient a file of the Maildir is for.

Debian's mail servers cannot be installed side by side, so the package is only unpacked, and run from our folder; its
libraries are installed and its system user is made, as the package would do.
"""

import json
import os
import pwd
import shutil
import smtplib
import string
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import debian
from certificate import make_certificates
from service import CannotRun, Service, find, free_ports, wait_until

DOMAIN = "posthouse.test"
USER, PASSWORD = "courier", "four horses, no delay"
OWNER = "Debian-exim"
PACKAGE = "exim4-daemon-light"
LIMIT = 30.0
CANNOT_LOAD = 127
"""The exit code of a program whose libraries are not there."""
CONFIGURATION = string.Template("""\
primary_hostname = mx.$domain
spool_directory = $folder/spool
log_file_path = $folder/log/%slog
pid_file_path = $folder/spool/exim.pid
exim_path = $folder/exim4
exim_user = $owner
exim_group = $owner
never_users =
keep_environment =
deliver_drop_privilege
local_interfaces = 127.0.0.1
daemon_smtp_ports = $plain : $starttls : $implicit
tls_on_connect_ports = $implicit
tls_advertise_hosts = *
tls_certificate = $certificate
tls_privatekey = $certificate
auth_advertise_hosts = $${if and{{def:tls_in_cipher}{!eq{$$received_port}{$plain}}}{*}}
smtputf8_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = 50M
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
acl_smtp_rcpt = recipient
acl_smtp_data = taken

begin acl
recipient:
  deny message = 5.7.1 log in first
    condition = $${if !eq{$$received_port}{$plain}}
    !authenticated = *
  deny message = 5.7.1 nothing leaves this machine
    !domains = $domain
  deny message = 5.1.1 no such mailbox
    local_parts = refused
  defer message = 4.2.2 try later
    local_parts = later
  accept
taken:
  accept

begin routers
ours:
  driver = accept
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = $folder/mail
  user = $owner
  group = $owner
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = $${if and{{eq{$$auth2}{$user@$domain}}{eq{$$auth3}{$password}}}}
  server_set_id = $$auth2
""")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it below `folder`; gives its address as JSON (see tests/services.py, Exim)."""
    program = _program(folder)
    plain, starttls, implicit = free_ports(3)
    trusted, served = make_certificates(folder)
    _configure(folder, served, plain=plain, starttls=starttls, implicit=implicit)
    with _daemon(program, folder):
        for port in (plain, starttls):
            wait_until(lambda port=port: _greets(port), "Exim's greeting", LIMIT)
        yield json.dumps(
            {
                "host": "127.0.0.1",
                "domain": DOMAIN,
                "plain": plain,
                "starttls": starttls,
                "implicit": implicit,
                "user": f"{USER}@{DOMAIN}",
                "password": PASSWORD,
                "ca": str(trusted),
                "maildir": str(folder / "mail"),
                "log": str(folder / "log/mainlog"),
            }
        )


def _program(folder: Path) -> Path:
    """The program, copied to where its own user may run it, with what it needs."""
    debian.make_user(OWNER)
    found = find("exim4") or debian.unpack(PACKAGE) / "usr/sbin/exim4"
    program = Path(shutil.copy(found, folder / "exim4"))
    if subprocess.run([program, "-bV"], capture_output=True).returncode == CANNOT_LOAD:
        debian.install_libraries(PACKAGE)
    return program


def _configure(folder: Path, certificate: Path, **ports: int) -> None:
    owner = pwd.getpwnam(OWNER)
    for name in ("spool", "mail", "log"):
        (folder / name).mkdir()
        os.chown(folder / name, owner.pw_uid, owner.pw_gid)
    shutil.chown(certificate, OWNER, OWNER)
    words = {"folder": folder, "domain": DOMAIN, "owner": OWNER, "certificate": certificate}
    words |= {"user": USER, "password": PASSWORD}
    (folder / "exim.conf").write_text(CONFIGURATION.substitute(words, **ports))


@contextmanager
def _daemon(program: Path, folder: Path) -> Iterator[None]:
    """Starts it in the foreground, and ends that process."""
    with (folder / "out").open("wb") as out:
        command = [program, "-C", str(folder / "exim.conf"), "-bdf"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield
    except CannotRun as error:
        raise CannotRun(f"{error}\n{(folder / 'out').read_text()[-2000:]}") from error
    finally:
        process.terminate()
        process.wait(LIMIT)


def _greets(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            return client.noop()[0] == 250
    except OSError:
        return False


SERVICE = Service(
    name="exim",
    variable="POSTHOUSE_TEST_EXIM",
    programs=(),
    packages=(),
    running=running,
    root=True,
)
