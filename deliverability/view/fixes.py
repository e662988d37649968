"""Which steps of a plan `deliv fix` writes, and why the others are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from deliverability.model.answer import PlanStep
from deliverability.model.facts import text_of
from deliverability.model.names import is_within
from deliverability.model.report import Care, Report

NEW_KEY = "new-key"
"""The task of making and publishing a new DKIM key."""


class Left(StrEnum):
    """Why a step is not among the records that are written."""

    NO_RECORD = "no-record"
    CARE = "care"
    ELSEWHERE = "elsewhere"


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


def in_own_zone(report: Report, care: Care) -> tuple[PlanStep, ...]:
    """The steps that edit records in zones of the domain, and need no more care than that."""
    return tuple(step for step in up_to(report.answer.plan, care) if step.edits and _at_home(step, report))


def left_out(report: Report, chosen: Sequence[PlanStep]) -> Mapping[Left, tuple[int, ...]]:
    """The numbers of the other steps, by the reason."""
    numbers = {step.number for step in chosen}
    found: dict[Left, list[int]] = {}
    for step in report.answer.plan:
        if step.number not in numbers:
            reason = Left.NO_RECORD if not step.edits else Left.CARE if _at_home(step, report) else Left.ELSEWHERE
            found.setdefault(reason, []).append(step.number)
    return {reason: tuple(steps) for reason, steps in found.items()}


def _at_home(step: PlanStep, report: Report) -> bool:
    """Whether all of it stands in zones of the domain: the consent of a report host and PTR records do not."""
    home = text_of(report.facts.value("dmarc.organizational_domain_psl"))
    return bool(home) and all(is_within(edit.name, home) for edit in step.edits)
