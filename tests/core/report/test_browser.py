"""The HTML report in a real browser.

It fits a phone, is not blank, is dark where asked, answers on the first screen, is accessible by the rules of axe-core,
and asks the network nothing.

Screenshots of all variants are kept in the folder that DELIV_SCREENSHOTS names (for example .ci/out).
"""

from __future__ import annotations

import json
import os
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from PIL import Image

from deliverability.core.mail.parts import body_texts
from deliverability.core.mail.reader import read
from deliverability.core.report.formats.html import render_handout
from deliverability.core.report.handout import RECEIVERS, load_handout
from deliverability.core.report.report import ReportView
from deliverability.engine.rules import load_rules
from tests.browser import browse, find_chromium
from tests.devtools import DESKTOP, PHONE, Browser, Tab, measured, violations
from tests.sampled import sampled
from tests.speaking import shipped, written
from tests.test_golden import DEMO
from tests.test_golden import audited as report_of

pytestmark = pytest.mark.system

# Screens of 900 and 844 pixels that a page may take while its folds are closed.
SCREENS = {DESKTOP: 3 * 900, PHONE: 8 * 844}
SUBJECTS = ("demo", "good", "broken", "domain", "faulty", "parked", "dead")


class Variant(NamedTuple):
    subject: str
    lang: str
    scheme: str
    width: int

    def __str__(self) -> str:
        return "-".join(map(str, self))


Measure = Callable[[Variant], dict[str, Any]]
SHOWN = (Variant("demo", "en", "light", DESKTOP), Variant("demo", "ja", "dark", PHONE))
VARIANTS = tuple(Variant(*each) for each in product(SUBJECTS, ("en", "ja"), ("light", "dark"), (DESKTOP, PHONE)))
# All widths, schemes and languages of some subjects; the others are slow.
USUAL = ("demo", "domain")
MEASURED = [each if each.subject in USUAL else pytest.param(each, marks=pytest.mark.slow) for each in VARIANTS]


def html_of(subject: str, lang: str, html: str | None = None) -> str:
    return written("html", report_of(subject), shipped(lang, guided=True), html=html or MAIL)


MAIL = """<html><head><style>h1 { color: #00f }</style></head><body bgcolor="#00ff00"><h1>Sale</h1>
<table width="600" bgcolor="#ffffff"><tr><td><img src="http://probe.example/i.png" width="300" height="120" alt="Shop">
<a href="http://probe.example/a">Look</a></td></tr></table></body></html>"""


@pytest.fixture(scope="module")
def measure(chromium: Browser) -> Iterator[Measure]:
    """A variant's measures; each is taken once."""
    with chromium.tab() as tab:
        yield lru_cache(
            lambda variant: measured(
                tab, html_of(variant.subject, variant.lang), variant.width, dark=variant.scheme == "dark"
            )
        )


@pytest.mark.parametrize("variant", MEASURED, ids=str)
def test_nothing_runs_over_the_edge(measure: Measure, variant: Variant) -> None:
    found = measure(variant)
    assert found["outside"] == []
    assert found["overflow"] <= 0
    assert found["broken"] == []


@pytest.mark.parametrize("variant", MEASURED, ids=str)
def test_the_page_is_short_while_its_folds_are_closed(measure: Measure, variant: Variant) -> None:
    found = measure(variant)
    assert found["height"] <= SCREENS[variant.width]
    assert found["stops"] <= 40
    if variant.width == DESKTOP:
        assert 0 < found["answer"] <= 900


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_sentence_of_a_finding_is_seen_more_than_twice(measure: Measure, subject: str, lang: str) -> None:
    text = " ".join(measure(Variant(subject, lang, "light", DESKTOP))["text"].split())
    view = ReportView(report_of(subject), shipped(lang))
    for finding in view.findings:
        if finding.is_unmet and len(finding.words.short) > 12:
            assert text.count(finding.words.short) <= 2, finding.words.short


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_is_seen_of_a_parked_domain_asks_for_no_message(measure: Measure, lang: str) -> None:
    text = measure(Variant("parked", lang, "light", DESKTOP))["text"]
    assert "--eml" not in text
    assert "Gmail" not in text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_table_of_several_domains_folds_on_a_phone(tab: Tab, lang: str) -> None:
    domain = "a-rather-long-subdomain.of-a-customer-with-a-long-name.example"
    reports = [report_of("faulty"), report_of("parked"), replace(report_of("domain"), domain=domain)]
    page = written("html", reports, shipped(lang, guided=True))
    for width in (PHONE, DESKTOP):
        found = measured(tab, page, width=width)
        assert (found["overflow"], found["outside"], found["scrolls"], found["broken"]) == (0, [], [], [])


@pytest.mark.parametrize("subject", sampled(SUBJECTS, 4))
def test_dark_is_dark_and_light_is_light(measure: Measure, subject: str) -> None:
    for lang, width in product(("en", "ja"), (DESKTOP, PHONE)):
        light, dark = (measure(Variant(subject, lang, scheme, width))["background"] for scheme in ("light", "dark"))
        assert light != dark


def test_the_measure_sees_what_is_too_wide(tab: Tab) -> None:
    wide = '<!doctype html><body style="margin: 0"><div style="width: 500px">wide</div>'
    scrolls = f'<!doctype html><body style="margin: 0"><div style="overflow-x: auto">{wide[41:]}</div>'
    first, second = (measured(tab, each, width=PHONE) for each in (wide, scrolls))
    assert first["overflow"] > 0
    assert first["outside"]
    assert (second["overflow"], second["outside"]) == (0, [])


def rows_of(png: bytes) -> list[bytes]:
    """The rows of a picture as PNG filters them; the same content gives the same rows."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    data, position = b"", 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        kind = png[position + 4 : position + 8]
        body = png[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, channels = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big"), body[9]
        if kind == b"IDAT":
            data += body
        position += 12 + length
    stride = width * {2: 3, 6: 4}[channels] + 1
    pixels = zlib.decompress(data)
    return [pixels[start : start + stride] for start in range(0, height * stride, stride)]


@pytest.mark.parametrize(
    "variant",
    [each if each in SHOWN else pytest.param(each, marks=pytest.mark.slow) for each in VARIANTS],
    ids=str,
)
def test_the_page_is_not_blank(tab: Tab, variant: Variant) -> None:
    tab.show(html_of(variant.subject, variant.lang), variant.width, 2000, dark=variant.scheme == "dark")
    picture = tab.picture()
    if kept := os.environ.get("DELIV_SCREENSHOTS"):
        Path(kept).mkdir(parents=True, exist_ok=True)
        (Path(kept) / f"{variant}.png").write_bytes(picture)
    rows = rows_of(picture)
    assert len(set(rows)) > 100, "hardly anything is drawn"


def requests(log: Path) -> Iterator[str]:
    """The hosts of every http request that the browser began."""
    text = log.read_text("utf-8", "replace")
    # The browser may be stopped before it closes the document.
    data = json.loads(text if text.rstrip().endswith("}") else text.rstrip().rstrip(",") + "]}")
    for event in data["events"]:
        url = event.get("params", {}).get("url", "") if isinstance(event.get("params"), dict) else ""
        if urlsplit(url).scheme in ("http", "https", "ws", "wss"):
            yield urlsplit(url).hostname or ""


def asked_hosts(folder: Path, html: str) -> set[str]:
    folder.mkdir()
    page, log = folder / "page.html", folder / "net.json"
    page.write_text(html, "utf-8")
    browse(find_chromium(), folder, page, f"--log-net-log={log}")
    return set(requests(log))


@pytest.mark.parametrize("subjects", [SUBJECTS[:1], pytest.param(SUBJECTS[1:], marks=pytest.mark.slow)])
def test_the_report_asks_nothing_of_the_network(tmp_path: Path, subjects: tuple[str, ...]) -> None:
    of_the_browser = asked_hosts(tmp_path / "empty", "<!doctype html><title>empty</title>")
    probe = '<!doctype html><img src="http://probe.example/x.png">'
    assert "probe.example" in asked_hosts(tmp_path / "probe", probe), "the log shows requests"
    for each in subjects:
        asked = asked_hosts(tmp_path / each, html_of(each, "en"))
        # The browser's own services come and go between runs; no page of ours names them.
        own = {host for host in asked if host.endswith((".googleapis.com", ".gvt1.com")) or host in BROWSER_HOSTS}
        assert asked - of_the_browser - own == set()


HOSTILE = """<!doctype html><html><head><base href="http://probe.example/base/"><title>t</title>
<meta http-equiv="refresh" content="0; url=http://probe.example/refresh">
<link rel="stylesheet" href="http://probe.example/sheet.css"><link rel="prefetch" href="http://probe.example/next">
<link rel="dns-prefetch" href="//probe.example"><link rel="preconnect" href="http://probe.example">
<style>@import "http://probe.example/import.css"; @import url(http://probe.example/import2.css);
@font-face { font-family: f; src: url(http://probe.example/f.woff2) }
p { font-family: f; background: URL( "http://probe.example/bg.png" ); list-style: u\\72l(http://probe.example/l.png);
cursor: image-set("http://probe.example/c.png" 1x) } td::after { content: url(http://probe.example/after.png) }</style>
<script src="http://probe.example/s.js"></script><script>fetch("http://probe.example/fetch")</script></head>
<body bgcolor="#00ff00" background="http://probe.example/back.png" onload="location='http://probe.example/load'">
<noscript><meta http-equiv="refresh" content="0; url=http://probe.example/noscript">
<img src="http://probe.example/noscript.png"></noscript>
<img src="http://probe.example/i.png" srcset="http://probe.example/2x.png 2x" style="background: url(http://probe.example/b)">
<picture><source srcset="http://probe.example/source.png"><img src="//probe.example/p.png"></picture>
<video src="http://probe.example/v.mp4" poster="http://probe.example/v.png" autoplay></video>
<audio src="http://probe.example/a.mp3" autoplay></audio><iframe src="http://probe.example/frame"></iframe>
<object data="http://probe.example/o"></object><embed src="http://probe.example/e">
<svg><use href="http://probe.example/u.svg#a"/><image href="http://probe.example/svg.png"/>
<style><img src="http://probe.example/mutated.png"></style></svg>
<form action="http://probe.example/form"><input type="image" src="http://probe.example/input.png" autofocus
onfocus="this.form.submit()"></form><table background="http://probe.example/t.png"><tr><td>text</td></tr></table>
<p style="background-image: url('http://probe.example/style.png')" onclick="alert(1)">text</p>
<a href="http://probe.example/link" ping="http://probe.example/ping">link</a><a href="javascript:alert(1)">js</a>
<textarea></textarea><plaintext><img src=http://probe.example/plain.png>"""


def image(tab: Tab, html: str) -> Image.Image:
    tab.show(html, 1000, 800)
    return tab.image()


def unfolded(html: str) -> str:
    return html.replace("<details", "<details open").replace('loading="lazy"', "")


def test_the_preview_of_a_hostile_message_loads_nothing_and_still_shows(tab: Tab, tmp_path: Path) -> None:
    page = unfolded(html_of("demo", "en", HOSTILE))
    assert "probe.example" not in asked_hosts(tmp_path / "net", page)
    section = page.index('<details open class="part preview"')
    alone = (
        page[: page.index("<main")] + "<main>" + page[section : page.index("</details>", section)] + "</details></main>"
    )
    shown = image(tab, alone)
    colours = {colour: count for count, colour in shown.getcolors(1 << 24) or ()}
    assert colours.get((0, 255, 0), 0) > 5_000, "the colour of the message's body is missing"


def test_the_preview_has_the_width_of_a_phone_where_asked(tab: Tab) -> None:
    page = unfolded(html_of("demo", "en"))
    section = page.index('<details open class="part preview"')
    alone = (
        page[: page.index("<main")] + "<main>" + page[section : page.index("</details>", section)] + "</details></main>"
    )
    phone = alone.replace('class="desktop" checked', 'class="desktop"')
    phone = phone.replace('class="phone"', 'class="phone" checked')

    def green(html: str) -> int:
        shown = image(tab, html)
        return max(sum(shown.getpixel((x, y)) == (0, 255, 0) for x in range(1000)) for y in range(0, 800, 4))

    assert green(alone) > 700
    assert 300 < green(phone) <= 390


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_page_of_an_audit_stays_below_300_kilobytes(subject: str, lang: str) -> None:
    raw = (DEMO / "newsletter.eml").read_bytes()
    html = body_texts(read(raw), "text/html")[0].part.text()
    assert len(html_of(subject, lang, html).encode()) <= 300_000


MOST_PAGES = {"demo": 6, "good": 6, "broken": 6, "faulty": 6, "parked": 2, "dead": 1}


@pytest.mark.parametrize(
    ("subject", "most", "lang"),
    sampled([(subject, most, lang) for subject, most in MOST_PAGES.items() for lang in ("en", "ja")], 3),
)
def test_a_report_is_printed_on_few_pages(tab: Tab, subject: str, most: int, lang: str) -> None:
    """None but the last is less than half full, no column is a character wide, and each says what it belongs to."""
    pages = printed_pages(tab, html_of(subject, lang))
    assert 1 <= len(pages) <= most
    day = {"en": "25 Nov 2026", "ja": "2026年11月25日"}[lang]
    for number, page in enumerate(pages, 1):
        foot = f"{report_of(subject).domain}{',' if lang == 'en' else '、'}{day}{number}/{len(pages)}"
        assert page.foot == foot.replace(" ", "")
        assert page.thin() == []
        assert number == len(pages) or page.filled > 0.5, number


@pytest.mark.parametrize("height", sampled([536, 548, 560, 572], 2))
def test_the_footer_is_never_alone_on_a_page(tab: Tab, height: int) -> None:
    """Whatever stands above it leaves just too little room."""
    html = html_of("parked", "en").replace(
        '<section class="printed"', f'<p style="height: {height}px"></p><section class="printed"'
    )
    last = printed_pages(tab, html)[-1]
    assert not plain(last.lines).startswith("Madeby")


@pytest.mark.parametrize("lang", [pytest.param("en", marks=pytest.mark.slow), "ja"])
def test_several_domains_are_printed_as_a_table_and_at_most_a_page_each(tab: Tab, lang: str) -> None:
    reports = [report_of(subject) for subject in ("demo", "good", "broken", "parked")]
    table, *pages = printed_pages(tab, written("html", reports, shipped(lang, guided=True)))
    assert len(pages) == len(reports)
    for report in reports:
        assert report.domain in plain(table.lines)
        assert sum(report.domain in plain(page.lines[:2]) for page in pages) == 1


def test_the_measure_of_a_printed_page_sees_what_is_wrong(tab: Tab) -> None:
    thin = '<p style="width: 1px; overflow-wrap: anywhere">abcdefgh</p>'
    html = html_of("good", "en").replace("</main>", f'{thin}<p style="break-before: page">x</p></main>')
    *_, before, last = printed_pages(tab, html)
    assert before.thin()
    assert last.filled < 0.5


def test_forty_domains_are_one_page_of_moderate_size() -> None:
    reports = [replace(report_of("broken"), domain=f"d{number}.example") for number in range(40)]
    html = written("html", reports, shipped("ja", guided=True))
    assert len(html.encode()) <= 1_500_000
    assert html.index('class="domains stack"') < html.index('class="fold subject"')


class Line(NamedTuple):
    """A piece of text on a printed page; `left` and `top` in points from its upper left corner."""

    left: float
    top: float
    size: float
    text: str

    @property
    def right(self) -> float:
        """About where it ends: a full-width character is as wide as high, others half of it."""
        return self.left + self.size * sum(
            1 if unicodedata.east_asian_width(char) in "WF" else 0.5 for char in self.text
        )


class Printed(NamedTuple):
    """A page of A4 as it was printed: its text above the foot, from top to bottom, and the foot."""

    lines: list[Line]
    foot: str

    @property
    def filled(self) -> float:
        """How far down its text reaches, from 0 to 1."""
        return max(each.top for each in self.lines) / _A4_HEIGHT

    def thin(self) -> list[str]:
        """Columns of one or two characters: four lines of them right below each other."""
        short = [each for each in joined(self.lines) if len(each.text) <= 2 and each.text.isalnum()]
        columns: dict[int, list[Line]] = {}
        for each in short:
            columns.setdefault(round(each.left), []).append(each)
        return [
            "".join(each.text for each in run)
            for column in columns.values()
            for run in zip(column, column[1:], column[2:], column[3:], strict=False)
            if all(0 < low.top - high.top < 20 for high, low in pairwise(run))
        ]


_A4_HEIGHT = 842


def printed_pages(tab: Tab, html: str) -> list[Printed]:
    """The pages of a report as they are printed."""
    tab.show(html)
    pages = []
    for page in tab.printed().pages:
        found: list[Line] = []

        def seen(
            text: str, page: list[float], place: list[float], _: object, size: float, found: list[Line] = found
        ) -> None:
            if text.strip():
                left, bottom = place[4] * page[0] + page[4], place[5] * page[3] + page[5]
                found.append(Line(left, _A4_HEIGHT - bottom, size * place[0] * page[0], text.strip()))

        page.extract_text(visitor_text=seen)
        foot = sorted(each for each in found if each.top > _A4_HEIGHT - 40)
        pages.append(Printed([each for each in found if each not in foot], plain(foot)))
    return pages


def joined(pieces: list[Line]) -> list[Line]:
    """Pieces that go on where another ends, as with another font, made one."""
    lines: list[Line] = []
    for each in sorted(pieces, key=lambda each: (round(each.top), each.left)):
        last = lines[-1] if lines else None
        if last is not None and abs(each.top - last.top) < 2 and each.left - last.right < each.size:
            lines[-1] = last._replace(text=last.text + each.text)
        else:
            lines.append(each)
    return lines


def plain(lines: list[Line]) -> str:
    """Their text without blanks; the radicals that fonts put for characters (⽉) as those characters."""
    return "".join(unicodedata.normalize("NFKC", "".join(each.text for each in lines)).split())


def pages_of(tab: Tab, html: str) -> int:
    tab.show(html)
    return len(tab.printed().pages)


def handout_page(lang: str, receiver: str = "icloud") -> str:
    name = load_rules().receivers[receiver].name[lang]
    return render_handout(load_handout(lang, receiver, name, "shop.example"), lang)


@pytest.mark.parametrize("lang", [pytest.param("en", marks=pytest.mark.slow), "ja"])
@pytest.mark.parametrize(
    "receiver", [*RECEIVERS[:2], *(pytest.param(each, marks=pytest.mark.slow) for each in RECEIVERS[2:])]
)
def test_the_hand_out_is_printed_on_one_page(tab: Tab, receiver: str, lang: str) -> None:
    assert pages_of(tab, handout_page(lang, receiver)) == 1
    two = handout_page(lang, receiver).replace("</main>", '<p style="break-before: page">next</p></main>')
    assert pages_of(tab, two) == 2


@pytest.mark.parametrize(
    ("subject", "lang", "scheme"),
    sampled(
        [
            (subject, lang, scheme)
            for subject in ("demo", "domain", "several", "hand-out")
            for lang, scheme in (("en", "light"), ("ja", "dark"))
        ],
        2,
    ),
)
def test_axe_finds_nothing(tab: Tab, axe: str, subject: str, lang: str, scheme: str) -> None:
    if subject == "hand-out":
        html = handout_page(lang)
    elif subject == "several":
        reports = [report_of("good"), report_of("broken")]
        html = written("html", reports, shipped(lang, guided=True))
    else:
        html = html_of(subject, lang)
    assert violations(tab, axe, html, dark=scheme == "dark") == []


def test_axe_sees_what_is_wrong(tab: Tab, axe: str) -> None:
    bad = '<!doctype html><html lang="en"><head><title>t</title></head><body><main><h1>t</h1>'
    bad += '<p style="color: #bbb">pale</p><img src="data:,"><table><tr><th>x</th><td>y</td></tr></table></main></body>'
    found = violations(tab, axe, bad)
    assert {rule for rule, _ in found} >= {"color-contrast", "image-alt"}


BROWSER_HOSTS = {"accounts.google.com", "android.clients.google.com", "clients2.google.com", "www.google.com"}
