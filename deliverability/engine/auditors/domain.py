"""Whether the domain and the other names that a mail is sent with exist and take mail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.domain import (
    MAX_REPLY_DOMAINS,
    AuthorDomain,
    Domain,
    DomainZone,
    MailFromDomain,
    ReplyToDomain,
    ReplyToDomains,
)
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.message import Message
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.parts import header_evidence
from deliverability.core.model.services import provider_of
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import unreachable_among
from deliverability.core.net.base import Absent, Answer, Failed, Found, unknown_from
from deliverability.core.protocols.mx import MX_FIRST, is_literal, mx_names
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, dns_id

MAX_MX_HOSTS = 10
"""MX hosts of one domain whose addresses are looked for."""


Answers = Mapping[str, Answer]

_ADDRESSES = ("A", "AAAA")
_MAIL = ("MX", *_ADDRESSES)
_EXISTENCE = (*_MAIL, "SOA")
_OWN = (*_EXISTENCE, "NS")
_ANY = (*_EXISTENCE, "TXT", "NS")  # an alias (CNAME) shows in the answer to each of these


@auditor("domain", Domain, DomainZone, AuthorDomain, MailFromDomain, ReplyToDomains, needs=(Envelope, Message))
async def audit(ctx: Context) -> tuple[Domain, DomainZone, AuthorDomain, MailFromDomain, ReplyToDomains]:
    """Ask at once for the records that make the audited, the From, the MAIL FROM and the Reply-To domains reachable."""
    domain = ctx.subject.domain
    mail_from = ctx.of(Envelope).mail_from_domain
    author = ctx.of(Message).from_domain
    if isinstance(author, Unknown) and author.reason is Reason.NO_MESSAGE:
        author = domain
    replies, reply_ids = _reply_domains(ctx)
    wanted: dict[str, tuple[str, ...]] = dict.fromkeys((*replies, *_names(author)), _MAIL)
    above = _up_to_organization(domain)
    for names, rdtypes in (((domain,), _OWN), (_names(mail_from), _ANY), (above, ("NS",))):
        for name in names:
            wanted[name] = tuple(dict.fromkeys((*wanted.get(name, ()), *rdtypes)))
    asked = await asyncio.gather(*(_ask(ctx, name, rdtypes) for name, rdtypes in wanted.items()))
    answers = dict(zip(wanted, asked, strict=True))
    receiving = dict.fromkeys((domain, *_names(author), *_names(mail_from), *replies))
    addresses = await _host_addresses(ctx, [answers[name]["MX"] for name in receiving])
    accepts = {name: _accepts_mail(name, answers[name], addresses) for name in receiving}
    listed = tuple(
        ReplyToDomain(
            domain=name,
            accepts=accepts[name],
            names_server=_names_server(answers[name]),
            author=name == author,
            evidence=tuple(_mail_ids(name, answers[name])),
        )
        for name in replies
    )
    return (
        _domain(domain, above, answers, accepts[domain]),
        _zone(ctx, {name: answers[name]["NS"] for name in (domain, *above)}),
        _author(author, answers, accepts),
        _mail_from(mail_from, answers, accepts),
        ReplyToDomains(
            reply_to_domains=Unknown(Reason.NO_MESSAGE) if ctx.message is None else listed,
            evidence=cite(*reply_ids, *(ident for each in listed for ident in each.evidence)),
        ),
    )


def _domain(
    domain: str, above: tuple[str, ...], answers: Mapping[str, Answers], accepts_mail: bool | Unknown
) -> Domain:
    own = answers[domain]
    exists = _exists(own[rdtype] for rdtype in _EXISTENCE)
    there = (name for name in above if _exists([answers[name]["NS"]]) is True)
    mx = own["MX"]
    failed = unknown_from(mx) if isinstance(mx, Failed) else None
    hosts = _hosts(mx)
    of_mx = dns_id(domain, "MX")
    return Domain(
        exists=exists,
        existing_parent=next(there, None) if exists is False else None,
        mx=failed or hosts,
        null_mx=failed or hosts == (".",),
        accepts_mail=failed or accepts_mail,
        evidence=cite(
            of_mx,
            exists=tuple(_ids(domain, _EXISTENCE)),
            existing_parent=tuple(dns_id(name, "NS") for name in above),
            accepts_mail=(of_mx,) if failed else tuple(_mail_ids(domain, own)),
        ),
    )


def _up_to_organization(domain: str) -> tuple[str, ...]:
    """The names above the domain, the nearest first, up to its organizational domain."""
    top = registrable_domain(domain)
    names = []
    while domain != top and domain.endswith(f".{top}"):
        domain = domain.partition(".")[2]
        names.append(domain)
    return tuple(names)


def _zone(ctx: Context, answers: Mapping[str, Answer]) -> DomainZone:
    """Where the zone begins, who serves it, and at which provider that is. `answers`: NS by name, the nearest first."""
    stated = ctx.subject.dns_provider
    ids = []
    for name, answer in answers.items():
        ids.append(dns_id(name, "NS"))
        if isinstance(answer, Failed):
            unknown = unknown_from(answer)
            return DomainZone(zone=unknown, name_servers=unknown, dns_provider=stated or unknown, evidence=cite(*ids))
        if isinstance(answer, Found) and not answer.chain:
            found = provider_of(answer.values, ctx.knowledge.dns_providers.values())
            return DomainZone(
                zone=name,
                name_servers=answer.values,
                dns_provider=stated or (found.id if found else None),
                evidence=cite(*ids),
            )
    return DomainZone(zone=None, name_servers=(), dns_provider=stated, evidence=cite(*ids))


def _author(
    author: Maybe[str | None], answers: Mapping[str, Answers], accepts: Mapping[str, bool | Unknown]
) -> AuthorDomain:
    if not isinstance(author, str):
        return AuthorDomain(author_accepts_mail=author, author_names_server=author)
    return AuthorDomain(
        author_accepts_mail=accepts[author],
        author_names_server=_names_server(answers[author]),
        evidence=cite(*_mail_ids(author, answers[author]), author_names_server=tuple(_ids(author, _MAIL))),
    )


def _mail_from(
    domain: Maybe[str | None], answers: Mapping[str, Answers], accepts: Mapping[str, bool | Unknown]
) -> MailFromDomain:
    if not isinstance(domain, str):
        return MailFromDomain(
            mail_from_exists=domain,
            mail_from_has_records=domain,
            mail_from_accepts=domain,
            mail_from_names_server=domain,
        )
    there = answers[domain]
    return MailFromDomain(
        mail_from_exists=_exists(there.values()),
        mail_from_has_records=_has_records(there.values()),
        mail_from_accepts=accepts[domain],
        mail_from_names_server=_names_server(there),
        evidence=cite(
            mail_from_exists=tuple(_ids(domain, _EXISTENCE)),
            mail_from_has_records=tuple(_ids(domain, _ANY)),
            mail_from_accepts=tuple(_mail_ids(domain, there)),
            mail_from_names_server=tuple(_ids(domain, _MAIL)),
        ),
    )


def _reply_domains(ctx: Context) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Domains of the Reply-To addresses, each once, and the evidence ids of the fields."""
    fields = ctx.message.fields("Reply-To")[:MAX_REPLY_DOMAINS] if ctx.message else ()
    boxes = (box for field in fields for box in parse_addresses(field.value))
    names = dict.fromkeys(box.domain for box in boxes if box.domain)
    return tuple(names)[:MAX_REPLY_DOMAINS], tuple(ctx.cite(header_evidence(field)) for field in fields)


def _names(domain: Maybe[str | None]) -> tuple[str, ...]:
    return (domain,) if isinstance(domain, str) else ()


async def _ask(ctx: Context, domain: str, rdtypes: tuple[str, ...]) -> Answers:
    answers = await asyncio.gather(*(ctx.query(domain, rdtype) for rdtype in rdtypes))
    return dict(zip(rdtypes, answers, strict=True))


def _ids(domain: str, rdtypes: tuple[str, ...]) -> list[str]:
    return [dns_id(domain, rdtype) for rdtype in rdtypes]


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


def _has_records(answers: Iterable[Answer]) -> bool | Unknown:
    """Whether the name itself holds a record; a name that only has others below it holds none."""
    seen = tuple(answers)
    if any(isinstance(answer, Found) or (isinstance(answer, Absent) and answer.chain) for answer in seen):
        return True
    if _exists(seen) is False:
        return False
    failed = next((answer for answer in seen if isinstance(answer, Failed)), None)
    return unknown_from(failed) if failed else False


async def _host_addresses(ctx: Context, answers: Iterable[Answer]) -> Mapping[str, tuple[Answer, ...]]:
    """The A and AAAA answers of the first hosts of each MX answer."""
    names = list(dict.fromkeys(host for mx in answers for host in _first_hosts(mx)))
    found = await asyncio.gather(*(_ask(ctx, host, _ADDRESSES) for host in names))
    return {host: tuple(each.values()) for host, each in zip(names, found, strict=True)}


def _first_hosts(mx: Answer) -> tuple[str, ...]:
    """The hosts that are asked for; an address in the place of a name is no host."""
    return tuple(host for host in mx_names(mx)[:MAX_MX_HOSTS] if not is_literal(host))


def _mail_ids(domain: str, answers: Answers) -> list[str]:
    hosts = _first_hosts(answers["MX"])
    return [*_ids(domain, _MAIL), *(dns_id(host, rdtype) for host in hosts for rdtype in _ADDRESSES)]


def _names_server(answers: Answers) -> bool | Unknown:
    """An MX host, or without any MX the domain's own address (RFC 5321 section 5.1); a null MX names none."""
    mx = answers["MX"]
    if isinstance(mx, Failed):
        return unknown_from(mx)
    if isinstance(mx, Found):
        return _hosts(mx) != (".",)
    addresses = (answers["A"], answers["AAAA"])
    if any(isinstance(answer, Found) for answer in addresses):
        return True
    failed = next((answer for answer in addresses if isinstance(answer, Failed)), None)
    return unknown_from(failed) if failed else False


def _accepts_mail(domain: str, answers: Answers, hosts: Mapping[str, tuple[Answer, ...]]) -> bool | Unknown:
    """Whether a server it names has an address that mail can be sent to; one that is found is enough.

    Addresses for documentation count here: zones that were made anonymous have them throughout. mx.hosts names them.
    """
    named = _names_server(answers)
    if named is not True:
        return named
    mx = answers["MX"]
    there = {host: hosts[host] for host in _first_hosts(mx)}
    if not isinstance(mx, Found):
        there = {domain: (answers["A"], answers["AAAA"])}
    for seen in there.values():
        values = [value for answer in seen if isinstance(answer, Found) for value in answer.values]
        if len(unreachable_among(values, example=True)) < len(values):
            return True
    failed = next((answer for seen in there.values() for answer in seen if isinstance(answer, Failed)), None)
    if failed is None and len(mx_names(mx)) > MAX_MX_HOSTS:
        return Unknown(Reason.LIMIT, MX_FIRST(n=MAX_MX_HOSTS, all=len(mx_names(mx))))
    return unknown_from(failed) if failed else False
