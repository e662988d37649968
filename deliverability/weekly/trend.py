"""A subject over its runs: for charts and their tables, and as rows of what changed since the run before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.facts.content import Html
from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.facts.message import Weight
from deliverability.core.facts.spf import Spf
from deliverability.core.model.history import Cause, RecordChange, Snapshot
from deliverability.core.model.report import GRADES, Assessment, VerdictKind
from deliverability.core.model.topic import path_of
from deliverability.core.store.causes import Owner, changed_records, is_dns, other_settings
from deliverability.core.store.store import History, HistoryRun, Point
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


_KINDS = {
    "refused": (VerdictKind.REJECTED,),
    "at-risk": (VerdictKind.AT_RISK, VerdictKind.DEPENDS, VerdictKind.DNS_NOT_READY),
    "not-checked": (VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY),
}


class SubjectRow(Struct, frozen=True):
    """A subject in one run.

    Attributes:
        kinds: one a receiver; none for a parked domain.
        stage: of DMARC; None where it is not known.
        lookups, octets: of SPF and of the message; None where there is none.
        records: what DNS said otherwise in the run before.
        settings: what the user said otherwise.
        message: the sample message was another.
        rules: other rules judged.
        first: there was no run before.

    """

    run: HistoryRun
    domain: str
    source: str
    kinds: tuple[VerdictKind, ...]
    stage: str | None
    lookups: int | float | None
    octets: int | float | None
    records: tuple[RecordChange, ...]
    settings: tuple[str, ...]
    message: bool
    rules: bool
    first: bool

    def count(self, group: str) -> int:
        """How many receivers refuse it (``refused``), put it ``at-risk``, or could be ``not-checked``."""
        return sum(kind in _KINDS[group] for kind in self.kinds)


class RunRow(Struct, frozen=True):
    """A run over all its subjects."""

    run: HistoryRun
    subjects: tuple[SubjectRow, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains, each once."""
        return tuple(dict.fromkeys(each.domain for each in self.subjects))

    def count(self, group: str) -> int:
        """How many domains have that as their worst verdict."""
        found: dict[str, set[VerdictKind]] = {}
        for each in self.subjects:
            found.setdefault(each.domain, set()).update(each.kinds)
        worst = [
            next((name for name, kinds in _KINDS.items() if has.intersection(kinds)), "") for has in found.values()
        ]
        return worst.count(group)


def subject_rows(snapshots: Iterable[tuple[HistoryRun, Snapshot]]) -> Iterator[SubjectRow]:
    """The runs of one subject, as they come: newest first."""
    later: tuple[HistoryRun, Snapshot] | None = None
    for run, snapshot in snapshots:
        if later is not None:
            yield _row(*later, snapshot)
        later = (run, snapshot)
    if later is not None:
        yield _row(*later, None)


def run_rows(rows: Iterable[SubjectRow]) -> tuple[RunRow, ...]:
    """All runs, newest first, of the rows of all subjects."""
    runs: dict[int, list[SubjectRow]] = {}
    for row in rows:
        runs.setdefault(row.run.id, []).append(row)
    return tuple(RunRow(members[0].run, tuple(members)) for _, members in sorted(runs.items(), reverse=True))


def _row(run: HistoryRun, now: Snapshot, before: Snapshot | None) -> SubjectRow:
    measures = measures_of(now.facts)
    changed = changed_records(before.facts, now.facts, Owner(now.domain, now.facts)) if before else {}
    return SubjectRow(
        run,
        now.domain,
        now.source,
        tuple(each.verdict for each in now.verdicts),
        stage_of(now.facts),
        measures["spf.lookups"],
        measures["message.size_octets"],
        records=tuple(each for ident, each in changed.items() if is_dns(ident, now.facts)),
        settings=other_settings(before, now) if before else (),
        message=any(each.cause is Cause.MAIL for each in changed.values()),
        rules=before is not None and before.rules_digest != now.rules_digest,
        first=before is None,
    )
