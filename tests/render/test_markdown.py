"""Markdown: read by a real parser, the report's own structure and nothing that a stranger could add to it."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser as HTMLParser
from selectolax.lexbor import LexborNode as Node

from deliverability.model.report import Report
from deliverability.render.markdown import block, code, plain
from tests.fixtures_report import RULES, make_report, speaker
from tests.shown import CASES, HOSTILE, with_remedies
from tests.speaking import written

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def parsed(*reports: Report, lang: str = "en") -> HTMLParser:
    text = written("markdown", reports, speaker(lang))
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
    assert len(page.css("h1")) == len(CASES[case])
    assert len(page.css("hr")) == len(CASES[case]) - 1
    assert all(re.match(r"[123]\. ", each) for each in inside(page, "h3"))
    assert page.css("img, script, b, i, em, strong, del") == []
    for table in page.css("table"):
        assert len({cells(row) for row in table.css("tr")}) == 1
    known = {source.url for source in RULES.sources.values()}
    assert {node.attributes["href"] for node in page.css("a")} <= known


@pytest.mark.parametrize("case", CASES)
def test_nobody_is_called_and_nothing_becomes_a_link(case: str) -> None:
    page = parsed(*CASES[case])
    for node in page.css("code, pre, a"):
        node.decompose()
    text = page.text()
    assert not re.search(r"@\w", text)
    assert not re.search(r"#\d", text)
    assert not re.search(r"www\.|://", text)


def test_the_verdicts_are_a_table() -> None:
    first = parsed(make_report()).css("table")[0]
    assert [node.text() for node in first.css("tr:nth-child(1) > td")] == [
        "Apple iCloud Mail",
        "❌ Refused",
        "SPF needs more than 10 DNS lookups (SPF-003)",
        "554 5.7.1",
    ]


def test_the_record_to_publish_is_a_diff() -> None:
    page = parsed(with_remedies())
    diff = page.css("code.language-diff")[0].text().splitlines()
    assert diff == [
        '- example.com TXT "v=spf1 include:_spf.google.com include:mail.vendor.example a mx ~all"',
        '+ example.com TXT "v=spf1 include:_spf.google.com ~all"',
    ]


def test_a_record_in_a_step_stands_in_a_block_of_its_own() -> None:
    step = parsed(make_report()).css("ol li pre")[0]
    assert step.text().strip() == "v=spf1 include:_spf.google.com mx ~all"


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
    text = written("markdown", CASES["hostile"], speaker("en"))
    assert not any(char in text for char in "\x00\x1b\u202e\r")
