"""The SMTP envelope and connecting hop: from options, else what our own server saw, else what the file tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import ONLY_SUBMITTED, PATH_OPEN, SENT_TO_YOURSELF, Detail, Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, Reason, Unknown
from deliverability.core.facts.envelope import Envelope
from deliverability.core.mail.addresses import canonical_ip, parse_addresses, to_a_label
from deliverability.core.mail.hop import (
    AuthenticationField,
    Delivery,
    EarlierHop,
    delivery,
    earlier_hops,
    original_sender,
    recipients,
    taken_in,
)
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.received import ReceivedSpf, SmtpEnvelope, parse_return_path
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.protocols.mx import mx_names
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.core.protocols.spf.evaluate import evaluate_spf
from deliverability.engine.base import Context, auditor

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField, Message


class _Reading(Struct, frozen=True):
    """A value, the name of its source, and the evidence for it."""

    value: str
    source: str
    evidence: tuple[Evidence, ...]


class _Trace(Struct, frozen=True):
    """What our own server saw, or the trace fields of the file tell, each in the order of precedence of its source.

    `lost`: why something is not among it, where that is known. `connecting`: the address that the last receiver got it
    from. `passed_on`: the host that passed it on after the hop told here, and what shows that.
    """

    mail_from: tuple[_Reading, ...]
    helo: tuple[_Reading, ...]
    ip: tuple[_Reading, ...]
    tls: bool | None
    hop: Evidence | None
    lost: Mapping[Input, Unknown] = field(default_factory=dict)
    connecting: str | None = None
    passed_on: tuple[str | None, tuple[str, ...]] = (None, ())


@auditor("envelope", Envelope)
async def audit(ctx: Context) -> Envelope:
    """The SMTP envelope and connecting hop: from options, else what our own server saw, else what the file tells."""
    subject = ctx.subject
    trace = None
    if ctx.message is not None:
        trace = _seen(subject.envelope) if subject.envelope else await _read_trace(ctx, ctx.message)
    lost = trace.lost if trace else {}
    mail_from = _tell(ctx, Input.MAIL_FROM, subject.mail_from, trace.mail_from if trace else None, lost)
    helo = _tell(ctx, Input.HELO, subject.helo, trace.helo if trace else None, lost)
    given_ip = canonical_ip(subject.sending_ips[0]) if subject.sending_ips else None
    ip = _tell(ctx, Input.SENDING_IP, given_ip, trace.ip if trace else None, lost)
    missing = Unknown(Reason.NO_MESSAGE) if trace is None else None
    # An address that the user names is judged, however the mail at hand came.
    host, signs = trace.passed_on if trace and not given_ip else (None, ())
    if mail_from.value == "":
        domain = helo.value if isinstance(helo.value, Unknown) else to_a_label(helo.value)
    else:
        domain = mail_from.value if isinstance(mail_from.value, Unknown) else _domain_of(mail_from.value)
    return Envelope(
        mail_from=mail_from.value,
        mail_from_domain=domain,
        mail_from_source=mail_from.source,
        helo=helo.value,
        helo_source=helo.source,
        helo_fqdn=helo.value if isinstance(helo.value, Unknown) else _is_fqdn(helo.value),
        ip=ip.value,
        connecting_ip=missing or (trace.connecting if trace else None),
        passed_on_by=missing or host,
        passed_on_signs=missing or signs,
        ip_source=ip.source,
        tls=missing or (trace.tls if trace else None),
        evidence=cite(
            mail_from=mail_from.evidence,
            mail_from_domain=(*mail_from.evidence, *(helo.evidence if mail_from.value == "" else ())),
            mail_from_source=mail_from.evidence,
            helo=helo.evidence,
            helo_source=helo.evidence,
            helo_fqdn=helo.evidence,
            ip=ip.evidence,
            ip_source=ip.evidence,
            tls=(ctx.cite(trace.hop),) if trace and trace.hop else (),
        ),
    )


class _Told(Struct, frozen=True):
    """A value and its source, with the ids of the evidence; Unknown where nothing tells it."""

    value: Maybe[str]
    source: Maybe[str]
    evidence: tuple[str, ...] = ()


def _tell(
    ctx: Context,
    wanted: Input,
    option: str | None,
    readings: tuple[_Reading, ...] | None,
    lost: Mapping[Input, Unknown],
) -> _Told:
    """The option, else the first reading."""
    if option is not None:
        return _Told(option, "option")
    if readings is None:
        return _Told(Unknown(Reason.NO_MESSAGE), Unknown(Reason.NO_MESSAGE))
    if not readings:
        # A saved draft has no trace fields: that its sender and hop are not told does not mean that there are none.
        missing = lost.get(wanted) or Unknown(Reason.NOT_CONFIGURED, needs(wanted))
        return _Told(missing, missing)
    best = readings[0]
    return _Told(best.value, best.source, tuple(ctx.cite(each) for each in best.evidence))


def _seen(envelope: SmtpEnvelope) -> _Trace:
    """What our own server saw. The connection of who sends to their own machine is not the one that receivers see.

    The trace fields of such a message were written on its way to us: none of them is a receiver's.
    """
    mail_from = (_Reading(envelope.mail_from, "smtp", (_line(f"MAIL FROM:<{envelope.mail_from}>"),)),)
    if not envelope.public:
        lost = _lost(lambda each: SENT_TO_YOURSELF(needs=needs(each)))
        return _Trace(mail_from, (), (), None, None, lost)
    connection = _line(envelope.peer, envelope.tls or "")
    helo = (_Reading(envelope.helo, "smtp", (_line(f"EHLO {envelope.helo}"),)),) if envelope.helo else ()
    ip = (_Reading(envelope.peer, "smtp", (connection,)),)
    return _Trace(mail_from, helo, ip, envelope.tls is not None, connection)


def _line(*got: str) -> Evidence:
    """What was seen over SMTP."""
    lines = tuple(filter(None, got))
    return Evidence(f"smtp:{lines[0]}", EvidenceKind.SMTP, "SMTP", lines)


async def _read_trace(ctx: Context, message: Message) -> _Trace:
    came = delivery(message.headers, known_registrable_domain)
    stated: list[_Reading] = []
    names: list[_Reading] = []
    for record in came.records:
        _add_record(record, stated, names)
    mail_from = _mail_from(_return_path(message, came), stated, came)
    line, hop = came.hop or (None, None)
    of_hop = header_evidence(line) if line else None
    helo = [_Reading(hop.helo, "received", (of_hop,)), *names] if of_hop and hop and hop.helo else names
    ip: list[_Reading] = []
    if came.ip:
        recorded = came.recorded and (header_evidence(came.recorded.field), came.recorded.field.lower)
        evidence = tuple(each for each in (recorded[0] if recorded else None, of_hop) if each)
        ip.append(_Reading(came.ip, recorded[1] if recorded else "received", evidence))
    last = _Trace(tuple(mail_from), tuple(helo), tuple(ip), hop.tls if hop else None, of_hop, connecting=came.ip)
    if came.submitted:
        return replace(last, helo=(), lost=_lost(lambda each: ONLY_SUBMITTED(needs=needs(each))))
    sender = mail_from[0].value if mail_from else ""
    first = original_sender(sender)
    before = await _hop_before(ctx, message, came, sender, first)
    if before is None:
        return last
    earlier, sign = before
    if sign is None:
        relay = earlier.received.by or (hop.helo if hop else None) or came.ip or ""
        told = {"relay": relay, "sent": earlier.received.ip or "", "last": came.ip or ""}
        open_ = _lost(lambda each: PATH_OPEN(**told, needs=needs(each)))
        return replace(last, helo=(), ip=(), tls=None, hop=None, lost=open_)
    shown = header_evidence(earlier.field)
    if first is not None:
        mail_from = [_Reading(first, "srs", mail_from[0].evidence)]
    received = earlier.received
    by = received.by or (hop.helo if hop else None)
    return _Trace(
        tuple(mail_from),
        (_Reading(received.helo, "received", (shown,)),) if received.helo else (),
        (_Reading(received.ip or "", "received", (shown,)),),
        received.tls,
        shown,
        connecting=came.ip,
        passed_on=(by, (sign,)),
    )


def _return_path(message: Message, came: Delivery) -> _Reading | None:
    """The Return-Path that the receiver wrote: it stands above the hop from outside, but for Exchange, above the text.

    One that stands below was written before the mail came in. A file that no server took has no trace to stand above.
    """
    order = {id(each): place for place, each in enumerate(message.headers)}
    received = message.fields("Received")
    border = came.border or (received[-1] if received else None)
    for each in message.fields("Return-Path"):
        if border is None or order[id(each)] < order[id(border)] or _writes_below(border):
            address = parse_return_path(each.value)
            return None if address is None else _Reading(address, "return-path", (header_evidence(each),))
    return None


def _writes_below(border: HeaderField) -> bool:
    words = " ".join(border.value[:5000].split())
    return any(name in words for name in ("Microsoft SMTP", "with mapi id"))


def _mail_from(path: _Reading | None, stated: list[_Reading], came: Delivery) -> list[_Reading]:
    """All that tells MAIL FROM, the most trustworthy first.

    What the receiver recorded of its SPF check goes before a Return-Path of another domain. Of the same domain the
    Return-Path tells the whole address; a null one is checked for the HELO name, which records tell then.
    """
    if path is None:
        return stated
    first = stated[0].value if stated else None
    if first is None or _domain_of(first) == _domain_of(path.value):
        return [path, *stated]
    helo = came.hop[1].helo if came.hop else None
    of_helo = first.rpartition("@")[0].lower() in ("", "postmaster", "mailer-daemon")
    if path.value == "" and of_helo and (helo is None or _domain_of(first) == to_a_label(helo)):
        return [path, *stated]
    return [*stated, path]


def _lost(why: Callable[[Input], Detail]) -> Mapping[Input, Unknown]:
    """What only the hop from the sender tells, where that is not known."""
    return {each: Unknown(Reason.NOT_CONFIGURED, why(each)) for each in (Input.SENDING_IP, Input.HELO)}


async def _hop_before(
    ctx: Context, message: Message, came: Delivery, sender: str, first: str | None
) -> tuple[EarlierHop, str | None] | None:
    """The hop by which the mail left its sender, where it was passed on after that, and what shows it.

    Nothing shows it where SPF fails at the last hop and passes before, for that is so with a forwarder and with a relay
    that the sender forgot in the SPF record: the hop is then the one where it passes. `first`: MAIL FROM before it was
    rewritten.
    """
    original = first or sender
    homes = {
        home for name in (_domain_of(original), _author(message)) if name and (home := known_registrable_domain(name))
    }
    hops = earlier_hops(message, came, known_registrable_domain, homes)
    if not hops or came.hop is None:
        return None
    last = came.hop[1]
    at_last = False if first is not None else await _passes(ctx, came.ip, original, last.helo)
    if at_last is True:
        return None
    rewriter = _domain_of(sender) if first is not None else None
    whose = recipients(message, last, hops, known_registrable_domain, homes, rewriter)
    domains = [each for each in (whose.last, *whose.others) if each is not None]
    answers = await asyncio.gather(*(ctx.query(each, "MX") for each in domains))
    hosts = {
        domain: frozenset(each.lower().rstrip(".") for each in mx_names(answer))
        for domain, answer in zip(domains, answers, strict=True)
    }
    found = taken_in(last, hops, whose, hosts, known_registrable_domain)
    if found == "last" or isinstance(found, tuple):
        return None if found == "last" else found
    if at_last is False:
        for each in hops:
            if await _passes(ctx, each.received.ip, original, each.received.helo) is not False:
                return each, None
    return None


def _author(message: Message) -> str | None:
    boxes = (box for each in message.fields("From")[:1] for box in parse_addresses(each.value))
    return next((box.domain for box in boxes if box.domain), None)


async def _passes(ctx: Context, ip: str | None, sender: str, helo: str | None) -> bool | None:
    """Whether SPF passes for MAIL FROM at that address; None where that cannot be told."""
    if ip is None or not _domain_of(sender):
        return None
    sender = sender if "@" in sender else f"postmaster@{sender}"
    found = await evaluate_spf(ip, sender, helo or "", ctx.ports.dns, timestamp=int(ctx.now.timestamp()))
    return None if found.failure is not None else found.result.value == "pass"


def _add_record(record: AuthenticationField, mail_from: list[_Reading], helo: list[_Reading]) -> None:
    """What a record of the receiver tells of the envelope."""
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
