"""The answer of a report: assumptions, groups of receivers, tiles, plan and guide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from deliverability.core.codes import ABOUT, Detail, Input, needed
from deliverability.core.facts.base import (
    FAILED,
    Evidence,
    EvidenceKind,
    Fact,
    FactSet,
    Purpose,
    Reason,
    Unknown,
    Value,
    is_failure,
)
from deliverability.core.facts.dmarc import Dmarc, DmarcReports, DmarcVerdict
from deliverability.core.facts.domain import Declared, Sending
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import Spf
from deliverability.core.model.answer import (
    Assumed,
    Because,
    FindingId,
    GuideState,
    GuideStep,
    MailKind,
    PlanStep,
    PolicyWait,
    Reach,
    ReceiverGroup,
    ReportAnswer,
    Unanswered,
    Waits,
)
from deliverability.core.model.claims import Lack
from deliverability.core.model.report import FINE, Consequence, Finding, GateKind, Outcome, Report, Verdict, VerdictKind
from deliverability.core.model.rules import Gate, GuideEntry, RuleSet, Severity, VolumeClass
from deliverability.core.model.topic import if_known, path_of
from deliverability.core.rules import tiles
from deliverability.core.rules.claims import Outcomes, claims_of, left_out, receivers_left_out
from deliverability.core.rules.gate import gate_of
from deliverability.core.rules.judge import volume_classes
from deliverability.core.rules.plan import effects_of, holders


def groups(report: Report, rules: RuleSet, plan: Sequence[PlanStep]) -> tuple[ReceiverGroup, ...]:
    """The groups of a report. The finding that the earliest step settles is named first."""
    settled = {each: step.number for step in reversed(plan) for each in step.findings}
    together: dict[ReceiverGroup, list[Verdict]] = {}
    for verdict in report.verdicts:
        together.setdefault(_alike(verdict, report, rules, settled), []).append(verdict)
    found = [_group(alike, verdicts, settled, plan) for alike, verdicts in together.items()]
    # Stable: receivers stand in their display order.
    found.sort(key=lambda each: (each.kind.rank, _worst_effect(each)), reverse=True)
    above = (None, *found)
    return tuple(
        replace(
            each,
            same_cause=last is not None
            and bool(each.deciding)
            and (each.deciding[:1], each.steps) == (last.deciding[:1], last.steps),
        )
        for each, last in zip(found, above, strict=False)
    )


def _worst_effect(group: ReceiverGroup) -> tuple[int, bool]:
    """For sorting: what is certain is worse than what may happen."""
    return max(((one.effect.rank, not one.contested) for one in group.effects), default=(0, False))


def _alike(verdict: Verdict, report: Report, rules: RuleSet, settled: dict[FindingId, int]) -> ReceiverGroup:
    """What a receiver has in common with the others of its group."""
    deciding, small, bulk, number = _deciding(verdict), None, None, None
    if verdict.if_small is not None and verdict.if_bulk is not None:
        small, bulk = verdict.if_small.verdict, verdict.if_bulk.verdict
        number = rules.receivers[verdict.receiver].bulk_from
    first = {ident: place for place, ident in enumerate(dict.fromkeys(FindingId(e.rule, e.item) for e in deciding))}
    last = len(settled) + 1
    return ReceiverGroup(
        verdict.verdict,
        effects_of(replace(verdict, effects=deciding)) if verdict.verdict not in _WITHOUT_EFFECT else (),
        deciding=tuple(sorted(first, key=lambda each: (settled.get(each, last), first[each])))
        or tuple(FindingId(rule) for rule in verdict.missing if verdict.verdict is VerdictKind.DNS_PARTLY)
        or tuple(FindingId(rule) for each in verdict.lacks for rule in each.rules),
        small=small,
        bulk=bulk,
        bulk_from=number,
        bulk_only=_for_bulk_only(verdict, report),
        lacks=verdict.lacks if verdict.verdict is VerdictKind.DEPENDS or not deciding else (),
    )


_WITHOUT_EFFECT = frozenset({VerdictKind.CANNOT_TELL})


def _deciding(verdict: Verdict) -> tuple[Consequence, ...]:
    """What makes a verdict what it is; where it depends on the volume, what makes the worse one."""
    if verdict.if_small is None or verdict.if_bulk is None:
        return verdict.deciding
    worse = max(verdict.if_bulk, verdict.if_small, key=lambda case: case.verdict.rank)
    return replace(verdict, verdict=worse.verdict, effects=worse.effects).deciding


def _group(
    alike: ReceiverGroup, verdicts: Sequence[Verdict], settled: dict[FindingId, int], plan: Sequence[PlanStep]
) -> ReceiverGroup:
    receivers = tuple(each.receiver for each in verdicts)
    codes = (
        code
        for verdict in verdicts
        for each in _deciding(verdict)
        if each.outcome is Outcome.UNMET
        for code in each.codes
    )
    counted = [each.requirements for each in verdicts]
    held = frozenset[FindingId]().union(*(holders(each) for each in verdicts))
    helping = {
        number
        for step in plan
        for chip in step.gains
        if not set(receivers).isdisjoint(chip.receivers)
        for number in (step.number, *chip.with_steps)
    }
    helping = helping or {settled[each] for each in held if each in settled}
    return replace(
        alike,
        receivers=receivers,
        codes=tuple(dict.fromkeys(codes)),
        steps=tuple(sorted(helping)),
        checked=sum(each.met + each.unmet for each in counted),
        met=sum(each.met for each in counted),
        remarks=len({each.rule for verdict in verdicts for each in verdict.remarks}),
    )


def _for_bulk_only(verdict: Verdict, report: Report) -> bool:
    """Whether DNS stands in the way of bulk senders only, where neither volume nor purpose tell which this one is."""
    if verdict.verdict is not VerdictKind.DNS_NOT_READY or not verdict.effects:
        return False
    deciding = holders(verdict)
    return all(
        judgement.volume is VolumeClass.BULK
        for finding in report.findings
        if finding.outcome is Outcome.UNMET and FindingId(finding.rule, finding.item) in deciding
        for judgement in finding.judgements
        if judgement.receiver == verdict.receiver and judgement.outcome is Outcome.UNMET and judgement.effect.hinders
    )


def guide(
    report: Report, rules: RuleSet, plan: Sequence[PlanStep], elsewhere: Collection[str] = ()
) -> tuple[GuideStep, ...]:
    """The steps of the guide in its order."""
    settled = {each: step.number for step in reversed(plan) for each in step.findings}
    # What is only information is open where a step of the plan leads there.
    counting = [
        each
        for each in report.findings
        if each.outcome is not Outcome.UNMET
        or not rules.rules[each.rule].information
        or FindingId(each.rule, each.item) in settled
    ]
    outcomes = claims_of(rules).outcomes(report.findings)
    return tuple(
        _step(each, [one for one in counting if each.key in one.guide], settled, report, rules, outcomes, elsewhere)
        for each in rules.guide
    )


def _step(
    entry: GuideEntry,
    members: Sequence[Finding],
    settled: Mapping[FindingId, int],
    report: Report,
    rules: RuleSet,
    outcomes: Outcomes,
    elsewhere: Collection[str],
) -> GuideStep:
    counted = [each for each in members if each.outcome is Outcome.UNMET and each.severity is not Severity.NONE]
    unmet = [each for each in counted if each.waiver is None]
    unmet.sort(key=lambda each: -each.severity.rank)
    findings = tuple(FindingId(each.rule, each.item) for each in unmet)
    members_of = [each.id for each in rules.rules.values() if entry.key in each.guide]
    missing = left_out(members_of, report.selection, elsewhere)
    met = [each for each in members if each.outcome is Outcome.MET]
    message = report.facts.of(Message).present is True
    shown = [each for each in met if (each.evidence or message) and (not entry.shown_by or each.rule in entry.shown_by)]
    unknown = [each for each in members if each.unknown is not None and each.severity.rank >= Severity.WARNING.rank]
    grounds: dict[str, Value] = {
        "judged.left_out": missing,
        "judged.waived": len(counted) - len(unmet),
        "judged.worst": max((each.severity for each in unmet), key=lambda one: one.rank, default=Severity.NONE),
        "judged.open": len(unknown),
        "judged.met": len(shown),
    }
    claims = claims_of(rules)
    asked = ["guide-done", *(each for each in (f"guide-done-{entry.key.lower()}",) if each in rules.claims)]
    if all(claims.lack(each, grounds, report.facts, outcomes) is None for each in asked):
        return GuideStep(entry.key, GuideState.DONE, Because.SEEN, (), findings)
    to_do = [each for each in unmet if not shown or each.severity.rank >= Severity.WARNING.rank]
    filtered = bool(left_out(members_of, report.selection))
    state, because, reason = _state(
        members, to_do, met, unknown, waived=len(unmet) < len(counted), filtered=filtered, left=bool(missing)
    )
    settles = {settled[each] for each in findings if each in settled}
    return GuideStep(entry.key, state, because, tuple(sorted(settles)), findings, reason)


def _state(
    members: Sequence[Finding],
    to_do: Sequence[Finding],
    met: Sequence[Finding],
    unknown: Sequence[Finding],
    *,
    waived: bool,
    filtered: bool,
    left: bool,
) -> tuple[GuideState, Because, Unknown | None]:
    """Where a step stands that is not known to be done. What is only good to know keeps none open that was seen."""
    if to_do:
        return GuideState.TO_DO, Because.UNMET, None
    if filtered:
        return GuideState.NOT_KNOWN, Because.LEFT_OUT, None
    for each in unknown:
        if not each.waits_for_input:
            return GuideState.NOT_KNOWN, Because.FAILED, each.unknown
    if unknown:
        return GuideState.NOT_KNOWN, Because.WAITS, unknown[0].unknown
    if waived:
        return GuideState.NOT_KNOWN, Because.WAIVED, None
    open_ = next((each.unknown for each in members if each.unknown is not None), None)
    if open_ is not None:
        because = Because.WAITS if open_.reason.waits_for_input else Because.FAILED
        return GuideState.NOT_KNOWN, because, open_
    if left:
        return GuideState.NOT_KNOWN, Because.LEFT_OUT, None
    if members and not met:
        return GuideState.NOTHING_HERE, Because.NEEDLESS, None
    return GuideState.NOT_KNOWN, Because.UNSEEN, None


_PURPOSE, _BASIS = path_of(Sending, "purpose"), path_of(Sending, "purpose_basis")


def is_unstated(report: Report) -> bool:
    """Whether verdicts on a message were given though nothing tells whether it is a newsletter."""
    purpose = report.facts.of(Sending).purpose
    waits = isinstance(purpose, Unknown) and purpose.reason.waits_for_input
    return waits and bool(report.verdicts) and report.facts.of(Message).present is True


def as_newsletter(facts: FactSet) -> FactSet:
    """The facts as they would be if the message had a sign of a newsletter."""
    changed = {_PURPOSE: Purpose.BULK, _BASIS: "inferred"}
    return FactSet(
        {**facts.facts, **{path: Fact(path, value, facts.facts[path].evidence) for path, value in changed.items()}},
        facts.evidence,
    )


def worse_as_newsletter(report: Report, other: Report, rules: RuleSet) -> tuple[ReceiverGroup, ...]:
    """The receivers whose verdict in `other`, the same mail judged as a newsletter, is worse than in the report."""
    before = {each.receiver: _badness(each) for each in report.verdicts}
    worse = tuple(each for each in other.verdicts if _badness(each) > before.get(each.receiver, (0,)))
    return groups(replace(other, assessment=replace(other.assessment, verdicts=worse)), rules, ())


def _badness(verdict: Verdict) -> tuple[int, ...]:
    """The larger, the worse; where it depends on the volume, that of the worse case counts after the verdict."""
    cases = [each.verdict.rank for each in (verdict.if_small, verdict.if_bulk) if each is not None]
    effects = effects_of(verdict) if verdict.verdict not in _WITHOUT_EFFECT else ()
    worst = max(((each.effect.rank, not each.contested) for each in effects), default=(0, False))
    return (verdict.verdict.rank, max(cases, default=0), *worst)


def _mail_kind(facts: FactSet, as_bulk: tuple[ReceiverGroup, ...] | None) -> MailKind:
    sending = facts.of(Sending)
    return MailKind(
        if_known(sending.purpose), if_known(sending.purpose_basis), if_known(sending.purpose_signs) or (), as_bulk
    )


def answer(
    report: Report,
    rules: RuleSet,
    plan: Sequence[PlanStep],
    elsewhere: Collection[str] = (),
    as_bulk: tuple[ReceiverGroup, ...] | None = None,
) -> ReportAnswer:
    """All of it.

    `plan` has its gains already; `elsewhere`: the rules that `open_elsewhere` gives; `as_bulk`: what
    `worse_as_newsletter` gives, where `is_unstated`.
    """
    facts, parked = report.facts, report.assessment.parked
    unanswered, reach = _reach(report)
    earned, lacks = _claims(report, rules)
    if reach is Reach.NONE:
        # Nothing that needs DNS was checked: what the message alone shows has steps, and nothing has a verdict.
        message = facts.of(Message).present is True
        return ReportAnswer(
            tuple(_assumptions(report, rules)),
            plan=tuple(plan) if message else (),
            reach=reach,
            unanswered=unanswered,
            waits=_waits(report),
            earned=earned - _OF_DNS,
            lacks=lacks,
            mail=_mail_kind(facts, None),
        )
    return ReportAnswer(
        assumed=tuple(_assumptions(report, rules)),
        groups=groups(report, rules, plan),
        tiles=tiles.tiles(report, rules, plan, elsewhere) if report.domain else (),
        plan=tuple(plan),
        policy_waits=() if parked else tuple(_policy_waits(report, rules, plan)),
        guide=() if parked else guide(report, rules, plan, elsewhere),
        reach=reach,
        unanswered=unanswered,
        waits=() if parked else _waits(report),
        sends_nothing=facts.of(Spf).sends_nothing is True and not parked,
        gate=gate_of(facts, report.findings, rules, report.selection),
        earned=earned,
        lacks=lacks,
        mail=_mail_kind(facts, as_bulk),
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
    if facts.of(Sending).purpose_basis == "inferred":
        yield Assumed(Input.PURPOSE, facts.of(Sending).purpose, if_known(facts.of(Sending).purpose_signs) or ())
    if any(len(volume_classes(rules.receivers[each.receiver], rules, facts)) > 1 for each in report.verdicts):
        given = isinstance(facts.of(Declared).daily_volume, int)
        yield Assumed(Input.DAILY_VOLUME, "bulk-or-not" if given else "small-or-bulk")
    envelope = facts.of(Envelope)
    for wanted, value, source in (
        (Input.MAIL_FROM, envelope.mail_from, envelope.mail_from_source),
        (Input.HELO, envelope.helo, envelope.helo_source),
        (Input.SENDING_IP, envelope.ip, envelope.ip_source),
    ):
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
    if any(step.condition for step in plan) or not (waiting or facts.of(Dmarc).stage in ("none", "testing")):
        return
    if not if_known(facts.of(DmarcReports).rua):
        yield PolicyWait.ADDRESS
    gate = gate_of(facts, report.findings, rules, report.selection)
    if gate is not None:
        yield PolicyWait.REHEARSAL if gate.kind is GateKind.SAFE else PolicyWait(gate.kind.value)
    elif facts.of(Message).present is not True:
        yield PolicyWait.MESSAGE
    elif facts.of(DmarcVerdict).result != "pass":
        yield PolicyWait.PASSES
    elif if_known(facts.of(DmarcReports).rua):
        yield PolicyWait.REHEARSAL


def _is_gated(finding: Finding, rules: RuleSet) -> bool:
    """Whether only the next stage of DMARC mends it, and it is more than good to know."""
    rule = rules.rules.get(finding.rule)
    task = rules.tasks.get(rule.task) if rule is not None and not rule.information else None
    return task is not None and task.gate is Gate.POLICY
