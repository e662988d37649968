"""Whether the domain exists and takes mail. May import auditors.base, model and ports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from deliverability.auditors.base import Context, auditor, dns_id, spec, unknown_from
from deliverability.model.facts import FactType, Unknown
from deliverability.ports.base import Absent, Answer, Failed, Found

PROVIDES = (
    spec("domain.exists", FactType.BOOL, "The audited domain exists in DNS."),
    spec("domain.mx", FactType.LIST_STR, "MX hosts in order of preference, the null MX as '.'."),
    spec("domain.null_mx", FactType.BOOL, "The domain publishes a null MX (RFC 7505)."),
    spec("domain.accepts_mail", FactType.BOOL, "It has an MX host, or an address and no MX."),
    spec("domain.mail_from_exists", FactType.BOOL, "The MAIL FROM domain exists in DNS.", optional=True),
)


@auditor("domain", provides=PROVIDES, needs=("envelope.mail_from_domain",))
async def audit(ctx: Context) -> None:
    """Ask for the records that make a domain exist and reachable, at the audited and the MAIL FROM domain."""
    domain = ctx.subject.domain
    mail_from = ctx.value("envelope.mail_from_domain")
    other = mail_from if isinstance(mail_from, str) and mail_from != domain else None
    own, foreign = await asyncio.gather(_ask(ctx, domain), _ask(ctx, other) if other else _nothing())
    exists = _exists(own.values())
    ctx.put("domain.exists", exists, *_ids(domain))
    if isinstance(mail_from, Unknown) or mail_from is None:
        ctx.put("domain.mail_from_exists", mail_from)
    elif other:
        ctx.put("domain.mail_from_exists", _exists(foreign.values()), *_ids(other))
    else:
        ctx.put("domain.mail_from_exists", exists, *_ids(domain))
    mx = own["MX"]
    if isinstance(mx, Failed):
        unknown = unknown_from(mx)
        ctx.put_all(
            dict.fromkeys(("domain.mx", "domain.null_mx", "domain.accepts_mail"), unknown), dns_id(domain, "MX")
        )
        return
    hosts = _hosts(mx)
    ctx.put("domain.mx", hosts, dns_id(domain, "MX"))
    ctx.put("domain.null_mx", hosts == (".",), dns_id(domain, "MX"))
    ctx.put("domain.accepts_mail", _accepts_mail(hosts, own), *_ids(domain))


_TYPES = ("MX", "A", "AAAA", "SOA")


async def _ask(ctx: Context, domain: str) -> dict[str, Answer]:
    answers = await asyncio.gather(*(ctx.query(domain, rdtype) for rdtype in _TYPES))
    return dict(zip(_TYPES, answers, strict=True))


async def _nothing() -> dict[str, Answer]:
    return {}


def _ids(domain: str) -> list[str]:
    return [dns_id(domain, rdtype) for rdtype in _TYPES]


def _exists(answers: Iterable[Answer]) -> bool | Unknown:
    """NXDOMAIN for one type is an answer for all (RFC 8020); "no such record" proves that the name is there."""
    seen = tuple(answers)
    if any(isinstance(answer, Found) or (isinstance(answer, Absent) and not answer.nxdomain) for answer in seen):
        return True
    if any(isinstance(answer, Absent) for answer in seen):
        return False
    return next(unknown_from(answer) for answer in seen if isinstance(answer, Failed))


def _hosts(mx: Answer) -> tuple[str, ...]:
    """MX hosts, most preferred first."""
    if not isinstance(mx, Found):
        return ()
    pairs = (value.partition(" ") for value in mx.values)
    ranked = sorted((int(preference) if preference.isdigit() else 65536, host) for preference, _, host in pairs)
    return tuple(host for _, host in ranked)


def _accepts_mail(hosts: tuple[str, ...], answers: dict[str, Answer]) -> bool | Unknown:
    """An MX host, or without any MX the domain's own address (RFC 5321 section 5.1)."""
    if hosts:
        return hosts != (".",)
    addresses = (answers["A"], answers["AAAA"])
    if any(isinstance(answer, Found) for answer in addresses):
        return True
    failed = next((answer for answer in addresses if isinstance(answer, Failed)), None)
    return unknown_from(failed) if failed else False
