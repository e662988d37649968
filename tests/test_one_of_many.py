"""Every stream of the program: whatever is wrong with one item, it is told, and all others are read.

Reports and mails of an intake have their tests in tests/intake/test_run.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability import observing
from deliverability.console import judging
from deliverability.contact import gather as quoting
from deliverability.core.codes import VERBATIM
from deliverability.core.errors import InputError, each_of, reason_of, set_aside, until_lost
from deliverability.core.inputs import Subject
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.replies import explain as explaining
from deliverability.core.replies.match import load_replies
from deliverability.core.replies.outcomes import Outcomes
from deliverability.core.store.store import DamagedError, History
from deliverability.engine import audit as engine
from deliverability.engine import mailable, samples
from deliverability.engine.mailable import takes_no_mail
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.fleet import lists
from deliverability.fleet.shards import FleetSubject
from deliverability.intake import command as intake_command
from deliverability.intake import events, logs
from deliverability.intake import logs as exchange
from deliverability.intake.logs import log_events, tracking_events
from deliverability.intake.readings import FoundEvents, feedback_in
from deliverability.listen import service as capture_service
from deliverability.lists.run import Addresses
from deliverability.weekly import messages
from deliverability.weekly import run as weekly_run
from deliverability.weekly.messages import pick
from tests.console.test_cli import BOTH, BROKEN_MAIL, GOOD_MAIL, Deliv, deliv
from tests.intake.reports import NOW, metadata, record, report
from tests.listen.rooms import service_at
from tests.poison import every_way, poisoned, some_ways
from tests.signing import TableResolver
from tests.weekly.test_stories import Life

pytestmark = pytest.mark.long

__all__ = ["deliv"]

POISON = "poison.example"


def holds(*values: Any, **more: Any) -> bool:
    """Whether anything that a function is given has the word in it."""
    return any(POISON.partition(".")[0] in repr(each) for each in (*values, *more.values()))


# --- The mechanism ---


class TestMechanism:
    @every_way
    def test_an_item_that_fails_is_told_and_the_loop_goes_on(self, error: Exception) -> None:
        done, lost = [], []
        for item in range(3):
            with set_aside(lost.append):
                if item == 1:
                    raise error
                done.append(item)
        assert (done, lost) == ([0, 2], [error])

    @every_way
    def test_what_yields_several_of_each_fails_at_one(self, error: Exception) -> None:
        def work(item: int) -> Iterator[str]:
            yield f"{item}a"
            if item == 1:
                raise error
            yield f"{item}b"

        got, lost = [], []
        for each in until_lost(each_of(range(3), work), lost.append):
            got.append(each)
        assert (got, len(lost)) == (["0a", "0b", "1a", "2a", "2b"], 1)

    def test_ctrl_c_ends_everything(self) -> None:
        def stopped() -> None:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                raise RuntimeError("while a class was made") from None

        lost: list[Exception] = []
        with pytest.raises(RuntimeError), set_aside(lost.append):
            stopped()
        with pytest.raises(KeyboardInterrupt), set_aside(lost.append):
            raise KeyboardInterrupt
        with pytest.raises(TypeError), set_aside(lost.append):
            raise TypeError("expected a message argument")  # what CPython makes of it while a name is imported
        assert lost == []

    def test_what_all_items_share_ends_the_loop(self) -> None:
        with pytest.raises(OSError, match="full"), set_aside(lambda error: None, but=(OSError,)):
            raise OSError("full")

    @every_way
    def test_the_reason_is_a_sentence_in_both_languages(self, error: Exception) -> None:
        from deliverability.core.phrases import detail_words, phrases

        for lang in ("en", "ja"):
            said = detail_words(reason_of(error), phrases(lang))
            assert said
            assert "{" not in said


# --- Commands that take several ---


def is_broken(subject: Subject) -> bool:
    return subject.domain == "broken.example"


class TestDomains:
    @some_ways
    def test_of_an_audit(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        poisoned(monkeypatch, engine, "gather", lambda _, subject, *__, **how: is_broken(subject), error)
        done = deliv("audit", "broken.example", "good.example", *BOTH, "--format", "json")
        assert done.code == 3, done.err
        assert [each["subject"]["domain"] for each in done.json] == ["good.example"]
        assert "broken.example" in done.err

    @some_ways
    def test_whose_report_cannot_be_written(
        self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(monkeypatch, judging, "exit_code", lambda report, *_: report.domain == "broken.example", error)
        done = deliv("audit", "broken.example", "good.example", *BOTH, "-o", "pages/")
        assert done.code == 3, done.err
        assert "broken.example" in done.err
        assert Path("pages/good.example.html").is_file()
        assert Path("pages/index.html").is_file()

    def test_of_a_list_with_lines_that_are_none(self, deliv: Deliv) -> None:
        done = deliv("audit", "-", *BOTH, "--format", "json", stdin=b"not..one\ngood.example\n..\nbroken.example\n")
        assert done.code == 1, done.err  # for what was found in the others
        assert [each["subject"]["domain"] for each in done.json] == ["good.example", "broken.example"]
        assert "line 1" in done.err
        assert "line 3" in done.err

    @some_ways
    def test_of_new_settings(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        poisoned(monkeypatch, engine, "gather", lambda _, subject, *__, **how: is_broken(subject), error)
        done = deliv("init", "broken.example", "good.example", *BOTH, "-o", "-")
        assert done.code == 3, done.err
        assert "good.example" in done.out
        assert "broken.example" in done.err

    @every_way
    async def test_whose_mail_servers_are_asked_for(self, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        poisoned(monkeypatch, mailable, "_says", holds, error)
        ports = Ports(TableResolver({}), FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
        found = await takes_no_mail([POISON, "a.example", "b.example"], ports)
        assert found == {POISON: None, "a.example": True, "b.example": True}

    @every_way
    def test_of_a_fleet(self, error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        poisoned(monkeypatch, lists, "parse_domain", holds, error)
        file = tmp_path / "domains.txt"
        file.write_text(f"a.example\n{POISON}\nb.example\n")
        given = lists.FleetList.of(file)
        found = [each.found for each in given.lines()]
        given.close()
        assert [each.domain for each in found if isinstance(each, FleetSubject)] == ["a.example", "b.example"]


class TestMessages:
    @some_ways
    def test_of_an_audit(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        poisoned(monkeypatch, engine, "read", lambda octets: b"broken.example" in octets, error)
        done = deliv("audit", *BROKEN_MAIL, *GOOD_MAIL, *BOTH, "--format", "json")
        assert done.code == 3, done.err
        assert [each["subject"]["domain"] for each in done.json] == ["good.example"]
        assert "broken.eml" in done.err

    @some_ways
    def test_that_are_held_against_each_other(
        self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(monkeypatch, samples, "sample_seen", lambda name, *_: "broken" in name, error)
        done = deliv("audit", *BROKEN_MAIL, *GOOD_MAIL, *BOTH, "--format", "json")
        assert len(done.json) == 2

    def test_that_are_none(self, deliv: Deliv) -> None:
        Path("picture.eml").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        done = deliv("audit", "--eml", "picture.eml", *GOOD_MAIL, *BOTH, "--format", "json")
        assert done.code == 3, done.err
        assert done.json["subject"]["domain"] == "good.example"
        assert "picture.eml" in done.err
        assert deliv("audit", "--eml", "picture.eml", *BOTH).code == 2
        assert deliv("audit", "--eml", "absent.eml", *GOOD_MAIL, *BOTH).code == 2

    @pytest.mark.parametrize("kind", ["folder", "Maildir", "mbox"])
    @every_way
    def test_of_which_the_newest_is_taken(
        self, kind: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mails = [
            f"From: a@shop.example\nDate: {day} Oct 2026 00:00:00 +0000\nSubject: {subject}\n\nx\n".encode()
            for day, subject in ((1, "old"), (2, "good"), (3, "poison"))
        ]
        place = tmp_path / kind
        if kind == "mbox":
            place.write_bytes(b"".join(b"From x\n" + each + b"\n" for each in mails))
        else:
            folder = place / "new" if kind == "Maildir" else place
            folder.mkdir(parents=True)
            for number, each in enumerate(mails):
                (folder / f"{number}.eml").write_bytes(each)
        poisoned(monkeypatch, messages, "_read", lambda octets: b"poison" in octets, error)
        lost: list[Exception] = []
        (found,) = pick([str(place)], ["shop.example"], tmp_path, lost.append)["shop.example"]
        octets = found.data or (found.path.read_bytes() if found.path else b"")
        assert b"good" in octets
        assert len(lost) == 1


class TestWeekly:
    @pytest.fixture
    def life(self, tmp_path: Path) -> Iterator[Life]:
        history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
        yield Life(tmp_path, history, domains=("shop.example", "other.example"))
        history.close()

    async def check(self, life: Life) -> None:
        summary = await life.week()
        told = {each.domain: bool(each.problems) for each in summary.entries}
        assert told == {"shop.example": True, "other.example": False}

    @some_ways
    async def test_a_domain_that_cannot_be_audited(
        self, life: Life, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(monkeypatch, weekly_run, "report_on", lambda job, *_: job.domain == "shop.example", error)
        await self.check(life)

    @some_ways
    async def test_a_message_that_cannot_be_audited(
        self, life: Life, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        life.message = b"From: a@shop.example\n\nx\n"
        poisoned(monkeypatch, weekly_run, "report_on", lambda job, *_: job.sample is not None, error)
        summary = await life.week()
        assert all(each.problems and each.grade for each in summary.entries)

    @some_ways
    async def test_a_page_that_cannot_be_written(
        self, life: Life, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        poisoned(monkeypatch, type(life.pages), "subject", lambda *given: given[2].domain == "shop.example", error)
        await self.check(life)

    @some_ways
    async def test_a_domain_whose_reports_cannot_be_read(
        self, life: Life, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        life.reports = life.folder / "reports"
        life.reports.mkdir()
        (life.reports / "1.xml").write_bytes(
            report(record(author="shop.example")).replace(b"example.com", b"shop.example")
        )
        poisoned(
            monkeypatch, observing.Observer, "observed", lambda self, options, domain: domain == "shop.example", error
        )
        await self.check(life)

    async def test_a_domain_of_which_the_history_has_a_damaged_row(
        self, life: Life, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        damaged = DamagedError(VERBATIM(text="damaged"))
        poisoned(
            monkeypatch, weekly_run._Subjects, "_compared", lambda *given: given[1].domain == "shop.example", damaged
        )
        await self.check(life)


class TestFacts:
    @some_ways
    def test_that_are_judged_again(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        assert deliv("facts", "broken.example", "good.example", *BOTH, "-o", "facts.json").code in (0, 3)
        poisoned(monkeypatch, judging, "make_report", lambda each, *_: each.subject.domain == "broken.example", error)
        done = deliv("judge", "facts.json", "--format", "json")
        assert done.code == 2, done.err
        assert [each["subject"]["domain"] for each in done.json] == ["good.example"]

    @pytest.mark.parametrize(
        "odd", ["1", '"x"', "null", "[]", '{"facts": 1}', '{"facts": {"a.b": ' + "[" * 500 + "]" * 500 + "}}"]
    )
    def test_that_are_none(self, deliv: Deliv, odd: str) -> None:
        assert deliv("facts", "good.example", *BOTH, "-o", "facts.json").code in (0, 3)
        Path("facts.json").write_text(f"[{odd}, {Path('facts.json').read_text()}]")
        done = deliv("judge", "facts.json", "--format", "json")
        assert done.code == 2, done.err
        assert [each["subject"]["domain"] for each in done.json] == ["good.example"]


# --- What receivers send ---


class TestFeedback:
    @pytest.fixture
    def outcomes(self) -> Outcomes:
        rules = load_rules()
        return Outcomes(load_replies(rule_folders(), rules))

    @every_way
    def test_lines_of_a_log(self, outcomes: Outcomes, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = [
            f"Nov 23 10:00:0{n} mx postfix/smtp[1]: ABCDEF{n}: to=<{to}>, relay=mx.example[192.0.2.1]:25, dsn=2.0.0, "
            "status=sent (250 ok)\n"
            for n, to in enumerate(("a@example.com", f"a@{POISON}", "b@example.com"))
        ]
        poisoned(monkeypatch, logs._Log, "_made", holds, error)
        lost: list[Exception] = []
        found = list(until_lost(log_events(iter(["".join(lines).encode()]), outcomes, NOW), lost.append))
        assert [each.recipient for each in found] == ["a@example.com", "b@example.com"]
        assert len(lost) == 1

    @every_way
    def test_rows_of_a_tracking_log(
        self, outcomes: Outcomes, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        head = "#Fields: date-time,event-id,source,recipient-address,recipient-status,server-hostname\n"
        rows = [
            f"2025-11-23T10:00:00Z,SEND,SMTP,{to},,mx.example\n"
            for to in ("a@example.com", f"a@{POISON}", "b@c.example")
        ]
        poisoned(monkeypatch, exchange, "domain_of", holds, error)
        lost: list[Exception] = []
        found = list(until_lost(tracking_events(iter([(head + "".join(rows)).encode()]), outcomes), lost.append))
        assert [each.recipient for each in found] == ["a@example.com", "b@c.example"]
        assert len(lost) == 1

    @every_way
    def test_events_of_a_service(self, outcomes: Outcomes, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        sent = [
            {"event": "bounce", "sg_event_id": str(n), "email": to, "timestamp": NOW, "reason": "550 5.1.1 unknown"}
            for n, to in enumerate(("a@example.com", f"a@{POISON}", "b@example.com"))
        ]
        poisoned(monkeypatch, events, "_sendgrid", holds, error)
        octets = "\n".join(map(json.dumps, sent)).encode()
        (found,) = feedback_in(octets, "events.json", lambda: pytest.fail("no report"), NOW, outcomes=outcomes)
        assert isinstance(found, FoundEvents)
        lost: list[Exception] = []
        assert [each.recipient for each in until_lost(found.events, lost.append)] == ["a@example.com", "b@example.com"]
        assert len(lost) == 1

    @some_ways
    def test_replies_that_are_explained(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pile()
        poisoned(monkeypatch, explaining, "find", lambda octets: POISON.encode() in octets, error)
        done = deliv("explain", "pile", "--format", "json")
        assert done.code == 3, done.err
        assert sum(each["count"] for each in done.json["replies"]) == 2

    @some_ways
    def test_replies_that_are_quoted(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pile()
        poisoned(monkeypatch, quoting.RepliesQuoted, "take", lambda self, octets, *_: POISON.encode() in octets, error)
        done = deliv("contact", "gmail", "good.example", *BOTH, "--bounces", "pile", "--anyway")
        assert done.code in (0, 1), done.err
        assert "poison" in done.err

    def pile(self) -> None:
        Path("pile").mkdir()
        for name in ("a.example", POISON, "z.example"):
            text = f"550 5.1.1 <a@{name}>: The email account that you tried to reach does not exist. - gsmtp\n"
            Path(f"pile/{name}").write_text(text)

    @some_ways
    def test_reports_that_are_shown(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        for number, name in enumerate(("a.example", POISON, "z.example")):
            Path(f"{number}-{name}.xml").write_bytes(report(record(), head=metadata(reporter=name)))
        poisoned(monkeypatch, intake_command, "_report_text", lambda found, *_: found.report.reporter == POISON, error)
        done = deliv("show-report", *sorted(map(str, Path().glob("*.xml"))))
        assert done.code == 3, done.err
        assert ("a.example" in done.out, "z.example" in done.out, POISON in done.err) == (True, True, True)


class TestLists:
    @some_ways
    def test_of_recipients(self, deliv: Deliv, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("list.csv").write_text(f"email\na@gmial.com\nb@{POISON}\nc@gmial.com\n")
        Path("zone").write_text("$ORIGIN gmial.com.\n@ 3600 IN SOA ns. host. 1 1 1 1 1\n@ IN MX 10 mx\n")
        poisoned(monkeypatch, Addresses, "read", lambda self, text: POISON in text, error)
        done = deliv("list-check", "list.csv", "--zone", "zone", "-o", "segments", "--format", "json")
        assert done.code in (0, 1), done.err
        assert POISON in Path("segments/syntax.csv").read_text()
        assert Path("segments/typo.csv").read_text().count("gmial.com") == 2


class TestListener:
    @some_ways
    async def test_a_message_that_cannot_be_audited(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        poisoned(monkeypatch, capture_service, "described", lambda octets: b"poison" in octets, error)
        service = service_at(tmp_path / "mails")
        real = service.call

        async def call(name: str, *args: Any) -> Any:
            if b"poison" in args[0].octets():
                raise error
            return await real(name, *args)

        monkeypatch.setattr(type(service), "call", lambda self, *given: call(*given))
        for word in ("one", "poison", "two"):
            await service.take(f"From: a@good.example\nSubject: {word}\n\n{word}\n".encode(), None)
        await asyncio.gather(*service._audits.values())
        assert sorted((bool(each.problems), each.summary is not None) for each in service.store) == [
            (False, True),
            (False, True),
            (True, False),
        ]

    @pytest.mark.parametrize(
        "meta",
        ["", "{", "[]", "null", "\ud800", "[" * 100_000, '{"id": 1}', None, "at-without-zone", "octets-infinite"],
    )
    async def test_a_folder_that_somebody_spoiled(self, meta: str | None, tmp_path: Path) -> None:
        service = service_at(tmp_path / "mails")
        spoiled = (await service.take(b"From: a@good.example\nSubject: 1\n\nx\n", None)).id
        good = (await service.take(b"From: a@good.example\nSubject: 2\n\nx\n", None)).id
        await asyncio.gather(*service._audits.values())
        file = tmp_path / "mails" / spoiled / "meta.json"
        if meta is None:
            file.unlink()
        elif meta == "at-without-zone":
            file.write_text(json.dumps(json.loads(file.read_text()) | {"at": "2026-01-01T00:00:00"}))
        elif meta == "octets-infinite":
            file.write_text(file.read_text().replace('"octets": ', '"octets": 1e999, "was": '))
        else:
            file.write_bytes(meta.encode("utf-8", "surrogatepass"))
        again = service_at(tmp_path / "mails")
        again.resume()
        assert [each.id for each in again.store] == [good]
        made = await again.take(b"From: a@good.example\nSubject: 3\n\nx\n", None)
        assert {each.id for each in again.store} == {good, made.id}
        await asyncio.gather(*again._audits.values())


def test_an_input_error_keeps_its_words() -> None:
    detail = VERBATIM(text="why")
    assert reason_of(InputError(detail)) == detail
