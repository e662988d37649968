"""The HTML report in a real browser.

It fits a phone, is not blank, is dark where asked, answers on the first screen, is accessible by the rules of axe-core,
and asks the network nothing.

Screenshots of all variants are kept in the folder that DELIV_SCREENSHOTS names (for example .ci/out).
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
import zlib
from collections.abc import Iterator
from html import unescape
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from pypdf import PdfReader

from deliverability.core.mail.parts import body_texts
from deliverability.core.mail.reader import read
from deliverability.core.report.formats.html import render_handout
from deliverability.core.report.handout import RECEIVERS, load_handout
from deliverability.core.report.report import ReportView
from deliverability.engine.rules import load_rules
from tests.browser import DARK, browse, find_axe, find_chromium, screenshot
from tests.sampled import sampled
from tests.speaking import shipped, written
from tests.test_golden import DEMO
from tests.test_golden import audited as report_of

pytestmark = pytest.mark.system

DESKTOP, PHONE = 1280, 390
# Screens of 900 and 844 pixels that a page may take while its folds are closed.
SCREENS = {DESKTOP: 3 * 900, PHONE: 8 * 844}
SUBJECTS = ("demo", "good", "broken", "domain", "faulty", "parked", "dead")
# The reports run no script themselves; this page around them measures each in a frame of a given width and scheme.
WRAPPER = """<!doctype html><meta charset="utf-8"><title>wrapper</title>
<style>body {{ margin: 0 }} iframe {{ border: 0; display: block }} pre {{ display: none }}</style>
<pre id="result"></pre><script>
const frames = {frames}, result = [];
for (const [number, frame] of frames.entries()) {{
  const element = document.createElement("iframe");
  element.style.cssText = `width: ${{frame.width}}px; height: {height}px; color-scheme: ${{frame.scheme}}`;
  element.onload = () => {{
    const page = element.contentDocument, root = page.documentElement;
    const outside = [...page.body.querySelectorAll("*")].filter((each) => {{
      const box = each.getBoundingClientRect();
      if (box.right <= root.clientWidth + 1 || !box.width || !box.height) return false;
      for (let up = each; up && up !== page.body; up = up.parentElement)
        if (getComputedStyle(up).overflowX !== "visible") return false;
      return true;
    }}).map((each) => each.outerHTML.slice(0, 200));
    result[number] = {{
      overflow: root.scrollWidth - root.clientWidth,
      outside: outside.slice(0, 5),
      background: getComputedStyle(page.body).backgroundColor + getComputedStyle(root).backgroundColor,
      answer: page.querySelector(".answer")?.getBoundingClientRect().bottom,
      text: page.body.innerText,
      stops: [...page.querySelectorAll("a[href], button, summary, input, [tabindex='0']")].filter(
        (each) => each.checkVisibility() && each.getClientRects().length).length,
      broken: [...page.querySelectorAll("th, .badge, .does, summary b")].filter(
        (each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1 && each.clientWidth
          && (each.closest("thead")?.clientWidth ?? 2) > 1)
        .map((each) => each.outerHTML.slice(0, 200)),
      height: root.scrollHeight,
      scrolls: [...page.querySelectorAll(".scroll")].filter((each) => each.scrollWidth > each.clientWidth)
        .map((each) => each.outerHTML.slice(0, 200)),
      articles: [...page.querySelectorAll("article")].map((each) => each.getBoundingClientRect().height),
    }};
    document.getElementById("result").textContent = JSON.stringify(result);
  }};
  element.srcdoc = frame.html;
  document.body.append(element);
}}
</script>"""


class Variant(NamedTuple):
    subject: str
    lang: str
    scheme: str
    width: int

    def __str__(self) -> str:
        return "-".join(map(str, self))


SHOWN = (Variant("demo", "en", "light", DESKTOP), Variant("demo", "ja", "dark", PHONE))
VARIANTS = tuple(Variant(*each) for each in product(SUBJECTS, ("en", "ja"), ("light", "dark"), (DESKTOP, PHONE)))
# All widths, schemes and languages of some subjects; the others are slow.
USUAL = ("demo", "domain")
MEASURED = [each if each.subject in USUAL else pytest.param(each, marks=pytest.mark.slow) for each in VARIANTS]


@pytest.fixture(scope="module")
def chromium() -> str:
    return find_chromium()


@pytest.fixture(scope="module")
def axe() -> str:
    return find_axe()


def html_of(subject: str, lang: str, html: str | None = None) -> str:
    return written("html", report_of(subject), shipped(lang, guided=True), html=html or MAIL)


MAIL = """<html><head><style>h1 { color: #00f }</style></head><body bgcolor="#00ff00"><h1>Sale</h1>
<table width="600" bgcolor="#ffffff"><tr><td><img src="http://probe.example/i.png" width="300" height="120" alt="Shop">
<a href="http://probe.example/a">Look</a></td></tr></table></body></html>"""


def wrapped(path: Path, frames: list[tuple[str, str, int]], height: int = 900) -> Path:
    """A page with a frame for each (html, scheme, width)."""
    listed = [{"html": html, "scheme": scheme, "width": width} for html, scheme, width in frames]
    path.write_text(WRAPPER.format(frames=json.dumps(listed).replace("</", "<\\/"), height=height), "utf-8")
    return path


def measured(chromium: str, folder: Path, frames: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    dom = browse(chromium, folder, wrapped(folder / "wrapper.html", frames), "--dump-dom", "--window-size=1400,900")
    text = dom.partition('<pre id="result">')[2].partition("</pre>")[0]
    assert text, dom[:500]
    result = json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert isinstance(result, list)
    assert len(result) == len(frames)
    return result


@pytest.fixture(scope="module")
def measures(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> dict[Variant, dict[str, Any]]:
    """All variants, measured in one go."""
    frames = [(html_of(each.subject, each.lang), each.scheme, each.width) for each in VARIANTS]
    return dict(zip(VARIANTS, measured(chromium, tmp_path_factory.mktemp("measure"), frames), strict=True))


@pytest.mark.parametrize("variant", MEASURED, ids=str)
def test_nothing_runs_over_the_edge(measures: dict[Variant, dict[str, Any]], variant: Variant) -> None:
    measure = measures[variant]
    assert measure["outside"] == []
    assert measure["overflow"] <= 0
    assert measure["broken"] == []


@pytest.mark.parametrize("variant", MEASURED, ids=str)
def test_the_page_is_short_while_its_folds_are_closed(
    measures: dict[Variant, dict[str, Any]], variant: Variant
) -> None:
    measure = measures[variant]
    assert measure["height"] <= SCREENS[variant.width]
    assert measure["stops"] <= 40
    if variant.width == DESKTOP:
        assert 0 < measure["answer"] <= 900


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_sentence_of_a_finding_is_seen_more_than_twice(
    measures: dict[Variant, dict[str, Any]], subject: str, lang: str
) -> None:
    text = " ".join(measures[Variant(subject, lang, "light", DESKTOP)]["text"].split())
    view = ReportView(report_of(subject), shipped(lang))
    for finding in view.findings:
        if finding.is_unmet and len(finding.words.short) > 12:
            assert text.count(finding.words.short) <= 2, finding.words.short


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_is_seen_of_a_parked_domain_asks_for_no_message(
    measures: dict[Variant, dict[str, Any]], lang: str
) -> None:
    text = measures[Variant("parked", lang, "light", DESKTOP)]["text"]
    assert "--eml" not in text
    assert "Gmail" not in text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_table_of_several_domains_folds_on_a_phone(chromium: str, tmp_path: Path, lang: str) -> None:
    domain = "a-rather-long-subdomain.of-a-customer-with-a-long-name.example"
    reports = [report_of("faulty"), report_of("parked"), replace(report_of("domain"), domain=domain)]
    page = written("html", reports, shipped(lang, guided=True))
    phone, desktop = measured(chromium, tmp_path, [(page, "light", PHONE), (page, "light", DESKTOP)])
    for measure in (phone, desktop):
        assert (measure["overflow"], measure["outside"], measure["scrolls"], measure["broken"]) == (0, [], [], [])


def test_dark_is_dark_and_light_is_light(measures: dict[Variant, dict[str, Any]]) -> None:
    for subject, lang, width in product(SUBJECTS, ("en", "ja"), (DESKTOP, PHONE)):
        light, dark = (measures[Variant(subject, lang, scheme, width)]["background"] for scheme in ("light", "dark"))
        assert light != dark


def test_the_measure_sees_what_is_too_wide(chromium: str, tmp_path: Path) -> None:
    wide = '<!doctype html><body style="margin: 0"><div style="width: 500px">wide</div>'
    scrolls = f'<!doctype html><body style="margin: 0"><div style="overflow-x: auto">{wide[41:]}</div>'
    first, second = measured(chromium, tmp_path, [(wide, "light", PHONE), (scrolls, "light", PHONE)])
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
def test_the_page_is_not_blank(chromium: str, tmp_path: Path, variant: Variant) -> None:
    frame = (html_of(variant.subject, variant.lang), variant.scheme, variant.width)
    page = wrapped(tmp_path / "wrapper.html", [frame], height=2000)
    kept = os.environ.get("DELIV_SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    picture = (folder / f"{variant}.png").resolve()
    browse(chromium, tmp_path, page, f"--screenshot={picture}", f"--window-size={max(variant.width, 500)},2000")
    rows = rows_of(picture.read_bytes())
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


def asked_hosts(chromium: str, folder: Path, html: str) -> set[str]:
    folder.mkdir()
    page, log = folder / "page.html", folder / "net.json"
    page.write_text(html, "utf-8")
    browse(chromium, folder, page, "--dump-dom", f"--log-net-log={log}")
    return set(requests(log))


@pytest.mark.parametrize("subjects", [SUBJECTS[:1], pytest.param(SUBJECTS[1:], marks=pytest.mark.slow)])
def test_the_report_asks_nothing_of_the_network(chromium: str, tmp_path: Path, subjects: tuple[str, ...]) -> None:
    of_the_browser = asked_hosts(chromium, tmp_path / "empty", "<!doctype html><title>empty</title>")
    probe = '<!doctype html><img src="http://probe.example/x.png">'
    assert "probe.example" in asked_hosts(chromium, tmp_path / "probe", probe), "the log shows requests"
    for each in subjects:
        asked = asked_hosts(chromium, tmp_path / each, html_of(each, "en"))
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


def unfolded(html: str) -> str:
    return html.replace("<details", "<details open").replace('loading="lazy"', "")


def test_the_preview_of_a_hostile_message_loads_nothing_and_still_shows(chromium: str, tmp_path: Path) -> None:
    page = unfolded(html_of("demo", "en", HOSTILE))
    assert "probe.example" not in asked_hosts(chromium, tmp_path / "net", page)
    section = page.index('<details open class="part preview"')
    alone = (
        page[: page.index("<main")] + "<main>" + page[section : page.index("</details>", section)] + "</details></main>"
    )
    shown = screenshot(chromium, tmp_path, alone, 1000)
    colours = {colour: count for count, colour in shown.getcolors(1 << 24) or ()}
    assert colours.get((0, 255, 0), 0) > 5_000, "the colour of the message's body is missing"


def test_the_preview_has_the_width_of_a_phone_where_asked(chromium: str, tmp_path: Path) -> None:
    page = unfolded(html_of("demo", "en"))
    section = page.index('<details open class="part preview"')
    alone = (
        page[: page.index("<main")] + "<main>" + page[section : page.index("</details>", section)] + "</details></main>"
    )
    phone = alone.replace('class="desktop" checked', 'class="desktop"')
    phone = phone.replace('class="phone"', 'class="phone" checked')

    def green(html: str) -> int:
        shown = screenshot(chromium, tmp_path, html, 1000)
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
def test_a_report_is_printed_on_few_pages(chromium: str, tmp_path: Path, subject: str, most: int, lang: str) -> None:
    """None but the last is less than half full, no column is a character wide, and each says what it belongs to."""
    pages = printed_pages(chromium, tmp_path, html_of(subject, lang))
    assert 1 <= len(pages) <= most
    day = {"en": "25 Nov 2026", "ja": "2026年11月25日"}[lang]
    for number, page in enumerate(pages, 1):
        foot = f"{report_of(subject).domain}{',' if lang == 'en' else '、'}{day}{number}/{len(pages)}"
        assert page.foot == foot.replace(" ", "")
        assert page.thin() == []
        assert number == len(pages) or page.filled > 0.5, number


@pytest.mark.parametrize("lang", [pytest.param("en", marks=pytest.mark.slow), "ja"])
def test_several_domains_are_printed_as_a_table_and_at_most_a_page_each(
    chromium: str, tmp_path: Path, lang: str
) -> None:
    reports = [report_of(subject) for subject in ("demo", "good", "broken", "parked")]
    table, *pages = printed_pages(chromium, tmp_path, written("html", reports, shipped(lang, guided=True)))
    assert len(pages) == len(reports)
    for report in reports:
        assert report.domain in plain(table.lines)
        assert sum(report.domain in plain(page.lines[:2]) for page in pages) == 1


def test_the_measure_of_a_printed_page_sees_what_is_wrong(chromium: str, tmp_path: Path) -> None:
    thin = '<p style="width: 1px; overflow-wrap: anywhere">abcdefgh</p>'
    html = html_of("good", "en").replace("</main>", f'{thin}<p style="break-before: page">x</p></main>')
    *_, before, last = printed_pages(chromium, tmp_path, html)
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


def printed_pages(chromium: str, folder: Path, html: str) -> list[Printed]:
    """The pages of a report as they are printed."""
    pages = []
    for page in pdf_of(chromium, folder, html).pages:
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


def pdf_of(chromium: str, folder: Path, html: str) -> PdfReader:
    page, printed = folder / "printed.html", folder / "printed.pdf"
    page.write_text(html, "utf-8")
    browse(chromium, folder, page, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    return PdfReader(printed)


def pages_of(chromium: str, folder: Path, html: str) -> int:
    return len(pdf_of(chromium, folder, html).pages)


def handout_page(lang: str, receiver: str = "icloud") -> str:
    name = load_rules().receivers[receiver].name[lang]
    return render_handout(load_handout(lang, receiver, name, "shop.example"), lang)


@pytest.mark.parametrize("lang", [pytest.param("en", marks=pytest.mark.slow), "ja"])
@pytest.mark.parametrize(
    "receiver", [*RECEIVERS[:2], *(pytest.param(each, marks=pytest.mark.slow) for each in RECEIVERS[2:])]
)
def test_the_hand_out_is_printed_on_one_page(chromium: str, tmp_path: Path, receiver: str, lang: str) -> None:
    assert pages_of(chromium, tmp_path, handout_page(lang, receiver)) == 1
    two = handout_page(lang, receiver).replace("</main>", '<p style="break-before: page">next</p></main>')
    assert pages_of(chromium, tmp_path, two) == 2


AXE_RUN = """
for (const each of document.querySelectorAll("details")) each.open = true;
const tell = (result) => {
  const box = document.createElement("pre");
  box.id = "axe-result";
  box.textContent = JSON.stringify(result);
  document.body.append(box);
};
axe.run(document, { iframes: false, resultTypes: ["violations"] }).then(
  (found) => tell({
    scheme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    passes: found.passes.length,
    violations: found.violations.map((rule) => [rule.impact, rule.id, rule.nodes.slice(0, 3).map((node) => node.html)]),
  }),
  (error) => tell({ error: String(error) }),
);
"""


def accessibility(chromium: str, axe: str, folder: Path, html: str, scheme: str) -> dict[str, Any]:
    """What axe-core finds in a copy of the page that may run it."""
    copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html, count=1)
    page = folder / "axe.html"
    page.write_text(copy.replace("</body>", f"<script>{axe}</script><script>{AXE_RUN}</script></body>"), "utf-8")
    dark = [DARK] if scheme == "dark" else []
    dom = browse(chromium, folder, page, "--dump-dom", "--window-size=1280,1000", "--virtual-time-budget=60000", *dark)
    result = json.loads(unescape(dom.rpartition('<pre id="axe-result">')[2].partition("</pre>")[0]))
    assert isinstance(result, dict)
    assert "error" not in result
    assert result["scheme"] == scheme
    assert result["passes"] > 10
    return result


@pytest.mark.parametrize(("lang", "scheme"), [("en", "light"), ("ja", "dark")])
@pytest.mark.parametrize("subject", ["demo", "domain", "several", "hand-out"])
def test_axe_finds_nothing(chromium: str, axe: str, tmp_path: Path, subject: str, lang: str, scheme: str) -> None:
    if subject == "hand-out":
        html = handout_page(lang)
    elif subject == "several":
        reports = [report_of("good"), report_of("broken")]
        html = written("html", reports, shipped(lang, guided=True))
    else:
        html = html_of(subject, lang)
    assert accessibility(chromium, axe, tmp_path, html, scheme)["violations"] == []


def test_axe_sees_what_is_wrong(chromium: str, axe: str, tmp_path: Path) -> None:
    bad = '<!doctype html><html lang="en"><head><title>t</title></head><body><main><h1>t</h1>'
    bad += '<p style="color: #bbb">pale</p><img src="data:,"><table><tr><th>x</th><td>y</td></tr></table></main></body>'
    found = accessibility(chromium, axe, tmp_path, bad, "light")["violations"]
    assert {rule for _, rule, _ in found} >= {"color-contrast", "image-alt"}


BROWSER_HOSTS = {"accounts.google.com", "android.clients.google.com", "clients2.google.com", "www.google.com"}
