"""The static site: whole in both languages, every link leads somewhere, its search finds, and it needs nothing else."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from deliverability import __version__
from deliverability.core.phrases import phrases
from deliverability.core.replies.match import load_replies
from deliverability.core.report.formats.json import SCHEMA
from deliverability.core.report.templates import load_glossary
from deliverability.core.rules.knowledge import shipped
from deliverability.core.words.sentences import full_day_words
from deliverability.core.words.speaker import cited
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.site.command import command
from deliverability.site.pages import INDEX, SCRIPT, Content, guide_pages, pages
from deliverability.site.rulebook import Rulebook
from tests import ROOT
from tests.devtools import Tab
from tests.sampled import sampled

pytestmark = pytest.mark.long

RULES = load_rules()
TERMS = load_glossary(rule_folders())
REPLIES = load_replies(rule_folders(), RULES)
TODAY = date(2026, 11, 29)
LANGUAGES = ("en", "ja")


@cache
def site() -> dict[str, str]:
    """Every file of the site by its name."""
    guide = {lang: guide_pages(ROOT / "docs", lang) for lang in LANGUAGES}
    return dict(pages(Content(RULES, TERMS, REPLIES, guide), __version__, TODAY))


@cache
def parsed() -> dict[str, HTMLParser]:
    """Every page of it."""
    return {name: HTMLParser(text) for name, text in site().items() if name.endswith(".html")}


def target(page: str, href: str) -> tuple[str, str]:
    """The file and the anchor that a relative link of a page leads to."""
    parts: list[str] = []
    path, _, anchor = unquote(href).partition("#")
    for part in PurePosixPath(page).parent.joinpath(path).parts if path else PurePosixPath(page).parts:
        if part == "..":
            assert parts, f"{page}: {href} leaves the site"
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts), anchor


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_rule_receiver_reply_and_page_of_the_guide_has_its_page(lang: str) -> None:
    names = {name for name in site() if name.startswith(f"{lang}/")}
    lists = ("index", "glossary", "verdicts", "services", "a-z", "receivers/index", "replies/index", "guide/index")
    wanted = {f"{lang}/rules/{ident}.html" for ident in RULES.rules}
    wanted |= {f"{lang}/receivers/{ident}.html" for ident in RULES.receivers}
    wanted |= {f"{lang}/replies/{meaning.receiver}.html" for meaning in REPLIES.meanings}
    wanted |= {f"{lang}/guide/{path.stem}.html" for path in (ROOT / "docs").glob("*.md") if "README" not in path.name}
    wanted |= {f"{lang}/{page}.html" for page in lists}
    assert names == wanted | {f"{lang}/{INDEX}"}


def found_by(lang: str) -> list[list[Any]]:
    """What the index of the search holds."""
    rows: list[list[Any]] = json.loads(site()[f"{lang}/{INDEX}"].partition("=")[2].strip().removesuffix(";"))
    return rows


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_service_is_told_with_how_its_sources_were_read(lang: str) -> None:
    page = parsed()[f"{lang}/services.html"]
    assert {node.attributes["id"] for node in page.css("section[id]")} == set(shipped().services)
    forms = {
        "sendgrid": {
            "en": "undated archived copy, accessed 25 Nov 2026",
            "ja": "日付のない保存版、2026年11月25日に確認",
        },
        "zendesk": {"en": "by a third party, accessed 25 Nov 2026", "ja": "第三者の資料を通じて2026年11月25日に確認"},
        "spiral": {"en": "archived copy from 28 Feb 2023", "ja": "2023年2月28日の保存版"},
        "mailgun": {"en": "not verified against the source", "ja": "再確認なし"},
    }
    for ident, words in forms.items():
        assert words[lang] in page.css(f"#{ident}")[0].text()


def test_every_link_leads_somewhere() -> None:
    ids = {name: {node.attributes["id"] for node in page.css("[id]")} for name, page in parsed().items()}
    for name, page in parsed().items():
        for node in page.css("a[href], link[href], script[src]"):
            href = node.attributes.get("href") or node.attributes.get("src") or ""
            if urlsplit(href).scheme:
                assert href.startswith(("https://", "http://")), (name, href)
                continue
            assert not href.startswith("/"), (name, href)
            file, anchor = target(name, href)
            assert file in site(), f"{name} links to {href}"
            assert not anchor or anchor in ids[file], f"{name} links to {href}"
    for lang in LANGUAGES:
        for _, _, href, *_ in found_by(lang):
            file, anchor = target(f"{lang}/index.html", href)
            assert file in site(), f"the search links to {href}"
            assert not anchor or anchor in ids[file], f"the search links to {href}"


def test_every_page_can_be_reached() -> None:
    seen, left = {"index.html"}, ["index.html"]
    while left:
        name = left.pop()
        for node in parsed()[name].css("a[href]"):
            href = node.attributes["href"] or ""
            if not urlsplit(href).scheme and (file := target(name, href)[0]) in parsed() and file not in seen:
                seen.add(file)
                left.append(file)
    assert seen == set(parsed())


def test_every_page_says_its_language_and_title_and_repeats_no_id() -> None:
    titles = Counter()
    for name, page in parsed().items():
        lang = name.split("/")[0] if "/" in name else "en"
        root = page.css_first("html")
        assert root is not None
        assert root.attributes["lang"] == lang
        assert len(page.css("h1")) == 1, name
        title = page.css_first("title")
        assert title is not None
        titles[lang, title.text()] += 1
        ids = Counter(node.attributes["id"] for node in page.css("[id]"))
        assert not [ident for ident, count in ids.items() if count > 1], name
        assert "{" not in "".join(node.text() for node in page.css("h1, h2, h3")), name
    assert set(titles.values()) == {1}


def test_the_languages_lead_to_each_other() -> None:
    for name, page in parsed().items():
        lang, _, rest = name.partition("/")
        if rest:
            other = "ja" if lang == "en" else "en"
            link = page.css_first("a.language")
            assert link is not None
            assert target(name, link.attributes["href"] or "")[0] == f"{other}/{rest}"


def test_no_page_loads_anything_but_its_style_and_the_script_of_the_search() -> None:
    for name, page in parsed().items():
        assert page.css("img, iframe, object, form, [onclick]") == [], name
        (sheet,) = page.css("link[rel=stylesheet]")
        assert (sheet.attributes["href"] or "").endswith("style.css")
        scripts = [(node.attributes.get("src") or "").rpartition("/")[2] for node in page.css("[src]")]
        assert scripts == ([SCRIPT] if "/" in name else []), name
        assert [node.text() for node in page.css("script")] == [""] * len(scripts)
        policy = page.css_first("meta[http-equiv=Content-Security-Policy]")
        assert policy is not None
        assert (policy.attributes["content"] or "").startswith("default-src 'none'; script-src 'self'; ")
    assert "url(" not in site()["style.css"]
    assert "@import" not in site()["style.css"]


def test_without_script_the_search_is_hidden_and_all_of_it_stands_from_a_to_z() -> None:
    for lang in LANGUAGES:
        page = parsed()[f"{lang}/a-z.html"]
        assert page.css("#search[hidden]")
        listed = {node.attributes["href"] for node in page.css("main a")}
        assert listed == {href for _, _, href, *_ in found_by(lang)}
        wanted = {f"rules/{ident}.html" for ident in RULES.rules} | {f"glossary.html#{term.id}" for term in TERMS}
        assert wanted <= listed


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_page_shows_the_path_of_a_fact_in_its_words(lang: str) -> None:
    """Conditions are code and name facts; sentences do not."""
    for name, page in parsed().items():
        if name.startswith(f"{lang}/"):
            assert [node.text() for node in page.css("var") if re.search("[._]", node.text())] == [], name
    assert parsed()[f"{lang}/rules/SPF-003.html"].css("var")
    assert not re.search("[‹›]", "".join(page.text() for page in parsed().values()))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_rule_page_says_what_the_rule_says(lang: str) -> None:
    rule = RULES.rules["SPF-003"]
    text = parsed()[f"{lang}/rules/SPF-003.html"].text()
    flat = " ".join(text.split())
    assert "item.lookups le 10" in flat
    assert " ".join(rule.text[lang].why.split())[:40] in flat
    assert "RFC 7208" in flat
    assert full_day_words(RULES.sources["rfc7208"].checked, phrases(lang)) in flat


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_receiver_page_is_its_checklist_in_its_order_with_the_dates_of_its_sources(lang: str) -> None:
    for ident, receiver in RULES.receivers.items():
        items = parsed()[f"{lang}/receivers/{ident}.html"].css(".treats > li")
        said = [(rule, statement) for rule, several in receiver.rules.items() for statement in several]
        assert [node.css_first(".rule").text() for node in items] == [rule for rule, _ in said]
        for node, (_, statement) in zip(items, said, strict=True):
            for source in {RULES.sources[ref.ref] for ref in statement.sources}:
                assert cited(source, phrases(lang)).title in node.text()
                assert full_day_words(source.checked, phrases(lang)) in node.text()


@pytest.mark.parametrize(("lang", "age"), [("en", "read 1 day before"), ("ja", "作成の1日前に確認")])
def test_each_statement_shows_how_long_ago_its_sources_were_read(lang: str, age: str) -> None:
    said = sum(len(statements) for statements in RULES.receivers["gmx"].rules.values())
    assert site()[f"{lang}/receivers/gmx.html"].count(age) == said


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_reply_says_what_it_means_and_which_rules_stand_behind_it(lang: str) -> None:
    meaning = next(each for each in REPLIES.meanings if each.id == "gmail-unauthenticated")
    section = parsed()[f"{lang}/replies/gmail.html"].css_first("#gmail-unauthenticated")
    assert meaning.meaning[lang] in section.text()
    assert meaning.example in section.text()
    assert {node.text() for node in section.css("a.rule")} == set(meaning.rules or ())


def test_the_guide_keeps_its_tables_code_and_links() -> None:
    page = parsed()["en/guide/formats.html"]
    assert "SARIF 2.1.0" in page.css_first("table").text()
    assert page.css_first(".scroll[tabindex][aria-label]")
    links = {node.attributes["href"] for node in parsed()["en/guide/auditing.html"].css("article a")}
    assert "settings.html" in links
    assert "rules/README.md" not in "".join(str(each) for each in links)
    assert parsed()["en/guide/reading.html"].css("pre")
    assert "<!--" not in site()["en/guide/reading.html"]


def test_the_guide_is_in_japanese_where_it_is_translated_and_in_english_elsewhere() -> None:
    weekly, adding = (parsed()[f"ja/guide/{name}.html"].css_first("article") for name in ("weekly", "adding-a-rule"))
    assert (weekly.attributes["lang"], adding.attributes["lang"]) == ("ja", "en")
    assert weekly.css_first("h1").text() == "週次の診断"
    assert "reports.html" in {node.attributes["href"] for node in weekly.css("a")}
    gate = {node.attributes["href"] for node in parsed()["ja/guide/gate.html"].css("article a")}
    assert "adding-a-rule.html" in gate, "a page that is not translated"
    assert parsed()["en/guide/weekly.html"].css_first("article").attributes["lang"] == "en"


def test_a_page_of_the_guide_brings_no_html_along(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Title\n\n<script>alert(1)</script> [x](javascript:alert(1))\n", "utf-8")
    (page,) = guide_pages(tmp_path)
    assert "<script" not in page.html
    assert "javascript:" not in HTMLParser(str(page.html)).css_first("body").html.split("[x]")[0]
    assert HTMLParser(str(page.html)).css("a") == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_receiver_page_shows_codes_dates_and_both_readings(lang: str) -> None:
    for ident, receiver in RULES.receivers.items():
        page = parsed()[f"{lang}/receivers/{ident}.html"]
        text = page.text()
        said = [each for several in receiver.rules.values() for each in several]
        assert len(page.css(".treats > li")) == len(said)
        for statement in said:
            assert all(code in text for code in statement.codes)
            assert full_day_words(statement.since, phrases(lang)) in text
            assert statement.note.get(lang, "") in text


@pytest.mark.parametrize(
    ("lang", "small", "condition"),
    [("en", "small senders only", "applies when:"), ("ja", "大量送信者以外のみ", "適用条件：")],
)
def test_a_statement_says_for_whom_and_under_which_condition_it_counts(lang: str, small: str, condition: str) -> None:
    """Gmail asks small senders for alignment only where no DMARC record says what to do without it."""
    treated = [
        node.text() for node in parsed()[f"{lang}/rules/ALN-001.html"].css(".treats > li") if "Gmail" in node.text()
    ]
    said = (small, condition, "alignment.policy_record exists false")
    assert any(all(each in text for each in said) for text in treated)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_combination_names_its_members_and_no_statements_of_its_own(lang: str) -> None:
    strict = RULES.receivers["strict"]
    page = parsed()[f"{lang}/receivers/strict.html"]
    assert all(RULES.receivers[each].name[lang] in page.text() for each in strict.combines)
    assert page.css(".treats") == []
    listed = {node.css_first("a").text(): node for node in parsed()[f"{lang}/receivers/index.html"].css(".choose li")}
    assert listed[strict.name[lang]].css("small") == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_index_filters_by_topic_without_script(lang: str) -> None:
    page = parsed()[f"{lang}/index.html"]
    topics = {rule.topic for rule in RULES.rules.values()}
    assert len(page.css("fieldset input[type=radio]")) == len(topics) + 1
    assert len(page.css("section.topic")) == len(topics)
    rows = page.css("section.topic li > a")
    assert Counter(node.text() for node in rows) == dict.fromkeys(RULES.rules, 1)


@pytest.mark.slow
def test_the_command_writes_it_with_the_rules_of_a_user(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["-o", str(tmp_path / "new" / "site")], standalone_mode=False)
    assert done.exception is None
    written = {path.relative_to(tmp_path / "new/site").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(site())


@pytest.mark.slow
def test_without_a_reader_of_markdown_the_site_says_that_the_guide_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    done = CliRunner().invoke(command, ["-o", str(tmp_path)], standalone_mode=False)
    assert done.exception is None
    assert [path.name for path in (tmp_path / "en/guide").iterdir()] == ["index.html"]
    assert "`docs`" in (tmp_path / "en/guide/index.html").read_text("utf-8")


def test_the_command_prints_the_schema() -> None:
    done = CliRunner().invoke(command, ["--schema"], standalone_mode=False)
    assert done.output == SCHEMA.read_text("utf-8") == site()[SCHEMA.name]


@pytest.mark.parametrize("args", [[], ["--schema", "-o", "x"]])
def test_it_wants_to_know_what_to_do(args: list[str]) -> None:
    assert CliRunner().invoke(command, args).exit_code == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file", "utf-8")
    done = CliRunner().invoke(command, ["-o", str(tmp_path / "site" / "inside")])
    assert done.exit_code == 2
    assert "site" in done.output


@pytest.mark.system
@pytest.mark.parametrize(
    ("page", "question", "first"),
    sampled(
        [
            ("en/index.html", "SPF-003", "rules/SPF-003.html"),
            ("en/rules/ALN-001.html", "SPF LOOKUP-LIMIT", "rules/SPF-003.html"),
            ("en/index.html", "ｓｐｆ－００３", "rules/SPF-003.html"),
            ("ja/index.html", "該当のない", "rules/SPF-004.html"),
            ("ja/receivers/gmail.html", "ドコモ", "receivers/docomo.html"),
            ("en/index.html", "5.7.26", "replies/gmail.html#"),
            ("en/index.html", "prometheus", "guide/formats.html"),
            ("en/index.html", "no such thing <b>", ""),
        ],
        4,
    ),
)
def test_the_search_finds_from_a_folder(tab: Tab, tmp_path: Path, page: str, question: str, first: str) -> None:
    lang = page.partition("/")[0]
    for name in ("style.css", SCRIPT, f"{lang}/{INDEX}", page):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(site()[name], "utf-8")
    tab.open((tmp_path / page).as_uri())
    tab.run(f"document.querySelector('#search input').value = {json.dumps(question)}")
    tab.run("document.querySelector('#search input').dispatchEvent(new Event('input'))")
    tab.wait_for("document.querySelector('#search [role=status]').textContent !== ''")
    shown = HTMLParser(tab.run("document.documentElement.outerHTML"))
    box = shown.css_first("#search")
    assert "hidden" not in box.attributes
    links = [node.attributes["href"] or "" for node in box.css("li a")]
    if not first:
        assert links == []
        assert "0" in box.css_first("[role=status]").text()
        return
    assert any(first in href for href in links[:3]), links[:5]
    assert target(page, links[0])[0] in site()


@pytest.mark.system
@pytest.mark.parametrize("page", sampled(["index.html", "en/index.html", "ja/rules/SPF-003.html"], 3))
def test_a_browser_takes_the_style_from_a_folder(tab: Tab, tmp_path: Path, page: str) -> None:
    for name in ("style.css", page):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(site()[name], "utf-8")
    tab.open((tmp_path / page).as_uri(), 800, 600)
    assert tab.image().getpixel((2, 590)) == (0xF7, 0xF8, 0xFA), "the colour of the paper"


@pytest.mark.parametrize(("lang", "words"), [("en", "days before this page was generated"), ("ja", "日前")])
def test_a_service_shows_how_long_ago_its_pages_were_read(lang: str, words: str) -> None:
    book = Rulebook(RULES, REPLIES, phrases(lang), TODAY)
    sources = book.service_sources(RULES.knowledge.services["sendgrid"])
    assert sources
    assert [each for each in sources if words not in each.checked] == []
