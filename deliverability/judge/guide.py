"""Where each step of the user's guide stands, as far as this audit can tell, and why it says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deliverability.judge.claims import claims_of, left_out
from deliverability.model.answer import Because, FindingId, GuideState, GuideStep, PlanStep
from deliverability.model.facts import Unknown, Value
from deliverability.model.report import Finding, Outcome, Report
from deliverability.model.rules import GuideEntry, RuleSet, Severity


def guide(report: Report, rules: RuleSet, plan: Sequence[PlanStep]) -> tuple[GuideStep, ...]:
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
    return tuple(
        _step(each, [one for one in counting if each.key in one.guide], settled, report, rules) for each in rules.guide
    )


def _step(
    entry: GuideEntry, members: Sequence[Finding], settled: Mapping[FindingId, int], report: Report, rules: RuleSet
) -> GuideStep:
    counted = [each for each in members if each.outcome is Outcome.UNMET and each.severity is not Severity.NONE]
    unmet = [each for each in counted if each.waiver is None]
    unmet.sort(key=lambda each: -each.severity.rank)
    findings = tuple(FindingId(each.rule, each.item) for each in unmet)
    members_of = (each.id for each in rules.rules.values() if entry.key in each.guide)
    missing = left_out(members_of, report.selection)
    met = [each for each in members if each.outcome is Outcome.MET]
    message = report.facts.value("message.present") is True
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
    outcomes = claims.outcomes(report.findings)
    asked = ["guide-done", *(each for each in (f"guide-done-{entry.key.lower()}",) if each in rules.claims)]
    if all(claims.lack(each, grounds, report.facts, outcomes) is None for each in asked):
        return GuideStep(entry.key, GuideState.DONE, Because.SEEN, (), findings)
    to_do = [each for each in unmet if not shown or each.severity.rank >= Severity.WARNING.rank]
    state, because, reason = _state(members, to_do, met, unknown, waived=len(unmet) < len(counted), left=bool(missing))
    settles = {settled[each] for each in findings if each in settled}
    return GuideStep(entry.key, state, because, tuple(sorted(settles)), findings, reason)


def _state(
    members: Sequence[Finding],
    to_do: Sequence[Finding],
    met: Sequence[Finding],
    unknown: Sequence[Finding],
    *,
    waived: bool,
    left: bool,
) -> tuple[GuideState, Because, Unknown | None]:
    """Where a step stands that is not known to be done. What is only good to know keeps none open that was seen."""
    if to_do:
        return GuideState.TO_DO, Because.UNMET, None
    if left:
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
    if members and not met:
        return GuideState.NOTHING_HERE, Because.NEEDLESS, None
    return GuideState.NOT_KNOWN, Because.UNSEEN, None
