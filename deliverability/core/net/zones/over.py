"""Zones and plans opened for a run and laid over a resolver: what they hold they answer, the rest is asked there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import NO_SUCH_FILE, InputError
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import (
    Absent,
    Answer,
    Failed,
    Found,
    Resolver,
    Signed,
    SignedQuestion,
    SigningResolver,
)
from deliverability.core.net.names import (
    CNAME_LOOP,
    CNAME_MANY,
    MAX_CHAIN,
    Alias,
    ZoneRecords,
    canonical,
    impossible,
    labels_of,
)
from deliverability.core.net.overlay import NO_NAME, kind_of_text, of_one_protocol
from deliverability.core.net.static import NOT_ASKED
from deliverability.core.net.zone import ZONE_ABOVE, ZONE_DELEGATED, ZoneResolver, lost_at, unknown_by_place
from deliverability.core.net.zones import FORMATS, MASTER
from deliverability.core.net.zones.base import Reading, Source, ZoneError, ZoneInput, record_sets
from deliverability.core.net.zones.master import ancestors
from deliverability.core.net.zones.other import BINARY
from deliverability.core.net.zones.read import Given, given, look

_SERVER = "plan"
_TTL = 3600


class Local(Protocol):
    """What answers for some names."""

    def covers(self, name: str) -> bool:
        """Whether it may say anything of a name."""
        ...

    async def at(self, name: str, rdtype: str, base: Resolver) -> Answer | Alias:
        """The answer for one name that it covers, without following a CNAME."""
        ...


class LaidOver:
    """Answers from `local` for the names that it covers, also where a CNAME leads to or from them; else from `base`."""

    def __init__(self, base: Resolver, local: Local) -> None:
        self._base, self._local = base, local

    async def query(self, name: str, rdtype: str) -> Answer:
        """The answer, its chain through both."""
        if labels_of(name) is None:
            return impossible(name, rdtype)
        asked, rdtype = canonical(name), rdtype.upper()
        chain: list[str] = []
        ttls: list[int] = []
        current = asked
        while True:
            step = await self._step(current, rdtype)
            if isinstance(step, Failed):
                return replace(step, name=asked)
            links = (step.target,) if isinstance(step, Alias) else step.chain
            ours = next((at for at, each in enumerate(links) if self._local.covers(each)), None)
            ttls.append(step.ttl)
            if not isinstance(step, Alias) and ours is None:
                whole = (*chain, *links)
                return replace(step, name=asked, chain=whole, ttl=min(ttls))
            followed = links if ours is None else links[: ours + 1]
            if any(each == asked or each in chain for each in followed):
                return Failed(asked, rdtype, Reason.ALIAS, CNAME_LOOP(name=followed[-1]))
            chain += followed
            if len(chain) > MAX_CHAIN:
                return Failed(asked, rdtype, Reason.ALIAS, CNAME_MANY(n=MAX_CHAIN))
            current = chain[-1]

    async def _step(self, name: str, rdtype: str) -> Answer | Alias:
        if self._local.covers(name):
            return await self._local.at(name, rdtype, self._base)
        return await self._base.query(name, rdtype)

    async def signed(self, name: str, rdtype: str) -> Signed | Failed:
        """What the base has signed: what is planned nobody has signed yet."""
        if isinstance(self._base, SigningResolver):
            return await self._base.signed(name, rdtype)
        return SignedQuestion(canonical(name), rdtype.upper()).lost(Reason.OFFLINE, NOT_ASKED())

    async def close(self) -> None:
        """Close the base."""
        await self._base.close()


class WholeZones(Struct, frozen=True):
    """Complete zones; what they delegate to others is asked of the base."""

    zones: ZoneResolver

    def covers(self, name: str) -> bool:
        """Whether a name lies in one of them."""
        return self.zones.covers(name)

    async def at(self, name: str, rdtype: str, base: Resolver) -> Answer | Alias:
        """From the zone; a delegation, and what only the zone above knows, from the base."""
        found = self.zones.look_up(name, rdtype)
        if isinstance(found, Failed) and (ZONE_DELEGATED.matches(found.detail) or ZONE_ABOVE.matches(found.detail)):
            return await base.query(name, rdtype)
        return found


class _Change(Struct, frozen=True):
    """What becomes of the records of one name and type.

    Attributes:
        old, new: the values, None: none.
        whole: these are all that there are, else single ones of them.

    """

    old: ZoneRecords | None
    new: ZoneRecords | None
    whole: bool


class Changes:
    """The records of plans and other parts of zones, as they will be or as they were."""

    def __init__(self, inputs: Iterable[ZoneInput], side: Literal["before", "after"] = "after") -> None:
        self._changes: dict[tuple[str, str], _Change] = {}
        self._lost: dict[tuple[str, str], Detail] = {}
        for each in inputs:
            if side == "before" and not each.two_sided:
                continue  # what was there before, the base knows
            after, before = record_sets(each.after), record_sets(each.before or ())
            new, old = (after, before) if side == "after" else (before, after)
            for key in {**old, **new}:
                self._changes[key] = _Change(old.get(key), new.get(key), each.replaces == "set")
            if side == "after":
                self._lost.update(unknown_by_place(each.unknown))
        self._types: dict[str, list[str]] = {}
        for owner, rdtype in (*self._changes, *self._lost):
            self._types.setdefault(owner, []).append(rdtype)
        # Names above those that there are, which therefore exist as well.
        self._above = {
            above
            for (owner, _), change in self._changes.items()
            if change.new is not None
            for above in ancestors(owner)[:-1]
        }
        self._wild = {owner.removeprefix("*."): owner for owner in self._types if owner.startswith("*.")}

    def covers(self, name: str) -> bool:
        """Whether a name is one of theirs, or above or below one, so that its answer may be another."""
        if name in self._types or name in self._above:
            return True
        return bool(self._wild) and any(above in self._wild for above in ancestors(name)[1:])

    async def at(self, name: str, rdtype: str, base: Resolver) -> Answer | Alias:
        """The answer for one name."""
        if name in self._types:
            return await self._own(name, name, rdtype, base)
        answer = await base.query(name, rdtype)
        wild = next((self._wild[above] for above in ancestors(name)[1:] if above in self._wild), None)
        if wild is not None and name not in self._above and self._is_of_wildcard(answer, wild, rdtype):
            if not await self._is_closer(name, wild, rdtype, base):
                return await self._own(name, wild, rdtype, base)
            return answer
        if isinstance(answer, Absent) and answer.nxdomain and not answer.chain and name in self._above:
            return replace(answer, nxdomain=False)
        return answer

    async def _is_closer(self, name: str, wild: str, rdtype: str, base: Resolver) -> bool:
        """Whether a name between that one and the wildcard exists, which keeps it off (RFC 4592 section 3.3.1)."""
        for above in ancestors(name)[1:]:
            if above == wild.removeprefix("*."):
                break
            if above in self._types or above in self._above:
                return True
            answer = await base.query(above, rdtype)
            if not isinstance(answer, Failed) and not self._is_of_wildcard(answer, wild, rdtype):
                return True
        return False

    def _is_of_wildcard(self, answer: Answer, wild: str, rdtype: str) -> bool:
        """Whether a name has no records of its own: there is none, or there is what the wildcard had."""
        if isinstance(answer, Failed):
            return False
        alias = self._changes.get((wild, "CNAME"))
        if answer.chain:
            return alias is not None and alias.old is not None and answer.chain[0] in alias.old.values
        change = self._changes.get((wild, rdtype))
        if isinstance(answer, Found):
            return change is not None and change.old is not None and set(answer.values) <= set(change.old.values)
        # Of a wildcard that there was, the answer for other types is "nothing" as well.
        was = any((each := self._changes.get((wild, kind))) and each.old is not None for kind in self._types[wild])
        return answer.nxdomain or was

    async def _own(self, name: str, owner: str, rdtype: str, base: Resolver) -> Answer | Alias:
        """The answer for a name whose records, or the wildcard above it, are among those at `owner`."""
        known = {kind for kind in self._types[owner] if (change := self._changes.get((owner, kind))) and change.new}
        why = lost_at(self._lost, owner, rdtype, dict.fromkeys(known))
        if why is not None:
            return Failed(name, rdtype, Reason.UNTOLD, why, server=_SERVER)
        alias = self._changes.get((owner, "CNAME"))
        if alias is not None and alias.new is not None and rdtype != "CNAME":
            return Alias(alias.new.values[0], alias.new.ttl)
        change = self._changes.get((owner, rdtype))
        if change is not None and change.whole:
            return self._found(name, rdtype, change.new)
        was_alias = alias is not None and alias.old is not None
        if change is None:
            if was_alias and rdtype != "CNAME":
                return self._found(name, rdtype, None)
            answer = await base.query(name, rdtype)
            if known and isinstance(answer, Absent) and answer.nxdomain and not answer.chain:
                return replace(answer, nxdomain=False)
            if known and not isinstance(answer, Failed) and answer.chain:
                # A CNAME that the base still has: beside the records that are planned there can be none.
                return self._found(name, rdtype, None)
            return answer
        present = None if was_alias else await base.query(name, rdtype)
        return self._merged(name, rdtype, change, present)

    def _merged(self, name: str, rdtype: str, change: _Change, present: Answer | None) -> Answer:
        """Single values taken away from those that there are, and added to them."""
        new = change.new or ZoneRecords((), _TTL, ())
        if isinstance(present, Failed):
            # The others of its values nobody saw. Of texts that matters: which of them is the SPF record?
            others = rdtype == "TXT" and not of_one_protocol(name) and not any(map(kind_of_text, new.values))
            return present if not new.values or others else self._found(name, rdtype, new)
        gone = set(change.old.values) if change.old is not None else set()
        remaining: list[tuple[str, tuple[int, ...]]] = []
        if isinstance(present, Found) and not present.chain:
            octets = present.string_octets or ((),) * len(present.values)
            pairs = zip(present.values, octets, strict=False)
            remaining = [pair for pair in pairs if pair[0] not in gone and pair[0] not in new.values]
        values = (*(value for value, _ in remaining), *new.values)
        lengths = (*(each for _, each in remaining), *new.string_octets) if rdtype == "TXT" else ()
        return self._found(name, rdtype, ZoneRecords(values, new.ttl, lengths, place=new.place) if values else None)

    def _found(self, name: str, rdtype: str, records: ZoneRecords | None) -> Answer:
        if records is None:
            return Absent(name, rdtype, nxdomain=False, ttl=_TTL, server=_SERVER)
        octets = records.string_octets if rdtype == "TXT" else ()
        values, place = records.values, records.place
        return Found(name, rdtype, values, records.ttl, string_octets=octets, server=_SERVER, place=place)


def laid_over(base: Resolver, inputs: Sequence[ZoneInput], side: Literal["before", "after"] = "after") -> Resolver:
    """Zones and plans over a resolver: complete ones first, parts of zones over them. Raises ZoneError."""
    whole = [each for each in inputs if each.complete]
    parts = [each for each in inputs if not each.complete]
    if whole:
        base = LaidOver(base, WholeZones(ZoneResolver(whole)))
    return LaidOver(base, Changes(parts, side)) if parts else base


NO_FORMAT = Code("zone-format-unknown", ("name", "known"))
TEXT = "-"
"""What a text is called that is no file."""


class Zones(Struct, frozen=True):
    """What was given as zones.

    Attributes:
        whole: answers for the complete ones; None: there are none.
        parts: plans and other parts of zones.
        remarks: what has to be told of them.

    """

    whole: ZoneResolver | None
    parts: tuple[ZoneInput, ...]
    remarks: tuple[Detail, ...]

    def over(self, base: Resolver) -> Resolver:
        """The parts laid over a resolver."""
        return laid_over(base, self.parts)


def open_zones(paths: Sequence[Path | str], reading: Reading, *, keep: bool = False) -> Zones:
    """Zones and plans; a file that was named is read at once, so that a wrong one is told, one of a folder when needed.

    Raises ZoneError.
    """
    files: list[Given | ZoneInput] = []
    parts: list[ZoneInput] = []
    for path in map(Path, paths):
        for each in given([path], reading):
            if each.format == MASTER or each.origin:
                files.append(each)
                continue
            for found in each.read():
                (files if found.complete else parts).append(found)
    whole = ZoneResolver(files, keep=keep) if files else None
    if whole is not None:
        whole.check_files(str(path) for path in map(Path, paths) if path.is_file())
    remarks = [remark for each in parts for remark in each.remarks]
    return Zones(whole, tuple(parts), (*(whole.remarks if whole else ()), *remarks))


def read_zone(
    path_or_text: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the public name
    origin: str | None = None,
    tag: str | None = None,
) -> ZoneInput:
    """A zone or plan in the normal form: of a file, a folder of octoDNS, or a text with at least two lines or of JSON.

    Args:
        path_or_text: where it stands, or itself.
        format: one of FORMATS; None: as its content shows.
        origin: the zone that relative names belong to, where the file does not say.
        tag: which of several views of one zone: a tag of dnscontrol, a target of octoDNS.

    Raises:
        InputError: it cannot be used; the text says what to give instead.

    """
    reading = reading_of(format, () if origin is None else (origin,), tag)
    if isinstance(path_or_text, str) and ("\n" in path_or_text or path_or_text.lstrip()[:1] in ("{", "[")):
        label = reading.origins[0] if reading.origins else TEXT
        try:
            source = Source(label, path_or_text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise ZoneError(ABOUT(what=label, detail=BINARY())) from None
        return merged(found for found in look(source, reading).read())
    try:
        path = Path(path_or_text)
        there = path.exists()
    except (TypeError, ValueError, OSError):
        raise InputError(NO_SUCH_FILE(name=str(path_or_text)[:200])) from None
    if not there:
        raise InputError(NO_SUCH_FILE(name=str(path)))
    return merged(found for each in given([path], reading) for found in each.read())


def reading_of(name: str | None, origins: Sequence[str] = (), tag: str | None = None) -> Reading:
    """How files are to be read. Raises InputError."""
    if name and name not in FORMATS:
        raise InputError(NO_FORMAT(name=str(name), known=FORMATS))
    for origin in origins:
        if not isinstance(origin, str) or not labels_of(origin):
            raise InputError(NO_NAME(text=str(origin)))
    return Reading(name or "", tuple(map(canonical, origins)), tag or "")


def merged(inputs: Iterable[ZoneInput]) -> ZoneInput:
    """Several in one: parts of zones where one of them is a part, single values where one of them has such."""
    found = tuple(inputs)
    if len(found) == 1:
        return found[0]
    before = [each.before for each in found if each.before is not None]
    return ZoneInput(
        found[0].format,
        tuple(sorted({origin for each in found for origin in each.origins})),
        complete=all(each.complete for each in found),
        after=tuple(record for each in found for record in each.after),
        before=tuple(record for side in before for record in side) if before else None,
        replaces="value" if any(each.replaces == "value" for each in found) else "set",
        unknown=tuple(unknown for each in found for unknown in each.unknown),
        remarks=tuple(remark for each in found for remark in each.remarks),
        label=found[0].label,
    )
