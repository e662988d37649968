"""No text of a weekly run shows a placeholder: every rule, as every kind of change, in both languages."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deliverability.console.settings import EmailSettings, WebhookSettings
from deliverability.core.facts.base import FactSet
from deliverability.core.model.history import Cause, ChangeKind, Comparison, FindingChange, RecordChange, RecordKind
from deliverability.core.model.report import Outcome
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.store.store import History
from deliverability.core.words.sentences import sentences
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.weekly.notify.mail import compose
from deliverability.weekly.notify.notifier import document
from deliverability.weekly.pages import HtmlPages
from deliverability.weekly.values import Summary, WeeklyEntry, from_json, to_json
from deliverability.weekly.view import entry_view

pytestmark = pytest.mark.long

STARTED = "2026-11-23T06:00:00Z"
PLACEHOLDER = re.compile(r"\{[a-z_][\w.-]*\}")
KINDS = tuple(ChangeKind)
SLACK = WebhookSettings("https://hook.example/x", style="slack")
REMOVED = RecordChange("TXT _dmarc.shop.example", ("v=DMARC1",), (), Cause.OWN_DNS, RecordKind.DMARC)


@functools.cache
def rules() -> RuleSet:
    return load_rules()


def change(rule: str, kind: ChangeKind) -> FindingChange:
    return FindingChange(
        kind,
        rule,
        "",
        f"{rule}-{kind}",
        Severity.WARNING,
        Outcome.UNMET,
        Outcome.UNMET,
        since=STARTED,
        causes=() if kind in (ChangeKind.STILL, ChangeKind.UNCHECKED) else tuple(Cause),
        records=() if kind in (ChangeKind.STILL, ChangeKind.UNCHECKED) else (REMOVED,),
        was=Severity.ERROR if kind is ChangeKind.RATED else None,
    )


def entry(changes: Sequence[FindingChange]) -> WeeklyEntry:
    comparison = Comparison("shop.example", "", "2026-11-16T06:00:00Z", tuple(changes), (), settings=("purpose",))
    counts = {"error": 0, "warning": 1, "info": 0}
    return WeeklyEntry("shop.example", "", "", grade="A", comparison=comparison, counts=counts)


def unfilled(text: str) -> list[str]:
    return PLACEHOLDER.findall(re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))


def test_the_rules_have_titles_with_placeholders() -> None:
    """Else nothing here would tell anything."""
    assert sum(bool(PLACEHOLDER.search(each.text["en"].title)) for each in rules().rules.values()) > 20


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ChangeKind.STILL])
def test_of_a_finding_that_is_not_there_any_more(kind: ChangeKind, lang: str) -> None:
    made = entry([change(rule, kind) for rule in rules().rules])
    view = entry_view(made, phrases(lang), rules(), catalogue())
    titles = {each.rule: each for each in (*view.new, *view.rated, *view.mended, *view.gone, *view.unchecked)}
    assert titles.keys() == rules().rules.keys()
    for each in titles.values():
        assert each.title, each.rule
        assert unfilled(" ".join((each.title, each.message, each.step, *each.causes, *each.facts))) == [], each.rule


@pytest.mark.parametrize("lang", LANGUAGES)
def test_of_a_finding_that_could_not_be_filled_in(lang: str) -> None:
    """As where all facts are unknown: a title then has no value to show, and shows no placeholder either."""
    facts = FactSet({}, {})
    found = judge(facts, rules(), catalogue(), Selection())
    for each in found:
        words = sentences(each, rules(), lang, catalogue(), facts)
        assert words.title, each.rule
        assert unfilled(" ".join((words.title, words.message, words.why, *words.fix))) == [], each.rule


@pytest.mark.parametrize("lang", LANGUAGES)
def test_in_letters_pages_and_messages(tmp_path: Path, lang: str) -> None:
    """A few rules at a time, for the mail tells of the first only."""
    every = [change(rule, kind) for rule in rules().rules for kind in KINDS]
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    pages = HtmlPages(rules(), catalogue(), ())
    for start in range(0, len(every), 5 * len(KINDS)):
        made = from_json(to_json(entry(every[start : start + 5 * len(KINDS)])))
        summary = Summary(STARTED, "2026-11-16T06:00:00Z", (made,), 1, "2026-11-23")
        settings = EmailSettings(("ops@example.com",), "deliv@example.com")
        now = datetime(2026, 11, 23, 6, tzinfo=UTC)
        mail = compose(settings, summary, rules(), catalogue(), lang, now, Path("gone"))
        texts = [str(mail["Subject"])]
        texts += [part.get_content() for part in mail.walk() if not part.is_multipart()]
        texts.append(pages.start(summary, history, lang))
        texts.append(document(SLACK, summary, Path(), rules(), catalogue(), lang).decode())
        for text in texts:
            assert unfilled(text) == []
    history.close()
