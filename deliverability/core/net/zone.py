"""Answers from RFC 1035 master files instead of live DNS."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field

from deliverability.core.cache import cached
from deliverability.core.codes import Code, Detail
from deliverability.core.errors import AT_LINE, FILE_TOO_LARGE, InputError, file_error
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found, Signed
from deliverability.core.net.names import (
    Alias,
    ZoneRecords,
    canonical,
    chase,
    dns_name_text,
    impossible,
    labels_of,
    value_text,
)

if TYPE_CHECKING:
    import dns.name
    import dns.rdata

MAX_FILE = 64 * 1024 * 1024  # octets of one master file
MAX_RECORDS = 1_000_000  # of one master file, after $GENERATE
_DEFAULT_TTL = 3600  # of records in a file that states none
_SUFFIXES = (".zone", ".db", ".txt")
_IN_FOLDER = (".zone", ".db")

_ORIGIN = re.compile(r"^\$ORIGIN[ \t]+(\S+)", re.IGNORECASE)
_SOA = re.compile(r"^(\S*)[ \t]+(?:(?:\d\w*|IN)[ \t]+){0,2}SOA[ \t(]", re.IGNORECASE)
_OWNER = re.compile(r"^([^\s;$]\S*)")
_LONE_OCTET = re.compile("[\udc80-\udcff]")


ZONE_ABOVE = Code("zone-above", ("name",))
ZONE_OUTSIDE = Code("zone-outside", ("name",))
ZONE_UNCLEAR = Code("zone-unclear", ("name",))
ZONE_DELEGATED = Code("zone-delegated", ("name",))
DNAME_LONG = Code("dname-long", ("name",))
ZONE_TWICE = Code("zone-twice", ("zone", "one", "other"))
NO_ZONE_FILE = Code("no-zone-file", ("folder",))
NO_ORIGIN = Code("no-origin", ("file",))
OUTSIDE_FILE = Code("zone-outside-file", ("file", "name", "zones"))


class ZoneError(InputError):
    """A master file cannot be used."""


# name -> type -> records. Names without records of their own but with names below them have an empty mapping.
_Nodes = dict[str, dict[str, ZoneRecords]]


class _File(Struct):
    """One master file: its text, where it is anchored, and its records once they were needed."""

    label: str
    text: str
    fallback: str | None
    apexes: tuple[str, ...] = ()
    keep: Path | None = None
    nodes: _Nodes | None = None
    error: Detail | None = None
    server: str = field(default="")


class ZoneResolver:
    """A resolver over master files.

    A file is one zone, or several where it holds several SOA records. The apex is the owner of the SOA; without a SOA
    it is the first ``$ORIGIN``, else the file name without ``.zone``, ``.db`` or ``.txt``. Neither SOA nor NS is
    needed. The files are searched for their apexes at once and parsed on first use; :meth:`check` parses early.

    A name outside every zone, below a delegation, or behind a CNAME that leaves the zones is Failed(offline): nobody
    looked there. Wildcards follow RFC 4592, empty non-terminals exist.
    """

    def __init__(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Index master files.

        Args:
            files: pairs of file name (for the apex, the evidence and errors) and content.

        Raises:
            ZoneError: no apex can be told, or a zone occurs twice.

        """
        self._zones: dict[str, _File] = {}
        for label, data in files:
            zone_file = _index(label, data)
            for apex in zone_file.apexes:
                other = self._zones.setdefault(apex, zone_file)
                if other is not zone_file:
                    raise ZoneError(ZONE_TWICE(zone=apex, one=other.label, other=label))

    @classmethod
    def load(cls, paths: Sequence[str | Path], *, keep: bool = False) -> ZoneResolver:
        """Read master files, and folders with ``*.zone`` and ``*.db`` files in them (not their subfolders).

        `keep`: what is parsed is kept in the user's cache folder, for files that are read again and again.

        Raises:
            ZoneError: a path cannot be read, a folder holds no such file, a file is over MAX_FILE.

        """
        resolver = cls((str(path), _read(path)) for given in paths for path in _expand(Path(given)))
        for zone_file in resolver._zones.values() if keep else ():
            zone_file.keep = Path(zone_file.label)
        return resolver

    @property
    def origins(self) -> tuple[str, ...]:
        """The names at the top of the given zones, sorted."""
        return tuple(sorted(self._zones))

    def check(self, domains: Iterable[str]) -> None:
        """Parse the zones that hold these domains now, so that a mistake in them is told before the audit.

        A mistake in a file that only a look-up reaches later makes that answer Failed(offline) with the same text.

        Raises:
            ZoneError: with ``file:line``.

        """
        for domain in domains:
            apex = self._apex(canonical(domain))
            if apex is not None:
                zone_file = self._zones[apex]
                self._load(zone_file)
                if zone_file.error is not None:
                    raise ZoneError(zone_file.error)

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the zones."""
        if labels_of(name) is None:
            return impossible(name, rdtype)
        return chase(canonical(name), rdtype.upper(), self._look_up)

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """The records of the zones with their signatures, and what proves that there are no others.

        As a resolver would answer that does not validate. Where an answer leads through several zones, each gives its
        part; what lies outside them all is Failed(offline).
        """
        if labels_of(name) is None:
            return Failed(name, rdtype, Reason.NOT_FOUND)
        asked, rdtype = canonical(name), rdtype.upper()
        answer = chase(asked, rdtype, self._look_up)
        if isinstance(answer, Failed):
            return answer
        # Loads dnspython, which most runs over zone files need only once to parse them.
        from deliverability.core.net.zonesigned import message

        def zone_of(owner: str) -> tuple[str, _Nodes]:
            above = _ancestors(owner)[1] if rdtype == "DS" and owner != "." else owner
            apex = self._apex(above) or above
            return apex, self._load(self._zones[apex])

        octets = message((asked, *answer.chain), rdtype, answer, zone_of)
        if octets is None:
            return Failed(asked, rdtype, Reason.OFFLINE, ZONE_UNCLEAR(name=asked))
        return Signed(asked, rdtype, octets, server=answer.server)

    async def close(self) -> None:
        """Nothing to release."""

    def _apex(self, name: str) -> str | None:
        """The longest apex at or above the name."""
        return next((above for above in _ancestors(name) if above in self._zones), None)

    def _load(self, zone_file: _File) -> _Nodes:
        if zone_file.nodes is None:
            try:
                zone_file.nodes = _records(zone_file)
            except ZoneError as error:
                zone_file.nodes, zone_file.error = {}, error.detail
            zone_file.text = ""  # the records are kept, the source no longer
        return zone_file.nodes

    def _look_up(self, name: str, rdtype: str) -> Answer | Alias:
        apex = self._apex(name)
        if rdtype == "DS" and apex == name and name != ".":
            # The parent zone answers for DS (RFC 4035 section 3.1.4.1); the child's silence says nothing.
            apex = self._apex(_ancestors(name)[1])
            if apex is None:
                return Failed(name, rdtype, Reason.OFFLINE, ZONE_ABOVE(name=name))
        if apex is None:
            return Failed(name, rdtype, Reason.OFFLINE, ZONE_OUTSIDE(name=name))
        zone_file = self._zones[apex]
        nodes = self._load(zone_file)
        server = zone_file.server
        if zone_file.error is not None:
            return Failed(name, rdtype, Reason.OFFLINE, zone_file.error, server=server)

        # From the apex down: the first delegation or DNAME on the way decides; else the closest encloser is known.
        encloser = apex
        for above in reversed(_ancestors(name)[: _depth(name) - _depth(apex) + 1]):
            if above not in nodes:
                break
            encloser = above
            node = nodes[above]
            if above != apex and "NS" in node and not (rdtype == "DS" and above == name):
                return Failed(name, rdtype, Reason.OFFLINE, ZONE_DELEGATED(name=above), server=server)
            if above != name and "DNAME" in node:
                return _redirected(name, rdtype, above, node["DNAME"], server)

        found = nodes[name] if encloser == name else nodes.get(f"*.{encloser}" if encloser != "." else "*")
        negative_ttl = _negative_ttl(nodes.get(apex, {}))
        if found is None:
            return Absent(name, rdtype, nxdomain=True, ttl=negative_ttl, server=server)
        if "CNAME" in found and rdtype != "CNAME":
            return Alias(found["CNAME"].values[0], found["CNAME"].ttl)
        if rdtype not in found:
            return Absent(name, rdtype, nxdomain=False, ttl=negative_ttl, server=server)
        records = found[rdtype]
        return Found(name, rdtype, records.values, records.ttl, string_octets=records.string_octets, server=server)


def _redirected(name: str, rdtype: str, owner: str, dname: ZoneRecords, server: str) -> Alias | Failed:
    """The CNAME that a DNAME at `owner` makes of a name below it (RFC 6672 section 2.2)."""
    prefix = name[: -len(owner)].removesuffix(".")
    target = dname.values[0]
    new = prefix if target == "." else f"{prefix}.{target}"
    if labels_of(new) is None:
        return Failed(name, rdtype, Reason.SERVFAIL, DNAME_LONG(name=owner), server=server)
    return Alias(new, dname.ttl)


def _negative_ttl(apex: dict[str, ZoneRecords]) -> int:
    """How long "there is none" may be kept: the lesser of the SOA's TTL and its MINIMUM (RFC 2308 section 5)."""
    soa = apex.get("SOA")
    return min(soa.ttl, int(soa.values[0].rsplit(" ", 1)[1])) if soa else 0


def _ancestors(name: str) -> list[str]:
    """The name, then every name above it, the root last."""
    if name == ".":
        return ["."]
    parts = name.split(".")
    return [*(".".join(parts[start:]) for start in range(len(parts))), "."]


def _depth(name: str) -> int:
    return 0 if name == "." else name.count(".") + 1


def _expand(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        files = sorted(child for child in path.iterdir() if child.suffix in _IN_FOLDER and child.is_file())
    except OSError as error:
        raise ZoneError(file_error(path, error)) from None
    if not files:
        raise ZoneError(NO_ZONE_FILE(folder=str(path)))
    return files


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise ZoneError(file_error(path, error)) from None
    if len(data) > MAX_FILE:
        raise ZoneError(FILE_TOO_LARGE(file=str(path), n=MAX_FILE // 1_000_000))
    return data


def _index(label: str, data: bytes) -> _File:
    """Find the apexes of a file by a look at the starts of its lines, without parsing it."""
    # Octets outside UTF-8 become decimal escapes, which the parser turns back into these very octets.
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").replace("\r\n", "\n")
    text = _LONE_OCTET.sub(lambda match: f"\\{ord(match[0]) - 0xDC00:03d}", text)
    name = Path(label).name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    fallback = canonical(name) if labels_of(name) else None

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
        raise ZoneError(NO_ORIGIN(file=label))
    return _File(label, text, fallback, tuple(apexes), server=Path(label).name)


def _absolute(name: str, origin: str | None) -> str | None:
    if name == "@":
        return origin
    if name.endswith("."):
        return canonical(name)
    return None if origin is None else canonical(name if origin == "." else f"{name}.{origin}")


class _Collector:
    """Takes the records from dnspython's zone file reader.

    It stands in for a dns.transaction.Transaction: the real one knows one zone only, refuses a SOA elsewhere, and the
    reader silently drops what lies outside it. This one takes every name, so that strays can be told.
    """

    def __init__(self, root: dns.name.Name) -> None:
        self.manager = self
        self.root = root
        self.found: dict[tuple[dns.name.Name, int], tuple[int, dict[dns.rdata.Rdata, None]]] = {}
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
        records[rdata] = None
        if rdata.rdtype == CNAME and len(records) > 1:
            raise ValueError(f"{dns_name_text(owner)} has more than one CNAME")
        self.found[owner, rdata.rdtype] = (min(first_ttl, ttl), records)


def _records(zone_file: _File) -> _Nodes:
    """The records of a file, kept where that is wanted. Raises ZoneError."""
    if zone_file.keep is None:
        return _parse(zone_file)
    return cached("zone", [zone_file.keep], lambda: _parse(zone_file))


def _parse(zone_file: _File) -> _Nodes:
    """Parse a file with dnspython into plain records.

    Raises:
        ZoneError: with ``file:line`` and what is wrong there.

    """
    import dns.name
    import dns.rdataclass
    import dns.rdatatype
    import dns.tokenizer
    import dns.zonefile

    source = io.StringIO(zone_file.text)
    tokenizer = dns.tokenizer.Tokenizer(cast(Any, source), zone_file.label, dns.name.IDNA_2008_UTS_46)
    collector = _Collector(dns.name.root)
    reader = dns.zonefile.Reader(
        tokenizer,
        dns.rdataclass.IN,
        cast(Any, collector),
        allow_directives=("$ORIGIN", "$TTL", "$GENERATE"),
    )
    start = dns.name.from_text(zone_file.fallback or zone_file.apexes[0], dns.name.root)
    reader.current_origin = reader.last_name = start
    reader.last_ttl, reader.last_ttl_known = _DEFAULT_TTL, True
    try:
        reader.read()
    except Exception as error:  # whatever a hostile file triggers inside the parser is a bad file
        file, counted = tokenizer.where()
        detail = " ".join(str(error).removeprefix(f"{file}:{counted}: ").split()) or type(error).__name__
        # dnspython counts a line as soon as it has read its end; people count it when they see the mistake on it.
        line = zone_file.text.count("\n", 0, max(source.tell() - 1, 0)) + 1
        raise ZoneError(AT_LINE(file=file, line=line, detail=detail)) from None

    nodes: _Nodes = {apex: {} for apex in zone_file.apexes}
    for (owner, kind), (ttl, records) in collector.found.items():
        name = dns_name_text(owner)
        above = _ancestors(name)
        apex = next((candidate for candidate in above if candidate in zone_file.apexes), None)
        if apex is None:
            raise ZoneError(OUTSIDE_FILE(file=zone_file.label, name=name, zones=zone_file.apexes))
        for between in above[: _depth(name) - _depth(apex) + 1]:
            nodes.setdefault(between, {})
        texts = [value_text(rdata) for rdata in records]
        rdtype = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind))
        octets = tuple(lengths for _, lengths in texts) if rdtype == "TXT" else ()
        nodes[name][rdtype] = ZoneRecords(tuple(value for value, _ in texts), ttl, octets)
    return nodes
