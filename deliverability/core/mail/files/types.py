"""What a file is by its content, and whether its declared type and ending agree.

A table of our own: it names exactly the types whose confusion matters in mail. Libraries of file signatures give
several candidates for the same first octets (a Windows program is a dozen things to them), which is no ground for
saying that a name is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cache

from msgspec import Struct

from deliverability.core.mail.files.archives import COMPRESSED, ending, is_tar
from deliverability.core.mail.files.documents import OLE, Office, is_pdf, read_ole, read_ooxml
from deliverability.core.mail.files.images import sniff
from deliverability.core.mail.files.listing import SIGNATURE as SIGNATURE_7Z
from deliverability.core.mail.files.listing import SIGNATURE_4, SIGNATURE_5, TooManyEntriesError
from deliverability.core.mail.files.zips import looks_like_zip, read_directory
from deliverability.core.yaml import shipped

HEAD_OCTETS = 0x8800  # enough for every signature of the table; that of an ISO image comes last


class _Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of content: its types (the first is stated) and its endings."""

    types: tuple[str, ...]
    endings: tuple[str, ...]


@cache
def _kinds() -> Mapping[str, _Kind]:
    return shipped("files.yaml", dict[str, _Kind])


def _by_ending(ending: str) -> frozenset[str]:
    return frozenset(name for name, kind in _kinds().items() if ending in kind.endings)


def _by_type(media_type: str) -> frozenset[str]:
    return frozenset(name for name, kind in _kinds().items() if media_type in kind.types)


_STARTS = (
    (b"%!PS", "postscript"),
    (b"{\\rtf", "rtf"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"MSCF\0\0\0\0", "cab"),
    (b"\x7fELF", "elf"),
    (b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "lnk"),
    (b"ITSF\x03\0\0\0", "chm"),
    (b"\x78\x9f\x3e\x22", "tnef"),
    (b"ID3", "mp3"),
    (b"\0\0\x01\0", "ico"),
)
# Types that are named for anything, and so contradict nothing.
_GENERIC_TYPES = (
    "application/octet-stream", "application/x-octet-stream", "application/binary", "application/unknown",
    "application/force-download", "application/download", "application/x-download", "application/save",
)  # fmt: skip
_OFFICE = {"docx", "xlsx", "pptx", "doc", "xls", "ppt", "rtf", "ooxml-encrypted"}
MACRO_ENDINGS = frozenset("docm dotm xlsm xltm xlam xla pptm potm ppsm ppam ppa sldm".split())  # noqa: SIM905


class FileType(Struct, frozen=True):
    """What a file is by its content.

    Attributes:
        kind: jpeg, pdf, docx, zip, exe ..., or None where the content does not tell (text, formats not known here).
        media_type: of that kind, or None.
        office: where it is an Office file.

    """

    kind: str | None
    media_type: str | None
    office: Office | None


def identify(octets: bytes) -> FileType:
    """What the octets are. Never raises."""
    kind, office = _identify(octets)
    known = _kinds().get(kind or "")
    return FileType(kind, known.types[0] if known else None, office)


def begins_as_container(head: bytes) -> bool:
    """Whether a file that begins so (its first `HEAD_OCTETS` suffice) may hold others or be encrypted.

    Only such a file has to be read whole: archives, Office files and PDFs.
    """
    starts = (OLE, SIGNATURE_7Z, SIGNATURE_4, SIGNATURE_5, *COMPRESSED)
    return looks_like_zip(head) or head.startswith(starts) or is_tar(head) or is_pdf(head)


def contradicts(octets: bytes, kind: str | None, name: str, media_type: str) -> bool:
    """Whether the file's ending or declared type names a kind that the content is not.

    Says so only where it is sure: the ending or type must be one of those in the table. Text under such a name
    contradicts it too (a web page saved as .pdf); an empty file contradicts nothing.
    """
    if not octets:
        return False
    by_ending = _by_ending(ending(name))
    if by_ending and kind not in by_ending and not _akin(kind, by_ending):
        return True
    # Programs declare any text as a spreadsheet and any Office file as the old formats; that harms nothing.
    by_type = frozenset() if media_type in _GENERIC_TYPES else _by_type(media_type)
    if kind is None or not by_type or kind in by_type or _akin(kind, by_type):
        return False
    return not (kind in _OFFICE and by_type & _OFFICE)


def _akin(kind: str | None, kinds: Set[str]) -> bool:
    """Kinds that programs take for each other without trouble, and wrappings of one another."""
    if kind in ("ooxml-encrypted", "ole"):
        # An encrypted or damaged compound file may be any Office format.
        return bool(kinds & (_OFFICE | {"msg", "ole", "msi"}))
    if kind in ("docx", "xlsx", "pptx", "odf", "jar", "apk"):
        return "zip" in kinds
    if kind is None:
        # No signature that must be there: old formats, and those whose first octets differ widely.
        return bool(
            kinds & {"exe", "tar", "mp3", "mp4", "elf", "iso", "ico", "tnef", "postscript", "gzip", "rtf", "msg"}
        )
    return False


def _identify(octets: bytes) -> tuple[str | None, Office | None]:
    image = sniff(octets)
    if image:
        return image, None
    if octets.startswith(OLE):
        ole = read_ole(octets)
        return (ole.kind, ole.office) if ole else (None, None)
    if looks_like_zip(octets):
        office = read_ooxml(octets)
        return (office.kind, office) if office else (_zip_kind(octets), None)
    for start, kind in _STARTS:
        if octets.startswith(start):
            return kind, None
    if octets[:2] == b"MZ" and len(octets) >= 64:
        return "exe", None
    if octets[:3] == b"BZh" and octets[4:10] == b"1AY&SY":
        return "bzip2", None
    if octets[4:8] == b"ftyp":
        return ("heic" if octets[8:12] in (b"heic", b"heix", b"mif1", b"heim", b"hevc") else "mp4"), None
    if octets[:4] == b"RIFF" and octets[8:12] == b"WAVE":
        return "wav", None
    if is_tar(octets):
        return "tar", None
    if octets[0x8001:0x8006] == b"CD001":
        return "iso", None
    return ("pdf" if is_pdf(octets) else None), None


def _zip_kind(octets: bytes) -> str:
    """What else a ZIP archive may be: a Java archive or an Android package."""
    try:
        directory = read_directory(octets)
    except TooManyEntriesError:
        return "zip"
    names = {member.name for member in directory.members} if directory else set()
    if "AndroidManifest.xml" in names:
        return "apk"
    return "jar" if "META-INF/MANIFEST.MF" in names and any(name.endswith(".class") for name in names) else "zip"
