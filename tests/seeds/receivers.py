"""Twelve kinds of receivers, simulated, and a clock that only waiting moves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from deliverability.intake.imap import ImapAccess
from deliverability.seeds.values import Mark, Seed
from tests.seeds.fakeimap import FakeFolder, FakeReceiver

NOW = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
TOKEN = "k3m9xq2pw7ab"
MARK = Mark(TOKEN, "", NOW)
USER = "me@example.com"


class Kind(Struct, frozen=True):
    """A kind of receiver: how its server is, what the settings say of it, and where its mails lie."""

    make: Callable[[], FakeReceiver]
    spam_name: bytes
    other_name: bytes
    spam: str = ""
    token: bool = False


def _folders(*named: tuple[bytes, bytes]) -> list[FakeFolder]:
    return [FakeFolder(b"INBOX", b"\\HasNoChildren"), *(FakeFolder(name, flags) for name, flags in named)]


def _gmail() -> FakeReceiver:
    """Names in Japanese; what is filed away is seen in All Mail, where spam never is."""
    return FakeReceiver(
        _folders(
            (b"[Gmail]", b"\\Noselect \\HasChildren"),
            (b"[Gmail]/&MFkweTBmMG4w4TD8MOs-", b"\\HasNoChildren \\All"),
            (b"[Gmail]/&j,dg0TDhMPww6w-", b"\\HasNoChildren \\Junk"),
            (b"[Gmail]/&kAFP4W4IMH8w4TD8MOs-", b"\\HasNoChildren \\Sent"),
            (b"Junk", b"\\HasNoChildren"),
        ),
        b"IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 AUTH=XOAUTH2",
    )


def _plain(*named: tuple[bytes, bytes], **how: object) -> Callable[[], FakeReceiver]:
    return lambda: FakeReceiver(_folders(*named), **how)  # type: ignore[arg-type]


JUNK = (b"Junk", b"\\HasNoChildren \\Junk")
FILED = (b"Filed", b"\\HasNoChildren")
SENT = (b"Sent", b"\\Sent")
EXTENDED = b"IMAP4rev1 LIST-EXTENDED SPECIAL-USE ID"

KINDS: dict[str, Kind] = {
    "gmail": Kind(_gmail, b"[Gmail]/&j,dg0TDhMPww6w-", b"[Gmail]/&MFkweTBmMG4w4TD8MOs-"),
    "outlook": Kind(
        _plain((b"Junk Email", b""), FILED, SENT, oauth=True, capabilities=b"IMAP4rev1 AUTH=XOAUTH2"),
        b"Junk Email",
        b"Filed",
        "Junk Email",
        token=True,
    ),
    "yahoo": Kind(_plain((b"Bulk", b"\\Junk"), FILED, SENT), b"Bulk", b"Filed"),
    "icloud": Kind(_plain(JUNK, FILED, SENT, capabilities=EXTENDED), b"Junk", b"Filed"),
    "docomo": Kind(_plain((b"&j,dg0TDhMPww6w-", b""), FILED), b"&j,dg0TDhMPww6w-", b"Filed", "迷惑メール"),
    "yahoo-japan": Kind(_plain((b"Bulk Mail", b"\\Junk"), FILED, capabilities=b"IMAP4"), b"Bulk Mail", b"Filed"),
    "names as literals": Kind(_plain(JUNK, FILED, literals=True), b"Junk", b"Filed"),
    "no hierarchy": Kind(_plain(JUNK, FILED, delimiter=b"NIL"), b"Junk", b"Filed"),
    "slow": Kind(_plain(JUNK, FILED, slow=0.0005), b"Junk", b"Filed"),
    "date behind the header": Kind(_plain(JUNK, FILED, late_date=True), b"Junk", b"Filed"),
    "chatty": Kind(_plain(JUNK, FILED, chatty=True, capabilities=EXTENDED), b"Junk", b"Filed"),
    "odd names": Kind(
        _plain((b'My "Junk"', b"\\junk"), (b"a\\b", b""), no_return=True, capabilities=EXTENDED),
        b'My "Junk"',
        b"a\\b",
    ),
}


class MovingClock(Struct):
    """A clock that stands still but for `sleep`; `then` is called with the new time."""

    moment: datetime = NOW
    waits: list[float] = field(default_factory=list)
    then: Callable[[datetime], None] = lambda _: None

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.moment += timedelta(seconds=seconds)
        self.then(self.moment)


def seed(kind: Kind, port: int, name: str = "box", *, security: str = "none", password: str | None = None) -> Seed:
    """A test mailbox at that server."""
    given = password if password is not None else FakeReceiver().password
    access = ImapAccess("127.0.0.1", port, security, USER, given, kind.token, "INBOX")
    return Seed(name, "", USER, "127.0.0.1", lambda: access, kind.spam)


def mail(*, header: str = f"X-Deliv-Seed: {TOKEN}\r\n", to: str = USER, subject: str = "Hello") -> bytes:
    """A test mail."""
    return (
        f"Received: from mail.example.com ([192.0.2.1]) by mx.example.net; Sun, 29 Nov 2026 08:00:10 +0000\r\n"
        f"{header}From: News <news@example.com>\r\nTo: <{to}>\r\nSubject: {subject}\r\n"
        f"Message-ID: <1@example.com>\r\nDate: Sun, 29 Nov 2026 08:00:00 +0000\r\n\r\nHello {TOKEN}\r\n"
    ).encode()
