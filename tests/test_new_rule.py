"""`make new-rule`: the skeleton of a rule loads as it is, and is refused until its author has filled it in."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deliverability.core.model.report import Outcome
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.rules.load import load_rules
from deliverability.core.yaml import read
from deliverability.engine.base import catalogue
from deliverability.engine.remedies.records import REMEDIES
from tests import ROOT
from tests.test_rules import fact_set, unfinished

pytestmark = pytest.mark.long

if not (ROOT / ".ci").is_dir():
    pytest.skip("the source distribution leaves the scaffolds out", allow_module_level=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of the project as the scaffold touches."""
    for name in (".ci", "tests"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / ".ci" / "new_rule.py", tmp_path / ".ci")
    (tmp_path / "deliverability").mkdir()
    shutil.copy(ROOT / "deliverability" / "__init__.py", tmp_path / "deliverability")
    for name in ("rules", "tests/rules"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def new_rule(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ".ci/new_rule.py", *words], capture_output=True, text=True, cwd=checkout)


@pytest.mark.parametrize(
    ("words", "topic"),
    [(("SPF-099",), "spf"), (("SIZ-099",), "size"), (("SIZ-099", "html"), "html"), (("NEW-001", "new"), "new")],
)
def test_the_skeleton_loads_and_its_cases_hold(checkout: Path, words: tuple[str, ...], topic: str) -> None:
    ran = new_rule(checkout, *words)
    assert (ran.returncode, ran.stderr) == (0, "")
    loaded = load_rules([checkout / "rules"], catalogue(), REMEDIES)
    rule = loaded.rules[words[0]]
    assert (rule.topic, loaded.warnings) == (topic, ())
    cases = read((checkout / "tests" / "rules" / f"{topic}.yaml").read_text("utf-8")).data[rule.id]
    assert set(cases) == {"met", "unmet", "unknown"}
    for outcome, facts in cases.items():
        (finding,) = judge(fact_set(facts), loaded, catalogue(), Selection(select=(rule.id,)))
        assert finding.outcome is Outcome(outcome)


def test_it_says_where_the_skeleton_is_and_what_comes_next(checkout: Path) -> None:
    *places, after = new_rule(checkout, "SPF-099").stdout.splitlines()
    for place in places:
        file, line, ident = re.fullmatch(r"(\S+):(\d+): (SPF-099)", place).groups()
        assert ident in (checkout / file).read_text("utf-8").splitlines()[int(line) - 1]
    assert "docs/adding-a-rule.md" in after


def test_what_is_left_to_do_is_refused_in_both_languages_and_in_the_cases(checkout: Path) -> None:
    new_rule(checkout, "SPF-099")
    found = unfinished(checkout)
    assert {file for file, _ in found} == {"rules/spf.yaml", "tests/rules/spf.yaml"}
    assert {"TODO 配信への影響です。", "TODO what that means for delivery."} <= {
        line.partition(": ")[2] for _, line in found
    }


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("",), "is no id of a rule"),
        (("spf-1",), "is no id of a rule"),
        (("SPF-001",), "SPF-001 is taken; the next free number is SPF-0"),
        (("NEW-001",), "no rule of NEW is there yet"),
        (("SPF-099", "sources"), "rules/sources.yaml holds no rules"),
        (("SPF-099", "../spf"), "rules/../spf.yaml holds no rules"),
    ],
)
def test_what_is_no_good_touches_nothing(checkout: Path, words: tuple[str, ...], why: str) -> None:
    def texts() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in checkout.rglob("*.yaml")}

    before = texts()
    ran = new_rule(checkout, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert why in ran.stderr
    assert texts() == before
