"""One subject of a weekly run as the pages, mails and the JSON summary need it.

Entries are kept as JSON beside the pages while a run goes on, so that a run that was killed goes on where it stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from deliverability.model.answer import ReceiverEffect
from deliverability.model.codec import decode, decode_detail, decode_line, encode
from deliverability.model.codes import Detail
from deliverability.model.facts import EvidenceLine
from deliverability.model.history import (
    Cause,
    ChangeKind,
    Comparison,
    FindingChange,
    RecordChange,
    RecordKind,
    VerdictChange,
)
from deliverability.model.report import FactChange, Outcome, VerdictKind
from deliverability.model.rules import Effect, Severity
from deliverability.model.traffic import GateWeek, TrafficWeek, gate_json, read_gate, read_traffic, traffic_json

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

    """

    started: str
    previous: str
    entries: tuple[WeeklyEntry, ...]
    code: int
    folder: str = ""
    removed: tuple[str, ...] = ()
    version: str = ""
    unread: tuple[Detail, ...] = ()

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
            "subjects": [to_json(entry) for entry in self.entries],
        }
