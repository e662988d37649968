"""Zones as lists of records in JSON: dnscontrol's intermediate representation, Route 53, Cloudflare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.net.names import canonical, labels_of
from deliverability.core.net.zones import CLOUDFLARE, DNSCONTROL, ROUTE53
from deliverability.core.net.zones.base import (
    FIELD,
    NOT_A_TYPE,
    Collected,
    Reading,
    Source,
    ZoneError,
    ZoneInput,
    absolute,
    alone_beside_alias,
    is_dns_type,
    owner_name,
    text_rdata,
)

SHAPE = Code("zone-json-shape", ("why",))
TAGS = Code("dnscontrol-tags", ("zone", "tags"))
NO_TAG = Code("dnscontrol-no-tag", ("tag", "tags"))
NOT_READ = Code("dnscontrol-type-unread", ("type", "name"))
NO_DOMAINS = Code("dnscontrol-no-domains")
PURGE = Code("dnscontrol-keeps-others", ("zone",))
ALIAS = Code("route53-alias", ("name", "type"))
ROUTED = Code("route53-routed", ("name", "type"))
TRUNCATED = Code("route53-truncated")
NO_ORIGIN = Code("zone-list-empty")
PAGES = Code("cloudflare-pages", ("page", "pages"))
REFUSED = Code("cloudflare-refused", ("why",))
PROXIED = Code("cloudflare-proxied", ("name",))
FLATTENED = Code("cloudflare-flattened", ("name",))
NO_RECORDS = Code("cloudflare-no-records")

_T = TypeVar("_T")
_OCTAL = re.compile(r"\\([0-7]{3})")
_PART = re.compile(r'"(?:[^"\\]++|\\.)*+"\s*', re.DOTALL)


def decoded(raw: Raw | bytes, kind: type[_T], source: Source) -> _T:
    """A part of a file of JSON, in this shape. Raises ZoneError, without what stands there."""
    try:
        return msgspec.json.decode(raw, type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        source.refuse(SHAPE(why=str(error)))


def common_origin(owners: Iterable[str], apexes: Sequence[str], reading: Reading, source: Source) -> str:
    """The zone of a list that does not name it: the owner of its SOA or NS, else what all names end in."""
    if reading.origins:
        return reading.origins[0]
    names = sorted({canonical(each).removeprefix("*.") for each in owners})
    if not names:
        source.refuse(NO_ORIGIN())
    tops = sorted(apexes or names, key=lambda each: each.count("."))
    labels = tops[0].split(".")
    if not apexes:
        for name in names:
            other = name.split(".")
            while labels and other[-len(labels) :] != labels:
                labels = labels[1:]
        while len(labels) > 2 and labels[0].startswith("_"):
            labels = labels[1:]
    if not labels:
        source.refuse(NO_ORIGIN())
    return ".".join(labels)


# --- dnscontrol -------------------------------------------------------------------------------------------------------


class _Domain(Struct):
    name: str
    uniquename: str = ""
    records: list[dict[str, Any]] | None = None
    keepunknown: bool = False
    unmanaged: Any = None
    recordsabsent: list[dict[str, Any]] | None = None


# The fields of a type, in the order of a master file; what is left out counts as 0.
_IR: Mapping[str, tuple[str, ...]] = {
    "MX": ("mxpreference", "."),
    "SRV": ("srvpriority", "srvweight", "srvport", "."),
    "CAA": ("caaflag", "caatag", '"'),
    "TLSA": ("tlsausage", "tlsaselector", "tlsamatchingtype", "target"),
    "DS": ("dskeytag", "dsalgorithm", "dsdigesttype", "dsdigest"),
    "SSHFP": ("sshfpalgorithm", "sshfpfingerprint", "target"),
}
_HOSTS = frozenset({"CNAME", "DNAME", "NS", "PTR"})


def read_dnscontrol(parts: Mapping[str, Raw], source: Source, reading: Reading) -> list[ZoneInput]:
    """The domains of ``dnscontrol print-ir``, those that keep what else is in the zone apart. Raises ZoneError."""
    domains = () if parts["domains"] == Raw(b"null") else decoded(parts["domains"], list[_Domain], source)
    if not domains:
        source.refuse(NO_DOMAINS())
    tags: dict[str, list[str]] = {}
    for each in domains:
        tags.setdefault(each.name, []).append(each.uniquename.partition("!")[2])
    if reading.tag and not any(reading.tag in found for found in tags.values()):
        known = tuple(tag for found in tags.values() for tag in found if tag)
        source.refuse(NO_TAG(tag=reading.tag, tags=known))
    sides: dict[bool, list[_Domain]] = {}
    for each in domains:
        found = tags[each.name]
        if len(found) > 1:
            if reading.tag not in found or not reading.tag:
                source.refuse(TAGS(zone=each.name, tags=tuple(tag or "-" for tag in found)))
            if each.uniquename.partition("!")[2] != reading.tag:
                continue
        sides.setdefault(not (each.keepunknown or each.unmanaged), []).append(each)
    return [_ir(complete, chosen, source) for complete, chosen in sorted(sides.items(), reverse=True)]


def _ir(complete: bool, domains: Iterable[_Domain], source: Source) -> ZoneInput:
    found, gone = Collected(), Collected()
    origins, remarks = [], list[Detail]()
    for domain in domains:
        origin = owner_name(domain.name, ".", source.label)
        origins.append(origin)
        if not complete:
            remarks.append(PURGE(zone=origin))
        for records, kept in ((domain.records, found), (domain.recordsabsent, gone)):
            for record in records or ():
                _ir_record(record, origin, kept, remarks, source)
    if complete:
        alone_beside_alias(found.records)
    return ZoneInput(
        DNSCONTROL,
        tuple(sorted(origins)),
        complete=complete,
        after=tuple(found.records),
        before=tuple(gone.records) if gone.records and not complete else None,
        unknown=tuple(found.unknown),
        remarks=tuple(remarks),
        label=source.label,
    )


def _ir_record(record: Mapping[str, Any], origin: str, found: Collected, remarks: list[Detail], source: Source) -> None:
    rdtype, name = record.get("type"), record.get("name")
    if not isinstance(rdtype, str) or not isinstance(name, str):
        source.refuse(SHAPE(why="records[]: type, name"))
    place = str(record.get("filepos") or source.label)
    owner = owner_name(name, origin, place)
    target = record.get("target")
    if rdtype == "TXT" and isinstance(target, str):
        rdata = text_rdata(target)
    elif rdtype in ("A", "AAAA") and isinstance(target, str):
        rdata = target
    elif rdtype in _HOSTS and isinstance(target, str):
        rdata = absolute(target)
    elif rdtype in _IR and isinstance(target, str | None):
        rdata = " ".join(_ir_field(field, record, target or "") for field in _IR[rdtype])
    else:
        why = NOT_READ(type=rdtype, name=owner)
        remarks.append(ABOUT(what=place, detail=why))
        found.lose(owner, rdtype, why, place)
        return
    found.add(owner, rdtype, [rdata], record.get("ttl"), place)


def _ir_field(field: str, record: Mapping[str, Any], target: str) -> str:
    if field == "target":
        return target
    if field == ".":
        return absolute(target)
    return text_rdata(target) if field == '"' else str(record.get(field) or 0)


# --- Route 53 ---------------------------------------------------------------------------------------------------------


class _Value(Struct, rename="pascal"):
    value: str = ""


class _Set(Struct, rename="pascal"):
    name: str
    type: str
    t_t_l: int | None = msgspec.field(default=None, name="TTL")
    resource_records: list[_Value] | None = None
    alias_target: Any = None
    set_identifier: str | None = None
    traffic_policy_instance_id: str | None = None


class _Change(Struct, rename="pascal"):
    action: str
    resource_record_set: _Set


class _Batch(Struct, rename="pascal"):
    changes: list[_Change]


def read_route53(parts: Mapping[str, Raw], source: Source, reading: Reading) -> ZoneInput:
    """A list of record sets, which is a whole zone, or a change batch. Raises ZoneError."""
    if "ResourceRecordSets" in parts:
        if decoded(parts.get("IsTruncated", Raw(b"false")), bool, source) or any(
            parts.get(name, Raw(b"null")) != Raw(b"null") for name in ("NextToken", "NextRecordName")
        ):
            source.refuse(TRUNCATED())
        sets = decoded(parts["ResourceRecordSets"], list[_Set], source)
        found = Collected()
        for each in sets:
            _set(each, found, source)
        apexes = [owner_name(each.name, ".", source.label) for each in sets if each.type == "SOA"]
        owners = [owner_name(each.name, ".", source.label) for each in sets]
        origin = common_origin(owners, apexes, reading, source)
        alone_beside_alias(found.records)
        return ZoneInput(
            ROUTE53,
            (origin,),
            complete=True,
            after=tuple(found.records),
            unknown=tuple(found.unknown),
            label=source.label,
        )
    if "ChangeBatch" in parts:
        batch = decoded(parts["ChangeBatch"], _Batch, source)
    else:
        batch = _Batch(decoded(parts["Changes"], list[_Change], source))
    after, before = Collected(), Collected()
    for change in batch.changes:
        # A set that is deleted and made anew in one batch is there afterwards.
        _set(change.resource_record_set, before if change.action.upper() == "DELETE" else after, source)
    owners = [each.owner for each in (*after.records, *before.records)] + [each.owner for each in after.unknown]
    origin = common_origin(owners, [], reading, source)
    return ZoneInput(
        ROUTE53,
        (origin,),
        complete=False,
        after=tuple(after.records),
        before=tuple(before.records),
        unknown=tuple(after.unknown),
        label=source.label,
    )


def _set(given: _Set, found: Collected, source: Source) -> None:
    owner, rdtype = owner_name(given.name, ".", source.label), given.type.upper()
    if given.alias_target is not None:
        found.lose(owner, rdtype, ALIAS(name=owner, type=rdtype), source.label)
    elif given.set_identifier is not None or given.traffic_policy_instance_id is not None:
        found.lose(owner, rdtype, ROUTED(name=owner, type=rdtype), source.label)
    elif not is_dns_type(rdtype):
        found.lose(owner, rdtype, NOT_A_TYPE(type=rdtype, name=owner), source.label)
    else:
        rdatas = [route53_rdata(rdtype, each.value) for each in given.resource_records or ()]
        if not rdatas:
            raise ZoneError(ABOUT(what=source.label, detail=FIELD(type=rdtype, name=owner, field="ResourceRecords")))
        found.add(owner, rdtype, rdatas, given.t_t_l, source.label)


def route53_rdata(rdtype: str, value: str) -> str:
    """A value as a master file has it: octets are octal there, decimal here; hosts may lack the dot at their end."""
    text = _OCTAL.sub(lambda match: f"\\{int(match[1], 8) & 255:03d}", value.strip())
    if rdtype in ("TXT", "SPF"):
        return text if text.startswith('"') else text_rdata(value)
    if rdtype in (*_HOSTS, "MX", "SRV"):
        *head, host = text.split() or [""]
        return " ".join((*head, absolute(host)))
    return text


# --- Cloudflare -------------------------------------------------------------------------------------------------------


class CloudflareRecord(Struct):
    """One record, as the API lists it."""

    name: str
    type: str
    content: str | None = None
    priority: int | None = None
    ttl: Any = None
    proxied: bool | None = None
    data: dict[str, Any] | None = None
    zone_name: str = ""


class _Pages(Struct):
    page: int = 1
    total_pages: int = 1
    count: int | None = None
    total_count: int | None = None


def read_cloudflare(parts: Mapping[str, Raw], source: Source, reading: Reading) -> ZoneInput:
    """A list of all records of a zone. Raises ZoneError."""
    if not decoded(parts["success"], bool, source):
        errors = decoded(parts.get("errors", Raw(b"[]")), Any, source)
        said = [each.get("message") if isinstance(each, dict) else each for each in _listed(errors)]
        said = [each for each in said if each is not None]
        source.refuse(REFUSED(why=", ".join(map(str, said))[:200] or "success: false"))
    given_pages = parts.get("result_info", Raw(b"{}"))
    pages = _Pages() if given_pages == Raw(b"null") else decoded(given_pages, _Pages, source)
    short = pages.total_count is not None and pages.count is not None and pages.count < pages.total_count
    if pages.total_pages > 1 or short:
        source.refuse(PAGES(page=pages.page, pages=max(pages.total_pages, 2)))
    given = decoded(parts.get("result", Raw(b"null")), Any, source)
    if not isinstance(given, list) or any(
        not isinstance(each, dict) or "type" not in each or ("content" not in each and "data" not in each)
        for each in given
    ):
        source.refuse(NO_RECORDS())
    records = decoded(parts["result"], list[CloudflareRecord], source)
    owners = [owner_name(absolute(each.name), ".", source.label) for each in records]
    named = [canonical(each.zone_name) for each in records if each.zone_name and labels_of(each.zone_name)]
    origin = common_origin(owners, named, reading, source)
    found = Collected()
    for owner, record in zip(owners, records, strict=True):
        cloudflare_record(owner, origin, record, found, source.label)
    return ZoneInput(
        CLOUDFLARE,
        (origin,),
        complete=True,
        after=tuple(found.records),
        replaces="value",
        unknown=tuple(found.unknown),
        label=source.label,
    )


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]


def cloudflare_record(owner: str, origin: str, record: CloudflareRecord, found: Collected, place: str) -> None:
    """One record of Cloudflare; what it answers in place of a record itself cannot be told."""
    rdtype, content = record.type.upper(), (record.content or "").strip()
    if record.proxied and rdtype in ("A", "AAAA", "CNAME"):
        for each in ("A", "AAAA"):
            found.lose(owner, each, PROXIED(name=owner), place)
        return
    if rdtype == "CNAME" and owner == origin:
        for each in ("A", "AAAA"):
            found.lose(owner, each, FLATTENED(name=owner), place)
        return
    if not is_dns_type(rdtype):
        found.lose(owner, rdtype, NOT_A_TYPE(type=rdtype, name=owner), place)
        return
    found.add(owner, rdtype, [cloudflare_rdata(owner, rdtype, content, record, place)], record.ttl, place)


_DATA: Mapping[str, tuple[str, ...]] = {
    "SRV": ("priority", "weight", "port", "target"),
    "CAA": ("flags", "tag", "value"),
    "TLSA": ("usage", "selector", "matching_type", "certificate"),
    "DS": ("key_tag", "algorithm", "digest_type", "digest"),
}


def cloudflare_rdata(owner: str, rdtype: str, content: str, record: CloudflareRecord, place: str) -> str:
    """The value as a master file has it. Raises ZoneError."""
    if record.data and rdtype in _DATA and not (set(_DATA[rdtype]) - record.data.keys() - {"priority"}):
        fields = [str(record.data.get(field, record.priority or 0)) for field in _DATA[rdtype]]
        if rdtype == "SRV":
            fields[-1] = absolute(fields[-1])
        elif rdtype == "CAA":
            fields[-1] = text_rdata(fields[-1])
        return " ".join(fields)
    if not content:
        raise ZoneError(ABOUT(what=place, detail=FIELD(type=rdtype, name=owner, field="content")))
    if rdtype in ("TXT", "SPF"):
        return quoted_or_plain(content)
    if rdtype == "MX":
        return f"{0 if record.priority is None else record.priority} {absolute(content)}"
    if rdtype == "SRV" and record.priority is not None and len(content.split()) == 3:
        return f"{record.priority} {absolute(content)}"
    return absolute(content) if rdtype in _HOSTS else content


def quoted_or_plain(text: str) -> str:
    """A text that may stand in quotes already, as in a master file, or without any."""
    end = 0
    while match := _PART.match(text, end):
        end = match.end()
    return text if text.startswith('"') and end == len(text) else text_rdata(text)
