"""A subject over its runs, for charts and their tables. May import model, history and weekly.entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deliverability.history.store import History
from deliverability.model.facts import FactSet
from deliverability.model.report import Outcome, Verdict
from deliverability.weekly.entry import Entry

WEEKS = 26
MEASURES = ("spf.lookups", "message.size_octets", "html.octets")
_TOPICS = ("dmarc", *dict.fromkeys(path.partition(".")[0] for path in MEASURES))
STAGES = ("absent", "none", "testing", "quarantine", "reject")

Number = int | float


@dataclass(frozen=True, slots=True)
class Trend:
    """One value a run, oldest first; None where a run could not tell.

    Attributes:
        dates: of the runs, ``2026-11-23``.
        grades: receiver -> grade.
        stages: DMARC stages, see STAGES.
        measures: path of MEASURES -> number.

    """

    dates: tuple[str, ...]
    grades: Mapping[str, tuple[str | None, ...]]
    stages: tuple[str | None, ...]
    measures: Mapping[str, tuple[Number | None, ...]]

    @property
    def worst(self) -> tuple[str | None, ...]:
        """The worst grade over all receivers, run by run."""
        columns = zip(*self.grades.values(), strict=True) if self.grades else ()
        return tuple(max((each for each in column if each), default=None) for column in columns)


def trend(history: History, entry: Entry, started: str, *, grades_only: bool = False) -> Trend:
    """The newest runs of a subject up to the one that `entry` belongs to, which the history may not have yet."""
    topics = () if grades_only else _TOPICS
    points: list[tuple[str, Mapping[str, str | None], str | None, Mapping[str, Number | None]]] = []
    for kept in history.follow(entry.domain, entry.source, newest=WEEKS, topics=topics):
        if kept.run.started != started:
            grades = {each.receiver: each.grade if is_certain(each) else None for each in kept.verdicts}
            points.append((kept.run.started, grades, stage_of(kept.facts), measures_of(kept.facts)))
    points = points[: WEEKS - 1][::-1]
    grades = {each.receiver: each.grade if each.certain else None for each in entry.stands}
    points.append((started, grades, entry.stage or None, entry.measures))
    return Trend(
        dates=tuple(point[0][:10] for point in points),
        grades={each.receiver: tuple(point[1].get(each.receiver) for point in points) for each in entry.stands},
        stages=tuple(point[2] for point in points),
        measures={path: tuple(point[3].get(path) for point in points) for path in MEASURES},
    )


def is_certain(verdict: Verdict) -> bool:
    """Whether the grade rests on what was found, and not on what could not be checked."""
    found = max((cap.grade for cap in verdict.caps if cap.outcome is Outcome.UNMET), default="A")
    return found >= verdict.grade


def measures_of(facts: FactSet) -> dict[str, Number | None]:
    """The numbers that trends follow; None where one is not known or there is none."""
    found: dict[str, Number | None] = {}
    for path in MEASURES:
        value = facts.value(path)
        found[path] = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    return found


def stage_of(facts: FactSet) -> str | None:
    """The DMARC stage, or None where it is not known."""
    value = facts.value("dmarc.stage")
    return value if isinstance(value, str) else None
