"""Office files: macros and encryption, by their content."""

from __future__ import annotations

import io
import struct
from typing import Any

from msgspec import Struct

from deliverability.mail.files.listing import TooManyEntriesError
from deliverability.mail.files.zips import read_directory

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
