"""Many domains: a row each, worst first, with what its records or receivers say and the first step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.model.answer import Reach, ReceiverGroup, TileTopic
from deliverability.core.model.report import FINE, Report, VerdictKind
from deliverability.core.phrases import Phrases
from deliverability.core.report.answer import TONES, TileView
from deliverability.core.report.answer import WORST_FIRST as _WORST_FIRST

if TYPE_CHECKING:
    from deliverability.core.report.report import ReportView

TOPICS = (TileTopic.SPF, TileTopic.DKIM, TileTopic.DMARC, TileTopic.MX)


class CellView(Struct, frozen=True):
    """A cell of the table: a mark and its word; both empty where there is nothing to say."""

    tone: str
    state: str


class DomainRow(Struct, frozen=True):
    """One domain, or one message of it.

    Attributes:
        key: of its report on the page; empty: it is alone.
        tone: of the worst tile, or with a message of the worst group.
        state: the same in a word.
        domain: the domain.
        message: the file name; empty: none was given.
        cells: SPF, DKIM, DMARC, MX.
        refused: how many receivers refuse it; empty without a message.
        at_risk: at how many it is at risk; empty without a message.
        first: the first step, that nothing is to do, or why nothing is known.
        kind: how it counts: fix, fine, open (not all could be judged), closed or lost.

    """

    key: str
    tone: str
    state: str
    domain: str
    message: str
    cells: tuple[CellView, ...]
    refused: str
    at_risk: str
    first: str
    kind: str


class DomainsView(Struct, frozen=True):
    """The table.

    Attributes:
        heading: "38 domains, 2 messages".
        columns: the names of the cells.
        with_messages: whether a message was given for any.
        rows: worst first.
        summary: "15 to fix, 23 nothing in the way, 1 closed, 1 not checked".

    """

    heading: str
    columns: tuple[str, ...]
    with_messages: bool
    rows: tuple[DomainRow, ...]
    summary: str


def domains_view(rows: Sequence[DomainRow], say: Phrases) -> DomainsView:
    """The table of several reports."""
    messages = sum(bool(row.message) for row in rows)
    heading = say.count("domains.count", len({row.domain for row in rows}))
    if messages:
        heading += say("value.separator") + say.count("domains.messages", messages)
    kinds = Counter(row.kind for row in rows)
    return DomainsView(
        heading=heading,
        columns=tuple(say(f"tile.{topic.value}") for topic in TOPICS),
        with_messages=bool(messages),
        rows=tuple(sorted(rows, key=lambda row: _WORST_FIRST.index(row.tone))),
        summary=say("value.separator").join(
            say(f"domains.kind.{kind}", n=f"{kinds[kind]:,}")
            for kind in ("fix", "fine", "open", "closed", "lost")
            if kinds[kind]
        ),
    )


def domain_row(view: ReportView) -> DomainRow:
    """What the table keeps of a report."""
    say, answer, report = view.speaker.say, view.answer, view.report
    tiles = {tile.topic: tile for tile in answer.tiles}
    tones = [answer.tone]
    if report.answer.reach is Reach.NONE:
        tones = ["unknown"]
    elif not report.message and not view.parked:
        tones += [tile.tone for tile in answer.tiles]
    tone = min(tones, key=_WORST_FIRST.index)
    return DomainRow(
        key=view.key,
        tone=tone,
        state=say(f"domains.state.{tone}"),
        domain=answer.domain,
        message=view.message,
        cells=tuple(_cell(tiles.get(topic.value)) for topic in TOPICS),
        refused=_number(report, VerdictKind.REJECTED),
        at_risk=_number(report, VerdictKind.AT_RISK),
        first=_first(view, say),
        kind=_kind(view, tone),
    )


def _cell(tile: TileView | None) -> CellView:
    return CellView(tile.tone, tile.state) if tile else CellView("", "")


def _number(report: Report, kind: VerdictKind) -> str:
    return str(sum(len(each.receivers) for each in _of_kind(report, kind))) if report.message else ""


def _of_kind(report: Report, kind: VerdictKind) -> tuple[ReceiverGroup, ...]:
    return tuple(each for each in report.answer.groups if TONES[each.kind] == TONES[kind])


def _first(view: ReportView, say: Phrases) -> str:
    report = view.report
    if report.answer.reach is Reach.NONE:
        return say("domains.lost")
    if view.plan.steps:
        return view.plan.steps[0].what
    return say("domains.closed") if "closed" in report.answer.earned else ""


def _kind(view: ReportView, tone: str) -> str:
    if view.report.answer.reach is Reach.NONE:
        return "lost"
    if tone in ("bad", "risk") or view.plan.steps:
        return "fix"
    earned = view.report.answer.earned
    if view.parked:
        return "closed" if "closed" in earned else "open"
    fine = all(each.kind in FINE for each in view.report.answer.groups) and "grade" in earned
    return "fine" if fine else "open"
