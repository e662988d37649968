"""ARC: the chain of those who passed the message on."""

from __future__ import annotations

import re

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Arc, ArcSet
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.reader import HeaderField, Message
from deliverability.core.mail.received import parse_return_path
from deliverability.core.model.topic import cite
from deliverability.core.protocols.dkim.arc import verify_chain
from deliverability.engine.base import Context, auditor

_SIGNS = ("x-forwarded-to", "x-forwarded-for", "resent-from", "resent-to", "list-post")
_REWRITTEN = re.compile(r"(?:srs[01][=+-]|prvs=|btv1==|.*\+caf_=)", re.IGNORECASE)
_MAX_CITED = 30


@auditor("arc", Arc, of_message=True)
async def audit(ctx: Context) -> Arc:
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
