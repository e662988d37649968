"""What Gmail's Postmaster Tools and Outlook.com's SNDS say, by the exports that were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from ipaddress import ip_address
from typing import Final

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, FactType, Reason, Unknown, Value, number_of
from deliverability.core.model.deliveries import ValueDay
from deliverability.core.protocols.spf.coverage import measure
from deliverability.core.protocols.spf.tree import walk_tree
from deliverability.engine.base import Context, auditor, spec

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


MAX_ADDRESSES: Final = 200
_GREEN, _YELLOW, _RED = 0, 1, 2
_NAMES = {_GREEN: "green", _YELLOW: "yellow", _RED: "red"}

SNDS_PROVIDES = (
    spec("snds.addresses", FactType.LIST_RECORD, "What is said of each address that sends for the domain.", key=["ip"]),
    spec("snds.addresses[].ip", _STR, "Address."),
    spec("snds.addresses[].day", _STR, "Newest day that is told of (ISO date)."),
    spec("snds.addresses[].recipients", _INT, "Messages of that day.", unit="messages", optional=True),
    spec("snds.addresses[].result", _STR, "Filter result of it.", optional=True, values=list(_NAMES.values())),
    spec("snds.addresses[].red_days", _INT, "Red ones among the seven days that end with it.", unit="days"),
    spec("snds.addresses[].bad_days", _INT, "Red and yellow ones among them.", unit="days"),
    spec("snds.addresses[].traps", _INT, "Hits of spam traps in them.", unit="messages"),
    spec(
        "snds.addresses[].complaints_low",
        _FLOAT,
        "Highest complaint rate in them, at least.",
        unit="percent",
        optional=True,
    ),
    spec("snds.addresses[].complaints_high", _FLOAT, "And at most.", unit="percent", optional=True),
    spec(
        "snds.addresses[].blocked", FactType.BOOL, "Outlook.com takes no mail from it; none: not told.", optional=True
    ),
)
_NO_SNDS = Unknown(Reason.NOT_CONFIGURED, needs(Input.SNDS))


@auditor("snds", provides=SNDS_PROVIDES)
async def snds_audit(ctx: Context) -> None:
    """State what is said of our own addresses; without anything that was read, it waits for it."""
    deliveries = ctx.subject.deliveries
    if deliveries is None or not deliveries.snds:
        ctx.put("snds.addresses", _NO_SNDS)
        return
    is_ours = await _owner(ctx)
    if isinstance(is_ours, Unknown):
        ctx.put("snds.addresses", is_ours)
        return
    by_address: defaultdict[str, list[ValueDay]] = defaultdict(list)
    for each in deliveries.snds:
        by_address[each.subject].append(each)
    ours = {ip: values for ip, values in by_address.items() if is_ours(ip)}
    if not ours:
        ctx.put("snds.addresses", _NO_SNDS)
        return
    rows = [_address(ip, values) for ip, values in ours.items()]
    rows.sort(key=lambda row: (-number_of(row["red_days"]), -number_of(row["bad_days"]), str(row["ip"])))
    cited = ctx.cite(published_evidence("snds", "SNDS", [each for values in ours.values() for each in values]))
    ctx.put("snds.addresses", tuple(rows[:MAX_ADDRESSES]), cited)


async def _owner(ctx: Context) -> Callable[[str], bool] | Unknown:
    """What tells whether an address sends for the domain: the user, or its SPF record."""
    given = {str(ip_address(each)) for each in ctx.subject.sending_ips}
    if given:
        return given.__contains__
    coverage = await measure(await walk_tree(ctx.subject.domain, ctx.ports.dns), ctx.ports.dns)
    if coverage.gap is not None and coverage.gap.reason is not Reason.LIMIT:
        return coverage.gap
    # SNDS tells of addresses only whom they belong to, so none of them is a stranger's.
    return lambda ip: any(group.covers(ip) for group in coverage.groups)


def _address(ip: str, values: Sequence[ValueDay]) -> dict[str, Value]:
    newest = max(each.day for each in values)
    week = [each for each in values if each.day > newest - timedelta(days=WEEK)]
    results = {each.day: int(each.high) for each in week if each.metric == "result"}
    rates = [each for each in week if each.metric == "complaints"]
    blocked = [each for each in week if each.metric == "blocked"]
    return {
        "ip": ip,
        "day": newest.isoformat(),
        "recipients": _value_on(values, "recipients", newest),
        "result": _NAMES.get(results.get(newest, -1)),
        "red_days": sum(result == _RED for result in results.values()),
        "bad_days": sum(result in (_RED, _YELLOW) for result in results.values()),
        "traps": int(sum(each.high for each in week if each.metric == "traps")),
        "complaints_low": max((each.low for each in rates), default=None),
        "complaints_high": max((each.high for each in rates), default=None),
        "blocked": any(each.high > 0 for each in blocked) if blocked else None,
    }


def _value_on(values: Sequence[ValueDay], metric: str, day: date) -> int | None:
    return next((int(each.high) for each in values if each.metric == metric and each.day == day), None)
