"""The ledger: every way by which mail can leave in the name of a domain, and what becomes of the ways in a change.

A way is a term of SPF that lets addresses pass, or a published DKIM key; beside the ways stands what the domain
declares (policy, alignment, that it sends nothing) and whether it accepts mail. Two ledgers are compared as values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.facts.domain import Domain, DomainZone, Senders, UsedService
from deliverability.core.facts.spf import Spf, SpfStatus
from deliverability.core.model.topic import if_known
from deliverability.core.names import EVERYTHING, Ranges, is_example, union, unreachable
from deliverability.core.net.base import Absent, Failed, Found, Resolver
from deliverability.core.protocols.dkim.key import KeyRecord, choose_key
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.protocols.spf.passing import who_passes
from deliverability.core.protocols.spf.record import BadTerm, Mechanism
from deliverability.core.protocols.spf.tree import Entry, Tree, walk_tree

WayKind = Literal[
    "spf-lost",
    "spf-fewer",
    "spf-unknown",
    "spf-gained",
    "spf-anyone",
    "sends-nothing",
    "key-lost",
    "key-revoked",
    "key-damaged",
    "key-other",
    "key-testing",
    "key-strict",
    "key-unknown",
    "key-gained",
    "policy-stricter",
    "policy-weaker",
    "policy-unknown",
    "alignment-strict",
    "no-mail",
    "no-mx",
    "name-servers",
]
"""What becomes of a way, or of what the domain declares."""

_OPEN: frozenset[WayKind] = frozenset({"spf-unknown", "key-unknown", "policy-unknown"})
"""Known before and not any more."""
_NOT_WORSE: frozenset[WayKind] = frozenset({"spf-gained", "key-testing", "key-gained", "policy-weaker"})
_WIDE = 1 << 16
"""IPv4 addresses of one range from which on it is wider than a sender needs: to narrow it mends it."""
_STRICTNESS: Mapping[str | None, int] = {None: 0, "none": 0, "quarantine": 1, "reject": 2}
_WEAKER = {"reject": "quarantine", "quarantine": "none"}  # what t=y makes of a policy (RFC 9989 section 4.7)
_CHANGED_BY_MAIL = frozenset({SpfStatus.MACRO, SpfStatus.ADDRESS, SpfStatus.LIMIT})


class WayChange(Struct, frozen=True):
    """What becomes of one way, or of one thing that the domain declares.

    Attributes:
        kind: see WayKind.
        way: what it is, as it is accepted by name: ``include:sendgrid.net``, ``s1._domainkey.example.com``,
            ``p=reject``, ``adkim=s``, ``v=spf1``, ``mx``, ``ns``.
        service: id of the service that it belongs to; empty: none that is known.
        before, after: the values that differ, in the order of the records; of addresses their number.
        worse: mail that passes today can fail by it.
        accepted: the user said that it is meant.

    """

    kind: WayKind
    way: str
    service: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    worse: bool = False
    accepted: bool = False

    @property
    def unknown(self) -> bool:
        """It was known before and is not any more."""
        return self.kind in _OPEN


class SpfWay(Struct, frozen=True):
    """A term of the domain's own record that lets mail pass.

    Attributes:
        term: as written.
        ranges: the addresses that pass by it, but for those that mail cannot come from.
        by_mail: terms behind it that depend on the mail, so that more may pass.
        unread: why it leads to could not be read.

    """

    term: str
    ranges: Ranges
    by_mail: tuple[str, ...] = ()
    unread: bool = False


class Key(Struct, frozen=True):
    """What stands at the name of a key: the record, None where there is none; where DNS failed, `failed`."""

    name: str
    record: KeyRecord | None = None
    failed: bool = False
    alias: str | None = None

    @property
    def signs(self) -> bool:
        """Signatures of mail can be checked with it."""
        key = self.record
        if key is None or not key.usable:
            return False
        return not {"*", "email"}.isdisjoint(key.services) and (key.hashes is None or "sha256" in key.hashes)


class Ledger(Struct, frozen=True):
    """The ways of a domain and what it declares. None where something could not be told.

    Attributes:
        domain: whose it is.
        spf: the ways by SPF, in the order of the record; empty where there is no usable record.
        anyone: the record lets everybody pass.
        sends_nothing: the record says so.
        keys: by name.
        policies: what applies to the domain (p), to those below it (sp) and to names that do not exist (np).
        pct: the percentage of mail that receivers of RFC 7489 apply the policy to.
        alignment: of adkim and aspf.
        null_mx: the domain says that it accepts no mail.
        mx: whether it names hosts that do.
        name_servers: of its zone.
        services: those that the domain is set up for.

    """

    domain: str
    spf: tuple[SpfWay, ...] | None
    anyone: bool
    sends_nothing: bool
    keys: Mapping[str, Key]
    policies: Mapping[str, str | None] | None
    pct: int
    alignment: Mapping[str, str] | None
    null_mx: bool | None
    mx: bool | None
    name_servers: tuple[str, ...] | None
    services: tuple[UsedService, ...]

    @property
    def sends(self) -> bool:
        """Whether mail can leave in its name by any way, as far as is known."""
        return self.spf is None or bool(self.spf) or any(each.signs or each.failed for each in self.keys.values())

    @property
    def ranges(self) -> Ranges:
        """All addresses that pass."""
        return union(each.ranges for each in self.spf or ())


async def ledger_of(domain: str, facts: FactSet, keys: Iterable[str], resolver: Resolver) -> Ledger:
    """The ledger of a domain from its audit.

    Args:
        domain: as A-label.
        facts: of its audit.
        keys: names of keys to look at beside those that the audit found.
        resolver: that answered the audit; it is asked the same again, and for the keys.

    """
    names = dict.fromkeys((*keys, *(each.name for each in if_known(facts.of(Dkim).keys) or () if each.own)))
    tree = await walk_tree(domain, resolver)
    spf, servers, found = await asyncio.gather(
        _spf(domain, tree, resolver),
        _name_servers(facts, resolver),
        asyncio.gather(*(_key(name.lower(), resolver) for name in names)),
    )
    dmarc, about = facts.of(Dmarc), facts.of(Domain)
    hosts = if_known(about.mx)
    return Ledger(
        domain,
        spf,
        anyone=spf is not None and any(not EVERYTHING - each.ranges for each in spf),
        sends_nothing=if_known(facts.of(Spf).sends_nothing) is True,
        keys={each.name: each for each in found},
        policies=_policies(domain, dmarc),
        pct=100 if (pct := if_known(dmarc.pct)) is None else pct,
        alignment=_alignment(dmarc),
        null_mx=if_known(about.null_mx),
        mx=None if hosts is None else bool(set(hosts) - {"."}),
        name_servers=servers,
        services=if_known(facts.of(Senders).services) or (),
    )


async def _spf(domain: str, tree: Tree, resolver: Resolver) -> tuple[SpfWay, ...] | None:
    """The terms of the own record by which something passes; None where the record could not be asked for."""
    if isinstance(tree.root.answer, Failed):
        return None
    allowed = await who_passes(tree, resolver, example=is_example(domain))
    granted: dict[str, list[Ranges]] = {}
    for each in allowed.grants:
        granted.setdefault(each.via, []).append(each.ranges)
    nobodys = unreachable(example=True)
    ways = []
    for entry in tree.root.entries:
        term = entry.term
        if isinstance(term, BadTerm) or entry.status in (SpfStatus.DEAD, SpfStatus.IGNORED):
            continue
        if isinstance(term, Mechanism) and term.qualifier != "+":
            continue
        ranges = union(granted.pop(term.text, ()))
        ranges = ranges - nobodys if EVERYTHING - ranges else ranges
        below = tuple(_below(entry))
        by_mail = tuple(f"{each.target} {each.term.text}" for each in below if each.status in _CHANGED_BY_MAIL)
        unread = any(each.status is SpfStatus.FAILED or each.lost for each in below)
        if ranges or by_mail or unread:
            ways.append(SpfWay(term.text, ranges, by_mail, unread))
    return tuple(ways)


def _below(entry: Entry) -> Iterator[Entry]:
    """The entry and all that it leads to by which mail passes."""
    yield entry
    for each in entry.node.entries if entry.node else ():
        term = each.term
        passes = isinstance(term, Mechanism) and term.qualifier == "+"
        redirects = not isinstance(term, BadTerm | Mechanism) and term.name == "redirect"
        if each.status is not SpfStatus.DEAD and (passes or redirects):
            yield from _below(each)


async def _key(name: str, resolver: Resolver) -> Key:
    answer = await resolver.query(name, "TXT")
    if isinstance(answer, Found):
        return Key(name, choose_key(answer.values)[0], alias=answer.chain[0] if answer.chain else None)
    alias = await resolver.query(name, "CNAME")
    target = alias.values[0] if isinstance(alias, Found) else None
    return Key(name, failed=isinstance(answer, Failed) and not isinstance(alias, Absent), alias=target)


async def _name_servers(facts: FactSet, resolver: Resolver) -> tuple[str, ...] | None:
    zone = if_known(facts.of(DomainZone).zone)
    answer = await resolver.query(zone, "NS") if zone else None
    return answer.values if isinstance(answer, Found) else None


def _policies(domain: str, dmarc: Dmarc) -> Mapping[str, str | None] | None:
    present = if_known(dmarc.present)
    if present is None:
        return None
    if not present:
        return dict.fromkeys(("p", "sp", "np"))
    if if_known(dmarc.location) != domain:  # that of a domain above
        return {"p": if_known(dmarc.effective_policy)}
    above = if_known(dmarc.policy) or "none"
    below = if_known(dmarc.subdomain_policy) or above
    absent = if_known(dmarc.nonexistent_policy) or below
    published = {"p": above, "sp": below, "np": absent}
    if if_known(dmarc.testing):
        return {tag: _WEAKER.get(each, "none") for tag, each in published.items()}
    return published


def _alignment(dmarc: Dmarc) -> Mapping[str, str] | None:
    present = if_known(dmarc.present)
    if present is None:
        return None
    return {"adkim": if_known(dmarc.adkim) or "r", "aspf": if_known(dmarc.aspf) or "r"}


# --- the difference ---------------------------------------------------------------------------------------------------


def difference(old: Ledger, new: Ledger, accepted: Iterable[str] = ()) -> tuple[WayChange, ...]:
    """What becomes of the ways from one ledger to another, losses first.

    What is unknown on both sides is no change; what was unknown before is never worse by itself. `accepted`: ways, or
    services by id or name, that the user means to change so.
    """
    meant = {each.strip().lower() for each in accepted}
    found = (
        *_nothing(old, new),
        *_lost_spf(old, new),
        *_lost_keys(old, new),
        *_declared(old, new),
        *_mail(old, new),
        *_gained(old, new),
    )
    return tuple(_judged(each, (*old.services, *new.services), meant) for each in found)


def _judged(change: WayChange, services: Sequence[UsedService], meant: set[str]) -> WayChange:
    names = {each.name.lower() for each in services if each.id == change.service}
    accepted = not meant.isdisjoint({change.way.lower(), change.service, *names})
    worse = change.worse and not accepted
    return WayChange(change.kind, change.way, change.service, change.before, change.after, worse, accepted)


def _change(
    kind: WayKind,
    way: str,
    service: str = "",
    before: Iterable[str] = (),
    after: Iterable[str] = (),
    *,
    fine: bool = False,
) -> WayChange:
    worse = kind not in _NOT_WORSE and kind not in _OPEN and not fine
    return WayChange(kind, way, service, tuple(before), tuple(after), worse)


def _nothing(old: Ledger, new: Ledger) -> Iterator[WayChange]:
    if new.sends_nothing and not old.sends_nothing and old.spf:
        yield _change("sends-nothing", "-all", before=[each.term for each in old.spf])


def _lost_spf(old: Ledger, new: Ledger) -> Iterator[WayChange]:
    if old.spf is None:
        return
    if new.spf is None:
        if old.spf:
            yield _change("spf-unknown", "v=spf1")
        return
    if new.anyone and not old.anyone:
        yield _change("spf-anyone", "+all")
    if new.anyone or new.sends_nothing:  # told as that
        return
    left = {each.term.lower(): each for each in new.spf}
    unread = {each.term.lower() for each in old.spf if each.unread}
    # What cannot be read now, and was not there unread before, may let the same pass.
    hidden = any(each.unread and each.term.lower() not in unread for each in new.spf)
    allowed, by_mail = new.ranges, {each for way in new.spf for each in way.by_mail}
    for way in old.spf:
        if not EVERYTHING - way.ranges:  # who is let pass no more is everybody, which mends it
            continue
        same, service = left.get(way.term.lower()), _service_of(way.term, old.services)
        spared = service is not None and service.include_needed is False
        ident = service.id if service else ""
        gone = way.ranges - allowed
        replaced = same is None and (way.unread or not set(way.by_mail) <= by_mail)
        if same is not None and same.unread and way.unread:
            continue
        if hidden and (gone or replaced or same is None or same.unread):
            if gone or replaced:
                yield _change("spf-unknown", way.term, ident)
        elif gone and not way.ranges - gone:
            yield _change("spf-lost", way.term, ident, _count(way.ranges), fine=spared)
        elif gone:
            narrowed = way.ranges.count(4) > _WIDE and service is None
            yield _change("spf-fewer", way.term, ident, _count(way.ranges), _count(gone), fine=spared or narrowed)
        elif replaced:
            yield _change("spf-lost", way.term, ident, fine=spared)


def _count(ranges: Ranges) -> tuple[str, ...]:
    """How many addresses it is: of IPv4, else the prefix length of one range of IPv6."""
    count = ranges.count(4)
    return (str(count),) if count else (f"/{ranges.prefix(6)}",) if ranges else ()


def _service_of(term: str, services: Iterable[UsedService]) -> UsedService | None:
    return next((each for each in services if term in each.spf_terms), None)


def _lost_keys(old: Ledger, new: Ledger) -> Iterator[WayChange]:
    for name, was in old.keys.items():
        now = new.keys.get(name)
        service = _signer(name, old.services) or _signer(name, new.services)
        if now is None or not (was.signs or was.failed):
            continue
        if was.failed:
            if now.failed and now.alias != was.alias:
                yield _change("key-unknown", name, service, _alias(was), _alias(now))
            elif was.alias and not now.failed and not now.signs:
                yield _change(_kind_of(now), name, service, _alias(was))
        elif now.failed:
            yield _change("key-unknown", name, service, _alias(was), _alias(now))
        elif not now.signs:
            yield _change(_kind_of(now), name, service)
        else:
            yield from _altered(name, was, now, service)


def _kind_of(key: Key) -> WayKind:
    """Why nothing can be checked with what stands there."""
    if key.record is None:
        return "key-lost"
    return "key-revoked" if key.record.revoked else "key-damaged"


def _altered(name: str, was: Key, now: Key, service: str) -> Iterator[WayChange]:
    """What differs between two records that signatures can be checked with."""
    assert was.record is not None  # noqa: S101 - both sign
    assert now.record is not None  # noqa: S101
    if was.record.material != now.record.material or was.record.type != now.record.type:
        yield _change("key-other", name, service, _bits(was.record), _bits(now.record))
    if now.record.testing and not was.record.testing:
        yield _change("key-testing", name, service)
    if now.record.strict and not was.record.strict:
        yield _change("key-strict", name, service)


def _alias(key: Key) -> tuple[str, ...]:
    return (key.alias,) if key.alias else ()


def _bits(key: KeyRecord) -> tuple[str, ...]:
    return (str(key.bits),) if key.bits else ()


def _signer(name: str, services: Iterable[UsedService]) -> str:
    """The id of the service that a key belongs to."""
    selector = name.partition("._domainkey")[0]
    return next((each.id for each in services if selector in each.selectors), "")


def _declared(old: Ledger, new: Ledger) -> Iterator[WayChange]:
    # What no mail can break: a domain that sent nothing before.
    fine = not old.sends
    if old.policies is None or old.alignment is None:
        return
    if new.policies is None or new.alignment is None:
        yield _change("policy-unknown", "_dmarc")
        return
    tags: dict[tuple[str | None, str | None], list[str]] = {}
    for tag, now in new.policies.items():
        was = old.policies.get(tag, old.policies["p"])
        if _STRICTNESS[was] != _STRICTNESS[now]:
            tags.setdefault((was, now), []).append(tag)
    for (was, now), names in tags.items():
        kind: WayKind = "policy-stricter" if _STRICTNESS[now] > _STRICTNESS[was] else "policy-weaker"
        # The first names the others, which follow it: sp and np are as p where the record does not say otherwise.
        before, after = ([f"{names[0]}={policy or 'none'}"] for policy in (was, now))
        yield _change(kind, after[0], "", before, after, fine=fine)
    if new.pct > old.pct and _STRICTNESS[old.policies["p"]] and _STRICTNESS[new.policies["p"]]:
        yield _change("policy-stricter", f"pct={new.pct}", "", [f"pct={old.pct}"], [f"pct={new.pct}"], fine=fine)
    for tag, mode in new.alignment.items():
        if mode == "s" and old.alignment.get(tag) != "s":
            yield _change("alignment-strict", f"{tag}=s", fine=fine)


def _mail(old: Ledger, new: Ledger) -> Iterator[WayChange]:
    """Whether it still accepts mail, and who answers for its records."""
    if new.null_mx and old.null_mx is False:
        yield _change("no-mail", "mx")
    elif new.mx is False and old.mx and not new.null_mx:
        yield _change("no-mx", "mx")
    if old.name_servers and new.name_servers:
        was, now = ({registrable_domain(each) for each in side} for side in (old.name_servers, new.name_servers))
        if not now <= was:
            yield _change("name-servers", "ns", "", old.name_servers, new.name_servers)


def _gained(old: Ledger, new: Ledger) -> Iterator[WayChange]:
    if old.spf is not None and new.spf is not None and not new.anyone and not old.anyone:
        allowed = old.ranges
        for way in new.spf:
            if more := way.ranges - allowed:
                service = _service_of(way.term, new.services)
                yield _change("spf-gained", way.term, service.id if service else "", (), _count(more))
    for name, now in new.keys.items():
        was = old.keys.get(name)
        if now.signs and (was is None or not (was.signs or was.failed)):
            yield _change("key-gained", name, _signer(name, new.services))
