"""Good news is earned: what is removed, filtered out, set aside or made worse never gives better news.

Over the known senders and the fixed zones and mails, whose facts, rules and findings are taken away at random.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.cli import main
from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, Value
from deliverability.core.facts.traffic import MessageSums
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.answer import Because, GuideState, TileState
from deliverability.core.model.report import FINE, GRADES, Finding, GateKind, Outcome, Report
from deliverability.core.model.rules import Severity
from deliverability.core.model.topic import if_known
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.report.report import ReportView
from deliverability.core.rules.gate import gate_of
from deliverability.core.rules.grade import assess
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.audit import Audited, gather_facts, make_report
from deliverability.engine.base import catalogue
from deliverability.engine.rules import exit_code, load_rules
from tests import TESTS, traffic
from tests import test_known_senders as known
from tests.facts_of import value_of
from tests.sampled import examples
from tests.speaking import shipped
from tests.test_corpus_smoke import senders, zones

pytestmark = pytest.mark.long

RULES = load_rules()
GOLDEN = TESTS / "golden"
SENDERS = (
    *("google-workspace", "self-hosted-postfix", "bulk-unaligned", "passes-nothing", "reject-policy-fails"),
    *("newsletter-50000-a-day", "list-post-changed", "domain-only", "parked"),
)
SUBJECTS = (*SENDERS, "good", "good-dns", "broken-dns", "parked-dns")
EVERYTHING = Selection()


@cache
def audited(subject: str) -> Audited:
    """The facts of a known sender, or of a fixed zone: with its mail, or of DNS alone."""
    if any(case.id == subject for case in known.CASES):
        return known._audited(subject)
    name, _, alone = subject.partition("-")
    mail = None if alone else Sample(f"{name}.eml", data=(GOLDEN / f"{name}.eml").read_bytes())
    ports = replace(open_ports(PortSettings(zones=[GOLDEN / f"{name}.zone"])), clock=FixedClock(known.NOW))
    return asyncio.run(gather_facts(Subject(f"{name}.example", mail), ports))


@cache
def as_found(subject: str, selection: Selection) -> Report:
    """Its report by the facts that were found."""
    return make_report(audited(subject), RULES, selection)


def report(subject: str, selection: Selection = EVERYTHING, facts: FactSet | None = None) -> Report:
    """Its report, by other facts where they are given."""
    if facts is None:
        return as_found(subject, selection)
    return make_report(replace(audited(subject), facts=facts), RULES, selection)


def good_news(made: Report) -> Iterator[str]:
    """Every good statement of a report, by name."""
    yield from (f"{each.receiver} takes it" for each in made.verdicts if each.verdict in FINE)
    yield from (f"tile {each.topic}" for each in made.answer.tiles if each.state is TileState.FINE)
    yield from (f"step {each.key}" for each in made.answer.guide if each.state is GuideState.DONE)
    yield from (f"claim {each}" for each in made.answer.earned)
    if made.answer.gate is not None and made.answer.gate.kind is GateKind.SAFE:
        yield "gate safe"
    if exit_code(made, Severity.ERROR) == 0:
        yield "exit code 0"


OF_FILTERS = {"claim nothing-judged", "claim judged-clean", "claim nothing-but-waived", "claim nothing-checked"}
"""Statements that speak only of what was judged, and say so."""


def better(before: Report, after: Report, *, but: frozenset[str] = frozenset()) -> set[str]:
    """What is better news after than before."""
    found = set(good_news(after)) - set(good_news(before)) - OF_FILTERS - but
    was, now = before.assessment.grade, after.assessment.grade
    if now and (not was or GRADES.index(now) < GRADES.index(was)):
        found.add(f"grade {was or '–'} to {now}")
    return found


# What was asked, not what was found: without a message, or for another purpose, it is another question.
ASKED = ("subject.", "message.present", "envelope.")


def paths_of(subject: str) -> list[str]:
    """Facts that can be taken away."""
    return sorted(path for path in audited(subject).facts.facts if not path.startswith(ASKED))


def without(subject: str, paths: Mapping[str, Value]) -> FactSet:
    """Its facts with some of them changed."""
    facts = audited(subject).facts
    changed = {path: replace(facts.facts[path], value=value) for path, value in paths.items()}
    return FactSet({**facts.facts, **changed}, facts.evidence)


LARGE = {"message.size_octets": 30_000_000}


@pytest.mark.parametrize("receiver", RULES.receivers)
def test_what_only_other_receivers_ask_for_is_not_in_order_for_one(receiver: str) -> None:
    """The carriers check SPF for From, where this mail fails; each mailbox provider has a size limit of its own."""
    for subject, facts in (("list-post-changed", None), ("good", without("good", LARGE))):
        before = report(subject, Selection(receivers=tuple(RULES.receivers)), facts)
        after = report(subject, Selection(receivers=(receiver,)), facts)
        assert better(before, after, but=frozenset({"exit code 0", "claim exit-0"})) == set(), subject


def test_a_step_that_another_receiver_keeps_open_is_not_judged() -> None:
    step = next(each for each in report("list-post-changed", Selection(receivers=("icloud",))).answer.guide)
    assert (step.key, step.state, step.because) == ("G1", GuideState.NOT_KNOWN, Because.LEFT_OUT)


@pytest.mark.parametrize("receiver", RULES.receivers)
def test_what_waits_for_a_message_takes_no_good_word_from_one_receiver(receiver: str) -> None:
    """SPF for From is known from a message only: without one, the record of a healthy domain is in order for all."""
    fine = {each.topic for each in report("good-dns").answer.tiles if each.state is TileState.FINE}
    alone = report("good-dns", Selection(receivers=(receiver,)))
    assert fine == {each.topic for each in alone.answer.tiles if each.state is TileState.FINE}


LOST = st.sampled_from([Unknown(Reason.TIMEOUT), Unknown(Reason.SERVFAIL), Unknown(Reason.BUG)])


@examples(25)
@given(st.data(), st.sampled_from(SUBJECTS))
def test_a_fact_that_is_not_known_makes_no_news_better(data: st.DataObject, subject: str) -> None:
    paths = data.draw(st.lists(st.sampled_from(paths_of(subject)), min_size=1, max_size=4, unique=True))
    lost = without(subject, {path: data.draw(LOST) for path in paths})
    assert better(report(subject), report(subject, facts=lost)) == set(), paths


@pytest.mark.parametrize("most", [30, pytest.param(None, marks=pytest.mark.slow, id="every fact")])
@pytest.mark.parametrize("subject", ["list-post-changed", "good-dns"])
def test_each_single_fact_that_is_not_known_makes_no_news_better(subject: str, most: int | None) -> None:
    """So many of the facts, by chance but the same ones each time, or every one."""
    before, paths = report(subject), paths_of(subject)
    assert len(paths) > 100
    found = {
        path: worse
        for path in (paths if most is None else Random(most).sample(paths, most))
        if (worse := better(before, report(subject, facts=without(subject, {path: Unknown(Reason.TIMEOUT)}))))
    }
    assert found == {}


PREFIXES = sorted({ident.partition("-")[0] for ident in RULES.rules} | {*list(RULES.rules)[::7], "ALN-001"})
SELECTIONS = st.builds(
    Selection,
    select=st.lists(st.sampled_from(PREFIXES), max_size=3, unique=True).map(tuple),
    ignore=st.lists(st.sampled_from(PREFIXES), max_size=3, unique=True).map(tuple),
    receivers=st.lists(st.sampled_from(list(RULES.receivers)), max_size=3, unique=True).map(tuple),
)


@examples(25)
@given(SELECTIONS, st.sampled_from(SUBJECTS))
def test_a_filter_only_removes_statements(selection: Selection, subject: str) -> None:
    """Only the exit code speaks of the rules that were asked for."""
    before = report(subject, replace(selection, select=(), ignore=(), receivers=tuple(RULES.receivers)))
    after = report(subject, selection)
    assert better(before, after, but=frozenset({"exit code 0", "claim exit-0"})) == set()
    if not selection.whole:
        assert after.assessment.grade in ("", "F")
        assert after.assessment.closed is not True


@examples(25)
@given(st.lists(st.sampled_from(list(RULES.rules)), min_size=1, max_size=4, unique=True), st.sampled_from(SUBJECTS))
def test_a_waiver_only_removes_statements(rules: list[str], subject: str) -> None:
    """But for the exit code and the plan: what is waived fails no run, and is nothing to do."""
    for reason in ("accepted-risk", "not-applicable"):
        items = tuple(
            {"rule": rule, "reason": reason, "item": None, "note": None, "until": None, "expired": False, "used": None}
            for rule in rules
        )
        facts = audited(subject).facts
        waived = FactSet(
            {**facts.facts, "subject.waivers": Fact("subject.waivers", value_of("subject.waivers", items))},
            facts.evidence,
        )
        after = report(subject, facts=waived)
        assert better(report(subject), after, but=frozenset({"exit code 0"})) == set()


@examples(25)
@given(st.data(), st.sampled_from(SUBJECTS))
def test_an_unmet_rule_makes_no_verdict_and_no_grade_better(data: st.DataObject, subject: str) -> None:
    facts = audited(subject).facts
    findings = judge(facts, RULES, catalogue(), Selection())
    index = data.draw(st.sampled_from([n for n, each in enumerate(findings) if each.outcome is not Outcome.UNMET]))
    worse = _failing(findings[index])
    before = assess(findings, RULES.providers, facts, RULES)
    after = assess([*findings[:index], worse, *findings[index + 1 :]], RULES.providers, facts, RULES)
    for was, now in zip(before.verdicts, after.verdicts, strict=True):
        assert now.verdict.rank >= was.verdict.rank, worse.rule
    if after.grade:
        assert before.grade, worse.rule
        assert GRADES.index(after.grade) >= GRADES.index(before.grade), worse.rule
    assert not (after.closed and not before.closed)


def _failing(finding: Finding) -> Finding:
    judgements = tuple(replace(each, outcome=Outcome.UNMET, unknown=None) for each in finding.judgements)
    return replace(finding, outcome=Outcome.UNMET, unknown=None, judgements=judgements)


# --- the gate ---------------------------------------------------------------------------------------------------------

DAYS = traffic.days_until(number=28)
MONTH = [traffic.Mail(day, "198.51.100.10", traffic.SIGNED, 1000) for day in DAYS]


@cache
def month() -> FactSet:
    """The facts of a month after which the next policy is safe."""
    return asyncio.run(traffic.facts_for(traffic.observed(MONTH)))


def gate(facts: FactSet, selection: Selection = EVERYTHING) -> GateKind | None:
    """The answer of the gate."""
    answer = gate_of(facts, judge(facts, RULES, catalogue(), selection), RULES, selection)
    return answer.kind if answer is not None else None


def test_a_good_month_is_safe() -> None:
    assert gate(month()) is GateKind.SAFE


@pytest.mark.parametrize(
    "path", ["traffic.span_days", "traffic.sources", "traffic.own.aligned_low", "traffic.begin", "traffic.yours"]
)
def test_what_is_not_known_of_reports_makes_nothing_safe(path: str) -> None:
    lost = replace(month().facts[path], value=Unknown(Reason.TIMEOUT))
    assert gate(FactSet({**month().facts, path: lost}, month().evidence)) is not GateKind.SAFE


@examples(15)
@given(st.sampled_from([ident for ident in RULES.rules if ident.startswith("GATE")]))
def test_a_gate_of_which_a_condition_is_left_out_or_waived_is_not_safe(rule: str) -> None:
    assert gate(month(), Selection(ignore=(rule,))) is not GateKind.SAFE
    assert gate(month(), Selection(select=(rule,))) is not GateKind.SAFE


@pytest.mark.parametrize("number", [1, 400, 20_000])
def test_mail_that_does_not_pass_makes_nothing_safe(number: int) -> None:
    """What would be lost is never above what is safe, and more of it never makes safe what was not."""
    lost = traffic.Mail(DAYS[20], "203.0.113.30", traffic.UNSIGNED, number)
    facts = asyncio.run(traffic.facts_for(traffic.observed([*MONTH, lost])))
    if gate(facts) is GateKind.SAFE:
        sums = facts.of(MessageSums)
        assert (if_known(sums.would_fail) or 0) <= (if_known(sums.yours) or 0) / 100
    assert number < 400 or gate(facts) is not GateKind.SAFE


# --- the corpus -------------------------------------------------------------------------------------------------------


@cache
def of_corpus(domain: str) -> Audited:
    """The facts of a domain whose zone the corpus has."""
    return asyncio.run(gather_facts(Subject(domain), zones()))


@pytest.mark.parametrize("domain", senders()[::20])
def test_the_invariants_hold_for_real_domains(domain: str) -> None:
    given_ = of_corpus(domain)
    before = make_report(given_, RULES, EVERYTHING)
    for selection in (Selection(select=("DMARC",)), Selection(ignore=("ALN", "SPF")), Selection(receivers=("au",))):
        after = make_report(given_, RULES, selection)
        assert better(before, after, but=frozenset({"exit code 0", "claim exit-0"})) == set(), selection
        assert after.assessment.grade in ("", "F")
    for path in ("spf.identities", "dmarc.present", "dkim.keys", "spf.authorised_ip4", "mx.hosts", "dkim.published"):
        changed = replace(given_.facts.facts[path], value=Unknown(Reason.TIMEOUT))
        facts = FactSet({**given_.facts.facts, path: changed}, given_.facts.evidence)
        assert better(before, make_report(replace(given_, facts=facts), RULES, EVERYTHING)) == set(), path


# --- a statement and the figure beside it -----------------------------------------------------------------------------


@examples(25)
@given(st.data(), st.sampled_from(SUBJECTS), SELECTIONS)
def test_a_statement_never_contradicts_the_figure_beside_it(
    data: st.DataObject, subject: str, selection: Selection
) -> None:
    paths = data.draw(st.lists(st.sampled_from(paths_of(subject)), max_size=2, unique=True))
    made = report(subject, selection, without(subject, {path: Unknown(Reason.TIMEOUT) for path in paths}))
    view = ReportView(made, shipped("en", guided=True))
    to_do = sum(view.counts[level] for level in ("error", "warning", "info"))
    heading, summary = view.plan.heading, view.summary
    if heading.startswith("Nothing to fix") or ("needs fixing" in heading and "could be" in heading):
        assert to_do == 0
        assert not re.search(r"\d findings? to fix\b", summary)
    if heading.startswith("Nothing urgent"):
        assert not view.counts["error"]
        assert not view.counts["warning"]
        assert str(to_do) in heading
    if view.answer.tone == "good" and made.message:
        assert all(each.tone == "good" for each in view.answer.groups)
    if made.assessment.grade == "A" and made.message:
        assert not view.counts["error"]
    assert not ("Grade" in summary and not made.assessment.grade and "No grade" not in summary)


@pytest.mark.parametrize("ignored", ["ALN", "SPF", "DKIM"])
def test_a_headline_does_not_turn_good_because_receivers_were_filtered_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ignored: str
) -> None:
    """No key was found, so the answer is open; those of the receivers that the filter leaves are not the answer."""
    zone = tmp_path / "shop.test.zone"
    zone.write_text(
        "$ORIGIN shop.test.\n@ 300 IN SOA ns h 1 2 3 4 5\n@ 300 IN NS ns\n@ 300 IN MX 10 mx\nmx 300 IN A 8.8.8.8\n"
        '@ 300 IN TXT "v=spf1 ip4:8.8.8.8 -all"\n_dmarc 300 IN TXT "v=DMARC1; p=reject; rua=mailto:a@shop.test"\n'
    )

    def headline(*options: str) -> str:
        with pytest.raises(SystemExit):
            main(["audit", "shop.test", "--zone", str(zone), "--lang", "en", *options])
        return next(line for line in capsys.readouterr().out.splitlines() if line[:2] in ("✓ ", "? ", "– ", "✗ ", "▲ "))

    assert headline().startswith("? ")
    assert headline("--ignore", ignored).startswith("– Judged: all but ")
