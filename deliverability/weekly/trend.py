"""A subject over its runs, for charts and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.facts.content import Html
from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.facts.message import Weight
from deliverability.core.facts.spf import Spf
from deliverability.core.model.report import GRADES, Assessment, VerdictKind
from deliverability.core.model.topic import path_of
from deliverability.core.store.store import History, Point
from deliverability.weekly.values import WeeklyEntry

WEEKS = 26
MEASURES = (path_of(Spf, "lookups"), path_of(Weight, "size_octets"), path_of(Html, "octets"))
_TOPICS = ("dmarc", *dict.fromkeys(path.partition(".")[0] for path in MEASURES))

Number = int | float


class Trend(Struct, frozen=True):
    """One value a run, oldest first; None where a run could not tell.

    Attributes:
        dates: of the runs, ``2026-11-23``.
        grades: of the subject.
        kinds: receiver -> verdict.
        stages: DMARC stages, see DMARC_STAGES.
        measures: path of MEASURES -> number.

    """

    dates: tuple[str, ...]
    grades: tuple[str | None, ...]
    kinds: Mapping[str, tuple[VerdictKind | None, ...]]
    stages: tuple[str | None, ...]
    measures: Mapping[str, tuple[Number | None, ...]]


def trend(history: History, entry: WeeklyEntry, started: str) -> Trend:
    """The newest runs of a subject up to the one that `entry` belongs to, which the history may not have yet."""
    return trend_of(history.follow(entry.domain, entry.source, newest=WEEKS, topics=_TOPICS), entry, started)


def trend_of(followed: Iterable[Point], entry: WeeklyEntry, started: str) -> Trend:
    """The same of what was followed already: see `History.follow` and `History.grades`."""
    points: list[_Point] = []
    for earlier in followed:
        if earlier.run.started != started:
            kinds = {each.receiver: each.verdict for each in earlier.assessment.verdicts}
            grade = certain_grade(earlier.assessment) or None
            stage, measures = stage_of(earlier.facts), measures_of(earlier.facts)
            points.append(_Point(earlier.run.started, grade, kinds, stage, measures))
    points = points[: WEEKS - 1][::-1]
    kinds = {each.receiver: each.verdict for each in entry.verdicts}
    points.append(_Point(started, entry.grade or None, kinds, entry.stage or None, entry.measures))
    return Trend(
        dates=tuple(point.started[:10] for point in points),
        grades=tuple(point.grade for point in points),
        kinds={each.receiver: tuple(point.kinds.get(each.receiver) for point in points) for each in entry.verdicts},
        stages=tuple(point.stage for point in points),
        measures={path: tuple(point.measures.get(path) for point in points) for path in MEASURES},
    )


class _Point(Struct, frozen=True):
    """One run."""

    started: str
    grade: str | None
    kinds: Mapping[str, VerdictKind]
    stage: str | None
    measures: Mapping[str, Number | None]


def certain_grade(assessment: Assessment) -> str:
    """The grade, where it rests on what was found; empty where what could not be checked may make it a worse one."""
    undecided = any(each.open for each in assessment.verdicts) or (assessment.parked and assessment.closed is None)
    return "" if undecided and assessment.grade != GRADES[-1] else assessment.grade


def measures_of(facts: FactSet) -> dict[str, Number | None]:
    """The numbers that trends follow; None where one is not known or there is none."""
    found: dict[str, Number | None] = {}
    for path in MEASURES:
        value = facts.value(path)
        found[path] = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    return found


def stage_of(facts: FactSet) -> str | None:
    """The DMARC stage, or None where it is not known."""
    value = facts.of(Dmarc).stage
    return value if isinstance(value, str) else None
