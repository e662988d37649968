"""Asks for known faults in the packages of requirements.lock, with pip-audit in an environment of its own.

Where the advisories or pip-audit cannot be reached it says so and passes: a machine without the network can lint too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-advisories"
SECONDS = 300


def main() -> int:
    """1 where an advisory names a package in the version that is locked, else 0."""
    try:
        python = installed()
        ran = run(
            *(str(python), "-m", "pip_audit", "--requirement", str(ROOT / "requirements.lock"), "--require-hashes"),
            *("--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "15"),
        )
        found = json.loads(ran.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"Known faults in dependencies were not looked up: {message_of(error)}")
        return 0
    faults = [(each, fault) for each in found["dependencies"] for fault in each.get("vulns", ())]
    for package, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {fault['id']} (mended in {mended})", file=sys.stderr)
    print(f"{len(found['dependencies'])} packages, {len(faults)} known faults")
    return 1 if faults else 0


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
