"""Files that are there whole or not at all: written beside their place and moved there at the end.

Imports nothing of ours.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

HALF_WRITTEN = ".*.part"
"""What a process that was killed leaves beside a place: a pattern of file names."""


def write_whole(path: Path, data: str | bytes, *, replace: bool = True, mode: int | None = None) -> None:
    """Write a file, text in UTF-8; where that fails, what stood there stays. `mode`: its permissions, if not the usual.

    Raises OSError; without `replace` FileExistsError, where there is a file.
    """
    if not replace and path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    file = WholeFile(path, mode)
    try:
        file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)
        file.keep(replace=replace)
    finally:
        file.drop()


class WholeFile:
    """A file being written. `keep` puts it in place, `drop` leaves what stood there before.

    What is no regular file (a pipe, a device) is written as it comes; so is a file in a folder that takes no new one.
    Raises OSError where it cannot be opened.
    """

    def __init__(self, path: Path, mode: int | None = None) -> None:
        self._place = Path(os.path.realpath(path))
        self._beside: Path | None = None
        self._file = self._open(mode)

    def _open(self, mode: int | None) -> BinaryIO:
        if self._place.exists():
            if not self._place.is_file():
                return self._place.open("wb")
            # Replacing a file would get round its write protection.
            if not os.access(self._place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            mode = stat.S_IMODE(self._place.stat().st_mode) if mode is None else mode
        beside = self._place.with_name(f".{self._place.name[:100]}.{secrets.token_hex(4)}.part")
        try:
            file = beside.open("xb")
        except PermissionError:
            return self._place.open("wb")
        self._beside = beside
        if mode is not None:
            beside.chmod(mode)
        return file

    def write(self, data: bytes) -> None:
        """Append. Raises OSError."""
        self._file.write(data)

    def keep(self, *, replace: bool = True) -> None:
        """Put it in place. Raises OSError; without `replace` FileExistsError, where there is a file by now."""
        self._file.close()
        if self._beside is not None:
            if replace:
                self._beside.replace(self._place)
            else:
                self._place.hardlink_to(self._beside)  # unlike replacing, it fails where somebody was faster
                self._beside.unlink()
            self._beside = None

    def drop(self) -> None:
        """Forget it, unless it was kept."""
        self._file.close()
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
            self._beside = None
