"""Reading a mailbox of a real IMAP server: nothing is lost, nothing else is touched, and killed it goes on."""

from __future__ import annotations

import asyncio
import imaplib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.facts.base import Reason
from deliverability.core.model.observed import FeedbackKind
from deliverability.core.store.observations import Observations
from deliverability.core.store.store import History
from deliverability.intake.imap import ImapAccess, ImapError, ImapFolder
from deliverability.intake.run import IntakeMailbox, IntakePlan, IntakeResult, take_in
from tests.imapserver import ImapServer, dovecot
from tests.intake.test_run import KEYS, carried, codes, made, opened, ports, seen, trusted
from tests.killed import Step, killed_at_every, stepping
from tests.sampled import some_or_every

pytestmark = pytest.mark.system

PRIVATE = b"From: a@example.com\r\nSubject: private\r\n\r\nHello\r\n"
BROKEN = carried(b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + made(50)).replace(b"Subject: ", b"Subject: broken ")


@pytest.fixture
def server() -> Iterator[ImapServer]:
    with dovecot() as running:
        yield running


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    found = opened(tmp_path)
    yield found
    found.close()


def read(
    server: ImapServer, history: History, *, table: Any = None, access: ImapAccess | None = None, **how: Any
) -> IntakeResult:
    """An intake of the mailbox."""
    plan = {name: how.pop(name) for name in ("dry", "since") if name in how}
    mailbox = IntakeMailbox("dmarc", lambda: access or server.access(), **how)
    return asyncio.run(take_in(IntakePlan(ports(table), mailboxes=[mailbox], **plan), Observations(history)))


def new(result: IntakeResult) -> int:
    return sum(each.new for (kind, _), each in result.tallies.items() if kind is FeedbackKind.AGGREGATE)


def test_mails_are_read_without_a_trace(server: ImapServer, history: History) -> None:
    server.fill(carried(made(1)), PRIVATE, carried(made(2)))
    result = read(server, history)
    assert (result.items, result.others, new(result), result.problems) == (3, 1, 2, [])
    assert trusted(history) == 8
    assert not [each for each in server.flags() if b"Seen" in each], "for people they are still unread"
    assert read(server, history).items == 0, "not fetched again"
    server.fill(carried(made(3)))
    assert new(read(server, history)) == 1


def test_what_was_read_is_moved_and_all_else_left_alone(server: ImapServer, history: History) -> None:
    server.fill(carried(made(1)), PRIVATE, BROKEN, carried(made(2)))
    with server.client() as client:
        client.store("2", "+FLAGS", r"(\Deleted)")
    result = read(server, history, done="move:報告 & co", failed="move:Broken")
    assert codes(result) == ["report-doctype"]
    assert server.subjects() == ["private"], "marked as deleted by its owner, and still there"
    assert len(server.subjects(imap_name("報告 & co"))) == 2
    assert [each.split()[0] for each in server.subjects("Broken")] == ["broken"]


def imap_name(name: str) -> str:
    from deliverability.intake.imap import folder_name

    return folder_name(name)


def test_what_was_read_is_deleted_and_all_else_left_alone(server: ImapServer, history: History) -> None:
    server.fill(PRIVATE, carried(made(1)), BROKEN, carried(made(2)))
    with server.client() as client:
        client.store("1", "+FLAGS", r"(\Deleted)")
    read(server, history, done="delete")
    assert [each.split()[0] for each in server.subjects()] == ["private", "broken"]


def test_a_report_that_was_known_goes_as_well_and_a_letter_never(server: ImapServer, history: History) -> None:
    """Though both were read already from another place."""
    server.fill(carried(made(1)), PRIVATE)
    read(server, history)
    with server.client() as client:
        client.create("copy")
        client.copy("1:2", "copy")
    read(server, history, access=server.access("copy"), done="delete")
    assert server.subjects("copy") == ["private"]


@some_or_every(4)
def test_killed_at_any_step_it_goes_on(server: ImapServer, tmp_path: Path, apart: int) -> None:
    """Also between what is kept and what is moved: nothing is lost, and nothing stays behind."""
    mails = [carried(made(number)) for number in range(3)]
    server.fill(mails[0], PRIVATE, *mails[1:])
    opened(tmp_path).close()

    def work(step: Step) -> None:
        history = opened(tmp_path)
        stepping(step)
        for name in ("select", "uid"):
            stepping_imap(name, step)
        read(server, history, done="move:Done")

    kills = sum(1 for _ in killed_at_every(work, apart))
    assert kills > 10 / apart
    history = opened(tmp_path)
    assert trusted(history) == sum(2 * number + 1 for number in range(3))
    assert server.subjects() == ["private"]
    assert len(server.subjects("Done")) == 3
    history.close()


def stepping_imap(name: str, step: Step) -> None:
    """A step before each command to the server."""
    original = getattr(imaplib.IMAP4, name)

    def call(*args: Any) -> Any:
        step()
        return original(*args)

    setattr(imaplib.IMAP4, name, call)


def test_a_few_at_a_time(server: ImapServer, history: History) -> None:
    server.fill(*(carried(made(number)) for number in range(5)))
    assert [read(server, history, most=2).items for _ in range(4)] == [2, 2, 1, 0]
    assert len(seen(history).reports) == 5


def test_a_mailbox_that_was_made_anew_is_read_anew_and_counts_once(server: ImapServer, history: History) -> None:
    server.fill(carried(made(1)))
    with server.client() as client:
        client.create("box")
        client.copy("1", "box")
    assert new(read(server, history, access=server.access("box"))) == 1
    with server.client() as client:
        client.delete("box")
        client.create("box")
        client.copy("1", "box")
    again = read(server, history, access=server.access("box"))
    assert (again.items, again.seen) == (1, 1)
    assert trusted(history) == 3


def test_where_dns_fails_the_mail_is_fetched_again(server: ImapServer, history: History) -> None:
    server.fill(carried(made(1)), carried(made(2)))
    lost = {**KEYS, "s1._domainkey.receiver.example": Reason.TIMEOUT}
    read(server, history, table=lost, done="delete")
    assert (trusted(history), len(server.subjects())) == (0, 2)
    read(server, history, done="delete")
    assert (trusted(history), len(server.subjects())) == (8, 0)


def test_a_dry_run_leaves_no_mark(server: ImapServer, history: History) -> None:
    server.fill(carried(made(1)))
    assert new(read(server, history, dry=True, done="delete")) == 1
    assert len(server.subjects()) == 1
    assert new(read(server, history)) == 1


def test_mails_since_a_day_are_read_whatever_was_read_before(server: ImapServer, history: History) -> None:
    server.fill(carried(made(1)))
    read(server, history)
    today = datetime.now(UTC).date()
    result = read(server, history, since=today.replace(year=today.year - 1))
    assert (result.items, result.seen) == (1, 1)


def test_a_wrong_password_and_a_missing_folder_are_told(server: ImapServer, history: History) -> None:
    wrong = read(server, history, access=server.access(password="wrong"))
    assert (codes(wrong), wrong.lost) == (["imap-login"], True)
    assert codes(read(server, history, access=server.access("Nowhere"))) == ["imap-no-folder"]


def test_where_nobody_is_it_does_not_wait_and_whoever_hangs_up_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            for _ in range(4):
                listener.accept()[0].close()

        server = threading.Thread(target=hang_up, daemon=True)
        server.start()
        there = ImapAccess("127.0.0.1", port, "none", "a", "b", False, "INBOX")
        waits: list[float] = []
        with pytest.raises(ImapError), ImapFolder(there, sleep=waits.append):
            pass
        assert waits == [10, 60, 180], "and then it gives up"
        server.join(10)
    waits = []
    with pytest.raises(ImapError), ImapFolder(there, sleep=waits.append):
        pass
    assert waits == []


def test_a_line_that_breaks_is_taken_up_again(server: ImapServer, history: History) -> None:
    server.fill(carried(made(1)))
    waits: list[float] = []
    with ImapFolder(server.access(), sleep=waits.append) as folder:
        (uid,) = folder.uids(0)
        folder._client.sock.close()  # type: ignore[union-attr]
        assert folder.octets(uid)
    assert len(waits) == 1
