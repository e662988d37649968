"""Runs the steps of a composite action as GitHub's runner does, as far as ours need it.

`run:` steps are run by bash with the environment and files that GitHub gives; `uses:` steps are stubs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from tests import ROOT

ACTION = ROOT / "contrib" / "action"
_EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


class Ran(Struct, frozen=True):
    """What came of a run: its exit code, what it printed, outputs, summary, and the `uses:` steps with their inputs."""

    code: int
    log: str
    outputs: Mapping[str, str]
    summary: str
    used: tuple[tuple[str, Mapping[str, str]], ...]

    def annotations(self, kind: str) -> list[str]:
        """Messages of a kind that the runner would show: none from where commands are switched off."""
        shown, stopped = [], ""
        for line in self.log.splitlines():
            text = line.lstrip()
            if stopped:
                stopped = "" if text == f"::{stopped}::" else stopped
            elif match := re.fullmatch("::stop-commands::(.+)", text):
                stopped = match[1]
            elif text.startswith((f"::{kind}::", f"::{kind} ")):
                shown.append(text)
        return shown


def expressions(text: str, values: Callable[[str], str]) -> str:
    """A text with its expressions replaced."""
    return _EXPRESSION.sub(lambda found: values(found[1]), text)


def run(
    checkout: Path,
    temp: Path,
    event: str,
    payload: Mapping[str, Any],
    inputs: Mapping[str, str],
    environment: Mapping[str, str],
) -> Ran:
    """Run the action in a checkout; `environment`: what differs from GitHub's own."""
    action = yaml.safe_load((ACTION / "action.yml").read_text("utf-8"))
    (temp / "event.json").write_text(json.dumps(payload), "utf-8")
    summary = temp / "summary.md"
    summary.touch()

    def github(name: str) -> str:
        if " || " in name:
            return next(filter(None, map(github, name.split(" || "))), "")
        value: Any = {"event": payload, "token": "ghs_secret", "repository": "owner/zones"}
        for part in name.split(".")[1:]:
            value = value.get(part) if isinstance(value, dict) else None
        return "" if value is None else str(value)

    given = {
        name: inputs.get(name, expressions(str(each.get("default", "")), github))
        for name, each in action["inputs"].items()
    }
    outputs: dict[str, dict[str, str]] = {}

    def value_of(expression: str) -> str:
        if match := re.fullmatch(r"(.+) == '(.*)'", expression):
            return str(value_of(match[1]) == match[2]).lower()
        kind, _, rest = expression.partition(".")
        if kind == "inputs":
            return given[rest]
        step, _, name = rest.removesuffix("").partition(".outputs.")
        assert kind == "steps", expression
        return outputs.get(step, {}).get(name, "")

    base = {
        "PATH": os.environ["PATH"],
        "HOME": str(temp),
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(temp),
        "RUNNER_ARCH": "X64",
        "GITHUB_ACTION_PATH": str(ACTION),
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(temp / "event.json"),
        "GITHUB_REPOSITORY": "owner/zones",
        "GITHUB_WORKFLOW": "mail",
        "GITHUB_JOB": "check",
        "GITHUB_STEP_SUMMARY": str(summary),
        "LC_ALL": "C.UTF-8",
        **environment,
    }
    log, used, code = "", [], 0
    for number, step in enumerate(action["runs"]["steps"]):
        if "if" in step and expressions(step["if"], value_of) != "true":
            continue
        if "uses" in step:
            assert re.search(r"@[0-9a-f]{40}$", step["uses"]), step["uses"]
            used.append((step["uses"], {key: expressions(str(each), value_of) for key, each in step["with"].items()}))
            if "setup-python" in step["uses"]:
                outputs[step["id"]] = {"python-path": sys.executable}
            continue
        file = temp / f"output-{number}"
        file.touch()
        own = {key: expressions(str(each), value_of) for key, each in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=checkout,
            env={**base, **own, "GITHUB_OUTPUT": str(file)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        log += done.stdout + done.stderr
        outputs[step.get("id", str(number))] = read_outputs(file.read_text("utf-8"))
        code = done.returncode
        if code:
            break
    found = {name: expressions(each["value"], value_of) for name, each in action["outputs"].items()}
    return Ran(code, log, found, summary.read_text("utf-8"), tuple(used))


def read_outputs(text: str) -> dict[str, str]:
    """The outputs of a step, as the runner reads its file: ``NAME<<MARK``, lines, ``MARK``."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, _, mark = line.partition("<<")
        value: list[str] = []
        for each in lines:
            if each == mark:
                break
            value.append(each)
        found[name] = "\n".join(value)
    return found
