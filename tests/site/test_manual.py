"""The manual page and the completion: made from the commands, and current."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import click
import pytest

from deliverability.cli import COMMANDS, SHELLS
from deliverability.cli import deliv as program
from deliverability.console.language import Language
from deliverability.fleet.command import COMMANDS as OF_FLEET
from deliverability.fleet.command import command as fleet
from deliverability.site.command import _text, manual
from tests import ROOT
from tests.console.test_cli import Deliv, deliv  # noqa: F401 - a fixture

pytestmark = pytest.mark.long


@pytest.mark.parametrize(("lang", "file"), [("en", "deliv.1"), ("ja", "deliv.ja.1")])
def test_the_manual_page_is_current(lang: str, file: str) -> None:
    assert (ROOT / "docs" / "man" / file).read_text("utf-8") == manual(program, lang), "run `make docs`"


def test_the_manual_page_holds_every_command_and_option_and_speaks_the_language_of_the_run(
    deliv: Deliv,  # noqa: F811
) -> None:
    text = deliv("docs", "--man").out
    for name in COMMANDS:
        assert f'.SS "deliv {_text(name)} ' in text
        command = program.get_command(click.Context(program), name)
        assert command is not None
        for option in (each for each in command.params if isinstance(each, click.Option)):
            assert _text(max(option.opts, key=len)) in text
    assert "\\-h, \\-\\-help" in text
    assert deliv("docs", "--man", "--lang", "ja").out == manual(program, "ja")
    assert deliv("docs", "--man", "--schema").code == 2


@pytest.mark.parametrize(
    ("text", "roff"),
    [("a-b", "a\\-b"), (".x\n'y", "\\&.x\n\\&'y"), ("\\n", "\\en"), ('"q" `c`', "\\(dqq\\(dq \\(gac\\(ga")],
)
def test_nothing_in_a_text_is_a_command_of_roff(text: str, roff: str) -> None:
    assert _text(text) == roff


@pytest.mark.system
@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed (Debian: apt-get install groff-base)")
def test_the_manual_page_is_read_without_a_warning() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(ROOT / "docs" / "man" / "deliv.1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


# --- completion ---


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_gets_its_script(deliv: Deliv, shell: str) -> None:  # noqa: F811
    done = deliv("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_DELIV_COMPLETE" in done.out


def test_a_shell_that_is_not_known_is_refused(deliv: Deliv) -> None:  # noqa: F811
    assert "'csh' is not one of bash, zsh, fish" in deliv("completion", "csh").err


def completed(words: str, at: int, lang: str = "C.UTF-8") -> list[list[str]]:
    """What zsh is offered: value and meaning by turns, each after its kind."""
    done = subprocess.run(
        [sys.executable, "-c", "from deliverability.cli import main; main()"],
        env={
            "PYTHONPATH": str(ROOT),
            "_DELIV_COMPLETE": "zsh_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(at),
            "LC_ALL": lang,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    return [lines[number : number + 3] for number in range(0, len(lines), 3)]


def test_commands_options_and_values_are_completed_with_their_meaning() -> None:
    explain = "Explain a bounce or an SMTP reply, and what to do about it."
    assert ["plain", "explain", explain] in completed("deliv ", 1)
    assert ["plain", "--helo", "HELO/EHLO name of the sending host."] in completed("deliv audit --he", 2)
    assert ["plain", "--helo", "送信ホストのHELO/EHLO名"] in completed("deliv audit --he", 2, "ja_JP.UTF-8")
    assert [each[1] for each in completed("deliv audit --purpose ", 3)] == ["users", "bulk", "transactional", "parked"]
    assert [each[0] for each in completed("deliv audit --zone ", 3)] == ["file"]


LOADED = """
import atexit, json, sys
from deliverability.cli import main
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
main()"""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "at", "home", "names"),
    [("deliv ", 1, "cli", COMMANDS), ("deliv fleet ", 2, "cli.fleet", OF_FLEET)],
    ids=["deliv", "fleet"],
)
def test_completing_commands_loads_none_of_them(
    shell: str, words: str, at: int, home: str, names: tuple[str, ...]
) -> None:
    place = {"COMP_WORDS": words, "COMP_CWORD": "" if shell == "fish" else str(at)}
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        env={"PYTHONPATH": str(ROOT), "_DELIV_COMPLETE": f"{shell}_complete", **place},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(name in done.stdout for name in names), "each command is offered"
    modules = {f"deliverability.{home}.{name.replace('-', '_')}" for name in names} - {fleet.callback.__module__}  # type: ignore[union-attr]
    assert modules & set(json.loads(done.stderr)) == set()


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("incomplete", ["", "f", "warm-", "-", "--l", "zz"])
@pytest.mark.parametrize("group", [program, fleet], ids=["deliv", "fleet"])
def test_completing_commands_offers_what_click_does_that_loads_them_all(
    group: click.Group, incomplete: str, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIV_LANG", lang)
    top = click.Context(program, info_name="deliv", obj=Language([]))
    with top, click.Context(group, top, "fleet") if group is fleet else top as context:
        ours = group.shell_complete(context, incomplete)
        theirs = click.Group.shell_complete(group, context, incomplete)
    assert [(each.value, each.help, each.type) for each in ours] == [
        (each.value, each.help, each.type) for each in theirs
    ]
