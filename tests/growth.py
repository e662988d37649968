"""How the time of work grows where its input doubles: in processor time, so that other programs count for little."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

LONGEST = 1 << 16  # octets: what fits into one DNS answer
BELOW_NOTICE = 0.005  # seconds; below that the clock says more than the work
GROWTH = 2.3  # for twice the input
ATTEMPTS = 10  # at every length the best one counts; what is quadratic grows four times in each

Text = Callable[[int], str]
"""Makes a text of about that many characters."""


def repeated(piece: str, head: str = "", tail: str = "") -> Text:
    """A text of that many characters: `head`, then `piece` over and over, then `tail`."""
    return lambda size: head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


def once(work: Callable[[str], object], text: str) -> float:
    """Processor time of one run in seconds, without the collector, whose share is that of all other tests' objects."""
    gc.disable()
    try:
        start = time.process_time()
        work(text)
        return time.process_time() - start
    finally:
        gc.enable()


def seconds(work: Callable[[str], object], text: str) -> float:
    """Processor time of one run, the best of five; one below notice is not repeated."""
    best = float("inf")
    for _ in range(5):
        best = min(best, once(work, text))
        if best <= BELOW_NOTICE:
            break
    return best


def assert_linear(work: Callable[[str], object], text: Text, name: str = "", longest: int = LONGEST) -> None:
    """Twice the text takes twice the time at most, from 64 characters up to the longest text."""
    best: dict[int, float] = {}
    for _ in range(ATTEMPTS):
        worst, before, size = 1.0, BELOW_NOTICE, 64
        while size <= longest:
            best[size] = max(BELOW_NOTICE, min(best.get(size, float("inf")), seconds(work, text(size))))
            worst = max(worst, best[size] / before)
            if worst > GROWTH:
                break
            before, size = best[size], size * 2
        else:
            return
    raise AssertionError(f"{name}: {worst:.1f} times the time for {size} characters")


def grows(work: Callable[[str], object], text: Text, longest: int = LONGEST) -> bool:
    """Whether a look at three lengths, each four times the one before, leaves it open that the time grows too much."""
    before, size = BELOW_NOTICE, longest // 16
    while size <= longest:
        now = max(once(work, text(size)), BELOW_NOTICE)
        if now / before > GROWTH**2:
            return True
        before, size = now, size * 4
    return False
