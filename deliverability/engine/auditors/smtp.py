"""What the MX hosts show when called: STARTTLS, version, certificate, and whether DANE fits it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from deliverability.core.codes import ABOUT, ASKED, Input, needs
from deliverability.core.facts.base import FactType, Reason, Unknown, Value, texts_of
from deliverability.core.net.base import Failed, NoMailHost, Probed, unknown_from
from deliverability.core.protocols.dane import parse_tlsa, verify_dane
from deliverability.core.protocols.mx import is_literal, mx_names
from deliverability.engine.base import Context, auditor, dns_id, smtp_id, spec

MAX_PROBED = 5
"""MX hosts that are called, the most preferred first."""
_MAX_NAMES = 50
NEED_PROBE = Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_PROBE_SMTP))

PROVIDES = (
    spec(
        "transport.mx_tls",
        FactType.LIST_RECORD,
        f"The {MAX_PROBED} most preferred MX hosts as they answered on port 25; known only where they may be called.",
        key=["host"],
    ),
    spec("transport.mx_tls[].host", FactType.STR, "MX host."),
    spec("transport.mx_tls[].address", FactType.STR, "Address that was called."),
    spec("transport.mx_tls[].reachable", FactType.BOOL, "It takes connections; false: it refuses them."),
    spec("transport.mx_tls[].starttls", FactType.BOOL, "It offers STARTTLS.", optional=True),
    spec(
        "transport.mx_tls[].tls_version",
        FactType.STR,
        "Version that came about with a client that speaks them all; none where no TLS came about.",
        optional=True,
        values=["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
    ),
    spec("transport.mx_tls[].tls_problem", FactType.STR, "Why no TLS came about though offered.", optional=True),
    spec(
        "transport.mx_tls[].certificate_valid",
        FactType.BOOL,
        "Its certificate is of a known authority, in date, and names the host; none without TLS.",
        optional=True,
    ),
    spec("transport.mx_tls[].certificate_problem", FactType.STR, "Why it is not valid.", optional=True),
    spec("transport.mx_tls[].certificate_names", FactType.LIST_STR, "Host names in the certificate."),
    spec("transport.mx_tls[].evidence", FactType.LIST_STR, "Ids of the evidence for this host."),
    spec(
        "dane.certificates",
        FactType.LIST_RECORD,
        "MX hosts with TLSA records, and whether one fits the certificate; known only where they may be called.",
        key=["host"],
    ),
    spec("dane.certificates[].host", FactType.STR, "MX host."),
    spec("dane.certificates[].name", FactType.STR, "Name of the TLSA records."),
    spec(
        "dane.certificates[].matches",
        FactType.BOOL,
        "A TLSA record fits the certificate that the host shows; none where it showed none.",
        optional=True,
    ),
    spec("dane.certificates[].evidence", FactType.LIST_STR, "Ids of the evidence for this host."),
)


@auditor("smtp", provides=PROVIDES, needs=("dane.hosts",))
async def audit(ctx: Context) -> None:
    """Call the MX hosts where the user asked for that, and compare their certificates with the TLSA records."""
    if not ctx.ports.permissions.probe_smtp:
        ctx.put_all({"transport.mx_tls": NEED_PROBE, "dane.certificates": NEED_PROBE})
        return
    domain = ctx.subject.domain
    mx = await ctx.query(domain, "MX")
    own = dns_id(domain, "MX")
    if isinstance(mx, Failed):
        ctx.put_all(dict.fromkeys(("transport.mx_tls", "dane.certificates"), unknown_from(mx)), own)
        return
    hosts = [host for host in mx_names(mx) if not is_literal(host)][:MAX_PROBED]
    probed = dict(zip(hosts, await asyncio.gather(*(ctx.probe(host) for host in hosts)), strict=True))
    ids = [smtp_id(host) for host in probed]
    ctx.put("transport.mx_tls", tuple(_host(each) for each in probed.values()), own, *ids)
    ctx.put("dane.certificates", _certificates(ctx.value("dane.hosts"), probed), own, *ids)


def _lost(probed: NoMailHost) -> Unknown:
    return Unknown(probed.reason, ABOUT(what=ASKED(type="SMTP", name=probed.host), detail=probed.detail))


def _host(probed: Probed) -> Mapping[str, Value]:
    item: dict[str, Value] = {"host": probed.host, "evidence": (smtp_id(probed.host),)}
    if isinstance(probed, NoMailHost):
        paths = (each.path.partition("[].") for each in PROVIDES)
        names = [name for path, _, name in paths if path == "transport.mx_tls" and name]
        return dict.fromkeys(names, _lost(probed)) | item
    has_certificate = probed.certificate is not None
    return item | {
        "address": probed.address,
        "reachable": probed.reachable,
        "starttls": probed.starttls,
        "tls_version": probed.tls_version,
        "tls_problem": probed.tls_problem or None,
        "certificate_valid": not probed.certificate_problem if has_certificate else None,
        "certificate_problem": probed.certificate_problem or None,
        "certificate_names": certificate_names(probed.certificate) if probed.certificate else (),
    }


def certificate_names(der: bytes) -> tuple[str, ...]:
    """Host names of a certificate (subjectAltName); empty where it has none or cannot be read. Never raises."""
    from cryptography import x509

    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return tuple(names.value.get_values_for_type(x509.DNSName)[:_MAX_NAMES])
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return ()


def _certificates(dane: Value, probed: Mapping[str, Probed]) -> Value:
    """Whether a TLSA record fits what each host showed."""
    if not isinstance(dane, tuple):
        return dane
    listed: list[Value] = []
    for each in dane:
        if not isinstance(each, Mapping) or each["host"] not in probed:
            continue
        host = str(each["host"])
        shown, records = probed[host], each["records"]
        matches: Value
        if isinstance(shown, NoMailHost):
            matches = _lost(shown)
        elif shown.certificate is None or not isinstance(records, tuple):
            matches = None
        else:
            matches = verify_dane(shown.certificate, map(parse_tlsa, texts_of(records)))
        listed.append({"host": host, "name": each["name"], "matches": matches, "evidence": (smtp_id(host),)})
    return tuple(listed)
