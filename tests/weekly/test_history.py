"""`deliv history`: the runs of a domain as a table with trend and causes, and all runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from deliverability.core.phrases import phrases
from deliverability.core.report.paper import Paper, TableView, history_text
from deliverability.core.report.wrap import width_of
from deliverability.core.store.store import History
from deliverability.weekly.history import run_table, subject_table
from deliverability.weekly.trend import run_rows, subject_rows
from tests.weekly.test_stories import NEXT_KEY, Life

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def tokyo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Four weeks: an include goes, then the DMARC record, then both are back and the key is another."""
    folder = tmp_path_factory.mktemp("history")
    with closing(History.open(f"sqlite:///{folder / 'history.db'}")) as history:
        lived = Life(folder, history)
        asyncio.run(lived.week())
        lived.spf = "v=spf1 mx -all"
        asyncio.run(lived.week())
        lived.dmarc = "gone"
        asyncio.run(lived.week())
        lived.dmarc, lived.keys = "v=DMARC1; p=reject; rua=mailto:r@shop.example", {"s2": NEXT_KEY}
        asyncio.run(lived.week())
        yield lived


def table(life: Life, lang: str) -> TableView:
    rows = tuple(subject_rows(life.history.snapshots("shop.example", "")))
    return subject_table(rows, life.history.keys("shop.example"), phrases(lang))


def runs(life: Life, lang: str) -> TableView:
    return run_table(run_rows(subject_rows(life.history.snapshots("shop.example", ""))), phrases(lang))


def shown(made: TableView, lang: str, width: int = 100, *, unicode: bool = True) -> list[str]:
    return history_text(made, Paper.of_terminal(width, unicode=unicode), phrases(lang)).splitlines()


def column(lines: Sequence[str], head: str) -> list[str]:
    at = lines[1].index(head)
    return [line[at:].strip().split("  ")[0] for line in lines if " Oct 2026 15:00" in line]


def test_the_runs_of_a_domain_with_trend_and_cause(life: Life) -> None:
    lines = shown(table(life, "en"), "en")
    assert lines[0].split("  ")[0] == "shop.example · 4 runs"
    assert lines[0].endswith("times: JST")
    assert column(lines, "when") == [f"{day} Oct 2026 15:00" for day in (26, 19, 12, 5)]
    assert column(lines, "SPF")[-2:] == ["1/10 ▼", "2/10"]
    assert column(lines, "DMARC") == ["reject ▼", "no record ▲", "reject", "reject"]
    told = " ".join(" ".join(lines).split())
    assert "DMARC record removed" in told
    assert "include:spf.vendor.example removed from the SPF record" in told
    assert any(line.endswith("first run") for line in lines)


def test_keys_say_since_when_and_until_when(life: Life) -> None:
    told = "\n".join(shown(table(life, "en"), "en"))
    assert "s1  5 Oct 2026 to 19 Oct 2026" in told
    assert "s2  since 26 Oct 2026 (0 days)" in told


def test_all_runs(life: Life) -> None:
    lines = shown(runs(life, "en"), "en")
    assert lines[0].startswith("4 runs")
    assert column(lines, "domains") == ["1", "1", "1", "1"]
    assert "shop.example: DMARC record removed" in "\n".join(lines)


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_keeps_to_the_width(life: Life, width: int, lang: str) -> None:
    for made in (table(life, lang), runs(life, lang)):
        lines = shown(made, lang, width)
        assert max(map(width_of, lines)) <= min(width, 100)
        told = "".join("".join(lines).split())
        assert {"en": "DMARCrecordremoved", "ja": "DMARCレコードの消失"}[lang] in told


def test_ascii_has_marks_of_its_own(life: Life) -> None:
    told = "\n".join(shown(table(life, "en"), "en", unicode=False))
    assert told.isascii()
    assert "no record ^" in told
    assert "reject v" in told
