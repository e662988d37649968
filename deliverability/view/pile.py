"""A pile of bounces by meaning: how often, from whom, and which rules behind each are unmet now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from deliverability.judge.replies import rules_now
from deliverability.model.replies import Explained, Explanation, Meaning
from deliverability.model.report import Outcome, Report


class PileRow(Struct, frozen=True):
    """All replies of one meaning.

    Attributes:
        meaning: None: what none of the catalogue fits.
        example: one of them.
        count: how many there are.
        receivers: id and number, the most frequent first; an empty id: not known.
        rules: behind it, the most telling first.
        unmet: those of them that are unmet now in any subject that was checked; empty also where none was.

    """

    meaning: Meaning | None
    example: Explained
    count: int
    receivers: tuple[tuple[str, int], ...]
    rules: tuple[str, ...]
    unmet: tuple[str, ...]


def pile_rows(explanation: Explanation, reports: Sequence[Report] = ()) -> tuple[PileRow, ...]:
    """The meanings of a pile, the most frequent first."""
    groups: dict[str, list[Explained]] = {}
    for each in explanation.replies:
        groups.setdefault(each.meaning.id if each.meaning else "", []).append(each)
    rows = [_row(each, reports) for each in groups.values()]
    return tuple(sorted(rows, key=lambda row: -row.count))


def _row(same: Sequence[Explained], reports: Sequence[Report]) -> PileRow:
    receivers: Counter[str] = Counter()
    rules: dict[str, None] = {}
    unmet: dict[str, None] = {}
    for each in same:
        receivers[each.receiver] += each.count
        rules.update(dict.fromkeys(each.rules))
        for report in reports:
            found = rules_now(report, each.rules, each.receiver)
            unmet.update((now.rule, None) for now in found if now.outcome is Outcome.UNMET)
    return PileRow(
        same[0].meaning,
        same[0],
        receivers.total(),
        tuple(receivers.most_common()),
        tuple(rules),
        tuple(unmet),
    )
