"""Weeks in which nothing changed: little is kept and written, and nothing on the pages is wrong because of that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.core.model.history import ChangeKind
from deliverability.core.model.report import Remedy, Report
from deliverability.core.rules.problems import load_guide
from deliverability.core.store.pieces import pack
from deliverability.core.store.store import History
from deliverability.engine import audit
from deliverability.engine.base import catalogue
from deliverability.engine.rehearse import Rehearsal
from deliverability.engine.rules import rule_folders
from deliverability.weekly import run as weekly_run
from deliverability.weekly.pages import HtmlPages
from deliverability.weekly.values import Summary, WeeklyEntry
from tests.weekly.test_stories import Life, changes, mail, news, shipped

pytestmark = pytest.mark.long

PAGES = ("shop.example.html", "shop.example.ja.html")


class Counted:
    """Pages of one line, and how many were written of which domain."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def subject(self, report: Report, entry: WeeklyEntry, history: History, lang: str) -> str:
        self.written.append(f"{report.domain} {lang}")
        return f"{report.domain} {lang} {report.run.started}"

    def start(self, summary: Summary, history: History, lang: str) -> str:
        return " ".join(page for entry in summary.entries for page in entry.pages.values())


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield Life(tmp_path, history, pages=Counted(), domains=("shop.example", "other.example"))
    history.close()


def folder(life: Life, summary: Summary) -> Path:
    return life.folder / "out" / summary.folder


async def weeks(life: Life, count: int) -> list[Summary]:
    """That many weeks, each with what its pages were written for."""
    return [await life.week() for _ in range(count)]


async def written(life: Life) -> list[str]:
    """What a week writes pages of."""
    life.pages.written = []
    await life.week()
    return life.pages.written


BOTH = ["shop.example en", "shop.example ja"]


async def test_pages_are_written_while_they_say_something_else_than_before(life: Life) -> None:
    assert sorted(await written(life)) == sorted([*BOTH, "other.example en", "other.example ja"])
    assert BOTH[0] in await written(life), "in the second week nothing is seen for the first time any more"
    assert await written(life) == []
    assert await written(life) == []
    life.spf = "v=spf1 -all"
    assert sorted(await written(life)) == BOTH, "of the domain that changed"
    assert sorted(await written(life)) == BOTH, "its page must not go on telling that"
    assert await written(life) == []


async def test_every_run_has_all_pages_that_its_start_page_links_to_also_when_older_ones_are_gone(life: Life) -> None:
    runs = await weeks(life, 4)
    for summary in runs:
        here = folder(life, summary)
        links = (here / "index.html").read_text().split()
        assert len(links) == 4
        assert all((here / link).is_file() for link in links)
    second, last = folder(life, runs[1]), folder(life, runs[3])
    for name in PAGES:
        assert (last / name).read_text() == (second / name).read_text()
        assert (last / name).stat().st_ino == (second / name).stat().st_ino, "it takes no room twice"
        (second / name).unlink()
        assert (last / name).is_file()


async def test_a_quiet_week_tells_the_same_as_one_that_was_compared(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.spf = "v=spf1 +all"
    third = (await weeks(life, 3))[2]
    monkeypatch.setattr(weekly_run, "_quiet", lambda entry: None)
    fourth = await life.week()
    for quiet, compared in zip(third.entries, fourth.entries, strict=True):
        assert quiet.comparison is not None
        assert compared.comparison is not None
        same = replace(quiet.comparison, previous=compared.comparison.previous)
        assert replace(quiet, comparison=same) == compared
        assert any(each.kind is ChangeKind.STILL for each in same.changes)
        assert quiet.news == ()
    assert [each.comparison and each.comparison.previous for each in third.entries] == ["2026-10-12T06:00:00Z"] * 2


async def test_what_the_record_is_like_again_after_a_quiet_time_is_told(life: Life) -> None:
    await weeks(life, 3)
    good, life.spf = life.spf, "v=spf1 +all"
    assert news(await life.week())
    await weeks(life, 2)
    life.spf = good
    assert {kind for _, kind, *_ in news(await life.week())} == {"mended"}


async def test_a_look_up_that_fails_for_weeks_is_told_every_week(life: Life) -> None:
    await weeks(life, 3)
    life.failing = ("TXT s1._domainkey.shop.example",)
    told = [
        [each for each in changes(summary) if each.kind is ChangeKind.UNCHECKED] for summary in await weeks(life, 3)
    ]
    assert told[0]
    assert [each.rule for each in told[0]] == [each.rule for each in told[1]] == [each.rule for each in told[2]]
    assert {each.checked for week in told for each in week} == {"2026-10-19T06:00:00Z"}, "the last that could check it"


async def test_pages_of_another_program_other_rules_or_other_readers_are_not_kept(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    await weeks(life, 2)
    assert await written(life) == []
    monkeypatch.setattr(weekly_run, "__version__", "99.0.0")
    assert sorted(await written(life))[-2:] == BOTH
    assert await written(life) == []
    rules = life.folder / "rules"
    rules.mkdir()
    (rules / "own.yaml").write_text("[]")
    life.rules = (rules,)
    assert sorted(await written(life))[-2:] == BOTH
    life.public = True
    assert sorted(await written(life))[-2:] == BOTH, "others are to read them now"
    assert await written(life) == []


async def test_pages_that_are_not_there_any_more_are_written_anew(life: Life) -> None:
    runs = await weeks(life, 3)
    (folder(life, runs[2]) / PAGES[1]).unlink()
    assert await written(life) == BOTH
    await weeks(life, 1)
    (folder(life, runs[2]).parent / "latest" / "shop.example.json").write_text("{")
    assert await written(life) == BOTH


async def test_pages_with_more_remedies_take_the_place_of_those_with_fewer(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine fewer may be ready in time; facts, findings and verdicts are the same."""
    life.spf = "v=spf1 +all"
    await weeks(life, 3)
    assert await written(life) == []
    monkeypatch.setattr(weekly_run, "_content", lambda report: "others")
    assert len(await written(life)) == 4


async def test_a_busy_machine_takes_no_advice_from_a_page(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood its rehearsal in an earlier week on the same facts is right; only time was too short for it."""
    life.spf = "v=spf1 +all"
    await weeks(life, 3)
    in_time = audit.remedies

    async def too_late(rehearsal: Rehearsal, report: Report) -> tuple[tuple[Remedy, ...], bool]:
        return (), False

    monkeypatch.setattr(audit, "remedies", too_late)
    assert await written(life) == []
    life.spf = "v=spf1 ?all"
    assert sorted(await written(life)) == BOTH, "what changed is told with what advice there is"
    assert sorted(await written(life)) == BOTH, "once"
    assert await written(life) == []
    monkeypatch.setattr(audit, "remedies", in_time)
    assert BOTH[0] in await written(life), "and with all of it as soon as there is time"
    assert await written(life) == []


async def test_another_message_is_another_page(life: Life) -> None:
    life.domains = ("shop.example",)
    life.message = mail(1)
    await weeks(life, 1)
    assert await written(life) == BOTH
    life.message = None
    assert await written(life) == BOTH


async def test_a_run_that_was_killed_goes_on_with_quiet_subjects(life: Life) -> None:
    await weeks(life, 3)
    real = life.pages.start

    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    life.pages.start = killed
    with pytest.raises(KeyboardInterrupt):
        await life.week()
    life.pages.start, life.number = real, life.number - 1
    life.pages.written = []
    done = await life.week()
    assert life.pages.written == []
    assert all((folder(life, done) / name).is_file() for name in PAGES)


async def test_real_pages_of_a_quiet_week_tell_no_news(life: Life) -> None:
    life.pages = HtmlPages(shipped(), catalogue(), load_guide(rule_folders()))
    life.spf = "v=spf1 +all"
    summary = (await weeks(life, 3))[2]
    text = (folder(life, summary) / PAGES[0]).read_text()
    assert "No changes" in text or "Nothing changed" in text or "nothing is new" in text.lower()


async def test_a_quiet_week_adds_less_than_a_kilobyte_to_the_history(life: Life) -> None:
    def size() -> int:
        with life.history._reading() as connection:
            rows = connection.exec_driver_sql("SELECT sum(length(data)) FROM blobs").scalar()
            kept = connection.exec_driver_sql("SELECT * FROM snapshots").all()
            known = connection.exec_driver_sql("SELECT count(*) FROM states").scalar()
        return int(rows) + sum(len(str(row)) for row in kept) + int(known) * 200

    await weeks(life, 2)
    before = size()
    await weeks(life, 3)
    assert (size() - before) / 3 / 2 < 400


def test_a_state_that_was_read_is_not_read_again(tmp_path: Path) -> None:
    from tests.core.store.test_store import WEEKS, facts, snapshot

    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    for number, spf in enumerate(("old", "new", "old", "new")):
        run = history.begin(WEEKS[number], "0.1.0")
        history.record(run, pack(snapshot(started=WEEKS[number], facts=facts(spf)), history.key))
        history.finish(run, WEEKS[number])
    today = history.begin("2026-11-30T06:00:00Z", "0.1.0")
    now = pack(snapshot(started="2026-11-30T06:00:00Z", facts=facts("new")), history.key)
    found = list(history.earlier(today, now, newest=8, damaged=lambda error: pytest.fail(str(error))))
    assert [(each.started, each.facts.value("spf.record")) for each in found] == [(WEEKS[3], "new"), (WEEKS[2], "old")]
    assert list(history.earlier(today, now, newest=1, damaged=lambda error: None)) == found[:1]
    history.close()
