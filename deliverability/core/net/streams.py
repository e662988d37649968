"""DNS questions over TCP, TLS and HTTPS: one exchange, on a connection of its own or one that is free."""

from __future__ import annotations

import asyncio
import errno
import ssl
import struct
from typing import TYPE_CHECKING

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net import wire
from deliverability.core.net.client import HttpClient, HttpError
from deliverability.core.net.public import LATE, UNREACHABLE, NoAnswerError
from deliverability.core.net.servers import Server

if TYPE_CHECKING:
    import ssl

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
