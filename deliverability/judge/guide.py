"""Where each step of the user's guide stands, as far as this audit can tell, and why it says so."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.model.answer import Because, FindingId, GuideState, GuideStep, PlanStep
from deliverability.model.facts import Unknown
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
    return tuple(_step(each, [one for one in counting if each.key in one.guide], settled) for each in rules.guide)


def _step(entry: GuideEntry, members: Sequence[Finding], settled: dict[FindingId, int]) -> GuideStep:
    counted = [each for each in members if each.outcome is Outcome.UNMET and each.severity is not Severity.NONE]
    unmet = [each for each in counted if each.waiver is None]
    unmet.sort(key=lambda each: -each.severity.rank)
    findings = tuple(FindingId(each.rule, each.item) for each in unmet)
    state, because, unknown = _state(entry, members, unmet, waived=len(unmet) < len(counted))
    settles = [] if state is GuideState.DONE else [settled[each] for each in findings if each in settled]
    return GuideStep(entry.key, state, because, tuple(sorted(set(settles))), findings, unknown)


def _state(
    entry: GuideEntry, members: Sequence[Finding], unmet: Sequence[Finding], *, waived: bool
) -> tuple[GuideState, Because, Unknown | None]:
    met = {each.rule for each in members if each.outcome is Outcome.MET}
    seen = bool(met.intersection(entry.shown_by) if entry.shown_by else met)
    # What is only good to know keeps no step open that was seen to be done.
    if any(each.severity.rank >= Severity.WARNING.rank for each in unmet) or (unmet and not seen):
        return GuideState.TO_DO, Because.UNMET, None
    unknown = [each for each in members if each.unknown is not None and each.severity.rank >= Severity.WARNING.rank]
    for each in unknown:
        if not each.waits_for_input:
            return GuideState.NOT_KNOWN, Because.FAILED, each.unknown
    if unknown:
        return GuideState.NOT_KNOWN, Because.WAITS, unknown[0].unknown
    if waived:
        return GuideState.NOT_KNOWN, Because.WAIVED, None
    if seen:
        return GuideState.DONE, Because.SEEN, None
    open_ = next((each.unknown for each in members if each.unknown is not None), None)
    if open_ is not None:
        because = Because.WAITS if open_.reason.waits_for_input else Because.FAILED
        return GuideState.NOT_KNOWN, because, open_
    if members and not entry.shown_by and not met:
        return GuideState.DONE, Because.NEEDLESS, None
    return GuideState.NOT_KNOWN, Because.UNSEEN, None
