"""Who sends as a domain, in the words of a weekly run, with charts as inline SVG."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar
from xml.etree import ElementTree

from msgspec import Struct

from deliverability.core.model.report import GateKind
from deliverability.core.model.rules import RuleSet
from deliverability.core.model.services import reporter_named
from deliverability.core.phrases import Phrases
from deliverability.core.report.sources import bars
from deliverability.core.report.traffic import CLASSES, Sums, sums_words
from deliverability.core.words.sentences import day_words, full_day_words, shortened, visible
from deliverability.weekly.values import GateWeek, SourceChange, SourceNote, TrafficDay, TrafficWeek, WeeklyEntry

_Number = int | float
_SVG = "http://www.w3.org/2000/svg"
_HIDDEN = frozenset({"tooltip", "tooltip-overlay", "text-overlay", "titles", "background", "value", "centered"})
_DROPPED = ("script", "style", "title", "desc", "metadata")


def line(
    days: Sequence[str],
    values: Sequence[_Number | None],
    *,
    name: str,
    write: Callable[[_Number], str],
    steps: Sequence[tuple[_Number, str]] = (),
    limit: _Number | None = None,
) -> str:
    """A line chart; gaps where nothing is known.

    Args:
        days: one a value, as they stand at the axis.
        values: oldest first.
        name: of the chart, used as its id on the page: letters, digits and hyphens.
        write: a number as it is written at the axis.
        steps: fixed marks of the axis (value, words) instead of numbers.
        limit: a line that should not be crossed.

    """
    pygal = _pygal()
    known = [value for value in values if value is not None]
    top = max([*known, *(value for value, _ in steps), limit or 0, 1])
    chart = pygal.Line(
        style=pygal.style.Style(
            font_family="inherit", label_font_size=11, major_label_font_size=11, background="transparent"
        ),
        width=320,
        height=160,
        margin=6,
        margin_right=20,
        truncate_label=-1,
        show_legend=False,
        js=(),
        dots_size=3,
        range=(0, top),
        show_x_guides=False,
        allow_interruptions=True,
        max_scale=4,
        value_formatter=write,
    )
    chart.uuid = name
    chart.x_labels = list(days)
    chart.x_labels_major_count = 4
    chart.show_minor_x_labels = False
    if steps:
        chart.y_labels = [{"value": value, "label": words} for value, words in steps]
    chart.add("", list(values))
    if limit is not None:
        chart.add("", [limit] * len(values), show_dots=False)
    return _bare(chart.render_tree(), name)


@lru_cache(maxsize=1024)  # most domains stay as they are, and look the same
def spark(values: tuple[_Number | None, ...], *, top: _Number) -> str:
    """A line of a few pixels beside a name in a table."""
    pygal = _pygal()
    chart = pygal.Line(
        style=pygal.style.Style(background="transparent"),
        width=120,
        height=28,
        margin=2,
        spacing=0,
        js=(),
        range=(0, top),
        dots_size=2,
        allow_interruptions=True,
        show_legend=False,
        show_x_labels=False,
        show_y_labels=False,
        show_x_guides=False,
        show_y_guides=False,
    )
    chart.uuid = "spark"
    chart.add("", list(values))
    return _bare(chart.render_tree(), "spark")


def _pygal() -> Any:
    """Pygal without the import hook that it installs for plug-ins of its own, and without lxml.

    The hook is of a form that Python 3.12 dropped: before, every import that finds nothing warns because of it. lxml it
    takes where that happens to be installed, and then hands out a tree of lxml's.
    """
    import pygal
    import pygal.etree
    import pygal.style

    pygal.etree.etree.to_etree()

    for finder in list(sys.meta_path):
        if type(finder).__module__ == "pygal":
            with suppress(ValueError):  # another thread was sooner
                sys.meta_path.remove(finder)
    return pygal


def _bare(tree: ElementTree.Element, name: str) -> str:
    """The drawing alone: a figure without text for machines, script, style or comments."""
    root = ElementTree.fromstring(ElementTree.tostring(tree))  # noqa: S314 - our own drawing; drops comments
    for parent in list(root.iter()):
        for child in list(parent):
            tag = child.tag.rpartition("}")[2]
            if tag in _DROPPED or not _HIDDEN.isdisjoint((child.get("class") or "").split()):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # prefixes are kept for all threads, and set anew by each chart
        element.attrib.pop("id", None)
        element.text = element.text.strip() if element.text else element.text
        element.tail = None
    root.attrib = {"xmlns": _SVG, **root.attrib}
    root.set("class", "chart")
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    root.set("data-chart", name)
    return ElementTree.tostring(root, encoding="unicode")


_NAMED = 3
_NAME = 80
_LANES = {
    **{"aligned": "good", "unaligned": "bad", "unclaimed": "risk"},
    **dict.fromkeys(("forged", "forwarded", "altered"), "none"),
}
_TONES = {
    SourceChange.OPENED: "bad",
    SourceChange.ASKED: "risk",
    SourceChange.NEW: "none",
    SourceChange.CLOSED: "good",
    SourceChange.GONE: "good",
}
_GATE_TONES = {GateKind.HITS: "bad", GateKind.SAFE: "good", GateKind.NOT_YET: "none", GateKind.CANNOT_TELL: "unknown"}


class SendsLine(Struct, frozen=True):
    """A line with its tone: good, bad, risk, unknown or none."""

    tone: str
    words: str


class DayLane(Struct, frozen=True):
    """Messages of one kind by day: a drawing with a scale of its own, and its sum and maximum in words."""

    label: str
    tone: str
    svg: str
    words: str


class SendsView(Struct, frozen=True):
    """Who sends as one domain.

    Attributes:
        domain: safe to show.
        page: file name of its report.
        sum: how much of what is or may be the domain's passes, what else was sent in its name, and by which reports.
        lines: what changed, what is open, and the gate, a sentence each.
        line: what changed, in one line; empty: nothing.
        how: where more of it is told.
        period: the days of the window.
        days: the messages of each.
        say: the words.

    """

    domain: str
    page: str
    sum: str
    lines: tuple[SendsLine, ...]
    line: str
    how: str
    period: str
    days: tuple[TrafficDay, ...]
    say: Phrases

    source: ClassVar[str] = ""
    """The reports are about the domain, whatever message is audited with it."""

    @property
    def lanes(self) -> tuple[DayLane, ...]:
        """By day, one a kind."""
        return tuple(self._lane(name, tone) for name, tone in _LANES.items())

    def _lane(self, name: str, tone: str) -> DayLane:
        say, values = self.say, [int(getattr(each, name)) for each in self.days]
        total = sum(values)
        words = say("sends.lane-sum", n=f"{total:,}", most=f"{max(values):,}") if total else say("sends.lane-none")
        return DayLane(say(f"sends.lane.{name}"), tone, bars(values), words)

    @property
    def rows(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each day with its numbers, in the order of the lanes."""
        return tuple(
            (day_words(each.day, self.say), tuple(f"{getattr(each, name):,}" for name in _LANES)) for each in self.days
        )


def sends_view(entry: WeeklyEntry, say: Phrases, rules: RuleSet) -> SendsView | None:
    """The view of a subject; None where no reports of it are read."""
    week = entry.traffic
    if week is None:
        return None
    news = [*_changes(week, say), *_silence(week, say, rules)]
    gate = [SendsLine(_GATE_TONES[entry.gate.kind], gate_words(entry.gate, week, say))] if entry.gate else []
    name = visible(entry.domain)
    lines = [*news, *(gate if entry.gate and entry.gate.has_news else [])]
    return SendsView(
        domain=name,
        page=entry.pages.get(say.lang, ""),
        sum=_sum(week, say),
        lines=(*news, *_open(week, say), *gate),
        line=say("punctuation.gap").join(each.words for each in lines[:_NAMED]),
        how=say(f"sends.how.{_how(entry.gate)}", domain=name),
        period=say("sends.period", begin=full_day_words(week.begin, say), end=full_day_words(week.end, say)),
        days=week.days,
        say=say,
    )


def _how(gate: GateWeek | None) -> str:
    if gate is None:
        return "sources"
    return "record" if gate.kind is GateKind.SAFE else "gate"


def sends_of_all(entries: Sequence[WeeklyEntry], say: Phrases) -> str:
    """All domains in one line; empty where no reports are read."""
    weeks = {each.domain: each.traffic for each in entries if each.traffic is not None}
    if not weeks:
        return ""
    classes = {name: sum(each.sums.classes[name] for each in weeks.values()) for name in CLASSES}
    aligned, uncounted = (sum(getattr(each.sums, name) for each in weeks.values()) for name in ("aligned", "uncounted"))
    sums = Sums(classes, aligned, uncounted)
    days = max((date.fromisoformat(each.end) - date.fromisoformat(each.begin)).days + 1 for each in weeks.values())
    return say.count("sends.all", len(weeks), text=sums_words(sums, say), days=str(days))


def gate_words(gate: GateWeek, week: TrafficWeek, say: Phrases) -> str:
    """The answer on the next policy, as news where it is some, and the earliest day."""
    news = gate.has_news and (gate.before is GateKind.SAFE or gate.kind in (GateKind.SAFE, GateKind.HITS))
    unconfirmed = news and gate.kind is GateKind.NOT_YET and week.only_silent
    key = "unconfirmed" if unconfirmed else gate.kind.value
    words = say(f"sends.{'policy-now' if news else 'policy'}.{key}", policy=gate.to)
    if gate.kind is GateKind.NOT_YET and gate.earliest:
        earliest = "sends.earliest-silent" if week.only_silent else "sends.earliest"
        words += say("punctuation.gap") + say(earliest, day=full_day_words(gate.earliest, say))
        words += say("punctuation.gap") + say("sends.sooner") if week.silent_since else ""
    return words


def _sum(week: TrafficWeek, say: Phrases) -> str:
    days = [each.day for each in week.days if any(getattr(each, name) for name in _LANES)] or [week.begin, week.end]
    period = {"begin": full_day_words(days[0], say), "end": full_day_words(days[-1], say)}
    return say.count("sends.sum", week.reports, text=sums_words(week.sums, say), **period)


def _changes(week: TrafficWeek, say: Phrases) -> Iterator[SendsLine]:
    if week.first:
        yield SendsLine("none", say("sends.first"))
    for each in week.changes:
        if each.change is not None:
            values = {"source": _name(each), "lost": f"{each.unaligned:,}"}
            mixed = each.change is SourceChange.NEW and each.unaligned
            key = "new-mixed" if mixed else each.change.value
            yield SendsLine(_TONES[each.change], say.count(f"sends.{key}", each.messages, **values))


def _silence(week: TrafficWeek, say: Phrases, rules: RuleSet) -> Iterator[SendsLine]:
    """That no reports come; else who does not report any more."""
    if week.silent_since:
        yield SendsLine("unknown", say("sends.silence", day=full_day_words(week.silent_since, say)))
        return
    for name, day in week.silent.items():
        shown = visible(shortened(_reporter(name, rules, say), _NAME))
        since = say("sends.silent", reporter=shown, day=full_day_words(day, say)) if day else ""
        yield SendsLine("unknown", since or say("sends.silent-now", reporter=shown))


def _reporter(name: str, rules: RuleSet, say: Phrases) -> str:
    """A reporter as the receiver that it is, if that is known: Yahoo is another one in Japan."""
    known = reporter_named(name, rules.knowledge.reporters)
    receiver = rules.receivers.get(known.receiver or "") if known is not None else None
    return receiver.called(say.lang) if receiver is not None else name


def _open(week: TrafficWeek, say: Phrases) -> Iterator[SendsLine]:
    """What was open before and still is."""
    named = {each.name for each in week.changes}
    for key, tone, notes in (("gaps", "bad", week.gaps), ("unanswered", "risk", week.asked)):
        left = [each for each in notes if each.name not in named]
        if left:
            names = say("value.separator").join(_name(each) for each in left[:_NAMED])
            more = say("value.more", n=f"{len(left) - _NAMED:,}") if len(left) > _NAMED else ""
            yield SendsLine(tone, say.count(f"sends.{key}", len(left), names=names + more))


def _name(note: SourceNote) -> str:
    return visible(shortened(note.name, _NAME))
