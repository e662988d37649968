"""Whether the rules behind a reply are unmet now, under the eyes of the receiver that gave it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from deliverability.model.report import Finding, Outcome, Report


class RuleNow(Struct, frozen=True):
    """One rule behind a reply, as an audit finds it now.

    Attributes:
        rule: rule id.
        outcome: of the worst finding; NOT_APPLICABLE also where the receiver does not ask for the rule at all.
        waiting: unknown only because an input (the message, an option) was not given.
        findings: those that have this outcome.

    """

    rule: str
    outcome: Outcome
    waiting: bool
    findings: tuple[Finding, ...]


def rules_now(report: Report, rules: Sequence[str], receiver: str = "") -> tuple[RuleNow, ...]:
    """How each of `rules` stands in `report`; where `receiver` was judged, by its own limits."""
    return tuple(_rule(report, rule, receiver) for rule in rules)


def _rule(report: Report, rule: str, receiver: str) -> RuleNow:
    found = [(each, _outcome(each, receiver)) for each in report.findings if each.rule == rule]
    for outcome in (Outcome.UNMET, Outcome.UNKNOWN, Outcome.MET, Outcome.NOT_APPLICABLE):
        fitting = tuple(each for each, own in found if own is outcome)
        if fitting:
            waiting = outcome is Outcome.UNKNOWN and all(each.waits_for_input for each in fitting)
            return RuleNow(rule, outcome, waiting, fitting)
    return RuleNow(rule, Outcome.NOT_APPLICABLE, False, ())


def _outcome(finding: Finding, receiver: str) -> Outcome:
    for judgement in finding.judgements:
        if judgement.receiver == receiver:
            return judgement.outcome
    return finding.outcome
