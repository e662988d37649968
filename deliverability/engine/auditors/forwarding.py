"""Whether the mail came straight from its sender: ARC, posts to somebody's mailing list, and forwarded mail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Arc, ArcSet
from deliverability.core.facts.envelope import Envelope, Forwarding
from deliverability.core.facts.message import Message as MessageFacts
from deliverability.core.mail.addresses import canonical_ip, to_a_label
from deliverability.core.mail.marks import homes, list_marks
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.reader import HeaderField, Message
from deliverability.core.mail.received import (
    AuthenticationResults,
    client_ip_of,
    is_internal,
    parse_authentication_results,
    parse_received,
    parse_received_spf,
    parse_return_path,
)
from deliverability.core.model.topic import cite, if_known
from deliverability.core.protocols.dkim.arc import verify_chain
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.auditors.message import cite_fields
from deliverability.engine.base import Context, auditor

_SIGNS = ("x-forwarded-to", "x-forwarded-for", "resent-from", "resent-to", "list-post")
_REWRITTEN = re.compile(r"(?:srs[01][=+-]|prvs=|btv1==|.*\+caf_=)", re.IGNORECASE)
_MAX_CITED = 30


@auditor("arc", Arc, of_message=True)
async def arc_audit(ctx: Context) -> Arc:
    """Validate the chain, and look for signs of forwarding."""
    message = ctx.the_message
    signs = _signs(message)
    fields = [field for field in message.headers if field.lower.startswith("arc-")][:_MAX_CITED]
    found = await verify_chain(message, ctx.ports.dns, ctx.now)
    sets = tuple(
        ArcSet(
            instance=each.instance,
            domain=each.domain,
            selector=each.selector,
            cv=each.cv,
            seal=each.seal,
            signature=each.signature,
            errors=each.errors,
        )
        for each in found.sets
    )
    lost = found.result if isinstance(found.result, Unknown) else None
    return Arc(
        result=found.result,
        reason=lost or found.reason,
        set_count=len(sets),
        sets=sets,
        oldest_pass=lost or found.oldest_pass,
        forwarded=bool(signs),
        evidence=cite(
            *(ctx.cite(header_evidence(field)) for field in fields),
            *(ctx.cite_answer(answer) for answer in found.answers),
            forwarded=tuple(ctx.cite(header_evidence(field)) for field in signs),
        ),
    )


def _signs(message: Message) -> list[HeaderField]:
    """Fields that forwarders and lists add; the Return-Path where it was rewritten (SRS)."""
    signs = [field for name in _SIGNS if (field := message.first(name)) is not None]
    path = message.first("Return-Path")
    if path is not None and _REWRITTEN.match((parse_return_path(path.value) or "")[:200]):
        signs.append(path)
    return signs


_RESENT = ("resent-from", "resent-sender", "resent-to")
_X_FORWARDED = ("x-forwarded-to", "x-forwarded-for")
# SRS0 and SRS1 of the sender rewriting scheme, Microsoft's bounces+SRS=, and +caf_= of Gmail's forwarding.
_PASSED_ON = re.compile(r"srs[01][=+-]|[^@]{0,200}\+(?:srs=|caf_=)", re.IGNORECASE)
_MAX_FIELDS = 100  # of one kind that are read


@auditor("forwarding", Forwarding, needs=(MessageFacts, Envelope), of_message=True)
async def audit(ctx: Context) -> Forwarding:
    """Look for the marks of mailing lists and of forwarding."""
    message, envelope = ctx.the_message, ctx.of(Envelope)
    author = if_known(ctx.of(MessageFacts).from_domain)
    home = registrable_domain(author) if author else ""
    marks = list_marks(message, home, registrable_domain)
    signs = _marks(message)
    if envelope.mail_from_source == "srs" or _PASSED_ON.match(if_known(envelope.mail_from) or ""):
        signs["rewritten-sender"] = list(message.fields("Return-Path")[:1])
    signs |= _earlier(envelope, message, home)
    passed_on = bool(if_known(envelope.passed_on_signs))
    if passed_on:
        signs["passed-on"] = []
    ids = cite_fields(ctx, [field for fields in signs.values() for field in fields])
    seen = cite_fields(ctx, marks.seen)
    return Forwarding(
        list_owner=None if marks.own is None else "own" if marks.own else "other",
        list_post=marks.post,
        discussion=marks.discussion,
        forward_signs=tuple(signs),
        forwarded=bool(signs),
        # Where the hop before it was passed on is judged, nothing has to be put down to the way.
        indirect=marks.post or (bool(signs) and not passed_on),
        evidence=cite(
            *ids,
            list_owner=cite_fields(ctx, marks.named),
            list_post=seen,
            discussion=seen,
            indirect=(*ids, *seen),
        ),
    )


def _marks(message: Message) -> dict[str, list[HeaderField]]:
    """Signs by code that are fields of their own; in the order of the code list."""
    resent = [field for field in message.headers if field.lower in _RESENT]
    # Web proxies have an X-Forwarded-For of IP addresses; that of Gmail holds the two mailboxes.
    passed = [field for field in message.headers if field.lower in _X_FORWARDED and "@" in field.value]
    delivered = list(message.fields("Delivered-To")[:_MAX_FIELDS])
    # From mailbox to mailbox of one organization it never left the receiver.
    owners = {home for field in delivered for home in homes(field.value, registrable_domain)}
    signs = {"resent": resent, "x-forwarded": passed, "delivered-to": delivered if len(owners) > 1 else []}
    return {code: fields for code, fields in signs.items() if fields}


class _Record(Struct, frozen=True):
    """What a receiver on the way recorded: the client's address, and whether SPF passed for the author's own."""

    field: HeaderField
    ip: str
    passed: bool


def _earlier(envelope: Envelope, message: Message, home: str) -> dict[str, list[HeaderField]]:
    """Records of receivers before the last one, who took the mail from another address.

    Without SPF that passed for the author's own domain a record proves nothing: the sender's own servers record each
    other as well. Neither does it where SPF passed for the author at the connecting address, too: then the earlier
    receiver was the sender's outgoing server. An ARC set is no sign by itself, because Google and Microsoft seal what
    they receive and what they send.
    """
    connecting = canonical_ip(if_known(envelope.connecting_ip) or "")
    if connecting is None or envelope.ip_source == "option" or not home:
        return {}
    hop = next(
        (
            index
            for index, field in enumerate(message.headers)
            if field.lower == "received" and parse_received(field.value).ip == connecting
        ),
        None,
    )
    if hop is None:
        return {}
    records = list(_records(message.headers, home))
    if any(record.passed and record.ip == connecting for record in records):
        return {}
    below = {id(field) for field in message.headers[hop:]}
    proofs = [
        record.field
        for record in records
        if record.passed and record.ip != connecting and not is_internal(record.ip) and id(record.field) in below
    ]
    sealed = [field for field in proofs if field.lower.startswith("arc-")]
    plain = [field for field in proofs if not field.lower.startswith("arc-")]
    signs = {"arc": sealed, "earlier-spf-pass": plain}
    return {code: fields for code, fields in signs.items() if fields}


def _records(headers: Sequence[HeaderField], home: str) -> Iterator[_Record]:
    for field in headers:
        if field.lower == "received-spf":
            received_spf = parse_received_spf(field.value)
            sender = received_spf.pairs.get("envelope-from") or received_spf.pairs.get("smtp.mailfrom", "")
            if received_spf.ip is not None:
                yield _Record(field, received_spf.ip, received_spf.result == "pass" and _at_home([sender], home))
        elif field.lower in ("authentication-results", "arc-authentication-results"):
            # ARC puts its instance before what is an Authentication-Results value otherwise (RFC 8617 section 4.1.1).
            value = field.value.partition(";")[2] if field.lower.startswith("arc-") else field.value
            results = parse_authentication_results(value)
            ip = client_ip_of(results)
            if ip is not None:
                yield _Record(field, ip, _at_home(_passing_senders(results), home))


def _passing_senders(results: AuthenticationResults) -> list[str]:
    """MAIL FROM of the results that say spf=pass."""
    passing = [each.properties for each in results.results if (each.method, each.result) == ("spf", "pass")]
    return [each.get("smtp.mailfrom") or each.get("smtp.mail", "") for each in passing]


def _at_home(senders: Iterable[str], home: str) -> bool:
    names = [to_a_label(sender.strip("<>").rpartition("@")[2]) for sender in senders]
    return any(name is not None and registrable_domain(name) == home for name in names)
