"""One subject of a weekly run as pages, mails and the JSON summary need it, with its traffic."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field, to_builtins

from deliverability.core.codec import decode_as, encode, encode_fields
from deliverability.core.codes import Detail
from deliverability.core.model.answer import ReceiverEffect
from deliverability.core.model.deliveries import Audience
from deliverability.core.model.history import ChangeKind, Comparison, FindingChange
from deliverability.core.model.report import GateKind, VerdictKind
from deliverability.core.report.traffic import Sums


class SourceChange(StrEnum):
    """What became of a source since the run before.

    OPENED: mail of it does not pass, and it did. CLOSED: it passes again. GONE: it did not pass, and nothing comes from
    it any more. NEW: it sends for the domain, and was not seen before. ASKED: it was not seen before, and only the user
    can say whose it is.
    """

    OPENED = "opened"
    CLOSED = "closed"
    GONE = "gone"
    NEW = "new"
    ASKED = "asked"


class SourceNote(Struct, frozen=True):
    """A source, with its messages in the window and those of them that do not pass DMARC.

    `change`: what became of it; None: it stands as it did.
    """

    name: str
    messages: int = 0
    unaligned: int = 0
    change: SourceChange | None = None


class TrafficDay(Struct, frozen=True):
    """Messages of one day by class; own ones that pass DMARC and that do not."""

    day: str
    aligned: int
    unaligned: int
    unclaimed: int
    forged: int
    forwarded: int
    altered: int


class TrafficWeek(Struct, frozen=True):
    """The window of reports of one domain.

    Attributes:
        begin: its first day, ISO.
        end: and its last.
        reports: aggregate reports in it.
        classes: its messages by class.
        aligned: own messages that pass DMARC.
        uncounted: messages of reports that do not count.
        days: oldest first.
        gaps: own sources that do not pass.
        asked: sources of which only the user can say whose they are, and has not.
        changes: what became of sources since the run before; empty where that had no reports.
        first: the run before had no reports.
        silent_since: day of the newest report, where none came for too long; None: reports come in.
        silent: who reported in the window before and does not in this one -> day of the newest report; empty: unknown.
        last_reports: id in the catalogue of reporters, or ``other`` -> day of the newest report.

    """

    begin: str
    end: str
    reports: int
    classes: Mapping[str, int]
    aligned: int
    days: tuple[TrafficDay, ...] = ()
    gaps: tuple[SourceNote, ...] = ()
    asked: tuple[SourceNote, ...] = ()
    changes: tuple[SourceNote, ...] = ()
    first: bool = False
    silent_since: str | None = None
    silent: Mapping[str, str] = field(default_factory=dict)
    last_reports: Mapping[str, str] = field(default_factory=dict)
    uncounted: int = 0

    @property
    def sums(self) -> Sums:
        """Its messages by class."""
        return Sums(self.classes, self.aligned, self.uncounted)

    @property
    def has_news(self) -> bool:
        """Whether it tells of anything that was not so in the run before."""
        return bool(self.changes or self.silent or self.first)

    @property
    def only_silent(self) -> bool:
        """Whether reports stopped, and those that came show nothing wrong: no policy became unsafe by that."""
        return self.silent_since is not None and not self.gaps and not self.asked


class GateWeek(Struct, frozen=True):
    """Whether the next DMARC policy is safe.

    Attributes:
        to: quarantine or reject.
        kind: the answer.
        before: the answer on the same policy by what the run before knew; None: it did not ask about it.
        missing: ids of the rules that are not met.
        earliest: ISO date on which all that is missing can be there; None: none can be told.

    """

    to: str
    kind: GateKind = field(name="answer")
    before: GateKind | None = None
    missing: tuple[str, ...] = ()
    earliest: str | None = None

    @property
    def has_news(self) -> bool:
        """Whether the answer is another."""
        return self.before is not None and self.before is not self.kind


_STAGES = ("absent", "none", "testing", "quarantine", "reject")


class ReceiverVerdict(Struct, frozen=True):
    """What a receiver would do with the mail, in short: the verdict, and the effects that make it so."""

    receiver: str
    verdict: VerdictKind
    effects: tuple[ReceiverEffect, ...] = ()


class FindingText(Struct, frozen=True):
    """A finding in one language: what it goes by, what was found, and the first step."""

    title: str
    message: str
    step: str


class WeeklyEntry(Struct, frozen=True):
    """One subject of a run.

    Attributes:
        domain: A-label.
        source: where its message comes from, as the settings name it; empty: none.
        message: the name of the message; empty: none.
        verdicts: one a receiver; empty for a parked domain, or where the subject could not be audited at all.
        grade: of the subject; empty where it could not be audited, or where too little could be checked.
        comparison: with the run before; None where it could not be audited.
        texts: language -> fingerprint -> the finding of a change in words.
        counts: severity -> unmet findings that no waiver covers.
        failures: findings that could not be checked although everything needed was given.
        pages: language -> file name of the full report, beside the start page.
        exit_code: as `deliv audit` would leave.
        problems: why the subject (or its message) could not be read; empty: nothing the matter.
        measures: numbers for the trends: ``spf.lookups``, ``message.size_octets`` ...; None where not known.
        stage: the DMARC stage (none, testing, quarantine, reject) or empty.
        stage_before: the stage in the run before; empty: not known.
        closed: of a parked domain (closed, open, unknown), whether nobody can pass as it; else empty.
        content: digest of what its pages say beside facts, findings and verdicts: remedies and notes.
        traffic: what receivers reported of the domain; None: no reports of it are read.
        gate: whether its next DMARC policy is safe; None: there is no next one, or nothing that could tell.

    """

    domain: str
    source: str
    message: str
    verdicts: tuple[ReceiverVerdict, ...] = ()
    grade: str = ""
    comparison: Comparison | None = None
    texts: Mapping[str, Mapping[str, FindingText]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    failures: int = 0
    pages: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0
    problems: tuple[Detail, ...] = ()
    measures: Mapping[str, int | float | None] = field(default_factory=dict)
    stage: str = ""
    stage_before: str = ""
    closed: str = ""
    content: str = ""
    traffic: TrafficWeek | None = None
    gate: GateWeek | None = None

    @property
    def unchecked(self) -> bool:
        """Whether this run learned nothing about the subject that decides: nothing good may be said of it."""
        if self.comparison is None:
            return True
        if self.closed:
            return self.closed == "unknown"
        decided = any(each.verdict not in (VerdictKind.CANNOT_TELL, VerdictKind.DNS_PARTLY) for each in self.verdicts)
        return bool(self.failures) and not decided

    @property
    def policy_lowered(self) -> bool:
        """Whether the DMARC policy asks for less than it did in the run before."""
        if self.stage not in _STAGES or self.stage_before not in _STAGES:
            return False
        return _STAGES.index(self.stage) < _STAGES.index(self.stage_before)

    @property
    def news(self) -> tuple[FindingChange, ...]:
        """What is new, mended or rated anew since the run before; of a first run, nothing is news."""
        if self.comparison is None or not self.comparison.previous:
            return ()
        wanted = (ChangeKind.NEW, ChangeKind.MENDED, ChangeKind.GONE, ChangeKind.RATED)
        return tuple(each for each in self.comparison.changes if each.kind in wanted and not each.waived)


# The order of the JSON summary, where it is another than that of the fields.
_COMPARED = ("records", "domain", "source", "settings")
_CHANGE = (
    *("kind", "rule", "item", "fingerprint", "severity", "was", "before", "after", "since", "checked"),
    *("causes", "records", "facts", "waived"),
)


def to_json(entry: WeeklyEntry) -> dict[str, Any]:
    """An entry as plain JSON values: also the form of the subjects in the JSON summary."""
    shape: dict[str, Any] = encode(entry)
    if (found := entry.comparison) is not None:
        shape["comparison"] = {
            "previous": found.previous,
            "changes": [encode_fields(each, *_CHANGE) for each in found.changes],
            "verdicts": encode(found.verdicts),
            **encode_fields(found, *_COMPARED),
        }
    return shape


def from_json(data: Mapping[str, Any]) -> WeeklyEntry:
    """The reverse of `to_json`. Raises KeyError, TypeError or ValueError on anything else."""
    return decode_as(WeeklyEntry, data)


SUMMARY = "summary.json"
"""The JSON summary, in the folder of the pages of a run."""


class Summary(Struct, frozen=True):
    """A finished run, for pages, mails and the JSON summary.

    Attributes:
        started: ISO 8601 in UTC.
        previous: when the run before it began; empty: there was none.
        entries: in the order of the settings; in a run itself without the words of what stayed as it was.
        code: the exit code.
        folder: name of the folder of its pages; empty: not published yet.
        removed: domains that the run before audited and the settings do not name any more.
        version: of the program that made the run.
        unread: what the intake of reports could not read or reach, and why.
        audience: whom the mail goes to; None: nobody said.

    """

    started: str
    previous: str
    entries: tuple[WeeklyEntry, ...]
    code: int
    folder: str = ""
    removed: tuple[str, ...] = ()
    version: str = ""
    unread: tuple[Detail, ...] = ()
    audience: Audience | None = None

    @property
    def count_new(self) -> int:
        """Findings that are new, over all subjects."""
        return self._count(ChangeKind.NEW)

    @property
    def count_mended(self) -> int:
        """Findings that were mended, over all subjects."""
        return self._count(ChangeKind.MENDED)

    def _count(self, kind: ChangeKind) -> int:
        return sum(change.kind is kind for entry in self.entries for change in entry.news)

    def to_json(self) -> dict[str, object]:
        """The JSON summary."""
        return {
            "schema_version": "4.1",
            "version": self.version,
            "started": self.started,
            "previous": self.previous or None,
            "exit_code": self.code,
            "new": self.count_new,
            "mended": self.count_mended,
            "removed": list(self.removed),
            "unread": [encode(each) for each in self.unread],
            "audience": to_builtins(self.audience),
            "subjects": [to_json(entry) for entry in self.entries],
        }
