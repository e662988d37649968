"""DNS questions over UDP: to each server a few connected sockets, through which many questions go at once.

A forger has to guess the port and the id of a question, and to send from the server's own address and port: the
sockets are connected, so that the system hears nobody else. Their ports are chosen by the system and change with use;
which socket takes a question, and its id there, is random (RFC 5452 sections 9.1 and 9.2).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net import wire
from deliverability.core.net.names import Labels
from deliverability.core.net.public import LATE, NoAnswerError
from deliverability.core.net.servers import Server
from deliverability.core.net.streams import FIRST_WAIT, no_more_files, unreachable

SOCKETS = 8
"""Sockets to one server."""
MOST_ASKED = 400
"""Questions that go through a socket before another, with another port, takes its place."""
MOST_NOISE = 50
"""Datagrams that answer nothing, after which another takes its place: somebody may have found the port."""
_BUFFER = 1 << 20  # octets of replies that may wait to be read, while this process computes
_AT_ONCE = 100  # datagrams that are read before others have their turn
_LARGEST = 65535  # octets

NOISE = Code("server-noise", ("server", "n"))  # only what is malformed or answers another question


class Waiting(Protocol):
    """Who waits for a reply."""

    def heard(self, reply: wire.Response | NoAnswerError) -> None:
        """The reply came, or it is certain that none will."""


class Sent:
    """A question on its way: where it waits for its reply."""

    __slots__ = ("at", "query", "through", "waiting")

    def __init__(self, query: wire.Query, through: _Socket, waiting: Waiting, at: float) -> None:
        self.query = query
        self.through = through
        self.waiting = waiting
        self.at = at

    def silence(self, timeout: float) -> NoAnswerError:
        """Nobody answered in time: whoever asked is not told any more what still comes."""
        self.through.forget(self.query.ident)
        server = str(self.through.server)
        code: Code = NOISE if self.through.noise_at > self.at else LATE
        return NoAnswerError(Reason.TIMEOUT, code(server=server, n=f"{timeout:g}"))


class UdpServer:
    """The sockets to one server.

    Args:
        server: whom to ask.
        patience: seconds to wait for files to be closed, where this machine lets us open no more.

    """

    def __init__(self, server: Server, patience: float) -> None:
        self.server = server
        self._patience = patience
        self._asking: list[_Socket] = []
        self._retired: set[_Socket] = set()
        self._opening: asyncio.Task[None] | None = None
        self._unsent: list[Callable[[NoAnswerError | None], None]] = []
        self._numbers: Iterator[int] = iter(())

    def send(self, labels: Labels, rdtype: str, *, edns: bool, waiting: Waiting) -> Sent | None:
        """Ask; None where no socket is open yet (see `when_open`). Raises ValueError where there is no such type."""
        if len(self._asking) < SOCKETS and self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        if not self._asking:
            return None
        return self._asking[self.number() % len(self._asking)].send(labels, rdtype, edns, waiting)

    def when_open(self, callback: Callable[[NoAnswerError | None], None]) -> None:
        """Tell when there is a socket, or that there will be none, and why."""
        self._unsent.append(callback)

    def number(self) -> int:
        """A random number of 16 bits, of the system's generator."""
        number = next(self._numbers, None)
        while number is None:
            self._numbers = iter(memoryview(os.urandom(2048)).cast("H"))
            number = next(self._numbers)
        return number

    def retire(self, through: _Socket) -> None:
        """Ask through it no more; it is closed when what was asked is answered."""
        if through in self._asking:
            self._asking.remove(through)
            self._retired.add(through)

    def emptied(self, through: _Socket) -> None:
        """Nobody waits there any more."""
        if through in self._retired:
            self._retired.remove(through)
            through.close()

    def close(self) -> None:
        """Close all sockets. Nobody is told anything any more."""
        if self._opening is not None:
            self._opening.cancel()
        for each in (*self._asking, *self._retired):
            each.close()
        self._asking.clear()
        self._retired.clear()

    async def _open(self) -> None:
        """Open what is missing. With one socket questions can go; without any they wait until files are closed."""
        wait = FIRST_WAIT
        while True:
            missing = SOCKETS - len(self._asking)
            opened = await asyncio.gather(*(_Socket.open(self) for _ in range(missing)), return_exceptions=True)
            self._asking += [each for each in opened if isinstance(each, _Socket)]
            problem = next((each for each in opened if not isinstance(each, _Socket)), None)
            if self._asking or problem is None:
                failure = None
                break
            failure = unreachable(self.server, problem)
            if not no_more_files(problem) or wait > self._patience:
                break
            await asyncio.sleep(wait)
            wait *= 2
        self._opening = None
        unsent, self._unsent = self._unsent, []
        for each in unsent:
            each(failure)


class _Socket(asyncio.DatagramProtocol):
    """One socket, connected to the server."""

    _transport: asyncio.DatagramTransport

    def __init__(self, owner: UdpServer, connection: socket.socket) -> None:
        self.server = owner.server
        self._connection = connection
        self.noise_at = float("-inf")
        self._owner = owner
        self._waiting: dict[int, Sent | None] = {}  # None: whoever asked gave up
        self._on_wire = 0
        self._left = MOST_ASKED
        self._noise = 0
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, owner: UdpServer) -> _Socket:
        """Open one. Raises OSError."""
        host = owner.server.host
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            connection.connect((host, owner.server.port))
            loop = asyncio.get_running_loop()
            _, protocol = await loop.create_datagram_endpoint(lambda: cls(owner, connection), sock=connection)
        except BaseException:
            connection.close()
            raise
        return protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, labels: Labels, rdtype: str, edns: bool, waiting: Waiting) -> Sent:
        """Ask with a random id that no other question on its way through here has."""
        ident = self._owner.number()
        while ident in self._waiting:
            ident = self._owner.number()
        query = wire.query(labels, rdtype, edns=edns, ident=ident)
        sent = Sent(query, self, waiting, self._loop.time())
        self._waiting[ident] = sent
        self._on_wire += 1
        self._transport.sendto(query.wire)
        self._left -= 1
        if self._left <= 0:
            self._owner.retire(self)
        return sent

    def forget(self, ident: int) -> None:
        """A reply that still comes is no noise, but nobody waits for it."""
        self._waiting[ident] = None
        self._gone()

    def close(self) -> None:
        """Close it at once."""
        self._transport.abort()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Read also what else has come: while this process computes, replies wait, and they are not late for that."""
        self._take(data)
        for _ in range(_AT_ONCE):
            if self._transport.is_closing():
                return
            try:
                data = self._connection.recv(_LARGEST)
            except OSError as error:
                if not isinstance(error, BlockingIOError | InterruptedError):
                    self.error_received(error)
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        ident = int.from_bytes(data[:2], "big")
        sent = self._waiting.get(ident, _NOBODY)
        if sent is _NOBODY:
            self._junk()
        elif sent is None:
            del self._waiting[ident]
        elif (reply := wire.reply(data, sent.query)) is None:
            self._junk()  # a forger's guess must not end the wait
        else:
            del self._waiting[ident]
            self._gone()
            sent.waiting.heard(reply)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP)."""
        broken = unreachable(self.server, exc)
        waiting = [each for each in self._waiting.values() if each is not None]
        self._waiting.clear()
        for each in waiting:
            self._loop.call_soon(each.waiting.heard, broken)  # not while the question is still being sent
            self._gone()

    def _junk(self) -> None:
        self.noise_at = self._loop.time()
        self._noise += 1
        if self._noise == MOST_NOISE:
            self._owner.retire(self)

    def _gone(self) -> None:
        self._on_wire -= 1
        if not self._on_wire:
            self._owner.emptied(self)


_NOBODY: Any = object()
