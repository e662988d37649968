"""Looks at the STARTTLS of mail servers. The audited DNS chooses whom we call, so only public addresses are called.

No mail is handed over: banner, EHLO, STARTTLS, TLS, EHLO, QUIT.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import warnings
from collections.abc import AsyncIterator, Callable

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Clock, MailHost, NoMailHost, Probed, Resolver
from deliverability.core.net.clock import stamp
from deliverability.core.net.public import LATE, NO_USE, UNREACHABLE, NoAnswerError, address_of, is_public

SECONDS = 10.0  # for one host, both connections together
MAX_LINE = 2000  # octets; RFC 5321 section 4.5.3.1.5 allows 512
MAX_LINES = 100  # of one reply
_SHOWN = 200

GREETED = Code("greeted", ("host", "n", "text"))


class LiveProber:
    """Connects to one address of a host, twice at most: first checking the certificate, then taking any.

    Args:
        clock: for the time stamps.
        seconds: for one host.
        port: where servers listen.
        allowed: which addresses may be connected to.
        authorities: PEM file of the authorities to trust; None: those of this machine.

    """

    def __init__(
        self,
        clock: Clock,
        *,
        seconds: float = SECONDS,
        port: int = 25,
        allowed: Callable[[str], bool] = is_public,
        authorities: str | None = None,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._port = port
        self._allowed = allowed
        self._authorities = authorities

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        """Look at one host."""
        at = stamp(self._clock.now())
        try:
            async with asyncio.timeout(self._seconds):
                address = await address_of(host, resolver, self._allowed)
                return replace(await self._look(host, address), at=at)
        except TimeoutError:
            return NoMailHost(host, Reason.TIMEOUT, LATE(server=host, n=f"{self._seconds:g}"), at)
        except NoAnswerError as error:
            return NoMailHost(host, error.reason, error.detail, at)

    async def _look(self, host: str, address: str) -> MailHost:
        checking = _context(self._authorities)
        found = await self._talk(host, address, checking)
        if found.tls_version is not None or not found.tls_problem:
            return found
        # What went wrong may be the certificate only: senders take any.
        checking.check_hostname = False
        checking.verify_mode = ssl.CERT_NONE
        second = await self._talk(host, address, checking)
        if second.tls_version is None:
            return second
        return replace(second, certificate_problem=found.certificate_problem or found.tls_problem)

    async def _talk(self, host: str, address: str, context: ssl.SSLContext) -> MailHost:
        """One connection from banner to QUIT."""
        try:
            reader, writer = await asyncio.open_connection(address, self._port, limit=MAX_LINE)
        except ConnectionRefusedError:
            return MailHost(host, address, reachable=False)
        except OSError as error:
            raise NoAnswerError(Reason.REFUSED, UNREACHABLE(server=host, why=error.strerror or str(error))) from None
        async with _closing(writer):
            try:
                return await self._converse(_Session(reader, writer), host, address, context)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
                raise NoAnswerError(Reason.REFUSED, NO_USE(host=host, why=type(error).__name__)) from None

    async def _converse(self, session: _Session, host: str, address: str, context: ssl.SSLContext) -> MailHost:
        code, lines = await session.reply()
        found = MailHost(host, address, reachable=True, greeting=lines[0][:_SHOWN])
        if code != 220:
            raise NoAnswerError(Reason.REFUSED, GREETED(host=host, n=code, text=lines[0][:_SHOWN]))
        name = session.own_name()
        code, lines = await session.command(f"EHLO {name}")
        if code != 250 or "STARTTLS" not in (line.strip().upper() for line in lines[1:]):
            await session.quit()
            return replace(found, starttls=False)
        found = replace(found, starttls=True)
        code, lines = await session.command("STARTTLS")
        if code != 220:
            await session.quit()
            return replace(found, tls_problem=f"{code} {lines[0][:_SHOWN]}")
        try:
            version, certificate = await session.secure(context, host)
        except ssl.SSLCertVerificationError as error:
            problem = error.verify_message
            return replace(found, tls_problem=problem, certificate_problem=problem)
        except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError) as error:
            return replace(found, tls_problem=getattr(error, "reason", None) or type(error).__name__)
        await session.command(f"EHLO {name}")
        await session.quit()
        return replace(found, tls_version=version, certificate=certificate)


class _Session(Struct):
    """An SMTP conversation, line by line, within limits."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def own_name(self) -> str:
        """The address literal of our side: we have no name that the server could check (RFC 5321 section 4.1.4)."""
        address = ipaddress.ip_address(self.writer.get_extra_info("sockname")[0].partition("%")[0])
        return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"

    async def command(self, line: str) -> tuple[int, list[str]]:
        self.writer.write(f"{line}\r\n".encode("ascii"))
        await self.writer.drain()
        return await self.reply()

    async def reply(self) -> tuple[int, list[str]]:
        """Code and texts of one reply. Raises ValueError where it is none."""
        texts: list[str] = []
        while len(texts) < MAX_LINES:
            line = (await self.reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip("\r\n")
            if len(line) < 3 or not (line[:3].isascii() and line[:3].isdigit()) or line[3:4] not in ("", " ", "-"):
                raise ValueError("not an SMTP reply")
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), texts
        raise ValueError("the reply does not end")

    async def secure(self, context: ssl.SSLContext, host: str) -> tuple[str, bytes | None]:
        """TLS over the connection: its version, and the server's certificate."""
        await self.writer.start_tls(context, server_hostname=host)
        tls = self.writer.get_extra_info("ssl_object")
        version = tls.version() or ""
        return ("TLSv1.0" if version == "TLSv1" else version), tls.getpeercert(binary_form=True)

    async def quit(self) -> None:
        """Take leave; what the server says to that does not matter."""
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self.command("QUIT")


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        # Not waited for: a server that does not answer must not hold us.
        writer.transport.abort()


def _context(authorities: str | None) -> ssl.SSLContext:
    """Checks the certificate, and speaks every version of TLS, so that an old one is seen and not taken for none."""
    context = ssl.create_default_context(cafile=authorities)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
