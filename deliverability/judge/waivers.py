"""Findings that the user accepts: which waiver covers which, and which are of no use.

Waivers travel as the fact ``subject.waivers``, so that saved facts are judged again with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from deliverability.model.facts import Fact, FactSet, Value, Waiver, records_of
from deliverability.model.paths import FactPath
from deliverability.model.report import Finding, Outcome

FACT: Final = "subject.waivers"


def waived(findings: Sequence[Finding], facts: FactSet) -> tuple[Finding, ...]:
    """The findings, those that are unmet and that a waiver in force covers with that waiver."""
    in_force = [each for each in records_of(facts.value(FACT)) if each.get("expired") is not True]
    if not in_force:
        return tuple(findings)
    return tuple(_with_waiver(each, in_force) for each in findings)


def with_use(facts: FactSet, findings: Sequence[Finding]) -> FactSet:
    """The facts, with it known of each waiver whether it covers an unmet finding; where that is said, it stays so."""
    return completed(facts, FACT, "used", lambda item: _used(item, findings))


def completed(facts: FactSet, path: FactPath, field: str, value_of: Callable[[Mapping[str, Value]], Value]) -> FactSet:
    """The facts, with that field in each record of a list that does not have it yet."""
    items = records_of(facts.value(path))
    if not items:
        return facts
    whole = tuple(item if item.get(field) is not None else {**item, field: value_of(item)} for item in items)
    return FactSet({**facts.facts, path: Fact(path, whole, facts.facts[path].evidence)}, facts.evidence)


def _with_waiver(finding: Finding, items: Sequence[Mapping[str, Value]]) -> Finding:
    if finding.outcome is not Outcome.UNMET:
        return finding
    item = next((each for each in items if _covers(each, finding)), None)
    if item is None:
        return finding
    texts = {name: str(item.get(name) or "") for name in ("rule", "reason", "item", "note", "until")}
    return replace(finding, waiver=Waiver(**texts))


def _covers(item: Mapping[str, Value], finding: Finding) -> bool:
    return item.get("rule") == finding.rule and item.get("item") in (None, "", finding.item)


def _used(item: Mapping[str, Value], findings: Sequence[Finding]) -> Value:
    """Whether it covers an unmet finding; None where its rule was not judged in this run."""
    if not any(finding.rule == item.get("rule") for finding in findings):
        return None
    covered = [finding for finding in findings if _covers(item, finding)]
    if any(finding.outcome is Outcome.UNMET for finding in covered):
        return True
    # What could not be checked may still be unmet.
    return next((finding.unknown for finding in covered if finding.unknown is not None), False)
