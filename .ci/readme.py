"""Runs the commands of the README and of the guide (docs/*.md) as a newcomer types them.

The fenced `sh` blocks of the README run in their order in one shell, in a copy of the clone, with nothing installed;
they install it. Then each page of the guide runs in an empty folder of its own, with what the README installed.
A command ends as `# exit N` behind it says, and with 0 where it says nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Commands that need the live DNS, a message of the reader or a crontab are shown to the reader but not run here.
NOT_RUN = re.compile(r"^(crontab|make |deliv (audit|fix|init) example\.com( |$)|deliv audit - )")


def commands(page: Path) -> list[str]:
    """The lines of all `sh` blocks of a page, continued ones joined."""
    blocks: list[str] = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#") and not NOT_RUN.match(line)]


def run(lines: Sequence[str], folder: Path, environment: dict[str, str], before: str = "") -> int:
    """How many of the commands do not end as they should, all typed into one shell."""
    output = folder / ".output"
    script = [before]
    for number, line in enumerate(lines):
        script += [f"{{ {line}", f"}} >'{output}.{number}' 2>&1", f"echo $? >'{output}.{number}.code'"]
    shell = ["bash", "--noprofile", "--norc", "-c", "\n".join(script)]
    subprocess.run(shell, cwd=folder, env=environment, check=False)  # noqa: S603 - our own commands
    failed = 0
    for number, line in enumerate(lines):
        expected = match[1] if (match := re.search(r"# exit (\d)", line)) else "0"
        code = Path(f"{output}.{number}.code")
        got = code.read_text().strip() if code.exists() else "never run"
        good = got == expected
        failed += not good
        print(("ok   " if good else "FAIL ") + line)
        if not good:
            print(f"{got}: {Path(f'{output}.{number}').read_text('utf-8', 'replace')[-2000:]}")
    return failed


def copy_of_the_clone(target: Path) -> None:
    """What git keeps or would keep, and nothing that was made here."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")):  # noqa: S603
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def main() -> int:
    """0 where every command ends as the page says."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        clone = top / "deliv"
        copy_of_the_clone(clone)
        ours = str(Path(sys.prefix) / "bin")
        path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if each != ours)
        passed = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "UV_", "SSL_", "PYENV_"))}
        environment = {**passed, "PATH": path, "HOME": name, "LC_ALL": "C.UTF-8"}
        readme = commands(clone / "README.md")
        if len(readme) < 4:
            print(f"only {len(readme)} commands found in README.md", file=sys.stderr)
            return 1
        failed = run(readme, clone, environment)
        for page in sorted((clone / "docs").glob("*.md")):
            if page.name.startswith("README.") or not (lines := commands(page)):
                continue
            print(f"docs/{page.name}")
            folder = top / page.stem
            folder.mkdir()
            state = {"XDG_STATE_HOME": str(folder / "state")}
            failed += run(lines, folder, environment | state, f". '{clone}/.venv/bin/activate'")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
