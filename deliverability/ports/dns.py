"""Live DNS: questions to resolvers over UDP, TCP, TLS and HTTPS.

Messages are written and read by ports.wire. Nothing asks the system's resolver library behind our back, except for the
address of a DNS-over-HTTPS server that is named rather than numbered.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import re
import socket
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deliverability.model.codes import Code, Detail
from deliverability.model.errors import InputError
from deliverability.model.facts import Reason
from deliverability.ports import wire
from deliverability.ports.base import Absent, Answer, Clock, Failed, Found
from deliverability.ports.clock import SystemClock, stamp
from deliverability.ports.hosts import LATE, UNREACHABLE
from deliverability.ports.names import CNAME_LOOP, CNAME_MANY, MAX_CHAIN, impossible, labels_of, name_text

if TYPE_CHECKING:
    import ssl

    import httpx

MAX_MESSAGE = 65535  # octets of one DNS message
MAX_TTL = 86400  # seconds a positive or negative answer is kept at most
FAILED_TTL = 5  # seconds a failure is kept, so that one run does not ask a dead server again and again
NO_SOA_TTL = 60  # seconds an absence without SOA is kept
SILENT_TTL = 30  # seconds a server that kept silent is asked only after the others
_LEAST_IN_FLIGHT = 4
_OTHER_FILES = 40  # files that a run has open besides its questions: outputs, history, modules being loaded, streams
_MANY = 1_000_000
_HTTP_TIMEOUT_SLACK = 1.0  # seconds; our own time-out fires first


CNAME_UNASKABLE = Code("cname-unaskable", ("name",))
NO_SERVER = Code("no-server")
REFERS = Code("server-refers", ("server",))
ANSWERED = Code("server-answered", ("server", "code"))
TRUNCATED = Code("server-truncated", ("server",))
TLS_FAILED = Code("server-tls", ("server", "why"))
CLOSED = Code("server-closed", ("server",))
HTTP_ANSWER = Code("server-http", ("server", "n"))
TOO_MUCH = Code("server-more", ("server",))
MALFORMED = Code("server-malformed", ("server",))
NO_DOH_URL = Code("no-doh-url", ("text",))
NO_RESOLVER = Code("no-resolver", ("text",))
NO_PORT = Code("no-port", ("text",))
NOISE = Code("server-noise", ("server", "n"))  # only what is malformed or answers another question


@dataclass(frozen=True, slots=True)
class Server:
    """One resolver to ask: `transport` is ``udp`` (TCP on truncation), ``tls`` or ``https``.

    `host` is an IP address, or for https the host of `url`; `tls_name` the name that the certificate must carry.
    """

    transport: str
    host: str
    port: int
    url: str = ""
    tls_name: str = ""

    def __str__(self) -> str:
        if self.transport == "https":
            return self.url
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.transport] else f":{self.port}"
        prefix = "" if self.transport == "udp" else "tls://"
        name = f"#{self.tls_name}" if self.tls_name else ""
        return f"{prefix}{host if port or prefix else self.host}{port}{name}"


_PORTS = {"udp": 53, "tls": 853, "https": 443}


def parse_server(text: str) -> Server:
    """Read a resolver to ask: ``ADDR``, ``ADDR:PORT``, ``[V6]:PORT``, ``tls://ADDR[:PORT][#NAME]`` or ``https://URL``.

    Raises:
        InputError: with a sentence that says what is wrong.

    """
    given = text.strip()
    if given.lower().startswith("https://"):
        try:
            parts = urlsplit(given)
            port = parts.port or _PORTS["https"]
        except ValueError:
            parts, port = None, 0
        if parts is None or not parts.hostname or parts.username is not None:
            raise InputError(NO_DOH_URL(text=text))
        return Server("https", parts.hostname, port, url=given)
    transport, rest, tls_name = "udp", given, ""
    if given.lower().startswith("tls://"):
        transport = "tls"
        rest, _, tls_name = given[len("tls://") :].partition("#")
    if rest.startswith("["):
        match = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?", rest)
    elif rest.count(":") > 1:
        match = re.fullmatch(r"(.*)()", rest)  # an IPv6 address without brackets, so without a port
    else:
        match = re.fullmatch(r"([^:]*)(?::(\d{1,5}))?", rest)
    host = match[1] if match else ""
    port = int(match[2] or _PORTS[transport]) if match else 0
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise InputError(NO_RESOLVER(text=text)) from None
    if not 0 < port < 65536:
        raise InputError(NO_PORT(text=text))
    return Server(transport, host, port, tls_name=tls_name)


def system_servers() -> tuple[Server, ...]:
    """The resolvers this machine is set up to use; empty where it has none."""
    import dns.resolver

    try:
        configured = dns.resolver.Resolver(configure=True)
    except dns.resolver.NoResolverConfiguration:
        return ()
    return tuple(Server("udp", str(address), 53) for address in configured.nameservers)


class _ExchangeError(Exception):
    """One exchange with one server came to nothing; says why."""

    def __init__(self, reason: Reason, detail: Detail) -> None:
        super().__init__(detail.code)
        self.reason = reason
        self.detail = detail


class LiveResolver:
    """Asks real resolvers.

    Every question goes out once, however many wait for it, and its answer is kept for its TTL. A server that fails or
    keeps silent is followed by the next one; what nobody answers is Failed, never Absent.

    Args:
        servers: whom to ask, in this order; None takes the system's.
        timeout: seconds to wait for one reply.
        retries: how many more times to ask after silence.
        in_flight: questions on the wire at once, over all domains.
        cache_size: answers kept; the least recently used goes first.
        clock: for the time stamps in answers.
        monotonic: seconds, for the age of cached answers.

    """

    def __init__(
        self,
        servers: Sequence[Server] | None = None,
        *,
        timeout: float = 3.0,
        retries: int = 2,
        in_flight: int = 100,
        cache_size: int = 20_000,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = tuple(servers) if servers is not None else None
        self._timeout = timeout
        self._retries = retries
        self._in_flight = min(in_flight, _open_files())
        self._window = asyncio.Semaphore(self._in_flight)
        self._cache: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._cache_size = cache_size
        self._pending: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._clock: Clock = clock or SystemClock()
        self._monotonic = monotonic
        self._silent_until: dict[Server, float] = {}
        self._streams: dict[Server, list[_Stream]] = {}
        self._http: httpx.AsyncClient | None = None
        self._tls: ssl.SSLContext | None = None

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask, or answer from what is known."""
        labels = labels_of(name)
        if labels is None:
            return impossible(name, rdtype, stamp(self._clock.now()))
        key = (name_text(labels), rdtype.upper())
        known = self._cached(key)
        if known is not None:
            return known
        task = self._pending.get(key)
        if task is None:
            task = asyncio.create_task(self._resolve(*key))
            self._pending[key] = task
            task.add_done_callback(lambda done: self._finish(key, done))
        # Shielded: one waiter whose time is up must not take the answer from the others.
        return await asyncio.shield(task)

    def knows(self, name: str, rdtype: str) -> bool:
        """Whether the answer is kept, or on its way: then nobody is asked for it. Both as answers spell them."""
        key = (name, rdtype)
        return key in self._pending or self._cached(key) is not None

    async def close(self) -> None:
        """Stop what is under way and close connections."""
        tasks = list(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for streams in self._streams.values():
            for stream in streams:
                stream.close()
        self._streams.clear()
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    # --- cache -----------------------------------------------------------------------------------------------------

    def _cached(self, key: tuple[str, str]) -> Answer | None:
        entry = self._cache.get(key)
        if entry is None:
            return None
        expires, answer = entry
        if self._monotonic() >= expires:
            del self._cache[key]
            return None
        self._cache.move_to_end(key)
        return answer

    def _finish(self, key: tuple[str, str], task: asyncio.Task[Answer]) -> None:
        self._pending.pop(key, None)
        if task.cancelled() or task.exception() is not None:
            return
        answer = task.result()
        ttl = FAILED_TTL if isinstance(answer, Failed) else min(answer.ttl, MAX_TTL)
        self._cache[key] = (self._monotonic() + ttl, answer)
        self._cache.move_to_end(key)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)

    # --- one question ----------------------------------------------------------------------------------------------

    async def _resolve(self, name: str, rdtype: str) -> Answer:
        """Ask and follow CNAME, across replies where the servers do not follow it themselves."""
        chain: list[str] = []
        ttl = MAX_TTL
        current = name
        authenticated = True
        while True:
            try:
                reply, server = await self._ask(current, rdtype)
            except _ExchangeError as broken:
                return self._failed(name, rdtype, broken.reason, broken.detail)
            hop = _read(reply, current, rdtype)
            for target in hop.chain:
                if target == name or target in chain:
                    return self._failed(name, rdtype, Reason.SERVFAIL, CNAME_LOOP(name=target))
                chain.append(target)
            if len(chain) > MAX_CHAIN:
                return self._failed(name, rdtype, Reason.SERVFAIL, CNAME_MANY(n=MAX_CHAIN))
            ttl = min(ttl, hop.ttl)
            authenticated = authenticated and hop.authenticated
            if not hop.unfinished:
                break
            current = chain[-1]
            if "\\x" in current:
                # Its text cannot be turned back into its labels for sure, and another name must not answer for it.
                return self._failed(name, rdtype, Reason.SERVFAIL, CNAME_UNASKABLE(name=current))
        at = stamp(self._clock.now())
        if hop.values:
            octets = hop.string_octets
            return Found(name, rdtype, hop.values, ttl, tuple(chain), octets, at, str(server), authenticated)
        return Absent(name, rdtype, hop.nxdomain, ttl, tuple(chain), at, str(server))

    def _failed(self, name: str, rdtype: str, reason: Reason, detail: Detail) -> Failed:
        return Failed(name, rdtype, reason, detail, at=stamp(self._clock.now()))

    async def _ask(self, name: str, rdtype: str) -> tuple[wire.Response, Server]:
        """Put one question to the servers until one gives a usable reply; also say which one.

        Raises:
            _ExchangeError: nobody did; the gravest reason met (servfail, then refused, then timeout).

        """
        if self._servers is None:
            self._servers = system_servers()
        if not self._servers:
            raise _ExchangeError(Reason.REFUSED, NO_SERVER())
        failures: dict[Reason, Detail] = {}
        now = self._monotonic()
        waiting = deque(sorted(self._servers, key=lambda server: self._silent_until.get(server, now) > now))
        for _ in range(max(self._retries + 1, len(self._servers))):
            if not waiting:
                break
            server = waiting.popleft()
            try:
                return await self._exchange(server, name, rdtype), server
            except _ExchangeError as broken:
                failures.setdefault(broken.reason, broken.detail)
                if broken.reason is Reason.TIMEOUT:
                    waiting.append(server)  # others first; one that spoke or is not there would not change its mind
                    self._silent_until[server] = self._monotonic() + SILENT_TTL
        for reason in (Reason.SERVFAIL, Reason.REFUSED, Reason.TIMEOUT):
            if reason in failures:
                raise _ExchangeError(reason, failures[reason])
        raise AssertionError("unreachable: no attempt was made")

    async def _exchange(self, server: Server, name: str, rdtype: str) -> wire.Response:
        """One question to one server, again without EDNS where the server does not know EDNS (RFC 6891 section 7).

        Raises:
            _ExchangeError: no reply, or one that answers nothing.

        """
        labels = labels_of(name) or ()
        for edns in (True, False):
            query = wire.query(labels, rdtype, edns=edns)
            reply = await self._reply(server, query)
            if edns and reply.rcode in (wire.FORMERR, wire.NOTIMP, wire.BADVERS):
                continue
            if reply.rcode == wire.NOERROR and reply.referral:
                raise _ExchangeError(Reason.REFUSED, REFERS(server=str(server)))
            if reply.rcode in (wire.NOERROR, wire.NXDOMAIN):
                return reply
            break
        if reply.rcode == wire.REFUSED:
            raise _ExchangeError(Reason.REFUSED, ANSWERED(server=str(server), code="REFUSED"))
        from dns.rcode import Rcode
        from dns.rcode import to_text as rcode_text

        raise _ExchangeError(Reason.SERVFAIL, ANSWERED(server=str(server), code=rcode_text(Rcode.make(reply.rcode))))

    async def _reply(self, server: Server, query: wire.Query) -> wire.Response:
        """What the server sends back. Where this machine lets us open no more files, wait for others to be closed."""
        wait = 0.02
        while True:
            async with self._window:
                heard: list[Code] = []
                try:
                    async with asyncio.timeout(self._timeout):
                        return await self._send(server, query, heard)
                except TimeoutError:
                    silence = heard[0] if heard else LATE
                    detail = silence(server=str(server), n=f"{self._timeout:g}")
                    raise _ExchangeError(Reason.TIMEOUT, detail) from None
                except OSError as error:
                    if error.errno not in (errno.EMFILE, errno.ENFILE) or wait > self._timeout:
                        detail = UNREACHABLE(server=str(server), why=error.strerror or str(error))
                        raise _ExchangeError(Reason.REFUSED, detail) from None
            if self._in_flight > _LEAST_IN_FLIGHT:
                # From now on one question fewer at a time: its place is never given back.
                self._in_flight -= 1
                await self._window.acquire()
            await asyncio.sleep(wait)
            wait *= 2

    # --- transports ------------------------------------------------------------------------------------------------

    async def _send(self, server: Server, query: wire.Query, heard: list[Code]) -> wire.Response:
        if server.transport == "https":
            return _expected(await self._post(server, query.wire), query, server)
        if server.transport == "tls":
            return _expected(await self._tls_exchange(server, query.wire), query, server)
        reply = await _udp_exchange(server, query, heard)
        if reply.truncated:
            stream = await _Stream.connect(server)
            try:
                return _expected(await stream.exchange(query.wire), query, server)
            except (EOFError, OSError):
                raise _ExchangeError(Reason.SERVFAIL, TRUNCATED(server=str(server))) from None
            finally:
                stream.close()
        return reply

    async def _tls_exchange(self, server: Server, message: bytes) -> bytes:
        """Ask over TLS (RFC 7858) on a connection that is free, else on a new one."""
        import ssl

        free = self._streams.setdefault(server, [])
        while True:
            reused = bool(free)
            if reused:
                stream = free.pop()
            else:
                try:
                    stream = await _Stream.connect(server, self._context())
                except ssl.SSLError as error:
                    detail = TLS_FAILED(server=str(server), why=error.reason or str(error))
                    raise _ExchangeError(Reason.REFUSED, detail) from None
            try:
                answer = await stream.exchange(message)
            except (EOFError, OSError):
                stream.close()
                if reused:  # servers close idle connections: try the next one
                    continue
                raise _ExchangeError(Reason.REFUSED, CLOSED(server=str(server))) from None
            except BaseException:  # cancelled in the middle of an exchange: its answer must not meet the next question
                stream.close()
                raise
            free.append(stream)
            return answer

    async def _post(self, server: Server, message: bytes) -> bytes:
        """Ask over HTTPS (RFC 8484)."""
        import httpx

        if self._http is None:
            self._http = httpx.AsyncClient(
                http2=_has_http2(), verify=self._context(), timeout=self._timeout + _HTTP_TIMEOUT_SLACK
            )
        headers = {"content-type": "application/dns-message", "accept": "application/dns-message"}
        try:
            async with self._http.stream("POST", server.url, content=message, headers=headers) as response:
                if response.status_code != 200:
                    raise _ExchangeError(Reason.REFUSED, HTTP_ANSWER(server=str(server), n=response.status_code))
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_MESSAGE:
                        raise _ExchangeError(Reason.SERVFAIL, TOO_MUCH(server=str(server)))
                return body
        except httpx.TimeoutException:
            raise TimeoutError from None
        except httpx.HTTPError as error:
            raise _ExchangeError(Reason.REFUSED, UNREACHABLE(server=str(server), why=str(error))) from None

    def _context(self) -> ssl.SSLContext:
        """The certificates this machine trusts (or those of SSL_CERT_FILE), names checked."""
        import ssl

        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _open_files() -> int:
    """How many questions may be under way at a time so that enough files are left for everything else."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _MANY
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MANY if limit == resource.RLIM_INFINITY else max(_LEAST_IN_FLIGHT, limit - _OTHER_FILES)


def _has_http2() -> bool:
    from importlib.util import find_spec

    return find_spec("h2") is not None


def _expected(message: bytes, query: wire.Query, server: Server) -> wire.Response:
    """The reply to `query`, from a server we are connected to.

    Raises:
        _ExchangeError: the octets are no DNS message, or answer something else.

    """
    reply = wire.reply(message, query)
    if reply is None:
        raise _ExchangeError(Reason.SERVFAIL, MALFORMED(server=str(server)))
    return reply


@dataclass(slots=True)
class _Hop:
    """What one reply says: the names it leads through, and either records or their absence at the end.

    `unfinished` is True where the reply ends at a CNAME and says nothing about its target.
    """

    chain: list[str]
    ttl: int
    values: tuple[str, ...] = ()
    string_octets: tuple[tuple[int, ...], ...] = ()
    nxdomain: bool = False
    unfinished: bool = False
    authenticated: bool = False


def _read(reply: wire.Response, name: str, rdtype: str) -> _Hop:
    hop = _Hop([], MAX_TTL, authenticated=reply.authenticated)
    current = name
    while (records := reply.answers.get((current, rdtype))) is None:
        alias = reply.answers.get((current, "CNAME"))
        if alias is None or len(hop.chain) > MAX_CHAIN:  # the caller refuses loops and long chains
            break
        hop.ttl = min(hop.ttl, alias.ttl)
        current = alias.values[0]
        hop.chain.append(current)
    if records is not None:
        hop.ttl = min(hop.ttl, records.ttl)
        hop.values = records.values
        hop.string_octets = records.string_octets if rdtype == "TXT" else ()
        return hop
    hop.nxdomain = reply.rcode == wire.NXDOMAIN
    hop.unfinished = bool(hop.chain) and reply.negative_ttl is None and not hop.nxdomain
    if not hop.unfinished:
        hop.ttl = min(hop.ttl, NO_SOA_TTL if reply.negative_ttl is None else reply.negative_ttl)
    return hop


async def _udp_exchange(server: Server, query: wire.Query, heard: list[Code]) -> wire.Response:
    """Ask over UDP. The socket is new, so its port is random, and connected, so that only the server is heard.

    Args:
        server: whom to ask.
        query: the question.
        heard: takes a note where something came that is no reply.

    Raises:
        OSError: nobody listens there (ICMP).

    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        connection.connect((server.host, server.port))
        await loop.sock_sendall(connection, query.wire)
        while True:
            reply = wire.reply(await loop.sock_recv(connection, MAX_MESSAGE), query)
            if reply is not None:
                return reply
            # Pass over everything else: a forger's guess must not end the wait.
            if not heard:
                heard.append(NOISE)
            await asyncio.sleep(0)  # where datagrams are waiting, sock_recv does not let others run


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
