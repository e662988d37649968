"""`deliv --help` against `python -c pass`, whole processes in turn: the ratio of the medians (aim: at most 6)."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 21
COMMANDS = {
    "pass": [sys.executable, "-c", "pass"],
    "--help": [sys.executable, "-m", "deliverability", "--help"],
    "audit --help": [sys.executable, "-m", "deliverability", "audit", "--help"],
    "rules": [sys.executable, "-m", "deliverability", "rules"],
    "demo": [sys.executable, "-m", "deliverability", "demo"],
}


def seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for command in COMMANDS.values():
        seconds(command)  # warms the byte code and the disk cache
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    base = statistics.median(taken["pass"])
    for name, values in taken.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"{name:<14} {middle / base:5.1f} x pass   {middle * 1000:6.1f} ms ({low * 1000:.1f}-{high * 1000:.1f})")


if __name__ == "__main__":
    main()
