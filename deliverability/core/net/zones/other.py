"""What a file is that is neither a zone nor a plan: each kind is told, with what to run in its place.

Some kinds would be read as a zone, or show themselves before that; the others are looked for once a reader refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from deliverability.core.codes import Code, Detail

LOOKED = 65_536
"""Octets in which a file shows what it is."""

# Files of octets.
EMPTY = Code("zone-empty")
BINARY = Code("zone-binary")
BINARY_PLAN = Code("zone-binary-plan", ("file",))
COMPRESSED = Code("zone-compressed", ("file", "command"))
ARCHIVE = Code("zone-archive", ("file", "command"))
RAW_ZONE = Code("zone-raw", ("file",))
DOCUMENT = Code("zone-document")
DATABASE = Code("zone-database")
# What a command said in place of a zone.
ERROR = Code("zone-error")
NO_TRANSFER = Code("zone-no-transfer")
HTTP = Code("zone-http")
WEB_PAGE = Code("zone-web-page")
LOOKED_UP = Code("zone-looked-up")
WHOIS = Code("zone-whois")
# Files about DNS that hold no zone.
TINYDNS = Code("zone-tinydns")
HOSTS = Code("zone-hosts")
NAMED_CONF = Code("zone-named-conf")
SERVER_CONF = Code("zone-server-conf")
KNOT = Code("zone-knot-config")
PEM = Code("zone-pem")
WINDOWS = Code("zone-windows")
SHEET = Code("zone-csv")
# Files of a repository.
CONFLICT = Code("zone-conflict")
LARGE = Code("zone-git-lfs")
PATCH = Code("zone-patch")
SOURCE = Code("zone-source")
SETTINGS = Code("zone-settings")
NO_ZONE_YAML = Code("zone-yaml-other")
KUBERNETES = Code("zone-kubernetes")
MAIL = Code("zone-mail", ("file",))
OWN_REPORT = Code("zone-own-report")
# Tools whose plans or zones are read in another form.
HCL = Code("zone-hcl")
PLAN_TEXT = Code("zone-plan-text")
PLAN_STREAM = Code("zone-plan-stream")
STATE = Code("zone-terraform-state", ("file",))
STATE_FILE = Code("zone-terraform-state-file")
OTHER_TERRAFORM = Code("zone-terraform-other")
ENCRYPTED = Code("zone-encrypted", ("file",))
PROGRAM = Code("zone-dnscontrol-program")
PREVIEW_TEXT = Code("zone-dnscontrol-preview")
REPORT = Code("zone-dnscontrol-report")
CREDENTIALS = Code("zone-dnscontrol-credentials")
OCTODNS_TEXT = Code("zone-octodns-plan-text")
OCTODNS_CONFIG = Code("zone-octodns-config")
PULUMI = Code("zone-pulumi")
CLOUD_FORMATION = Code("zone-cloudformation")
# Answers of providers.
ROUTE53_OTHER = Code("zone-route53-other")
ROUTE53_FORM = Code("zone-route53-form")
QUERIED = Code("zone-route53-queried")
DIGITALOCEAN = Code("zone-digitalocean-api")
POWERDNS = Code("zone-powerdns-api")
GANDI = Code("zone-gandi-api")
GOOGLE = Code("zone-google-list")
AZURE = Code("zone-azure-list")
CLOUDFLARE_PART = Code("zone-cloudflare-part")
API_LIST = Code("zone-api-list")
EMPTY_JSON = Code("zone-json-empty")
OTHER_JSON = Code("zone-json-other")

YAML_CONFIG = re.compile(rb"(?m)^(?:providers|manager)[ \t]*:")
"""A line of a configuration of octoDNS."""
_STATE_TEXT = re.compile(rb"(?m)\A\s*# [\w.\[\]\"-]+:(?: \(\w+\))?\r?\n(?:resource|data) \"")
_SETTINGS = re.compile(rb"\A(?:[;#][^\n]*\n|\s)*\[{1,2}[A-Za-z][\w .:\"/-]*\]{1,2}[ \t]*(?:\r?\n|\Z)")
_FIRST: tuple[tuple[re.Pattern[bytes], Code], ...] = (
    (re.compile(rb"(?i)\A\s*<(?:!doctype|html|\?xml)"), WEB_PAGE),
    (re.compile(rb"(?m)\A(?:diff --git |--- a/)"), PATCH),
    (
        re.compile(
            rb"(?:Terraform|OpenTofu) (?:will perform|used the selected providers|has compared)"
            rb"|(?m:^ {0,2}# \S+ will be )"
        ),
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
    (YAML_CONFIG, OCTODNS_CONFIG),
    (re.compile(rb"(?m)^AWSTemplateFormatVersion[ \t]*:"), CLOUD_FORMATION),
    (re.compile(rb"(?m)^kind[ \t]*:[ \t]*dns#"), GOOGLE),
    (re.compile(rb"(?m)\A(?:---[ \t]*\r?\n)?-[ \t]+hosts[ \t]*:"), NO_ZONE_YAML),
    (re.compile(rb"\A[a-z_]\w*[ \t]*=[ \t]*[\"\[{]"), HCL),
    (re.compile(rb"\A%PDF-"), DOCUMENT),
    (re.compile(rb"\A;+ <<>> DiG (?![^\n]*(?i:axfr))|\AServer:[ \t]"), LOOKED_UP),
    (
        re.compile(rb"(?m)^; Transfer failed\.|\A;; (?:communications error|connection timed out|no servers)"),
        NO_TRANSFER,
    ),
    (re.compile(rb"\A;; ->>HEADER<<-"), LOOKED_UP),
    (re.compile(rb"(?m)^runtime[ \t]*:[ \t]*\w"), PULUMI),
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
"""What is told before it is read: some of it would be a zone without records, or one of other records."""
_THEN: tuple[tuple[re.Pattern[bytes], Code], ...] = (
    (
        re.compile(
            rb"\A[^\n]{0,200}\b(?:[Aa]n error occurred|Unable to locate credentials|command not found"
            rb"|Traceback \(most recent call last\)|[Pp]ermission denied|No such file or directory|executing dnsconfig"
            rb"|[A-Za-z]+(?:Error|Exception): )|\A\W*(?:[Ee]rror|ERROR|[Ff]atal|[45]\d\d): \S|\Acurl: \("
        ),
        ERROR,
    ),
    (re.compile(rb"\AHTTP/[\d.]+ \d{3}\b"), HTTP),
    (
        re.compile(
            rb"\A\"?v=(?:spf1|DMARC1|DKIM1)\b|\A-?\s*type: MESSAGE\b"
            rb"|\A\S+ (?:descriptive text|has (?:IPv6 )?address|mail is handled by|is an alias for) "
        ),
        LOOKED_UP,
    ),
    (
        re.compile(
            rb"(?i)\AFrom \S+@|\A(?:Return-Path|Received|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version"
            rb"|DKIM-Signature|Authentication-Results|ARC-Seal|X-[\w-]+):[ \t]"
        ),
        MAIL,
    ),
    (re.compile(rb"\ARESOURCERECORDSETS\t|\A-{10,}\s*\| +ListResourceRecordSets|\AResourceRecordSets:"), ROUTE53_FORM),
    (re.compile(rb"\A[^\s;$\"]+\t(?!(?i:IN|CH|HS)\t)[^\s\d\"]\S*\t(?:\d+\t(?:IN\t)?[A-Z]+|[A-Z]+\t\d+)\t"), SHEET),
    (re.compile(rb"\AHostName +RecordType\b"), WINDOWS),
    (
        re.compile(
            rb"\A## \S+\.\r?\n### |\A<h2>\S+\.</h2>|\A\*{10,}\s*No changes were planned|\A[^\n]* Manager __init__:"
        ),
        OCTODNS_TEXT,
    ),
    (re.compile(rb"(?m)^(?:INSERT INTO|CREATE TABLE) "), DATABASE),
    (re.compile(rb"\APrivate-key-format: |(?m:^key \"[^\"\n]*\" \{|^\S+ [\w.-]+:[\w.-]+:/\S+\s*$)"), PEM),
    (
        re.compile(
            rb"(?m)^(?:server|remote-control|forward-zone|stub-zone):\s*$|^(?:address|txt-record|mx-host|server)=\S"
            rb"|\A(?:#[^\n]*\n|\s)*[\w.*:/-]+(?:[ ,][\w.*:/-]+)* \{\s*$"
        ),
        SERVER_CONF,
    ),
    (
        re.compile(
            rb"\A(?:#!|//|/\*)|(?m:^(?:var|let|const) \w+ =|^(?:function|def) \w+\(|^import [\w.]+;?\s*$"
            rb"|^(?:import|from) [^\n]* (?:from|import) )"
        ),
        SOURCE,
    ),
    (re.compile(rb"\A(?:export )?[A-Z][A-Z0-9_]*="), SETTINGS),
    (re.compile(rb"\A(?:null|true|false|-?\d+(?:\.\d+)?|\"[^\"\n]*\")\s*\Z"), OTHER_JSON),
)
"""What is looked for once the reader of zone files has refused."""

# How files of octets begin, and the command that unpacks them.
_PACKED: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gunzip -c"),
    (b"BZh", "bunzip2 -c"),
    (b"\xfd7zXZ\x00", "unxz -c"),
    (b"\x28\xb5\x2f\xfd", "unzstd"),
)
_PICTURES = (b"%PDF-", b"{\\rtf", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\xd0\xcf\x11\xe0")
_TAR = (257, b"ustar")  # where a tar archive says what it is


def before_reading(label: str, data: bytes, head: bytes) -> Detail | None:
    """What a file is that is neither JSON nor a zone; None: it may be one."""
    return _octets(label, data, head) or next((code() for pattern, code in _FIRST if pattern.search(head)), None)


def once_refused(label: str, head: bytes) -> Detail | None:
    """What a file is of which no reader could make a zone; None: nobody knows."""
    found = next((code for pattern, code in _THEN if pattern.search(head)), None)
    return None if found is None else found(file=label) if found.args else found()


def _octets(label: str, data: bytes, head: bytes) -> Detail | None:
    if not head:
        return EMPTY()
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head or b"opendocument.spreadsheet" in head:
            return SHEET()
        return BINARY_PLAN(file=label) if b"tfplan" in head else ARCHIVE(file=label, command="unzip")
    if head.startswith(b"7z\xbc\xaf"):
        return ARCHIVE(file=label, command="7z x")
    if data[_TAR[0] :].startswith(_TAR[1]) or _inside(head)[_TAR[0] :].startswith(_TAR[1]):
        return ARCHIVE(file=label, command="tar xf")
    for beginning, command in _PACKED:
        if head.startswith(beginning):
            return COMPRESSED(file=label, command=command)
    if head.startswith(_PICTURES):
        return DOCUMENT()
    if head.startswith(b"SQLite format 3\x00"):
        return DATABASE()
    if data.startswith((b"\x00\x00\x00\x02", b"\x00\x00\x00\x03")):
        return RAW_ZONE(file=label)
    if b"\x00" in head:
        return BINARY()
    if _STATE_TEXT.match(head):
        return STATE(file=label)
    return None


def _inside(head: bytes) -> bytes:
    """The first octets of what gzip packed."""
    if not head.startswith(b"\x1f\x8b"):
        return b""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 512)
    except zlib.error:
        return b""


def before_json(head: bytes) -> Detail | None:
    """What only begins as JSON does."""
    if re.match(rb'\{\s*"@level"', head):
        return PLAN_STREAM()
    if head.startswith(_PICTURES):
        return DOCUMENT()
    return SETTINGS() if _SETTINGS.match(head) else None


# --- JSON -------------------------------------------------------------------------------------------------------------

_OBJECTS: tuple[tuple[frozenset[str], Code], ...] = tuple(
    (frozenset(keys.split()), code)
    for keys, code in (
        ("terraform_version lineage", STATE_FILE),
        ("terraform_version serial", STATE_FILE),
        ("serial lineage", STATE_FILE),
        ("encrypted_data", ENCRYPTED),
        ("HostedZones", ROUTE53_OTHER),
        ("HostedZone", ROUTE53_OTHER),
        ("ChangeInfo", ROUTE53_OTHER),
        ("RecordName RecordType", LOOKED_UP),
        ("Name Type ResourceRecords", QUERIED),
        ("AWSTemplateFormatVersion", CLOUD_FORMATION),
        ("Resources", CLOUD_FORMATION),
        ("steps changeSummary", PULUMI),
        ("steps", PULUMI),
        ("domain_records", DIGITALOCEAN),
        ("rrsets kind name", POWERDNS),
        ("rrsets name", POWERDNS),
        ("rrsets kind", GOOGLE),
        ("rrsets", API_LIST),
        ("Status Question", LOOKED_UP),
        ("records", API_LIST),
        ("DomainRecords", API_LIST),
        ("CommonServiceItem", API_LIST),
        ("data pagination", API_LIST),
        ("data pages", API_LIST),
        ("apiVersion kind", KUBERNETES),
        ("$schema contentVersion", AZURE),
        ("schema_version subject", OWN_REPORT),
        ("Error", ERROR),
        ("error", ERROR),
        ("errors", ERROR),
        ("message documentation_url", ERROR),
        ("code message", ERROR),
    )
)
_SOURCE_KEYS = frozenset({"resource", "module", "data", "provider", "terraform", "variable", "output", "locals", "//"})


def of_object(label: str, parts: Mapping[str, Raw]) -> Detail:
    """What an object in JSON is, by its keys."""
    keys = parts.keys()
    if not keys:
        return EMPTY_JSON()
    if keys & {"resource", "module"} and keys <= _SOURCE_KEYS:
        return HCL()
    for wanted, code in _OBJECTS:
        if wanted <= keys:
            return code(file=label) if code.args else code()
    values = [value for raw in parts.values() if isinstance(value := _value(raw), dict)]
    if len(values) == len(parts):
        if all("TYPE" in each for each in values):
            return CREDENTIALS()
        if all({"sensitive", "type", "value"} <= each.keys() for each in values):
            return OTHER_TERRAFORM()
    return OTHER_JSON()


def _value(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def of_list(items: Sequence[Any]) -> Detail:
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
    if {"kind", "serial"} <= keys:
        return POWERDNS()
    if "type" in keys and keys & {"name", "subname", "host"}:
        return API_LIST()
    return OTHER_JSON() if items else EMPTY_JSON()
