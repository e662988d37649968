"""Who sends as the domain, how TLS to it went, and which DMARC policy comes next, by the reports that were read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from heapq import nsmallest
from ipaddress import ip_address

from msgspec.structs import replace

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, Purpose, Reason, Unknown
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Dmarc, DmarcReports
from deliverability.core.facts.domain import Senders, Sending
from deliverability.core.facts.traffic import (
    Gate,
    MessageSums,
    OwnMessages,
    PolicyHits,
    ReportPeriod,
    StageSince,
    Subdomain,
    Traffic,
    Undecided,
    WhoReported,
)
from deliverability.core.facts.transport import TlsFailure, TlsReports
from deliverability.core.model.observed import FeedbackKind, Observed, ObservedReport, Rows, Trust, address_of
from deliverability.core.model.topic import Maybe, Topic, cite, if_known
from deliverability.core.net.base import Answer, Failed, Found, unknown_from
from deliverability.core.protocols.dmarc.record import name_exists
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.protocols.spf.coverage import measure
from deliverability.core.protocols.spf.tree import walk_tree
from deliverability.dmarc_reports.grouped import TrafficSource, picked, sources_of
from deliverability.dmarc_reports.reported import ReportWindow
from deliverability.dmarc_reports.standing import Setup
from deliverability.engine.base import Context, auditor

MAX_ADDRESSES = 200
"""Addresses whose reverse name is asked for: those that send most without passing come first."""
MAX_NAMES = 3
"""Names of one address that are looked up again."""
MAX_SUBDOMAINS = 20

REPORTED = Code("evidence-reported", ("reports", "messages", "trust"))
VERIFIED = Code("trust-verified")
AUTHENTICATED = Code("trust-authenticated")
FILE_ONLY = Code("trust-file")
CLAIMED = Code("trust-claimed")
PARTIAL = Code("trust-partial")
_TRUST = {
    Trust.VERIFIED: VERIFIED,
    Trust.AUTHENTICATED: AUTHENTICATED,
    Trust.FILE: FILE_ONLY,
    Trust.CLAIMED: CLAIMED,
    Trust.PARTIAL: PARTIAL,
}

_NO_REPORTS = Unknown(Reason.NOT_CONFIGURED, needs(Input.REPORTS))
_NO_HISTORY = Unknown(Reason.NOT_CONFIGURED, needs(Input.HISTORY))


# Without the ranges of our own SPF nobody knows who is who, and these are lost.
_BY_SOURCE = (MessageSums, OwnMessages, PolicyHits, Undecided, Traffic)
_TOPICS = (ReportPeriod, WhoReported, StageSince, *_BY_SOURCE)


@auditor("traffic", *_TOPICS, needs=(Dkim, Senders, Dmarc))
async def audit(ctx: Context) -> tuple[Topic, ...]:
    """State what the reports add up to; without any that were read, all waits for them."""
    observed = ctx.subject.observed
    if observed is None:
        return tuple(each.lost(_NO_REPORTS) for each in _TOPICS)
    domain, dmarc = ctx.subject.domain, ctx.of(Dmarc)
    cited = [ctx.cite(_evidence(reports)) for reports in _by_reporter(observed).values()]
    below = _below(observed.rows, domain)
    (names, lost), setup, records, exist = await asyncio.gather(
        _names(ctx, _most_telling(observed.rows, domain)), _setup(ctx), _records(ctx, below), _exist(ctx, below)
    )
    found: tuple[TrafficSource, ...] = ()
    if isinstance(setup, Setup):
        own = frozenset(name for name, has in records.items() if has is True)
        missing = {name: not each for name, each in exist.items() if isinstance(each, bool)}
        found = sources_of(observed, domain, replace(setup, names=names, own_records=own, missing=missing))
    window = ReportWindow(observed, found, ctx.knowledge.reporters)
    of_reports = (window.period(*cited), window.reporters(*cited), _since(ctx, cited))
    if isinstance(setup, Unknown):
        return (*of_reports, *(each.lost(setup, *cited) for each in _BY_SOURCE))
    since = _stage_since(ctx)
    traffic = Traffic(
        sources=window.listed(names),
        without=window.without(),
        details=window.details() if ctx.subject.source_details else (),
        selectors=window.selectors(setup.home, _published(ctx)),
        policies=window.policies(domain, dmarc.policy, since, _NO_HISTORY),
        subdomains=_subdomains(window.subdomains(domain), records, exist, dmarc),
        volume=window.by_day(),
        evidence=cite(*cited),
    )
    return (
        *of_reports,
        window.sums(*cited),
        window.of_own(*cited),
        window.hits(dmarc.stage, since, *cited),
        window.undecided(lost, *cited),
        traffic,
    )


def _since(ctx: Context, cited: Sequence[str]) -> StageSince:
    """Since when the stage and the address for reports have been there."""
    today, stage, rua = ctx.now.date(), _stage_since(ctx), ctx.subject.rua_since
    return StageSince(
        stage_since=stage.isoformat() if stage else _NO_HISTORY,
        stage_days=(today - stage).days if stage else _NO_HISTORY,
        rua_days=(today - date.fromisoformat(rua[:10])).days if rua else _NO_HISTORY,
        evidence=cite(*cited),
    )


def _stage_since(ctx: Context) -> date | None:
    """Since when the stage has held, as earlier runs saw it in DNS; what a report says of it counts for nothing."""
    seen = ctx.subject.stage_seen
    if seen is None or seen.stage != ctx.of(Dmarc).stage:
        return None
    return date.fromisoformat(seen.since[:10])


async def _setup(ctx: Context) -> Setup | Unknown:
    """What ties addresses to the domain, but for reverse names; why it is not known, where its SPF could not be read.

    Services that could not be looked up are taken for strange: then the user is asked, and nothing counts as safe.
    """
    subject, resolver = ctx.subject, ctx.ports.dns
    home = registrable_domain(subject.domain)
    names = dict.fromkeys((subject.domain, home))
    coverages = [await measure(await walk_tree(name, resolver), resolver) for name in names]
    gap = next((each.gap for each in coverages if each.gap and each.gap.reason is not Reason.LIMIT), None)
    if gap is not None:
        return gap
    services, today = if_known(ctx.of(Senders).services) or (), ctx.now.date().isoformat()
    dkim, dmarc = ctx.of(Dkim), ctx.of(Dmarc)
    return Setup(
        home=home,
        groups=tuple(group for each in coverages for group in each.groups),
        sending_ips=frozenset(str(ip_address(each)) for each in subject.sending_ips),
        used=frozenset(each.id for each in services),
        aliases={
            (key.domain, key.selector): key.alias.rstrip(".").lower()
            for key in if_known(dkim.keys) or ()
            if isinstance(key.alias, str) and key.alias
        },
        services=ctx.knowledge.services,
        lost_keys=frozenset(
            (domain, selector)
            for selector, _, domain in (name.partition("._domainkey.") for name in if_known(dkim.unpublished) or ())
        ),
        apart=if_known(dmarc.subdomain_policy) == "none",
        apart_missing=None if (missing := if_known(dmarc.nonexistent_policy)) is None else missing == "none",
        words=tuple(
            each
            for each in subject.source_words
            if each.domain in ("", home, subject.domain) and (not each.until or each.until >= today)
        ),
    )


def _most_telling(rows: Rows, domain: str) -> list[str]:
    """The addresses that count most: those that send most without passing, then those that send most."""
    aligned = [each.aligned for each in rows.facets]

    def weight(number: int, places: Sequence[int]) -> tuple[int, int, int]:
        failing = sum(rows.messages[place] for place in places if not aligned[rows.facet[place]])
        return -failing, -sum(rows.messages[place] for place in places), number

    weights = (weight(*each) for each in picked(rows, domain))
    return [address_of(rows.addresses[number]) for _, _, number in nsmallest(MAX_ADDRESSES, weights)]


async def _names(ctx: Context, addresses: Sequence[str]) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, Unknown]]:
    """The confirmed reverse names of addresses, and why others have none: nobody answered."""
    found = await asyncio.gather(*(_confirmed(ctx, ip) for ip in addresses))
    names = {ip: each for ip, each in zip(addresses, found, strict=True) if isinstance(each, tuple) and each}
    return names, {ip: each for ip, each in zip(addresses, found, strict=True) if isinstance(each, Unknown)}


async def _confirmed(ctx: Context, ip: str) -> tuple[str, ...] | Unknown:
    """The reverse names of an address that lead back to it."""
    address = ip_address(ip)
    answer = await ctx.query(address.reverse_pointer, "PTR")
    if isinstance(answer, Failed):
        return unknown_from(answer)
    names = tuple(each.rstrip(".").lower() for each in answer.values[:MAX_NAMES]) if isinstance(answer, Found) else ()
    forward = await asyncio.gather(*(ctx.query(each, "A" if address.version == 4 else "AAAA") for each in names))
    good = tuple(
        name
        for name, each in zip(names, forward, strict=True)
        if isinstance(each, Found) and any(_same(value, ip) for value in each.values)
    )
    failed = next((each for each in forward if isinstance(each, Failed)), None)
    return unknown_from(failed) if failed and not good else good


def _same(value: str, ip: str) -> bool:
    try:
        return ip_address(value) == ip_address(ip)
    except ValueError:
        return False


def _published(ctx: Context) -> dict[tuple[str, str], Maybe[bool]]:
    """Whether a key stands under the selectors of the domain that were asked for."""
    dkim = ctx.of(Dkim)
    found: dict[tuple[str, str], Maybe[bool]] = {
        (key.domain, key.selector): key.present for key in if_known(dkim.keys) or () if key.own
    }
    for name in if_known(dkim.unpublished) or ():
        selector, _, domain = name.partition("._domainkey.")
        found.setdefault((domain, selector), False)
    return found


def _below(rows: Rows, domain: str) -> list[str]:
    """The names below the domain that most mail is from."""
    counts: Counter[str] = Counter()
    for facet, messages in rows.by_facet().items():
        if facet.header_from.endswith(f".{domain}"):
            counts[facet.header_from] += messages
    return sorted(counts, key=lambda name: (-counts[name], name))[:MAX_SUBDOMAINS]


async def _records(ctx: Context, names: Sequence[str]) -> Mapping[str, Maybe[bool]]:
    """Whether each name has a DMARC record of its own."""
    answers = await asyncio.gather(*(ctx.query(f"_dmarc.{each}", "TXT") for each in names))
    return {name: _has_record(each) for name, each in zip(names, answers, strict=True)}


async def _exist(ctx: Context, names: Sequence[str]) -> Mapping[str, Maybe[bool]]:
    """Whether DNS has each name, where np says something of those that it has not (RFC 9989 section 4.7)."""
    if if_known(ctx.of(Dmarc).nonexistent_policy) is None:
        return {}
    answers = await asyncio.gather(*(name_exists(each, ctx.ports.dns) for each in names))
    return dict(zip(names, answers, strict=True))


def _has_record(answer: Answer) -> Maybe[bool]:
    if isinstance(answer, Failed):
        return unknown_from(answer)
    texts = answer.values if isinstance(answer, Found) else ()
    return any(text.lower().replace(" ", "").startswith("v=dmarc1") for text in texts)


def _subdomains(
    found: Sequence[tuple[str, int, int, int]],
    records: Mapping[str, Maybe[bool]],
    exist: Mapping[str, Maybe[bool]],
    dmarc: Dmarc,
) -> tuple[Subdomain, ...]:
    """The names below the domain, as far as they were asked for a record of their own with that."""
    return tuple(
        Subdomain(
            name=name,
            messages=messages,
            own=own,
            aligned=aligned,
            own_record=records.get(name),
            weaker=None if records.get(name) is True else _weaker(exist.get(name, True), dmarc),
        )
        for name, messages, own, aligned in found[: 5 * MAX_SUBDOMAINS]
    )


def _weaker(exists: Maybe[bool], dmarc: Dmarc) -> Maybe[str | None]:
    """The weaker tag that counts for a name below the domain, by whether DNS has that name."""
    weaker = dmarc.weaker_subdomains
    if isinstance(weaker, Unknown):
        return weaker
    by_tag = {each.partition("=")[0]: each for each in weaker}
    if isinstance(exists, Unknown):
        return exists if by_tag else None
    return by_tag.get("sp" if exists else "np")


def _by_reporter(observed: Observed) -> dict[str, list[ObservedReport]]:
    found: dict[str, list[ObservedReport]] = {}
    for each in observed.reports:
        found.setdefault(each.reporter, []).append(each)
    return found


def _evidence(reports: Sequence[ObservedReport]) -> Evidence:
    """The reports of one reporter as evidence: counts, and nobody's address."""
    first, last = (
        datetime.fromtimestamp(moment, UTC)
        for moment in (min(each.begin for each in reports), max(each.end for each in reports))
    )
    reporter = reports[0].reporter
    period = f"{first:%Y-%m-%d}/{last:%Y-%m-%d}"
    got = REPORTED(
        reports=len(reports),
        messages=sum(each.messages for each in reports),
        trust=tuple(code() for trust, code in _TRUST.items() if any(each.trust is trust for each in reports)),
    )
    asked = f"{FeedbackKind.AGGREGATE.value} {reporter} {period}"
    return Evidence(f"report:rua:{reporter}:{period}", EvidenceKind.REPORT, asked, (got,), f"{last:%Y-%m-%dT%H:%M:%SZ}")


MAX_FAILURES = 50


@auditor("tls_reports", TlsReports)
async def tls_reports_audit(ctx: Context) -> TlsReports:
    """Add up the reports; without any that were read, all waits for them."""
    observed = ctx.subject.observed
    if observed is None or not observed.tls:
        return TlsReports.lost(_NO_REPORTS)
    domain = ctx.subject.domain
    policies = [each for report in observed.tls for each in report.policies if each.domain in ("", domain)]
    failures: Counter[tuple[str, str, str]] = Counter()
    for policy in policies:
        for each in policy.failures:
            failures[each.type, each.mx, policy.type] += each.count
    failed = sum(each.failed for each in policies)
    return TlsReports(
        reports=len(observed.tls),
        sessions=failed + sum(each.succeeded for each in policies),
        failed=failed,
        failures=tuple(
            TlsFailure(type=kind, mx=mx or None, count=count, policy=of_policy)
            for (kind, mx, of_policy), count in failures.most_common(MAX_FAILURES)
        ),
    )


@auditor("gate", Gate, needs=(Dmarc, DmarcReports, Sending, ReportPeriod))
async def gate_audit(ctx: Context) -> Gate:
    """State the policy that comes next, and what only the user can say before it does. Asks nothing."""
    hosts = ctx.of(DmarcReports).external_reports
    agreed = [each.authorised for each in if_known(hosts) or ()]
    lost = hosts if isinstance(hosts, Unknown) else next((each for each in agreed if isinstance(each, Unknown)), None)
    return Gate(
        to=_next(ctx),
        rua_authorised=False if False in agreed else lost if lost is not None else True,
        rare_missing=_rare(ctx),
        trust_sources=ctx.subject.trust_sources,
    )


def _next(ctx: Context) -> Maybe[str | None]:
    """One step on from the present stage; people's domains stay at quarantine (RFC 9989 section 7.4)."""
    if ctx.subject.gate_to:
        return ctx.subject.gate_to
    stage, policy, purpose = ctx.of(Dmarc).stage, ctx.of(Dmarc).policy, ctx.of(Sending).purpose
    if isinstance(stage, Unknown):
        return stage
    if purpose == Purpose.PARKED:
        return None if stage == "reject" else "reject"
    machines = purpose in (Purpose.BULK, Purpose.TRANSACTIONAL)
    if stage == "none" or (stage == "testing" and (policy == "quarantine" or not machines)):
        return "quarantine"
    return "reject" if stage in ("testing", "quarantine") and machines else None


def _rare(ctx: Context) -> Maybe[tuple[str, ...]]:
    """The rare runs on days outside of what the reports cover; Unknown where nobody said whether there are any."""
    period = ctx.of(ReportPeriod)
    if isinstance(period.begin, Unknown):
        return period.begin
    rare = ctx.subject.rare
    if rare is None:
        return Unknown(Reason.NOT_CONFIGURED, needs(Input.RARE_RUNS))
    return tuple(each for each in rare if not str(period.begin) <= each[:10] <= str(period.end))
