"""A weekly run beside `deliv audit --format json` over the same domains, both against zone files.

Prints the ratio of their times for the corpus' sending domains: for a first run, and for one that has a run to compare
with. A weekly run writes two HTML pages a domain, and keeps and compares; aimed at is less than 6. Prints as well the
octets that a run adds to the history for a domain where nothing changed.

    python benchmarks/weekly.py [DOMAINS]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deliverability.history.store import History  # noqa: E402
from tests.corpus import corpus_root  # noqa: E402

DELIV = (sys.executable, "-m", "deliverability")


def seconds(folder: Path, *args: str, said: str = "") -> float:
    """How long a command takes."""
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    done = subprocess.run([*DELIV, *args], cwd=folder, input=said, env=known, capture_output=True, text=True)
    if done.returncode == 2:
        sys.exit(done.stderr)
    return time.perf_counter() - begin


def kept(folder: Path) -> int:
    """The octets of the history, once its journal is folded in."""
    history = History.open("sqlite:///history.db", folder=folder)
    history.close()
    return (folder / "history.db").stat().st_size


def main() -> None:
    root = corpus_root()
    if root is None:
        sys.exit("the corpus is not here; set DELIV_CORPUS to its folder")
    zones = root / "zones"
    index = [line.split("\t") for line in (zones / "index.tsv").read_text("utf-8").splitlines()[1:]]
    domains = [row[0] for row in index if row[1] == "sender"][: int(sys.argv[1]) if sys.argv[1:] else None]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "deliv.toml").write_text(f'history = "sqlite:///history.db"\ndomains = {json.dumps(domains)}\n')
        audit = seconds(folder, "audit", "-", "--format", "json", "--zone", str(zones), said="\n".join(domains))
        first = seconds(folder, "weekly", "--zone", str(zones))
        size = kept(folder)
        second = seconds(folder, "weekly", "--zone", str(zones))
        grown = kept(folder) - size
    print(
        f"{len(domains)} domains: weekly / audit {first / audit:.1f} for the first run, "
        f"{second / audit:.1f} for the next; history {size / len(domains):,.0f} octets a domain, "
        f"{grown / len(domains):,.0f} more with each run"
    )


if __name__ == "__main__":
    main()
