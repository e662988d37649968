"""A subject of a weekly run in words: the values that pages, mails and messages lay out.

`view.weekly` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from deliverability.core.model.report import FactChange
from deliverability.core.report.answer import WORST_FIRST
from deliverability.core.report.records import Piece
from deliverability.weekly.sends import SendsView

_CAUSES_SHOWN = 2  # with both, a domain takes a screen


class WeeklyRecordView(Struct, frozen=True):
    """A record that changed, word by word.

    `deleted` says so where it is gone; `again` is the record to publish again then: name, type and value.
    """

    asked: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    pieces: tuple[Piece, ...]
    deleted: str
    again: str


class ChangeView(Struct, frozen=True):
    """One change in words; `line` in a line. `causes` are whole sentences; `link` leads into the full report."""

    kind: str
    label: str
    severity: str
    rule: str
    item: str
    title: str
    line: str
    message: str
    step: str
    causes: tuple[str, ...]
    facts: tuple[FactChange, ...]
    records: tuple[WeeklyRecordView, ...]
    checked: str
    link: str


class VerdictChangeView(Struct, frozen=True):
    """Verdicts that changed alike, and whole sentences that say why. `tone`: of what they have come to."""

    words: str
    causes: tuple[str, ...]
    tone: str


class WeeklyGroupView(Struct, frozen=True):
    """What follows from one cause: a record that is not what it was, the settings, our rules.

    All other changes stand in a group without `cause`; each of them says its own.

    Attributes:
        heading: the cause, or where other groups stand before it, that these changes do not follow from theirs.
        record: the one that changed.
        gone: what no longer applies; but for `covered`, where a finding of the same topic is new.
        facts: what is not what it was, each once.

    """

    cause: str
    heading: str
    record: WeeklyRecordView | None
    verdicts: tuple[VerdictChangeView, ...]
    new: tuple[ChangeView, ...]
    rated: tuple[ChangeView, ...]
    mended: tuple[ChangeView, ...]
    gone: tuple[ChangeView, ...]
    covered: tuple[ChangeView, ...]
    facts: tuple[str, ...]

    @property
    def unmet(self) -> tuple[ChangeView, ...]:
        """What is to be mended."""
        return (*self.new, *self.rated)

    @property
    def weighs(self) -> bool:
        """Whether somebody is worse off, or better off than before, by it."""
        return bool(self.verdicts or self.unmet)


class WeeklyReceiverView(Struct, frozen=True):
    """A receiver, by its short name, and its verdict in words; `legend` says what these mean, where they need it."""

    receiver: str
    tone: str
    label: str
    legend: str = ""


class BlockView(Struct, frozen=True):
    """What a mail tells of a subject that changed, each part a line or none.

    Attributes:
        chips: verdicts that changed.
        cause: what it follows from.
        record: the record that it follows from.
        action: the first thing to do.
        findings: what is new beside that, a line each.

    """

    chips: tuple[VerdictChangeView, ...]
    cause: str
    record: WeeklyRecordView | None
    action: str
    findings: tuple[str, ...]


class EntryView(Struct, frozen=True):
    """A subject in words.

    Attributes:
        answer: of a parked domain, whether it is closed; else empty.
        groups: all that changed, by what it follows from: removed records first, then the others by what came of them,
            then what follows from none.
        sends: who sends as it; None: no reports of it are read.

    """

    domain: str
    source: str
    message: str
    page: str
    first: bool
    error: str
    answer: str
    receivers: tuple[WeeklyReceiverView, ...]
    grade: str
    groups: tuple[WeeklyGroupView, ...]
    unchecked: tuple[ChangeView, ...]
    other_records: tuple[WeeklyRecordView, ...]
    counts: Mapping[str, int]
    failures: int
    waived: int
    unchecked_words: str
    block: BlockView
    sends: SendsView | None = None

    @property
    def lost(self) -> bool:
        """Whether nothing at all is known of it."""
        return bool(self.error and not self.receivers and not self.answer)

    @property
    def unchecked_alike(self) -> Iterator[tuple[str, tuple[ChangeView, ...]]]:
        """What could not be checked, under its last result and the day of that."""
        for message in dict.fromkeys(each.message for each in self.unchecked):
            yield message, tuple(each for each in self.unchecked if each.message == message)

    @property
    def known(self) -> bool:
        """Whether enough could be looked up for what is to do to be counted."""
        return bool(self.answer) or any(each.tone != "unknown" for each in self.receivers)

    @property
    def order(self) -> tuple[int, ...]:
        """How it stands, to be sorted by: the worst first."""
        tones = [WORST_FIRST.index(each.tone) for each in self.receivers]
        worst = WORST_FIRST.index("unknown") if self.lost else min(tones, default=len(WORST_FIRST))
        return worst, -tones.count(worst), *(-self.counts.get(level, 0) for level in ("error", "warning"))

    @property
    def shown(self) -> tuple[WeeklyGroupView, ...]:
        """The causes that are told at once; the others are folded."""
        return self.groups[: min(_CAUSES_SHOWN, max(1, sum(each.weighs for each in self.groups)))]

    @property
    def folded(self) -> tuple[WeeklyGroupView, ...]:
        """The other causes."""
        return self.groups[len(self.shown) :]

    @property
    def verdicts(self) -> tuple[VerdictChangeView, ...]:
        """Of all groups."""
        return tuple(each for group in self.groups for each in group.verdicts)

    @property
    def new(self) -> tuple[ChangeView, ...]:
        """Of all groups, as are `rated`, `mended` and `gone`."""
        return tuple(each for group in self.groups for each in group.new)

    @property
    def rated(self) -> tuple[ChangeView, ...]:
        """See `new`."""
        return tuple(each for group in self.groups for each in group.rated)

    @property
    def mended(self) -> tuple[ChangeView, ...]:
        """See `new`."""
        return tuple(each for group in self.groups for each in group.mended)

    @property
    def gone(self) -> tuple[ChangeView, ...]:
        """See `new`."""
        return tuple(each for group in self.groups for each in group.gone)

    @property
    def changed(self) -> bool:
        """Whether there is anything to tell that was not so a week ago."""
        return bool(self.error or self.unchecked or self.other_records or self.verdicts) or any(
            (self.new, self.rated, self.mended, self.gone)
        )
