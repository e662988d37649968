"""Six runs of two domains, and what each tells: first, quiet, a record deleted, quiet and bad, an outage, mended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from pathlib import Path

import pytest

from deliverability.console.settings import EmailSettings
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Subject
from deliverability.core.net.clock import FixedClock
from deliverability.core.phrases import phrases
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.weekly.notify.mail import compose
from deliverability.weekly.values import Summary
from deliverability.weekly.view import RunView, run_view
from tests.weekly.test_stories import FIRST, Life, shipped

pytestmark = pytest.mark.long

SETTINGS = EmailSettings(("ops@shop.example",), "deliv@shop.example")
DMARC = "v=DMARC1; p=reject; rua=mailto:r@shop.example"


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    options = Subject(purpose=Purpose.BULK, daily_volume=20_000, selectors=("s1",))
    yield Life(tmp_path, history, domains=("other.example", "shop.example"), options=options)
    history.close()


def view(summary: Summary, lang: str = "en") -> RunView:
    return run_view(summary, phrases(lang), shipped(), catalogue())


def mail(summary: Summary, lang: str = "en") -> EmailMessage:
    now = FixedClock(FIRST).now()
    return compose(SETTINGS, summary, shipped(), catalogue(), lang, now, Path("gone"))


def lines(made: EmailMessage) -> Sequence[str]:
    body = made.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).splitlines()


async def test_six_runs_tell_the_news(life: Life) -> None:
    runs = [await life.week(), await life.week()]
    life.dmarc = "gone"
    runs += [await life.week(), await life.week()]
    life.failing = ("*.shop.example",)
    runs.append(await life.week())
    life.failing, life.dmarc = (), DMARC
    runs.append(await life.week())
    first, quiet, deleted, bad, outage, mended = map(view, runs)

    assert [len(each.news.sentences) for each in (first, quiet, bad)] == [1, 1, 1]
    assert first.news.sentences[0].sentence.startswith("First report for 2 domains")
    assert quiet.news.sentences[0].sentence.startswith("Nothing changed. ")

    worst = deleted.news.sentences[0]
    assert worst.tone in ("bad", "risk")
    assert worst.domain == "shop.example"
    assert worst.sentence.endswith("(DMARC record removed)")
    assert [each.domain for each in deleted.news_first] == ["shop.example", "other.example"]
    block = deleted.changed[0].block
    assert block.record is not None
    assert block.record.deleted
    assert {piece.kind.value for piece in block.record.pieces} == {"removed"}
    assert block.action == f'Publish it again: _dmarc.shop.example TXT "{DMARC}"'
    (entry,) = [each for each in deleted.entries if each.domain == "shop.example"]
    assert [bool(group.record) for group in entry.groups] == [True], "all of it follows from the deletion"

    assert "shop.example" in bad.news.sentences[0].sentence
    assert bad.news.tone == "none", "a quiet week is green only where nothing is to fix"
    assert "shop.example could not be checked (last checked on " in outage.news.sentences[0].sentence
    assert mended.news.sentences[0].domain == "shop.example"
    assert mended.news.sentences[0].tone == "good"

    for summary in runs:
        for lang in ("en", "ja"):
            made = mail(summary, lang)
            subject = str(made["Subject"])
            assert subject.startswith("deliv")
            assert not re.search(r"[.。]$", subject.rstrip("）"))
            assert all(each.domain for each in view(summary, lang).news.sentences) or len(lines(made)) <= 15
    for summary in (runs[1], runs[3]):
        assert len(lines(mail(summary))) <= 15
