"""What is attached: names, declared and real types, archives, encryption, where a PDF has its octets, and images.

Of images that travel with the message: pixels, metadata, and what re-encoding would save.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.content import (
    Attachment,
    Attachments,
    Image,
    ImageFiles,
    PasswordMail,
    PdfFile,
    PdfFiles,
)
from deliverability.core.facts.message import Format
from deliverability.core.mail.files.archives import ending, open_archive
from deliverability.core.mail.files.documents import is_encrypted, weigh
from deliverability.core.mail.files.images import measure
from deliverability.core.mail.files.listing import TooManyEntriesError
from deliverability.core.mail.files.types import HEAD_OCTETS, MACRO_ENDINGS, begins_as_container, contradicts, identify
from deliverability.core.mail.marks import recipients_of
from deliverability.core.mail.parts import NESTED, Leaf, body_texts, leaves, part_evidence
from deliverability.core.mail.reader import Message
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.engine.base import Context, auditor

ARCHIVE_MANY = Code("archive-many")
ARCHIVE_PARTLY = Code("archive-partly")

_MAX_MEMBERS = 1000
_MAX_TYPES = 1000
_TOO_MANY = Unknown(Reason.LIMIT, ARCHIVE_MANY())


@auditor("attachments", Attachments, needs=(Format,), of_message=True)
async def attachments_audit(ctx: Context) -> Attachments:
    """What is attached: names, types, octets and content of every attachment."""
    message = ctx.the_message
    parts = ctx.of(Format).parts
    if isinstance(parts, Unknown):
        return Attachments.lost(parts)
    decoded = {each.path: each.decoded_octets for each in parts}
    attached = [leaf for leaf in leaves(message) if leaf.is_attachment]
    if not attached and message.nesting_limited:
        return Attachments.lost(Unknown(Reason.LIMIT, NESTED()))
    # Looking into archives takes a while; DNS answers of other auditors are waited for meanwhile.
    records = await asyncio.to_thread(
        lambda: tuple(_record(leaf, decoded[leaf.part.path]) for leaf in attached),
    )
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf in attached[:100]]
    return Attachments(attachments=records, evidence=cite(*cited))


def attached(ctx: Context, fits: Callable[[Attachment], bool]) -> tuple[Message, list[Leaf]] | Unknown:
    """The message, and its parts whose record among the attachments fits; for auditors that need that topic."""
    message, found = ctx.the_message, ctx.of(Attachments).attachments
    if isinstance(found, Unknown):
        return found
    paths = {each.path for each in found if fits(each)}
    return message, [leaf for leaf in leaves(message) if leaf.part.path in paths]


def _record(leaf: Leaf, decoded_octets: int) -> Attachment:
    part = leaf.part
    filename = part.filename or ""
    head = part.head(HEAD_OCTETS)
    # What holds nothing and cannot be encrypted is told by its first octets; a photo of 20 MB stays undecoded.
    content = _content(part.decode() if begins_as_container(head) else head, filename, part.media_type)
    return Attachment(
        path=part.path,
        filename=filename,
        extension=ending(filename),
        media_type=part.media_type,
        true_type=content.true_type,
        type_mismatch=content.mismatch,
        inline=leaf.is_inline,
        encoded_octets=part.encoded_octets,
        decoded_octets=decoded_octets,
        container=content.container,
        encrypted=content.encrypted,
        encryption_kind=content.encryption,
        archive_members=content.members,
        nested_archive=content.nested,
        types=content.types,
        macros=content.macros,
        image=part.media_type.startswith("image/"),
    )


class _Content(Struct):
    """The facts that come from the octets; as they are for a file that is nothing special."""

    true_type: str | None = None
    mismatch: bool = False
    container: str | None = None
    encrypted: Maybe[str | None] = None
    encryption: Maybe[str | None] = None
    members: Maybe[tuple[str, ...] | None] = None
    nested: Maybe[bool] = False
    types: tuple[Maybe[str], ...] = ()
    macros: bool | None = None


def _content(octets: bytes, filename: str, media_type: str) -> _Content:
    found = identify(octets)
    content = _Content(
        true_type=found.media_type,
        mismatch=contradicts(octets, found.kind, filename, media_type),
        types=_types(ending(filename), found.kind or ""),
    )
    if found.office:
        content.container = "office"
        content.encrypted = "all" if found.office.encrypted else "none"
        content.encryption = "office" if found.office.encrypted else None
        content.macros = None if found.office.encrypted else found.office.macros or ending(filename) in MACRO_ENDINGS
    elif found.kind == "pdf":
        content.container = "pdf"
        encrypted = is_encrypted(octets)
        content.encrypted, content.encryption = ("all", "pdf") if encrypted else ("none", None)
    else:
        _look_inside(octets, filename, content)
    return content


def _types(*names: Maybe[str]) -> tuple[Maybe[str], ...]:
    found = tuple(dict.fromkeys(name for name in names if name))
    return found if len(found) <= _MAX_TYPES else (*found[:_MAX_TYPES], _TOO_MANY)


def _look_inside(octets: bytes, filename: str, content: _Content) -> None:
    """Fill in what an archive holds; nothing where the octets are no archive that can be read."""
    try:
        archive = open_archive(octets, filename)
    except TooManyEntriesError:
        content.container = "archive"
        content.encrypted = content.encryption = content.members = content.nested = _TOO_MANY
        content.types = (*content.types, _TOO_MANY)
        return
    if archive is None:
        return
    content.container = "archive"
    content.encrypted = archive.encrypted
    content.encryption = archive.encryption[0] if archive.encryption else None
    content.members = archive.members[:_MAX_MEMBERS]
    content.nested = archive.nested
    content.types = _types(*content.types, *map(ending, archive.members))
    if not archive.complete:
        partly = Unknown(Reason.LIMIT, ARCHIVE_PARTLY())
        content.types = (*content.types, partly)
        content.encrypted = partly if archive.encrypted == "none" else archive.encrypted


@auditor("password-mail", PasswordMail, needs=(Attachments,), of_message=True)
async def password_mail_audit(ctx: Context) -> PasswordMail:
    """Find the second mail with the password among the messages of the run (a habit known as PPAP)."""
    attachments = ctx.of(Attachments).attachments
    if isinstance(attachments, Unknown):
        return PasswordMail.lost(attachments)
    files = tuple(each.filename for each in attachments if each.encrypted in ("all", "some"))
    message = ctx.the_message
    ident, recipients = message.first("Message-ID"), recipients_of(message)
    own = ident.value.strip() if ident else ""
    others = [each for each in ctx.subject.samples if not own or each.message_id != own]
    bringing = tuple(each.name for each in others if files and each.recipients & recipients)
    return PasswordMail(
        encrypted_files=files,
        password_mails=bringing if ctx.subject.samples else None,
        evidence=cite(*ctx.evidence_of(Attachments, "attachments")),
    )


@auditor("pdf", PdfFiles, needs=(Attachments,), of_message=True)
async def audit(ctx: Context) -> PdfFiles:
    """PDFs that are attached: where their octets are."""
    there = attached(ctx, lambda each: each.container == "pdf")
    if isinstance(there, Unknown):
        return PdfFiles.lost(there)
    _, files = there
    found = await asyncio.to_thread(_pdfs, files) if files else []
    cited = (ctx.cite(part_evidence(leaf.part)) for leaf, _ in found[:100])
    return PdfFiles(pdfs=tuple(each for _, each in found), evidence=cite(*cited))


def _pdfs(files: Sequence[Leaf]) -> list[tuple[Leaf, PdfFile]]:

    found: list[tuple[Leaf, PdfFile]] = []
    for leaf in files:
        facts = weigh(leaf.part.decode())
        if facts is not None:
            record = PdfFile(
                path=leaf.part.path,
                filename=leaf.part.filename or "",
                octets=facts.octets,
                images=facts.images,
                image_octets=facts.image_octets,
                font_octets=facts.font_octets,
                other_octets=facts.other_octets,
                saving_octets=facts.saving_octets,
            )
            found.append((leaf, record))
    return found


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
async def images_audit(ctx: Context) -> ImageFiles:
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
