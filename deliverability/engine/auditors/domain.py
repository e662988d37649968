"""Whether the domain and the other names that a mail is sent with exist and take mail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from deliverability.core.facts.base import FactType, Reason, Unknown, Value
from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.parts import header_evidence
from deliverability.core.model.services import provider_of
from deliverability.core.names import unreachable_among
from deliverability.core.net.base import Absent, Answer, Failed, Found, unknown_from
from deliverability.core.protocols.mx import MX_FIRST, is_literal, mx_names
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, dns_id, spec

MAX_MX_HOSTS = 10
"""MX hosts of one domain whose addresses are looked for."""
MAX_REPLY_DOMAINS = 10
"""So many domains of Reply-To are looked at; a reply to more people than that is nobody's intention."""

PROVIDES = (
    spec("domain.exists", FactType.BOOL, "The audited domain exists in DNS."),
    spec(
        "domain.existing_parent",
        FactType.STR,
        "Where it does not: the nearest name above it, up to its organizational domain, that does.",
        optional=True,
    ),
    spec("domain.mx", FactType.LIST_STR, "MX hosts in order of preference, the null MX as '.'."),
    spec("domain.null_mx", FactType.BOOL, "The domain publishes a null MX (RFC 7505)."),
    spec(
        "domain.accepts_mail",
        FactType.BOOL,
        "Mail can reach it: an MX host, or without MX the domain itself, has a public address.",
    ),
    spec(
        "domain.zone",
        FactType.STR,
        "The zone that the domain stands in: the nearest name with NS records, up to its organizational domain.",
        optional=True,
    ),
    spec("domain.name_servers", FactType.LIST_STR, "The name servers of that zone."),
    spec(
        "domain.dns_provider",
        FactType.STR,
        "Id of the DNS provider where its records are edited: as given, else the one that all name servers belong to.",
        optional=True,
    ),
    spec(
        "domain.author_accepts_mail",
        FactType.BOOL,
        "Mail can reach the From domain (the audited domain without a message): as domain.accepts_mail.",
        optional=True,
    ),
    spec(
        "domain.author_names_server",
        FactType.BOOL,
        "The From domain has an MX host, or an address and no MX, whatever the addresses.",
        optional=True,
    ),
    spec("domain.mail_from_exists", FactType.BOOL, "The MAIL FROM domain exists in DNS.", optional=True),
    spec(
        "domain.mail_from_has_records",
        FactType.BOOL,
        "The MAIL FROM domain has a record of some kind: MX, A, AAAA, TXT, NS, SOA or CNAME.",
        optional=True,
    ),
    spec(
        "domain.mail_from_accepts",
        FactType.BOOL,
        "Mail can reach the MAIL FROM domain: as domain.accepts_mail.",
        optional=True,
    ),
    spec(
        "domain.mail_from_names_server",
        FactType.BOOL,
        "The MAIL FROM domain has an MX host, or an address and no MX, whatever the addresses.",
        optional=True,
    ),
    spec(
        "domain.reply_to_domains",
        FactType.LIST_RECORD,
        f"Domains of the Reply-To addresses, at most {MAX_REPLY_DOMAINS}.",
        key=["domain"],
    ),
    spec("domain.reply_to_domains[].domain", FactType.STR, "Domain of a Reply-To address."),
    spec("domain.reply_to_domains[].accepts", FactType.BOOL, "Mail can reach it: as domain.accepts_mail."),
    spec(
        "domain.reply_to_domains[].names_server",
        FactType.BOOL,
        "It has an MX host, or an address and no MX, whatever the addresses.",
    ),
    spec("domain.reply_to_domains[].author", FactType.BOOL, "It is the From domain as well."),
    spec("domain.reply_to_domains[].evidence", FactType.LIST_STR, "Ids of the evidence for this domain."),
)

Answers = Mapping[str, Answer]

_ADDRESSES = ("A", "AAAA")
_MAIL = ("MX", *_ADDRESSES)
_EXISTENCE = (*_MAIL, "SOA")
_OWN = (*_EXISTENCE, "NS")
_ANY = (*_EXISTENCE, "TXT", "NS")  # an alias (CNAME) shows in the answer to each of these


@auditor("domain", provides=PROVIDES, needs=("envelope.mail_from_domain", "message.from_domain"))
async def audit(ctx: Context) -> None:
    """Ask at once for the records that make the audited, the From, the MAIL FROM and the Reply-To domains reachable."""
    domain = ctx.subject.domain
    mail_from = ctx.value("envelope.mail_from_domain")
    author = ctx.value("message.from_domain")
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
    own = answers[domain]
    receiving = dict.fromkeys((domain, *_names(author), *_names(mail_from), *replies))
    addresses = await _host_addresses(ctx, [answers[name]["MX"] for name in receiving])
    accepts = {name: _accepts_mail(name, answers[name], addresses) for name in receiving}
    _zone(ctx, {name: answers[name]["NS"] for name in (domain, *above)})
    exists = _exists(own[rdtype] for rdtype in _EXISTENCE)
    ctx.put("domain.exists", exists, *_ids(domain, _EXISTENCE))
    there = (name for name in above if _exists([answers[name]["NS"]]) is True)
    ctx.put("domain.existing_parent", next(there, None) if exists is False else None, *(dns_id(n, "NS") for n in above))
    _mail_from(ctx, mail_from, answers, accepts)
    if isinstance(author, str):
        ctx.put("domain.author_accepts_mail", accepts[author], *_mail_ids(author, answers[author]))
        ctx.put("domain.author_names_server", _names_server(answers[author]), *_ids(author, _MAIL))
    else:
        ctx.put_all(dict.fromkeys(("domain.author_accepts_mail", "domain.author_names_server"), author))
    listed = tuple(
        {
            "domain": name,
            "accepts": accepts[name],
            "names_server": _names_server(answers[name]),
            "author": name == author,
            "evidence": tuple(_mail_ids(name, answers[name])),
        }
        for name in replies
    )
    without = Unknown(Reason.NO_MESSAGE) if ctx.message is None else None
    ids = (*reply_ids, *(ident for name in replies for ident in _mail_ids(name, answers[name])))
    ctx.put("domain.reply_to_domains", without or listed, *ids)
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
    ctx.put("domain.accepts_mail", accepts[domain], *_mail_ids(domain, own))


def _up_to_organization(domain: str) -> tuple[str, ...]:
    """The names above the domain, the nearest first, up to its organizational domain."""
    top = registrable_domain(domain)
    names = []
    while domain != top and domain.endswith(f".{top}"):
        domain = domain.partition(".")[2]
        names.append(domain)
    return tuple(names)


def _zone(ctx: Context, answers: Mapping[str, Answer]) -> None:
    """Where the zone begins, who serves it, and at which provider that is. `answers`: NS by name, the nearest first."""
    stated = ctx.subject.dns_provider
    zone: Value = None
    servers: Value = ()
    provider: Value = stated
    ids = []
    for name, answer in answers.items():
        ids.append(dns_id(name, "NS"))
        if isinstance(answer, Failed):
            zone = servers = unknown = unknown_from(answer)
            provider = stated or unknown
            break
        if isinstance(answer, Found) and not answer.chain:
            found = provider_of(answer.values, ctx.knowledge.dns_providers.values())
            zone, servers = name, answer.values
            provider = stated or (found.id if found else None)
            break
    ctx.put_all({"domain.zone": zone, "domain.name_servers": servers, "domain.dns_provider": provider}, *ids)


def _mail_from(
    ctx: Context, domain: Value, answers: Mapping[str, Answers], accepts: Mapping[str, bool | Unknown]
) -> None:
    if not isinstance(domain, str):
        names = ("exists", "has_records", "accepts", "names_server")
        ctx.put_all({f"domain.mail_from_{each}": domain for each in names})
        return
    there = answers[domain]
    ctx.put("domain.mail_from_exists", _exists(there.values()), *_ids(domain, _EXISTENCE))
    ctx.put("domain.mail_from_has_records", _has_records(there.values()), *_ids(domain, _ANY))
    ctx.put("domain.mail_from_accepts", accepts[domain], *_mail_ids(domain, there))
    ctx.put("domain.mail_from_names_server", _names_server(there), *_ids(domain, _MAIL))


def _reply_domains(ctx: Context) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Domains of the Reply-To addresses, each once, and the evidence ids of the fields."""
    fields = ctx.message.fields("Reply-To")[:MAX_REPLY_DOMAINS] if ctx.message else ()
    boxes = (box for field in fields for box in parse_addresses(field.value))
    names = dict.fromkeys(box.domain for box in boxes if box.domain)
    return tuple(names)[:MAX_REPLY_DOMAINS], tuple(ctx.cite(header_evidence(field)) for field in fields)


def _names(domain: Value) -> tuple[str, ...]:
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
