"""Entries of a run in the words of one language, for pages, mails and messages.

May import history, judge, model, render and weekly.

No escaping here: that is the renderer's. Characters that hide or steer something are written out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deliverability.history.texts import named
from deliverability.judge.words import Phrases, format_value, visible
from deliverability.model.facts import Catalogue
from deliverability.model.history import Cause, Change, ChangeKind, RecordChange
from deliverability.model.report import FactChange, Gain, Outcome, VerdictKind
from deliverability.model.rules import RuleSet
from deliverability.render.diff import Piece, diff
from deliverability.weekly.entry import Entry, Said

_ORDER = {"error": 0, "warning": 1, "info": 2, "none": 3}


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record that changed, word by word."""

    asked: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change in words. `causes` are whole sentences; `link` leads into the full report."""

    kind: str
    label: str
    severity: str
    rule: str
    item: str
    title: str
    message: str
    step: str
    causes: tuple[str, ...]
    facts: tuple[str, ...]
    records: tuple[RecordView, ...]
    since: str
    checked: str
    link: str


@dataclass(frozen=True, slots=True)
class StandView:
    """A receiver's verdict in words."""

    receiver: str
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class MarkView:
    """How many changes of a kind there are; `kind` is that of the worst of them."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """A subject in words."""

    domain: str
    source: str
    message: str
    page: str
    first: bool
    error: str
    stands: tuple[StandView, ...]
    grade: str
    verdicts: tuple[str, ...]
    new: tuple[ChangeView, ...]
    mended: tuple[ChangeView, ...]
    gone: tuple[ChangeView, ...]
    unchecked: tuple[ChangeView, ...]
    still: tuple[ChangeView, ...]
    other_records: tuple[RecordView, ...]
    counts: Mapping[str, int]
    failures: int
    waived: int
    unchecked_words: str
    marks: tuple[MarkView, ...]

    @property
    def changed(self) -> bool:
        """Whether there is anything to tell that was not so a week ago."""
        told = (self.new, self.mended, self.gone, self.verdicts, self.unchecked, self.other_records, self.error)
        return any(told)

    @property
    def causes(self) -> tuple[str, ...]:
        """The causes of all that is new or mended, each once."""
        changes = (*self.new, *self.mended, *self.gone)
        return tuple(dict.fromkeys(cause for change in changes for cause in change.causes))


class Words:
    """Writes entries in one language."""

    def __init__(self, say: Phrases, rules: RuleSet, catalogue: Catalogue) -> None:
        self._say = say
        self._rules = rules
        self._catalogue = catalogue
        self._shown: set[RecordChange] = set()

    def entry(self, entry: Entry) -> EntryView:
        """A subject in words."""
        comparison = entry.comparison
        self._shown.clear()
        said = entry.texts.get(self._say.lang, {})
        page = entry.pages.get(self._say.lang, "")

        def of(kind: ChangeKind) -> tuple[ChangeView, ...]:
            chosen = [each for each in comparison.of(kind) if not each.waived] if comparison else []
            chosen.sort(key=lambda each: (each.before is not Outcome.UNMET, _ORDER[each.severity.value], each.rule))
            return tuple(self._change(each, said.get(each.fingerprint), page) for each in chosen)

        told = {record.asked for change in (comparison.changes if comparison else ()) for record in change.records}
        new, mended, gone, unchecked = (
            of(kind) for kind in (ChangeKind.NEW, ChangeKind.MENDED, ChangeKind.GONE, ChangeKind.UNCHECKED)
        )
        others = [record for record in comparison.records if record.asked not in told] if comparison else []
        return EntryView(
            domain=visible(entry.domain),
            source=visible(entry.source),
            message=visible(entry.message),
            page=page,
            first=comparison is not None and not comparison.previous,
            error=visible(entry.error),
            stands=tuple(
                StandView(self._receiver(each.receiver), each.verdict.value, self._verdict(each.verdict))
                for each in entry.stands
            ),
            grade=entry.grade,
            verdicts=tuple(self._gains(comparison.verdicts if comparison else ())),
            new=new,
            mended=mended,
            gone=gone,
            unchecked=unchecked,
            still=of(ChangeKind.STILL),
            other_records=tuple(self._record(each) for each in others),
            counts=entry.counts,
            failures=entry.failures,
            waived=sum(each.waived for each in comparison.changes) if comparison else 0,
            unchecked_words=self._unchecked(unchecked),
            marks=tuple(self._marks(new, mended, gone, unchecked, others)),
        )

    def _unchecked(self, unchecked: Sequence[ChangeView]) -> str:
        """How many checks failed, and since when: for most of them."""
        if not unchecked:
            return ""
        (since, _), *_ = Counter(each.checked or "—" for each in unchecked).most_common(1)
        form = "one" if len(unchecked) == 1 else "other"
        return self._say(f"weekly.unchecked-checks.{form}", n=f"{len(unchecked):,}", date=since)

    def _marks(
        self,
        new: Sequence[ChangeView],
        mended: Sequence[ChangeView],
        gone: Sequence[ChangeView],
        unchecked: Sequence[ChangeView],
        records: Sequence[RecordChange],
    ) -> Iterator[MarkView]:
        counted: tuple[tuple[str, str, Sequence[object]], ...] = (
            (new[0].severity if new else "", "new", new),
            ("mended", "mended", mended),
            ("gone", "gone", gone),
            ("unchecked", "unchecked", unchecked),
            ("record", "record", records),
        )
        for kind, name, items in counted:
            if items:
                yield MarkView(kind, self._say.count(f"weekly.mark.{name}", len(items)))

    def _change(self, change: Change, said: Said | None, page: str) -> ChangeView:
        say = self._say
        rule = self._rules.rules.get(change.rule)
        title = said.title if said else visible(rule.text[say.lang].title) if rule else change.rule
        return ChangeView(
            kind=change.kind.value,
            label=say(f"weekly.kind.{change.kind.value}"),
            severity=change.severity.value,
            rule=change.rule,
            item=visible(named(change.item, say("weekly.name-not-kept"))),
            title=title,
            message=self._message(change, said),
            step=said.step if said and change.kind in (ChangeKind.NEW, ChangeKind.STILL) else "",
            causes=tuple(self._cause(cause, change) for cause in change.causes),
            facts=tuple(self._fact(each) for each in change.facts if f"fact.{each.path}" in say),
            records=tuple(self._record(each) for each in change.records if self._fresh(each)),
            since=change.since[:10],
            checked=change.checked[:10],
            link=f"{page}#{change.rule}" if page else "",
        )

    def _fresh(self, record: RecordChange) -> bool:
        """Whether a record is told of for the first time in this entry; several findings may rest on one."""
        fresh = record not in self._shown
        self._shown.add(record)
        return fresh

    def _message(self, change: Change, said: Said | None) -> str:
        if change.kind is ChangeKind.UNCHECKED:
            was = self._say(f"outcome.{change.before.value}") if change.before else ""
            return self._say("weekly.unchecked", date=change.checked[:10] or "—", outcome=was)
        if change.kind is ChangeKind.GONE or said is None:
            return self._say("weekly.not-any-more")
        return said.message

    def _cause(self, cause: Cause, change: Change) -> str:
        """A whole sentence that names who or what changed."""
        if cause is Cause.VENDOR:
            names = [*dict.fromkeys(_name(each.asked) for each in change.records if each.cause is Cause.VENDOR)]
            if names:
                return self._say("weekly.cause.vendor-named", names=self._say("value.separator").join(names[:3]))
        if cause is Cause.RULES:
            rule = self._rules.rules.get(change.rule)
            source = self._rules.sources.get(rule.sources[0].ref) if rule and rule.sources else None
            if source is not None:
                return self._say("weekly.cause.rules-named", rule=change.rule, source=source.title, date=source.checked)
        return self._say(f"weekly.cause.{cause.value}")

    def _fact(self, change: FactChange) -> str:
        spec = self._catalogue.get(change.path)
        before, after = (format_value(value, spec, self._say) for value in (change.before, change.after))
        return self._say("weekly.fact", name=self._say(f"fact.{change.path}"), before=before, after=after)

    def _record(self, record: RecordChange) -> RecordView:
        pieces = diff("\n".join(record.old), "\n".join(record.new))
        return RecordView(visible(record.asked), tuple(Piece(kind, _visible_lines(text)) for kind, text in pieces))

    def _gains(self, gains: Sequence[Gain]) -> Iterator[str]:
        """One sentence for all receivers that changed alike."""
        alike: dict[tuple[str, str], list[str]] = {}
        for gain in gains:
            before, after = self._verdict(gain.before), self._verdict(gain.after)
            alike.setdefault((before, after), []).append(self._receiver(gain.receiver))
        for (before, after), receivers in alike.items():
            names = self._say("value.separator").join(receivers)
            yield self._say("weekly.verdict", receiver=names, before=before, after=after)

    def _receiver(self, ident: str) -> str:
        receiver = self._rules.receivers.get(ident)
        return receiver.name[self._say.lang] if receiver else ident

    def _verdict(self, kind: VerdictKind) -> str:
        return self._say(f"verdict.{kind.value}")


def headline(entries: Sequence[EntryView], say: Phrases, removed: int = 0) -> str:
    """The run in one sentence: what is new, what was mended, what could not be checked.

    `removed`: how many domains are not audited any more.
    """
    new = sum(len(each.new) for each in entries if not each.first)
    mended = sum(len(each.mended) for each in entries)
    unchecked = sum(bool(each.unchecked or each.error) for each in entries)
    if all(each.first for each in entries):
        return say("weekly.headline-first")
    counts = {
        "new": new,
        "mended": mended,
        "gone": sum(len(each.gone) for each in entries),
        "unchecked": unchecked,
        "added": sum(each.first for each in entries),
        "removed": removed,
    }
    if not new and not mended:
        counts["verdicts"] = sum(bool(each.verdicts) for each in entries)
        counts["records"] = sum(len(each.other_records) for each in entries)
    parts = [say.count(f"weekly.headline-{name}", count) for name, count in counts.items() if count]
    return say("weekly.headline-joiner").join(parts) + say("weekly.headline-end") if parts else say("weekly.quiet")


def _name(asked: str) -> str:
    return visible(asked.partition(" ")[2])


def _visible_lines(text: str) -> str:
    return "\n".join(visible(line) for line in text.split("\n"))
