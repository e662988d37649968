"""`-o report.pdf`: printed by a browser where one is installed, and a clear word where none is."""

from __future__ import annotations

import os
import stat
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from deliverability.cli import main
from deliverability.core.errors import InputError
from deliverability.core.net.browser import NAMES, find_browser, print_pdf
from tests.browser import find_chromium

pytestmark = pytest.mark.long

REPORT = Path("report.pdf")


def browser(folder: Path, body: str, name: str = "chromium") -> Path:
    """A program in place of the browser. `body` sees `printed`, the file to write, and `sys.argv`."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport os, subprocess, sys, time\n"
        'printed = next(each.split("=", 1)[1] for each in sys.argv if each.startswith("--print-to-pdf="))\n' + body,
        "utf-8",
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["demo", *args])
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture(autouse=True)
def _no_browser_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DELIV_CHROMIUM", raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_a_browser_nothing_is_audited_and_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr("deliverability.console.judging.run", lambda *_: pytest.fail("the audit began"))
    assert run("-o", "report.pdf") == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: -o report.pdf: a PDF needs Chromium or Chrome")
    for word in (*NAMES, "DELIV_CHROMIUM", "apt install chromium", "-o report.html"):
        assert word in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_the_first_known_name_on_the_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("google-chrome", "chromium-browser"):
        browser(tmp_path, "", name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_browser(REPORT) == str(tmp_path / "chromium-browser")


def test_a_named_browser_wins_and_has_to_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    browser(tmp_path, "")
    named = browser(tmp_path, "", "my browser")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DELIV_CHROMIUM", str(named))
    assert find_browser(REPORT) == str(named)
    monkeypatch.setenv("DELIV_CHROMIUM", "/gone")
    with pytest.raises(InputError, match=r"-o report.pdf: DELIV_CHROMIUM=/gone is not a program"):
        find_browser(REPORT)


@pytest.mark.parametrize(("user", "sandboxed"), [(0, False), (1000, True)])
def test_only_root_goes_without_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, sandboxed: bool
) -> None:
    fake = browser(tmp_path, 'open(printed, "w").write("\\n".join(sys.argv))')
    monkeypatch.setattr(os, "geteuid", lambda: user)
    said = print_pdf(str(fake), "<p>x", REPORT).decode().splitlines()
    assert ("--no-sandbox" not in said) == sandboxed
    assert "--host-resolver-rules=MAP * ~NOTFOUND" in said
    profile = next(each.split("=", 1)[1] for each in said if each.startswith("--user-data-dir="))
    assert not Path(profile).exists(), "nothing of the profile stays"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('sys.stderr.write("no display\\n\\n"); sys.exit(1)', "chromium produced no PDF: no display"),
        ("sys.exit(3)", "chromium produced no PDF: exit code 3"),
        ('open(printed, "w")', "chromium produced no PDF: exit code 0"),
    ],
)
def test_a_browser_that_fails_is_told(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(InputError) as told:
        print_pdf(str(browser(tmp_path, body)), "<p>x", REPORT)
    assert str(told.value) == f"-o report.pdf: {words}"


def test_a_browser_that_hangs_is_ended_with_its_helpers(tmp_path: Path) -> None:
    helper = 'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])'
    body = f'open("{tmp_path}/helper", "w").write(str({helper}.pid)); time.sleep(60)'
    with pytest.raises(InputError, match=r"took longer than 2 seconds"):
        print_pdf(str(browser(tmp_path, body)), "<p>x", REPORT, seconds=2)
    helper_id = int((tmp_path / "helper").read_text())
    for _ in range(200):
        try:
            state = Path(f"/proc/{helper_id}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the helper still runs")


def test_a_failed_print_leaves_the_report_of_the_last_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    REPORT.write_bytes(b"%PDF of the last run")
    programs = tmp_path / "bin"
    programs.mkdir()
    browser(programs, "sys.exit(1)")
    monkeypatch.setenv("PATH", str(programs))
    assert run("-o", "report.pdf", "-o", "report.json") == 2
    assert "produced no PDF" in capsys.readouterr().err
    assert REPORT.read_bytes() == b"%PDF of the last run"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bin", "report.pdf"]


@pytest.mark.system
@pytest.mark.parametrize(
    ("lang", "words"),
    [("en", ("sakura-shop.example", "Start with these 3 steps")), ("ja", ("sakura-shop.example", "対処"))],
)
def test_the_pdf_has_pages_and_text_that_can_be_copied(
    monkeypatch: pytest.MonkeyPatch, lang: str, words: tuple[str, ...]
) -> None:
    from pypdf import PdfReader

    monkeypatch.setenv("DELIV_CHROMIUM", find_chromium())
    assert run("--lang", lang, "-o", "report.pdf") == 0
    assert REPORT.read_bytes().startswith(b"%PDF-")
    pages = PdfReader(REPORT).pages
    assert 2 <= len(pages) <= 6
    # Glyphs of a shared shape may come back as compatibility characters, and lines break anywhere.
    text = unicodedata.normalize("NFKC", "".join(page.extract_text() for page in pages)).replace("\n", "")
    for word in words:
        assert word in text
