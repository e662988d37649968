"""Who may hold a connection and ask: limits of the door, hosts, token, origin of what changes something."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import math
import re
import ssl
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct, field
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from deliverability.listen.receive import network_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class DoorLimits(Struct, frozen=True):
    """What strangers may take up.

    Attributes:
        waiting: connections without a whole request.
        of_one: connections of one peer (IPv6: of one /64); None: any number, as on this machine.
        seconds: for the TLS handshake, and again for the header of a request.

    """

    waiting: int = 64
    of_one: int | None = None
    seconds: float = 10.0


class Door(Struct):
    """Lets connections in. `tls`: they have to be encrypted."""

    make: Callable[[], H11Protocol]
    limits: DoorLimits = field(default_factory=DoorLimits)
    tls: ssl.SSLContext | None = None
    _waiting: dict[Entrant, None] = field(default_factory=dict)  # the longest first
    _of_one: Counter[str] = field(default_factory=Counter)

    def admit(self, entrant: Entrant) -> bool:
        """Whether another one may come in; the longest waiting goes where there are too many."""
        if self.limits.of_one is not None and self._of_one[entrant.network] >= self.limits.of_one:
            return False
        self._of_one[entrant.network] += 1
        self.waits(entrant)
        return True

    def waits(self, entrant: Entrant) -> None:
        """It has sent nothing, or half of a request."""
        self._waiting[entrant] = None
        if len(self._waiting) > self.limits.waiting:
            next(iter(self._waiting)).drop()

    def asked(self, entrant: Entrant) -> None:
        """It has sent a whole request."""
        self._waiting.pop(entrant, None)

    def left(self, entrant: Entrant) -> None:
        """It is gone."""
        self._waiting.pop(entrant, None)
        self._of_one[entrant.network] -= 1
        if self._of_one[entrant.network] <= 0:
            del self._of_one[entrant.network]


class Entrant(asyncio.Protocol):
    """One connection: first the TLS handshake where there is one, then uvicorn's protocol, until it is lost."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._inner = door.make()
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._opened = self._admitted = False
        self.network = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connects."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream
        self._transport = transport
        name = transport.get_extra_info("peername")
        self.network = network_of(str(name[0]).partition("%")[0]) if name else ""
        self._admitted = self._door.admit(self)
        if not self._admitted:
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._door.limits.seconds, self.drop)
        if self._door.tls is None:
            self._open(transport)
        else:
            transport.pause_reading()
            self._handshake = loop.create_task(self._encrypt(transport, self._door.tls))

    async def _encrypt(self, plain: asyncio.Transport, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        seconds = self._door.limits.seconds
        try:
            found = await loop.start_tls(plain, self, tls, server_side=True, ssl_handshake_timeout=seconds)
        except (OSError, ssl.SSLError):
            plain.abort()
            self.connection_lost(None)
            return
        if found is None or self._timer is None:  # it was dropped meanwhile
            return
        self._timer.cancel()
        self._timer = loop.call_later(seconds, self.drop)
        self._transport = found
        self._open(found)

    def _open(self, transport: asyncio.Transport) -> None:
        self._opened = True
        self._inner.connection_made(transport)
        for each in self._early:
            self.data_received(each)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        if not self._opened:
            self._early.append(data)  # came with the end of the handshake
            return
        self._inner.data_received(data)
        cycle = self._inner.cycle
        if cycle is None or cycle.response_complete:  # half a request, the first or a later one
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._door.limits.seconds, self.drop)
                self._door.waits(self)
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._door.asked(self)

    def eof_received(self) -> None:
        """The other side sends no more."""
        if self._opened:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        """As asyncio says it."""
        if self._opened:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """As asyncio says it."""
        if self._opened:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, whoever ended it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._opened:
            self._opened = False
            self._inner.connection_lost(exc)
        if self._admitted:
            self._admitted = False
            self._door.left(self)

    def drop(self) -> None:
        """End it at once."""
        transport, handshake = self._transport, self._handshake
        if handshake is not None and not handshake.done():
            handshake.cancel()
        if transport is not None:
            with contextlib.suppress(OSError):
                transport.abort()
        if not self._opened:  # in the midst of a handshake nobody else says so
            self.connection_lost(None)


LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?", re.IGNORECASE)
_FORM_OCTETS = 1_000_000  # what a form takes beside the message
# A browser that still sends does not read the answer: so much of what is too large is read and thrown away.
_DRAINED_TIMES = 10
_DIGITS = 16  # of a length that is taken for a number
_SECURE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class GuardSettings(Struct, frozen=True):
    """Who is let in.

    Attributes:
        hosts: names in Host that are ours, without port.
        token: that every request has to show, as ``Authorization: Bearer TOKEN`` or, in a browser, as the password of
            HTTP Basic (RFC 7617) with any name; None: none is asked for.
        max_octets: of a message in a body.
        origins: origins of a reverse proxy (``https://host``) beside that of Host itself.

    """

    hosts: tuple[str, ...] = LOCAL_NAMES
    token: str | None = None
    max_octets: int = 50_000_000
    origins: tuple[str, ...] = ()


class _TooLargeError(Exception):
    """A body that goes on after its limit."""


Refused = Callable[["Scope", int, str, Mapping[str, str]], Response]
"""Makes the answer to a refused request from status, code and headers."""


class Guard:
    """An ASGI application before another; `refused` words what it refuses."""

    def __init__(self, app: ASGIApp, settings: GuardSettings, refused: Refused) -> None:
        self._app = app
        self._settings = settings
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with a bounded body."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started = False

        async def sends(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _SECURE.items():
                    headers.setdefault(name, value)
            await send(message)

        most = self._settings.max_octets + _FORM_OCTETS
        taken = 0

        async def receives() -> MutableMapping[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLargeError
            return message

        headers = Headers(scope=scope)
        try:
            found = self._refusal(scope["method"], headers)
            if found is not None:
                status, code, more = found
                await self._refused(scope, status, code, more)(scope, receive, sends)
                return
            if _length(headers) > most:
                raise _TooLargeError
            await self._app(scope, receives, sends)
        except _TooLargeError:
            if not started:
                await _drained(receive, most * _DRAINED_TIMES)
                await self._refused(scope, 413, "too-large", {})(scope, receive, sends)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str, dict[str, str]] | None:
        settings = self._settings
        if not self._is_ours(headers.get("host", "")):
            return 421, "host", {}
        if settings.token is not None and not _shows(headers.get("authorization", ""), settings.token):
            # Who stays connected is the owner: see capture.door.
            close = {"connection": "close"}
            return 401, "token", {"www-authenticate": 'Basic realm="deliv", charset="UTF-8"', **close}
        if method not in _SAFE and not self._same_origin(headers):
            return 403, "origin", {}
        return None

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        return found is not None and found[1].lower().rstrip(".") in self._settings.hosts

    def _same_origin(self, headers: Headers) -> bool:
        """Whether no page of another site is behind it; programs send neither of these fields."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return False
        if origin is None:
            return True
        if origin in self._settings.origins:
            return True
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""


def _length(headers: Headers) -> float:
    """Octets that the body is said to have."""
    stated = headers.get("content-length", "0")
    return int(stated) if stated.isascii() and stated.isdigit() and len(stated) < _DIGITS else math.inf


async def _drained(receive: Receive, most: int) -> None:
    taken, more = 0, True
    while more and taken <= most:
        message = await receive()
        taken += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error of the API: ``{"error": code}``."""
    return JSONResponse({"error": code}, status, headers)


def _shows(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())
