"""Who passes: the addresses that the whole tree of an SPF record lets pass, and by which terms.

Read as a receiver reads it (RFC 7208 section 4.6.2): what a term denies, no later term allows; an include allows what
passes inside it. What cannot be told from the records alone (macros, `exists` by sender) is tried with addresses that
nobody has. Errors are left aside: the numbers are those of the record once its faults are mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown, Value
from deliverability.core.facts.spf import SpfResult, SpfStatus, StepOutcome, Trace
from deliverability.core.names import EVERYTHING, UNICAST_IP6, Ranges, ranges_of, union, unreachable
from deliverability.core.net.base import Answer, Resolver, unknown_from
from deliverability.core.protocols.spf.coverage import mx_answers, mx_failures, networks_of
from deliverability.core.protocols.spf.evaluate import evaluate_spf
from deliverability.core.protocols.spf.record import MAX_VOID_LOOKUPS, BadTerm, Mechanism
from deliverability.core.protocols.spf.tree import Entry, Node, Tree

MAX_TERMS = 4000
"""Terms of one tree whose ranges are put together; real domains have a few hundred."""
MAX_DENIALS = 300
"""Terms of one tree that deny and are subtracted."""
MAX_SHOWN = 3
MANY_RENTED = 1 << 10
_MANY_RENTED_IP6 = 1 << (128 - 44)
"""Addresses of a provider in one term from which on they are not those of one customer, by IP version."""
_PROVIDER_IP6 = 29
_SMALL_BESIDE = 256
_DECISIVE = 1 << 24
"""Terms that are listed as those that allow the most."""

TOO_MANY = Code("spf-passing", ("n",))
PASSING_FACTS = (
    *("authorised_ip4", "authorised_ip6_prefix"),
    *("authorises_nobody", "late_ip6", "widest_terms", "widest_domain", "widest_via", "widest_is_own"),
    *("wide_ranges_below", "rented_terms"),
)
"""What `describe_passing` gives."""
ALLOWS = Code("spf-allows", ("domain", "term", "n"))
ALLOWS_IP6 = Code("spf-allows-ip6", ("domain", "term", "prefix"))
RENTED = Code("spf-rented", ("domain", "term", "provider"))
ALLOWS_ALL = Code("spf-allows-all", ("domain", "term"))

# From these addresses no mail can come (reserved by RFC 1112, discarded by RFC 6666), and nobody lists them by name.
_NOBODYS = {4: ("240.18.52.86", "251.203.145.7"), 6: ("100::5a17:c3e9", "100::f1d2:86b4")}
_NOBODY = "deliv-nobody-8h2k5q"


class Grant(Struct, frozen=True):
    """A term that lets addresses pass.

    Attributes:
        domain: whose record holds it.
        term: as written.
        via: the term of the domain's own record that leads there; the same where it stands in that record.
        ranges: what it lets pass.
        late: for IPv6 senders it stands behind more look-ups without an answer than receivers bear.

    """

    domain: str
    term: str
    via: str
    ranges: Ranges
    late: bool = False


class Allowed(Struct, frozen=True):
    """What passes.

    Attributes:
        domain: whose record it is.
        grants: the terms that let something pass.
        ranges: all of it.
        opaque: something that depends on the mail may let more pass.
        gap: why more may pass that is not known, or None.
        example: the audit is of a domain for documentation.

    """

    domain: str
    grants: tuple[Grant, ...]
    ranges: Ranges
    opaque: bool
    gap: Unknown | None
    example: bool

    @property
    def ip4(self) -> int:
        """Different IPv4 addresses."""
        return self.ranges.count(4)

    @property
    def ip6_prefix(self) -> int | None:
        """Prefix length of one range as large as the IPv6 addresses that are handed out and pass."""
        return (self.ranges & UNICAST_IP6).prefix(6)

    @property
    def nobody(self) -> bool | Unknown:
        """Whether no address that mail can come from passes."""
        if self.opaque or self.ranges - unreachable(example=self.example):
            return False
        return self.gap or True

    @property
    def late_ip6(self) -> bool:
        """Whether IPv6 addresses are listed where no receiver gets to for them: it stops with a permerror before."""
        late = union(each.ranges for each in self.grants if each.late)
        early = union(each.ranges for each in self.grants if not each.late)
        return (late - early - unreachable(example=self.example)).count(6) > 0

    @property
    def widest(self) -> tuple[Grant, ...]:
        """The terms that let the most pass, the widest first; what is small beside that is left out."""
        ranked = sorted(self.grants, key=lambda each: -_weight(each.ranges))[:MAX_SHOWN]
        return tuple(each for each in ranked if _weight(each.ranges) * _SMALL_BESIDE >= _weight(ranked[0].ranges))


def describe_passing(
    passing: Allowed, wide_ip4: int, known: Ranges, own: Callable[[str], bool], rented: Mapping[str, Ranges]
) -> Mapping[str, Value]:
    """What can be said of it, by the names that the facts have. `own`: whether a domain has the same owner.

    A term of another domain's record is listed as wide where it allows more IPv4 addresses than a range with the prefix
    length `wide_ip4`, or more IPv6 addresses than the /29 that a provider has without further reason; what is in
    `known` does not count. `rented`: by provider, ranges in which anybody can rent an address.
    """
    gap, widest = passing.gap, passing.widest
    first = widest[0] if widest else None
    # Where a part could not be looked at, it may allow more than these; far too much is certain all the same.
    unseen = gap if _weight(passing.ranges) < _DECISIVE else None
    below = tuple(
        f"{each.domain}: {each.term}"
        for each in passing.grants
        if each.domain != passing.domain and _is_wide(each.ranges - known, wide_ip4)
    )
    lent = tuple(
        RENTED(domain=each.domain, term=each.term, provider=provider)
        for each in passing.grants
        if _are_many(each.ranges)
        for provider, ranges in rented.items()
        if _are_many(each.ranges & ranges)
    )
    return {
        "authorised_ip4": unseen or passing.ip4,
        "authorised_ip6_prefix": unseen or passing.ip6_prefix,
        "authorises_nobody": passing.nobody,
        "late_ip6": passing.late_ip6 or gap or False,
        "widest_terms": unseen or tuple(_shown(each) for each in widest),
        "widest_domain": unseen or (first.domain if first else None),
        "widest_via": unseen or (first.via if first else None),
        "widest_is_own": unseen or (own(first.domain) if first else None),
        "wide_ranges_below": below or gap or (),
        "rented_terms": lent or gap or (),
    }


def _is_wide(ranges: Ranges, wide_ip4: int) -> bool:
    return ranges.count(4) > 1 << (32 - wide_ip4) or (ranges & UNICAST_IP6).count(6) > 1 << (128 - _PROVIDER_IP6)


def _are_many(ranges: Ranges) -> bool:
    return ranges.count(4) >= MANY_RENTED or ranges.count(6) >= _MANY_RENTED_IP6


def _shown(grant: Grant) -> Detail:
    """A term with its domain and what it allows."""
    if not EVERYTHING - grant.ranges:
        return ALLOWS_ALL(domain=grant.domain, term=grant.term)
    prefix = (grant.ranges & UNICAST_IP6).prefix(6)
    count = grant.ranges.count(4)
    if prefix is not None and _weight(grant.ranges) > count:
        return ALLOWS_IP6(domain=grant.domain, term=grant.term, prefix=prefix)
    return ALLOWS(domain=grant.domain, term=grant.term, n=f"{count:,}")


def _weight(ranges: Ranges) -> int:
    """How much it is, in IPv4 addresses: a /16 of IPv6, which no sender has, weighs as much as a /8 of IPv4."""
    return max(ranges.count(4), (ranges & UNICAST_IP6).count(6) >> 88)


async def who_passes(tree: Tree, resolver: Resolver, *, example: bool) -> Allowed:
    """Put together what the tree lets pass; asks for the addresses of MX hosts, and tries what depends on the mail."""
    hosts, tried = await asyncio.gather(mx_answers(tree, resolver), _try_nobody(tree, resolver))
    reader = _Reader(hosts, tried.matched)
    grants = tuple(reader.read(tree.root, Ranges(), None))
    gap = tree.gap or reader.gap or tried.gap
    return Allowed(tree.root.domain, grants, union(each.ranges for each in grants), reader.opaque, gap, example)


class _Reader:
    """Goes through a tree that is finished, term by term."""

    def __init__(self, hosts: Mapping[str, tuple[Answer, ...]], open_terms: Mapping[tuple[str, str], Ranges]) -> None:
        self._hosts, self._open_terms = hosts, open_terms
        self._terms, self._denials, self._void = MAX_TERMS, MAX_DENIALS, 0
        self.opaque = False
        self.gap: Unknown | None = None

    def read(self, node: Node, denied: Ranges, via: str | None) -> list[Grant]:
        """The grants of a record, but for addresses that are denied already. `via` is None in the domain's own."""
        found: list[Grant] = []
        last: Entry | None = None
        for entry in node.entries:
            term = entry.term
            if entry.status in (SpfStatus.DEAD, SpfStatus.IGNORED) or isinstance(term, BadTerm):
                continue
            if not isinstance(term, Mechanism):
                last = entry if term.name == "redirect" else last
                continue
            self._terms -= 1
            if self._terms < 0:
                self.gap = self.gap or Unknown(Reason.LIMIT, TOO_MANY(n=MAX_TERMS))
                break
            passes = term.qualifier == "+"
            self._void += 6 in entry.void
            matched = self._matched(node, entry, denied if passes else Ranges(), via or term.text, passes=passes)
            if passes:
                found += matched
            elif matched:
                self._denials -= 1
                if self._denials < 0:
                    self.gap = self.gap or Unknown(Reason.LIMIT, TOO_MANY(n=MAX_DENIALS))
                    break
                denied = union((denied, *(each.ranges for each in matched)))
        if last is not None and last.node is not None:
            found += self.read(last.node, denied, via or last.term.text)
        elif last is not None and last.status is SpfStatus.MACRO:
            self.opaque = True
            if tried := self._open_terms.get((node.domain, last.term.text), Ranges()) - denied:
                found.append(Grant(node.domain, last.term.text, via or last.term.text, tried))
        return found

    def _matched(self, node: Node, entry: Entry, denied: Ranges, via: str, *, passes: bool) -> list[Grant]:
        """What a term matches. Of one that denies, only what is certain."""
        term = entry.term
        assert isinstance(term, Mechanism)  # noqa: S101
        if term.name == "include" and entry.node is not None:
            opaque, inner = self.opaque, self.read(entry.node, denied, via)
            if not passes:
                self.opaque = opaque
            return inner
        ranges = self._ranges(node, entry, passes=passes) - denied
        return [Grant(node.domain, term.text, via, ranges, self._void > MAX_VOID_LOOKUPS)] if ranges else []

    def _ranges(self, node: Node, entry: Entry, *, passes: bool) -> Ranges:
        term = entry.term
        assert isinstance(term, Mechanism)  # noqa: S101
        if passes and (tried := self._open_terms.get((node.domain, term.text))):
            return tried
        if term.name == "exists" and entry.status is SpfStatus.OK:
            return EVERYTHING  # a constant name that is there
        if entry.status in (SpfStatus.MACRO, SpfStatus.ADDRESS, SpfStatus.LIMIT):
            self.opaque = self.opaque or passes
        failed = (entry.failed, *mx_failures(term, entry, self._hosts))
        if passes and (lost := next((each for each in failed if each), None)):
            self.gap = self.gap or unknown_from(lost)
        return ranges_of(networks_of(term, entry, self._hosts))


class _Tried(Struct, frozen=True):
    """What became of addresses that nobody has: which terms let them pass, and what failed."""

    matched: Mapping[tuple[str, str], Ranges]
    gap: Unknown | None = None


async def _try_nobody(tree: Tree, resolver: Resolver) -> _Tried:
    """Whether a term that depends on the mail lets pass whoever comes: asked for addresses that nobody has.

    Two of each family, for a list may hold anything; a term that lets both pass lets all pass.
    """
    if not any(entry.status is SpfStatus.MACRO for _, entry in tree.entries):
        return _Tried({})
    sender = f"{_NOBODY}@{tree.root.domain}"
    addresses = [ip for several in _NOBODYS.values() for ip in several]
    checks = await asyncio.gather(*(evaluate_spf(ip, sender, f"{_NOBODY}.invalid", resolver) for ip in addresses))
    found: dict[tuple[str, str], list[Ranges]] = {}
    macros = {(node.domain, entry.term.text) for node, entry in tree.entries if entry.status is SpfStatus.MACRO}
    for version, (one, other) in zip(_NOBODYS, (checks[:2], checks[2:]), strict=True):
        if one.result is other.result is SpfResult.PASS:
            reached = {each for each in _deciding(one.trace) if each in macros and each in _deciding(other.trace)}
            for each in reached:
                found.setdefault(each, []).append(EVERYTHING & _family(version))
    lost = next((each.failure for each in checks if each.failure is not None), None)
    return _Tried({each: union(parts) for each, parts in found.items()}, unknown_from(lost) if lost else None)


def _family(version: int) -> Ranges:
    first = version << 128
    return Ranges(((first, first | ((1 << (32 if version == 4 else 128)) - 1)),))


def _deciding(trace: Trace) -> Sequence[tuple[str, str]]:
    """The terms that matched, from the domain's own record inwards."""
    found: list[tuple[str, str]] = []
    here: Trace | None = trace
    while here is not None:
        step = next((each for each in here.steps if each.outcome in (StepOutcome.MATCH, StepOutcome.FOLLOWED)), None)
        if step is None:
            break
        found.append((here.domain, step.term))
        here = step.nested
    return found
