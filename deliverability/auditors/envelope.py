"""The SMTP envelope and connecting hop: from options, else from what the file tells.

May import auditors.base, model and mail.
"""

from __future__ import annotations

from dataclasses import dataclass

from deliverability.auditors.base import Context, auditor, spec
from deliverability.mail.addresses import to_a_label
from deliverability.mail.evidence import header_evidence
from deliverability.mail.reader import HeaderField, Message
from deliverability.mail.received import (
    canonical_ip,
    client_ip_of,
    connecting_hop,
    parse_authentication_results,
    parse_received_spf,
    parse_return_path,
)
from deliverability.model.facts import FactType, Reason, Unknown, Value

PROVIDES = (
    spec(
        "envelope.mail_from",
        FactType.STR,
        "MAIL FROM address (only its domain where the source tells no more); empty for the null reverse-path.",
    ),
    spec(
        "envelope.mail_from_domain",
        FactType.STR,
        "Its domain as A-label (the HELO name for a null reverse-path); none where it is no domain name.",
        optional=True,
    ),
    spec(
        "envelope.mail_from_source",
        FactType.STR,
        "Where it was read.",
        values=["option", "return-path", "received-spf", "authentication-results"],
    ),
    spec("envelope.helo", FactType.STR, "HELO/EHLO name of the sending host."),
    spec(
        "envelope.helo_source",
        FactType.STR,
        "Where it was read.",
        values=["option", "received", "received-spf", "authentication-results"],
    ),
    spec(
        "envelope.helo_fqdn",
        FactType.BOOL,
        "The HELO name is a fully qualified name or address literal.",
    ),
    spec("envelope.ip", FactType.STR, "Address the mail was sent from to the receiver."),
    spec(
        "envelope.ip_source",
        FactType.STR,
        "Where it was read.",
        values=["option", "received", "received-spf", "authentication-results"],
    ),
    spec("envelope.tls", FactType.BOOL, "The receiving hop says that it came over TLS.", optional=True),
)

_MAX_FIELDS = 100  # of one kind that are read
_OPTIONS = {"envelope.mail_from": "--mail-from", "envelope.helo": "--helo", "envelope.ip": "--ip"}


@dataclass(frozen=True, slots=True)
class _Reading:
    """A value, the name of its source, and the field it was read from."""

    value: str
    source: str
    field: HeaderField | None = None


@dataclass(frozen=True, slots=True)
class _Trace:
    """What the trace fields of the file tell, each in the order of precedence of its source."""

    mail_from: tuple[_Reading, ...]
    helo: tuple[_Reading, ...]
    ip: tuple[_Reading, ...]
    tls: bool | None
    hop: HeaderField | None


@auditor("envelope", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """The SMTP envelope and connecting hop: from options, else from what the file tells."""
    subject = ctx.subject
    trace = _read_trace(ctx.message) if ctx.message else None
    _state(ctx, "envelope.mail_from", subject.mail_from, trace.mail_from if trace else None)
    _state(ctx, "envelope.helo", subject.helo, trace.helo if trace else None)
    given_ip = canonical_ip(subject.sending_ips[0]) if subject.sending_ips else None
    _state(ctx, "envelope.ip", given_ip, trace.ip if trace else None)
    helo, helo_ids = _stated(ctx, "envelope.helo")
    mail_from, from_ids = _stated(ctx, "envelope.mail_from")
    fqdn = helo if helo is None or isinstance(helo, Unknown) else _is_fqdn(str(helo))
    ctx.put("envelope.helo_fqdn", fqdn, *helo_ids)
    if mail_from == "":
        domain = helo if helo is None or isinstance(helo, Unknown) else to_a_label(str(helo))
        ctx.put("envelope.mail_from_domain", domain, *from_ids, *helo_ids)
    else:
        domain = mail_from if mail_from is None or isinstance(mail_from, Unknown) else _domain_of(str(mail_from))
        ctx.put("envelope.mail_from_domain", domain, *from_ids)
    if trace is None:
        ctx.put("envelope.tls", Unknown(Reason.NO_MESSAGE))
    else:
        ctx.put("envelope.tls", trace.tls, *((ctx.cite(header_evidence(trace.hop)),) if trace.hop else ()))


def _state(ctx: Context, path: str, option: str | None, readings: tuple[_Reading, ...] | None) -> None:
    """State a value and its source: the option, else the first reading; Unknown where neither tells it."""
    if option is not None:
        ctx.put(path, option)
        ctx.put(f"{path}_source", "option")
    elif readings is None:
        ctx.put(path, Unknown(Reason.NO_MESSAGE))
        ctx.put(f"{path}_source", Unknown(Reason.NO_MESSAGE))
    elif not readings:
        # A saved draft has no trace fields: that its sender and hop are not told does not mean that there are none.
        missing = Unknown(Reason.NOT_CONFIGURED, _OPTIONS[path])
        ctx.put(path, missing)
        ctx.put(f"{path}_source", missing)
    else:
        best = readings[0]
        ids = (ctx.cite(header_evidence(best.field)),) if best.field else ()
        ctx.put(path, best.value, *ids)
        ctx.put(f"{path}_source", best.source, *ids)


def _stated(ctx: Context, path: str) -> tuple[Value, tuple[str, ...]]:
    fact = ctx.stated[path]
    return fact.value, fact.evidence


def _read_trace(message: Message) -> _Trace:
    mail_from: list[_Reading] = []
    helo: list[_Reading] = []
    ip: list[_Reading] = []
    return_path = message.first("Return-Path")
    if return_path is not None:
        address = parse_return_path(return_path.value)
        if address is not None:
            mail_from.append(_Reading(address, "return-path", return_path))
    received = message.fields("Received")[:_MAX_FIELDS]
    found = connecting_hop(each.value for each in received)
    hop = received[found[0]] if found else None
    if found:
        _add(helo, found[1].helo, "received", hop)
        _add(ip, found[1].ip, "received", hop)
    for field in message.fields("Received-SPF")[:_MAX_FIELDS]:
        told = parse_received_spf(field.value)
        _add(mail_from, _unbracketed(told.pairs.get("envelope-from")), "received-spf", field)
        _add(helo, told.pairs.get("helo"), "received-spf", field)
        _add(ip, told.ip, "received-spf", field)
    for field in message.fields("Authentication-Results")[:_MAX_FIELDS]:
        results = parse_authentication_results(field.value)
        for each in results.results:
            sender = each.properties.get("smtp.mailfrom") or each.properties.get("smtp.mail")
            _add(mail_from, _unbracketed(sender), "authentication-results", field)
            _add(helo, each.properties.get("smtp.helo"), "authentication-results", field)
        _add(ip, client_ip_of(results), "authentication-results", field)
    return _Trace(tuple(mail_from), tuple(helo), tuple(ip), found[1].tls if found else None, hop)


def _add(readings: list[_Reading], value: str | None, source: str, field: HeaderField | None) -> None:
    if value:
        readings.append(_Reading(value, source, field))


def _unbracketed(address: str | None) -> str | None:
    return address.strip("<>") if address else None


def _domain_of(mail_from: str) -> str | None:
    """The domain of an address, or of a source that tells only the domain."""
    return to_a_label(mail_from.strip("<>").rpartition("@")[2])


def _is_fqdn(helo: str) -> bool:
    """A name of at least two labels that is no bare number, or an address literal (RFC 5321 section 4.1.3)."""
    if helo.startswith("["):
        return helo.endswith("]") and canonical_ip(helo) is not None
    name = to_a_label(helo)
    return name is not None and "." in name and not name.rpartition(".")[2].isdigit()
