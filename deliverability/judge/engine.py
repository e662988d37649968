"""Facts + rules -> findings, under the eyes of each selected receiver."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache

from deliverability._values import dataclass
from deliverability.judge import waivers
from deliverability.judge.conditions import Lookup, Truth, evaluate
from deliverability.model.facts import Catalogue, FactSet, Purpose, Reason, Unknown, Value
from deliverability.model.report import Finding, Judgement, Outcome
from deliverability.model.rules import Effect, Receiver, Rule, RuleSet, Severity, Status, VolumeClass

_BADNESS = {
    outcome: badness
    for badness, outcome in enumerate((Outcome.NOT_APPLICABLE, Outcome.MET, Outcome.UNKNOWN, Outcome.UNMET))
}
_NO_ITEM: Mapping[str, Value] = {}
_BOTH = (VolumeClass.SMALL, VolumeClass.BULK)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rules and receivers count: ids or prefixes. Empty `select`: all; empty `receivers`: every provider."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()

    def takes(self, rule_id: str) -> bool:
        """Whether the rule is judged."""
        chosen = not self.select or rule_id.startswith(self.select)
        return chosen and not (self.ignore and rule_id.startswith(self.ignore))


def judge(facts: FactSet, rules: RuleSet, catalogue: Catalogue, selection: Selection) -> tuple[Finding, ...]:
    """Every selected rule against the facts, in rule order; rules with `each` give one finding an item."""
    receivers = [rules.receivers[ident] for ident in selection.receivers or rules.providers]
    chosen = [
        rule for rule in rules.rules.values() if rule.status is not Status.DEPRECATED and selection.takes(rule.id)
    ]
    of_waivers = [rule for rule in chosen if rule.each == waivers.FACT]
    others = [rule for rule in chosen if rule.each != waivers.FACT]
    found = waivers.waived(_findings(others, facts, catalogue, receivers, rules), facts)
    if not of_waivers:
        return found
    # Whether a waiver is of use is known once everything else is judged.
    return (*found, *_findings(of_waivers, waivers.with_use(facts, found), catalogue, receivers, rules))


def volume_classes(receiver: Receiver, rules: RuleSet, facts: FactSet) -> tuple[VolumeClass, ...]:
    """Whether the sender is a bulk sender by this receiver's definition; both classes where nothing tells.

    A number that the user gave decides where the receiver publishes one, and so does a declared purpose bulk. Where it
    publishes none, `bulk_from` of the rules makes a bulk sender whatever they are for; fewer do so for the
    purpose bulk only. A combination of receivers counts everybody as a bulk sender: who satisfies it satisfies each.
    """
    purpose = facts.value("subject.purpose")
    volume = facts.value("subject.daily_volume")
    if receiver.combines:
        return (VolumeClass.BULK,)
    if purpose == Purpose.PARKED.value:
        return (VolumeClass.SMALL,)
    if isinstance(volume, int) and receiver.bulk_from is not None:
        return (VolumeClass.BULK if volume >= receiver.bulk_from else VolumeClass.SMALL,)
    if purpose == Purpose.BULK.value and (
        receiver.bulk_from is None or facts.value("subject.purpose_basis") == "declared"
    ):
        return (VolumeClass.BULK,)
    if receiver.bulk_from is None:
        assumed = rules.grading.bulk_from
        if isinstance(volume, int) and assumed is not None and volume >= assumed:
            return (VolumeClass.BULK,)
        if isinstance(purpose, str):
            return (VolumeClass.SMALL,)
    return _BOTH


@dataclass(frozen=True, slots=True)
class _Eyes:
    """A receiver, the providers whose statements it judges by, and the classes of senders that are possible."""

    receiver: str
    members: tuple[Receiver, ...]
    volumes: tuple[VolumeClass, ...]


def _findings(
    rules: Sequence[Rule], facts: FactSet, catalogue: Catalogue, receivers: Sequence[Receiver], every: RuleSet
) -> list[Finding]:
    eyes = [_Eyes(each.id, every.members(each), volume_classes(each, every, facts)) for each in receivers]
    findings: list[Finding] = []
    for rule in rules:
        looking = [each for each in eyes if any(rule.id in member.rules for member in each.members)]
        if rule.severity is Severity.NONE and not looking:
            continue
        for case in _cases(rule, facts, catalogue):
            findings.append(_finding(rule, case, facts, looking))
    return findings


@dataclass(frozen=True, slots=True)
class _Case:
    """One thing a rule is judged on: the subject as a whole, or one item; or an outcome that is already settled."""

    item: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)
    settled: Outcome | Unknown | None = None


def _cases(rule: Rule, facts: FactSet, catalogue: Catalogue) -> Iterator[_Case]:
    if rule.each is None:
        yield _Case()
        return
    items = facts.at(rule.each)
    if isinstance(items, Unknown):
        yield _Case(settled=items)
    elif not isinstance(items, tuple) or not items:
        yield _Case(settled=Outcome.NOT_APPLICABLE)
    else:
        key = catalogue[rule.each].key
        seen: dict[str, int] = {}
        for item in items:
            fields = item if isinstance(item, Mapping) else _NO_ITEM
            name = "/".join(str(fields.get(part) or "-") for part in key)
            seen[name] = seen.get(name, 0) + 1
            yield _Case(name if seen[name] == 1 else f"{name}#{seen[name]}", fields)


def _finding(rule: Rule, case: _Case, facts: FactSet, looking: Sequence[_Eyes]) -> Finding:
    def lookup(path: str) -> Value:
        return case.fields.get(path[5:]) if path.startswith("item.") else facts.at(path)

    base, unknown = _outcome(rule, case, lookup, rule.limits)
    for_purpose = _purpose(rule, facts)
    if isinstance(for_purpose, Unknown) and base is not Outcome.NOT_APPLICABLE:
        base, unknown = Outcome.UNKNOWN, for_purpose
    elif for_purpose is False:
        base, unknown = Outcome.NOT_APPLICABLE, None
    used = case.fields.get("used")
    judgements: list[Judgement] = []
    limits = dict(rule.limits)
    # What this mail does not rest on, no receiver holds against it; nor what it may not ask of this kind of mail.
    if used is not False and not isinstance(for_purpose, Unknown):
        for each in looking:
            for judgement, given in _judged(rule, case, lookup, base, each):
                judgements.append(judgement)
                limits.update(given)
    outcomes = {each.outcome for each in judgements}
    if rule.severity is not Severity.NONE:
        outcomes.add(base)
    outcome = max(outcomes, key=_BADNESS.__getitem__, default=Outcome.NOT_APPLICABLE)
    severities = {rule.severity, *(each.severity for each in judgements if each.outcome is outcome)}
    severity = max(severities, key=lambda each: each.rank)
    observed, evidence = _observed(rule, case, facts, lookup)
    return Finding(
        rule=rule.id,
        item=case.item,
        outcome=outcome,
        severity=severity,
        observed=observed,
        limits=limits,
        evidence=evidence,
        judgements=tuple(judgements),
        unknown=_why(unknown, judgements) if outcome is Outcome.UNKNOWN else None,
        fingerprint=fingerprint(rule.id, case.item, facts),
        name=rule.name,
        topic=rule.topic,
        guide=rule.guide,
        scope=rule.scope,
        used=used if isinstance(used, bool) else None,
        remedy=rule.remedy,
    )


_Limits = Mapping[str, Value]


def _why(unknown: Unknown | None, judgements: Sequence[Judgement]) -> Unknown | None:
    """Why a finding is open: the rule itself, else the statement that hangs on a fact which is unknown."""
    return unknown or next((each.unknown for each in judgements if each.outcome is Outcome.UNKNOWN), None)


def _judged(rule: Rule, case: _Case, lookup: Lookup, base: Outcome, eyes: _Eyes) -> Iterator[tuple[Judgement, _Limits]]:
    """The judgements of one receiver, one a class of senders where these differ, with the limits of its own."""
    found = {volume: _hardest(rule, case, lookup, base, eyes, volume) for volume in eyes.volumes}
    small, bulk = found.get(VolumeClass.SMALL), found.get(VolumeClass.BULK)
    if len(found) == 1 or small == bulk:
        if (only := small or bulk) is not None:
            yield _judgement(eyes.receiver, *only[0], VolumeClass.ANY), only[1]
        return
    for volume, each in found.items():
        if each is not None:
            yield _judgement(eyes.receiver, *each[0], volume), each[1]


_Told = tuple[Outcome, Severity, Effect, tuple[str, ...], bool, Unknown | None]


def _hardest(
    rule: Rule, case: _Case, lookup: Lookup, base: Outcome, eyes: _Eyes, volume: VolumeClass
) -> tuple[_Told, _Limits] | None:
    """The statement that counts, of a combination the hardest of its members'; None where there is none."""
    found = [each for member in eyes.members if (each := _first(rule, case, lookup, base, member, volume)) is not None]
    return max(found, key=_hardness, default=None)


def _first(
    rule: Rule, case: _Case, lookup: Lookup, base: Outcome, member: Receiver, volume: VolumeClass
) -> tuple[_Told, _Limits] | None:
    """A provider's first statement whose condition holds; the hardest that may be it where a look-up failed."""
    found: list[tuple[_Told, _Limits]] = []
    doubt: Unknown | None = None
    for statement in member.rules.get(rule.id, ()):
        if statement.volume not in (VolumeClass.ANY, volume):
            continue
        counts = True if statement.when is None else evaluate(statement.when, lookup, rule.limits)
        # A condition on the message does not hold where there is none.
        if counts is False or (isinstance(counts, Unknown) and counts.reason is Reason.NO_MESSAGE):
            continue
        if isinstance(counts, Unknown):
            doubt = doubt or counts
        outcome, unknown = base, None
        if statement.limits and base in (Outcome.MET, Outcome.UNMET):
            outcome, unknown = _outcome(rule, case, lookup, {**rule.limits, **statement.limits})
        if outcome is Outcome.UNMET and doubt is not None:
            outcome, unknown = Outcome.UNKNOWN, doubt
        told = (outcome, statement.severity, statement.effect, statement.codes, statement.contested, unknown)
        found.append((told, statement.limits))
        if counts is True:
            break
    return max(found, key=_hardness, default=None)


def _hardness(each: tuple[_Told, _Limits]) -> tuple[int, ...]:
    """Order of what providers say by what it does to the verdict; "may refuse" is milder than any certain hindrance."""
    outcome, severity, effect, _, contested, _ = each[0]
    badness = _BADNESS[outcome]
    return badness if effect.hinders else 0, badness, not contested, effect.rank, severity.rank


@lru_cache(maxsize=4096)
def _judgement(
    receiver: str,
    outcome: Outcome,
    severity: Severity,
    effect: Effect,
    codes: tuple[str, ...],
    contested: bool,
    unknown: Unknown | None,
    volume: VolumeClass,
) -> Judgement:
    """A judgement; equal ones are one object, for every audit makes the same few over a thousand times."""
    return Judgement(receiver, outcome, severity, effect, codes, contested, volume, unknown)


def _outcome(rule: Rule, case: _Case, lookup: Lookup, limits: Mapping[str, Value]) -> tuple[Outcome, Unknown | None]:
    if isinstance(case.settled, Unknown):
        return Outcome.UNKNOWN, case.settled
    if case.settled is not None:
        return case.settled, None
    if rule.when is not None:
        applies = evaluate(rule.when, lookup, limits)
        if isinstance(applies, Unknown):
            return Outcome.UNKNOWN, applies
        if not applies:
            return Outcome.NOT_APPLICABLE, None
    truth = evaluate(rule.require, lookup, limits)
    if isinstance(truth, Unknown):
        return Outcome.UNKNOWN, truth
    return (Outcome.MET if truth else Outcome.UNMET), None


def _purpose(rule: Rule, facts: FactSet) -> Truth:
    """Whether the rule is for what the domain sends; Unknown where the user did not say."""
    if not rule.purpose:
        return True
    purpose = facts.value("subject.purpose")
    return purpose if isinstance(purpose, Unknown) else purpose in [each.value for each in rule.purpose]


def _observed(rule: Rule, case: _Case, facts: FactSet, lookup: Lookup) -> tuple[dict[str, Value], tuple[str, ...]]:
    """The facts behind the result, and their evidence; an item that names its own evidence is shown with that."""
    evidence: dict[str, None] = {}
    own = case.fields.get("evidence")
    for path in (*rule.reads, *rule.show):
        if path.startswith("item."):
            continue
        if fact := facts.facts.get(path):
            evidence.update(dict.fromkeys(fact.evidence))
    if isinstance(own, tuple):
        evidence.update(dict.fromkeys(str(ident) for ident in own))
    elif rule.each is not None and (listed := facts.facts.get(rule.each)):
        evidence.update(dict.fromkeys(listed.evidence))
    return {path: lookup(path) for path in rule.reads}, tuple(evidence)


def fingerprint(rule_id: str, item: str, facts: FactSet) -> str:
    """What a finding is known by from run to run; `item` is empty where the rule is judged once a subject."""
    text = f"{facts.value('subject.domain')}\0{rule_id}\0{item}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
