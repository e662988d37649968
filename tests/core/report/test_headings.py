"""What is unmet is headed by what is wrong, in no output by the requirement: that would read as if all were well."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from selectolax.lexbor import LexborHTMLParser

from deliverability.audits.fix import fix_text
from deliverability.core.facts.base import FactSet
from deliverability.core.model.report import Care, Finding, Outcome
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.formats.table import PRINTED, WriterOptions
from deliverability.core.report.paper import Paper
from deliverability.core.report.report import ReportView
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.words.sentences import FindingWords, sentences
from deliverability.core.words.speaker import Speaker
from deliverability.engine.base import catalogue
from tests.fixtures_answer import answered
from tests.fixtures_report import make_report
from tests.test_rules import cases, fact_set, raised, rules


@functools.cache
def every() -> tuple[RuleSet, FactSet, dict[str, tuple[Finding, ...]]]:
    """The findings of each rule in a case in which it is unmet; rules without a severity of their own get one."""
    texts = {ident: raised(ident) for ident in rules().rules}
    found = {}
    facts = FactSet()
    for ident, outcomes in cases().items():
        of_case = fact_set(outcomes["unmet"][0])
        judged = judge(of_case, texts[ident], catalogue(), Selection(select=(ident,)))
        found[ident] = tuple(
            replace(each, severity=Severity.WARNING if each.severity is Severity.NONE else each.severity)
            for each in judged
            if each.outcome is Outcome.UNMET
        )
    return rules(), facts, found


@functools.cache
def view(lang: str) -> ReportView:
    known, facts, found = every()
    report = make_report(
        facts=facts, findings=tuple(each for findings in found.values() for each in findings), remedies=()
    )
    report = answered(report, known)
    return ReportView(report, Speaker(known, catalogue(), lang))


def worded(lang: str) -> Iterator[tuple[str, FindingWords]]:
    known, facts, found = every()
    for ident, findings in found.items():
        assert findings, ident
        for each in findings:
            yield ident, sentences(each, known, lang, catalogue(), facts)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.long
def test_every_unmet_finding_has_a_heading_of_its_own(lang: str) -> None:
    checks = {check.rule: check for check in view(lang).checks}
    for ident, words in worded(lang):
        assert words.heading, ident
        assert words.heading != words.title, ident
        assert checks[ident].headline != checks[ident].title, ident
        assert checks[ident].outcome == "unmet", ident


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", ["text", "markdown", "sarif", "junit", "fix"])
@pytest.mark.long
def test_no_requirement_stands_where_something_is_unmet(name: str, lang: str) -> None:
    shown = view(lang)
    if name == "fix":
        text = fix_text(shown, Care.LAST_RESORT, Paper(10_000))
    else:
        writer = PRINTED[name].writer(shown.speaker, WriterOptions(1, False, Severity.ERROR, whole=True, width=10_000))
        text = writer.report(shown) + writer.end()
    text = " ".join(text.split())
    found = [ident for ident, words in worded(lang) if len(words.title) > 12 and words.title in text]
    assert found == []
    if name == "text":
        assert [check.rule for check in shown.todo if check.headline not in text] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_heading_of_the_page_is_a_requirement(lang: str) -> None:
    shown = view(lang)
    writer = PRINTED["html"].writer(shown.speaker, WriterOptions(1, False, None))
    page = LexborHTMLParser(writer.report(shown) + writer.end())
    titles = {words.title for _, words in worded(lang)}
    heads = [node.text().strip() for node in page.css("h1, h2, h3, h4, h5, h6, summary .what, a")]
    assert [head for head in heads if head in titles] == []
    assert {words.heading for _, words in worded(lang)} <= set(heads)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_table_names_the_column_of_the_requirement(lang: str) -> None:
    shown = view(lang)
    writer = PRINTED["csv"].writer(shown.speaker, WriterOptions(1, False, None))
    rows = list(csv.DictReader(io.StringIO(writer.report(shown) + writer.end())))
    titles = {words.title for _, words in worded(lang)}
    assert {row["requirement"] for row in rows} == titles
    assert [row for row in rows for key, cell in row.items() if key != "requirement" and cell in titles] == []
