"""The HTML of a message made harmless: what is let through, and that nothing else is."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deliverability.cli import deliv
from deliverability.core.report.preview import MAX_OCTETS, POLICY, ColourScheme, Showing, preview


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


def test_an_image_that_is_not_shown_keeps_its_element_class_style_and_size() -> None:
    """Mailchimp and Adobe make images fit a phone by rules for ``img`` and their classes."""
    shown = body(
        '<img src="https://shop.example/a.png" class="mcnImage" style="max-width:1130px;display:inline"'
        ' width="564" height=120 alt="A &quot;shop&quot;">'
    )

    assert shown == (
        '<body><img data-deliv class="mcnImage" style="max-width:1130px;display:inline" width="564" height="120"'
        ' alt="A &quot;shop&quot;">'
    )


def test_what_marks_such_an_image_gives_way_to_every_rule_of_the_message() -> None:
    assert ":where(img[data-deliv])" in preview("<style>img{max-width:100%!important}</style><img src=x>").document


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
    forbidden = {"script", "svg", "base", "link", "title", "form", "input", "iframe", "object", "textarea"}
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
@pytest.mark.long
def test_hostile_nesting_is_read_in_one_pass(unit: str) -> None:
    # A parser that builds a tree needs minutes for the first of these.
    result = preview(unit * 60_000)

    assert len(result.document) <= MAX_OCTETS
    assert result.octets == len(unit) * 60_000


def test_what_is_too_large_gives_no_document() -> None:
    assert preview("<p>" + "x" * (MAX_OCTETS + 1)).document == ""
    assert preview("<p>" + "x" * 2_000_000).document == ""
    assert preview("<p>" + "x" * 1_000).document != ""


@pytest.mark.long
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


# --- on a page of its own ---

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def shown(html: str, **how: Any) -> str:
    return preview(html, Showing(**how)).document


def test_an_image_that_the_message_brings_along_is_shown() -> None:
    document = shown('<img src="cid:logo%40x" alt="Logo" width=20 onerror="x()">', images={"logo@x": PIXEL})

    assert f'<img src="{PIXEL}" alt="Logo" width="20">' in document
    assert "img-src data:;" in document.replace('">', ";")
    assert "data-deliv" not in document.partition("<body")[2]


def test_an_image_written_into_the_html_is_shown_but_no_drawing_that_could_hold_a_script() -> None:
    assert f'src="{PIXEL}"' in shown(f'<img src="{PIXEL}">')
    assert "svg" not in shown('<img src="data:image/svg+xml;base64,PHN2Zz4=">')
    assert "data:text" not in shown('<img src="data:text/html,x">')


def test_images_on_the_web_are_counted_and_loaded_only_where_asked() -> None:
    html = '<img src="https://img.shop.example/a.png?x=1&amp;y=2"><img src="http://shop.example:8080/b.gif">'

    blocked, loaded = preview(html, Showing()), preview(html, Showing(remote=True))
    assert (blocked.remote, loaded.remote) == (2, 2)
    assert "shop.example" not in blocked.document
    assert "http:" not in blocked.policy
    assert 'src="https://img.shop.example/a.png?x=1&amp;y=2"' in loaded.document
    assert 'src="http://shop.example:8080/b.gif"' in loaded.document
    assert loaded.policy.endswith("img-src data: https: http:")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8025/x.png",
        "http://127.1/x.png",
        "http://0x7f.1/x.png",
        "http://[::1]/x.png",
        "http://localhost/x.png",
        "http://app.localhost:3000/x.png",
        "http://printer.local/x.png",
        "http://router.lan",
        "http://intranet/x.png",
        "http://shop.example@127.0.0.1/x.png",
        "http://127.0.0.1\\@shop.example/x.png",
        "//shop.example/x.png",
        "ftp://shop.example/x.png",
        "javascript:alert(1)",
    ],
)
def test_no_message_asks_the_machines_of_the_own_network(address: str) -> None:
    found = preview(f'<img src="{address}">', Showing(remote=True))

    assert found.remote == 0
    assert " src=" not in found.document


def test_style_sheets_load_nothing_even_where_images_may() -> None:
    document = shown(
        '<style>p{background:url(https://shop.example/b.png)}</style><p style="a:url(//x.example)">', remote=True
    )

    assert "example" not in document


def test_dark_is_the_message_s_own_dark_where_it_has_one() -> None:
    when = "@media (prefers-color-scheme:"
    html = f"<style>{when} dark){{p{{color:#eee}}}}{when}light){{p{{color:#111}}}}</style>"

    dark, light = (preview(html, Showing(scheme=each)) for each in (ColourScheme.DARK, ColourScheme.LIGHT))
    assert dark.own_dark
    assert "@media (min-width:0){p{color:#eee}}@media (max-width:0){p{color:#111}}" in dark.document
    assert "@media (max-width:0){p{color:#eee}}@media (min-width:0){p{color:#111}}" in light.document
    assert "invert" not in dark.document + light.document


def test_dark_is_inverted_where_the_message_has_none() -> None:
    assert "invert(1)" in shown("<p>a</p>", scheme=ColourScheme.DARK)
    assert "invert(1)" not in shown("<p>a</p>", scheme=ColourScheme.LIGHT)


def test_the_clipping_mark_stands_before_the_first_words_behind_the_line_and_once() -> None:
    html = "<table><tr><td>ああ</td></tr>  <tr><td>bb</td><td>cc</td></tr></table>"
    line = len("<table><tr><td>ああ</td>".encode())

    mark = '<span class="deliv-clip">up to &lt;here&gt;</span>'
    document = shown(html, clipped_at=line, clip_mark="up to <here>")
    assert f"<td>{mark}bb</td>" in document
    assert document.count(mark) == 1
    assert mark not in shown(html)


IMAGES = (
    "<img src='",
    "https://a.example/x.png",
    "cid:a",
    "data:image/png;base64,AAAA",
    "'",
    "<style>@media (prefers-",
)


@given(st.lists(PIECES | st.sampled_from(IMAGES), max_size=40).map("".join))
def test_with_images_allowed_only_images_come_out_beside(html: str) -> None:
    images = {"a": PIXEL}
    document = preview(html, Showing(images=images, remote=True, scheme=ColourScheme.DARK)).document
    read = Reader(document)

    assert document.count("http-equiv") == 1
    forbidden = {"script", "svg", "base", "link", "title", "form", "input", "iframe", "object", "textarea"}
    assert not read.tags & forbidden
    assert not {name for name in read.names if name.startswith("on")} | (read.names & {"href", "srcset", "background"})
    assert "src" not in read.names or "img" in read.tags
