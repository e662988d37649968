"""What Postmaster Tools say of the domain at Gmail, by the exports that were read. Asks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from deliverability.auditors.base import Context, auditor, spec
from deliverability.model.codes import Code, Input, needs
from deliverability.model.deliveries import ValueDay
from deliverability.model.facts import Evidence, EvidenceKind, FactType, Reason, Unknown, Value

SPAM_RATE: Final = "spam-rate"
COMPLIANCE: Final = "compliance:"
WEEK: Final = 7
LIMIT: Final = 0.3
"""Percent: at this spam rate and above Gmail does not help senders. It is part of the name of a fact."""

PUBLISHED = Code("evidence-published", ("values",))

_STR, _INT, _FLOAT = FactType.STR, FactType.INT, FactType.FLOAT

PROVIDES = (
    spec("gmail.spam_rate_latest", _FLOAT, "Spam rate of the newest day that has one.", unit="percent"),
    spec("gmail.spam_rate_day", _STR, "That day (ISO date)."),
    spec("gmail.spam_rate_worst_7d", _FLOAT, "The highest of the seven days that end with it.", unit="percent"),
    spec("gmail.spam_rate_worst_day", _STR, "The day of that."),
    spec("gmail.spam_rate_days", _INT, "Days of the window that have a rate.", unit="days"),
    spec(
        "gmail.spam_rate_days_below_0_3",
        _INT,
        "Days in a row that end with it and had no rate of 0.3% or more; days without any rate count.",
        unit="days",
    ),
    spec("gmail.compliance", FactType.LIST_RECORD, "State of each requirement.", key=["requirement"]),
    spec("gmail.compliance[].requirement", _STR, "Its name, for example one-click-unsubscribe."),
    spec("gmail.compliance[].status", _STR, "Whether it is met.", values=["compliant", "needs-work"]),
    spec("gmail.compliance[].since", _STR, "First day of the window on which that was told, without a change since."),
    spec("gmail.compliance[].last", _STR, "Last day on which it was told."),
)
_RATES = tuple(each.path for each in PROVIDES if each.path.startswith("gmail.spam"))
_NO_TOOLS = Unknown(Reason.NOT_CONFIGURED, needs(Input.POSTMASTER_TOOLS))


@auditor("gmail", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """State the newest numbers; without any that were read, all waits for them."""
    deliveries = ctx.subject.deliveries
    ours = [] if deliveries is None else _of_domain(deliveries.gmail, ctx.subject.domain)
    cited = [ctx.cite(published_evidence("gmail", "Postmaster Tools", ours))] if ours else []
    rates = [each for each in ours if each.metric == SPAM_RATE]
    ctx.put_all(_rates(rates) if rates else dict.fromkeys(_RATES, _NO_TOOLS), *cited)
    states = [each for each in ours if each.metric.startswith(COMPLIANCE)]
    ctx.put("gmail.compliance", tuple(_compliance(states)) if states else _NO_TOOLS, *cited)


def _of_domain(values: Sequence[ValueDay], domain: str) -> list[ValueDay]:
    """What is told of the domain itself; where nothing is, of the domain that it lies below."""
    own = [each for each in values if each.subject == domain]
    return own or [each for each in values if domain.endswith(f".{each.subject}")]


def _rates(rates: Sequence[ValueDay]) -> dict[str, Value]:
    by_day = {each.day: each.high for each in rates}
    newest = max(by_day)
    week = {day: rate for day, rate in by_day.items() if day > newest - timedelta(days=WEEK)}
    worst = max(week, key=lambda day: (week[day], day))
    bad = max((day for day, rate in by_day.items() if rate >= LIMIT), default=min(by_day) - timedelta(days=1))
    return {
        "gmail.spam_rate_latest": by_day[newest],
        "gmail.spam_rate_day": newest.isoformat(),
        "gmail.spam_rate_worst_7d": week[worst],
        "gmail.spam_rate_worst_day": worst.isoformat(),
        "gmail.spam_rate_days": len(by_day),
        "gmail.spam_rate_days_below_0_3": (newest - bad).days,
    }


def _compliance(states: Sequence[ValueDay]) -> list[Value]:
    found: list[Value] = []
    for metric in dict.fromkeys(each.metric for each in states):
        days = sorted((each.day, each.high > 0) for each in states if each.metric == metric)
        last, bad = days[-1]
        since = last
        for day, was in reversed(days):
            if was != bad:
                break
            since = day
        found.append(
            {
                "requirement": metric.removeprefix(COMPLIANCE),
                "status": "needs-work" if bad else "compliant",
                "since": since.isoformat(),
                "last": last.isoformat(),
            }
        )
    return found


def published_evidence(source: str, title: str, values: Sequence[ValueDay]) -> Evidence:
    """What a receiver published, and of which days."""
    first, last = min(each.day for each in values), max(each.day for each in values)
    period = f"{first.isoformat()}/{last.isoformat()}"
    return Evidence(
        f"report:{source}:{period}",
        EvidenceKind.REPORT,
        f"{title} {period}",
        (PUBLISHED(values=len(values)),),
        f"{last.isoformat()}T23:59:59Z",
    )
