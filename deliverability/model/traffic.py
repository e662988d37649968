"""What receivers reported of one domain, as a weekly run tells it: who sends, what changed, and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from deliverability.model.codec import encode
from deliverability.model.gate import GateKind


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
    """Messages of one day: own ones that pass DMARC and that do not, altered and forged ones."""

    day: str
    aligned: int
    unaligned: int
    altered: int
    forged: int


class TrafficWeek(Struct, frozen=True):
    """The window of reports of one domain.

    Attributes:
        begin: its first day, ISO.
        end: and its last.
        reports: aggregate reports in it.
        own: messages of the domain's own sources.
        aligned: those of them that pass DMARC.
        standings: standing -> messages.
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
    own: int
    aligned: int
    standings: Mapping[str, int] = field(default_factory=dict)
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
        "own": week.own,
        "aligned": week.aligned,
        "standings": dict(week.standings),
        "days": [
            {
                "day": each.day,
                "aligned": each.aligned,
                "unaligned": each.unaligned,
                "altered": each.altered,
                "forged": each.forged,
            }
            for each in week.days
        ],
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
        own=data["own"],
        aligned=data["aligned"],
        standings=data["standings"],
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
