"""How many octets the message is on the wire, and where they are."""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.content import Attachments
from deliverability.core.facts.message import Format, Weight
from deliverability.core.mail.parts import leaves, part_evidence
from deliverability.core.mail.reader import Part
from deliverability.core.model.topic import Cited, cite, if_known
from deliverability.engine.base import Context, auditor

_ENCODED = ("base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue")


@auditor("weight", Weight, needs=(Format, Attachments), of_message=True)
async def audit(ctx: Context) -> Weight:
    """How many octets the message is on the wire, and where they are."""
    message = ctx.the_message
    parts, attachments = ctx.of(Format).parts, ctx.of(Attachments).attachments
    lost = parts if isinstance(parts, Unknown) else attachments if isinstance(attachments, Unknown) else None
    decoded = {each.path: each.decoded_octets for each in if_known(parts) or ()}
    attached = {each.path for each in if_known(attachments) or ()}
    inline = {each.path for each in if_known(attachments) or () if each.inline}
    texts = [
        leaf.part
        for leaf in leaves(message)
        if leaf.part.media_type.startswith("text/") and leaf.part.path not in attached
    ]
    pages = [part for part in texts if part.media_type == "text/html"]
    plain = [part for part in texts if part.media_type == "text/plain"]
    images = [leaf.part for leaf in leaves(message) if leaf.part.media_type.startswith("image/")]
    files = [leaf.part for leaf in leaves(message) if leaf.part.path in attached]
    shown = [part for part in files if part.path in inline]
    return Weight(
        size_octets=message.size_octets,
        body_octets=message.body_octets,
        text_octets=lost or _as_sent(texts),
        plain_octets=lost or _as_sent(plain),
        html_octets=lost or _as_sent(pages),
        image_octets=lost or sum(decoded[part.path] for part in images),
        attachment_octets=lost or _as_sent(files),
        inline_octets=lost or _as_sent(shown),
        encoding_overhead_octets=lost or _overhead(message.root, decoded),
        evidence=Cited()
        if lost
        else cite(
            text_octets=_cite(ctx, texts),
            plain_octets=_cite(ctx, plain),
            html_octets=_cite(ctx, pages),
            image_octets=_cite(ctx, images),
            attachment_octets=_cite(ctx, files),
            inline_octets=_cite(ctx, shown),
        ),
    )


def _as_sent(parts: list[Part]) -> int:
    return sum(part.encoded_octets for part in parts)


def _overhead(part: Part, decoded: Mapping[str, int]) -> int:
    """What transfer encodings add below `part`; what is inside an encoded message was weighed with it."""
    if part.transfer_encoding in _ENCODED and not part.media_type.startswith("multipart/"):
        return part.encoded_octets - decoded[part.path]
    return sum(_overhead(child, decoded) for child in part.children)


def _cite(ctx: Context, parts: list[Part]) -> tuple[str, ...]:
    """Cite the first twenty of the parts."""
    return tuple(ctx.cite(part_evidence(part)) for part in parts[:20])
