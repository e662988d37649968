"""Shares, and what so many messages can show of them."""

from __future__ import annotations

from math import floor, sqrt

Z = 1.645
"""One-sided, at 95 %."""


def percent(part: int, whole: int) -> float | None:
    """The share in percent; None of nothing."""
    return _shown(100 * part / whole) if whole else None


def at_least_percent(good: int, all_: int) -> float | None:
    """The Wilson lower bound of a share, one-sided at 95 %; None of nothing."""
    if not all_:
        return None
    share, squared = good / all_, Z * Z
    middle = share + squared / (2 * all_)
    spread = Z * sqrt(share * (1 - share) / all_ + squared / (4 * all_ * all_))
    return _shown(max(0.0, 100 * (middle - spread) / (1 + squared / all_)))


def _shown(share: float) -> float:
    """Two decimals, cut off: what is short of a limit is shown short of it."""
    return floor(share * 100 + 1e-9) / 100
