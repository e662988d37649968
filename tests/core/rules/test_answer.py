"""The answer as values: what the known senders' reports come to, and what is true of every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from deliverability.core.facts.base import Purpose, Reason, Waiver, records_of, texts_of
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.answer import (
    Because,
    Chip,
    FindingId,
    GuideState,
    PlanStep,
    PolicyWait,
    Reach,
    ReceiverEffect,
    ReportAnswer,
    TileState,
    TileTopic,
)
from deliverability.core.model.report import Outcome, Report, VerdictKind
from deliverability.core.model.rules import Place, Scope, Severity
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.rules.judge import Selection
from deliverability.core.rules.tasks import is_nobodys
from deliverability.core.words.steps import step_words
from deliverability.engine.audit import Extras, full_report, gather_facts
from deliverability.engine.rules import load_rules
from tests import TESTS
from tests import test_known_senders as known
from tests.sampled import sampled, some, some_or_every
from tests.speaking import shipped
from tests.test_corpus_smoke import mails, senders, zones

pytestmark = pytest.mark.long

RULES = load_rules()
EXPECTED: dict[str, Any] = yaml.safe_load((TESTS / "known_senders" / "answers.yaml").read_text("utf-8"))
UNKNOWN = (VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY)


def judged(job: Subject, ports: Ports, *, remedies: bool = True) -> Report:
    async def run() -> Report:
        got = await gather_facts(job, ports, Extras(remedies=remedies), RULES.knowledge)
        made = await full_report(got, RULES, Selection())
        assert made.audited.crashes == ()
        return made.report

    return asyncio.run(run())


@cache
def report(ident: str, *, dead: bool = False, waivers: tuple[Waiver, ...] = ()) -> Report:
    """A known sender's report; `dead`: no name server answers."""
    case = next(each for each in known.CASES if each.id == ident)
    purpose = Purpose(case.purpose) if case.purpose else None
    options = Subject(purpose=purpose, daily_volume=case.daily_volume, waivers=waivers)
    sample = Sample(f"{ident}.eml", data=known._mail(case)) if case.mail else None
    dns = OFFLINE if dead else known._zones(case)
    ports = replace(open_ports(PortSettings(offline=True)), dns=dns, clock=FixedClock(known.NOW), sources=("zone",))
    return judged(replace(options, domain=case.domain, sample=sample), ports)


# --- the known senders ------------------------------------------------------------------------------------------------


def _said(effects: Sequence[ReceiverEffect]) -> str:
    return "+".join(("may " if each.contested else "") + each.effect.value for each in effects)


def _chip(number: int, chip: Chip) -> str:
    before = " ".join(filter(None, (chip.before.value, _said(chip.effects))))
    after = " ".join(filter(None, (chip.after.value, _said(chip.after_effects)))) if chip.after else "not known"
    extra = f", with {' '.join(map(str, chip.with_steps))}" if chip.with_steps else ""
    return f"{number}: {' '.join(chip.receivers)}: {before} -> {after}{extra}"


def _step(step: PlanStep) -> str:
    where = step.place.value + (f" {step.at}" if step.at else "")
    return f"{step.number} {step.code} ({where}): {' '.join(step.rules)}"


def told(made: Report) -> dict[str, Any]:
    """The answer in lines that people can read in the table."""
    answer = made.answer
    groups = []
    for each in answer.groups:
        size = f" (small {each.small}, bulk {each.bulk}, from {each.bulk_from})" if each.small else ""
        why = f" because {' '.join(one.rule for one in each.deciding)}" if each.deciding else ""
        more = f" -> {' '.join(map(str, each.steps))}" if each.steps else ""
        line = " ".join(filter(None, (each.kind.value, _said(each.effects))))
        groups.append(f"{line}: {' '.join(each.receivers)}{size}{why}{more}{' (same)' if each.same_cause else ''}")
    return {
        "groups": groups,
        "tiles": " ".join(f"{each.topic.value}:{each.state.value}" for each in answer.tiles),
        "shown": [_step(each) for each in answer.shown],
        "gains": [_chip(step.number, chip) for step in answer.plan for chip in step.gains],
        "folded": [_step(each) for each in answer.folded],
        "received": [_step(each) for each in answer.for_received],
        "policy_waits": [each.value for each in answer.policy_waits],
        "guide": " ".join(f"{each.key}:{each.state.value}" for each in answer.guide),
    }


@pytest.mark.parametrize("ident", EXPECTED)
def test_a_known_sender_gets_the_answer_of_the_table(ident: str) -> None:
    assert told(report(ident)) == EXPECTED[ident]


# --- what is true of every answer -------------------------------------------------------------------------------------


def check(made: Report) -> None:
    answer = made.answer
    _check_plan(made, answer)
    _check_gains(made, answer)
    _check_groups(made, answer)
    _check_words(made, answer)
    if answer.reach is not Reach.NONE and not made.assessment.parked:
        assert [each.key for each in answer.guide] == [each.key for each in RULES.guide]
    for each in answer.guide:
        assert (each.because is Because.UNMET) == (each.state is GuideState.TO_DO)
        assert (each.unknown is not None) == (each.because in (Because.WAITS, Because.FAILED))
        settling = {number for one in each.findings if (number := answer.settles(one)) is not None}
        done = each.state is GuideState.DONE
        assert set(each.steps) == (set() if done else settling), "what is done leads to no step, what is open to all"


def _check_plan(made: Report, answer: ReportAnswer) -> None:
    plan = answer.plan
    assert [each.number for each in plan] == list(range(1, len(plan) + 1))
    assert len(answer.shown) <= 5
    assert [each.number for each in answer.shown] == list(range(1, len(answer.shown) + 1)), "no number is skipped"
    assert [each.inbound for each in plan] == sorted(each.inbound for each in plan)
    settled = [one for each in plan for one in each.findings]
    assert len(settled) == len(set(settled)), "no finding is settled twice"
    for each in plan:
        assert each.findings
        assert bool(each.edits) == bool(each.remedy)
        assert all(number < each.number for number in each.follows)
    unmet = {
        FindingId(each.rule, each.item): RULES.rules[each.rule]
        for each in made.findings
        if each.outcome is Outcome.UNMET and each.waiver is None and each.severity is not Severity.NONE
    }
    others = {
        FindingId(each.rule, each.item)
        for each in made.findings
        if is_nobodys(each, RULES.rules[each.rule], RULES.tasks, made.facts)
    }
    assert set(settled) <= set(unmet), "nothing that is waived, met or unknown is a step"
    if made.assessment.parked or answer.reach is Reach.NONE:
        return
    # What a remedy takes out of SPF is asked for by no second step.
    gone = {term for each in answer.plan for term in texts_of(each.values.get("taken"))}
    for ident, rule in unmet.items():
        task = RULES.tasks[rule.task]
        services = (each for each in records_of(made.facts.value("senders.services")) if each["name"] == ident.item)
        taken = task.takes and all(gone.issuperset(texts_of(each.get(task.takes))) for each in services)
        mine = not (task.gate or taken or rule.information or ident in others)
        assert ident in settled or not mine, f"{ident} has no step"


def _check_gains(made: Report, answer: ReportAnswer) -> None:
    verdicts = {each.receiver: each for each in made.verdicts}
    told: list[str] = []
    for step in answer.plan:
        for chip in step.gains:
            told += chip.receivers
            assert chip.after is None or (chip.after not in UNKNOWN and chip.after.rank < chip.before.rank)
            assert all(step.number < number <= len(answer.plan) for number in chip.with_steps)
            assert all(verdicts[receiver].verdict is chip.before for receiver in chip.receivers)
            shown = {each.number for each in answer.shown}
            if step.number in shown and len(shown) < 5:
                assert shown.issuperset(chip.with_steps)
    assert len(told) == len(set(told)), "one chip a receiver"


def _check_groups(made: Report, answer: ReportAnswer) -> None:
    if answer.reach is Reach.NONE:
        assert answer.groups == answer.tiles == answer.guide == ()
        return
    receivers = [receiver for each in answer.groups for receiver in each.receivers]
    assert sorted(receivers) == sorted(each.receiver for each in made.verdicts)
    ranks = [each.kind.rank for each in answer.groups]
    assert ranks == sorted(ranks, reverse=True)
    for each in answer.groups:
        assert each.kind not in (VerdictKind.ACCEPTED, VerdictKind.DNS_READY) or not (each.deciding or each.codes)
        assert set(each.steps) <= {step.number for step in answer.plan}


def _check_words(made: Report, answer: ReportAnswer) -> None:
    for lang in ("en", "ja"):
        words = [step_words(each, made, shipped(lang)) for each in answer.plan]
        assert all(each.what and each.where for each in words)
        assert all("{" not in each.what for each in words)
        assert len({(each.what, each.where) for each in words}) == len(words), "no sentence in two steps"
        for step, each in zip(answer.plan, words, strict=True):
            if step.place in (Place.ADDRESS, Place.ELSEWHERE):
                assert each.hand_over
            assert len(each.hand_over) <= 15


@pytest.mark.parametrize("ident", sampled([each.id for each in known.CASES], 8))
def test_every_known_sender(ident: str) -> None:
    check(report(ident))


@pytest.mark.parametrize("domain", senders()[::7])
def test_domains_of_the_corpus(domain: str) -> None:
    made = judged(Subject(domain), zones())
    check(made)
    assert [each.topic for each in made.answer.tiles][:6] == list(TileTopic)[:6]


@pytest.mark.parametrize("path", sampled(mails()[::35], 3), ids=lambda path: path.name)
def test_mails_of_the_corpus(path: Path) -> None:
    check(judged(Subject(sample=Sample(path.name, path=path), purpose=Purpose.BULK), zones()))


# --- parked, waived, without an answer --------------------------------------------------------------------------------


def test_a_parked_domain_has_no_groups_and_no_guide_and_steps_only_about_who_can_pass_as_it() -> None:
    made = report("parked")
    assert made.assessment.parked
    answer = made.answer
    assert (answer.groups, answer.guide, answer.waits, answer.policy_waits) == ((), (), (), ())
    assert all(each.scope is not Scope.INBOUND for each in answer.plan)
    states = {each.topic: each.state for each in answer.tiles}
    assert (states[TileTopic.SPF], states[TileTopic.DMARC]) == (TileState.FINE, TileState.FLAWED)


def test_where_no_name_server_answers_there_is_nothing_but_that() -> None:
    answer = report("domain-only", dead=True).answer
    assert answer.reach is Reach.NONE
    assert (answer.groups, answer.tiles, answer.plan, answer.guide) == ((), (), (), ())
    assert {each.unknown.reason for each in answer.unanswered} == {Reason.OFFLINE}
    assert "TXT" in {each.type for each in answer.unanswered}


def test_where_no_name_server_answers_the_message_still_shows_its_own() -> None:
    answer = report("attachment-of-22-mb", dead=True).answer
    assert (answer.reach, answer.groups, answer.guide) == (Reach.NONE, (), ())
    assert [each.task for each in answer.plan][:1] == ["smaller-message"]


def test_what_the_user_waives_is_no_step_and_colours_no_tile() -> None:
    before = report("domain-without-spf") if "domain-without-spf" in EXPECTED else report("bulk-without-spf")
    rule = next(each for each in before.answer.tiles if each.topic is TileTopic.SPF).findings[0].rule
    after = report("bulk-without-spf", waivers=(Waiver(rule=rule, reason="handled-elsewhere"),))
    assert before.answer.tiles[0].state is TileState.BROKEN
    assert after.answer.tiles[0].state is TileState.NOTHING
    assert rule not in {one.rule for each in after.answer.plan for one in each.findings}
    check(after)


def test_without_remedies_every_step_is_a_task_and_the_rest_is_the_same_answer() -> None:
    case = next(each for each in known.CASES if each.id == "passes-nothing")
    ports = replace(open_ports(PortSettings(offline=True)), dns=known._zones(case), clock=FixedClock(known.NOW))
    made = judged(Subject(case.domain, Sample("m.eml", data=known._mail(case))), ports, remedies=False)
    assert made.answer.plan
    assert all(each.task and not each.edits for each in made.answer.plan)
    check(made)


def test_what_is_wrong_with_the_return_path_of_a_service_is_for_its_owner() -> None:
    case = next(each for each in known.CASES if each.id == "sendgrid")
    path = {"return_path": "bounces+1@gone.wl.sendgrid.net"}
    mail = known._mail(replace(case, mail=[{**step, **(path if "receive" in step else {})} for step in case.mail]))
    ports = replace(open_ports(PortSettings(offline=True)), dns=known._zones(case), clock=FixedClock(known.NOW))
    made = judged(Subject(case.domain, Sample("mail.eml", data=mail)), ports)
    (step,) = (each for each in made.answer.plan if each.task == "return-path-domain")
    assert (step.place, step.at) == (Place.ELSEWHERE, "gone.wl.sendgrid.net")


@some_or_every(3, "sender")
def test_a_failing_mail_is_never_told_to_go_on_with_dmarc(apart: int) -> None:
    failing = [each.id for each in some(known.CASES, apart) if report(each.id).facts.value("dmarc.result") == "fail"]
    assert len(failing) > 1
    for ident in failing:
        answer = report(ident).answer
        assert not any(step.condition for step in answer.plan), ident
    assert PolicyWait.PASSES in report("bulk-unaligned").answer.policy_waits


def test_every_shipped_rule_has_a_task_and_every_task_a_rule() -> None:
    # What a policy waits for, what receivers report without a fault of the sender, and what a list did since the last
    # week (REP-014), is nothing to do.
    without = {rule.topic for rule in RULES.rules.values() if not rule.task}
    assert without <= {"gate", "reports", "blocklists"}, without
    assert {rule.task for rule in RULES.rules.values()} - {""} == set(RULES.tasks)
    for task in RULES.tasks.values():
        if task.place in (Place.SERVICE, Place.ADDRESS):
            assert all(each.hand_over for each in task.text.values()), task.code
        for texts in task.text.values():
            assert not texts.what.endswith((".", "。")), task.code
