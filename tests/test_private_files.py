"""What is written about domains and mail is for the user alone, unless they say otherwise."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.console.test_cli import GOOD, Deliv, deliv

pytestmark = pytest.mark.long

__all__ = ["deliv"]


@pytest.fixture(autouse=True)
def usual_mask() -> None:
    """That of most systems, under which files are readable by everybody."""
    os.umask(0o022)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_recording(deliv: Deliv) -> None:
    assert deliv("audit", *GOOD, "--record", "answers.json").code == 0
    assert mode(Path("answers.json")) == 0o600


def test_the_files_of_a_fleet(deliv: Deliv) -> None:
    Path("list.txt").write_text("good.example\n")
    assert deliv("fleet", "run", "list.txt", "--output", "out", *GOOD[1:], "--workers", "1").code in (0, 3)
    assert deliv("fleet", "query", "out", "SELECT count(*) FROM domains").code == 0
    modes = {str(each): mode(each) for each in (Path("out"), *Path("out").rglob("*"))}
    # What lies in a folder that nobody else may enter cannot be read by anybody else.
    assert {each: oct(found) for each, found in modes.items() if found & 0o077 and "tables/" not in each} == {}
    assert mode(Path("out/manifest.sqlite3")) == 0o600


def test_metrics_stay_as_the_user_has_them(deliv: Deliv) -> None:
    Path("deliv.toml").write_text('domains = ["good.example"]\n[notify]\nprometheus = "deliv.prom"\n')
    assert deliv("weekly", *GOOD[1:]).code in (0, 1)
    assert mode(Path("deliv.prom")) == 0o644, "the exporter may read it"
    Path("deliv.prom").chmod(0o640)
    assert deliv("weekly", *GOOD[1:]).code in (0, 1)
    assert mode(Path("deliv.prom")) == 0o640, "as the user set it"


def test_metrics_are_for_the_exporter_under_a_strict_mask_too(deliv: Deliv) -> None:
    os.umask(0o077)
    Path("deliv.toml").write_text('domains = ["good.example"]\n[notify]\nprometheus = "deliv.prom"\n')
    assert deliv("weekly", *GOOD[1:]).code in (0, 1)
    assert mode(Path("deliv.prom")) == 0o644


def test_no_notify_names_what_it_leaves_out(deliv: Deliv) -> None:
    webhook = '[notify.webhook]\nurl = "https://hooks.example/deliv"\n'
    Path("deliv.toml").write_text(f'domains = ["good.example"]\n[notify]\nprometheus = "deliv.prom"\n{webhook}')
    quiet = deliv("weekly", *GOOD[1:], "--no-notify")
    assert quiet.code in (0, 1)
    assert "Not sent or written (--no-notify): the webhook and the metrics in deliv.prom." in quiet.err
    assert not Path("deliv.prom").exists()
    Path("deliv.toml").write_text('domains = ["good.example"]\n')
    assert "--no-notify" not in deliv("weekly", *GOOD[1:], "--no-notify").err, "nothing was left out"
