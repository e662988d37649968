"""Images that travel with the message: pixels, metadata, and what re-encoding would save."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from deliverability.core.codes import Code
from deliverability.core.facts.base import FactType, Reason, Unknown, Value
from deliverability.core.mail.files.images import measure
from deliverability.core.mail.parts import Leaf, body_texts, part_evidence
from deliverability.core.mail.reader import Message
from deliverability.engine.auditors.attachments import attached
from deliverability.engine.base import Context, auditor, spec

PROVIDES = (
    spec(
        "message.images",
        FactType.LIST_RECORD,
        "Image files in the message, shown in the text or attached.",
        key=["filename", "path"],
    ),
    spec("message.images[].path", FactType.STR, "Position in the MIME tree."),
    spec("message.images[].filename", FactType.STR, "Decoded file name, else the Content-ID; else empty."),
    spec("message.images[].inline", FactType.BOOL, "Shown in the text rather than listed."),
    spec(
        "message.images[].format",
        FactType.STR,
        "By content.",
        values=["jpeg", "png", "gif", "webp", "bmp", "tiff", "avif"],
    ),
    spec("message.images[].octets", FactType.INT, "As a file.", unit="octets"),
    spec("message.images[].width", FactType.INT, "Pixels.", unit="pixels"),
    spec("message.images[].height", FactType.INT, "Pixels.", unit="pixels"),
    spec("message.images[].frames", FactType.INT, "1 for a still image."),
    spec("message.images[].metadata_octets", FactType.INT, "EXIF, XMP, previews, comments.", unit="octets"),
    spec(
        "message.images[].display_width",
        FactType.INT,
        "Width at which the mail shows it, 640 for an inline image that gives none; null for attached files.",
        unit="pixels",
        optional=True,
    ),
    spec("message.images[].photo", FactType.BOOL, "Looks like a photograph (heuristic: many shades, few flat areas)."),
    spec(
        "message.images[].best_format",
        FactType.STR,
        "Format of the smallest re-encoding that every mail program shows (JPEG at quality 82, or PNG).",
        optional=True,
        values=["jpeg", "png"],
    ),
    spec(
        "message.images[].best_octets",
        FactType.INT,
        "What the image weighs then, at most twice as wide as shown; measured by doing it; null where nothing is won.",
        unit="octets",
        optional=True,
    ),
    spec("message.images[].saving_octets", FactType.INT, "What that saves of the file.", unit="octets"),
    spec(
        "message.images[].webp_octets",
        FactType.INT,
        "What it weighs as WebP at quality 80; null where that is no smaller.",
        unit="octets",
        optional=True,
    ),
    spec(
        "message.image_saving_octets",
        FactType.INT,
        "What re-encoding the images would save in all, of the files before transfer encoding.",
        unit="octets",
    ),
)

IMAGE_PIXELS = Code("image-pixels")
IMAGE_OCTETS = Code("image-octets")
IMAGE_BROKEN = Code("image-broken")
IMAGE_MANY = Code("image-many")

# An inline image without a width is as wide as the column of a mail at most.
_COLUMN = 640
# Of one message: pixels that are decoded, and images that are looked at.
_MAX_PIXELS = 120_000_000
_MAX_IMAGES = 200
_MAX_TAG = 4000
_CONTENT_ID = re.compile(r"cid:([^\s\"'>]+)", re.IGNORECASE)
_WIDTH = re.compile(r"\swidth\s{0,9}=\s{0,9}[\"']?\s{0,9}(\d{1,5})(?:px)?\s{0,9}(?=[\"'\s/>])", re.IGNORECASE)
_STYLE_WIDTH = re.compile(r"[\"';\s]width\s{0,9}:\s{0,9}(\d{1,5})px", re.IGNORECASE)


@auditor("images", provides=PROVIDES, needs=("message.attachments",), of_message=True)
async def audit(ctx: Context) -> None:
    """Images that travel with the message: pixels, metadata, and what re-encoding would save."""
    message, images = attached(ctx, lambda record: str(record["true_type"]).startswith("image/"))
    # Decoding takes a while; DNS answers of other auditors are waited for meanwhile.
    found = await asyncio.to_thread(_images, message, images) if images else []
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf, _ in found[:100]]
    ctx.put("message.images", tuple(record for _, record in found), *cited)
    savings = [record["saving_octets"] for _, record in found]
    ctx.put("message.image_saving_octets", sum(each for each in savings if isinstance(each, int)), *cited)


def _images(message: Message, images: Sequence[Leaf]) -> list[tuple[Leaf, dict[str, Value]]]:
    widths = display_widths(message)
    budget = _MAX_PIXELS
    found: list[tuple[Leaf, dict[str, Value]]] = []
    for leaf in images:
        octets = leaf.part.decode()
        shown = widths.get(leaf.part.content_id or "", _COLUMN if leaf.is_inline else 0) or None
        header = measure(octets, savings=False)
        if header is None:
            continue
        pixels = (header.width or 0) * (header.height or 0)
        allowed = len(found) < _MAX_IMAGES and pixels <= budget
        facts = measure(octets, shown) if allowed and not header.refused else header
        if facts is None:
            continue
        budget -= pixels if allowed else 0
        safe = next((way for way in facts.savings if way.format in ("jpeg", "png")), None)
        webp = next((way for way in facts.savings if way.format == "webp"), None)
        record: dict[str, Value] = {
            "path": leaf.part.path,
            "filename": leaf.part.filename or leaf.part.content_id or "",
            "inline": leaf.is_inline,
            "format": facts.format,
            "octets": facts.octets,
            "width": facts.width,
            "height": facts.height,
            "frames": facts.frames,
            "metadata_octets": facts.metadata_octets,
            "display_width": shown,
            "photo": facts.photo,
            "best_format": safe.format if safe else None,
            "best_octets": safe.octets if safe else None,
            "saving_octets": facts.octets - safe.octets if safe else 0,
            "webp_octets": webp.octets if webp else None,
        }
        if not allowed or facts.refused:
            detail = _REFUSED[facts.refused] if facts.refused else IMAGE_MANY()
            unknown = Unknown(Reason.LIMIT, detail)
            if facts.width is None:
                record["width"] = record["height"] = unknown
            record |= dict.fromkeys(("photo", "best_format", "best_octets", "saving_octets", "webp_octets"), unknown)
        found.append((leaf, record))
    return found


_REFUSED = {
    "pixels": IMAGE_PIXELS(),
    "octets": IMAGE_OCTETS(),
    "broken": IMAGE_BROKEN(),
}


def display_widths(message: Message) -> dict[str, int]:
    """Content-ID -> width in pixels at which the HTML shows the image: the largest of its `width` or style."""
    widths: dict[str, int] = {}
    for leaf in body_texts(message, "text/html"):
        # Split rather than matched: a tag that never ends must not be read again from each of its places.
        for tag in leaf.part.text().replace("<IMG", "<img").split("<img")[1:]:
            attributes = tag[:_MAX_TAG].partition(">")[0] + ">"
            content_id = _CONTENT_ID.search(attributes)
            width = _WIDTH.search(attributes) or _STYLE_WIDTH.search(attributes)
            if content_id and width and int(width[1]):
                widths[content_id[1]] = max(widths.get(content_id[1], 0), int(width[1]))
    return widths
