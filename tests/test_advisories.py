"""`.ci/advisories.py`: it says how many packages were looked up, and never that there is no fault where none was."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from tests import ROOT


@pytest.fixture(scope="module")
def advisories() -> ModuleType:
    spec = importlib.util.spec_from_file_location("advisories", ROOT / ".ci" / "advisories.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["advisories"] = module
    spec.loader.exec_module(module)
    return module


CLEAN = {"name": "a", "version": "1", "vulns": []}
FAULTY = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([CLEAN, CLEAN], 0, ["2 of 2 packages checked, 0 known faults"]),
        ([CLEAN, FAULTY], 1, ["b 2: PYSEC-1 (mended in 3)", "2 of 2 packages checked, 1 known faults"]),
        ([FAULTY, SKIPPED], 1, ["b 2: PYSEC-1", "c was not checked", "1 of 2 packages checked"]),
        ([CLEAN, SKIPPED], 1, ["c was not checked", "1 of 2 packages checked, 0 known faults"]),
        ([SKIPPED, SKIPPED], 0, ["were not checked: Dependency not found"]),
        ([], 0, ["were not checked"]),
        ([{"name": "d", "version": "1"}], 0, ["were not checked"]),
    ],
)
def test_what_a_report_comes_to(
    advisories: ModuleType,
    dependencies: list[dict[str, Any]],
    code: int,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = subprocess.CompletedProcess([], 0, json.dumps({"dependencies": dependencies, "fixes": []}), "")
    monkeypatch.setattr(advisories, "installed", lambda: ROOT)
    monkeypatch.setattr(advisories, "run", lambda *_: ran)
    assert advisories.main() == code
    told = "".join(capsys.readouterr())
    assert all(each in told for each in said), told
    checked = sum("vulns" in each for each in dependencies)
    assert ("0 known faults" in told) <= bool(checked)


@pytest.mark.parametrize("stdout", ["", "no JSON", "[]", "{}", '{"dependencies": 1}'])
def test_what_is_no_report_is_not_checked(
    advisories: ModuleType, stdout: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories, "installed", lambda: ROOT)
    monkeypatch.setattr(advisories, "run", lambda *_: subprocess.CompletedProcess([], 1, stdout, ""))
    assert advisories.main() == 0
    told = "".join(capsys.readouterr())
    assert "were not checked" in told
    assert "0 known faults" not in told
