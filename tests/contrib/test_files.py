"""Workflows, hooks and templates that others use: sound by their own linters, where these are, and as documented."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import ROOT

ACTION = ROOT / "contrib" / "action" / "action.yml"
WEEKLY = ROOT / ".github" / "workflows" / "weekly.yml"
GITLAB = ROOT / "contrib" / "gitlab" / "deliv.gitlab-ci.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
PAGES = (ROOT / "docs" / "pull-requests.md", ROOT / "docs" / "ja" / "pull-requests.md")

if not WEEKLY.is_file():
    pytest.skip("the source distribution leaves the workflows out", allow_module_level=True)


def steps(path: Path) -> list[dict[str, object]]:
    document = yaml.safe_load(path.read_text("utf-8"))
    jobs = document.get("jobs", {"": document.get("runs", {})})
    return [step for job in jobs.values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", [ACTION, WEEKLY], ids=lambda path: path.name)
def test_every_foreign_step_is_pinned_and_no_expression_is_in_a_script(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", str(step["uses"])), step["uses"]
        assert "${{" not in str(step.get("run", ""))


def test_the_weekly_workflow_may_read_and_no_more() -> None:
    document = yaml.safe_load(WEEKLY.read_text("utf-8"))
    assert document["permissions"] == {}
    assert [job["permissions"] for job in document["jobs"].values()] == [{"contents": "read"}]
    assert list(document[True]) == ["workflow_call"], "`on` is a truth value in YAML"


def test_the_hook_is_a_command_of_deliv() -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text("utf-8"))
    assert hook["entry"] == "deliv diff --git HEAD --staged --offline"
    assert [name for name in ("a.zone", "a.yaml", "a.yml", "a.json") if re.search(hook["files"], name)] == [
        *("a.zone", "a.yaml", "a.yml"),
    ]


def test_inputs_and_outputs_are_documented() -> None:
    action = yaml.safe_load(ACTION.read_text("utf-8"))
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in (*action["inputs"], *action["outputs"]):
            assert name == "token" or f"`{name}" in text, f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])
def test_examples_are_workflows(page: Path) -> None:
    for block in re.findall(r"(?ms)^```yaml\n(.*?)^```", page.read_text("utf-8")):
        assert yaml.safe_load(block)
        assert "pull_request_target" not in block
        for used in re.findall(r"uses: (\S+)", block):
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}|OWNER/REPO/\S+@COMMIT", used), used


LINTERS = {
    "zizmor": ["zizmor", "--no-online-audits", "--persona", "pedantic", str(WEEKLY), str(ACTION)],
    "check-jsonschema action": ["check-jsonschema", "--builtin-schema", "vendor.github-actions", str(ACTION)],
    "check-jsonschema workflow": ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(WEEKLY)],
    "check-jsonschema gitlab": ["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(GITLAB)],
    "hadolint": ["hadolint", str(ROOT / ".ci" / "Containerfile")],
}


@pytest.mark.long
@pytest.mark.parametrize("name", LINTERS)
def test_linters_find_nothing(name: str) -> None:
    """They are in an environment of their own: `.ci/run` makes it, and requires them."""
    command = LINTERS[name]
    if shutil.which(command[0]) is None:
        assert os.environ.get("DELIV_REQUIRE_LINTERS") != "1", f"{command[0]} is required here"
        pytest.skip(f"{command[0]} is not on this machine")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
