"""Reports, and who sends as one or more domains, as one HTML page without script or outside resource.

What is unmet or open has its evidence on the page; what is met is a line a topic, unless everything is asked for.
The look is in reports/: report.html (the page), subject.html (one report), evidence.html (its folds), handout.html,
macros.html, style.css, message.css (what only messages have), domains.css (what only several reports have),
handout.css; sources.html, sources_macros.html (groups and sources), sources.css.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from msgspec.structs import replace

from deliverability import __version__
from deliverability.core.files import locate
from deliverability.core.phrases import phrases
from deliverability.core.report.domains import DomainRow, domain_row, domains_view
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.handout import Handout
from deliverability.core.report.report import ReportView
from deliverability.core.report.sources import SourcesView
from deliverability.core.report.templates import Glosser, environment, load_glossary
from deliverability.core.words.sentences import full_day_words
from deliverability.core.words.speaker import Speaker

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


_IN_FULL = 10
"""Reports on one page that have their evidence there; of more it is left out, or the page would be too large."""


def sources_css() -> str:
    """The style sheet of who sends as a domain, beside that of reports."""
    return _sheet("sources")


def handout_css() -> str:
    """The style sheet of a page to hand out, beside that of reports."""
    return _sheet("handout")


def render_handout(handout: Handout, lang: str) -> str:
    """The hand-out for a support desk as a page of its own."""
    return (
        environment()
        .get_template("handout.html")
        .render(
            say=phrases(lang),
            lang=lang,
            handout=handout,
            css=style_sheet() + handout_css(),
            policy=CONTENT_SECURITY_POLICY,
            glossed=lambda text: (("", text),),
        )
    )


def writer(speaker: Speaker, options: WriterOptions) -> HtmlWriter:
    """The writer of this format."""
    return HtmlWriter(speaker, options.others, whole=options.whole)


class HtmlWriter:
    """One page; several reports get a summary on top and a section each, so that it is written at the end.

    With `whole` it has everything: the lists of all receivers, what is met line by line, and each of many reports.
    Every value comes from outside and is escaped; characters that hide or steer something are written out.
    """

    def __init__(self, speaker: Speaker, others: Sequence[tuple[str, str]] = (), *, whole: bool = False) -> None:
        self._speaker, self._whole = speaker, whole
        self._others = _links(others)
        self._views: list[ReportView] = []
        self._preface = ""
        self._more_css = ""

    def preface(self, markup: str, css: str) -> None:
        """Put a piece of HTML, escaped already, above the reports, with the style sheet that it needs."""
        self._preface, self._more_css = markup, css

    def report(self, view: ReportView) -> str:
        """Take the next report; nothing is written yet."""
        self._views.append(view)
        return ""

    def end(self) -> str:
        """The whole page."""
        rows = [domain_row(view) for view in self._views]
        return _page(
            self._speaker,
            rows,
            self._views,
            max(self._views, key=lambda view: view.report.run.started, default=None),
            others=self._others,
            css="".join(self._sheets()),
            preface=self._preface,
            whole=self._whole,
        )

    def _sheets(self) -> Iterator[str]:
        yield style_sheet()
        if any(view.message or view.diagrams.identity for view in self._views):
            yield _sheet("message")
        if any(view.senders for view in self._views):
            yield sources_css()
        if len(self._views) != 1:
            yield _sheet("domains")
        yield self._more_css


class StartPage:
    """The start page of a folder in which each report has a page of its own: the table, with links to them."""

    def __init__(self, speaker: Speaker, others: Sequence[tuple[str, str]] = ()) -> None:
        self._speaker = speaker
        self._others = _links(others)
        self._rows: list[DomainRow] = []
        self._newest: ReportView | None = None

    def put(self, view: ReportView, name: str) -> None:
        """Note a report and the file name of its page."""
        self._rows.append(replace(domain_row(view), key=name))
        self._newest = view

    def page(self) -> str:
        """The whole page."""
        return _page(
            self._speaker,
            self._rows,
            (),
            self._newest,
            others=self._others,
            css=style_sheet() + _sheet("domains"),
            preface="",
            whole=False,
        )


def _links(others: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(lang, phrases(lang)("language"), quote(name)) for lang, name in others]


def _page(
    speaker: Speaker,
    rows: Sequence[DomainRow],
    views: Sequence[ReportView],
    newest: ReportView | None,
    *,
    whole: bool,
    **more: object,
) -> str:
    """A page of reports, or without views a table with links to theirs; `newest` tells how they came about."""
    glosser = _glosser(speaker.lang).for_page()
    table = domains_view(rows, speaker.say)
    by_key = {view.key: view for view in views}
    return (
        environment()
        .get_template("report.html")
        .render(
            say=speaker.say,
            lang=speaker.lang,
            views=[by_key[row.key] for row in table.rows] if views else [],
            table=table,
            full=whole or len(views) <= _IN_FULL,
            whole=whole,
            about=newest,
            policy=CONTENT_SECURITY_POLICY,
            foot=_foot(rows, newest, speaker),
            glossed=glosser.pieces,
            used_terms=lambda: glosser.used,
            **more,
        )
    )


def _foot(rows: Sequence[DomainRow], newest: ReportView | None, speaker: Speaker) -> str:
    """What stands at the foot of each printed page: the domain, or how many, and the day."""
    say, names = speaker.say, list(dict.fromkeys(row.domain for row in rows))
    what = names[0] if len(names) == 1 else say.count("domains.count", len(names))
    day = full_day_words(newest.report.run.started, say) if newest else ""
    return say("site_separator").join(filter(None, (what, day)))


@functools.cache
def _glosser(lang: str) -> Glosser:
    """Finds the terms of the glossary; it is read once."""
    return Glosser(load_glossary([locate("rules")]), lang)


def style_sheet() -> str:
    """The style sheet of reports."""
    return _sheet("style")


@functools.cache
def _sheet(name: str) -> str:
    """A style sheet without comments, indentation and the blanks around its signs: each page carries it."""
    first, *others = (locate("reports") / f"{name}.css").read_text("utf-8").split("/*")
    text = first + "".join(each.partition("*/")[2] for each in others)
    lines = "\n".join(filter(None, map(str.strip, text.split("\n"))))
    return re.sub(r"[ \n]?([{};,]) ?|(:) ", r"\1\2", lines).replace(";}", "}").replace(";\n}", "}")


def sources_page(views: Sequence[SourcesView], speaker: Speaker) -> str:
    """The page: of several domains a table first, then each domain with its sources in groups."""
    return (
        environment()
        .get_template("sources.html")
        .render(
            say=speaker.say,
            lang=speaker.lang,
            views=views,
            policy=CONTENT_SECURITY_POLICY,
            css=style_sheet() + sources_css(),
            version=__version__,
            glossed=lambda text: (("", text),),
        )
    )
