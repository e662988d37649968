"""Writes the generated parts of the documentation, or checks that they are current (--check)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from deliverability.app import catalogue
from deliverability.model.facts import FactSpec

ROOT = Path(__file__).resolve().parent.parent


def fact_table() -> str:
    """All facts with type, unit and meaning, one table a topic."""
    groups: dict[str, list[FactSpec]] = {}
    for spec in catalogue().values():
        groups.setdefault(spec.path.split(".")[0].removesuffix("[]"), []).append(spec)
    parts: list[str] = []
    for topic, specs in groups.items():
        parts += [f"\n### {topic}\n", "| fact | type | unit | meaning |", "| --- | --- | --- | --- |"]
        for spec in specs:
            kind = spec.type.value + (", may be absent" if spec.optional else "")
            values = f" One of {', '.join(f'`{value}`' for value in spec.values)}." if spec.values else ""
            doc = (spec.doc + values).replace("|", "\\|").replace("<", "&lt;")
            parts.append(f"| `{spec.path}` | {kind} | {spec.unit} | {doc} |")
    return "\n".join(parts) + "\n"


def output(*arguments: str) -> str:
    """What a command prints, as a fenced block."""
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "deliverability", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": "",
            "COLUMNS": "100",
            "PYTHONPATH": str(ROOT),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    return f"```text\n$ deliv {' '.join(arguments)}\n{ran.stdout.strip()}\n```\n"


def beginning(text: str, stop: str) -> str:
    """A fenced block up to the line that begins with `stop`."""
    lines = text.splitlines()
    end = next(number for number, line in enumerate(lines) if line.startswith(stop))
    return "\n".join([*lines[:end], "...", "```", ""])


def section(text: str, begin: str, stop: str) -> str:
    """A fenced block from the line that begins with `begin` up to the one that begins with `stop`."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(begin))
    last = next(number for number, line in enumerate(lines) if number > first and line.startswith(stop))
    return "\n".join(["```text", lines[1], "...", *lines[first:last], "...", "```", ""])


BLOCKS = {
    (ROOT / "rules" / "README.md", "facts"): fact_table,
    (ROOT / "README.md", "help"): lambda: output("audit", "--help"),
    (ROOT / "README.md", "demo"): lambda: beginning(output("demo"), "3.  "),
    (ROOT / "README.md", "trace"): lambda: section(output("demo", "--trace"), "How SPF", "Waiting for input"),
}


def main() -> int:
    """Write, or with --check compare; 1 where a block is out of date."""
    check = "--check" in sys.argv[1:]
    stale: list[str] = []
    for (path, name), make in BLOCKS.items():
        text = path.read_text("utf-8")
        pattern = re.compile(rf"(<!-- {name}:begin[^>]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        if not pattern.search(text):
            stale.append(f"{path.name}: no block {name}")
            continue
        block = make()
        updated = pattern.sub(lambda match, block=block: match[1] + block + match[2], text)
        if updated == text:
            continue
        if check:
            stale.append(f"{path.relative_to(ROOT)}: the block {name} is out of date; run `make docs`")
        else:
            path.write_text(updated, "utf-8")
    for line in stale:
        print(line, file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
