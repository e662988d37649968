"""A profile held against the facts of one subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from deliverability.core.facts.base import Catalogue, FactSet, Unknown, Value, records_of
from deliverability.core.model.profiles import Clause, ClauseResult, ClauseState, Profile, ProfileResult
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import Condition, RuleSet, Selection
from deliverability.core.rules.conditions import Truth, evaluate, paths_of
from deliverability.core.rules.judge import judge_of

_NO_LIMITS: Mapping[str, Value] = {}


def judge_profiles(
    names: Iterable[str], facts: FactSet, rules: RuleSet, catalogue: Catalogue
) -> tuple[ProfileResult, ...]:
    """The chosen profiles, in the order in which they were named, each once."""
    return tuple(judge_profile(rules.profiles[name], facts, rules, catalogue) for name in dict.fromkeys(names))


def judge_profile(profile: Profile, facts: FactSet, rules: RuleSet, catalogue: Catalogue) -> ProfileResult:
    """One profile. Rules are judged for it alone: what the user selected, ignored or waived changes nothing here."""
    bench = _Bench(facts, catalogue, _rule_outcomes(profile, facts, rules, catalogue))
    return ProfileResult(profile, tuple(bench.result(each) for each in profile.clauses))


def _rule_outcomes(
    profile: Profile, facts: FactSet, rules: RuleSet, catalogue: Catalogue
) -> Mapping[str, Sequence[tuple[Outcome, Unknown | None]]]:
    """What became of each rule that a clause names, by finding; as the receiver sees it, where the list is its own."""
    wanted = tuple(dict.fromkeys(name for each in profile.clauses if each.judged for name in each.rules))
    if not wanted:
        return {}
    receivers = (profile.receiver,) if profile.receiver else ()
    outcomes: dict[str, list[tuple[Outcome, Unknown | None]]] = {name: [] for name in wanted}
    for finding in judge_of(rules, catalogue, Selection(wanted, (), receivers)).findings(facts):
        outcomes[finding.rule].append(_outcome(finding, profile.receiver))
    return outcomes


def _outcome(finding: Finding, receiver: str) -> tuple[Outcome, Unknown | None]:
    for each in finding.judgements:
        if each.receiver == receiver:
            return each.outcome, each.unknown or finding.unknown
    return finding.outcome, finding.unknown


class _Bench(Struct, frozen=True):
    """What clauses are judged by."""

    facts: FactSet
    catalogue: Catalogue
    outcomes: Mapping[str, Sequence[tuple[Outcome, Unknown | None]]]

    def result(self, clause: Clause) -> ClauseResult:
        if not clause.confirmed:
            return ClauseResult(clause.id, ClauseState.NOT_CONFIRMED)
        applies = True if clause.when is None else self._truth(clause.when)
        if applies is False:
            return ClauseResult(clause.id, ClauseState.NOT_APPLICABLE)
        if not clause.judged:
            unknown = applies if isinstance(applies, Unknown) else None
            return ClauseResult(clause.id, ClauseState.CANNOT_TELL, unknown)
        if isinstance(applies, Unknown):
            return ClauseResult(clause.id, ClauseState.CANNOT_TELL, applies)
        return self._judged(clause)

    def _judged(self, clause: Clause) -> ClauseResult:
        found = {path: self.facts.value(path) for path in _facts_of(clause)}
        truths: list[Truth] = []
        items: tuple[str, ...] = ()
        if clause.require is not None and clause.each:
            records = self.facts.value(clause.each)
            if records in (None, ()):
                none = ClauseState.NOT_APPLICABLE if clause.which is None else ClauseState.CANNOT_TELL
                return ClauseResult(clause.id, none, found=found)
            truth, items = self._of_items(clause, records, clause.require)
            if truth is None:
                return ClauseResult(clause.id, ClauseState.CANNOT_TELL, found=found)
            truths.append(truth)
        elif clause.require is not None:
            truths.append(self._truth(clause.require))
        broken, of_rules = self._of_rules(clause.rules)
        truths += of_rules
        if not truths:
            return ClauseResult(clause.id, ClauseState.NOT_APPLICABLE, found=found)
        if any(each is False for each in truths):
            if clause.elsewhere is not None and self._truth(clause.elsewhere.when) is not False:
                return ClauseResult(clause.id, ClauseState.CANNOT_TELL, elsewhere=True, found=found)
            return ClauseResult(clause.id, ClauseState.NOT_MET, items=items, found=found, broken=broken)
        unknown = next((each for each in truths if isinstance(each, Unknown)), None)
        state = ClauseState.MET if unknown is None else ClauseState.CANNOT_TELL
        return ClauseResult(clause.id, state, unknown, found=found)

    def _truth(self, condition: Condition) -> Truth:
        return evaluate(condition, self.facts.value, _NO_LIMITS)

    def _of_items(self, clause: Clause, records: Value, condition: Condition) -> tuple[Truth | None, tuple[str, ...]]:
        """Whether all items satisfy it, and those that do not. None: the clause is about none of them."""
        if isinstance(records, Unknown):
            return records, ()
        listed: list[Mapping[str, Value]] = []
        truths: list[Truth] = []
        for each in records_of(records):
            known = _lookup(self.facts, each)
            about = True if clause.which is None else evaluate(clause.which, known, _NO_LIMITS)
            if about is not False:
                listed.append(each)
                truths.append(about if isinstance(about, Unknown) else evaluate(condition, known, _NO_LIMITS))
        if not listed:
            return None, ()
        key = self.catalogue[clause.each].key
        against = tuple(_named(each, key) for each, truth in zip(listed, truths, strict=True) if truth is False)
        if against:
            return False, against
        return next((each for each in truths if isinstance(each, Unknown)), True), ()

    def _of_rules(self, names: Sequence[str]) -> tuple[tuple[str, ...], list[Truth]]:
        """The rules that are unmet, and whether each that applies is met."""
        broken: list[str] = []
        truths: list[Truth] = []
        for name in names:
            for outcome, unknown in self.outcomes.get(name, ()):
                if outcome is Outcome.UNMET:
                    broken.append(name)
                    truths.append(False)
                elif outcome is Outcome.MET:
                    truths.append(True)
                elif outcome is Outcome.UNKNOWN and unknown is not None:
                    truths.append(unknown)
        return tuple(dict.fromkeys(broken)), truths


def _facts_of(clause: Clause) -> Iterator[str]:
    """The facts that a result shows: those of its condition that stand for themselves."""
    for path in dict.fromkeys(paths_of(clause.require)):
        if not path.startswith("item."):
            yield path


def _lookup(facts: FactSet, record: Mapping[str, Value]) -> Callable[[str], Value]:
    def value(path: str) -> Value:
        return record.get(path.removeprefix("item.")) if path.startswith("item.") else facts.value(path)

    return value


def _named(record: Mapping[str, Value], key: Sequence[str]) -> str:
    return "/".join(str(record.get(name)) for name in key)
