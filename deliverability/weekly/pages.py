"""The pages of a run as HTML: a start page and a full report for each subject.

The look is in reports/: weekly.html, weekly.css and style.css.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from deliverability.core.facts.base import Catalogue
from deliverability.core.files import locate
from deliverability.core.model.report import DMARC_STAGES, GRADES, Report, VerdictKind
from deliverability.core.model.rules import RuleSet
from deliverability.core.phrases import LANGUAGES, Phrases, phrases
from deliverability.core.report.answer import TONES, WORST_FIRST
from deliverability.core.report.formats.html import CONTENT_SECURITY_POLICY, HtmlWriter
from deliverability.core.report.formats.table import START, page_name
from deliverability.core.report.report import ReportView
from deliverability.core.report.templates import environment
from deliverability.core.store.store import History
from deliverability.core.words.sentences import day_words, octets
from deliverability.core.words.speaker import Guide, Speaker
from deliverability.seeds.kept import SeedHistory, matrices
from deliverability.seeds.report import MatrixView, matrix_view
from deliverability.weekly.entries import EntryView, WeeklyReceiverView
from deliverability.weekly.sends import line, spark
from deliverability.weekly.trend import MEASURES, WEEKS, Trend, trend, trend_of
from deliverability.weekly.values import Summary, WeeklyEntry
from deliverability.weekly.view import entry_view, run_view

_GRADES = GRADES[::-1]
_RUNS_SHOWN = 13  # a quarter of a year, and what fits the width of a page
_SHOWN = 10  # headlines, and domains that changed; the others are folded
_DOMAINS_SHOWN = 3  # with who sends as them; the others are folded
_LIMITS = {"spf.lookups": 10, "message.size_octets": 10_000_000, "html.octets": 102_000}


class Chart(Struct, frozen=True):
    """A trend as a drawing, and the same as rows (date, value in words) for those who do not see it."""

    title: str
    svg: str
    rows: tuple[tuple[str, str], ...]
    limit: str = ""


class Row(Struct, frozen=True):
    """A subject on the start page: its grade of today, the worst before if that was another, and how it went."""

    view: EntryView
    anchor: str
    grade: str
    worst: str
    spark: str
    spark_words: str


class HtmlPages(Struct, frozen=True):
    """Writes the pages of a run."""

    rules: RuleSet
    catalogue: Catalogue
    guide: Guide

    def subject(self, report: Report, entry: WeeklyEntry, history: History, lang: str) -> str:
        """The full report of a subject, with what changed and its trends on top."""
        say = phrases(lang)
        view = entry_view(entry, say, self.rules, self.catalogue)
        followed = trend(history, entry, report.run.started)
        preface = (
            environment()
            .get_template("weekly_subject.html")
            .render(
                say=say,
                lang=lang,
                entry=view,
                charts=_charts(followed, say),
                verdicts=_verdicts(followed, self.rules, say),
                dates=[day_words(each, say) for each in followed.dates[-_RUNS_SHOWN:]],
                start=page_name(START, lang),
            )
        )
        speaker = Speaker(self.rules, self.catalogue, lang, self.guide)
        writer = HtmlWriter(speaker)
        writer.preface(preface, _css())
        return writer.report(ReportView(report, speaker)) + writer.end()

    def start(self, summary: Summary, history: History, lang: str) -> str:
        """The start page: what changed first, then every subject."""
        say = phrases(lang)
        view = run_view(summary, say, self.rules, self.catalogue)
        grades = history.grades(newest=WEEKS)
        rows = [
            _row(shown, trend_of(grades.get((entry.domain, entry.source), ()), entry, summary.started), number, say)
            for number, (shown, entry) in enumerate(zip(view.entries, summary.entries, strict=True))
        ]
        by_news = [row for _, row in sorted(zip(view.news.ranks, rows, strict=True), key=lambda each: each[0])]
        receivers = max((each.receivers for each in view.entries), key=len, default=())
        other = next(each for each in LANGUAGES if each != lang)
        return (
            environment()
            .get_template("weekly.html")
            .render(
                say=say,
                lang=lang,
                view=view,
                rows=by_news,
                ordered=sorted(rows, key=lambda row: row.view.order),
                anchors={number: row.anchor for number, row in enumerate(rows) if row.view.changed},
                receivers=receivers,
                placed=self._placed(summary, history, say),
                legend=_legend(view.entries),
                shown=_SHOWN,
                domains_shown=_DOMAINS_SHOWN,
                other_lang=other,
                other_page=page_name(START, other),
                css=(locate("reports") / "style.css").read_text("utf-8") + _css(),
                policy=CONTENT_SECURITY_POLICY,
            )
        )

    def _placed(self, summary: Summary, history: History, say: Phrases) -> tuple[MatrixView, ...]:
        """What was said and where test mails landed, by receiver; the one of all comes first."""
        found = matrices(SeedHistory(history).since(datetime.fromisoformat(summary.started)))
        return tuple(matrix_view(each, self.rules, say) for each in (*found[-1:], *found[:-1]))


def _css() -> str:
    return (locate("reports") / "weekly.css").read_text("utf-8")


def _legend(entries: Sequence[EntryView]) -> list[WeeklyReceiverView]:
    """One of each kind of verdict that the table shows, the worst first."""
    kinds = {each.label: each for entry in entries for each in entry.receivers}
    return sorted(kinds.values(), key=lambda each: WORST_FIRST.index(each.tone))


def _row(view: EntryView, followed: Trend, number: int, say: Phrases) -> Row:
    grades = followed.grades
    today = grades[-1] or ""
    worst = max(filter(None, grades), default="")
    values = [_GRADES.index(each) if each else None for each in grades]
    drawn = spark(tuple(values), top=len(_GRADES) - 1) if len(grades) > 1 else ""
    none = say("weekly.no-grade")
    shown = [
        f"{day_words(date, say)} {grade or none}" for date, grade in zip(followed.dates[-8:], grades[-8:], strict=True)
    ]
    words = say("weekly.standing", grade=today or none, grades=say("value.separator").join(shown))
    below = say("weekly.worst", grade=worst) if worst and worst != today else ""
    known = [(date, grade) for date, grade in zip(followed.dates, grades, strict=True) if grade]
    if not today and known:
        date, grade = known[-1]
        below = say("weekly.last-grade", grade=grade, date=day_words(date, say))
    return Row(view, f"c{number + 1}", today or "?", below, drawn, words)


def _charts(followed: Trend, say: Phrases) -> list[Chart]:
    """A chart for each trend of which at least two runs know something."""
    charts = []
    days = [day_words(each, say) for each in followed.dates]
    steps = [(place, grade) for place, grade in enumerate(_GRADES)]
    worst = [_GRADES.index(each) if each else None for each in followed.grades]
    if _worth(worst):
        drawn = line(days, worst, name="grade", write=lambda value: _GRADES[int(value)], steps=steps)
        charts.append(Chart(say("weekly.trend.grade"), drawn, _rows(days, followed.grades, say)))
    stages = [DMARC_STAGES.index(each) if each in DMARC_STAGES else None for each in followed.stages]
    if _worth(stages):
        named = [(place, say(f"weekly.stage.{stage}")) for place, stage in enumerate(DMARC_STAGES)]
        shown = [say(f"weekly.stage.{each}") if each in DMARC_STAGES else None for each in followed.stages]
        drawn = line(days, stages, name="stage", write=lambda value: named[int(value)][1], steps=named)
        charts.append(Chart(say("weekly.trend.stage"), drawn, _rows(days, shown, say)))
    for path in MEASURES:
        values = followed.measures[path]
        if not _worth(values):
            continue

        def write(value: int | float, path: str = path) -> str:
            return octets(int(value), say) if path.endswith("octets") else f"{value:g}"

        shown = [write(value) if value is not None else None for value in values]
        if not any(values):
            continue
        limit = _LIMITS[path]
        near = max(value for value in values if value is not None) > limit / 2
        drawn = line(days, values, name=path.replace(".", "-"), write=write, limit=limit if near else None)
        above = say("weekly.limit", limit=write(limit)) if near else ""
        charts.append(Chart(say(f"weekly.trend.{path}"), drawn, _rows(days, shown, say), above))
    return charts


def _verdicts(followed: Trend, rules: RuleSet, say: Phrases) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each receiver with its verdict (tone, words) in the newest runs; nothing where there was only one run."""
    if len(followed.dates) < 2:
        return []
    named = {ident: receiver.called(say.lang) for ident, receiver in rules.receivers.items()}

    def cell(kind: VerdictKind | None) -> tuple[str, str]:
        return (TONES[kind], say(f"verdict.{kind.value}")) if kind else ("none", say("value.unknown"))

    return [
        (named.get(ident, ident), [cell(kind) for kind in kinds[-_RUNS_SHOWN:]])
        for ident, kinds in followed.kinds.items()
    ]


def _worth(values: Sequence[int | float | None]) -> bool:
    return sum(value is not None for value in values) > 1


def _rows(dates: Sequence[str], values: Sequence[str | None], say: Phrases) -> tuple[tuple[str, str], ...]:
    return tuple((date, value or say("value.unknown")) for date, value in zip(dates, values, strict=True))
