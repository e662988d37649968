"""Several reports as one table: a row each, the worst on top, and how many of which kind there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deliverability.model.answer import Reach, TileState, TileTopic
from deliverability.model.report import VerdictKind
from deliverability.view.answer import TONES
from deliverability.view.report import ReportView
from deliverability.words.phrases import Phrases

COLUMNS = (TileTopic.SPF, TileTopic.DKIM, TileTopic.DMARC, TileTopic.MX)
"""The records that have a column."""
_WORST = ("bad", "risk", "unknown", "good", "none")
_TONES = {
    TileState.BROKEN: "bad",
    TileState.FLAWED: "risk",
    TileState.UNKNOWN: "unknown",
    TileState.FINE: "good",
    TileState.NOTHING: "none",
}
_AT_RISK = (VerdictKind.AT_RISK, VerdictKind.DEPENDS)


@dataclass(frozen=True, slots=True)
class ManyRow:
    """One report in short.

    Attributes:
        tone: its mark, that of the worst group or tile: bad, risk, unknown or good.
        domain: the domain.
        message: the name of the message; empty: none.
        refused, at_risk: how many receivers; None without a message.
        tiles: topic -> tone of its record; a topic that is missing has no tile.
        note: the first step; that a parked domain is closed; why nothing was answered; empty: nothing to say.
        parked: it sends no mail.
        reached: something was answered.

    """

    tone: str
    domain: str
    message: str
    refused: int | None
    at_risk: int | None
    tiles: Mapping[TileTopic, str]
    note: str
    parked: bool
    reached: bool


@dataclass(frozen=True, slots=True)
class ManyView:
    """The table.

    Attributes:
        heading: what was audited, in words: "38 domains, 2 messages".
        meta: moment and source of the answers.
        rows: the worst first.
        counts: "15 to fix, 23 nothing in the way, 1 closed, 1 not checked".

    """

    heading: str
    meta: tuple[str, ...]
    rows: tuple[ManyRow, ...]
    counts: str

    @property
    def has_messages(self) -> bool:
        """Whether any row has a message: then there are columns for it."""
        return any(row.message for row in self.rows)


def many_row(view: ReportView) -> ManyRow:
    """What the table keeps of a report."""
    say, report = view.speaker.say, view.report
    answer, found = report.answer, report.assessment
    message = bool(report.message)
    tones = [_TONES[each.state] for each in answer.tiles if each.state is not TileState.NOTHING and not each.inbound]
    if found.parked:
        tones = [{True: "good", False: "bad", None: "unknown"}[found.closed]]
    elif message and answer.groups:
        tones = [TONES[each.kind] for each in answer.groups]
    reached = answer.reach is not Reach.NONE
    note = view.plan.steps[0].what if view.plan.steps else ""
    if not reached:
        reason = answer.unanswered[0].unknown.reason.value if answer.unanswered else "timeout"
        note = say(f"reason.{reason}")
    elif found.parked and found.closed:
        note = say("many.closed")
    refused = sum(len(each.receivers) for each in answer.groups if each.kind is VerdictKind.REJECTED)
    at_risk = sum(len(each.receivers) for each in answer.groups if each.kind in _AT_RISK)
    return ManyRow(
        tone=min(tones or ["unknown"], key=_WORST.index),
        domain=view.domain,
        message=view.message,
        refused=refused if message else None,
        at_risk=at_risk if message else None,
        tiles={each.topic: _TONES[each.state] for each in answer.tiles if each.topic in COLUMNS},
        note=note,
        parked=found.parked,
        reached=reached,
    )


def many_view(rows: Sequence[ManyRow], meta: Iterable[str], say: Phrases) -> ManyView:
    """The table of these rows."""
    messages = sum(bool(row.message) for row in rows)
    parts = [say.count("many.domains", len({row.domain for row in rows}))]
    parts += [say.count("many.messages", messages)] if messages else []
    counted = {
        "closed": sum(row.parked and row.tone == "good" for row in rows),
        "not-checked": sum(row.tone == "unknown" for row in rows),
        "to-fix": sum(row.tone in ("bad", "risk") for row in rows),
    }
    counts = {"to-fix": counted["to-fix"], "fine": len(rows) - sum(counted.values())}
    counts |= {"parked": counted["closed"], "not-checked": counted["not-checked"]}
    return ManyView(
        heading=say("value.separator").join(parts),
        meta=tuple(meta),
        rows=tuple(sorted(rows, key=lambda row: _WORST.index(row.tone))),
        counts=say("value.separator").join(say.count(f"many.{key}", n) for key, n in counts.items() if n),
    )
