"""Whether the mail came straight from its sender: ARC, posts to somebody's mailing list, and forwarded mail."""

from __future__ import annotations

import re

from deliverability.core.codes import PATH_OPEN
from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Arc, ArcSet
from deliverability.core.facts.envelope import Envelope, Forwarding
from deliverability.core.facts.message import Message as MessageFacts
from deliverability.core.mail.marks import homes, list_marks
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.reader import HeaderField, Message
from deliverability.core.mail.received import parse_return_path
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
    signs = _marks(message, home)
    if envelope.mail_from_source == "srs" or _PASSED_ON.match(if_known(envelope.mail_from) or ""):
        signs["rewritten-sender"] = list(message.fields("Return-Path")[:1])
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
        indirect=marks.post or _open_path(envelope) or (bool(signs) and not passed_on),
        evidence=cite(
            *ids,
            list_owner=cite_fields(ctx, marks.named),
            list_post=seen,
            discussion=seen,
            indirect=(*ids, *seen),
        ),
    )


def _open_path(envelope: Envelope) -> Unknown | None:
    """Why it is not known whether somebody but the sender passed the mail on."""
    ip = envelope.ip
    return ip if isinstance(ip, Unknown) and PATH_OPEN.matches(ip.detail) else None


def _marks(message: Message, author: str) -> dict[str, list[HeaderField]]:
    """Signs by code that are fields of their own; in the order of the code list."""
    resent = [field for field in message.headers if field.lower in _RESENT]
    # Web proxies have an X-Forwarded-For of IP addresses; that of Gmail holds the two mailboxes.
    passed = [field for field in message.headers if field.lower in _X_FORWARDED and "@" in field.value]
    delivered = list(message.fields("Delivered-To")[:_MAX_FIELDS])
    # From mailbox to mailbox of one organization it never left the receiver; what its own did is the author's way.
    owners = {home for field in delivered for home in homes(field.value, registrable_domain)} - {author}
    signs = {"resent": resent, "x-forwarded": passed, "delivered-to": delivered if len(owners) > 1 else []}
    return {code: fields for code, fields in signs.items() if fields}
