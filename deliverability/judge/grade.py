"""Findings -> a verdict per receiver: the worst decisive finding caps the grade, and says so. May import model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deliverability.model.facts import Reason
from deliverability.model.report import Cap, Finding, Judgement, Outcome, Verdict, VerdictKind
from deliverability.model.rules import Effect, Severity

GRADES = "ABCDF"
UNCHECKED_GRADE = "C"


def cap_of(judgement: Judgement) -> str:
    """The best grade that is left where a rule so judged is unmet: ``A`` (no cap) to ``F``."""
    if judgement.effect is Effect.REJECT:
        return "F"
    if judgement.severity is Severity.ERROR:
        return "D" if judgement.effect is Effect.RISK else "C"
    if judgement.severity is Severity.WARNING:
        return "C" if judgement.effect is Effect.RISK else "B"
    return "A"


def verdicts(findings: Sequence[Finding], receivers: Iterable[str]) -> tuple[Verdict, ...]:
    """One verdict a receiver. Never an average: each cap names the rule that set it."""
    return tuple(_verdict(findings, receiver) for receiver in receivers)


def _verdict(findings: Sequence[Finding], receiver: str) -> Verdict:
    caps: list[Cap] = []
    failed: list[str] = []
    waiting: list[str] = []
    rejected = at_risk = blind = False
    for finding in findings:
        judgement = next((each for each in finding.judgements if each.receiver == receiver), None)
        if judgement is None:
            continue
        cap = cap_of(judgement)
        if judgement.waits_for and judgement.outcome in (Outcome.UNMET, Outcome.UNKNOWN):
            waiting.append(finding.rule)
        if judgement.outcome is Outcome.UNMET and cap != "A":
            caps.append(Cap(cap, finding.rule, finding.item, Outcome.UNMET))
            rejected = rejected or judgement.effect is Effect.REJECT
            at_risk = at_risk or judgement.effect is Effect.RISK
        elif judgement.outcome is Outcome.UNKNOWN and judgement.waits_for != "purpose":
            decisive = cap >= "C"
            if finding.waits_for_input:
                waiting.append(finding.rule)
                no_message = finding.unknown is not None and finding.unknown.reason is Reason.NO_MESSAGE
                blind = blind or (decisive and (no_message or judgement.effect is Effect.REJECT))
            elif decisive:
                failed.append(finding.rule)
                # What would only be noted lowers the grade but decides nothing.
                blind = blind or judgement.effect is not Effect.NOTE
                caps.append(Cap(UNCHECKED_GRADE, finding.rule, finding.item, Outcome.UNKNOWN))
    caps.sort(key=lambda each: (-GRADES.index(each.grade), each.outcome is Outcome.UNKNOWN))
    if rejected:
        kind = VerdictKind.REJECTED
    elif at_risk:
        kind = VerdictKind.AT_RISK
    elif blind:
        kind = VerdictKind.CANNOT_TELL
    else:
        kind = VerdictKind.ACCEPTED
    return Verdict(
        receiver=receiver,
        verdict=kind,
        grade=caps[0].grade if caps else "A",
        complete=not failed and not waiting,
        caps=tuple(caps),
        unknown=tuple(dict.fromkeys(failed)),
        waiting=tuple(dict.fromkeys(waiting)),
    )
