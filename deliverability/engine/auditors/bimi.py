"""BIMI: the logo that mailboxes may show beside the domain's mail.

The record and, where it may be fetched, the logo.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dmarc import Bimi
from deliverability.core.facts.message import Message
from deliverability.core.model.topic import cite
from deliverability.core.protocols.bimi import discover_bimi
from deliverability.engine.auditors.dmarc import policy_domain
from deliverability.engine.base import Context, auditor, http_evidence

_SELECTOR_FORM = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?){0,3}", re.I
)

_SELECTOR_TAG = re.compile(r"(?:^|;)\s*s\s*=\s*([^;\s]{1,200})", re.IGNORECASE)


@auditor("bimi", Bimi, needs=(Message,))
async def audit(ctx: Context) -> Bimi:
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
