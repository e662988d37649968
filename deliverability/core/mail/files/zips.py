"""ZIP directories (PKWARE APPNOTE 6.3.10), read leniently, and single members within limits.

Own code, because zipfile costs a kilobyte an entry, refuses archives that contradict
themselves, and says nothing about AES (AE-x) and strong encryption.
"""

from __future__ import annotations

import struct
import zlib

from msgspec import Struct

from deliverability.core.mail.files.listing import MAX_ENTRIES, TooManyEntriesError

_ENTRY, _LOCAL, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
_END64, _LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
_ENCRYPTED, _STREAMED, _STRONG, _UTF8, _MASKED = 0x1, 0x8, 0x40, 0x800, 0x2000
_AES_METHOD, _AES_EXTRA, _STRONG_EXTRA = 99, 0x9901, 0x0017
STORED, DEFLATED = 0, 8  # methods
_MAX_ENDS = 16

_JAPANESE = ((" ", "~"), ("\u3000", "\u30ff"), ("\u4e00", "\u9fff"), ("\uff00", "\uffef"))


class Member(Struct, frozen=True):
    """One entry of the directory; `encryption` is zip-pkware, zip-aes, zip-strong or None."""

    name: str
    folder: bool
    encryption: str | None
    method: int
    packed_octets: int
    offset: int


class Directory(Struct, frozen=True):
    """Entries in their order, and where offsets are counted from (archives may have something before them)."""

    members: tuple[Member, ...]
    base: int
    complete: bool
    hidden: bool


def looks_like_zip(octets: bytes) -> bool:
    """Whether the octets begin as a ZIP archive does."""
    return octets.startswith((_LOCAL, _END, b"PK\x07\x08"))


def read_directory(octets: bytes) -> Directory | None:
    """The central directory, else what the local headers tell; None where there is neither.

    Raises TooManyEntriesError above `MAX_ENTRIES` entries.
    """
    if octets.count(_ENTRY) > MAX_ENTRIES:
        raise TooManyEntriesError
    hidden = False
    for end in _ends_of_directory(octets):
        count, size, offset, after, hidden = _directory_place(octets, end)
        if count == 0 and size == 0:
            return Directory((), 0, True, hidden)
        start = after - size
        if start < 0 or octets[start : start + 4] != _ENTRY:
            start = offset
        if octets[start : start + 4] == _ENTRY:
            return _read_entries(octets, start, count, max(0, start - offset), hidden)
    found = _from_local_headers(octets)
    # A directory that is there and cannot be read is encrypted as a whole.
    return found or (Directory((), 0, False, True) if hidden else None)


def _directory_place(octets: bytes, end: int) -> tuple[int, int, int, int, bool]:
    """Entries, size and offset of the directory, where it ends, and whether it is encrypted (4.3.14, 4.3.16)."""
    count, size, offset = struct.unpack_from("<HII", octets, end + 10)
    if count != 0xFFFF and 0xFFFFFFFF not in (size, offset):
        return count, size, offset, end, False
    at = octets.rfind(_END64, max(0, end - 0x10000), end)
    if at < 0 or octets[end - 20 : end - 16] != _LOCATOR64 or at + 56 > len(octets):
        return count, size, offset, end, False
    (length,) = struct.unpack_from("<Q", octets, at + 4)
    count, size, offset = struct.unpack_from("<QQQ", octets, at + 32)
    # Version 2 of the record, used with an encrypted directory, goes on after 44 octets (7.3.4).
    return count, size, offset, at, length >= 44 + 28 and octets[at + 14] >= 62


def _read_entries(octets: bytes, start: int, count: int, base: int, hidden: bool) -> Directory:
    members: list[Member] = []
    at = start
    while octets[at : at + 4] == _ENTRY and at + 46 <= len(octets):
        member, at = _member(octets, at)
        members.append(member)
    return Directory(tuple(members), base, len(members) >= count, hidden)


def read_member(octets: bytes, directory: Directory, member: Member, limit: int) -> bytes | None:
    """The content of a stored or deflated member that is not encrypted, if it has at most `limit` octets; else None."""
    packed = packed_member(octets, directory, member)
    if packed is None:
        return None
    if member.method == STORED:
        return packed if len(packed) <= limit else None
    inflater = zlib.decompressobj(-15)
    try:
        content = inflater.decompress(packed, limit + 1)
    except zlib.error:
        return None
    return content if len(content) <= limit else None


def packed_member(octets: bytes, directory: Directory, member: Member) -> bytes | None:
    """A member as it is stored, STORED or DEFLATED; None where it is encrypted, of another method or not there."""
    at = directory.base + member.offset
    if member.encryption or member.method not in (STORED, DEFLATED) or octets[at : at + 4] != _LOCAL:
        return None
    if at + 30 > len(octets):
        return None
    name, extra = struct.unpack_from("<HH", octets, at + 26)
    begin = at + 30 + name + extra
    return octets[begin : begin + member.packed_octets]


def _ends_of_directory(octets: bytes) -> list[int]:
    """Places of closing records (4.3.16), first those whose comment ends the file (it may hold some)."""
    first = max(0, len(octets) - 22 - 0xFFFF)
    places: list[int] = []
    at = octets.rfind(_END, first, max(0, len(octets) - 18))
    while at >= 0 and len(places) < _MAX_ENDS:
        places.append(at)
        at = octets.rfind(_END, first, at)
    return sorted(places, key=lambda at: at + 22 + int.from_bytes(octets[at + 20 : at + 22], "little") != len(octets))


def _member(octets: bytes, at: int) -> tuple[Member, int]:
    """The directory entry at `at`, and where the next begins (4.3.12)."""
    flags, method = struct.unpack_from("<HH", octets, at + 8)
    packed, unpacked, name_size, extra_size, comment_size = struct.unpack_from("<IIHHH", octets, at + 20)
    (offset,) = struct.unpack_from("<I", octets, at + 42)
    name_end = at + 46 + name_size
    extra = _extra(octets[name_end : name_end + extra_size])
    # ZIP64 (4.5.3): of the three, those that did not fit, in this order.
    wide = extra.get(0x0001, b"")
    if unpacked == 0xFFFFFFFF:
        wide = wide[8:]
    if packed == 0xFFFFFFFF:
        packed, wide = int.from_bytes(wide[:8], "little"), wide[8:]
    if offset == 0xFFFFFFFF:
        offset = int.from_bytes(wide[:8], "little")
    name = _name(octets[at + 46 : name_end], flags)
    encryption = _encryption(flags, method, extra)
    folder = name.endswith("/")
    return Member(name, folder, encryption, method, packed, offset), name_end + extra_size + comment_size


def _from_local_headers(octets: bytes) -> Directory | None:
    """What can be told of an archive whose end is missing: members up to the first of unknown length (4.3.7)."""
    members: list[Member] = []
    at = 0
    while octets[at : at + 4] == _LOCAL and at + 30 <= len(octets):
        if len(members) >= MAX_ENTRIES:
            raise TooManyEntriesError
        flags, method = struct.unpack_from("<HH", octets, at + 6)
        packed, _, name_size, extra_size = struct.unpack_from("<IIHH", octets, at + 18)
        name_end = at + 30 + name_size
        name = _name(octets[at + 30 : name_end], flags)
        if not name:
            break
        encryption = _encryption(flags, method, _extra(octets[name_end : name_end + extra_size]))
        members.append(Member(name, name.endswith("/"), encryption, method, packed, at))
        if flags & _STREAMED or packed == 0xFFFFFFFF:
            break
        at = name_end + extra_size + packed
    return Directory(tuple(members), 0, False, False) if members else None


def _encryption(flags: int, method: int, extra: dict[int, bytes]) -> str | None:
    """How the entry is encrypted; bit 0 decides whether, the rest tells how (4.4.4, 7.2.4; AE-x: method 99)."""
    if flags & (_STRONG | _MASKED) or (flags & _ENCRYPTED and _STRONG_EXTRA in extra):
        return "zip-strong"
    if method == _AES_METHOD or (flags & _ENCRYPTED and _AES_EXTRA in extra):
        return "zip-aes"
    return "zip-pkware" if flags & _ENCRYPTED else None


def _extra(octets: bytes) -> dict[int, bytes]:
    """Extra fields by their id; the first of each."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(octets):
        kind, size = struct.unpack_from("<HH", octets, at)
        found.setdefault(kind, octets[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _name(octets: bytes, flags: int) -> str:
    """The entry's name; without the UTF-8 flag, Japanese Windows writes Shift_JIS and others UTF-8 or CP437."""
    if flags & _UTF8:
        return octets.decode("utf-8", "replace")
    if octets.isascii():
        return octets.decode("ascii")
    for charset in ("utf-8", "cp932"):
        try:
            text = octets.decode(charset)
        except UnicodeDecodeError:
            continue
        if charset == "utf-8" or all(any(first <= each <= last for first, last in _JAPANESE) for each in text):
            return text
    return octets.decode("cp437")
