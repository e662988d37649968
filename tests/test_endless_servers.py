"""Every protocol that is spoken ends by its deadline, with the deadline as the reason, whatever the server does.

Each server here keeps sending: an octet, a line, or as much as it can. Deadlines are set small; before, a server that
sent an octet every few seconds held a weekly run, and the lock on its folder, for ever.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from pathlib import Path

import pytest

from deliverability.console.settings import EmailSettings, WebhookSettings
from deliverability.core.facts.base import Reason
from deliverability.core.net import http
from deliverability.core.net.base import Failed, NoMailHost, NoPage
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.exchange import Exchange, ExchangeError, LineReader
from deliverability.core.net.http import WebFetcher
from deliverability.core.net.servers import Server
from deliverability.core.net.smtp import LiveProber
from deliverability.core.net.static import StaticResolver
from deliverability.intake import imap as mailbox
from deliverability.intake.imap import ImapAccess, ImapError, ImapFolder
from deliverability.weekly.notify import mail
from deliverability.weekly.notify import notifier as webhook
from deliverability.weekly.notify.mail import SmtpChannel
from deliverability.weekly.notify.notifier import WebhookChannel
from deliverability.weekly.notify.outbox import Attempt, Channel, Notification, Outbox
from tests.core.net.test_dns import certified  # noqa: F401
from tests.dripping import after, dripping, imap
from tests.sampled import sampled
from tests.speaking import english
from tests.weekly.notify.test_outbox import notification

pytestmark = pytest.mark.long

DEADLINE, PATIENCE = 0.6, 0.3
HOSTS = StaticResolver({("host.example", "A"): ["127.0.0.1"]})
NEVER_TLS = b"\x16\x03\x03\x3f\xff"  # a record of 16 KB begins, and never ends


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (mail, "TIMEOUT_SECONDS", PATIENCE),
        (mail, "TOTAL_SECONDS", DEADLINE),
        (mail, "CHECK_SECONDS", DEADLINE),
        (webhook, "TIMEOUT_SECONDS", PATIENCE),
        (webhook, "TOTAL_SECONDS", DEADLINE),
        (mailbox, "_PATIENCE", PATIENCE),
        (mailbox, "_EXCHANGE", DEADLINE),
        (mailbox, "_LEAVING", PATIENCE),
        # Long before whoever waits gives up: a handshake that is cancelled leaves its socket to the collector.
        (http, "CONNECT_SHARE", 0.25),
    ):
        monkeypatch.setattr(module, name, value)


# --- the weekly mail ---

HELLO = b"250 host\r\n"
SMTP = {
    "octets of the greeting": ({"drop": b"2"}, "none"),
    "lines of the greeting": ({"drop": b"220-and more\r\n"}, "none"),
    "lines of EHLO": ({"greeting": b"220 host\r\n", "talk": after([]), "drop": b"250-MORE\r\n"}, "none"),
    "octets of EHLO": ({"greeting": b"220 host\r\n", "talk": after([]), "drop": b"2"}, "none"),
    "lines of MAIL": ({"greeting": b"220 host\r\n", "talk": after([HELLO]), "drop": b"250-x\r\n"}, "none"),
    "lines of RCPT": ({"greeting": b"220 host\r\n", "talk": after([HELLO, HELLO]), "drop": b"250-x\r\n"}, "none"),
    "lines of DATA": ({"greeting": b"220 host\r\n", "talk": after([HELLO] * 3), "drop": b"354-x\r\n"}, "none"),
    "STARTTLS": (
        {"greeting": b"220 host\r\n", "talk": after([b"250-host\r\n250 STARTTLS\r\n"]), "drop": b"220-x\r\n"},
        "starttls",
    ),
    "the handshake": ({"greeting": NEVER_TLS, "drop": b"\0"}, "tls"),
    "the handshake after STARTTLS": (
        {
            "greeting": b"220 host\r\n",
            "talk": after([b"250-host\r\n250 STARTTLS\r\n", b"220 go\r\n"]),
            "last": b"STARTTLS",
            "drop": NEVER_TLS,
        },
        "starttls",
    ),
}


def mail_channel(port: int, security: str) -> SmtpChannel:
    return SmtpChannel(
        EmailSettings(("ops@example.com",), "d@example.com", host="127.0.0.1", port=port, security=security),  # type: ignore[arg-type]
        "",
    )


@pytest.mark.parametrize("server", sampled([*SMTP], 3))
def test_the_weekly_mail(server: str) -> None:
    served, security = SMTP[server]
    with dripping(**served) as port:  # type: ignore[arg-type]
        attempt = mail_channel(port, security).send(notification(), 60.0)
    assert attempt.later == ("ops@example.com",)
    assert "timed out" in attempt.problem


@pytest.mark.parametrize("drop", [b"220-and more\r\n" * 4000, b"220" * 40_000])
def test_the_weekly_mail_where_the_server_pours_out_lines(drop: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("TIMEOUT_SECONDS", "TOTAL_SECONDS"):
        monkeypatch.setattr(mail, limit, 3600.0)
    with dripping(drop, pause=0.0) as port:
        attempt = mail_channel(port, "none").send(notification(), 3600.0)
    assert attempt.later == ("ops@example.com",)
    assert "sent more than" in attempt.problem or "too long" in attempt.problem.lower()


def test_the_look_of_doctor_at_the_mail_server() -> None:
    with dripping(b"220-and more\r\n") as port:
        assert "timed out" in mail_channel(port, "none").problem()


# --- the webhook ---

HTTP = {
    "octets of the status": b"H",
    "octets of a header field": b"x",
    "header fields": b"X-More: yes\r\n",
    "1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n",
}
OPENINGS = {
    "octets of a header field": b"HTTP/1.1 200 OK\r\nX-",
    "header fields": b"HTTP/1.1 200 OK\r\n",
    "octets of the status": b"",
    "1xx": b"",
}


def hook(url: str) -> Attempt:
    return WebhookChannel(WebhookSettings(url), "").send(notification(kind="webhook", to=(url,), body=b"{}"), 60.0)


@pytest.mark.parametrize("pause", [0.03, 0.0])
@pytest.mark.parametrize("drops", HTTP)
def test_the_webhook(drops: str, pause: float) -> None:
    with dripping(HTTP[drops], greeting=OPENINGS[drops], pause=pause) as port:
        attempt = hook(f"http://127.0.0.1:{port}/")
    assert attempt.later
    # What pours out is more than a header may have, before the time is over.
    assert "timed out" in attempt.problem or (not pause and "ProtocolError" in attempt.problem)


def test_the_handshake_of_the_webhook() -> None:
    with dripping(b"\0", greeting=NEVER_TLS) as port:
        assert "timed out" in hook(f"https://127.0.0.1:{port}/").problem.lower().replace("timeout", "timed out")


# --- mailboxes ---

IMAP = {
    "octets of the greeting": ({"drop": b"*"}, "none"),
    "lines before the greeting's end": ({"drop": b"* 1 EXISTS\r\n", "greeting": b"* OK hi\r\n"}, "none"),
    **{
        f"untagged lines of {command.decode()}": (
            {"greeting": b"* OK hi\r\n", "talk": imap(command), "drop": b"* 1 EXISTS\r\n"},
            "none",
        )
        for command in (b"CAPABILITY", b"LOGIN", b"SELECT", b"UID SEARCH")
    },
    "a literal": ({"greeting": b"* OK hi\r\n", "talk": imap(b"UID SEARCH"), "drop": b"* 1 FETCH {40}\r\nx"}, "none"),
    "the handshake": ({"greeting": NEVER_TLS, "drop": b"\0"}, "tls"),
}


@pytest.mark.parametrize("server", sampled([*IMAP], 3))
def test_a_mailbox(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served, security = IMAP[server]
    waits: list[float] = []
    if server != "the handshake":
        monkeypatch.setattr(mailbox, "_PATIENCE", 60.0)  # on a busy machine an octet may be long in coming
    with (
        dripping(**served) as port,  # type: ignore[arg-type]
        pytest.raises(ImapError) as met,
        ImapFolder(ImapAccess("127.0.0.1", port, security, "u", "p", False, "INBOX"), sleep=waits.append) as folder,
    ):
        folder.uids(0)
    assert "timed out" in english(met.value.detail)
    if server != "the handshake":
        assert waits == [], "who drips would drip again"


@pytest.mark.parametrize(
    ("talk", "drop"),
    [
        (imap(b"CAPABILITY"), b"* 1 EXISTS\r\n" * 5000),
        (imap(b"UID SEARCH"), b"* 1 FETCH {9999999999999}\r\n"),
        (imap(b"UID SEARCH"), b"* SEARCH " + b"1 " * 50_000),
    ],
    ids=["lines", "a literal of terabytes", "a line without end"],
)
def test_a_mailbox_that_pours_out_is_left(talk: object, drop: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_EXCHANGE", "_PATIENCE"):
        monkeypatch.setattr(mailbox, limit, 3600.0)
    with (
        dripping(drop, greeting=b"* OK hi\r\n", talk=talk, pause=0.0) as port,  # type: ignore[arg-type]
        pytest.raises(ImapError) as met,
        ImapFolder(ImapAccess("127.0.0.1", port, "none", "u", "p", False, "INBOX"), sleep=lambda _: None) as folder,
    ):
        folder.uids(0)
    assert "more than" in english(met.value.detail)


def test_many_exchanges_with_a_mailbox_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command is answered in time, and there is no end of commands."""
    monkeypatch.setattr(mailbox, "_ALL", 0.0)
    with (
        dripping(b"", greeting=b"* OK hi\r\n", talk=imap(b"NEVER")) as port,
        pytest.raises(ImapError) as met,
        ImapFolder(ImapAccess("127.0.0.1", port, "none", "u", "p", False, "INBOX")),
    ):
        pass
    assert "timed out" in english(met.value.detail)


# --- what audits ask ---


@pytest.mark.parametrize("drops", HTTP)
async def test_a_page(drops: str, certified: ssl.SSLContext) -> None:  # noqa: F811
    with dripping(HTTP[drops], greeting=OPENINGS[drops], tls=certified) as port:
        fetcher = WebFetcher(
            SystemClock(), seconds=DEADLINE, port=port, context=_any_certificate(), allowed=lambda _: True
        )
        for found in (
            await fetcher.fetch("https://host.example/", HOSTS),
            await fetcher.post("https://host.example/", "a=b", HOSTS),
        ):
            assert isinstance(found, NoPage)
            assert found.reason is Reason.TIMEOUT


async def test_the_handshake_of_a_page() -> None:
    with dripping(b"\0", greeting=NEVER_TLS) as port:
        fetcher = WebFetcher(
            SystemClock(), seconds=DEADLINE, port=port, context=_any_certificate(), allowed=lambda _: True
        )
        found = await fetcher.fetch("https://host.example/", HOSTS)
    assert isinstance(found, NoPage)
    assert found.reason is Reason.TIMEOUT


@pytest.mark.parametrize("server", [each for each in SMTP if not each.startswith("lines of ") or "EHLO" in each])
async def test_a_mail_server_that_is_looked_at(server: str) -> None:
    served, _ = SMTP[server]
    with dripping(**served) as port:  # type: ignore[arg-type]
        found = await LiveProber(SystemClock(), seconds=DEADLINE, port=port, allowed=lambda _: True).probe(
            "host.example", HOSTS
        )
    assert isinstance(found, NoMailHost)
    assert found.reason in (Reason.TIMEOUT, Reason.REFUSED if server == "the handshake" else Reason.TIMEOUT)


@pytest.mark.parametrize("transport", ["tcp", "tls", "https", "tls handshake", "https handshake"])
async def test_a_resolver(transport: str, certified: ssl.SSLContext) -> None:  # noqa: F811
    handshake = transport.endswith("handshake")
    opening = NEVER_TLS if handshake else b"HTTP/1.1 200 OK\r\nX-" if transport == "https" else b"\xff\xff"
    tls = None if handshake or transport == "tcp" else certified
    with dripping(b"x", greeting=opening, tls=tls) as port:
        async with _truncating(port) as server:
            if transport != "tcp":
                kind = transport.split()[0]
                url = f"https://127.0.0.1:{port}/" if kind == "https" else ""
                server = Server(kind, "127.0.0.1", port, url=url)
            resolver = LiveResolver([server], timeout=DEADLINE, retries=0)
            answer = await resolver.query("example.com", "TXT")
            await resolver.close()
    assert isinstance(answer, Failed)
    assert answer.reason is Reason.TIMEOUT


class _truncating(asyncio.DatagramProtocol):  # noqa: N801
    """Truncates every answer over UDP at the port where TCP drips."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Server:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", self._port)
        )
        return Server("udp", "127.0.0.1", self._port)

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        head = data[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0)
        self._transport.sendto(head + data[12 : data.index(b"\0", 12) + 5], addr)  # type: ignore[arg-type]


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# --- all notifications of a run together ---


class Slow:
    """A channel whose every attempt takes a minute of a clock, and fails."""

    def __init__(self) -> None:
        self.now = 0.0
        self.given: list[float] = []

    def send(self, notification: Notification, seconds: float) -> Attempt:
        self.given.append(seconds)
        self.now += 60.0
        return Attempt(notification.to, problem="no")


def test_the_notifications_of_a_run_end_together_and_what_was_not_tried_waits(tmp_path: Path) -> None:
    outbox, channel = Outbox(tmp_path), Slow()
    for week in range(5):
        outbox.put(notification(f"2026-11-0{week + 1}-mail"))
    channels: dict[mail.NotificationKind, Channel] = {"email": channel}  # type: ignore[name-defined]
    met = outbox.flush(channels, 150.0, lambda: channel.now)
    assert channel.given == [150.0, 90.0, 30.0], "an attempt gets what is left"
    late = "not tried: the 150 s for notifications are over"
    assert [attempt.problem for _, attempt in met] == ["no", "no", "no", late, late]
    assert [each.attempts for each in outbox.waiting()] == [1, 1, 1, 0, 0], "what was not tried was no attempt"


# --- the limits themselves ---


def test_an_exchange_has_so_much_time_and_no_more() -> None:
    clock = [0.0]
    exchange = Exchange(10.0, patience=4.0, octets=100, lines=2, monotonic=lambda: clock[0])
    connection = Pieces()
    for now, patient, waited in ((0.0, False, 4.0), (8.0, False, 2.0), (3.0, True, 7.0)):
        clock[0] = now
        with exchange.wait(connection, patient=patient):  # type: ignore[arg-type]
            assert connection.seconds == waited
    clock[0] = 10.0
    with pytest.raises(ExchangeError, match="not finished within 10 s"):
        exchange.left()
    assert exchange.problem == "timed out (not finished within 10 s)"


class Pieces:
    """A connection on which these pieces come."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [*pieces]
        self.seconds = 0.0

    def settimeout(self, seconds: float) -> None:
        self.seconds = seconds

    def recv(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def reader(*pieces: bytes, octets: int = 1000, lines: int = 100) -> LineReader:
    return LineReader(Pieces(*pieces), Exchange(10.0, patience=4.0, octets=octets, lines=lines))  # type: ignore[arg-type]


def test_lines_are_read_as_from_a_file() -> None:
    lines = reader(b"a\r", b"\nbc", b"d\nefgh", b"ij\n", b"last")
    assert [lines.readline(), lines.readline(3), lines.readline(3)] == [b"a\r\n", b"bcd", b"\n"]
    assert [lines.readline(4), lines.read(1), lines.readline()] == [b"efgh", b"i", b"j\n"]
    assert [lines.read(10), lines.readline(), lines.read(3)] == [b"last", b"", b""]


@pytest.mark.parametrize("limit", [{"octets": 5}, {"lines": 2}])
def test_too_much_ends_it(limit: dict[str, int]) -> None:
    lines = reader(b"a\nb\n", b"c\nd\n", **limit)
    with pytest.raises(ExchangeError, match="more than"):
        [lines.readline() for _ in range(4)]
