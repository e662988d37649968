"""Who sends as a domain, in words: each source with what it is, why and what to do, in the groups that pages show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby

from msgspec import Struct

from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.facts.traffic import (
    MessageSums,
    OwnMessages,
    ReportPeriod,
    Source,
    SourceDay,
    Traffic,
    WhoReported,
)
from deliverability.core.model.report import GateKind, Report
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.report.traffic import FOREIGN, Sums, class_of, like_a_host, sums_of, sums_words
from deliverability.core.words.sentences import day_words, full_day_words, visible
from deliverability.core.words.speaker import Speaker

_BAR, _HEIGHT = 4, 24
_SPF_COVERS = "by-spf-covers"


def bars(values: Sequence[int]) -> str:
    """A bar for each day above a line, as high as the highest allows; what it shows has to be said beside it."""
    top = max([*values, 1])
    width = _BAR * max(1, len(values))
    drawn = "".join(
        f"M{_BAR * place} {_HEIGHT}v-{max(1.0, round(_HEIGHT * value / top, 2)):g}h{_BAR - 1}V{_HEIGHT}z"
        for place, value in enumerate(values)
        if value
    )
    return (
        f'<svg class="bars" viewBox="0 0 {width} {_HEIGHT + 1}" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false"><path class="base" d="M0 {_HEIGHT}h{width}v1H0z"/><path d="{drawn}"/></svg>'
    )


class DayLine(Struct, frozen=True):
    """Messages of a day from one address, as one receiver reports them."""

    day: str
    messages: str
    aligned: str


class ReceiverView(Struct, frozen=True):
    """What one receiver reported of an address."""

    name: str
    passing: str
    days: tuple[DayLine, ...]


class AddressView(Struct, frozen=True):
    """An address of a source, with who reported it."""

    address: str
    passing: str
    receivers: tuple[ReceiverView, ...]


class SourceView(Struct, frozen=True):
    """A source in words.

    Attributes:
        name: safe to show.
        standing: as the facts have it.
        label: the same in words.
        tone: good, bad, risk or none.
        group: answer, fix, yours or foreign.
        asks: only the user can say whose it is, and has not.
        messages, aligned: how many, and how many of them pass DMARC.
        share: of what passes, in percent.
        passing: both in words.
        reasons: why it is that.
        addresses: some of them in words.
        since, last: the days on which it was first and last reported.
        marks: what else tells it apart: label and words.
        advice: what to do.
        paste: the table for the settings with both answers.
        days: messages by day of the window; empty where no details were asked for.
        senders: its addresses; the same.
        hidden: how many addresses more there are.

    """

    name: str
    standing: str
    label: str
    tone: str
    group: str
    asks: bool
    messages: int
    aligned: int
    share: float
    passing: str
    reasons: tuple[str, ...]
    addresses: str
    since: str
    last: str
    marks: tuple[tuple[str, str], ...]
    advice: str
    paste: tuple[str, ...]
    days: tuple[int, ...] = ()
    senders: tuple[AddressView, ...] = ()
    hidden: int = 0

    @property
    def chart(self) -> str:
        """A bar a day."""
        return bars(self.days)


GROUPS = ("answer", "fix", "yours", "foreign")
_TONES: Mapping[str, str] = {
    "own": "good",
    "forwarder": "good",
    "own-gap": "bad",
    "service-gap": "bad",
    "service-mixed": "risk",
    "unclaimed": "risk",
    "altered": "none",
    "forged": "none",
}


class GroupView(Struct, frozen=True):
    """Sources of one kind: `key` of GROUPS, heading, how many there are with their messages, how many are not shown."""

    key: str
    heading: str
    count: str
    hidden: int
    sources: tuple[SourceView, ...]


class SourcesView(Struct, frozen=True, dict=True):
    """Who sends as one domain.

    Attributes:
        domain: safe to show.
        known: reports were read, and the sources are known.
        summary: the sums; else why nothing is known.
        period: the window and its reports.
        sources: what needs an answer or a correction first.
        beside: by group how many sources there are that are not listed, and their messages.
        guessed: messages of sources that the user is asked about, and that count as forged until there is an answer.
        sums: the messages by class; None where nothing is known.
        gate: the answer on the policy, in words; empty: none.
        gate_tone: good, bad, risk, unknown or none.
        change: how the volume of the second half of the window compares with the first; empty: it cannot be told.
        rank: smaller needs more attention.

    """

    domain: str
    known: bool
    summary: str
    period: str
    sources: tuple[SourceView, ...]
    beside: Mapping[str, tuple[int, int]]
    sums: Sums | None
    gate: str
    gate_tone: str
    change: str
    guessed: int
    rank: tuple[int, int]
    say: Phrases

    @cached_property
    def groups(self) -> tuple[GroupView, ...]:
        """The groups that have sources."""
        listed = {key: tuple(each) for key, each in groupby(self.sources, lambda one: one.group)}
        return tuple(
            self._group(key, listed.get(key, ())) for key in GROUPS if key in listed or self.beside.get(key, (0, 0))[0]
        )

    def _group(self, key: str, sources: tuple[SourceView, ...]) -> GroupView:
        say, (number, messages) = self.say, self.beside.get(key, (0, 0))
        number, messages = number + len(sources), messages + sum(each.messages for each in sources)
        count = say(f"sources.count.{'one' if number == 1 else 'other'}", n=f"{number:,}", messages=f"{messages:,}")
        if key == "answer" and self.guessed:
            count += say("punctuation.aside", text=say.count("sources.guessed", self.guessed))
        return GroupView(key, say(f"sources.group.{key}"), count, number - len(sources), sources)

    @cached_property
    def ranks(self) -> Mapping[str, Mapping[str, int]]:
        """By source its place in a list by messages, the most first, and by what passes, the least first."""
        by_messages = sorted(self.sources, key=lambda one: -one.messages)
        by_share = sorted(self.sources, key=lambda one: (one.share, -one.messages))
        places = {each.name: place for place, each in enumerate(by_share)}
        return {each.name: {"messages": place, "share": places[each.name]} for place, each in enumerate(by_messages)}

    @property
    def share(self) -> str:
        """How much of what is or may be the domain's passes, in percent, cut off; empty: there is nothing."""
        if self.sums is None or not self.sums.yours:
            return ""
        return f"{int(1000 * self.sums.aligned / self.sums.yours) / 10:g}%"


def sources_view(report: Report, speaker: Speaker, most: int | None = None) -> SourcesView:
    """The sources of a report's window; `most`: so many of a group at most, the others are counted."""
    say, facts = speaker.say, report.facts
    sums, listed = sums_of(facts), if_known(facts.of(Traffic).sources) or ()
    details = _details(facts)
    days = tuple(each.day for each in if_known(facts.of(Traffic).volume) or ())
    reporters = {each.id: each.name for each in if_known(facts.of(WhoReported).reporters) or ()}
    sources = [_source(each, details.get(each.key, ()), days, reporters, speaker) for each in listed]
    order = {key: place for place, key in enumerate(GROUPS)}
    guessed = sum(each.messages for each in sources if each.asks and each.standing == "forged")
    sources.sort(key=lambda each: (order[each.group], each.standing == "forged", -each.messages))
    beside = dict(_beside(facts, sums, listed))
    if most is not None:
        for key in GROUPS:
            left = [each for each in sources if each.group == key][most:]
            number, messages = beside.get(key, (0, 0))
            beside[key] = number + len(left), messages + sum(each.messages for each in left)
            sources = [each for each in sources if each not in left]
    gate, tone, rank = _gate(report, say)
    waiting = sums.yours - sums.aligned if sums is not None else 0
    return SourcesView(
        domain=visible(report.domain),
        known=sums is not None,
        summary=sums_words(sums, say) if sums is not None else _unknown(facts, say),
        period=_period(facts, say),
        sources=tuple(sources),
        beside=beside,
        guessed=guessed,
        sums=sums,
        gate=gate,
        gate_tone=tone,
        change=_change(facts),
        rank=(rank, -waiting),
        say=say,
    )


def _unknown(facts: FactSet, say: Phrases) -> str:
    lost = facts.of(OwnMessages).messages
    missing = isinstance(lost, Unknown) and lost.reason is Reason.NOT_CONFIGURED
    return say("sources.none" if missing else "sources.no-dns")


def _period(facts: FactSet, say: Phrases) -> str:
    """How many reports there are, and the first and last day of the mail in them."""
    period = facts.of(ReportPeriod)
    begin, end, reports = if_known(period.begin), if_known(period.end), if_known(period.reports)
    if not begin or not end or reports is None:
        return ""
    days = [each.day for each in if_known(facts.of(Traffic).volume) or () if each.reported] or [begin, end]
    return say.count("sources.period", reports, begin=full_day_words(days[0], say), end=full_day_words(days[-1], say))


def _beside(facts: FactSet, sums: Sums | None, listed: Iterable[Source]) -> Mapping[str, tuple[int, int]]:
    """By group the sources that are not listed, as there are so many, and their messages."""
    if sums is None:
        return {}
    every = facts.of(MessageSums)
    wholes = {
        "answer": (if_known(every.unclaimed_sources) or 0, sums.classes["unclaimed"], ("unclaimed",)),
        "yours": (if_known(every.own_sources) or 0, sums.classes["own"], ("own",)),
        "foreign": (if_known(every.foreign_sources) or 0, sums.foreign, FOREIGN),
    }
    found = {}
    for key, (number, messages, classes) in wholes.items():
        shown = [each for each in listed if class_of(each.standing, apart=each.apart) in classes]
        found[key] = max(0, number - len(shown)), max(0, messages - sum(each.messages for each in shown))
    return found


def _change(facts: FactSet) -> str:
    """By how many percent own and unclaimed mail of the last 14 days is more or less than of the 14 before."""
    days = [each.messages + each.unclaimed for each in if_known(facts.of(Traffic).volume) or ()]
    now, before = sum(days[-14:]), sum(days[-28:-14])
    return f"{100 * (now - before) / before:+.0f}%" if before and len(days) >= 28 else ""


_RANKS = {GateKind.HITS: 0, GateKind.NOT_YET: 1, GateKind.CANNOT_TELL: 2, GateKind.SAFE: 3}
_GATE_TONES = {GateKind.HITS: "bad", GateKind.NOT_YET: "risk", GateKind.CANNOT_TELL: "unknown", GateKind.SAFE: "good"}


def _gate(report: Report, say: Phrases) -> tuple[str, str, int]:
    """What the gate says, its tone, and how much it needs attention."""
    answer = report.answer.gate
    if answer is None:
        return "", "none", 4
    words = say(f"sends.answer.{answer.kind.value}")
    text = say("sends.gate", policy=answer.to, answer=words)
    return text, _GATE_TONES[answer.kind], _RANKS[answer.kind]


def _details(facts: FactSet) -> Mapping[str, tuple[SourceDay, ...]]:
    found: dict[str, list[SourceDay]] = {}
    for each in if_known(facts.of(Traffic).details) or ():
        found.setdefault(each.source, []).append(each)
    return {key: tuple(each) for key, each in found.items()}


def _source(
    source: Source,
    details: Sequence[SourceDay],
    days: Sequence[str],
    reporters: Mapping[str, str],
    speaker: Speaker,
) -> SourceView:
    say, standing = speaker.say, source.standing
    asks = not source.said and (standing in ("unclaimed", "service-mixed") or like_a_host(source))
    group = _group_of(standing, asks=asks, apart=source.apart)
    service = speaker.rules.knowledge.services.get(source.service or "")
    console = (service.console or {}).get(say.lang, "") if service is not None else ""
    by_day: dict[str, int] = {}
    for each in details:
        by_day[each.day] = by_day.get(each.day, 0) + each.messages
    senders = tuple(_senders(details, reporters, say))
    return SourceView(
        name=visible(source.key),
        standing=standing,
        label=say("standing.forged-asked" if asks and standing == "forged" else f"standing.{standing}"),
        tone="risk" if asks else _TONES[standing],
        group=group,
        asks=asks,
        messages=source.messages,
        aligned=source.aligned,
        share=source.aligned_percent,
        passing=_passing(source.aligned, source.messages, say),
        reasons=tuple(visible(detail_words(one, say)) for one in source.standing_by),
        addresses=_addresses(source, say),
        since=full_day_words(source.first_seen, say),
        last=full_day_words(source.last_seen, say),
        marks=tuple(_marks(source, say)),
        advice=_advice(source, visible(console), say, asks=asks),
        paste=_paste(source, group, say),
        days=tuple(by_day.get(day, 0) for day in days) if details else (),
        senders=senders,
        hidden=max(0, source.addresses - len(senders)) if details else 0,
    )


def _group_of(standing: str, *, asks: bool, apart: bool) -> str:
    if asks:
        return "answer"
    if standing in ("own-gap", "service-gap") and not apart:
        return "fix"
    return "yours" if standing in ("own", "own-gap", "service-gap") else "foreign"


def _passing(aligned: int, messages: int, say: Phrases) -> str:
    return say("sources.aligned", n=f"{aligned:,}", all=f"{messages:,}")


def _marks(source: Source, say: Phrases) -> Iterator[tuple[str, str]]:
    named = {"ptr": source.ptr, "selectors": source.selectors, "return": source.return_domains}
    for key, values in named.items():
        if values:
            yield say(f"sources.mark.{key}"), say("value.separator").join(map(visible, values))


def _senders(details: Sequence[SourceDay], reporters: Mapping[str, str], say: Phrases) -> Iterator[AddressView]:
    """The addresses, the largest first, each with the names of its reporters and their days."""
    by_address: dict[str, list[SourceDay]] = {}
    for each in details:
        by_address.setdefault(each.address, []).append(each)
    for address, rows in sorted(by_address.items(), key=lambda one: -_messages(one[1])):
        by_receiver: dict[str, list[SourceDay]] = {}
        for row in rows:
            by_receiver.setdefault(row.receiver, []).append(row)
        receivers = (
            ReceiverView(
                visible(reporters.get(name) or name),
                _passing(_aligned(own), _messages(own), say),
                tuple(_days(own, say)),
            )
            for name, own in sorted(by_receiver.items(), key=lambda one: -_messages(one[1]))
        )
        yield AddressView(visible(address), _passing(_aligned(rows), _messages(rows), say), tuple(receivers))


def _messages(rows: Iterable[SourceDay]) -> int:
    return sum(each.messages for each in rows)


def _aligned(rows: Iterable[SourceDay]) -> int:
    return sum(each.aligned for each in rows)


def _days(rows: Sequence[SourceDay], say: Phrases) -> Iterator[DayLine]:
    for each in sorted(rows, key=lambda one: one.day):
        yield DayLine(day_words(each.day, say), f"{each.messages:,}", f"{each.aligned:,}")


def _addresses(source: Source, say: Phrases) -> str:
    shown = [visible(each) for each in source.examples]
    more = source.addresses - len(shown)
    return say("value.separator").join(shown) + (say("value.more", n=f"{more:,}") if more > 0 else "")


def _advice(source: Source, console: str, say: Phrases, *, asks: bool) -> str:
    standing = source.standing
    if source.apart:
        return say("sources.advice.apart")
    if source.said and standing == "forged":
        return say("sources.advice.said-not-ours")
    if standing == "service-gap" and console:
        return say("sources.advice.service-gap-at", console=console)
    if standing == "forged" and asks:
        return say("sources.advice.forged-asked")
    if standing == "unclaimed" and any(each.code == _SPF_COVERS for each in source.standing_by):
        return say("sources.advice.unclaimed-in-spf")
    return say(f"sources.advice.{standing}")


def _paste(source: Source, group: str, say: Phrases) -> tuple[str, ...]:
    """The table for the settings: with both answers, one of them commented out, or with what would be a correction."""
    names = ", ".join(f'"{_quoted(each)}"' for each in source.match)
    both = f'"ours"  # {say("sources.paste-or")} "not-ours"'
    answer = {"answer": both, "foreign": '"ours"'}.get(group, '"not-ours"')
    return ("[[source]]", f"match = [{names}]", f"is = {answer}")


def _quoted(text: str) -> str:
    return "".join(f"\\{char}" if char in '\\"' else char for char in visible(text))
