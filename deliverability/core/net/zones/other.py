"""What a file is that is neither a zone nor a plan: each kind is told, with what to run in its place.

Some kinds would be read as a zone, or show themselves before that; the others are looked for once a reader refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.yaml import shipped

LOOKED = 65_536
"""Octets in which a file shows what it is."""

# What no row of the table tells, or the readers tell as well.
EMPTY = Code("zone-empty")
BINARY = Code("zone-binary")
BINARY_PLAN = Code("zone-binary-plan", ("file",))
COMPRESSED = Code("zone-compressed", ("file", "command"))
ARCHIVE = Code("zone-archive", ("file", "command"))
RAW_ZONE = Code("zone-raw", ("file",))
DOCUMENT = Code("zone-document")
DATABASE = Code("zone-database")
SHEET = Code("zone-csv")
SETTINGS = Code("zone-settings")
NO_ZONE_YAML = Code("zone-yaml-other")
HCL = Code("zone-hcl")
PLAN_STREAM = Code("zone-plan-stream")
STATE = Code("zone-terraform-state", ("file",))
OTHER_TERRAFORM = Code("zone-terraform-other")
PROGRAM = Code("zone-dnscontrol-program")
CREDENTIALS = Code("zone-dnscontrol-credentials")
AZURE = Code("zone-azure-list")
EMPTY_JSON = Code("zone-json-empty")
OTHER_JSON = Code("zone-json-other")


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; see there."""

    code: str
    args: tuple[str, ...] = ()
    pattern: str = ""
    keys: frozenset[str] = frozenset()

    def __call__(self, label: str) -> Detail:
        """What is said of a file."""
        return Code(self.code, self.args)(**dict.fromkeys(self.args, label))


class Kinds(Struct, frozen=True, forbid_unknown_fields=True):
    """The kinds of files that are told by what they hold."""

    first: tuple[Kind, ...]
    then: tuple[Kind, ...]
    objects: tuple[Kind, ...]
    lists: tuple[Kind, ...]


@cache
def kinds() -> Kinds:
    """The shipped table."""
    return shipped("other-files.yaml", Kinds)


YAML_CONFIG = re.compile(rb"(?m)^(?:providers|manager)[ \t]*:")
"""A line of a configuration of octoDNS."""
_STATE_TEXT = re.compile(rb"(?m)\A\s*# [\w.\[\]\"-]+:(?: \(\w+\))?\r?\n(?:resource|data) \"")
_SETTINGS = re.compile(rb"\A(?:[;#][^\n]*\n|\s)*\[{1,2}[A-Za-z][\w .:\"/-]*\]{1,2}[ \t]*(?:\r?\n|\Z)")
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
    return _octets(label, data, head) or _matching(kinds().first, label, head)


def once_refused(label: str, head: bytes) -> Detail | None:
    """What a file is of which no reader could make a zone; None: nobody knows."""
    return _matching(kinds().then, label, head)


def _matching(several: Iterable[Kind], label: str, head: bytes) -> Detail | None:
    return next((each(label) for each in several if re.search(each.pattern.encode(), head)), None)


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

_SOURCE_KEYS = frozenset({"resource", "module", "data", "provider", "terraform", "variable", "output", "locals", "//"})


def of_object(label: str, parts: Mapping[str, Raw]) -> Detail:
    """What an object in JSON is, by its keys."""
    keys = parts.keys()
    if not keys:
        return EMPTY_JSON()
    if keys & {"resource", "module"} and keys <= _SOURCE_KEYS:
        return HCL()
    if (found := _with_keys(kinds().objects, label, keys)) is not None:
        return found
    values = [value for raw in parts.values() if isinstance(value := _value(raw), dict)]
    if len(values) == len(parts):
        if all("TYPE" in each for each in values):
            return CREDENTIALS()
        if all({"sensitive", "type", "value"} <= each.keys() for each in values):
            return OTHER_TERRAFORM()
    return OTHER_JSON()


def _with_keys(several: Iterable[Kind], label: str, keys: Set[str]) -> Detail | None:
    return next((each(label) for each in several if each.keys <= keys), None)


def _value(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def of_list(items: Sequence[Any]) -> Detail:
    """What a list in JSON is; none is a zone."""
    first = next((each for each in items if isinstance(each, dict)), {})
    if "Microsoft.Network" in str(first.get("type", "")):
        return AZURE()
    return _with_keys(kinds().lists, "", first.keys()) or (OTHER_JSON() if items else EMPTY_JSON())
