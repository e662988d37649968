"""Reports as one HTML page that needs nothing else: no script, no outside resource.

The look is in reports/: report.html (the page), subject.html (one report), evidence.html (its folds), handout.html,
macros.html, style.css.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import quote

from deliverability._resources import locate
from deliverability.render.formats import WriterOptions
from deliverability.render.glossary import Glosser
from deliverability.render.handout import load_handout
from deliverability.view.domains import domain_row, domains_view
from deliverability.view.report import ReportView
from deliverability.view.segments import segments
from deliverability.words.dates import full_day_words
from deliverability.words.glossary import load_glossary
from deliverability.words.sentences import phrases
from deliverability.words.speaker import Speaker

if TYPE_CHECKING:
    import jinja2
    from jinja2.runtime import Macro
    from markupsafe import Markup

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


_MOST_KEPT = 8192

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


def _css_text(text: str) -> str:
    """A text as it may stand in a quoted string of a style sheet, whoever wrote it."""
    return "".join(char if char.isalnum() or char in " .-_·（）" else f"\\{ord(char):x} " for char in text)


@functools.cache
def _glosser(lang: str) -> Glosser:
    """Finds the terms of the glossary; it is read once."""
    return Glosser(load_glossary([locate("rules")]), lang)


@functools.cache
def _css() -> str:
    """The style sheet without its indentation."""
    return re.sub(r"\n\s*", "\n", (locate("reports") / "style.css").read_text("utf-8"))


def _unbroken(record: str) -> tuple[tuple[bool, str], ...]:
    """A record in pieces; True marks a ``?all`` that no line may end in: lines may break behind a question mark."""
    pieces = re.split(r"((?<!\S)\?\S{1,30}(?!\S))", record)
    return tuple((bool(number % 2), piece) for number, piece in enumerate(pieces) if piece)


class _Kept:
    """Pieces of markup that stand on many pages, by the macro that made them and what it was given."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], str] = {}

    def __call__(self, macro: Macro, lang: str, given: Iterable[object], *names: str) -> Markup:
        """What the macro makes of each; of one that cannot be a key itself `names` are the attributes that it shows."""
        from markupsafe import Markup

        tell = attrgetter(*names) if names else None
        found = []
        for each in given:
            key = (macro.name, lang, tell(each) if tell else each)
            if (made := self._made.get(key)) is None:
                if len(self._made) >= _MOST_KEPT:
                    self._made.clear()
                made = self._made[key] = macro(each)
            found.append(made)
        return Markup("").join(found)


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of reports/, with escaping on for every one of them; they are read once."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(locate("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["css_text"] = _css_text
    made.globals["kept"] = _Kept()
    made.filters["segments"] = segments
    made.filters["unbroken"] = _unbroken
    return made
