"""What is built into an installation: licences that were looked at, versions of Python that were tested."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from deliverability.cli import COMMANDS, deliv
from deliverability.weekly.schedule import GitSource, WheelSource, When, cron_line, github_workflow, systemd_units
from tests import ROOT
from tests.corpus import SUITES

pytestmark = pytest.mark.long


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
        ("", 0, "Known faults in dependencies were not checked: the advisories cannot be reached"),
        (json.dumps(SOUND), 0, "1 of 1 packages checked, 0 known faults"),
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


# --- Locks, the container, install lines ------------------------------------------------------------------------------

DATA = ROOT / "deliverability" / "data"
RUN, BUILD, WORK = DATA / "requirements-run.lock", DATA / "requirements-build.lock", ROOT / "requirements.lock"


def pins(lock: Path) -> dict[str, str]:
    """Package -> version, with what it is wanted for (sys_platform and alike)."""
    return dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\\\n]+?) *\\?$", lock.read_text("utf-8")))


@pytest.mark.parametrize("lock", [RUN, BUILD, WORK], ids=lambda lock: lock.name)
def test_a_lock_has_a_hash_for_all_and_names_no_index(lock: Path) -> None:
    text = lock.read_text("utf-8")
    entries = [entry for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", text) if not entry.startswith(("#", " "))]
    entries = [entry for entry in entries if entry.strip()]
    assert len(entries) == len(pins(lock))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert not re.search(r"https?://|--index|--find-links", text)


def test_what_runs_is_what_was_tested() -> None:
    """The lock for running has all that pyproject.toml asks for, in the versions of the lock for working on deliv."""
    tested = {name: version.partition(" ;")[0] for name, version in pins(WORK).items()}
    assert {name: version.partition(" ;")[0] for name, version in pins(RUN).items()}.items() <= tested.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = {re.split(r"[\[<>=]", each)[0] for each in project["project"]["dependencies"]}
    assert wanted <= pins(RUN).keys()
    assert "pytest" not in pins(RUN)
    assert {"hatchling", "setuptools"} <= pins(BUILD).keys()


def instructions() -> list[tuple[str, str]]:
    """The container recipe: instruction and arguments, continued lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / ".ci" / "Containerfile").read_text("utf-8")).replace("\\\n", " ")
    return [
        (word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def test_the_container_has_no_base_but_the_one_that_is_named() -> None:
    assert instructions()[0] == ("ARG", "BASE"), "no default: a tag can be moved, and a digest grows old"
    assert {rest.partition(" ")[0] for word, rest in instructions() if word == "FROM"} == {"${BASE}"}
    assert not any(":latest" in rest for _, rest in instructions())


def test_the_container_installs_by_hash_alone() -> None:
    steps = [step for word, rest in instructions() if word == "RUN" for step in rest.split(" && ")]
    installs = [step for step in steps if re.search(r"\bpip (install|wheel)\b", step)]
    assert len(installs) == 3
    assert all("--require-hashes" in step or "--no-index --no-deps" in step for step in installs)
    assert all(word != "ADD" and "curl" not in rest and "apt-get" not in rest for word, rest in instructions())


def test_the_container_is_an_ordinary_user_and_writes_nowhere() -> None:
    last = instructions()[max(i for i, (word, _) in enumerate(instructions()) if word == "FROM") :]
    (user,) = [rest for word, rest in last if word == "USER"]
    assert int(user.partition(":")[0]) > 0
    assert [word for word, _ in last].index("USER") > max(
        i for i, (word, _) in enumerate(last) if word in ("COPY", "RUN") or i == 0
    )
    assert last[-1] == ("ENTRYPOINT", '["deliv"]')
    assert any(word == "ENV" and "PYTHONDONTWRITEBYTECODE=1" in rest for word, rest in last)


def test_only_what_the_build_copies_reaches_it() -> None:
    ignore = (ROOT / ".ci" / "Containerfile.dockerignore").read_text("utf-8").split()
    copied = {
        name for word, rest in instructions() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }
    assert "*" in ignore
    assert {each[1:] for each in ignore if each.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


# The name is not registered in the package index, so whoever takes it would run code at our users.
BY_NAME = re.compile(
    r"(?:\bpip[0-9.]*|\bpipx|\buv\s+tool|\buv\s+pip|\buv)\s+(?:install|add|run)\s+(?:--?\S+\s+)*['\"]?deliv(?![\w./-])"
    r"|\buvx\s+(?:--?(?!from)\S+\s+)*['\"]?deliv(?![\w./-])|--from\s+['\"]?deliv(?![\w./-])"
)


@pytest.mark.parametrize(
    ("line", "by_name"),
    [
        ("pip install deliv", True),
        ("pip3 install --upgrade 'deliv[postgresql]'", True),
        ("python -m pip install -q deliv==1", True),
        ("pipx install deliv", True),
        ("uv tool install deliv", True),
        ("uvx deliv demo", True),
        ("uvx --from deliv deliv demo", True),
        ("uvx --from . deliv demo", False),
        ('uvx --from "git+URL@COMMIT" deliv demo', False),
        ("pipx install .", False),
        ("pip install --no-deps ./deliv-source", False),
        ("pip install --require-hashes -r deliverability/data/requirements-run.lock", False),
        ("pip install --no-deps ./tools/deliv-0.1.0-py3-none-any.whl", False),
    ],
)
def test_an_install_line_by_name_is_recognized(line: str, by_name: bool) -> None:
    assert bool(BY_NAME.search(line)) == by_name


def written_by_hand() -> list[Path]:
    """All texts of the project but its tests, which hold such lines in order to refuse them."""
    names = ("deliverability", "rules", "reports", "docs", "benchmarks", ".ci")
    files = [path for name in names for path in (ROOT / name).rglob("*")]
    files += [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml", "") and not path.name.startswith(".")]
    return [path for path in files if path.is_file() and path.suffix not in (".pyc", ".png", ".lock", ".db")]


def test_nothing_that_we_write_installs_by_name() -> None:
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in written_by_hand()
        if (match := BY_NAME.search(path.read_text("utf-8", "replace")))
    }
    assert found == {}
    assert len(written_by_hand()) > 300


def test_nothing_that_we_generate_installs_by_name() -> None:
    texts = [
        github_workflow(Path("deliv.toml"), When(), each, timedelta())
        for each in (
            GitSource("https://git.example.com/deliv.git", "0" * 40),
            WheelSource("deliv-1-py3-none-any.whl", "0" * 64),
        )
    ]
    texts += [cron_line(Path("deliv.toml"), When()), *systemd_units(Path("deliv.toml"), When()).values()]
    texts += [CliRunner().invoke(deliv, [*name, "--help"]).output for name in ((), *((each,) for each in COMMANDS))]
    assert [match[0] for text in texts if (match := BY_NAME.search(text))] == []


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
