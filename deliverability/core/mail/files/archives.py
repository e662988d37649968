"""Archives: what is in them, how it is encrypted, and archives within archives, without unpacking to disk.

Members are unpacked in memory only where they are archives themselves, two
levels deep, and within one budget of octets for the whole attachment.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from pathlib import PurePosixPath

from msgspec import Struct, field

from deliverability.core.mail.files.listing import (
    MAX_ENTRIES,
    SIGNATURE_4,
    SIGNATURE_5,
    ArchiveMember,
    Listing,
    TooManyEntriesError,
    read_7z,
    read_rar,
)
from deliverability.core.mail.files.listing import SIGNATURE as SIGNATURE_7Z
from deliverability.core.mail.files.zips import Directory, looks_like_zip, read_directory, read_member

# Nested archives that are looked into: levels, octets of one, of all, and how many of them.
MAX_LEVELS = 2
MAX_NESTED_OCTETS = 16_000_000
MAX_UNPACKED_OCTETS = 48_000_000
MAX_NESTED = 100

ARCHIVE_ENDINGS = frozenset(
    ("7z", "arj", "bz2", "cab", "gz", "iso", "jar", "lha", "lzh", "rar", "tar", "tbz2", "tgz", "txz", "xz", "z", "zip")
)
_READ_ENDINGS = ("7z", "bz2", "gz", "rar", "tar", "tbz2", "tgz", "txz", "xz", "zip")
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
COMPRESSED = (_GZIP, _BZIP2, _XZ)
_BLOCK = 512


class Archive(Struct, frozen=True):
    """What an archive holds, archives inside it included.

    Attributes:
        members: names of files and folders; what is in a nested archive follows its name and a slash.
        encrypted: none, some or all of the files, nested ones in place of the archive that holds them.
        encryption: the kinds of encryption met (`listing.ENCRYPTIONS`), in order of first sight.
        nested: it holds at least one archive.
        hidden: names could not be read because they are encrypted too, in it or in a nested archive.
        complete: everything could be read: no limit was met, and nothing was broken.

    """

    members: tuple[str, ...]
    encrypted: str
    encryption: tuple[str, ...]
    nested: bool
    hidden: bool
    complete: bool


class _Found(Struct):
    """What is summed up over the archive and those inside it, and what may still be unpacked."""

    members: list[str] = field(default_factory=list)
    files: int = 0
    locked: int = 0
    encryption: dict[str, None] = field(default_factory=dict)
    nested: bool = False
    hidden: bool = False
    complete: bool = True
    octets_left: int = MAX_UNPACKED_OCTETS
    archives_left: int = MAX_NESTED

    def add(self, entry: ArchiveMember, prefix: str) -> None:
        """Count a file or folder. Raises TooManyEntriesError."""
        if len(self.members) >= MAX_ENTRIES:
            raise TooManyEntriesError
        self.members.append(prefix + entry.name)
        self.nested = self.nested or (not entry.folder and is_archive_name(entry.name))
        if not entry.folder:
            self.files += 1
            self.lock(entry.encryption)

    def lock(self, encryption: str | None) -> None:
        if encryption:
            self.locked += 1
            self.encryption[encryption] = None


def ending(name: str) -> str:
    """The last ending of a file's name, lower case, without dot; empty where there is none."""
    last = name.replace("\\", "/").rpartition("/")[2].rstrip(" .")
    _, dot, end = last.rpartition(".")
    return end.lower() if dot else ""


def is_archive_name(name: str) -> bool:
    """Whether the name's ending is that of an archive."""
    return ending(name) in ARCHIVE_ENDINGS


def open_archive(octets: bytes, name: str = "") -> Archive | None:
    """What the archive holds; None where the octets are no ZIP, 7z, RAR, tar, gzip, bzip2 or xz file.

    `name` is the attachment's: a compressed single file bears it without its ending. Raises TooManyEntriesError
    where there are more than `listing.MAX_ENTRIES` entries in all. Nothing else is raised, whatever the octets.
    """
    found = _Found()
    if not _look_into(octets, name, "", found, MAX_LEVELS):
        return None
    encrypted = "none" if not found.locked else "all" if found.locked == found.files else "some"
    return Archive(tuple(found.members), encrypted, tuple(found.encryption), found.nested, found.hidden, found.complete)


def _look_into(octets: bytes, name: str, prefix: str, found: _Found, levels: int) -> bool:
    """Add what is in the archive to `found`; False where it is none."""
    if looks_like_zip(octets):
        directory = read_directory(octets)
        if directory is None:
            return False
        _zip(octets, directory, prefix, found, levels)
        return True
    if octets.startswith(SIGNATURE_7Z):
        return _listed(read_7z(octets), prefix, found)
    if octets.startswith((SIGNATURE_4, SIGNATURE_5)):
        return _listed(read_rar(octets), prefix, found)
    if octets.startswith(COMPRESSED):
        return _compressed(octets, name, prefix, found, levels)
    if is_tar(octets):
        return _listed(_tar(octets), prefix, found)
    return False


def _listed(listing: Listing | None, prefix: str, found: _Found) -> bool:
    if listing is None:
        return False
    found.complete = found.complete and listing.complete
    if listing.hidden:
        # Names that cannot be read are files that cannot be read.
        found.hidden = True
        found.files += 1
        found.lock(listing.hidden)
    for entry in listing.entries:
        found.add(entry, prefix)
    return True


def _zip(octets: bytes, directory: Directory, prefix: str, found: _Found, levels: int) -> None:
    found.complete = found.complete and directory.complete
    if directory.hidden:
        found.hidden = True
        found.files += 1
        found.lock("zip-strong")
    for member in directory.members:
        found.add(ArchiveMember(member.name, member.folder, member.encryption), prefix)
        if member.folder or member.encryption or not is_archive_name(member.name):
            continue
        if ending(member.name) not in _READ_ENDINGS:
            continue
        if not levels or not found.archives_left or found.octets_left <= 0:
            found.complete = False
            continue
        found.archives_left -= 1
        content = read_member(octets, directory, member, min(MAX_NESTED_OCTETS, found.octets_left))
        if content is None:
            # As much may have been unpacked in vain.
            found.octets_left -= min(MAX_NESTED_OCTETS, found.octets_left)
            found.complete = False
            continue
        found.octets_left -= len(content)
        # The files inside count in place of the archive that holds them.
        before = found.files
        if _look_into(content, member.name, f"{prefix}{member.name}/", found, levels - 1) and found.files > before:
            found.files -= 1


def _compressed(octets: bytes, name: str, prefix: str, found: _Found, levels: int) -> bool:
    """A single compressed file: of a tar archive what it holds, else the file itself."""
    limit = min(MAX_NESTED_OCTETS, found.octets_left)
    content, whole = _inflated(octets, limit)
    if content is None:
        return False
    found.octets_left -= len(content)
    if is_tar(content):
        listing = _tar(content)
        return _listed(Listing(listing.entries, complete=listing.complete and whole), prefix, found)
    inner = PurePosixPath(name.replace("\\", "/")).stem or "data"
    found.add(ArchiveMember(inner), prefix)
    if levels and whole and _look_into(content, inner, f"{prefix}{inner}/", found, levels - 1):
        found.nested = True
    return True


def _inflated(octets: bytes, limit: int) -> tuple[bytes | None, bool]:
    """The first `limit` octets of a gzip, bzip2 or xz file, and whether that is all; None where it cannot be read."""
    try:
        if octets.startswith(_GZIP):
            inflater = zlib.decompressobj(31)
            content = inflater.decompress(octets, limit)
            return content, inflater.eof
        if octets.startswith(_BZIP2):
            unpacker = bz2.BZ2Decompressor()
            return unpacker.decompress(octets, limit), unpacker.eof
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=64 << 20)
        return reader.decompress(octets, limit), reader.eof
    except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, MemoryError):
        return None, False


def is_tar(octets: bytes) -> bool:
    """Whether the octets begin as a tar archive does (POSIX and GNU)."""
    return octets[257:262] == b"ustar"


def _tar(octets: bytes) -> Listing:
    """Names from the header blocks; long names of GNU and pax headers are given as far as the block holds them."""
    entries: list[ArchiveMember] = []
    at = 0
    while at + _BLOCK <= len(octets) and octets[at]:
        block = octets[at : at + _BLOCK]
        size = _tar_number(block[124:136])
        kind = block[156:157]
        if size is None:
            return Listing(tuple(entries), complete=False)
        if kind not in b"xgLK" or not kind:
            stem, prefix = (
                each.partition(b"\0")[0].decode("utf-8", "replace") for each in (block[:100], block[345:500])
            )
            posix = block[257:263] == b"ustar\0" and prefix
            entries.append(ArchiveMember(f"{prefix}/{stem}" if posix else stem, kind == b"5"))
        if len(entries) > MAX_ENTRIES:
            raise TooManyEntriesError
        at += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK
    return Listing(tuple(entries), complete=at <= len(octets))


def _tar_number(octets: bytes) -> int | None:
    """A size in octal digits, or in binary with the highest bit set; None where it is neither."""
    if octets[0] & 0x80:
        return int.from_bytes(octets[1:], "big") & 0x7FFF_FFFF_FFFF
    try:
        return int(octets.strip(b"\0 ") or b"0", 8)
    except ValueError:
        return None
