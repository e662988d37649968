r"""octoDNS: zones as YAML, one file or a folder of them, and the plan that it writes as JSON.

As octoDNS reads them, ``;`` in a text may stand as ``\;``. Tags ``!include`` are followed within the file's folder.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from msgspec import Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.net.names import canonical, labels_of
from deliverability.core.net.zones import OCTODNS, OCTODNS_PLAN
from deliverability.core.net.zones.base import (
    ANY,
    FIELD,
    MAX_DEPTH,
    NOT_A_TYPE,
    Collected,
    Reading,
    Record,
    Source,
    UnknownRecord,
    ZoneError,
    ZoneInput,
    absolute,
    alone_beside_alias,
    is_dns_type,
    owner_name,
    text_rdata,
)

MAX_REPEATED = 100_000  # values of one file that anchors repeat
MAX_INCLUDES = 8  # files that include one another
SUFFIXES = (".yaml", ".yml")

NO_ZONE_NAME = Code("octodns-no-zone-name")
NULL_NAME = Code("octodns-null-name")
NO_YAML = Code("octodns-yaml", ("why",))
TOO_MUCH = Code("octodns-too-much", ("n",))
NO_MAPPING = Code("octodns-no-mapping")
NO_RECORD = Code("octodns-no-record", ("name",))
NO_TYPE = Code("octodns-no-type", ("name",))
TWICE = Code("octodns-name-twice", ("name",))
NOT_INCLUDED = Code("octodns-not-included", ("file",))
IGNORED = Code("octodns-ignored", ("name", "type"))
TEMPLATED = Code("octodns-templated", ("name", "type"))
OTHER_NAME = Code("octodns-other-name", ("name", "read"))
DYNAMIC = Code("octodns-dynamic", ("name", "type"))
NO_CHANGES = Code("octodns-plan-changes")
TARGETS_DIFFER = Code("octodns-targets", ("zone", "targets"))
NO_TARGET = Code("octodns-no-target", ("tag", "targets"))

_HOSTS = frozenset({"CNAME", "DNAME", "NS", "PTR"})
_PLAIN = frozenset({"A", "AAAA"})
_TEXTS = frozenset({"TXT", "SPF"})
# The fields of a value, in the order of a master file; `|` between two names of one field.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "MX": ("preference|priority", "exchange|value"),
    "SRV": ("priority", "weight", "port", "target"),
    "CAA": ("flags", "tag", "value"),
    "TLSA": ("certificate_usage", "selector", "matching_type", "certificate_association_data"),
    "DS": ("key_tag", "algorithm", "digest_type", "digest"),
    "SSHFP": ("algorithm", "fingerprint_type", "fingerprint"),
    "NAPTR": ("order", "preference", "flags", "service", "regexp", "replacement"),
}
_DEFAULTS = {"CAA flags": "0"}
_NAMES = frozenset({"MX exchange|value", "SRV target", "NAPTR replacement"})
_STRINGS = frozenset({"CAA value", "NAPTR flags", "NAPTR service", "NAPTR regexp"})
_INCLUDE = "!include"
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_NOT_TEXT = frozenset(f"tag:yaml.org,2002:{each}" for each in ("bool", "int", "float", "timestamp"))


def zone_of(label: str) -> str:
    """The zone that the name of a file says; empty: none."""
    name = label.replace("\\", "/").rstrip("/").rpartition("/")[2]
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return canonical(name) if labels_of(name) and "." in name.rstrip(".") else ""


# --- values -----------------------------------------------------------------------------------------------------------


class _At(Struct, frozen=True):
    """A value with its place: text, a mapping of names to values, a list of them, None for null, _Lost."""

    data: Any
    place: str


class _Lost(Struct, frozen=True):
    """An include that was not followed."""

    file: str


def _records(name: str, owner: str, given: _At, found: Collected, remarks: list[Detail], file: ZoneFile) -> None:
    """The records of one entry: a name, and its record or records."""
    entries = given.data if isinstance(given.data, list) else [given]
    for each in entries:
        if isinstance(each.data, _Lost):
            found.lose(owner, ANY, NOT_INCLUDED(file=each.data.file), each.place)
            continue
        if not isinstance(each.data, dict):
            raise ZoneError(ABOUT(what=each.place, detail=NO_RECORD(name=name)))
        rdtype = _plain(each.data.get("type"))
        if not rdtype:
            raise ZoneError(ABOUT(what=each.place, detail=NO_TYPE(name=name)))
        record_of(owner, rdtype, each, found, remarks, file)


def record_of(
    owner: str, rdtype: str, given: _At, found: Collected, remarks: list[Detail], file: ZoneFile | None = None
) -> None:
    """The records of one record set of octoDNS; `file`: where that is one of a zone and not of a plan."""
    fields: Mapping[str, _At] = given.data
    rdtype = rdtype.upper() if is_dns_type(rdtype.upper()) else rdtype
    options = _fields(fields.get("octodns"))
    if _plain(options.get("ignored")) == "true":
        found.lose(owner, rdtype, IGNORED(name=owner, type=rdtype), given.place)
        return
    if rdtype not in _PLAIN | _TEXTS | _HOSTS | _FIELDS.keys():
        remarks.append(ABOUT(what=given.place, detail=NOT_A_TYPE(type=rdtype, name=owner)))
        found.lose(owner, rdtype, NOT_A_TYPE(type=rdtype, name=owner), given.place)
        return
    if "dynamic" in fields or "geo" in fields:
        remarks.append(ABOUT(what=given.place, detail=DYNAMIC(name=owner, type=rdtype)))
    values: list[_At] = []
    for key in ("values", "value"):
        if key in fields:
            each = fields[key]
            values = each.data if isinstance(each.data, list) else [each]
            break
    lenient = _plain(options.get("lenient")) == "true"
    if not any(each.data is not None for each in values) and not lenient:
        raise ZoneError(ABOUT(what=given.place, detail=FIELD(type=rdtype, name=owner, field="value")))
    ttl = _plain(fields.get("ttl")) or (file.ttl if file is not None else None)
    escaped = file.escaped if file is not None else None
    for each in values:
        if isinstance(each.data, _Lost):
            found.lose(owner, rdtype, NOT_INCLUDED(file=each.data.file), each.place)
        elif each.data is not None:
            rdata = _rdata(owner, rdtype, each, escaped=escaped is not False)
            if file is not None and file.templated and "{" in rdata:
                found.lose(owner, rdtype, TEMPLATED(name=owner, type=rdtype), each.place)
            else:
                found.add(owner, rdtype, [rdata], ttl, each.place)


def _rdata(owner: str, rdtype: str, value: _At, *, escaped: bool) -> str:
    data = value.data
    if rdtype in _FIELDS and isinstance(data, dict):
        parts = []
        for names in _FIELDS[rdtype]:
            given = next((data[name] for name in names.split("|") if name in data), None)
            text = _plain(given) or _DEFAULTS.get(f"{rdtype} {names}", "")
            if not text and f"{rdtype} {names}" not in _STRINGS:
                field = names.partition("|")[0]
                raise ZoneError(ABOUT(what=value.place, detail=FIELD(type=rdtype, name=owner, field=field)))
            if f"{rdtype} {names}" in _NAMES:
                text = absolute(text)
            elif f"{rdtype} {names}" in _STRINGS:
                text = text_rdata(_unescaped(text))
            parts.append(text)
        return " ".join(parts)
    if not isinstance(data, str):
        raise ZoneError(ABOUT(what=value.place, detail=FIELD(type=rdtype, name=owner, field="value")))
    if rdtype in _TEXTS:
        return text_rdata(text_value(data, escaped=escaped))
    return absolute(data) if rdtype in _HOSTS else data


def text_value(text: str, *, escaped: bool) -> str:
    r"""The text of a TXT value: without quotes around it, ``;`` for ``\;`` where that is how it is written."""
    inner = text[1:-1] if text.startswith('"') else text
    joined = inner.replace('" "', "")
    return _unescaped(joined) if escaped else joined


def _unescaped(text: str) -> str:
    return text.replace("\\;", ";")


def _plain(value: _At | None) -> str:
    return value.data if value is not None and isinstance(value.data, str) else ""


def _fields(value: _At | None) -> Mapping[str, _At]:
    return value.data if value is not None and isinstance(value.data, dict) else {}


# --- YAML -------------------------------------------------------------------------------------------------------------


class ZoneFile(Struct, frozen=True):
    """A file of a zone, and how it is read where a configuration says so.

    Attributes:
        source: the file.
        replaces: its record sets take the place of those before.
        escaped: whether ``\\;`` in a text stands for ``;``; None: nobody says, and both are taken for it.
        ttl: of records that state none.
        templated: braces in a value are filled in by a processor.

    """

    source: Source
    replaces: bool = False
    escaped: bool | None = None
    ttl: int | None = None
    templated: bool = False


def read_zone_files(
    files: Sequence[ZoneFile],
    reading: Reading,
    label: str,
    *,
    complete: bool = True,
    remarks: Sequence[Detail] = (),
) -> ZoneInput:
    """A zone of one file, or of several files, which belong together. Raises ZoneError.

    Args:
        files: its files, in their order.
        reading: how they are read.
        label: what they are called together; its last part names the zone.
        complete: the zone has nothing else.
        remarks: what has to be told of it before it is read.

    """
    origin = reading.origins[0] if reading.origins else zone_of(label)
    if not origin:
        raise ZoneError(ABOUT(what=label, detail=NO_ZONE_NAME()))
    records: list[Record] = []
    unknown: list[UnknownRecord] = []
    told = [*remarks]
    for file in files:
        found = Collected()
        loader = _Loader(file.source, told)
        for name, at in loader.top():
            if isinstance(at.data, _Lost):  # merged in: nobody can say which names that gives
                why = NOT_INCLUDED(file=at.data.file)
                told.append(ABOUT(what=at.place, detail=why))
                for owner in (origin, f"*.{origin}"):
                    found.lose(owner, ANY, why, at.place)
                continue
            _records(name, owner_name(name, origin, at.place), at, found, told, file)
        if file.replaces:
            taken = {(each.owner, each.type) for each in found.records} | {
                (each.owner, each.type) for each in found.unknown
            }
            records = [each for each in records if (each.owner, each.type) not in taken]
            unknown = [each for each in unknown if (each.owner, each.type) not in taken]
        records += found.records
        unknown += found.unknown
    alone_beside_alias(records)
    return ZoneInput(
        OCTODNS,
        (origin,),
        complete=complete,
        after=tuple(records),
        unknown=tuple(unknown),
        remarks=tuple(told),
        label=label,
    )


class _Loader:
    """One file of YAML as texts with their places; what a plain scalar may mean is not decided."""

    def __init__(self, source: Source, remarks: list[Detail]) -> None:
        self._source, self._remarks = source, remarks
        self._seen: set[int] = set()
        self._folders: dict[str, str] = {}  # from which files that one includes are looked for, below the first one's
        self._repeated = 0

    def top(self) -> Iterator[tuple[str, _At]]:
        """The names of the zone, in their order. Raises ZoneError."""
        root = self._composed(self._source.label, self._source.data)
        if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == _NULL):
            return
        if not isinstance(root, yaml.MappingNode):
            raise ZoneError(ABOUT(what=self._source.label, detail=NO_MAPPING()))
        for key, (_, at) in self._entries(root, self._source.label, 0, top=True).items():
            yield key, at

    def _composed(self, label: str, data: bytes) -> Any:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            return yaml.compose(data, Loader=loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            why = NO_YAML(why=str(error.problem or error.context))
            raise ZoneError(ABOUT(what=f"{label}:{mark.line + 1 if mark else 1}", detail=why)) from None
        except (yaml.YAMLError, UnicodeError, ValueError) as error:
            raise ZoneError(ABOUT(what=label, detail=NO_YAML(why=str(error).splitlines()[0]))) from None
        except RecursionError:
            raise ZoneError(ABOUT(what=label, detail=TOO_MUCH(n=MAX_DEPTH))) from None

    def _value(self, node: Any, label: str, depth: int) -> _At:
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        place = f"{label}:{node.start_mark.line + 1}"
        if depth > MAX_DEPTH or self._repeated > MAX_REPEATED:
            raise ZoneError(ABOUT(what=place, detail=TOO_MUCH(n=MAX_DEPTH if depth > MAX_DEPTH else MAX_REPEATED)))
        if node.tag == _INCLUDE:
            return self._included(node, label, depth, place)
        if isinstance(node, yaml.MappingNode):
            return _At({key: at for key, (_, at) in self._entries(node, label, depth).items()}, place)
        if isinstance(node, yaml.SequenceNode):
            return _At([self._value(each, label, depth + 1) for each in node.value], place)
        return _At(None if node.tag == _NULL else node.value, place)

    def _entries(self, node: Any, label: str, depth: int, *, top: bool = False) -> dict[str, tuple[int, _At]]:
        """The entries of a mapping; of two of one name, own or merged (``<<``), the later one counts, as in octoDNS."""
        entries: dict[str, tuple[int, _At]] = {}
        own: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for each in reversed(merged):
                    if each.tag == _INCLUDE:
                        at = self._included(each, label, depth + 1, f"{label}:{line}", merged=True)
                    else:
                        at = self._value(each, label, depth + 1)
                    if isinstance(at.data, dict):
                        entries.update({name: (line, inner) for name, inner in at.data.items()})
                    elif isinstance(at.data, _Lost):
                        entries[f"<<{line}"] = line, at
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise ZoneError(ABOUT(what=f"{label}:{line}", detail=NO_MAPPING()))
            if top:
                self._check_name(key, f"{label}:{line}")
                if key.value in own:
                    self._remarks.append(ABOUT(what=f"{label}:{line}", detail=TWICE(name=key.value)))
            own.add(key.value)
            entries[key.value] = line, self._value(value, label, depth + 1)
        return entries

    def _check_name(self, key: Any, place: str) -> None:
        """Raises ZoneError where octoDNS would publish another name: null, a truth value, a number spelt otherwise."""
        if key.tag == _NULL:
            raise ZoneError(ABOUT(what=place, detail=NULL_NAME()))
        if key.tag in _NOT_TEXT:
            try:
                read = str(yaml.SafeLoader("").construct_object(key))
            except (ValueError, TypeError, yaml.YAMLError):
                return
            if read.lower() != key.value.lower():
                raise ZoneError(ABOUT(what=place, detail=OTHER_NAME(name=key.value, read=read.lower())))

    def _included(self, node: Any, label: str, depth: int, place: str, *, merged: bool = False) -> _At:
        folder = self._folders.get(label, "")
        file = posixpath.normpath(posixpath.join(folder, str(node.value)))
        data = self._source.include(file) if self._source.include is not None else None
        if data is None:
            return _At(_Lost(file), place)
        # What a merged file includes octoDNS looks for from the folder of the file that merges it.
        self._folders[file] = folder if merged else posixpath.dirname(file)
        inner = self._composed(file, data)
        # Files that include each other end at the depth, each of which is deeper by a good part of it.
        return _At(None, place) if inner is None else self._value(inner, file, depth + MAX_DEPTH // MAX_INCLUDES)


# --- the plan ---------------------------------------------------------------------------------------------------------


def is_plan(data: Mapping[str, Any]) -> bool:
    """Whether JSON looks like a plan of octoDNS: targets, zones, changes."""
    zones = [zone for target in data.values() if isinstance(target, dict) for zone in target.values()]
    return bool(zones) and all(isinstance(each, dict) and "changes" in each for each in zones)


def read_plan(data: Mapping[str, Any], source: Source, reading: Reading) -> ZoneInput:
    """The changes of a plan, whole record sets; targets that differ about a zone need a choice. Raises ZoneError."""
    targets = {name: zones for name, zones in data.items() if isinstance(zones, dict)}
    if reading.tag:
        if reading.tag not in targets:
            source.refuse(NO_TARGET(tag=reading.tag, targets=tuple(targets)))
        targets = {reading.tag: targets[reading.tag]}
    chosen: dict[str, Any] = {}
    for zones in targets.values():
        for zone, plan in zones.items():
            changes = plan.get("changes") if isinstance(plan, dict) else None
            if not isinstance(changes, list):
                source.refuse(NO_CHANGES())
            if chosen.setdefault(zone, changes) != changes:
                source.refuse(TARGETS_DIFFER(zone=zone.rstrip("."), targets=tuple(targets)))
    before, after, remarks = Collected(), Collected(), list[Detail]()
    origins: list[str] = []
    for zone, changes in chosen.items():
        origin = owner_name(zone, ".", source.label)
        origins.append(origin)
        for change in changes:
            if not isinstance(change, dict) or not isinstance(change.get("record_type"), str):
                source.refuse(NO_CHANGES())
            owner = owner_name(str(change.get("name") or ""), origin, source.label)
            for side, found in (("existing", before), ("new", after)):
                record = change.get(side)
                if isinstance(record, dict):
                    given = _at(record, source.label, 0)
                    record_of(owner, change["record_type"], given, found, remarks if found is after else [])
    return ZoneInput(
        OCTODNS_PLAN,
        tuple(sorted(origins)),
        complete=False,
        after=tuple(after.records),
        before=tuple(before.records),
        unknown=tuple(after.unknown),
        remarks=tuple(dict.fromkeys(remarks)),
        label=source.label,
    )


def _at(data: Any, place: str, depth: int) -> _At:
    """JSON as YAML is read: every scalar a text."""
    if isinstance(data, dict):
        return _At({key: _at(value, place, depth + 1) for key, value in data.items()}, place)
    if isinstance(data, list):
        return _At([_at(value, place, depth + 1) for value in data], place)
    return _At(None if data is None else str(data).lower() if isinstance(data, bool) else str(data), place)
