"""Asks for known faults in the packages of requirements.lock, with pip-audit in an environment of its own.

Where the advisories or pip-audit cannot be reached it says that nothing was checked and passes: a machine without the
network can lint too. It never says that there are no faults where nothing was looked up, and fails where only a part
was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-advisories"
SECONDS = 300


class Lookup(NamedTuple):
    """What pip-audit found: of how many packages it had advisories, which it skipped and why, and the faults."""

    looked_up: int
    skipped: dict[str, str]
    faults: list[str]

    @property
    def code(self) -> int:
        """1 where there is a fault, or where some packages were looked up and others were not."""
        return 1 if self.faults or (self.looked_up and self.skipped) else 0

    def lines(self) -> list[str]:
        """What is to be said."""
        if not self.looked_up:
            why = next(iter(self.skipped.values()), "pip-audit named no package")
            return [f"Known faults in dependencies were not checked: {why}"]
        total = self.looked_up + len(self.skipped)
        left_out = [f"{name} was not checked: {why}" for name, why in self.skipped.items()]
        return [
            *self.faults,
            *left_out,
            f"{self.looked_up} of {total} packages checked, {len(self.faults)} known faults",
        ]


def read(report: str) -> Lookup:
    """What a report of pip-audit says (`--format json`). Raises ValueError where it is none."""
    found = json.loads(report)
    if not isinstance(found, dict) or not isinstance(found.get("dependencies"), list):
        raise ValueError("no report of pip-audit")
    looked_up, skipped, faults = 0, {}, []
    for each in found["dependencies"]:
        if "vulns" not in each or "skip_reason" in each:
            skipped[str(each.get("name"))] = str(each.get("skip_reason") or "pip-audit says nothing of it")
            continue
        looked_up += 1
        for fault in each["vulns"]:
            mended = ", ".join(fault.get("fix_versions", ())) or "no version yet"
            faults.append(f"{each['name']} {each.get('version')}: {fault['id']} (mended in {mended})")
    return Lookup(looked_up, skipped, faults)


def main() -> int:
    """1 where an advisory names a package in the version that is locked, or not all could be looked up, else 0."""
    try:
        python = installed()
        ran = run(
            *(str(python), "-m", "pip_audit", "--requirement", str(ROOT / "requirements.lock"), "--require-hashes"),
            *("--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "15"),
        )
        found = read(ran.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"Known faults in dependencies were not checked: {message_of(error)}")
        return 0
    print("\n".join(found.lines()), file=sys.stderr if found.code else sys.stdout)
    return found.code


def installed() -> Path:
    """The interpreter of an environment with pip-audit as locked, made at the first run. Raises where that fails."""
    python = ENVIRONMENT / "bin" / "python"
    lock = ROOT / ".ci" / "advisories.lock"
    stamp = ENVIRONMENT / ".installed"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        run(str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)).check_returncode()
        stamp.write_bytes(lock.read_bytes())
    return python


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run it in an empty folder, so that it takes no settings from ours."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, cwd=folder, timeout=SECONDS, check=False
        )


def message_of(error: Exception) -> str:
    """The error in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        return (error.stderr or "").strip().rpartition("\n")[2] or "pip-audit cannot be installed"
    if isinstance(error, ValueError):
        return "the advisories cannot be reached"
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
