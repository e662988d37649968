"""The DMARC policy that counts for an author domain, as facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deliverability.core.codes import Code
from deliverability.core.facts.base import FactType, Reason, Unknown, Value
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Failed, Found, unknown_from
from deliverability.core.protocols.dmarc.discover import (
    Discovery,
    Step,
    choose_organizational_domain,
    discover_dmarc,
    organizational_domain,
)
from deliverability.core.protocols.dmarc.evaluate import home_of
from deliverability.core.protocols.dmarc.record import DmarcRecord, is_dmarc
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, dns_id, spec

MAX_REPORT_DOMAINS = 20
"""Nobody needs more, and a record can name thousands; receivers need not serve more than two (RFC 7489 section 6.2)."""

REPORT_DOMAINS = Code("report-domains-first", ("n", "all"))

PROVIDES = (
    spec(
        "dmarc.author_domain",
        FactType.STR,
        "Domain it was discovered for: the From domain of the message, else the audited domain.",
    ),
    spec(
        "dmarc.used",
        FactType.BOOL,
        "The message at hand is judged by this record; false where its From lies elsewhere. None without a message.",
        optional=True,
    ),
    spec("dmarc.present", FactType.BOOL, "A valid DMARC record applies."),
    spec("dmarc.record", FactType.STR, "That record, or the one at dmarc.ignored_at.", optional=True),
    spec(
        "dmarc.ignored_at",
        FactType.STR,
        "Domain whose record would apply, but has no valid policy and no usable rua: receivers act as if there were"
        " none (RFC 9989 section 4.10.1).",
        optional=True,
    ),
    spec("dmarc.location", FactType.STR, "Domain at which it was found (without _dmarc).", optional=True),
    spec("dmarc.walk", FactType.LIST_RECORD, "Names asked by the tree walk, in order.", key=["name"]),
    spec("dmarc.walk[].name", FactType.STR, "Name asked."),
    spec("dmarc.walk[].records", FactType.LIST_STR, "DMARC records there."),
    spec("dmarc.organizational_domain", FactType.STR, "Organizational domain by the tree walk (RFC 9989)."),
    spec(
        "dmarc.organizational_domain_psl", FactType.STR, "Organizational domain by the public suffix list (RFC 7489)."
    ),
    spec(
        "dmarc.organizational_domains_agree",
        FactType.BOOL,
        "Tree walk and public suffix list give the same organizational domain.",
    ),
    spec("dmarc.multiple_at", FactType.LIST_STR, "Domains with several DMARC records, all of which receivers discard."),
    spec(
        "dmarc.lookalikes", FactType.LIST_STR, "TXT records at _dmarc names that were meant as DMARC but are ignored."
    ),
    spec("dmarc.errors", FactType.LIST_DETAIL, "What is wrong in the record, for example p=rejct."),
    spec(
        "dmarc.policy",
        FactType.STR,
        "p= as published; none where p= is absent.",
        optional=True,
        values=["none", "quarantine", "reject"],
    ),
    spec("dmarc.policy_published", FactType.BOOL, "p= is in the record.", optional=True),
    spec(
        "dmarc.subdomain_policy",
        FactType.STR,
        "sp= as published.",
        optional=True,
        values=["none", "quarantine", "reject"],
    ),
    spec(
        "dmarc.nonexistent_policy",
        FactType.STR,
        "np= as published.",
        optional=True,
        values=["none", "quarantine", "reject"],
    ),
    spec("dmarc.weaker_subdomains", FactType.LIST_STR, "sp= or np= with a weaker policy than p=."),
    spec(
        "dmarc.effective_policy",
        FactType.STR,
        "What a receiver by RFC 9989 applies to this author domain, t=y taken into account.",
        optional=True,
        values=["none", "quarantine", "reject"],
    ),
    spec(
        "dmarc.effective_policy_legacy",
        FactType.STR,
        "What a receiver by RFC 7489 applies (pct counts, t does not).",
        optional=True,
        values=["none", "quarantine", "reject"],
    ),
    spec(
        "dmarc.policy_tag", FactType.STR, "The tag the policy was taken from.", optional=True, values=["p", "sp", "np"]
    ),
    spec(
        "dmarc.stage",
        FactType.STR,
        "Where the domain is on the way: no record, none, testing, quarantine, reject.",
        values=["absent", "none", "testing", "quarantine", "reject"],
    ),
    spec("dmarc.testing", FactType.BOOL, "t=y.", optional=True),
    spec("dmarc.pct", FactType.INT, "pct=, where published.", unit="percent", optional=True),
    spec("dmarc.psd", FactType.STR, "psd=.", optional=True, values=["y", "n", "u"]),
    spec("dmarc.adkim", FactType.STR, "DKIM alignment mode.", optional=True, values=["r", "s"]),
    spec("dmarc.aspf", FactType.STR, "SPF alignment mode.", optional=True, values=["r", "s"]),
    spec("dmarc.rua", FactType.LIST_STR, "Aggregate report addresses."),
    spec("dmarc.ruf", FactType.LIST_STR, "Failure report addresses."),
    spec("dmarc.invalid_uris", FactType.LIST_STR, "Report addresses that cannot be used."),
    spec("dmarc.rua_without_mx", FactType.LIST_STR, "Report domains that take no mail."),
    spec(
        "dmarc.report_domains_skipped",
        FactType.INT,
        f"Domains of report addresses beyond the first {MAX_REPORT_DOMAINS}, which nothing was asked about.",
        unit="domains",
    ),
    spec("dmarc.obsolete_tags", FactType.LIST_STR, "Tags that RFC 9989 dropped (pct, rf, ri, !size)."),
    spec("dmarc.unknown_tags", FactType.LIST_STR, "Tags that no RFC defines."),
    spec(
        "dmarc.external_reports",
        FactType.LIST_RECORD,
        "Report addresses at other organizations and whether these agreed.",
        key=["host"],
    ),
    spec("dmarc.external_reports[].host", FactType.STR, "Domain of the report address."),
    spec("dmarc.external_reports[].name", FactType.STR, "Name of the authorization record."),
    spec("dmarc.external_reports[].authorised", FactType.BOOL, "The authorization record is there."),
    spec(
        "dmarc.external_reports[].same_organization_psl",
        FactType.BOOL,
        "By the public suffix list it is our own organization, whose consent receivers by RFC 7489 do not ask for.",
    ),
    spec("dmarc.external_reports[].evidence", FactType.LIST_STR, "Ids of the evidence for this address."),
    spec("dmarc.labels", FactType.INT, "Labels of the author domain.", unit="labels"),
    spec("dmarc.record_at_author", FactType.BOOL, "The record stands at the author domain itself.", optional=True),
    spec(
        "dmarc.mail_from_organizational_domain",
        FactType.STR,
        "Organizational domain of the MAIL FROM domain.",
        optional=True,
    ),
    spec("dmarc.helo_organizational_domain", FactType.STR, "Organizational domain of the HELO name.", optional=True),
)


@auditor("dmarc", provides=PROVIDES, needs=("message.from_domain", "envelope.mail_from_domain", "envelope.helo"))
async def audit(ctx: Context) -> None:
    """Discover the policy; look up, in the same round trip, the organizational domains that alignment compares."""
    author = ctx.value("message.from_domain")
    domain = policy_domain(ctx.subject.domain, author)
    others = (ctx.value("envelope.mail_from_domain"), ctx.value("envelope.helo"), author)
    found, (mail_from, helo, _) = await asyncio.gather(
        discover_dmarc(domain, ctx.ports.dns), asyncio.gather(*(_organizational(ctx, other) for other in others))
    )
    evidence = tuple(ctx.cite_answer(step.answer) for step in found.steps)
    ctx.put("dmarc.author_domain", domain)
    ctx.put("dmarc.used", author == domain if isinstance(author, str) else None)
    ctx.put("dmarc.labels", domain.count(".") + 1)
    ctx.put("dmarc.mail_from_organizational_domain", mail_from)
    ctx.put("dmarc.helo_organizational_domain", helo)
    ctx.put("dmarc.organizational_domain", found.organizational_domain, *evidence)
    by_list = registrable_domain(domain)
    walked = found.organizational_domain
    ctx.put("dmarc.organizational_domain_psl", by_list)
    ctx.put(
        "dmarc.organizational_domains_agree", walked if isinstance(walked, Unknown) else walked == by_list, *evidence
    )
    ctx.put("dmarc.walk", tuple(_walked(step) for step in found.steps), *evidence)
    ctx.put("dmarc.multiple_at", _seen(found.steps, lambda s: (s.domain,) if len(s.records) > 1 else ()), *evidence)
    ctx.put("dmarc.lookalikes", _seen(found.steps, lambda s: s.lookalikes), *evidence)
    location = found.location
    if isinstance(location, Unknown):
        unknown = dict.fromkeys((path for path in _OF_RECORD if path not in ctx.stated), location)
        ctx.put_all(unknown, *evidence)
        return
    own = (dns_id(f"_dmarc.{location}", "TXT"),) if location is not None else evidence
    ctx.put_all(_record_facts(found, location), *own)
    record = found.record
    if record is None:
        ctx.put_all(dict.fromkeys(_REPORT_FACTS, ()), *own)
        ctx.put("dmarc.report_domains_skipped", 0, *own)
        return
    ctx.put("dmarc.rua", tuple(uri.uri for uri in record.rua), *own)
    ctx.put("dmarc.ruf", tuple(uri.uri for uri in record.ruf), *own)
    ctx.put("dmarc.invalid_uris", record.invalid_uris, *own)
    named = tuple(dict.fromkeys(uri.host for uri in (*record.rua, *record.ruf)))
    hosts = named[:MAX_REPORT_DOMAINS]
    ctx.put("dmarc.report_domains_skipped", len(named) - len(hosts), *own)
    place = location or domain
    ours = choose_organizational_domain(tuple(step for step in found.steps if is_within(place, step.domain)))
    without_mx, external = await asyncio.gather(
        asyncio.gather(*(_takes_no_mail(ctx, host) for host in hosts)),
        asyncio.gather(*(_external(ctx, host, place, ours) for host in hosts)),
    )
    failed = next((each for each in without_mx if isinstance(each, Unknown)), None)
    if failed is None and len(named) > len(hosts):
        failed = Unknown(Reason.LIMIT, REPORT_DOMAINS(n=len(hosts), all=len(named)))
    refusing = tuple(host for host, no_mail in zip(hosts, without_mx, strict=True) if no_mail is True)
    ctx.put("dmarc.rua_without_mx", failed if failed and not refusing else refusing, *(dns_id(h, "MX") for h in hosts))
    listed: tuple[dict[str, Value] | Unknown, ...] = tuple(each for each in external if each is not None)
    undecided = next((each for each in listed if isinstance(each, Unknown)), None)
    ctx.put(
        "dmarc.external_reports",
        undecided or listed,
        *(dns_id(str(each["name"]), "TXT") for each in listed if isinstance(each, dict)),
    )


_REPORT_FACTS = (
    "dmarc.rua",
    "dmarc.ruf",
    "dmarc.invalid_uris",
    "dmarc.rua_without_mx",
    "dmarc.external_reports",
)
_OF_RECORD = tuple(each.path for each in PROVIDES if "[]" not in each.path)


def policy_domain(audited: str, author: Value) -> str:
    """The domain whose record is described: the author domain where it belongs to the audited one, else the latter.

    What decides about a message is always the policy of its author domain: alignment.policy.
    """
    return author if isinstance(author, str) and is_within(author, audited) else audited


async def _organizational(ctx: Context, domain: Value) -> Value:
    return await home_of(domain, ctx.ports.dns) if isinstance(domain, str) else domain


def _walked(step: Step) -> Value:
    return {"name": f"_dmarc.{step.domain}", "records": step.failed or step.records}


def _seen(steps: tuple[Step, ...], pick: Callable[[Step], tuple[str, ...]]) -> Value:
    """What `pick` finds at the names that could be looked up; Unknown where the author's own name could not."""
    if steps[0].failed is not None:
        return steps[0].failed
    return tuple(each for step in steps for each in pick(step))


def _record_facts(found: Discovery, location: str | None) -> dict[str, Value]:
    record = found.record
    shown = record or (found.ignored.record if found.ignored else None)
    return {
        "dmarc.present": record is not None,
        "dmarc.record": shown.text if shown else None,
        "dmarc.location": location,
        "dmarc.ignored_at": found.ignored.domain if found.ignored else None,
        "dmarc.errors": shown.errors if shown else (),
        "dmarc.policy": _policy(record) if record else None,
        "dmarc.policy_published": "p" in shown.tags if shown else None,
        "dmarc.subdomain_policy": record.subdomain_policy if record else None,
        "dmarc.nonexistent_policy": record.nonexistent_policy if record else None,
        "dmarc.weaker_subdomains": tuple(f"{tag}={value}" for tag, value in record.weaker.items()) if record else (),
        "dmarc.effective_policy": found.policy,
        "dmarc.effective_policy_legacy": found.legacy_policy,
        "dmarc.policy_tag": found.tag,
        "dmarc.stage": _stage(found),
        "dmarc.testing": record.testing if record else None,
        "dmarc.pct": record.pct if record else None,
        "dmarc.psd": record.psd if record else None,
        "dmarc.adkim": record.adkim if record else None,
        "dmarc.aspf": record.aspf if record else None,
        "dmarc.obsolete_tags": shown.obsolete if shown else (),
        "dmarc.unknown_tags": shown.unknown_tags if shown else (),
        "dmarc.record_at_author": location == found.domain if record else None,
    }


def _policy(record: DmarcRecord) -> str | None:
    """What p= says, absent as none; None where it says what no receiver can use."""
    return record.policy if "p" in record.tags else record.published_policy


def _stage(found: Discovery) -> Value:
    """Where the domain stands on the way from none to reject; t=y on a stronger policy is the testing stage."""
    if found.record is None:
        return "absent"
    if isinstance(found.policy, Unknown):
        return found.policy
    return "testing" if found.record.testing and found.record.published_policy != "none" else found.policy


async def _takes_no_mail(ctx: Context, host: str) -> bool | Unknown:
    """Whether mail to `host` goes nowhere: a null MX, or neither MX nor address (RFC 5321 section 5.1)."""
    mx, a, aaaa = await asyncio.gather(*(ctx.query(host, rdtype) for rdtype in ("MX", "A", "AAAA")))
    if isinstance(mx, Found):
        return all(value.endswith(" .") for value in mx.values)
    if isinstance(mx, Failed):
        return unknown_from(mx)
    if isinstance(a, Found) or isinstance(aaaa, Found):
        return False
    failed = next((each for each in (a, aaaa) if isinstance(each, Failed)), None)
    return unknown_from(failed) if failed else True


async def _external(ctx: Context, host: str, location: str, ours: str | Unknown) -> dict[str, Value] | Unknown | None:
    """Whether a report domain agreed to take reports (RFC 9990 section 4); None: it is our own organization's."""
    if is_within(host, location):
        return None
    name = f"{location}._report._dmarc.{host}"
    theirs, answer = await asyncio.gather(organizational_domain(host, ctx.ports.dns), ctx.ports.dns.query(name, "TXT"))
    if isinstance(theirs, str) and theirs == ours:
        return None
    listed = registrable_domain(host) == registrable_domain(location)
    if not isinstance(theirs, str) and listed:
        return theirs
    authorised: Value
    match answer:
        case Found():
            authorised = any(is_dmarc(value.strip()) for value in answer.values)
        case Absent():
            authorised = False
        case Failed():
            authorised = unknown_from(answer)
    return {
        "host": host,
        "name": name,
        "authorised": authorised,
        "same_organization_psl": listed,
        "evidence": (ctx.cite_answer(answer),),
    }
