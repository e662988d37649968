"""What reading an archive's directory gives, whichever the format."""

from __future__ import annotations

from msgspec import Struct

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
