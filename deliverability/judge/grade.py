"""Findings -> a verdict per receiver: the worst decisive finding caps the grade, and says so. May import model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deliverability.model.facts import Reason
from deliverability.model.report import GRADES, Cap, Finding, Gain, Judgement, Outcome, Verdict, VerdictKind
from deliverability.model.rules import Effect, Severity

UNCHECKED_GRADE = "C"

_SILENT = frozenset({Outcome.MET, Outcome.NOT_APPLICABLE})
"""Outcomes that do nothing to any verdict."""


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
    return _verdicts(_tallies(findings), receivers)


def graded(findings: Sequence[Finding], receivers: Iterable[str]) -> tuple[tuple[Finding, ...], tuple[Verdict, ...]]:
    """The findings, each unmet one with what mending it alone changes in the verdicts; and the verdicts.

    One pass counts what holds each receiver's verdict, a second takes each finding's own share out of the counts.
    """
    tallies = _tallies(findings)
    told = tuple(
        replace(finding, gains=tuple(_gains(finding, tallies)))
        if finding.outcome is Outcome.UNMET and finding.counts
        else finding
        for finding in findings
    )
    return told, _verdicts(tallies, receivers)


def _verdicts(tallies: Mapping[str, _Tally], receivers: Iterable[str]) -> tuple[Verdict, ...]:
    return tuple(tallies.get(receiver, _Tally()).verdict(receiver) for receiver in receivers)


def _gains(finding: Finding, tallies: Mapping[str, _Tally]) -> Iterator[Gain]:
    for judgement in finding.judgements:
        if judgement.outcome in _SILENT:
            continue
        share = _share(finding, judgement)
        tally = tallies[judgement.receiver]
        before, after = tally.standing(), tally.standing(without=share)
        if before != after:
            yield Gain(judgement.receiver, *before, *after)


@dataclass(frozen=True, slots=True)
class _Share:
    """What one unmet or unknown finding does to one receiver's verdict; `waits` names the input that it waits for."""

    cap: Cap | None = None
    rejects: bool = False
    risks: bool = False
    blinds: bool = False
    waits: str = ""


def _share(finding: Finding, judgement: Judgement) -> _Share:
    cap = cap_of(judgement)
    waits = judgement.waits_for
    if judgement.outcome is Outcome.UNMET and cap != "A":
        return _Share(
            Cap(cap, finding.rule, finding.item, Outcome.UNMET, judgement.codes, judgement.effect),
            rejects=judgement.effect is Effect.REJECT,
            risks=judgement.effect is Effect.RISK,
            waits=waits,
        )
    if judgement.outcome is Outcome.UNKNOWN and judgement.waits_for != "purpose":
        decisive = cap >= "C"
        if finding.waits_for_input:
            no_message = finding.unknown is not None and finding.unknown.reason is Reason.NO_MESSAGE
            return _Share(
                blinds=decisive and (no_message or judgement.effect is Effect.REJECT),
                waits=waits or ("message" if no_message else "option"),
            )
        if decisive:
            # What would only be noted lowers the grade but decides nothing.
            return _Share(
                Cap(UNCHECKED_GRADE, finding.rule, finding.item, Outcome.UNKNOWN, judgement.codes, judgement.effect),
                blinds=judgement.effect is not Effect.NOTE,
                waits=waits,
            )
    return _Share(waits=waits)


@dataclass(slots=True)
class _Tally:
    """How many findings hold a receiver's verdict where it is, and what they are."""

    rejects: int = 0
    risks: int = 0
    blinds: int = 0
    grades: Counter[str] = field(default_factory=Counter)
    caps: list[Cap] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)

    def add(self, rule: str, share: _Share) -> None:
        self.rejects += share.rejects
        self.risks += share.risks
        self.blinds += share.blinds
        if share.cap is not None:
            self.grades[share.cap.grade] += 1
            self.caps.append(share.cap)
        if share.waits:
            self.waits.setdefault(rule, share.waits)

    def standing(self, without: _Share | None = None) -> tuple[VerdictKind, str]:
        """Verdict and grade, as they are or as they would be `without` one share of the tally."""
        gone = without or _Share()
        if self.rejects > gone.rejects:
            kind = VerdictKind.REJECTED
        elif self.risks > gone.risks:
            kind = VerdictKind.AT_RISK
        elif self.blinds > gone.blinds:
            kind = VerdictKind.CANNOT_TELL
        else:
            kind = VerdictKind.ACCEPTED
        spared = gone.cap.grade if gone.cap else ""
        grade = next((each for each in reversed(GRADES) if self.grades[each] > (each == spared)), GRADES[0])
        return kind, grade

    def verdict(self, receiver: str) -> Verdict:
        kind, grade = self.standing()
        caps = sorted(self.caps, key=lambda each: (-GRADES.index(each.grade), each.outcome is Outcome.UNKNOWN))
        unknown = tuple(dict.fromkeys(cap.rule for cap in self.caps if cap.outcome is Outcome.UNKNOWN))
        waits = {
            name: tuple(rule for rule, each in self.waits.items() if each == name)
            for name in dict.fromkeys(self.waits.values())
        }
        return Verdict(
            receiver=receiver,
            verdict=kind,
            grade=grade,
            complete=not unknown and not waits,
            caps=tuple(caps),
            unknown=unknown,
            waiting=tuple(self.waits),
            waits=waits,
        )


def _tallies(findings: Iterable[Finding]) -> dict[str, _Tally]:
    tallies: dict[str, _Tally] = {}
    for finding in findings:
        if not finding.counts:
            continue
        for judgement in finding.judgements:
            if judgement.outcome in _SILENT:
                continue
            tally = tallies.get(judgement.receiver)
            if tally is None:
                tally = tallies[judgement.receiver] = _Tally()
            tally.add(finding.rule, _share(finding, judgement))
    return tallies
