"""Reads a warm-up plan as `deliv warm-up` writes it: CSV with the columns day and messages."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

from deliverability.model.codes import Code
from deliverability.model.errors import FILE_TOO_LARGE, InputError, file_error

MAX_OCTETS = 1_000_000
NO_PLAN = Code("warm-up-no-plan", ("file", "line"))


def read_plan(path: Path) -> tuple[tuple[date, int], ...]:
    """Each step's day and messages. Raises InputError where that is no plan, with the line."""
    try:
        if path.stat().st_size > MAX_OCTETS:
            raise InputError(FILE_TOO_LARGE(file=str(path), n=MAX_OCTETS // 1_000_000))
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(file_error(path, error)) from None
    steps = []
    rows = csv.DictReader(text.splitlines())
    for number, row in enumerate(rows, 2):
        try:
            day, messages = date.fromisoformat(row["day"]), int(row["messages"])
        except (KeyError, TypeError, ValueError):
            raise InputError(NO_PLAN(file=str(path), line=number)) from None
        if messages < 1:
            raise InputError(NO_PLAN(file=str(path), line=number))
        steps.append((day, messages))
    if not steps:
        raise InputError(NO_PLAN(file=str(path), line=1))
    return tuple(steps)
