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

from deliverability.core.facts.base import FactSet, Reason, Value
from deliverability.core.facts.domain import Sending
from deliverability.core.facts.message import Message
from deliverability.core.model.claims import Lack
from deliverability.core.model.report import (
    GRADES,
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
from deliverability.core.model.rules import Effect, GradeRow, Grading, RuleSet, Scope, Selection, Severity, VolumeClass
from deliverability.core.rules.claims import Claims, Outcomes, claims_of, left_out, receivers_left_out
from deliverability.core.rules.judge import is_absent

_CLASSES = (VolumeClass.SMALL, VolumeClass.BULK)
_EVERYTHING = Selection()


def assess(
    findings: Sequence[Finding],
    receivers: Iterable[str],
    facts: FactSet,
    rules: RuleSet,
    selection: Selection = _EVERYTHING,
) -> Assessment:
    """The verdict of each receiver, the grade and, where there is no message, what DNS alone says.

    `selection` is that by which the findings came about: a receiver of which a rule was left out has no verdict.
    """
    bench = _Bench.of(findings, facts, rules, selection)
    return _assessment(findings, _tallies(findings, receivers, bench), bench)


def assessed(
    findings: Sequence[Finding],
    receivers: Iterable[str],
    facts: FactSet,
    rules: RuleSet,
    selection: Selection = _EVERYTHING,
) -> tuple[tuple[Finding, ...], Assessment]:
    """As `assess`, and the findings, each unmet one with what mending it alone changes in the verdicts.

    One pass finds what holds each receiver's verdict, a second leaves each finding's own share out of that.
    """
    bench = _Bench.of(findings, facts, rules, selection)
    tallies = _tallies(findings, receivers, bench)
    now = {receiver: tally.kind() for receiver, tally in tallies.items()}
    gaining = tuple(
        replace(finding, gains=tuple(_gains(finding, tallies, now)))
        if finding.outcome is Outcome.UNMET and finding.counts
        else finding
        for finding in findings
    )
    return gaining, _assessment(gaining, tallies, bench)


class _Bench(Struct, frozen=True):
    """What verdicts rest on beside the findings of one receiver."""

    facts: FactSet
    rules: RuleSet
    selection: Selection
    claims: Claims
    outcomes: Outcomes
    message: bool
    known: dict[tuple[object, ...], Lack | None] = field(default_factory=dict)

    @classmethod
    def of(cls, findings: Iterable[Finding], facts: FactSet, rules: RuleSet, selection: Selection) -> _Bench:
        claims = claims_of(rules)
        return cls(facts, rules, selection, claims, claims.outcomes(findings), _has_message(facts))

    def lack(self, claim: str, grounds: Mapping[str, Value], mended: str = "") -> Lack | None:
        """What keeps a claim from being made; most receivers ask it on the same grounds."""
        key = (claim, mended, *grounds.items())
        if key not in self.known:
            self.known[key] = self.claims.lack(claim, grounds, self.facts, self.outcomes, mended)
        return self.known[key]

    def left_out(self, receiver: str) -> tuple[str, ...]:
        """The rules of a receiver, and those that a good verdict asks for, that were not judged."""
        if self.selection.whole:
            return ()
        members = self.rules.members(self.rules.receivers[receiver])
        needed = (*(rule for each in members for rule in each.rules), *self.claims.needs(self.claim))
        return left_out(dict.fromkeys(needed), self.selection)

    @property
    def claim(self) -> str:
        """The good news that a receiver can have."""
        return "receiver-accepted" if self.message else "receiver-ready"


def holding(findings: Iterable[Finding], facts: FactSet, rules: RuleSet) -> list[Finding]:
    """The findings that may hold a verdict where it is, or the grade: for `assess` where no more than these is asked.

    What is met or does not apply holds nobody's back, and nor does what only a message shows where there is none; what
    claims rest on is among them.
    """
    message = _has_message(facts)
    required = claims_of(rules).rules
    return [
        each
        for each in findings
        if each.outcome is Outcome.UNMET
        or each.rule in required
        or (each.outcome is Outcome.UNKNOWN and not (_waits_for_message(each, message=message) and _undivided(each)))
    ]


def _waits_for_message(finding: Finding, *, message: bool) -> bool:
    """Whether it is open only for want of an input, which a domain without a message is not blamed for."""
    return not message and finding.waits_for_input and not _not_found(finding)


def _undivided(finding: Finding) -> bool:
    """Whether no receiver's own statement is open for another reason."""
    return all(each.unknown is None for each in finding.judgements)


def _has_message(facts: FactSet) -> bool:
    return facts.of(Message).present is True


def _assessment(findings: Sequence[Finding], tallies: Mapping[str, _Tally], bench: _Bench) -> Assessment:
    grading, message = bench.rules.grading, bench.message
    if bench.facts.of(Sending).parked is True and not message:
        return _parked(findings, bench)
    verdicts = tuple(tally.verdict(receiver) for receiver, tally in tallies.items())
    if is_absent(bench.facts):
        # Nothing of it was judged but that: a receiver that does not say what follows has no answer.
        silent = (VerdictKind.DNS_READY, VerdictKind.DNS_PARTLY)
        verdicts = tuple(replace(each, verdict=_LOST) if each.verdict in silent else each for each in verdicts)
    grade = _grade(verdicts, findings, grading)
    at_worst = tuple(tallies[each.receiver].at_worst(each) for each in verdicts)
    settled = grade == _grade_at_worst(at_worst, findings, bench)
    ungraded = None if grade == _WORST else _ungraded(settled, bench)
    return Assessment(
        verdicts=verdicts,
        grade="" if ungraded else grade,
        open=sum(each.outcome is Outcome.UNKNOWN and _is_open(each, message) for each in findings),
        dns=None if message else max((each.verdict for each in verdicts), key=lambda kind: kind.rank, default=None),
        ungraded=ungraded,
    )


def _ungraded(settled: bool, bench: _Bench) -> Lack | None:
    """What keeps the subject from having a grade better than the worst."""
    grounds: dict[str, Value] = {
        "judged.left_out": left_out(bench.rules.rules, bench.selection),
        "judged.receivers_left_out": receivers_left_out(bench.rules, bench.selection),
        "judged.settled": settled,
    }
    return bench.lack("grade", grounds)


def _parked(findings: Sequence[Finding], bench: _Bench) -> Assessment:
    """Whether somebody could pass as a domain that sends nothing."""
    deciding = [each for each in findings if _opens(each)]
    unmet = [each for each in deciding if each.outcome is Outcome.UNMET]
    ways = tuple(dict.fromkeys(each.rule for each in unmet if each.counts))
    failed = sum(each.outcome is Outcome.UNKNOWN and not each.waits_for_input for each in deciding)
    grounds: dict[str, Value] = {
        "judged.left_out": left_out(bench.rules.rules, bench.selection),
        "judged.hindering": len(ways),
        "judged.waived": sum(not each.counts for each in unmet),
        "judged.open": failed,
    }
    lack = bench.lack("closed", grounds)
    ungraded = _ungraded(bool(ways) or lack is None, bench)
    grade = bench.rules.grading.parked.open if ways else bench.rules.grading.parked.closed
    return Assessment(
        (),
        "" if ungraded else grade,
        failed,
        closed=False if ways else True if lack is None else None,
        ways=ways,
        parked=True,
        ungraded=ungraded,
    )


def _opens(finding: Finding) -> bool:
    """Whether others could pass as a domain that sends nothing where it is unmet."""
    if finding.scope is Scope.SECURITY:
        return finding.severity is Severity.ERROR  # who reads its reports does not pass as it
    return finding.scope is Scope.DELIVERY and finding.severity.rank >= _WARNING


_WORST = GRADES[-1]
_WARNING = Severity.WARNING.rank
_LOST = VerdictKind.CANNOT_TELL


def _grade(verdicts: Sequence[Verdict], findings: Sequence[Finding], grading: Grading) -> str:
    """The grade of the first row of which something holds."""
    return _graded(
        verdicts,
        (each for each in findings if each.outcome is Outcome.UNMET and each.scope.counts and each.counts),
        grading,
    )


def _grade_at_worst(verdicts: Sequence[Verdict], findings: Sequence[Finding], bench: _Bench) -> str:
    """The same if all that failed to be checked, and all that the user set aside, were against the subject.

    What waits for an input that no receiver's verdict hangs on is counted beside the grade.
    """
    may_be_unmet = (
        each
        for each in findings
        if each.scope.counts
        and (each.outcome is Outcome.UNMET or (each.unknown is not None and _failed(each, message=bench.message)))
    )
    return _graded(verdicts, may_be_unmet, bench.rules.grading)


def _graded(verdicts: Sequence[Verdict], unmet: Iterable[Finding], grading: Grading) -> str:
    worst = max((each.severity for each in unmet), key=lambda severity: severity.rank, default=Severity.NONE)
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
    # Of a domain without a message most findings wait for one.
    if _waits_for_message(finding, message=message) or not finding.scope.counts or finding.used is False:
        return False
    return finding.severity.rank >= _WARNING and not finding.waits_for_stored


def _failed(finding: Finding, *, message: bool) -> bool:
    return _is_open(finding, message) and not finding.waits_for_input


def _not_found(finding: Finding) -> bool:
    return finding.unknown is not None and finding.unknown.reason is Reason.NOT_FOUND


def _gains(finding: Finding, tallies: Mapping[str, _Tally], now: Mapping[str, VerdictKind]) -> Iterator[Gain]:
    asked_for = any(finding.rule in tally.bench.claims.rules for tally in tallies.values())
    for receiver in tallies if asked_for else dict.fromkeys(each.receiver for each in finding.judgements):
        tally = tallies.get(receiver)
        if tally is None:
            continue
        before, after = now[receiver], tally.kind(without=finding)
        # Refused from some volume on and at risk below becomes at risk for all: better, and yet no step up.
        if after.rank < before.rank:
            yield Gain(receiver, before, after)


class _Share(StrEnum):
    """What one unmet or unknown finding does to one receiver's verdict.

    BLINDS: a look-up failed. LACKS: an input that would decide was not given. MISSES: no record under any name tried.
    WAIVED: the user set it aside, and it would stop the mail.
    """

    NOTHING = "nothing"
    REFUSES = "refuses"
    HINDERS = "hinders"
    BLINDS = "blinds"
    LACKS = "lacks"
    MISSES = "misses"
    WAIVED = "waived"


_STOPS = (_Share.REFUSES, _Share.HINDERS)


class _Hindrance(Struct, frozen=True):
    """What is unmet or unknown at a receiver, and what that does to its verdict; `at_worst`: if it were unmet."""

    finding: Finding
    judgement: Judgement
    share: _Share
    at_worst: _Share


def _share(finding: Finding, judgement: Judgement) -> _Share:
    stops = _if_unmet(finding, judgement)
    if stops is _Share.NOTHING or judgement.outcome is Outcome.UNMET:
        return stops if stops is _Share.NOTHING or finding.counts else _Share.WAIVED
    if judgement.outcome is not Outcome.UNKNOWN:
        return _Share.NOTHING
    unknown = judgement.unknown or finding.unknown
    if unknown is not None and unknown.reason is Reason.NOT_FOUND:
        return _Share.MISSES
    return _Share.LACKS if unknown is not None and unknown.reason.waits_for_input else _Share.BLINDS


def _if_unmet(finding: Finding, judgement: Judgement) -> _Share:
    if finding.scope is not Scope.DELIVERY or not judgement.effect.hinders:
        return _Share.NOTHING
    return _Share.REFUSES if judgement.effect is Effect.REJECT and not judgement.contested else _Share.HINDERS


class _Tally(Struct):
    """What holds a receiver's verdict where it is, by class of senders; `by_volume`: something differs between them."""

    bench: _Bench
    held: list[_Hindrance] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    by_volume: bool = False

    def add(self, finding: Finding, judgement: Judgement, *, waits: bool) -> None:
        """Take one more; `waits`: it is open only for want of the message, which was not given."""
        outcome = judgement.outcome
        if finding.counts and not (outcome is Outcome.UNKNOWN and waits):
            known = self.outcomes.setdefault(finding.rule, outcome)
            if outcome is not known:
                self.outcomes[finding.rule] = max(known, outcome, key=_ORDER.index)
        if outcome is Outcome.MET:
            return
        share = _share(finding, judgement)
        at_worst = share if share is _Share.NOTHING else _if_unmet(finding, judgement)
        self.by_volume |= judgement.volume is not VolumeClass.ANY
        self.held.append(_Hindrance(finding, judgement, share, at_worst))

    @property
    def message(self) -> bool:
        """Whether it is about a message."""
        return self.bench.message

    def kind(self, without: Finding | None = None, *, at_worst: bool = False) -> VerdictKind:
        """The verdict as it is, or as it would be `without` one finding, or if all that is open were against it."""
        small = self._kind(VolumeClass.SMALL, without, at_worst=at_worst)
        bulk = self._kind(VolumeClass.BULK, without, at_worst=at_worst) if self.by_volume else small
        if small is bulk:
            return small
        # Of two that are as bad, the one that claims less: what is open for bulk mail is not "partly checked".
        return VerdictKind.DEPENDS if self.message else max(small, bulk, key=lambda kind: (kind.rank, kind is _LOST))

    def _kind(self, volume: VolumeClass, without: Finding | None = None, *, at_worst: bool = False) -> VerdictKind:
        left = Counter(
            each.at_worst if at_worst else each.share
            for each in self.held
            if each.finding is not without and volume in _classes(each.judgement)
        )
        if left[_Share.REFUSES] and self.message:
            return VerdictKind.REJECTED
        if left[_Share.REFUSES] or left[_Share.HINDERS]:
            return VerdictKind.AT_RISK if self.message else VerdictKind.DNS_NOT_READY
        lack = self._lack(left, without)
        if lack is None:
            return VerdictKind.ACCEPTED if self.message else VerdictKind.DNS_READY
        if at_worst and lack.unknown is not None:
            return VerdictKind.AT_RISK if self.message else VerdictKind.DNS_NOT_READY
        if self.message or left[_Share.BLINDS] or left[_Share.WAIVED]:
            return VerdictKind.CANNOT_TELL
        # Without a message: what DNS was seen to say, or what was not found.
        if lack.unknown is None and not left[_Share.MISSES]:
            return VerdictKind.DNS_NOT_READY
        partly = self._lack(left, without, claim="receiver-partly") is None
        return VerdictKind.DNS_PARTLY if partly else VerdictKind.CANNOT_TELL

    def _lack(self, left: Counter[_Share], without: Finding | None = None, *, claim: str = "") -> Lack | None:
        """What keeps the receiver from being said to take the mail, or from another claim about it."""
        grounds: dict[str, Value] = {
            "judged.left_out": (),
            "judged.hindering": left[_Share.REFUSES] + left[_Share.HINDERS],
            "judged.waived": left[_Share.WAIVED],
            "judged.open": left[_Share.BLINDS] + (left[_Share.LACKS] if self.message else 0),
            "judged.missing": left[_Share.MISSES],
        }
        return self.bench.lack(claim or self.bench.claim, grounds, without.rule if without is not None else "")

    def at_worst(self, verdict: Verdict) -> Verdict:
        """The verdict if all that is open were against it."""
        held = (each for each in self.held if each.at_worst in _STOPS)
        return replace(verdict, verdict=self.kind(at_worst=True), effects=_consequences(held))

    def verdict(self, receiver: str) -> Verdict:
        kind = self.kind()
        differs = kind is VerdictKind.DEPENDS
        lack = self._lack(Counter(each.share for each in self.held))
        return Verdict(
            receiver=receiver,
            verdict=kind,
            effects=self._effects(None),
            requirements=self._requirements(),
            remarks=_consequences(
                each
                for each in self.held
                if each.judgement.outcome is Outcome.UNMET and each.finding.counts and not each.judgement.effect.hinders
            ),
            open=_consequences(each for each in self.held if self._is_open(each.share)),
            if_small=self._case(VolumeClass.SMALL) if differs else None,
            if_bulk=self._case(VolumeClass.BULK) if differs else None,
            missing=tuple(dict.fromkeys(each.finding.rule for each in self.held if self._misses(each.share))),
            lacks=() if lack is None or lack.requirement in _TOLD_OTHERWISE else (lack,),
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


_TOLD_OTHERWISE = frozenset({"nothing-hinders", "nothing-open", "nothing-missing"})
"""What a verdict lists by its effects, by what is open or missing."""

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


def _tallies(findings: Iterable[Finding], receivers: Iterable[str], bench: _Bench) -> dict[str, _Tally]:
    """What holds the verdict of each receiver of which every rule was judged."""
    message = bench.message
    tallies = {receiver: _Tally(bench) for receiver in receivers if not bench.left_out(receiver)}
    for finding in findings:
        if finding.outcome is Outcome.NOT_APPLICABLE or finding.used is False:
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
