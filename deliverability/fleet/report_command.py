"""`deliv fleet report`: what a fleet's findings have in common, and what one change would mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.language import language
from deliverability.console.options import lang_option, plain_errors, rule_folders_option, rule_problems
from deliverability.console.output import UNKNOWN_ENDING, put, show
from deliverability.console.types import PathOf
from deliverability.core.errors import InputError, not_written
from deliverability.core.words.speaker import Speaker
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.fleet.causes import causes
from deliverability.fleet.folder import opened
from deliverability.fleet.report import FORMATS
from deliverability.fleet.status_command import tell_damaged
from deliverability.fleet.tables import write_parquet
from deliverability.fleet.view import fleet_view

if TYPE_CHECKING:
    from deliverability.fleet.view import FleetView


@click.command("fleet-report", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@click.option("-o", "--output", multiple=True, type=PathOf("file"), metavar="FILE")
@click.option("--compare", type=PathOf("folder", exists=True), metavar="OLDDIR")
@click.option("--parquet", is_flag=True)
@rule_folders_option
@lang_option
def command(folder: Path, output: tuple[Path, ...], compare: Path | None, parquet: bool, **params: Any) -> int:
    """Say what the findings of a fleet have in common."""
    with plain_errors():
        for path in output:
            if path.suffix.lower() not in FORMATS:
                raise InputError(UNKNOWN_ENDING(file=str(path), endings=tuple(FORMATS)))
        with rule_problems():
            rules = load_rules(params["rules"])
        with ExitStack() as stack:
            fleet = stack.enter_context(opened(folder))
            damaged = fleet.check()
            older = None
            if compare:
                before = stack.enter_context(opened(compare))
                damaged += before.check()
                older = before.rows()
            found = causes(fleet.rows(), rules, fleet.day, older, fleet.audience)
            if parquet:
                try:
                    tables = write_parquet(fleet)
                except OSError as error:
                    raise InputError(not_written(str(folder / "tables"), error)) from None
                click.echo(language().say("cli.written", file=str(tables)), err=True)
            left = fleet.status(running=False).left
        speaker = Speaker(rules, catalogue(), language().people)
        for path in output:
            put(FORMATS[path.suffix.lower()](found, speaker), path)
        if not output:
            show("\n".join(_lines(fleet_view(found, speaker))) + "\n")
    tell_damaged(damaged)
    if left:
        click.echo(language().say("cli.fleet-idle", left=f"{left:,}"), err=True)
    return 3 if damaged else 0


def _lines(view: FleetView) -> Iterator[str]:
    """The answer, and what concerns most domains."""
    yield view.heading
    yield from view.lead
    if view.actions:
        yield ""
        yield language().say("fleet-report.actions")
        for each in view.actions:
            yield f"  {each.count}{language().say('punctuation.colon')}{each.what}"
