"""Findings that the user accepts: which waiver covers which, and which are of no use.

Waivers travel as the fact ``subject.waivers``, so that saved facts are judged again with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from deliverability.model.facts import Fact, FactSet, Value, Waiver, records_of
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
    items = records_of(facts.value(FACT))
    if not items:
        return facts
    marked = tuple(item if item.get("used") is not None else {**item, "used": _used(item, findings)} for item in items)
    return FactSet({**facts.facts, FACT: Fact(FACT, marked, facts.facts[FACT].evidence)}, facts.evidence)


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
