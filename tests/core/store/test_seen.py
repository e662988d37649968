"""The tables and views for SQL: what stands in them, that they go with their runs, and that they can be made anew."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from itertools import product
from pathlib import Path
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
from tests.sampled import sampled, some, some_or_every

VIEWS = ("seen_verdicts", "seen_findings", "deliv_gate", "seen_traffic")
SPANS = ("verdict_spans", "finding_spans", "gate_spans")


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
    return {name: sorted(read(history, f"SELECT * FROM {name}"), key=repr) for name in (*VIEWS, *SPANS)}


def mail(day: str, own: int, passing: int, forged: int = 0) -> DayVolume:
    return DayVolume(day=day, messages=own, aligned=passing, altered=0, unclaimed=0, forged=forged, forwarded=0)


def with_mail(*days: DayVolume, gate: GateKind | None = None) -> Snapshot:
    facts = FactSet({"traffic.volume": Fact("traffic.volume", days)}, {})
    return snapshot(facts=facts, gate=GateSeen("reject", gate) if gate else None)


@pytest.mark.parametrize("kind", sampled([*VerdictKind], 4))
def test_a_verdict_has_the_number_that_the_metrics_give_it(history: History, kind: VerdictKind) -> None:
    week(history, WEEKS[0], snapshot(assessment=Assessment((Verdict("gmail", kind), Verdict("au", kind)), "F")))
    rows = read(history, "SELECT day, domain, source, receiver, verdict FROM seen_verdicts ORDER BY receiver DESC")
    assert rows == [(WEEKS[0][:10], "example.com", "", who, kind.number) for who in ("gmail", "au")]


def finding(
    item: str, outcome: Outcome = Outcome.UNMET, severity: Severity = Severity.ERROR, **more: Any
) -> StoredFinding:
    return StoredFinding("SPF-003", item, sha256(repr(item).encode()).hexdigest(), outcome, severity, **more)


MANY = tuple(finding(str(n)) for n in range(15))
GATE = GateSeen("reject", GateKind.NOT_YET)


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
    assert {len(everything(history)[name]) for name in VIEWS} == {2}
    assert history.prune(1) == 1
    assert {name: {row[0] for row in read(history, f"SELECT day FROM {name}")} for name in VIEWS} == {
        **{key: {WEEKS[1][:10]} for key in VIEWS},
        "seen_traffic": {"2026-10-10"},
    }
    assert read(history, "SELECT DISTINCT since FROM seen_verdicts") == [(WEEKS[0][:10],)], "that is not forgotten"


def test_a_run_that_begins_anew_has_no_rows_yet(history: History) -> None:
    run = history.begin(WEEKS[0], "0.1.0")
    history.record(run, pack(with_mail(mail("2026-10-03", 5, 4), gate=GateKind.SAFE), history.key))
    history.restart(run, WEEKS[1])
    assert everything(history) == {key: [] for key in (*VIEWS, *SPANS)}


def test_made_anew_they_are_what_they_were(history: History) -> None:
    week(history, WEEKS[0], with_mail(mail("2026-10-03", 5, 4), gate=GateKind.NOT_YET), snapshot(domain="b.example"))
    week(history, WEEKS[1], with_mail(mail("2026-10-03", 8, 4), mail("2026-10-09", 1, 0), gate=GateKind.SAFE))
    before = everything(history)
    assert all(before.values())
    with history.writing() as connection:
        for name in (*SPANS, "seen_traffic"):
            connection.execute(text(f"DELETE FROM {name}"))
        gone = "INSERT INTO gate_spans VALUES ('gone.example', '', 1, NULL, '2026-01-01', 'reject', 1)"
        connection.execute(text(gone))
    assert history.rebuild(lambda error: pytest.fail(str(error))) == 3
    assert everything(history) == before


# --- Over many weeks: a row holds until a run finds something else ---


def seen(number: int, domain: str = "example.com") -> Snapshot:
    """A subject with one verdict of this number, a finding that is told with it, and an answer of the gate."""
    kind = next(each for each in VerdictKind if each.number == number)
    found = finding("", {2: Outcome.UNMET, 0: Outcome.MET, -1: Outcome.UNKNOWN}[number], failed=number == -1)
    gate = GateSeen("reject", next(each for each in GateKind if each.number == min(number, 1)))
    told = Assessment((Verdict("gmail", kind),), "F")
    return snapshot(domain=domain, assessment=told, findings=(found,), gate=gate)


def live(history: History, weeks: str, *, at_once: bool = False) -> None:
    """Weeks of a domain: the number of its verdict; `.` it was not checked; `2>0` killed, and later begun anew."""
    for number, tried in enumerate(weeks.split()):
        at = WEEKS[0 if at_once else number]
        first, again, second = tried.partition(">")
        run = history.begin(at, "0.1.0")
        for each in (first, second):
            if each == second and again:
                run = history.restart(run, at)
            if each not in (".", ""):
                history.record(run, pack(replace(seen(int(each)), started=at), history.key))
        history.finish(run, at)


@pytest.mark.parametrize(
    "at_once", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["weekly", "all in one second"]
)
@pytest.mark.parametrize(
    ("weeks", "spans"),
    [
        ("2 2 2 2", ["2 from 1"]),
        ("2 2 0 0", ["2 from 1 to 3", "0 from 3"]),
        ("2 0 2 0", ["2 from 1 to 2", "0 from 2 to 3", "2 from 3 to 4", "0 from 4"]),
        # What could not be looked up is a verdict of its own, and no end of a domain.
        ("0 -1 0 0", ["0 from 1 to 2", "-1 from 2 to 3", "0 from 3"]),
        # A run that did not come to the domain ends nothing, and nothing is said of it.
        ("2 . 2 2", ["2 from 1"]),
        ("2 . 0 0", ["2 from 1 to 3", "0 from 3"]),
        # It leaves, comes back, and is new.
        ("2 2 . .", ["2 from 1"]),
        (". . . 2", ["2 from 4"]),
        ("2 . . 2", ["2 from 1"]),
        # Killed, and begun anew after half a day: what it found first is no longer what is so.
        ("2 2>2 2", ["2 from 1"]),
        ("2 0>2 2", ["2 from 1"]),
        ("2 2>0 0", ["2 from 1 to 2", "0 from 2"]),
        ("2 0>-1 2", ["2 from 1 to 2", "-1 from 2 to 3", "2 from 3"]),
        ("2 0>. 2", ["2 from 1"]),
        ("0>. 2 .", ["2 from 2"]),
    ],
)
def test_a_verdict_is_written_when_it_changes(history: History, weeks: str, spans: list[str], at_once: bool) -> None:
    live(history, weeks, at_once=at_once)
    found = read(history, "SELECT verdict, since, until FROM verdict_spans ORDER BY since")
    assert [f"{told} from {since}" + (f" to {until}" if until else "") for told, since, until in found] == spans
    last = [each.rpartition(">")[2] for each in weeks.split()]
    checked = [(number, int(each)) for number, each in enumerate(last, 1) if each != "."]
    assert read(history, "SELECT run, verdict FROM seen_verdicts ORDER BY run") == checked
    failing = [(run, {2: "unmet", -1: "unknown"}[each]) for run, each in checked if each]
    assert read(history, "SELECT run, outcome FROM seen_findings ORDER BY run") == failing
    assert read(history, "SELECT run, answer FROM deliv_gate ORDER BY run") == [(run, min(n, 1)) for run, n in checked]
    begun = {since: WEEKS[0 if at_once else since - 1][:10] for _, since, _ in found}
    since = read(history, "SELECT run, since FROM seen_verdicts ORDER BY run")
    assert since == [(run, begun[max(each for each in begun if each <= run)]) for run, _ in checked]


@some_or_every(12, "fate")
def test_whatever_befell_a_domain_in_four_weeks_is_what_the_views_tell(history: History, apart: int) -> None:
    """The third run was begun anew, and runs are pruned one by one. Made anew, the rows are what they were."""
    fates = some([*product("20.", repeat=5)], apart)
    runs: list[HistoryRun] = []
    for step, at in enumerate((*WEEKS[:3], WEEKS[2], WEEKS[3])):
        runs.append(history.restart(runs.pop(), at) if step == 3 else history.begin(at, "0.1.0"))
        for number, fate in enumerate(fates):
            if fate[step] != ".":
                found = replace(seen(int(fate[step]), f"d{number}.example"), started=at)
                history.record(runs[-1], pack(found, history.key))
        if step != 2:
            history.finish(runs[-1], at)

    def told(keep: int) -> list[tuple[Any, ...]]:
        last = [*zip(runs, (0, 1, 3, 4), strict=True)][4 - keep :]
        named = [(number, fate, run.id, step) for number, fate in enumerate(fates) for run, step in last]
        return sorted((run, f"d{n}.example", int(fate[step])) for n, fate, run, step in named if fate[step] != ".")

    for keep in (4, 3, 2, 1, 0):
        history.prune(keep)
        assert sorted(read(history, "SELECT run, domain, verdict FROM seen_verdicts")) == told(keep)
        before = everything(history)
        history.rebuild(lambda error: pytest.fail(str(error)))
        assert {name: len(rows) for name, rows in everything(history).items()} == {n: len(r) for n, r in before.items()}
        assert keep < 4 or everything(history) == before, "to the day"


def test_other_rules_begin_new_rows_and_leave_the_old_runs_as_they_were(history: History) -> None:
    week(history, WEEKS[0], seen(2))
    stricter = StoredFinding("SPF-004", "", "cccc", Outcome.UNMET, Severity.WARNING)
    week(history, WEEKS[1], replace(seen(2), findings=(stricter,), rules_digest="r2"))
    assert read(history, "SELECT run, rule, severity, since FROM seen_findings ORDER BY run") == [
        (1, "SPF-003", "error", WEEKS[0][:10]),
        (2, "SPF-004", "warning", WEEKS[1][:10]),
    ]
    assert read(history, "SELECT since FROM seen_verdicts WHERE run = 2") == [(WEEKS[0][:10],)]


def test_what_cannot_be_read_any_more_is_known_of_no_run_and_hides_no_other(history: History) -> None:
    live(history, "2 0 2 2")
    with history.reading() as connection:
        manifest = connection.execute(text("SELECT manifest FROM snapshots WHERE run = 2")).scalar()
    with history.writing() as connection:
        connection.execute(delete(blobs).where(blobs.c.digest == manifest))
    lost: list[Exception] = []
    assert (history.rebuild(lost.append), len(lost)) == (3, 1)
    assert read(history, "SELECT run, verdict FROM seen_verdicts ORDER BY run") == [(1, 2), (3, 2), (4, 2)]


def test_a_run_is_listed_once_it_is_finished(history: History) -> None:
    week(history, WEEKS[0], seen(2))
    history.begin(WEEKS[1], "0.1.0")
    assert read(history, "SELECT * FROM deliv_runs") == [(1, WEEKS[0][:10], WEEKS[0], WEEKS[0], "0.1.0")]


def test_a_week_without_changes_keeps_one_row_a_subject(tmp_path: Path) -> None:
    """And grows the file by 300 octets or less, whatever number of receivers and findings there is."""
    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    told = Assessment(tuple(Verdict(f"receiver{n}", VerdictKind.REJECTED) for n in range(8)), "F")
    domains = [snapshot(domain=f"d{n}.example", assessment=told, findings=MANY, gate=GATE) for n in range(100)]
    sizes = []
    for at in WEEKS:
        week(history, at, *domains)
        sizes.append(read(history, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")[0][0])
    history.close()
    assert (sizes[-1] - sizes[0]) / len(domains) / (len(WEEKS) - 1) <= 300


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
