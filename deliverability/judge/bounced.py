"""Rules behind bounces: which of them are unmet now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deliverability.judge.waivers import completed
from deliverability.model.facts import FactSet, Value, texts_of
from deliverability.model.report import Finding, Outcome

FACT: Final = "deliveries.bounces"


def with_unmet(facts: FactSet, findings: Sequence[Finding]) -> FactSet:
    """The facts, with it known of each cause of bounces which of the rules behind it are unmet.

    Where that is said, it stays so.
    """
    return completed(facts, FACT, "unmet", lambda item: _unmet(item, findings))


def _unmet(item: Mapping[str, Value], findings: Sequence[Finding]) -> Value:
    """The unmet ones in their order; why it is not known, where none is and one could not be checked."""
    rules = texts_of(item.get("rules"))
    ours = [each for each in findings if each.rule in rules]
    unmet = {each.rule for each in ours if each.outcome is Outcome.UNMET}
    if not unmet:
        unknown = next((each.unknown for each in ours if each.unknown is not None), None)
        if unknown is not None:
            return unknown
    return tuple(rule for rule in rules if rule in unmet)
