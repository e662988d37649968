"""Files that are there whole or not at all, and where this program's own are: wheel, editable install or checkout.

A file is written out of sight and moved to its place at the end. Before and after the move all is on the disk (fsync of
the file and of its folder), so that a power cut leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

HALF_WRITTEN = ".*.part"
"""Names of what a killed process may leave beside a place, where the system has no nameless files: a pattern."""
PRIVATE = 0o600
PUBLIC = 0o644
"""For programs of other users on this machine, such as web servers and exporters of metrics."""
PRIVATE_FOLDER = 0o700


def write_whole(
    path: Path, data: str | bytes, *, replace: bool = True, mode: int | None = None, lasting: bool = True
) -> None:
    """Write a file, text in UTF-8; where that fails, what stood there stays. `mode`: its permissions, if not the usual.

    Without `lasting` a power cut may leave it empty: for one of many that are brought to the disk together.
    Raises OSError; without `replace` FileExistsError, where there is a file.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    file = WholeFile(path, mode)
    try:
        file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)
        file.keep(replace=replace, lasting=lasting)
    finally:
        file.drop()


def private(path: str, flags: int) -> int:
    """An opener (see `open`) of files that only their owner reads."""
    return os.open(path, flags, PRIVATE)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name or place on the same disk, to last. Raises OSError."""
    source.replace(target)
    for folder in {source.parent, target.parent}:
        _sync_folder(folder)


def octets_of(path: Path | str, most: int) -> bytes:
    """A file, and of a longer one than `most` octets one more than that. Raises OSError, also where it is no file.

    To read a pipe or a device may never begin, or never end.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        at = os.fstat(handle)
        if stat.S_ISDIR(at.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(at.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        octets = file.read(min(at.st_size, most) + 1)  # Python makes room for all that it may read
        return octets if len(octets) <= at.st_size else octets + file.read(most + 1 - len(octets))


class WholeFile:
    """A file being written. `keep` puts it in place, `drop` leaves what stood there before.

    What is no regular file (a pipe, a device) is written as it comes; so is a file in a folder that takes no new one.
    Raises OSError where it cannot be opened.
    """

    def __init__(self, path: Path, mode: int | None = None) -> None:
        self._place = Path(os.path.realpath(path))
        self._beside: Path | None = self._place.with_name(f".{self._place.name[:50]}.{os.urandom(4).hex()}.part")
        self._named = True
        self._file = self._open(mode)

    def _open(self, mode: int | None) -> BinaryIO:
        if self._place.exists():
            if not self._place.is_file():
                self._beside = None
                return self._place.open("wb")
            # Replacing a file would get round its write protection.
            if not os.access(self._place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self._place))
            mode = stat.S_IMODE(self._place.stat().st_mode) if mode is None else mode
        try:
            # Never more open than it ends, not even for a moment.
            handle = self._handle(0o666 if mode is None else mode & 0o600)
        except PermissionError:
            self._beside = None
            return self._place.open("wb")
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(handle, mode)
        return os.fdopen(handle, "wb")

    def _handle(self, mode: int) -> int:
        """A new file: without a name where the system has that, so that a kill leaves nothing."""
        if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - once a file, and no Path made
            with contextlib.suppress(OSError):
                handle = os.open(self._place.parent, os.O_TMPFILE | os.O_WRONLY, mode)
                self._named = False
                return handle
        return os.open(str(self._beside), os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), mode)

    def write(self, data: bytes) -> None:
        """Append. Raises OSError."""
        self._file.write(data)

    def keep(self, *, replace: bool = True, lasting: bool = True) -> None:
        """Put it in place. Raises OSError; without `replace` FileExistsError, where there is a file by now."""
        self._file.flush()
        with contextlib.suppress(OSError) if self._beside is None else contextlib.nullcontext():
            if lasting:
                os.fsync(self._file.fileno())  # a pipe or a device has no such thing
        if self._beside is not None:
            if not self._named:
                self._beside = self._place.with_name(f".{self._place.name[:50]}.part")
                self._name(self._beside if replace else self._place)
            if replace:
                self._beside.replace(self._place)
            elif self._named:
                self._take_place(self._beside)
            self._beside = None
            if lasting:
                _sync_folder(self._place.parent)
        self._file.close()

    def _take_place(self, beside: Path) -> None:
        """As replacing, but it fails where somebody was faster."""
        try:
            self._place.hardlink_to(beside)
            beside.unlink()
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            os.close(os.open(self._place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            beside.replace(self._place)

    def _name(self, path: Path) -> None:
        if path == self._beside:
            path.unlink(missing_ok=True)  # of a process that was killed between this step and the next one
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(f"/proc/self/fd/{self._file.fileno()}", path.name, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)

    def drop(self) -> None:
        """Forget it, unless it was kept."""
        with contextlib.suppress(OSError) if self._beside is not None else contextlib.nullcontext():
            self._file.close()  # what is thrown away need not find room on the disk
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
            self._beside = None


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; some file systems know no such thing."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this program's modules; `data` and `demo` in it are read as files."""


def locate(name: str) -> Path:
    """The folder `name`: rules, reports or docs. Raises FileNotFoundError where the installation is incomplete."""
    inside = PACKAGE / name
    if inside.is_dir():
        return inside
    checkout = PACKAGE.parent
    beside = checkout / name
    if (checkout / "pyproject.toml").is_file() and beside.is_dir():
        return beside
    raise FileNotFoundError(f"the installation lacks its {name} folder; install deliv again")


def default_history() -> Path:
    """The history where none is named, whether it is there or not."""
    return state_folder() / "history.db"


def state_folder() -> Path:
    """Where a user's own data of this program are (XDG Base Directory Specification), whether it is there or not."""
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(state) if state and Path(state).is_absolute() else Path.home() / ".local" / "state"
    return folder / "deliv"
