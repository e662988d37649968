"""What reading an archive's directory gives, whichever the format, and the directories of RAR and 7z archives.

RAR 1.5 to 4 and 5 by RarLab's technical notes; only headers are read, nothing is unpacked. 7z by 7zFormat.txt of the
7-Zip sources: names, and which folders (runs of packed files) are encrypted; the header is usually packed with LZMA
itself.
"""

from __future__ import annotations

import lzma
import struct

from msgspec import Struct, field

# Entries read from one archive at most; beyond it the listing is not complete.
MAX_ENTRIES = 20_000


class TooManyEntriesError(Exception):
    """The archive has more entries than are read."""


class ArchiveMember(Struct, frozen=True):
    """One file or folder of an archive.

    Attributes:
        name: as stored, with folders.
        folder: it is a folder (or an empty file): there is nothing that could be encrypted.
        encryption: how its content is encrypted (see `ENCRYPTIONS`), or None.

    """

    name: str
    folder: bool = False
    encryption: str | None = None


class Listing(Struct, frozen=True):
    """The directory of an archive.

    Attributes:
        entries: in the order of the directory.
        hidden: how the directory itself is encrypted (see `ENCRYPTIONS`), so that not even names can be read; or None.
        complete: all of the directory could be read.

    """

    entries: tuple[ArchiveMember, ...]
    hidden: str | None = None
    complete: bool = True


ENCRYPTIONS = ("zip-pkware", "zip-aes", "zip-strong", "7z-aes", "rar", "pdf", "office")


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


SIGNATURE = b"7z\xbc\xaf\x27\x1c"

_AES = b"\x06\xf1\x07\x01"
_LZMA1, _LZMA2, _COPY = b"\x03\x01\x01", b"\x21", b"\x00"
_MAX_HEADER = 8_000_000
_MAX_DICTIONARY = 16 << 20
_END, _HEADER, _ADDITIONAL, _STREAMS, _FILES = 0x00, 0x01, 0x03, 0x04, 0x05
_PACK, _UNPACK, _SUBSTREAMS, _SIZES, _CRC, _FOLDERS, _UNPACK_SIZES, _COUNTS = 6, 7, 8, 9, 10, 11, 12, 13
_EMPTY_STREAM, _NAMES, _ENCODED = 0x0E, 0x11, 0x17
_METADATA = 0x02


class _BrokenError(Exception):
    """The header is not what it should be."""


class _Folder(Struct):
    coders: list[tuple[bytes, bytes]]  # id, properties
    outputs: int
    unpacked: list[int] = field(default_factory=list)
    files: int = 1

    @property
    def encrypted(self) -> bool:
        return any(identity == _AES for identity, _ in self.coders)


class _Streams(Struct):
    pack_start: int = 0
    pack_sizes: list[int] = field(default_factory=list)
    folders: list[_Folder] = field(default_factory=list)


def read_7z(octets: bytes) -> Listing | None:
    """The entries; an incomplete listing where the header cannot be read; None where it is no 7z archive.

    Raises TooManyEntriesError.
    """
    if not octets.startswith(SIGNATURE) or len(octets) < 32:
        return None
    offset, size = struct.unpack_from("<QQ", octets, 12)
    header = octets[32 + offset : 32 + offset + size] if size <= _MAX_HEADER else b""
    if size == 0:
        return Listing(())
    if len(header) < size:
        return Listing((), complete=False)
    try:
        for _ in range(4):
            reader = _Reader(header)
            kind = reader.octet()
            if kind == _HEADER:
                return _listing(reader)
            if kind != _ENCODED:
                break
            streams = _streams(reader)
            if any(folder.encrypted for folder in streams.folders):
                return Listing((), hidden="7z-aes")
            header = _unpacked(octets, streams)
    except (_BrokenError, lzma.LZMAError, EOFError, ValueError, MemoryError):
        pass
    return Listing((), complete=False)


class _Reader:
    """A position in the header; everything raises _BrokenError beyond the end."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.at = 0

    def octet(self) -> int:
        return self.take(1)[0]

    def take(self, size: int) -> bytes:
        if size > len(self.octets) - self.at:
            raise _BrokenError
        self.at += size
        return self.octets[self.at - size : self.at]

    def number(self) -> int:
        """The leading ones of the first octet tell how many octets follow; the rest of it are the highest bits."""
        first = self.octet()
        mask, value = 0x80, 0
        for index in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * index)
            value |= self.octet() << (8 * index)
            mask >>= 1
        return value

    def count(self) -> int:
        """A number of things, each of which takes at least one bit of the header."""
        value = self.number()
        if value > MAX_ENTRIES:
            raise TooManyEntriesError
        return value

    def bits(self, count: int) -> list[bool]:
        octets = self.take((count + 7) // 8)
        return [bool(octets[index // 8] & 0x80 >> index % 8) for index in range(count)]

    def digests(self, count: int) -> list[bool]:
        """Which of `count` things have a checksum; the checksums are passed over."""
        defined = [True] * count if self.octet() else self.bits(count)
        self.take(4 * sum(defined))
        return defined


def _streams(reader: _Reader) -> _Streams:
    """StreamsInfo: where packed streams are, and the folders with their coders."""
    streams = _Streams()
    with_digest: list[bool] = []
    while (kind := reader.number()) != _END:
        if kind == _PACK:
            streams.pack_start = reader.number()
            count = reader.count()
            while (inner := reader.number()) != _END:
                if inner == _SIZES:
                    streams.pack_sizes = [reader.number() for _ in range(count)]
                elif inner == _CRC:
                    reader.digests(count)
                else:
                    raise _BrokenError
        elif kind == _UNPACK:
            with_digest = _folders(reader, streams)
        elif kind == _SUBSTREAMS:
            _substreams(reader, streams.folders, with_digest)
        else:
            raise _BrokenError
    return streams


def _folders(reader: _Reader, streams: _Streams) -> list[bool]:
    if reader.number() != _FOLDERS:
        raise _BrokenError
    count = reader.count()
    if reader.octet():
        raise _BrokenError  # folders kept elsewhere: never seen
    streams.folders = [_folder(reader) for _ in range(count)]
    if reader.number() != _UNPACK_SIZES:
        raise _BrokenError
    for folder in streams.folders:
        folder.unpacked = [reader.number() for _ in range(folder.outputs)]
    with_digest = [False] * count
    while (kind := reader.number()) != _END:
        if kind != _CRC:
            raise _BrokenError
        with_digest = reader.digests(count)
    return with_digest


def _folder(reader: _Reader) -> _Folder:
    coders: list[tuple[bytes, bytes]] = []
    inputs = outputs = 0
    number = reader.number()
    if not 0 < number <= 32:
        raise _BrokenError
    for _ in range(number):
        flags = reader.octet()
        identity = reader.take(flags & 0x0F)
        into, out = (reader.number(), reader.number()) if flags & 0x10 else (1, 1)
        if max(into, out) > 32:
            raise _BrokenError
        inputs, outputs = inputs + into, outputs + out
        coders.append((identity, reader.take(reader.number()) if flags & 0x20 else b""))
    if not outputs:
        raise _BrokenError
    for _ in range(2 * (outputs - 1)):
        reader.number()  # which coder feeds which
    packed = inputs - (outputs - 1)
    for _ in range(packed if packed > 1 else 0):
        reader.number()
    return _Folder(coders, outputs)


def _substreams(reader: _Reader, folders: list[_Folder], with_digest: list[bool]) -> None:
    """How many files each folder holds; sizes and checksums are passed over."""
    kind = reader.number()
    if kind == _COUNTS:
        for folder in folders:
            folder.files = reader.count()
        kind = reader.number()
    if sum(folder.files for folder in folders) > MAX_ENTRIES:
        raise TooManyEntriesError
    if kind == _SIZES:
        for folder in folders:
            for _ in range(folder.files - 1):
                reader.number()
        kind = reader.number()
    while kind != _END:
        if kind != _CRC:
            raise _BrokenError
        pairs = zip(folders, with_digest, strict=False)
        reader.digests(sum(0 if folder.files == 1 and known else folder.files for folder, known in pairs))
        kind = reader.number()


def _listing(reader: _Reader) -> Listing:
    """The plain header: folders, then names."""
    folders: list[_Folder] = []
    names: list[str] = []
    empty: list[bool] = []
    kind = reader.number()
    if kind == _METADATA:
        raise _BrokenError  # archive properties: never written
    if kind == _ADDITIONAL:
        _streams(reader)
        kind = reader.number()
    if kind == _STREAMS:
        folders = _streams(reader).folders
        kind = reader.number()
    if kind == _FILES:
        count = reader.count()
        while (name := reader.number()) != _END:
            content = _Reader(reader.take(reader.number()))
            if name == _NAMES and not content.octet():
                text = content.octets[1:].decode("utf-16-le", "replace")
                names = text.split("\0")[:count]
            elif name == _EMPTY_STREAM:
                empty = content.bits(count)
    # Files with content take the folders' streams in order; folders and empty files have none.
    locks = ("7z-aes" if folder.encrypted else None for folder in folders for _ in range(folder.files))
    entries = (
        ArchiveMember(each, folder=True)
        if index < len(empty) and empty[index]
        else ArchiveMember(each, encryption=next(locks, None))
        for index, each in enumerate(names)
    )
    return Listing(tuple(entries))


def _unpacked(octets: bytes, streams: _Streams) -> bytes:
    """The real header behind an encoded one: a single LZMA, LZMA2 or copied stream."""
    if len(streams.folders) != 1 or len(streams.folders[0].coders) != 1 or not streams.pack_sizes:
        raise _BrokenError
    folder = streams.folders[0]
    identity, properties = folder.coders[0]
    size = folder.unpacked[0]
    begin = 32 + streams.pack_start
    packed = octets[begin : begin + streams.pack_sizes[0]]
    if size > _MAX_HEADER:
        raise TooManyEntriesError
    if identity == _COPY:
        return packed
    # The header never refers further back than its own length, so a claimed dictionary of gigabytes is not needed.
    if identity == _LZMA1 and len(properties) == 5 and properties[0] < 225:
        rest, lc = divmod(properties[0], 9)
        pb, lp = divmod(rest, 5)
        filters: dict[str, int] = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": _MAX_DICTIONARY}
    elif identity == _LZMA2:
        filters = {"id": lzma.FILTER_LZMA2, "dict_size": _MAX_DICTIONARY}
    else:
        raise _BrokenError
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters]).decompress(packed, size)
