"""Markdown: read by a real parser, the report's own structure and nothing that a stranger could add to it."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser as HTMLParser
from selectolax.lexbor import LexborNode as Node

from deliverability.core.model.report import Report
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.formats.markdown import block, code, plain
from tests.fixtures_answer import answered
from tests.fixtures_report import speaker
from tests.shown import CASES, HOSTILE
from tests.speaking import shipped, written
from tests.test_golden import SUBJECTS
from tests.test_golden import audited as report_of

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def parsed(*reports: Report, lang: str = "en") -> HTMLParser:
    text = written("markdown", [answered(each) for each in reports], speaker(lang))
    # The parser shows HTML of the source as text in its output only where it is escaped there.
    return HTMLParser(PARSER.render(text))


def inside(page: HTMLParser, tag: str) -> list[str]:
    return [node.text() for node in page.css(tag)]


def cells(row: Node) -> int:
    return len(row.css("td, th"))


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("case", CASES)
def test_the_structure_is_the_reports_own(case: str, lang: str) -> None:
    page = parsed(*CASES[case], lang=lang)
    table = len(CASES[case]) > 1
    assert len(page.css("h1")) == len(CASES[case]) + table
    assert len(page.css("hr")) == len(page.css("h1")) - 1
    assert all(re.match(r"\d+\. ", each) for each in inside(page, "h3"))
    assert page.css("img, script, b, i, em, del, a") == []
    assert len(page.css("strong")) == len(CASES[case]), "the answer"
    for table in page.css("table"):
        assert len({cells(row) for row in table.css("tr")}) == 1


@pytest.mark.parametrize("case", CASES)
def test_nobody_is_called_and_nothing_becomes_a_link(case: str) -> None:
    page = parsed(*CASES[case])
    for node in page.css("code, pre, a"):
        node.decompose()
    text = page.text()
    assert not re.search(r"@\w", text)
    assert not re.search(r"#\d", text)
    assert not re.search(r"www\.|://", text)


# --- whole reports ---


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_report_has_at_most_60_lines_beside_the_guide(subject: str, lang: str) -> None:
    lines = written("markdown", report_of(subject), shipped(lang, guided=True)).splitlines()
    assert len([line for line in lines if not re.match(r"\| G\d", line)]) <= 60
    assert sum(bool(re.match(r"\| G\d", line)) for line in lines) == (0 if subject in ("parked", "dead") else 16)
    assert not re.search(r"<(?!https?:)[a-z/]", "\n".join(lines)), "no HTML"
    assert not re.search(r"\b[A-Z]{3}-\d{3}\b", "\n".join(lines)), "no rule ids"


def test_the_answer_stands_above_the_plan_and_the_summary_is_last() -> None:
    text = written("markdown", report_of("demo"), shipped("en", guided=True))
    order = [
        "❌ **Gmail defers or rejects this mail because neither SPF nor DKIM passes for sakura-shop.example.**",
        "- ❌ Deferred or rejected by Gmail",
        "- ❔ Depends on the filter at au",
        "From sakura-shop.example: SPF passes for bounce.mailer.example",
        "## Start with these 3 steps",
        "### 1. Sign with DKIM for sakura-shop.example at your mail server",
        "- Gmail: deferred or rejected → no known obstacle (together with step 2)",
        "## Deliverability guide",
        "| G16 |",
        "Grade F",
    ]
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_number_and_its_step_are_parted_by_a_blank_as_it_is(lang: str) -> None:
    assert "xa0" not in written("markdown", report_of("demo"), shipped(lang, guided=True))


def test_the_record_to_publish_is_a_diff() -> None:
    page = HTMLParser(PARSER.render(written("markdown", report_of("demo"), shipped("en"))))
    old, new = page.css("code.language-diff")[0].text().splitlines()
    assert old.startswith('- sakura-shop.example TXT "v=spf1 ')
    assert new.startswith('+ sakura-shop.example TXT "v=spf1 ')
    assert "_spf.oldvendor.example" in old
    assert "_spf.oldvendor.example" not in new


def test_the_records_of_a_domain_are_a_table() -> None:
    page = HTMLParser(PARSER.render(written("markdown", report_of("domain"), shipped("en"))))
    rows = [[cell.text() for cell in row.css("td")] for row in page.css("table")[0].css("tr")]
    assert ["SPF", "✅ 1 lookup (limit 10), -all", "v=spf1 mx -all"] in rows


def test_several_are_a_table_the_worst_on_top() -> None:
    reports = [report_of(subject) for subject in ("domain", "parked", "faulty")]
    page = HTMLParser(PARSER.render(written("markdown", reports, shipped("en"))))
    rows = [row.css("td")[0].text() for row in page.css("table")[0].css("tbody tr")]
    assert rows == ["❌ broken.example", "✅ good.example", "✅ parked.example"]
    assert inside(page, "h1") == ["3 domains", "good.example", "parked.example", "broken.example"]


@pytest.mark.parametrize(
    "text",
    [
        "a*b*c",
        "_x_",
        "[l](javascript:1)",
        "<b>x</b>",
        "a|b",
        "1. x",
        "12) x",
        "- x",
        "+ x",
        "# x",
        "= x",
        "> x",
        "~~x~~",
        "`x`",
        "\\*x*",
        "&amp;",
        "&#64;x",
        "$x$",
        "![i](x)",
        "www.evil.example",
        "a@b.example",
        "GH-1",
        "x <y@z.example>",
    ],
)
def test_plain_text_reads_as_it_is(text: str) -> None:
    page = HTMLParser(PARSER.render(plain(text)))
    assert page.body is not None
    assert [node.tag for node in page.body.css("*")] == ["body", "p"]
    assert page.text().strip().replace("\u200b", "") == text


@pytest.mark.parametrize("text", ["`", "``", "a`b", "`a`", " ", "a|b", "\\", HOSTILE])
def test_code_holds_whatever_it_is_given(text: str) -> None:
    assert PARSER.render(code(text)).startswith("<p><code>")
    shown = re.sub(r"</?(p|code)>", "", PARSER.render(code(text))).strip("\n")
    assert len(re.findall("<", shown)) == 0
    assert "`" not in text or "`" in html.unescape(shown)
    table = HTMLParser(PARSER.render(f"| a | b |\n| --- | --- |\n| x | {code(text).replace('|', chr(92) + '|')} |"))
    assert len(table.css("td")) == 2


@pytest.mark.parametrize("text", ["```", "````", "~~~", "x\n```\n# y"])
def test_nothing_closes_a_block(text: str) -> None:
    page = HTMLParser(PARSER.render(block([text, "last"], "diff")))
    assert [node.tag for node in page.css("body > *")] == ["pre"]
    assert page.text().strip().endswith("last")


def test_nothing_in_a_hostile_name_steers() -> None:
    text = written("markdown", [answered(each) for each in CASES["hostile"]], speaker("en"))
    assert not any(char in text for char in "\x00\x1b\u202e\r")
