"""The MX hosts of the domain: whether mail can reach them, and what they show when called.

When called: STARTTLS, version, certificate, and whether DANE fits it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address

from deliverability.core.codes import ABOUT, ASKED, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.domain import Mx, MxHost
from deliverability.core.facts.transport import CalledHost, Dane, DaneCertificate, DaneCertificates, DaneHost, MxTls
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_example, unreachable_among
from deliverability.core.net.base import Answer, Failed, Found, NoMailHost, Probed, unknown_from
from deliverability.core.protocols.dane import parse_tlsa, verify_dane
from deliverability.core.protocols.mx import MAX_HOSTS, MX_FIRST, is_literal, mx_entries, mx_names
from deliverability.engine.base import Context, auditor, dns_id, smtp_id


@auditor("mx", Mx)
async def audit(ctx: Context) -> Mx:
    """Ask for the MX records, then for the addresses of all hosts at once."""
    domain = ctx.subject.domain
    answer = await ctx.query(domain, "MX")
    own = dns_id(domain, "MX")
    if isinstance(answer, Failed):
        return Mx.lost(unknown_from(answer), own)
    entries = mx_entries(answer)
    hosts = [host for _, host in entries]
    named = mx_names(answer)
    times = Counter(hosts)
    preferences = {host: preference for preference, host in reversed(entries)}
    items = await asyncio.gather(*(_host(ctx, host, preferences[host]) for host in named[:MAX_HOSTS]))
    limit = Unknown(Reason.LIMIT, MX_FIRST(n=MAX_HOSTS, all=len(named)))
    items += [_unseen(host, preferences[host], limit) for host in named[MAX_HOSTS:]]
    ids = [dns_id(host, rdtype) for host in named[:MAX_HOSTS] for rdtype in ("A", "AAAA") if not is_literal(host)]
    return Mx(
        hosts=tuple(items),
        duplicates=tuple(host for host in named if times[host] > 1),
        null_beside_others="." in hosts and bool(named),
        evidence=cite(own, hosts=(own, *ids)),
    )


async def _host(ctx: Context, host: str, preference: int | None) -> MxHost:
    if is_literal(host):
        return MxHost(
            host=host,
            preference=preference,
            addresses=(),
            alias=None,
            literal=True,
            has_address=False,
            has_ip6=False,
            unreachable=(),
            public=False,
            evidence=(),
        )
    answers = await asyncio.gather(*(ctx.query(host, rdtype) for rdtype in ("A", "AAAA")))
    addresses = tuple(value for answer in answers if isinstance(answer, Found) for value in answer.values)
    failed = next((unknown_from(answer) for answer in answers if isinstance(answer, Failed)), None)
    wrong = unreachable_among(addresses, example=is_example(ctx.subject.domain))
    public = len(unreachable_among(addresses, example=True)) < len(addresses)
    return MxHost(
        host=host,
        preference=preference,
        addresses=failed or addresses,
        alias=_alias(answers),
        literal=False,
        has_address=True if addresses else failed or False,
        has_ip6=_has_ip6(answers[1]),
        unreachable=wrong or failed or (),
        public=True if public else failed or False,
        evidence=tuple(dns_id(host, rdtype) for rdtype in ("A", "AAAA")),
    )


def _unseen(host: str, preference: int | None, limit: Unknown) -> MxHost:
    return MxHost(
        host=host,
        preference=preference,
        addresses=limit,
        alias=limit,
        literal=is_literal(host),
        has_address=limit,
        has_ip6=limit,
        unreachable=limit,
        public=limit,
        evidence=(),
    )


def _has_ip6(answer: Answer) -> Maybe[bool]:
    """Whether AAAA gives an address of IPv6 proper."""
    match answer:
        case Failed():
            return unknown_from(answer)
        case Found():
            return any(map(_is_ip6, answer.values))
    return False


def _is_ip6(value: str) -> bool:
    """Whether it is an IPv6 address, and none of IPv4 in disguise; a name server may hand out anything as one."""
    try:
        return IPv6Address(value).ipv4_mapped is None
    except ValueError:
        return False


def _alias(answers: Sequence[Answer]) -> Maybe[str | None]:
    """The CNAME target of the host. One answer is enough to tell: an alias holds for all types."""
    answered = [answer for answer in answers if not isinstance(answer, Failed)]
    for answer in answered:
        if answer.chain:
            return answer.chain[0]
    return None if answered else next(unknown_from(answer) for answer in answers if isinstance(answer, Failed))


MAX_PROBED = 5
"""MX hosts that are called, the most preferred first."""
_MAX_NAMES = 50
NEED_PROBE = Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_PROBE_SMTP))


@auditor("smtp", MxTls, DaneCertificates, needs=(Dane,))
async def smtp_audit(ctx: Context) -> tuple[MxTls, DaneCertificates]:
    """Call the MX hosts where the user asked for that, and compare their certificates with the TLSA records."""
    if not ctx.ports.permissions.probe_smtp:
        return MxTls.lost(NEED_PROBE), DaneCertificates.lost(NEED_PROBE)
    domain = ctx.subject.domain
    mx = await ctx.query(domain, "MX")
    own = dns_id(domain, "MX")
    if isinstance(mx, Failed):
        return MxTls.lost(unknown_from(mx), own), DaneCertificates.lost(unknown_from(mx), own)
    hosts = [host for host in mx_names(mx) if not is_literal(host)][:MAX_PROBED]
    probed = dict(zip(hosts, await asyncio.gather(*(ctx.probe(host) for host in hosts)), strict=True))
    cited = cite(own, *(smtp_id(host) for host in probed))
    return (
        MxTls(mx_tls=tuple(_called(each) for each in probed.values()), evidence=cited),
        DaneCertificates(certificates=_certificates(ctx.of(Dane).hosts, probed), evidence=cited),
    )


def _lost(probed: NoMailHost) -> Unknown:
    return Unknown(probed.reason, ABOUT(what=ASKED(type="SMTP", name=probed.host), detail=probed.detail))


def _called(probed: Probed) -> CalledHost:
    evidence = (smtp_id(probed.host),)
    if isinstance(probed, NoMailHost):
        return CalledHost.lost(_lost(probed), host=probed.host, evidence=evidence)
    return CalledHost(
        host=probed.host,
        address=probed.address,
        reachable=probed.reachable,
        starttls=probed.starttls,
        tls_version=probed.tls_version,
        tls_problem=probed.tls_problem or None,
        certificate_valid=not probed.certificate_problem if probed.certificate is not None else None,
        certificate_problem=probed.certificate_problem or None,
        certificate_names=certificate_names(probed.certificate) if probed.certificate else (),
        evidence=evidence,
    )


def certificate_names(der: bytes) -> tuple[str, ...]:
    """Host names of a certificate (subjectAltName); empty where it has none or cannot be read. Never raises."""
    from cryptography import x509

    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return tuple(names.value.get_values_for_type(x509.DNSName)[:_MAX_NAMES])
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return ()


def _certificates(
    dane: Maybe[tuple[DaneHost, ...]], probed: Mapping[str, Probed]
) -> Maybe[tuple[DaneCertificate, ...]]:
    """Whether a TLSA record fits what each host showed."""
    if isinstance(dane, Unknown):
        return dane
    return tuple(
        DaneCertificate(
            host=each.host,
            name=each.name,
            matches=_matches(each, probed[each.host]),
            evidence=(smtp_id(each.host),),
        )
        for each in dane
        if each.host in probed
    )


def _matches(host: DaneHost, shown: Probed) -> Maybe[bool | None]:
    if isinstance(shown, NoMailHost):
        return _lost(shown)
    return None if shown.certificate is None else verify_dane(shown.certificate, map(parse_tlsa, host.records))
