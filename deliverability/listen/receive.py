"""Receives mail over SMTP (RFC 5321) and hands it to a protocol of our own: the only module that knows aiosmtpd.

Nothing is ever sent on. Everybody who connects is a stranger: messages, recipients, connections and time are bounded,
and who only holds a connection open gives way to who comes to send.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import ssl
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException
from msgspec import Struct, field

from deliverability.core.model.replies import Phase
from deliverability.listen.faults import FaultKind, Faults

_NULL = "<>"
_END = b"\r\n.\r\n"
# A path in angle brackets, as people also write it without them; an old source route before it is dropped.
_PATH = re.compile(r'\s*+<(?:@[^:<>]*:)?((?:[^<>"\\]|"(?:[^"\\]|\\.)*+"|\\.)*+)>\s*+(.*)', re.DOTALL)
_BARE_PATH = re.compile(r"\s*+([^<>\s]++)\s*+(.*)", re.DOTALL)
_OCTETS_A_SECOND = 20_000  # what a sender in DATA has to bring to be given more time
_COMMAND_OCTETS = 2048  # with SMTPUTF8 and parameters (RFC 6531 section 3.7.1)
_CALLS = {"*": 100_000, "NOOP": 100, "VRFY": 100, "HELP": 20}
_WINDOW = 60.0
_LOOK_SECONDS = 0.05


class ReceivedMail(Struct, frozen=True):
    """A message as it came.

    Attributes:
        peer: the connecting address.
        helo: HELO or EHLO name.
        tls: version, for example TLSv1.3; None: without TLS.
        mail_from: the reverse-path; empty for the null one.
        rcpt: the recipients, in their order.
        octets: the message, octet for octet, without the transparency of SMTP (RFC 5321 section 4.5.2).
        at: when its last octet came.

    """

    peer: str
    helo: str
    tls: str | None
    mail_from: str
    rcpt: tuple[str, ...]
    octets: bytes
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __repr__(self) -> str:
        return f"ReceivedMail({self.peer!r}, {self.mail_from!r})"


Deliver = Callable[[ReceivedMail], Awaitable[str]]
"""Takes a message and gives the name it is kept under.

Raises OSError where it cannot be kept: it is deferred. Raises NoMailError where it is none: it is refused.
"""


class NoMailError(Exception):
    """What came is not a message."""


class ReceiveLimits(Struct, frozen=True):
    """What strangers may take up.

    Attributes:
        octets: of a message.
        messages: in DATA at once.
        recipients: of a message.
        idle: seconds without a command, and for a message besides what its size needs.
        connections: at once; the one that has brought nothing for the longest gives way.
        a_minute: messages of one peer (IPv6: of one /64); None: any number.
        stalled: seconds after which a message that does not come on gives way to another.

    """

    octets: int = 50_000_000
    messages: int = 4
    recipients: int = 100
    idle: float = 60.0
    connections: int = 20
    a_minute: int | None = None
    stalled: float = 3.0


class SmtpReceiver(Struct):
    """An SMTP server.

    Attributes:
        hostname: how it names itself.
        deliver: takes what comes.
        takes: whether a recipient is ours.
        limits: see there.
        tls: for STARTTLS (RFC 3207); None: it is not offered.
        faults: what goes wrong on demand; None: nothing.

    """

    hostname: str
    deliver: Deliver
    takes: Callable[[str], bool] = lambda address: True
    limits: ReceiveLimits = field(default_factory=ReceiveLimits)
    tls: ssl.SSLContext | None = None
    faults: Faults | None = None
    _server: asyncio.Server | None = None
    _open: set[_Connection] = field(default_factory=set)
    _receiving: set[_Connection] = field(default_factory=set)
    _empty: asyncio.Event = field(default_factory=asyncio.Event)
    _recent: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port. Raises OSError."""
        # What strangers do wrong is no matter for this program's error stream.
        logging.getLogger("mail.log").addHandler(logging.NullHandler())
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, loop), host, port, backlog=256)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self, grace: float = 0.0) -> None:
        """Listen no more, and drop who is connected; they have `grace` seconds to take their leave."""
        if self._server is not None:
            self._server.close()
        if self._open and grace:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace)
        for each in list(self._open):
            each.drop("421 4.3.2 closing")
        if self._server is not None:
            await self._server.wait_closed()

    def _admit(self, connection: _Connection) -> None:
        self._open.add(connection)
        self._empty.clear()
        if len(self._open) > self.limits.connections:
            idle = (self._open - self._receiving) - {connection}
            longest = min(idle, key=lambda each: each.since, default=connection)
            longest.drop("421 4.3.2 too many connections")

    def _left(self, connection: _Connection) -> None:
        self._open.discard(connection)
        self._receiving.discard(connection)
        if not self._open:
            self._empty.set()

    async def _turn(self, connection: _Connection) -> None:
        """Wait for a place among those who send; who stalls loses theirs."""
        while len(self._receiving) >= self.limits.messages:
            now = time.monotonic()
            stalled = [each for each in self._receiving if each.reads and now - each.heard > self.limits.stalled]
            if stalled:
                min(stalled, key=lambda each: each.heard).drop("421 4.4.2 too slow")
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self._receiving.add(connection)

    def _too_often(self, peer: str) -> bool:
        """Whether a peer has sent its share; if not, one more is counted."""
        if self.limits.a_minute is None:
            return False
        now = time.monotonic()
        while self._recent and next(iter(self._recent.values()))[-1] < now - _WINDOW:
            self._recent.popitem(last=False)
        times = self._recent.setdefault(network_of(peer), deque(maxlen=self.limits.a_minute))
        if len(times) == self.limits.a_minute and times[0] > now - _WINDOW:
            return True
        times.append(now)
        self._recent.move_to_end(network_of(peer))
        return False


def network_of(peer: str) -> str:
    """The address of a peer; of an IPv6 address its /64, which is one machine's or one household's."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    return str(ipaddress.ip_network((peer, 64), strict=False)) if address.version == 6 else peer


class _Handler:
    """What aiosmtpd asks about one connection."""

    def __init__(self, receiver: SmtpReceiver) -> None:
        self._receiver = receiver

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # Nobody logs in here. It reads whole commands in order, whatever came with them (RFC 2920).
        return [*(each for each in responses[:-1] if not each.startswith("250-AUTH")), "250-PIPELINING", "250 HELP"]

    async def handle_MAIL(  # noqa: N802
        self, server: _Connection, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._receiver._too_often(server.peer):
            return "450 4.7.1 too many messages from this address; wait a minute"
        if reply := await server.fault(Phase.MAIL, ()):
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: _Connection, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._receiver.limits.recipients:
            return "452 4.5.3 too many recipients"
        if address == _NULL or not self._receiver.takes(_text(address)):
            return "550 5.7.1 no address of ours; nothing is relayed"
        if reply := await server.fault(Phase.RCPT, (_text(address),)):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_VRFY(self, server: SMTP, session: Session, envelope: Envelope, address: str) -> str:  # noqa: N802
        return "252 2.1.5 send it and see"

    async def handle_exception(self, error: Exception) -> str:
        return "451 4.3.0 internal error"


class _Connection(SMTP):
    """One connection. DATA is read by us: aiosmtpd refuses long lines, and gives all of a message 60 seconds."""

    line_length_limit = 65_536  # what is buffered of a connection, not what a line may have

    def __init__(self, receiver: SmtpReceiver, loop: asyncio.AbstractEventLoop) -> None:
        limits = receiver.limits
        # aiosmtpd's own is one for all connections, and every EHLO raises it.
        self.command_size_limits = defaultdict(lambda: _COMMAND_OCTETS)
        super().__init__(
            _Handler(receiver),
            data_size_limit=limits.octets,
            enable_SMTPUTF8=True,
            hostname=receiver.hostname,
            ident="ESMTP deliv",
            tls_context=receiver.tls,
            timeout=limits.idle,
            command_call_limit=_CALLS,
            loop=loop,
        )
        self._receiver = receiver
        self.peer = ""
        self.since = self.heard = time.monotonic()
        self.reads = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first = not self.peer
        if not first and self.transport is None:
            # Since Python 3.11 the transport over TLS exists only now, and aiosmtpd would take it for a new connection.
            self.transport = transport
        super().connection_made(transport)
        if first:
            self.peer = _peer(transport)
            self._receiver._admit(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._receiver._left(self)
        super().connection_lost(error)

    def drop(self, reply: str) -> None:
        """End it at once: what cannot be written without waiting is lost."""
        transport = self.transport or self._original_transport  # the second while TLS is being set up
        if transport is not None:
            with contextlib.suppress(Exception):
                transport.write(f"{reply}\r\n".encode() if reply else b"")  # type: ignore[attr-defined]
            transport.abort()  # type: ignore[attr-defined]

    async def fault(self, stage: Phase, recipients: tuple[str, ...]) -> str:
        """The reply that is wanted in place of ours; empty: none is. Delays are waited for, a drop ends it all."""
        faults = self._receiver.faults
        for each in faults.at(stage, recipients) if faults is not None else ():
            if each.kind is FaultKind.REPLY:
                return each.reply
            if each.kind is FaultKind.DROP:
                self.drop("")
                raise asyncio.CancelledError
            self._reset_timeout(each.seconds + self._receiver.limits.idle)
            await asyncio.sleep(each.seconds)
        return ""

    def _timeout_cb(self) -> None:
        self.drop("421 4.4.2 timeout")

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        """As aiosmtpd, which trips over a handshake that fails."""
        try:
            await super().smtp_STARTTLS(arg)
        except TLSSetupException:
            self._receiver._left(self)
            if self._timeout_handle is not None:
                self._timeout_handle.cancel()
            self.drop("")
            raise asyncio.CancelledError from None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The path and what follows it. Local parts are taken as they are, for mail systems have odd ones."""
        if not arg:
            return "", ""
        found = _PATH.fullmatch(arg) or _BARE_PATH.fullmatch(arg)
        if found is None:
            return None, None
        return found[1].strip() or _NULL, found[2]

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Read a message, deliver it and answer."""
        envelope, session = self.envelope, self.session
        if envelope is None or session is None or await self.check_helo_needed():
            return
        if not envelope.rcpt_tos:
            await self.push("503 5.5.1 need RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        self._reset_timeout(self._receiver.limits.idle * 10)
        try:
            await self._receiver._turn(self)
            await self.push("354 end with <CR><LF>.<CR><LF>")
            octets = await self._message()
            self._reset_timeout(self._receiver.limits.idle * 10)
            reply = "552 5.3.4 too large" if octets is None else await self._delivered(envelope, session, octets)
        finally:
            self._receiver._receiving.discard(self)
        self._reset_timeout()
        self.since = time.monotonic()
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(reply)

    async def _delivered(self, envelope: Envelope, session: Session, octets: bytes) -> str:
        rcpt = tuple(_text(each) for each in envelope.rcpt_tos if each)
        if reply := await self.fault(Phase.DATA, rcpt):
            return reply
        mail_from = _text(envelope.mail_from or "")
        mail = ReceivedMail(
            self.peer,
            _text(session.host_name or ""),
            self._tls_version(),
            "" if mail_from == _NULL else mail_from,
            rcpt,
            octets,
        )
        try:
            return f"250 2.0.0 OK: kept as {await self._receiver.deliver(mail)}"
        except NoMailError:
            return "554 5.6.0 not an email: no header field begins it"
        except OSError:
            return "452 4.3.1 it cannot be kept now"

    def _tls_version(self) -> str | None:
        tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        version: str | None = tls.version() if tls is not None else None
        return version

    async def _message(self) -> bytes | None:
        """The octets of a message; None where there are too many, all of which are read.

        A line ends with CRLF alone: bare LF and CR are octets like others, and so cannot hide a second message.
        """
        limits = self._receiver.limits
        reader: Any = self._reader
        begun = self.heard = time.monotonic()
        pieces: list[bytes] = []
        taken = 0
        too_large = ended = False
        # The line end of the command stands before the first line, which may be the dot.
        reader._buffer[:0] = b"\r\n"
        self.reads = True
        try:
            while not ended:
                earned = limits.idle + taken / _OCTETS_A_SECOND - (time.monotonic() - begun)
                self._reset_timeout(max(min(limits.idle, earned), 0.001))
                try:
                    piece = await reader.readuntil(_END)
                    ended = True
                except asyncio.LimitOverrunError as error:
                    piece = await reader.readexactly(error.consumed)
                self.heard = time.monotonic()
                taken += len(piece)
                too_large = too_large or taken > limits.octets + len(_END) + 2
                if too_large:
                    pieces.clear()
                else:
                    pieces.append(piece)
        finally:
            self.reads = False
        return None if too_large else _plain(pieces)


def _plain(pieces: list[bytes]) -> bytes:
    """A message from its pieces: without the line end before it, the dot after it, and the dots put before others."""
    # Piece by piece, so that it is held twice and not three times; no piece ends within CRLF dot.
    held = b""
    for place, piece in enumerate(pieces):
        piece = held + piece
        last = place == len(pieces) - 1
        cut = 0 if last else len(piece) - next((n for n in (2, 1) if piece.endswith(b"\r\n."[:n])), 0)
        held = b"" if last else piece[cut:]
        body = piece[: -len(b".\r\n")] if last else piece[:cut]
        pieces[place] = body.replace(b"\r\n.", b"\r\n")
    return b"".join(pieces)[2:]


def _text(argument: str) -> str:
    r"""An argument as text: octets that are no UTF-8 are shown as ``\xNN``."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _peer(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    host = str(name[0]).partition("%")[0] if name else ""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        mapped = address.ipv4_mapped if address.version == 6 else None
        return str(mapped or address)
    return host
