"""Runs mutated inputs through the readers for a time and keeps those that crash or hang: `make fuzz`."""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import Target, targets

HANG = 5.0  # seconds of processor time for one input


class Hang(BaseException):
    """Not caught by a reader that catches every Exception."""


def main() -> int:
    """0 where nothing was found; 1 where a reader crashed or hung, with the inputs in the folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="in all, shared among the targets")
    parser.add_argument("--target", action="append", default=[], help="only these; `--list` names them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="to repeat a run")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="folder for what was found")
    options = parser.parse_args()
    every = targets()
    if options.list:
        print("\n".join(every))
        return 0
    chosen = {name: every[name] for name in options.target or every}
    signal.signal(signal.SIGVTALRM, _hang)
    print(f"seed {options.seed}, {len(chosen)} targets, {options.seconds:g} s")
    inputs = faults = 0
    for name, target in chosen.items():
        done, found = fuzz(name, target, options.seconds / len(chosen), Random(f"{options.seed} {name}"), options.found)
        inputs, faults = inputs + done, faults + found
        print(f"{name}: {done} inputs, {found} faults", flush=True)
    print(f"{inputs} inputs, {faults} faults")
    return 1 if faults else 0


def fuzz(name: str, target: Target, seconds: float, random: Random, folder: Path) -> tuple[int, int]:
    """Inputs run and kinds of faults found; the first input of each kind is kept."""
    seen: set[str] = set()
    done = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(target.seeds, random)
        done += 1
        fault = attempt(target, data)
        if fault and (kind := fault.strip().splitlines()[-1].split(":")[0] + _place(fault)) not in seen:
            seen.add(kind)
            folder.mkdir(exist_ok=True)
            path = folder / f"{name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"{path}\n{fault}", file=sys.stderr, flush=True)
    return done, len(seen)


def attempt(target: Target, data: bytes) -> str:
    """The traceback of a crash or hang; empty where the reader coped."""
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG)
    try:
        target.run(data)
    except target.may_raise:
        return ""
    except (Exception, Hang):
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return ""


def _place(fault: str) -> str:
    """The last line of our own in a traceback."""
    return next((line for line in reversed(fault.splitlines()) if "deliverability" in line), "")


def _hang(*_: object) -> None:
    raise Hang


if __name__ == "__main__":
    sys.exit(main())
