"""The SMTP envelope and connecting hop: from options, else what our own server saw, else what the file tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from deliverability.auditors.base import Context, auditor, spec
from deliverability.mail.addresses import canonical_ip, to_a_label
from deliverability.mail.evidence import header_evidence
from deliverability.model.codes import SENT_TO_YOURSELF, Input, needs
from deliverability.model.envelope import SmtpEnvelope
from deliverability.model.facts import Evidence, EvidenceKind, FactType, Reason, Unknown, Value
from deliverability.protocols.dmarc.psl import known_registrable_domain

if TYPE_CHECKING:
    from deliverability.mail.hop import AuthenticationField
    from deliverability.mail.reader import Message

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
        values=["option", "smtp", "return-path", "received-spf", "authentication-results"],
    ),
    spec("envelope.helo", FactType.STR, "HELO/EHLO name of the sending host."),
    spec(
        "envelope.helo_source",
        FactType.STR,
        "Where it was read.",
        values=["option", "smtp", "received", "received-spf", "authentication-results"],
    ),
    spec(
        "envelope.helo_fqdn",
        FactType.BOOL,
        "The HELO name is a fully qualified name or address literal.",
    ),
    spec(
        "envelope.ip",
        FactType.STR,
        "Address the mail was sent from to the receiver: the one that the receiver recorded, where it did.",
    ),
    spec(
        "envelope.ip_source",
        FactType.STR,
        "Where it was read.",
        values=["option", "smtp", "received", "received-spf", "authentication-results"],
    ),
    spec(
        "envelope.tls",
        FactType.BOOL,
        "The receiving hop says that it came over TLS.",
        optional=True,
    ),
)

_INPUTS = {"envelope.mail_from": Input.MAIL_FROM, "envelope.helo": Input.HELO, "envelope.ip": Input.SENDING_IP}


class _Reading(Struct, frozen=True):
    """A value, the name of its source, and the evidence for it."""

    value: str
    source: str
    evidence: tuple[Evidence, ...]


class _Trace(Struct, frozen=True):
    """What our own server saw, or the trace fields of the file tell, each in the order of precedence of its source.

    `lost`: why something is not among it, where that is known.
    """

    mail_from: tuple[_Reading, ...]
    helo: tuple[_Reading, ...]
    ip: tuple[_Reading, ...]
    tls: bool | None
    hop: Evidence | None
    lost: Mapping[str, Unknown] = field(default_factory=dict)


@auditor("envelope", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """The SMTP envelope and connecting hop: from options, else what our own server saw, else what the file tells."""
    subject = ctx.subject
    trace = None
    if ctx.message is not None:
        trace = _seen(subject.envelope) if subject.envelope else _read_trace(ctx.message)
    lost = trace.lost if trace else {}
    _state(ctx, "envelope.mail_from", subject.mail_from, trace.mail_from if trace else None, lost)
    _state(ctx, "envelope.helo", subject.helo, trace.helo if trace else None, lost)
    given_ip = canonical_ip(subject.sending_ips[0]) if subject.sending_ips else None
    _state(ctx, "envelope.ip", given_ip, trace.ip if trace else None, lost)
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
        ctx.put("envelope.tls", trace.tls, *((ctx.cite(trace.hop),) if trace.hop else ()))


def _state(
    ctx: Context, path: str, option: str | None, readings: tuple[_Reading, ...] | None, lost: Mapping[str, Unknown]
) -> None:
    """State a value and its source: the option, else the first reading; Unknown where neither tells it."""
    if option is not None:
        ctx.put(path, option)
        ctx.put(f"{path}_source", "option")
    elif readings is None:
        ctx.put(path, Unknown(Reason.NO_MESSAGE))
        ctx.put(f"{path}_source", Unknown(Reason.NO_MESSAGE))
    elif not readings:
        # A saved draft has no trace fields: that its sender and hop are not told does not mean that there are none.
        missing = lost.get(path) or Unknown(Reason.NOT_CONFIGURED, needs(_INPUTS[path]))
        ctx.put(path, missing)
        ctx.put(f"{path}_source", missing)
    else:
        best = readings[0]
        ids = [ctx.cite(each) for each in best.evidence]
        ctx.put(path, best.value, *ids)
        ctx.put(f"{path}_source", best.source, *ids)


def _stated(ctx: Context, path: str) -> tuple[Value, tuple[str, ...]]:
    fact = ctx.stated[path]
    return fact.value, fact.evidence


def _seen(envelope: SmtpEnvelope) -> _Trace:
    """What our own server saw. The connection of who sends to their own machine is not the one that receivers see.

    The trace fields of such a message were written on its way to us: none of them is a receiver's.
    """
    mail_from = (_Reading(envelope.mail_from, "smtp", (_line(f"MAIL FROM:<{envelope.mail_from}>"),)),)
    if not envelope.public:
        wanted = {path: _INPUTS[path] for path in ("envelope.ip", "envelope.helo")}
        lost = {
            path: Unknown(Reason.NOT_CONFIGURED, SENT_TO_YOURSELF(needs=needs(each))) for path, each in wanted.items()
        }
        return _Trace(mail_from, (), (), None, None, lost)
    connection = _line(envelope.peer, envelope.tls or "")
    helo = (_Reading(envelope.helo, "smtp", (_line(f"EHLO {envelope.helo}"),)),) if envelope.helo else ()
    ip = (_Reading(envelope.peer, "smtp", (connection,)),)
    return _Trace(mail_from, helo, ip, envelope.tls is not None, connection)


def _line(*got: str) -> Evidence:
    """What was seen over SMTP."""
    lines = tuple(filter(None, got))
    return Evidence(f"smtp:{lines[0]}", EvidenceKind.SMTP, "SMTP", lines)


def _read_trace(message: Message) -> _Trace:
    from deliverability.mail.hop import delivery
    from deliverability.mail.received import parse_return_path

    mail_from: list[_Reading] = []
    helo: list[_Reading] = []
    ip: list[_Reading] = []
    return_path = message.first("Return-Path")
    if return_path is not None:
        address = parse_return_path(return_path.value)
        if address is not None:
            mail_from.append(_Reading(address, "return-path", (header_evidence(return_path),)))
    came = delivery(message.headers, known_registrable_domain)
    line, hop = came.hop or (None, None)
    of_hop = header_evidence(line) if line else None
    if of_hop and hop and hop.helo:
        helo.append(_Reading(hop.helo, "received", (of_hop,)))
    if came.ip:
        recorded = came.recorded and (header_evidence(came.recorded.field), came.recorded.field.lower)
        evidence = tuple(each for each in (recorded[0] if recorded else None, of_hop) if each)
        ip.append(_Reading(came.ip, recorded[1] if recorded else "received", evidence))
    for record in came.records:
        _add_record(record, mail_from, helo)
    return _Trace(tuple(mail_from), tuple(helo), tuple(ip), hop.tls if hop else None, of_hop)


def _add_record(record: AuthenticationField, mail_from: list[_Reading], helo: list[_Reading]) -> None:
    """What a record of the receiver tells of the envelope."""
    from deliverability.mail.received import ReceivedSpf

    if isinstance(record.content, ReceivedSpf):
        pairs = record.content.pairs
        identities = [(pairs.get("envelope-from"), pairs.get("helo"))]
    else:
        identities = [
            (each.properties.get("smtp.mailfrom") or each.properties.get("smtp.mail"), each.properties.get("smtp.helo"))
            for each in record.content.results
        ]
    for sender, name in identities:
        if sender:
            mail_from.append(_Reading(sender.strip("<>"), record.field.lower, (header_evidence(record.field),)))
        if name:
            helo.append(_Reading(name, record.field.lower, (header_evidence(record.field),)))


def _domain_of(mail_from: str) -> str | None:
    """The domain of an address, or of a source that tells only the domain."""
    return to_a_label(mail_from.strip("<>").rpartition("@")[2])


def _is_fqdn(helo: str) -> bool:
    """A name of at least two labels that is no bare number, or an address literal (RFC 5321 section 4.1.3)."""
    if helo.startswith("["):
        return helo.endswith("]") and canonical_ip(helo) is not None
    name = to_a_label(helo)
    return name is not None and "." in name and not name.rpartition(".")[2].isdigit()
