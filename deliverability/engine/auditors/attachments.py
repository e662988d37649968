"""What is attached: names, declared and real types, archives' entries, encryption, and where a PDF's octets are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import FactType, Reason, Unknown, Value, records_of
from deliverability.core.mail.files.archives import ending, open_archive
from deliverability.core.mail.files.documents import is_encrypted, weigh
from deliverability.core.mail.files.listing import ENCRYPTIONS, TooManyEntriesError
from deliverability.core.mail.files.types import HEAD_OCTETS, MACRO_ENDINGS, begins_as_container, contradicts, identify
from deliverability.core.mail.parts import NESTED, Leaf, leaves, part_evidence
from deliverability.core.mail.reader import Message
from deliverability.engine.base import Context, MissingFact, auditor, spec

ATTACHMENTS_PROVIDES = (
    spec(
        "message.attachments",
        FactType.LIST_RECORD,
        "Parts with a file name or Content-Disposition: attachment, and inline files.",
        key=["filename", "path"],
    ),
    spec("message.attachments[].path", FactType.STR, "Position in the MIME tree."),
    spec("message.attachments[].filename", FactType.STR, "Decoded file name; empty where there is none."),
    spec(
        "message.attachments[].extension",
        FactType.STR,
        "Last ending of the name, lower case, without dot; empty where there is none.",
    ),
    spec("message.attachments[].media_type", FactType.STR, "Declared type."),
    spec(
        "message.attachments[].true_type",
        FactType.STR,
        "Type by the content, where its first octets tell it; text has none.",
        optional=True,
    ),
    spec(
        "message.attachments[].type_mismatch",
        FactType.BOOL,
        "The content is certainly not what the ending or the declared type says.",
    ),
    spec("message.attachments[].inline", FactType.BOOL, "Shown in the text (Content-ID or inline) rather than listed."),
    spec("message.attachments[].encoded_octets", FactType.INT, "As sent.", unit="octets"),
    spec("message.attachments[].decoded_octets", FactType.INT, "As a file.", unit="octets"),
    spec(
        "message.attachments[].container",
        FactType.STR,
        "What kind of file that can be encrypted: an archive (ZIP, 7z, RAR, tar, gzip ...), an Office file, a PDF.",
        optional=True,
        values=["archive", "office", "pdf"],
    ),
    spec(
        "message.attachments[].encrypted",
        FactType.STR,
        "For archives, Office files and PDFs: whether none, some or all of the files inside are encrypted.",
        optional=True,
        values=["none", "some", "all"],
    ),
    spec(
        "message.attachments[].encryption_kind",
        FactType.STR,
        "How: ZIP's own cipher, AES or strong encryption, 7z, RAR, PDF, Office; the first where there are several.",
        optional=True,
        values=ENCRYPTIONS,
    ),
    spec(
        "message.attachments[].archive_members",
        FactType.LIST_STR,
        "For archives: names of the entries (at most 1,000), two levels deep; empty where the names are encrypted.",
        optional=True,
    ),
    spec("message.attachments[].nested_archive", FactType.BOOL, "An archive that holds an archive."),
    spec(
        "message.attachments[].types",
        FactType.LIST_STR,
        "What receivers go by: its ending, the kind that its content shows (exe, pdf, zip ...), and the endings of "
        "what an archive holds, each once in lower case; one is unknown where the archive could be read only in part.",
    ),
    spec(
        "message.attachments[].macros",
        FactType.BOOL,
        "For Office files: holds a VBA project, or has an ending for macros; null for others and where encrypted.",
        optional=True,
    ),
    spec("message.attachments[].image", FactType.BOOL, "Is an image by its declared type."),
)

ARCHIVE_MANY = Code("archive-many")
ARCHIVE_PARTLY = Code("archive-partly")

_MAX_MEMBERS = 1000
_MAX_TYPES = 1000
_TOO_MANY = Unknown(Reason.LIMIT, ARCHIVE_MANY())


@auditor("attachments", provides=ATTACHMENTS_PROVIDES, needs=("message.parts",), of_message=True)
async def attachments_audit(ctx: Context) -> None:
    """What is attached: names, types, octets and content of every attachment."""
    message = ctx.the_message
    parts = ctx.value("message.parts")
    if isinstance(parts, Unknown):
        raise MissingFact("message.parts", parts)
    decoded = {
        record["path"]: record["decoded_octets"]
        for record in (parts if isinstance(parts, tuple) else ())
        if isinstance(record, Mapping)
    }
    attached = [leaf for leaf in leaves(message) if leaf.is_attachment]
    if not attached and message.nesting_limited:
        raise MissingFact("message.attachments", Unknown(Reason.LIMIT, NESTED()))
    # Looking into archives takes a while; DNS answers of other auditors are waited for meanwhile.
    records = await asyncio.to_thread(
        lambda: tuple(_record(leaf, decoded[leaf.part.path]) for leaf in attached),
    )
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf in attached[:100]]
    ctx.put("message.attachments", records, *cited)


def attached(ctx: Context, fits: Callable[[Mapping[str, Value]], bool]) -> tuple[Message, list[Leaf]]:
    """The message, and its parts whose record in ``message.attachments`` fits; for auditors that need that fact.

    Raises MissingFact where there is no message, or the attachments could not be told.
    """
    message, value = ctx.the_message, ctx.value("message.attachments")
    if isinstance(value, Unknown):
        raise MissingFact("message.attachments", value)
    paths = {record["path"] for record in records_of(value) if fits(record)}
    return message, [leaf for leaf in leaves(message) if leaf.part.path in paths]


def _record(leaf: Leaf, decoded_octets: Value) -> Value:
    part = leaf.part
    filename = part.filename or ""
    head = part.head(HEAD_OCTETS)
    # What holds nothing and cannot be encrypted is told by its first octets; a photo of 20 MB stays undecoded.
    content = _content(part.decode() if begins_as_container(head) else head, filename, part.media_type)
    return {
        "path": part.path,
        "filename": filename,
        "extension": ending(filename),
        "media_type": part.media_type,
        "true_type": content.true_type,
        "type_mismatch": content.mismatch,
        "inline": leaf.is_inline,
        "encoded_octets": part.encoded_octets,
        "decoded_octets": decoded_octets,
        "container": content.container,
        "encrypted": content.encrypted,
        "encryption_kind": content.encryption,
        "archive_members": content.members,
        "nested_archive": content.nested,
        "types": content.types,
        "macros": content.macros,
        "image": part.media_type.startswith("image/"),
    }


class _Content(Struct):
    """The facts that come from the octets; as they are for a file that is nothing special."""

    true_type: Value = None
    mismatch: Value = False
    container: Value = None
    encrypted: Value = None
    encryption: Value = None
    members: Value = None
    nested: Value = False
    types: tuple[Value, ...] = ()
    macros: Value = None


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


def _types(*names: Value) -> tuple[Value, ...]:
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


PROVIDES = (
    spec("message.pdfs", FactType.LIST_RECORD, "Attached PDFs, by content.", key=["filename", "path"]),
    spec("message.pdfs[].path", FactType.STR, "Position in the MIME tree."),
    spec("message.pdfs[].filename", FactType.STR, "Decoded file name; empty where there is none."),
    spec("message.pdfs[].octets", FactType.INT, "As a file.", unit="octets"),
    spec("message.pdfs[].images", FactType.INT, "Images in it."),
    spec("message.pdfs[].image_octets", FactType.INT, "Of the file, images.", unit="octets"),
    spec("message.pdfs[].font_octets", FactType.INT, "Of the file, embedded fonts.", unit="octets"),
    spec("message.pdfs[].other_octets", FactType.INT, "Of the file, everything else.", unit="octets"),
    spec(
        "message.pdfs[].saving_octets",
        FactType.INT,
        "An estimate, not measured: what scaling images down to 150 dpi of a full page would save.",
        unit="octets",
    ),
)


@auditor("pdf", provides=PROVIDES, needs=("message.attachments",), of_message=True)
async def audit(ctx: Context) -> None:
    """PDFs that are attached: where their octets are."""
    _, files = attached(ctx, lambda record: record["container"] == "pdf")
    found = await asyncio.to_thread(_pdfs, files) if files else []
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf, _ in found[:100]]
    ctx.put("message.pdfs", tuple(record for _, record in found), *cited)


def _pdfs(files: Sequence[Leaf]) -> list[tuple[Leaf, Value]]:
    found: list[tuple[Leaf, Value]] = []
    for leaf in files:
        facts = weigh(leaf.part.decode())
        if facts is not None:
            record: Value = {
                "path": leaf.part.path,
                "filename": leaf.part.filename or "",
                "octets": facts.octets,
                "images": facts.images,
                "image_octets": facts.image_octets,
                "font_octets": facts.font_octets,
                "other_octets": facts.other_octets,
                "saving_octets": facts.saving_octets,
            }
            found.append((leaf, record))
    return found
