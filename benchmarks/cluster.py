"""A fleet on a Dask cluster of two workers on loopback ends as one in a process of its own.

    python benchmarks/cluster.py [--domains 50000]

Over the laboratory on loopback: one run with one worker process, one on the cluster. Both must have the same digest.
Exit code 1 where they have not. Where a busy machine left the name server no time, the domains with a time-out are
asked about again, as `--retry-failed` does, before the two are compared. Of a run on the cluster the processor time is
that of the parent process alone, which a run over more machines is bound by.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.kills import Command  # noqa: E402
from benchmarks.lab import SEED, Kind, Lab  # noqa: E402
from benchmarks.nameserver import serving  # noqa: E402
from deliverability.fleet.folder import FleetFolder, opened  # noqa: E402
from deliverability.fleet.run import fleet_status  # noqa: E402
from deliverability.fleet.shards import FACTS, read_lines  # noqa: E402

WORKERS = 2
_SHOWN = 10
_TIMEOUT = '"timeout"'
_AGAIN = 3


@contextlib.contextmanager
def cluster(folder: Path, workers: int = WORKERS) -> Iterator[str]:
    """The address of a scheduler with workers, as `--engine` takes it."""
    file = folder / "scheduler.json"
    local = ("--scheduler-file", str(file), "--no-dashboard")
    running = [_dask(folder, "scheduler", "--host", "127.0.0.1", "--port", "0", *local)]
    try:
        for _ in range(workers):
            words = ("--host", "127.0.0.1", "--nthreads", "2", "--no-nanny", "--death-timeout", "60")
            running.append(_dask(folder, "worker", *words, *local))
        while not (file.exists() and file.read_text()):
            if running[0].poll() is not None:
                raise OSError("the Dask scheduler did not start")
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"].replace("tcp://", "dask://")
    finally:
        for each in running:
            os.killpg(each.pid, signal.SIGKILL)
            each.wait()


def _dask(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    with (folder / f"{words[0]}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def _seconds(command: Command, out: Path, *more: str) -> tuple[float, float]:
    """Run to its end: seconds, and those of processor time; what others do on a cluster is none of it."""
    process, begin = command.start(out, *more), time.perf_counter()
    _, status, used = os.wait4(process.pid, 0)
    if (code := os.waitstatus_to_exitcode(status)) not in (0, 3):
        sys.exit(f"deliv fleet run left with {code}")
    process.returncode = code
    return time.perf_counter() - begin, used.ru_utime + used.ru_stime


def _answered(command: Command, out: Path, *more: str) -> int:
    """Ask again until nothing timed out, thrice at most: how often that was needed."""
    for times in range(_AGAIN):
        with opened(out) as fleet:
            if not any(_TIMEOUT in json.dumps(each["facts"]) for each in _facts(out, fleet)):
                return times
        _seconds(command, out, "--retry-failed", *more)
    return _AGAIN


def _different(one: Path, other: Path) -> Iterator[tuple[bool, str]]:
    """Each domain whose facts differ, with the first that does; whether a question of it timed out in either run.

    That happens where a busy machine leaves the name server no time, and says nothing about the engine.
    """
    with opened(one) as here, opened(other) as there:
        for pair in zip(_facts(one, here), _facts(other, there), strict=True):
            mine, theirs = (each["facts"] for each in pair)
            values = {
                path: json.dumps([mine[path], theirs.get(path)]) for path in mine if mine[path] != theirs.get(path)
            }
            if values:
                path, shown = next(iter(values.items()))
                late = any(_TIMEOUT in each for each in values.values())
                yield late, f"{pair[0]['subject']['domain']}: {path} {shown[:240]}"


def _facts(folder: Path, fleet: FleetFolder) -> Iterator[Any]:
    for state in fleet.done:
        yield from read_lines(folder, FACTS, state.number, state.facts, state.domains)


def main() -> int:
    """0 where the digests are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=50_000)
    args = parser.parse_args()
    lab = Lab(args.domains, SEED)
    with tempfile.TemporaryDirectory() as name, serving(partial(Lab, args.domains, SEED)) as server:
        folder = Path(name)
        listed = folder / "domains.txt"
        # Those that never answer would only take time, and whether a question is given up is a matter of moments.
        sound = [truth.domain for truth in map(lab.truth, range(args.domains)) if truth.kind is not Kind.SILENT]
        listed.write_text("".join(f"{each}\n" for each in sound))
        command = Command(listed, server.resolver, 1)
        spent = {"here": _seconds(command, folder / "here")}
        again = {"here": _answered(command, folder / "here")}
        with cluster(folder) as address:
            spent["cluster"] = _seconds(command, folder / "cluster", "--engine", address)
            again["cluster"] = _answered(command, folder / "cluster", "--engine", address)
        digests = {each: fleet_status(folder / each).digest for each in spent}
        different = list(_different(folder / "here", folder / "cluster"))
    print(f"{len(sound)} domains")
    for each, digest in digests.items():
        seconds, cpu = spent[each]
        cost = f"{seconds:7.0f} s, {1000 * cpu / len(sound):.2f} ms CPU per domain"
        print(f"{each:8} {digest} {cost}; {again[each]} times more for what timed out")
    for _, line in different[:_SHOWN]:
        print(line)
    print(f"{len(different)} differ, {sum(late for late, _ in different)} of them with a time-out")
    return 0 if len(set(digests.values())) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
