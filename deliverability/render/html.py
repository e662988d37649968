"""Reports as one HTML page that needs nothing else: no script, no outside resource.

The look is in reports/: report.html (the page), subject.html (one report), evidence.html (its folds), handout.html,
macros.html, style.css.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from urllib.parse import quote

from deliverability._resources import locate
from deliverability.render.formats import WriterOptions
from deliverability.render.glossary import Glosser
from deliverability.render.handout import load_handout
from deliverability.render.templates import environment
from deliverability.view.domains import domain_row, domains_view
from deliverability.view.report import ReportView
from deliverability.words.dates import full_day_words
from deliverability.words.glossary import load_glossary
from deliverability.words.sentences import phrases
from deliverability.words.speaker import Speaker

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


_IN_FULL = 10
"""Reports on one page that have their evidence there; of more it is left out, or the page would be too large."""


def render_handout(lang: str) -> str:
    """The hand-out for a support desk as a page of its own."""
    return (
        environment()
        .get_template("handout.html")
        .render(
            say=phrases(lang),
            lang=lang,
            handout=load_handout(lang),
            css=_css(),
            policy=CONTENT_SECURITY_POLICY,
            glossed=lambda text: (("", text),),
        )
    )


def writer(speaker: Speaker, options: WriterOptions) -> HtmlWriter:
    """The writer of this format."""
    return HtmlWriter(speaker, options.others)


class HtmlWriter:
    """One page; several reports get a summary on top and a section each, so that it is written at the end.

    Every value comes from outside and is escaped; characters that hide or steer something are written out.
    """

    def __init__(self, speaker: Speaker, others: Sequence[tuple[str, str]] = ()) -> None:
        self._speaker = speaker
        self._others = [(lang, phrases(lang)("language"), quote(name)) for lang, name in others]
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
        glosser = _glosser(self._speaker.lang).for_page()
        page = environment().get_template("report.html")
        table = domains_view([domain_row(view) for view in self._views], self._speaker.say)
        by_key = {view.key: view for view in self._views}
        return page.render(
            say=self._speaker.say,
            lang=self._speaker.lang,
            others=self._others,
            views=[by_key[row.key] for row in table.rows],
            table=table,
            full=len(self._views) <= _IN_FULL,
            css=_css() + self._more_css,
            policy=CONTENT_SECURITY_POLICY,
            preface=self._preface,
            foot=self._foot(),
            glossed=glosser.pieces,
            used_terms=lambda: glosser.used,
        )

    def _foot(self) -> str:
        """What stands at the foot of each printed page: the domain, or how many, and the day."""
        say, newest = self._speaker.say, max((view.report.run.started for view in self._views), default="")
        names = list(dict.fromkeys(view.answer.domain for view in self._views))
        what = names[0] if len(names) == 1 else say.count("domains.count", len(names))
        return say("site_separator").join(filter(None, (what, full_day_words(newest, say) if newest else "")))


@functools.cache
def _glosser(lang: str) -> Glosser:
    """Finds the terms of the glossary; it is read once."""
    return Glosser(load_glossary([locate("rules")]), lang)


@functools.cache
def _css() -> str:
    """The style sheet without its indentation."""
    return re.sub(r"\n\s*", "\n", (locate("reports") / "style.css").read_text("utf-8"))
