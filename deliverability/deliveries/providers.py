"""What Gmail's Postmaster Tools and Outlook.com's SNDS say, by the exports that were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from ipaddress import ip_address
from typing import Final

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, Reason, Unknown
from deliverability.core.facts.deliveries import Compliance, GmailCompliance, GmailRates, Snds, SndsAddress
from deliverability.core.model.deliveries import ValueDay
from deliverability.core.model.topic import cite
from deliverability.core.protocols.spf.coverage import measure
from deliverability.core.protocols.spf.tree import walk_tree
from deliverability.engine.base import Context, auditor

SPAM_RATE: Final = "spam-rate"
COMPLIANCE: Final = "compliance:"
WEEK: Final = 7
LIMIT: Final = 0.3
"""Percent: at this spam rate and above Gmail does not help senders. It is part of the name of a fact."""

PUBLISHED = Code("evidence-published", ("values",))


_NO_TOOLS = Unknown(Reason.NOT_CONFIGURED, needs(Input.POSTMASTER_TOOLS))


@auditor("gmail", GmailRates, GmailCompliance)
async def audit(ctx: Context) -> tuple[GmailRates, GmailCompliance]:
    """State the newest numbers; without any that were read, all waits for them."""
    deliveries = ctx.subject.deliveries
    ours = [] if deliveries is None else _of_domain(deliveries.gmail, ctx.subject.domain)
    cited = [ctx.cite(published_evidence("gmail", "Postmaster Tools", ours))] if ours else []
    rates = [each for each in ours if each.metric == SPAM_RATE]
    states = [each for each in ours if each.metric.startswith(COMPLIANCE)]
    return (
        _rates(rates, cited) if rates else GmailRates.lost(_NO_TOOLS, *cited),
        GmailCompliance(compliance=tuple(_compliance(states)) if states else _NO_TOOLS, evidence=cite(*cited)),
    )


def _of_domain(values: Sequence[ValueDay], domain: str) -> list[ValueDay]:
    """What is told of the domain itself; where nothing is, of the domain that it lies below."""
    own = [each for each in values if each.subject == domain]
    return own or [each for each in values if domain.endswith(f".{each.subject}")]


def _rates(rates: Sequence[ValueDay], cited: Sequence[str]) -> GmailRates:
    by_day = {each.day: each.high for each in rates}
    newest = max(by_day)
    week = {day: rate for day, rate in by_day.items() if day > newest - timedelta(days=WEEK)}
    worst = max(week, key=lambda day: (week[day], day))
    bad = max((day for day, rate in by_day.items() if rate >= LIMIT), default=min(by_day) - timedelta(days=1))
    return GmailRates(
        spam_rate_latest=by_day[newest],
        spam_rate_day=newest.isoformat(),
        spam_rate_worst_7d=week[worst],
        spam_rate_worst_day=worst.isoformat(),
        spam_rate_days=len(by_day),
        spam_rate_days_below_0_3=(newest - bad).days,
        evidence=cite(*cited),
    )


def _compliance(states: Sequence[ValueDay]) -> list[Compliance]:
    found: list[Compliance] = []
    for metric in dict.fromkeys(each.metric for each in states):
        days = sorted((each.day, each.high > 0) for each in states if each.metric == metric)
        last, bad = days[-1]
        since = last
        for day, was in reversed(days):
            if was != bad:
                break
            since = day
        found.append(
            Compliance(
                requirement=metric.removeprefix(COMPLIANCE),
                status="needs-work" if bad else "compliant",
                since=since.isoformat(),
                last=last.isoformat(),
            )
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

_NO_SNDS = Unknown(Reason.NOT_CONFIGURED, needs(Input.SNDS))


@auditor("snds", Snds)
async def snds_audit(ctx: Context) -> Snds:
    """State what is said of our own addresses; without anything that was read, it waits for it."""
    deliveries = ctx.subject.deliveries
    if deliveries is None or not deliveries.snds:
        return Snds.lost(_NO_SNDS)
    is_ours = await _owner(ctx)
    if isinstance(is_ours, Unknown):
        return Snds.lost(is_ours)
    by_address: defaultdict[str, list[ValueDay]] = defaultdict(list)
    for each in deliveries.snds:
        by_address[each.subject].append(each)
    ours = {ip: values for ip, values in by_address.items() if is_ours(ip)}
    if not ours:
        return Snds.lost(_NO_SNDS)
    rows = [_address(ip, values) for ip, values in ours.items()]
    rows.sort(key=lambda row: (-row.red_days, -row.bad_days, row.ip))
    cited = ctx.cite(published_evidence("snds", "SNDS", [each for values in ours.values() for each in values]))
    return Snds(addresses=tuple(rows[:MAX_ADDRESSES]), evidence=cite(cited))


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


def _address(ip: str, values: Sequence[ValueDay]) -> SndsAddress:
    newest = max(each.day for each in values)
    week = [each for each in values if each.day > newest - timedelta(days=WEEK)]
    results = {each.day: int(each.high) for each in week if each.metric == "result"}
    rates = [each for each in week if each.metric == "complaints"]
    blocked = [each for each in week if each.metric == "blocked"]
    return SndsAddress(
        ip=ip,
        day=newest.isoformat(),
        recipients=_value_on(values, "recipients", newest),
        result=_NAMES.get(results.get(newest, -1)),
        red_days=sum(result == _RED for result in results.values()),
        bad_days=sum(result in (_RED, _YELLOW) for result in results.values()),
        traps=int(sum(each.high for each in week if each.metric == "traps")),
        complaints_low=max((each.low for each in rates), default=None),
        complaints_high=max((each.high for each in rates), default=None),
        blocked=any(each.high > 0 for each in blocked) if blocked else None,
    )


def _value_on(values: Sequence[ValueDay], metric: str, day: date) -> int | None:
    return next((int(each.high) for each in values if each.metric == metric and each.day == day), None)
