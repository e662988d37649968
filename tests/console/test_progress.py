"""Progress on a terminal: what it says, and when it dares to say how long the rest will take."""

from __future__ import annotations

import pytest

from deliverability.console.progress import Progress


def lines(total: int, done: int, seconds: float) -> str:
    shown = Progress(total, begun=100.0)
    for _ in range(done):
        shown.tick(100.0)
    return shown.line(100.0 + seconds)


@pytest.mark.parametrize(
    ("total", "done", "seconds", "line"),
    [
        (40, 0, 0.4, "Auditing: 0 of 40, 0:00"),
        (40, 4, 20, "Auditing: 4 of 40, 0:20"),
        (40, 5, 20, "Auditing: 5 of 40, 0:20, about 2:20 left"),
        (400, 39, 20, "Auditing: 39 of 400, 0:20"),
        (400, 40, 80, "Auditing: 40 of 400, 1:20, about 12:00 left"),
        (3, 2, 9, "Auditing: 2 of 3, 0:09"),
    ],
)
def test_a_remaining_time_after_a_tenth_and_five_only(total: int, done: int, seconds: float, line: str) -> None:
    assert lines(total, done, seconds) == line


def test_progress_speaks_japanese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELIV_LANG", "ja")
    assert lines(40, 5, 20) == "診断中：5/40、経過 0:20、残り約2:20"
