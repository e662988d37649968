"""Directories of ZIP archives, read in memory; nothing is unpacked. Imports nothing of ours, zipfile when needed."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zipfile

MAX_MEMBERS = 1000
# Each entry costs zipfile about a kilobyte of memory before anything can be asked.
_MAX_ENTRIES = 20_000
_JAPANESE = re.compile(r"[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef\x20-\x7e]*")
_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1


class DirectoryTooLargeError(Exception):
    """The archive names more entries than we read."""


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """Names of the first 1,000 entries, and whether none, some or all files are encrypted (flag bit 0)."""

    members: tuple[str, ...]
    encrypted: str


def looks_like_zip(octets: bytes) -> bool:
    """Whether the octets begin as a ZIP archive does."""
    return octets.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"))


def read_zip_directory(octets: bytes) -> ZipDirectory | None:
    """The central directory; None where there is none that can be read. Raises DirectoryTooLargeError."""
    if octets.count(b"PK\x01\x02") > _MAX_ENTRIES:
        raise DirectoryTooLargeError
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            entries = archive.infolist()
    except Exception:
        # Made-up directories get BadZipFile, struct.error, OverflowError, NotImplementedError and more out of zipfile.
        return None
    files = [entry for entry in entries if not entry.is_dir()]
    locked = sum(entry.flag_bits & _ENCRYPTED_FLAG for entry in files)
    encrypted = "none" if not locked else "all" if locked == len(files) else "some"
    return ZipDirectory(tuple(_name(entry) for entry in entries[:MAX_MEMBERS]), encrypted)


def _name(entry: zipfile.ZipInfo) -> str:
    """The entry's name; without the UTF-8 flag, Japanese Windows writes Shift_JIS and others UTF-8 or CP437."""
    name = entry.filename
    if name.isascii() or entry.flag_bits & _UTF8_FLAG:
        return name
    try:
        octets = name.encode("cp437")
    except UnicodeEncodeError:
        return name
    for charset in ("utf-8", "cp932"):
        try:
            text = octets.decode(charset)
        except UnicodeDecodeError:
            continue
        if charset == "utf-8" or _JAPANESE.fullmatch(text):
            return text
    return name
