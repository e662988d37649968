"""How much the domain sends by day, by each source that tells of it. Asks nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from statistics import median

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.deliveries import Deliveries as DeliveryFacts
from deliverability.core.facts.traffic import SourceVolume, Traffic, Volume
from deliverability.core.model.deliveries import EVENTS, DeliveryDay, DeliveryOrigin
from deliverability.core.model.topic import cite
from deliverability.core.names import is_within
from deliverability.engine.base import Context, auditor

LATEST = 7
"""Days that are looked at: who looks every week misses none."""
BEFORE = 28
"""Days that each of them is compared with."""


@auditor("volume", Volume, needs=(Traffic, DeliveryFacts))
async def audit(ctx: Context) -> Volume:
    """State of DMARC reports, mail logs and events the day that rose most; Unknown where none of them tells of mail."""
    reported, deliveries = ctx.of(Traffic).volume, ctx.subject.deliveries
    cited = ctx.evidence_of(Traffic, "volume"), ctx.evidence_of(DeliveryFacts, "days")
    found: list[SourceVolume | None] = []
    if not isinstance(reported, Unknown) and reported:
        sent = Counter({date.fromisoformat(each.day): each.messages for each in reported})
        found.append(_steepest("dmarc-reports", sent, max(sent)))
    if deliveries is not None:
        own = [each for each in deliveries.days if each.sent and is_within(each.sender, ctx.subject.domain)]
        logs = [each for each in own if each.origin is DeliveryOrigin.LOG]
        events = [each for each in own if each.origin in EVENTS]
        services = tuple(sorted({each.origin.value for each in events}))
        found.append(_steepest("mail-log", _by_day(logs), deliveries.end))
        found.append(_steepest("events", _by_day(events), deliveries.end, services))
    told = tuple(each for each in found if each is not None)
    if not told and isinstance(reported, Unknown):
        return Volume.lost(reported, *cited[0])
    return Volume(sources=told, evidence=cite(*cited[0], *cited[1]))


def _by_day(days: Iterable[DeliveryDay]) -> Counter[date]:
    sent: Counter[date] = Counter()
    for each in days:
        sent[each.day] += each.sent
    return sent


def _steepest(source: str, sent: Mapping[date, int], end: date, services: tuple[str, ...] = ()) -> SourceVolume | None:
    """The day that rose most of those that end with `end`; None where nothing was sent on any of them."""
    known = [day for day, messages in sent.items() if messages]
    latest = [day for day in (end - timedelta(days=back) for back in range(LATEST)) if sent.get(day)]
    if not latest:
        return None
    days = [_compared(source, sent, day, min(known), services) for day in latest]
    return max(days, key=lambda each: (each.jump or 0.0, each.day))


def _compared(source: str, sent: Mapping[date, int], day: date, first: date, services: tuple[str, ...]) -> SourceVolume:
    span = min((day - first).days, BEFORE)
    before = [sent.get(day - timedelta(days=back), 0) for back in range(1, span + 1)]
    most = max(before, default=0)
    return SourceVolume(
        source=source,
        services=services,
        day=day.isoformat(),
        messages=sent[day],
        maximum=most,
        median=int(median(before)) if before else 0,
        days_before=span,
        jump=round(sent[day] / most, 2) if most else None,
    )
