"""The one HTTP client, and who gets small files from the web and posts forms with it, guarded.

The client is for webhooks and DNS over HTTPS as well; who asks keeps the limits of its own. The audited DNS chooses the
address of a file, perhaps to attack us. httpx2 takes 0.1 s: this module is imported with the first request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx2
from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Clock, Fetched, NoPage, Page, Resolver
from deliverability.core.net.clock import stamp
from deliverability.core.net.public import NO_USE, UNREACHABLE, NoAnswerError, address_of, is_public

CONNECT_SHARE = 0.9
"""Of the time for an exchange, for connecting: the client leaves a connection open that others broke off."""
_SLACK = 1.0  # seconds; the time-outs of those who ask fire first
_PIECE = 8192


class HttpError(Exception):
    """No answer came, or none that can be used.

    Attributes:
        kind: what went wrong, as the client calls it.
        connected: the server was reached.
        certificate: why its certificate was refused; None where it was not.

    """

    def __init__(self, error: Exception, *, connected: bool) -> None:
        super().__init__(str(error))
        self.kind = type(error).__name__
        self.connected = connected
        self.certificate = _certificate_error(error)


class HttpAnswer:
    """The status and the header fields of an answer, and its body as it comes."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code

    def header(self, name: str, default: str = "") -> str:
        """A header field; `default` where there is none."""
        return str(self._response.headers.get(name, default))

    async def body(self, most: int) -> bytes | None:
        """The octets, undecoded; None where they are more than `most`, and no more of them are read."""
        octets = bytearray()
        async for piece in self._response.aiter_raw(_PIECE):
            octets += piece
            if len(octets) > most:
                return None
        return bytes(octets)


class HttpClient:
    """Asks over HTTP, without following redirects and without cookies; connections are kept until it is closed.

    Args:
        seconds: that those who ask wait for an answer.
        context: certificates to trust; None: those of this machine (or of SSL_CERT_FILE).
        environment: proxies that the environment names are used.
        http2: where the server speaks it.

    """

    def __init__(
        self, seconds: float, *, context: ssl.SSLContext | None = None, environment: bool = False, http2: bool = False
    ) -> None:
        self._seconds = seconds
        self._context = context
        self._environment = environment
        self._http2 = http2
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: str | bytes | None = None, server: str = ""
    ) -> AsyncIterator[HttpAnswer]:
        """Ask; the body of the answer is read as far as is asked for.

        Args:
            method: GET or POST.
            url: whom and what to ask; its host may be an address.
            headers: of the request. What comes compressed is not unpacked, so nothing else is asked for.
            content: the body of the request.
            server: the name that the certificate must have; empty: the host of the URL.

        Raises:
            HttpError: there is no answer, or it breaks off.
            TimeoutError: it comes too late.

        """
        fields = {"accept-encoding": "identity", "user-agent": "deliv", "accept": "*/*", **headers}
        try:
            if self._client is None:
                self._client = httpx2.AsyncClient(
                    verify=self._context or ssl.create_default_context(),
                    http2=self._http2,
                    trust_env=self._environment,
                    # A resolver is not to know that two questions are of one user (RFC 8484 section 8.2).
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                    timeout=httpx2.Timeout(self._seconds + _SLACK, connect=self._seconds * CONNECT_SHARE),
                )
            asked = self._client.stream(
                method, url, headers=fields, content=content, extensions={"sni_hostname": server} if server else None
            )
            async with asked as response:
                yield HttpAnswer(response)
        except httpx2.TimeoutException:
            raise TimeoutError from None
        except httpx2.HTTPError as error:
            raise HttpError(error, connected=not isinstance(error, httpx2.ConnectError)) from None
        except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
            raise HttpError(error, connected=True) from None


def _certificate_error(error: BaseException) -> str | None:
    """Why the certificate was refused, where that is what went wrong."""
    cause: BaseException | None = error
    for _ in range(10):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        cause = cause.__cause__ or cause.__context__ if cause else None
    return None


MAX_OCTETS = 64 * 1024  # of one file, as RFC 8461 section 3.3 suggests for a policy
SECONDS = 8.0  # for one file, name look-up and redirects included
_MAX_URL = 2000
_MAX_DATE = 40  # RFC 9110 section 5.6.7 has 29
_REDIRECTS = (301, 302, 303, 307, 308)

NO_PAGE_YET = Code("late", ("n",))  # seconds
REDIRECTS = Code("redirects", ("host",))
PACKED = Code("packed")
TOO_LARGE = Code("too-large", ("n",))  # KB
CERTIFICATE = Code("certificate", ("host", "why"))
NO_URL = Code("no-url")
NO_HTTPS = Code("no-https")
URL_PORT = Code("url-port")


class _Target(Struct, frozen=True):
    """Where a request goes: host and path of the URL, and the address that was checked for it."""

    host: str
    path: str
    address: str


class WebFetcher:
    """GET and POST over https, port 443, certificates checked; without cookies, proxies, credentials or compression.

    The host is looked up once, every address of it must be public, and the connection goes to the address that was
    checked, so that no second look-up can lead elsewhere. Redirects lead to another path of the same host only.

    Args:
        clock: for the time stamps.
        seconds: for one file.
        context: certificates to trust; None: those of this machine.
        port: where servers listen.
        allowed: which addresses may be connected to.

    """

    def __init__(
        self,
        clock: Clock,
        *,
        seconds: float = SECONDS,
        context: ssl.SSLContext | None = None,
        port: int = 443,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._context = context
        self._port = port
        self._allowed = allowed

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        """Get the file; what went wrong is in NoPage."""
        return await self._in_time(url, lambda at: self._follow(url, resolver, redirects, at))

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        """Post the form once; the answer comes without its body, and a redirect is the answer."""
        return await self._in_time(url, lambda at: self._post(url, form, resolver, at))

    async def _in_time(self, url: str, ask: Callable[[str], Awaitable[Page]]) -> Fetched:
        """What `ask` gives for the time stamp; what went wrong as NoPage."""
        at = stamp(self._clock.now())
        try:
            async with asyncio.timeout(self._seconds):
                return await ask(at)
        except TimeoutError:
            return NoPage(url, Reason.TIMEOUT, NO_PAGE_YET(n=f"{self._seconds:g}"), at=at)
        except NoAnswerError as error:
            return NoPage(url, error.reason, error.detail, error.certain, at)

    async def _follow(self, url: str, resolver: Resolver, redirects: int, at: str) -> Page:
        current = url
        first: _Target | None = None
        for turn in range(redirects + 1):
            host, path = _parts(current)
            if first is None:
                first = _Target(host, path, await address_of(host, resolver, self._allowed))
            elif host != first.host:
                raise NoAnswerError(Reason.REFUSED, REDIRECTS(host=host), certain=True)
            page, location = await self._request(url, _Target(host, path, first.address), at)
            if page.status not in _REDIRECTS or not location or turn == redirects:
                return page
            current = urljoin(current, location)
        raise AssertionError("unreachable: the last turn returns")

    async def _post(self, url: str, form: str, resolver: Resolver, at: str) -> Page:
        host, path = _parts(url)
        target = _Target(host, path, await address_of(host, resolver, self._allowed))
        page, _ = await self._request(url, target, at, form)
        return page

    async def _request(self, url: str, target: _Target, at: str, form: str | None = None) -> tuple[Page, str]:
        """One request, and where it redirects to: GET, or with a form POST, of whose answer the body is not read."""
        authority = f"[{target.address}]" if ":" in target.address else target.address
        headers = {"host": target.host}
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        method, where = "GET" if form is None else "POST", f"https://{authority}:{self._port}{target.path}"
        try:
            async with (
                HttpClient(self._seconds, context=self._context) as client,
                client.exchange(method, where, headers, form, server=target.host) as answer,
            ):
                kind = answer.header("content-type")[:200]
                date = answer.header("date")[:_MAX_DATE]
                location = answer.header("location")[:_MAX_URL]
                if form is not None:
                    return Page(url, answer.status, kind, b"", at, target.address, date), location
                if answer.header("content-encoding", "identity").lower() != "identity":
                    raise NoAnswerError(Reason.REFUSED, PACKED(), certain=True)
                body = await answer.body(MAX_OCTETS)
                if body is None:
                    raise NoAnswerError(Reason.LIMIT, TOO_LARGE(n=MAX_OCTETS // 1024), certain=True)
                return Page(url, answer.status, kind, body, at, target.address, date), location
        except HttpError as error:
            if error.certificate:
                detail = CERTIFICATE(host=target.host, why=error.certificate)
                raise NoAnswerError(Reason.REFUSED, detail, certain=True) from None
            why = NO_USE(host=target.host, why=str(error))
            raise NoAnswerError(
                Reason.REFUSED, why if error.connected else UNREACHABLE(server=target.host, why=str(error))
            ) from None


def _parts(url: str) -> tuple[str, str]:
    """Host and path of a URL that may be fetched at all. Raises NoAnswerError for any other."""
    try:
        parts = urlsplit(url) if len(url) <= _MAX_URL else None
        port = parts.port if parts else None
    except ValueError:
        parts, port = None, None
    if parts is None or not parts.hostname or any(character <= " " for character in url):
        raise NoAnswerError(Reason.REFUSED, NO_URL(), certain=True)
    if parts.scheme != "https":
        raise NoAnswerError(Reason.REFUSED, NO_HTTPS(), certain=True)
    if parts.username is not None or port not in (None, 443):
        raise NoAnswerError(Reason.REFUSED, URL_PORT(), certain=True)
    path = parts.path or "/"
    return parts.hostname.lower().rstrip("."), f"{path}?{parts.query}" if parts.query else path
