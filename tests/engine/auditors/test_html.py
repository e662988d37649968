"""What the HTML of a mail weighs and asks of mail programs; every template of the corpus wrapped into a mail."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deliverability.core.facts.base import Unknown, records_of
from deliverability.core.facts.content import LinkHost
from deliverability.core.mail.html.accounting import HtmlAccount
from deliverability.core.mail.html.markup import Declaration, Prelude, Token, read_attribute, read_sheet, tokens
from deliverability.core.mail.reader import read
from deliverability.core.net.static import StaticResolver
from deliverability.engine.auditors.clients import Uses, collect
from deliverability.engine.auditors.html import similarity
from deliverability.engine.base import auditor_named
from tests import ROOT
from tests.corpus import corpus_root
from tests.engine.auditors.test_message import audit
from tests.facts_of import facts_of
from tests.sampled import sampled

DATA = ROOT / "deliverability" / "data" / "caniemail.json"


def mail(html: str, text: str | None = None, charset: str = "utf-8") -> bytes:
    """A mail with that HTML, and with a plain text before it where one is given."""
    page = f"Content-Type: text/html; charset={charset}\nContent-Transfer-Encoding: base64\n\n".encode()
    page += base64.encodebytes(html.encode("utf-8", "surrogatepass"))
    if text is None:
        return b"MIME-Version: 1.0\n" + page
    plain = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + text.encode() + b"\n"
    head = b"MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n"
    return head + b"--b\n" + plain + b"--b\n" + page + b"--b--\n"


def features(html: str) -> dict[str, int]:
    uses = Uses()
    collect(html, uses)
    return uses.all


def _templates() -> list[Path]:
    root = corpus_root()
    return sorted((root / "html").rglob("*.htm*")) if root else []


@pytest.mark.parametrize("path", sampled(_templates(), 10), ids=lambda path: f"{path.parent.name}-{path.name}")
async def test_every_template_of_the_corpus(path: Path) -> None:
    html = _read(path)
    facts = await audit(mail(html))
    unknown = [fact.path for fact in facts if isinstance(fact.value, Unknown) and not fact.path.startswith("envelope.")]
    assert unknown == []
    octets = facts.value("html.octets")
    assert octets == len(html.encode())
    saved = facts.value("html.minify_saves_octets")
    assert isinstance(saved, int)
    assert 0 <= saved < len(html.encode())


async def test_the_html_is_cut_once_for_all_auditors(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def counted(text: str) -> Iterator[Token]:
        texts.append(text)
        return tokens(text)

    for module in ("accounting", "markup"):
        monkeypatch.setattr(f"deliverability.core.mail.html.{module}.tokens", counted)
    monkeypatch.setattr("deliverability.engine.auditors.clients.tokens", counted)
    message = read(mail('<p style="gap:1px"><!-- x --><a href="https://example.com/u">Unsubscribe</a>'))
    three = (auditor_named("html"), auditor_named("clients"), auditor_named("unsubscribe"))
    facts = await facts_of(three, StaticResolver({}), {}, message=message)
    assert facts.value("unsubscribe.body_link") is True
    assert facts.value("html.links") == 1
    assert facts.value("html.minify_saves_octets") == len("<!-- x -->")
    assert facts.value("clients.features")
    assert len(texts) == 1


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


class TestWeight:
    async def test_shares(self) -> None:
        style = 'style="color:red"'
        address = "https://a.example/?x=1&amp;utm_source=news&amp;utm_medium=mail#top"
        html = f'<!-- n --><!--[if mso]>x<![endif]--><p {style}>a  b</p>\n<p {style}><a href="{address}">c</a></p>'
        facts = await audit(mail(html))
        expected = {
            "html.comment_octets": len("<!-- n --><!--[if mso]>x<![endif]-->"),
            "html.conditional_comment_octets": len("<!--[if mso]>x<![endif]-->"),
            "html.inline_css_octets": 2 * len(style),
            "html.repeated_css_octets": len(style),
            "html.white_space_octets": 2,
            "html.link_octets": len(address),
            "html.tracking_octets": len("&amp;utm_source=news&amp;utm_medium=mail"),
            "html.minify_saves_octets": len("<!-- n -->") + 2,
        }
        assert {path: facts.value(path) for path in expected} == expected

    async def test_what_comes_from_elsewhere(self) -> None:
        html = (
            '<base href="https://a.example/"><link rel="stylesheet" href="https://a.example/a.css">'
            '<link rel=stylesheet href="https://fonts.googleapis.com/css?family=X">'
            "<style>@import url('https://a.example/b.css'); @font-face{font-family:X;src:url(https://f.example/x.woff)}</style>"
        )
        facts = await audit(mail(html))
        assert facts.value("html.base_href") == "https://a.example/"
        assert facts.value("html.external_sheets") == ("https://a.example/a.css", "https://a.example/b.css")
        fonts = ("https://fonts.googleapis.com/css?family=X", "https://f.example/x.woff")
        assert facts.value("html.external_fonts") == fonts

    @pytest.mark.parametrize(
        ("meta", "declared", "conflict"),
        [
            ('<meta charset="UTF-8">', "utf-8", False),
            ('<meta charset="Shift_JIS">', "windows-31j", False),
            ('<meta charset="Shift_JIS">', "utf-8", True),
            ('<meta http-equiv="Content-Type" content="text/html; charset=iso-2022-jp">', "utf-8", True),
            ("<p>charset=x</p>", "utf-8", False),
        ],
    )
    async def test_charset_in_meta(self, meta: str, declared: str, conflict: bool) -> None:
        assert (await audit(mail(meta, charset=declared))).value("html.charset_conflict") is conflict

    async def test_hosts_linked_to(self) -> None:
        facts = await audit(
            mail('<a href="http://Bit.ly/a">a</a><a href="https://bit.ly/b">b</a><a href="tel:1">c</a>')
        )
        assert facts.value("html.link_hosts") == (LinkHost(host="bit.ly", links=2),)


class TestTextVersion:
    async def test_the_same_words(self) -> None:
        facts = await audit(mail("<p>Hello <b>world</b></p>", "Hello world https://a.example/long"))
        assert facts.value("html.text_similarity") == 100

    async def test_without_a_text_version_nothing_is_compared(self) -> None:
        assert (await audit(mail("<p>a</p>"))).value("html.text_similarity") is None

    @pytest.mark.parametrize(
        ("first", "second", "percent"),
        [("a b", "a c", 50), ("a", "b", 0), ("", "a", None), ("東京都", "東京", 67), ("A", "a", 100)],
    )
    def test_similarity(self, first: str, second: str, percent: int | None) -> None:
        assert similarity(first, second) == percent


class TestStyleSheets:
    def test_rules_and_conditions(self) -> None:
        css = "/* ; */ a{color:red} @media (x){ b{Width: 1px;} } @import 'a;b'; c{content:'};'}"
        found = list(read_sheet(css))
        assert [each.text for each in found if isinstance(each, Prelude)] == [
            "a",
            "@media (x)",
            "b",
            "@import 'a_b'",
            "c",
        ]
        declared = [(each.name, each.value, each.conditional) for each in found if isinstance(each, Declaration)]
        assert declared == [("color", "red", False), ("width", "1px", True), ("content", "'__'", False)]

    def test_attributes(self) -> None:
        assert [each.name for each in read_attribute("color:red;;x; background:url(a;b)")] == ["color", "background"]


class TestClients:
    @pytest.mark.parametrize(
        ("html", "feature"),
        [
            ('<div style="display:flex">', "css-display-flex"),
            ('<div style="display: grid !important">', "css-display-grid"),
            ('<div style="position:absolute">', "css-position"),
            ('<div style="width:calc(1px + 2%)">', "css-unit-calc"),
            ('<div style="width:10vw">', "css-unit-vw"),
            ('<td style="background:url(a.png)">', "css-background-image"),
            ("<style>a:nth-child(2){color:red}</style>", "css-pseudo-class-nth-child"),
            ("<style>a::before{color:red}</style>", "css-pseudo-element-before"),
            ("<style>@media (prefers-color-scheme:dark){}</style>", "css-at-media-prefers-color-scheme"),
            ("<style>@import url(https://fonts.googleapis.com/css);</style>", "css-at-font-face"),
            ("<style>:root{--a:1px}</style>", "css-variables"),
            ('<img src="a.webp?x=1">', "image-webp"),
            ('<img src="data:image/png;base64,AA">', "image-base64"),
            ("<video>", "html-video"),
            ('<input type="checkbox">', "html-input-checkbox"),
            ('<a href="#top">x</a>', "html-anchor-links"),
        ],
    )
    def test_features_are_seen(self, html: str, feature: str) -> None:
        known = json.loads(DATA.read_text("utf-8"))["features"]
        assert feature in known
        assert feature in features(html)

    @pytest.mark.parametrize(
        "html",
        [
            "<p>display:flex</p>",
            "<!--[if mso]><video><![endif]-->",
            '<p style="position:relative">',
            "<p title='a.webp'>",
        ],
    )
    def test_what_is_no_use(self, html: str) -> None:
        assert features(html) == {}

    def test_a_plainer_value_before_provides_for_others(self) -> None:
        uses = Uses()
        collect('<p style="width:100%;width:calc(50% - 1px)"><style>@media x{a{display:flex}}</style>', uses)
        assert set(uses.all) - set(uses.plain) >= {"css-unit-calc", "css-display-flex"}

    async def test_the_record_names_the_programs(self) -> None:
        facts = await audit(mail('<div style="display:flex">'))
        item = records_of(facts.value("clients.features"))[0]
        assert item["kind"] == "layout"
        assert item["unsupported"] == ("Outlook (Windows, classic)",)
        assert item["unsupported_count"] == 1
        assert "Gmail (iOS)" in item["partial"]  # type: ignore[operator]
        assert facts.value("clients.data_date") == "2025-09-09"


class TestHostile:
    @pytest.mark.parametrize(
        "piece",
        [
            "<a href=x>",
            "<p style='a:b;'>",
            "{",
            "}",
            "@media{",
            "/*",
            "<style>{;",
            "<a",
            "<a ",
            "unsubscribe ",
            "url(",
            "<!--[",
        ],
    )
    @pytest.mark.long
    async def test_repeated_pieces(self, piece: str) -> None:
        facts = await audit(mail(piece * 3000))
        assert not isinstance(facts.value("html.octets"), Unknown)
        account = HtmlAccount()
        account.add(piece * 3000)
        assert account.total == len(piece) * 3000
