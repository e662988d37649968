"""Plans of Terraform and OpenTofu, as ``terraform show -json`` writes them.

Such a plan holds every secret of a configuration in plain text: variables, outputs and the resources that are no DNS
records are passed over as octets and never decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.net.names import canonical
from deliverability.core.net.zones import TERRAFORM
from deliverability.core.net.zones.base import (
    ANY,
    FIELD,
    NOT_A_TYPE,
    Collected,
    Reading,
    Source,
    ZoneError,
    ZoneInput,
    absolute,
    is_dns_type,
    owner_name,
    text_rdata,
)
from deliverability.core.net.zones.lists import (
    CloudflareRecord,
    cloudflare_rdata,
    decoded,
    quoted_or_plain,
    route53_rdata,
)
from deliverability.core.net.zones.master import master_input, parse, zone_file
from deliverability.core.yaml import shipped

VERSION = Code("terraform-version", ("version",))
ERRORED = Code("terraform-errored")
NO_RECORDS = Code("terraform-no-records", ("types",))
NO_ZONE = Code("terraform-no-zone", ("name", "address"))
AFTER_APPLY = Code("terraform-after-apply", ("address",))
NAME_AFTER_APPLY = Code("terraform-name-after-apply", ("address",))
SENSITIVE = Code("terraform-sensitive", ("address",))
ROUTED = Code("terraform-routed", ("address", "attribute"))
PROXIED = Code("terraform-proxied", ("address",))
DEFERRED = Code("terraform-deferred")
SPLIT = Code("terraform-text-split", ("name",))

_HOSTS = frozenset({"CNAME", "DNAME", "NS", "PTR"})
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^\s"]+')


class ResourceType(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; see there."""

    resource: str
    name: str
    replaces: Literal["set", "value"]
    values: tuple[str, ...]
    names: Literal["relative", "absolute", "either", "whole"] = "relative"
    full: str = ""
    zone: str = ""
    zone_id: str = ""
    type: str = ""
    fixed: str = ""
    fields: tuple[str, ...] = ()
    priority: str = ""
    data: str = ""
    texts: Literal["plain", "route53", "presentation"] = "plain"
    unknown: tuple[str, ...] = ()
    proxied: str = ""
    inline: str = ""
    as_txt: tuple[str, ...] = ()


class ZoneResource(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table of zones."""

    resource: str
    ids: tuple[str, ...]
    names: tuple[str, ...]


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """The resource types that are read."""

    resources: tuple[ResourceType, ...]
    zones: tuple[ZoneResource, ...]


@cache
def table() -> Table:
    """The shipped table."""
    return shipped("terraform.yaml", Table)


class _Head(Struct):
    address: str
    type: str
    mode: str = "managed"
    change: Raw = Raw(b"{}")


class _Change(Struct):
    actions: list[str]
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    after_unknown: Any = None
    before_sensitive: Any = None
    after_sensitive: Any = None


class _Resource(Struct):
    type: str
    values: Raw = Raw(b"{}")


class _Module(Struct):
    resources: list[_Resource] = []
    child_modules: list[_Module] = []


class _Values(Struct):
    root_module: _Module = msgspec.field(default_factory=_Module)


class _State(Struct):
    values: _Values = msgspec.field(default_factory=_Values)


class _Side(Struct, frozen=True):
    """A resource before or after the change, with what is not known of it, and what is not to be shown."""

    row: ResourceType
    address: str
    given: Mapping[str, Any]
    unknown: Mapping[str, Any]
    sensitive: Mapping[str, Any]

    def text(self, attribute: str) -> str:
        """The text of an attribute; empty where it is not known or not set."""
        value = self.given.get(attribute) if attribute else None
        return value if isinstance(value, str) and not _any(self.unknown.get(attribute)) else ""


def read(parts: Mapping[str, Raw], source: Source, reading: Reading) -> list[ZoneInput]:
    """The DNS records of a plan, those that are record sets apart from those that are values. Raises ZoneError."""
    version = decoded(parts["format_version"], str, source)
    if not re.fullmatch(r"[01]\.\d+", version):
        source.refuse(VERSION(version=version[:20]))
    if decoded(parts.get("errored", Raw(b"false")), bool, source):
        source.refuse(ERRORED())
    rows = {row.resource: row for row in table().resources}
    heads = decoded(parts.get("resource_changes", Raw(b"[]")), list[_Head], source)
    sides: list[tuple[_Side | None, _Side | None]] = []
    created: list[tuple[str, str]] = []
    zones = _Zones()
    kinds = {each.resource: each for each in table().zones}
    for head in heads:
        if head.type not in rows and head.type not in kinds:
            continue
        change = decoded(head.change, _Change, source)
        if head.type in kinds:
            for values in (change.before, change.after):
                name = zones.learn(kinds[head.type], values or {})
                if name and "create" in change.actions:
                    created.append((head.type, name))
        if head.type in rows and head.mode == "managed":
            sides.append(_sides(rows[head.type], head.address, change))
    for place in ("prior_state", "planned_values"):
        if place in parts:
            raw = parts[place]
            state = decoded(raw, _State, source).values if place == "prior_state" else decoded(raw, _Values, source)
            _learn(state.root_module, kinds, zones, source)
    for pair in sides:
        for side in pair:
            if side is not None:
                zones.learn_of_record(side)
    if not any(pair != (None, None) for pair in sides):
        source.refuse(NO_RECORDS(types=tuple(rows)))
    remarks: list[Detail] = []
    if parts.get("complete") == Raw(b"false") or bytes(parts.get("deferred_changes", Raw(b"[]"))) not in (
        b"[]",
        b"null",
    ):
        remarks.append(DEFERRED())
    names = _Owners(zones, [name for _, name in created], reading)
    found = []
    for replaces in ("set", "value"):
        chosen = [pair for pair in sides if any(each is not None and each.row.replaces == replaces for each in pair)]
        if chosen:
            found.append(_input(chosen, replaces, names, remarks, source))
            remarks = []
    return found


def _input(
    sides: Sequence[tuple[_Side | None, _Side | None]],
    replaces: Literal["set", "value"],
    names: _Owners,
    remarks: list[Detail],
    source: Source,
) -> ZoneInput:
    before, after = Collected(), Collected()
    zones: set[str] = set()
    for old, new in sides:
        told: list[Detail] = []
        if old is not None and old == new:  # most of a plan is as it was
            start = len(after.records), len(after.unknown)
            zones.add(_resource(old, names, after, told))
            before.records += after.records[start[0] :]
            before.unknown += after.unknown[start[1] :]
            remarks += told
            continue
        for side, found in ((old, before), (new, after)):
            if side is not None:
                zones.add(_resource(side, names, found, told if found is after else []))
        remarks += told
    origins = {zone for zone in zones if zone}
    return ZoneInput(
        TERRAFORM,
        tuple(sorted(origins)),
        complete=False,
        after=tuple(after.records),
        before=tuple(before.records),
        replaces=replaces,
        unknown=tuple(after.unknown),
        remarks=tuple(dict.fromkeys(remarks)),
        label=source.label,
    )


def _sides(row: ResourceType, address: str, change: _Change) -> tuple[_Side | None, _Side | None]:
    """A resource before and after: what is forgotten stays in the DNS, what is only read is not managed."""

    def side(given: Mapping[str, Any] | None, unknown: Any, sensitive: Any) -> _Side | None:
        if given is None:
            return None
        return _Side(row, address, given, _mapping(unknown, given), _mapping(sensitive, given))

    actions = change.actions
    old = side(change.before, None, change.before_sensitive)
    new = side(change.after, change.after_unknown, change.after_sensitive)
    if actions == ["forget"]:
        return old, old
    if actions == ["read"]:
        return None, None
    return (None if "create" in actions and "delete" not in actions else old), (None if actions == ["delete"] else new)


def _mapping(marks: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Marks by attribute; `true` marks all of them."""
    if marks is True:
        return dict.fromkeys(given, True)
    return marks if isinstance(marks, dict) else {}


def _any(marks: Any) -> bool:
    """Whether anything of a value is marked."""
    if isinstance(marks, dict):
        return any(map(_any, marks.values()))
    return any(map(_any, marks)) if isinstance(marks, list) else marks is True


# --- names ------------------------------------------------------------------------------------------------------------


class _Zones:
    """The names of zones by their ids."""

    def __init__(self) -> None:
        self.by_id: dict[str, str] = {}

    def learn(self, kind: ZoneResource, values: Mapping[str, Any]) -> str:
        """Its name, empty where it is not known."""
        name = next((found for key in kind.names if isinstance(found := values.get(key), str)), "")
        for key in kind.ids:
            if isinstance(ident := values.get(key), str) and name:
                self.by_id[ident] = canonical(name)
        return canonical(name) if name else ""

    def learn_of_record(self, side: _Side) -> None:
        """A record whose whole name is known shows its zone."""
        if _is_hidden(side):
            return
        full, name, ident = side.text(side.row.full), side.text(side.row.name), side.text(side.row.zone_id)
        whole, part = canonical(full) if full else "", canonical(name) if name not in ("", "@") else ""
        if ident and part and whole.startswith(f"{part}."):
            self.by_id.setdefault(ident, whole.removeprefix(f"{part}."))
        elif ident and whole and name == "@":
            self.by_id.setdefault(ident, whole)


def _learn(module: _Module, kinds: Mapping[str, ZoneResource], zones: _Zones, source: Source) -> None:
    for each in module.resources:
        if each.type in kinds:
            zones.learn(kinds[each.type], decoded(each.values, dict[str, Any], source))
    for child in module.child_modules:
        _learn(child, kinds, zones, source)


class _Owners:
    """The names of records, absolute."""

    def __init__(self, zones: _Zones, created: Sequence[str], reading: Reading) -> None:
        self._zones, self._created = zones, created
        self._given = tuple(canonical(each) for each in reading.origins)

    def of(self, side: _Side) -> tuple[str, str]:
        """The name, and its zone where that is known. Raises ZoneError where nobody knows what it is relative to."""
        row, address = side.row, side.address
        name = side.text(row.name)
        zone = side.text(row.zone) or self._zones.by_id.get(side.text(row.zone_id), "")
        zone = canonical(zone) if zone else self._likely(name, row)
        if full := side.text(row.full):
            return owner_name(absolute(full), ".", address), zone
        if row.names == "absolute" or name.endswith("."):
            return owner_name(absolute(name), ".", address), zone
        plain = canonical(name) if name not in ("", "@") else ""
        if zone and row.names in ("either", "whole") and (plain == zone or plain.endswith(f".{zone}")):
            return owner_name(absolute(name), ".", address), zone
        if not zone:
            if row.names == "whole" and "." in name and not name.rpartition(".")[2].startswith("_"):
                return owner_name(absolute(name), ".", address), ""
            raise ZoneError(ABOUT(what=address, detail=NO_ZONE(name=name or "@", address=address)))
        return owner_name(name, zone, address), zone

    def _likely(self, name: str, row: ResourceType) -> str:
        """The zone of a record whose zone is not known yet: one that was given, or the only one that is made."""
        if not row.zone_id and row.names == "absolute":
            return ""
        for known in (self._given, tuple(self._created)):
            within = [each for each in known if canonical(name) == each or canonical(name).endswith(f".{each}")]
            if within:
                return max(within, key=len)
            if len(set(known)) == 1:
                return known[0]
        return ""


# --- records ----------------------------------------------------------------------------------------------------------


def _resource(side: _Side, names: _Owners, found: Collected, told: list[Detail]) -> str:
    """The records of a resource; gives its zone."""
    row, address = side.row, side.address
    if row.inline == "zone-file":
        return _zone_file(side, found)
    if row.inline:
        zone = canonical(side.text(row.zone))
        blocks = side.given.get(row.inline)
        for number, block in enumerate(blocks if isinstance(blocks, list) else ()):
            marks = [_at(each.get(row.inline), number, block) for each in (side.unknown, side.sensitive)]
            inner = {**block, row.zone: zone}
            _record(
                msgspec.structs.replace(side, given=inner, unknown=marks[0], sensitive=marks[1]), names, found, told
            )
        if _any(side.unknown.get(row.inline)) and not blocks and zone:
            found.lose(zone, ANY, AFTER_APPLY(address=address), address)
        return zone
    return _record(side, names, found, told)


def _at(marks: Any, number: int, block: Mapping[str, Any]) -> Mapping[str, Any]:
    """The marks of one block of several; a mark on all of them is one on each."""
    each = marks[number] if isinstance(marks, list) and number < len(marks) else marks
    return _mapping(each, block) if each is True or isinstance(marks, list) else {}


def _record(side: _Side, names: _Owners, found: Collected, told: list[Detail]) -> str:
    row, address = side.row, side.address
    if _is_hidden(side):
        told.append(SENSITIVE(address=address))
        return ""
    if _any(side.unknown.get(row.name)) or not isinstance(side.given.get(row.name, ""), str | None):
        told.append(NAME_AFTER_APPLY(address=address))
        return ""
    owner, zone = names.of(side)
    rdtype = row.fixed or side.text(row.type).upper()
    if not rdtype:
        found.lose(owner, ANY, AFTER_APPLY(address=address), address)
        return zone
    rdtype = "TXT" if rdtype in row.as_txt else rdtype
    why = _why_unknown(side, rdtype)
    if why is not None:
        types = ("A", "AAAA") if row.proxied and PROXIED.matches(why) else (rdtype,)
        for each in types:
            found.lose(owner, each, why, address)
        return zone
    if not is_dns_type(rdtype):
        found.lose(owner, rdtype, NOT_A_TYPE(type=rdtype, name=owner), address)
        return zone
    rdatas = list(_rdatas(side, owner, rdtype, zone, told))
    if not rdatas:
        raise ZoneError(ABOUT(what=address, detail=FIELD(type=rdtype, name=owner, field=row.values[0])))
    found.add(owner, rdtype, rdatas, side.given.get("ttl"), address)
    return zone


def _is_hidden(side: _Side) -> bool:
    """Whether its name, zone or type is marked as sensitive."""
    row = side.row
    return any(_any(side.sensitive.get(each)) for each in (row.name, row.full, row.zone, row.type) if each)


def _why_unknown(side: _Side, rdtype: str) -> Detail | None:
    """Why the answer cannot be told from the plan; None: it can."""
    row, given, address = side.row, side.given, side.address
    attributes = (*row.values, *filter(None, (row.data, row.priority if rdtype == "MX" else "")))
    if any(_any(side.sensitive.get(each)) for each in attributes):
        return SENSITIVE(address=address)
    for attribute in row.unknown:
        if given.get(attribute) not in (None, "", [], {}) or _any(side.unknown.get(attribute)):
            return ROUTED(address=address, attribute=attribute)
    if row.proxied and rdtype in ("A", "AAAA", "CNAME") and given.get(row.proxied) is True:
        return PROXIED(address=address)
    empty: tuple[Any, ...] = (None, "", [], {})
    known = any(given.get(each) not in empty and not _any(side.unknown.get(each)) for each in (*row.values, row.data))
    for each in attributes:
        # Of several attributes that hold the value, the others are computed from the one that is given.
        if _any(side.unknown.get(each)) and not (known and each in row.values and given.get(each) in empty):
            return AFTER_APPLY(address=address)
    return None


def _rdatas(side: _Side, owner: str, rdtype: str, zone: str, told: list[Detail]) -> Iterator[str]:
    row, given = side.row, side.given
    value = next((given[each] for each in row.values if given.get(each) not in (None, "", [])), None)
    if row.data:
        data = given.get(row.data)
        block = data[0] if isinstance(data, list) and data else data
        record = CloudflareRecord(
            owner,
            rdtype,
            value if isinstance(value, str) else None,
            _whole(given.get(row.priority)),
            data={key: each for key, each in block.items() if each is not None} if isinstance(block, dict) else None,
        )
        yield cloudflare_rdata(owner, rdtype, (record.content or "").strip(), record, side.address)
        return
    for each in value if isinstance(value, list) else [] if value is None else [value]:
        if isinstance(each, dict):
            parts = [each.get(field) for field in row.fields]
            yield _fields(rdtype, ["" if part is None else str(part) for part in parts])
        else:
            yield _value(side, owner, rdtype, str(each), zone, told)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _fields(rdtype: str, parts: list[str]) -> str:
    if rdtype == "TXT":
        return text_rdata("".join(parts))
    if rdtype in ("MX", "SRV"):
        parts[-1] = absolute(parts[-1])
    elif rdtype == "CAA":
        parts[-1] = text_rdata(parts[-1])
    return " ".join(parts)


def _value(side: _Side, owner: str, rdtype: str, text: str, zone: str, told: list[Detail]) -> str:
    row = side.row
    if rdtype in ("TXT", "SPF"):
        if row.texts == "presentation":
            tokens = _TOKEN.findall(text)
            if len(tokens) > 1 and not text.lstrip().startswith('"'):
                told.append(ABOUT(what=side.address, detail=SPLIT(name=owner)))
            return " ".join(each if each.startswith('"') else text_rdata(each) for each in tokens) or '""'
        if row.texts == "route53":
            whole = text if len(text) > 1 and text.startswith('"') and text.endswith('"') else f'"{text}"'
            return route53_rdata(rdtype, whole)
        return quoted_or_plain(text)
    text = f"{zone}." if text == "@" and zone else text
    if rdtype == "MX" and row.priority and len(text.split()) == 1:
        return f"{_whole(side.given.get(row.priority)) or 0} {absolute(text)}"
    if rdtype in (*_HOSTS, "MX", "SRV"):
        *head, host = text.split() or [""]
        if rdtype == "SRV" and len(head) == 0:
            head = [str(side.given.get(each) or 0) for each in (row.priority, "weight", "port")]
        return " ".join((*head, absolute(host)))
    if rdtype == "CAA" and "flags" in side.given and len(text.split()) == 1:
        return f"{side.given.get('flags') or 0} {side.given.get('tag')} {text_rdata(text)}"
    return text


def _zone_file(side: _Side, found: Collected) -> str:
    row, address = side.row, side.address
    zone, text = canonical(side.text(row.zone)), side.text(row.values[0])
    if not zone:
        return ""
    hidden = _any(side.sensitive.get(row.values[0]))
    if hidden or not text:
        why = SENSITIVE(address=address) if hidden else AFTER_APPLY(address=address)
        found.lose(zone, ANY, why, address)
        found.lose(f"*.{zone}", ANY, why, address)
        return zone
    file = zone_file(f"{zone}.zone", text.encode("utf-8", "surrogateescape"))
    try:
        records = master_input(file, parse(file)).after
    except ZoneError as error:
        raise ZoneError(ABOUT(what=address, detail=error.detail)) from None
    found.records += [msgspec.structs.replace(each, place=address) for each in records]
    return zone
