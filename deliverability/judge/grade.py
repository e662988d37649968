"""Findings -> what each receiver does with the mail, and one grade for the subject.

A receiver's verdict rests on a finding only where all of these hold: the rule's scope is delivery, the receiver has a
statement about the rule, and this mail uses what was judged. Everything else is advice about the domain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.judge.absent import is_absent
from deliverability.model.facts import FactSet, Reason
from deliverability.model.report import (
    Assessment,
    Case,
    Consequence,
    Finding,
    Gain,
    Judgement,
    Outcome,
    Requirements,
    Verdict,
    VerdictKind,
)
from deliverability.model.rules import Effect, GradeRow, Grading, Scope, Severity, VolumeClass

_CLASSES = (VolumeClass.SMALL, VolumeClass.BULK)


def assess(findings: Sequence[Finding], receivers: Iterable[str], facts: FactSet, grading: Grading) -> Assessment:
    """The verdict of each receiver, the grade and, where there is no message, what DNS alone says."""
    return _assessment(findings, _tallies(findings, receivers, facts), facts, grading)


def assessed(
    findings: Sequence[Finding], receivers: Iterable[str], facts: FactSet, grading: Grading
) -> tuple[tuple[Finding, ...], Assessment]:
    """As `assess`, and the findings, each unmet one with what mending it alone changes in the verdicts.

    One pass finds what holds each receiver's verdict, a second leaves each finding's own share out of that.
    """
    tallies = _tallies(findings, receivers, facts)
    gaining = tuple(
        replace(finding, gains=tuple(_gains(finding, tallies)))
        if finding.outcome is Outcome.UNMET and finding.counts
        else finding
        for finding in findings
    )
    return gaining, _assessment(gaining, tallies, facts, grading)


def holding(findings: Iterable[Finding], facts: FactSet) -> list[Finding]:
    """The findings that may hold a verdict where it is, or the grade: for `assess` where no more than these is asked.

    What is met or does not apply holds nobody's back, and nor does what only a message shows where there is none.
    """
    message = _has_message(facts)
    return [
        each
        for each in findings
        if each.outcome is Outcome.UNMET
        or (each.outcome is Outcome.UNKNOWN and not (_waits_for_message(each, message=message) and _undivided(each)))
    ]


def _waits_for_message(finding: Finding, *, message: bool) -> bool:
    """Whether it is open only for want of an input, which a domain without a message is not blamed for."""
    return not message and finding.waits_for_input and not _not_found(finding)


def _undivided(finding: Finding) -> bool:
    """Whether no receiver's own statement is open for another reason."""
    return all(each.unknown is None for each in finding.judgements)


def _has_message(facts: FactSet) -> bool:
    return facts.value("message.present") is True


def _assessment(
    findings: Sequence[Finding], tallies: Mapping[str, _Tally], facts: FactSet, grading: Grading
) -> Assessment:
    message = _has_message(facts)
    if facts.value("subject.parked") is True and not message:
        return _parked(findings, grading)
    verdicts = tuple(tally.verdict(receiver) for receiver, tally in tallies.items())
    if is_absent(facts):
        # Nothing of it was judged but that: a receiver that does not say what follows has no answer.
        silent = (VerdictKind.DNS_READY, VerdictKind.DNS_PARTLY)
        verdicts = tuple(replace(each, verdict=_LOST) if each.verdict in silent else each for each in verdicts)
    return Assessment(
        verdicts=verdicts,
        grade=_grade(verdicts, findings, grading),
        open=sum(each.outcome is Outcome.UNKNOWN and _is_open(each, message) for each in findings),
        dns=None if message else max((each.verdict for each in verdicts), key=lambda kind: kind.rank, default=None),
    )


def _parked(findings: Sequence[Finding], grading: Grading) -> Assessment:
    """Whether somebody could pass as a domain that sends nothing."""
    deciding = [each for each in findings if each.scope is Scope.DELIVERY and each.severity.rank >= _WARNING]
    ways = tuple(dict.fromkeys(each.rule for each in deciding if each.outcome is Outcome.UNMET and each.counts))
    failed = sum(each.outcome is Outcome.UNKNOWN and not each.waits_for_input for each in deciding)
    closed = False if ways else None if failed else True
    return Assessment((), grading.open if ways else grading.closed, failed, closed=closed, ways=ways, parked=True)


_WARNING = Severity.WARNING.rank
_LOST = VerdictKind.CANNOT_TELL


def _grade(verdicts: Sequence[Verdict], findings: Sequence[Finding], grading: Grading) -> str:
    """The grade of the first row of which something holds."""
    unmet = [
        each.severity
        for each in findings
        if each.outcome is Outcome.UNMET and each.scope is Scope.DELIVERY and each.counts
    ]
    worst = max(unmet, key=lambda severity: severity.rank, default=Severity.NONE)
    return next((row.grade for row in grading.rows if _earned(row, verdicts, worst)), "")


def _earned(row: GradeRow, verdicts: Sequence[Verdict], worst: Severity) -> bool:
    if not row.verdicts and not row.certain and row.unmet is None:
        return True
    return (
        any(each.verdict in row.verdicts for each in verdicts)
        or any(
            each.verdict in row.certain and any(not effect.contested for effect in each.effects) for each in verdicts
        )
        or (row.unmet is not None and worst.rank >= row.unmet.rank)
    )


def _is_open(finding: Finding, message: bool) -> bool:
    """Whether what could not be checked could lower the grade.

    What only a message shows is not open without one, and what only reports show is not without any.
    """
    if finding.scope is not Scope.DELIVERY or finding.used is False or finding.waits_for_stored:
        return False
    if finding.severity.rank < _WARNING:
        return False
    return not _waits_for_message(finding, message=message)


def _not_found(finding: Finding) -> bool:
    return finding.unknown is not None and finding.unknown.reason is Reason.NOT_FOUND


def _gains(finding: Finding, tallies: Mapping[str, _Tally]) -> Iterator[Gain]:
    for receiver in dict.fromkeys(each.receiver for each in finding.judgements):
        tally = tallies.get(receiver)
        if tally is None:
            continue
        before, after = tally.kind(), tally.kind(without=finding)
        # Refused from some volume on and at risk below becomes at risk for all: better, and yet no step up.
        if after.rank < before.rank:
            yield Gain(receiver, before, after)


class _Share(StrEnum):
    """What one unmet or unknown finding does to one receiver's verdict.

    BLINDS: a look-up failed. LACKS: an input that would decide was not given. MISSES: no record under any name tried.
    """

    NOTHING = "nothing"
    REFUSES = "refuses"
    HINDERS = "hinders"
    BLINDS = "blinds"
    LACKS = "lacks"
    MISSES = "misses"


_STOPS = (_Share.REFUSES, _Share.HINDERS)


class _Hindrance(Struct, frozen=True):
    """What is unmet or unknown at a receiver, and what that does to its verdict."""

    finding: Finding
    judgement: Judgement
    share: _Share


def _share(finding: Finding, judgement: Judgement) -> _Share:
    if finding.scope is not Scope.DELIVERY or not judgement.effect.hinders:
        return _Share.NOTHING
    refuses = judgement.effect is Effect.REJECT and not judgement.contested
    if judgement.outcome is Outcome.UNMET:
        return _Share.REFUSES if refuses else _Share.HINDERS
    if judgement.outcome is not Outcome.UNKNOWN:
        return _Share.NOTHING
    unknown = judgement.unknown or finding.unknown
    if unknown is not None and unknown.reason is Reason.NOT_FOUND:
        return _Share.MISSES
    if unknown is None or not unknown.reason.waits_for_input:
        return _Share.BLINDS
    # What would only hinder is not known to; what would refuse leaves everything open.
    return _Share.LACKS if refuses else _Share.NOTHING


class _Tally(Struct):
    """What holds a receiver's verdict where it is, by class of senders."""

    message: bool
    held: list[_Hindrance] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def add(self, finding: Finding, judgement: Judgement, *, waits: bool) -> None:
        """Take one more; `waits`: it is open only for want of the message, which was not given."""
        outcome = judgement.outcome
        if finding.scope is Scope.DELIVERY and not (outcome is Outcome.UNKNOWN and waits):
            self.outcomes[finding.rule] = max(self.outcomes.get(finding.rule, Outcome.MET), outcome, key=_ORDER.index)
        if outcome is Outcome.MET:
            return
        self.held.append(_Hindrance(finding, judgement, _share(finding, judgement)))

    def kind(self, without: Finding | None = None) -> VerdictKind:
        """The verdict as it is, or as it would be `without` one finding."""
        small, bulk = (self._kind(volume, without) for volume in _CLASSES)
        if small is bulk:
            return small
        return VerdictKind.DEPENDS if self.message else max(small, bulk, key=lambda kind: kind.rank)

    def _kind(self, volume: VolumeClass, without: Finding | None = None) -> VerdictKind:
        left = {each.share for each in self.held if each.finding is not without and volume in _classes(each.judgement)}
        if not self.message:
            if not left.isdisjoint(_STOPS):
                return VerdictKind.DNS_NOT_READY
            if _Share.BLINDS in left:
                return VerdictKind.CANNOT_TELL
            return VerdictKind.DNS_PARTLY if _Share.MISSES in left else VerdictKind.DNS_READY
        if _Share.REFUSES in left:
            return VerdictKind.REJECTED
        if _Share.HINDERS in left:
            return VerdictKind.AT_RISK
        return VerdictKind.CANNOT_TELL if _Share.BLINDS in left or _Share.LACKS in left else VerdictKind.ACCEPTED

    def verdict(self, receiver: str) -> Verdict:
        kind = self.kind()
        differs = kind is VerdictKind.DEPENDS
        return Verdict(
            receiver=receiver,
            verdict=kind,
            effects=self._effects(None),
            requirements=self._requirements(),
            remarks=_consequences(
                each
                for each in self.held
                if each.judgement.outcome is Outcome.UNMET and not each.judgement.effect.hinders
            ),
            open=_consequences(each for each in self.held if self._is_open(each.share)),
            if_small=self._case(VolumeClass.SMALL) if differs else None,
            if_bulk=self._case(VolumeClass.BULK) if differs else None,
            missing=tuple(dict.fromkeys(each.finding.rule for each in self.held if self._misses(each.share))),
        )

    def _is_open(self, share: _Share) -> bool:
        return share is _Share.BLINDS or (self.message and share is _Share.LACKS)

    def _misses(self, share: _Share) -> bool:
        return not self.message and share is _Share.MISSES

    def _case(self, volume: VolumeClass) -> Case:
        return Case(self._kind(volume), self._effects(volume))

    def _effects(self, volume: VolumeClass | None) -> tuple[Consequence, ...]:
        return _consequences(
            each
            for each in self.held
            if each.share in _STOPS and (volume is None or volume in _classes(each.judgement))
        )

    def _requirements(self) -> Requirements:
        tally = Counter(self.outcomes.values())
        met, unmet, unknown = (tally[each] for each in (Outcome.MET, Outcome.UNMET, Outcome.UNKNOWN))
        return Requirements(met + unmet + unknown, met, unmet, unknown)


_ORDER = (Outcome.MET, Outcome.UNKNOWN, Outcome.UNMET)


def _classes(judgement: Judgement) -> tuple[VolumeClass, ...]:
    return _CLASSES if judgement.volume is VolumeClass.ANY else (judgement.volume,)


def _consequences(judged: Iterable[_Hindrance]) -> tuple[Consequence, ...]:
    """One consequence a rule and item, the worst first; the harder one where a receiver has two by volume."""
    found: dict[tuple[str, str], Consequence] = {}
    for held in judged:
        finding, each = held.finding, held.judgement
        consequence = Consequence(finding.rule, finding.item, each.effect, each.codes, each.contested, each.outcome)
        was = found.get((finding.rule, finding.item))
        if was is None or _badness(consequence) > _badness(was):
            found[finding.rule, finding.item] = consequence
    return tuple(sorted(found.values(), key=_badness, reverse=True))


def _badness(consequence: Consequence) -> tuple[bool, int]:
    return not consequence.contested, consequence.effect.rank


def _tallies(findings: Iterable[Finding], receivers: Iterable[str], facts: FactSet) -> dict[str, _Tally]:
    message = _has_message(facts)
    tallies = {receiver: _Tally(message) for receiver in receivers}
    for finding in findings:
        if finding.outcome is Outcome.NOT_APPLICABLE or finding.used is False or not finding.counts:
            continue
        # What only kept feedback shows is no open question about this mail.
        if finding.outcome is Outcome.UNKNOWN and finding.waits_for_stored:
            continue
        waits = finding.outcome is Outcome.UNKNOWN and _waits_for_message(finding, message=message)
        for judgement in finding.judgements:
            outcome = judgement.outcome
            # What only the message shows says nothing about a domain without one.
            if outcome is Outcome.NOT_APPLICABLE or (
                waits and outcome is Outcome.UNKNOWN and judgement.unknown is None
            ):
                continue
            if (tally := tallies.get(judgement.receiver)) is not None:
                tally.add(finding, judgement, waits=waits)
    return tallies
