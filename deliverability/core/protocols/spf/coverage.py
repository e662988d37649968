"""What an SPF tree authorises: how many addresses, how wide, and which terms say the same twice.

Counted is what `ip4`, `ip6`, `a`, `mx` and `all` let pass, through includes and redirects that pass themselves. What
depends on the mail (`exists`, `ptr`, macros) is not, and terms that deny are not subtracted: the numbers are those that
a sender can reach at most by these terms.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, collapse_addresses, ip_address, ip_network

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.spf import SpfStatus
from deliverability.core.names import Network
from deliverability.core.net.base import Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.spf.record import LOOKUP_MECHANISMS, BadTerm, Mechanism, Term
from deliverability.core.protocols.spf.tree import MAX_MX_HOSTS, Entry, Node, Tree

MAX_RANGES = 4000
"""Ranges of one tree that are compared; real domains have a few hundred."""
MAX_HOSTS = 100
"""MX hosts of one tree whose addresses are asked for."""
MAX_PAIRS = 500
"""Overlapping pairs that are told apart; a record with more is hostile, or hopeless."""
MAX_SPARE_CHECKED = 30
"""Terms of one record that are tried for being spare."""

TOO_MANY_RANGES = Code("spf-ranges", ("n",))


class Group(Struct, eq=False):
    """One term of the domain's own record (or of the record it redirects to) and every range it lets pass.

    Attributes:
        term: as written.
        include: the target, where the term is an include.
        ranges: all of them, with the domain whose record lists each.
        opaque: something in it depends on the mail or could not be looked up, so that it may let more pass.
        costs: the term takes at least one of the ten look-ups.

    """

    term: str
    include: str | None
    ranges: list[tuple[str, Network]]
    opaque: bool
    costs: bool

    def covers(self, ip: str) -> bool:
        """Whether one of the ranges holds the address."""
        address = ip_address(ip)
        return any(address in network for _, network in self.ranges)


class Overlap(Struct, frozen=True):
    """Two terms that let the same addresses pass: the widest range they share, and how many they share."""

    first: str
    second: str
    range: str
    count: int


class Coverage(Struct, frozen=True):
    """What a whole tree lets pass.

    Attributes:
        groups: term by term of the record that counts.
        gap: why the ranges are not all known, or None.

    """

    groups: tuple[Group, ...]
    gap: Unknown | None

    @property
    def ranges(self) -> tuple[tuple[str, Network], ...]:
        """Every range with the domain whose record lists it, in the order of the terms."""
        return tuple(pair for group in self.groups for pair in group.ranges)

    @property
    def ip4_addresses(self) -> int:
        """Different IPv4 addresses that pass."""
        own = [network for _, network in self.ranges if isinstance(network, IPv4Network)]
        return sum(network.num_addresses for network in collapse_addresses(own))

    @property
    def widest_ip6(self) -> int | None:
        """Prefix length of the widest IPv6 range, or None."""
        return min((network.prefixlen for _, network in self.ranges if network.version == 6), default=None)

    def wide(self, prefix4: int, prefix6: int) -> tuple[str, ...]:
        """Ranges wider than these prefix lengths, as ``domain: range``."""
        limits = {4: prefix4, 6: prefix6}
        return tuple(
            dict.fromkeys(
                f"{domain}: {network}" for domain, network in self.ranges if network.prefixlen < limits[network.version]
            )
        )

    def overlaps(self) -> tuple[Overlap, ...]:
        """Pairs of terms that let the same addresses pass, in the order of the record. `all` is not compared."""
        found: dict[tuple[int, int], tuple[Network, int]] = {}
        for version in (4, 6):
            listed = sorted(
                {
                    (int(network.network_address), network.prefixlen, index, network)
                    for index, group in enumerate(self.groups)
                    for _, network in group.ranges
                    if network.version == version and network.prefixlen
                },
                key=lambda each: each[:3],
            )
            # Ranges either lie in one another or are apart, so those still open form a stack.
            open_: list[tuple[int, Network]] = []
            for start, _, index, network in listed:
                while open_ and int(open_[-1][1].broadcast_address) < start:
                    open_.pop()
                for other in {owner for owner, _ in open_ if owner != index}:
                    pair = (min(other, index), max(other, index))
                    widest, count = found.get(pair, (network, 0))
                    found[pair] = (min(widest, network, key=lambda each: each.prefixlen), count + 1)
                if len(found) > MAX_PAIRS:
                    break
                open_.append((index, network))
        return tuple(
            Overlap(self.groups[first].term, self.groups[second].term, str(network), count)
            for (first, second), (network, count) in sorted(found.items(), key=lambda item: item[0])
        )

    def spare(self) -> tuple[str, ...]:
        """Terms that cost look-ups and let nothing pass that the other terms do not: they can go.

        Tried from the last to the first, so that of two equal ones the later is named.
        """
        spans = [[_span(each) for _, each in group.ranges if each.prefixlen] for group in self.groups]
        spare: list[str] = []
        tried = [index for index, each in enumerate(self.groups) if each.costs and each.ranges and not each.opaque]
        for index in reversed(tried[-MAX_SPARE_CHECKED:]):
            group = self.groups[index]
            others = [span for other, each in enumerate(spans) if other != index for span in each]
            if _all_within([_span(each) for _, each in group.ranges], others):
                spans[index] = []
                spare.append(group.term)
        return tuple(reversed(spare))


_Span = tuple[int, int, int]
"""IP version, first and last address of a range."""


def _span(network: Network) -> _Span:
    first = int(network.network_address)
    return network.version, first, first | ((1 << (network.max_prefixlen - network.prefixlen)) - 1)


def _all_within(spans: Iterable[_Span], others: Iterable[_Span]) -> bool:
    """Whether every range lies in the union of the others."""
    union: list[_Span] = []
    for version, first, last in sorted(others):
        if union and union[-1][0] == version and first <= union[-1][2] + 1:
            union[-1] = (version, union[-1][1], max(last, union[-1][2]))
        else:
            union.append((version, first, last))
    for version, first, last in spans:
        place = bisect_right(union, (version, first, 1 << 128)) - 1
        if place < 0 or union[place][0] != version or union[place][2] < last:
            return False
    return True


async def measure(tree: Tree, resolver: Resolver) -> Coverage:
    """Collect every range of the tree, and ask for the addresses of the MX hosts it names. Never raises."""
    hosts = await mx_answers(tree, resolver)
    collector = _Collector(hosts)
    groups = tuple(collector.groups(tree.root))
    return Coverage(groups, tree.gap or collector.gap)


async def mx_answers(tree: Tree, resolver: Resolver) -> Mapping[str, tuple[Answer, ...]]:
    """The addresses of the hosts behind its mx terms, A and AAAA, as far as MAX_HOSTS allows."""
    names = list(
        dict.fromkeys(
            host
            for _, entry in tree.entries
            if _name(entry.term) == "mx" and entry.status is SpfStatus.OK
            for host in _mx_hosts(entry)
        )
    )[:MAX_HOSTS]
    answers = await asyncio.gather(
        *(asyncio.gather(*(resolver.query(name, rdtype) for rdtype in ("A", "AAAA"))) for name in names)
    )
    return dict(zip(names, (tuple(pair) for pair in answers), strict=True))


class _Collector:
    """Walks a tree that is finished and puts its ranges together, within MAX_RANGES."""

    def __init__(self, hosts: Mapping[str, tuple[Answer, ...]]) -> None:
        self._hosts = hosts
        self._left = MAX_RANGES
        self.gap: Unknown | None = None

    def groups(self, node: Node) -> Iterator[Group]:
        """One group a live term that can let something pass; a redirect gives those of its target."""
        for entry in node.entries:
            if _name(entry.term) == "redirect" and entry.node:
                yield from self.groups(entry.node)
            elif _passes(entry.term) and entry.status is not SpfStatus.DEAD:
                include = entry.target if _name(entry.term) == "include" else None
                group = Group(entry.term.text, include, [], False, bool(entry.lookups))
                self._add(group, node, entry)
                yield group

    def _add(self, group: Group, node: Node, entry: Entry) -> None:
        term, name = entry.term, _name(entry.term)
        if name in ("include", "redirect"):
            # Of an unreadable target nothing is known; a broken one ends the check and lets nothing pass.
            group.opaque = group.opaque or entry.node is None or entry.status is not SpfStatus.OK
            for below in entry.node.entries if entry.node else ():
                if below.status is not SpfStatus.DEAD and (_passes(below.term) or _name(below.term) == "redirect"):
                    self._add(group, entry.node or node, below)
            return
        if not isinstance(term, Mechanism):
            return
        seen = entry.status in (SpfStatus.OK, SpfStatus.VOID) and name not in ("exists", "ptr")
        if name in LOOKUP_MECHANISMS and not seen:
            group.opaque = True
        for failed in (entry.failed, *mx_failures(term, entry, self._hosts)):
            if failed:
                group.opaque = True
                self.gap = self.gap or unknown_from(failed)
        networks = networks_of(term, entry, self._hosts)
        taken = networks[: self._left]
        self._left -= len(taken)
        if len(taken) < len(networks):
            self.gap = self.gap or Unknown(Reason.LIMIT, TOO_MANY_RANGES(n=MAX_RANGES))
            group.opaque = True
        group.ranges += [(node.domain, network) for network in taken]


def networks_of(term: Mechanism, entry: Entry, hosts: Mapping[str, tuple[Answer, ...]]) -> list[Network]:
    """The ranges that a term names, whatever its qualifier; `hosts`: the answers of `mx_answers`."""
    if term.network is not None:
        return [term.network]
    if term.name == "all":
        return [ip_network("0.0.0.0/0"), ip_network("::/0")]
    addresses: Sequence[str] = ()
    if term.name == "a" and entry.status is SpfStatus.OK:
        addresses = entry.addresses
    elif term.name == "mx" and entry.status is SpfStatus.OK:
        answers = [answer for host in _mx_hosts(entry) for answer in hosts.get(host, ())]
        addresses = [value for answer in answers if isinstance(answer, Found) for value in answer.values]
    return [network for address in addresses if (network := _around(address, term)) is not None]


def mx_failures(term: Mechanism, entry: Entry, hosts: Mapping[str, tuple[Answer, ...]]) -> list[Failed]:
    """MX hosts of an mx term whose addresses could not be asked for."""
    if term.name != "mx" or entry.status is not SpfStatus.OK:
        return []
    answers = [answer for host in _mx_hosts(entry) for answer in hosts.get(host, ())]
    return [answer for answer in answers if isinstance(answer, Failed)]


def _around(address: str, term: Mechanism) -> Network | None:
    """The range that a prefix length of the term makes of an address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    return ip_network((ip, term.prefix4 if ip.version == 4 else term.prefix6), strict=False)


def _mx_hosts(entry: Entry) -> list[str]:
    hosts = [value.partition(" ")[2] for value in entry.addresses[:MAX_MX_HOSTS]]
    return [host for host in hosts if host not in ("", ".")]


def _name(term: Term) -> str:
    return "" if isinstance(term, BadTerm) else term.name


def _passes(term: Term) -> bool:
    """The term gives pass where it matches."""
    return isinstance(term, Mechanism) and term.qualifier == "+"
