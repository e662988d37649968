"""The weekly pages and the weekly mail in a real browser: a week with news, a quiet week, and one without DNS."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path

import pytest

from deliverability.console.settings import EmailSettings
from deliverability.core.rules.problems import load_guide
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.engine.rules import rule_folders
from deliverability.weekly.notify.mail import compose
from deliverability.weekly.pages import HtmlPages
from tests.core.report.test_browser import asked_hosts
from tests.devtools import DESKTOP, PHONE, Tab, measured, violations
from tests.sampled import sampled, some, some_or_every
from tests.weekly.test_reports import GOOGLE, MAIN, OUTLOOK, arrive, signed, unsigned, week_before
from tests.weekly.test_stories import Life, shipped

pytestmark = pytest.mark.system

WEEKS = ("first", "news", "settled", "quiet", "outage", "sends")
PAGES = ("index", "shop.example")
LANGUAGES = ("en", "ja")
LONG = "v=spf1 mx include:spf.vendor.example " + " ".join(f"ip4:203.0.113.{number}" for number in range(40)) + " +all"


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], str]:
    """(week, page, language) -> HTML; the mail is a page as well."""
    folder = tmp_path_factory.mktemp("weekly")
    history = History.open(f"sqlite:///{folder / 'history.db'}")
    pages = HtmlPages(shipped(), catalogue(), load_guide(rule_folders()))
    life = Life(folder, history, pages=pages, domains=("shop.example", "other.example"))
    html: dict[tuple[str, str, str], str] = {}
    for week in WEEKS:
        if week == "news":
            life.spf, life.dmarc = LONG, "v=DMARC1; p=none"
            life.keys = {"s1": life.other_key}
        life.failing = ("*.shop.example", "*.other.example") if week == "outage" else ()
        if week == "sends":
            life.reports = folder / "reports"
            life.reports.mkdir()
            arrive(life, week_before(len(WEEKS)), (GOOGLE, OUTLOOK), signed(MAIN, 1_234_567), unsigned("45.1.2.3", 9))
        summary = asyncio.run(life.week())
        published = folder / "out" / summary.folder
        for lang in LANGUAGES:
            for page in PAGES:
                name = f"{page}.html" if lang == "en" else f"{page}.{lang}.html"
                html[week, page, lang] = (published / name).read_text("utf-8")
            settings = EmailSettings(to=("me@shop.example",), sender="deliv@shop.example")
            now = datetime(2026, 11, 1, tzinfo=UTC)
            message = compose(settings, summary, shipped(), catalogue(), lang, now, published)
            body = message.get_body(("html",))
            assert body is not None
            html[week, "mail", lang] = body.get_content()
    history.close()
    return html


@some_or_every(4, "page")
def test_they_fit_a_phone_and_a_desk_in_both_schemes(
    tab: Tab, weeks: dict[tuple[str, str, str], str], apart: int
) -> None:
    pages = some(list(weeks), apart)
    backgrounds = {}
    for key in product(pages, ("light", "dark"), (DESKTOP, PHONE)):
        page, scheme, width = key
        found = measured(tab, weeks[page], width, dark=scheme == "dark")
        assert (found["overflow"], found["outside"], found["broken"]) == (0, [], []), key
        # A domain takes a screen at most, whatever changed.
        assert max(found["articles"], default=0) <= {DESKTOP: 900, PHONE: 2 * 844}[width], key
        backgrounds[key] = found["background"]
    for key in pages:
        light, dark = (backgrounds[key, scheme, DESKTOP] for scheme in ("light", "dark"))
        # A mail keeps the colours that it names: programs that darken mails do so by themselves.
        assert (light == dark) == (key[1] == "mail"), key


@pytest.mark.parametrize(
    ("page", "week", "lang", "scheme"),
    sampled(
        [
            (page, week, lang, scheme)
            for page in PAGES
            for week in ("news", "outage", "sends")
            for lang, scheme in (("en", "light"), ("ja", "dark"))
        ],
        3,
    ),
)
def test_axe_finds_nothing(
    tab: Tab,
    axe: str,
    weeks: dict[tuple[str, str, str], str],
    page: str,
    week: str,
    lang: str,
    scheme: str,
) -> None:
    assert violations(tab, axe, weeks[week, page, lang], dark=scheme == "dark") == []


def rows_of(page: str) -> list[dict[str, str]]:
    """The table of all domains: what stands under each heading; a receiver's cell in words."""
    table = re.search(r'<table class="w-table">(.*?)</table>', page, re.DOTALL)
    assert table is not None

    def texts(cells: list[str]) -> list[str]:
        without_drawings = (re.sub(r"<svg.*?</svg>|<wbr>", "", cell, flags=re.DOTALL) for cell in cells)
        return [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in without_drawings]

    head, _, body = table[1].partition("</thead>")
    names = texts(re.findall(r"<th.*?</th>", head, re.DOTALL))
    rows = [
        texts(re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)) for row in re.findall("<tr>.*?</tr>", body, re.DOTALL)
    ]
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_the_table_has_numbers_a_grade_and_a_narrow_column_a_receiver(weeks: dict[tuple[str, str, str], str]) -> None:
    worst, other = rows_of(weeks["news", "index", "en"])
    assert list(worst)[:4] == ["Domain", "Required fixes", "Recommended fixes", "Grade"]
    assert list(worst)[4:] == ["iCloud", "Gmail", "Yahoo", "Outlook.com", "docomo", "au", "SoftBank", "Yahoo! JAPAN"]
    assert (worst["Required fixes"], worst["Recommended fixes"]) == ("1", "0")
    assert (other["Required fixes"], other["Recommended fixes"]) == ("1", "1")
    assert worst["Grade"].startswith("D ")
    assert worst["Gmail"] == "DNS not ready"
    assert (worst["Domain"], other["Domain"]) == ("other.example", "shop.example"), "the worst first"
    assert {row["Gmail"] for row in rows_of(weeks["outage", "index", "en"])} == {"Could not be checked"}
    assert list(rows_of(weeks["news", "index", "ja"])[0])[:4] == ["ドメイン", "必須の指摘", "推奨の指摘", "評価"]


def test_what_follows_from_a_record_stands_under_it(weeks: dict[tuple[str, str, str], str]) -> None:
    """One entry a cause: the record word by word, the worst that follows, the first step, the rest as a number."""
    page = weeks["news", "index", "en"]
    (block,) = re.findall(r"<article.*?</article>", page, re.DOTALL)
    causes = [re.sub(r"<[^>]*>", "", each).strip() for each in re.findall(r"<h4>(.*?)</h4>", block, re.DOTALL)]
    assert causes == ["SPF record changed", "DMARC record changed", "DKIM key s1 changed"]
    assert block.index("1 more change") < block.index("DKIM key s1 changed"), "two causes at once, the others folded"
    assert block.count("Gmail: DNS ready → DNS not ready") == 1
    assert "1 more finding after this change" in block
    assert "Your DNS changed" not in block, "the records say so"
    lowered = r'<p class="headline bad">.*?<a href="#c1">shop.example: the DMARC policy was lowered'
    assert re.search(lowered, page, re.DOTALL)
    assert '<h3 id="c1">' in block


@pytest.mark.parametrize(("lang", "told"), [("en", "Nothing changed."), ("ja", "変化はありません")])
def test_a_quiet_week_says_so(weeks: dict[tuple[str, str, str], str], lang: str, told: str) -> None:
    assert told in weeks["quiet", "index", lang]
    assert told not in weeks["news", "index", lang]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("week", WEEKS)
def test_headings_go_down_one_level_at_a_time(weeks: dict[tuple[str, str, str], str], week: str, page: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", weeks[week, page, "en"])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels)), levels


def test_they_ask_nothing_of_the_network_and_run_nothing(
    tmp_path: Path, weeks: dict[tuple[str, str, str], str]
) -> None:
    assert not [key for key, html in weeks.items() if "<script" in html or "javascript:" in html]
    assert not [key for key, html in weeks.items() if re.search(r"""(?:src|srcset)\s*=|url\(|@import""", html)]
    of_the_browser = asked_hosts(tmp_path / "empty", "<!doctype html><title>empty</title>")
    asked = asked_hosts(tmp_path / "news", weeks["news", "index", "en"])
    assert not {host for host in asked - of_the_browser if host.endswith(".example")}


def test_a_trend_has_a_gap_where_nothing_is_known_and_a_table_beside_it(
    weeks: dict[tuple[str, str, str], str],
) -> None:
    page = weeks["outage", "shop.example", "en"]
    charts = re.findall(r"<figure><figcaption>(.*?)</figcaption>(<svg.*?</svg>)(.*?)</figure>", page, re.DOTALL)
    stage = {re.sub(r"<.*", "", title).strip(): (svg, table) for title, svg, table in charts}["DMARC stage"]
    svg, table = stage
    assert 'aria-hidden="true"' in svg
    assert svg.count("<circle") == 4, "four weeks known, none for the outage"
    rows = re.findall(r'<th scope="row">([^<]+)</th><td>(.*?)</td>', table)
    assert [value for _, value in rows][:4] == ["reject", "none", "none", "none"]
    assert len(rows) == 5
    assert rows[-1][1] not in ("reject", "none", "")
