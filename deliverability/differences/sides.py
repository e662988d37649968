"""The two sides of a comparison: files and folders, a plan that has both, or two states of a git repository."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import ABOUT, VERBATIM, Code, Detail
from deliverability.core.errors import FILE_TOO_LARGE, NO_SUCH_FILE, InputError, file_error
from deliverability.core.net.base import Resolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.net.zones import MASTER, OCTODNS
from deliverability.core.net.zones.base import Reading, Record, Source, ZoneError, ZoneInput
from deliverability.core.net.zones.octodns import SUFFIXES
from deliverability.core.net.zones.over import Changes, LaidOver, WholeZones
from deliverability.core.net.zones.read import (
    IN_FOLDER,
    MAX_MASTER,
    Given,
    given,
    look,
    octodns_given,
    source_of,
)
from deliverability.core.protocols.psl import known_registrable_domain

ONE_SIDE = Code("diff-one-side", ("file",))
NO_REV = Code("diff-no-rev", ("rev",))
NO_GIT = Code("diff-no-git")
GIT_SAYS = Code("diff-git", ("text",))
GIT_NOT_HERE = Code("diff-git-not-here", ("file",))
ZONE_REMOVED = Code("diff-zone-removed", ("zone",))
NOTHING_CHANGED = Code("diff-nothing-changed", ("rev",))
_GIT_SECONDS = 120
_GIT_OPTIONS = ("--no-pager", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    # A partial clone fetches missing objects: not at all, and in versions without that setting by no protocol.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
_SHA1_DIGITS = 40
_PIECE = 1 << 20
_MOST_LISTED = 100_000


class Side(Struct, frozen=True):
    """One side: whole zones and parts of zones.

    Attributes:
        whole: complete zones, as they are read when that is needed, or as they were read.
        parts: plans and other parts of zones.

    """

    whole: tuple[Given | ZoneInput, ...] = ()
    parts: tuple[ZoneInput, ...] = ()

    def over(self, base: Resolver, state: str = "after") -> Resolver:
        """What answers on this side. Raises ZoneError."""
        if self.whole:
            base = LaidOver(base, WholeZones(ZoneResolver(self.whole)))
        return LaidOver(base, Changes(self.parts, "before" if state == "before" else "after")) if self.parts else base


class Sides(Struct, frozen=True):
    """Both sides, and what has to be compared of them.

    Attributes:
        before, after: the sides; of a plan they are the same.
        plan: whether both are states of one input.
        old, new: what was read of them: whole zones of which files changed.
        same: whole zones whose files did not change, not read.
        inputs: what they are called.
        remarks: what has to be told.

    """

    before: Side
    after: Side
    plan: bool
    old: tuple[ZoneInput, ...]
    new: tuple[ZoneInput, ...]
    same: tuple[Given, ...]
    inputs: tuple[str, ...]
    remarks: tuple[Detail, ...] = ()

    def resolvers(self, base: Resolver) -> tuple[Resolver, Resolver]:
        """What answers before and after the change. Raises ZoneError."""
        if self.plan:
            return self.before.over(base, "before"), self.after.over(base)
        before = self.before.over(base)
        # A plan given as the new side lies over the old one.
        return before, self.after.over(base if self.after.whole else before)


def of_plan(files: Sequence[Given]) -> Sides:
    """A plan, or another part of a zone, beside what is there. Raises ZoneError where a zone is whole."""
    found = tuple(each for file in files for each in file.read())
    whole = next((each for each in found if each.complete), None)
    if whole is not None:
        raise ZoneError(ONE_SIDE(file=whole.label))
    side = Side(parts=found)
    labels = tuple(dict.fromkeys(each.label for each in files))
    return Sides(side, side, True, (), (), (), labels, _remarks(found))


def of_inputs(old: ZoneInput, new: ZoneInput | None) -> Sides:
    """What was read already. Raises ZoneError where a whole zone has no other side."""
    files = [Given(each.label, each.format, (), partial(_itself, each)) for each in (old, new) if each is not None]
    if new is None:
        return of_plan(files)
    return of_two([("", files[0])], [(" ", files[1])], (old.label, new.label))


def _itself(found: ZoneInput) -> Sequence[ZoneInput]:
    return [found]


def of_two(old: Sequence[tuple[str, Given]], new: Sequence[tuple[str, Given]], inputs: tuple[str, ...]) -> Sides:
    """An old and a new side: files by a key that is the same on both. Raises ZoneError."""
    before, after = dict(old), dict(new)
    same = [key for key in before if key in after and _equal(before[key], after[key])]
    whole: tuple[list[Given | ZoneInput], list[Given | ZoneInput]] = ([], [])
    parts: tuple[list[ZoneInput], list[ZoneInput]] = ([], [])
    read: tuple[list[ZoneInput], list[ZoneInput]] = ([], [])
    for files, side, apart, found in zip((before, after), whole, parts, read, strict=True):
        for key, file in files.items():
            if key in same and (file.format == MASTER or file.origin):
                side.append(file)
                continue
            for each in file.read():
                (side if each.complete else apart).append(each)
                if each.complete:
                    found.append(each)
    unread = tuple(before[key] for key in same if before[key].format == MASTER or before[key].origin)
    gone = {name for each in read[0] for name in each.origins} - {name for each in read[1] for name in each.origins}
    removed = tuple(ZONE_REMOVED(zone=name) for name in sorted(gone)) if read[1] or not parts[1] else ()
    return Sides(
        Side(tuple(whole[0]), tuple(parts[0])),
        Side(tuple(whole[1]), tuple(parts[1])),
        False,
        tuple(read[0]),
        tuple(read[1]),
        unread,
        inputs,
        (*_remarks((*read[1], *parts[1])), *removed),
    )


def _equal(one: Given, other: Given) -> bool:
    """Whether the files are the same; what they include may not be."""
    if len(one.sources) != len(other.sources):
        return False
    pairs = zip(one.sources, other.sources, strict=True)
    return all(first.data == second.data and b"!include" not in first.data for first, second in pairs)


def _remarks(inputs: Iterable[ZoneInput]) -> tuple[Detail, ...]:
    return tuple(dict.fromkeys(remark for each in inputs for remark in each.remarks))


def of_paths(old: Path, new: Path | None, reading: Reading) -> Sides:
    """Files or folders; without a new side a plan. Raises ZoneError."""
    if new is None:
        return of_plan(list(given([old], reading)))
    sides = [[(_key(each, path), each) for each in given([path], reading)] for path in (old, new)]
    if all(len(side) == 1 for side in sides):  # two files of any name
        sides = [[("", side[0][1])] for side in sides]
    return of_two(sides[0], sides[1], (str(old), str(new)))


def _key(file: Given, top: Path) -> str:
    return os.path.relpath(file.label, top)


# --- git --------------------------------------------------------------------------------------------------------------


def of_git(
    rev: str, paths: Sequence[Path], reading: Reading, *, staged: bool = False, folder: Path | None = None
) -> Sides:
    """The files of a revision beside those of the working tree, or of the index. Raises InputError.

    Only files that differ are read, with the other files of their folders beside them for what these lead to.
    """
    repository = _Repository(folder or Path.cwd(), rev, staged=staged)
    changed = repository.changed([str(path) for path in paths])
    if not changed:
        raise InputError(NOTHING_CHANGED(rev=rev))
    sides: tuple[list[tuple[str, Given]], list[tuple[str, Given]]] = ([], [])
    named = {str(path) for path in paths}
    for key in _zones_of(changed, repository):
        for side, old in zip(sides, (True, False), strict=True):
            found = repository.given(key, reading, old=old, named=key in named)
            if found is not None:
                side.append((key, found))
    return of_two(sides[0], sides[1], (rev, "index" if staged else "working tree"))


def _zones_of(changed: Sequence[str], repository: _Repository) -> Iterator[str]:
    """The zones that files may be: each itself, a folder of octoDNS, and those of a folder, for what leads to what."""
    folders = dict.fromkeys(str(PurePosixPath(each).parent) for each in changed)
    keys: dict[str, None] = {}
    for folder in folders:
        if _is_split(folder):
            keys[folder] = None
        else:
            keys.update(dict.fromkeys(repository.files(folder)))
    keys.update(dict.fromkeys(each for each in changed if str(PurePosixPath(each).parent) not in keys))
    yield from (each for each in keys if each.endswith(IN_FOLDER) or _is_split(each) or each in changed)


def _is_split(folder: str) -> bool:
    """Whether a folder is one zone of octoDNS, by its name."""
    return PurePosixPath(folder).name.endswith(".")


class _File(Struct, frozen=True):
    """A regular file as git knows it: its object, and whether the working tree leaves it out (sparse checkout)."""

    object: str
    absent: bool = False


class _Repository:
    """A revision and what stands now, by paths relative to the folder.

    Git runs nothing that the configuration or the attributes of the repository name, and fetches nothing: it lists
    trees and the index and hands out objects as they are, and the files of the working tree are read here.
    """

    def __init__(self, folder: Path, rev: str, *, staged: bool) -> None:
        self._folder, self._staged = folder, staged
        if rev.startswith("-") or not rev or "\0" in rev:
            raise InputError(NO_REV(rev=rev))
        # A range means its beginning: what it ends with is what stands here.
        commit = f"{rev}^{{commit}}"
        revision = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", commit, rev=rev).strip()
        self._old = self._listed("ls-tree", "-r", revision)
        self._index = self._listed("ls-files", "--cached", "--stage", "-t")

    def _git(self, *arguments: str, rev: str = "") -> str:
        return self._octets(*arguments, rev=rev).decode("utf-8", "surrogateescape")

    def _octets(self, *arguments: str, rev: str = "") -> bytes:
        command = ["git", "-C", str(self._folder), *_GIT_OPTIONS, *arguments]
        try:
            ran = subprocess.run(  # noqa: S603
                command, capture_output=True, timeout=_GIT_SECONDS, check=False, env=os.environ | _GIT_ENVIRONMENT
            )
        except FileNotFoundError:
            raise InputError(NO_GIT()) from None
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise InputError(ABOUT(what="git", detail=VERBATIM(text=str(error)))) from None
        if ran.returncode:
            text = " ".join(ran.stderr.decode("utf-8", "replace").split())
            raise InputError(NO_REV(rev=rev) if rev and not text else GIT_SAYS(text=text[:300]))
        return ran.stdout

    def _listed(self, *arguments: str) -> dict[str, _File]:
        """The regular files of the folder that git lists; links and submodules lead elsewhere and are no zones."""
        found = {}
        for line in self._git(*arguments, "-z").split("\0"):
            about, _, path = line.partition("\t")
            match about.split():
                case [mode, "blob", name] if mode.startswith("100"):
                    found[path] = _File(name)
                # Of a file in conflict, our side.
                case [tag, mode, name, "0" | "2"] if mode.startswith("100"):
                    found[path] = _File(name, tag == "S")
        return found

    def changed(self, paths: Sequence[str]) -> list[str]:
        """Files that differ, new ones that git does not know yet included."""
        wanted = [Path(os.path.relpath(self._folder / each, self._folder)).as_posix() for each in paths]
        new = set(self._index)
        if not self._staged:
            new.update(self._git("ls-files", "--others", "--exclude-standard", "-z").split("\0"))
        return sorted(
            each for each in {*self._old, *new} if each and _is_below(each, wanted) and self._differs(each, each in new)
        )

    def _differs(self, path: str, known: bool) -> bool:
        old, index = self._old.get(path), self._index.get(path)
        place = self._folder / path
        if self._staged or (index is not None and index.absent and not place.is_file()):
            return (old and old.object) != (index and index.object)
        if not known or not _is_regular(place):
            return old is not None
        return old is None or not _is_object(place, path, old.object)

    def files(self, folder: str) -> list[str]:
        """The files of a folder on both sides, not those of its folders."""
        inside = "" if folder == "." else folder
        found = [each for each in (*self._old, *self._index) if each.rpartition("/")[0] == inside]
        return sorted(dict.fromkeys(found))[:_MOST_LISTED]

    def given(self, key: str, reading: Reading, *, old: bool, named: bool) -> Given | None:
        """A zone on one side; None: there is none, or the file is none and nobody named it. Raises ZoneError."""
        if _is_split(key):
            files = [each for each in self.files(key) if PurePosixPath(each).suffix in SUFFIXES]
            sources = [source for each in files if (source := self._source(each, old=old)) is not None]
            return octodns_given(key, tuple(sources), reading) if sources else None
        source = self._source(key, old=old)
        if source is None:
            return None
        try:
            found = look(source, reading)
        except ZoneError:
            if named:
                raise
            return None
        # A file that could be anything (a workflow, settings) is a zone only where its name says so.
        if not named and found.format == OCTODNS:
            return found if known_registrable_domain(found.origin) else None
        return found if named or found.format != MASTER or PurePosixPath(key).suffix in (".zone", ".db") else None

    def _source(self, path: str, *, old: bool) -> Source | None:
        data = self._data(path, old=old)
        return (
            None if data is None else Source(path, data, partial(self._included, str(PurePosixPath(path).parent), old))
        )

    def _included(self, folder: str, old: bool, name: str) -> bytes | None:
        path = os.path.normpath(f"{folder}/{name}")
        inside = folder == "." and not path.startswith(("..", "/"))
        return self._data(path, old=old) if inside or path.startswith(f"{folder}/") else None

    def _data(self, path: str, *, old: bool) -> bytes | None:
        file = (self._old if old else self._index).get(path)
        place = self._folder / path
        if not (old or self._staged) and (_is_regular(place) or file is None or not file.absent):
            return source_of(place).data if _is_regular(place) else None
        if file is None:
            return None
        try:
            size = int(self._octets("cat-file", "-s", file.object))
            if size <= MAX_MASTER:
                return self._octets("cat-file", "blob", file.object)
        except InputError:  # a clone that fetches its objects when they are used
            raise InputError(GIT_NOT_HERE(file=path)) from None
        raise ZoneError(FILE_TOO_LARGE(file=path, n=MAX_MASTER // 1_000_000))


def _is_below(path: str, wanted: Sequence[str]) -> bool:
    return not wanted or any(each in (path, ".") or path.startswith(f"{each}/") for each in wanted)


def _is_regular(place: Path) -> bool:
    return place.is_file() and not place.is_symlink()


def _is_object(place: Path, path: str, name: str) -> bool:
    """Whether the file has the content of that object, as it is or with the line ends of Windows.

    Raises InputError where it can't be read.
    """
    kind = "sha1" if len(name) == _SHA1_DIGITS else "sha256"
    try:
        size = place.stat().st_size
        whole = hashlib.new(kind, b"blob %d\0" % size, usedforsecurity=False)
        with place.open("rb") as stream:
            while piece := stream.read(_PIECE):
                whole.update(piece)
        if whole.hexdigest() == name:
            return True
        if size > MAX_MASTER:
            return False
        data = place.read_bytes().replace(b"\r\n", b"\n")
    except OSError as error:
        raise InputError(file_error(path, error)) from None
    return hashlib.new(kind, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == name


def base_of(base: str | os.PathLike[str], reading: Reading) -> ZoneResolver | None:
    """What lies below both sides: None for live DNS, else whole zones. Raises InputError."""
    if str(base) == "live":
        return None
    path = Path(base)
    if not path.exists():
        raise InputError(NO_SUCH_FILE(name=str(path)))
    return ZoneResolver.load([path], reading=reading)


def with_base(sides: Sides, base: str | os.PathLike[str], reading: Reading) -> Sides:
    """A plan with the zone files that lie below it, which tell who else uses what it changes. Raises InputError."""
    if not sides.plan or str(base) == "live":
        return sides
    return replace(sides, same=(*sides.same, *given([Path(base)], reading)))


def all_records(inputs: Iterable[ZoneInput]) -> Iterator[Record]:
    """The records of several inputs, on both of their sides."""
    for each in inputs:
        yield from each.after
        yield from each.before or ()
