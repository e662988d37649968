"""The one HTTP client: for files of the web, forms, webhooks and DNS over HTTPS. Who asks keeps the limits of its own.

httpx2 is imported with the first request, for that takes 0.1 s.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Self

import httpx2

if TYPE_CHECKING:
    import httpx2

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
