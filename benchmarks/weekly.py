"""A weekly run beside `deliv audit --format json` of the same domains, against a name server on loopback (S1, S2).

    python benchmarks/weekly.py [--domains N] [--behind] [--json FILE]

The sound and the broken domains of benchmarks/lab.py, 300 unless said otherwise; those that never answer cost only
time, and are left out. Processor time of whole processes: a first run, a second (where the news of the first are no
longer new, and pages are written once more), and later ones without any change. Beside that what a later run adds to
the history for a domain, and how the memory of one grows from a quarter of the domains to all. Where unbound is
installed, weeks behind it: by default it rotates record sets and lowers their TTL, and the second week without
any change has to write no page of a domain all the same. `--behind` measures these weeks only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.fleet import Cost, measured, row, wrote  # noqa: E402
from benchmarks.lab import Kind, Lab  # noqa: E402
from benchmarks.nameserver import Serving, serving  # noqa: E402
from benchmarks.resolver import unbound, unbound_program  # noqa: E402

DOMAINS = 300
LATER = 2
DELIV = (sys.executable, "-m", "deliverability")


class Place:
    """A folder with settings of so many domains, its history and its pages."""

    def __init__(self, folder: Path, domains: list[str], server: Serving, resolver: str = "") -> None:
        folder.mkdir()
        self.folder, self.domains, self._server = folder, domains, server
        self._resolver = resolver or server.resolver
        self._file = folder / "deliv.toml"
        self._file.write_text(f'history = "sqlite:///history.db"\ndomains = {json.dumps(domains)}\n')

    def weekly(self) -> Cost:
        """A run."""
        command = [
            *DELIV,
            "weekly",
            "--config",
            str(self._file),
            "--output",
            str(self.folder / "pages"),
            "--fail-on",
            "never",
        ]
        return measured([*command, "--resolver", self._resolver], self._server, len(self.domains))

    def audit(self) -> Cost:
        """The same domains without history and pages."""
        command = [
            *DELIV,
            "audit",
            *self.domains,
            "--format",
            "json",
            "--fail-on",
            "never",
            "--resolver",
            self._resolver,
        ]
        return measured(command, self._server, len(self.domains))

    @property
    def history(self) -> int:
        """Octets of the history; closing it folded its journal in."""
        return (self.folder / "history.db").stat().st_size

    @property
    def written(self) -> int:
        """Reports that the newest run wrote itself, in both languages."""
        newest = (self.folder / "pages" / "latest").resolve()
        return sum(each.stat().st_nlink == 1 for each in newest.glob("*.html")) - 2  # the start page


def figures(folder: Path, lab: Lab, count: int) -> list[dict[str, Any]]:
    """All of them."""
    domains = sound(lab, count)
    with serving(partial(Lab, lab.domains, lab.seed)) as server:
        few = Place(folder / "few", domains[: max(1, len(domains) // 4)], server)
        small = [few.weekly() for _ in range(3)][-1]
        place = Place(folder / "all", domains, server)
        first, second = place.weekly(), place.weekly()
        size, later, audits = place.history, [], []
        for _ in range(LATER):
            audits.append(place.audit())
            later.append(place.weekly())
    audit = statistics.median(each.cpu for each in audits)
    base = f"audit --format json, {audit / len(domains) * 1000:.3g} ms CPU per domain"
    times = statistics.median(one.cpu / other.cpu for one, other in zip(later, audits, strict=True))
    octets = (place.history - size) / len(domains) / LATER
    grown = (later[-1].memory - small.memory) / max(1, len(domains) - len(few.domains))
    memory, audited = later[-1].memory / 1e6, audits[-1].memory / 1e6
    name, reports = f"{len(domains):,} domains", f"of {2 * len(domains):,}"
    return [
        row("S1", f"weekly, a later run without changes, {name}", times, "≤ 1.5 ×", base, times <= 1.5),
        row("S1", "the first run", first.cpu / audit, "", base),
        row("S1", "the second run, when nothing is new any longer", second.cpu / audit, "", base),
        row("S1", "reports that a later run writes", place.written, "0", reports, place.written == 0),
        row("S1", "history: bytes per domain and unchanged week", octets, "≤ 300", "", octets <= 300),
        row("S2", "memory of a later run, MB", memory, "≤ 200", f"audit {audited:.0f} MB", memory <= 200),
        row("S2", "memory for each additional domain, KB", grown / 1e3, "", ""),
    ]


def behind_unbound(folder: Path, lab: Lab, count: int) -> list[dict[str, Any]]:
    """Weeks behind an ordinary resolver; the third is the second without any change."""
    written, memory = "behind unbound, from the second unchanged week on: reports written", "behind unbound: memory, MB"
    kept = "behind unbound: history, bytes per domain and unchanged week"
    if not unbound_program():
        return [row("S1", written, "unbound not there", "0")]
    domains = sound(lab, count)
    with serving(partial(Lab, lab.domains, lab.seed)) as server, unbound(server.port, folder / "unbound") as resolver:
        place = Place(folder / "behind", domains, server, resolver)
        place.weekly()
        place.weekly()
        size, pages = place.history, 0
        for _ in range(LATER):  # the file grows by whole pages: one week of few domains says little
            later = place.weekly()
            pages = max(pages, place.written)
    octets, megabytes = (place.history - size) / len(domains) / LATER, later.memory / 1e6
    return [
        row("S1", written, pages, "0", f"of {2 * len(domains):,}", pages == 0),
        row("S1", kept, octets, "≤ 300", "", octets <= 300),
        row("S1", "behind unbound: CPU per domain and unchanged week, ms", 1000 * later.cpu / len(domains)),
        row("S2", memory, megabytes, "≤ 200", f"{len(domains):,} domains", megabytes <= 200),
    ]


def sound(lab: Lab, count: int) -> list[str]:
    """Domains that answer; those that do not cost only time."""
    return [lab.name(n) for n in range(lab.domains) if lab.truth(n).kind is not Kind.SILENT][:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--domains", type=int, default=DOMAINS)
    parser.add_argument("--behind", action="store_true", help="only the weeks behind unbound")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    lab = Lab(given.domains * 2)
    with tempfile.TemporaryDirectory() as name:
        rows = [] if given.behind else figures(Path(name), lab, given.domains)
        rows += behind_unbound(Path(name), lab, given.domains)
    wrote(rows, given.json)


if __name__ == "__main__":
    main()
