"""Minified HTML is smaller and the same for a reader: elements, attributes and text, by an independent parser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from deliverability.core.mail.html.markup import minify, minify_css, tokens
from tests.corpus import corpus_root
from tests.sampled import sampled


def _files() -> list[Path]:
    root = corpus_root()
    return sorted((root / "html").rglob("*.htm*")) if root else []


def _spaces(text: str) -> str:
    return re.sub(r"[ \t\n\r\f]+", " ", text)


def _attributes(node: LexborNode) -> list[tuple[str, str]]:
    """What counts of the attributes; style without its white space, because that is what minifying removes."""
    kept = []
    for name, value in node.attributes.items():
        if name in ("class", "id", "style") and not (value or "").strip():
            continue
        if name == "type" and value in ("text/css", "text/javascript"):
            continue
        text = value or ""
        kept.append((name, re.sub(r"\s+|;\s*$|/\*.*?\*/", "", text) if name == "style" else text))
    return kept


def outline(html: str) -> list[object]:
    """The tree as a list: elements with attributes, text between them, conditional comments."""
    out: list[object] = []
    text: list[str] = []

    def flush() -> None:
        joined = _spaces("".join(text))
        text.clear()
        if joined.strip(" "):
            out.append(joined.strip(" "))

    root = LexborHTMLParser(html).root
    assert root is not None
    for node in root.traverse(include_text=True):
        if node.tag == "-text":
            parent = node.parent
            inside = parent.tag if parent else ""
            if inside in ("pre", "textarea", "script"):
                flush()
                out.append(node.text_content or "")
            elif inside != "style":
                text.append(node.text_content or "")
        elif node.tag == "-comment":
            comment = node.html or ""
            if "[if" in comment or "[endif" in comment:
                flush()
                out.append(comment)
        else:
            flush()
            out.append((node.tag, *_attributes(node)))
    flush()
    return out


@pytest.mark.parametrize("path", sampled(_files(), 4), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_real_templates_stay_the_same_and_do_not_grow(path: Path) -> None:
    html = path.read_bytes().decode("utf-8", "replace")
    small = minify(html)
    assert len(small) <= len(html)
    assert outline(small) == outline(html)
    assert minify(small) == small


class TestWhiteSpace:
    def test_indentation_between_blocks_goes(self) -> None:
        assert minify("<table>\n  <tr>\n    <td>a</td>\n  </tr>\n</table>\n") == "<table><tr><td>a</td></tr></table>"

    def test_a_space_between_words_and_inline_elements_stays(self) -> None:
        assert minify("<p>one  <b>two</b>\n <i>three</i></p>") == "<p>one <b>two</b>\n<i>three</i></p>"

    @pytest.mark.parametrize(
        "html",
        [
            "<pre>a\n   b</pre>",
            "<textarea>  a\n\n  b</textarea>",
            '<div style="white-space:pre-wrap">a   b</div>',
            '<b style="white-space:pre">a   b</b> <p>c   d</p>',
            "<style>.x{white-space:pre-line}</style><p>a   b</p>",
            "<pre><table><td></pre>   b   c",
        ],
    )
    def test_white_space_that_shows_stays(self, html: str) -> None:
        assert minify(html) == html

    def test_blocks_that_stand_in_a_line_keep_a_space_between_them(self) -> None:
        block = '<div style="display:inline-block">a</div>'
        assert minify(f"{block}\n     {block}") == f"{block}\n{block}"

    def test_no_break_spaces_are_text(self) -> None:
        assert minify("<p>\u00a0\u00a0 a</p>") == "<p>\u00a0\u00a0 a</p>"


class TestComments:
    def test_ordinary_comments_go_and_conditional_ones_stay_as_they_are(self) -> None:
        outlook = "<!--[if mso]>\n  <table>  <tr><td>\n<![endif]-->"
        others = "<!--[if !mso]><!-->{}<p>y</p> <!--<![endif]-->"
        html = f"{outlook}<!-- a note --><div>x</div>{others.format('    ')}"
        assert minify(html) == f"{outlook}<div>x</div>{others.format(' ')}"

    @pytest.mark.parametrize("html", ["a<!-- x -->b", "<<!-- x -->b>", "&am<!-- x -->p;", "a<!-- not closed"])
    def test_text_that_would_grow_together_keeps_its_comment(self, html: str) -> None:
        assert minify(html) == html


class TestTags:
    @pytest.mark.parametrize(
        ("html", "small"),
        [
            ('<td  class=""\n   width="1"  >', '<td width="1">'),
            ('<img src="a"   alt="" />', '<img src="a" alt="">'),
            ("<img src=a/ />", "<img src=a/>"),
            ('<style  type="text/css">a { color : red ; }</style>', "<style>a{color : red}</style>"),
            ('<p style="color: red;  margin: 0 ;">', '<p style="color:red;margin:0">'),
            ('<p style="font-family: &quot;A  B&quot;; x">', '<p style="font-family: &quot;A  B&quot;; x">'),
            ('<a href="  x  y ">', '<a href="  x  y ">'),
            ("<v:rect  stroke='f' />", "<v:rect stroke='f'/>"),
            ("<p class", "<p class"),
            ('<style>[class=""]{}</style><p  class="">', '<style>[class=""]{}</style><p class="">'),
        ],
    )
    def test_tags(self, html: str, small: str) -> None:
        assert minify(html) == small


class TestStyleSheets:
    @pytest.mark.parametrize(
        ("css", "small"),
        [
            ("a { color: red; }\n\n b > c { x: y }", "a{color:red}b > c{x: y}".replace("x: y", "x:y")),
            ("/* note */ @media (max-width: 600px) { .a :hover { b: c } }", "@media (max-width:600px){.a :hover{b:c}}"),
            ('a{content: "x ; /* y */  z"}', 'a{content:"x ; /* y */  z"}'),
            ("a{background: url( a ; b )}", "a{background:url( a ; b )}"),
            ("u + .body .x { }", "u + .body .x{}"),
            ("a{b:c} /* not closed", "a{b:c} /* not closed"),
            ("a{b:'not closed}", "a{b:'not closed}"),
            ("<!-- a { } -->", "<!-- a { } -->"),
            ("a\0b { }", "a\0b { }"),
        ],
    )
    def test_rules(self, css: str, small: str) -> None:
        assert minify_css(css) == small


class TestHostile:
    @pytest.mark.parametrize(
        "piece",
        [
            "<",
            "<!--",
            "<a ",
            "<a b='",
            "<style>/*",
            "<pre>",
            "</pre>",
            "<td>",
            "&",
            '"',
            " ",
            "<!",
            "<td><div></b>",
            "\0",
        ],
    )
    def test_repeated_pieces_neither_fail_nor_grow(self, piece: str) -> None:
        html = piece * 5000
        assert len(minify(html)) <= len(html)

    @pytest.mark.parametrize(
        "html", ["", "<", "a<!-- -->", "<p>x", "<style>a", "<p a=1 a=2>", "<![if !mso]>x<![endif]>"]
    )
    def test_tokens_cover_the_text(self, html: str) -> None:
        pieces = [html[token.start : token.end] for token in tokens(html)]
        assert "".join(pieces) == html
