"""Which records change, and the mail of which domains that can touch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.names import is_within
from deliverability.core.net.base import Failed, Found, Resolver
from deliverability.core.net.zones.base import UnknownRecord, ZoneInput, answer_text, record_sets
from deliverability.core.protocols.psl import is_public_suffix, registrable_domain
from deliverability.differences.sides import Sides, all_records

Key = tuple[str, str]
"""Owner and type."""

# Labels below a domain at which protocols have their records about its mail.
_OF_PROTOCOLS = frozenset({"_dmarc", "_domainkey", "_mta-sts", "_tls", "_bimi"})
_POLICY_HOST = "mta-sts"
_TERM = re.compile(r"(?i)[+?~-]?(?:(include|a|mx|exists|ptr)(?::([^\s/%]+))?(?:/\S*)?|(redirect)=([^\s/%]+))")
_OF_MAIL = frozenset({"TXT", "SPF", "MX", "A", "AAAA", "CNAME", "DNAME", "NS", "DS", "TLSA", "PTR"})
_DEPTH = 12


class Change(Struct, frozen=True):
    """A record set that is not what it was: the values that differ, as a master file has them.

    Attributes:
        op: ``add`` where there was none of them, ``remove`` where there is none left, else ``change``.
        owner, type: of the record set.
        before, after: its values that are on one side only.
        place: where the new ones stand, else where the old ones stood.

    """

    op: Literal["add", "remove", "change"]
    owner: str
    type: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    place: str = ""


class Touched(Struct, frozen=True):
    """A domain whose mail a change may touch.

    Attributes:
        name: the domain.
        changes: that may touch it.
        unknown: what the change leaves open about it.

    """

    name: str
    changes: tuple[Change, ...]
    unknown: tuple[UnknownRecord, ...] = ()


async def changes_of(sides: Sides, before: Resolver, after: Resolver) -> tuple[Change, ...]:
    """The record sets that differ, in the order of their names. What cannot be told is none of them."""
    old, new = _values(sides.old), _values(sides.new)
    origins = [{name for each in side for name in each.origins} for side in (sides.old, sides.new)]
    asked: dict[Key, None] = {}
    found: dict[Key, tuple[Sequence[str], Sequence[str]]] = {}
    for key in {**old, **new}:
        if key[1] == "SOA":
            continue
        zones = [_origin(key[0], known) for known in origins]
        if zones[0] and zones[0] == zones[1]:
            if key[1] == "NS" and key[0] == zones[0] and not (key in old and key in new):
                continue  # a provider's own, which not every format lists
            found[key] = old.get(key, ()), new.get(key, ())
        elif zones[1]:
            asked[key] = None  # a zone that there was none of on the old side: it may be published all the same
    parts = (*sides.before.parts, *sides.after.parts)
    lost = {(each.owner, each.type) for part in parts for each in part.unknown}
    was, will = _values_before(parts), _values(parts)
    # What a plan leaves as it is needs no question.
    told = {key for part in parts if part.two_sided for key in record_sets(part.after)} if sides.plan else set()
    still = {key for key in told if was.get(key) == will[key]}
    asked.update(dict.fromkeys(key for key in (*was, *will) if key not in still))
    for key in asked:
        if key in lost or key[1] == "SOA":
            continue
        sets = [await _asked(resolver, key) for resolver in (before, after)]
        if any(each is None for each in sets):  # nobody can say what else is there
            sets = [was.get(key) or old.get(key, ()), will.get(key) or new.get(key, ())]
        found[key] = sets[0] or (), sets[1] or ()
    made = []
    for (owner, rdtype), (one, other) in sorted(found.items(), key=lambda each: (_reversed(each[0][0]), each[0][1])):
        gone, come = tuple(sorted(set(one) - set(other))), tuple(sorted(set(other) - set(one)))
        if gone or come:
            op: Literal["add", "remove", "change"] = "change" if gone and come else "remove" if gone else "add"
            made.append(Change(op, owner, rdtype, gone, come))
    places = _places(sides, {(each.owner, each.type) for each in made})
    return tuple(replace(each, place=_place(each, places)) for each in made)


def _reversed(name: str) -> list[str]:
    return name.split(".")[::-1]


def _values(inputs: Iterable[ZoneInput]) -> dict[Key, tuple[str, ...]]:
    return {key: each.values for side in inputs for key, each in record_sets(side.after).items()}


def _values_before(parts: Iterable[ZoneInput]) -> dict[Key, tuple[str, ...]]:
    return {key: each.values for part in parts for key, each in record_sets(part.before or ()).items()}


async def _asked(resolver: Resolver, key: Key) -> tuple[str, ...] | None:
    """The values there; None: nobody could say."""
    answer = await resolver.query(*key)
    if isinstance(answer, Failed):
        return None
    return answer.values if isinstance(answer, Found) and not answer.chain else ()


def _places(sides: Sides, keys: set[Key]) -> dict[tuple[str, str, str], str]:
    """Where each value of these record sets stands, on the new side where it is there."""
    records = (*all_records((*sides.old, *sides.before.parts)), *all_records((*sides.new, *sides.after.parts)))
    return {
        (each.owner, each.type, answer_text(each)[0]): each.place for each in records if (each.owner, each.type) in keys
    }


def _place(change: Change, places: Mapping[tuple[str, str, str], str]) -> str:
    values = (*change.after, *change.before)
    found = (places.get((change.owner, change.type, value), "") for value in values)
    return next(filter(None, found), "")


def _origin(name: str, origins: Iterable[str]) -> str:
    return max((each for each in origins if is_within(name, each)), key=len, default="")


# --- which domains ----------------------------------------------------------------------------------------------------


def mail_domain(owner: str) -> str:
    """The domain whose mail a name is about: the name itself, or what it stands below."""
    labels = owner.split(".")
    last = max((at for at, label in enumerate(labels) if label in _OF_PROTOCOLS), default=-1)
    return ".".join(labels[1 if labels[0] == _POLICY_HOST else last + 1 :]) or owner


async def touched(sides: Sides, changes: Sequence[Change], after: Resolver) -> tuple[Touched, ...]:
    """The domains that the changes may touch, in order, each with those that may."""
    unknown = tuple(each for part in (*sides.new, *sides.after.parts) for each in part.unknown)
    keys = {(each.owner, each.type) for each in changes} | {(each.owner, each.type) for each in unknown}
    inputs = [*sides.old, *sides.new, *sides.before.parts, *sides.after.parts, *_mentioning(sides, keys)]
    world = _World(inputs)
    if sides.before.parts or sides.after.parts:
        await world.ask(after, {_zone(owner, world.origins) for owner, _ in keys})
    found = []
    for domain in sorted(world.domains(keys), key=_reversed):
        names = world.leads_to(domain)
        here = tuple(each for each in changes if _touches(domain, (each.owner, each.type), names, world))
        open_ = tuple(each for each in unknown if _touches(domain, (each.owner, each.type), names, world))
        if here or open_:
            found.append(Touched(domain, here, open_))
    return tuple(found)


def _zone(owner: str, origins: Iterable[str]) -> str:
    return _origin(owner, origins) or registrable_domain(mail_domain(owner))


def _mentioning(sides: Sides, keys: Iterable[Key]) -> Iterator[ZoneInput]:
    """Of the files that did not change, those that name one whose records do; below a plan those of its zone too."""
    owners = {owner.removeprefix("*.") for owner, _ in keys}
    names = {each.encode() for each in owners}
    if sides.plan:
        names |= {zone.encode() for each in owners if (zone := registrable_domain(mail_domain(each)))}
    for file in sides.same if names else ():
        data = b"\n".join((file.label.encode("utf-8", "replace"), *(each.data for each in file.sources))).lower()
        if any(name in data for name in names):
            yield from file.read()


class _World:
    """All records that are known of both sides, and where they lead."""

    def __init__(self, inputs: Iterable[ZoneInput]) -> None:
        self.origins: set[str] = set()
        self._values: dict[Key, set[str]] = {}
        self._below: dict[str, list[str]] = {}
        for each in inputs:
            self.origins.update(each.origins)
            for (owner, rdtype), found in _all_sets(each):
                self._values.setdefault((owner, rdtype), set()).update(found)
        for owner in {owner for owner, _ in self._values}:
            self._below.setdefault(mail_domain(owner), []).append(owner)

    async def ask(self, resolver: Resolver, domains: Iterable[str]) -> None:
        """Take SPF and MX of these domains as they are, where the inputs hold a part of a zone only."""
        for domain in sorted(each for each in domains if each and not is_public_suffix(each)):
            self.origins.add(domain)
            for rdtype in ("TXT", "MX"):
                answer = await resolver.query(domain, rdtype)
                if isinstance(answer, Found):
                    self._values.setdefault((domain, rdtype), set()).update(answer.values)

    def domains(self, keys: Iterable[Key]) -> set[str]:
        """Domains that may have mail: the zones, whoever has SPF or MX, whoever a record is about."""
        found = set(self.origins)
        for (owner, rdtype), values in self._values.items():
            if rdtype == "MX" or (rdtype == "TXT" and any(map(_is_spf, values)) and not _is_below(owner)):
                found.add(owner)
        for owner in [*self._below, *(mail_domain(owner) for owner, _ in keys)]:
            if owner in self._below and any(each != owner for each in self._below[owner]):
                found.add(owner)
        found |= {mail_domain(owner) for owner, _ in keys if mail_domain(owner) != owner}
        return {each for each in found if not each.startswith(("*", "_")) and "._" not in each and "." in each}

    def leads_to(self, domain: str) -> set[str]:
        """The names that its SPF, MX and aliases lead to, within what is known."""
        waiting = [(each, 0) for each in (domain, *self._below.get(domain, ()))]
        found: set[str] = set()
        while waiting:
            name, depth = waiting.pop()
            if depth > _DEPTH:
                continue
            for other in self._next(name, spf=name == domain or name in found):
                if other not in found:
                    found.add(other)
                    waiting.append((other, depth + 1))
        return found

    def _next(self, name: str, *, spf: bool) -> Iterator[str]:
        yield from self._values.get((name, "CNAME"), ())
        for value in self._values.get((name, "MX"), ()):
            host = value.partition(" ")[2]
            yield from (host, f"_25._tcp.{host}")
        for value in self._values.get((name, "TXT"), ()) if spf else ():
            if _is_spf(value):
                for term in value.split()[1:]:
                    match = _TERM.fullmatch(term)
                    if match is not None:
                        yield (match[2] or match[4] or name).lower().rstrip(".")

    def has_own_policy(self, domain: str) -> bool:
        return (f"_dmarc.{domain}", "TXT") in self._values or (f"_dmarc.{domain}", "CNAME") in self._values


def _all_sets(found: ZoneInput) -> Iterator[tuple[Key, tuple[str, ...]]]:
    for side in (found.after, found.before or ()):
        for key, each in record_sets(side).items():
            yield key, each.values


def _is_spf(text: str) -> bool:
    return text.lower().lstrip().startswith("v=spf1")


def _is_below(owner: str) -> bool:
    return any(label.startswith("_") for label in owner.split("."))


def _touches(domain: str, key: Key, names: Mapping[str, None] | set[str], world: _World) -> bool:
    """Whether records of that name and type may matter to the mail of a domain."""
    owner, rdtype = key
    if rdtype and rdtype not in _OF_MAIL:
        return False
    if owner in names:
        return True
    if mail_domain(owner) == domain:
        return owner != domain or rdtype in _OF_MAIL or not rdtype
    if owner.startswith("*."):
        top = owner.removeprefix("*.")
        return is_within(domain, top) or mail_domain(top) == domain or any(is_within(each, top) for each in names)
    # A policy above is that of a domain that has none of its own.
    above = mail_domain(owner)
    return owner == f"_dmarc.{above}" and is_within(domain, above) and not world.has_own_policy(domain)
