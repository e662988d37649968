"""What `deliv fix` shows of a report: the records to publish, and what no record mends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from deliverability.model.answer import PlanStep
from deliverability.model.report import Care
from deliverability.view.parts import CheckView, RemedyView
from deliverability.view.report import ReportView

NEW_KEY = "new-key"
"""The task of making and publishing a new DKIM key."""


@dataclass(frozen=True, slots=True)
class FixView:
    """The remedies of a report, also those that it leaves for later, and what is left to do.

    Attributes:
        view: the report.
        remedies: in the order in which to publish them.
        by_hand: the findings that no record mends.
        wants_key: whether one of these asks for a new DKIM key.

    """

    view: ReportView
    remedies: tuple[RemedyView, ...]
    by_hand: tuple[CheckView, ...]
    wants_key: bool

    def up_to(self, care: Care) -> FixView:
        """With those remedies only that need no more care than that, and build on none that does."""
        order = tuple(Care)
        left: set[tuple[str, str]] = set()
        chosen = []
        for each in self.remedies:
            places = {(edit.name, edit.type) for edit in each.remedy.edits}
            if order.index(each.remedy.care) > order.index(care) or not places.isdisjoint(left):
                left |= places
            else:
                chosen.append(each)
        return replace(self, remedies=tuple(chosen))


def fix_view(view: ReportView) -> FixView:
    """The remedies of a report."""
    report = view.report
    remedies = sorted((*view.remedies, *view.later), key=lambda each: report.remedies.index(each.remedy))
    mended = {rule for remedy in report.remedies for rule in remedy.mends}
    by_hand = tuple(check for check in view.todo if check.rule not in mended)
    wants_key = any(view.speaker.rules.rules[check.rule].task == NEW_KEY for check in by_hand)
    return FixView(view, tuple(remedies), by_hand, wants_key)


def up_to(plan: Iterable[PlanStep], care: Care) -> tuple[PlanStep, ...]:
    """The steps that need no more care than that, and continue the record of none that does; their numbers stay."""
    order = tuple(Care)
    left: set[int] = set()
    chosen = []
    for step in plan:
        if order.index(step.care) > order.index(care) or not left.isdisjoint(step.follows):
            left.add(step.number)
        else:
            chosen.append(step)
    return tuple(chosen)
