"""Runs the benchmarks and writes what they measured into docs/performance.md: `make bench`.

    python -m benchmarks                    all, then the table
    python -m benchmarks --only fleet       one of them; of the others the older figures stay
    python -m benchmarks --quick            tiny sizes: whether each runs. The table is printed and nothing written

Each is a script of this folder that writes rows with `--json FILE`: target, case, measured, goal, peer, met. One that
is not there or fails is told in the table, and the others go on. What was measured is kept in measured.json. How busy
the machine is with other things is printed before and after each; where that was more than 1.5 cores, the script runs
once more, and the second result counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "measured.json"
PAGE = ROOT / "docs" / "performance.md"
_TABLE = re.compile(r"(<!-- (\w+):begin[^\n]*-->\n).*?(<!-- \2:end -->)", re.DOTALL)
_NO_CORPUS = "the corpus is not here"  # as those scripts say that audit its zones
NEEDS_CORPUS = "needs the test corpus (DELIV_CORPUS)"
PAPER = "paper"
"""The target of rows that are computed, not measured."""


class Script(Struct, frozen=True):
    """A benchmark: its file without ending, the targets it is for, and what it is told where only few are wanted."""

    name: str
    targets: tuple[str, ...]
    quick: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """Where it stands."""
        return ROOT / "benchmarks" / f"{self.name}.py"


SCRIPTS = (
    Script("startup", ("G1", "S9"), ("--rounds", "1")),
    Script("questions", ("G2", "G8"), ("--questions", "500", "--domains", "40")),
    Script("fleet", ("G3", "S5"), ("--domains", "20", "--peers", "2", "--rounds", "1")),
    Script("message", ("G4", "G5", "G6"), ("--quick",)),
    Script("feedback", ("G7",), ("--quick",)),
    Script("weekly", ("S1", "S2"), ("--domains", "2")),
    Script("judging", ("S3", "S6"), ("--rounds", "1", "kk.dk")),
    Script("one_domain", ("S6",), ("--domains", "2")),
    Script("dnssec", ("S10",), ("--domains", "3", "--rounds", "1")),
)
BUSY = 1.5
"""Cores that other things may keep busy while something is measured."""
_LOOK = 3  # seconds


class Ran(Struct, frozen=True):
    """What became of a script: its rows, or why it has none."""

    rows: tuple[Mapping[str, Any], ...] = ()
    problem: str = ""


def run(script: Script, *, quick: bool = False, seconds: float | None = None) -> Ran:
    """Run one script in an interpreter of its own; what it prints goes to the terminal."""
    if not script.file.exists():
        return Ran(problem="not written yet")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "rows.json"
        command = [sys.executable, str(script.file), "--json", str(written), *(script.quick if quick else ())]
        known = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
        try:
            done = subprocess.run(command, cwd=ROOT, env=known, stderr=subprocess.PIPE, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return Ran(problem=f"not done after {seconds:.0f} seconds")
        sys.stderr.write(done.stderr)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            return Ran(problem=NEEDS_CORPUS if _NO_CORPUS in last[0] else f"failed: {last[0]}")
        try:
            rows = json.loads(written.read_text("utf-8"))
        except (OSError, ValueError) as error:
            return Ran(problem=f"wrote no rows: {error}")
    return Ran(tuple(rows))


def machine() -> str:
    """What it was measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def busy(seconds: float = _LOOK) -> float | None:
    """How many cores are busy right now; None where the machine does not tell (it does on Linux)."""
    try:
        idle, total = _ticks()
        time.sleep(seconds)
        later, all_later = _ticks()
    except (OSError, ValueError):
        return None
    return (os.cpu_count() or 1) * (1 - (later - idle) / max(1, all_later - total))


def _ticks() -> tuple[int, int]:
    """Idle and all ticks of all cores since the machine began."""
    each = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return each[3] + each[4], sum(each[:8])


def repeated(script: Script, *, quick: bool) -> tuple[Ran, float | None]:
    """Run a script, once more where the machine was busy; its rows, and how busy the machine was beside that run."""
    before = 0.0 if quick else busy()
    for attempt in range(2):
        began = time.monotonic()
        ran = run(script, quick=quick)
        after = 0.0 if quick else busy()
        known = [each for each in (before, after) if each is not None]
        most = max(known, default=None)
        told = "unknown" if most is None else f"{most:.1f} cores"
        print(f"   {time.monotonic() - began:.0f} s; busy with other things: {told}", flush=True)
        if attempt or ran.problem or most is None or most <= BUSY:
            break
        print(f"   more than {BUSY}, so once more", flush=True)
        before = after
    return ran, most


# --- the table -----------------------------------------------------------------------------------------------------


def table(measured: Mapping[str, Any]) -> str:
    """The measured rows as Markdown, in the order of the targets; a script without any as one row."""
    lines = ["| target | what | goal | measured | compared with | met |", "| --- | --- | --- | --- | --- | --- |"]
    found: list[tuple[tuple[str, int], tuple[str, ...]]] = []
    for script in SCRIPTS:
        results = measured.get(script.name, {})
        rows = [row for row in results.get("rows", ()) if row["target"] != PAPER]
        found += [(_place(str(row["target"])), _cells(row)) for row in rows]
        missing = [each for each in script.targets if each not in {row["target"] for row in rows}]
        why = results.get("problem") or "not measured yet"
        found += [(_place(each), (each, f"`{script.name}.py`: {_plain(why)}", "", "–", "", "")) for each in missing]
    lines += [f"| {' | '.join(cells)} |" for _, cells in sorted(found, key=lambda each: each[0])]
    return "\n".join(lines) + "\n"


def paper(measured: Mapping[str, Any]) -> str:
    """The computed rows as Markdown."""
    lines = ["| on paper | |", "| --- | --- |"]
    rows = [row for results in measured.values() for row in results.get("rows", ()) if row["target"] == PAPER]
    lines += [f"| {_plain(row['case'])} | {_figure(row['measured'])} |" for row in rows]
    return "\n".join(lines) + "\n"


def machines(measured: Mapping[str, Any]) -> str:
    """When and on what each was measured."""
    by_run: dict[tuple[str, str], list[str]] = {}
    for name, results in measured.items():
        load = results.get("busy")
        beside = "" if load is None else f" ({load:.1f} cores busy with other things)"
        by_run.setdefault((results["date"], results["machine"]), []).append(f"`{name}.py`{beside}")
    return "".join(f"{', '.join(names)}: {date}, {where}.\n\n" for (date, where), names in sorted(by_run.items()))


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    met = {"True": "yes", "False": "**no**"}.get(str(row.get("met")), "")
    goal, peer = (str(row.get(name) or "") for name in ("goal", "peer"))
    return str(row["target"]), _plain(row["case"]), _plain(goal), _figure(row["measured"]), _plain(peer), met


def _figure(value: object) -> str:
    """A number with three digits that say something, or text as it is; nothing: the peer is not there."""
    if value is None:
        return "peer not there"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _plain(value)
    return f"{value:,.0f}" if abs(value) >= 100 or isinstance(value, int) else f"{value:.3g}"


def _plain(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _place(target: str) -> tuple[str, int]:
    """Guards before goals, each by their number."""
    return target[:1], int(target[1:])


def filled(page: str, measured: Mapping[str, Any]) -> str:
    """The page with its tables written anew. Raises ValueError where the page has no place for one."""
    made = {"table": table(measured), "paper": paper(measured), "machine": machines(measured)}
    places = {match[2] for match in _TABLE.finditer(page)}
    if missing := made.keys() - places:
        raise ValueError(f"no <!-- {missing.pop()}:begin --> in the page")
    return _TABLE.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n{match[3]}", page)


def collect(scripts: Iterable[Script], *, quick: bool) -> dict[str, Any]:
    """Run the scripts; script -> when, where, and its rows or its problem."""
    today, here = datetime.now(UTC).date().isoformat(), machine()
    measured: dict[str, Any] = {}
    for script in scripts:
        print(f"== {script.name} ({', '.join(script.targets)})", flush=True)
        ran, load = repeated(script, quick=quick)
        if ran.problem:
            print(f"   {ran.problem}", flush=True)
        told = {"busy": None if load is None else round(load, 2), "rows": list(ran.rows), "problem": ran.problem}
        measured[script.name] = {"date": today, "machine": here, **told}
    return measured


def main() -> int:
    """Returns 1 where a script that is there failed for another reason than that the corpus is not here."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes; nothing is written")
    parser.add_argument("--only", action="append", choices=[each.name for each in SCRIPTS], help="one script")
    given = parser.parse_args()
    chosen = [each for each in SCRIPTS if not given.only or each.name in given.only]
    measured = collect(chosen, quick=given.quick)
    if given.quick:
        print(table(measured))
    else:
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        results |= measured
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        PAGE.write_text(filled(PAGE.read_text("utf-8"), results), "utf-8")
        print(f"{PAGE.relative_to(ROOT)} is written")
    return int(any(each["problem"].startswith(("failed", "wrote")) for each in measured.values()))


if __name__ == "__main__":
    sys.exit(main())
