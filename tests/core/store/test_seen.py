"""The tables and views for SQL: what stands in them, that they go with their runs, and that they can be made anew."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, text

from deliverability.core.facts.base import Fact, FactSet
from deliverability.core.facts.traffic import DayVolume
from deliverability.core.model.history import GateSeen, Snapshot, StoredFinding
from deliverability.core.model.report import Assessment, GateKind, Outcome, Verdict, VerdictKind
from deliverability.core.model.rules import Severity
from deliverability.core.store.pieces import pack
from deliverability.core.store.store import History, HistoryRun
from deliverability.core.store.tables import blobs
from tests.core.store.test_store import WEEKS, snapshot
from tests.sampled import sampled

TABLES = ("seen_verdicts", "seen_findings", "seen_gates", "seen_traffic")


def week(history: History, at: str, *found: Snapshot) -> HistoryRun:
    run = history.begin(at, "0.1.0")
    for each in found:
        history.record(run, pack(replace(each, started=at), history.key))
    history.finish(run, at)
    return run


def read(history: History, sql: str) -> list[tuple[Any, ...]]:
    """Rows as plain values; SQLite has no type for days, its texts are read as such."""
    with history.reading() as connection:
        return [
            tuple(str(each) if isinstance(each, date) else each for each in row)
            for row in connection.execute(text(sql))
        ]


def everything(history: History) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sorted(read(history, f"SELECT * FROM {name}")) for name in TABLES}


def mail(day: str, own: int, passing: int, forged: int = 0) -> DayVolume:
    return DayVolume(day=day, messages=own, aligned=passing, altered=0, unclaimed=0, forged=forged, forwarded=0)


def with_mail(*days: DayVolume, gate: GateKind | None = None) -> Snapshot:
    facts = FactSet({"traffic.volume": Fact("traffic.volume", days)}, {})
    return snapshot(facts=facts, gate=GateSeen("reject", gate) if gate else None)


@pytest.mark.parametrize("kind", sampled([*VerdictKind], 4))
def test_a_verdict_has_the_number_that_the_metrics_give_it(history: History, kind: VerdictKind) -> None:
    week(history, WEEKS[0], snapshot(assessment=Assessment((Verdict("gmail", kind), Verdict("au", kind)), None)))
    rows = read(history, "SELECT day, domain, source, receiver, verdict FROM seen_verdicts ORDER BY receiver DESC")
    assert rows == [(WEEKS[0][:10], "example.com", "", who, kind.number) for who in ("gmail", "au")]


def finding(
    item: str, outcome: Outcome = Outcome.UNMET, severity: Severity = Severity.ERROR, **more: Any
) -> StoredFinding:
    return StoredFinding("SPF-003", item, sha256(repr(item).encode()).hexdigest(), outcome, severity, **more)


@pytest.mark.parametrize(
    ("found", "rows"),
    [
        ([finding("")], [("", "error", "unmet")]),
        ([finding("", Outcome.UNKNOWN, Severity.WARNING, failed=True)], [("", "warning", "unknown")]),
        # It only waits for a message or a word of the user.
        ([finding("", Outcome.UNKNOWN)], []),
        ([finding("", waived=True)], [("", "error", "waived")]),
        ([finding("", Outcome.MET), finding("", Outcome.NOT_APPLICABLE)], []),
        ([finding("", severity=Severity.NONE)], []),
        ([finding("a"), finding("b")], [("a", "error", "unmet"), ("b", "error", "unmet")]),
        # Of items that are the same in 200 characters, the worst.
        ([finding("x" * 300, severity=Severity.INFO), finding("x" * 200 + "y")], [("x" * 200, "error", "unmet")]),
        ([finding("x", waived=True), finding("x", severity=Severity.INFO)], [("x", "info", "unmet")]),
        # What a stranger named: octets that no database takes.
        ([finding("a\0b\ud800")], [("a\\x00b\\ud800", "error", "unmet")]),
        ([finding("例" * 5_000)], [("例" * 200, "error", "unmet")]),
    ],
)
def test_findings_that_are_not_met_or_not_checked_have_a_row(
    history: History, found: list[StoredFinding], rows: list[tuple[str, str, str]]
) -> None:
    week(history, WEEKS[0], snapshot(findings=tuple(found)))
    assert read(history, "SELECT item, severity, outcome FROM seen_findings ORDER BY item") == rows


def test_of_a_day_of_mail_the_newest_run_tells_and_a_day_without_any_has_no_row(history: History) -> None:
    week(history, WEEKS[0], with_mail(mail("2026-10-03", 5, 4), mail("2026-10-04", 7, 7), mail("2026-10-05", 0, 0)))
    week(history, WEEKS[1], with_mail(mail("2026-10-04", 9, 6, forged=2), mail("2026-10-05", 1, 1)))
    rows = read(history, "SELECT day, domain, own, passing, failing, forged FROM deliv_traffic_daily ORDER BY day")
    assert rows == [
        ("2026-10-03", "example.com", 5, 4, 1, 0),
        ("2026-10-04", "example.com", 9, 6, 3, 2),
        ("2026-10-05", "example.com", 1, 1, 0, 0),
    ]


@pytest.mark.parametrize("kind", GateKind)
def test_the_gate_has_one_row_a_run_and_domain(history: History, kind: GateKind) -> None:
    first = with_mail(gate=kind)
    week(history, WEEKS[0], first, replace(first, source="a.eml"))
    week(history, WEEKS[1], with_mail())
    rows = read(history, "SELECT day, domain, policy, answer FROM deliv_gate")
    assert rows == [(WEEKS[0][:10], "example.com", "reject", kind.number)]


def test_rows_go_with_their_run(history: History) -> None:
    full = with_mail(mail("2026-10-03", 5, 4), gate=GateKind.SAFE)
    week(history, WEEKS[0], full)
    after = replace(with_mail(mail("2026-10-10", 5, 4), gate=GateKind.SAFE), started=WEEKS[1])
    week(history, WEEKS[1], after)
    assert {len(rows) for rows in everything(history).values()} == {2}
    assert history.prune(1) == 1
    assert {name: {row[0] for row in read(history, f"SELECT day FROM {name}")} for name in TABLES} == {
        **{key: {WEEKS[1][:10]} for key in TABLES},
        "seen_traffic": {"2026-10-10"},
    }


def test_a_run_that_begins_anew_has_no_rows_yet(history: History) -> None:
    run = history.begin(WEEKS[0], "0.1.0")
    history.record(run, pack(with_mail(mail("2026-10-03", 5, 4), gate=GateKind.SAFE), history.key))
    history.restart(run, WEEKS[1])
    assert everything(history) == {key: [] for key in TABLES}


def test_made_anew_they_are_what_they_were(history: History) -> None:
    week(history, WEEKS[0], with_mail(mail("2026-10-03", 5, 4), gate=GateKind.NOT_YET), snapshot(domain="b.example"))
    week(history, WEEKS[1], with_mail(mail("2026-10-03", 8, 4), mail("2026-10-09", 1, 0), gate=GateKind.SAFE))
    before = everything(history)
    assert all(before.values())
    with history.writing() as connection:
        for name in TABLES:
            connection.execute(text(f"DELETE FROM {name}"))
        connection.execute(text("INSERT INTO seen_gates VALUES (9, '2026-01-01', 'gone.example', '', 'reject', 1)"))
    assert history.rebuild(lambda error: pytest.fail(str(error))) == 3
    assert everything(history) == before


def test_what_cannot_be_read_any_more_is_told_and_the_rest_is_made(history: History) -> None:
    week(history, WEEKS[0], snapshot(), snapshot(domain="b.example", findings=(finding("only here"),)))
    with history.reading() as connection:
        manifest = connection.execute(text("SELECT manifest FROM snapshots WHERE domain = 'b.example'")).scalar()
    with history.writing() as connection:
        connection.execute(delete(blobs).where(blobs.c.digest == manifest))
    lost: list[Exception] = []
    assert history.rebuild(lost.append) == 1
    assert len(lost) == 1
    assert read(history, "SELECT DISTINCT domain FROM seen_verdicts") == [("example.com",)]
