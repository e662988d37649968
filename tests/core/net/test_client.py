"""The one HTTP client: what it does not do by itself, whoever asks, and that nobody asks without it."""

from __future__ import annotations

import ast
import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import deliverability
from deliverability.core.net.http import HttpClient, HttpError

LIBRARIES = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "aiohttp", "http"}
PACKED = gzip.compress(b"a" * 100_000)


@asynccontextmanager
async def answering(octets: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """A server on loopback that answers all alike: its URL, and what it is asked."""
    asked: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(octets)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked
    finally:
        server.close()


def answer(status: str, body: bytes, *fields: str) -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return f"{head}\r\n\r\n".encode() + body


async def got(url: str, most: int = 1_000, *, environment: bool = False) -> tuple[int, bytes | None]:
    async with HttpClient(5.0, environment=environment) as client, client.exchange("GET", url, {}) as found:
        return found.status, await found.body(most)


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async with answering(answer("302 Found", b"", "Location: /elsewhere")) as (url, asked):
        assert await got(url) == (302, b"")
        assert len(asked) == 1


async def test_no_cookie_is_kept_for_the_next_question() -> None:
    async with answering(answer("200 OK", b"hello", "Set-Cookie: user=1; Path=/")) as (url, asked):
        async with HttpClient(5.0) as client:
            for _ in range(2):
                async with client.exchange("GET", url, {}) as found:
                    assert found.header("set-cookie") == "user=1; Path=/"
        assert len(asked) == 2
        assert not any("cookie" in each for each in asked)


async def test_nothing_packed_is_asked_for_and_what_comes_packed_is_not_unpacked() -> None:
    async with answering(answer("200 OK", PACKED, "Content-Encoding: gzip")) as (url, asked):
        assert await got(url) == (200, PACKED)
        assert "accept-encoding: identity\r\n" in asked[0]


@pytest.mark.parametrize(("most", "body"), [(4, None), (5, b"hello"), (0, None)])
async def test_a_body_is_read_up_to_its_limit(most: int, body: bytes | None) -> None:
    async with answering(answer("200 OK", b"hello")) as (url, _):
        assert await got(url, most) == (200, body)


@pytest.mark.parametrize("environment", [False, True])
async def test_a_proxy_of_the_environment_is_used_only_where_that_is_wanted(
    environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with (
        answering(answer("200 OK", b"site")) as (url, site),
        answering(answer("200 OK", b"proxy")) as (at, proxy),
    ):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, at)
        assert await got(url, environment=environment) == (200, b"proxy" if environment else b"site")
        assert (len(site), len(proxy)) == ((0, 1) if environment else (1, 0))


@pytest.mark.parametrize("octets", [b"", b"SSH-2.0-server\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"])
async def test_what_is_no_whole_answer_is_an_error(octets: bytes) -> None:
    async with answering(octets) as (url, _):
        with pytest.raises(HttpError) as caught:
            await got(url)
    assert (caught.value.connected, caught.value.certificate) == (True, None)


@pytest.mark.parametrize("url", ["http://[::1/", "http://a\x07.example/", "nonsense", "ftp://127.0.0.1/"])
async def test_an_address_that_cannot_be_asked_is_an_error(url: str) -> None:
    with pytest.raises(HttpError):
        await got(url)


async def test_a_closed_port_is_told_from_an_answer_that_breaks_off() -> None:
    async with answering(b"") as (url, _):
        pass
    with pytest.raises(HttpError) as caught:
        await got(url)
    assert not caught.value.connected


def test_no_other_module_imports_a_library_that_speaks_http() -> None:
    root = Path(deliverability.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        text = path.read_text("utf-8")
        if not any(library in text for library in LIBRARIES):
            continue  # only what has a name is taken apart
        for node in ast.walk(ast.parse(text)):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if LIBRARIES & {each.partition(".")[0] for each in names}:
                found.add(path.relative_to(root).as_posix())
    assert found == {"core/net/http.py"}
