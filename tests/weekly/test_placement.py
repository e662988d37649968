"""The weekly page shows where test mails landed, once there are any."""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deliverability.core.model.report import VerdictKind
from deliverability.core.net.clock import stamp
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.seeds.kept import SeedHistory
from deliverability.seeds.values import Folder, Placed
from deliverability.weekly.pages import HtmlPages
from deliverability.weekly.values import Summary, WeeklyEntry

pytestmark = pytest.mark.long

STARTED = "2026-11-23T06:00:00Z"


def row(test: str, folder: Folder, days: int = 1) -> Placed:
    at = stamp(datetime.fromisoformat(STARTED) - timedelta(days=days))
    return Placed(test, "gmail", "g1", "shop.example", at, at, folder, verdict=VerdictKind.ACCEPTED)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_two_figures_and_the_receivers(tmp_path: Path, lang: str) -> None:
    say = phrases(lang)
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    counts = {"error": 0, "warning": 0, "info": 0}
    summary = Summary(STARTED, "", (WeeklyEntry("shop.example", "", "", grade="A", counts=counts),), 1, "2026-11-23")
    pages = HtmlPages(load_rules(), catalogue(), ())
    assert say("seeds.weekly-heading") not in pages.start(summary, history, lang)
    kept = [row(f"good-{number}", Folder.INBOX) for number in range(9)]
    SeedHistory(history).keep([*kept, row("spam-1", Folder.SPAM), row("long-ago", Folder.SPAM, days=200)])
    page = html.unescape(pages.start(summary, history, lang))
    history.close()
    assert say("seeds.weekly-heading") in page
    assert say("seeds.matrix.yet-spam", k="1", n="10") in page
    assert say("seeds.matrix.bounds", low="2", high="40") in page
    assert say("seeds.matrix.of", receiver="Gmail", n=say.count("seeds.mails", 10)) in page
