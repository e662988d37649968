"""The rules as a static site: complete in both languages, every link leads somewhere, and it needs nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from deliverability import __version__
from deliverability.cli.docs import command
from deliverability.knowledge import shipped
from deliverability.render.json import SCHEMA
from deliverability.render.site import pages
from deliverability.runs.rules import load_rules, rule_folders
from deliverability.words.glossary import load_glossary
from tests.browser import browse, find_chromium

RULES = load_rules()
TERMS = load_glossary(rule_folders())
SITE = dict(pages(RULES, TERMS, __version__))
PARSED = {name: HTMLParser(text) for name, text in SITE.items() if name.endswith(".html")}
LANGUAGES = ("en", "ja")


def target(page: str, href: str) -> tuple[str, str]:
    """The file and the anchor that a relative link of a page leads to."""
    parts: list[str] = []
    path, _, anchor = href.partition("#")
    for part in PurePosixPath(page).parent.joinpath(path).parts if path else PurePosixPath(page).parts:
        if part == "..":
            assert parts, f"{page}: {href} leaves the site"
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts), anchor


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_rule_and_receiver_has_its_page(lang: str) -> None:
    names = {name for name in SITE if name.startswith(f"{lang}/")}
    wanted = {f"{lang}/rules/{ident}.html" for ident in RULES.rules}
    wanted |= {f"{lang}/receivers/{ident}.html" for ident in RULES.receivers}
    wanted |= {f"{lang}/{page}.html" for page in ("index", "glossary", "verdicts", "services", "receivers/index")}
    assert names == wanted


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_service_is_told_with_how_its_sources_were_read(lang: str) -> None:
    page = PARSED[f"{lang}/services.html"]
    assert {node.attributes["id"] for node in page.css("section[id]")} == set(shipped().services)
    forms = {
        "sendgrid": {"en": "undated copy, read 2026-11-25", "ja": "日付のない写し、2026-11-25に確認"},
        "zendesk": {"en": "through a third party, 2026-11-25", "ja": "第三者の資料を通じて2026-11-25に確認"},
        "spiral": {"en": "copy of 2023-02-28", "ja": "2023-02-28の写し"},
        "mailgun": {"en": "not read again", "ja": "再確認なし"},
    }
    for ident, words in forms.items():
        assert words[lang] in page.css(f"#{ident}")[0].text()


def test_every_link_leads_somewhere() -> None:
    ids = {name: {node.attributes["id"] for node in page.css("[id]")} for name, page in PARSED.items()}
    for name, page in PARSED.items():
        for node in page.css("a[href], link[href]"):
            href = node.attributes["href"] or ""
            if urlsplit(href).scheme:
                assert href.startswith(("https://", "http://")), (name, href)
                continue
            assert not href.startswith("/"), (name, href)
            file, anchor = target(name, href)
            assert file in SITE, f"{name} links to {href}"
            assert not anchor or anchor in ids[file], f"{name} links to {href}"


def test_every_page_can_be_reached() -> None:
    seen, left = {"index.html"}, ["index.html"]
    while left:
        name = left.pop()
        for node in PARSED[name].css("a[href]"):
            href = node.attributes["href"] or ""
            if not urlsplit(href).scheme and (file := target(name, href)[0]) in PARSED and file not in seen:
                seen.add(file)
                left.append(file)
    assert seen == set(PARSED)


def test_every_page_says_its_language_and_title_and_repeats_no_id() -> None:
    titles = Counter()
    for name, page in PARSED.items():
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
    for name, page in PARSED.items():
        lang, _, rest = name.partition("/")
        if rest:
            other = "ja" if lang == "en" else "en"
            link = page.css_first("a.language")
            assert link is not None
            assert target(name, link.attributes["href"] or "")[0] == f"{other}/{rest}"


def test_no_page_runs_a_script_or_loads_anything_but_its_style() -> None:
    for name, page in PARSED.items():
        assert page.css("script, img, iframe, object, form, [onclick], [src]") == [], name
        (sheet,) = page.css("link[rel=stylesheet]")
        assert (sheet.attributes["href"] or "").endswith("style.css")
        policy = page.css_first("meta[http-equiv=Content-Security-Policy]")
        assert policy is not None
        assert (policy.attributes["content"] or "").startswith("default-src 'none'")
    assert "url(" not in SITE["style.css"]
    assert "@import" not in SITE["style.css"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_rule_page_says_what_the_rule_says(lang: str) -> None:
    rule = RULES.rules["SPF-003"]
    text = PARSED[f"{lang}/rules/SPF-003.html"].text()
    flat = " ".join(text.split())
    assert "item.lookups le 10" in flat
    assert " ".join(rule.text[lang].why.split())[:40] in flat
    assert "RFC 7208" in flat
    assert RULES.sources["rfc7208"].checked in flat


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_receiver_page_shows_codes_dates_and_both_readings(lang: str) -> None:
    for ident, receiver in RULES.receivers.items():
        page = PARSED[f"{lang}/receivers/{ident}.html"]
        text = page.text()
        said = [each for several in receiver.rules.values() for each in several]
        assert len(page.css(".treats > li")) == len(said)
        for statement in said:
            assert all(code in text for code in statement.codes)
            assert statement.since in text
            assert statement.note.get(lang, "") in text


@pytest.mark.parametrize(
    ("lang", "small", "condition"),
    [("en", "small senders only", "applies when:"), ("ja", "大量送信者以外のみ", "適用条件：")],
)
def test_a_statement_says_for_whom_and_under_which_condition_it_counts(lang: str, small: str, condition: str) -> None:
    """Gmail asks small senders for alignment only where no DMARC record says what to do without it."""
    treated = [
        node.text() for node in PARSED[f"{lang}/rules/ALN-001.html"].css(".treats > li") if "Gmail" in node.text()
    ]
    assert any(small in text and condition in text and "dmarc.present eq false" in text for text in treated)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_combination_names_its_members_and_no_statements_of_its_own(lang: str) -> None:
    strict = RULES.receivers["strict"]
    page = PARSED[f"{lang}/receivers/strict.html"]
    assert all(RULES.receivers[each].name[lang] in page.text() for each in strict.combines)
    assert page.css(".treats") == []
    listed = {node.css_first("a").text(): node for node in PARSED[f"{lang}/receivers/index.html"].css(".choose li")}
    assert listed[strict.name[lang]].css("small") == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_index_filters_by_topic_without_script(lang: str) -> None:
    page = PARSED[f"{lang}/index.html"]
    topics = {rule.topic for rule in RULES.rules.values()}
    assert len(page.css("fieldset input[type=radio]")) == len(topics) + 1
    assert len(page.css("section.topic")) == len(topics)
    rows = page.css("section.topic li > a")
    assert Counter(node.text() for node in rows) == dict.fromkeys(RULES.rules, 1)


def test_the_command_writes_it_with_the_rules_of_a_user(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["-o", str(tmp_path / "new" / "site")], standalone_mode=False)
    assert done.exception is None
    written = {path.relative_to(tmp_path / "new/site").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(SITE)


def test_the_command_prints_the_schema() -> None:
    done = CliRunner().invoke(command, ["--schema"], standalone_mode=False)
    assert done.output == SCHEMA.read_text("utf-8") == SITE[SCHEMA.name]


@pytest.mark.parametrize("args", [[], ["--schema", "-o", "x"]])
def test_it_wants_to_know_what_to_do(args: list[str]) -> None:
    assert CliRunner().invoke(command, args).exit_code == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file", "utf-8")
    done = CliRunner().invoke(command, ["-o", str(tmp_path / "site" / "inside")])
    assert done.exit_code == 1
    assert "site" in done.output


@pytest.mark.system
@pytest.mark.parametrize("page", ["index.html", "en/index.html", "ja/rules/SPF-003.html"])
def test_a_browser_takes_the_style_from_a_folder(tmp_path: Path, page: str) -> None:
    from PIL import Image

    for name in ("style.css", page):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SITE[name], "utf-8")
    picture = tmp_path / "page.png"
    browse(find_chromium(), tmp_path, tmp_path / page, f"--screenshot={picture}", "--window-size=800,600")
    with Image.open(picture) as image:
        assert image.convert("RGB").getpixel((2, 590)) == (0xF7, 0xF8, 0xFA), "the colour of the paper"
