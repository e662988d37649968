"""`deliv weekly`, `audit -o` and `fix -o` under kills, full and read-only disks, restarts and clocks that jump.

After each of them the next run goes on: nothing is lost, nothing is half there, and each notification is there once.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import deliverability.demo
from deliverability.core.errors import InputError
from deliverability.core.store.store import History, HistoryError
from deliverability.engine.stream import Busy, only_one
from deliverability.weekly.notify.outbox import Notification, Outbox
from deliverability.weekly.values import Summary
from tests.databases import postgresql_server
from tests.killed import Step, in_child, killed_at_every, stepping, with_full_disk
from tests.observations import with_known_key
from tests.sampled import sampled, some, some_or_every
from tests.weekly.test_stories import FIRST, Life

pytestmark = pytest.mark.long

TWO = ("shop.example", "other.example")
DEMO = Path(deliverability.demo.__file__).parent


def url_of(folder: Path) -> str:
    return f"sqlite:///{with_known_key(folder / 'h.db')}"


def life(folder: Path, url: str = "") -> Life:
    """A machine with two domains that writes one notification a run."""
    made = Life(folder, History.open(url or url_of(folder)), domains=TWO)

    def notify(summary: Summary) -> None:
        name = summary.started[:10]
        Outbox(folder / "out" / ".outbox").put(
            Notification(name, "email", ("a@example.com",), summary.started, b"news")
        )

    made.notify = notify
    return made


def week(folder: Path, number: int = 0, url: str = "") -> Summary:
    with closing_life(life(folder, url)) as one:
        return asyncio.run(one.week(FIRST + timedelta(weeks=number)))


@contextmanager
def closing_life(one: Life) -> Iterator[Life]:
    with closing(one.history):
        yield one


def standing(folder: Path, url: str = "") -> dict[str, Any]:
    """All that a run leaves: the history, the pages by name, the notifications."""
    with closing(History.open(url or url_of(folder))) as history:
        kept = [*history.export()]
    for each in kept:
        each["run"].pop("finished")
    out = folder / "out"
    files = {str(each.relative_to(out)): each.read_bytes() for each in sorted(out.rglob("*")) if each.is_file()}
    return {"kept": kept, "files": files, "notifications": [each.name for each in Outbox(out / ".outbox").waiting()]}


@some_or_every(40)
def test_kills_of_a_first_run(tmp_path: Path, apart: int) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    week(whole)
    expected = standing(whole)
    places = (tmp_path / str(number) for number in range(1000))

    def work(step: Step) -> None:
        stepping(step)
        week(current[0])

    current = [next(places)]
    current[0].mkdir()
    kills = 0
    for _ in killed_at_every(work, apart):
        kills += 1
        summary = week(current[0])
        assert [entry.domain for entry in summary.entries] == [*TWO]
        assert standing(current[0]) == expected
        current[0] = next(places)
        current[0].mkdir()
    assert kills >= 100 / apart


@some_or_every(20)
def test_kills_one_after_another_of_a_second_run_lose_nothing(tmp_path: Path, apart: int) -> None:
    """Each run is killed a little later than the one before; what was done is not done again."""
    whole = tmp_path / "whole"
    whole.mkdir()
    killed = tmp_path / "killed"
    killed.mkdir()
    for folder in (whole, killed):
        week(folder)
    week(whole, 1)

    def work(step: Step) -> None:
        stepping(step)
        week(killed, 1)

    first = {name: data for name, data in standing(killed)["files"].items() if name.startswith("2026-10-05")}
    for _ in killed_at_every(work, apart):
        now = standing(killed)
        assert {name: data for name, data in now["files"].items() if name.startswith("2026-10-05")} == first
        for name, data in now["files"].items():
            if name.endswith(".json"):
                json.loads(data)
        assert (killed / "out" / "latest" / "summary.json").exists(), "at no moment is there no newest run"
    assert standing(killed) == standing(whole)


@pytest.mark.parametrize("octets", sampled([*range(0, 10_000, 1_000), 20_000, 40_000, 60_000, 80_000], 5))
def test_a_disk_that_is_full_at_any_write_costs_only_time(tmp_path: Path, octets: int) -> None:
    def work() -> int:
        with_full_disk(octets)
        try:
            week(tmp_path)
        except (OSError, HistoryError, InputError):
            return 2
        return 0

    (tmp_path / "zones").mkdir()
    assert in_child(work) in (0, 2)
    summary = week(tmp_path)
    assert [entry.problems for entry in summary.entries] == [(), ()]
    assert len(standing(tmp_path)["notifications"]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
@pytest.mark.parametrize("what", ["out", "."])
def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_spoilt(tmp_path: Path, what: str) -> None:
    week(tmp_path)
    before = standing(tmp_path)

    def work() -> int:
        os.setgroups([])
        os.setuid(65534)
        try:
            week(tmp_path, 1)
        except (OSError, HistoryError, InputError):
            return 2
        return 0

    for each in (tmp_path.parents[1], tmp_path.parent, tmp_path, tmp_path / what):
        each.chmod(0o755)
    for name in ("h.db", "h.db.lock"):
        (tmp_path / name).chmod(0o666)
    assert in_child(work) == 2
    assert standing(tmp_path) == before


@pytest.mark.parametrize(
    "jump", sampled([timedelta(days=-400), timedelta(seconds=-1), timedelta(0), timedelta(days=100)], 2)
)
def test_a_clock_that_jumps_costs_no_run_and_no_notification(tmp_path: Path, jump: timedelta) -> None:
    with closing_life(life(tmp_path)) as one:
        asyncio.run(one.week(FIRST))
        asyncio.run(one.week(FIRST + jump))
        summary = asyncio.run(one.week(FIRST + timedelta(weeks=1)))
        assert [run.started for run in one.history.runs()][-1] == summary.started
        assert all(run.finished for run in one.history.runs())
        assert len(one.history.runs()) == 3
    assert all(entry.news == () for entry in summary.entries), "nothing changed, so there is no news"
    assert len([each for each in (tmp_path / "out").iterdir() if each.name[:1] == "2"]) == 3


def test_a_clock_that_jumps_back_within_a_killed_run(tmp_path: Path) -> None:
    def work(step: Step) -> None:
        stepping(step)
        week(tmp_path, 50)

    for _ in killed_at_every(work, 40):
        break
    summary = week(tmp_path)
    assert [entry.problems for entry in summary.entries] == [(), ()]
    assert len(standing(tmp_path)["notifications"]) == 1


def test_two_runs_at_once_are_one_run(tmp_path: Path) -> None:
    """The second is refused before it does anything, in the same folder and with the same history."""
    output = tmp_path / "out"
    with only_one(output), closing(History.open(url_of(tmp_path))) as history, history.held():
        with pytest.raises(Busy), only_one(output):
            raise AssertionError
        with closing(History.open(url_of(tmp_path))) as other, pytest.raises(HistoryError, match="another run"):
            other.held().__enter__()
    week(tmp_path)
    assert len(standing(tmp_path)["notifications"]) == 1


@pytest.mark.system
@pytest.mark.parametrize("mode", ["fast", pytest.param("immediate", marks=pytest.mark.slow)])
def test_a_database_that_restarts_amid_the_run_costs_no_subject(tmp_path: Path, mode: str) -> None:
    with postgresql_server() as server, closing_life(life(tmp_path, server.url)) as one:
        restarted: list[str] = []

        class Restarting:
            """Pages during the first of which the database goes away for a while."""

            def subject(self, report: Any, entry: Any, history: History, lang: str) -> str:
                if not restarted:
                    restarted.append(entry.domain)
                    server.stop(mode)
                    threading.Timer(1.0, server.start).start()
                return str(entry.domain)

            def start(self, summary: Summary, history: History, lang: str) -> str:
                return str(summary.started)

        one.pages = Restarting()
        summary = asyncio.run(one.week())
        assert len(restarted) == 1, "whichever is audited first"
        assert [entry.problems for entry in summary.entries] == [(), ()]
        assert len([*one.history.export()]) == 2


# --- audit -o and fix -o ---


@some_or_every(10, "kill")
@pytest.mark.parametrize("command", ["audit", "fix"])
def test_twenty_kills_leave_the_old_report_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, apart: int
) -> None:
    from deliverability.cli import main

    monkeypatch.chdir(tmp_path)
    name = "r.html" if command == "audit" else "r.tf"
    form = [] if command == "audit" else ["--format", "terraform"]
    words = [command, "sakura-shop.example", "--zone", str(DEMO / "example.zone"), *form, "-o", name]
    report, kills = tmp_path / name, 0

    def work(step: Step) -> None:
        stepping(step, calls=("fsync", "fchmod", "chmod", "link", "replace", "unlink", "close", "fdopen"))
        main(words)

    def at_time(seconds: float) -> int:
        def late() -> None:
            threading.Timer(seconds, os.kill, (os.getpid(), 9)).start()
            main(words)

        return in_child(late)

    report.write_text("the old one")
    seen = set()
    for _ in killed_by_steps(work, apart):
        kills += 1
        seen.add(report.read_bytes())
    whole = report.read_bytes()
    for number in some(range(max(20 - kills, 0)), apart):
        report.write_text("the old one")
        at_time(number / 8)
        kills += 1
        seen.add(report.read_bytes())
    with pytest.raises(SystemExit):
        main(words)
    assert [each.name for each in tmp_path.iterdir()] == [name], "the next one leaves nothing of those before it"
    assert kills >= 20 / apart
    assert b"the old one" in seen
    assert {len(each) for each in seen} <= {len(b"the old one"), len(whole)}


def killed_by_steps(work: Any, apart: int) -> Iterator[int]:
    """As `killed_at_every`, for a command, which leaves with 1 where it finds something."""

    def lived(step: Step) -> None:
        try:
            work(step)
        except SystemExit as left:
            if left.code not in (0, 1, 3):
                raise

    return killed_at_every(lived, apart)
