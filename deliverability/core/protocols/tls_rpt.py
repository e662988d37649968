"""TLS-RPT (RFC 8460): where senders report how TLS to the domain went."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Unknown
from deliverability.core.net.base import Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.text_record import MAX_ERRORS, TAG_MISSING, TAG_VALUE, choose_record


class TlsRptRecord(Struct, frozen=True):
    """The record (RFC 8460 section 3).

    Attributes:
        text: as published.
        rua: where reports go, usable or not.
        errors: what is wrong, one each.

    """

    text: str
    rua: tuple[str, ...] = ()
    errors: tuple[Detail, ...] = ()


class TlsRptDiscovery(Struct, frozen=True):
    """What a domain says about reports.

    Attributes:
        domain: A-label, lower case.
        record: None: there is none; Unknown: could not be looked up.
        answer: the DNS answer that it comes from.

    """

    domain: str
    record: TlsRptRecord | Unknown | None
    answer: Answer


async def discover_tls_rpt(domain: str, resolver: Resolver) -> TlsRptDiscovery:
    """Find the TLS-RPT record of a domain (an A-label). Never raises for what DNS can hold."""
    domain = domain.rstrip(".").lower()
    answer = await resolver.query(f"_smtp._tls.{domain}", "TXT")
    if isinstance(answer, Failed):
        return TlsRptDiscovery(domain, unknown_from(answer), answer)
    return TlsRptDiscovery(domain, parse_tls_rpt(answer.values) if isinstance(answer, Found) else None, answer)


def parse_tls_rpt(values: Sequence[str]) -> TlsRptRecord | None:
    """The TLS-RPT record among TXT records (RFC 8460 section 3). Never raises."""
    found = choose_record(values, "TLSRPTv1")
    if found is None:
        return None
    rua = tuple(uri for each in found.fields.get("rua", "").split(",") if (uri := each.strip()))
    errors = list(found.errors)
    if not rua:
        errors.append(TAG_MISSING(name="rua"))
    errors += [TAG_VALUE(name="rua", value=uri[:60]) for uri in rua if not _is_report_uri(uri)]
    return TlsRptRecord(found.text, rua, tuple(errors[:MAX_ERRORS]))


def _is_report_uri(uri: str) -> bool:
    scheme, colon, rest = uri.partition(":")
    if not colon or any(character.isspace() for character in uri):
        return False
    if scheme.lower() == "mailto":
        return bool(rest.partition("@")[0]) and "." in rest.partition("@")[2]
    return scheme.lower() == "https" and rest.startswith("//") and len(rest) > 2
