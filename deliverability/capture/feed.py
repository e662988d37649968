"""Tells whoever listens of captures that came, changed or went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

from msgspec import Struct

_WAITING = 1000


class CaptureChange(StrEnum):
    """What happened to a capture."""

    CAME = "came"
    AUDITED = "audited"
    GONE = "gone"


class CaptureNews(Struct, frozen=True):
    """One change of one capture."""

    change: CaptureChange
    id: str


class CaptureFeed:
    """Hands each piece of news to all who follow. One that does not read misses the oldest."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[CaptureNews | None]] = set()

    def tell(self, change: CaptureChange, ident: str) -> None:
        """Say what happened."""
        self._put(CaptureNews(change, ident))

    def close(self) -> None:
        """End everybody's following."""
        self._put(None)

    def _put(self, news: CaptureNews | None) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(news)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[CaptureNews]]:
        """News from now on, until the feed is closed."""
        queue: asyncio.Queue[CaptureNews | None] = asyncio.Queue(_WAITING)
        self._queues.add(queue)

        async def news() -> AsyncIterator[CaptureNews]:
            while (each := await queue.get()) is not None:
                yield each

        try:
            yield news()
        finally:
            self._queues.discard(queue)
