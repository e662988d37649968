"""One subject of a weekly run as pages, mails and the JSON summary need it, with its traffic."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field, to_builtins
from msgspec.structs import asdict

from deliverability.core.codec import decode, decode_detail, decode_line, encode
from deliverability.core.codes import Detail
from deliverability.core.facts.base import EvidenceLine
from deliverability.core.model.answer import ReceiverEffect
from deliverability.core.model.deliveries import Audience
from deliverability.core.model.history import (
    Cause,
    ChangeKind,
    Comparison,
    FindingChange,
    RecordChange,
    RecordKind,
    VerdictChange,
)
from deliverability.core.model.report import FactChange, GateKind, Outcome, VerdictKind
from deliverability.core.model.rules import Effect, Severity
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
        sums: its messages by class.
        days: oldest first.
        gaps: own sources that do not pass.
        asked: sources of which only the user can say whose they are, and has not.
        changes: what became of sources since the run before; empty where that had no reports.
        first: the run before had no reports.
        silent_since: day of the newest report, where none came for too long; empty: reports come in.
        silent: who reported in the window before and does not in this one -> day of the newest report; empty: unknown.
        last_reports: id in the catalogue of reporters, or ``other`` -> day of the newest report.

    """

    begin: str
    end: str
    reports: int
    sums: Sums
    days: tuple[TrafficDay, ...] = ()
    gaps: tuple[SourceNote, ...] = ()
    asked: tuple[SourceNote, ...] = ()
    changes: tuple[SourceNote, ...] = ()
    first: bool = False
    silent_since: str = ""
    silent: Mapping[str, str] = field(default_factory=dict)
    last_reports: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_news(self) -> bool:
        """Whether it tells of anything that was not so in the run before."""
        return bool(self.changes or self.silent or self.first)


class GateWeek(Struct, frozen=True):
    """Whether the next DMARC policy is safe.

    Attributes:
        to: quarantine or reject.
        kind: the answer.
        before: the answer on the same policy by what the run before knew; None: it did not ask about it.
        missing: ids of the rules that are not met.
        earliest: ISO date on which all that is missing can be there; empty: none can be told.

    """

    to: str
    kind: GateKind
    before: GateKind | None = None
    missing: tuple[str, ...] = ()
    earliest: str = ""

    @property
    def has_news(self) -> bool:
        """Whether the answer is another."""
        return self.before is not None and self.before is not self.kind


def traffic_json(week: TrafficWeek) -> dict[str, Any]:
    """As plain JSON values."""
    return {
        "begin": week.begin,
        "end": week.end,
        "reports": week.reports,
        "classes": dict(week.sums.classes),
        "aligned": week.sums.aligned,
        "days": [asdict(each) for each in week.days],
        "gaps": [_note(each) for each in week.gaps],
        "asked": [_note(each) for each in week.asked],
        "changes": [_note(each) for each in week.changes],
        "first": week.first,
        "silent_since": week.silent_since or None,
        "silent": {encode(name): day for name, day in week.silent.items()},
        "last_reports": dict(week.last_reports),
    }


def _note(note: SourceNote) -> dict[str, Any]:
    return {
        "name": encode(note.name),
        "messages": note.messages,
        "unaligned": note.unaligned,
        "change": note.change.value if note.change else None,
    }


def read_traffic(data: Mapping[str, Any]) -> TrafficWeek:
    """The reverse of `traffic_json`. Raises KeyError, TypeError or ValueError on anything else."""
    return TrafficWeek(
        begin=data["begin"],
        end=data["end"],
        reports=data["reports"],
        sums=Sums(data["classes"], data["aligned"]),
        days=tuple(TrafficDay(**each) for each in data["days"]),
        gaps=tuple(_read_note(each) for each in data["gaps"]),
        asked=tuple(_read_note(each) for each in data["asked"]),
        changes=tuple(_read_note(each) for each in data["changes"]),
        first=data["first"],
        silent_since=data["silent_since"] or "",
        silent=data["silent"],
        last_reports=data["last_reports"],
    )


def _read_note(data: Mapping[str, Any]) -> SourceNote:
    change = SourceChange(data["change"]) if data["change"] else None
    return SourceNote(data["name"], data["messages"], data["unaligned"], change)


def gate_json(gate: GateWeek) -> dict[str, Any]:
    """As plain JSON values."""
    return {
        "to": gate.to,
        "answer": gate.kind.value,
        "before": gate.before.value if gate.before else None,
        "missing": list(gate.missing),
        "earliest": gate.earliest or None,
    }


def read_gate(data: Mapping[str, Any]) -> GateWeek:
    """The reverse of `gate_json`. Raises KeyError, TypeError or ValueError on anything else."""
    before = GateKind(data["before"]) if data["before"] else None
    return GateWeek(data["to"], GateKind(data["answer"]), before, tuple(data["missing"]), data["earliest"] or "")


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
    closed: str = ""
    content: str = ""
    traffic: TrafficWeek | None = None
    gate: GateWeek | None = None
    stage_before: str = ""

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


def to_json(entry: WeeklyEntry) -> dict[str, Any]:
    """An entry as plain JSON values: also the form of the subjects in the JSON summary."""
    return {
        "domain": entry.domain,
        "source": encode(entry.source),
        "message": encode(entry.message),
        "verdicts": [_verdict(each) for each in entry.verdicts],
        "grade": entry.grade,
        "comparison": _comparison(entry.comparison) if entry.comparison else None,
        "texts": {
            lang: {
                key: {"title": text.title, "message": text.message, "step": text.step} for key, text in texts.items()
            }
            for lang, texts in entry.texts.items()
        },
        "counts": dict(entry.counts),
        "failures": entry.failures,
        "pages": dict(entry.pages),
        "exit_code": entry.exit_code,
        "problems": [encode(each) for each in entry.problems],
        "measures": dict(entry.measures),
        "stage": entry.stage,
        "stage_before": entry.stage_before,
        "closed": entry.closed,
        "content": entry.content,
        "traffic": traffic_json(entry.traffic) if entry.traffic else None,
        "gate": gate_json(entry.gate) if entry.gate else None,
    }


def from_json(data: Mapping[str, Any]) -> WeeklyEntry:
    """The reverse of `to_json`. Raises KeyError, TypeError or ValueError on anything else."""
    comparison = data["comparison"]
    return WeeklyEntry(
        domain=data["domain"],
        source=data["source"],
        message=data["message"],
        verdicts=tuple(_read_receiver(each) for each in data["verdicts"]),
        grade=data["grade"],
        comparison=_read_comparison(comparison) if comparison is not None else None,
        texts={
            lang: {key: FindingText(**text) for key, text in texts.items()} for lang, texts in data["texts"].items()
        },
        counts=data["counts"],
        failures=data["failures"],
        pages=data["pages"],
        exit_code=data["exit_code"],
        problems=tuple(each for problem in data["problems"] if (each := decode_detail(problem)) is not None),
        measures=data["measures"],
        stage=data["stage"],
        stage_before=data["stage_before"],
        closed=data["closed"],
        content=data["content"],
        traffic=read_traffic(traffic) if (traffic := data["traffic"]) else None,
        gate=read_gate(gate) if (gate := data["gate"]) else None,
    )


def _verdict(given: ReceiverVerdict) -> dict[str, Any]:
    effects = [{"effect": each.effect.value, "contested": each.contested} for each in given.effects]
    return {"receiver": given.receiver, "verdict": given.verdict.value, "effects": effects}


def _read_receiver(data: Mapping[str, Any]) -> ReceiverVerdict:
    effects = tuple(ReceiverEffect(Effect(each["effect"]), each["contested"]) for each in data["effects"])
    return ReceiverVerdict(data["receiver"], VerdictKind(data["verdict"]), effects)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "previous": comparison.previous,
        "changes": [_change(each) for each in comparison.changes],
        "verdicts": [
            {
                "receiver": gain.receiver,
                "before": gain.before.value,
                "after": gain.after.value,
                "causes": [each.value for each in gain.causes],
                "records": [_record(each) for each in gain.records],
            }
            for gain in comparison.verdicts
        ],
        "records": [_record(each) for each in comparison.records],
        "domain": comparison.domain,
        "source": encode(comparison.source),
        "settings": list(comparison.settings),
    }


def _read_comparison(data: Mapping[str, Any]) -> Comparison:
    return Comparison(
        data["domain"],
        data["source"],
        data["previous"],
        tuple(_read_change(each) for each in data["changes"]),
        tuple(_read_verdict(each) for each in data["verdicts"]),
        tuple(_read_record(each) for each in data["records"]),
        tuple(data["settings"]),
    )


def _read_verdict(data: Mapping[str, Any]) -> VerdictChange:
    return VerdictChange(
        data["receiver"],
        VerdictKind(data["before"]),
        VerdictKind(data["after"]),
        tuple(Cause(each) for each in data["causes"]),
        tuple(_read_record(each) for each in data["records"]),
    )


def _change(change: FindingChange) -> dict[str, Any]:
    return {
        "kind": change.kind.value,
        "rule": change.rule,
        "item": encode(change.item),
        "fingerprint": change.fingerprint,
        "severity": change.severity.value,
        "was": change.was.value if change.was else None,
        "before": change.before.value if change.before else None,
        "after": change.after.value,
        "since": change.since,
        "checked": change.checked,
        "causes": [each.value for each in change.causes],
        "records": [_record(each) for each in change.records],
        "facts": [
            {"path": each.path, "before": encode(each.before), "after": encode(each.after)} for each in change.facts
        ],
        "waived": change.waived,
    }


def _read_change(data: Mapping[str, Any]) -> FindingChange:
    return FindingChange(
        kind=ChangeKind(data["kind"]),
        rule=data["rule"],
        item=data["item"],
        fingerprint=data["fingerprint"],
        severity=Severity(data["severity"]),
        before=Outcome(data["before"]) if data["before"] else None,
        after=Outcome(data["after"]),
        since=data["since"],
        checked=data["checked"],
        causes=tuple(Cause(each) for each in data["causes"]),
        records=tuple(_read_record(each) for each in data["records"]),
        facts=tuple(FactChange(each["path"], decode(each["before"]), decode(each["after"])) for each in data["facts"]),
        waived=data["waived"],
        was=Severity(data["was"]) if data["was"] else None,
    )


def _record(record: RecordChange) -> dict[str, Any]:
    shape = {"asked": encode(record.asked), "old": encode(record.old), "new": encode(record.new)}
    return shape | {"cause": record.cause.value, "removed": record.removed.value if record.removed else None}


def _lines(data: Any) -> tuple[EvidenceLine, ...]:
    return tuple(map(decode_line, data))


def _read_record(data: Mapping[str, Any]) -> RecordChange:
    removed = RecordKind(data["removed"]) if data["removed"] else None
    return RecordChange(data["asked"], _lines(data["old"]), _lines(data["new"]), Cause(data["cause"]), removed)


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
