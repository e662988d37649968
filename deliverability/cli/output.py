"""Writes reports where the user wants them: several formats at once, one subject after the other. May import render."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from deliverability.app import InputError, catalogue, rule_folders
from deliverability.model.report import Report

FORMAT_OF = {".txt": "text", ".text": "text", ".json": "json", ".html": "html", ".htm": "html"}


def targets(style: str | None, files: Sequence[Path]) -> list[tuple[str, Path | None]]:
    """What to write where: (format, file); None is standard output. Raises InputError on an unknown ending."""
    chosen: list[tuple[str, Path | None]] = []
    for path in files:
        if path.suffix.lower() not in FORMAT_OF:
            raise InputError(f"-o {path}: the ending says the format; use .txt, .json or .html")
        chosen.append((FORMAT_OF[path.suffix.lower()], path))
    if style or not files:
        chosen.insert(0, (style or "text", None))
    return chosen


def write(
    reports: Sequence[Report], where: Sequence[tuple[str, Path | None]], lang: str, folders: Sequence[Path]
) -> None:
    """Render and write every target. Raises InputError where a file cannot be written."""
    for style, path in where:
        text = render(reports, style, lang, folders, to_terminal=path is None)
        if path is None:
            click.echo(text, nl=False)
            continue
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(f"-o {path}: {error.strerror or error}") from None


def render(reports: Sequence[Report], style: str, lang: str, folders: Sequence[Path], *, to_terminal: bool) -> str:
    """The reports in one format."""
    from deliverability.judge.load import load_guide

    if style == "json":
        from deliverability.render.json import render_json

        return render_json(reports)
    guide: Sequence[Mapping[str, Any]] = load_guide(rule_folders(folders))
    if style == "html":
        from deliverability.render.html import render_html

        return render_html(reports, lang=lang, catalogue=catalogue(), guide=guide)
    from deliverability.render.text import render_text

    terminal = to_terminal and sys.stdout.isatty()
    return render_text(
        reports,
        lang=lang,
        catalogue=catalogue(),
        width=_width() if to_terminal else 80,
        color=terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb",
        unicode=not to_terminal or _can_write(sys.stdout.encoding, "✓─"),
        guide=guide,
    )


def _width() -> int:
    """COLUMNS where it is set, else the terminal's width, else 80."""
    return shutil.get_terminal_size((80, 24)).columns


def _can_write(encoding: str | None, text: str) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
