"""What may be said beside reports: of a weekly run, of a fleet, of writing to a receiver."""

from __future__ import annotations

from collections.abc import Iterable

from deliverability.judge.claims import claims_of
from deliverability.model.facts import FactSet, Value
from deliverability.model.rules import RuleSet


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
