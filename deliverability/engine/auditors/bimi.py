"""BIMI: the logo that mailboxes may show beside the domain's mail.

The record and, where it may be fetched, the logo.
"""

from __future__ import annotations

import re
from functools import cache

from deliverability.core.facts.base import FactType, Unknown, Value
from deliverability.core.protocols.bimi import BimiDiscovery, discover_bimi
from deliverability.engine.auditors.dmarc import policy_domain
from deliverability.engine.base import Context, auditor, http_evidence, spec

PROVIDES = (
    spec("bimi.domain", FactType.STR, "Domain it was looked up for: that of the DMARC policy."),
    spec("bimi.selector", FactType.STR, "Selector: that of BIMI-Selector in the message, else default."),
    spec("bimi.present", FactType.BOOL, "A BIMI record is published, valid or not."),
    spec("bimi.record", FactType.STR, "That record.", optional=True),
    spec("bimi.name", FactType.STR, "Name at which it stands.", optional=True),
    spec("bimi.declined", FactType.BOOL, "The record says that no logo is to be shown (empty l= and a=)."),
    spec("bimi.errors", FactType.LIST_DETAIL, "What is wrong with the record, one each."),
    spec("bimi.logo", FactType.STR, "l=, where the logo is.", optional=True),
    spec("bimi.certificate", FactType.STR, "a=, where the certificate is.", optional=True),
    spec(
        "bimi.logo_octets",
        FactType.INT,
        "Size of the logo; only where it may be fetched.",
        unit="octets",
        optional=True,
    ),
    spec("bimi.logo_errors", FactType.LIST_DETAIL, "Why the logo is no SVG Tiny PS; only where it may be fetched."),
    spec(
        "bimi.certificate_found",
        FactType.BOOL,
        "A certificate in PEM form is where a= says; it is not validated. Only where it may be fetched.",
        optional=True,
    ),
)


@cache
def _selector_form() -> re.Pattern[str]:
    return re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?){0,3}", re.I)


_SELECTOR_TAG = re.compile(r"(?:^|;)\s*s\s*=\s*([^;\s]{1,200})", re.IGNORECASE)


@auditor("bimi", provides=PROVIDES, needs=("message.from_domain",))
async def audit(ctx: Context) -> None:
    """Look at the domain, then at its organization; fetch what the record names only where the user asked for it."""
    domain = policy_domain(ctx.subject.domain, ctx.value("message.from_domain"))
    found = await discover_bimi(domain, ctx.ports.dns, ctx.ports.http, _selector(ctx))
    cited = [ctx.cite_answer(answer) for answer in found.answers]
    pages = {page.url: ctx.cite(http_evidence(page)) for page in found.pages}
    ctx.put("bimi.domain", found.domain)
    ctx.put("bimi.selector", found.selector)
    record = found.record
    if isinstance(record, Unknown):
        ctx.put_all({each.path: record for each in PROVIDES if each.path not in ctx.stated}, *cited)
        return
    ctx.put_all(
        {
            "bimi.present": record is not None,
            "bimi.record": record.text if record else None,
            "bimi.name": found.name,
            "bimi.declined": record is not None and record.declined,
            "bimi.errors": record.errors if record else (),
            "bimi.logo": record.logo if record else None,
            "bimi.certificate": record.certificate if record else None,
        },
        *cited,
    )
    ctx.put_all(_of_logo(found), *(ident for url, ident in pages.items() if record and url == record.logo))
    ids = (ident for url, ident in pages.items() if record and url == record.certificate)
    ctx.put("bimi.certificate_found", found.certificate_found, *ids)


def _of_logo(found: BimiDiscovery) -> dict[str, Value]:
    logo = found.logo
    if isinstance(logo, Unknown):
        return {"bimi.logo_octets": logo, "bimi.logo_errors": logo}
    return {"bimi.logo_octets": logo.octets if logo else None, "bimi.logo_errors": logo.errors if logo else ()}


def _selector(ctx: Context) -> str:
    field = ctx.message.first("BIMI-Selector") if ctx.message else None
    match = _SELECTOR_TAG.search(field.value[:1000]) if field else None
    return match[1].lower() if match and _selector_form().fullmatch(match[1]) else "default"
