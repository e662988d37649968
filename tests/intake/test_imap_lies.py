"""A mailbox whose server lies: whatever it says, the intake ends, tells it, and counts each report once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from deliverability.core.store.observations import Observations
from deliverability.core.store.store import History
from deliverability.core.store.tables import obs_reports
from deliverability.intake import imap
from deliverability.intake.imap import ImapAccess
from deliverability.intake.run import IntakeMailbox, IntakePlan, IntakeResult, take_in
from tests.intake.test_run import carried, made, opened, ports
from tests.lyingimap import Box, Lie, serving
from tests.sampled import sampled

pytestmark = pytest.mark.long

SEARCH, SIZES, MAIL = b"UID SEARCH", b"RFC822.SIZE", b"BODY.PEEK"
HUGE = b"9" * 30
DIGITS = b"9" * 10_000


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    found = opened(tmp_path)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "_WAITS", (0.0,))
    monkeypatch.setattr(imap, "_PATIENCE", 1.0)
    monkeypatch.setattr(imap, "_EXCHANGE", 2.0)
    monkeypatch.setattr(imap, "_LEAVING", 0.2)


def read(port: int, history: History, done: str = "delete") -> IntakeResult:
    access = ImapAccess("127.0.0.1", port, "none", "u", "secret", False, "INBOX")
    plan = IntakePlan(ports(), mailboxes=[IntakeMailbox("dmarc", lambda: access, done)])
    return asyncio.run(take_in(plan, Observations(history)))


def instead(of: bytes, said: bytes) -> Lie:
    """That answer to each command that has `of` in it."""
    return lambda command, answer: said if of in command.upper() else answer


def also(of: bytes, before: bytes = b"", after: bytes = b"") -> Lie:
    """More than was asked for."""
    return lambda command, answer: before + answer + after if of in command.upper() else answer


def changed(of: bytes, pattern: bytes, by: bytes) -> Lie:
    """The answer with something else in the place of each match."""
    return lambda command, answer: re.sub(pattern, by, answer) if of in command.upper() else answer


LIES: dict[str, Lie] = {
    "SEARCH: words": instead(SEARCH, b"* SEARCH one two\r\n"),
    "SEARCH: octets": instead(SEARCH, b"* SEARCH \xff\xfe 1\r\n"),
    "SEARCH: minus": instead(SEARCH, b"* SEARCH -1 1 2\r\n"),
    "SEARCH: zero": instead(SEARCH, b"* SEARCH 0\r\n"),
    "SEARCH: a huge UID": instead(SEARCH, b"* SEARCH 1 %b\r\n" % HUGE),
    "SEARCH: endless digits": instead(SEARCH, b"* SEARCH %b\r\n" % DIGITS),
    "SEARCH: those that are not there": instead(SEARCH, b"* SEARCH 1 2 3 7 8 9\r\n"),
    "SEARCH: only those that are not there": instead(SEARCH, b"* SEARCH 7 8 9\r\n"),
    "SEARCH: the same ones again": instead(SEARCH, b"* SEARCH 1 1 2 2 1\r\n* SEARCH 2 3\r\n"),
    "SEARCH: nothing": instead(SEARCH, b""),
    "SEARCH: NO": instead(SEARCH, b"x NO what?\r\n"),
    "sizes: none": instead(SIZES, b""),
    "sizes: small": changed(SIZES, rb"SIZE \d+", b"SIZE 1"),
    "sizes: large": changed(SIZES, rb"SIZE \d+", b"SIZE 4000000000"),
    "sizes: huge": changed(SIZES, rb"SIZE \d+", b"SIZE " + DIGITS),
    "sizes: minus": changed(SIZES, rb"SIZE \d+", b"SIZE -5"),
    "sizes: of others": changed(SIZES, rb"UID \d+", b"UID 77"),
    "sizes: a huge UID": changed(SIZES, rb"UID \d+", b"UID " + DIGITS),
    "sizes: a literal in place of a number": instead(SIZES, b"* 1 FETCH (UID {1}\r\n1 RFC822.SIZE {1}\r\n5)\r\n"),
    "mail: NIL": instead(MAIL, b"* 1 FETCH (UID 1 BODY[] NIL)\r\n"),
    "mail: none": instead(MAIL, b""),
    "mail: empty": instead(MAIL, b"* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n"),
    "mail: of another UID": changed(MAIL, rb"UID \d+", b"UID 77"),
    "mail: twice": lambda command, answer: answer * 2 if MAIL in command.upper() else answer,
    "mail: literal longer than it is": changed(MAIL, rb"\{(\d+)\}", rb"{1\1}"),
    "mail: literal shorter than it is": changed(MAIL, rb"\{\d+\}", b"{10}"),
    "mail: literal of 4 GB": changed(MAIL, rb"\{\d+\}", b"{4294967296}"),
    "mail: literal of 10^30": changed(MAIL, rb"\{\d+\}", b"{%b}" % HUGE),
    "mail: literal of endless digits": changed(MAIL, rb"\{\d+\}", b"{%b}" % DIGITS),
    "mail: literal of minus": changed(MAIL, rb"\{\d+\}", b"{-1}"),
    "mail: cut": lambda command, answer: answer[:200] + b"<END>" if MAIL in command.upper() else answer,
    "EXPUNGE in the middle of a mail's answer": also(MAIL, b"* 1 EXPUNGE\r\n", b"* 1 EXPUNGE\r\n* 0 EXISTS\r\n"),
    "EXPUNGE in the middle of SEARCH": also(SEARCH, b"* 1 EXPUNGE\r\n* 0 EXISTS\r\n"),
    "VANISHED": also(MAIL, b"* VANISHED 1:3\r\n"),
    "UIDVALIDITY: huge": changed(b"SELECT", rb"UIDVALIDITY \d+", b"UIDVALIDITY " + HUGE),
    "UIDVALIDITY: endless": changed(b"SELECT", rb"UIDVALIDITY \d+", b"UIDVALIDITY " + DIGITS),
    "UIDVALIDITY: a word": changed(b"SELECT", rb"UIDVALIDITY \d+", b"UIDVALIDITY soon"),
    "UIDVALIDITY: none": instead(b"SELECT", b""),
    "EXISTS: a lie": changed(b"SELECT", rb"\d+ EXISTS", b"4000000000 EXISTS"),
    "CAPABILITY: nothing": instead(b"CAPABILITY", b""),
    "CAPABILITY: octets": instead(b"CAPABILITY", b"* CAPABILITY \xff\xfe IMAP4rev1\r\n"),
    "EXPUNGE: more than asked": also(b"UID EXPUNGE", b"* 1 EXPUNGE\r\n" * 1000),
    "BYE in the middle": also(MAIL, b"* BYE so long\r\n<END>"),
    "a continuation that nobody asked for": also(MAIL, b"+ go on\r\n"),
    "untagged rubbish": also(MAIL, b"* \r\n*\r\n* 1\r\n"),
    "tagged by another": also(MAIL, b"XXXX9 OK done\r\n"),
    "octets in place of lines": also(SEARCH, b"\x00\xff\xfe\r\n"),
}


@pytest.mark.parametrize("lie", sampled([*LIES], 4))
def test_a_lie_costs_that_run_its_mails_and_nothing_else(history: History, lie: str) -> None:
    box = Box()
    for number in (1, 2, 3):
        box.add(carried(made(number, rows=1)))
    box.lie = LIES[lie]
    with serving(box) as port:
        told = read(port, history, "keep")
        box.lie = lambda command, answer: answer
        read(port, history)
    with history.reading() as connection:
        kept = sorted(connection.execute(select(obs_reports.c.messages)).scalars())
    assert kept == [1, 2, 3] or told.problems, "a report that is missing is told"
    assert len(kept) == len(set(kept))
