"""How the time of work grows with its input: processor time of one thread, and never how much of it there was.

What is done in C (a regular expression, a copy of a text) shows in nothing but time. A busy machine only ever adds to
that, so the best of several runs counts, and one run that grows as it should is enough.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from itertools import pairwise

LONGEST = 1 << 16  # octets: what fits into one DNS answer
BELOW_NOTICE = 0.005  # seconds; below that the clock says more than the work
STEP = 16  # each length is that many times the one before
GROWTH = 48  # times the time for one step: what is linear grows 16 times, what sorts 20, what is quadratic 256
ATTEMPTS = 12  # of which at every length the best counts

Text = Callable[[int], str]
"""Makes a text of about that many characters."""
Clock = Callable[[], float]


def repeated(piece: str, head: str = "", tail: str = "") -> Text:
    """A text of that many characters: `head`, then `piece` over and over, then `tail`."""
    return lambda size: head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


def seconds(work: Callable[[str], object], text: str, clock: Clock = time.thread_time) -> float:
    """Processor time of one run in seconds, without the collector, whose share is that of all other tests' objects."""
    gc.disable()
    try:
        start = clock()
        work(text)
        return clock() - start
    finally:
        gc.enable()


def assert_linear(
    work: Callable[[str], object],
    text: Text,
    name: str = "",
    longest: int = LONGEST,
    clock: Clock = time.thread_time,
) -> None:
    """Sixteen times the text never takes anything like 256 times the time, in three steps up to the longest text."""
    sizes = [longest // STEP**2, longest // STEP, longest]
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(ATTEMPTS):
        for size in sizes:
            best[size] = min(best[size], seconds(work, text(size), clock))
        noticed = [max(best[size], BELOW_NOTICE) for size in sizes]
        worst = max(after / before for before, after in pairwise(noticed))
        if worst <= GROWTH:
            return
    raise AssertionError(f"{name}: {worst:.0f} times the time for {STEP} times the text, up to {longest} characters")


def assert_at_most(times: int, work: Callable[[str], object], text: str, name: str = "") -> None:
    """The work takes at most that many times what a loop in Python over the same characters takes."""
    best = float("inf")
    for _ in range(ATTEMPTS):
        best = min(best, seconds(work, text))
        ratio = best / seconds(_loop, text)
        if ratio <= times:
            return
    raise AssertionError(f"{name}: {ratio:.0f} times the time of a loop over the text")


def _loop(text: str) -> int:
    return sum(ord(each) for each in text)
