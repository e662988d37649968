"""`deliv seeds` against a real IMAP server that files spam by a script: it finds each mail, and leaves no trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.seeds.mailbox import SeedMailbox
from deliverability.seeds.values import Folder, Mark, Seed
from tests.imapserver import PASSWORD, USER, ImapServer, dovecot
from tests.seeds.receivers import mail

pytestmark = pytest.mark.system

SCRIPT = """\
require ["fileinto"];
if header :contains "Authentication-Results" "dmarc=fail" { fileinto "Junk"; }
elsif header :contains "Subject" "offer" { fileinto "Filed"; }
"""


@pytest.fixture
def server() -> Iterator[ImapServer]:
    with dovecot(SCRIPT) as running:
        yield running


def arriving(token: str, *, dmarc: str = "pass", subject: str = "Hello") -> bytes:
    """A mail as its receiver takes it, with what that recorded on top."""
    recorded = f"Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=example.com; dmarc={dmarc}\r\n"
    return recorded.encode() + mail(header=f"X-Deliv-Seed: {token}\r\n", subject=subject)


def settings(server: ImapServer, folder: Path) -> Path:
    file = folder / "deliv.toml"
    file.write_text(
        f'history = "sqlite:///{folder}/history.sqlite3"\n[[seed]]\nname = "box"\naddress = "me@gmail.com"\n'
        f'host = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\nusername = "{USER}"\n'
        f'password_env = "SEED_PASSWORD"\nauthserv = ["mx.example.net"]\n'
    )
    return file


def run(file: Path, *words: str, password: str = PASSWORD) -> tuple[int, str]:
    env = {"SEED_PASSWORD": password, "DELIV_LANG": "en"}
    args = ["seeds", *words, "--config", str(file)]
    result = CliRunner().invoke(deliv, args, env=env, standalone_mode=False)
    return result.return_value, result.output


def lines(output: str) -> list[dict]:
    return [json.loads(each) for each in output.splitlines() if each.startswith("{")]


def test_each_mail_is_found_where_the_script_put_it(server: ImapServer, tmp_path: Path) -> None:
    file = settings(server, tmp_path)
    cases = {
        "inbox1": (arriving("inbox1"), "inbox"),
        "spam11": (arriving("spam11", dmarc="fail"), "spam"),
        "filed1": (arriving("filed1", subject="An offer"), "other"),
    }
    for octets, _ in cases.values():
        server.deliver(octets)
    for token, (_, folder) in cases.items():
        code, output = run(file, "await", token, "--minutes", "0", "--offline", "--format", "json")
        (found,) = lines(output)
        assert (code, found["folder"], found["mailbox"], found["receiver"]) == (0, folder, "box", "gmail")
        assert found["auth"] == {"spf": "pass", "dmarc": "fail" if folder == "spam" else "pass"}
        assert found["delay_s"] is not None
    code, output = run(file, "await", "nowhere", "--minutes", "0", "--offline", "--format", "json")
    assert (code, lines(output)[0]["folder"]) == (0, "missing")
    shape = json.loads(run(file, "matrix", "--format", "json")[1])
    assert shape["all"]["n"] == 4


def test_a_hundred_looks_change_nothing(server: ImapServer) -> None:
    """Flags, UIDs and every octet: filters learn from what is opened and moved."""
    for token in ("inbox1", "spam11"):
        server.deliver(arriving(token, dmarc="fail" if token == "spam11" else "pass"))
    access = server.access()
    box = Seed("box", "", USER, "127.0.0.1", lambda: access)
    at = datetime.now(UTC)
    with closing(SeedMailbox(box)) as mailbox:  # the server numbers what is new
        mailbox.look(Mark("nowhere", "", at), everywhere=True)
    before = server.everything()
    for _ in range(10):
        with closing(SeedMailbox(box)) as mailbox:
            for number in range(10):
                token = ("inbox1", "spam11", "nowhere")[number % 3]
                found = mailbox.look(Mark(token, "", at), everywhere=True)
                assert (found.folder if found else None) == (Folder.INBOX, Folder.SPAM, None)[number % 3]
    assert server.everything() == before
    assert not [flags for flags in server.flags() if b"Seen" in flags]


def test_no_secret_is_told(server: ImapServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither where it is right nor where it is wrong, not even to those who look for an error of the program."""
    file = settings(server, tmp_path)
    server.deliver(arriving("inbox1"))
    said = ""
    for password in (PASSWORD, "wr0ng-s3cret"):
        env = {"SEED_PASSWORD": password, "DELIV_LANG": "en"}
        for words in (["list"], ["await", "inbox1", "--minutes", "0", "--offline"]):
            result = CliRunner().invoke(deliv, ["--debug", "seeds", *words, "--config", str(file)], env=env)
            said += result.output
    said += "".join(capfd.readouterr())
    assert "not readable" in said
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    for secret in (PASSWORD, "wr0ng-s3cret"):
        assert secret not in said
        assert secret.encode() not in kept


def test_a_password_that_is_wrong_is_told_and_the_code_is_3(server: ImapServer, tmp_path: Path) -> None:
    code, output = run(settings(server, tmp_path), "await", "inbox1", "--minutes", "0", "--offline", password="no")
    assert code == 3, output
    assert re.search(r"box \(Gmail\): not readable\n\s+Login failed", output)
