"""Who sends as a domain, in the words of a weekly run: what changed, the gate, and a picture by day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor
from typing import ClassVar

from msgspec import Struct

from deliverability.model.gate import GateKind
from deliverability.model.traffic import GateWeek, SourceChange, SourceNote, TrafficDay, TrafficWeek
from deliverability.model.weekly import WeeklyEntry
from deliverability.view.charts import bars
from deliverability.words.dates import day_words
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import shortened, visible

_NAMED = 3
_NAME = 80
_LANES = {"aligned": "good", "unaligned": "bad", "altered": "risk", "forged": "none"}
_TONES = {
    SourceChange.OPENED: "bad",
    SourceChange.ASKED: "risk",
    SourceChange.NEW: "none",
    SourceChange.CLOSED: "good",
    SourceChange.GONE: "good",
}
_GATE_TONES = {GateKind.SAFE: "good", GateKind.NOT_YET: "none", GateKind.CANNOT_TELL: "unknown"}


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
        sum: own messages, and how many of them pass.
        lines: what changed, what is open, and the gate.
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


def sends_view(entry: WeeklyEntry, say: Phrases) -> SendsView | None:
    """The view of a subject; None where no reports of it are read."""
    week = entry.traffic
    if week is None:
        return None
    news = [*_changes(week, say), *_silence(week, say)]
    gate = [SendsLine(_GATE_TONES[entry.gate.kind], gate_words(entry.gate, say))] if entry.gate else []
    name = visible(entry.domain)
    lines = [*news, *(gate if entry.gate and entry.gate.has_news else [])]
    return SendsView(
        domain=name,
        page=entry.pages.get(say.lang, ""),
        sum=_sum(week, say),
        lines=(*news, *_open(week, say), *gate),
        line=say("punctuation.clauses").join(each.words.rstrip(".。") for each in lines[:_NAMED]),
        how=say(f"sends.how.{_how(entry.gate)}", domain=name),
        period=say("sends.period", begin=day_words(week.begin, say), end=day_words(week.end, say)),
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
    own, aligned = sum(each.own for each in weeks.values()), sum(each.aligned for each in weeks.values())
    if not own:
        return say("sends.all-nothing")
    return _count("sends.all", len(weeks), say, share=_share(aligned, own), own=f"{own:,}")


def gate_words(gate: GateWeek, say: Phrases) -> str:
    """The answer on the next policy, the one before where it was another, and the earliest day."""
    answer = say(f"sends.answer.{gate.kind.value}")
    if gate.has_news and gate.before is not None:
        before = say(f"sends.answer.{gate.before.value}")
        words = say("sends.gate-changed", policy=gate.to, before=before, answer=answer)
    else:
        words = say("sends.gate", policy=gate.to, answer=answer)
    if gate.kind is GateKind.NOT_YET and gate.earliest:
        words += say("punctuation.aside", text=say("sends.earliest", day=day_words(gate.earliest, say)))
    return words


def _sum(week: TrafficWeek, say: Phrases) -> str:
    period = {
        "reports": f"{week.reports:,}",
        "begin": day_words(week.begin, say),
        "end": day_words(week.end, say),
    }
    if not week.own:
        return say("sends.nothing", **period)
    return say("sends.sum", n=f"{week.own:,}", share=_share(week.aligned, week.own), **period)


def _share(part: int, whole: int) -> str:
    """Percent, never rounded up to a hundred."""
    return f"{floor(1000 * part / whole) / 10:g}"


def _changes(week: TrafficWeek, say: Phrases) -> Iterator[SendsLine]:
    if week.first:
        yield SendsLine("none", say("sends.first"))
    for each in week.changes:
        if each.change is not None:
            numbers = {"n": f"{each.messages:,}", "lost": f"{each.unaligned:,}"}
            yield SendsLine(_TONES[each.change], say(f"sends.{each.change.value}", source=_name(each), **numbers))


def _silence(week: TrafficWeek, say: Phrases) -> Iterator[SendsLine]:
    """That no reports come; else who does not report any more."""
    if week.silent_since:
        yield SendsLine("unknown", say("sends.silence", day=day_words(week.silent_since, say)))
        return
    for name, day in week.silent.items():
        shown = visible(shortened(name, _NAME))
        since = say("sends.silent", reporter=shown, day=day_words(day, say)) if day else ""
        yield SendsLine("unknown", since or say("sends.silent-now", reporter=shown))


def _open(week: TrafficWeek, say: Phrases) -> Iterator[SendsLine]:
    """What was open before and still is."""
    named = {each.name for each in week.changes}
    for key, tone, notes in (("gaps", "bad", week.gaps), ("unanswered", "risk", week.asked)):
        left = [each for each in notes if each.name not in named]
        if left:
            names = say("value.separator").join(_name(each) for each in left[:_NAMED])
            more = say("value.more", n=str(len(left) - _NAMED)) if len(left) > _NAMED else ""
            yield SendsLine(tone, _count(f"sends.{key}", len(left), say, names=names + more))


def _count(key: str, number: int, say: Phrases, **values: str) -> str:
    return say(f"{key}.{'one' if number == 1 else 'other'}", n=f"{number:,}", **values)


def _name(note: SourceNote) -> str:
    return visible(shortened(note.name, _NAME))
