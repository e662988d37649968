"""Whether a positive statement may be made: of a report, of a run, of writing to a receiver."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from msgspec import Struct

from deliverability.core.cache import Same
from deliverability.core.facts.base import FactSet, Reason, Unknown, Value, records_of
from deliverability.core.model.claims import JUDGED, Lack, Requirement
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import RuleSet, Selection
from deliverability.core.rules.conditions import Lookup, Test, Truth, compiled

NOT_LISTED = "not-listed"
_NOT_COUNTED = Unknown(Reason.NOT_CONFIGURED)

Outcomes = Mapping[str, Outcome | Unknown]
"""What became of the rules that claims name; of one that was not judged, or does not apply, nothing."""


class Claims:
    """The claims of a rule set, their conditions as functions."""

    def __init__(self, rules: RuleSet) -> None:
        self._ready = {
            key: tuple(
                _Ready(each, compiled(each.holds) if each.holds is not None else None) for each in claim.requires
            )
            for key, claim in rules.claims.items()
        }
        self._needs = {
            key: tuple(rule for each in claim.requires for rule in each.met) for key, claim in rules.claims.items()
        }
        self.rules = frozenset(rule for needed in self._needs.values() for rule in needed)

    def needs(self, claim: str) -> tuple[str, ...]:
        """The rules that a claim asks for by their ids."""
        return self._needs.get(claim, ())

    def outcomes(self, findings: Iterable[Finding]) -> Outcomes:
        """What became of the rules that claims name, the worst of each; a waiver changes nothing about that."""
        found: dict[str, Outcome | Unknown] = {}
        for each in findings:
            if each.rule in self.rules and each.outcome is not Outcome.NOT_APPLICABLE:
                outcome = each.unknown if each.unknown is not None else each.outcome
                was = found.get(each.rule)
                if was is None or _badness(outcome) > _badness(was):
                    found[each.rule] = outcome
        return found

    def lack(
        self, claim: str, grounds: Mapping[str, Value], facts: FactSet, outcomes: Outcomes, mended: str = ""
    ) -> Lack | None:
        """The first thing that keeps a claim from being made; None: nothing does.

        Args:
            claim: its key.
            grounds: the `judged.*` values that it may read.
            facts: the facts.
            outcomes: what became of rules.
            mended: a rule that is taken as met.

        """
        if claim not in self._ready:
            return Lack(claim, NOT_LISTED)

        def lookup(path: str) -> Value:
            return grounds.get(path, _NOT_COUNTED) if path.startswith(JUDGED) else facts.value(path)

        for each in self._ready[claim]:
            truth = each.truth(lookup) if each.test else _any_met(each.requirement.met, outcomes, mended)
            if truth is not True:
                unmet = tuple(rule for rule in each.requirement.met if outcomes.get(rule) is Outcome.UNMET)
                return Lack(claim, each.requirement.key, truth if isinstance(truth, Unknown) else None, unmet)
        return None


class _Ready(Struct, frozen=True):
    requirement: Requirement
    test: Test | None

    def truth(self, lookup: Lookup) -> Truth:
        """Whether the condition holds; with `each` of every item, of which there has to be one."""
        test, each = self.test, self.requirement.each
        if test is None:
            return False
        if not each:
            return test(lookup, {})
        items = lookup(each)
        if isinstance(items, Unknown):
            return items
        truths = [test(_of_item(item, lookup), {}) for item in records_of(items)]
        if not truths or False in truths:
            return False
        return next((each for each in truths if isinstance(each, Unknown)), True)


def _of_item(item: Mapping[str, Value], lookup: Lookup) -> Lookup:
    def of_item(path: str) -> Value:
        return item.get(path[len("item.") :]) if path.startswith("item.") else lookup(path)

    return of_item


def claims_of(rules: RuleSet) -> Claims:
    """The claims made ready; for the same rule set once."""
    return _claims_of(Same(rules))


@lru_cache(maxsize=8)
def _claims_of(rules: Same[RuleSet]) -> Claims:
    return Claims(rules.it)


def left_out(rules: Iterable[str], selection: Selection, elsewhere: Collection[str] = ()) -> tuple[str, ...]:
    """Those of the rules that are not judged, or are not met at receivers that are not judged (`elsewhere`)."""
    if selection.whole and not elsewhere:
        return ()
    return tuple(each for each in rules if each in elsewhere or not selection.takes(each))


def receivers_left_out(rules: RuleSet, selection: Selection) -> tuple[str, ...]:
    """The receivers that are judged by default, and are neither judged nor among those that one stands for."""
    if not selection.receivers:
        return ()
    judged = {member.id for each in selection.receivers for member in rules.members(rules.receivers[each])}
    return tuple(each for each in rules.providers if each not in judged)


def _badness(outcome: Outcome | Unknown) -> int:
    return 1 if isinstance(outcome, Unknown) else 2 if outcome is Outcome.UNMET else 0


def _any_met(rules: Iterable[str], outcomes: Outcomes, mended: str) -> bool | Unknown:
    """Whether one of the rules is met and none unmet."""
    found = [Outcome.MET if each == mended else outcomes.get(each) for each in rules]
    if Outcome.UNMET in found:
        return False
    unknown = next((each for each in found if isinstance(each, Unknown)), None)
    return unknown if unknown is not None else Outcome.MET in found


def may_write(first: int, unchecked: int, rules: RuleSet) -> bool:
    """Whether the postmaster of a receiver can be written to now: nothing comes before, and all could be checked."""
    grounds: dict[str, Value] = {"judged.hindering": first, "judged.open": unchecked}
    return claims_of(rules).lack("contact-ready", grounds, FactSet({}), {}) is None


def earned(claims: Iterable[str], rules: RuleSet, *, subjects: int, unchecked: int, to_mend: int) -> frozenset[str]:
    """Those of the claims that may be made of so many subjects."""
    table = claims_of(rules)
    grounds: dict[str, Value] = {
        "judged.subjects": subjects,
        "judged.unchecked": unchecked,
        "judged.to_mend": to_mend,
    }
    return frozenset(each for each in claims if table.lack(each, grounds, FactSet({}), {}) is None)
