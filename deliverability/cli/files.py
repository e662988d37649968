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


class WholeFile:
    """A file being written. `keep` puts it in place, `drop` leaves what stood there before.

    What is no regular file (a pipe, a device) is written as it comes; so is a file in a folder that takes no new one.
    Raises OSError where it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._place = Path(os.path.realpath(path))
        self._beside: Path | None = None
        self._file = self._open()

    def _open(self) -> BinaryIO:
        mode = None
        if self._place.exists():
            if not self._place.is_file():
                return self._place.open("wb")
            # Replacing a file would get round its write protection.
            if not os.access(self._place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            mode = stat.S_IMODE(self._place.stat().st_mode)
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

    def keep(self) -> None:
        """Put it in place. Raises OSError."""
        self._file.close()
        if self._beside is not None:
            self._beside.replace(self._place)
            self._beside = None

    def drop(self) -> None:
        """Forget it, unless it was kept."""
        self._file.close()
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
            self._beside = None
