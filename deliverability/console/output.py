"""Writes reports where the user wants them, each as soon as it is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from deliverability.console.language import columns, language
from deliverability.console.types import Folder
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, not_written
from deliverability.core.files import WholeFile, write_whole
from deliverability.core.model.report import Report
from deliverability.core.model.rules import Severity
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.formats.table import (
    ENDINGS,
    FORMAT_OF,
    PRINTED,
    START,
    Format,
    PageStems,
    Writer,
    WriterOptions,
    format_of,
    page_name,
)
from deliverability.core.report.paper import Paper
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.speaker import Speaker

UNKNOWN_ENDING = Code("unknown-ending", ("file", "endings"))

NO_FILE_FOR_BOTH = Code("both-needs-file")


class Target(Struct, frozen=True):
    """What to write where.

    Attributes:
        form: the format.
        path: the file; None: standard output.
        lang: its language.
        others: its twins: language and file name.
        pages: `path` is the start page of a folder, in which each subject gets a page of its own.

    """

    form: Format
    path: Path | None
    lang: str
    others: tuple[tuple[str, str], ...] = ()
    pages: bool = False


def put(text: str, output: Path | None) -> None:
    """Print a text, or write it into a file. Raises InputError."""
    with writing(output) as write:
        write(text)


@contextmanager
def writing(output: Path | None, mode: int | None = None) -> Iterator[Callable[[str], None]]:
    """Print a text piece by piece, or write it into a file, which is put in place at the end. Raises InputError.

    `mode`: the permissions of the file, if not the usual.
    """
    if output is None:
        yield lambda text: click.echo(text, nl=False)
        return
    with _write_errors(output):
        file = WholeFile(output, mode)
    try:

        def write(text: str) -> None:
            with _write_errors(output):
                file.write(text.encode("utf-8", "backslashreplace"))

        yield write
        with _write_errors(output):
            file.keep()
    finally:
        file.drop()
    wrote(output)


@contextmanager
def _write_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(not_written(f"-o {output}", error)) from None


def wrote(path: Path) -> None:
    """Say which file was written, beside what is printed."""
    click.echo(language().say("cli.written", file=visible(str(path))), err=True)


def show(text: str) -> None:
    """Print a text; characters that the terminal cannot write are written out."""
    click.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)


def targets(style: str | None, files: Sequence[Path | Folder], *, both: bool = False) -> list[Target]:
    """What to write where. `both`: files for people in each language: ``report.en.html``, ``report.ja.html``.

    A folder gets ``index.html`` and a page a subject; in both languages also ``index.ja.html``.

    Raises InputError on an unknown ending, and where nothing is left to be in both languages.
    """
    chosen: list[Target] = []
    for path in files:
        if isinstance(path, Folder):
            chosen += _pages(path.path, LANGUAGES if both else (language().people,))
            continue
        form = format_of(path.name)
        if form is None:
            raise InputError(UNKNOWN_ENDING(file=str(path), endings=ENDINGS))
        chosen += _in_each(form, path) if both and form.people else [Target(form, path, language().of(form.name))]
    if both and not any(each.others for each in chosen):
        raise InputError(NO_FILE_FOR_BOTH())
    if style or not files:
        form = PRINTED[style or "text"]
        chosen.insert(0, Target(form, None, language().of(form.name)))
    return chosen


def _in_each(form: Format, path: Path) -> list[Target]:
    paths = {lang: path.with_suffix(f".{lang}{path.suffix}") for lang in LANGUAGES}
    return [
        Target(form, own, lang, tuple((other, twin.name) for other, twin in paths.items() if other != lang))
        for lang, own in paths.items()
    ]


def _pages(folder: Path, langs: Sequence[str]) -> list[Target]:
    return [
        Target(FORMAT_OF[".html"], folder / name, lang, others, pages=True) for lang, name, others in _in(START, langs)
    ]


def _in(stem: str, langs: Sequence[str]) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """The languages of a page, each with its file name and with its twins."""
    names = {lang: page_name(stem, lang) if len(langs) > 1 else f"{stem}.html" for lang in langs}
    for lang, name in names.items():
        yield lang, name, tuple((other, twin) for other, twin in names.items() if other != lang)


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
        places: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._stack = ExitStack()
        self._outlets: list[_Outlet] = []
        self._folders: list[_Pages] = []
        self._where, self._subjects = where, subjects
        self._speakers = {lang: replace(speaker, lang=lang) for lang in dict.fromkeys(each.lang for each in where)}
        self._short = None if any(each.path is None for each in where) else speaker
        self._reports = 0
        context = click.get_current_context(silent=True)
        if context is not None:
            context.call_on_close(self._stack.close)
        for each in where:
            path = each.path
            browser = _browser(path) if each.form.name == "pdf" and path else None
            shown = terminal() if path is None else {"file": True}
            options = WriterOptions(
                subjects, trace, fail_on, whole, others=each.others, folder=_here(), places=places, **shown
            )
            if each.pages and path is not None:
                self._folders.append(_Pages(path, self._speakers[each.lang], each, options))
                continue
            speaker = self._speakers[each.lang]
            file = self._open(path) if path else None
            self._outlets.append(_Outlet(each.form, speaker, options, path, file, browser))

    def _open(self, path: Path) -> WholeFile:
        try:
            file = WholeFile(path)
        except OSError as error:
            self._stack.close()
            raise InputError(not_written(f"-o {path}", error)) from None
        self._stack.callback(file.drop)
        return file

    @property
    def previews(self) -> bool:
        """Whether any format shows what the message looks like."""
        return any(each.form.previews for each in self._where)

    def prepare(self) -> None:
        """Load what writes reports, which the first one would do otherwise."""
        for outlet in self._outlets:
            _ = outlet.writer

    def report(self, report: Report, html: str | None = None) -> None:
        """Write one report everywhere; `html` is the HTML part of its message, for the formats that show it."""
        self._reports += 1
        key = f"s{self._reports}" if self._subjects != 1 else ""
        views = {
            lang: ReportView(report, speaker, key=key, html=html or "") for lang, speaker in self._speakers.items()
        }
        for outlet in self._outlets:
            outlet.put(outlet.writer.report(views[outlet.speaker.lang]))
        for folder in self._folders:
            folder.put(report, html or "")
        if self._short is not None:
            view = views.get(self._short.lang) or ReportView(report, self._short)
            for line in _in_short(view):
                click.echo(line, err=True)

    def end(self) -> None:
        """Finish every document. Raises InputError where a file cannot be written."""
        with self._stack:
            for folder in self._folders:
                folder.end()
            for outlet in self._outlets:
                outlet.put(outlet.writer.end())
            for outlet in self._outlets:
                outlet.keep()
        for each in self._where:
            if each.path is not None:
                wrote(each.path)


def _in_short(view: ReportView) -> Iterator[str]:
    """The answer in a line, and what to do first: for who gets the report as a file only."""
    colon = view.speaker.say("punctuation.colon")
    yield f"{view.subject}{colon}{view.answer.lead}"
    for step in view.plan.steps[:1]:
        yield f"{view.speaker.say('domains.first')}{colon}{step.what}"


class _Outlet(Struct, frozen=True, dict=True):
    """A format and where its text goes: a file, a file by way of a browser, or standard output."""

    form: Format
    speaker: Speaker
    options: WriterOptions
    path: Path | None
    file: WholeFile | None
    browser: str | None

    @cached_property
    def writer(self) -> Writer:
        """Made when it is first needed."""
        return self.form.writer(self.speaker, self.options)

    def put(self, text: str) -> None:
        if not text:
            return
        if self.file is None or self.path is None:
            show(text)
            return
        if self.browser:
            from deliverability.core.net.browser import print_pdf

            data = print_pdf(self.browser, text, self.path)
        else:
            data = text.encode("utf-8", errors="backslashreplace")
        with _write_errors(self.path):
            self.file.write(data)

    def keep(self) -> None:
        if self.file is not None and self.path is not None:
            with _write_errors(self.path):
                self.file.keep()


class _Pages:
    """A folder of pages in one language: one for each subject as soon as it is there, the start page at the end."""

    def __init__(self, start: Path, speaker: Speaker, target: Target, options: WriterOptions) -> None:
        from deliverability.core.report.formats.html import StartPage

        self._start, self._speaker, self._target = start, speaker, target
        self._options = replace(options, subjects=1)
        self._langs = sorted((target.lang, *(lang for lang, _ in target.others)))
        self._stems = PageStems()
        self._index = StartPage(speaker, target.others)
        with _write_errors(start):
            start.parent.mkdir(parents=True, exist_ok=True)

    def put(self, report: Report, html: str) -> None:
        """Write the page of the next subject."""
        named = {lang: (name, others) for lang, name, others in _in(self._stems.of(report.domain), self._langs)}
        name, others = named[self._target.lang]
        view = ReportView(report, self._speaker, html=html)
        writer = self._target.form.writer(self._speaker, replace(self._options, others=others))
        self._write(name, writer.report(view) + writer.end())
        self._index.put(view, name)

    def end(self) -> None:
        self._write(self._start.name, self._index.page())

    def _write(self, name: str, text: str) -> None:
        with _write_errors(self._start.parent / name):
            write_whole(self._start.parent / name, text)


def _here() -> str:
    with suppress(FileNotFoundError):  # it was deleted
        return str(Path.cwd())
    return ""


def _browser(path: Path) -> str:
    from deliverability.core.net.browser import find_browser

    return find_browser(path)


def terminal() -> dict[str, Any]:
    """What standard output can show. NO_COLOR (no-color.org) wins over FORCE_COLOR, which has colors in a pipe."""
    forced = bool(os.environ.get("FORCE_COLOR"))
    able = forced or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")
    return {
        "width": columns(),
        "color": able and not os.environ.get("NO_COLOR"),
        "unicode": _can_write(sys.stdout.encoding, "✓─"),
    }


def paper_for(output: Path | None = None) -> Paper:
    """What a text is laid out on: 80 columns for a file, else what standard output can show."""
    return Paper(80) if output else Paper.of_terminal(**terminal())


def _can_write(encoding: str | None, text: str) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
