"""Progress of long work on standard error, where somebody sees it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from deliverability.console.language import language

_LEAST, _PART = 5, 10
_EVERY = 20
CLEAR = "\r\x1b[K"


class Progress:
    """A line that says how many are done, since when, and how long the rest may take once that can be told."""

    def __init__(self, total: int, begun: float) -> None:
        self._total, self._begun = total, begun
        self._done = 0

    def tick(self, now: float, many: int = 1) -> None:
        """So many more are done."""
        self._done += many
        click.echo(CLEAR + self.line(now), err=True, nl=False)

    def line(self, now: float) -> str:
        """The first subjects tell little of the others, for servers are asked that the others find answered."""
        elapsed = now - self._begun
        values = {"done": str(self._done), "all": str(self._total), "elapsed": clock(elapsed)}
        say = language().say
        if self._done < max(_LEAST, self._total / _PART):
            return say("cli.progress", **values)
        return say("cli.progress-left", **values, left=clock(elapsed / self._done * (self._total - self._done)))


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """Shown on a terminal only, and gone at the end."""
    shown = Progress(total, time.monotonic())
    click.echo(shown.line(time.monotonic()), err=True, nl=False)
    try:
        yield shown
    finally:
        click.echo(CLEAR, err=True, nl=False)


@contextmanager
def counted(key: str) -> Iterator[Callable[[], None]]:
    """What is to be called for each that is done; now and then a terminal is told how many. Gone at the end."""
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if done % _EVERY == 0 and on_terminal():
            click.echo(CLEAR + language().say.count(key, done), err=True, nl=False)

    try:
        yield tick
    finally:
        if on_terminal():
            click.echo(CLEAR, err=True, nl=False)


def on_terminal() -> bool:
    """Whether somebody sees it."""
    return sys.stderr.isatty()


def clock(seconds: float) -> str:
    """A time in minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
