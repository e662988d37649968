"""ARC: the chain of those who passed the message on."""

from __future__ import annotations

import re

from deliverability.core.facts.base import FactType, Unknown
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.reader import HeaderField, Message
from deliverability.core.mail.received import parse_return_path
from deliverability.core.protocols.dkim.arc import verify_chain
from deliverability.engine.base import Context, auditor, spec

PROVIDES = (
    spec(
        "arc.result",
        FactType.STR,
        "Whether the ARC chain (RFC 8617) holds; none without ARC fields.",
        values=["none", "pass", "fail"],
    ),
    spec("arc.reason", FactType.DETAIL, "Why the chain does not hold.", optional=True),
    spec("arc.set_count", FactType.INT, "Sets that make up the chain.", unit="sets"),
    spec("arc.sets", FactType.LIST_RECORD, "The sets of the chain, the oldest first.", key=["instance", "domain"]),
    spec("arc.sets[].instance", FactType.INT, "i=, counted from 1."),
    spec("arc.sets[].domain", FactType.STR, "Domain that sealed it.", optional=True),
    spec("arc.sets[].selector", FactType.STR, "Selector of the seal.", optional=True),
    spec(
        "arc.sets[].cv",
        FactType.STR,
        "What the sealer said of the chain below.",
        optional=True,
        values=["none", "pass", "fail"],
    ),
    spec("arc.sets[].seal", FactType.STR, "Whether its ARC-Seal holds.", values=["pass", "fail"]),
    spec("arc.sets[].signature", FactType.STR, "Whether its ARC-Message-Signature holds.", values=["pass", "fail"]),
    spec("arc.sets[].errors", FactType.LIST_DETAIL, "What is wrong with it, one each."),
    spec(
        "arc.oldest_pass",
        FactType.INT,
        "Oldest set whose signature still holds with all after it, 0 where all hold; only where the chain passes.",
        optional=True,
    ),
    spec(
        "arc.forwarded",
        FactType.BOOL,
        "The message shows that it was passed on: X-Forwarded, Resent or List-Post fields, or a rewritten Return-Path.",
    ),
)

_SIGNS = ("x-forwarded-to", "x-forwarded-for", "resent-from", "resent-to", "list-post")
_REWRITTEN = re.compile(r"(?:srs[01][=+-]|prvs=|btv1==|.*\+caf_=)", re.IGNORECASE)
_MAX_CITED = 30


@auditor("arc", provides=PROVIDES, of_message=True)
async def audit(ctx: Context) -> None:
    """Validate the chain, and look for signs of forwarding."""
    message = ctx.the_message
    signs = _signs(message)
    ctx.put("arc.forwarded", bool(signs), *(ctx.cite(header_evidence(field)) for field in signs))
    fields = [field for field in message.headers if field.lower.startswith("arc-")][:_MAX_CITED]
    cited = [ctx.cite(header_evidence(field)) for field in fields]
    found = await verify_chain(message, ctx.ports.dns, ctx.now)
    cited += [ctx.cite_answer(answer) for answer in found.answers]
    sets = tuple(
        {
            "instance": each.instance,
            "domain": each.domain,
            "selector": each.selector,
            "cv": each.cv,
            "seal": each.seal,
            "signature": each.signature,
            "errors": each.errors,
        }
        for each in found.sets
    )
    lost = found.result if isinstance(found.result, Unknown) else None
    ctx.put_all(
        {
            "arc.result": found.result,
            "arc.reason": lost or found.reason,
            "arc.set_count": len(sets),
            "arc.sets": sets,
            "arc.oldest_pass": lost or found.oldest_pass,
        },
        *cited,
    )


def _signs(message: Message) -> list[HeaderField]:
    """Fields that forwarders and lists add; the Return-Path where it was rewritten (SRS)."""
    signs = [field for name in _SIGNS if (field := message.first(name)) is not None]
    path = message.first("Return-Path")
    if path is not None and _REWRITTEN.match((parse_return_path(path.value) or "")[:200]):
        signs.append(path)
    return signs
