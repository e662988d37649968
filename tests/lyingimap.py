"""A mailbox on loopback whose server lies, or breaks off, where a test wants it; else it serves what it has."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from msgspec import Struct, field

Lie = Callable[[bytes, bytes], bytes | None]
"""What is sent to a command in place of the true answer (both without the tag); None: the line is broken off."""


class Box(Struct):
    """The mails by UID, and what the server does.

    Attributes:
        mails: each with its octets.
        uidvalidity: as it is sent.
        lie: is given each command and the true answer.
        asked: every command that came, without its tag.
        newest: the UID that was given last; none is given twice.

    """

    mails: dict[int, bytes] = field(default_factory=dict)
    uidvalidity: bytes = b"7"
    lie: Lie = lambda command, answer: answer
    asked: list[bytes] = field(default_factory=list)
    newest: int = 0

    def add(self, mail: bytes) -> None:
        """One more mail."""
        self.newest += 1
        self.mails[self.newest] = mail

    def answer(self, command: bytes) -> bytes:
        """The true answer, without the tag of its last line."""
        words = command.upper().split()
        said = b""
        match words[:2]:
            case [b"CAPABILITY"]:
                said = b"* CAPABILITY IMAP4rev1 UIDPLUS MOVE\r\n"
            case [b"SELECT", *_]:
                said = b"* %d EXISTS\r\n* OK [UIDVALIDITY %b] valid\r\n" % (len(self.mails), self.uidvalidity)
            case [b"UID", b"SEARCH"]:
                first, last = re.findall(rb"UID (\d+)(:\*)?$", command)[0]
                found = [uid for uid in sorted(self.mails) if uid == int(first) or (last and uid > int(first))]
                said = b"* SEARCH %b\r\n" % b" ".join(b"%d" % uid for uid in found)
            case [b"UID", b"FETCH"]:
                said = b"".join(self._fetched(uid, command) for uid in self._uids(words[2]))
            case [b"UID", b"MOVE" | b"EXPUNGE"]:
                for number, uid in enumerate(self._uids(words[2])):
                    del self.mails[uid]
                    said += b"* %d EXPUNGE\r\n" % (number + 1)
            case [b"LOGOUT"]:
                said = b"* BYE\r\n"
        return said

    def _uids(self, given: bytes) -> list[int]:
        return [uid for uid in map(int, given.split(b",")) if uid in self.mails]

    def _fetched(self, uid: int, command: bytes) -> bytes:
        mail = self.mails[uid]
        number = sorted(self.mails).index(uid) + 1
        if b"RFC822.SIZE" in command:
            return b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (number, uid, len(mail))
        return b"* %d FETCH (UID %d BODY[] {%d}\r\n%b)\r\n" % (number, uid, len(mail), mail)

    def serve(self, client: socket.socket) -> None:
        """Talk to one client until either breaks off."""
        client.settimeout(30)
        with suppress(OSError), client, client.makefile("rb") as lines:
            client.sendall(b"* OK hello\r\n")
            for line in iter(lines.readline, b""):
                tag, _, command = line.rstrip(b"\r\n").partition(b" ")
                self.asked.append(command)
                said = self.lie(command, self.answer(command))
                if said is None:
                    return
                client.sendall(said if said.endswith(b"<END>") else said + tag + b" OK done\r\n")
                if said.endswith(b"<END>"):
                    return


@contextmanager
def serving(box: Box) -> Iterator[int]:
    """The port of the server."""
    threads: list[threading.Thread] = []

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=box.serve, args=(client,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for each in (accepting, *threads):
                each.join(5)
