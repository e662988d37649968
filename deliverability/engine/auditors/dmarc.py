"""The DMARC policy that counts for an author domain, and BIMI: the logo that mailboxes may show beside its mail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from msgspec.structs import replace

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dmarc import (
    MAX_REPORT_DOMAINS,
    Bimi,
    Dmarc,
    DmarcDiscovery,
    DmarcReports,
    ExternalReports,
    WalkStep,
)
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.message import Message
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Failed, Found, unknown_from
from deliverability.core.protocols.bimi import discover_bimi
from deliverability.core.protocols.dmarc.evaluate import home_of
from deliverability.core.protocols.dmarc.record import (
    Discovery,
    DmarcRecord,
    Step,
    choose_organizational_domain,
    discover_dmarc,
    is_dmarc,
    organizational_domain,
)
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, dns_id, http_evidence

REPORT_DOMAINS = Code("report-domains-first", ("n", "all"))


@auditor("dmarc", DmarcDiscovery, Dmarc, DmarcReports, needs=(Message, Envelope))
async def audit(ctx: Context) -> tuple[DmarcDiscovery, Dmarc, DmarcReports]:
    """Discover the policy; look up, in the same round trip, the organizational domains that alignment compares."""
    author, envelope = ctx.of(Message).from_domain, ctx.of(Envelope)
    domain = policy_domain(ctx.subject.domain, author)
    others = (envelope.mail_from_domain, envelope.helo, author)
    found, (mail_from, helo, _) = await asyncio.gather(
        discover_dmarc(domain, ctx.ports.dns), asyncio.gather(*(home_of(other, ctx.ports.dns) for other in others))
    )
    evidence = tuple(ctx.cite_answer(step.answer) for step in found.steps)
    by_list = registrable_domain(domain)
    walked = found.organizational_domain
    discovery = DmarcDiscovery(
        author_domain=domain,
        used=author == domain if isinstance(author, str) else None,
        labels=domain.count(".") + 1,
        walk=tuple(_walked(step) for step in found.steps),
        organizational_domain=walked,
        organizational_domain_psl=by_list,
        organizational_domains_agree=walked if isinstance(walked, Unknown) else walked == by_list,
        multiple_at=_seen(found.steps, lambda s: (s.domain,) if len(s.records) > 1 else ()),
        lookalikes=_seen(found.steps, lambda s: s.lookalikes),
        mail_from_organizational_domain=mail_from,
        helo_organizational_domain=helo,
        evidence=cite(
            *evidence,
            author_domain=(),
            used=(),
            labels=(),
            organizational_domain_psl=(),
            mail_from_organizational_domain=(),
            helo_organizational_domain=(),
        ),
    )
    location = found.location
    if isinstance(location, Unknown):
        return discovery, Dmarc.lost(location, *evidence), DmarcReports.lost(location, *evidence)
    own = (dns_id(f"_dmarc.{location}", "TXT"),) if location is not None else evidence
    return discovery, _record_facts(found, location, own), await _reports(ctx, found, location or domain, own)


async def _reports(ctx: Context, found: Discovery, place: str, own: tuple[str, ...]) -> DmarcReports:
    record = found.record
    if record is None:
        return DmarcReports(
            rua=(),
            ruf=(),
            invalid_uris=(),
            rua_without_mx=(),
            report_domains_skipped=0,
            external_reports=(),
            evidence=cite(*own),
        )
    named = tuple(dict.fromkeys(uri.host for uri in (*record.rua, *record.ruf)))
    hosts = named[:MAX_REPORT_DOMAINS]
    ours = choose_organizational_domain(tuple(step for step in found.steps if is_within(place, step.domain)))
    without_mx, external = await asyncio.gather(
        asyncio.gather(*(_takes_no_mail(ctx, host) for host in hosts)),
        asyncio.gather(*(_external(ctx, host, place, ours) for host in hosts)),
    )
    failed = next((each for each in without_mx if isinstance(each, Unknown)), None)
    if failed is None and len(named) > len(hosts):
        failed = Unknown(Reason.LIMIT, REPORT_DOMAINS(n=len(hosts), all=len(named)))
    refusing = tuple(host for host, no_mail in zip(hosts, without_mx, strict=True) if no_mail is True)
    undecided = next((each for each in external if isinstance(each, Unknown)), None)
    listed = tuple(each for each in external if isinstance(each, ExternalReports))
    return DmarcReports(
        rua=tuple(uri.uri for uri in record.rua),
        ruf=tuple(uri.uri for uri in record.ruf),
        invalid_uris=record.invalid_uris,
        rua_without_mx=failed if failed and not refusing else refusing,
        report_domains_skipped=len(named) - len(hosts),
        external_reports=undecided or listed,
        evidence=cite(
            *own,
            rua_without_mx=tuple(dns_id(host, "MX") for host in hosts),
            external_reports=tuple(dns_id(each.name, "TXT") for each in listed),
        ),
    )


def policy_domain(audited: str, author: Maybe[str | None]) -> str:
    """The domain whose record is described: the author domain where it belongs to the audited one, else the latter.

    What decides about a message is always the policy of its author domain: alignment.policy.
    """
    return author if isinstance(author, str) and is_within(author, audited) else audited


def _walked(step: Step) -> WalkStep:
    return WalkStep(name=f"_dmarc.{step.domain}", records=step.failed or step.records)


def _seen(steps: tuple[Step, ...], pick: Callable[[Step], tuple[str, ...]]) -> Maybe[tuple[str, ...]]:
    """What `pick` finds at the names that could be looked up; Unknown where the author's own name could not."""
    if steps[0].failed is not None:
        return steps[0].failed
    return tuple(each for step in steps for each in pick(step))


def _record_facts(found: Discovery, location: str | None, own: tuple[str, ...]) -> Dmarc:
    record = found.record
    shown = record or (found.ignored.record if found.ignored else None)
    return Dmarc(
        present=record is not None,
        record=shown.text if shown else None,
        location=location,
        ignored_at=found.ignored.domain if found.ignored else None,
        errors=shown.errors if shown else (),
        policy=_policy(record) if record else None,
        policy_published="p" in shown.tags if shown else None,
        subdomain_policy=record.subdomain_policy if record else None,
        nonexistent_policy=record.nonexistent_policy if record else None,
        weaker_subdomains=tuple(f"{tag}={value}" for tag, value in record.weaker.items()) if record else (),
        effective_policy=found.policy,
        effective_policy_legacy=found.legacy_policy,
        policy_tag=found.tag,
        stage=_stage(found),
        testing=record.testing if record else None,
        pct=record.pct if record else None,
        psd=record.psd if record else None,
        adkim=record.adkim if record else None,
        aspf=record.aspf if record else None,
        obsolete_tags=shown.obsolete if shown else (),
        unknown_tags=shown.unknown_tags if shown else (),
        record_at_author=location == found.domain if record else None,
        evidence=cite(*own),
    )


def _policy(record: DmarcRecord) -> str | None:
    """What p= says, absent as none; None where it says what no receiver can use."""
    return record.policy if "p" in record.tags else record.published_policy


def _stage(found: Discovery) -> Maybe[str]:
    """Where the domain stands on the way from none to reject; t=y on a stronger policy is the testing stage."""
    if found.record is None or found.policy is None:
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


async def _external(ctx: Context, host: str, location: str, ours: str | Unknown) -> ExternalReports | Unknown | None:
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
    authorised: Maybe[bool]
    match answer:
        case Found():
            authorised = any(is_dmarc(value.strip()) for value in answer.values)
        case Absent():
            authorised = False
        case Failed():
            authorised = unknown_from(answer)
    return ExternalReports(
        host=host,
        name=name,
        authorised=authorised,
        same_organization_psl=listed,
        evidence=(ctx.cite_answer(answer),),
    )


_SELECTOR_FORM = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?){0,3}", re.I | re.A
)

_SELECTOR_TAG = re.compile(r"(?:^|;)\s*s\s*=\s*([^;\s]{1,200})", re.IGNORECASE)


@auditor("bimi", Bimi, needs=(Message,))
async def bimi_audit(ctx: Context) -> Bimi:
    """Look at the domain, then at its organization; fetch what the record names only where the user asked for it."""
    domain = policy_domain(ctx.subject.domain, ctx.of(Message).from_domain)
    found = await discover_bimi(domain, ctx.ports.dns, ctx.ports.http, _selector(ctx))
    cited = tuple(ctx.cite_answer(answer) for answer in found.answers)
    pages = {page.url: ctx.cite(http_evidence(page)) for page in found.pages}
    record = found.record
    if isinstance(record, Unknown):
        return replace(
            Bimi.lost(record),
            domain=found.domain,
            selector=found.selector,
            evidence=cite(*cited, domain=(), selector=()),
        )
    logo = found.logo
    of_logo = tuple(ident for url, ident in pages.items() if record and url == record.logo)
    return Bimi(
        domain=found.domain,
        selector=found.selector,
        present=record is not None,
        record=record.text if record else None,
        name=found.name,
        declined=record is not None and record.declined,
        errors=record.errors if record else (),
        logo=record.logo if record else None,
        certificate=record.certificate if record else None,
        logo_octets=logo if isinstance(logo, Unknown) else logo.octets if logo else None,
        logo_errors=logo if isinstance(logo, Unknown) else logo.errors if logo else (),
        certificate_found=found.certificate_found,
        evidence=cite(
            *cited,
            domain=(),
            selector=(),
            logo_octets=of_logo,
            logo_errors=of_logo,
            certificate_found=tuple(ident for url, ident in pages.items() if record and url == record.certificate),
        ),
    )


def _selector(ctx: Context) -> str:
    field = ctx.message.first("BIMI-Selector") if ctx.message else None
    match = _SELECTOR_TAG.search(field.value[:1000]) if field else None
    return match[1].lower() if match and _SELECTOR_FORM.fullmatch(match[1]) else "default"
