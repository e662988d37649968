"""Office files and PDFs: macros, encryption, and where their octets are."""

from __future__ import annotations

import io
import re
import struct
from typing import Any

from msgspec import Struct

from deliverability.core.mail.files.listing import TooManyEntriesError
from deliverability.core.mail.files.zips import read_directory

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_WORD_ENCRYPTED = 0x0100
_BIFF_FILEPASS = 0x002F
_BIFF_RECORDS = 50
_POWERPOINT_ENCRYPTED = 0xF3D1C4DF
_MSI = "000C1084-0000-0000-C000-000000000046"
_PARTS = {"word/": "docx", "xl/": "xlsx", "ppt/": "pptx"}


class Office(Struct, frozen=True):
    """An Office file.

    Attributes:
        kind: docx, xlsx or pptx, doc, xls or ppt; ooxml-encrypted, where encryption hides which; odf (OpenDocument).
        macros: it holds a VBA project, whatever its ending says.
        encrypted: it opens only with a password.

    """

    kind: str
    macros: bool
    encrypted: bool


class Ole(Struct, frozen=True):
    """An OLE2 compound file: an Office file, else which other one (msi, msg, ole)."""

    kind: str
    office: Office | None


def read_ooxml(octets: bytes) -> Office | None:
    """The Office file that a ZIP archive is (ECMA-376, OpenDocument); None where it is another archive or none."""
    if octets[30:38] == b"mimetype" and octets[38:88].startswith(b"application/vnd.oasis.opendocument"):
        return Office("odf", _odf_macros(octets), _odf_encrypted(octets))
    try:
        directory = read_directory(octets)
    except TooManyEntriesError:
        return None
    names = [member.name for member in directory.members] if directory else []
    if "[Content_Types].xml" not in names:
        return None
    for start, kind in _PARTS.items():
        if any(name.startswith(start) for name in names):
            return Office(kind, any(name.lower().endswith("vbaproject.bin") for name in names), False)
    return None


def _odf_macros(octets: bytes) -> bool:
    directory = _directory(octets)
    return any(name.startswith("Basic/") for name in directory)


def _odf_encrypted(octets: bytes) -> bool:
    """OpenDocument 1.3 part 2, 3.4: encrypted packages of LibreOffice 24 and later hold one encrypted package."""
    return "encrypted-package" in _directory(octets)


def _directory(octets: bytes) -> list[str]:
    try:
        directory = read_directory(octets)
    except TooManyEntriesError:
        return []
    return [member.name for member in directory.members] if directory else []


def read_ole(octets: bytes) -> Ole | None:
    """The OLE2 file ([MS-CFB]) that the octets are, or None. Never raises."""
    if not octets.startswith(OLE):
        return None
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(octets)) as ole:
            return _ole(ole)
    except Exception:
        # Broken sector chains get OleFileError, OSError, struct.error, IndexError and RecursionError out of olefile.
        return Ole("ole", None)


def _ole(ole: Any) -> Ole:
    paths = ["/".join(path) for path in ole.listdir(streams=True, storages=True)]
    top = {path.split("/")[0] for path in paths}
    macros = any(path.rpartition("/")[2].upper() == "VBA" for path in paths) or "_VBA_PROJECT_CUR" in top
    if "EncryptedPackage" in top:
        return Ole("ooxml-encrypted", Office("ooxml-encrypted", False, True))
    if "WordDocument" in top:
        # [MS-DOC] 2.5.2: FibBase.fEncrypted
        flags = _stream(ole, "WordDocument", 12)[10:12]
        encrypted = bool(int.from_bytes(flags, "little") & _WORD_ENCRYPTED)
        return Ole("doc", Office("doc", macros, encrypted))
    for name in ("Workbook", "Book"):
        if name in top:
            return Ole("xls", Office("xls", macros, _has_filepass(_stream(ole, name, 65_536))))
    if "PowerPoint Document" in top:
        # [MS-PPT] 2.3.2: CurrentUserAtom.headerToken
        token = _stream(ole, "Current User", 16)[12:16]
        return Ole("ppt", Office("ppt", macros, int.from_bytes(token, "little") == _POWERPOINT_ENCRYPTED))
    if str(ole.root.clsid).upper() == _MSI:
        return Ole("msi", None)
    return Ole("msg" if "__properties_version1.0" in top else "ole", None)


def _stream(ole: Any, name: str, limit: int) -> bytes:
    """The first `limit` octets of a stream; empty where it is a storage or missing."""
    if ole.get_type(name) != 2:
        return b""
    content: bytes = ole.openstream(name).read(limit)
    return content


def _has_filepass(octets: bytes) -> bool:
    """[MS-XLS] 2.4.117: a FILEPASS record among the first of the globals."""
    at = 0
    for _ in range(_BIFF_RECORDS):
        if at + 4 > len(octets):
            return False
        kind, size = struct.unpack_from("<HH", octets, at)
        if kind == _BIFF_FILEPASS:
            return True
        at += 4 + size
    return False


# What a page of A4 or letter is wide at 150 dpi, enough to read and to print in an office.
TARGET_WIDTH = 1240
# Octets per pixel of a JPEG of middle quality.
_JPEG_DENSITY = 0.25

_STREAM = re.compile(rb"stream(?:\r\n|\n|\r)")
_ENCRYPT = re.compile(rb"/Encrypt\s{0,20}(?:\d{1,10}\s{1,20}\d{1,5}\s{1,20}R|<<)")
_IMAGE = re.compile(rb"/Subtype\s{0,20}/Image\b")
_FONT = re.compile(rb"/Length1\s{1,20}\d|/Subtype\s{0,20}/(?:Type1C|CIDFontType0C|OpenType)\b")
_WIDTH = re.compile(rb"/Width\s{1,20}(\d{1,6})\b")
_HEIGHT = re.compile(rb"/Height\s{1,20}(\d{1,6})\b")
_BILEVEL = re.compile(rb"/(?:CCITTFaxDecode|JBIG2Decode)\b|/ImageMask\s{0,20}true|/BitsPerComponent\s{1,20}1\b")
_TRAILER = re.compile(rb"\btrailer\s{0,20}<<")
_OUTSIDE = re.compile(rb"startxref|\bobj\b|stream")
_XREF = re.compile(rb"/Type\s{0,20}/XRef\b")
_WINDOW = 4096
_MATCHES = 200


class PdfFacts(Struct, frozen=True):
    """Where the octets of a PDF are.

    Attributes:
        octets: of the file.
        images: number of images.
        image_octets: their streams, as stored.
        font_octets: embedded fonts.
        other_octets: everything else: text, drawings, structure.
        saving_octets: an estimate of what scaling images down to 150 dpi of a full page would save.
        encrypted: has an encryption dictionary.

    """

    octets: int
    images: int
    image_octets: int
    font_octets: int
    other_octets: int
    saving_octets: int
    encrypted: bool


def is_pdf(octets: bytes) -> bool:
    """Whether there is a PDF header within the first 1,024 octets, as readers accept it."""
    return b"%PDF-" in octets[:1024]


def weigh(octets: bytes) -> PdfFacts | None:
    """Where the octets of the PDF are; None where it is none. Never raises; one pass."""
    if not is_pdf(octets):
        return None
    images = image_octets = font_octets = 0
    saving = 0.0
    at = 0
    while match := _STREAM.search(octets, at):
        end = octets.find(b"endstream", match.end())
        if end < 0:
            break
        begin = max(at, match.start() - _WINDOW)
        head = octets[max(begin, octets.rfind(b"obj", begin, match.start())) : match.start()]
        size = end - match.end()
        if _IMAGE.search(head):
            images += 1
            image_octets += size
            saving += _saving(head, size)
        elif _FONT.search(head):
            font_octets += size
        at = end + len(b"endstream")
    rest = len(octets) - image_octets - font_octets
    return PdfFacts(len(octets), images, image_octets, font_octets, rest, int(saving), is_encrypted(octets))


def is_encrypted(octets: bytes) -> bool:
    """Whether a trailer or a cross-reference stream names an encryption dictionary (ISO 32000-2, 7.6.2).

    Text that merely holds the word does not count: it must stand in the dictionary after ``trailer``, or in
    that of an object of type XRef.
    """
    for number, match in enumerate(_ENCRYPT.finditer(octets)):
        if number >= _MATCHES:
            break
        before = octets[max(0, match.start() - _WINDOW) : match.start()]
        trailers = list(_TRAILER.finditer(before))
        if trailers and not _OUTSIDE.search(before, trailers[-1].end()):
            return True
        # The dictionary of the object that the match stands in: from its beginning to its stream.
        beginning = before[max(before.rfind(b"obj"), 0) :]
        rest = octets[match.start() : match.start() + _WINDOW].partition(b"stream")[0]
        if b"stream" not in beginning and _XREF.search(beginning + rest):
            return True
    return False


def _saving(head: bytes, size: int) -> float:
    """What an image of `size` octets would lose at most; images of one bit a pixel (scanned fax) are left alone."""
    width, height = _WIDTH.search(head), _HEIGHT.search(head)
    if width is None or height is None or _BILEVEL.search(head):
        return 0.0
    pixels = int(width[1]) * int(height[1])
    # A landscape page is as wide at 150 dpi as a portrait page is high; the shorter side decides.
    side = min(int(width[1]), int(height[1]))
    factor = min(1.0, TARGET_WIDTH / side) if side else 1.0
    return max(0.0, size - pixels * factor * factor * _JPEG_DENSITY) if pixels else 0.0
