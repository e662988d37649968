"""Writes reports where the user wants them, each as soon as it is there. May import app and render."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TextIO

import click

from deliverability.app import InputError, catalogue, rule_folders
from deliverability.model.report import Report

FORMAT_OF = {".txt": "text", ".text": "text", ".json": "json", ".html": "html", ".htm": "html"}

Target = tuple[str, Path | None]


class Writer(Protocol):
    """A format: a piece of text for each report, and one that ends the document."""

    def report(self, report: Report) -> str:
        """The next report."""
        ...

    def end(self) -> str:
        """What closes the document."""
        ...


def targets(style: str | None, files: Sequence[Path]) -> list[Target]:
    """What to write where: (format, file); None is standard output. Raises InputError on an unknown ending."""
    chosen: list[Target] = []
    for path in files:
        if path.suffix.lower() not in FORMAT_OF:
            raise InputError(f"-o {path}: the ending says the format; use .txt, .json or .html")
        chosen.append((FORMAT_OF[path.suffix.lower()], path))
    if style or not files:
        chosen.insert(0, (style or "text", None))
    return chosen


class Outputs:
    """All outputs of a run. Files are opened before the work begins, so that a bad path is told at once."""

    def __init__(
        self, where: Sequence[Target], subjects: int, lang: str, folders: Sequence[Path], *, trace: bool = False
    ) -> None:
        self._stack = ExitStack()
        self._writers: list[tuple[Writer, Path | None, TextIO | None]] = []
        for style, path in where:
            writer = _writer(style, subjects, lang, folders, to_terminal=path is None, trace=trace)
            self._writers.append((writer, path, self._open(path) if path else None))

    def _open(self, path: Path) -> TextIO:
        try:
            return self._stack.enter_context(path.open("w", encoding="utf-8", errors="backslashreplace"))
        except OSError as error:
            self._stack.close()
            raise InputError(f"-o {path}: {error.strerror or error}") from None

    def report(self, report: Report) -> None:
        """Write one report everywhere."""
        for writer, path, file in self._writers:
            _put(writer.report(report), path, file)

    def end(self) -> None:
        """Finish every document. Raises InputError where a file cannot be written."""
        with self._stack:
            for writer, path, file in self._writers:
                _put(writer.end(), path, file)


def _put(text: str, path: Path | None, file: TextIO | None) -> None:
    if not text:
        return
    if file is None:
        click.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)
        return
    try:
        file.write(text)
    except OSError as error:
        raise InputError(f"-o {path}: {error.strerror or error}") from None


def _writer(style: str, subjects: int, lang: str, folders: Sequence[Path], *, to_terminal: bool, trace: bool) -> Writer:
    if style == "json":
        from deliverability.render.json import JsonWriter

        return JsonWriter(subjects)
    from deliverability.judge.load import load_guide

    guide = load_guide(rule_folders(folders))
    if style == "html":
        from deliverability.render.html import HtmlWriter

        return HtmlWriter(subjects, lang=lang, catalogue=catalogue(), guide=guide)
    from deliverability.render.text import TextWriter

    return TextWriter(
        lang=lang,
        catalogue=catalogue(),
        width=shutil.get_terminal_size((80, 24)).columns if to_terminal else 80,
        color=to_terminal and _wants_color(),
        unicode=not to_terminal or _can_write(sys.stdout.encoding, "✓─"),
        guide=guide,
        trace=trace,
    )


def _wants_color() -> bool:
    """NO_COLOR (no-color.org) and dumb terminals are respected; a pipe gets no escape sequences."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _can_write(encoding: str | None, text: str) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
