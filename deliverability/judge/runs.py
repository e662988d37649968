"""What may be said beside reports: of a weekly run, of a fleet, of writing to a receiver."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deliverability.judge.claims import claims_of
from deliverability.model.facts import FactSet, Value
from deliverability.model.report import FINE
from deliverability.model.rules import RuleSet
from deliverability.model.weekly import WeeklyEntry


def run_claims(entries: Sequence[WeeklyEntry], rules: RuleSet) -> frozenset[str]:
    """The claims about a weekly run that may be made."""
    return earned(
        ("all-well", "no-change"),
        rules,
        subjects=len(entries),
        unchecked=sum(map(is_unchecked, entries)),
        to_mend=sum(map(_has_to_mend, entries)),
    )


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


def is_unchecked(entry: WeeklyEntry) -> bool:
    """Whether a subject could not be checked, or not completely."""
    told = bool(entry.verdicts) or entry.closed in ("closed", "open")
    return bool(entry.problems or entry.failures or entry.unchecked) or not told


def _has_to_mend(entry: WeeklyEntry) -> bool:
    against = any(each.verdict not in FINE for each in entry.verdicts)
    return against or entry.closed == "open" or any(entry.counts.get(level) for level in ("error", "warning"))
