"""A fleet run that is killed again and again ends as one that was not: the acceptance test of `deliv fleet run`.

    python benchmarks/kills.py --domains 5000 --kills 10 [--workers 2] [--seed 1]

Over the laboratory on loopback: one run to its end; one that is killed at random moments, its parent alone or with all
workers, and begun again at once; two parts, merged by copying. All three must have the same digest. Which tests of the
test suite do the same with few domains: tests/runs/fleet. Exit code 1 where a digest differs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from sqlite3 import Error

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.lab import SEED, Kind, Lab  # noqa: E402
from benchmarks.nameserver import serving  # noqa: E402
from deliverability.core.errors import InputError  # noqa: E402
from deliverability.fleet.run import fleet_status  # noqa: E402


class Command:
    """`deliv fleet run` over one list."""

    def __init__(self, listed: Path, resolver: str, workers: int) -> None:
        self._words = [sys.executable, "-m", "deliverability", "fleet", "run", str(listed)]
        self._words += ["--resolver", resolver, "--rate", "0", "--workers", str(workers), "--output"]

    def start(self, out: Path, *more: str) -> subprocess.Popen[bytes]:
        """Begin, in a session of its own, so that it can be killed with all its workers."""
        return subprocess.Popen(
            [*self._words, str(out), *more],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, out: Path, *more: str) -> None:
        """To its end. Ends the program where it fails."""
        if (code := self.start(out, *more).wait()) not in (0, 3):
            sys.exit(f"deliv fleet run left with {code}")


def killed(command: Command, out: Path, domains: int, kills: int, seed: int) -> int:
    """A run that is killed so often, at moments spread over its work; how often it was alive to be killed."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(domains) for _ in range(kills))
    done = 0
    for moment in moments:
        process = command.start(out)
        while process.poll() is None and _done(out) < moment:
            time.sleep(0.05)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.random() * 2)
        if process.poll() is None:
            done += 1
            if chance.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
            print(f"killed at {_done(out)} of {domains}", flush=True)
    command.run(out)
    return done


def _done(out: Path) -> int:
    with contextlib.suppress(InputError, Error):
        return fleet_status(out).done
    return 0


def main() -> int:
    """0 where all digests are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    lab = Lab(args.domains, SEED)
    with tempfile.TemporaryDirectory() as name, serving(partial(Lab, args.domains, SEED)) as server:
        folder = Path(name)
        listed = folder / "domains.txt"
        # Those that never answer would only take time, and whether a question is given up is a matter of moments.
        sound = [truth.domain for truth in map(lab.truth, range(args.domains)) if truth.kind is not Kind.SILENT]
        listed.write_text("".join(f"{each}\n" for each in sound))
        command = Command(listed, server.resolver, args.workers)
        command.run(folder / "whole")
        kills = killed(command, folder / "killed", len(sound), args.kills, args.seed)
        for number in (1, 2):
            command.run(folder / f"part{number}", "--shard", f"{number}/2")
            shutil.copytree(folder / f"part{number}", folder / "merged", dirs_exist_ok=True)
        digests = {each: fleet_status(folder / each).digest for each in ("whole", "killed", "merged")}
    print(f"{len(sound)} domains, {kills} kills")
    for each, digest in digests.items():
        print(f"{each:8} {digest}")
    return 0 if len(set(digests.values())) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
