"""The history under faults: processes killed at each statement, full disks, two at once; SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from deliverability.core.model.report import Outcome
from deliverability.core.store import store
from deliverability.core.store.pieces import pack
from deliverability.core.store.store import History, HistoryError
from tests.core.store.test_seen import everything
from tests.core.store.test_store import WEEKS, snapshot
from tests.databases import empty, postgresql_server
from tests.killed import Step, in_child, killed_at_every, stepping, with_full_disk
from tests.sampled import sampled, some_or_every

pytestmark = pytest.mark.long


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a history that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'h.db'}"
    there: str = request.getfixturevalue("database")
    return there


def first_week(url: str, week: str = WEEKS[0], outcome: Outcome = Outcome.UNMET) -> None:
    history = History.open(url)
    run = history.begin(week, "0.1.0")
    history.record(run, pack(snapshot(outcome, week), history.key))
    history.finish(run, week)
    history.close()


def whole(url: str) -> list[tuple[str, str, str]]:
    """What the export gives: begin and end of each run, and the first outcome."""
    history = History.open(url)
    found = [*history.export()]
    history.close()
    return [(each["run"]["started"], each["run"]["finished"], each["findings"][0]["outcome"]) for each in found]


@some_or_every(20)
def test_killed_at_any_statement_of_the_first_run_the_next_one_goes_on(url: str, apart: int) -> None:
    """Before, a kill between two CREATE TABLE left "table runs already exists" for ever."""

    def work(step: Step) -> None:
        stepping(step, ())
        first_week(url)

    kills = 0
    for _ in killed_at_every(work, apart):
        kills += 1
        first_week(url)
        assert whole(url)[0] == (WEEKS[0], WEEKS[0], "unmet"), "all of the run is there, and once"
        clear(url)
    assert kills > 20 / apart, "each table, each index and each row is a step"


def clear(url: str) -> None:
    if url.startswith("sqlite"):
        for name in ("", "-wal", "-shm", ".lock"):
            Path(url.removeprefix("sqlite:///") + name).unlink(missing_ok=True)
    else:
        empty(url)


@some_or_every(8)
def test_killed_at_any_statement_of_a_later_run_nothing_of_the_earlier_is_lost(url: str, apart: int) -> None:
    first_week(url)

    def work(step: Step) -> None:
        stepping(step, ())
        first_week(url, WEEKS[1], Outcome.MET)

    for _ in killed_at_every(work, apart):
        assert whole(url)[0] == (WEEKS[0], WEEKS[0], "unmet")
        history = History.open(url)
        told = everything(history)
        history.rebuild(lambda error: pytest.fail(str(error)))
        assert everything(history) == told, "the rows for SQL say what the snapshots do"
        history.close()
    assert whole(url) == [(WEEKS[0], WEEKS[0], "unmet"), (WEEKS[1], WEEKS[1], "met")]


@pytest.mark.slow
def test_two_processes_that_open_a_new_history_at_once_both_can(url: str) -> None:
    code = "import sys; from deliverability.core.store.store import History; History.open(sys.argv[1]).close()"
    both = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(3)]
    assert [each.wait(600) for each in both] == [0, 0, 0]


def test_a_history_of_a_newer_version_is_left_alone(url: str) -> None:
    from sqlalchemy import text

    first_week(url)
    history = History.open(url)
    with history._writing() as connection:
        connection.execute(text("UPDATE deliv_schema SET version_num = '9999'"))
    history.close()
    with pytest.raises(HistoryError, match=r"\A\S+: this history was written by a newer version of deliv"):
        History.open(url)


# --- Only SQLite: the disk ---


@pytest.mark.parametrize("octets", sampled([0, 1, 4096, 8192, 16384, 24576, 40000, 65536, 80000], 3))
def test_a_full_disk_in_the_first_run_spoils_nothing(tmp_path: Path, octets: int) -> None:
    url = f"sqlite:///{tmp_path / 'h.db'}"

    def work() -> int:
        with_full_disk(octets)
        try:
            first_week(url)
        except HistoryError:
            return 2
        return 0

    assert in_child(work) in (0, 2), "one sentence, no traceback"
    first_week(url)
    assert whole(url)[-1] == (WEEKS[0], WEEKS[0], "unmet")
    with closing(sqlite3.connect(tmp_path / "h.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- Only PostgreSQL: the server ---


@pytest.mark.system
@pytest.mark.parametrize("mode", ["fast", pytest.param("immediate", marks=pytest.mark.slow)])
def test_a_server_that_restarts_in_the_middle_of_a_run_costs_nothing(mode: str) -> None:
    with postgresql_server() as server:
        history = History.open(server.url)
        with history.held():
            run = history.begin(WEEKS[0], "0.1.0")
            server.stop(mode)
            threading.Timer(1.5, server.start).start()
            history.record(run, pack(snapshot(), history.key))
            with closing(History.open(server.url)) as other, pytest.raises(HistoryError, match="another run"):
                other.held().__enter__()
            history.finish(run, WEEKS[0])
        history.close()
        assert whole(server.url) == [(WEEKS[0], WEEKS[0], "unmet")]


@pytest.mark.system
def test_a_server_that_breaks_off_within_a_transaction_gets_all_of_it_again() -> None:
    with postgresql_server() as server:
        history = History.open(server.url)
        run = history.begin(WEEKS[0], "0.1.0")
        broken: list[str] = []

        def once(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("INSERT INTO states") and not broken:
                broken.append(statement)
                server.stop()
                server.start()

        event.listen(history._engine, "before_cursor_execute", once)
        history.record(run, pack(snapshot(), history.key))
        history.finish(run, WEEKS[0])
        history.close()
        assert broken
        assert whole(server.url) == [(WEEKS[0], WEEKS[0], "unmet")]


@pytest.mark.system
@pytest.mark.slow
def test_a_server_that_stays_away_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_BUSY_SECONDS", 0)
    with postgresql_server() as server:
        history = History.open(server.url)
        server.stop()
        with pytest.raises(HistoryError, match=r"127\.0\.0\.1") as told:
            history.begin(WEEKS[0], "0.1.0")
        assert "\n" not in str(told.value)
        server.start()
        history.close()
