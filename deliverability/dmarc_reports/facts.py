"""Who sends as the domain, and how TLS to it went, by the reports that were read."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from ipaddress import ip_address

from msgspec.structs import replace

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import (
    Evidence,
    EvidenceKind,
    FactType,
    Reason,
    Unknown,
    Value,
    records_of,
    text_of,
    texts_of,
)
from deliverability.core.facts.dkim import keys_of
from deliverability.core.model.observed import FeedbackKind, Observed, ObservedReport, ObservedRow
from deliverability.core.net.base import Failed, Found, unknown_from
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.protocols.spf.coverage import measure
from deliverability.core.protocols.spf.tree import walk_tree
from deliverability.dmarc_reports.standing import Setup, SourceStanding
from deliverability.engine.base import Context, auditor, spec

MAX_ADDRESSES = 200
"""Addresses whose reverse name is asked for: those that send most without passing come first."""
MAX_NAMES = 3
"""Names of one address that are looked up again."""
MAX_SUBDOMAINS = 20

REPORTED = Code("evidence-reported", ("reports", "messages", "trust"))

_INT, _STR, _BOOL, _FLOAT = FactType.INT, FactType.STR, FactType.BOOL, FactType.FLOAT
_TEXTS, _RECORDS = FactType.LIST_STR, FactType.LIST_RECORD

PROVIDES = (
    spec("traffic.begin", _STR, "First day of the window (ISO date, UTC)."),
    spec("traffic.end", _STR, "Its last day: the newest that was over."),
    spec("traffic.days", _INT, "Days with at least one report.", unit="days"),
    spec("traffic.span_days", _INT, "Days from the first of them to the end of the window.", unit="days"),
    spec("traffic.month_end", _BOOL, "These hold the last day of a month."),
    spec("traffic.reports", _INT, "Aggregate reports.", unit="reports"),
    spec("traffic.duplicates", _INT, "Reports that came again and count once.", unit="reports"),
    spec(
        "traffic.last_report_days",
        _INT,
        "Days at the end of the window that no report is about.",
        unit="days",
        optional=True,
    ),
    spec("traffic.rua_days", _INT, "Days since earlier runs first saw an address for reports.", unit="days"),
    spec("traffic.untrusted_messages", _INT, "Messages of reports that do not count.", unit="messages"),
    spec("traffic.unlisted_reporters", _INT, "Reporters of those that are nowhere listed.", unit="reporters"),
    spec("traffic.unlisted_messages", _INT, "Messages that these report.", unit="messages"),
    spec("traffic.unread_percent", _FLOAT, "Reports of which something could not be used.", unit="percent"),
    spec("traffic.problems", _RECORDS, "What could not be used.", key=["kind", "reporter"]),
    spec("traffic.problems[].kind", _STR, "The code of it."),
    spec("traffic.problems[].reporter", _STR, "Whose report it was."),
    spec("traffic.problems[].detail", FactType.DETAIL, "What it was."),
    spec("traffic.problems[].count", _INT, "How often.", unit="times"),
    spec("traffic.reporters", _RECORDS, "Who reported, by messages.", key=["id"]),
    spec("traffic.reporters[].id", _STR, "Who."),
    spec("traffic.reporters[].name", _STR, "As it names itself."),
    spec(
        "traffic.reporters[].trust",
        _STR,
        "How far its best report is trusted.",
        values=["verified", "authenticated", "file", "claimed", "partial"],
    ),
    spec("traffic.reporters[].receiver", _STR, "The receiver that it is.", optional=True),
    spec("traffic.reporters[].days", _INT, "Days that it reported on.", unit="days"),
    spec("traffic.reporters[].messages", _INT, "Messages that it reported.", unit="messages"),
    spec("traffic.reporters[].known", _BOOL, "It stands in the catalogue of reporters."),
    spec("traffic.reporters[].trusted", _BOOL, "Some of its reports are trusted far enough to count."),
    spec("traffic.reporters[].covers", _BOOL, "These are about at least four days."),
    spec("traffic.reporters[].percent", _FLOAT, "Its messages in percent of those that count.", unit="percent"),
    spec("traffic.reporters[].silent_days", _INT, "Days at the end of the window without them.", unit="days"),
    spec("traffic.reporters[].fell_silent", _BOOL, "That is longer than it ever was silent before."),
    spec(
        "traffic.verified_reporters",
        _INT,
        "Reporters whose reports count, and are about several days.",
        unit="reporters",
    ),
    spec("traffic.known_reporters", _INT, "Those of them in the catalogue.", unit="reporters"),
    spec("traffic.discovery_differs", _BOOL, "Reporters found the policy in different ways (psl, treewalk)."),
    spec("traffic.messages", _INT, "Messages of the reports that count.", unit="messages"),
    spec("traffic.aligned", _INT, "Those that pass DMARC.", unit="messages"),
    spec("traffic.dkim_aligned", _INT, "Those that pass by DKIM.", unit="messages"),
    spec("traffic.spf_aligned", _INT, "Those that pass by SPF.", unit="messages"),
    spec("traffic.own.messages", _INT, "Messages of the domain's own sources.", unit="messages"),
    spec("traffic.own.aligned", _INT, "Those that pass DMARC.", unit="messages"),
    spec("traffic.own.dkim_aligned", _INT, "Those that pass by DKIM.", unit="messages"),
    spec("traffic.own.aligned_percent", _FLOAT, "Share that passes.", unit="percent", optional=True),
    spec(
        "traffic.own.aligned_low",
        _FLOAT,
        "What that share is at least (Wilson bound, one-sided, 95 %).",
        unit="percent",
        optional=True,
    ),
    spec("traffic.own.dkim_low", _FLOAT, "The same of what passes by DKIM.", unit="percent", optional=True),
    spec("traffic.own.spf_only_percent", _FLOAT, "Share that passes by SPF only.", unit="percent", optional=True),
    spec("traffic.yours", _INT, "Own, altered, forwarded and unclaimed messages together.", unit="messages"),
    spec("traffic.forwarded", _INT, "Messages passed on unchanged.", unit="messages"),
    spec("traffic.altered", _INT, "Messages changed on their way.", unit="messages"),
    spec("traffic.unclaimed", _INT, "Messages of which only the user can say whose they are.", unit="messages"),
    spec("traffic.forged", _INT, "Messages of which nothing passes and nothing ties them to us.", unit="messages"),
    *(
        spec(f"traffic.{name}_percent", _FLOAT, "The same in percent of own, altered and forwarded.", unit="percent")
        for name in ("forwarded", "altered", "unclaimed", "forged")
    ),
    spec("traffic.would_fail", _INT, "Own and unclaimed messages that do not pass.", unit="messages"),
    spec("traffic.would_fail_percent", _FLOAT, "The same in percent of own and unclaimed ones.", unit="percent"),
    spec("traffic.hit", _INT, "Own and unclaimed messages that the policy in force hits.", unit="messages"),
    spec("traffic.hit_own", _INT, "Those of them of own sources.", unit="messages"),
    spec("traffic.hit_of", _INT, "Own and unclaimed messages since the policy is in force.", unit="messages"),
    spec("traffic.hit_percent", _FLOAT, "Share of these that it hits.", unit="percent"),
    spec("traffic.hit_since", _STR, "First day of the window on which it did."),
    spec("traffic.small_failing", _INT, "Those of them of sources of fewer than ten messages.", unit="messages"),
    spec("traffic.small_failing_percent", _FLOAT, "The same in percent of own messages.", unit="percent"),
    spec("traffic.sources_pass", _BOOL, "Every source that is ours or may be ours passes."),
    spec("traffic.own_sources", _INT, "The domain's own sources.", unit="sources"),
    spec("traffic.apart", _INT, "Messages of names below the domain that sp=none leaves alone.", unit="messages"),
    spec("traffic.apart_failing", _INT, "Those of them that do not pass.", unit="messages"),
    spec("traffic.enforced_own", _INT, "Own messages already quarantined or refused by policy.", unit="messages"),
    spec("traffic.enforced_own_recent", _INT, "Those of the last 14 days.", unit="messages"),
    spec("traffic.undecided", _INT, "Messages of addresses whose reverse name nobody answered for.", unit="messages"),
    spec("traffic.undecided_percent", _FLOAT, "The same in percent of own messages.", unit="percent"),
    spec("traffic.sources", _RECORDS, "Who sends as the domain.", key=["key"]),
    spec("traffic.sources[].key", _STR, "Its name, with the standing where another source has the same name."),
    spec("traffic.sources[].name", _STR, "Service, host, domain or range of addresses."),
    spec("traffic.sources[].service", _STR, "Name in the catalogue of services.", optional=True),
    spec("traffic.sources[].standing", _STR, "What it is.", values=[each.value for each in SourceStanding]),
    spec("traffic.sources[].standing_by", FactType.LIST_DETAIL, "Why, the most messages first."),
    spec("traffic.sources[].messages", _INT, "Messages.", unit="messages"),
    spec("traffic.sources[].aligned", _INT, "Those that pass DMARC.", unit="messages"),
    spec("traffic.sources[].unaligned", _INT, "Those that do not.", unit="messages"),
    spec("traffic.sources[].dkim_aligned", _INT, "Those that pass by DKIM.", unit="messages"),
    spec("traffic.sources[].spf_aligned", _INT, "Those that pass by SPF.", unit="messages"),
    spec("traffic.sources[].aligned_percent", _FLOAT, "Share that passes.", unit="percent"),
    spec("traffic.sources[].aligned_low", _FLOAT, "What it is at least (Wilson bound).", unit="percent"),
    spec("traffic.sources[].recent_messages", _INT, "Messages of the last 14 days.", unit="messages"),
    spec(
        "traffic.sources[].recent_aligned_percent", _FLOAT, "Share of those that passes.", unit="percent", optional=True
    ),
    spec("traffic.sources[].own_percent", _FLOAT, "Its messages in percent of own messages.", unit="percent"),
    spec("traffic.sources[].addresses", _INT, "Addresses.", unit="addresses"),
    spec(
        "traffic.sources[].largest_address",
        _INT,
        "Messages of the one that sent most; of a forged source of its network or name.",
        unit="messages",
    ),
    spec("traffic.sources[].largest_percent", _FLOAT, "The same in percent of own messages.", unit="percent"),
    spec("traffic.sources[].examples", _TEXTS, "The addresses that sent most."),
    spec("traffic.sources[].ptr", _TEXTS, "Confirmed reverse names."),
    spec("traffic.sources[].selectors", _TEXTS, "Selectors of signatures that pass."),
    spec("traffic.sources[].return_domains", _TEXTS, "Domains of Return-Path."),
    spec("traffic.sources[].receivers", _TEXTS, "Who reported it."),
    spec("traffic.sources[].first_seen", _STR, "Day on which it was first reported."),
    spec("traffic.sources[].last_seen", _STR, "And last."),
    spec("traffic.sources[].last_unaligned", _STR, "Last day with mail that did not pass.", optional=True),
    spec("traffic.sources[].days", _INT, "Days on which it sent.", unit="days"),
    spec("traffic.sources[].age_days", _INT, "Days since it was first reported.", unit="days"),
    spec("traffic.sources[].new", _BOOL, "It was first reported in this window, and others were before."),
    spec("traffic.sources[].steady", _BOOL, "It came on at least 4 days over at least 14."),
    spec("traffic.sources[].said", _BOOL, "The user said whose it is."),
    spec("traffic.sources[].apart", _BOOL, "It sends for names below the domain that sp=none leaves alone."),
    spec("traffic.sources[].match", _TEXTS, "What a [[source]] table about it would match."),
    spec("traffic.sources[].used", _BOOL, "False: it is about the domain, not about the mail at hand."),
    spec("traffic.selectors", _RECORDS, "DKIM selectors that signed, and published ones.", key=["domain", "selector"]),
    spec("traffic.selectors[].domain", _STR, "Signing domain."),
    spec("traffic.selectors[].selector", _STR, "Selector."),
    spec("traffic.selectors[].pass", _INT, "Messages whose signature passes.", unit="messages"),
    spec("traffic.selectors[].fail", _INT, "Own messages whose signature fails.", unit="messages"),
    spec("traffic.selectors[].messages", _INT, "Both.", unit="messages"),
    spec("traffic.selectors[].fail_percent", _FLOAT, "Share that fails.", unit="percent"),
    spec("traffic.selectors[].last_seen", _STR, "Last day on which it signed.", optional=True),
    spec("traffic.selectors[].last_days", _INT, "Days since then.", unit="days", optional=True),
    spec("traffic.selectors[].published", _BOOL, "Its key is published; none where nobody asked.", optional=True),
    spec("traffic.policies", _RECORDS, "What each reporter saw published last.", key=["reporter"]),
    spec("traffic.policies[].reporter", _STR, "Who."),
    *(spec(f"traffic.policies[].{tag}", _STR, f"{tag}=.", optional=True) for tag in ("p", "sp", "np")),
    spec("traffic.policies[].testing", _STR, "t=.", optional=True),
    spec("traffic.policies[].discovery", _STR, "How it found the policy.", optional=True),
    spec("traffic.policies[].last", _STR, "Last day of that report."),
    spec("traffic.policies[].differs", _BOOL, "p= is not what DNS says now."),
    spec("traffic.policies[].differs_hours", _INT, "For how long that was so at the end of the report.", unit="hours"),
    spec("traffic.subdomains", _RECORDS, "Names below the domain that mail is from.", key=["name"]),
    spec("traffic.subdomains[].name", _STR, "Name."),
    spec("traffic.subdomains[].messages", _INT, "Messages.", unit="messages"),
    spec("traffic.subdomains[].own", _INT, "Those of own sources.", unit="messages"),
    spec("traffic.subdomains[].aligned", _INT, "Those that pass DMARC.", unit="messages"),
    spec("traffic.subdomains[].own_record", _BOOL, "It has a DMARC record; none where nobody asked.", optional=True),
    spec("traffic.volume", _RECORDS, "Messages by day.", key=["day"]),
    spec("traffic.volume[].day", _STR, "Day (ISO date, UTC)."),
    spec("traffic.volume[].messages", _INT, "Own messages.", unit="messages"),
    spec("traffic.volume[].aligned", _INT, "Those that pass DMARC.", unit="messages"),
    spec("traffic.volume[].altered", _INT, "Altered messages.", unit="messages"),
    spec("traffic.volume[].unclaimed", _INT, "Unclaimed messages.", unit="messages"),
    spec("traffic.volume[].forged", _INT, "Forged messages.", unit="messages"),
    spec("traffic.volume.median", _INT, "Median of own messages of the 28 days before the last.", unit="messages"),
    spec("traffic.volume.maximum", _INT, "Their maximum.", unit="messages"),
    spec("traffic.volume.last_day", _INT, "Own messages of the last day.", unit="messages"),
    spec("traffic.volume.jump", _FLOAT, "The last day as a multiple of that maximum.", unit="times", optional=True),
    spec("traffic.stage_since", _STR, "Day since when earlier runs have seen the present DMARC stage."),
    spec("traffic.stage_days", _INT, "Days since then.", unit="days"),
)
_PATHS = tuple(each.path for each in PROVIDES if "[]" not in each.path)

_SP_NONE = re.compile(r";\s*sp\s*=\s*none\s*(;|$)", re.IGNORECASE)

NEEDS = ("dkim.keys", "dkim.unpublished", "senders.services", "dmarc.policy", "dmarc.stage", "dmarc.record")

_NO_REPORTS = Unknown(Reason.NOT_CONFIGURED, needs(Input.REPORTS))
_NO_HISTORY = Unknown(Reason.NOT_CONFIGURED, needs(Input.HISTORY))


@auditor("traffic", provides=PROVIDES, needs=NEEDS)
async def audit(ctx: Context) -> None:
    """State what the reports add up to; without any that were read, all waits for them."""
    observed = ctx.subject.observed
    if observed is None:
        ctx.put_all(dict.fromkeys(_PATHS, _NO_REPORTS))
        return
    from deliverability.dmarc_reports.reported import ReportWindow, rows_of, sources_of

    domain = ctx.subject.domain
    cited = [ctx.cite(_evidence(reports)) for reports in _by_reporter(observed).values()]
    rows = rows_of(observed, domain)
    (names, lost), setup = await asyncio.gather(_names(ctx, rows), _setup(ctx))
    if isinstance(setup, Unknown):
        # Without the ranges of our own SPF nobody knows who is who.
        window = ReportWindow(observed, (), ctx.knowledge.reporters)
        facts = {**window.period(), **window.reporters(), **_since(ctx)}
        every: dict[str, Value] = dict.fromkeys(_PATHS, setup)
        ctx.put_all(every | {f"traffic.{name}": value for name, value in facts.items()}, *cited)
        return
    found = sources_of(observed, domain, replace(setup, names=names))
    window = ReportWindow(observed, found, ctx.knowledge.reporters)
    since = _stage_since(ctx)
    values: dict[str, Value] = {
        **window.period(),
        **window.reporters(),
        **_since(ctx),
        **window.sums(),
        **window.hits(ctx.value("dmarc.stage"), since),
        **window.undecided(lost),
        **window.volume(),
        "sources": window.listed(names),
        "selectors": window.selectors(setup.home, _published(ctx)),
        "policies": window.policies(domain, ctx.value("dmarc.policy"), since, _NO_HISTORY),
        "subdomains": await _subdomains(ctx, window.subdomains(domain)),
    }
    ctx.put_all({f"traffic.{name}": value for name, value in values.items()}, *cited)


def _since(ctx: Context) -> dict[str, Value]:
    """Since when the stage and the address for reports have been there."""
    today, stage, rua = ctx.now.date(), _stage_since(ctx), ctx.subject.rua_since
    return {
        "stage_since": stage.isoformat() if stage else _NO_HISTORY,
        "stage_days": (today - stage).days if stage else _NO_HISTORY,
        "rua_days": (today - date.fromisoformat(rua[:10])).days if rua else _NO_HISTORY,
    }


def _stage_since(ctx: Context) -> date | None:
    """Since when the stage has held, as earlier runs saw it in DNS; what a report says of it counts for nothing."""
    seen = ctx.subject.stage_seen
    if seen is None or seen.stage != ctx.value("dmarc.stage"):
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
    services, today = ctx.value("senders.services"), ctx.now.date().isoformat()
    keys = keys_of(ctx.value("dkim.keys"))
    return Setup(
        home=home,
        groups=tuple(group for each in coverages for group in each.groups),
        sending_ips=frozenset(str(ip_address(each)) for each in subject.sending_ips),
        used=frozenset(str(each["id"]) for each in records_of(services)),
        aliases={
            (key.domain, key.selector): key.alias.rstrip(".").lower()
            for key in keys
            if isinstance(key.alias, str) and key.alias
        },
        services=ctx.knowledge.services,
        lost_keys=frozenset(
            (domain, selector)
            for selector, _, domain in (
                name.partition("._domainkey.") for name in texts_of(ctx.value("dkim.unpublished"))
            )
        ),
        apart=_SP_NONE.search(text_of(ctx.value("dmarc.record"))) is not None,
        words=tuple(
            each
            for each in subject.source_words
            if each.domain in ("", home, subject.domain) and (not each.until or each.until >= today)
        ),
    )


async def _names(
    ctx: Context, rows: Iterable[ObservedRow]
) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, Unknown]]:
    """The confirmed reverse names of the addresses that count most, and why others have none: nobody answered."""
    failing: dict[str, int] = {}
    all_: dict[str, int] = {}
    for row in rows:
        all_[row.ip] = all_.get(row.ip, 0) + row.messages
        if not row.facet.aligned:
            failing[row.ip] = failing.get(row.ip, 0) + row.messages
    order = sorted(all_, key=lambda ip: (-failing.get(ip, 0), -all_[ip], ip))[:MAX_ADDRESSES]
    found = await asyncio.gather(*(_confirmed(ctx, ip) for ip in order))
    names = {ip: each for ip, each in zip(order, found, strict=True) if isinstance(each, tuple) and each}
    return names, {ip: each for ip, each in zip(order, found, strict=True) if isinstance(each, Unknown)}


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


def _published(ctx: Context) -> dict[tuple[str, str], Value]:
    """Whether a key stands under the selectors of the domain that were asked for."""
    found: dict[tuple[str, str], Value] = {
        (key.domain, key.selector): key.present for key in keys_of(ctx.value("dkim.keys")) if key.own
    }
    for name in texts_of(ctx.value("dkim.unpublished")):
        selector, _, domain = name.partition("._domainkey.")
        found.setdefault((domain, selector), False)
    return found


async def _subdomains(ctx: Context, found: Sequence[tuple[str, int, int, int]]) -> tuple[Value, ...]:
    """The names below the domain; the largest are asked for a record of their own."""
    answers = await asyncio.gather(*(ctx.query(f"_dmarc.{each[0]}", "TXT") for each in found[:MAX_SUBDOMAINS]))
    items: list[Value] = []
    for place, (name, messages, own, aligned) in enumerate(found[: 5 * MAX_SUBDOMAINS]):
        record: Value = None
        if place < len(answers):
            answer = answers[place]
            texts = answer.values if isinstance(answer, Found) else ()
            record = (
                unknown_from(answer)
                if isinstance(answer, Failed)
                else any(text.lower().replace(" ", "").startswith("v=dmarc1") for text in texts)
            )
        items.append({"name": name, "messages": messages, "own": own, "aligned": aligned, "own_record": record})
    return tuple(items)


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
        trust=tuple(sorted({each.trust.value for each in reports})),
    )
    asked = f"{FeedbackKind.AGGREGATE.value} {reporter} {period}"
    return Evidence(f"report:rua:{reporter}:{period}", EvidenceKind.REPORT, asked, (got,), f"{last:%Y-%m-%dT%H:%M:%SZ}")


MAX_FAILURES = 50

TLS_REPORTS_PROVIDES = (
    spec("tls_reports.reports", FactType.INT, "TLS reports.", unit="reports"),
    spec("tls_reports.sessions", FactType.INT, "TLS connections that they tell of.", unit="connections"),
    spec("tls_reports.failed", FactType.INT, "Those that failed.", unit="connections"),
    spec("tls_reports.failures", FactType.LIST_RECORD, "How they failed, the most first.", key=["type", "mx"]),
    spec("tls_reports.failures[].type", FactType.STR, "Result type of RFC 8460 section 4.3."),
    spec("tls_reports.failures[].mx", FactType.STR, "MX host; none: not told.", optional=True),
    spec("tls_reports.failures[].count", FactType.INT, "Connections.", unit="connections"),
    spec("tls_reports.failures[].policy", FactType.STR, "Type of the policy: sts, tlsa or no-policy-found."),
)
_TLS_PATHS = tuple(each.path for each in TLS_REPORTS_PROVIDES if "[]" not in each.path)


@auditor("tls_reports", provides=TLS_REPORTS_PROVIDES)
async def tls_reports_audit(ctx: Context) -> None:
    """Add up the reports; without any that were read, all waits for them."""
    observed = ctx.subject.observed
    if observed is None or not observed.tls:
        ctx.put_all(dict.fromkeys(_TLS_PATHS, Unknown(Reason.NOT_CONFIGURED, needs(Input.REPORTS))))
        return
    domain = ctx.subject.domain
    policies = [each for report in observed.tls for each in report.policies if each.domain in ("", domain)]
    failures: Counter[tuple[str, str, str]] = Counter()
    for policy in policies:
        for each in policy.failures:
            failures[each.type, each.mx, policy.type] += each.count
    failed = sum(each.failed for each in policies)
    ctx.put("tls_reports.reports", len(observed.tls))
    ctx.put("tls_reports.sessions", failed + sum(each.succeeded for each in policies))
    ctx.put("tls_reports.failed", failed)
    listed = (
        {"type": kind, "mx": mx or None, "count": count, "policy": policy}
        for (kind, mx, policy), count in failures.most_common(MAX_FAILURES)
    )
    ctx.put("tls_reports.failures", tuple(listed))
