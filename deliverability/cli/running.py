"""Runs the work with progress on a terminal's stderr."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from deliverability.cli import ending
from deliverability.cli.inputs import Inputs
from deliverability.model.errors import InputError
from deliverability.model.report import Report
from deliverability.runs.engine import Audited, Job, Lost, Reported, audit_many, report_many

if TYPE_CHECKING:
    from deliverability.judge.engine import Selection
    from deliverability.model.rules import RuleSet

S = TypeVar("S")
T = TypeVar("T")


def run(inputs: Inputs, each: Callable[[Audited], T]) -> list[T]:
    """Gather for every job in order and hand each result to `each`; what that gives is kept, the facts are not.

    A subject that cannot be read is told and left out: see Inputs.lost. Raises InputError where that leaves none, and
    where a recording cannot be written.
    """

    def told(audited: Audited) -> T:
        _tell_crashes(audited)
        return each(audited)

    return _run(inputs, audit_many(inputs.jobs, inputs.ports, _lost(inputs)), told)


def run_reports(
    inputs: Inputs,
    rules: RuleSet,
    selection: Selection,
    each: Callable[[Audited, Report], T],
    *,
    remedies: bool = True,
    second_opinion: bool = False,
) -> list[T]:
    """As `run`, judged, and with remedies and a second opinion where they are asked for."""

    def told(got: Reported) -> T:
        _tell_crashes(got.audited)
        return each(got.audited, got.report)

    stream = report_many(
        inputs.jobs,
        inputs.ports,
        rules,
        selection,
        remedies=remedies,
        second_opinion=second_opinion,
        lost=_lost(inputs),
    )
    return _run(inputs, stream, told)


def _lost(inputs: Inputs) -> Lost:
    def lost(job: Job, error: Exception) -> None:
        if len(inputs.jobs) == 1:
            raise error
        sentence, _ = ending.told(error)
        name = job.domain or (job.sample.name if job.sample else "")
        inputs.lost.append(sentence)
        click.echo(f"not audited: {ending.visible(name)}: {sentence}", err=True)

    return lost


def _tell_crashes(audited: Audited) -> None:
    for crash in audited.crashes:
        click.echo(f"internal error, please report it ({audited.subject.domain}):\n{crash}", err=True)


def _run(inputs: Inputs, stream: AsyncIterator[S], each: Callable[[S], T]) -> list[T]:
    results: list[T] = []

    async def work(tick: Callable[[], None]) -> None:
        async for got in stream:
            results.append(each(got))
            tick()

    if not sys.stderr.isatty():
        asyncio.run(work(lambda: None))
    elif len(inputs.jobs) == 1:
        job = inputs.jobs[0]
        label = f"Auditing {job.domain or (job.sample.name if job.sample else '')} ..."
        click.echo(label, err=True, nl=False)
        try:
            asyncio.run(work(lambda: None))
        finally:
            click.echo("\r" + " " * len(label) + "\r", err=True, nl=False)
    else:
        with click.progressbar(length=len(inputs.jobs), label="Auditing", file=sys.stderr, show_pos=True) as bar:
            asyncio.run(work(lambda: bar.update(1)))
    if inputs.record is not None:
        from deliverability import __version__
        from deliverability.ports.recording import write_recording

        write_recording(inputs.record, inputs.ports, __version__)
    if inputs.lost and not results:
        raise InputError("none of the subjects could be read")
    return results
