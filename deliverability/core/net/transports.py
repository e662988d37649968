"""DNS questions over UDP, TCP, TLS and HTTPS.

UDP: to each server a few connected sockets, through which many questions go at once. A forger has to guess the port and
the id of a question, and to send from the server's own address and port: the sockets are connected, so that the system
hears nobody else. Their ports are chosen by the system and change with use; which socket takes a question, and its id
there, is random (RFC 5452 sections 9.1 and 9.2).

The others: one exchange, on a connection of its own or one that is free.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net import wire
from deliverability.core.net.names import Labels
from deliverability.core.net.public import LATE, UNREACHABLE, NoAnswerError
from deliverability.core.net.servers import Server

if TYPE_CHECKING:
    from deliverability.core.net.http import HttpClient

MAX_MESSAGE = 65535  # octets of one DNS message
_LEAST_OPEN = 4
_MOST_OPEN = 100
_OTHER_FILES = 40  # files that a run has open besides: outputs, history, modules being loaded, sockets for UDP
FIRST_WAIT = 0.02  # seconds until a file may have been closed; twice as long each time

TRUNCATED = Code("server-truncated", ("server",))
TLS_FAILED = Code("server-tls", ("server", "why"))
CLOSED = Code("server-closed", ("server",))
HTTP_ANSWER = Code("server-http", ("server", "n"))
TOO_MUCH = Code("server-more", ("server",))
MALFORMED = Code("server-malformed", ("server",))


def no_more_files(error: BaseException) -> bool:
    """Whether this machine lets us open no more files now."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def unreachable(server: Server, error: BaseException) -> NoAnswerError:
    """What is answered where the server cannot be reached."""
    why = error.strerror if isinstance(error, OSError) else None
    return NoAnswerError(Reason.REFUSED, UNREACHABLE(server=str(server), why=why or str(error)))


class Streams:
    """Connections to servers, as many at a time as this machine has files for.

    Args:
        timeout: seconds for one exchange.

    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.most_open = _open_files()
        self._open = asyncio.Semaphore(self.most_open)
        self._free: dict[Server, list[_Stream]] = {}
        self._http: HttpClient | None = None
        self._tls: ssl.SSLContext | None = None

    async def exchange(self, server: Server, query: wire.Query) -> wire.Response:
        """What the server says: over TCP where its transport is UDP. Raises NoAnswerError."""
        reply = wire.reply(await self.octets(server, query), query)
        if reply is None:
            raise NoAnswerError(Reason.SERVFAIL, MALFORMED(server=str(server)))
        return reply

    async def octets(self, server: Server, query: wire.Query) -> bytes:
        """The message that the server sends, unread.

        Where this machine lets us open no more files, wait for others to be closed. Raises NoAnswerError.
        """
        wait = FIRST_WAIT
        while True:
            async with self._open:
                try:
                    async with asyncio.timeout(self._timeout):
                        return await self._send(server, query)
                except TimeoutError:
                    detail = LATE(server=str(server), n=f"{self._timeout:g}")
                    raise NoAnswerError(Reason.TIMEOUT, detail) from None
                except OSError as error:
                    if not no_more_files(error) or wait > self._timeout:
                        raise unreachable(server, error) from None
            if self.most_open > _LEAST_OPEN:
                # From now on one connection fewer at a time: its place is never given back.
                self.most_open -= 1
                await self._open.acquire()
            await asyncio.sleep(wait)
            wait *= 2

    async def close(self) -> None:
        """Close connections."""
        for streams in self._free.values():
            for stream in streams:
                stream.close()
        self._free.clear()
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _send(self, server: Server, query: wire.Query) -> bytes:
        if server.transport == "https":
            return await self._post(server, query.wire)
        if server.transport == "tls":
            return await self._over_tls(server, query.wire)
        return await _over_tcp(server, query.wire)

    async def _over_tls(self, server: Server, message: bytes) -> bytes:
        """Ask over TLS (RFC 7858) on a connection that is free, else on a new one."""
        free = self._free.setdefault(server, [])
        while True:
            reused = bool(free)
            if reused:
                stream = free.pop()
            else:
                try:
                    stream = await _Stream.connect(server, self._context())
                except ssl.SSLError as error:
                    detail = TLS_FAILED(server=str(server), why=error.reason or str(error))
                    raise NoAnswerError(Reason.REFUSED, detail) from None
            try:
                answer = await stream.exchange(message)
            except (EOFError, OSError):
                stream.close()
                if reused:  # servers close idle connections: try the next one
                    continue
                raise NoAnswerError(Reason.REFUSED, CLOSED(server=str(server))) from None
            except BaseException:  # cancelled in the middle of an exchange: its answer must not meet the next question
                stream.close()
                raise
            free.append(stream)
            return answer

    async def _post(self, server: Server, message: bytes) -> bytes:
        """Ask over HTTPS (RFC 8484)."""
        from deliverability.core.net.http import HttpClient, HttpError  # httpx2 takes a quarter of `deliv audit DOMAIN`

        if self._http is None:
            # Proxies of the environment are used, as by everything else of the user that asks over HTTPS.
            self._http = HttpClient(self._timeout, context=self._context(), environment=True, http2=True)
        headers = {"content-type": "application/dns-message", "accept": "application/dns-message"}
        try:
            async with self._http.exchange("POST", server.url, headers, message) as answer:
                if answer.status != 200:
                    raise NoAnswerError(Reason.REFUSED, HTTP_ANSWER(server=str(server), n=answer.status))
                body = await answer.body(MAX_MESSAGE)
                if body is None:
                    raise NoAnswerError(Reason.SERVFAIL, TOO_MUCH(server=str(server)))
                return body
        except HttpError as error:
            raise NoAnswerError(Reason.REFUSED, UNREACHABLE(server=str(server), why=str(error))) from None

    def _context(self) -> ssl.SSLContext:
        """The certificates this machine trusts (or those of SSL_CERT_FILE), names checked."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def _over_tcp(server: Server, message: bytes) -> bytes:
    """Ask over TCP what was truncated over UDP."""
    stream = await _Stream.connect(server)
    try:
        return await stream.exchange(message)
    except (EOFError, OSError):
        raise NoAnswerError(Reason.SERVFAIL, TRUNCATED(server=str(server))) from None
    finally:
        stream.close()


def _open_files() -> int:
    """How many connections there may be at a time so that enough files are left for everything else."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _MOST_OPEN
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_OPEN if limit == resource.RLIM_INFINITY else max(_LEAST_OPEN, min(_MOST_OPEN, limit - _OTHER_FILES))


class _Stream:
    """One TCP or TLS connection; messages carry their length in front (RFC 1035 section 4.2.2)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, server: Server, context: ssl.SSLContext | None = None) -> _Stream:
        """Connect; with a context over TLS, where the certificate must name `tls_name`, else the address."""
        name = (server.tls_name or server.host) if context else None
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context, server_hostname=name)
        return cls(reader, writer)

    async def exchange(self, message: bytes) -> bytes:
        """Send one message and read one. Raises EOFError or OSError where the connection ends."""
        self._writer.write(struct.pack("!H", len(message)) + message)
        await self._writer.drain()
        (length,) = struct.unpack("!H", await self._reader.readexactly(2))
        return await self._reader.readexactly(length)

    def close(self) -> None:
        """Drop the connection without ceremony."""
        self._writer.transport.abort()


SOCKETS = 8
"""Sockets to one server."""
MOST_ASKED = 400
"""Questions that go through a socket before another, with another port, takes its place."""
MOST_NOISE = 50
"""Datagrams that answer nothing, after which another takes its place: somebody may have found the port."""
_BUFFER = 1 << 20  # octets of replies that may wait to be read, while this process computes
_AT_ONCE = 100  # datagrams that are read before others have their turn
_LARGEST = 65535  # octets

NOISE = Code("server-noise", ("server", "n"))  # only what is malformed or answers another question


class Waiting(Protocol):
    """Who waits for a reply."""

    def heard(self, reply: wire.Response | NoAnswerError) -> None:
        """The reply came, or it is certain that none will."""


class Sent:
    """A question on its way: where it waits for its reply."""

    __slots__ = ("at", "query", "through", "waiting")

    def __init__(self, query: wire.Query, through: _Socket, waiting: Waiting, at: float) -> None:
        self.query = query
        self.through = through
        self.waiting = waiting
        self.at = at

    def silence(self, timeout: float) -> NoAnswerError:
        """Nobody answered in time: whoever asked is not told any more what still comes."""
        self.through.forget(self.query.ident)
        server = str(self.through.server)
        code: Code = NOISE if self.through.noise_at > self.at else LATE
        return NoAnswerError(Reason.TIMEOUT, code(server=server, n=f"{timeout:g}"))


class UdpServer:
    """The sockets to one server.

    Args:
        server: whom to ask.
        patience: seconds to wait for files to be closed, where this machine lets us open no more.

    """

    def __init__(self, server: Server, patience: float) -> None:
        self.server = server
        self._patience = patience
        self._asking: list[_Socket] = []
        self._retired: set[_Socket] = set()
        self._opening: asyncio.Task[None] | None = None
        self._unsent: list[Callable[[NoAnswerError | None], None]] = []
        self._numbers: Iterator[int] = iter(())

    def send(self, labels: Labels, rdtype: str, *, edns: bool, waiting: Waiting) -> Sent | None:
        """Ask; None where no socket is open yet (see `when_open`). Raises ValueError where there is no such type."""
        if len(self._asking) < SOCKETS and self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        if not self._asking:
            return None
        return self._asking[self.number() % len(self._asking)].send(labels, rdtype, edns, waiting)

    def when_open(self, callback: Callable[[NoAnswerError | None], None]) -> None:
        """Tell when there is a socket, or that there will be none, and why."""
        self._unsent.append(callback)

    def number(self) -> int:
        """A random number of 16 bits, of the system's generator."""
        number = next(self._numbers, None)
        while number is None:
            self._numbers = iter(memoryview(os.urandom(2048)).cast("H"))
            number = next(self._numbers)
        return number

    def retire(self, through: _Socket) -> None:
        """Ask through it no more; it is closed when what was asked is answered."""
        if through in self._asking:
            self._asking.remove(through)
            self._retired.add(through)

    def emptied(self, through: _Socket) -> None:
        """Nobody waits there any more."""
        if through in self._retired:
            self._retired.remove(through)
            through.close()

    def close(self) -> None:
        """Close all sockets. Nobody is told anything any more."""
        if self._opening is not None:
            self._opening.cancel()
        for each in (*self._asking, *self._retired):
            each.close()
        self._asking.clear()
        self._retired.clear()

    async def _open(self) -> None:
        """Open what is missing. With one socket questions can go; without any they wait until files are closed."""
        wait = FIRST_WAIT
        while True:
            missing = SOCKETS - len(self._asking)
            opened = await asyncio.gather(*(_Socket.open(self) for _ in range(missing)), return_exceptions=True)
            self._asking += [each for each in opened if isinstance(each, _Socket)]
            problem = next((each for each in opened if not isinstance(each, _Socket)), None)
            if self._asking or problem is None:
                failure = None
                break
            failure = unreachable(self.server, problem)
            if not no_more_files(problem) or wait > self._patience:
                break
            await asyncio.sleep(wait)
            wait *= 2
        self._opening = None
        unsent, self._unsent = self._unsent, []
        for each in unsent:
            each(failure)


class _Socket(asyncio.DatagramProtocol):
    """One socket, connected to the server."""

    _transport: asyncio.DatagramTransport

    def __init__(self, owner: UdpServer, connection: socket.socket) -> None:
        self.server = owner.server
        self._connection = connection
        self.noise_at = float("-inf")
        self._owner = owner
        self._waiting: dict[int, Sent | None] = {}  # None: whoever asked gave up
        self._on_wire = 0
        self._left = MOST_ASKED
        self._noise = 0
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, owner: UdpServer) -> _Socket:
        """Open one. Raises OSError."""
        host = owner.server.host
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            connection.connect((host, owner.server.port))
            loop = asyncio.get_running_loop()
            _, protocol = await loop.create_datagram_endpoint(lambda: cls(owner, connection), sock=connection)
        except BaseException:
            connection.close()
            raise
        return protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, labels: Labels, rdtype: str, edns: bool, waiting: Waiting) -> Sent:
        """Ask with a random id that no other question on its way through here has."""
        ident = self._owner.number()
        while ident in self._waiting:
            ident = self._owner.number()
        query = wire.query(labels, rdtype, edns=edns, ident=ident)
        sent = Sent(query, self, waiting, self._loop.time())
        self._waiting[ident] = sent
        self._on_wire += 1
        self._transport.sendto(query.wire)
        self._left -= 1
        if self._left <= 0:
            self._owner.retire(self)
        return sent

    def forget(self, ident: int) -> None:
        """A reply that still comes is no noise, but nobody waits for it."""
        self._waiting[ident] = None
        self._gone()

    def close(self) -> None:
        """Close it at once."""
        self._transport.abort()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Read also what else has come: while this process computes, replies wait, and they are not late for that."""
        self._take(data)
        for _ in range(_AT_ONCE):
            if self._transport.is_closing():
                return
            try:
                data = self._connection.recv(_LARGEST)
            except OSError as error:
                if not isinstance(error, BlockingIOError | InterruptedError):
                    self.error_received(error)
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        ident = int.from_bytes(data[:2], "big")
        sent = self._waiting.get(ident, _NOBODY)
        if sent is _NOBODY:
            self._junk()
        elif sent is None:
            del self._waiting[ident]
        elif (reply := wire.reply(data, sent.query)) is None:
            self._junk()  # a forger's guess must not end the wait
        else:
            del self._waiting[ident]
            self._gone()
            sent.waiting.heard(reply)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP)."""
        broken = unreachable(self.server, exc)
        waiting = [each for each in self._waiting.values() if each is not None]
        self._waiting.clear()
        for each in waiting:
            self._loop.call_soon(each.waiting.heard, broken)  # not while the question is still being sent
            self._gone()

    def _junk(self) -> None:
        self.noise_at = self._loop.time()
        self._noise += 1
        if self._noise == MOST_NOISE:
            self._owner.retire(self)

    def _gone(self) -> None:
        self._on_wire -= 1
        if not self._on_wire:
            self._owner.emptied(self)


_NOBODY: Any = object()
