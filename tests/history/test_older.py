"""A history that version 0.1 wrote: the first run after the update tells no change that is only one of ours.

`history_1.db` has two weeks of shop.example, audited by the last version before schema 2.0 with what `shop` sets up:
SPF was judged once a subject, and each receiver had a grade.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace

from deliverability.auditors import catalogue
from deliverability.history.store import History
from deliverability.history.trend import trend
from deliverability.judge.files import load_guide
from deliverability.model.codec import as_catalogued
from deliverability.model.codes import VERBATIM
from deliverability.model.facts import Fact, FactSet, records_of
from deliverability.model.history import GRADED_RECEIVERS, GRADED_SUBJECT, Cause, ChangeKind
from deliverability.model.report import VerdictKind
from deliverability.render.weekly import HtmlPages
from deliverability.runs.rules import rule_folders
from deliverability.words.sentences import phrases
from tests import TESTS
from tests.runs.test_weekly_stories import FIRST, KEY, Life, changes, gains, mail, news, shipped

pytestmark = pytest.mark.long

BEGAN = "2026-09-28T06:00:00Z"
SPF = {"SPF-003", "SPF-004"}


def shop(life: Life) -> None:
    hosts = " ".join(f"a:h{number}.shop.example" for number in range(12))
    life.spf = f"v=spf1 {hosts} include:spf.vendor.example ~all"
    life.dmarc = "v=DMARC1; p=none; rua=mailto:r@vendor.example"
    life.keys = {"s1": KEY, "weak": "v=DKIM1; k=rsa; p=AAAA"}
    life.options = replace(life.options, selectors=("s1", "weak"))
    life.message = b"Return-Path: <bounce@shop.example>\r\n" + mail(1)
    life.number = 1


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    shutil.copy(TESTS / "history_1.db", tmp_path / "history.db")
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    made = Life(tmp_path, history)
    shop(made)
    yield made
    history.close()


def test_it_is_read_with_its_verdicts_and_the_worst_grade_of_its_receivers(life: Life) -> None:
    first, second = (snapshot for _, snapshot in life.history.snapshots("shop.example"))
    assert (first.started, second.started) == ("2026-10-05T06:00:00Z", BEGAN)
    assert (first.graded, first.assessment.grade) == (GRADED_RECEIVERS, "D")
    assert {each.receiver: each.verdict for each in first.verdicts}["gmail"] is VerdictKind.AT_RISK
    assert {each.rule for each in first.findings if each.outcome == "unmet" and not each.item} >= SPF


def test_what_spf_said_in_sentences_is_read_as_it_was_said() -> None:
    reason, error = "~all at shop.example", "mx/99: invalid prefix length /99"
    then = {
        "spf.result_reason": reason,
        "spf.results": ({"ip": "192.0.2.1", "result": "softfail", "reason": reason},),
        "spf.identities": ({"domain": "shop.example", "syntax_errors": (error,), "reason": None},),
    }
    facts = as_catalogued(FactSet({path: Fact(path, value) for path, value in then.items()}), catalogue())
    said = VERBATIM(text=reason)
    assert facts.value("spf.result_reason") == said
    assert facts.value("spf.results") == ({"ip": "192.0.2.1", "result": "softfail", "reason": said},)
    (identity,) = records_of(facts.value("spf.identities"))
    assert (identity["syntax_errors"], identity["reason"]) == ((VERBATIM(text=error),), None)


LATER = {("MSG-024", ChangeKind.NEW)}
"""A rule that came later: the sample of these weeks is none that a receiver took in."""


async def test_nothing_is_new_or_gone_and_spf_goes_on_under_the_name_of_the_domain(life: Life) -> None:
    first = await life.week()
    assert news(first).keys() == LATER
    assert {each.causes for each in news(first).values()} == {(Cause.RULES,)}
    spf = {each.rule: each for each in changes(first) if each.rule in SPF}
    assert spf.keys() == SPF
    assert {(each.kind, each.item, each.since) for each in spf.values()} == {(ChangeKind.STILL, "shop.example", BEGAN)}
    again = await life.week()
    assert (news(again), gains(again)) == ({}, [])
    assert {each.since for each in changes(again) if each.rule in SPF} == {BEGAN}


async def test_other_verdicts_and_severities_are_our_rules_doing(life: Life) -> None:
    first = await life.week()
    (entry,) = first.entries
    assert entry.comparison is not None
    assert entry.comparison.verdicts, "verdicts are formed in another way"
    told = [each for each in changes(first) if each.causes]
    assert {each.causes for each in (*told, *entry.comparison.verdicts)} == {(Cause.RULES,)}


async def test_what_really_changed_with_the_update_is_told_as_such(life: Life) -> None:
    life.spf = "v=spf1 mx ~all"
    life.dmarc = "v=DMARC1; p=reject; rua=mailto:r@vendor.example"
    told = news(await life.week())
    for rule in (*SPF, "DMARC-006"):
        (change,) = [each for (ident, _), each in told.items() if ident == rule]
        assert change.causes == (Cause.OWN_DNS,), rule
    lookups = [each for each in told[("SPF-003", ChangeKind.MENDED)].facts if each.path == "spf.lookups"]
    assert [(each.before, each.after) for each in lookups] == [(13, 1)]


async def test_an_outage_in_the_week_of_the_update_makes_nothing_new(life: Life) -> None:
    life.failing = ("*.example",)
    down = await life.week()
    assert (news(down).keys(), gains(down)) == (LATER, [])
    life.failing = ()
    back = await life.week()
    assert news(back) == {}
    assert {each.since for each in changes(back) if each.rule in SPF} == {BEGAN}


@pytest.mark.parametrize("lang", ["en", "ja"])
async def test_that_grades_are_formed_in_another_way_is_said_once(life: Life, lang: str) -> None:
    life.pages = HtmlPages(shipped(), catalogue(), load_guide(rule_folders()))
    sentence = phrases(lang)("weekly.regraded")
    told = []
    for _ in range(2):
        summary = await life.week()
        folder = life.folder / "out" / summary.folder
        suffix = "" if lang == "en" else ".ja"
        shown = [unescape((folder / f"{name}{suffix}.html").read_text()) for name in ("index", "shop.example")]
        told.append([sentence in page for page in shown])
    assert told == [[True, True], [False, False]]


async def test_earlier_grades_are_left_out_of_the_trend(life: Life) -> None:
    summary = await life.week(FIRST + timedelta(weeks=1))
    (entry,) = summary.entries
    followed = trend(life.history, entry, summary.started)
    assert followed.dates == ("2026-09-28", "2026-10-05", "2026-10-12")
    assert followed.grades[:2] == (None, None)
    assert followed.regraded
    assert followed.kinds["gmail"][:2] == (VerdictKind.AT_RISK, VerdictKind.AT_RISK), "verdicts mean the same"
    (_, newest), *_ = life.history.snapshots("shop.example")
    assert newest.graded == GRADED_SUBJECT
