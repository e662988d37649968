"""Where feedback lies, item by item, and from the octets of an item to the documents in it.

Files, folders, globs, Maildirs, mailbox files and standard input; gzip, zip, mailboxes, mails and XML in any encoding,
by content and never by name.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import reason_of, until_lost
from deliverability.core.mail.files.listing import TooManyEntriesError
from deliverability.core.mail.files.zips import STORED, Member, looks_like_zip, packed_member, read_directory
from deliverability.core.mail.kinds import is_mailbox, looks_like_message, messages_in, messages_of
from deliverability.core.mail.reader import Message, Part, read
from deliverability.core.mail.words import codec_of
from deliverability.core.replies import limits
from deliverability.core.replies.limits import NotReadError

STDIN = "-"
_HEAD = 1 << 12
_CHUNK = 1 << 16
_SMALL = 1 << 20  # octets of a file that is held, as it is looked at several times

NO_PLACE = Code("place-absent")


class PlaceItem(Struct, frozen=True):
    """A file or mail that may hold feedback.

    Attributes:
        name: as people find it again.
        content: its octets, or the file that has them.
        alone: it was named itself, and not found in a folder or mailbox.

    """

    name: str
    content: bytes | Path
    alone: bool = False

    def digest(self, vouched: bool = False) -> bytes:
        """Of the octets; another one where the user vouches for them. Raises OSError."""
        made = hashlib.blake2b(digest_size=16, person=b"vouched" if vouched else b"")
        if isinstance(self.content, bytes):
            made.update(self.content)
        else:
            with self.content.open("rb") as file:
                while piece := file.read(_CHUNK):
                    made.update(piece)
        return made.digest()

    def first(self, most: int) -> bytes:
        """The first octets of it. Raises OSError."""
        if isinstance(self.content, bytes):
            return self.content[:most]
        with self.content.open("rb") as file:
            return file.read(most)

    def octets(self) -> bytes:
        """All of it. Raises OSError."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


class UnreadPlace(Struct, frozen=True):
    """A place, or an item in it, that cannot be read, and why."""

    name: str
    detail: Detail


def items(place: str, stdin: BinaryIO | None = None) -> Iterator[PlaceItem | UnreadPlace]:
    """What lies in a place, by name; nothing is held but one item. Never raises OSError.

    A folder with ``cur`` and ``new`` is a Maildir; of any other, all files in it and below, but hidden ones.
    """
    if place == STDIN:
        if stdin is not None:
            yield from _standard_input(stdin)
        return
    path = Path(place)
    if path.is_dir():
        yield from _folder(path)
    elif os.path.lexists(path):
        yield from _file(str(path), alone=True)
    elif glob.has_magic(place):
        for found in sorted(glob.iglob(place, recursive=True)):
            each = Path(found)
            yield from _folder(each) if each.is_dir() else _file(str(each))
    else:
        yield UnreadPlace(place, NO_PLACE())


def _standard_input(stdin: BinaryIO) -> Iterator[PlaceItem | UnreadPlace]:
    octets = stdin.read(limits.MAX_COMPRESSED + 1)
    if len(octets) > limits.MAX_COMPRESSED:
        yield UnreadPlace(STDIN, limits.TOO_LARGE(octets=len(octets), limit=limits.MAX_COMPRESSED))
    else:
        yield PlaceItem(STDIN, octets, alone=True)


def _folder(folder: Path) -> Iterator[PlaceItem | UnreadPlace]:
    parts = [folder / each for each in ("new", "cur")]
    if all(each.is_dir() for each in parts):
        for part in parts:
            try:
                paths = sorted(part.iterdir())
            except OSError as error:
                yield UnreadPlace(str(part), _not_opened(error))
                continue
            for path in paths:
                yield from _file(str(path), listed=True, mail=True)
        return
    lost: list[OSError] = []
    for root, folders, files in os.walk(folder, onerror=lost.append):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        place = str(Path(root))
        for name in sorted(each for each in files if not each.startswith(".")):
            yield from _file(name if place == "." else os.path.join(place, name), listed=True)
    for each in lost:
        yield UnreadPlace(str(each.filename), _not_opened(each))


def _file(
    path: str, *, alone: bool = False, listed: bool = False, mail: bool = False
) -> Iterator[PlaceItem | UnreadPlace]:
    """A file; of a mailbox each message, unless it is known to be one `mail`.

    `listed`: it was found in a folder, where anything but files is left out.
    """
    broken: list[Exception] = []
    yield from until_lost(_read(path, alone=alone, listed=listed, mail=mail), broken.append)
    for error in broken:
        yield UnreadPlace(path, _not_opened(error))


def _not_opened(error: Exception) -> Detail:
    return limits.NOT_OPENED(why=error.strerror or str(error)) if isinstance(error, OSError) else reason_of(error)


def _read(path: str, *, alone: bool, listed: bool, mail: bool) -> Iterator[PlaceItem | UnreadPlace]:
    """As `_file`. Raises OSError."""
    if not os.path.isfile(path):
        if not listed:
            yield UnreadPlace(path, limits.NOT_OPENED(why="no regular file"))
        return
    with open(path, "rb", buffering=0) as file:  # as it is read at once
        size = os.fstat(file.fileno()).st_size
        octets = file.read(size + 1 if size <= _SMALL else _HEAD)
    if mail or not is_mailbox(octets[:_HEAD]):
        yield PlaceItem(path, octets if size <= _SMALL else Path(path), alone)
    else:
        yield from _mailbox(path)


def _mailbox(path: str) -> Iterator[PlaceItem | UnreadPlace]:
    """The messages of a mailbox. Raises OSError."""
    with open(path, "rb") as file:
        for number, message in enumerate(messages_in(file, limits.MAX_COMPRESSED), 1):
            name = f"{path}#{number}"
            if isinstance(message, bytes):
                yield PlaceItem(name, message)
            else:
                yield UnreadPlace(name, limits.TOO_LARGE(octets=message, limit=limits.MAX_COMPRESSED))


_XML_HEAD = 512  # octets in which a declaration ends
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose BOM it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEGINNINGS = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
WIDE = tuple(octets for octets, name in (*_BOMS, *_BEGINNINGS) if name != "utf-8")
"""How documents begin that are written in UTF-16 or UTF-32."""
_DECLARATION = re.compile(
    rb"""\s{0,20}<\?xml\s[^<>]{0,200}?\bencoding\s{0,20}=\s{0,20}["']([A-Za-z0-9._:+-]{1,40})["']"""
)
_NO_XML = frozenset({"utf-7", "ascii"})  # the first is held whole until it ends, the second is UTF-8


def as_utf8(pieces: Iterable[bytes], errors: str = "strict") -> Iterator[bytes]:
    """The document in UTF-8, in pieces; one in UTF-8 as it is, and not looked through.

    Raises UnicodeDecodeError where octets mean nothing in its encoding, unless `errors` says otherwise.
    """
    rest = iter(pieces)
    head = b""
    for piece in rest:
        head += piece
        if len(head) >= _XML_HEAD:
            break
    name = encoding_of(head)
    if name == "utf-8":
        yield head.removeprefix(codecs.BOM_UTF8)
        yield from rest
    else:
        for text in codecs.iterdecode(itertools.chain((head,), rest), name, errors):
            yield text.encode("utf-8", "replace")


def encoding_of(head: bytes) -> str:
    """Python's name of the encoding of a document, by its first octets."""
    for octets, name in (*_BOMS, *_BEGINNINGS):
        if head.startswith(octets):
            return name
    declared = _DECLARATION.match(head)
    codec = codec_of(declared[1].decode("ascii", "replace")) if declared else None
    if declared is None or codec is None or codec in _NO_XML:
        return "utf-8"
    try:
        fits = declared[0].decode(codec) == declared[0].decode("ascii")
    except UnicodeError:
        fits = False
    return codec if fits else "utf-8"


_GZIP = b"\x1f\x8b"
_GZIP_BITS, _RAW_BITS = 31, -15
_NAMES = {_GZIP_BITS: "gzip", _RAW_BITS: "zip"}
_SPACE = b" \t\r\n"
_UTF8_BOM = b"\xef\xbb\xbf"
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class DocumentKind(StrEnum):
    """What the octets look like."""

    XML = "xml"
    JSON = "json"
    MAIL = "mail"
    TEXT = "text"


class Enclosed(Struct, frozen=True):
    """One document inside a file.

    Attributes:
        kind: by its first octets.
        name: file name inside, for messages; may be empty.
        pieces: begins anew each time it is called; raises NotReadError where a limit is reached or octets are damaged.
        mail: the message that carried it (itself for a mail); None for a bare file.

    """

    kind: DocumentKind
    name: str
    pieces: Callable[[], Iterator[bytes]]
    mail: Message | None


class Unreadable(Struct, frozen=True):
    """Something inside that cannot be read, and why."""

    name: str
    detail: Detail


def documents(content: bytes | Path, name: str = "") -> Iterator[Enclosed | Unreadable]:
    """Every document in a file or mail, in order; what is none of ours is left out of mails, and told of files.

    Never raises for any content. Of a file, holds mails, zip archives and their decoded parts, and of all else 64 kB.
    """
    if isinstance(content, bytes) and len(content) > limits.MAX_COMPRESSED:
        yield Unreadable(name, limits.TOO_LARGE(octets=len(content), limit=limits.MAX_COMPRESSED))
        return
    source = _of_octets(name, content) if isinstance(content, bytes) else _of_file(name, content)
    found = False
    for each in _inside(source, None, 0):
        found = True
        yield each
    if not found:
        yield Unreadable(name, limits.NOT_FEEDBACK())


class _Source(Struct, frozen=True):
    """Octets as a stream that can begin anew, and whole where they are held anyway."""

    name: str
    pieces: Callable[[], Iterator[bytes]]
    whole: bytes | None

    def head(self) -> bytes:
        if self.whole is not None:
            return self.whole[:_HEAD]
        found = b""
        for piece in self.pieces():
            found += piece
            if len(found) >= _HEAD:
                break
        return found[:_HEAD]

    def octets(self) -> bytes:
        """All of it. Raises NotReadError above the size of what may come compressed."""
        if self.whole is not None:
            return self.whole
        pieces: list[bytes] = []
        size = 0
        for piece in self.pieces():
            size += len(piece)
            if size > limits.MAX_COMPRESSED:
                raise NotReadError(limits.TOO_LARGE(octets=size, limit=limits.MAX_COMPRESSED))
            pieces.append(piece)
        return b"".join(pieces)


def _of_octets(name: str, octets: bytes) -> _Source:
    return _Source(name, lambda: (octets[at : at + _CHUNK] for at in range(0, len(octets), _CHUNK)), octets)


def _of_file(name: str, path: Path) -> _Source:
    def pieces() -> Iterator[bytes]:
        size = 0
        try:
            with path.open("rb") as file:
                while piece := file.read(_CHUNK):
                    size += len(piece)
                    if size > limits.MAX_UNPACKED:
                        raise NotReadError(limits.TOO_LARGE(octets=size, limit=limits.MAX_UNPACKED))
                    yield piece
        except OSError as error:
            raise NotReadError(limits.NOT_OPENED(why=error.strerror or str(error))) from None

    return _Source(name, pieces, None)


def _inside(source: _Source, mail: Message | None, level: int) -> Iterator[Enclosed | Unreadable]:
    """What a source holds; nothing where it is no document and no container."""
    try:
        head = source.head()
        container = head.startswith(_GZIP) or looks_like_zip(head)
        if container and level >= limits.MAX_NESTING:
            yield Unreadable(source.name, limits.TOO_NESTED(limit=limits.MAX_NESTING))
        elif head.startswith(_GZIP):
            yield from _inside(_gunzipped(source), mail, level + 1)
        elif container:
            yield from _zipped(source, mail, level + 1)
        elif (kind := _kind(head)) is DocumentKind.MAIL and mail is None:
            yield from _mails(source, level)
        elif kind and (kind is not DocumentKind.TEXT or mail is None):  # the words of a mail are none
            yield Enclosed(kind, source.name, source.pieces, mail)
    except NotReadError as error:
        yield Unreadable(source.name, error.detail)


def _kind(head: bytes) -> DocumentKind | None:
    if head.startswith(WIDE):
        return DocumentKind.XML
    text = head.removeprefix(_UTF8_BOM).lstrip(_SPACE)
    if text.startswith(b"<"):
        return DocumentKind.XML
    if text.startswith((b"{", b"[")):
        return DocumentKind.JSON
    if looks_like_message(head) or text.startswith(b"From "):
        return DocumentKind.MAIL
    return DocumentKind.TEXT if text and not _BINARY.search(head) else None


def _gunzipped(source: _Source) -> _Source:
    """What is in a gzip file; held where it is small. Raises NotReadError."""
    pieces = _inflated(source.pieces(), _GZIP_BITS)
    begin = next(pieces, b"")
    if next(pieces, None) is None:
        return _of_octets(source.name, begin)
    return _Source(source.name, lambda: _inflated(source.pieces(), _GZIP_BITS), None)


def _inflated(packed: Iterable[bytes], bits: int) -> Iterator[bytes]:
    """Decompressed in pieces of at most 64 kB, several gzip members after each other as one.

    Raises NotReadError where it grows beyond the limits, is damaged or ends too early. Octets after the last member
    are ignored, as gzip does.
    """
    inflater = zlib.decompressobj(bits)
    taken = given = 0
    for piece in packed:
        rest = piece
        while rest:
            if inflater.eof:
                if bits != _GZIP_BITS or not rest.startswith(_GZIP):
                    return
                inflater = zlib.decompressobj(bits)
            before = len(rest)
            try:
                content = inflater.decompress(rest, _CHUNK)
            except zlib.error:
                raise NotReadError(limits.DAMAGED(what=_NAMES[bits])) from None
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            taken += before - len(rest)
            given += len(content)
            if given > limits.MAX_UNPACKED or (given > limits.RATIO_FREE and given > limits.MAX_RATIO * taken):
                raise NotReadError(limits.BOMB(octets=given))
            yield content
    if not inflater.eof:
        raise NotReadError(limits.DAMAGED(what=_NAMES[bits]))


def _zipped(source: _Source, mail: Message | None, level: int) -> Iterator[Enclosed | Unreadable]:
    octets = source.octets()
    too_many = Unreadable(source.name, limits.TOO_MANY_ENTRIES(limit=limits.MAX_ENTRIES))
    try:
        directory = read_directory(octets)
    except TooManyEntriesError:
        yield too_many
        return
    if directory is None or not directory.members:
        yield Unreadable(source.name, limits.DAMAGED(what=_NAMES[_RAW_BITS]))
        return
    if len(directory.members) > limits.MAX_ENTRIES:
        yield too_many
        return
    for member in directory.members:
        if member.encryption:
            yield Unreadable(member.name, limits.ENCRYPTED(name=member.name[:200]))
        elif (packed := packed_member(octets, directory, member)) is None:
            yield Unreadable(member.name, limits.DAMAGED(what=_NAMES[_RAW_BITS]))
        elif not member.folder:
            yield from _inside(_unzipped(member, packed), mail, level)


def _unzipped(member: Member, packed: bytes) -> _Source:
    if member.method == STORED:
        return _of_octets(member.name, packed)
    source = _of_octets(member.name, packed)
    return _Source(member.name, lambda: _inflated(source.pieces(), _RAW_BITS), None)


def _mails(source: _Source, level: int) -> Iterator[Enclosed | Unreadable]:
    """Each message of a mail or mailbox, then the documents among its parts."""
    octets = source.octets()
    for each in messages_of(octets) if is_mailbox(octets) else (octets,):
        message = read(each)
        yield Enclosed(DocumentKind.MAIL, source.name, lambda held=each: iter((held,)), message)  # type: ignore[misc]
        for part in message.parts():
            if not part.children:
                yield from _attached(part, message, level)


def _attached(part: Part, message: Message, level: int) -> Iterator[Enclosed | Unreadable]:
    """The documents in one part; a part that is text, HTML or a mail is none."""
    inner = _Source(part.filename or "", part.pieces, None)
    for each in _inside(inner, message, level):
        if isinstance(each, Unreadable) or (each.kind is not DocumentKind.MAIL and not _is_page(part)):
            yield each


def _is_page(part: Part) -> bool:
    """Whether it is the message's own HTML, which begins as XML does."""
    return part.media_type == "text/html"
