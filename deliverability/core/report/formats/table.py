"""The formats of a report and the names of its pages; a format's module is imported when it is used."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from deliverability.core.phrases import LANGUAGES

if TYPE_CHECKING:
    from deliverability.core.model.rules import Severity
    from deliverability.core.report.report import ReportView
    from deliverability.core.words.speaker import Speaker


class Writer(Protocol):
    """Writes reports in a format: a piece of text for each report, and one that ends the document."""

    def report(self, view: ReportView) -> str:
        """The next report."""
        ...

    def end(self) -> str:
        """What closes the document."""
        ...


class WriterOptions(Struct, frozen=True):
    """How reports are written; each format takes what concerns it.

    Attributes:
        subjects: how many reports there will be.
        trace: how SPF and DKIM were evaluated is shown also where they pass.
        fail_on: severity from which on a finding is a failure; None: none is.
        whole: the evidence is shown too, and each of several reports in full.
        width: columns of the terminal, as are `color` and `unicode` what it can show.
        file: the text goes into a file, not to a terminal or a pipe.
        others: the same report in other languages beside it: language and file name.
        folder: from which the paths of files are told; empty: as they are.
        places: domain -> ``file:line`` where the settings name it.

    """

    subjects: int
    trace: bool
    fail_on: Severity | None
    whole: bool = False
    width: int = 80
    color: bool = False
    unicode: bool = True
    file: bool = False
    others: tuple[tuple[str, str], ...] = ()
    folder: str = ""
    places: Mapping[str, str] = {}


class Format(Struct, frozen=True):
    """One format.

    Attributes:
        endings: those of file names; the first is the one that help texts name.
        module: of this package, with a function ``writer(speaker, options)``.
        prints: whether ``--format`` offers it.
        previews: whether it shows what the message looks like.
        people: whether people read it, and not programs.

    """

    name: str
    endings: tuple[str, ...]
    module: str
    prints: bool = True
    previews: bool = False
    people: bool = False

    def writer(self, speaker: Speaker, options: WriterOptions) -> Writer:
        """A new writer."""
        made: Writer = importlib.import_module(f"{__package__}.{self.module}").writer(speaker, options)
        return made


# In the order in which help texts list them. A PDF is the HTML page, printed by a browser into a file.
FORMATS = (
    Format("text", (".txt", ".text"), "text", people=True),
    Format("json", (".json",), "json"),
    Format("html", (".html", ".htm"), "html", previews=True, people=True),
    Format("pdf", (".pdf",), "html", prints=False, previews=True, people=True),
    Format("markdown", (".md", ".markdown"), "markdown", people=True),
    Format("csv", (".csv",), "csv"),
    Format("clauses", (".clauses.csv",), "clauses"),
    Format("sarif", (".sarif",), "sarif"),
    Format("junit", (".xml",), "junit"),
    Format("prometheus", (".prom",), "prometheus"),
)
FORMAT_OF = {ending: each for each in FORMATS for ending in each.endings}


def format_of(name: str) -> Format | None:
    """The format of a file by its name; the longest ending counts."""
    found = [ending for ending in FORMAT_OF if name.lower().endswith(ending)]
    return FORMAT_OF[max(found, key=len)] if found else None


PRINTED = {each.name: each for each in FORMATS if each.prints}
PEOPLE = frozenset(each.name for each in FORMATS if each.people)
ENDINGS = tuple(each.endings[0] for each in FORMATS)


START = "index"
_UNSAFE = re.compile(r"[^a-z0-9.-]+")
_LONG = 150


class PageStems:
    """File names without ending, each given once: the domain, with a number where it has several messages."""

    def __init__(self) -> None:
        self._given = Counter((START,))

    def of(self, domain: str) -> str:
        """The name for the next subject."""
        plain = _UNSAFE.sub("-", domain).strip("-.") or "domain"
        if len(plain) > _LONG:  # a file name holds 255 octets, a domain nearly as many, and endings come on top
            plain = f"{plain[:_LONG]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"
        self._given[plain] += 1
        return plain if self._given[plain] == 1 else f"{plain}-{self._given[plain]}"


def page_name(stem: str, lang: str) -> str:
    """``index.html`` in English, ``index.ja.html`` in Japanese."""
    return f"{stem}.html" if lang == LANGUAGES[0] else f"{stem}.{lang}.html"
