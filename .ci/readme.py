"""Runs the README's own commands, each fenced `sh` block as it stands, in a scratch folder with the demo's files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import deliverability.demo

ROOT = Path(__file__).resolve().parent.parent
# Commands that need the network, a fresh clone or a crontab are shown to the reader but not run here.
NOT_RUN = re.compile(r"^(git |make |crontab|pip |uv |cd |deliv audit example\.com( |$)|deliv audit - )")


def main() -> int:
    """0 if every command ends as the README says (`# exit N` behind it; 0 where it says nothing)."""
    commands = [
        line
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#") and not NOT_RUN.match(line)
    ]
    if len(commands) < 5:
        print(f"only {len(commands)} commands found in README.md", file=sys.stderr)
        return 1
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    demo = Path(deliverability.demo.__file__).parent
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("example.zone", "newsletter.eml"):
            shutil.copy(demo / name, folder)
        for line in commands:
            expected = int(match[1]) if (match := re.search(r"# exit (\d)", line)) else 0
            ran = subprocess.run(  # noqa: S602 - the README's commands are ours
                line,
                shell=True,
                cwd=folder,
                capture_output=True,
                text=True,
                env={"PATH": path, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": f"{folder}/state"},
            )
            good = ran.returncode == expected
            failed += not good
            print(("ok   " if good else "FAIL ") + line + ("" if good else f"\n{ran.returncode}: {ran.stderr[-800:]}"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
