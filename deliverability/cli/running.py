"""Runs the gathering with progress on a terminal's stderr. May import app."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from deliverability.app import Audited, InputError, audit_many
from deliverability.cli.inputs import Inputs

T = TypeVar("T")


def run(inputs: Inputs, each: Callable[[Audited], T]) -> list[T]:
    """Gather for every job in order and hand each result to `each`; what that gives is kept, the facts are not.

    Raises InputError on unusable messages and where a recording cannot be written.
    """
    results: list[T] = []

    async def work(tick: Callable[[], None]) -> None:
        async for audited in audit_many(inputs.jobs, inputs.world):
            for crash in audited.crashes:
                click.echo(f"internal error, please report it ({audited.subject.domain}):\n{crash}", err=True)
            results.append(each(audited))
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
    if inputs.world.recorder is not None:
        _save(inputs)
    return results


def _save(inputs: Inputs) -> None:
    from deliverability.ports.cassette import CassetteError

    recorder, path = inputs.world.recorder, inputs.record
    if recorder is None or path is None:
        return
    try:
        recorder.save(path)
    except CassetteError as error:
        raise InputError(str(error)) from None
