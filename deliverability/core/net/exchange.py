"""One exchange with a server that speaks in lines (SMTP, IMAP): however slowly or much it sends, the exchange ends.

A time limit for each answer is not enough: a server that sends an octet every few seconds keeps to it for ever.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Never

_PIECE = 65_536
_MAX_ADDRESSES = 8  # of one host


class ExchangeError(OSError):
    """The exchange was broken off, as the server took too long or sent too much."""


class Exchange:
    """The limits of one exchange, counted from its beginning.

    Args:
        seconds: for all of it, connecting and TLS included.
        patience: seconds for each octet to come.
        octets: that the server may send.
        lines: that are read.
        monotonic: seconds.

    """

    def __init__(
        self,
        seconds: float,
        *,
        patience: float,
        octets: int,
        lines: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.problem = ""  # what it was broken off for
        self._seconds = seconds
        self._patience = patience
        self._octets = octets
        self._lines = lines
        self._monotonic = monotonic
        self._begun = monotonic()

    @property
    def used(self) -> float:
        """Seconds since it began."""
        return self._monotonic() - self._begun

    def left(self) -> float:
        """Seconds that it may still take. Raises ExchangeError where there are none."""
        left = self._seconds - self.used
        if left <= 0:
            self._break_off(f"timed out (not finished within {self._seconds:g} s)")
        return left

    @contextmanager
    def wait(self, connection: socket.socket, *, patient: bool = False) -> Iterator[None]:
        """A wait for the other side; `patient`: for all the time that is left. Raises ExchangeError where none is."""
        left = self.left()
        connection.settimeout(left if patient else min(left, self._patience))
        try:
            yield
        except TimeoutError:
            self.left()
            raise

    def received(self, octets: int, lines: int = 0) -> None:
        """Count what came. Raises ExchangeError where it is too much."""
        self._octets -= octets
        self._lines -= lines
        if self._octets < 0 or self._lines < 0:
            self._break_off("sent more than an answer may have")

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to the first address of a host that takes the connection. Raises OSError."""
        problem: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[
            :_MAX_ADDRESSES
        ]:
            connection = socket.socket(family, kind, protocol)
            try:
                with self.wait(connection):
                    connection.connect(address)
            except OSError as error:
                connection.close()
                if self.problem:
                    raise
                problem = error
            else:
                return connection
        raise problem or OSError(f"{host} has no address")

    def secure(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
        """TLS over a connection. Python counts the time limit of a handshake over all of it. Raises OSError."""
        try:
            with self.wait(connection):
                return context.wrap_socket(connection, server_hostname=host)
        except BaseException:
            connection.close()
            raise

    def _break_off(self, problem: str) -> Never:
        self.problem = problem
        raise ExchangeError(problem)


class LineReader:
    """Reads a connection as a binary file is read, within the limits of an exchange."""

    def __init__(self, connection: socket.socket, exchange: Exchange) -> None:
        self.exchange = exchange
        self._connection = connection
        self._buffer = bytearray()

    def readline(self, size: int = -1) -> bytes:
        """A line with its end, `size` octets of it at most; less where the connection ends. Raises OSError."""
        looked = 0
        while True:
            end = self._buffer.find(b"\n", looked) + 1
            if not end and 0 <= size <= len(self._buffer):
                end = size
            if end:
                self.exchange.received(0, 1)
                return self._take(min(end, size) if size >= 0 else end)
            looked = len(self._buffer)
            if not self._more():
                return self._take(looked)

    def read(self, size: int) -> bytes:
        """So many octets; less where the connection ends. Raises OSError."""
        while len(self._buffer) < size and self._more():
            pass
        return self._take(min(size, len(self._buffer)))

    def close(self) -> None:
        """What was not read is dropped."""
        self._buffer.clear()

    def _more(self) -> bool:
        with self.exchange.wait(self._connection):
            piece = self._connection.recv(_PIECE)
        self.exchange.received(len(piece))
        self._buffer += piece
        return bool(piece)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
