"""The answer of a report: assumptions, groups, tiles, plan, guide, and how far the look-ups reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from deliverability.judge import groups, guide, tiles
from deliverability.judge.claims import claims_of, left_out, receivers_left_out
from deliverability.judge.engine import volume_classes
from deliverability.judge.gate import gate_of
from deliverability.model.answer import Assumed, PlanStep, PolicyWait, Reach, ReportAnswer, Unanswered, Waits
from deliverability.model.claims import Lack
from deliverability.model.codes import ABOUT, Detail, Input, needed
from deliverability.model.evidence import FAILED, is_failure
from deliverability.model.facts import Evidence, EvidenceKind, Reason, Unknown, Value, texts_of
from deliverability.model.gate import GateKind
from deliverability.model.report import FINE, Finding, Outcome, Report, VerdictKind
from deliverability.model.rules import Gate, RuleSet, Severity

_ENVELOPE: Mapping[str, Input] = {
    "envelope.mail_from": Input.MAIL_FROM,
    "envelope.helo": Input.HELO,
    "envelope.ip": Input.SENDING_IP,
}


def answer(report: Report, rules: RuleSet, plan: Sequence[PlanStep]) -> ReportAnswer:
    """All of it. `plan` has its gains already."""
    facts, parked = report.facts, report.assessment.parked
    unanswered, reach = _reach(report)
    earned, lacks = _claims(report, rules)
    if reach is Reach.NONE:
        # Nothing that needs DNS was checked: what the message alone shows has steps, and nothing has a verdict.
        message = facts.value("message.present") is True
        return ReportAnswer(
            tuple(_assumptions(report, rules)),
            plan=tuple(plan) if message else (),
            reach=reach,
            unanswered=unanswered,
            waits=_waits(report),
            earned=earned - _OF_DNS,
            lacks=lacks,
        )
    return ReportAnswer(
        assumed=tuple(_assumptions(report, rules)),
        groups=groups.groups(report, rules, plan),
        tiles=tiles.tiles(report, rules, plan) if report.domain else (),
        plan=tuple(plan),
        policy_waits=() if parked else tuple(_policy_waits(report, rules, plan)),
        guide=() if parked else guide.guide(report, rules, plan),
        reach=reach,
        unanswered=unanswered,
        waits=() if parked else _waits(report),
        sends_nothing=facts.value("spf.sends_nothing") is True and not parked,
        gate=gate_of(facts, report.findings, rules, report.selection),
        earned=earned,
        lacks=lacks,
    )


def _claims(report: Report, rules: RuleSet) -> tuple[frozenset[str], Mapping[str, Lack]]:
    """The claims about the whole subject that may be made, and what the others lack."""
    claims, found = claims_of(rules), report.assessment
    unmet = [each for each in report.findings if each.outcome is Outcome.UNMET and each.severity is not Severity.NONE]
    asked = [each for each in unmet if not (rules.rules[each.rule].information and each.severity is Severity.INFO)]
    verdicts = [each.verdict for each in found.verdicts]
    grounds: dict[str, Value] = {
        "judged.left_out": left_out(rules.rules, report.selection),
        "judged.receivers_left_out": receivers_left_out(rules, report.selection),
        "judged.waived": sum(each.waiver is not None for each in asked),
        "judged.unmet": sum(each.waiver is None for each in asked),
        "judged.worst": max((each.severity for each in asked), key=lambda one: one.rank, default=Severity.NONE),
        "judged.open": sum(each.unknown is not None and not each.waits_for_input for each in report.findings),
        "judged.met": sum(each.outcome is Outcome.MET for each in report.findings),
        "judged.receivers": len(verdicts),
        "judged.undecided": sum(each not in FINE for each in verdicts),
    }
    outcomes = claims.outcomes(report.findings)
    lacks = {claim: claims.lack(claim, grounds, report.facts, outcomes) for claim in _OF_REPORT}
    undecided = {**grounds, "judged.undecided": sum(each is VerdictKind.CANNOT_TELL for each in verdicts)}
    lacks["exit-0"] = claims.lack("exit-0", undecided, report.facts, outcomes)
    earned = {claim for claim, lack in lacks.items() if lack is None}
    earned |= {claim for claim, holds in (("grade", found.ungraded is None), ("closed", found.closed)) if holds}
    return frozenset(earned), {claim: lack for claim, lack in lacks.items() if lack is not None}


_OF_REPORT = (
    *("domain-ready", "nothing-to-fix", "nothing-urgent", "nothing-judged", "nothing-but-waived"),
    *("nothing-checked", "judged-clean", "gate-stay"),
)
_OF_DNS = frozenset(_OF_REPORT)
"""What is not said where no question to DNS was answered."""


def _assumptions(report: Report, rules: RuleSet) -> Iterator[Assumed]:
    facts = report.facts
    if facts.value("subject.purpose_basis") == "inferred":
        yield Assumed(Input.PURPOSE, facts.value("subject.purpose"), texts_of(facts.value("subject.purpose_signs")))
    if any(len(volume_classes(rules.receivers[each.receiver], rules, facts)) > 1 for each in report.verdicts):
        given = isinstance(facts.value("subject.daily_volume"), int)
        yield Assumed(Input.DAILY_VOLUME, "bulk-or-not" if given else "small-or-bulk")
    for path, wanted in _ENVELOPE.items():
        value, source = facts.at(path), facts.at(f"{path}_source")
        if isinstance(value, str) and isinstance(source, str) and source != "option":
            yield Assumed(wanted, value, (source,))


def _reach(report: Report) -> tuple[tuple[Unanswered, ...], Reach]:
    """The questions to DNS without an answer, each once, and whether there was any answer at all.

    A question that no finding needed the answer of is not told.
    """
    asked = [each for each in report.facts.evidence.values() if each.kind is EvidenceKind.DNS]
    lost = [each for each in asked if is_failure(each.got)]
    found = tuple(dict.fromkeys(_unanswered(each) for each in lost))
    if lost and len(lost) == len(asked):
        return found, Reach.NONE
    return (found, Reach.PARTLY) if lost and report.failures else ((), Reach.ALL)


def _unanswered(evidence: Evidence) -> Unanswered:
    kind, _, name = evidence.asked.partition(" ")
    failed = evidence.got[0]
    detail: object = None
    if isinstance(failed, Detail) and ABOUT.matches(failed):
        detail, what = failed.arg("detail"), failed.arg("what")
        failed = what if isinstance(what, Detail) else failed
    reason = str(failed.arg("reason")) if isinstance(failed, Detail) and FAILED.matches(failed) else ""
    known = Reason(reason) if reason in set(Reason) else Reason.SERVFAIL
    return Unanswered(kind, name, Unknown(known, detail if isinstance(detail, Detail) else None))


def _waits(report: Report) -> tuple[Waits, ...]:
    """What findings wait for, the most first."""
    counts: Counter[Input | None] = Counter()
    for each in report.findings:
        if each.outcome is Outcome.UNKNOWN and each.waits_for_input and each.unknown is not None:
            counts[_input(each.unknown)] += 1
    return tuple(Waits(wanted, number) for wanted, number in counts.most_common())


def _input(unknown: Unknown) -> Input | None:
    if unknown.reason is Reason.NOT_FOUND:
        return Input.SELECTOR
    return needed(unknown.detail)


def _policy_waits(report: Report, rules: RuleSet, plan: Sequence[PlanStep]) -> Iterator[PolicyWait]:
    """Why no step offers the next stage of DMARC, where there is one."""
    facts = report.facts
    waiting = any(
        each.outcome is Outcome.UNMET and each.waiver is None and _is_gated(each, rules) for each in report.findings
    )
    if any(step.condition for step in plan) or not (waiting or facts.value("dmarc.stage") in ("none", "testing")):
        return
    if not texts_of(facts.value("dmarc.rua")):
        yield PolicyWait.ADDRESS
    gate = gate_of(facts, report.findings, rules, report.selection)
    if gate is not None:
        yield PolicyWait.REHEARSAL if gate.kind is GateKind.SAFE else PolicyWait(gate.kind.value)
    elif facts.value("message.present") is not True:
        yield PolicyWait.MESSAGE
    elif facts.value("dmarc.result") != "pass":
        yield PolicyWait.PASSES
    elif texts_of(facts.value("dmarc.rua")):
        yield PolicyWait.REHEARSAL


def _is_gated(finding: Finding, rules: RuleSet) -> bool:
    """Whether only the next stage of DMARC mends it, and it is more than good to know."""
    rule = rules.rules.get(finding.rule)
    task = rules.tasks.get(rule.task) if rule is not None and not rule.information else None
    return task is not None and task.gate is Gate.POLICY
