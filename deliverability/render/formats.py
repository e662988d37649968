"""The formats of a report: name, endings of files, what writes them. A writer is imported when it is made."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from deliverability.model.report import Report
    from deliverability.model.rules import Severity
    from deliverability.words.speaker import Speaker


class Writer(Protocol):
    """A format: a piece of text for each report, and one that ends the document."""

    def report(self, report: Report) -> str:
        """The next report."""
        ...

    def end(self) -> str:
        """What closes the document."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a writer is made for: how many reports, for whom, and whether a terminal shows them."""

    subjects: int
    speaker: Speaker
    to_terminal: bool
    trace: bool
    fail_on: Severity | None


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        endings: those of file names; the first is the one that help texts name.
        make: gives the writer for a run; it imports the module of the format only then.
        prints: whether ``--format`` offers it.

    """

    name: str
    endings: tuple[str, ...]
    make: Callable[[Wanted], Writer]
    prints: bool = True


def _text(wanted: Wanted) -> Writer:
    from deliverability.render.text import TextWriter

    terminal = wanted.to_terminal
    return TextWriter(
        wanted.speaker,
        width=shutil.get_terminal_size((80, 24)).columns if terminal else 80,
        color=terminal and _wants_color(),
        unicode=not terminal or _can_write(sys.stdout.encoding, "✓─"),
        trace=wanted.trace,
    )


def _json(wanted: Wanted) -> Writer:
    from deliverability.render.json import JsonWriter

    return JsonWriter(wanted.subjects)


def _html(wanted: Wanted) -> Writer:
    from deliverability.render.html import HtmlWriter

    return HtmlWriter(wanted.subjects, wanted.speaker)


def _markdown(wanted: Wanted) -> Writer:
    from deliverability.render.markdown import MarkdownWriter

    return MarkdownWriter(wanted.speaker)


def _csv(wanted: Wanted) -> Writer:
    from deliverability.render.csv import CsvWriter

    return CsvWriter(wanted.speaker, bom=not wanted.to_terminal)


def _sarif(wanted: Wanted) -> Writer:
    from deliverability.render.sarif import SarifWriter

    return SarifWriter(wanted.speaker)


def _junit(wanted: Wanted) -> Writer:
    from deliverability.render.junit import JunitWriter

    return JunitWriter(wanted.speaker, fail_on=wanted.fail_on)


def _prometheus(wanted: Wanted) -> Writer:
    from deliverability.render.prometheus import PrometheusWriter

    return PrometheusWriter()


# In the order in which help texts list them. A PDF is the HTML page, printed by a browser into a file.
FORMATS = (
    Format("text", (".txt", ".text"), _text),
    Format("json", (".json",), _json),
    Format("html", (".html", ".htm"), _html),
    Format("pdf", (".pdf",), _html, prints=False),
    Format("markdown", (".md", ".markdown"), _markdown),
    Format("csv", (".csv",), _csv),
    Format("sarif", (".sarif",), _sarif),
    Format("junit", (".xml",), _junit),
    Format("prometheus", (".prom",), _prometheus),
)
FORMAT_OF = {ending: each for each in FORMATS for ending in each.endings}
PRINTED = {each.name: each for each in FORMATS if each.prints}
ENDINGS = tuple(each.endings[0] for each in FORMATS)


def _wants_color() -> bool:
    """NO_COLOR (no-color.org) and dumb terminals are respected; a pipe gets no escape sequences."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _can_write(encoding: str | None, text: str) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
