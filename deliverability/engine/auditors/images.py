"""Images that travel with the message: pixels, metadata, and what re-encoding would save."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.content import Attachments, Image, ImageFiles
from deliverability.core.mail.files.images import measure
from deliverability.core.mail.parts import Leaf, body_texts, part_evidence
from deliverability.core.mail.reader import Message
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.engine.auditors.attachments import attached
from deliverability.engine.base import Context, auditor

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


@auditor("images", ImageFiles, needs=(Attachments,), of_message=True)
async def audit(ctx: Context) -> ImageFiles:
    """Images that travel with the message: pixels, metadata, and what re-encoding would save."""
    there = attached(ctx, lambda each: (each.true_type or "").startswith("image/"))
    if isinstance(there, Unknown):
        return ImageFiles.lost(there)
    message, images = there
    # Decoding takes a while; DNS answers of other auditors are waited for meanwhile.
    found = await asyncio.to_thread(_images, message, images) if images else []
    return ImageFiles(
        images=tuple(image for _, image in found),
        image_saving_octets=sum(if_known(image.saving_octets) or 0 for _, image in found),
        evidence=cite(*(ctx.cite(part_evidence(leaf.part)) for leaf, _ in found[:100])),
    )


def _images(message: Message, images: Sequence[Leaf]) -> list[tuple[Leaf, Image]]:

    widths = display_widths(message)
    budget = _MAX_PIXELS
    found: list[tuple[Leaf, Image]] = []
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
        lost = None
        if not allowed or facts.refused:
            lost = Unknown(Reason.LIMIT, _REFUSED[facts.refused] if facts.refused else IMAGE_MANY())
        image = Image(
            path=leaf.part.path,
            filename=leaf.part.filename or leaf.part.content_id or "",
            inline=leaf.is_inline,
            format=facts.format,
            octets=facts.octets,
            width=_pixels(facts.width, lost),
            height=_pixels(facts.height, lost),
            frames=facts.frames,
            metadata_octets=facts.metadata_octets,
            display_width=shown,
            photo=lost or facts.photo,
            best_format=lost or (safe.format if safe else None),
            best_octets=lost or (safe.octets if safe else None),
            saving_octets=lost or (facts.octets - safe.octets if safe else 0),
            webp_octets=lost or (webp.octets if webp else None),
        )
        found.append((leaf, image))
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


def _pixels(count: int | None, lost: Unknown | None) -> Maybe[int]:
    """A side of the image; what is lost counts where the header claims more than can be a real image."""
    return count if count is not None else lost or Unknown(Reason.LIMIT, IMAGE_PIXELS())
