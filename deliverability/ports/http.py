"""Gets small files from the web and posts forms, guarded: the audited DNS chooses the address, perhaps to attack us."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from deliverability.model.facts import Reason
from deliverability.ports.base import Clock, Failed, Fetched, Found, NoPage, Page, Resolver
from deliverability.ports.clock import stamp
from deliverability.ports.public import is_public

MAX_OCTETS = 64 * 1024  # of one file, as RFC 8461 section 3.3 suggests for a policy
SECONDS = 8.0  # for one file, name look-up and redirects included
_MAX_URL = 2000
_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE = 8192


class _NoPageError(Exception):
    """Nothing came; carries what NoPage says."""

    def __init__(self, reason: Reason, detail: str, *, certain: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.certain = certain


@dataclass(frozen=True, slots=True)
class _Target:
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
            return NoPage(url, Reason.TIMEOUT, f"no answer within {self._seconds:g} s", at=at)
        except _NoPageError as error:
            return NoPage(url, error.reason, error.detail, error.certain, at)

    async def _follow(self, url: str, resolver: Resolver, redirects: int, at: str) -> Page:
        current = url
        first: _Target | None = None
        for turn in range(redirects + 1):
            host, path = _parts(current)
            if first is None:
                first = _Target(host, path, await self._address(host, resolver))
            elif host != first.host:
                raise _NoPageError(Reason.REFUSED, f"it redirects to another host ({host})", certain=True)
            page, location = await self._request(url, _Target(host, path, first.address), at)
            if page.status not in _REDIRECTS or not location or turn == redirects:
                return page
            current = urljoin(current, location)
        raise AssertionError("unreachable: the last turn returns")

    async def _post(self, url: str, form: str, resolver: Resolver, at: str) -> Page:
        host, path = _parts(url)
        target = _Target(host, path, await self._address(host, resolver))
        page, _ = await self._request(url, target, at, form)
        return page

    async def _address(self, host: str, resolver: Resolver) -> str:
        """The address to connect to. One that is not public refuses the host, whatever its other addresses are."""
        answers = await asyncio.gather(*(resolver.query(host, rdtype) for rdtype in ("A", "AAAA")))
        addresses = [value for answer in answers if isinstance(answer, Found) for value in answer.values]
        forbidden = next((address for address in addresses if not self._allowed(address)), None)
        if forbidden is not None:
            detail = f"{host} leads to {forbidden}, which is not a public address"
            raise _NoPageError(Reason.REFUSED, detail, certain=True)
        if addresses:
            return addresses[0]
        failed = next((answer for answer in answers if isinstance(answer, Failed)), None)
        if failed is not None:
            raise _NoPageError(failed.reason, f"{host}: {failed.detail or failed.reason.value}")
        raise _NoPageError(Reason.REFUSED, f"{host} has no address", certain=True)

    async def _request(self, url: str, target: _Target, at: str, form: str | None = None) -> tuple[Page, str]:
        """One request, and where it redirects to: GET, or with a form POST, of whose answer the body is not read."""
        import httpx

        context = self._context or ssl.create_default_context()
        authority = f"[{target.address}]" if ":" in target.address else target.address
        headers = {"host": target.host, "accept-encoding": "identity", "user-agent": "deliv", "accept": "*/*"}
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        try:
            async with (
                httpx.AsyncClient(verify=context, trust_env=False, timeout=self._seconds + 1) as client,
                client.stream(
                    "GET" if form is None else "POST",
                    f"https://{authority}:{self._port}{target.path}",
                    headers=headers,
                    content=form,
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                kind = response.headers.get("content-type", "")[:200]
                location = response.headers.get("location", "")[:_MAX_URL]
                if form is not None:
                    return Page(url, response.status_code, kind, b"", at, target.address), location
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise _NoPageError(Reason.REFUSED, "it is compressed though we asked for plain", certain=True)
                body = bytearray()
                async for piece in response.aiter_raw(_PIECE):
                    body += piece
                    if len(body) > MAX_OCTETS:
                        detail = f"it is larger than {MAX_OCTETS // 1024} KB"
                        raise _NoPageError(Reason.LIMIT, detail, certain=True)
                return Page(url, response.status_code, kind, bytes(body), at, target.address), location
        except httpx.TimeoutException:
            raise TimeoutError from None
        except httpx.ConnectError as error:
            if wrong := _certificate_error(error):
                detail = f"the certificate is not valid for {target.host} ({wrong})"
                raise _NoPageError(Reason.REFUSED, detail, certain=True) from None
            raise _NoPageError(Reason.REFUSED, f"{target.host} cannot be reached ({error})") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise _NoPageError(Reason.REFUSED, f"{target.host} gave no usable answer ({error})") from None


def _parts(url: str) -> tuple[str, str]:
    """Host and path of a URL that may be fetched at all. Raises _NoPageError for any other."""
    try:
        parts = urlsplit(url) if len(url) <= _MAX_URL else None
        port = parts.port if parts else None
    except ValueError:
        parts, port = None, None
    if parts is None or not parts.hostname or any(character <= " " for character in url):
        raise _NoPageError(Reason.REFUSED, "it is no usable URL", certain=True)
    if parts.scheme != "https":
        raise _NoPageError(Reason.REFUSED, "it is not an https URL", certain=True)
    if parts.username is not None or port not in (None, 443):
        raise _NoPageError(Reason.REFUSED, "a URL with a port or a password is not fetched", certain=True)
    path = parts.path or "/"
    return parts.hostname.lower().rstrip("."), f"{path}?{parts.query}" if parts.query else path


def _certificate_error(error: BaseException) -> str | None:
    """Why the certificate was refused, where that is what went wrong."""
    cause: BaseException | None = error
    for _ in range(10):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        cause = cause.__cause__ or cause.__context__ if cause else None
    return None
