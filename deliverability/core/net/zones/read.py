"""Recognises zones and plans by what they hold, never by their name, and has the right reader read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import FILE_TOO_LARGE, file_error
from deliverability.core.files import octets_of
from deliverability.core.net.zones import (
    CLOUDFLARE,
    DNSCONTROL,
    MASTER,
    OCTODNS,
    OCTODNS_PLAN,
    ROUTE53,
    TERRAFORM,
    lists,
    master,
    octodns,
    other,
)
from deliverability.core.net.zones.base import MAX_DEPTH, MAX_OCTETS, Reading, Source, ZoneError, ZoneInput
from deliverability.core.net.zones.configured import zones_of

MAX_MASTER = 64 * 1024 * 1024
"""Octets of one master file."""
IN_FOLDER = (".zone", ".db", *octodns.SUFFIXES, ".json")
"""Files of a folder that are looked at."""

NO_ZONE_FILE = Code("no-zone-file", ("folder",))
NO_JSON = Code("zone-json-syntax", ("line", "column", "why"))
DEEP_JSON = Code("zone-json-deep", ("n",))
NOT_THAT_FORMAT = Code("zone-not-that-format", ("format",))
OF_OCTODNS = Code("zones-of-octodns", ("file",))
ZONES_BELOW = Code("zones-below", ("folder", "below"))

_TYPE_LINE = re.compile(rb"""(?m)^[ \t]*(?:-[ \t]+)*["']?type["']?[ \t]*:|[{,][ \t]*["']?type["']?[ \t]*:""")
# The first line of YAML that says anything: a key or a list; that of a master file is a name or a directive.
_YAML_LINE = re.compile(rb"""[ \t]*(?:-[ \t]|\?[ \t]|\{|"[^"\n]*"[ \t]*:|'[^'\n]*'[ \t]*:|[^\s"';:]+[ \t]*:(?:\s|$))""")
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Given(Struct, frozen=True):
    """A file, or the files of one zone, with what they are; read when that is needed.

    Attributes:
        label: the file or folder.
        format: one of FORMATS.
        sources: what is read.
        read: makes the normal form: one, or several that are to be kept apart. Raises ZoneError.
        origin: the zone, where that is known before it is read; of a master file the one that was given.

    """

    label: str
    format: str
    sources: tuple[Source, ...]
    read: Callable[[], Sequence[ZoneInput]]
    origin: str = ""


def given(paths: Iterable[Path | str], reading: Reading) -> Iterator[Given]:
    """What stands at these paths: files, split zones of octoDNS, folders of both. Raises ZoneError."""
    for path in map(Path, paths):
        if not path.is_dir():
            source = source_of(path)
            if path.suffix in octodns.SUFFIXES and not reading.format and other.YAML_CONFIG.search(source.data):
                yield from _configured(path, source.data, reading)
            else:
                yield look(source, reading)
        elif is_split(path):
            yield _split(path, reading)
        else:
            found = list(_in_folder(path, reading))
            if not found:
                raise ZoneError(_without_zones(path))
            yield from found


def _configured(path: Path, data: bytes, reading: Reading) -> Iterator[Given]:
    """The zones of a configuration of octoDNS."""
    for zone in zones_of(path, data):
        label = str(path.parent / zone.name)
        files = tuple(
            octodns.ZoneFile(source_of(file, path.parent), one.replaces, one.escaped, one.ttl, zone.templated)
            for one, paths in ((part.provider, part.paths) for part in zone.parts)
            for file in paths
        )
        read = partial(octodns.read_zone_files, files, structs.replace(reading, origins=()), label)
        given = partial(_alone, partial(read, complete=zone.complete, remarks=zone.remarks))
        yield Given(label, OCTODNS, tuple(each.source for each in files), given, zone.name if zone.complete else "")


def _alone(read: Callable[[], ZoneInput]) -> Sequence[ZoneInput]:
    return [read()]


def is_split(folder: Path) -> bool:
    """Whether a folder is one zone of octoDNS, a file for each name."""
    return folder.resolve().name.endswith(".") or folder.name.endswith(".")


def source_of(path: Path, beside: Path | None = None) -> Source:
    """A file, which may include others below its folder, or below that of the configuration that names it.

    Raises ZoneError.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_MASTER + 1)
    except OSError as error:
        raise ZoneError(file_error(path, error)) from None
    if len(data) > MAX_MASTER:
        raise ZoneError(FILE_TOO_LARGE(file=str(path), n=MAX_MASTER // 1_000_000))
    return Source(str(path), data, partial(_included, path.parent, beside or path.parent))


def _included(folder: Path, beside: Path, name: str) -> bytes | None:
    """A file that another one includes; None: it stands outside of both folders, or cannot be read."""
    try:
        path = (folder / name).resolve()
        inside = any(path.is_relative_to(each.resolve()) for each in (folder, beside))
        return octets_of(path, MAX_OCTETS) if inside else None
    except (OSError, ValueError, RuntimeError):
        return None


def _split(folder: Path, reading: Reading) -> Given:
    files = _listed(folder, lambda each: each.suffix in octodns.SUFFIXES and each.is_file())
    if not files:
        raise ZoneError(NO_ZONE_FILE(folder=str(folder)))
    return octodns_given(str(folder), tuple(map(source_of, files)), reading)


def octodns_given(label: str, sources: tuple[Source, ...], reading: Reading) -> Given:
    """A zone of octoDNS, in one file or several."""

    def read() -> Sequence[ZoneInput]:
        return [octodns.read_zone_files([*map(octodns.ZoneFile, sources)], reading, label)]

    origin = reading.origins[0] if reading.origins else octodns.zone_of(label)
    return Given(label, OCTODNS, sources, read, origin)


def _listed(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if wanted(each))
    except OSError as error:
        raise ZoneError(file_error(folder, error)) from None


def _in_folder(folder: Path, reading: Reading) -> Iterator[Given]:
    """Its files, each by itself, and its split zones; what is no zone beside them is passed over."""
    for path in _listed(folder, lambda each: each.suffix in IN_FOLDER or each.name.endswith(".")):
        if path.is_dir():
            if path.name.endswith("."):
                yield _split(path, reading)
        elif path.suffix in octodns.SUFFIXES:
            # As octoDNS does: a file of another name is one of its settings, or is included.
            if octodns.zone_of(path.name) and (found := _if_known(source_of(path), reading)) is not None:
                yield found
        elif path.suffix == ".json":
            if (found := _if_known(source_of(path), reading)) is not None:
                yield found
        elif path.is_file():
            yield look(source_of(path), reading)


def _without_zones(folder: Path) -> Detail:
    """What a folder holds in place of zones."""
    config = _listed(folder, lambda each: each.suffix in octodns.SUFFIXES and each.is_file())
    for path in config:
        if other.YAML_CONFIG.search(source_of(path).data):
            return ABOUT(what=str(folder), detail=OF_OCTODNS(file=str(path)))
    if (folder / "dnsconfig.js").is_file():
        return ABOUT(what=str(folder), detail=other.PROGRAM())
    if _listed(folder, lambda each: each.suffix in (".tf", ".tofu")):
        return ABOUT(what=str(folder), detail=other.HCL())
    for below in _listed(folder, lambda each: each.is_dir() and not each.name.startswith(".")):
        if _listed(below, lambda each: each.suffix in IN_FOLDER and each.is_file()):
            return ZONES_BELOW(folder=str(folder), below=str(below))
    return NO_ZONE_FILE(folder=str(folder))


def _if_known(source: Source, reading: Reading) -> Given | None:
    try:
        return look(source, reading)
    except ZoneError:
        return None


def look(source: Source, reading: Reading) -> Given:
    """What a file is. Raises ZoneError, with what to do, where it is no zone."""
    source = _in_utf8(source)
    head = _COLOUR.sub(b"", source.data[: other.LOOKED]).lstrip()
    if reading.format == MASTER:
        return _master(source, reading)
    if head[:1] in (b"{", b"[") and reading.format != OCTODNS:  # JSON is YAML, too
        return _json(source, reading)
    if reading.format not in ("", OCTODNS):
        source.refuse(other.before_reading(source.label, source.data, head) or NOT_THAT_FORMAT(format=reading.format))
    if (wrong := other.before_reading(source.label, source.data, head)) is not None:
        source.refuse(wrong)
    if reading.format == OCTODNS or _is_octodns(source.data, head):
        return octodns_given(source.label, (source,), reading)
    if source.label.endswith(octodns.SUFFIXES):
        source.refuse(other.once_refused(source.label, head) or other.NO_ZONE_YAML())
    return _master(source, reading)


def _is_octodns(data: bytes, head: bytes) -> bool:
    """Whether it is YAML with types in it, or none at all; texts of a master file may look like that as well."""
    if head.strip() in (b"---", b"--- {}"):
        return True
    lines = (line for line in head.splitlines() if line.strip() and not line.lstrip().startswith((b"#", b"---", b"%")))
    first = next(lines, b"")
    return _YAML_LINE.match(first) is not None and _TYPE_LINE.search(data) is not None


def _in_utf8(source: Source) -> Source:
    """Without a byte order mark; what PowerShell writes (UTF-16), with or without one, and UTF-32 as well."""
    data = source.data
    start = data[:64]
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "")
    if not encoding and len(start) > 3:
        # Most of a zone or plan is ASCII, of which every other octet is empty then, and no other.
        first, second = start[: len(start) & ~1 : 2], start[1::2]
        encoding = "utf-16-le" if all(first) and not any(second) else ""
        encoding = "utf-16-be" if all(second) and not any(first) else encoding
    if encoding:
        try:
            data = data.decode(encoding).encode("utf-8")
        except UnicodeError:
            source.refuse(other.BINARY())
    return msgspec.structs.replace(source, data=data.removeprefix(b"\xef\xbb\xbf"))


def _master(source: Source, reading: Reading) -> Given:
    origin = reading.origins[0] if reading.origins else ""

    def read() -> Sequence[ZoneInput]:
        file = master.zone_file(source.label, source.data, origin)
        return [master.master_input(file, master.parse(file))]

    return Given(source.label, MASTER, (source,), read, origin)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json(source: Source, reading: Reading) -> Given:
    data = source.data
    if (wrong := other.before_json(data[: other.LOOKED].lstrip())) is not None:
        source.refuse(wrong)
    if len(data) > MAX_OCTETS:
        raise ZoneError(FILE_TOO_LARGE(file=source.label, n=MAX_OCTETS // 1_000_000))
    _check_depth(source)
    if data.lstrip()[:1] == b"[":
        source.refuse(other.of_list(_decoded(source, list[Any])))
    parts: Mapping[str, Raw] = _decoded(source, dict[str, Raw])
    name, wrong = _kind(parts, source)
    if reading.format and name and reading.format != name:
        source.refuse(NOT_THAT_FORMAT(format=reading.format))
    if wrong is not None:
        source.refuse(wrong)
    return Given(source.label, name, (source,), partial(_read_json, name, parts, source, reading))


def _read_json(name: str, parts: Mapping[str, Raw], source: Source, reading: Reading) -> Sequence[ZoneInput]:
    if name == TERRAFORM:
        from deliverability.core.net.zones import terraform

        return terraform.read(parts, source, reading)
    if name == DNSCONTROL:
        return lists.read_dnscontrol(parts, source, reading)
    if name == OCTODNS_PLAN:
        plan = {target: lists.decoded(raw, dict[str, Any], source) for target, raw in parts.items()}
        return [octodns.read_plan(plan, source, reading)]
    return [(lists.read_route53 if name == ROUTE53 else lists.read_cloudflare)(parts, source, reading)]


def _kind(parts: Mapping[str, Raw], source: Source) -> tuple[str, Detail | None]:
    """The format of an object by its keys; else what it is."""
    keys = parts.keys()
    if "format_version" in keys:
        if "resource_changes" in keys or "planned_values" in keys:
            return TERRAFORM, None
        return "", other.STATE(file=source.label) if "values" in keys else other.OTHER_TERRAFORM()
    if "domains" in keys and ("dns_providers" in keys or "registrars" in keys):
        return DNSCONTROL, None
    if keys & {"ResourceRecordSets", "Changes", "ChangeBatch"}:
        return ROUTE53, None
    if "success" in keys and keys & {"result", "errors"}:
        return CLOUDFLARE, None
    try:
        if keys and octodns.is_plan({key: msgspec.json.decode(raw) for key, raw in parts.items()}):
            return OCTODNS_PLAN, None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    return "", other.of_object(source.label, parts)


def _check_depth(source: Source) -> None:
    depth = 0
    for match in _TOKEN.finditer(source.data):
        first = source.data[match.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                source.refuse(DEEP_JSON(n=MAX_DEPTH))
        elif first in b"]}":
            depth -= 1


def _decoded(source: Source, kind: Any) -> Any:
    try:
        return msgspec.json.decode(source.data, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        why, _, place = str(error).partition(" (byte ")
        at = int(place.rstrip(")")) if place.rstrip(")").isdigit() else len(source.data)
        before = source.data[:at]
        line, column = before.count(b"\n") + 1, at - (before.rfind(b"\n") + 1) + 1
        source.refuse(NO_JSON(line=line, column=column, why=why.removeprefix("JSON is malformed: ")))
    except RecursionError:
        source.refuse(DEEP_JSON(n=MAX_DEPTH))
