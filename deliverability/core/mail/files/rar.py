"""Directories of RAR archives, versions 1.5 to 4 and 5.

The formats are described in RarLab's technical notes; only headers are read, nothing is unpacked.
"""

from __future__ import annotations

import struct

from deliverability.core.mail.files.listing import MAX_ENTRIES, ArchiveMember, Listing, TooManyEntriesError

SIGNATURE_4 = b"Rar!\x1a\x07\x00"
SIGNATURE_5 = b"Rar!\x1a\x07\x01\x00"


def read_rar(octets: bytes) -> Listing | None:
    """The entries up to the first header that cannot be read; None where it is no RAR archive.

    Raises TooManyEntriesError.
    """
    if octets.startswith(SIGNATURE_5):
        return _version_5(octets)
    if octets.startswith(SIGNATURE_4):
        return _version_4(octets)
    return None


def _version_4(octets: bytes) -> Listing:
    """Blocks of CRC (2), type (1), flags (2), size (2), and the size of what follows the header where flagged."""
    entries: list[ArchiveMember] = []
    at = len(SIGNATURE_4)
    ended = False
    while at + 7 <= len(octets):
        kind, flags, size = struct.unpack_from("<BHH", octets, at + 2)
        if size < 7:
            break
        following = 0
        if kind == 0x73 and flags & 0x80:
            return Listing((), hidden="rar")
        if kind in (0x74, 0x7A) and at + 32 <= len(octets):
            (following,) = struct.unpack_from("<I", octets, at + 7)
            (name_size,) = struct.unpack_from("<H", octets, at + 26)
            begin = at + 32
            if flags & 0x100 and at + 40 <= len(octets):
                following += int.from_bytes(octets[at + 32 : at + 36], "little") << 32
                begin += 8
            if kind == 0x74:
                # With flag 0x200 a packed Unicode name follows the plain one after a NUL.
                plain, _, _ = octets[begin : begin + name_size].partition(b"\0")
                folder = flags & 0xE0 == 0xE0
                entries.append(ArchiveMember(_text(plain), folder, "rar" if flags & 0x4 and not folder else None))
        elif flags & 0x8000 and at + 11 <= len(octets):
            (following,) = struct.unpack_from("<I", octets, at + 7)
        if len(entries) > MAX_ENTRIES:
            raise TooManyEntriesError
        at += size + following
        if kind == 0x7B:
            ended = True
            break
    return Listing(tuple(entries), complete=ended or at == len(octets))


def _version_5(octets: bytes) -> Listing:
    """Blocks of CRC (4 octets), then header size, type, flags, extra and data sizes as variable integers."""
    entries: list[ArchiveMember] = []
    at = len(SIGNATURE_5)
    ended = False
    while at + 7 <= len(octets):
        size, begin = _number(octets, at + 4)
        end = begin + size
        if not 0 < size <= 2 << 20 or end > len(octets):
            break
        kind, position = _number(octets, begin)
        flags, position = _number(octets, position)
        extra, position = _number(octets, position) if flags & 0x1 else (0, position)
        following, position = _number(octets, position) if flags & 0x2 else (0, position)
        if kind == 4:
            return Listing((), hidden="rar")
        if kind == 2:
            entries.append(_file_5(octets, position, end, extra))
        if len(entries) > MAX_ENTRIES:
            raise TooManyEntriesError
        at = end + following
        if kind == 5:
            ended = True
            break
    return Listing(tuple(entries), complete=ended or at == len(octets))


def _file_5(octets: bytes, at: int, end: int, extra: int) -> ArchiveMember:
    flags, at = _number(octets, at)
    _, at = _number(octets, at)  # unpacked size
    _, at = _number(octets, at)  # attributes
    at += (4 if flags & 0x2 else 0) + (4 if flags & 0x4 else 0)  # modification time, CRC of the data
    _, at = _number(octets, at)  # compression
    _, at = _number(octets, at)  # operating system
    name_size, at = _number(octets, at)
    name = octets[at : min(at + name_size, end)].decode("utf-8", "replace")
    folder = bool(flags & 0x1)
    encrypted = False
    at = max(at, end - extra)
    while at < end:
        size, begin = _number(octets, at)
        kind, _ = _number(octets, begin)
        encrypted = encrypted or kind == 1
        at = begin + max(size, 1)
    return ArchiveMember(name, folder, "rar" if encrypted and not folder else None)


def _number(octets: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer and the offset after it: seven bits an octet, the lowest first, at most ten octets."""
    value = 0
    for index in range(10):
        if at + index >= len(octets):
            return 0, len(octets)
        octet = octets[at + index]
        value |= (octet & 0x7F) << (7 * index)
        if octet < 0x80:
            return value, at + index + 1
    return 0, len(octets)


def _text(octets: bytes) -> str:
    for charset in ("utf-8", "cp932"):
        try:
            return octets.decode(charset)
        except UnicodeDecodeError:
            continue
    return octets.decode("cp437")
