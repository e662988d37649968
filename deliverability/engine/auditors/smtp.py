"""What the MX hosts show when called: STARTTLS, version, certificate, and whether DANE fits it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from deliverability.core.codes import ABOUT, ASKED, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.transport import CalledHost, Dane, DaneCertificate, DaneCertificates, DaneHost, MxTls
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.net.base import Failed, NoMailHost, Probed, unknown_from
from deliverability.core.protocols.dane import parse_tlsa, verify_dane
from deliverability.core.protocols.mx import is_literal, mx_names
from deliverability.engine.base import Context, auditor, dns_id, smtp_id

MAX_PROBED = 5
"""MX hosts that are called, the most preferred first."""
_MAX_NAMES = 50
NEED_PROBE = Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_PROBE_SMTP))


@auditor("smtp", MxTls, DaneCertificates, needs=(Dane,))
async def audit(ctx: Context) -> tuple[MxTls, DaneCertificates]:
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
        MxTls(mx_tls=tuple(_host(each) for each in probed.values()), evidence=cited),
        DaneCertificates(certificates=_certificates(ctx.of(Dane).hosts, probed), evidence=cited),
    )


def _lost(probed: NoMailHost) -> Unknown:
    return Unknown(probed.reason, ABOUT(what=ASKED(type="SMTP", name=probed.host), detail=probed.detail))


def _host(probed: Probed) -> CalledHost:
    evidence = (smtp_id(probed.host),)
    if isinstance(probed, NoMailHost):
        lost = _lost(probed)
        return CalledHost(
            host=probed.host,
            address=lost,
            reachable=lost,
            starttls=lost,
            tls_version=lost,
            tls_problem=lost,
            certificate_valid=lost,
            certificate_problem=lost,
            certificate_names=lost,
            evidence=evidence,
        )
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
