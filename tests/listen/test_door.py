"""Connections that say nothing, or half of something, never shut out those that ask."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deliverability.listen import serve
from deliverability.listen.guard import DoorLimits
from deliverability.listen.serve import ListenAddress, ListenSettings, PublicListener
from tests.listen.rooms import client_of, service_at
from tests.listen.test_public import HOST, TOKEN
from tests.listen.test_receive import certificate

REQUEST = "GET /api/messages HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"
LOCAL = ListenSettings(ListenAddress("127.0.0.1", 0), ListenAddress("127.0.0.1", 0))


@asynccontextmanager
async def serving(settings: ListenSettings) -> AsyncIterator[int]:
    """The pages, without mail; gives their port."""
    async with serve._serving(service_at(None), settings) as address:
        assert address is not None
        yield address.port


async def answer(port: int, text: str, tls: ssl.SSLContext | None = None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(text.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


async def closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except (ConnectionError, asyncio.IncompleteReadError):
        return True


@pytest.mark.parametrize("half", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\n", "\r\n", "x" * 1000])
@pytest.mark.long
async def test_250_half_requests_do_not_keep_the_owner_out(half: str) -> None:
    async with serving(LOCAL) as port:
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(250)]
        for _, writer in strangers:
            writer.write(half.encode())
        assert (await answer(port, REQUEST.format(host="localhost", more=""))).startswith(b"HTTP/1.1 200")
        assert await closed(strangers[0][0]), "the one that waited longest gave way"
        for _, writer in strangers:
            writer.close()


async def test_half_a_request_is_waited_for_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "DoorLimits", lambda **more: DoorLimits(seconds=0.2, **more))
    async with serving(LOCAL) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await closed(reader)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST.format(host="localhost", more="").encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.4)
        writer.write(REQUEST.format(host="localhost", more="").encode())
        assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n"), "who has asked may stay and ask again"
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), 5) is not None, "but not half of it"
        writer.close()


def public(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ListenSettings:
    """As for others, on loopback."""
    monkeypatch.setattr(ListenAddress, "is_local", False)
    certificate(folder)
    listener = PublicListener(HOST, folder / "cert.pem", folder / "key.pem", TOKEN)
    return ListenSettings(ListenAddress("127.0.0.1", 0), ListenAddress("127.0.0.1", 0), listener)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


OWNER = REQUEST.format(host=HOST, more=f"Authorization: Bearer {TOKEN}\r\n")


async def test_210_silent_tls_connections_do_not_keep_the_owner_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_OF_ONE", 1000)
    async with serving(public(tmp_path, monkeypatch)) as port:
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(210)]
        assert (await answer(port, OWNER, trusting())).startswith(b"HTTP/1.1 200")
        assert await closed(strangers[0][0])
        for _, writer in strangers:
            writer.close()


async def test_one_peer_has_no_more_than_its_share(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_OF_ONE", 3)
    async with serving(public(tmp_path, monkeypatch)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await closed(reader)
        writer.close()
        held[0][1].close()
        await held[0][1].wait_closed()
        await asyncio.sleep(0.1)
        assert (await answer(port, OWNER, trusting())).startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.close()


async def test_who_shows_no_token_is_sent_away(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(public(tmp_path, monkeypatch)) as port:
        head = await answer(port, REQUEST.format(host=HOST, more=""), trusting())
        assert head.startswith(b"HTTP/1.1 401")
        assert b"connection: close" in head.lower()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("[" * 90_000, "json"),
        ('{"domain": ' * 9_000, "json"),
        ('{"domain": "\\ud800.example"}', "domain"),
        ('{"domain": "a\\udfff"}', "domain"),
        ('{"domain": ["a.example"]}', "domain"),
        ('{"domain": null}', "domain"),
        ('{"domain": "a.example", "format": ["json"]}', "no-such-format"),
        ('{"domain": "a.example", "format": {}}', "no-such-format"),
        ('{"domain": "a.example", "format": "\\ud800"}', "no-such-format"),
        ("NaN", "domain"),
        ("1" * 5_000, "json"),
        ("", "json"),
        ("\xff", "json"),
    ],
)
async def test_what_no_audit_can_be_made_of_is_refused_with_a_reason(body: str, code: str) -> None:
    async with client_of(service_at(None)) as client:
        got = await client.post("/api/audits", content=body.encode("latin-1"))
        assert (got.status_code, got.json()) == (400, {"error": code})
