"""Taking in what receivers send: once, all of it, and trusted no further than proven."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import random
import re
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Reason
from deliverability.core.model.observed import FeedbackKind, Observed
from deliverability.core.model.services import Reporter
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.replies import limits
from deliverability.core.rules.knowledge import shipped
from deliverability.core.store.observations import Batch, Observations
from deliverability.core.store.store import History, HistoryError
from deliverability.core.store.window import window
from deliverability.intake import places, readings
from deliverability.intake.records import ANOTHERS_MAIL, KEY_GONE, NOT_AUTHENTICATED, NOT_VERIFIED_NOW
from deliverability.intake.run import IntakePlan, IntakeResult, take_in
from tests.corpus import corpus
from tests.intake.reports import BEGIN, NOW, metadata, record, report
from tests.killed import Step, killed_at_every, stepping
from tests.observations import contents, digest, with_known_key
from tests.poison import every_way, poisoned
from tests.sampled import some_or_every
from tests.signing import Rule, TableResolver, ed25519_key, published, sign

pytestmark = pytest.mark.long

CLOCK = FixedClock(datetime.fromtimestamp(NOW, UTC))
KEYS = {"s1._domainkey.receiver.example": published(ed25519_key()), "_dmarc.receiver.example": "v=DMARC1; p=reject"}


LISTED = shipped().reporters | {"receiver": Reporter("receiver", ("receiver.example",), ("receiver.example",))}


def made(number: int = 1, reporter: str = "receiver.example", rows: int = 2, **how: Any) -> bytes:
    """An aggregate report."""
    return report(
        *(record(ip=f"192.0.2.{each}", count=number + each, **how) for each in range(rows)),
        head=metadata(str(number), reporter=reporter),
    )


def carried(octets: bytes, domain: str = "receiver.example", *, author: str = "", name: str = "r.xml.gz") -> bytes:
    """A report in a mail that is signed by a domain."""
    mail = EmailMessage()
    mail["From"] = f"dmarc@{author or domain}"
    mail["To"] = "rua@example.com"
    mail["Subject"] = f"Report Domain: example.com Submitter: {domain} Report-ID: 1"
    mail.set_content("A report.")
    mail.add_attachment(gzip.compress(octets, mtime=0), maintype="application", subtype="gzip", filename=name)
    plain = mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return sign(plain, ed25519_key(), domain=domain, algorithm="ed25519-sha256")


def opened(folder: Path, name: str = "h.db") -> History:
    return History.open(f"sqlite:///{with_known_key(folder / name)}")


def ports(table: dict[str, Rule] | None = None) -> Ports:
    return Ports(TableResolver(KEYS if table is None else table), CLOCK)


def taken(history: History, *places: str | Path, table: dict[str, Rule] | None = None, **how: Any) -> IntakeResult:
    """An intake of these places."""
    stdin = how.pop("stdin", None)
    plan = IntakePlan(ports(table), [str(each) for each in places], reporters=shipped().reporters)
    return asyncio.run(take_in(replace(plan, **how), Observations(history), stdin=stdin))


def seen(history: History, trust: str = "verified") -> Observed:
    return window(history, "example.com", 28, trust, NOW, LISTED)


def trusted(history: History) -> int:
    return sum(row.messages for row in seen(history).rows if row.trusted)


def codes(result: IntakeResult) -> list[str]:
    return [each.detail.code for each in result.problems]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    found = opened(tmp_path)
    yield found
    found.close()


def every_kind_of_place(folder: Path) -> list[str]:
    """The same kind of thing in a file, folder, glob, Maildir and mbox: ten reports in all."""
    (folder / "one.xml").write_bytes(made(1))
    (folder / "many" / "below").mkdir(parents=True)
    (folder / "many" / "two.xml.gz").write_bytes(gzip.compress(made(2)))
    with zipfile.ZipFile(folder / "many" / "below" / "three.zip", "w") as archive:
        archive.writestr("3.xml", made(3))
        archive.writestr("4.xml", made(4))
    (folder / "many" / ".hidden").write_bytes(made(99))
    (folder / "g5.dat").write_bytes(made(5))
    (folder / "g6.dat").write_bytes(carried(made(6)))
    for part in ("new", "cur", "tmp"):
        (folder / "Maildir" / part).mkdir(parents=True)
        (folder / "Maildir" / part / f"{part}:2,S").write_bytes(carried(made({"new": 7, "cur": 8, "tmp": 98}[part])))
    mails = [b"From x\n" + carried(made(number)).replace(b"\r\n", b"\n") + b"\n" for number in (9, 10)]
    (folder / "all.mbox").write_bytes(b"".join(mails))
    return [str(folder / each) for each in ("one.xml", "many", "g*.dat", "Maildir", "all.mbox")]


def test_every_kind_of_place_is_read(history: History, tmp_path: Path) -> None:
    result = taken(history, *every_kind_of_place(tmp_path))
    assert (result.items, result.others, result.lost, codes(result)) == (9, 0, False, [])
    tally = result.tallies[FeedbackKind.AGGREGATE, "receiver.example"]
    assert (tally.new, tally.known, tally.untrusted) == (10, 0, 5)
    assert {each.report_id for each in _stored(history)} == {str(number) for number in range(1, 11)}
    assert {each.trust for each in seen(history).reports} == {"verified", "file"}


def _stored(history: History) -> Sequence[Any]:
    from sqlalchemy import select

    from deliverability.core.store.tables import obs_reports

    with history.reading() as connection:
        return connection.execute(select(obs_reports)).all()


def test_standard_input(history: History) -> None:
    result = taken(history, "-", stdin=io.BytesIO(carried(made())))
    assert trusted(history) == 3
    assert result.items == 1
    assert taken(history, "-", stdin=io.BytesIO(b"hello")).lost


def test_the_same_places_again_change_nothing(history: History, tmp_path: Path) -> None:
    places = every_kind_of_place(tmp_path)
    taken(history, *places)
    before = digest(history)
    result = taken(history, *places)
    assert digest(history) == before
    assert (result.items, result.seen, dict(result.tallies)) == (9, 9, {})


def test_the_order_of_places_does_not_matter(tmp_path: Path) -> None:
    places = every_kind_of_place(tmp_path)
    found = set()
    for number, order in enumerate((places, places[::-1])):
        history = opened(tmp_path, f"{number}.db")
        taken(history, *order)
        found.add((digest(history), str(seen(history))))
        history.close()
    assert len(found) == 1


@some_or_every(4)
def test_killed_at_any_step_it_goes_on_where_it_was(tmp_path: Path, apart: int) -> None:
    places = every_kind_of_place(tmp_path)
    whole = opened(tmp_path, "whole.db")
    taken(whole, *places)
    opened(tmp_path, "h.db").close()

    def work(step: Step) -> None:
        history = opened(tmp_path)
        stepping(step)
        taken(history, *places)

    kills = 0
    for _ in killed_at_every(work, apart):
        kills += 1
    history = opened(tmp_path)
    assert kills > 10 / apart
    assert contents(history) == contents(whole)
    with history.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    history.close()
    whole.close()


# --- Trust ---


def mails(folder: Path, *octets: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(octets):
        (folder / f"{number}.eml").write_bytes(each)
    return folder


def test_forged_reports_end_as_claimed_and_move_nothing(history: History, tmp_path: Path) -> None:
    """In the name of one that really reports, before and after it; in the name of Google; under another's signature."""
    table: dict[str, Rule] = {**KEYS, "s1._domainkey.evil.example": published(ed25519_key())}
    bad = {"evaluated": "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>", "results": ""}
    forged = [
        *(carried(made(number, **bad), "evil.example", author="receiver.example") for number in range(20)),
        *(carried(made(number, "google.com", **bad), "evil.example") for number in range(5)),
        carried(made(1, rows=40, **bad), "evil.example"),
    ]
    taken(history, mails(tmp_path / "a", *forged), table=table)
    assert trusted(history) == 0
    result = taken(history, mails(tmp_path / "b", carried(made(1))), table=table)
    assert trusted(history) == 3
    assert codes(result) == [], "what a forged one calls itself is not even in the real one's way"
    taken(history, mails(tmp_path / "c", *(each + b"\r\n" for each in forged)), table=table)
    assert trusted(history) == 3
    assert {ANOTHERS_MAIL.name, NOT_AUTHENTICATED.name} <= {each.detail.code for each in seen(history).problems}


def test_an_old_mail_whose_key_is_gone(history: History, tmp_path: Path) -> None:
    result = taken(history, mails(tmp_path / "a", carried(made())), table={})
    assert codes(result) == [KEY_GONE.name]
    assert trusted(history) == 0


def test_where_dns_fails_the_mail_is_looked_at_again(history: History, tmp_path: Path) -> None:
    place = mails(tmp_path / "a", carried(made()))
    lost: dict[str, Rule] = {**KEYS, "s1._domainkey.receiver.example": Reason.TIMEOUT}
    assert codes(taken(history, place, table=lost)) == [NOT_VERIFIED_NOW.name]
    assert trusted(history) == 0
    again = taken(history, place)
    assert (again.seen, trusted(history)) == (0, 3)
    assert seen(history).duplicates == 0, "it is one mail"
    assert taken(history, place).seen == 1


def test_the_user_may_vouch_for_files(history: History, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(made())
    taken(history, tmp_path / "a.xml")
    assert trusted(history) == 0
    taken(history, tmp_path / "a.xml", vouched=True)
    assert trusted(history) == 3


# --- What cannot be used ---


def test_what_is_no_report_is_left_where_it_is(history: History, tmp_path: Path) -> None:
    place = mails(tmp_path / "a", b"From: a@example.com\r\nSubject: hello\r\n\r\nHello\r\n", b"\x89PNG and so on")
    result = taken(history, place, set_aside=tmp_path / "aside")
    assert (result.others, result.lost, result.problems) == (2, False, [])
    assert not (tmp_path / "aside").exists()
    named = taken(history, place / "1.eml")
    assert named.lost is False, "it was seen"
    (tmp_path / "note.txt").write_text("a note")
    assert codes(taken(history, tmp_path / "note.txt")) == ["not-feedback"]


def test_what_cannot_be_used_is_told_and_copied(history: History, tmp_path: Path) -> None:
    cut = gzip.compress(made())[:-20]
    mails(tmp_path / "a", cut, b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + made(), report(head=metadata("1", 5, 6)))
    result = taken(history, tmp_path / "a", set_aside=tmp_path / "aside")
    assert codes(result) == ["feedback-damaged", "report-doctype", "report-period"]
    assert result.lost
    kept = sorted((tmp_path / "aside").iterdir())
    assert len(kept) == 3
    assert cut in [each.read_bytes() for each in kept]
    assert {each.stat().st_mode & 0o777 for each in kept} == {0o600}
    assert not _stored(history)
    assert sum(each.count for each in seen(history).problems) == 3


def test_places_that_are_not_there(history: History, tmp_path: Path) -> None:
    result = taken(history, tmp_path / "nothing", tmp_path / "*.none")
    assert codes(result) == ["place-absent"], "a pattern may find nothing today"
    assert result.lost


def test_a_dry_run_reads_and_keeps_nothing(history: History, tmp_path: Path) -> None:
    places = every_kind_of_place(tmp_path)
    result = taken(history, *places, dry=True, set_aside=tmp_path / "aside")
    assert result.tallies[FeedbackKind.AGGREGATE, "receiver.example"].new == 10
    assert not contents(history)
    assert taken(history, *places).tallies[FeedbackKind.AGGREGATE, "receiver.example"].new == 10


def test_since_and_most(history: History, tmp_path: Path) -> None:
    for day in range(4):
        head = metadata(str(day), BEGIN - day * 86400, BEGIN - day * 86400 + 86399)
        (tmp_path / f"{day}.xml").write_bytes(report(record(), head=head))
    begin = date.fromtimestamp(BEGIN - 86400)
    result = taken(history, tmp_path / "*.xml", since=begin)
    assert result.tallies[FeedbackKind.AGGREGATE, "Example"].new == 2
    assert taken(history, tmp_path / "*.xml").tallies[FeedbackKind.AGGREGATE, "Example"].new == 2, "later all the same"
    assert taken(history, tmp_path / "*.xml", most=3).items == 3


# --- The corpus ---


def test_no_local_part_of_the_corpus_is_in_the_database(tmp_path: Path) -> None:
    """Addresses stand in the metadata of reports, in failure reports, and in the mails that carry them."""
    history = opened(tmp_path)
    folder = corpus("reports")
    result = taken(history, folder, vouched=True, keep_days=10_000)
    assert sum(each.new for each in result.tallies.values()) >= 30
    with history.reading() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    history.close()
    texts = []
    with sqlite3.connect(tmp_path / "h.db") as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'obs_%'"):
            texts += [str(row) for row in database.execute(f"SELECT * FROM {table}")]
    kept = "\n".join(each.replace(str(folder), "") for each in texts).lower()
    for name in ("sharepoint@", "postmaster@", "info@cardinal", "noreply-dmarc-support@", "reports@", "double-bounce"):
        assert name not in kept
    found = set()
    for path in folder.rglob("*"):
        octets = path.read_bytes() if path.is_file() else b""
        found |= {each.decode().lower() for each in re.findall(rb"[\w.+-]{3,40}@[\w-]+\.[\w.-]+", octets)}
    assert len(found) > 20
    numbers = {"b28254de-7b2e-be36-bb5c-4c3b92da8b25@mail.ru"}  # of a report
    assert not [each for each in sorted(found - numbers) if each in kept]


@pytest.mark.parametrize("seed", range(8))
def test_mutated_reports_never_raise(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    files = [each.read_bytes() for each in sorted(corpus("reports").rglob("*")) if each.is_file()]
    history = opened(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(25):
        octets = bytearray(chance.choice(files)[:200_000])
        for _ in range(chance.randrange(1, 30)):
            at = chance.randrange(len(octets) or 1)
            octets[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
        (tmp_path / "in" / str(number)).write_bytes(octets)
    result = taken(history, tmp_path / "in")
    assert result.items == 25
    for domain in {each.domain for each in _stored(history)}:
        window(history, domain, 366, "any", NOW, LISTED)
    history.close()


def test_a_bomb_is_told(history: History, tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"<feedback>" + b" " * 30_000_000))
    assert codes(taken(history, tmp_path / "bomb.gz")) == [limits.BOMB.name]


class TestOneOfMany:
    """Whatever is wrong with one item, it is set aside with its reason, and all others are read, now and later."""

    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "inbox"
        folder.mkdir()
        for number in (1, 2, 4, 5):
            (folder / f"{number}.xml").write_bytes(made(number))
        (folder / "3-poison.xml").write_bytes(made(3, reporter="poison.example"))
        return folder

    def check(self, history: History, tmp_path: Path, error: Exception) -> None:
        folder = self.folder(tmp_path)
        result = taken(history, folder, set_aside=tmp_path / "aside")
        assert sum(tally.new for tally in result.tallies.values()) == 4
        assert {each.report_id for each in _stored(history)} == {"1", "2", "4", "5"}
        (problem,) = result.problems
        assert (Path(problem.name).name, problem.lost) == ("3-poison.xml", True)
        assert result.items == 5
        machine = isinstance(error, (OSError, MemoryError))
        again = taken(history, folder)
        assert (again.seen, [each.name for each in again.problems] != []) == (4 if machine else 5, machine)

    @every_way
    def test_that_a_reader_fails_at(
        self, history: History, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_poison = lambda pieces, *_: b"poison" in b"".join(pieces())  # noqa: E731
        poisoned(monkeypatch, readings, "read_aggregate", is_poison, error)
        folder = self.folder(tmp_path)
        result = taken(history, folder)
        assert {each.report_id for each in _stored(history)} == {"1", "2", "4", "5"}
        assert [(Path(each.name).name, each.lost) for each in result.problems] == [("3-poison.xml", True)]

    @every_way
    def test_that_is_not_even_unpacked(
        self, history: History, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(monkeypatch, places, "_kind", lambda head: b"poison" in head, error)
        result = taken(history, self.folder(tmp_path))
        assert {each.report_id for each in _stored(history)} == {"1", "2", "4", "5"}
        assert [(Path(each.name).name, each.lost) for each in result.problems] == [("3-poison.xml", True)]

    @every_way
    def test_that_cannot_be_kept(
        self, history: History, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_poison = lambda self, item, report, *_: report.reporter == "poison.example"  # noqa: E731
        poisoned(monkeypatch, Batch, "aggregate", is_poison, error)
        self.check(history, tmp_path, error)

    @every_way
    def test_that_shows_only_when_all_are_written(
        self, history: History, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_poison = lambda self: any("poison" in each.name for each in self._reports.values())  # noqa: E731
        poisoned(monkeypatch, Batch, "flush", is_poison, error)
        self.check(history, tmp_path, error)

    @every_way
    def test_a_place_that_breaks_off(
        self, history: History, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(monkeypatch, places, "_folder", lambda path: "broken" in str(path), error)
        result = taken(history, self.folder(tmp_path).rename(tmp_path / "broken"), self.folder(tmp_path))
        assert len(_stored(history)) == 5
        assert [(Path(each.name).name, each.lost) for each in result.problems] == [("broken", True)]

    @every_way
    def test_a_file_that_cannot_be_opened(
        self, history: History, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(monkeypatch, places, "is_mailbox", lambda octets: b"poison" in octets, error)
        result = taken(history, self.folder(tmp_path))
        assert {each.report_id for each in _stored(history)} == {"1", "2", "4", "5"}
        assert [(Path(each.name).name, each.lost) for each in result.problems] == [("3-poison.xml", True)]

    def test_a_history_that_is_gone_ends_it(
        self, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = sqlite3.OperationalError("database or disk is full")
        poisoned(monkeypatch, Batch, "flush", lambda self: True, gone)
        with pytest.raises(HistoryError, match="disk is full"):
            taken(history, self.folder(tmp_path))

    def test_names_and_texts_that_no_database_takes(self, history: History, tmp_path: Path) -> None:
        folder = tmp_path / "inbox"
        folder.mkdir()
        (folder / "1.xml").write_bytes(made(1))
        (folder / os.fsdecode(b"\xff\xfe.xml")).write_bytes(b"<feedback>")
        tls = json.dumps(
            {
                "organization-name": "a\ud800b\0",
                "report-id": "\udfff",
                "date-range": {"start-datetime": "2025-11-23T00:00:00Z", "end-datetime": "2025-11-23T23:59:59Z"},
                "policies": [{"policy": {"policy-type": "sts", "policy-domain": "example.com"}, "summary": {}}],
            }
        )
        (folder / "2.json").write_text(tls)
        result = taken(history, folder)
        assert sum(tally.new for tally in result.tallies.values()) == 2
        assert len(result.problems) >= 1
