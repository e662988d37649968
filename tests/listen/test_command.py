"""`deliv listen` as it is started: for CI, beside a mail program, and where it must not start."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx2
import pytest
from msgspec import Struct

from deliverability.console.types import HostPort, Size
from deliverability.core.errors import InputError
from tests.browser import require
from tests.console.test_cli import GOLDEN, Deliv
from tests.listen.test_receive import certificate

pytestmark = pytest.mark.long

MAIL = (GOLDEN / "good.eml").read_bytes()
ZONE = ("--zone", str(GOLDEN / "good.zone"))


@pytest.fixture
def deliv(monkeypatch: pytest.MonkeyPatch) -> Deliv:
    return Deliv(monkeypatch)


class Started(Struct):
    """A listener of a process of its own."""

    process: subprocess.Popen[str]
    smtp: int
    web: int

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def memory(self, name: str) -> int:
        """Kilobytes by /proc, VmRSS or VmHWM."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[0])

    def send(self, octets: bytes, sender: str = "bounce@good.example") -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp, local_hostname="client.example.com") as client:
            client.sendmail(sender, ["b@example.com"], octets)

    def get(self, path: str, **params: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.web}{path}", params=params, timeout=600)


@contextmanager
def listening(*args: str, web: bool = True) -> Iterator[Started]:
    command = [sys.executable, "-m", "deliverability", "listen", "--lang", "en", "--smtp", "127.0.0.1:0"]
    command += ["--web", "127.0.0.1:0" if web else "none", *args]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stderr is not None
        smtp = _port(process.stderr)
        yield Started(process, smtp, _port(process.stderr) if web else 0)
    finally:
        process.kill()
        process.communicate()


def _port(stream: IO[str]) -> int:
    """The port that the next line names."""
    line = stream.readline()
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    assert found is not None, line + stream.read()
    return int(found[1])


def test_a_mail_is_told_audited_and_served(tmp_path: Path) -> None:
    with listening("--dir", str(tmp_path / "mails"), *ZONE) as started:
        started.send(MAIL)
        found = started.get("/api/wait", match="bounce@good.example").json()
        assert found["envelope"]["helo"] == "client.example.com"
        assert found["summary"]["domain"] == "good.example"
        assert found["id"] in started.line()
        assert found["summary"]["leads"]["en"] in started.line()
        raw = started.get(f"/api/messages/{found['id']}/raw").content
        assert raw == re.sub(rb"\r?\n", b"\r\n", MAIL)
        assert started.get(f"/api/messages/{found['id']}/report.html").headers["content-type"].startswith("text/html")
        assert (tmp_path / "mails" / found["id"] / "facts.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """With somebody following the events, and a sender in the middle of a message."""
    with listening("--dir", str(tmp_path), *ZONE) as started, smtplib.SMTP("127.0.0.1", started.smtp) as client:
        client.ehlo()
        client.mail("a@example.com")
        client.rcpt("b@example.com")
        client.docmd("DATA")
        with httpx2.stream("GET", f"http://127.0.0.1:{started.web}/api/events", timeout=600) as events:
            assert events.status_code == 200
            started.process.send_signal(number)
            out, err = started.process.communicate(timeout=600)
        client.close()
    assert started.process.returncode == 128 + number
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_memory_is_bounded_by_the_largest_message(tmp_path: Path) -> None:
    """60 MB and three times its size, the listener alone; thereafter it is given back."""
    line = b"x" * 76 + b"\r\n"
    octets = b"From: a@good.example\r\n\r\n" + line * (25_000_000 // len(line))
    with listening("--dir", str(tmp_path), "--offline", *ZONE) as started:
        started.get("/")
        assert started.memory("VmRSS") * 1024 < 60_000_000
        for _ in range(3):
            started.send(octets)
        assert started.memory("VmHWM") * 1024 < 60_000_000 + 3 * len(octets)
        # Once the last one is written and listed; on a busy machine that takes a moment.
        patience = time.monotonic() + 600
        while started.memory("VmRSS") * 1024 > 60_000_000 + len(octets) and time.monotonic() < patience:
            time.sleep(0.1)
        assert started.memory("VmRSS") * 1024 < 60_000_000 + len(octets)


def once(*args: str, mails: int) -> tuple[int, str]:
    with listening("--once", *ZONE, *args, web=False) as started:
        for _ in range(mails):
            started.send(MAIL)
        _, err = started.process.communicate(timeout=600)
        return started.process.returncode, err


def test_once_writes_what_audit_writes_and_exits_like_it(tmp_path: Path) -> None:
    code, _ = once("--dir", str(tmp_path / "mails"), "-o", str(tmp_path / "once.json"), mails=1)
    (mail,) = (tmp_path / "mails").glob("*/raw.eml")
    audited = subprocess.run(
        [
            sys.executable,
            "-m",
            "deliverability",
            "audit",
            "--eml",
            f"{mail.parent.name}/raw.eml",
            *ZONE,
            "-o",
            "a.json",
        ],
        cwd=tmp_path / "mails",
        check=False,
    )
    assert code == audited.returncode
    one, other = (json.loads(path.read_text("utf-8")) for path in (tmp_path / "once.json", tmp_path / "mails/a.json"))
    assert one.pop("run").keys() == other.pop("run").keys()
    assert one == other


@pytest.mark.slow
def test_once_with_several_and_with_too_few(tmp_path: Path) -> None:
    output = tmp_path / "all.json"
    code, _ = once("--expect", "2", "--fail-on", "never", "-o", str(output), mails=2)
    assert (code, len(json.loads(output.read_text("utf-8")))) == (0, 2)
    code, err = once("--timeout", "0.5", "--fail-on", "never", mails=0)
    assert code == 3
    assert "Only 0 of 1 messages arrived" in err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--smtp", "0.0.0.0:2525"), "other machines can reach --smtp 0.0.0.0:2525, which requires --public"),
        (("--web", "192.0.2.1:80"), "other machines can reach --web 192.0.2.1:80"),
        (("--smtp", "[::]:25"), "other machines can reach --smtp [::]:25"),
        (("--smtp", "mail.example.com:25"), "other machines can reach --smtp mail.example.com:25"),
        (("--public",), "--public also needs --hostname, --tls-cert, --tls-key, --token-env"),
        (("--public", "--web", "none", "--hostname", "a.example"), "needs --tls-cert, --tls-key, --token-env, --web"),
        (("--smtp", "25"), "--smtp needs an address and a port"),
        (("--smtp", "127.0.0.1:99999"), "--smtp needs an address and a port"),
        (("--max-size", "1TB"), "--max-size needs a size"),
        (("--expect", "2"), "--expect: only together with --once"),
        (("-o", "report.html"), "--output: only together with --once"),
        (("--receiver", "nobody", "--keep", "0"), "nobody"),
    ],
)
def test_where_it_does_not_start(deliv: Deliv, args: tuple[str, ...], told: str) -> None:
    port = ("--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0") if not {"--smtp", "--web"} & set(args) else ()
    done = deliv("listen", "--lang", "en", *port, *args)
    assert done.code == 2
    assert told in done.err


def test_public_needs_a_token_that_cannot_be_guessed(
    deliv: Deliv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate(tmp_path)
    args = ["listen", "--lang", "en", "--public", "--hostname", "mx.example.com", "--token-env", "DELIV_TEST_TOKEN"]
    args += ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    done = deliv(*args)
    assert (done.code, "DELIV_TEST_TOKEN is not set" in done.err) == (2, True)
    monkeypatch.setenv("DELIV_TEST_TOKEN", "short")
    done = deliv(*args)
    assert (done.code, "too short" in done.err) == (2, True)


def test_once_in_public_tells_the_address_to_send_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate(tmp_path)
    monkeypatch.setenv("DELIV_TEST_TOKEN", "correct-horse-battery-staple")
    public = ["--once", "--public", "--hostname", "mx.example.com", "--token-env", "DELIV_TEST_TOKEN", *ZONE]
    public += ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    with listening(*public, "--fail-on", "never", web=False) as started:
        assert started.process.stderr is not None
        found = re.search(r"t-[0-9a-z]{26}@mx\.example\.com", started.process.stderr.readline())
        assert found
        with smtplib.SMTP("127.0.0.1", started.smtp) as client:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("bounce@good.example", ["b@example.com"], MAIL)
            client.sendmail("bounce@good.example", [found[0]], MAIL)
        started.process.communicate(timeout=600)
        assert started.process.returncode == 0


def test_a_public_listener_takes_mail_to_tests_alone(tmp_path: Path) -> None:
    certificate(tmp_path)
    token = "correct-horse-battery-staple"
    public = ["--public", "--hostname", "mx.example.com", "--token-env", "DELIV_TEST_TOKEN", "--keep", "0", *ZONE]
    public += ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    os.environ["DELIV_TEST_TOKEN"] = token
    try:
        with listening(*public) as started:
            assert started.get("/api/messages").status_code == 401
            url = f"http://127.0.0.1:{started.web}/api/tests"
            test = httpx2.post(url, headers={"Authorization": f"Bearer {token}"}).json()["address"]
            with smtplib.SMTP("127.0.0.1", started.smtp) as client:
                client.starttls()
                with pytest.raises(smtplib.SMTPRecipientsRefused):
                    client.sendmail("bounce@good.example", ["victim@example.org"], MAIL)
                client.sendmail("bounce@good.example", [test], MAIL)
            headers = {"Authorization": f"Bearer {token}"}
            found = httpx2.get(
                f"http://127.0.0.1:{started.web}/api/wait", params={"match": test}, headers=headers, timeout=60
            ).json()
            assert (found["envelope"]["rcpt"], found["envelope"]["tls"]) == ([test], "TLSv1.3")
            # The test's client is on this machine: its connection is not one that a receiver would see.
            assert found["envelope"]["public"] is False
    finally:
        del os.environ["DELIV_TEST_TOKEN"]


HEAD = b"From: a@good.example\r\nSubject: %s\r\n"
LINE = b"x" * 76 + b"\r\n"
SAMPLES = {
    "plain": HEAD % b"plain" + b"\r\nHello\r\n",
    "iso-2022-jp": HEAD % b"iso-2022-jp"
    + b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n"
    + "秋のセール\r\n".encode("iso-2022-jp"),
    "shift-jis": HEAD % b"shift-jis"
    + b"Content-Type: text/plain; charset=shift_jis\r\n\r\n"
    + "表示ソ\r\n".encode("shift_jis"),
    "utf-8": HEAD % "件名 utf-8".encode() + b"\r\n\r\nbody \xe3\x81\x82\r\n",
    "dots": HEAD % b"dots" + b"\r\n.\r\n..\r\n.hidden\r\n",
    "bare-lf": HEAD % b"bare-lf" + b"\r\none\n.\ntwo\r\n",
    "long-line": HEAD % b"long-line" + b"\r\n" + b"y" * 100_000 + b"\r\n",
    "octets": HEAD % b"octets" + b"\r\n" + bytes(range(256)).replace(b"\r\n", b"") + b"\r\n",
    "large": HEAD % b"large" + b"\r\n" + LINE * (25_000_000 // len(LINE)),
}
"""Messages that programs send, by their subject."""


def stuffed(octets: bytes) -> bytes:
    """As they travel (RFC 5321 section 4.5.2): line ends are CRLF alone."""
    return re.sub(rb"(\A|\r\n)\.", rb"\1..", octets) + b".\r\n"


def spoken(port: int, pieces: list[bytes], replies: int) -> None:
    """Say all of that without waiting, and read so many replies."""
    with socket.create_connection(("127.0.0.1", port), timeout=600) as client, client.makefile("rb") as answers:
        client.sendall(b"".join(pieces))
        for _ in range(replies):
            while (line := answers.readline())[3:4] == b"-":
                pass
            assert line[:1] in b"23", line


def test_what_programs_send_is_on_the_page_as_soon_as_it_was_taken_octet_for_octet(tmp_path: Path) -> None:
    """Whether they wait for replies, send all at once, or write addresses in letters of their own."""

    def transaction(octets: bytes, sender: str = "a@good.example", more: str = "") -> list[bytes]:
        begin = f"MAIL FROM:<{sender}> {more}\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
        return [begin.encode(), stuffed(octets)]

    with listening("--dir", str(tmp_path), "--offline") as started:
        for name, octets in SAMPLES.items():
            spoken(started.smtp, [b"EHLO client.example.com\r\n", *transaction(octets), b"QUIT\r\n"], 7)
            newest = started.get("/api/messages").json()["messages"][0]
            assert name in newest["subject"]
            assert started.get(f"/api/messages/{newest['id']}/raw").content == octets
            assert name in started.get("/").text
        two = [*transaction(SAMPLES["dots"], ""), *transaction(SAMPLES["plain"], "用户@例え.example", "SMTPUTF8")]
        spoken(started.smtp, [b"EHLO c\r\n", *two, b"QUIT\r\n"], 11)
        with smtplib.SMTP("127.0.0.1", started.smtp) as client:
            client.sendmail("a@good.example", "用户@例え.example", SAMPLES["plain"], ["SMTPUTF8", "BODY=8BITMIME"])
        found = started.get("/api/messages").json()["messages"]
    assert [each["envelope"]["mail_from"] for each in found[:3]] == ["a@good.example", "用户@例え.example", ""]
    assert found[0]["envelope"]["rcpt"] == ["用户@例え.example"]
    assert len(found) == 12


def test_what_is_no_message_is_refused_and_a_message_of_the_same_sender_taken(tmp_path: Path) -> None:
    with listening("--dir", str(tmp_path), "--offline", web=False) as started:
        for octets in (b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"$ORIGIN example.com.\r\n@ IN A 192.0.2.1\r\n"):
            with pytest.raises(smtplib.SMTPDataError, match="not an email"):
                started.send(octets)
        started.send(MAIL)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.system
def test_swaks_is_understood(tmp_path: Path) -> None:
    swaks = require(shutil.which("swaks"), "swaks (Debian: apt install swaks)")
    mails = tmp_path / "mails"
    jp, large = (tmp_path / name for name in ("jp.eml", "large.eml"))
    jp.write_bytes(SAMPLES["iso-2022-jp"])
    large.write_bytes(SAMPLES["large"])
    with listening("--dir", str(mails), *ZONE, web=False) as started:
        command = [swaks, "--server", f"127.0.0.1:{started.smtp}", "--helo", "client.example.com", "--hide-all"]
        command += ["--from", "a@good.example", "--to", "b@example.com,c@example.com"]
        for more in (
            (),
            ("--pipeline",),
            ("--data", f"@{GOLDEN / 'good.eml'}"),
            ("--attach", f"@{GOLDEN / 'good.eml'}"),
            ("--body", ".\n..\n"),
            ("--data", f"@{jp}"),
            ("--data", f"@{large}"),
        ):
            subprocess.run([*command, *more], check=True, timeout=600)
        for _ in range(7):
            ident = started.line().split(" ")[0]
            assert (mails / ident).is_dir()
            started.line()
    kept = [json.loads(path.read_text("utf-8")) for path in sorted(mails.glob("*/meta.json"))]
    assert [each["envelope"]["rcpt"] for each in kept] == [["b@example.com", "c@example.com"]] * 7
    raw = [(mails / each["id"] / "raw.eml").read_bytes() for each in kept]
    assert b"\r\n.\r\n..\r\n" in raw[4]
    assert raw[5].rstrip() == SAMPLES["iso-2022-jp"].rstrip()
    assert len(raw[6]) >= len(SAMPLES["large"])


@pytest.mark.parametrize(
    ("text", "octets"), [("50MB", 50_000_000), ("500kB", 500_000), ("1000", 1000), ("1 m", 1_000_000)]
)
def test_sizes(text: str, octets: int) -> None:
    assert Size().convert(text, None, None) == octets


@pytest.mark.parametrize("text", ["0", "", "x", "1.5MB", "-1", "1000GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError):
        Size().convert(text, None, None)


def test_addresses_to_listen_at() -> None:
    kind = HostPort("none")
    assert kind.convert("[::1]:25", None, None) == ("::1", 25)
    assert kind.convert("localhost:0", None, None) == ("localhost", 0)
    assert kind.convert("None", None, None) is None


def test_without_its_extra_it_says_how_to_get_it(deliv: Deliv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "deliverability.listen.serve", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = deliv("listen", "--lang", "en")
    assert done.code == 2
    assert 'pipx install ".[listen]"' in done.err
