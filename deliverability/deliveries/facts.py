"""What became of the domain's mail, how much it sends by day, and what receivers publish of it. Asks nothing.

Bounces, complaints, events and logs that were read tell the first, each source of its own the second, exports of
Gmail's Postmaster Tools and Outlook.com's SNDS the third.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from ipaddress import ip_address
from statistics import median
from typing import Final

from msgspec.structs import replace

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, Reason, Unknown
from deliverability.core.facts.deliveries import (
    BounceCause,
    CampaignFared,
    Compliance,
    GmailCompliance,
    GmailRates,
    MailToReceiver,
    Snds,
    SndsAddress,
)
from deliverability.core.facts.deliveries import Deliveries as DeliveryFacts
from deliverability.core.facts.traffic import SourceVolume, Traffic, Volume
from deliverability.core.model.deliveries import (
    COUNTS,
    EVENTS,
    CampaignDay,
    CauseDay,
    Deliveries,
    DeliveryDay,
    DeliveryOrigin,
    DeliveryResult,
    ValueDay,
)
from deliverability.core.model.replies import About
from deliverability.core.model.topic import cite
from deliverability.core.names import is_within
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
async def postmaster_audit(ctx: Context) -> tuple[GmailRates, GmailCompliance]:
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


MAX_BOUNCES = 100
MAX_CAMPAIGNS = 50
OTHER = "other"
"""All receivers together that have no id."""

COUNTED = Code("evidence-deliveries", ("messages",))


_NOTHING = Unknown(Reason.NOT_CONFIGURED, needs(Input.DELIVERIES))
_NO_ADDRESSES = Unknown(Reason.NOT_CONFIGURED, needs(Input.ADDRESSES))
_NO_SENT = Unknown(Reason.NOT_CONFIGURED, needs(Input.DELIVERED))


@auditor("deliveries", DeliveryFacts)
async def audit(ctx: Context) -> DeliveryFacts:
    """Add up what became of mails; without any that was read, all waits for it."""
    deliveries = ctx.subject.deliveries
    if deliveries is None:
        return DeliveryFacts.lost(_NOTHING)
    domain = ctx.subject.domain
    days = [each for each in deliveries.days if is_within(each.sender, domain)]
    causes = [each for each in deliveries.causes if is_within(each.sender, domain)]
    begin, end, loops = deliveries.begin.isoformat(), deliveries.end.isoformat(), _loops(days, deliveries)
    if not days:
        return replace(DeliveryFacts.lost(_NOTHING), begin=begin, end=end, loops=loops)
    sums = _added(days)
    known = sums["delivered"] > 0
    ended = _ended(sums)
    return DeliveryFacts(
        begin=begin,
        end=end,
        days=len({each.day for each in days}),
        known=known,
        delivered=sums["delivered"],
        deferred=sums["deferred"],
        hard=sums["hard"],
        soft=sums["soft"],
        policy=sums["policy"],
        complaints=sums["complaints"],
        ended=ended,
        hard_percent=_percent(sums["hard"], ended) if known else _NO_SENT,
        to_suppress=_NO_ADDRESSES if deliveries.to_suppress is None else deliveries.to_suppress,
        loops=loops,
        receivers=tuple(_receivers(days, causes, deliveries)),
        bounces=tuple(_bounces(causes, deliveries)),
        campaigns=tuple(_campaigns(days, deliveries, domain)),
        evidence=cite(ctx.cite(_evidence(deliveries, sum(sums.values())))),
    )


def _added(days: Iterable[DeliveryDay]) -> Counter[str]:
    """Mails by what became of them.

    A bounce tells of a mail that a log or an event may tell of, too, on another day and under another name of ours: of
    each receiver the larger number counts.
    """
    reported: defaultdict[str, Counter[str]] = defaultdict(Counter)
    bounced: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in days:
        into = bounced if each.origin is DeliveryOrigin.BOUNCES else reported
        for name in COUNTS.values():
            into[each.receiver][name] += getattr(each, name)
    sums: Counter[str] = Counter()
    for receiver in {**reported, **bounced}:
        sums.update(reported[receiver] | bounced[receiver])
    return sums


def _ended(sums: Counter[str]) -> int:
    return sums["delivered"] + sums["hard"] + sums["soft"] + sums["policy"]


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 4) if whole else None


def _receivers(
    days: Sequence[DeliveryDay], causes: Sequence[CauseDay], deliveries: Deliveries
) -> Iterable[MailToReceiver]:
    """Those with most mails first."""
    by_receiver: defaultdict[str, list[DeliveryDay]] = defaultdict(list)
    for each in days:
        by_receiver[each.receiver or OTHER].append(each)
    rows: list[tuple[int, str, MailToReceiver]] = []
    for receiver, own in by_receiver.items():
        sums = _added(own)
        ended, known = _ended(sums), sums["delivered"] > 0
        share, attempted, day = _rate(receiver, own, causes, deliveries)
        row = MailToReceiver(
            receiver=receiver,
            delivered=sums["delivered"],
            deferred=sums["deferred"],
            hard=sums["hard"],
            soft=sums["soft"],
            policy=sums["policy"],
            complaints=sums["complaints"],
            ended=ended,
            attempted=ended + sums["deferred"],
            hard_percent=_percent(sums["hard"], ended) or 0.0 if known else _NO_SENT,
            complaint_percent=_percent(sums["complaints"], sums["delivered"]) or 0.0 if known else _NO_SENT,
            days=len({each.day for each in own}),
            origins=tuple(sorted({each.origin.value for each in own})),
            rate_percent=share if known else _NO_SENT,
            rate_messages=attempted,
            rate_day=day.isoformat() if day else None,
        )
        rows.append((-ended - sums["deferred"] - sums["complaints"], receiver, row))
    return (row for _, _, row in sorted(rows, key=lambda each: each[:2]))


def _rate(
    receiver: str, days: Iterable[DeliveryDay], causes: Iterable[CauseDay], deliveries: Deliveries
) -> tuple[float, int, date | None]:
    """The largest share of a day that was put off for the rate, the mails attempted on that day, and the day."""
    put_off: Counter[date] = Counter()
    for each in causes:
        seen = deliveries.known.get((each.meaning, each.receiver))
        limited = seen is not None and seen.about == About.RATE.value and each.result is DeliveryResult.DEFERRED
        if limited and (each.receiver or OTHER) == receiver:
            put_off[each.day] += each.count
    attempted: defaultdict[date, list[DeliveryDay]] = defaultdict(list)
    for day_ in days:
        attempted[day_.day].append(day_)
    best: tuple[float, int, date | None] = (0.0, 0, None)
    for day, count in sorted(put_off.items()):
        sums = _added(attempted[day])
        whole = _ended(sums) + sums["deferred"]
        if whole and count / whole > best[0] / 100:
            best = round(100 * count / whole, 4), whole, day
    return best


def _bounces(causes: Iterable[CauseDay], deliveries: Deliveries) -> Iterable[BounceCause]:
    counts: Counter[tuple[str, str, DeliveryResult]] = Counter()
    last: dict[tuple[str, str, DeliveryResult], date] = {}
    by_origin: defaultdict[tuple[str, str, DeliveryResult], Counter[bool]] = defaultdict(Counter)
    for each in causes:
        key = each.meaning, each.receiver, each.result
        by_origin[key][each.origin is DeliveryOrigin.BOUNCES] += each.count
        last[key] = max(each.day, last.get(key, each.day))
    for key, parts in by_origin.items():
        counts[key] = max(parts.values())  # a bounce and a line of the log may tell of the same mail
    for key, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MAX_BOUNCES]:
        meaning, receiver, result = key
        seen = deliveries.known.get((meaning, receiver))
        yield BounceCause(
            meaning=meaning,
            receiver=receiver or OTHER,
            class_=result.value,
            count=count,
            last=last[key].isoformat(),
            about=seen.about if seen else About.UNKNOWN.value,
            retry=seen.retry if seen else "later",
            rules=seen.rules if seen else (),
            unmet=None,
            used=False,
        )


def _campaigns(days: Iterable[DeliveryDay], deliveries: Deliveries, domain: str) -> Iterable[CampaignFared]:
    """Each against all other mail that events tell of; those with most dead addresses and complaints first."""
    every = _added(each for each in days if each.origin in EVENTS)
    found: defaultdict[str, list[CampaignDay]] = defaultdict(list)
    for each in deliveries.campaigns:
        if is_within(each.sender, domain):
            found[each.campaign].append(each)
    fared = [_fared(name, own, every) for name, own in found.items()]
    return sorted(fared, key=lambda each: (-each.hard - each.complaints, -each.ended, each.name))[:MAX_CAMPAIGNS]


def _fared(name: str, days: Sequence[CampaignDay], every: Counter[str]) -> CampaignFared:
    sums = Counter({column: sum(getattr(each, column) for each in days) for column in COUNTS.values()})
    rest = every - sums
    ended, delivered = _ended(sums), sums["delivered"]
    return CampaignFared(
        name=name,
        origins=tuple(sorted({each.origin.value for each in days})),
        delivered=delivered,
        ended=ended,
        hard=sums["hard"],
        complaints=sums["complaints"],
        hard_percent=_percent(sums["hard"], ended) or 0.0,
        complaint_percent=_percent(sums["complaints"], delivered) or 0.0,
        hard_rest_percent=_percent(rest["hard"], _ended(rest)),
        complaint_rest_percent=_percent(rest["complaints"], rest["delivered"]),
        hard_times=_times(sums["hard"], ended, rest["hard"], _ended(rest)),
        complaint_times=_times(sums["complaints"], delivered, rest["complaints"], rest["delivered"]),
        last=max(each.day for each in days).isoformat(),
    )


def _times(part: int, mail: int, rest: int, rest_mail: int) -> float | None:
    """How many times as frequent something is as in the rest, where one counts at least; None without any rest."""
    if not rest_mail:
        return None
    return round(part * rest_mail / (mail * max(rest, 1)), 2) if mail else 0.0


def _loops(days: Iterable[DeliveryDay], deliveries: Deliveries) -> tuple[str, ...]:
    """Receivers that told of complaints, one by one or as numbers."""
    found = {each.receiver for each in days if each.complaints}
    if any(each.metric == SPAM_RATE for each in deliveries.gmail):
        found.add("gmail")
    if deliveries.snds:
        found.add("outlook")
    return tuple(sorted(found & {"gmail", "outlook", "yahoo"}))


def _evidence(deliveries: Deliveries, messages: int) -> Evidence:
    period = f"{deliveries.begin.isoformat()}/{deliveries.end.isoformat()}"
    got = COUNTED(messages=messages)
    return Evidence(
        f"report:deliveries:{period}",
        EvidenceKind.REPORT,
        f"deliveries {period}",
        (got,),
        f"{deliveries.end.isoformat()}T23:59:59Z",
    )


LATEST = 7
"""Days that are looked at: who looks every week misses none."""
BEFORE = 28
"""Days that each of them is compared with."""


@auditor("volume", Volume, needs=(Traffic, DeliveryFacts))
async def volume_audit(ctx: Context) -> Volume:
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
