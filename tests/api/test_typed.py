"""Types for importers: the marker is in the wheel; a sample is sound under `mypy --strict` where that is installed."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.api import sample

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def importer(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which the wheel is installed; what it needs is that of this one."""
    folder = tmp_path_factory.mktemp("importer")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    needed = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "needed.pth").write_text(f"{needed}\n")
    return folder / "bin" / "python"


@pytest.mark.long
def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        assert "deliverability/py.typed" in packed.namelist()


def checked(importer: Path, folder: Path, text: str) -> tuple[int, str]:
    file = folder / "importer.py"
    file.write_text(text, "utf-8")
    options = ("--strict", "--python-executable", str(importer), "--cache-dir", str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, file],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
def test_a_sample_is_sound(importer: Path, tmp_path: Path) -> None:
    code, said = checked(importer, tmp_path, Path(sample.__file__).read_text("utf-8"))
    assert code == 0, said


@pytest.mark.slow
def test_wrong_uses_are_found(importer: Path, tmp_path: Path) -> None:
    wrong = (
        "from deliverability import audit, nonsense",
        "audit(5)",
        "audit('example.com', purpose=3)",
        "audit('example.com', unknown=3)",
        "audit('example.com').verdicts['gmail'].no_such",
        "audit('example.com').domain = 'x'",
        "audit('example.com').findings[0].title(5)",
    )
    code, said = checked(importer, tmp_path, "\n".join(wrong) + "\n")
    assert code == 1
    found = {int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line}
    assert found == set(range(1, len(wrong) + 1)), said


def test_the_sample_runs(tmp_path: Path) -> None:
    assert "gmail: " in sample.main(tmp_path)
