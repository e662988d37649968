"""A name server that gives a good address to whoever checks and another one to whoever connects: it must not matter.

All on loopback: 127.0.0.1 is the public internet here, 127.0.0.2 the private network that nobody may be led to.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Found, MailHost, NoMailHost, NoPage, Page
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.http import WebFetcher
from deliverability.core.net.smtp import LiveProber
from tests.core.net.test_http import OK, Site, certificate  # noqa: F401 - a fixture
from tests.core.net.test_smtp import Server
from tests.dnsserver import DnsServer
from tests.speaking import english

PUBLIC, PRIVATE = "127.0.0.1", "127.0.0.2"
CLOCK = FixedClock(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))
HOST = "www.example.com"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


class Rebinding:
    """The public address to the first question, the private one to each that follows; nothing may be kept."""

    def __init__(self) -> None:
        self.questions = 0

    async def query(self, name: str, rdtype: str) -> Answer:
        if rdtype != "A":
            return Absent(name, rdtype, nxdomain=False)
        self.questions += 1
        return Found(name, rdtype, (PUBLIC if self.questions == 1 else PRIVATE,), ttl=0)

    async def close(self) -> None:
        pass


@asynccontextmanager
async def resolving() -> AsyncIterator[tuple[LiveResolver, Rebinding]]:
    names = Rebinding()
    async with DnsServer(names) as server:
        resolver = LiveResolver([server.server])
        try:
            yield resolver, names
        finally:
            await resolver.close()


@asynccontextmanager
async def both(public: Handler, private: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """One port on either address."""
    first = await asyncio.start_server(public, PUBLIC, 0, ssl=tls)
    port = first.sockets[0].getsockname()[1]
    second = await asyncio.start_server(private, PRIVATE, port, ssl=tls)
    try:
        yield port
    finally:
        first.close()
        second.close()


async def test_a_page_comes_from_the_address_that_was_checked(certificate: Path) -> None:  # noqa: F811
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    site, trap = Site({"/a": moved, "/b": OK}), Site({"/b": OK})
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client = ssl.create_default_context(cafile=str(certificate))
    async with both(site.handle, trap.handle, server) as port, resolving() as (resolver, names):
        fetcher = WebFetcher(CLOCK, context=client, port=port, allowed=lambda address: address == PUBLIC)
        found = await fetcher.fetch(f"https://{HOST}/a", resolver, redirects=2)
        assert isinstance(found, Page)
        assert (found.body, found.server) == (b"hello", PUBLIC)
        assert (len(site.requests), names.questions) == (2, 1)
        again = await fetcher.fetch(f"https://{HOST}/a", resolver, redirects=2)
        posted = await fetcher.post(f"https://{HOST}/a", "List-Unsubscribe=One-Click", resolver)
    for refused in (again, posted):
        assert isinstance(refused, NoPage)
        assert refused.reason is Reason.REFUSED
        assert PRIVATE in english(refused.detail)
    assert trap.requests == []


async def test_a_mail_server_is_called_at_the_address_that_was_checked(certificate: Path) -> None:  # noqa: F811
    """Both times: first the certificate is checked, then any is taken."""
    server, trap = Server(certificate), Server(certificate)
    async with both(server.serve, trap.serve) as port, resolving() as (resolver, names):
        prober = LiveProber(CLOCK, port=port, allowed=lambda address: address == PUBLIC)
        found = await prober.probe(HOST, resolver)
        assert isinstance(found, MailHost)
        assert (found.address, server.said.count("STARTTLS"), names.questions) == (PUBLIC, 2, 1)
        again = await prober.probe(HOST, resolver)
    assert isinstance(again, NoMailHost)
    assert PRIVATE in english(again.detail)
    assert trap.said == []
