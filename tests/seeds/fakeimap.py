"""A small IMAP server on loopback that does what real receivers do differently: Gmail's commands, XOAUTH2, special-use
attributes or none, localised and odd names, answers out of order, slowness, and lines that break.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes

from msgspec import Struct, field

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Kept(Struct):
    """A mail in a folder; `tab`: of Gmail's inbox."""

    octets: bytes
    arrived: datetime
    tab: str = ""


class FakeFolder(Struct):
    """A folder with its attributes; the name as it stands on the wire."""

    name: bytes
    flags: bytes = b""
    mails: dict[int, Kept] = field(default_factory=dict)


class FakeReceiver(Struct):
    """What a server is like.

    Attributes:
        folders: all, the inbox first.
        capabilities: after the login.
        password: that it takes; of XOAUTH2 the token.
        oauth: it takes XOAUTH2 alone.
        delimiter: as LIST has it.
        literals: it writes the names of folders as literals.
        late_date: INTERNALDATE stands behind the header.
        chatty: it tells what nobody asked for.
        no_return: it refuses LIST with RETURN.
        slow: seconds between the pieces of an answer.
        unsearchable: it refuses to search by header fields.
        refuses_login: whoever comes.
        breaks: so many times it breaks off in the middle of a header; -1: always.
        lie: is given each command and the true answer, and gives what is sent.
        asked: every command.

    """

    folders: list[FakeFolder] = field(default_factory=lambda: [FakeFolder(b"INBOX")])
    capabilities: bytes = b"IMAP4rev1"
    password: str = "s3cret-pässword"
    oauth: bool = False
    delimiter: bytes = b'"/"'
    literals: bool = False
    late_date: bool = False
    chatty: bool = False
    no_return: bool = False
    slow: float = 0.0
    unsearchable: bool = False
    refuses_login: bool = False
    breaks: int = 0
    lie: Callable[[bytes, bytes], bytes] = lambda command, answer: answer
    asked: list[bytes] = field(default_factory=list)

    def put(self, folder: bytes, octets: bytes, arrived: datetime, tab: str = "") -> None:
        """A mail arrives."""
        mails = next(each for each in self.folders if each.name == folder).mails
        mails[max(mails, default=100) + 7] = Kept(octets, arrived, tab)


class _Session:
    def __init__(self, receiver: FakeReceiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.receiver, self.reader, self.writer = receiver, reader, writer
        self.folder: FakeFolder | None = None

    async def say(self, octets: bytes) -> None:
        if not self.receiver.slow:
            self.writer.write(octets)
            await self.writer.drain()
            return
        for at in range(0, len(octets), 100):
            self.writer.write(octets[at : at + 100])
            await self.writer.drain()
            await asyncio.sleep(self.receiver.slow)

    async def line(self) -> bytes:
        """A command with its literals."""
        line = (await self.reader.readline()).rstrip(b"\r\n")
        while literal := re.search(rb"\{(\d+)\}$", line):
            await self.say(b"+ go on\r\n")
            line = line[: literal.start()] + b'"' + await self.reader.readexactly(int(literal[1])) + b'"'
            line += (await self.reader.readline()).rstrip(b"\r\n")
        return line

    async def run(self) -> None:
        await self.say(b"* OK ready\r\n")
        while line := await self.line():
            tag, _, command = line.partition(b" ")
            self.receiver.asked.append(command)
            said = await self.answer(command)
            if said is None:
                return
            said = self.receiver.lie(command, said)
            if self.receiver.chatty:
                await self.say(b"* 3 EXISTS\r\n* OK [ALERT] something\r\n")
            await self.say(said.replace(b"TAG ", tag + b" ") if b"TAG " in said else said + tag + b" OK done\r\n")
            if command.upper() == b"LOGOUT":
                return

    async def answer(self, command: bytes) -> bytes | None:
        word = command.upper().split()
        match word[0] if word else b"":
            case b"CAPABILITY":
                return b"* CAPABILITY " + self.receiver.capabilities + b"\r\n"
            case b"LOGIN":
                return self._login(self.receiver.password.encode() in command)
            case b"AUTHENTICATE":
                await self.say(b"+ \r\n")
                given = base64.b64decode((await self.reader.readline()).strip())
                wanted = self.receiver.password.encode()
                ok = word[1] == (b"XOAUTH2" if self.receiver.oauth else b"PLAIN") and wanted in given
                return self._login(ok, given)
            case b"ID":
                return b'* ID ("name" "fake")\r\n'
            case b"LIST":
                return b"TAG BAD no RETURN\r\n" if self.receiver.no_return and b"RETURN" in word else self._list()
            case b"EXAMINE":
                name = re.sub(rb"\\(.)", rb"\1", command[8:].strip().removeprefix(b'"').removesuffix(b'"'))
                self.folder = next((each for each in self.receiver.folders if each.name == name), None)
                return b"* OK [UIDVALIDITY 7]\r\n" if self.folder else b"TAG NO no such folder\r\n"
            case b"UID" if self.receiver.unsearchable and b"HEADER" in word:
                return b"TAG BAD cannot search for that\r\n"
            case b"UID" if self.folder is not None and word[1] == b"SEARCH":
                found = b" ".join(b"%d" % uid for uid in self._search(command))
                return b"* SEARCH %b\r\n" % found
            case b"UID" if self.folder is not None and word[1] == b"FETCH":
                return await self._fetch(int(word[2]))
            case b"LOGOUT":
                return b"* BYE\r\n"
        return b"TAG BAD what?\r\n"

    def _login(self, ok: bool, given: bytes = b"") -> bytes:
        # Some servers repeat what they were sent.
        told = given.replace(b"\0", b" ").replace(b"\1", b" ")
        return b"" if ok and not self.receiver.refuses_login else b"TAG NO [AUTHENTICATIONFAILED] " + told + b"\r\n"

    def _list(self) -> bytes:
        lines = []
        for each in self.receiver.folders:
            quoted = b'"%b"' % re.sub(rb'(["\\])', rb"\\\1", each.name)
            name = b"{%d}\r\n%b" % (len(each.name), each.name) if self.receiver.literals else quoted
            lines.append(b"* LIST (%b) %b %b\r\n" % (each.flags, self.receiver.delimiter, name))
        return b"".join(lines)

    def _search(self, command: bytes) -> list[int]:
        assert self.folder is not None
        words = [each[0] or each[1] for each in re.findall(r'"([^"]*)"|(\S+)', command.decode()[11:])]
        found = list(self.folder.mails)
        while words:
            match words.pop(0):
                case "SINCE":
                    day, month, year = words.pop(0).split("-")
                    since = datetime(int(year), MONTHS.index(month) + 1, int(day), tzinfo=UTC)
                    found = [uid for uid in found if self.folder.mails[uid].arrived >= since]
                case "HEADER":
                    name, text = words.pop(0), words.pop(0)
                    found = [uid for uid in found if self._has(uid, name, text)]
                case "TO" | "SUBJECT" as name:
                    text = words.pop(0)
                    found = [uid for uid in found if self._has(uid, name, text)]
                case "X-GM-RAW":
                    asked = re.fullmatch(r"category:(\w+) rfc822msgid:(\S+)", words.pop(0))
                    assert asked is not None
                    found = [uid for uid in found if self._is_in(uid, asked[1], asked[2])]
                case other:
                    raise AssertionError(other)
        return found

    def _has(self, uid: int, name: str, text: str) -> bool:
        assert self.folder is not None
        values = message_from_bytes(self.folder.mails[uid].octets).get_all(name, [])
        return any(text.lower() in str(each).lower() for each in values)

    def _is_in(self, uid: int, tab: str, message_id: str) -> bool:
        assert self.folder is not None
        return self.folder.mails[uid].tab == tab and self._has(uid, "Message-ID", message_id)

    async def _fetch(self, uid: int) -> bytes | None:
        assert self.folder is not None
        mail = self.folder.mails.get(uid)
        if mail is None:
            return b""
        header = mail.octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        at = mail.arrived
        date = f'INTERNALDATE "{at.day:2d}-{MONTHS[at.month - 1]}-{at:%Y %H:%M:%S} +0000"'.encode()
        if self.receiver.breaks:
            self.receiver.breaks -= 1
            await self.say(b"* 1 FETCH (UID %d %b BODY[HEADER] {%d}\r\n%b" % (uid, date, len(header), header[:40]))
            return None
        odd = b"* 2 FETCH (FLAGS (\\Seen) UID 9999)\r\n" if self.receiver.chatty else b""
        before, after = (b"", b" " + date) if self.receiver.late_date else (date + b" ", b"")
        return odd + b"* 1 FETCH (UID %d %bBODY[HEADER] {%d}\r\n%b%b)\r\n" % (uid, before, len(header), header, after)


@asynccontextmanager
async def serving(receiver: FakeReceiver) -> AsyncIterator[int]:
    """The port of the server."""

    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            await _Session(receiver, reader, writer).run()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*talks)
