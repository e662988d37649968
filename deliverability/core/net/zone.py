"""Answers from zone files instead of live DNS: master files, and zones as other tools write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.cache import cached
from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found, Signed
from deliverability.core.net.names import Alias, ZoneRecords, canonical, chase, impossible, labels_of
from deliverability.core.net.zones import MASTER
from deliverability.core.net.zones.base import ANY, Reading, UnknownRecord, ZoneError, ZoneInput, record_sets
from deliverability.core.net.zones.master import OUTSIDE_FILE, Nodes, ancestors, depth, parse, zone_file
from deliverability.core.net.zones.read import Given, given

ZONE_ABOVE = Code("zone-above", ("name",))
ZONE_OUTSIDE = Code("zone-outside", ("name",))
ZONE_MISSING = Code("zone-missing")  # the name that was asked for
ZONE_UNCLEAR = Code("zone-unclear", ("name",))
ZONE_DELEGATED = Code("zone-delegated", ("name",))
DNAME_LONG = Code("dname-long", ("name",))
ZONE_TWICE = Code("zone-twice", ("zone", "one", "other"))
PARTIAL = Code("zone-partial", ("file",))

_Lost = Mapping[tuple[str, str], Detail]
"""What cannot be told, by name and type."""


class _Read(Struct, frozen=True):
    """The records of a file, and what cannot be told of it."""

    nodes: Nodes
    lost: _Lost = {}
    remarks: tuple[Detail, ...] = ()


class _File(Struct):
    """One file: where it is anchored, and its records once they were needed."""

    label: str
    apexes: tuple[str, ...]
    read: Callable[[], _Read]
    server: str
    found: _Read | None = None
    error: Detail | None = None


class ZoneResolver:
    """A resolver over zone files.

    A master file is one zone, or several where it holds several SOA records. The apex is the owner of the SOA; without
    a SOA it is the first ``$ORIGIN``, else the file name without ``.zone``, ``.db`` or ``.txt``. Neither SOA nor NS is
    needed. The files are searched for their apexes at once and parsed on first use; :meth:`check` parses early.

    A name outside every zone, below a delegation, or behind a CNAME that leaves the zones is Failed(offline): nobody
    looked there. Wildcards follow RFC 4592, empty non-terminals exist.
    """

    def __init__(self, files: Iterable[tuple[str, bytes] | Given | ZoneInput], *, keep: bool = False) -> None:
        """Index zones.

        Args:
            files: master files as pairs of file name (for the apex, the evidence and errors) and content; what was
                recognised by `zones.read`; or what was read.
            keep: what is parsed of master files is kept in the user's cache folder, for those read again and again.

        Raises:
            ZoneError: no apex can be told, a zone occurs twice, or a file holds but a part of a zone.

        """
        self._zones: dict[str, _File] = {}
        for each in files:
            for file in _files(each, keep):
                for apex in file.apexes:
                    other = self._zones.setdefault(apex, file)
                    if other is not file:
                        raise ZoneError(ZONE_TWICE(zone=apex, one=other.label, other=file.label))

    @classmethod
    def load(cls, paths: Sequence[str | Path], *, keep: bool = False, reading: Reading | None = None) -> ZoneResolver:
        """Read zone files, and folders of them (not their subfolders); `keep` as above.

        Raises:
            ZoneError: a path cannot be read or holds no zone.

        """
        return cls(given(paths, reading or Reading()), keep=keep)

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
                file = self._zones[apex]
                self._load(file)
                if file.error is not None:
                    raise ZoneError(file.error)

    def check_files(self, labels: Iterable[str]) -> None:
        """Parse these files now. Raises ZoneError."""
        wanted = set(labels)
        self.check(apex for apex, file in self._zones.items() if file.label in wanted)

    @property
    def remarks(self) -> tuple[Detail, ...]:
        """What has to be told of the files that were read so far."""
        return tuple(remark for file in self._zones.values() if file.found for remark in file.found.remarks)

    def covers(self, name: str) -> bool:
        """Whether a name lies in one of the zones."""
        return self._apex(name) is not None

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer from the zones."""
        if labels_of(name) is None:
            return impossible(name, rdtype)
        return self._chased(canonical(name), rdtype.upper())

    def _chased(self, name: str, rdtype: str) -> Answer:
        answer = chase(name, rdtype, self.look_up)
        if isinstance(answer, Failed) and answer.detail == ZONE_OUTSIDE(name=name):
            return replace(answer, detail=ZONE_MISSING())
        return answer

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """The records of the zones with their signatures, and what proves that there are no others.

        As a resolver would answer that does not validate. Where an answer leads through several zones, each gives its
        part; what lies outside them all is Failed(offline).
        """
        if labels_of(name) is None:
            return Failed(name, rdtype, Reason.NOT_FOUND)
        asked, rdtype = canonical(name), rdtype.upper()
        answer = self._chased(asked, rdtype)
        if isinstance(answer, Failed):
            return answer
        # Loads dnspython, which most runs over zone files need only once to parse them.
        from deliverability.core.net.zonesigned import message

        def zone_of(owner: str) -> tuple[str, Nodes]:
            above = ancestors(owner)[1] if rdtype == "DS" and owner != "." else owner
            apex = self._apex(above) or above
            return apex, self._load(self._zones[apex]).nodes

        octets = message((asked, *answer.chain), rdtype, answer, zone_of)
        if octets is None:
            return Failed(asked, rdtype, Reason.OFFLINE, ZONE_UNCLEAR(name=asked))
        return Signed(asked, rdtype, octets, server=answer.server)

    async def close(self) -> None:
        """Nothing to release."""

    def _apex(self, name: str) -> str | None:
        """The longest apex at or above the name."""
        return next((above for above in ancestors(name) if above in self._zones), None)

    def _load(self, file: _File) -> _Read:
        if file.found is None:
            try:
                file.found = file.read()
            except ZoneError as error:
                file.found, file.error = _Read({}), error.detail
        return file.found

    def look_up(self, name: str, rdtype: str) -> Answer | Alias:
        """The answer for one name, without following a CNAME."""
        apex = self._apex(name)
        if rdtype == "DS" and apex == name and name != ".":
            # The parent zone answers for DS (RFC 4035 section 3.1.4.1); the child's silence says nothing.
            apex = self._apex(ancestors(name)[1])
            if apex is None:
                return Failed(name, rdtype, Reason.OFFLINE, ZONE_ABOVE(name=name))
        if apex is None:
            return Failed(name, rdtype, Reason.OFFLINE, ZONE_OUTSIDE(name=name))
        file = self._zones[apex]
        read = self._load(file)
        nodes, server = read.nodes, file.server
        if file.error is not None:
            return Failed(name, rdtype, Reason.OFFLINE, file.error, server=server)

        # From the apex down: the first delegation or DNAME on the way decides; else the closest encloser is known.
        encloser = apex
        for above in reversed(ancestors(name)[: depth(name) - depth(apex) + 1]):
            if above not in nodes:
                break
            encloser = above
            node = nodes[above]
            if above != apex and "NS" in node and not (rdtype == "DS" and above == name):
                return Failed(name, rdtype, Reason.OFFLINE, ZONE_DELEGATED(name=above), server=server)
            if above != name and "DNAME" in node:
                return _redirected(name, rdtype, above, node["DNAME"], server)

        source = name if encloser == name else f"*.{encloser}" if encloser != "." else "*"
        found = nodes.get(source)
        if read.lost and (why := lost_at(read.lost, source, rdtype, found or {})) is not None:
            return Failed(name, rdtype, Reason.UNTOLD, why, server=server)
        negative_ttl = _negative_ttl(nodes.get(apex, {}))
        if found is None:
            return Absent(name, rdtype, nxdomain=True, ttl=negative_ttl, server=server, place=f"{file.label}:1")
        if "CNAME" in found and rdtype != "CNAME":
            return Alias(found["CNAME"].values[0], found["CNAME"].ttl)
        if rdtype not in found:
            return Absent(name, rdtype, nxdomain=False, ttl=negative_ttl, server=server, place=f"{file.label}:1")
        records = found[rdtype]
        octets, place = records.string_octets, records.placed(file.label)
        return Found(name, rdtype, records.values, records.ttl, string_octets=octets, server=server, place=place)


def _redirected(name: str, rdtype: str, owner: str, dname: ZoneRecords, server: str) -> Alias | Failed:
    """The CNAME that a DNAME at `owner` makes of a name below it (RFC 6672 section 2.2)."""
    prefix = name[: -len(owner)].removesuffix(".")
    target = dname.values[0]
    new = prefix if target == "." else f"{prefix}.{target}"
    if labels_of(new) is None:
        return Failed(name, rdtype, Reason.ALIAS, DNAME_LONG(name=owner), server=server)
    return Alias(new, dname.ttl)


def _negative_ttl(apex: dict[str, ZoneRecords]) -> int:
    """How long "there is none" may be kept: the lesser of the SOA's TTL and its MINIMUM (RFC 2308 section 5)."""
    soa = apex.get("SOA")
    return min(soa.ttl, int(soa.values[0].rsplit(" ", 1)[1])) if soa else 0


def lost_at(lost: _Lost, name: str, rdtype: str, found: Mapping[str, object]) -> Detail | None:
    """Why records at a name cannot be told; None: they can. An alias that cannot be told hides every type."""
    why = lost.get((name, rdtype)) or lost.get((name, "CNAME"))
    return why or (None if rdtype in found or "CNAME" in found else lost.get((name, ANY)))


def unknown_by_place(unknown: Iterable[UnknownRecord]) -> _Lost:
    """Why records cannot be told, by name and type."""
    found: dict[tuple[str, str], Detail] = {}
    for each in unknown:
        found.setdefault((each.owner, each.type), each.why)
    return found


def _files(each: tuple[str, bytes] | Given | ZoneInput, keep: bool) -> list[_File]:
    if isinstance(each, ZoneInput):
        return [_of_input(each)]
    if isinstance(each, tuple):
        return [_master(each[0], each[1])]
    if each.format == MASTER:
        return [_master(each.label, each.sources[0].data, each.origin, keep=keep)]
    if each.origin:
        return [_File(each.label, (each.origin,), partial(_read_given, each), Path(each.label).name)]
    return [_of_input(found) for found in each.read()]


def _master(label: str, data: bytes, origin: str = "", *, keep: bool = False) -> _File:
    file = zone_file(label, data, origin)

    def read() -> _Read:
        nodes = cached("zone", [Path(label)], lambda: parse(file)) if keep else parse(file)
        return _Read(nodes)

    return _File(label, file.apexes, read, Path(label).name)


def _read_given(each: Given) -> _Read:
    return _read_input(each.read()[0])


def _of_input(found: ZoneInput) -> _File:
    if not found.complete:
        raise ZoneError(PARTIAL(file=found.label))
    return _File(found.label, found.origins, partial(_read_input, found), Path(found.label).name)


def _read_input(found: ZoneInput) -> _Read:
    """Raises ZoneError where a record lies outside the zones."""
    nodes: Nodes = {apex: {} for apex in found.origins}
    sets = record_sets(found.after)
    for owner, rdtype in (*sets, *((each.owner, ANY) for each in found.unknown)):
        above = ancestors(owner)
        apex = next((candidate for candidate in above if candidate in found.origins), None)
        if apex is None:
            raise ZoneError(OUTSIDE_FILE(file=found.label, name=owner, zones=found.origins))
        for between in above[: depth(owner) - depth(apex) + 1]:
            nodes.setdefault(between, {})
        if rdtype != ANY:
            nodes[owner][rdtype] = sets[owner, rdtype]
    return _Read(nodes, unknown_by_place(found.unknown), found.remarks)
