"""Who may hold a connection to the pages and the API, and for how long without asking anything.

Whoever connects is let in at first. Until a request has come whole they are only waiting: for ten seconds, and the one
that has waited longest gives way to the next. So connections that say nothing, or half of something, cannot shut out
those that ask. A request without the right token is answered and its connection closed (capture.guard), so that where a
token is asked for, all who stay are the owner's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field
from uvicorn.protocols.http.h11_impl import H11Protocol

from deliverability.ports.receive import network_of

if TYPE_CHECKING:
    from collections.abc import Callable


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
