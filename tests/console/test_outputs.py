"""All formats by the command line: one subject and several, both languages, and no influence on the exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deliverability.console.output import Outputs, Target
from deliverability.core.errors import InputError
from deliverability.core.files import WholeFile
from deliverability.core.report.formats.table import FORMAT_OF, FORMATS, PRINTED
from tests.console.test_cli import BOTH, BROKEN, GOOD, GOOD_MAIL, Deliv, deliv
from tests.core.report.test_sarif import refused_by_github
from tests.fixtures_report import speaker
from tests.sampled import sampled
from tests.shown import CASES

pytestmark = pytest.mark.long

__all__ = ["deliv"]

# How a format is read, where a text can be ill-formed.
READERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "csv": lambda text: list(csv.reader(io.StringIO(text, newline=""), strict=True)),
    "sarif": json.loads,
    "junit": lambda text: ElementTree.fromstring(text.encode()),
    "prometheus": lambda text: list(text_string_to_metric_families(text)),
}
ENDINGS = {each.name: each.endings[0] for each in FORMATS}
SUBJECTS = {
    "nothing wrong": (*GOOD, "--select", "SPF-001"),
    "one": BROKEN,
    "several": ("good.example", "broken.example", *BOTH),
}
CODES = {"nothing wrong": 0, "one": 1, "several": 1}
"""How the command leaves for each, whatever it writes."""


def read_as(style: str, text: str) -> object:
    """What the text holds; the text itself where every text is well formed. Raises where it cannot be read."""
    return READERS.get(style, str)(text)


@pytest.mark.parametrize(("subjects", "lang"), [("nothing wrong", "en"), ("one", "ja"), ("several", "en")])
@pytest.mark.parametrize("style", sampled([*PRINTED], 2))
def test_every_format_is_readable_and_leaves_the_exit_code_alone(
    deliv: Deliv, style: str, subjects: str, lang: str
) -> None:
    more = ("--profile", "gmail-senders") if style == "clauses" else ()
    done = deliv("audit", *SUBJECTS[subjects], "--format", style, "--lang", lang, *more)
    assert done.code == CODES[subjects]
    assert done.err == ""
    assert read_as(style, done.out)
    for name in SUBJECTS[subjects][:2]:
        # What is in order gives no result in SARIF.
        if name.endswith(".example") and (style, subjects) != ("sarif", "nothing wrong"):
            assert name in done.out


@pytest.mark.parametrize("style", sampled([*PRINTED], 2))
def test_a_file_holds_what_would_be_printed(deliv: Deliv, style: str) -> None:
    file = Path(f"report{ENDINGS[style]}")
    done = deliv("audit", *BROKEN, "-o", str(file))
    assert done.out == ""
    assert done.err.endswith(f"Wrote {file}\n")
    printed = deliv("audit", *BROKEN, "--format", style).out
    text = file.read_bytes().decode("utf-8")
    if style in ("csv", "clauses"):
        assert text.startswith("\ufeff"), "spreadsheets need it"
        text = text.removeprefix("\ufeff")
    # Two runs differ in their time, and the terminal is wider than a file.
    assert text.splitlines()[0] == printed.splitlines()[0]
    assert read_as(style, text)


def test_the_demo_and_saved_facts_have_all_formats(deliv: Deliv) -> None:
    deliv("facts", *BROKEN, "-o", "facts.json")
    files = [argument for style in PRINTED for argument in ("-o", f"r{ENDINGS[style]}")]
    for command in (("judge", "facts.json"), ("demo",)):
        deliv(*command, *files)
        for style in PRINTED:
            assert read_as(style, Path(f"r{ENDINGS[style]}").read_text("utf-8-sig"))


def test_completion_offers_the_formats(deliv: Deliv) -> None:
    from click.shell_completion import ShellComplete

    from deliverability.cli import deliv as group

    complete = ShellComplete(group, {}, "deliv", "_DELIV_COMPLETE")
    offered = {each.value for each in complete.get_completions(["audit", "--format"], "")}
    assert offered == set(PRINTED)
    assert "docs" in {each.value for each in complete.get_completions([], "do")}


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_report_goes_into_every_kind_of_file(tmp_path: Path, case: str, lang: str) -> None:
    files = {style: tmp_path / f"r{ending}" for style, ending in ENDINGS.items() if style in PRINTED}
    outputs = Outputs(
        [Target(FORMAT_OF[path.suffix], path, lang) for path in files.values()], len(CASES[case]), speaker(lang)
    )
    for report in CASES[case]:
        outputs.report(report)
    outputs.end()
    for style, path in files.items():
        text = path.read_bytes().decode("utf-8")
        assert read_as(style, text.removeprefix("\ufeff"))
        if style not in ("json", "sarif"):  # their escapes are the format's own
            assert not any(char in text for char in "\x00\x1b\u202e")


# --- Files are there whole or not at all ----------------------------------------------------------------------------


def test_a_run_that_is_broken_off_keeps_the_former_report(deliv: Deliv, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("r.json").write_text("the former", "utf-8")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Outputs, "report", stop)
    assert deliv("audit", *GOOD, "-o", "r.json", "-o", "r.txt").code == 130
    assert Path("r.json").read_text("utf-8") == "the former"
    assert [each.name for each in Path().iterdir()] == ["r.json"]


def test_one_bad_file_of_several_leaves_nothing_behind(deliv: Deliv) -> None:
    assert deliv("audit", *GOOD, "-o", "r.json", "-o", "no/r.txt").code == 2
    assert list(Path().iterdir()) == []


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "r.txt")
    file.write(b"half")
    assert not (tmp_path / "r.txt").exists()
    file.write(b" and whole")
    file.keep()
    file.drop()
    assert (tmp_path / "r.txt").read_bytes() == b"half and whole"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_dropped_file_was_never_there(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "r.txt")
    file.write(b"x")
    file.drop()
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_its_file_keeps_its_mode(tmp_path: Path) -> None:
    place, link = tmp_path / "real.txt", tmp_path / "link.txt"
    place.write_text("old", "utf-8")
    place.chmod(0o640)
    link.symlink_to(place)
    file = WholeFile(link)
    file.write(b"new")
    file.keep()
    assert link.is_symlink()
    assert place.read_bytes() == b"new"
    assert stat.S_IMODE(place.stat().st_mode) == 0o640


def test_a_pipe_is_written_as_it_comes(tmp_path: Path) -> None:
    pipe = tmp_path / "r.txt"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    file = WholeFile(pipe)
    file.write(b"x")
    file.keep()
    reader.join(10)
    assert got == [b"x"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_write_protection_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r.txt").write_text("mine", "utf-8")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(InputError, match="Permission denied"):
        Outputs([Target(PRINTED["text"], tmp_path / "r.txt", "en")], 1, speaker())
    assert (tmp_path / "r.txt").read_text("utf-8") == "mine"


def test_both_languages_are_files_that_lead_to_each_other(deliv: Deliv) -> None:
    done = deliv("audit", *BROKEN, "--lang", "both", "-o", "report.html", "-o", "report.json", "-o", "notes.md")
    names = {each.name for each in Path().iterdir()}
    assert {"report.en.html", "report.ja.html", "report.json", "notes.en.md", "notes.ja.md"} <= names
    assert "report.html" not in names
    english, japanese = (Path(f"report.{lang}.html").read_text("utf-8") for lang in ("en", "ja"))
    assert '<html lang="en">' in english
    assert '<a href="report.ja.html" lang="ja" hreflang="ja">日本語</a>' in english
    assert '<html lang="ja">' in japanese
    assert '<a href="report.en.html" lang="en" hreflang="en">English</a>' in japanese
    assert "Wrote report.ja.html" in done.err


def test_one_language_has_no_link_to_another(deliv: Deliv) -> None:
    deliv("audit", *BROKEN, "-o", "report.html")
    assert "hreflang" not in Path("report.html").read_text("utf-8")


@pytest.mark.parametrize("args", [(), ("-o", "report.json"), ("--format", "html")])
def test_both_languages_need_a_file_for_people(deliv: Deliv, args: tuple[str, ...]) -> None:
    done = deliv("audit", *BROKEN, "--lang", "both", *args)
    assert done.code == 2
    assert "--lang both writes one file per language" in done.err


# --- A folder -------------------------------------------------------------------------------------------------------


def test_a_folder_gets_a_page_a_subject_and_a_start_page_that_leads_to_them(deliv: Deliv) -> None:
    done = deliv("audit", "good.example", "broken.example", *BOTH, "-o", "site/")
    assert done.err.endswith("Wrote site/index.html\n")
    assert sorted(each.name for each in Path("site").iterdir()) == [
        "broken.example.html",
        "good.example.html",
        "index.html",
    ]
    start, page = (Path("site", name).read_text("utf-8") for name in ("index.html", "broken.example.html"))
    assert re.findall(r'<a href="([^"#]+)">', start) == ["broken.example.html", "good.example.html"], "worst first"
    assert "How deliv checked this" in page
    assert "How deliv checked this" not in start


def test_in_both_languages_each_page_leads_to_its_twin(deliv: Deliv) -> None:
    deliv("audit", "good.example", "broken.example", *BOTH, "-o", "site/", "--lang", "both")
    for name, twin in (("index", "index.ja"), ("good.example.ja", "good.example")):
        assert f'<a href="{twin}.html" lang=' in Path("site", f"{name}.html").read_text("utf-8")
    assert '<a href="good.example.ja.html">' in Path("site", "index.ja.html").read_text("utf-8")


def test_two_messages_of_a_domain_have_two_pages(deliv: Deliv) -> None:
    Path("again.eml").write_bytes(Path(GOOD_MAIL[1]).read_bytes())
    deliv("audit", *GOOD, *GOOD_MAIL, "--eml", "again.eml", "-o", "site/")
    assert {"good.example.html", "good.example-2.html", "index.html"} == {each.name for each in Path("site").iterdir()}


def test_a_folder_without_its_slash_and_one_that_cannot_be_made_are_told(deliv: Deliv) -> None:
    Path("site").mkdir()
    done = deliv("audit", *GOOD, "-o", "site")
    assert (done.code, done.err) == (
        2,
        "Error: --output site is a folder; specify a file in it, or end the name with a slash for a page per subject\n",
    )
    Path("file").touch()
    assert deliv("audit", *GOOD, "-o", "file/site/").code == 2


def places_of(text: str) -> set[tuple[str, int]]:
    """Where the results of a SARIF log are."""
    assert refused_by_github(json.loads(text)["runs"][0]) == []
    physical = [
        location["physicalLocation"]
        for result in json.loads(text)["runs"][0]["results"]
        for location in result["locations"]
    ]
    return {(each["artifactLocation"]["uri"], each["region"]["startLine"]) for each in physical}


def test_each_result_is_where_the_settings_name_its_domain(
    deliv: Deliv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mail").mkdir()
    settings = tmp_path / "mail" / "deliv.toml"
    settings.write_text('domains = [\n "one.example",\n]\n\n[[domain]]\nname = "two.example"\n')
    domains = ("one.example", "two.example", "three.example")
    for named in ("mail/deliv.toml", str(settings)):
        done = deliv("audit", *domains, "--offline", "--config", named, "--format", "sarif")
        found = places_of(done.out)
        assert {place for place in found if not place[0].startswith("dns/")} == {
            ("mail/deliv.toml", 2),
            ("mail/deliv.toml", 6),
        }
        assert ("dns/three.example/TXT", 1) in found


def test_results_about_a_message_are_in_its_file(deliv: Deliv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.eml").write_text("From: ann@one.example\n\nhello\n")
    done = deliv("audit", "--eml", "a b.eml", "--offline", "--format", "sarif")
    assert places_of(done.out) == {("a%20b.eml", 1)}


def test_results_about_a_record_are_at_its_line(deliv: Deliv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "one.example.zone").write_text(
        "$ORIGIN one.example.\n"
        "@ 60 IN SOA ns h 1 1 1 1 1\n"
        "@ 60 IN NS ns\n"
        "@ 60 IN MX 10 mx\n"
        "mx 60 IN A 192.0.2.1\n"
        '@ 60 IN TXT "verification=1"\n'
        "; a remark\n"
        '@ 60 IN TXT "v=spf1 +all"\n'
        '_dmarc 60 IN TXT "v=DMARC1; p=rejct"\n'
    )
    (tmp_path / "two.example.yaml").write_text(
        "? ''\n"
        ": - type: TXT\n"
        "    value: v=spf1 +all\n"
        "  - type: MX\n"
        "    value: {exchange: mx.two.example., preference: 10}\n"
    )
    for zone in ("zones/one.example.zone", "zones", str(tmp_path / "zones")):
        done = deliv("audit", "one.example", "--zone", zone, "--format", "sarif")
        found = {
            (result["ruleId"].partition("-")[0], place["artifactLocation"]["uri"], place["region"]["startLine"])
            for result in json.loads(done.out)["runs"][0]["results"]
            for place in [result["locations"][0]["physicalLocation"]]
        }
        assert refused_by_github(json.loads(done.out)["runs"][0]) == []
        assert ("SPF", "zones/one.example.zone", 8) in found
        assert ("DMARC", "zones/one.example.zone", 9) in found
    done = deliv("audit", "two.example", "--zone", "two.example.yaml", "--format", "sarif")
    assert ("two.example.yaml", 3) in places_of(done.out)
