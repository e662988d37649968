"""Reports as one HTML page that needs nothing else: no script, no outside resource.

May import model, judge.words, view and pictures.

The look is in reports/: report.html (the page), subject.html (one report), macros.html, style.css.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deliverability._resources import locate
from deliverability.judge.words import phrases
from deliverability.model.facts import Catalogue
from deliverability.model.report import Report
from deliverability.render.pictures import Pictures, draw
from deliverability.render.trace import Traces, explain
from deliverability.render.view import Guide, ReportView, as_tuple, build, segments

if TYPE_CHECKING:
    import jinja2

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


def render_html(reports: Report | Sequence[Report], *, lang: str, catalogue: Catalogue, guide: Guide = ()) -> str:
    """One page for one report or several; several get a summary on top and a section each.

    Every value comes from outside and is escaped; characters that hide or steer something are written out.
    """
    several = as_tuple(reports)
    writer = HtmlWriter(len(several), lang=lang, catalogue=catalogue, guide=guide)
    return "".join(writer.report(each) for each in several) + writer.end()


class HtmlWriter:
    """The same as the other writers, but the page is written at the end: its summary stands on top."""

    def __init__(self, subjects: int, *, lang: str, catalogue: Catalogue, guide: Guide = ()) -> None:
        self._several = subjects != 1
        self._lang = lang
        self._catalogue = catalogue
        self._guide = guide
        self._subjects: list[_Subject] = []

    def report(self, report: Report) -> str:
        """Take the next report; nothing is written yet."""
        key = f"s{len(self._subjects) + 1}" if self._several else ""
        view = build(report, self._lang, self._catalogue, self._guide, prefix=f"{key}-" if key else "")
        say = phrases(self._lang)
        self._subjects.append(_Subject(key, view, draw(report, say), explain(report, say)))
        return ""

    def end(self) -> str:
        """The whole page."""
        css = (locate("reports") / "style.css").read_text("utf-8")
        page = _environment().get_template("report.html")
        return page.render(
            say=phrases(self._lang),
            lang=self._lang,
            subjects=self._subjects,
            css=css,
            policy=CONTENT_SECURITY_POLICY,
        )


@dataclass(frozen=True, slots=True)
class _Subject:
    """What the templates get for one report; `key` is empty where it is the only one."""

    key: str
    view: ReportView
    pictures: Pictures
    traces: Traces


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(locate("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["segments"] = segments
    return environment
