"""A mailbox on an IMAP server (RFC 9051): its mails are read without a trace, and moved or deleted only when told.

With the standard library, as no library expunges by UID (RFC 4315): one that expunges the folder would delete mails of
others that are marked as deleted. Whatever the server does, it ends: what was not read is there at the next run.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, TypeVar

from msgspec import Struct

from deliverability.core.codes import VERBATIM, Code, Detail
from deliverability.core.errors import DetailError
from deliverability.core.net.exchange import Exchange, ExchangeError, LineReader

T = TypeVar("T")

_PATIENCE = 60.0  # seconds for each octet of an answer
_EXCHANGE = 300.0  # seconds for what is asked at a time, however slowly the answers come
_ALL = 3600.0  # seconds in which the server is waited for altogether
_LEAVING = 10.0  # seconds
_MAX_OCTETS = 100_000_000  # of what is asked at a time; a mail is read up to half of it
_MAX_LINES = 200_000  # outside of mails
_MAX_LINE = 1_000_000  # octets: all UIDs of a folder stand in one
_WAITS = (10.0, 60.0, 180.0)
# Nobody is there, or it is somebody else: the next run tries again, and this one does not wait for it.
_FOR_GOOD = (ssl.SSLCertVerificationError, ConnectionRefusedError, socket.gaierror, ExchangeError)
# What imaplib raises where an answer is none: it takes numbers and letters to be such.
NONSENSE = (ValueError, TypeError, LookupError, AttributeError)
_AT_ONCE = 100
_BUSY = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]|throttl|too many|try again|rate limit", re.IGNORECASE)
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_DIGITS = 10  # of the largest number
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

IMAP_LOGIN = Code("imap-login", ("why",))
IMAP_FAILED = Code("imap-failed", ("why",))
IMAP_NO_FOLDER = Code("imap-no-folder", ("folder", "why"))
NOT_HANDED_OUT = Code("imap-not-handed-out")
NOT_EXPUNGED = Code("imap-kept", ("folder",))


class ImapError(DetailError):
    """The server does not do what it was asked for; `detail` says what."""


class BusyError(Exception):
    """The server wants a pause."""


class ImapAccess(Struct, frozen=True):
    """Where a mailbox is, and who reads it.

    Attributes:
        host: of the server.
        port: of it.
        security: ``tls``, ``starttls``, or ``none`` for a server on this machine.
        username: who logs in.
        password: or the access token.
        token: `password` is an access token (XOAUTH2).
        folder: of the mailbox, as people write it.

    """

    host: str
    port: int
    security: str
    username: str
    password: str
    token: bool
    folder: str

    def __repr__(self) -> str:  # asyncio writes out what a task is given: no password
        return f"ImapAccess({self.host!r}, {self.port})"


class ImapFolder:
    """An open folder. Where the server throttles or the line breaks, it waits and goes on, three times in all."""

    def __init__(self, access: ImapAccess, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._access = access
        self._sleep = sleep
        self._waits = list(_WAITS)
        self._client: ImapClient | None = None
        self._left = _ALL
        self.uidvalidity = 0

    def __enter__(self) -> ImapFolder:
        """Connect, log in and open the folder. Raises ImapError."""
        self._patiently(lambda client: None)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave, without expunging."""
        self._leave()

    def uids(self, after: int, since: date | None = None) -> list[int]:
        """The mails with a UID above `after`, or that arrived on or after that day, in order. Raises ImapError."""
        wanted = f"SINCE {since.day}-{_MONTHS[since.month - 1]}-{since.year}" if since else f"UID {after + 1}:*"

        return [each for each in self._patiently(lambda client: listed(client, wanted)) if since or each > after]

    def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """How many octets each mail has; what is gone is left out. Raises ImapError."""

        def fetch(client: imaplib.IMAP4) -> dict[int, int]:
            found = {}
            for line in answered(client.uid("FETCH", _set(uids), "(UID RFC822.SIZE)")):
                text = line[0] if isinstance(line, tuple) else line
                if isinstance(text, bytes) and (uid := _UID.search(text)) and (size := _SIZE.search(text)):
                    found[_number(uid[1])] = _number(size[1])
            return found

        return self._patiently(fetch)

    def octets(self, uid: int) -> bytes | None:
        """A mail, which stays unread for people; None where it is gone. Raises ImapError."""

        def fetch(client: imaplib.IMAP4) -> bytes | None:
            lines = answered(client.uid("FETCH", str(uid), "(BODY.PEEK[])"))
            found = next((bytes(each[1]) for each in lines if isinstance(each, tuple) and len(each) > 1), None)
            return found or None

        return self._patiently(fetch)

    def has(self, uid: int) -> bool:
        """Whether the server says that a mail is there. Raises ImapError."""
        return uid in self._patiently(lambda client: listed(client, f"UID {uid}"))

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Move mails to another folder, which is made where it is not there. Raises ImapError."""
        target = folder_name(folder)
        for some in _portions(uids):
            self._patiently(lambda client, some=some: self._move(client, some, target))  # type: ignore[misc]

    def delete(self, uids: Sequence[int]) -> None:
        """Delete mails, and no others. Raises ImapError."""
        for some in _portions(uids):
            self._patiently(lambda client, some=some: self._expunge(client, some))  # type: ignore[misc]

    def _move(self, client: imaplib.IMAP4, uids: Sequence[int], target: str) -> None:
        can_move = "MOVE" in client.capabilities
        answer = client.uid("MOVE" if can_move else "COPY", _set(uids), target)
        if answer[0] == "NO" and b"TRYCREATE" in _text(answer):
            answered(client.create(target))
            answer = client.uid("MOVE" if can_move else "COPY", _set(uids), target)
        answered(answer)
        if not can_move:
            self._expunge(client, uids)

    def _expunge(self, client: imaplib.IMAP4, uids: Sequence[int]) -> None:
        if "UIDPLUS" not in client.capabilities:
            raise ImapError(NOT_EXPUNGED(folder=self._access.folder))
        answered(client.uid("STORE", _set(uids), "+FLAGS.SILENT", r"(\Deleted)"))
        answered(client.uid("EXPUNGE", _set(uids)))

    def _patiently(self, work: Callable[[imaplib.IMAP4], T]) -> T:
        while True:
            exchange = _exchange(min(_EXCHANGE, self._left))
            try:
                if self._client is None:
                    self._client = self._opened(exchange)
                self._client.within(exchange)
                return work(self._client)
            except (BusyError, imaplib.IMAP4.abort, OSError) as error:
                self._leave(polite=not isinstance(error, ExchangeError))
                if isinstance(error, _FOR_GOOD) or not self._waits:
                    raise ImapError(IMAP_FAILED(why=why(error))) from None
                self._sleep(self._waits.pop(0))
            except imaplib.IMAP4.error as error:
                raise ImapError(IMAP_FAILED(why=why(error))) from None
            except NONSENSE as error:
                self._leave(polite=False)
                raise ImapError(IMAP_FAILED(why=why(error))) from None
            finally:
                self._left -= exchange.used

    def _opened(self, exchange: Exchange) -> ImapClient:
        client = logged_in(self._access, exchange)
        try:
            self._select(client)
        except BaseException:
            client.shutdown()
            raise
        return client

    def _select(self, client: imaplib.IMAP4) -> None:
        answer = client.select(folder_name(self._access.folder))
        if answer[0] != "OK":
            why = VERBATIM(text=_text(answer).decode("utf-8", "replace")[:300])
            raise ImapError(IMAP_NO_FOLDER(folder=self._access.folder, why=why))
        found = _number((client.response("UIDVALIDITY")[1] or [b"0"])[-1] or b"0")
        if self.uidvalidity not in (0, found):  # made anew meanwhile, with other mails
            raise ImapError(IMAP_FAILED(why=VERBATIM(text=f"UIDVALIDITY {found}")))
        self.uidvalidity = found

    def _leave(self, *, polite: bool = True) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if polite:
                with contextlib.suppress(imaplib.IMAP4.error, OSError):
                    client.within(_exchange(_LEAVING))
                    client.logout()
        finally:
            client.shutdown()


class ImapClient(imaplib.IMAP4):
    """imaplib's client, within the limits of the exchange that is under way."""

    def __init__(self, access: ImapAccess, exchange: Exchange) -> None:
        self._access = access
        self._exchange = exchange
        super().__init__(access.host, access.port)

    def within(self, exchange: Exchange) -> None:
        """From now on these limits hold."""
        self._exchange = self._lines.exchange = exchange

    def start_tls(self) -> None:
        """TLS over the connection; what came before it is dropped. Raises OSError and imaplib's error."""
        if "STARTTLS" not in self.capabilities or self.xatom("STARTTLS")[0] != "OK":
            raise imaplib.IMAP4.error("STARTTLS is not offered")
        self._take(self._exchange.secure(self.sock, ssl.create_default_context(), self._access.host))
        self._get_capabilities()

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Connect. Raises OSError."""
        self.host, self.port = host, port
        connection = self._exchange.connect(host, port)
        if self._access.security == "tls":
            connection = self._exchange.secure(connection, ssl.create_default_context(), host)
        self._take(connection)

    def read(self, size: int) -> bytes:
        """So many octets. Raises OSError."""
        if size > _MAX_OCTETS:
            self._exchange.received(size)
        return self._lines.read(size)

    def readline(self) -> bytes:
        """A line. Raises OSError and imaplib's error."""
        line = self._lines.readline(_MAX_LINE + 1)
        if len(line) > _MAX_LINE:
            raise imaplib.IMAP4.error(f"a line of more than {_MAX_LINE} octets")
        return line

    def send(self, data: Any) -> None:
        """Send. Raises OSError."""
        with self._exchange.wait(self.sock):
            self.sock.sendall(data)

    def shutdown(self) -> None:
        """Close the connection, also where it is closed already."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def _take(self, connection: socket.socket) -> None:
        self.sock = connection
        self._lines = LineReader(connection, self._exchange)


def logged_in(access: ImapAccess, exchange: Exchange) -> ImapClient:
    """A connection that is logged in and has no folder open.

    Raises ImapError where the server does not let us in, and what `ImapFolder` waits for otherwise: BusyError, OSError,
    imaplib's abort and error.
    """
    client = ImapClient(access, exchange)
    try:
        if access.security == "starttls":
            client.start_tls()
        _login(client, access)
    except BaseException:
        client.shutdown()
        raise
    return client


def _login(client: imaplib.IMAP4, access: ImapAccess) -> None:
    try:
        if access.token:
            token = f"user={access.username}\1auth=Bearer {access.password}\1\1".encode()
            client.authenticate("XOAUTH2", lambda challenge: b"" if challenge else token)
        elif access.password.isascii() and access.username.isascii():
            client.login(access.username, access.password)
        else:
            plain = f"\0{access.username}\0{access.password}".encode()
            client.authenticate("PLAIN", lambda _: plain)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        if _BUSY.search(str(error)):
            raise BusyError(str(error)) from None
        raise ImapError(IMAP_LOGIN(why=why(error))) from None
    # Some servers tell what they can only to those who logged in.
    with contextlib.suppress(imaplib.IMAP4.error):
        known = client.capability()[1][-1] or b""
        client.capabilities = tuple(bytes(known).decode("ascii", "replace").upper().split())


def _exchange(seconds: float) -> Exchange:
    return Exchange(seconds, patience=_PATIENCE, octets=_MAX_OCTETS, lines=_MAX_LINES)


def answered(answer: tuple[str, Sequence[object]]) -> Sequence[object]:
    """What a server answered. Raises BusyError, or imaplib's error where it refused."""
    if answer[0] == "OK":
        return answer[1]
    text = _text(answer).decode("utf-8", "replace")
    if _BUSY.search(text):
        raise BusyError(text)
    raise imaplib.IMAP4.error(text)


def listed(client: imaplib.IMAP4, wanted: str) -> list[int]:
    """The mails that a search finds, in order. Raises imaplib's error."""
    words = answered(client.uid("SEARCH", wanted))
    return sorted({_number(each) for line in words if isinstance(line, bytes) for each in line.split()})


def _number(digits: bytes) -> int:
    """A number of RFC 9051: 32 bits without a sign. Raises imaplib's error."""
    if not digits.isdigit() or len(digits) > _DIGITS or int(digits) >> 32:
        raise imaplib.IMAP4.error(f"{digits[:40].decode('ascii', 'backslashreplace')} is no number")
    return int(digits)


def _text(answer: tuple[str, Sequence[object]]) -> bytes:
    return b" ".join(each for each in answer[1] if isinstance(each, bytes))


def why(error: BaseException) -> Detail:
    """What the server or the network says."""
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)
    return VERBATIM(text=(getattr(error, "strerror", None) or text or type(error).__name__)[:300])


def _set(uids: Sequence[int]) -> str:
    return ",".join(map(str, uids))


def _portions(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (uids[at : at + _AT_ONCE] for at in range(0, len(uids), _AT_ONCE))


def folder_name(name: str) -> str:
    """A folder's name in quotes and in modified UTF-7 (RFC 3501 section 5.1.3)."""
    runs = re.findall(r"[ -~]+|[^ -~]+", name)
    coded = "".join(each.replace("&", "&-") if " " <= each[0] <= "~" else f"&{_base64(each)}-" for each in runs)
    return '"' + coded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
