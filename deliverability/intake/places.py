"""Where feedback lies: files, folders, globs, Maildirs, mailbox files and standard input, item by item."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import reason_of, until_lost
from deliverability.core.mail.kinds import is_mailbox, messages_in
from deliverability.core.replies import limits

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
