"""The history: what is kept, what is not, and that SQLite and PostgreSQL keep the same."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.codes import ASKED
from deliverability.core.facts.base import Evidence, EvidenceKind, Fact, FactSet, KeySeen, Reason, Unknown
from deliverability.core.facts.dkim import DkimKey
from deliverability.core.model.history import Snapshot, State, StoredFinding
from deliverability.core.model.report import Assessment, Consequence, Outcome, Verdict, VerdictKind
from deliverability.core.model.rules import Effect, Severity
from deliverability.core.store.pieces import pack
from deliverability.core.store.store import History, HistoryError, default_url
from tests.facts_of import complete

WEEKS = tuple(f"2026-11-{day:02d}T06:00:00Z" for day in (2, 9, 16, 23))
KEY = complete(DkimKey, domain="example.com", selector="s1", fingerprint="aa")


def facts(spf: str = "v=spf1 -all", subject: str = "Hello", at: str = WEEKS[0]) -> FactSet:
    return FactSet(
        {
            "spf.record": Fact("spf.record", spf, ("dns:TXT:example.com",)),
            "spf.lookups": Fact("spf.lookups", Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="x.example")), ()),
            "dkim.keys": Fact("dkim.keys", (KEY,)),
            "message.size_octets": Fact("message.size_octets", 2000),
        },
        {
            "dns:TXT:example.com": Evidence(
                "dns:TXT:example.com", EvidenceKind.DNS, "TXT example.com", (spf, "other"), at, 300
            ),
            "header:subject:1": Evidence(
                "header:subject:1", EvidenceKind.HEADER, "Subject #1", (f"Subject: {subject}",), None
            ),
        },
    )


def snapshot(outcome: Outcome = Outcome.UNMET, started: str = WEEKS[0], **changes: object) -> Snapshot:
    made = Snapshot(
        domain="example.com",
        source="",
        started=started,
        inputs={"selectors": ("s1",)},
        facts=facts(at=started),
        findings=(
            StoredFinding("SPF-003", "", "aaaa", outcome, Severity.ERROR),
            StoredFinding("DKIM-005", "例/s1", "bbbb", Outcome.MET, Severity.WARNING),
        ),
        assessment=Assessment(
            (Verdict("gmail", VerdictKind.REJECTED, (Consequence("SPF-003", "", Effect.REJECT),)),), "F"
        ),
        rules_digest="r1",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_what_was_recorded_comes_back(history: History) -> None:
    run = history.begin(WEEKS[0], "0.1.0")
    history.record(run, pack(snapshot(), history.key))
    history.finish(run, WEEKS[0])
    ((kept_run, kept),) = history.snapshots("example.com", "")
    assert (kept_run.started, kept_run.finished, kept_run.version) == (WEEKS[0], WEEKS[0], "0.1.0")
    assert kept.findings == snapshot().findings
    assert kept.assessment == snapshot().assessment
    assert kept.inputs == {"selectors": ("s1",)}
    assert kept.facts.value("spf.record") == "v=spf1 -all"
    assert kept.facts.value("spf.lookups") == Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="x.example"))
    assert kept.facts.evidence["dns:TXT:example.com"].got == ("v=spf1 -all", "other")


def test_an_unfinished_run_is_gone_on_with_and_nothing_is_recorded_twice(history: History) -> None:
    run = history.begin(WEEKS[0], "0.1.0")
    history.record(run, pack(snapshot(), history.key))
    again = history.begin(WEEKS[1], "0.1.0")
    assert (again.id, again.started) == (run.id, WEEKS[0]), "the run that was killed goes on"
    history.record(again, pack(snapshot(Outcome.MET), history.key))
    assert history.recorded(again) == {("example.com", "")}
    ((_, kept),) = history.snapshots()
    assert kept.findings[0].outcome is Outcome.UNMET, "once recorded, it stays"
    history.finish(again, WEEKS[1])
    assert history.begin(WEEKS[1], "0.1.0").id != run.id


def test_states_say_since_when_and_outages_do_not_touch_them(history: History) -> None:
    outcomes = (Outcome.UNMET, Outcome.UNKNOWN, Outcome.UNMET, Outcome.MET)
    expected = (
        State(Outcome.UNMET, WEEKS[0], WEEKS[0]),
        State(Outcome.UNMET, WEEKS[0], WEEKS[0]),
        State(Outcome.UNMET, WEEKS[0], WEEKS[2]),
        State(Outcome.MET, WEEKS[3], WEEKS[3]),
    )
    for week, outcome, state in zip(WEEKS, outcomes, expected, strict=True):
        run = history.begin(week, "0.1.0")
        history.record(run, pack(snapshot(outcome, week), history.key))
        history.finish(run, week)
        assert history.states("example.com", "")["aaaa"] == state
    assert history.states("example.com", "")["bbbb"] == State(Outcome.MET, WEEKS[0], WEEKS[3])
    assert history.states("example.com", "other.eml") == {}


def test_the_age_of_a_key_is_told_from_when_it_was_first_seen(history: History) -> None:
    rotated = replace(KEY, fingerprint="cc")
    revoked = replace(KEY, fingerprint=None)
    for week, key in zip(WEEKS, (KEY, KEY, rotated, revoked), strict=True):
        run = history.begin(week, "0.1.0")
        changed = FactSet({**facts().facts, "dkim.keys": Fact("dkim.keys", (key,))}, {})
        history.record(run, pack(snapshot(started=week, facts=changed), history.key))
        history.finish(run, week)
    old, new = history.keys("example.com")
    assert (old.first_seen, old.last_seen) == (WEEKS[0], WEEKS[1])
    assert (new.first_seen, new.last_seen) == (WEEKS[2], WEEKS[2])
    assert isinstance(old, KeySeen)
    assert history.keys("other.example") == ()


def test_newest_first_and_only_before_a_run(history: History) -> None:
    runs = []
    for week in WEEKS[:3]:
        run = history.begin(week, "0.1.0")
        history.record(run, pack(snapshot(started=week), history.key))
        history.finish(run, week)
        runs.append(run)
    assert [run.started for run, _ in history.snapshots("example.com", "")] == [*reversed(WEEKS[:3])]
    assert [run.started for run, _ in history.snapshots("example.com", "", before=runs[2], newest=1)] == [WEEKS[1]]
    assert history.subjects() == (("example.com", ""),)


def test_pruning_forgets_old_runs_and_what_only_they_held(history: History) -> None:
    for week, spf in zip(WEEKS, ("v=spf1 a -all", "v=spf1 b -all", "v=spf1 c -all", "v=spf1 d -all"), strict=True):
        run = history.begin(week, "0.1.0")
        history.record(run, pack(snapshot(started=week, facts=facts(spf)), history.key))
        history.finish(run, week)
    assert history.prune(2) == 2
    assert [run.started for run in history.runs()] == [*WEEKS[2:]]
    assert [kept.facts.value("spf.record") for _, kept in history.snapshots()] == ["v=spf1 d -all", "v=spf1 c -all"]
    assert history.prune(2) == 0
    assert history.states("example.com", "")["aaaa"].since == WEEKS[0], "since when is not forgotten"


def test_the_export_has_everything_oldest_first(history: History) -> None:
    for week in WEEKS[:2]:
        run = history.begin(week, "0.1.0")
        history.record(run, pack(snapshot(started=week), history.key))
        history.finish(run, week)
    first, second = history.export()
    assert (first["run"]["started"], second["run"]["started"]) == WEEKS[:2]
    assert first["facts"]["spf.record"]["value"] == "v=spf1 -all"
    assert first["findings"][1]["item"] == "例/s1"


def test_hostile_texts_are_kept_as_they_are(history: History) -> None:
    odd = "x'; DROP TABLE runs; -- \ud800 \x1b[31m 例"
    run = history.begin(WEEKS[0], "0.1.0")
    history.record(run, pack(snapshot(source="a.eml", facts=facts(odd)), history.key))
    ((_, kept),) = history.snapshots("example.com", "a.eml")
    assert kept.facts.value("spf.record") == odd.replace("\ud800", "\\ud800")


def test_one_process_at_a_time_holds_it(history: History, request: pytest.FixtureRequest) -> None:
    other = History(history._engine)
    with history.held(), pytest.raises(HistoryError, match="another run"), other.held():
        pass
    with other.held():
        pass


def test_the_steps_lead_to_the_tables_that_the_code_knows(history: History) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from deliverability.core.store.tables import metadata

    with history._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "deliv_schema"})
        assert compare_metadata(context, metadata) == []


# --- Only SQLite: the file itself ---


def test_texts_of_the_message_are_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    history = History.open(f"sqlite:///{file}")
    run = history.begin(WEEKS[0], "0.1.0")
    history.record(run, pack(snapshot(facts=facts(subject="Very secret words")), history.key))
    history.close()
    with sqlite3.connect(file) as connection:
        texts = [zlib.decompress(row[0]).decode() for row in connection.execute("SELECT data FROM blobs")]
    assert any("header:subject:1" in text for text in texts)
    assert not any("secret" in text for text in texts)


def test_weeks_that_found_the_same_share_what_they_hold(tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    history = History.open(f"sqlite:///{file}")
    counts = []
    for week in WEEKS:
        run = history.begin(week, "0.1.0")
        history.record(run, pack(snapshot(started=week, facts=facts(at=week)), history.key))
        history.finish(run, week)
        with sqlite3.connect(file) as connection:
            counts.append(connection.execute("SELECT count(*) FROM blobs").fetchone()[0])
    assert len(set(counts)) == 1
    history.close()


def test_the_file_is_the_users_own(tmp_path: Path) -> None:
    History.open(f"sqlite:///{tmp_path / 'new' / 'h.db'}").close()
    assert stat.S_IMODE((tmp_path / "new" / "h.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_relative_file_is_meant_from_the_given_folder(tmp_path: Path) -> None:
    History.open("sqlite:///h.db", folder=tmp_path).close()
    assert (tmp_path / "h.db").exists()


def test_by_default_it_lies_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_url() == f"sqlite:///{tmp_path}/deliv/history.db"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # to be ignored, says the specification
    assert default_url().endswith("/.local/state/deliv/history.db")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("history.db", "Use sqlite:///FILE"),
        ("mysql://localhost/x", "SQLite or PostgreSQL, not in mysql"),
        ("sqlite:////dev/null/x.db", "File exists|Not a directory"),
        ("postgresql+psycopg://deliv@127.0.0.1:1/x", "127.0.0.1"),
    ],
)
def test_a_history_that_cannot_be_opened_says_why(url: str, words: str) -> None:
    with pytest.raises(HistoryError, match=words):
        History.open(url)


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "h.db").write_text("this is not a database, it is a long enough text to be none" * 20)
    with pytest.raises(HistoryError, match="not a database"):
        History.open(f"sqlite:///{tmp_path / 'h.db'}")


def test_the_newest_tables_are_known_without_what_changes_them(tmp_path: Path) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from deliverability.core.store import store

    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [store._newest()]
    History.open(f"sqlite:///{tmp_path / 'h.db'}").close()
    code = f"""import sys
from deliverability.core.store.store import History
History.open("sqlite:///{tmp_path / "h.db"}").close()
print("alembic" in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"
