"""A private Postfix: plain, STARTTLS + AUTH and implicit-TLS + AUTH ports, delivering @posthouse.test to one Maildir.

Any address of the domain is taken, but `refused@` (550) and `later@` (450). Nothing leaves the machine: every other
domain is refused. Delivered-To tells which recipient a file of the Maildir is for.
"""

import json
import os
import pwd
import shutil
import smtplib
import string
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from certificate import make_certificates
from service import CannotRun, Service, find, free_ports, wait_until

DOMAIN = "posthouse.test"
USER, PASSWORD = "courier", "four horses, no delay"
LIMIT = 30.0
MAIN = string.Template("""\
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/data
maillog_file = $folder/postfix.log
maillog_file_prefixes = $folder
myhostname = mx.$domain
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
local_header_rewrite_clients =
default_transport = error:nothing leaves this machine
virtual_mailbox_domains = $domain
virtual_mailbox_base = $folder
virtual_mailbox_maps = static:mail/
virtual_uid_maps = static:$uid
virtual_gid_maps = static:$gid
message_size_limit = 52428800
virtual_mailbox_limit = 0
in_flow_delay = 0
smtpd_recipient_restrictions =
  check_recipient_access inline:{ {refused@$domain = 550 5.1.1 no such mailbox} {later@$domain = 450 4.2.2 try later} }
  reject_unauth_destination
smtpd_tls_chain_files = $certificate
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = $domain
cyrus_sasl_config_path = $folder/etc/sasl
""")
MASTER = string.Template("""\
127.0.0.1:$plain    inet  n - n - -  smtpd
127.0.0.1:$starttls inet  n - n - -  smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
127.0.0.1:$implicit inet  n - n - -  smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
pickup    unix   n - n 60  1  pickup
cleanup   unix   n - n -   0  cleanup
qmgr      unix   n - n 300 1  qmgr
tlsmgr    unix   - - n 1000? 1 tlsmgr
rewrite   unix   - - n -   -  trivial-rewrite
bounce    unix   - - n -   0  bounce
defer     unix   - - n -   0  bounce
trace     unix   - - n -   0  bounce
verify    unix   - - n -   1  verify
proxymap  unix   - - n -   -  proxymap
anvil     unix   - - n -   1  anvil
scache    unix   - - n -   1  scache
error     unix   - - n -   -  error
retry     unix   - - n -   -  error
virtual   unix   - n n -   -  virtual
postlog   unix-dgram n - n - 1 postlogd
""")
SASL = string.Template("""\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: $folder/etc/sasl/users
mech_list: PLAIN LOGIN
log_level: 1
""")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Runs it below `folder`; gives its address as JSON (see tests/services.py, Postfix)."""
    plain, starttls, implicit = free_ports(3)
    trusted, served = make_certificates(folder)
    _configure(folder, served, plain=plain, starttls=starttls, implicit=implicit)
    with _master(folder):
        for port in (plain, starttls):
            wait_until(lambda port=port: _greets(port), "Postfix's greeting", LIMIT)
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
                "log": str(folder / "postfix.log"),
            }
        )


def _configure(folder: Path, certificate: Path, **ports: int) -> None:
    nobody, owner = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
    for name, user in (("etc", None), ("queue", None), ("etc/sasl", None), ("data", owner), ("mail", nobody)):
        (folder / name).mkdir()
        if user:
            os.chown(folder / name, user.pw_uid, user.pw_gid)
    words = {"folder": folder, "domain": DOMAIN, "certificate": certificate}
    words |= {"uid": nobody.pw_uid, "gid": nobody.pw_gid}
    (folder / "etc/main.cf").write_text(MAIN.substitute(words))
    (folder / "etc/master.cf").write_text(MASTER.substitute(ports))
    (folder / "etc/sasl/smtpd.conf").write_text(SASL.substitute(words))
    _tell(["saslpasswd2", "-p", "-c", "-f", f"{folder}/etc/sasl/users", "-u", DOMAIN, USER], PASSWORD)
    shutil.chown(folder / "etc/sasl/users", "postfix", "postfix")


@contextmanager
def _master(folder: Path) -> Iterator[None]:
    """Starts it, and stops it by the process id that it wrote below `folder`."""
    postfix = ["postfix", "-c", str(folder / "etc")]
    try:
        _tell([*postfix, "start"])
        yield
    except CannotRun as error:
        log = folder / "postfix.log"
        raise CannotRun(f"{error}\n{log.read_text()[-2000:] if log.exists() else ''}") from error
    finally:
        _tell([*postfix, "stop"])


def _greets(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            return client.noop()[0] == 250
    except OSError:
        return False


def _tell(command: Sequence[str], answers: str = "") -> None:
    program = find(command[0]) or command[0]
    done = subprocess.run([program, *command[1:]], input=answers, text=True, capture_output=True)
    if done.returncode:
        raise CannotRun(f"{command[0]} failed: {done.stderr.strip()}")


SERVICE = Service(
    name="postfix",
    variable="POSTHOUSE_TEST_POSTFIX",
    programs=("postfix", "smtp-sink", "smtp-source", "saslpasswd2"),
    packages=("postfix", "sasl2-bin", "libsasl2-modules"),
    running=running,
    root=True,
)
