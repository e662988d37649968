"""A domain that could not be checked is named in headline, mail and exit code, and nothing good is said of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deliverability.core.facts.base import Reason
from deliverability.core.phrases import day_words, phrases
from deliverability.core.rules.problems import load_guide
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.engine.rules import rule_folders
from deliverability.weekly.pages import HtmlPages
from deliverability.weekly.values import Summary
from deliverability.weekly.view import RunView, run_view
from tests.sampled import sampled
from tests.weekly.test_news import lines, mail
from tests.weekly.test_stories import FIRST, Life, shipped

pytestmark = pytest.mark.long

GOOD = ("nothing to fix", "対応は不要", "対応不要", "Nothing changed. 2", "no known obstacle")


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield Life(tmp_path, history, domains=("other.example", "shop.example"))
    history.close()


def view(summary: Summary, lang: str = "en") -> RunView:
    return run_view(summary, phrases(lang), shipped(), catalogue())


@pytest.mark.parametrize("reason", sampled([Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED], 3))
@pytest.mark.parametrize("weeks", [1, 3])
async def test_dns_is_dead_from_the_first_run_on(life: Life, reason: Reason, weeks: int) -> None:
    life.failing, life.reason = ("*.example", "example"), reason
    for _ in range(weeks):
        run = await life.week()
    assert run.code == 3
    for lang in ("en", "ja"):
        news = view(run, lang).news
        assert news.tone == "unknown"
        assert {each.domain for each in news.sentences} == {"other.example", "shop.example"}
        text = "\n".join([each.sentence for each in news.sentences] + lines(mail(run, lang)))
        assert not [good for good in GOOD if good in text]
        assert all(text.count(domain) >= 2 for domain in ("other.example", "shop.example"))


async def test_a_domain_without_a_grade_is_listed_with_its_last_one(life: Life) -> None:
    life.pages = HtmlPages(shipped(), catalogue(), load_guide(rule_folders()))
    await life.week()
    life.failing = ("*.shop.example",)
    run = await life.week()
    html = (life.folder / "out" / run.folder / "index.html").read_text()
    day = day_words(FIRST.isoformat(), phrases("en"))
    assert re.findall(r"last grade: ([A-F]) \((.*?)\)", html) == [("A", day)]


async def test_one_of_two_domains_cannot_be_seen(life: Life) -> None:
    """The other has findings, which would give exit code 1: the run is incomplete all the same."""
    life.failing = ("*.shop.example",)
    first = await life.week()
    assert first.code == 3
    sentences = [each.sentence for each in view(first).news.sentences]
    assert sentences[0] == "shop.example could not be checked"
    assert sentences[1].startswith("First report for 1 domain")
    assert "shop.example could not be checked" in lines(mail(first))
    assert str(mail(first)["Subject"]).startswith("deliv: shop.example could not be checked")
    second = await life.week()
    assert second.code == 3
    assert "shop.example could not be checked" in view(second).news.sentences[0].sentence


async def test_a_domain_that_is_seen_again_is_no_longer_named(life: Life) -> None:
    life.failing = ("*.shop.example",)
    await life.week()
    life.failing = ()
    seen = await life.week()
    assert seen.code != 3
    assert not [each for each in view(seen).news.sentences if "could not be checked" in each.sentence]


async def test_a_single_look_up_that_fails_keeps_all_well_away(life: Life) -> None:
    life.domains = ("shop.example",)
    life.failing = ("TXT spf.vendor.example",)
    run = await life.week()
    assert run.code == 3
    text = " ".join(each.sentence for each in view(run).news.sentences)
    assert not [good for good in GOOD if good in text]
    assert view(run).news.tone != "good"
