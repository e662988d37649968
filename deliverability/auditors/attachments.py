"""What is attached: names, types and octets of every attachment.

May import auditors.base, model and mail.
"""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.auditors.base import Context, MissingFact, auditor, spec
from deliverability.mail.archives import DirectoryTooLargeError, looks_like_zip, read_zip_directory
from deliverability.mail.evidence import part_evidence
from deliverability.mail.reader import Part
from deliverability.mail.structure import Leaf, leaves
from deliverability.model.facts import FactType, Reason, Unknown, Value

PROVIDES = (
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
    spec("message.attachments[].inline", FactType.BOOL, "Shown in the text (Content-ID or inline) rather than listed."),
    spec("message.attachments[].encoded_octets", FactType.INT, "As sent.", unit="octets"),
    spec("message.attachments[].decoded_octets", FactType.INT, "As a file.", unit="octets"),
    spec(
        "message.attachments[].encrypted",
        FactType.STR,
        "For ZIP archives: whether none, some or all entries are encrypted.",
        optional=True,
        values=["none", "some", "all"],
    ),
    spec(
        "message.attachments[].archive_members",
        FactType.LIST_STR,
        "For ZIP archives: names of the entries (at most 1,000), from the directory; nothing is unpacked.",
        optional=True,
    ),
    spec("message.attachments[].image", FactType.BOOL, "Is an image by its declared type."),
)

_ZIP_TYPES = ("application/zip", "application/x-zip-compressed", "application/x-zip")


@auditor("attachments", provides=PROVIDES, needs=("message.parts",))
async def audit(ctx: Context) -> None:
    """What is attached: names, types and octets of every attachment."""
    if ctx.message is None:
        raise MissingFact("message.present", Unknown(Reason.NO_MESSAGE))
    parts = ctx.value("message.parts")
    if isinstance(parts, Unknown):
        raise MissingFact("message.parts", parts)
    decoded = {
        record["path"]: record["decoded_octets"]
        for record in (parts if isinstance(parts, tuple) else ())
        if isinstance(record, Mapping)
    }
    attached = [leaf for leaf in leaves(ctx.message) if leaf.is_attachment]
    records = tuple(_record(leaf, decoded[leaf.part.path]) for leaf in attached)
    cited = [ctx.cite(part_evidence(leaf.part)) for leaf in attached[:100]]
    ctx.put("message.attachments", records, *cited)


def _record(leaf: Leaf, decoded_octets: Value) -> Value:
    part = leaf.part
    filename = part.filename or ""
    extension = filename.rstrip(" .").rpartition(".")
    ending = extension[2].lower() if extension[1] else ""
    encrypted, members = _archive(part, ending)
    return {
        "path": part.path,
        "filename": filename,
        "extension": ending,
        "media_type": part.media_type,
        "inline": leaf.is_inline,
        "encoded_octets": part.encoded_octets,
        "decoded_octets": decoded_octets,
        "encrypted": encrypted,
        "archive_members": members,
        "image": part.media_type.startswith("image/"),
    }


def _archive(part: Part, ending: str) -> tuple[Value, Value]:
    """Encryption and member names where the part is a ZIP archive, else None for both."""
    octets = part.decode()
    if ending != "zip" and part.media_type not in _ZIP_TYPES and not looks_like_zip(octets):
        return None, None
    try:
        directory = read_zip_directory(octets)
    except DirectoryTooLargeError:
        too_large = Unknown(Reason.LIMIT, "the archive has too many entries to be listed")
        return too_large, too_large
    if directory is None:
        return None, None
    return directory.encrypted, directory.members
