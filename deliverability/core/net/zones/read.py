"""Recognises zones and plans by what they hold, never by their name, and has the right reader read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import FILE_TOO_LARGE, file_error
from deliverability.core.files import octets_of
from deliverability.core.net.zones import lists, master, octodns
from deliverability.core.net.zones.base import (
    CLOUDFLARE,
    DNSCONTROL,
    MASTER,
    MAX_DEPTH,
    MAX_OCTETS,
    OCTODNS,
    OCTODNS_PLAN,
    ROUTE53,
    TERRAFORM,
    Reading,
    Source,
    ZoneError,
    ZoneInput,
)
from deliverability.core.net.zones.configured import zones_of

MAX_MASTER = 64 * 1024 * 1024
"""Octets of one master file."""
IN_FOLDER = (".zone", ".db", *octodns.SUFFIXES, ".json")
"""Files of a folder that are looked at."""
_LOOKED = 65_536  # octets in which a file shows what it is

NO_ZONE_FILE = Code("no-zone-file", ("folder",))
EMPTY = Code("zone-empty")
BINARY_PLAN = Code("zone-binary-plan", ("file",))
GZIPPED = Code("zone-gzipped", ("file",))
RAW_ZONE = Code("zone-raw", ("file",))
BINARY = Code("zone-binary")
ARCHIVE = Code("zone-archive", ("file",))
DOCUMENT = Code("zone-pdf")
LOOKED_UP = Code("zone-looked-up")
WHOIS = Code("zone-whois")
TINYDNS = Code("zone-tinydns")
HOSTS = Code("zone-hosts")
CONFLICT = Code("zone-conflict")
LARGE = Code("zone-git-lfs")
PEM = Code("zone-pem")
HETZNER = Code("zone-hetzner-api")
WEB_PAGE = Code("zone-web-page")
HCL = Code("zone-hcl")
PLAN_TEXT = Code("zone-plan-text")
PLAN_STREAM = Code("zone-plan-stream")
PROGRAM = Code("zone-dnscontrol-program")
PREVIEW_TEXT = Code("zone-dnscontrol-preview")
REPORT = Code("zone-dnscontrol-report")
OCTODNS_TEXT = Code("zone-octodns-plan-text")
OCTODNS_CONFIG = Code("zone-octodns-config")
NO_ZONE_YAML = Code("zone-yaml-other")
KUBERNETES = Code("zone-kubernetes")
KNOT = Code("zone-knot-config")
NAMED_CONF = Code("zone-named-conf")
PATCH = Code("zone-patch")
SHEET = Code("zone-csv")
STATE = Code("zone-terraform-state", ("file",))
STATE_FILE = Code("zone-terraform-state-file")
OTHER_TERRAFORM = Code("zone-terraform-other")
HOSTED_ZONES = Code("zone-route53-zones")
QUERIED = Code("zone-route53-queried")
CLOUD_FORMATION = Code("zone-cloudformation")
PULUMI = Code("zone-pulumi")
DIGITALOCEAN = Code("zone-digitalocean-api")
POWERDNS = Code("zone-powerdns-api")
GANDI = Code("zone-gandi-api")
GOOGLE = Code("zone-google-list")
AZURE = Code("zone-azure-list")
CLOUDFLARE_PART = Code("zone-cloudflare-part")
NO_JSON = Code("zone-json-syntax", ("line", "column", "why"))
DEEP_JSON = Code("zone-json-deep", ("n",))
EMPTY_JSON = Code("zone-json-empty")
OTHER_JSON = Code("zone-json-other")
NOT_THAT_FORMAT = Code("zone-not-that-format", ("format",))

_TYPE_LINE = re.compile(rb"""(?m)^[ \t]*(?:-[ \t]+)*["']?type["']?[ \t]*:|[{,][ \t]*["']?type["']?[ \t]*:""")
# The first line of YAML that says anything: a key or a list; that of a master file is a name or a directive.
_YAML_LINE = re.compile(rb"""[ \t]*(?:-[ \t]|\?[ \t]|\{|"[^"\n]*"[ \t]*:|'[^'\n]*'[ \t]*:|[^\s"';:]+[ \t]*:(?:\s|$))""")
_YAML_CONFIG = re.compile(rb"(?m)^(?:providers|manager)[ \t]*:")
_TEXTS: tuple[tuple[re.Pattern[bytes], Code], ...] = (
    (re.compile(rb"(?i)\A\s*<(?:!doctype|html|\?xml)"), WEB_PAGE),
    (re.compile(rb"(?m)\A(?:diff --git |--- a/)"), PATCH),
    (
        re.compile(rb"(?:Terraform|OpenTofu) (?:will perform|used the selected providers)|(?m:^  # \S+ will be )"),
        PLAN_TEXT,
    ),
    (
        re.compile(
            rb"(?m)^[ \t]*(?:resource|data)[ \t]+\"[a-z0-9_]+\"[ \t]+\""
            rb"|^[ \t]*(?:module|variable|provider)[ \t]+\"[^\"\n]*\"[ \t]*\{"
        ),
        HCL,
    ),
    (re.compile(rb"(?m)^\*{10,} Domain: "), PREVIEW_TEXT),
    (re.compile(rb"(?m)^\*[ \t]+(?:Create|Update|Delete) <\w+Record |^\* \S+ \(\w+Provider\)"), OCTODNS_TEXT),
    (
        re.compile(
            rb"(?m)^[ \t]*(?:D|D_EXTEND|DOMAIN_ELSEWHERE|require)[ \t]*\("
            rb"|\bDnsProvider\(|\bREG_\w+[ \t]*=|\bNewRegistrar\("
        ),
        PROGRAM,
    ),
    (
        re.compile(rb"(?m)^[ \t]*(?:options|controls)[ \t]*\{|^[ \t]*zone[ \t]+\"[^\"\n]+\"(?:[ \t]+IN)?[ \t]*\{"),
        NAMED_CONF,
    ),
    (re.compile(rb"(?m)^apiVersion[ \t]*:"), KUBERNETES),
    (re.compile(rb"(?m)^zone[ \t]*:[ \t]*\r?\n[ \t]*-[ \t]*domain[ \t]*:"), KNOT),
    (_YAML_CONFIG, OCTODNS_CONFIG),
    (re.compile(rb"(?m)^AWSTemplateFormatVersion[ \t]*:"), CLOUD_FORMATION),
    (re.compile(rb"(?m)^kind[ \t]*:[ \t]*dns#"), GOOGLE),
    (re.compile(rb"(?m)\A(?:---[ \t]*\r?\n)?-[ \t]+hosts[ \t]*:"), NO_ZONE_YAML),
    (re.compile(rb"\A[a-z_]\w*[ \t]*=[ \t]*[\"\[{]"), HCL),
    (re.compile(rb"\A%PDF-"), DOCUMENT),
    (re.compile(rb"\A;+ <<>> DiG (?![^\n]*(?i:axfr))|\AServer:[ \t]"), LOOKED_UP),
    (re.compile(rb"(?mi)\A[ \t]*Domain Name:.*\n.*Registr"), WHOIS),
    (re.compile(rb"\A[.&=+@'^CZ:-][\w.*-]*:[^\s:]*:\S"), TINYDNS),
    (re.compile(rb"(?m)^(?:127\.0\.0\.1|::1)[ \t]+localhost\b"), HOSTS),
    (re.compile(rb"(?m)^<{7} "), CONFLICT),
    (re.compile(rb"\Aversion https://git-lfs"), LARGE),
    (re.compile(rb"\A-----BEGIN "), PEM),
    (
        re.compile(
            rb"(?i)\A\s*\"?(?:name|type|host|zone|domain|record)[\w \"]*[,;\t]\s*"
            rb"\"?(?:name|type|host|value|ttl|content|record)"
        ),
        SHEET,
    ),
)
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
            if path.suffix in octodns.SUFFIXES and not reading.format and _YAML_CONFIG.search(source.data):
                yield from _configured(path, source.data, reading)
            else:
                yield look(source, reading)
        elif is_split(path):
            yield _split(path, reading)
        else:
            found = list(_in_folder(path, reading))
            if not found:
                raise ZoneError(NO_ZONE_FILE(folder=str(path)))
            yield from found


def _configured(path: Path, data: bytes, reading: Reading) -> Iterator[Given]:
    """The zones of a configuration of octoDNS."""
    for zone in zones_of(path, data):
        label = str(path.parent / zone.name)
        groups = [tuple(map(source_of, files)) for files in zone.files]
        below = tuple(each for group, over in zip(groups, zone.replaces, strict=True) if not over for each in group)
        above = tuple(each for group, over in zip(groups, zone.replaces, strict=True) if over for each in group)
        read = partial(octodns.read_zone_files, below, structs.replace(reading, origins=()), label, above)
        given = partial(_alone, partial(read, complete=zone.complete))
        yield Given(label, OCTODNS, (*below, *above), given, zone.name if zone.complete else "")


def _alone(read: Callable[[], ZoneInput]) -> Sequence[ZoneInput]:
    return [read()]


def is_split(folder: Path) -> bool:
    """Whether a folder is one zone of octoDNS, a file for each name."""
    return folder.resolve().name.endswith(".") or folder.name.endswith(".")


def source_of(path: Path) -> Source:
    """A file. Raises ZoneError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_MASTER + 1)
    except OSError as error:
        raise ZoneError(file_error(path, error)) from None
    if len(data) > MAX_MASTER:
        raise ZoneError(FILE_TOO_LARGE(file=str(path), n=MAX_MASTER // 1_000_000))
    return Source(str(path), data, partial(_included, path.parent))


def _included(folder: Path, name: str) -> bytes | None:
    """A file that another one includes; None: it stands outside the folder, or cannot be read."""
    try:
        path, top = (folder / name).resolve(), folder.resolve()
        return octets_of(path, MAX_OCTETS) if path.is_relative_to(top) else None
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
        return [octodns.read_zone_files(sources, reading, label)]

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


def _if_known(source: Source, reading: Reading) -> Given | None:
    try:
        return look(source, reading)
    except ZoneError:
        return None


def look(source: Source, reading: Reading) -> Given:
    """What a file is. Raises ZoneError, with what to do, where it is no zone."""
    source = _in_utf8(source)
    head = source.data[:_LOOKED].lstrip()
    if reading.format == MASTER:
        return _master(source, reading)
    if head[:1] in (b"{", b"[") and reading.format != OCTODNS:  # JSON is YAML, too
        return _json(source, reading)
    if reading.format not in ("", OCTODNS):
        source.refuse(_what(source, head) or NOT_THAT_FORMAT(format=reading.format))
    if (wrong := _what(source, head)) is not None:
        source.refuse(wrong)
    if reading.format == OCTODNS or _is_octodns(source.data, head):
        return octodns_given(source.label, (source,), reading)
    if source.label.endswith(octodns.SUFFIXES):
        source.refuse(NO_ZONE_YAML())
    return _master(source, reading)


def _is_octodns(data: bytes, head: bytes) -> bool:
    """Whether it is YAML with types in it, or none at all; texts of a master file may look like that as well."""
    if head.strip() in (b"---", b"--- {}"):
        return True
    lines = (line for line in head.splitlines() if line.strip() and not line.lstrip().startswith((b"#", b"---", b"%")))
    first = next(lines, b"")
    return _YAML_LINE.match(first) is not None and _TYPE_LINE.search(data) is not None


def _in_utf8(source: Source) -> Source:
    """Without a byte order mark; what PowerShell writes (UTF-16) as well."""
    data = source.data
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            data = data.decode("utf-16").encode("utf-8")
        except UnicodeError:
            source.refuse(BINARY())
    return msgspec.structs.replace(source, data=data.removeprefix(b"\xef\xbb\xbf"))


def _master(source: Source, reading: Reading) -> Given:
    origin = reading.origins[0] if reading.origins else ""

    def read() -> Sequence[ZoneInput]:
        file = master.zone_file(source.label, source.data, origin)
        return [master.master_input(file, master.parse(file))]

    return Given(source.label, MASTER, (source,), read, origin)


def _what(source: Source, head: bytes) -> Detail | None:
    """What a file is that is neither JSON nor a zone; None: it may be one."""
    file = source.label
    if not head:
        return EMPTY()
    if head.startswith(b"PK\x03\x04"):
        sheet, plan = b"xl/" in head or b"opendocument.spreadsheet" in head, b"tfplan" in head
        return SHEET() if sheet else BINARY_PLAN(file=file) if plan else ARCHIVE(file=file)
    if head.startswith(b"\x1f\x8b"):
        return GZIPPED(file=file)
    if source.data.startswith((b"\x00\x00\x00\x02", b"\x00\x00\x00\x03")):
        return RAW_ZONE(file=file)
    if b"\x00" in head:
        return BINARY()
    return next((code() for pattern, code in _TEXTS if pattern.search(head)), None)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json(source: Source, reading: Reading) -> Given:
    data = source.data
    if re.match(rb'\s*\{\s*"@level"', data):
        source.refuse(PLAN_STREAM())
    if len(data) > MAX_OCTETS:
        raise ZoneError(FILE_TOO_LARGE(file=source.label, n=MAX_OCTETS // 1_000_000))
    _check_depth(source)
    if data.lstrip()[:1] == b"[":
        source.refuse(_listed_json(_decoded(source, list[Any])))
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
        return "", STATE(file=source.label) if "values" in keys else OTHER_TERRAFORM()
    if "domains" in keys and ("dns_providers" in keys or "registrars" in keys):
        return DNSCONTROL, None
    if keys & {"ResourceRecordSets", "Changes", "ChangeBatch"}:
        return ROUTE53, None
    if "result" in keys and "success" in keys:
        return CLOUDFLARE, None
    others: tuple[tuple[set[str], Detail], ...] = (
        ({"terraform_version", "lineage"}, STATE_FILE()),
        ({"terraform_version", "serial"}, STATE_FILE()),
        ({"HostedZones"}, HOSTED_ZONES()),
        ({"HostedZone"}, HOSTED_ZONES()),
        ({"AWSTemplateFormatVersion"}, CLOUD_FORMATION()),
        ({"Resources"}, CLOUD_FORMATION()),
        ({"steps", "changeSummary"}, PULUMI()),
        ({"steps"}, PULUMI()),
        ({"domain_records"}, DIGITALOCEAN()),
        ({"rrsets"}, POWERDNS()),
        ({"Status", "Question"}, LOOKED_UP()),
        ({"records"}, HETZNER()),
        ({"apiVersion", "kind"}, KUBERNETES()),
    )
    for wanted, detail in others:
        if wanted <= keys:
            return "", detail
    if not keys:
        return "", EMPTY_JSON()
    try:
        if octodns.is_plan({key: msgspec.json.decode(raw) for key, raw in parts.items()}):
            return OCTODNS_PLAN, None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    return "", OTHER_JSON()


def _listed_json(items: Sequence[Any]) -> Detail:
    """What a list in JSON is; none is a zone."""
    first = next((each for each in items if isinstance(each, dict)), {})
    keys = first.keys()
    if keys & {"correction_details", "corrections"}:
        return REPORT()
    if "rrdatas" in keys:
        return GOOGLE()
    if "rrset_name" in keys:
        return GANDI()
    if "Microsoft.Network" in str(first.get("type", "")) or "etag" in keys:
        return AZURE()
    if {"Name", "Type"} <= keys:
        return QUERIED()
    if {"name", "type", "content"} <= keys:
        return CLOUDFLARE_PART()
    return OTHER_JSON() if items else EMPTY_JSON()


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
