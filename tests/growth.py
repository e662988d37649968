"""How the time of a piece of work grows where its input doubles, in processor time, so that other programs count little."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST = 1 << 16  # octets: what fits into one DNS answer
BELOW_NOTICE = 0.002  # seconds; below that the clock says more than the work
GROWTH = 2.3  # for twice the input
ATTEMPTS = 5  # a busy machine may spoil a measurement, but not five; what is quadratic grows four times in each

Text = Callable[[int], str]
"""Makes a text of about that many characters."""


def repeated(piece: str, head: str = "", tail: str = "") -> Text:
    """A text of that many characters: `head`, then `piece` over and over, then `tail`."""
    return lambda size: head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one run, the best of five; a run below notice counts as nothing and is not repeated."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
        if best <= BELOW_NOTICE:
            break
    return max(best, BELOW_NOTICE)


def growth(work: Callable[[str], object], text: Text) -> float:
    """By how much the time grows at most where the text doubles; ends early where that is too much already."""
    worst, before, size = 1.0, seconds(lambda: work(text(64))), 128
    while size <= LONGEST:
        record = text(size)
        now = seconds(lambda: work(record))  # noqa: B023 - run at once
        worst = max(worst, now / before)
        if worst > GROWTH:
            break
        before, size = now, size * 2
    return worst


def grows(work: Callable[[str], object], text: Text) -> bool:
    """Whether a look at four lengths, each four times the one before, leaves it open that it grows too much."""
    before, size = BELOW_NOTICE, LONGEST // 64
    while size <= LONGEST:
        record = text(size)
        start = time.process_time()
        work(record)
        now = max(time.process_time() - start, BELOW_NOTICE)
        if now / before > GROWTH**2:
            return True
        before, size = now, size * 4
    return False


def assert_linear(work: Callable[[str], object], text: Text, name: str = "") -> None:
    """Twice the text takes twice the time, in one attempt of five."""
    assert any(growth(work, text) <= GROWTH for _ in range(ATTEMPTS)), name
