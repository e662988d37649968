"""Stands before every request: names of the host, token, origin of what changes something, size of bodies.

A page of another site can make a browser send requests here, and by DNS rebinding even read the answers; hence the
checks of Host and of the origin, also where only this machine is listened to.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

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
