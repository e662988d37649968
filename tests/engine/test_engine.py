"""The composition root: pairing domains and messages, where answers come from, exit codes, many subjects at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.core.errors import InputError
from deliverability.core.facts.base import Purpose, Reason, Unknown
from deliverability.core.inputs import Sample, Subject, paired
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import Severity
from deliverability.core.net.base import Answer
from deliverability.core.net.clock import Budget, FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import gather_facts, judge_facts, make_report
from deliverability.engine.rules import exit_code, load_rules, worst_exit_code
from deliverability.engine.samples import with_samples
from tests import TESTS

GOLDEN = TESTS / "golden"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RULES = load_rules()


def mail(author: str) -> Sample:
    return Sample(f"{author}.eml", data=f"From: a@{author}\r\n\r\nhello\r\n".encode())


def pairs(jobs: list[Subject]) -> list[tuple[str, str]]:
    return [(job.domain, job.message_name) for job in jobs]


def static(**more: Any) -> Ports:
    return Ports(StaticResolver({("example.com", "A"): ["192.0.2.1"]}), FixedClock(NOW), sources=("static",), **more)


async def report(domain: str, sample: Sample | None = None, ports: Ports | None = None) -> Report:
    audited = await gather_facts(Subject(domain, sample), ports or static())
    return make_report(audited, RULES, Selection())


async def test_judging_alone_comes_to_what_the_report_says() -> None:
    """What a fleet calls, which needs no plan and no answer."""
    audited = await gather_facts(Subject("example.com", mail("example.com")), static())
    whole, alone = make_report(audited, RULES, Selection()), judge_facts(audited.facts, RULES, Selection())
    assert (alone.findings, alone.assessment) == (whole.findings, whole.assessment)


async def test_what_is_known_of_a_subject_reaches_the_auditors_as_it_was_given() -> None:
    """Nothing on the way names its fields, so that a new one cannot be forgotten there."""
    given = Subject(
        "example.com",
        mail("example.com"),
        selectors=("s1",),
        daily_volume=10,
        purpose=Purpose.USERS,
        taken_from="https://example.com/",
        rare=("2026-01-31 yearly letter",),
        warm_up=((date(2026, 11, 24), 100),),
        rua_since="2026-10-01",
        gate_to="reject",
    )
    (same,) = with_samples(paired([replace(given, sample=None)], [mail("example.com")], Subject()))
    audited = await gather_facts(same, static())
    assert audited.subject == given
    assert audited.facts.value("subject.daily_volume") == 10


# --- Pairing -----------------------------------------------------------------------------------------------------


def test_a_single_domain_takes_every_message() -> None:
    jobs = paired([Subject("a.example")], [mail("b.example"), mail("c.example")], Subject())
    assert pairs(jobs) == [("a.example", "b.example.eml"), ("a.example", "c.example.eml")]


def test_among_several_domains_the_author_decides() -> None:
    domains = [Subject("a.example"), Subject("b.example")]
    jobs = paired(domains, [mail("news.b.example"), mail("other.example")], Subject())
    assert pairs(jobs) == [("a.example", ""), ("b.example", "news.b.example.eml"), ("", "other.example.eml")]


def test_the_closest_of_nested_domains_takes_the_message() -> None:
    domains = [Subject("example.com"), Subject("news.example.com")]
    jobs = paired(domains, [mail("x.news.example.com"), mail("news.example.com.evil.example")], Subject())
    assert pairs(jobs) == [
        ("example.com", ""),
        ("news.example.com", "x.news.example.com.eml"),
        ("", "news.example.com.evil.example.eml"),
    ]


def test_messages_alone_are_audited_for_themselves() -> None:
    assert pairs(paired([], [mail("a.example")], Subject())) == [("", "a.example.eml")]


def test_each_domain_keeps_what_is_said_of_it() -> None:
    bulk = Subject("a.example", purpose=Purpose.BULK)
    assert paired([bulk, Subject("b.example")], [], Subject()) == [bulk, Subject("b.example")]


# --- Where answers come from -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"servers": ["127.0.0.1"], "offline": True}, "use only one of these: servers, offline"),
        ({"zones": [GOLDEN / "good.zone"], "servers": ["127.0.0.1"]}, "use only one of these: zones, servers"),
        ({"zones": [GOLDEN / "good.zone"], "replay": GOLDEN / "x.json"}, "use only one of these: zones, replay"),
        ({"record": True, "replay": Path("b")}, "use only one of these: record, replay"),
        ({"permissions": Permissions(fetch=True), "offline": True}, "use only one of these: fetch, offline"),
        ({"proposals": ["nonsense"], "offline": True}, "proposals: 'nonsense' is not"),
        ({"servers": ["nonsense"]}, "servers: 'nonsense' is not"),
        ({"replay": GOLDEN / "good.zone"}, "is not a recording"),
    ],
)
def test_contradictions_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_ports(PortSettings(**given))


def test_zone_and_offline_mean_the_same() -> None:
    assert open_ports(PortSettings(zones=[GOLDEN / "good.zone"], offline=True)).sources == ("zone",)


def test_a_named_zone_file_is_checked_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.example.zone").write_text("nonsense in here\n")
    with pytest.raises(InputError, match=r"a\.example\.zone:1: "):
        open_ports(PortSettings(zones=[tmp_path / "a.example.zone"]))


async def test_a_wrong_file_of_a_folder_is_told_when_its_domain_is_audited(tmp_path: Path) -> None:
    (tmp_path / "bad.example.zone").write_text("nonsense in here\n")
    (tmp_path / "good.example.zone").write_bytes((GOLDEN / "good.zone").read_bytes())
    ports = open_ports(PortSettings(zones=[tmp_path]))
    assert not (await gather_facts(Subject("good.example"), ports)).crashes
    with pytest.raises(InputError, match=r"bad\.example\.zone:1: "):
        await gather_facts(Subject("bad.example"), ports)


async def test_every_subject_has_a_time_budget_of_its_own() -> None:
    class Slow:
        async def query(self, name: str, rdtype: str) -> Answer:
            await asyncio.sleep(3600)
            raise AssertionError("unreachable")

        async def close(self) -> None:
            pass

    ports = Ports(Slow(), FixedClock(NOW), sources=("slow",), budget=Budget(0.05))
    for _ in range(2):
        audited = await asyncio.wait_for(gather_facts(Subject("example.com"), ports), 30)
        present = audited.facts.value("spf.present")
        assert isinstance(present, Unknown)
        assert present.reason is Reason.TIMEOUT


# --- The subject -------------------------------------------------------------------------------------------------


async def test_without_a_domain_the_message_names_it() -> None:
    assert (await report("", mail("example.com"))).domain == "example.com"
    fallback = Sample("x", data=b"Return-Path: <b@bounce.example.com>\r\nSubject: x\r\n\r\n")
    assert (await report("", fallback)).domain == "bounce.example.com"


async def test_a_message_without_any_domain_is_audited_without_asking_anybody() -> None:
    class Watching:
        def __init__(self) -> None:
            self.asked = 0

        async def query(self, name: str, rdtype: str) -> Answer:
            self.asked += 1
            raise AssertionError((name, rdtype))

        async def close(self) -> None:
            pass

    resolver = Watching()
    got = await report("", Sample("x", data=b"Subject: x\r\n\r\nhello"), Ports(resolver, FixedClock(NOW)))
    assert (got.domain, resolver.asked, got.bugs) == ("", 0, ())
    assert [note.code for note in got.notes][:1] == ["no-author-domain"]


async def test_notes_say_what_the_reader_must_know() -> None:
    def codes(got: Report) -> list[str]:
        return [note.code for note in got.notes]

    assert "author-domain-differs" in codes(await report("example.com", mail("other.example")))
    assert "author-domain-differs" not in codes(await report("example.com", mail("sub.example.com")))
    assert "domain-nonexistent" in codes(await report("gone.example"))
    assert "no-message" in codes(await report("example.com"))
    assert "probes-missed" in codes(await report("example.com"))


async def test_what_the_receiver_recorded_is_told_and_a_contradiction_with_its_likely_reason() -> None:
    told = b"Authentication-Results: mx.other.example; dkim=fail header.d=example.com; dmarc=none\r\n"
    received = b"Received: from mail.example.com (mail.example.com [192.0.2.1]) by mx.other.example; "
    date = b"Tue, 24 Nov 2026 10:00:00 +0000\r\n"
    sample = Sample("x", data=told + received + date + mail("example.com").read())
    notes = {note.code: note.values for note in (await report("example.com", sample)).notes}
    assert notes["recorded"] == {"by": "mx.other.example", "results": "dkim=fail dmarc=none"}
    (differs,) = (code for code in notes if code.startswith("recorded-differs-"))
    assert notes[differs]["method"] == "DKIM"
    for lang in LANGUAGES:
        say = phrases(lang)
        assert all(f"note.{code}" in say for code in notes if code.startswith("recorded"))


def test_a_sample_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deliverability.core.inputs.MAX_MESSAGE_OCTETS", 10)
    with pytest.raises(InputError, match="larger than"):
        Sample("x", data=b"x" * 11).read()
    assert Sample("x", data=b"x" * 10).read() == b"x" * 10


# --- Many subjects -----------------------------------------------------------------------------------------------


# --- Exit codes --------------------------------------------------------------------------------------------------


def finding(outcome: Outcome, severity: Severity, reason: Reason | None = None) -> Finding:
    unknown = Unknown(reason) if reason else None
    return Finding("X-001", "", outcome, severity, {}, {}, (), (), unknown)


@pytest.mark.parametrize(
    ("findings", "fail_on", "code"),
    [
        ([], Severity.ERROR, 0),
        ([finding(Outcome.MET, Severity.ERROR)], Severity.ERROR, 0),
        ([finding(Outcome.UNMET, Severity.ERROR)], Severity.ERROR, 1),
        ([finding(Outcome.UNMET, Severity.WARNING)], Severity.ERROR, 0),
        ([finding(Outcome.UNMET, Severity.WARNING)], Severity.WARNING, 1),
        ([finding(Outcome.UNMET, Severity.ERROR)], None, 0),
        ([finding(Outcome.UNKNOWN, Severity.ERROR, Reason.TIMEOUT)], Severity.ERROR, 3),
        ([finding(Outcome.UNKNOWN, Severity.WARNING, Reason.TIMEOUT)], Severity.ERROR, 0),
        ([finding(Outcome.UNKNOWN, Severity.ERROR, Reason.TIMEOUT)], None, 0),
        ([finding(Outcome.UNKNOWN, Severity.ERROR, Reason.NO_MESSAGE)], Severity.ERROR, 0),
        ([finding(Outcome.UNKNOWN, Severity.ERROR, Reason.NOT_CONFIGURED)], Severity.ERROR, 0),
        ([finding(Outcome.UNKNOWN, Severity.INFO, Reason.BUG)], None, 3),
        (
            [finding(Outcome.UNKNOWN, Severity.ERROR, Reason.TIMEOUT), finding(Outcome.UNMET, Severity.ERROR)],
            Severity.ERROR,
            1,
        ),
    ],
)
async def test_the_exit_code_of_a_report(findings: list[Finding], fail_on: Severity | None, code: int) -> None:
    got = replace(await report("example.com"), findings=tuple(findings))
    assert exit_code(got, fail_on) == code


@pytest.mark.parametrize(("codes", "worst"), [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 1, 0], 1), ([1, 3], 1)])
def test_findings_win_over_what_could_not_be_checked(codes: list[int], worst: int) -> None:
    assert worst_exit_code(codes) == worst
