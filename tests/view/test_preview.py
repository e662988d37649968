"""The HTML of a message made harmless: what is let through, and that nothing else is."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deliverability.cli import deliv
from deliverability.view.preview import MAX_OCTETS, POLICY, preview


def body(html: str) -> str:
    document = preview(html).document
    return document[document.index("<body") : document.index("</body>")]


def test_text_tables_and_styles_are_kept() -> None:
    html = '<body bgcolor="#eee"><table width=600><tr><td style="color:red">Caf&eacute; &lt;b&gt;</td></tr></table>'

    assert body(html) == (
        '<body bgcolor="#eee"><table width="600"><tr><td style="color:red">Café &lt;b&gt;</td></tr></table>'
    )


def test_style_sheets_move_to_the_head() -> None:
    assert "h1{color:blue}" in preview("<style>h1{color:blue}</style><h1>x</h1>").document.partition("<body")[0]


def test_an_image_becomes_a_box_of_its_size() -> None:
    shown = body('<img src="https://shop.example/a.png" width="300px" height=120 alt="A &quot;shop&quot;">')

    assert 'style="width:300px;height:120px;"' in shown
    assert ">A &quot;shop&quot;</span>" in shown


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://x.example" ping="https://x.example">a</a>',
        '<p onclick="x.example()" background="https://x.example">a</p>',
        '<base href="https://x.example"><link rel=prefetch href="https://x.example">a',
        '<meta http-equiv=refresh content="0;url=https://x.example">a',
        '<script src="https://x.example"></script><script>x.example</script >a',
        '<noscript><img src="https://x.example"></noscript>a',
        '<svg><a href="https://x.example"><text>x.example</text></a></svg>a',
        '<form action="https://x.example"><input formaction="https://x.example" value="x.example"></form>a',
        '<p style="background:url(https://x.example)">a</p>',
        "<style>@import \"https://x.example\"; p { src: url( 'https://x.example' ) }</style>a",
        '<textarea><img src="https://x.example"></textarea>a',
        '<!-- <img src="https://x.example"> -->a<!x.example>',
        'a<plaintext><img src="https://x.example">',
        "a<img src=https://x.example",
        "<object data='https://x.example'><embed src='https://x.example'>x.example</object>a",
    ],
)
def test_no_address_is_left(html: str) -> None:
    document = preview(html).document

    assert "x.example" not in document
    assert re.search(r">a<", document)


@pytest.mark.parametrize(
    "style",
    [
        "background:u<rl(https://x.example)",
        "@im@import;port 'https://x.example';",
        "background:\\75rl(https://x.example)",
        "background:\\000075 \\72 l(https://x.example)",
        "background:u\\rl(https://x.example)",
        "@\\69mport 'https://x.example';",
        "uurl(a)rl(https://x.example)",
    ],
)
def test_styles_cannot_be_written_so_that_something_loads_after_all(style: str) -> None:
    for document in (
        preview(f"<style>{style}</style>a").document,
        preview(f'<p style="{escape(style)}">a</p>').document,
    ):
        written = document.partition("<style>")[2]
        assert not re.search(r"url\(|@import|\\[a-z0-9]", written, re.IGNORECASE)


def test_escaped_characters_that_are_no_letters_stay() -> None:
    assert r'content: "\201C\41BC"' in preview(r'<style>q { content: "\201C\41BC" }</style>a').document


class Reader(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}


PIECES = st.sampled_from(
    (
        *("<", ">", "</", "/>", "<!--", "-->", "<!", '"', "'", "=", " ", "&lt;", "&#60;", "\x00", "\ud800", "a", "p"),
        *("url(", ")", "<script", "<style>", "</style", "<svg>", "</svg>", "<title>", "<base"),
        *("<img src=x onerror=y", "<p style='"),
    )
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_whatever_comes_in_only_what_is_allowed_comes_out(html: str) -> None:
    document = preview(html).document
    read = Reader(document)

    assert document.count("http-equiv") == 1
    assert POLICY in document
    forbidden = {"script", "svg", "img", "base", "link", "title", "form", "input", "iframe", "object", "textarea"}
    assert not read.tags & forbidden
    assert not {name for name in read.names if name.startswith("on")} | (read.names & {"src", "href", "srcset"})
    document.encode()


def test_what_steers_a_terminal_or_the_direction_of_reading_is_written_out() -> None:
    style = "<style>p::before{content:'\u202e'}</style>"
    document = preview(f"{style}<p style='x:\x1b' alt='&#x202e;'>a\x1b[2J&#x202e;b\u200c\u00a0c</p>").document

    assert not set(document) & set("\x1b\u202e")
    assert r"a\x1b[2J\u202eb" in document
    assert "\u200c\u00a0c" in document


@pytest.mark.parametrize("unit", ["<div>", "<a b='", "<p><b a=1>", "<style>x</styl", "<!--", "<svg>", "<a ", "url("])
def test_hostile_nesting_is_read_in_one_pass(unit: str) -> None:
    # A parser that builds a tree needs minutes for the first of these.
    result = preview(unit * 60_000)

    assert len(result.document) <= MAX_OCTETS
    assert result.octets == len(unit) * 60_000


def test_what_is_too_large_gives_no_document() -> None:
    assert preview("<p>" + "x" * (MAX_OCTETS + 1)).document == ""
    assert preview("<p>" + "x" * 2_000_000).document == ""
    assert preview("<p>" + "x" * 1_000).document != ""


def test_a_report_shows_the_message_but_no_other_output_holds_its_text(tmp_path: Path) -> None:
    message = tmp_path / "mail.eml"
    message.write_bytes(
        b"From: a@example.com\r\nSubject: s\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Dear Ms Sato</p>\r\n"
    )
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    arguments = ["audit", "example.com", "--offline", "--eml", str(message), "-o", str(page), "-o", str(data)]
    CliRunner().invoke(deliv, arguments)

    assert "&lt;p&gt;Dear Ms Sato&lt;/p&gt;" in page.read_text("utf-8")
    assert "Sato" not in data.read_text("utf-8")
