"""Writes reports where the user wants them, each as soon as it is there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from deliverability._files import WholeFile, write_whole
from deliverability.cli.pdf import find_browser, print_pdf
from deliverability.model.errors import InputError
from deliverability.model.report import Report
from deliverability.model.rules import Severity
from deliverability.render.formats import ENDINGS, FORMAT_OF, PRINTED, Format, Writer, WriterOptions
from deliverability.words.speaker import Speaker

Target = tuple[Format, Path | None]


def put(text: str, output: Path | None) -> None:
    """Print a text, or write it into a file. Raises InputError."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_whole(output, text)
    except OSError as error:
        raise InputError(f"-o {output}: {error.strerror or error}") from None


def show(text: str) -> None:
    """Print a text; characters that the terminal cannot write are written out."""
    click.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)


def targets(style: str | None, files: Sequence[Path]) -> list[Target]:
    """What to write where: (format, file); None is standard output. Raises InputError on an unknown ending."""
    chosen: list[Target] = []
    for path in files:
        if path.suffix.lower() not in FORMAT_OF:
            raise InputError(f"-o {path}: the ending says the format; use one of {', '.join(ENDINGS)}")
        chosen.append((FORMAT_OF[path.suffix.lower()], path))
    if style or not files:
        chosen.insert(0, (PRINTED[style or "text"], None))
    return chosen


class Outputs:
    """All outputs of a run.

    Files are opened before the work begins, so that a bad path is told at once, and put in place at the end: a run
    that is broken off leaves no half report behind and keeps the one of the last run.
    """

    def __init__(
        self,
        where: Sequence[Target],
        subjects: int,
        speaker: Speaker,
        *,
        trace: bool = False,
        whole: bool = False,
        fail_on: Severity | None = Severity.ERROR,
    ) -> None:
        self._stack = ExitStack()
        self._outlets: list[_Outlet] = []
        self._where, self._subjects, self._speaker = where, subjects, speaker
        self._reports = 0
        context = click.get_current_context(silent=True)
        if context is not None:
            context.call_on_close(self._stack.close)
        for form, path in where:
            browser = find_browser(path) if form.name == "pdf" and path else None
            shown = terminal() if path is None else {"file": True}
            writer = form.writer(speaker, WriterOptions(subjects, trace, fail_on, whole, **shown))
            self._outlets.append(_Outlet(writer, path, self._open(path) if path else None, browser))

    def _open(self, path: Path) -> WholeFile:
        try:
            file = WholeFile(path)
        except OSError as error:
            self._stack.close()
            raise InputError(f"-o {path}: {error.strerror or error}") from None
        self._stack.callback(file.drop)
        return file

    @property
    def previews(self) -> bool:
        """Whether any format shows what the message looks like."""
        return any(form.previews for form, _ in self._where)

    def report(self, report: Report, html: str | None = None) -> None:
        """Write one report everywhere; `html` is the HTML part of its message, for the formats that show it."""
        from deliverability.view.report import ReportView

        self._reports += 1
        key = f"s{self._reports}" if self._subjects != 1 else ""
        view = ReportView(report, self._speaker, key=key, html=html or "")
        for outlet in self._outlets:
            outlet.put(outlet.writer.report(view))

    def end(self) -> None:
        """Finish every document. Raises InputError where a file cannot be written."""
        with self._stack:
            for outlet in self._outlets:
                outlet.put(outlet.writer.end())
            for outlet in self._outlets:
                outlet.keep()


@dataclass(frozen=True, slots=True)
class _Outlet:
    """A writer and where its text goes: a file, a file by way of a browser, or standard output."""

    writer: Writer
    path: Path | None
    file: WholeFile | None
    browser: str | None

    def put(self, text: str) -> None:
        if not text:
            return
        if self.file is None or self.path is None:
            show(text)
            return
        data = (
            print_pdf(self.browser, text, self.path)
            if self.browser
            else text.encode("utf-8", errors="backslashreplace")
        )
        with self._told():
            self.file.write(data)

    def keep(self) -> None:
        if self.file is not None:
            with self._told():
                self.file.keep()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"-o {self.path}: {error.strerror or error}") from None


def terminal() -> dict[str, Any]:
    """What standard output can show. NO_COLOR (no-color.org) and dumb terminals are respected; a pipe has no colour."""
    wants_color = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return {
        "width": shutil.get_terminal_size((80, 24)).columns,
        "color": sys.stdout.isatty() and wants_color,
        "unicode": _can_write(sys.stdout.encoding, "✓─"),
    }


def _can_write(encoding: str | None, text: str) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
