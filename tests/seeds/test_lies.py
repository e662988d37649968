"""A test mailbox whose server lies: whatever it says, a look ends, and what is not known is not called missing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from deliverability.seeds import mailbox
from deliverability.seeds.mailbox import SeedError, SeedMailbox
from deliverability.seeds.values import Folder, Sighting
from tests.sampled import sampled
from tests.seeds.fakeimap import FakeReceiver, serving
from tests.seeds.receivers import KINDS, MARK, NOW, mail, seed

pytestmark = pytest.mark.long

DIGITS = b"9" * 10_000
Lie = Callable[[bytes, bytes], bytes]


def instead(of: bytes, said: bytes) -> Lie:
    """That answer to each command that has `of` in it."""
    return lambda command, answer: said if of in command.upper() else answer


def changed(of: bytes, pattern: bytes, by: bytes) -> Lie:
    """The answer with something else in the place of each match."""
    return lambda command, answer: re.sub(pattern, by, answer) if of in command.upper() else answer


LIES: dict[str, Lie] = {
    "LIST: nothing": instead(b"LIST", b""),
    "LIST: words": instead(b"LIST", b"* LIST\r\n* LIST ()\r\n* LIST (\\Junk\r\n"),
    "LIST: octets": instead(b"LIST", b'* LIST (\\Junk) NIL "\xff\xfe"\r\n'),
    "LIST: a command in a name": instead(b"LIST", b"* LIST (\\Junk) NIL {15}\r\nx\r\nA1 DELETE y\r\n\r\n"),
    "LIST: an endless name": instead(b"LIST", b"* LIST (\\Junk) NIL " + b"x" * 500_000 + b"\r\n"),
    "LIST: two for spam": instead(b"LIST", b"* LIST (\\Junk) NIL Junk\r\n* LIST (\\Junk) NIL Filed\r\n"),
    "LIST: thousands": instead(b"LIST", b"".join(b"* LIST () NIL f%d\r\n" % number for number in range(5000))),
    "EXAMINE: nothing": instead(b"EXAMINE", b""),
    "EXAMINE: NO": instead(b"EXAMINE", b"TAG NO what?\r\n"),
    "SEARCH: words": instead(b"SEARCH", b"* SEARCH one -2 0x3\r\n"),
    "SEARCH: octets": instead(b"SEARCH", b"* SEARCH \xff\xfe\r\n"),
    "SEARCH: endless digits": instead(b"SEARCH", b"* SEARCH " + DIGITS + b"\r\n"),
    "SEARCH: those that are not meant": instead(b"SEARCH", b"* SEARCH 107 107 107\r\n"),
    "FETCH: nothing": instead(b"FETCH", b""),
    "FETCH: NIL": instead(b"FETCH", b"* 1 FETCH (UID 107 BODY[HEADER] NIL)\r\n"),
    "FETCH: another UID": changed(b"FETCH", rb"UID \d+", b"UID 9"),
    "FETCH: no UID": changed(b"FETCH", rb"UID \d+ ", b""),
    "FETCH: an odd date": changed(b"FETCH", rb"INTERNALDATE \"[^\"]*\"", b'INTERNALDATE "99-Foo-0000 99:99:99 +9999"'),
    "FETCH: no date": changed(b"FETCH", rb"INTERNALDATE \"[^\"]*\" ", b""),
    "FETCH: longer than it is": changed(b"FETCH", rb"\{(\d+)\}", rb"{1\1}"),
    "FETCH: shorter than it is": changed(b"FETCH", rb"\{\d+\}", b"{10}"),
    "FETCH: endless digits": changed(b"FETCH", rb"\{\d+\}", b"{" + DIGITS + b"}"),
    "CAPABILITY: nothing": instead(b"CAPABILITY", b""),
    "CAPABILITY: octets": instead(b"CAPABILITY", b"* CAPABILITY \xff IMAP4rev1\r\n"),
    "a continuation that nobody asked for": instead(b"SEARCH", b"+ go on\r\n"),
    "BYE": instead(b"SEARCH", b"* BYE so long\r\n"),
    "rubbish": instead(b"SEARCH", b"\x00\xff\r\n* \r\n"),
}
TRUE = {Folder.SPAM, Folder.OTHER}


async def looked(receiver: FakeReceiver, name: str) -> Sighting | SeedError | None:
    async with serving(receiver) as port:
        box = SeedMailbox(seed(KINDS[name], port))
        try:
            return await asyncio.to_thread(box.look, MARK, everywhere=True)
        except SeedError as error:
            return error
        finally:
            box.close()


@pytest.mark.parametrize("lie", sampled([*LIES], 3))
async def test_a_lie_ends_a_look_and_nothing_else(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "_SECONDS", 3.0)
    monkeypatch.setattr(mailbox, "_PATIENCE", 0.5)
    receiver = KINDS["yahoo"].make()
    receiver.put(b"Bulk", mail(), NOW)
    receiver.lie = LIES[lie]
    found = await looked(receiver, "yahoo")
    if isinstance(found, Sighting):
        assert found.folder in TRUE
    sent = b"\n".join(receiver.asked).upper()
    assert b"DELETE" not in sent
    assert b"SELECT" not in sent
