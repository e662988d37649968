"""Which language a run speaks, and that everything people read has words in both."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from deliverability.cli import COMMANDS, GROUPS
from deliverability.cli import deliv as program
from deliverability.console.command import _option_groups, flowed
from deliverability.console.language import Language
from deliverability.console.options import OPTION_GROUPS
from deliverability.console.types import called
from deliverability.core.phrases import LANGUAGES, help_words, placeholders
from deliverability.fleet.command import COMMANDS as FLEET
from tests.console.test_cli import BROKEN, GOOD, Deliv, deliv  # noqa: F401 - a fixture

JAPANESE = re.compile(r"[぀-ヿ㐀-鿿]")
PAGE = (
    *("usage", "commands", "options", "default", "manual", "name", "synopsis", "description", "both", "list"),
    *(f"group.{name}" for name in GROUPS),
    *OPTION_GROUPS,
)


@pytest.mark.parametrize(
    ("args", "settings", "environment", "people", "programs"),
    [
        ([], "", {}, "en", "en"),
        ([], "", {"LANG": "ja_JP.UTF-8"}, "ja", "en"),
        ([], "", {"LANG": "ja"}, "ja", "en"),
        ([], "", {"LANG": "jam_JM"}, "en", "en"),
        ([], "", {"LC_MESSAGES": "ja_JP.UTF-8", "LANG": "en_US.UTF-8"}, "ja", "en"),
        ([], "", {"LC_ALL": "C", "LC_MESSAGES": "ja_JP", "LANG": "ja_JP"}, "en", "en"),
        ([], "", {"LC_ALL": "", "LANG": "ja_JP"}, "ja", "en"),
        ([], "", {"DELIV_LANG": "en", "LC_ALL": "ja_JP"}, "en", "en"),
        ([], "", {"DELIV_LANG": "ja", "LC_ALL": "en_US"}, "ja", "en"),
        ([], "", {"DELIV_LANG": "fr", "LANG": "ja_JP"}, "ja", "en"),
        ([], "en", {"DELIV_LANG": "ja"}, "en", "en"),
        ([], "ja", {}, "ja", "ja"),
        (["audit", "--lang", "ja"], "en", {}, "ja", "ja"),
        (["audit", "--lang=ja"], "en", {}, "ja", "ja"),
        (["audit", "--lang", "xx"], "ja", {}, "ja", "ja"),
        (["--lang", "ja", "audit", "--lang", "en"], "", {}, "en", "en"),
    ],
)
def test_the_order_in_which_a_language_is_looked_for(
    args: list[str],
    settings: str,
    environment: dict[str, str],
    people: str,
    programs: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DELIV_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if settings:
        Path("deliv.toml").write_text(f'lang = "{settings}"\nselectrs = 1\n')
    found = Language(args)
    assert (found.people, found.programs) == (people, programs)


def test_the_settings_that_are_named_count_and_not_those_that_lie_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deliv.toml").write_text('lang = "ja"\n')
    Path("other.toml").write_text('lang = "en"\n')
    Path("broken.toml").write_text("lang = [\n")
    assert Language(["audit", "--config", "other.toml"]).people == "en"
    assert Language(["audit", "--config=broken.toml"]).people == "en"
    assert Language(["audit"]).people == "ja"


def test_people_are_spoken_to_in_the_language_of_the_machine_and_programs_are_not(
    deliv: Deliv,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    english = deliv("audit", *BROKEN, "--format", "sarif").out
    asked = deliv("audit", *BROKEN, "--format", "sarif", "--lang", "ja").out
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    done = deliv("audit", *BROKEN, "--format", "sarif", "-o", "r.md")
    told = [re.search(r'"language": "(..)"', each)[1] for each in (english, asked, done.out)]  # type: ignore[index]
    assert told == ["en", "ja", "en"]
    assert done.err == "書き出しました：r.md\n"
    assert JAPANESE.search(Path("r.md").read_text("utf-8"))
    assert JAPANESE.search(deliv("audit", *GOOD).out)
    assert deliv("audit", *GOOD, "--purpose", "spam").err.startswith("エラー：--purpose：「spam」は")
    assert deliv("adit").err == "エラー：コマンド「adit」はありません。「audit」の誤りではありませんか\n"


# --- Japanese as it is printed ---

CODEC = b'lang = "ja"\n# \x83\x81\x81\x5b\x83\x8b\n'
"""A comment in Shift_JIS, as an editor in Japan may save it."""
PRINTED = {
    "the terms of a blocklist": (("blocklists", "spamhaus-zen"), "（日付のない保存版、"),
    "the conditions of a rule": (("rules", "GATE-001"), "適用条件：("),
    "the effort of a rule": (("rules", "GATE-001"), "作業の目安："),
    "the kind of a key": (("dkim-keygen", "example.com"), "秘密鍵（RSA、2048ビット）"),
    "a receiver that is not known": (("handout", "--receiver", "icluod"), "--receiver：「icluod」は指定できません"),
    "what is no report": (("show-report", "picture.png"), "picture.png：受信側からの"),
    "a mistake in a zone": (("audit", "a.example", "--zone", "a.zone"), "a.zone:3：ゾーンファイルに誤りがあります（"),
    "the endings of files": (("demo", "--help"), ".txt、.json、.html、"),
    "settings that are not UTF-8": (("weekly", "--config", "sjis.toml"), "sjis.toml：UTF-8のテキストではありません"),
    "facts that are not UTF-8": (("judge", "sjis.toml"), "sjis.toml：UTF-8のテキストではありません"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_japanese_has_its_own_marks_and_no_words_of_a_library(
    deliv: Deliv,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DELIV_LANG", "ja")
    Path("sjis.toml").write_bytes(CODEC)
    Path("a.zone").write_text('$ORIGIN a.example.\n@ 60 IN MX 10 mx\n@ 60 IN TXT "v=spf1 -all\n')
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    args, said = PRINTED[name]
    done = deliv(*args)
    text = done.out + done.err
    assert said in text
    assert not re.search(r"[぀-ヿ㐀-鿿] ?\(|[぀-ヿ㐀-鿿：]: |codec|Invalid value", text)


# --- help ---


def commands(group: click.Group = program, above: str = "") -> dict[str, click.Command]:
    """Every command by the name of its help: those of a group after its own."""
    found: dict[str, click.Command] = {} if above else {"deliv": program}
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found[above + name] = command
        if isinstance(command, click.Group):
            found |= commands(command, f"{above}{name}-")
    return found


def keys() -> set[str]:
    """What help asks for, by its commands and options."""
    words, wanted = help_words("en"), {f"page.{each}" for each in PAGE}
    # A command keeps the help option it is first asked for: without that of the program it would lose `-h` for good.
    above = program.make_context("deliv", [], resilient_parsing=True)
    for name, command in commands().items():
        wanted |= {f"{name}.short", f"{name}.text"}
        for each in command.get_params(click.Context(command, parent=above)):
            if isinstance(each, click.Option):
                option = called(each).removeprefix("--")
                own = f"{name}.options.{option}"
                wanted.add(own if own in words else f"common.{option}")
    return wanted


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_command_and_option_has_its_help_and_no_help_lies_idle(lang: str) -> None:
    assert help_words(lang).texts.keys() == keys()


def test_help_has_the_same_placeholders_and_examples_in_both_languages() -> None:
    english, japanese = (help_words(lang).texts for lang in LANGUAGES)
    for key, text in english.items():
        assert placeholders(text) == placeholders(japanese[key]), key
        assert examples(text) == examples(japanese[key]), key
        if not key.startswith("page."):
            assert JAPANESE.search(japanese[key]), key


def examples(text: str) -> int:
    return sum(line.startswith("  ") for line in text.splitlines())


def test_no_option_carries_words_of_its_own() -> None:
    own = [each.help for command in commands().values() for each in command.params if isinstance(each, click.Option)]
    assert {each for each in own if each} == {"Show the version and exit."}, "click's"


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", ["", *COMMANDS, *(f"fleet {name}" for name in FLEET)])
@pytest.mark.parametrize("width", [40, 100])
def test_help_fits_the_terminal_and_shows_every_option(
    deliv: Deliv,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    lang: str,
    name: str,
    width: int,
) -> None:
    from wcwidth import wcswidth

    monkeypatch.setenv("COLUMNS", str(width))
    done = deliv(*name.split(), "--help", "--lang", lang)
    assert (done.code, done.err) == (0, "")
    assert bool(JAPANESE.search(done.out)) is (lang == "ja")
    for each in commands()[name.replace(" ", "-") or "deliv"].params:
        if isinstance(each, click.Option):
            assert re.search(rf"(^|\s){re.escape(called(each))}\b", done.out)
    if width == 100:
        wide = [line for line in done.out.splitlines() if wcswidth(line) > width]
        assert [line for line in wide if not line.startswith("    ") and "--" not in line] == []


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.endswith((":", "：")) and not line.startswith(" ")]


def test_commands_stand_in_groups_by_what_they_are_for(deliv: Deliv) -> None:  # noqa: F811
    assert headings(deliv("--help").out) == [
        *("Audit:", "Fix:", "Every week:", "DMARC reports:", "Bounces and lists:", "Test sends:", "Fleets:", "Set up:"),
        "Options:",
    ]
    assert headings(deliv("--help", "--lang", "ja").out)[:3] == ["診断：", "修正：", "週次の診断："]


def test_many_options_stand_in_groups_and_a_few_in_one_list(deliv: Deliv) -> None:  # noqa: F811
    audit = headings(deliv("audit", "--help").out)
    assert audit == ["Options:", "About your mail:", "DNS and network:", "Checks:", "Output:", "General:"]
    assert headings(deliv("handout", "--help").out) == ["Options:"]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("init", "--probe-unsubscribe"),
        ("init", "--record"),
        ("init", "--config"),
        ("intake", "--probe-smtp"),
        ("intake", "--with"),
        ("weekly", "--record"),
    ],
)
def test_a_command_offers_no_option_that_it_cannot_use(deliv: Deliv, command: str, option: str) -> None:  # noqa: F811
    assert f"  {option} " not in deliv(command, "--help").out
    assert f"there is no option {option}" in deliv(command, option, "x").err.lower()


def test_only_reports_are_offered_in_both_languages(deliv: Deliv) -> None:  # noqa: F811
    for name in ("audit", "demo", "judge"):
        assert "--lang [en|ja|both]" in deliv(name, "--help").out
    for name in ("contact", "fix", "weekly", "init", "doctor", "handout"):
        shown = deliv(name, "--help").out
        assert "--lang [en|ja]" in shown
        assert "both," not in shown.partition("--lang")[2]


def test_the_help_of_a_command_names_the_endings_that_it_writes(deliv: Deliv) -> None:  # noqa: F811
    for name, endings in (("contact", ".txt, .md, .html or .json"), ("fleet report", ".html, .json or .csv")):
        shown = " ".join(deliv(*name.split(), "--help").out.split())
        assert endings in shown
        assert ".sarif" not in shown


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_option_names_its_default_twice(lang: str) -> None:
    words, twice = help_words(lang), []
    mark = words("page.default", value="").strip("]］ ")
    for name, command in commands().items():
        groups = _option_groups(click.Context(command), words)
        twice += [(name, term) for group in groups for term, text in group.rows if text.count(mark) > 1]
    assert twice == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_command_of_one_file_promises_no_other_formats(deliv: Deliv, lang: str) -> None:  # noqa: F811
    """What `-o` takes is told for each command; the endings of reports only where reports are written."""
    shown = deliv("seeds", "matrix", "--help", "--lang", lang).out
    assert ".pdf" not in shown
    assert "DIR/" not in shown


def test_a_paragraph_in_japanese_has_no_blank_where_its_line_breaks() -> None:
    assert flowed("DOMAINがなければ、\n-を指定します。\nFrom\nTo") == "DOMAINがなければ、-を指定します。From To"


def test_the_usage_line_of_a_command(deliv: Deliv) -> None:  # noqa: F811
    assert deliv("audit", "-h").out.splitlines()[0] == "Usage: deliv audit [OPTIONS] [DOMAIN]..."
    assert deliv("audit", "-h", "--lang", "ja").out.splitlines()[0] == "使い方：deliv audit [OPTIONS] [DOMAIN]..."


def test_deliv_alone_shows_what_there_is(deliv: Deliv) -> None:  # noqa: F811
    done = deliv()
    assert done.code == 2
    assert all(re.search(rf"^  {name} ", done.err, re.MULTILINE) for name in COMMANDS)


def test_the_check_of_settings_lists_all_that_is_wrong(deliv: Deliv) -> None:  # noqa: F811
    Path("deliv.toml").write_text(
        'domains = ["example"]\nreceivers = ["gmial"]\nsending_ips = ["192.0.2.0/24"]\n'
        '[[waiver]]\nrule = "SPF-03"\nreason = "accepted-risk"\n[[domain]]\nname = "a b"\nselectors = ["../.."]\n'
    )
    done = deliv("config", "--check")
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert [re.search(r"deliv\.toml:(\d+): ", line)[1] for line in lines] == ["1", "2", "3", "5", "8", "9"]  # type: ignore[index]
    assert "did you mean SPF-0" in lines[3]
    assert deliv("--lang", "ja", "config").err.startswith("エラー：deliv.toml:1：「example」はドメインでは")


def test_the_check_of_settings_that_are_not_there(deliv: Deliv) -> None:  # noqa: F811
    done = deliv("config", "--check")
    assert (done.code, done.err) == (2, "Error: deliv.toml: no such file; `deliv init DOMAIN` writes one\n")


def test_settings_that_are_good_are_counted(deliv: Deliv) -> None:  # noqa: F811
    Path("deliv.toml").write_text('domains = ["good.example"]\n')
    assert deliv("config").out == "deliv.toml: valid (1 domain, 0 sample messages)\n"
    assert deliv("config", "--lang", "ja").out == "deliv.toml：問題ありません（ドメイン1件、サンプルのメール0件）\n"
    assert json.loads(deliv("config", "--schema").out)["title"] == "deliv.toml"
