"""How long the program takes to begin: commands beside `python -c pass`, and one domain beside checkdmarc.

    python benchmarks/startup.py [--rounds N] [--json FILE]

G1: processor time of whole processes that take turns; the ratio of the medians. `audit --eml` is a mail of a few
lines, offline. Byte code and the cache of rules and words are there, as after any earlier run; the first run of all,
without that cache, stands beside. S9: `deliv audit DOMAIN`, seconds, on sound domains of benchmarks/lab.py, against a
name server that takes 20 ms for each answer, beside checkdmarc's library with its JSON printed, which is what its
command does.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.fleet import row, wrote  # noqa: E402
from benchmarks.lab import Kind, Lab  # noqa: E402
from benchmarks.nameserver import serving  # noqa: E402

ROUNDS = 15
DELAY = 0.020
DELIV = (sys.executable, "-m", "deliverability")
PASS = (sys.executable, "-c", "pass")
MAIL = """\
From: Ann <ann@example.com>
To: Bob <bob@example.net>
Subject: Tomorrow
Date: Tue, 24 Nov 2026 10:00:00 +0000
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Hello Bob, see you tomorrow.
"""
THEIRS = """\
import sys, checkdmarc
from dns.nameserver import Do53Nameserver
servers = [Do53Nameserver("127.0.0.1", int(sys.argv[1]))]
print(checkdmarc.results_to_json(checkdmarc.check_domains([sys.argv[2]], nameservers=servers)))
"""


class Took(Struct, frozen=True):
    """What a process took, in seconds."""

    seconds: float
    cpu: float


class Machine:
    """Runs processes with byte code, cache and state of their own: a history of the user would be read as well."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "code")}
        self._env |= {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}
        self._env.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(self, command: Sequence[str], *, cache: bool = True) -> Took:
        """Run one to its end; without `cache` as on a machine where it never ran. Ends the program where it fails."""
        env = self._env if cache else {**self._env, "XDG_CACHE_HOME": os.devnull}
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, env=env, cwd=self.folder, capture_output=True)
        seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 1, 3):  # 1: findings, 3: not all could be checked
            sys.exit(f"{' '.join(command[:4])} left with {done.returncode}: {done.stderr.decode()[-500:]}")
        return Took(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def starts(machine: Machine, rounds: int) -> list[dict[str, Any]]:
    """G1."""
    mail = machine.folder / "small.eml"
    mail.write_text(MAIL)
    eml = [*DELIV, "audit", "--eml", str(mail), "--offline"]
    cases: dict[str, tuple[Sequence[str], bool, float | None]] = {
        "deliv --help": ([*DELIV, "--help"], True, 6),
        "deliv audit --eml, a small message": (eml, True, 20),
        "deliv demo": ([*DELIV, "demo"], True, None),
        "deliv audit --help": ([*DELIV, "audit", "--help"], True, None),
        "deliv audit --eml, nothing cached yet": (eml, False, None),
        "checkdmarc --help": ([str(Path(sys.executable).with_name("checkdmarc")), "--help"], True, None),
    }
    taken: dict[str, list[float]] = {name: [] for name in ("", *cases)}
    for command, cache, _ in cases.values():
        machine.run(command, cache=cache)  # its byte code
    for _ in range(rounds):
        for name, (command, cache, _) in cases.items():
            taken[""].append(machine.run(PASS).cpu)
            taken[name].append(machine.run(command, cache=cache).cpu)
    base = statistics.median(taken.pop(""))
    rows = []
    for name, values in taken.items():
        times, goal = statistics.median(values) / base, cases[name][2]
        note = f"python -c pass, {base * 1000:.3g} ms"
        rows.append(row("G1", name, times, f"≤ {goal:g} ×" if goal else "", note, times <= goal if goal else None))
    return rows


def domains(machine: Machine, rounds: int) -> list[dict[str, Any]]:
    """S9."""
    lab = Lab(200)
    sound = [lab.name(n) for n in range(lab.domains) if lab.truth(n).kind is Kind.HEALTHY][:rounds]
    pairs = []
    with serving(partial(Lab, lab.domains, lab.seed), delay=DELAY) as server:
        for domain in (sound[0], *sound):
            ours = machine.run([*DELIV, "audit", domain, "--resolver", server.resolver])
            theirs = machine.run([sys.executable, "-c", THEIRS, str(server.port), domain])
            pairs.append((ours, theirs))
    rows = []
    for case, take, goal in (
        ("deliv audit DOMAIN, 20 ms an answer, whole process", lambda took: took.seconds, 6),
        ("the same, processor time", lambda took: took.cpu, None),
    ):
        mine, others = zip(*((take(ours), take(theirs)) for ours, theirs in pairs[1:]), strict=True)
        times = statistics.median(other / one for one, other in zip(mine, others, strict=True))
        note = f"checkdmarc {statistics.median(others) * 1000:.4g} ms, deliv {statistics.median(mine) * 1000:.4g} ms"
        rows.append(row("S9", case, times, f"≥ {goal} × faster" if goal else "", note, times >= goal if goal else None))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        machine = Machine(Path(name))
        rows = [*starts(machine, given.rounds), *domains(machine, given.rounds)]
    wrote(rows, given.json)


if __name__ == "__main__":
    main()
