"""What is built into an installation: licences that were looked at, versions of Python that were tested."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import ROOT
from tests.corpus import SUITES


def ci(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci" / script), *arguments], capture_output=True, text=True, cwd=ROOT
    )


def test_every_licence_was_looked_at_and_is_listed() -> None:
    ran = ci("licences.py", "--check")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_copyleft_is_named_apart() -> None:
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    apart, _, rest = page.partition("## Permissive")
    assert {"psycopg", "pygal", "python-crontab", "certifi", "publicsuffixlist"} <= set(
        re.findall(r"(?m)^\| (\S+)", apart)
    )
    assert not re.search("GPL|MPL", rest)


def test_a_licence_that_nobody_looked_at_is_an_error(tmp_path: Path) -> None:
    """The same check over a lock file that names a package whose licence is not known here."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / ".ci" / "licences.py").write_text((ROOT / ".ci" / "licences.py").read_text("utf-8"), "utf-8")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8"), "utf-8")
    (tmp_path / "requirements.lock").write_text("click==8.2.0\nno-such-package==1.0\n", "utf-8")
    ran = subprocess.run(
        [sys.executable, str(tmp_path / ".ci" / "licences.py"), "--check"], capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert "no-such-package" in ran.stderr
    assert "click" not in ran.stderr


def test_versions_of_python_are_declared_as_far_as_the_ci_tests_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = re.findall(r"Programming Language :: Python :: (3\.\d+)", " ".join(project["classifiers"]))
    tested = re.search(r'(?m)^PYTHONS="([^"]*)"', (ROOT / ".ci" / "run").read_text("utf-8"))
    assert tested is not None
    assert declared == tested[1].split()
    assert project["requires-python"] == f">={declared[0]}"


FAULTY = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}]}
SOUND = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}


@pytest.mark.parametrize(
    ("printed", "code", "words"),
    [
        ("", 0, "Known faults in dependencies were not looked up: the advisories cannot be reached"),
        (json.dumps(SOUND), 0, "1 packages, 0 known faults"),
        (json.dumps(FAULTY), 1, "a 1: PYSEC-1 (mended in 2)"),
    ],
    ids=["no network", "sound", "faulty"],
)
def test_advisories_fail_the_lint_only_where_they_could_be_read(
    tmp_path: Path, printed: str, code: int, words: str
) -> None:
    """With a stand-in for the environment that holds pip-audit."""
    (tmp_path / ".ci").mkdir()
    python = tmp_path / ".venv-advisories" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nprintf '%s' '{printed}'\nexit 1\n", "utf-8")
    python.chmod(0o755)
    for name in ("advisories.py", "advisories.lock"):
        shutil.copy(ROOT / ".ci" / name, tmp_path / ".ci")
    shutil.copy(ROOT / ".ci" / "advisories.lock", tmp_path / ".venv-advisories" / ".installed")
    ran = subprocess.run([sys.executable, str(tmp_path / ".ci" / "advisories.py")], capture_output=True, text=True)
    assert ran.returncode == code
    assert words in ran.stdout + ran.stderr


def test_what_is_built_leaves_the_suites_out() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert "tests" not in targets["wheel"]["only-include"]
    assert targets["sdist"]["exclude"] == ["tests/suites"]


def test_every_suite_is_here_with_its_licence() -> None:
    """A clone has them all, so none of their tests is left out; each origin in the table has its text."""
    if (ROOT / "PKG-INFO").is_file():
        pytest.skip("the source distribution leaves the standards' suites out")
    page = (SUITES / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"(?m)^\| ((?:spf|dkim|dmarc|psl)\S*) \| (\S+/\S+) \|", page))
    held = {path.parent.relative_to(SUITES).as_posix() for path in SUITES.rglob("*") if path.is_file()}
    assert set(rows) == held - {".", "LICENSES"}
    texts = {path.stem.replace("+", "/", 1) for path in (SUITES / "LICENSES").iterdir()}
    # blaze has no licence file, the vectors of the list are in the public domain: the table says so.
    assert texts == set(rows.values()) - {"dinosaure/blaze", "publicsuffix/list"}
    assert all(path.stat().st_size < 1_000_000 for path in SUITES.rglob("*"))
