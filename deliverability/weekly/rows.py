"""The runs of a subject, or all runs, as rows: counts of verdicts, measures, and what changed since the run before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from deliverability.core.model.history import Cause, RecordChange, Snapshot
from deliverability.core.model.report import VerdictKind
from deliverability.core.store.causes import Owner, changed_records, is_dns, other_settings
from deliverability.core.store.store import HistoryRun
from deliverability.weekly.trend import measures_of, stage_of

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
