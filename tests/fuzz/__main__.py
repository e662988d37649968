"""Runs inputs of grammars and mutated ones through every reader, and keeps those that crash, hang or need too much.

By time or by number; with a seed and by number a run is the same each time where no corpus was kept. An input is
interesting where what became of it looks like nothing before: it is kept in a folder, and later ones start from it.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from random import Random

from msgspec import Struct

from deliverability.core.codes import Detail
from tests.fuzz.targets import Target, targets

HANG = 2.0  # seconds of processor time for one input, and as many more for each megabyte of it
MEMORY = 500_000_000  # octets beyond what the program has when it begins
_CORPUS = 400  # inputs of each target that are kept
_LARGEST = 20_000  # octets of one that is kept


class Hang(BaseException):
    """Not caught by a reader that catches every Exception."""


class Ran(Struct, frozen=True):
    """What came of a target: inputs run, kinds of faults, inputs that are new in the corpus, processor time."""

    name: str
    inputs: int
    faults: tuple[str, ...]
    kept: int
    seconds: float


class Plan(Struct, frozen=True):
    """How much is run, from which seed, and where its folders are."""

    seconds: float | None
    inputs: int
    seed: int
    found: Path
    corpus: Path


def main() -> int:
    """0 where nothing was found; 1 where a reader crashed, hung or took too much, with the inputs in the folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of all processors, shared among the targets")
    parser.add_argument("--inputs", type=int, help="so many in all, in place of a time")
    parser.add_argument("--target", action="append", default=[], help="only these; `--list` names them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="to repeat a run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="folder for what was found")
    parser.add_argument(
        "--corpus", type=Path, default=Path("fuzz-corpus"), help="folder of interesting inputs; it grows"
    )
    options = parser.parse_args()
    every = _targets()
    if options.list:
        print("\n".join(every))
        return 0
    chosen = {name: every[name] for name in options.target or every}
    shares = sum(each.share for each in chosen.values())
    much = f"{options.inputs} inputs" if options.inputs else f"{options.seconds:g} s"
    print(f"seed {options.seed}, {len(chosen)} targets, {much}, {options.jobs} processes", flush=True)
    signal.signal(signal.SIGVTALRM, _hang)
    for target in chosen.values():
        attempt(target, target.seeds[0], set())  # what is loaded once is not counted
    work = []
    # Those that take longest go first, so that none is left alone at the end.
    for name in sorted(chosen, key=lambda name: chosen[name].share):
        weights = sum(map(_weight, chosen.values()))
        seconds = None if options.inputs else options.seconds * options.jobs * _weight(chosen[name]) / weights
        inputs = max(1, (options.inputs or 0) * chosen[name].share // shares)
        work.append((name, Plan(seconds, inputs, options.seed, options.found, options.corpus)))
    ran: list[Ran] = []
    with multiprocessing.get_context("fork").Pool(options.jobs, limit_memory, maxtasksperchild=8) as pool:
        for one in pool.imap_unordered(_run, work):
            ran.append(one)
            speed = one.inputs / max(one.seconds, 0.001)
            print(f"{one.name}: {one.inputs} inputs, {speed:.0f} a second, {one.kept} kept, {len(one.faults)} faults")
            for fault in one.faults:
                print(fault, file=sys.stderr, flush=True)
    inputs, faults = sum(each.inputs for each in ran), sum(len(each.faults) for each in ran)
    seconds = sum(each.seconds for each in ran)
    print(
        f"{inputs} inputs, {faults} faults, {seconds:.0f} s of processor time, "
        f"{inputs / max(seconds, 0.001):.0f} inputs a second of it"
    )
    return 1 if faults else 0


def _weight(target: Target) -> int:
    """How much of the time a target gets: more where an input takes long."""
    return 6 if target.share == 1 else 3 if target.share < 5 else 1


def limit_memory() -> None:
    """From now on this process may take so much more, and no more."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    signal.signal(signal.SIGVTALRM, _hang)


_targets = cache(targets)
"""Made before there are several processes, which then all have them."""


def _run(work: tuple[str, Plan]) -> Ran:
    name, plan = work
    return fuzz(name, _targets()[name], plan)


def fuzz(name: str, target: Target, plan: Plan) -> Ran:
    """Run a target; the first input of each kind of fault is kept, and every interesting one."""
    random = Random(f"{plan.seed} {name}")
    seen: set[str] = set()
    faults: list[str] = []
    looks: set[int] = set()
    folder = plan.corpus / name.replace(" ", "-").replace(",", "")
    before = sorted(folder.glob("*"))[:_CORPUS] if folder.is_dir() else []
    corpus = [path.read_bytes() for path in before]
    for octets in corpus:
        attempt(target, octets, looks)
    done = 0
    began = time.process_time()
    while time.process_time() < began + plan.seconds if plan.seconds is not None else done < plan.inputs:
        data = target.input(corpus, random)
        done += 1
        known = len(looks)
        fault = attempt(target, data, looks)
        if fault and (kind := fault.strip().splitlines()[-1].split(":")[0] + _place(fault)) not in seen:
            seen.add(kind)
            path = _keep(plan.found, f"{name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}", data)
            faults.append(f"{path}\n{fault}")
        elif len(looks) > known and len(corpus) < _CORPUS and len(data) <= _LARGEST:
            corpus.append(data)
            _keep(folder, hashlib.sha256(data).hexdigest()[:16], data)
    return Ran(name, done, tuple(faults), len(corpus) - len(before), time.process_time() - began)


def _keep(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def attempt(target: Target, data: bytes, looks: set[int]) -> str:
    """The traceback of a crash or hang; empty where the reader coped. `looks` gets how it coped."""
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG * (1 + len(data) / 1_000_000))
    try:
        result = target.run(data)
    except target.may_raise as error:
        result = (type(error).__name__, getattr(error, "details", ()))
    except (Exception, Hang):
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    looks.add(hash(frozenset(_looks(result))))
    return ""


def _looks(result: object, most: int = 60) -> Iterator[str]:
    """Types, values that are one of few, and codes in a result: what tells one way through a reader from another."""
    waiting = [result]
    while waiting and most:
        most -= 1
        value = waiting.pop()
        match value:
            case Enum() | bool() | None:
                yield str(value)
            case Detail():
                yield value.code
            case Struct():
                yield type(value).__name__
                waiting += (getattr(value, name) for name in value.__struct_fields__)
            case dict():
                waiting += [*value.values()][:10]
            case list() | tuple():
                waiting += [*value][:10]
            case set() | frozenset():
                waiting += sorted(value, key=repr)[:10]
            case _:
                yield f"{type(value).__name__} {bool(value)}"


def _place(fault: str) -> str:
    """The last line of our own in a traceback."""
    return next((line for line in reversed(fault.splitlines()) if "deliverability" in line), "")


def _hang(*_: object) -> None:
    raise Hang


if __name__ == "__main__":
    sys.exit(main())
