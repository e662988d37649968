"""No remedy is shown that was not audited: what it promises is what `--with` then finds, on every corpus zone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

import deliverability.demo
from deliverability.core.facts.base import Purpose, Reason
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import GRADES, Care, Finding, Outcome, RecordEdit, Remedy, Report
from deliverability.core.model.rules import Scope, Severity
from deliverability.core.net.base import Answer, Failed, Fetched, MailHost, Page, Probed, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.names import canonical
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.overlay import OverlayResolver, parse_proposal
from deliverability.core.net.ports import Journal, Permissions, Ports
from deliverability.core.net.recording import write_recording
from deliverability.core.net.static import StaticResolver
from deliverability.core.report.records import with_value
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine import rehearse
from deliverability.engine.audit import Audited, Extras, full_report, gather_facts, make_report, report_on
from deliverability.engine.base import auditors, catalogue, gather
from deliverability.engine.remedies.plan import drafts
from deliverability.engine.remedies.records import Situation
from deliverability.engine.rules import load_rules
from tests.corpus import corpus
from tests.sampled import sampled, some, some_or_every
from tests.test_corpus_smoke import mails, senders

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RULES = load_rules()
PURPOSES = (Purpose.TRANSACTIONAL, Purpose.USERS, Purpose.BULK, Purpose.PARKED)


@cache
def zones() -> Ports:
    return replace(open_ports(PortSettings(zones=[corpus("zones")])), clock=FixedClock(NOW))


async def audited(job: Subject, ports: Ports) -> tuple[Audited, Report]:
    got = await gather_facts(job, ports, Extras(remedies=True))
    assert got.crashes == ()
    report = (await full_report(got, RULES, Selection())).report
    assert "remedies-failed" not in {note.code for note in report.notes}
    return got, report


def with_it(ports: Ports, remedy: Remedy) -> Ports:
    """What is asked as `--with` lays the remedy over it, from the words that a user would type."""
    texts = [f"{e.name} {e.type} {with_value(e.type, value)}" for e in remedy.edits for value in e.new]
    return replace(ports, proposals=tuple(parse_proposal(text) for text in texts))


def cases(report: Report) -> dict[tuple[str, str], Finding]:
    return {(each.rule, each.item): each for each in report.findings}


def milder(finding: Finding, old: dict[tuple[str, str], Finding], new: dict[tuple[str, str], Finding]) -> bool:
    """It did not apply as long as a more severe finding about the same facts stood, which is mended.

    Or it is about mail to the domain: a first record for it asks for something beside it.
    """
    case = (finding.rule, finding.item)
    assert case not in old or old[case].outcome is Outcome.NOT_APPLICABLE
    return finding.scope is Scope.INBOUND or any(
        was.outcome is Outcome.UNMET
        and was.severity.rank > finding.severity.rank
        and any(was.observed.get(path, value) != value for path, value in finding.observed.items())
        and (was_case not in new or new[was_case].outcome is not Outcome.UNMET)
        for was_case, was in old.items()
    )


def assert_better(before: Report, after: Report, remedy: Remedy, opened: set[str]) -> None:
    old, new = cases(before), cases(after)
    own = new.get((remedy.rule, remedy.item))
    assert old[remedy.rule, remedy.item].outcome is Outcome.UNMET
    assert own is None or own.outcome in (Outcome.MET, Outcome.NOT_APPLICABLE)
    for was, now in zip(before.verdicts, after.verdicts, strict=True):
        assert now.verdict.rank <= was.verdict.rank, (remedy, was, now)
    assert GRADES.index(after.assessment.grade) <= GRADES.index(before.assessment.grade), remedy
    for case, finding in new.items():
        if finding.outcome is Outcome.UNMET and finding.severity.rank >= Severity.WARNING.rank:
            known = case in old and old[case].outcome is Outcome.UNMET
            assert known or milder(finding, old, new), (remedy, case)
        if case in old and old[case].outcome in (Outcome.MET, Outcome.UNMET):
            assert finding.outcome is not Outcome.UNKNOWN, (remedy, case)
    newly = {rule for (rule, item), f in new.items() if f.outcome is Outcome.UNMET} - {
        rule for (rule, item), f in old.items() if f.outcome is Outcome.UNMET
    }
    assert newly <= opened


async def assert_all_better(job: Subject, ports: Ports) -> Report:
    _, report = await audited(job, ports)
    assert [(e.rule, e.item, e.code) for e in report.remedies] == list(
        dict.fromkeys((e.rule, e.item, e.code) for e in report.remedies)
    )
    for number, remedy in enumerate(report.remedies):
        again = make_report(await gather_facts(job, with_it(ports, remedy)), RULES, Selection())
        places = {(edit.name, edit.type) for edit in remedy.edits}
        # It holds what those before it for the same record set do.
        below = [e for e in report.remedies[:number] if places & {(edit.name, edit.type) for edit in e.edits}]
        assert_better(report, again, remedy, {rule for each in (*below, remedy) for rule in each.opens})
    assert_in_order(report.remedies)
    return report


def assert_in_order(remedies: tuple[Remedy, ...]) -> None:
    """What builds on another comes after it, so that `old` is what then stands there."""
    stands: dict[tuple[str, str], tuple[str, ...]] = {}
    for remedy in remedies:
        for edit in remedy.edits:
            place = (edit.name, edit.type)
            assert edit.old == stands.get(place, edit.old), remedy
            stands[place] = edit.new


@pytest.mark.parametrize("domain", sampled(senders(), 10))
async def test_every_remedy_of_every_zone_helps_and_harms_nothing(domain: str) -> None:
    for purpose in (None, PURPOSES[senders().index(domain) % len(PURPOSES)]):
        await assert_all_better(Subject(domain, purpose=purpose, daily_volume=10_000), zones())


def _joined() -> Iterator[Path]:
    """Mails whose author domain has a zone in the corpus; the index of zones also lists domains of services."""
    root = corpus("zones")
    names = {line.split("\t")[0] for line in (root / "index.tsv").read_text("utf-8").splitlines()}
    for path in mails():
        if path.stat().st_size < 200_000:
            from deliverability.core.mail.kinds import own_domain
            from deliverability.core.mail.reader import read

            if own_domain(read(path.read_bytes())) in names:
                yield path


async def test_every_remedy_for_mails_of_zones_helps_and_harms_nothing() -> None:
    paths = list(_joined())[::4]
    assert paths
    for path in paths:
        await assert_all_better(Subject(sample=Sample(path.name, path=path)), zones())


def demo_ports(**changed: str) -> Ports:
    zone = Path(deliverability.demo.__file__).parent / "example.zone"
    return replace(open_ports(PortSettings(zones=[zone])), clock=FixedClock(NOW))


def demo_job(purpose: Purpose = Purpose.BULK) -> Subject:
    path = Path(deliverability.demo.__file__).parent / "newsletter.eml"
    return Subject("sakura-shop.example", Sample(path.name, path=path), purpose=purpose, daily_volume=20_000)


async def test_the_demo_has_remedies_that_change_verdicts() -> None:
    """Its mail has another Return-Path: the SPF record of its domain stands in the way of other mail only."""
    report = await assert_all_better(demo_job(), demo_ports())
    assert report.remedies
    assert not any(remedy.gains for remedy in report.remedies if remedy.rule.startswith("SPF"))
    alone = await assert_all_better(Subject("sakura-shop.example"), demo_ports())
    assert any(remedy.gains for remedy in alone.remedies)


# --- the short way gives what the long way gives ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "job", [*sampled([Subject(domain) for domain in senders()[::4]], 3), demo_job()], ids=lambda job: job.domain
)
async def test_auditing_again_only_what_changed_finds_what_auditing_all_finds(job: Subject) -> None:
    ports = demo_ports() if job.sample else zones()
    got, report = await audited(job, ports)
    basis = got.basis
    assert basis is not None
    rehearsal = rehearse.Rehearsal(basis, RULES, catalogue(), Selection())
    base = rehearse._as_published(rehearsal, report)
    for draft in drafts(Situation(report.facts, report.findings, RULES.knowledge.services)):
        edits = rehearse.proposals_for(draft.edits)
        short = await rehearsal.publish(base, edits)
        overlay = OverlayResolver(basis.ports.dns, (each for values in edits.values() for each in values))
        # Which DKIM selectors were guessed stays as it was; all else is audited anew.
        guessed = {"dkim": replace(basis.executions["dkim"], needed={})}
        ports_ = replace(basis.ports, dns=overlay)
        long = await gather(auditors(), basis.subject, ports_, basis.message, before=guessed)
        assert short.facts == long.facts
        findings = judge(long.facts, RULES, catalogue(), Selection())
        assert tuple(replace(each, gains=()) for each in short.findings) == findings


async def test_auditors_that_the_answers_do_not_touch_are_not_run_again() -> None:
    basis = (await audited(demo_job(), demo_ports()))[0].basis
    assert basis is not None
    edit = OverlayResolver(basis.ports.dns, [parse_proposal("_mta-sts.sakura-shop.example TXT v=STSv1; id=1")])
    again = await gather(
        auditors(), basis.subject, replace(basis.ports, dns=edit), basis.message, before=basis.executions
    )
    run = {name for name, work in again.executions.items() if work is not basis.executions[name]}
    assert "mta_sts" in run
    assert run.isdisjoint({"images", "html", "attachments", "message", "spf", "dkim", "transport", "tls_rpt"})
    assert again.facts.value("mta_sts.present") is True


async def test_what_an_auditor_found_for_one_draft_holds_for_it_beside_another() -> None:
    got, report = await audited(demo_job(), demo_ports())
    assert got.basis is not None
    rehearsal = rehearse.Rehearsal(got.basis, RULES, catalogue(), Selection())
    base = rehearse._as_published(rehearsal, report)
    first, second = (
        {(each.name, each.rdtype): (each,)}
        for each in (
            parse_proposal("_mta-sts.sakura-shop.example TXT v=STSv1; id=1"),
            parse_proposal("_smtp._tls.sakura-shop.example TXT v=TLSRPTv1; rua=mailto:t@sakura-shop.example"),
        )
    )
    alone, beside = await rehearsal.publish(base, first), await rehearsal.publish(base, second)
    both = await rehearsal.publish(alone, second)
    assert both.executions["mta_sts"] is alone.executions["mta_sts"] is not base.executions["mta_sts"]
    assert both.executions["tls_rpt"] is beside.executions["tls_rpt"] is not base.executions["tls_rpt"]


# --- nothing out of nothing ------------------------------------------------------------------------------------------

BROKEN: Mapping[tuple[str, str], list[str | tuple[str, ...]]] = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "A"): ["192.0.2.10"],
    ("example.com", "MX"): ["10 mail.example.com", "20 gone.example.com"],
    ("example.com", "TXT"): ["v=spf1 mx ptr ip4:192.0.2.0/24 ip4:192.0.2.7 a:gone.example.com -all"],
    ("mail.example.com", "A"): ["192.0.2.25"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; rf=afrf; ri=86400; rua=mailto:d@reports.example.net"],
    ("reports.example.net", "MX"): ["10 mx.example.net"],
    ("mx.example.net", "A"): ["203.0.113.25"],
    ("s1._domainkey.example.com", "TXT"): ["v=DKIM1; t=y; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    ("_smtp._tls.example.com", "TXT"): ["v=TLSRPT; rua=tls@example.com"],
}
JOB = Subject("example.com", selectors=("s1",), purpose=Purpose.USERS)


class Faulty:
    """Answers from a resolver, but for one question, which fails; remembers the questions."""

    def __init__(self, base: Resolver, fails: tuple[str, str] | None = None) -> None:
        self._base = base
        self._fails = fails
        self.asked: dict[tuple[str, str], None] = {}

    async def query(self, name: str, rdtype: str) -> Answer:
        key = (canonical(name), rdtype)
        self.asked[key] = None
        if key == self._fails:
            return Failed(*key, Reason.TIMEOUT)
        return await self._base.query(name, rdtype)

    async def close(self) -> None:
        pass


async def broken(fails: tuple[str, str] | None = None) -> tuple[Report, Faulty]:
    resolver = Faulty(StaticResolver(BROKEN), fails)
    _, report = await audited(JOB, Ports(resolver, FixedClock(NOW), sources=("static",)))
    return report, resolver


@some_or_every(4, "question")
async def test_a_look_up_that_failed_never_leads_to_a_remedy(apart: int) -> None:
    whole, resolver = await broken()
    codes = {each.code for each in whole.remedies}
    assert {"dmarc-tidy", "dmarc-report-consent", "dkim-end-test", "tls-rpt-begin", "mx-drop-dead"} <= codes
    for question in some(resolver.asked, apart):
        report, _ = await broken(question)
        stands: dict[tuple[str, str], tuple[str, ...]] = {}
        for remedy in report.remedies:
            assert cases(report)[remedy.rule, remedy.item].outcome is Outcome.UNMET
            for edit in remedy.edits:
                place = (edit.name, edit.type)
                assert place != question, remedy
                published = tuple(str(value) for value in BROKEN.get(place, ()))
                assert edit.old == stands.get(place, published), (question, remedy)
                stands[place] = edit.new


async def test_offline_there_are_no_remedies() -> None:
    report = (await audited(JOB, open_ports(PortSettings(offline=True))))[1]
    assert report.remedies == ()


async def test_a_recorded_run_and_its_replay_have_the_same_remedies(tmp_path: Path) -> None:
    from deliverability.core.report.formats.json import render_json

    ports = Ports(StaticResolver(BROKEN), FixedClock(NOW), sources=("static",), journal=Journal())
    first = (await audited(JOB, ports))[1]
    write_recording(tmp_path / "run.json", ports, "1")
    second = (await audited(JOB, open_ports(PortSettings(replay=tmp_path / "run.json"))))[1]
    assert first.remedies
    assert first.remedies == second.remedies
    assert render_json(first) == render_json(second)


class Web:
    """A web that counts what it is asked."""

    def __init__(self) -> None:
        self.gets: list[str] = []
        self.posts: list[str] = []

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        self.gets.append(url)
        return Page(url, 404, "text/plain", b"")

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        self.posts.append(url)
        return Page(url, 200, "text/plain", b"")


class Hosts:
    """Mail hosts that nobody reaches."""

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        return MailHost(host, "192.0.2.1", reachable=False)


@pytest.mark.parametrize("told", [True, False], ids=["the options again", "no option"])
@pytest.mark.parametrize("where", ["demo", "broken"])
@pytest.mark.slow
async def test_a_recording_with_web_and_mail_hosts_is_replayed_byte_by_byte(
    where: str, told: bool, tmp_path: Path
) -> None:
    from deliverability.core.report.formats.json import render_json

    dns, job = (demo_ports().dns, demo_job()) if where == "demo" else (StaticResolver(BROKEN), JOB)
    allowed = Permissions(fetch=True, probe_smtp=True, one_click=True)
    ports = Ports(dns, FixedClock(NOW), Web(), Hosts(), allowed, ("static",), journal=Journal())
    first = (await audited(job, ports))[1]
    write_recording(tmp_path / "run.json", ports, "1")
    again = open_ports(PortSettings(replay=tmp_path / "run.json", permissions=Permissions(told, told, told)))
    second = (await audited(job, again))[1]
    assert first.remedies
    assert render_json(first) == render_json(second)


async def test_a_rehearsal_asks_no_web_server_and_unsubscribes_nobody() -> None:
    web = Web()
    alone = Web()
    ports = replace(demo_ports(), http=web, permissions=Permissions(fetch=True, one_click=True))
    await gather_facts(demo_job(), replace(ports, http=alone))
    _, report = await audited(demo_job(), ports)
    assert report.remedies
    assert sorted(web.gets) == sorted(alone.gets)
    assert web.posts == alone.posts


# --- what is dropped, and in which order ------------------------------------------------------------------------------

TLS_RPT = RecordEdit(
    "_smtp._tls.example.com", "TXT", ("v=TLSRPT; rua=tls@example.com",), ("v=TLSRPTv1; rua=mailto:t@example.com",)
)
HARMFUL = {
    "mends nothing": (RecordEdit("_smtp._tls.example.com", "TXT", (), ("v=TLSRPTv1; rua=nowhere",)),),
    "mends it, but breaks SPF": (
        TLS_RPT,
        RecordEdit("example.com", "TXT", (), ("v=spf1 include:nowhere.example -all",)),
    ),
    "mends it, but opens SPF to everyone": (TLS_RPT, RecordEdit("example.com", "TXT", (), ("v=spf1 +all",))),
    "mends it, but takes the last MX": (TLS_RPT, RecordEdit("example.com", "MX", (), ("0 .",))),
    "mends it, but two DMARC records": (
        TLS_RPT,
        RecordEdit("_dmarc.example.com", "TXT", (), ("v=DMARC1; p=none", "v=DMARC1; p=reject")),
    ),
    "cannot be said with --with": (TLS_RPT, RecordEdit("example.com", "TXT", (), ())),
    "is no record": (TLS_RPT, RecordEdit("example.com", "MX", (), ("mail",))),
}


@pytest.mark.parametrize("edits", [*HARMFUL.values(), (TLS_RPT,)], ids=[*HARMFUL, "mends it"])
async def test_a_draft_that_harms_is_dropped(edits: tuple[RecordEdit, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def topic(_: Situation) -> tuple[Remedy, ...]:
        return (Remedy("NET-011", "", "tls-rpt-begin", {}, edits),)

    monkeypatch.setattr(rehearse, "TOPICS", (topic,))
    report, _ = await broken()
    assert cases(report)["NET-011", ""].outcome is Outcome.UNMET
    assert [each.rule for each in report.remedies] == (["NET-011"] if edits == (TLS_RPT,) else [])


async def test_an_answer_that_gets_lost_is_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known must not become unknown: here the new record leads to a name whose look-up fails."""
    lost = ("broken.example.net", "TXT")

    def topic(_: Situation) -> tuple[Remedy, ...]:
        edit = RecordEdit("example.com", "TXT", (), ("v=spf1 mx include:broken.example.net -all",))
        return (Remedy("SPF-008", "example.com", "spf-x", {}, (edit,)),)

    monkeypatch.setattr(rehearse, "TOPICS", (topic,))
    report, _ = await broken(lost)
    assert cases(report)["SPF-008", "example.com"].outcome is Outcome.UNMET
    assert report.remedies == ()


async def test_remedies_for_one_record_build_on_each_other() -> None:
    report = (await audited(demo_job(), demo_ports()))[1]
    dmarc = [edit for each in report.remedies for edit in each.edits if edit.name.startswith("_dmarc.")]
    assert len(dmarc) > 1
    assert dmarc[0].old == ("v=DMARC1; p=none; pct=50",)
    for first, second in pairwise(dmarc):
        assert second.old == first.new


async def test_a_last_resort_comes_last_and_what_builds_on_another_after_it() -> None:
    report, _ = await broken()
    cares = [each.care is Care.LAST_RESORT for each in report.remedies]
    assert cares == sorted(cares)
    assert_in_order(report.remedies)


async def test_reports_go_to_no_address_that_takes_none() -> None:
    """A domain without MX and address cannot get reports: a first record with an address there is dropped."""
    ports = StaticResolver(
        {
            ("example.com", "SOA"): BROKEN["example.com", "SOA"],
            ("example.com", "TXT"): ["v=spf1 a:x.example.net ~all"],
            ("x.example.net", "A"): ["192.0.2.1"],
        }
    )
    report = (await audited(Subject("example.com"), Ports(ports, FixedClock(NOW), sources=("static",))))[1]
    assert cases(report)["DMARC-001", ""].outcome is Outcome.UNMET
    assert "dmarc-begin" not in {each.code for each in report.remedies}


async def test_without_remedies_nothing_is_rehearsed() -> None:
    got = await gather_facts(JOB, Ports(StaticResolver(BROKEN), FixedClock(NOW), sources=("static",)))
    assert got.basis is None
    assert (await full_report(got, RULES, Selection())).report.remedies == ()


async def test_a_crash_while_drafting_leaves_the_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> tuple[Remedy, ...]:
        raise RuntimeError("boom")

    monkeypatch.setattr(rehearse, "TOPICS", (crash,))
    ports = Ports(StaticResolver(BROKEN), FixedClock(NOW), sources=("static",))
    got = await report_on(JOB, ports, RULES, Selection(), Extras(remedies=True))
    assert "boom" in got.audited.crashes[0]
    assert got.report.remedies == ()
    assert got.report.findings
    assert "remedies-failed" in {note.code for note in got.report.notes}
    assert got.audited.basis is None


@pytest.mark.slow
async def test_no_zone_keeps_the_audit_busy() -> None:
    """However many records want mending, the number of rehearsals is bounded."""
    selectors = tuple(f"s{number}" for number in range(60))
    key = BROKEN["s1._domainkey.example.com", "TXT"]
    records = {**BROKEN, **{(f"{each}._domainkey.example.com", "TXT"): key for each in selectors}}
    job = Subject("example.com", selectors=selectors)
    _, report = await audited(job, Ports(StaticResolver(records), FixedClock(NOW), sources=("static",)))
    assert 10 < len(report.remedies) <= rehearse.MAX_REHEARSALS


@pytest.mark.parametrize("alias", [False, True])
async def test_nothing_is_published_beside_an_alias(alias: bool) -> None:
    records: dict[tuple[str, str], list[str]] = {
        ("example.com", "MX"): ["10 mx.box.example"],
        ("example.com", "TXT"): ["v=spf1 include:box.example include:news.example -all"],
        ("box.example", "TXT"): [f"v=spf1 {' '.join(f'a:x{n}.example' for n in range(6))} -all"],
        ("news.example", "TXT"): [f"v=spf1 {' '.join(f'a:y{n}.example' for n in range(4))} -all"],
        ("mx.box.example", "A"): ["192.0.2.1"],
    }
    records |= {(f"x{n}.example", "A"): [f"192.0.2.{n}"] for n in range(6)}
    records |= {(f"y{n}.example", "A"): [f"203.0.113.{n}"] for n in range(4)}
    if alias:
        records["news.example.com", "CNAME"] = ["shop.news.example"]
    ports = Ports(StaticResolver(records), FixedClock(NOW), sources=("static",))
    _, report = await audited(Subject("example.com", purpose=Purpose.BULK), ports)
    names = {edit.name for remedy in report.remedies for edit in remedy.edits}
    assert ("news.example.com" in names) is not alias


async def test_a_domain_that_is_an_alias_gets_no_records_beside_it() -> None:
    records = {("www.example.com", "CNAME"): ["shop.example.net"], ("shop.example.net", "A"): ["192.0.2.1"]}
    ports = Ports(StaticResolver(records), FixedClock(NOW), sources=("static",))
    _, report = await audited(Subject("www.example.com"), ports)
    assert report.remedies or report.findings
    assert "www.example.com" not in {edit.name for remedy in report.remedies for edit in remedy.edits}
