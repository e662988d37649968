"""What is kept so that it is not worked out twice: parsed files on disk, values by identity in memory."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import hmac
import io
import os
import pickle
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from deliverability.core.files import PRIVATE, PRIVATE_FOLDER, octets_of, state_folder, write_whole

MOST_VALUES = 8
"""Values of one name that stay: of several folders of rules, or versions of this program, used in turn."""
_OF = frozenset({"deliverability", "publicsuffixlist"})
"""Packages of whose types values are made."""
KEY_FILE = "cache.key"
_SEAL = 32
_MAX_OCTETS = 100_000_000

_T = TypeVar("_T")


def cached(name: str, sources: Sequence[Path], make: Callable[[], _T]) -> _T:
    """What `make` makes of the files `sources` (folders stand for the YAML files in them), or made of the same before.

    What `make` raises is passed on, and nothing is kept.
    """
    place, key = _folder(), _key(name, sources)
    if place is None or key is None:
        return make()
    file = f"{name}-{key}"
    with _Uncollected():
        if (found := _load(place, file)) is not None:
            value: _T = found[0]
            return value
    made = make()
    # What was changed while it was read is not kept under the digest of what was there before.
    if _key(name, sources) == key:
        _keep(place, file, made)
    return made


def _folder() -> str | None:
    """The cache folder of this program (XDG Base Directory Specification), whether it is there or not."""
    if not hasattr(os, "geteuid"):
        return None  # a system where permissions say nothing that could be relied on
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = os.path.expanduser("~")
        base = os.path.join(home, "Library/Caches" if sys.platform == "darwin" else ".cache")
        if not os.path.isabs(home):
            return None
    return os.path.join(base, "deliv")


def _key(name: str, sources: Sequence[Path]) -> str | None:
    """The digest of the files and of what reads them; None where a file cannot be read."""
    digest = hashlib.sha256(_program())
    try:
        for source in sources:
            for path in _files(source):
                data = octets_of(path, _MAX_OCTETS)
                digest.update(f"{len(path)} {path} {len(data)} ".encode("utf-8", "surrogateescape"))
                digest.update(data)
    except OSError:
        return None
    return digest.hexdigest()[:40]


def _files(source: Path) -> Iterator[str]:
    """The YAML files of a folder and of the folders in it, in order; a file stands for itself."""
    top = str(source)
    if not os.path.isdir(top):
        yield top
        return
    for entry in sorted(os.scandir(top), key=lambda each: each.name):
        if entry.name.endswith(".yaml"):
            yield entry.path
        elif entry.is_dir():
            yield from sorted(each.path for each in os.scandir(entry.path) if each.name.endswith(".yaml"))


@cache
def _program() -> bytes:
    """This version of the program and of Python; where it is worked on, each state of its files is a version."""
    package = sys.modules[__name__.partition(".")[0]]  # importing it by name would tie this module to all of the API
    parts = [package.__version__, sys.version, sys.implementation.cache_tag]
    folders = [os.path.dirname(os.path.abspath(__file__))]
    for folder in folders:
        for entry in sorted(os.scandir(folder), key=lambda each: each.name):
            if entry.name.endswith(".py"):
                at = entry.stat()
                parts.append(f"{entry.path} {at.st_mtime_ns} {at.st_size}")
            elif entry.is_dir() and entry.name != "__pycache__":
                folders.append(entry.path)
    return "\n".join(map(str, parts)).encode("utf-8", "surrogateescape")


def _load(place: str, name: str) -> tuple[Any] | None:
    """What a file holds; None where there is none, or none that may be trusted."""
    try:
        folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if not _own(os.fstat(folder)):
                return None
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
        with open(handle, "rb", buffering=0) as file:
            at = os.fstat(handle)
            if not (stat.S_ISREG(at.st_mode) and _own(at) and at.st_size <= _MAX_OCTETS):
                return None
            data = file.read()
    except OSError:
        return None
    key = _sealing_key()
    if key is None or not hmac.compare_digest(_seal(key, name, memoryview(data)[_SEAL:]), data[:_SEAL]):
        return None
    try:
        return (_unpickle(data),)
    except Exception:  # whatever a pickle of another make says: it is made anew
        return None


def _seal(key: bytes, name: str, data: bytes | memoryview) -> bytes:
    """What only who has the key can make of a file of that name."""
    made = hashlib.blake2b(name.encode(), key=key, digest_size=_SEAL, person=b"deliv cache")
    made.update(b"\0")
    made.update(data)
    return made.digest()


def _sealing_key(*, make: bool = False) -> bytes | None:
    """The user's key; None where there is none that is the user's alone. `make`: then another one takes its place."""
    try:
        folder = state_folder()
        path = folder / KEY_FILE
        key = _read_key(path)
        if key is None and make:
            folder.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was first
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
                with open(handle, "wb") as file:
                    file.write(os.urandom(_SEAL))
            key = _read_key(path)
    except (OSError, RuntimeError):  # the latter where nobody knows the user's home
        return None
    return key


def _read_key(path: Path) -> bytes | None:
    """What a key file of the user's alone holds; None where it is none. Raises OSError."""
    if not os.path.lexists(path):
        return None
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb", buffering=0) as file:
        at = os.fstat(handle)
        key = file.read(_SEAL + 1) if stat.S_ISREG(at.st_mode) and _own(at) else b""
    return key if len(key) == _SEAL else None


def _own(at: os.stat_result) -> bool:
    """Whether that belongs to the user and to nobody beside."""
    return at.st_uid == os.geteuid() and not at.st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _unpickle(data: bytes) -> Any:
    """Raises whatever pickle does, also where it names anything but types of this program."""

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = super().find_class(module, name)
            if module.partition(".")[0] not in _OF or not isinstance(found, type):
                raise pickle.UnpicklingError(f"{module}.{name} is not kept")
            return found

    file = io.BytesIO(data)
    file.seek(_SEAL)
    return Reader(file).load()


def _keep(place: str, name: str, value: object) -> None:
    """Write a value whole or not at all, and drop the oldest of its kind. Where that fails, nothing is lost."""
    try:
        if not os.path.isdir(place):
            above = os.path.dirname(place)
            while not os.path.isdir(above):
                above = os.path.dirname(above)
            # Not in the folder of somebody else: run as another user, it would shut its owner out.
            if os.stat(above).st_uid != os.geteuid():
                return
            os.makedirs(os.path.dirname(place), PRIVATE_FOLDER, exist_ok=True)
            os.mkdir(place, PRIVATE_FOLDER)
        if not _own(os.lstat(place)) or (key := _sealing_key(make=True)) is None:
            return
        with _Uncollected():
            data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(place, name))  # what is there was not trusted; it may be a pipe or a link
        write_whole(Path(place, name), _seal(key, name, data) + data, mode=PRIVATE)
        kind = name.rpartition("-")[0]
        others = [each for each in os.scandir(place) if each.name.rpartition("-")[0] == kind]
        for each in sorted(others, key=lambda each: each.stat().st_mtime)[:-MOST_VALUES]:
            os.unlink(each.path)
    except (OSError, pickle.PicklingError, TypeError, AttributeError):
        return


class _Uncollected:
    """No garbage is looked for meanwhile: there is none, and all that comes to life would be looked through."""

    def __enter__(self) -> None:
        self._was = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was:
            gc.enable()


T = TypeVar("T")


class Same(Generic[T]):
    """A key that equals only a key of the very same object, which is kept as long as the key is."""

    __slots__ = ("it",)

    def __init__(self, it: T) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.it is self.it

    def __hash__(self) -> int:
        return id(self.it)
