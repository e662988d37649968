"""The same targets guided by the branches that inputs reach, with atheris where that is installed: `make fuzz`.

atheris (pip install atheris) exists for Linux and some versions of Python only, so it is not among the locked packages.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path


def main() -> int:
    """0 where nothing was found or atheris is not here; 1 where a reader crashed or hung."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="in all, shared among the targets")
    parser.add_argument("--target", action="append", default=[], help="only these")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.alone:
        return alone(options.alone, rest)
    if find_spec("atheris") is None:
        print("atheris is not installed: only mutated inputs were run, none guided by branches")
        return 0
    from tests.fuzz.targets import targets

    every = targets()
    chosen = options.target or list(every)
    seconds = max(1, options.seconds // len(chosen))
    failed = []
    for name in chosen:
        with tempfile.TemporaryDirectory() as seeds:
            for number, seed in enumerate(every[name].seeds):
                Path(seeds, str(number)).write_bytes(seed)
            found = Path("fuzz-found")
            found.mkdir(exist_ok=True)
            limits = (f"-max_total_time={seconds}", "-timeout=10", "-max_len=20000", f"-artifact_prefix={found}/")
            # Each in a process of its own, since the library behind atheris ends the one that it runs in.
            command = (sys.executable, "-m", "tests.fuzz.guided", "--alone", name, *limits, seeds)
            ran = subprocess.run(command, capture_output=True, text=True)
        print(f"{name}: {'a fault' if ran.returncode else 'no fault'}", flush=True)
        if ran.returncode:
            failed.append(name)
            print(ran.stdout[-2000:], ran.stderr[-2000:], sep="\n", file=sys.stderr)
    return 1 if failed else 0


def alone(name: str, rest: list[str]) -> int:
    """Fuzz one target until libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["deliverability"]):
        from tests.fuzz.targets import targets
    target = targets()[name]

    def run(octets: bytes) -> None:
        try:
            target.run(octets)
        except target.may_raise:
            return

    atheris.Setup([sys.argv[0], *rest], run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
