"""RFC 1035 master files, parsed by dnspython into plain records."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import AT_LINE, stop_if_interrupt
from deliverability.core.net.names import ZoneRecords, canonical, dns_name_text, labels_of, value_text
from deliverability.core.net.zones import MASTER, other
from deliverability.core.net.zones.base import Record, ZoneError, ZoneInput, text_rdata

if TYPE_CHECKING:
    import dns.name
    import dns.rdata

MAX_RECORDS = 1_000_000  # of one master file, after $GENERATE
DEFAULT_TTL = 3600  # of records in a file that states none
_SUFFIXES = (".zone", ".db", ".txt")

_ORIGIN = re.compile(r"^\$ORIGIN[ \t]+(\S+)", re.IGNORECASE)
_SOA = re.compile(r"^(\S*)[ \t]+(?:(?:\d\w*|IN)[ \t]+){0,2}SOA[ \t(]", re.IGNORECASE)
_OWNER = re.compile(r"^([^\s;$]\S*)")
_LIKE_ZONE = re.compile(
    r"(?im)^\$(?:ORIGIN|TTL|INCLUDE|GENERATE)\s"
    r"|^\S*[ \t]+(?:\d\w*[ \t]+)?(?:IN[ \t]+)?(?:SOA|NS|MX|A|AAAA|TXT|CNAME)[ \t]+\S"
)
_LONE_OCTET = re.compile("[\udc80-\udcff]")

NO_ORIGIN = Code("no-origin", ("file",))
NO_RECORDS = Code("zone-no-records", ("file",))
NO_LINE = Code("zone-no-line", ("why",))
WRONG_LINE = Code("zone-wrong-line", ("why", "zone", "file"))
INCLUDE = Code("zone-include", ("zone", "file"))
OUTSIDE_FILE = Code("zone-outside-file", ("file", "name", "zones"))

Nodes = dict[str, dict[str, ZoneRecords]]
"""name -> type -> records. Names without records of their own but with names below them have an empty mapping."""


class MasterFile(Struct, frozen=True):
    """One master file: its text, and where it is anchored."""

    label: str
    text: str
    fallback: str | None
    apexes: tuple[str, ...]


def zone_file(label: str, data: bytes, zone: str = "") -> MasterFile:
    """Find the apexes of a file by a look at the starts of its lines, without parsing it.

    Raises ZoneError where none can be told.
    """
    # Octets outside UTF-8 become decimal escapes, which the parser turns back into these very octets.
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").replace("\r\n", "\n")
    text = _LONE_OCTET.sub(lambda match: f"\\{ord(match[0]) - 0xDC00:03d}", text)
    name = Path(label).name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    fallback = canonical(name) if labels_of(name) else None
    if zone and (fallback is None or "." not in fallback):  # no name of a zone
        fallback = zone

    origin = fallback
    owner: str | None = fallback
    soa_owners: list[str] = []
    first_origin: str | None = None
    for line in text.split("\n"):
        if match := _ORIGIN.match(line):
            origin = _absolute(match[1], origin)
            if first_origin is None and origin not in (None, "."):
                first_origin = origin
            continue
        if match := _SOA.match(line):
            owner = _absolute(match[1], origin) if match[1] else owner
            if owner is not None and owner not in soa_owners:
                soa_owners.append(owner)
        elif match := _OWNER.match(line):
            owner = _absolute(match[1], origin)
    apexes = soa_owners or [apex for apex in (first_origin or fallback,) if apex is not None]
    if not apexes:
        raise ZoneError(_other(label, text) or NO_ORIGIN(file=label))
    return MasterFile(label, text, fallback, tuple(apexes))


def _absolute(name: str, origin: str | None) -> str | None:
    if name == "@":
        return origin
    if name.endswith("."):
        return canonical(name)
    return None if origin is None else canonical(name if origin == "." else f"{name}.{origin}")


def ancestors(name: str) -> list[str]:
    """The name, then every name above it, the root last."""
    if name == ".":
        return ["."]
    parts = name.split(".")
    return [*(".".join(parts[start:]) for start in range(len(parts))), "."]


def depth(name: str) -> int:
    """How many labels a name has."""
    return 0 if name == "." else name.count(".") + 1


class _Collector:
    """Takes the records from dnspython's zone file reader.

    It stands in for a dns.transaction.Transaction: the real one knows one zone only, refuses a SOA elsewhere, and the
    reader silently drops what lies outside it. This one takes every name, so that strays can be told.
    """

    def __init__(self, root: dns.name.Name) -> None:
        self.manager = self
        self.root = root
        self.found: dict[tuple[dns.name.Name, int], tuple[int, dict[dns.rdata.Rdata, None]]] = {}
        self.lines: dict[tuple[dns.name.Name, int], list[int]] = {}
        self.line = 0
        self._kinds: dict[dns.name.Name, set[bool]] = {}
        self._count = 0

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        """Names stay absolute."""
        return self.root, False, self.root

    def check_put_rdataset(self, check: object) -> None:
        """The reader's check for CNAME and other data needs nodes; :meth:`add` has its own."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """``$ORIGIN`` moves the reader, not this."""

    def add(self, owner: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        """Keep one record. Raises ValueError for what no server would load."""
        from dns.rdatatype import CNAME, NSEC, RRSIG

        self._count += 1
        if self._count > MAX_RECORDS:
            raise ValueError(f"more than {MAX_RECORDS} records")
        if rdata.rdtype not in (RRSIG, NSEC):
            kinds = self._kinds.setdefault(owner, set())
            kinds.add(rdata.rdtype == CNAME)
            if len(kinds) > 1:
                raise ValueError(f"{dns_name_text(owner)} has a CNAME and other records")
        first_ttl, records = self.found.setdefault((owner, rdata.rdtype), (ttl, {}))
        if rdata not in records:
            records[rdata] = None
            self.lines.setdefault((owner, rdata.rdtype), []).append(self.line)
        if rdata.rdtype == CNAME and len(records) > 1:
            raise ValueError(f"{dns_name_text(owner)} has more than one CNAME")
        self.found[owner, rdata.rdtype] = (min(first_ttl, ttl), records)


def parse(file: MasterFile) -> Nodes:
    """Parse a file with dnspython into plain records.

    Raises:
        ZoneError: with ``file:line`` and what is wrong there.

    """
    import dns.name
    import dns.rdataclass
    import dns.rdatatype
    import dns.tokenizer
    import dns.zonefile

    source = io.StringIO(file.text)
    tokenizer = dns.tokenizer.Tokenizer(cast(Any, source), file.label, dns.name.IDNA_2008_UTS_46)
    collector = _Collector(dns.name.root)
    reader = _reader(collector)(
        tokenizer,
        dns.rdataclass.IN,
        cast(Any, collector),
        allow_directives=("$ORIGIN", "$TTL", "$GENERATE"),
    )
    start = dns.name.from_text(file.fallback or file.apexes[0], dns.name.root)
    reader.current_origin = reader.last_name = start
    reader.last_ttl, reader.last_ttl_known = DEFAULT_TTL, True
    try:
        reader.read()
    except Exception as error:  # whatever a hostile file triggers inside the parser is a bad file
        stop_if_interrupt(error)
        label, counted = tokenizer.where()
        why = " ".join(str(error).removeprefix(f"{label}:{counted}: ").split()) or type(error).__name__
        # dnspython counts a line as soon as it has read its end; people count it when they see the mistake on it.
        line = file.text.count("\n", 0, max(source.tell() - 1, 0)) + 1
        begun = bool(collector.found or _LIKE_ZONE.search(file.text))
        raise ZoneError(_refused(file, line, why, begun=begun)) from None
    if not collector.found:
        raise ZoneError(_other(file.label, file.text) or NO_RECORDS(file=file.label))

    nodes: Nodes = {apex: {} for apex in file.apexes}
    for (owner, kind), (ttl, records) in collector.found.items():
        name = dns_name_text(owner)
        above = ancestors(name)
        apex = next((candidate for candidate in above if candidate in file.apexes), None)
        if apex is None:
            raise ZoneError(OUTSIDE_FILE(file=file.label, name=name, zones=file.apexes))
        for between in above[: depth(name) - depth(apex) + 1]:
            nodes.setdefault(between, {})
        texts = [value_text(rdata) for rdata in records]
        rdtype = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind))
        octets = tuple(lengths for _, lengths in texts) if rdtype == "TXT" else ()
        lines = tuple(collector.lines[owner, kind])
        nodes[name][rdtype] = ZoneRecords(tuple(value for value, _ in texts), ttl, octets, lines)
    return nodes


def _other(label: str, text: str) -> Detail | None:
    """What a file is that is no zone, where that is known."""
    found = other.once_refused(label, text[: other.LOOKED].lstrip().encode("utf-8", "surrogateescape"))
    return None if found is None else ABOUT(what=label, detail=found)


def _refused(file: MasterFile, line: int, why: str, *, begun: bool) -> Detail:
    """What is wrong with a line of a zone (`begun`), or with what is none."""
    if not begun and (found := _other(file.label, file.text)) is not None:
        return found
    if "$INCLUDE" in why:
        return AT_LINE(file=file.label, line=line, detail=INCLUDE(zone=file.apexes[0], file=file.label))
    detail = WRONG_LINE(why=why, zone=file.apexes[0], file=file.label) if begun else NO_LINE(why=why)
    return AT_LINE(file=file.label, line=line, detail=detail)


def _reader(collector: _Collector) -> Any:
    """Dnspython's reader, which says where each record begins."""
    import dns.zonefile

    class Reader(dns.zonefile.Reader):
        def _rr_line(self) -> None:
            collector.line = self.tok.where()[1]
            super()._rr_line()

        def _generate_line(self) -> None:
            collector.line = self.tok.where()[1]
            super()._generate_line()  # type: ignore[no-untyped-call]

    return Reader


def master_input(file: MasterFile, nodes: Nodes) -> ZoneInput:
    """The normal form of a master file."""
    records = tuple(_records(nodes, file.label))
    return ZoneInput(MASTER, tuple(sorted(file.apexes)), complete=True, after=records, label=file.label)


def _records(nodes: Mapping[str, Mapping[str, ZoneRecords]], label: str) -> Iterator[Record]:
    for owner, sets in nodes.items():
        for rdtype, found in sets.items():
            for number, value in enumerate(found.values):
                octets = found.string_octets[number] if rdtype == "TXT" else ()
                place = f"{label}:{found.lines[number]}"
                yield Record(owner, rdtype, rdata_of(rdtype, value, octets), found.ttl, place)


def rdata_of(rdtype: str, value: str, octets: tuple[int, ...] = ()) -> str:
    """A value of an answer as a master file has it."""
    if rdtype in ("TXT", "SPF"):
        whole = value.encode("utf-8", "surrogateescape")
        if sum(octets) != len(whole):
            return text_rdata(value)
        parts, start = [], 0
        for length in octets:
            parts.append(text_rdata(whole[start : start + length].decode("utf-8", "surrogateescape")))
            start += length
        return " ".join(parts)
    if rdtype in ("CNAME", "NS", "PTR", "DNAME"):
        return f"{value}." if value != "." else value
    if rdtype == "MX":
        preference, _, host = value.partition(" ")
        return f"{preference} {host}." if host != "." else value
    if rdtype == "SOA":
        mname, rname, numbers = value.split(" ", 2)
        return f"{mname.rstrip('.')}. {rname.rstrip('.')}. {numbers}"
    return value
