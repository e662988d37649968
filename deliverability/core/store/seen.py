"""What runs found as rows that SQL can read: verdicts, findings, reported mail by day, and the answer of the gate.

Derived from the snapshots, written in the transaction that keeps them, and made anew from them. Names and columns are
public; docs/dashboards.md describes them, with the views over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Table, delete, insert

from deliverability.core.facts.traffic import DayVolume, Traffic
from deliverability.core.model.history import GateSeen, Snapshot, StoredFinding
from deliverability.core.model.report import Assessment, Outcome
from deliverability.core.model.rules import Severity
from deliverability.core.model.topic import if_known
from deliverability.core.store.facets import in_portions
from deliverability.core.store.tables import seen_findings, seen_gates, seen_traffic, seen_verdicts

_LONGEST = 200  # characters of an item: an index of PostgreSQL takes no long values
_OF_RUNS = (seen_verdicts, seen_findings, seen_gates, seen_traffic)


class Seen(Struct, frozen=True):
    """Of one subject of a run what becomes rows."""

    run: int
    day: date
    domain: str
    source: str
    assessment: Assessment
    findings: Sequence[StoredFinding]
    volume: Sequence[DayVolume]
    gate: GateSeen | None

    @classmethod
    def of(cls, run: int, started: str, snapshot: Snapshot) -> Seen:
        """Of a snapshot in a run that began then."""
        return cls(
            run,
            date.fromisoformat(started[:10]),
            snapshot.domain,
            snapshot.source,
            snapshot.assessment,
            snapshot.findings,
            if_known(snapshot.facts.of(Traffic).volume) or (),
            snapshot.gate,
        )


def keep_rows(connection: Connection, seen: Seen) -> None:
    """Write the rows of a subject. Of a day of mail the newest run tells: reports arrive for days."""
    subject = {"run": seen.run, "day": seen.day, "domain": seen.domain, "source": seen.source}
    verdicts = {each.receiver: each.verdict.number for each in seen.assessment.verdicts}
    _add(connection, seen_verdicts, [{**subject, "receiver": who, "verdict": n} for who, n in verdicts.items()])
    _add(connection, seen_findings, [{**subject, **each} for each in _findings(seen.findings)])
    if seen.gate is not None:
        _add(connection, seen_gates, [{**subject, "policy": seen.gate.to, "answer": seen.gate.answer.number}])
    days = {day: each for each in seen.volume if (day := date.fromisoformat(each.day))}
    if not days:
        return
    table = seen_traffic
    told = (table.c.domain == seen.domain) & table.c.day.between(min(days), max(days))
    connection.execute(delete(table).where(told))
    _add(connection, table, [_mail(day, each, seen) for day, each in days.items() if _is_some(each)])


def forget_rows(connection: Connection, run: int) -> None:
    """Delete the rows of a run."""
    for table in _OF_RUNS:
        connection.execute(delete(table).where(table.c.run == run))


def rebuild_rows(connection: Connection, found: Iterable[Seen]) -> int:
    """Make all rows anew, from subjects in the order of their runs; gives how many subjects that were."""
    for table in _OF_RUNS:
        connection.execute(delete(table))
    number = 0
    for each in found:
        keep_rows(connection, each)
        number += 1
    return number


def _add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    for some in in_portions(rows):
        connection.execute(insert(table), some)


def _findings(findings: Sequence[StoredFinding]) -> Iterator[dict[str, Any]]:
    """Those that are unmet, or could not be checked as a look-up failed; of items that are alike the worst one."""
    worst: dict[tuple[str, str], StoredFinding] = {}
    for each in findings:
        key = each.rule, _storable(each.item)
        known = worst.get(key)
        told = each.outcome is Outcome.UNMET or (each.outcome is Outcome.UNKNOWN and each.failed)
        if told and each.severity is not Severity.NONE and (known is None or _badness(each) > _badness(known)):
            worst[key] = each
    for (rule, item), each in worst.items():
        outcome = "waived" if each.waived else each.outcome.value
        yield {"rule": rule, "item": item, "severity": each.severity.value, "outcome": outcome}


def _badness(finding: StoredFinding) -> tuple[bool, bool, int]:
    return not finding.waived, finding.outcome is Outcome.UNMET, finding.severity.rank


def _storable(item: str) -> str:
    """An item as every database takes it, cut off where it is long."""
    return item.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")[:_LONGEST]


def _is_some(day: DayVolume) -> bool:
    return any((day.messages, day.unclaimed, day.forged, day.forwarded, day.altered))


def _mail(day: date, volume: DayVolume, seen: Seen) -> dict[str, Any]:
    return {
        "domain": seen.domain,
        "day": day,
        "run": seen.run,
        "own": volume.messages,
        "passing": volume.aligned,
        "unclaimed": volume.unclaimed,
        "forged": volume.forged,
        "forwarded": volume.forwarded,
        "altered": volume.altered,
    }
