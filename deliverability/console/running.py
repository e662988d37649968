"""Runs the work with progress on standard error."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deliverability import __version__
from deliverability.console import ending
from deliverability.console.inputs import Inputs
from deliverability.console.language import language
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, set_aside
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Report
from deliverability.core.rules.judge import Selection, judge_of
from deliverability.engine.audit import Audited, Extras, Reported, gather_facts, report_on
from deliverability.engine.base import catalogue
from deliverability.engine.rules import worst_exit_code
from deliverability.engine.stream import collecting_seldom, stream

if TYPE_CHECKING:
    from deliverability.console.judging import Judging
    from deliverability.console.output import Outputs
    from deliverability.core.model.knowledge import Knowledge
    from deliverability.core.model.rules import RuleSet

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


NONE_READ = Code("none-read")
_PAUSE = 0.002  # seconds in which questions go out and answers are taken

S = TypeVar("S")
T = TypeVar("T")


def run(inputs: Inputs, knowledge: Knowledge, each: Callable[[Audited], T]) -> list[T]:
    """Gather for every job in order and hand each result to `each`; what that gives is kept, the facts are not.

    A subject that cannot be read is told and left out: see Inputs.lost. Raises InputError where that leaves none, and
    where a recording cannot be written.
    """

    def handed(audited: Audited) -> T:
        _tell_crashes(audited)
        return each(audited)

    return _run(inputs, lambda job: gather_facts(job, inputs.ports, knowledge=knowledge), handed)


def run_reports(
    inputs: Inputs,
    rules: RuleSet,
    selection: Selection,
    each: Callable[[Audited, Report], T],
    extras: Extras,
    prepare: Callable[[], None] = lambda: None,
) -> list[T]:
    """As `run`, judged, and with what else is wanted; `prepare` loads what `each` needs while answers are awaited."""

    def handed(got: Reported) -> T:
        _tell_crashes(got.audited)
        return each(got.audited, got.report)

    def ready() -> None:
        judge_of(rules, catalogue(), selection)

    meanwhile = [ready, prepare] if "live" in inputs.ports.sources else []
    return _run(inputs, lambda job: report_on(job, inputs.ports, rules, selection, extras), handed, meanwhile)


def write_reports(
    inputs: Inputs, judging: Judging, outputs: Outputs, *, remedies: bool = True, second_opinion: bool = False
) -> int:
    """As `run_reports`: write the reports, and give the worst exit code."""
    extras = Extras(remedies, second_opinion, outputs.previews)
    write = partial(judging.write, outputs=outputs)
    codes = run_reports(inputs, judging.rules, judging.selection, write, extras, outputs.prepare)
    outputs.end()
    return worst_exit_code((*codes, inputs.code))


async def _done_meanwhile(steps: Sequence[Callable[[], None]]) -> None:
    """Take these steps while answers are on their way; one that fails is told where its result is needed."""
    for step in steps:
        await asyncio.sleep(_PAUSE)
        with suppress(Exception):
            step()


def _lost(inputs: Inputs) -> Callable[[Subject, Exception], None]:
    def lost(subject: Subject, error: Exception) -> None:
        if len(inputs.subjects) == 1:
            raise error
        inputs.set_apart(subject.name, error)

    return lost


def _tell_crashes(audited: Audited) -> None:
    say = language().say
    for crash in audited.crashes:
        if "\n" in crash:
            click.echo(f"{say('cli.internal', what=audited.subject.domain)}\n{crash}", err=True)
        else:  # no fault of ours: what the machine lacks
            click.echo(say("cli.warning", text=f"{audited.subject.domain}: {ending.visible(crash)}"), err=True)


def _run(
    inputs: Inputs,
    work: Callable[[Subject], Coroutine[Any, Any, S]],
    each: Callable[[S], T],
    meanwhile: Sequence[Callable[[], None]] = (),
) -> list[T]:
    results: list[T] = []

    async def go(tick: Callable[[], None]) -> None:
        many = len(inputs.subjects) > 1
        done = asyncio.create_task(_done_meanwhile(meanwhile))
        try:
            with collecting_seldom() if many else nullcontext():
                lost = _lost(inputs)
                async for subject, got in stream(inputs.subjects, work, lost=lost):
                    # Where its report cannot be written at all, nothing of the others can be either.
                    with set_aside(partial(lost, subject), but=(InputError, OSError)):
                        results.append(each(got))
                    tick()
        finally:
            done.cancel()
            await inputs.ports.close()

    if not on_terminal():
        asyncio.run(go(lambda: None))
    elif len(inputs.subjects) == 1:
        name = ending.visible(inputs.subjects[0].name)
        label = language().say("cli.auditing-one", name=name)
        click.echo(label, err=True, nl=False)
        try:
            asyncio.run(go(lambda: None))
        finally:
            click.echo(CLEAR, err=True, nl=False)
    else:
        with progress(len(inputs.subjects)) as shown:
            asyncio.run(go(lambda: shown.tick(time.monotonic())))
    if inputs.record is not None:
        from deliverability.core.net.recording import write_recording

        write_recording(inputs.record, inputs.ports, __version__)
    if inputs.lost and not results:
        raise InputError(NONE_READ())
    return results
