"""How many octets the message is on the wire, and where they are."""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.core.facts.base import FactType, Unknown, Value
from deliverability.core.mail.parts import leaves, part_evidence
from deliverability.core.mail.reader import Part
from deliverability.engine.base import Context, MissingFact, auditor, spec

PROVIDES = (
    spec("message.size_octets", FactType.INT, "The whole message as sent: every line ended by CRLF.", unit="octets"),
    spec("message.body_octets", FactType.INT, "The body as sent.", unit="octets"),
    spec("message.text_octets", FactType.INT, "text/* body parts as sent, attachments not included.", unit="octets"),
    spec("message.plain_octets", FactType.INT, "Of the text: text/plain body parts as sent.", unit="octets"),
    spec("message.html_octets", FactType.INT, "Of the text: text/html body parts as sent.", unit="octets"),
    spec("message.image_octets", FactType.INT, "Inline images and image attachments, decoded.", unit="octets"),
    spec("message.attachment_octets", FactType.INT, "All attachments as sent (transfer-encoded).", unit="octets"),
    spec(
        "message.inline_octets",
        FactType.INT,
        "Of the attachments: images and other files shown in the text, as sent.",
        unit="octets",
    ),
    spec(
        "message.encoding_overhead_octets",
        FactType.INT,
        "What the transfer encoding adds to the decoded parts.",
        unit="octets",
    ),
)

_ENCODED = ("base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue")


@auditor("weight", provides=PROVIDES, needs=("message.parts", "message.attachments"), of_message=True)
async def audit(ctx: Context) -> None:
    """How many octets the message is on the wire, and where they are."""
    message = ctx.the_message
    ctx.put("message.size_octets", message.size_octets)
    ctx.put("message.body_octets", message.body_octets)
    decoded = _decoded_octets(ctx.value("message.parts"))
    attachments = _records(ctx.value("message.attachments"))
    attached = {str(record["path"]) for record in attachments}
    inline = {str(record["path"]) for record in attachments if record["inline"] is True}
    texts = [
        leaf.part
        for leaf in leaves(message)
        if leaf.part.media_type.startswith("text/") and leaf.part.path not in attached
    ]
    pages = [part for part in texts if part.media_type == "text/html"]
    plain = [part for part in texts if part.media_type == "text/plain"]
    images = [leaf.part for leaf in leaves(message) if leaf.part.media_type.startswith("image/")]
    files = [leaf.part for leaf in leaves(message) if leaf.part.path in attached]
    ctx.put("message.text_octets", _as_sent(texts), *_cite(ctx, texts))
    ctx.put("message.plain_octets", _as_sent(plain), *_cite(ctx, plain))
    ctx.put("message.html_octets", _as_sent(pages), *_cite(ctx, pages))
    ctx.put("message.image_octets", sum(decoded[part.path] for part in images), *_cite(ctx, images))
    ctx.put("message.attachment_octets", _as_sent(files), *_cite(ctx, files))
    shown = [part for part in files if part.path in inline]
    ctx.put("message.inline_octets", _as_sent(shown), *_cite(ctx, shown))
    ctx.put("message.encoding_overhead_octets", _overhead(message.root, decoded))


def _as_sent(parts: list[Part]) -> int:
    return sum(part.encoded_octets for part in parts)


def _overhead(part: Part, decoded: Mapping[str, int]) -> int:
    """What transfer encodings add below `part`; what is inside an encoded message was weighed with it."""
    if part.transfer_encoding in _ENCODED and not part.media_type.startswith("multipart/"):
        return part.encoded_octets - decoded[part.path]
    return sum(_overhead(child, decoded) for child in part.children)


def _decoded_octets(parts: Value) -> dict[str, int]:
    return {
        str(record["path"]): size for record in _records(parts) if isinstance(size := record["decoded_octets"], int)
    }


def _records(value: Value) -> list[Mapping[str, Value]]:
    """The records of a list fact; its reason is passed on where it is Unknown."""
    if isinstance(value, Unknown):
        raise MissingFact("message.parts", value)
    return [record for record in value if isinstance(record, Mapping)] if isinstance(value, tuple) else []


def _cite(ctx: Context, parts: list[Part]) -> tuple[str, ...]:
    """Cite the first twenty of the parts."""
    return tuple(ctx.cite(part_evidence(part)) for part in parts[:20])
