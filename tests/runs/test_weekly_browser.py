"""The weekly pages and the weekly mail in a real browser: a week with news, a quiet week, and one without DNS."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path

import pytest

from deliverability.auditors import catalogue
from deliverability.config import EmailSettings
from deliverability.history.store import History
from deliverability.judge.files import load_guide
from deliverability.notify.notifier import compose
from deliverability.render.weekly import HtmlPages
from deliverability.runs.rules import rule_folders
from tests.render.test_browser import (  # fixtures among them
    DESKTOP,
    PHONE,
    accessibility,
    asked_hosts,
    axe,
    chromium,
    measured,
)
from tests.runs.test_weekly_stories import Life, shipped

__all__ = ["axe", "chromium"]

pytestmark = pytest.mark.system

WEEKS = ("first", "news", "settled", "quiet", "outage")
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


def test_they_fit_a_phone_and_a_desk_in_both_schemes(
    chromium: str, tmp_path: Path, weeks: dict[tuple[str, str, str], str]
) -> None:
    keys = [*product(weeks, ("light", "dark"), (DESKTOP, PHONE))]
    found = measured(chromium, tmp_path, [(weeks[key], scheme, width) for key, scheme, width in keys])
    for key, measure in zip(keys, found, strict=True):
        assert (measure["overflow"], measure["outside"]) == (0, []), key
    backgrounds = {key: measure["background"] for key, measure in zip(keys, found, strict=True)}
    for key in weeks:
        light, dark = (backgrounds[key, scheme, DESKTOP] for scheme in ("light", "dark"))
        # A mail keeps the colours that it names: programs that darken mails do so by themselves.
        assert (light == dark) == (key[1] == "mail"), key


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("week", ["news", "outage"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(
    chromium: str,
    axe: str,
    tmp_path: Path,
    weeks: dict[tuple[str, str, str], str],
    page: str,
    week: str,
    lang: str,
    scheme: str,
) -> None:
    assert accessibility(chromium, axe, tmp_path, weeks[week, page, lang], scheme)["violations"] == []


@pytest.mark.parametrize(
    ("lang", "told"), [("en", "Nothing changed since the last run"), ("ja", "変わったことはありません")]
)
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
    chromium: str, tmp_path: Path, weeks: dict[tuple[str, str, str], str]
) -> None:
    assert not [key for key, html in weeks.items() if "<script" in html or "javascript:" in html]
    assert not [key for key, html in weeks.items() if re.search(r"""(?:src|srcset)\s*=|url\(|@import""", html)]
    of_the_browser = asked_hosts(chromium, tmp_path / "empty", "<!doctype html><title>empty</title>")
    asked = asked_hosts(chromium, tmp_path / "news", weeks["news", "index", "en"])
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
    rows = re.findall(r'<th scope="row">(\S+)</th><td>(.*?)</td>', table)
    assert [value for _, value in rows][:4] == ["reject", "none", "none", "none"]
    assert len(rows) == 5
    assert rows[-1][1] not in ("reject", "none", "")
