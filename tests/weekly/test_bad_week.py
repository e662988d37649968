"""A week of `deliv weekly` on a machine where DNS, SMTP, IMAP, the webhook and the disk each fail once a day.

Twice a day it is run by the command line, in a process of its own; which fault meets which run, and where in it, is up
to the seed. Afterwards nothing may be lost, told twice or counted twice, and every run names what it could not do.
"""

from __future__ import annotations

import http.server
import json
import os
import resource
import socket
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from msgspec import Struct, field

from deliverability.cli import main
from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Answer, Failed
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.zone import ZoneResolver
from deliverability.intake import imap
from deliverability.weekly.notify.outbox import Outbox
from tests.intake.reports import metadata, record, report
from tests.killed import in_child, stepping
from tests.lyingimap import Box
from tests.lyingimap import serving as mailbox
from tests.weekly.test_stories import mail

MONDAY = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)
DOMAINS = ("shop.example", "news.example", "parked.example")
Fault = Literal["dns", "smtp", "imap", "webhook", "disk"]
FAULTS: tuple[Fault, ...] = ("dns", "smtp", "imap", "webhook", "disk")


class Mails(Struct):
    """A submission server; with a fault it refuses for now, or breaks off, at one step of the first mail."""

    fault: str = ""
    taken: list[bytes] = field(default_factory=list)

    def serve(self, client: socket.socket) -> None:
        """Talk to one client."""
        with suppress(OSError), client, client.makefile("rb") as lines:
            client.sendall(b"220 hello\r\n")
            for line in iter(lines.readline, b""):
                step = line.split()[0].upper().decode() if line.split() else ""
                if self.fault in (step, f"{step} later"):
                    later, self.fault = self.fault.endswith("later"), ""
                    if not later:
                        return
                    client.sendall(b"451 4.3.0 later\r\n")
                    continue
                client.sendall(b"354 go on\r\n" if step == "DATA" else b"250 OK\r\n")
                if step == "DATA":
                    octets = b"".join(iter(lines.readline, b".\r\n"))
                    if self.fault == "text":
                        self.fault = ""
                        client.sendall(b"452 4.3.1 disk full\r\n")
                        continue
                    self.taken.append(octets)
                    client.sendall(b"250 taken\r\n")


class Machine(Struct):
    """What is around the runs, and what they left behind."""

    folder: Path
    random: Random
    mails: Mails
    box: Box
    hook_faults: list[int]
    hooked: list[str]
    sent_reports: int = 0

    def run(self, now: datetime, faults: tuple[Fault, ...]) -> tuple[int, str]:
        """One run; gives its exit code and what it said."""
        if "smtp" in faults:
            steps = ("EHLO", "MAIL", "RCPT", "RCPT later", "MAIL later", "DATA", "DATA later", "text")
            self.mails.fault = self.random.choice(steps)
        if "webhook" in faults:
            self.hook_faults.append(self.random.choice((0, 429, 500, 503)))
        if "imap" in faults:
            self.box.lie = breaking_off(self.random.randrange(2, 9))
        reading, writing = os.pipe()
        said: list[bytes] = []
        listening = threading.Thread(target=lambda: said.extend(iter(lambda: os.read(reading, 65_536), b"")))
        listening.start()
        disk = self.random.randrange(10, 220) if "disk" in faults else None
        dns = self.random.choice((*DOMAINS, "mail.shop.example", "_dmarc.news.example")) if "dns" in faults else ""
        code = in_child(lambda: self._child(writing, now, dns, disk))
        os.close(writing)
        listening.join()
        os.close(reading)
        self.mails.fault, self.box.lie = "", breaking_off(-1)
        self.hook_faults.clear()
        return code, b"".join(said).decode()

    def _child(self, writing: int, now: datetime, dns: str, disk: int | None) -> None:
        sys.stdout = sys.stderr = os.fdopen(writing, "w")
        os.chdir(self.folder)
        SystemClock.now = lambda _: now  # type: ignore[method-assign]
        imap._WAITS = (0.0,)
        asked = ZoneResolver.query

        async def query(zones: ZoneResolver, name: str, rdtype: str) -> Answer:
            if dns and f".{name.rstrip('.')}".endswith(f".{dns}"):
                return Failed(name, rdtype, Reason.SERVFAIL, VERBATIM(text="by the test"))
            return await asked(zones, name, rdtype)

        ZoneResolver.query = query  # type: ignore[method-assign]
        if disk is not None:
            stepping(full_for_a_while(disk))
        main(["weekly", "--zone", "zones", "--fail-on", "never"])

    def receives(self, day: int) -> None:
        """The reports of a day: one for each of two domains, each of other mails."""
        for domain in DOMAINS[:2]:
            self.sent_reports += 1
            begin = int((MONDAY + timedelta(days=day - 1)).timestamp()) // 86_400 * 86_400
            head = metadata(f"{day}-{domain}", begin, begin + 86_399)
            policy = f"<policy_published><domain>{domain}</domain><p>none</p></policy_published>"
            octets = report(record(count=2**self.sent_reports, author=domain), head=head, policy=policy)
            carrier = EmailMessage()
            carrier["From"], carrier["To"] = "dmarc@receiver.example", "r@shop.example"
            carrier["Subject"] = f"Report Domain: {domain}"
            carrier.set_content("A report.")
            carrier.add_attachment(octets, "application", "xml", filename=f"r!{domain}!{begin}!{begin + 86_399}.xml")
            self.box.add(carrier.as_bytes().replace(b"\n", b"\r\n"))

    @property
    def waiting(self) -> list[str]:
        """What waits in the outbox."""
        return [each.name for each in Outbox(self.folder / "out" / ".outbox").waiting()]

    def summaries(self) -> dict[str, Any]:
        """The summary of each run that was published, by when it began."""
        found = [json.loads(each.read_bytes()) for each in sorted((self.folder / "out").glob("2*/summary.json"))]
        assert len({each["started"] for each in found}) == len(found)
        return {each["started"]: each for each in found}

    def counted(self) -> Counter[int]:
        """How many mails each report that is kept tells of."""
        with closing(sqlite3.connect(self.folder / "h.db")) as history:
            return Counter(messages for (messages,) in history.execute("SELECT messages FROM obs_reports"))


def full_for_a_while(step: int) -> Callable[[], None]:
    """From that step on, and for three more, no file can grow."""
    done = [0]
    most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def take() -> None:
        done[0] += 1
        if done[0] == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
        elif done[0] == step + 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)

    return take


def breaking_off(at: int) -> Callable[[bytes, bytes], bytes | None]:
    """The line breaks at that command of the first connection, and at the first one of the next: a run's patience."""
    left = [at, 0]

    def lie(command: bytes, answer: bytes) -> bytes | None:
        if left and at >= 0:
            left[0] -= 1
            if left[0] < 0:
                left.pop(0)
                return None
        return answer

    return lie


@contextmanager
def webhook(faults: list[int], got: list[str]) -> Iterator[int]:
    """Takes documents by their key; with a fault, refuses for now, or (0) takes one and hangs up without an answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            fault = faults.pop() if faults else 204
            if fault in (0, 204):
                got.append(self.headers["Idempotency-Key"])
            if fault == 0:
                self.close_connection = True
                return
            self.send_response(fault)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def submission(mails: Mails) -> Iterator[int]:
    """The port of the mail server."""

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=mails.serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def machine(folder: Path, seed: int) -> Iterator[Machine]:
    """Three domains, one with a message, and everybody who is told."""
    mails, box, faults, hooked = Mails(), Box(), [], []  # type: ignore[var-annotated]
    with submission(mails) as smtp, mailbox(box) as box_port, webhook(faults, hooked) as hook:
        (folder / "zones").mkdir()
        for domain in DOMAINS:
            spf = "v=spf1 -all" if domain.startswith("parked") else "v=spf1 mx -all"
            (folder / "zones" / f"{domain}.zone").write_text(
                f"$ORIGIN {domain}.\n@ 300 IN SOA ns h 1 2 3 4 5\n@ 300 IN NS ns\n@ 300 IN MX 10 mail\n"
                f'mail 300 IN A 192.0.2.1\n@ 300 IN TXT "{spf}"\n_dmarc 300 IN TXT "v=DMARC1; p=none"\n'
            )
        (folder / "news.eml").write_bytes(mail(1))
        (folder / "password").write_text("secret")
        (folder / "deliv.toml").write_text(
            'history = "sqlite:///h.db"\noutput = "out"\n'
            '[[domain]]\nname = "shop.example"\nmessages = ["news.eml"]\n'
            '[[domain]]\nname = "news.example"\n[[domain]]\nname = "parked.example"\n'
            f'[notify.email]\nto = ["me@shop.example"]\nsender = "deliv@shop.example"\nhost = "127.0.0.1"\n'
            f'port = {smtp}\nsecurity = "none"\n'
            f'[notify.webhook]\nurl = "http://127.0.0.1:{hook}/"\n'
            f'[[feedback.mailbox]]\nname = "dmarc"\nhost = "127.0.0.1"\nport = {box_port}\nsecurity = "none"\n'
            'username = "u"\npassword_file = "password"\ndone = "delete"\n'
        )
        yield Machine(folder, Random(seed), mails, box, faults, hooked)


def live(there: Machine, days: int) -> None:
    """The days, and a run on the day after, when all is well again."""
    for day in range(days):
        there.receives(day)
        faults = list(FAULTS)
        there.random.shuffle(faults)
        cut = there.random.randrange(len(faults) + 1)
        for number, some in enumerate((faults[:cut], faults[cut:])):
            now = MONDAY + timedelta(days=day, hours=8 * number)
            code, said = there.run(now, tuple(some))
            about = f"day {day}, run {number}, {some}: {code}\n{said}"
            assert "Traceback" not in said, about
            assert "internal error" not in said, about
            assert code in (0, 1, 2, 3), about
            if there.waiting:
                assert code in (2, 3), about
                assert "tries again" in said or code == 2, about
            if code == 2:
                assert said.startswith("Error: "), about
    code, said = there.run(MONDAY + timedelta(days=days), ())
    assert (code, there.waiting) == (0, []), said


def nothing_is_missing(there: Machine) -> None:
    """What has to hold after a week, whatever happened in it."""
    summaries = there.summaries()
    for summary in summaries.values():
        assert [each["domain"] for each in summary["subjects"]] == [*DOMAINS]
        for each in summary["subjects"]:
            assert each["verdicts"] or each["problems"], each
    mails = Counter(str(message_from_bytes(each)["Message-ID"]) for each in there.mails.taken)
    assert len(mails) == len(summaries), "one mail a run"
    assert set(mails.values()) == {1}, "and each once"
    assert len(set(there.hooked)) == len(summaries), "one document a run; what came twice has the same key"
    assert there.counted() == Counter({2**number: 1 for number in range(1, there.sent_reports + 1)})
    assert there.box.mails == {}


@pytest.mark.long
def test_a_bad_day(tmp_path: Path) -> None:
    with machine(tmp_path, 1) as there:
        live(there, 1)
        nothing_is_missing(there)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_bad_week(tmp_path: Path, seed: int) -> None:
    with machine(tmp_path, seed) as there:
        live(there, 7)
        nothing_is_missing(there)
        assert len(there.summaries()) >= 7
