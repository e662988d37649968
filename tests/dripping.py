"""A server on loopback that never comes to an end: it drips octets or lines, or pours them out, until it is left.

A time limit for each answer does not hold such a server: something always comes in time.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

_ENOUGH = 600.0  # seconds after which the server itself goes; a test that needs them has failed
PAUSE = 0.03  # seconds between two drops; shorter than any patience of a test

Talk = Callable[[bytes], bytes | None]
"""What the server says to a line; None: from now on it drips."""


def after(answers: Sequence[bytes]) -> Talk:
    """One answer to each line, then it drips."""
    left = [*answers]
    return lambda line: left.pop(0) if left else None


def imap(drips_at: bytes) -> Talk:
    """A mailbox with one mail that drips from this command on."""

    def talk(line: bytes) -> bytes | None:
        tag, _, command = line.partition(b" ")
        if command.upper().startswith(drips_at):
            return None
        said = b"* CAPABILITY IMAP4REV1\r\n" if command.startswith(b"CAPABILITY") else b""
        if command.upper().startswith(b"SELECT"):
            said = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n"
        if command.upper().startswith(b"UID SEARCH"):
            said = b"* SEARCH 1\r\n"
        return said + tag + b" OK done\r\n"

    return talk


@contextmanager
def dripping(
    drop: bytes,
    *,
    greeting: bytes = b"",
    talk: Talk | None = None,
    last: bytes = b"",
    tls: ssl.SSLContext | None = None,
    pause: float = PAUSE,
) -> Iterator[int]:
    """The port of a server that greets, talks where it is to talk, and then sends `drop` again and again.

    The line `last` is the last one that it answers.
    """
    over = threading.Event()
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        client.settimeout(_ENOUGH)
        with suppress(OSError), client:
            if tls is not None:
                client = tls.wrap_socket(client, server_side=True)
            with client, client.makefile("rb") as lines:
                client.sendall(greeting)
                while talk is not None and (line := lines.readline()):
                    answer = talk(line.rstrip(b"\r\n"))
                    if answer is None:
                        break
                    client.sendall(answer)
                    if line.rstrip() == last:
                        break
                while not over.wait(pause):
                    client.sendall(drop)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(client,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener,))
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for each in (accepting, *threads):
                each.join()
