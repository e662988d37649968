"""One rule made ready to be judged for many subjects.

What becomes of a rule hangs on a few values, which many subjects share: of a domain without a message half of all facts
are one and the same Unknown. So it is decided once for each such set of values, and looked up from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import Detail
from deliverability.core.facts.base import FactSet, Reason, Record, Unknown, Value, plain
from deliverability.core.facts.domain import Declared
from deliverability.core.model.report import Finding, Judgement, Outcome
from deliverability.core.model.rules import Effect, Receiver, Rule, Severity, Statement, VolumeClass
from deliverability.core.rules.conditions import Limits, Lookup, Test, Truth, compiled, paths_of

_BADNESS = {
    outcome: badness
    for badness, outcome in enumerate((Outcome.NOT_APPLICABLE, Outcome.MET, Outcome.UNKNOWN, Outcome.UNMET))
}
_NO_ITEM: Mapping[str, Value] = {}
_MAX_DECISIONS = 256  # of one rule that are remembered
_MAX_TOKENS = 4096
_SHORT = 64  # characters of a text up to which it is likely to be seen again


class Eyes(Struct, frozen=True):
    """A receiver, and the providers whose statements it judges by."""

    receiver: str
    members: tuple[Receiver, ...]


class Tokens:
    """What stands for values in a key: the same for equal ones, and quick to compare."""

    def __init__(self) -> None:
        self._known: dict[Unknown | Detail, object] = {}

    def of(self, value: Value) -> object:
        """The token of a value. That of a large one cannot be part of a key: it will hardly be seen again."""
        match value:
            case Unknown() | Detail():
                if len(self._known) > _MAX_TOKENS:
                    self._known.clear()
                return self._known.setdefault(value, object())
            case bool():
                return _BOOLS[value]  # for True equals 1
            case int():
                return value
            case str() if len(value) <= _SHORT:
                return value
            case None | ():
                return _EMPTY[value is None]
        return _LARGE


_BOOLS = (object(), object())
_EMPTY = (object(), object())
_LARGE: list[object] = []  # not hashable


class SubjectFacts:
    """The facts of one subject as the rules read them, and what kinds of senders it may be.

    Attributes:
        volumes: the classes of senders by receiver; `volumes_number` stands for all of them.
        values: by path, also of what was not collected.
        seen: the tokens of the values.
        cited: the evidence of each fact that has some.

    """

    def __init__(
        self,
        facts: FactSet,
        volumes: Mapping[str, tuple[VolumeClass, ...]],
        volumes_number: int,
        tokens: Tokens,
        read: Iterable[str] | None = None,
    ) -> None:
        """`read`: the facts that will be looked at, where they are few."""
        self.facts, self.volumes, self.volumes_number, self.tokens = facts, volumes, volumes_number, tokens
        self.domain = str(facts.of(Declared).domain)
        every = facts.facts
        known = every if read is None else {path: every[path] for path in read if path in every}
        self.values = _Filled(facts.value, {path: fact.value for path, fact in known.items()})
        self.cited = {path: fact.evidence for path, fact in known.items() if fact.evidence}
        self.seen = _Filled(self._token, {})
        self._same: dict[int, object] = {}

    def _token(self, path: str) -> object:
        """By identity first: many facts have the very same value."""
        value = self.values[path]
        if (found := self._same.get(id(value))) is None:
            found = self._same[id(value)] = self.tokens.of(value)
        return found


class _Filled(dict[str, Any]):
    """A dictionary that works out what it does not have yet."""

    def __init__(self, make: Callable[[str], Any], known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self._make = make

    def __missing__(self, key: str) -> Any:
        found = self[key] = self._make(key)
        return found


def _picking(paths: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Takes the values of all these paths at once."""
    match tuple(paths):
        case ():
            return lambda values: ()
        case (path,):
            return lambda values: (values[path],)
        case several:
            return itemgetter(*several)


class _Case(Struct, frozen=True):
    """One thing a rule is judged on: the subject as a whole, or one item; or an outcome that is already settled."""

    item: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)
    settled: Outcome | Unknown | None = None


_WHOLE = (_Case(),)
_NOTHING = (_Case(settled=Outcome.NOT_APPLICABLE),)


_Decision = tuple[Outcome, Severity, Effect, tuple[str, ...], bool, Unknown | None]


class ReadyRule:
    """A rule with its conditions as functions, what each receiver says about it, and what was decided already.

    Attributes:
        looking: the receivers that say something about it.
        reads: the facts that a finding about it hangs on, beside the classes of senders.

    """

    def __init__(self, rule: Rule, eyes: Sequence[Eyes], key: tuple[str, ...]) -> None:
        self.rule = rule
        self.looking = [each for each in eyes if any(rule.id in member.rules for member in each.members)]
        self._key = key
        self._when = compiled(rule.when) if rule.when is not None else None
        self._require = compiled(rule.require)
        self._statements: dict[str, list[tuple[Statement, Test | None]]] = {
            member.id: [
                (each, compiled(each.when) if each.when is not None else None) for each in member.rules.get(rule.id, ())
            ]
            for each in self.looking
            for member in each.members
        }
        conditions = (each.when for several in self._statements.values() for each, _ in several)
        paths = dict.fromkeys(path for when in (rule.when, rule.require, *conditions) for path in paths_of(when))
        self._fields = tuple(path[5:] for path in paths if path.startswith("item."))
        facts = [path for path in paths if not path.startswith("item.")]
        facts += ["subject.purpose"] if rule.purpose else []
        facts += [rule.used] if rule.used else []
        self._decided_by = _picking(facts)
        self._shown = tuple(path for path in rule.reads if not path.startswith("item."))
        self._observes = _picking(self._shown)
        self._of_item = tuple(path for path in rule.reads if path.startswith("item."))
        self._cited = tuple(path for path in (*rule.reads, *rule.show) if not path.startswith("item."))
        self.reads = frozenset((*facts, *rule.reads, *rule.show, *([rule.each] if rule.each else ())))
        self._decided: dict[object, Finding] = {}

    def cases(self, facts: FactSet) -> Iterable[_Case]:
        """What it is judged on."""
        if self.rule.each is None:
            return (_Case(fields={"used": facts.value(self.rule.used)}),) if self.rule.used else _WHOLE
        items = facts.value(self.rule.each)
        if isinstance(items, Unknown):
            return (_Case(settled=items),)
        return self._items(items) if isinstance(items, tuple) and items else _NOTHING

    def _items(self, items: Sequence[Value]) -> Iterator[_Case]:
        seen: dict[str, int] = {}
        for item in items:
            fields = plain(item) if isinstance(item, Record) else item if isinstance(item, Mapping) else _NO_ITEM
            name = "/".join(str(fields.get(part) or "-") for part in self._key)
            seen[name] = seen.get(name, 0) + 1
            yield _Case(name if seen[name] == 1 else f"{name}#{seen[name]}", fields)

    def finding(self, case: _Case, subject: SubjectFacts) -> Finding:
        """What becomes of it for that subject."""
        rule, decided = self.rule, self._decision(case, subject)
        # By place, for a report has hundreds: rule, item, outcome, severity, observed, limits, evidence, judgements ...
        return Finding(
            rule.id,
            case.item,
            decided.outcome,
            decided.severity,
            self._observed(decided, case, subject),
            decided.limits,
            self._evidence(case, subject),
            decided.judgements,
            decided.unknown,
            fingerprint_of(rule.id, case.item, subject.domain),
            name=rule.name,
            topic=rule.topic,
            guide=rule.guide,
            scope=rule.scope,
            used=decided.used,
            remedy=rule.remedy,
        )

    def bare_finding(self, case: _Case, subject: SubjectFacts) -> Finding:
        """The same without what was observed, its evidence and the fingerprint: no verdict hangs on them."""
        decided = self._decision(case, subject)
        return replace(decided, item=case.item) if case.item else decided

    def _observed(self, decided: Finding, case: _Case, subject: SubjectFacts) -> Mapping[str, Value]:
        """The facts behind the result; of what does not apply, none."""
        if decided.outcome is Outcome.NOT_APPLICABLE:
            return _NO_ITEM
        found = dict(zip(self._shown, self._observes(subject.values), strict=True))
        if not self._of_item:
            return found
        return {path: case.fields.get(path[5:]) if path in self._of_item else found[path] for path in self.rule.reads}

    def _evidence(self, case: _Case, subject: SubjectFacts) -> tuple[str, ...]:
        """The evidence of these facts; an item that names its own is shown with that."""
        cited, own = subject.cited, case.fields.get("evidence")
        found = [cited[path] for path in self._cited if path in cited]
        if isinstance(own, tuple):
            found.append(tuple(map(str, own)))
        elif self.rule.each in cited:
            found.append(cited[self.rule.each])
        return tuple(dict.fromkeys(ident for each in found for ident in each)) if found else ()

    def _decision(self, case: _Case, subject: SubjectFacts) -> Finding:
        """The bare finding, without its item."""
        key: object = (subject.volumes_number, self._decided_by(subject.seen))
        if case.settled is not None:
            key = key, self._token_settled(case.settled, subject)
        elif self.rule.each is not None:
            fields, token = case.fields, subject.tokens.of
            key = key, token(fields.get("used")), *[token(fields.get(name)) for name in self._fields]
        try:
            known = self._decided.get(key)
        except TypeError:
            return self._decide(case, subject)  # a value that hardly any other subject has
        return known or _remembered(self._decided, key, self._decide(case, subject))

    @staticmethod
    def _token_settled(settled: Outcome | Unknown, subject: SubjectFacts) -> object:
        return settled if isinstance(settled, Outcome) else subject.tokens.of(settled)

    def _decide(self, case: _Case, subject: SubjectFacts) -> Finding:
        rule, lookup = self.rule, _lookup(case, subject)
        base, unknown = self._outcome(case, lookup, rule.limits)
        for_purpose = _purpose(rule, subject)
        if isinstance(for_purpose, Unknown) and base is not Outcome.NOT_APPLICABLE:
            # Where a message is missing too, the purpose alone would not do.
            waits = unknown is not None and unknown.reason.waits_for_input
            base, unknown = Outcome.UNKNOWN, unknown if waits else for_purpose
        elif for_purpose is False:
            base, unknown = Outcome.NOT_APPLICABLE, None
        judgements: list[Judgement] = []
        limits = dict(rule.limits)
        # What this mail does not rest on, no receiver holds against it; nor what it may not ask of this kind of mail.
        if case.fields.get("used") is not False and not isinstance(for_purpose, Unknown):
            for each in self.looking:
                for judgement, given in self._judged(case, lookup, base, each, subject.volumes[each.receiver]):
                    judgements.append(judgement)
                    limits.update(given)
        outcomes = {each.outcome for each in judgements}
        if rule.severity is not Severity.NONE:
            outcomes.add(base)
        outcome = max(outcomes, key=_BADNESS.__getitem__, default=Outcome.NOT_APPLICABLE)
        severities = {rule.severity, *(each.severity for each in judgements if each.outcome is outcome)}
        severity = max(severities, key=lambda each: each.rank)
        why = _why(unknown, judgements) if outcome is Outcome.UNKNOWN else None
        used = case.fields.get("used")
        return Finding(
            rule.id,
            "",
            outcome,
            severity,
            _NO_ITEM,
            _NO_ITEM if outcome is Outcome.NOT_APPLICABLE else limits,
            (),
            tuple(judgements),
            why,
            name=rule.name,
            topic=rule.topic,
            guide=rule.guide,
            scope=rule.scope,
            used=used if isinstance(used, bool) else None,
            remedy=rule.remedy,
        )

    def _outcome(self, case: _Case, lookup: Lookup, limits: Limits) -> tuple[Outcome, Unknown | None]:
        if isinstance(case.settled, Unknown):
            return Outcome.UNKNOWN, case.settled
        if case.settled is not None:
            return case.settled, None
        if self._when is not None:
            applies = self._when(lookup, limits)
            if isinstance(applies, Unknown):
                return Outcome.UNKNOWN, applies
            if not applies:
                return Outcome.NOT_APPLICABLE, None
        truth = self._require(lookup, limits)
        if isinstance(truth, Unknown):
            return Outcome.UNKNOWN, truth
        return (Outcome.MET if truth else Outcome.UNMET), None

    def _judged(
        self, case: _Case, lookup: Lookup, base: Outcome, eyes: Eyes, volumes: Sequence[VolumeClass]
    ) -> Iterator[tuple[Judgement, Limits]]:
        """The judgements of one receiver, one a class of senders where these differ, with the limits of its own."""
        found = {volume: self._hardest(case, lookup, base, eyes, volume) for volume in volumes}
        small, bulk = found.get(VolumeClass.SMALL), found.get(VolumeClass.BULK)
        if len(found) == 1 or small == bulk:
            if (only := small or bulk) is not None:
                yield _judgement(eyes.receiver, only[0], VolumeClass.ANY), only[1]
            return
        for volume, each in found.items():
            if each is not None:
                yield _judgement(eyes.receiver, each[0], volume), each[1]

    def _hardest(
        self, case: _Case, lookup: Lookup, base: Outcome, eyes: Eyes, volume: VolumeClass
    ) -> tuple[_Decision, Limits] | None:
        """The statement that counts, of a combination the hardest of its members'; None where there is none."""
        statements = [self._first(case, lookup, base, member.id, volume) for member in eyes.members]
        return _hardest([each for each in statements if each is not None])

    def _first(
        self, case: _Case, lookup: Lookup, base: Outcome, member: str, volume: VolumeClass
    ) -> tuple[_Decision, Limits] | None:
        """A provider's first statement whose condition holds; the hardest that may be it where a look-up failed."""
        found: list[tuple[_Decision, Limits]] = []
        doubt: Unknown | None = None
        limits = self.rule.limits
        for statement, when in self._statements[member]:
            if statement.volume not in (VolumeClass.ANY, volume):
                continue
            counts = True if when is None else when(lookup, limits)
            # A condition on the message does not hold where there is none.
            if counts is False or (isinstance(counts, Unknown) and counts.reason is Reason.NO_MESSAGE):
                continue
            if isinstance(counts, Unknown):
                doubt = doubt or counts
            outcome, unknown = base, None
            if statement.limits and base in (Outcome.MET, Outcome.UNMET):
                outcome, unknown = self._outcome(case, lookup, {**limits, **statement.limits})
            if outcome is Outcome.UNMET and doubt is not None:
                outcome, unknown = Outcome.UNKNOWN, doubt
            judged = (outcome, statement.severity, statement.effect, statement.codes, statement.contested, unknown)
            found.append((judged, statement.limits))
            if counts is True:
                break
        return _hardest(found)


def _hardest(found: Sequence[tuple[_Decision, Limits]]) -> tuple[_Decision, Limits] | None:
    """The hardest; nearly always there is but one."""
    return max(found, key=_hardness) if len(found) > 1 else next(iter(found), None)


def _remembered(known: dict[object, Finding], key: object, decided: Finding) -> Finding:
    if len(known) >= _MAX_DECISIONS:
        known.clear()
    known[key] = decided
    return decided


def _lookup(case: _Case, subject: SubjectFacts) -> Lookup:
    def lookup(path: str) -> Value:
        return case.fields.get(path[5:]) if path.startswith("item.") else subject.values[path]

    return lookup


def _why(unknown: Unknown | None, judgements: Sequence[Judgement]) -> Unknown | None:
    """Why a finding is open: the rule itself, else the statement that hangs on a fact which is unknown."""
    return unknown or next((each.unknown for each in judgements if each.outcome is Outcome.UNKNOWN), None)


def _hardness(each: tuple[_Decision, Limits]) -> tuple[int, ...]:
    """Order of what providers say by what it does to the verdict; "may refuse" is milder than any certain hindrance."""
    outcome, severity, effect, _, contested, _ = each[0]
    badness = _BADNESS[outcome]
    return badness if effect.hinders else 0, badness, not contested, effect.rank, severity.rank


@lru_cache(maxsize=4096)
def _judgement(receiver: str, decision: _Decision, volume: VolumeClass) -> Judgement:
    """A judgement; equal ones are one object, so that a report handed between processes holds each once."""
    outcome, severity, effect, codes, contested, unknown = decision
    return Judgement(receiver, outcome, severity, effect, codes, contested, volume, unknown)


def _purpose(rule: Rule, subject: SubjectFacts) -> Truth:
    """Whether the rule is for what the domain sends; Unknown where the user did not say."""
    if not rule.purpose:
        return True
    purpose = subject.values["subject.purpose"]
    return purpose if isinstance(purpose, Unknown) else purpose in [each.value for each in rule.purpose]


def fingerprint_of(rule_id: str, item: str, domain: str) -> str:
    """What a finding is known by from run to run."""
    text = f"{domain}\0{rule_id}\0{item}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
