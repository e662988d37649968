"""A Dovecot of our own on loopback, with one mailbox."""

from __future__ import annotations

import contextlib
import imaplib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from deliverability.intake.imap import ImapAccess

USER, PASSWORD = "dmarc@example.com", "s3cret påss"

_SETTINGS = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = {folder}/home/mail
first_valid_uid = 1
passdb static {{
  password = {password}
}}
userdb static {{
  fields {{
    uid = nobody
    gid = nogroup
    home = {folder}/home
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


# A folder for spam, and a script that files mail into it.
_SIEVE = """\
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    auto = create
    special_use = \\Junk
  }}
  mailbox Filed {{
    auto = create
  }}
}}
protocol lda {{
  mail_plugins {{
    sieve = yes
  }}
}}
sieve_script personal {{
  driver = file
  path = {folder}/script.sieve
}}
"""


class ImapServer(Struct, frozen=True):
    """A running server; a test fills and looks at the mailbox as a mail program does."""

    port: int
    folder: Path = Path()

    def deliver(self, mail: bytes) -> None:
        """Deliver a mail as a mail server does, through the script."""
        program = shutil.which("dovecot-lda", path="/usr/lib/dovecot:/usr/libexec/dovecot")
        assert program is not None
        settings = str(self.folder / "dovecot.conf")
        subprocess.run([program, "-c", settings, "-d", USER], input=mail, check=True)

    def everything(self) -> dict[str, bytes]:
        """Every file of the mailbox with its octets: what a mail program has seen or marked stands in its name."""
        home = self.folder / "home" / "mail"
        return {
            str(path.relative_to(home)): path.read_bytes()
            for path in sorted(home.rglob("*"))
            if path.is_file() and (path.parent.name in ("cur", "new") or path.name == "dovecot-uidlist")
        }

    def access(self, folder: str = "INBOX", password: str = PASSWORD) -> ImapAccess:
        """How deliv reads a folder."""
        return ImapAccess("127.0.0.1", self.port, "none", USER, password, False, folder)

    @contextmanager
    def client(self, folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
        """A mail program that has the folder open."""
        client = imaplib.IMAP4("127.0.0.1", self.port)
        client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        client.select(folder)
        try:
            yield client
        finally:
            client.logout()

    def fill(self, *mails: bytes) -> None:
        """Put mails into the inbox."""
        with self.client() as client:
            for each in mails:
                assert client.append("INBOX", "", "", each)[0] == "OK"

    def subjects(self, folder: str = "INBOX") -> list[str]:
        """The subjects in a folder, in order."""
        with self.client(folder) as client:
            if client.state != "SELECTED":
                return []
            _, found = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            texts = [bytes(each[1]).decode() for each in found if isinstance(each, tuple)]
            return [text.partition(":")[2].strip() for text in texts]

    def flags(self) -> list[bytes]:
        """The flags of each mail in the inbox."""
        with self.client() as client:
            return [bytes(each) for each in client.fetch("1:*", "(FLAGS)")[1] if isinstance(each, bytes)]


@contextmanager
def dovecot(sieve: str = "") -> Iterator[ImapServer]:
    """A server with an empty mailbox that lives as long as the block; `sieve`: a script for what is delivered."""
    program = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")
    if program is None or os.geteuid() != 0:
        told = "Dovecot is not installed (Debian: apt-get install dovecot-imapd), or this is not root"
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail(told)
        pytest.skip(told)
    if sieve and shutil.which("sievec") is None:
        told = "Dovecot's Sieve is not installed (Debian: apt-get install dovecot-sieve)"
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail(told)
        pytest.skip(told)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="deliv-imap-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "home").mkdir()
        shutil.chown(folder / "home", "nobody", "nogroup")
        settings = folder / "dovecot.conf"
        text = _SETTINGS + (_SIEVE if sieve else "")
        settings.write_text(text.format(folder=folder, port=port, password=PASSWORD), "utf-8")
        (folder / "script.sieve").write_text(sieve, "utf-8")
        server = subprocess.Popen([program, "-F", "-c", str(settings)], stderr=subprocess.DEVNULL)
        try:
            _wait(port, folder / "log")
            yield ImapServer(port, folder)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(600)


def _wait(port: int, log: Path) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
            if line.recv(10).startswith(b"* OK"):
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text() if log.exists() else "it did not start")
