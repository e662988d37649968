"""`deliv fleet query`: SQL over a fleet's findings."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from deliverability.console.command import Command
from deliverability.console.language import language
from deliverability.console.options import plain_errors, speaking_option
from deliverability.console.output import show
from deliverability.console.types import OneOf, PathOf
from deliverability.core.codec import json_text
from deliverability.core.errors import InputError, not_written
from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.paper import width_of
from deliverability.core.words.sentences import visible
from deliverability.fleet.folder import opened
from deliverability.fleet.status_command import tell_damaged
from deliverability.fleet.tables import query

SHOWN = 1000
"""Rows of a text: more are for programs."""


@click.command("fleet-query", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@click.argument("sql", metavar="SQL")
@click.option("--format", "style", type=OneOf(["text", "csv", "json"]), default="text", show_default=True)
@speaking_option
def command(folder: Path, sql: str, style: str) -> int:
    """Answer an SQL query over the findings of a fleet."""
    with plain_errors():
        try:
            with opened(folder) as fleet:
                damaged = fleet.check()
                with query(fleet, sql) as (columns, rows):
                    for piece in {"text": _text, "csv": _csv, "json": _json}[style](columns, rows):
                        show(piece)
        except OSError as error:
            raise InputError(not_written(str(folder), error)) from None
    tell_damaged(damaged)
    return 3 if damaged else 0


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield csv_row(columns)
    for row in rows:
        yield csv_row(["" if cell is None else str(cell) for cell in row])


def _json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """An object a line."""
    for row in rows:
        cells = (cell if isinstance(cell, str | int | float | None) else str(cell) for cell in row)
        yield json_text(dict(zip(columns, cells, strict=True))) + "\n"


def _text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Columns side by side, numbers to the right."""
    every = iter(rows)
    some = list(itertools.islice(every, SHOWN))
    shown = [["" if cell is None else visible(str(cell)) for cell in row] for row in some]
    widths = [max(map(width_of, (name, *(row[place] for row in shown)))) for place, name in enumerate(columns)]
    right = [
        bool(some) and all(isinstance(row[place], int | float | None) for row in some) for place in range(len(columns))
    ]

    def line(cells: Sequence[str]) -> str:
        pads = [" " * (width - width_of(cell)) for cell, width in zip(cells, widths, strict=True)]
        made = (pad + cell if flush else cell + pad for cell, pad, flush in zip(cells, pads, right, strict=True))
        return "  ".join(made).rstrip() + "\n"

    yield line(columns)
    yield "  ".join("-" * width for width in widths) + "\n"
    yield from map(line, shown)
    if next(every, None) is not None:
        yield language().say("fleet-report.cut", n=str(SHOWN)) + "\n"
