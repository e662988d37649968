"""Names of the DNS as text, and sets of IP addresses of both families."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from msgspec import Struct


def is_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_within(name: str | None, parent: str) -> bool:
    """Whether a name is `parent` or lies below it."""
    return name is not None and (name == parent or name.endswith(f".{parent}"))


Network = IPv4Network | IPv6Network

_LINE = 128  # bits of an address; the IP version stands above them, so that both families lie on one line of numbers


class Ranges(Struct, frozen=True):
    """A set of addresses.

    Attributes:
        spans: first and last number of each stretch, in order and apart from one another.

    """

    spans: tuple[tuple[int, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __or__(self, other: Ranges) -> Ranges:
        return union((self, other))

    def __sub__(self, other: Ranges) -> Ranges:
        if not self.spans or not other.spans:
            return self
        left: list[tuple[int, int]] = []
        taken, place = other.spans, 0
        for first, last in self.spans:
            while place < len(taken) and taken[place][1] < first:
                place += 1
            index, start = place, first
            while index < len(taken) and taken[index][0] <= last:
                if taken[index][0] > start:
                    left.append((start, taken[index][0] - 1))
                start = taken[index][1] + 1
                index += 1
            if start <= last:
                left.append((start, last))
        return Ranges(tuple(left))

    def __and__(self, other: Ranges) -> Ranges:
        return self - (self - other)

    def count(self, version: int) -> int:
        """Addresses of this IP version."""
        return sum(last - first + 1 for first, last in self.spans if first >> _LINE == version)

    def prefix(self, version: int) -> int | None:
        """Prefix length of one range with as many addresses of this IP version, rounded down; None where none is."""
        count = self.count(version)
        return (32 if version == 4 else 128) - (count.bit_length() - 1) if count else None


def ranges_of(networks: Iterable[Network]) -> Ranges:
    """The addresses of these networks."""
    return _merged(_span(each) for each in networks)


def union(parts: Iterable[Ranges]) -> Ranges:
    """The addresses of all these sets."""
    return _merged(span for part in parts for span in part.spans)


def _span(network: Network) -> tuple[int, int]:
    first = (network.version << _LINE) | int(network.network_address)
    return first, first | ((1 << (network.max_prefixlen - network.prefixlen)) - 1)


def _merged(spans: Iterable[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return Ranges(tuple(found))


EVERYTHING = ranges_of((ip_network("0.0.0.0/0"), ip_network("::/0")))


# Of the special-purpose registries those that are not globally reachable (RFC 6890 and what it updates), and multicast
# (RFC 5771, RFC 4291).
SPECIAL = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private use
    "100.64.0.0/10",  # shared by carriers (RFC 6598)
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link local
    "172.16.0.0/12",  # private use
    "192.0.0.0/24",  # protocol assignments
    "192.88.99.0/24",  # relays of 6to4, given up (RFC 7526)
    "192.168.0.0/16",  # private use
    "198.18.0.0/15",  # benchmarks
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved
    "::/96",  # unspecified, loopback, and IPv4 in a form given up (RFC 4291 section 2.5.5.1)
    "::ffff:0:0/96",  # mapped IPv4: such a sender counts as IPv4 (RFC 7208 section 5)
    "64:ff9b:1::/48",  # translated inside a network (RFC 8215)
    "100::/64",  # discard only
    "2001:2::/48",  # benchmarks
    "5f00::/16",  # segment routing (RFC 9602)
    "fc00::/7",  # unique local
    "fe80::/10",  # link local
    "fec0::/10",  # site local, given up (RFC 3879)
    "ff00::/8",  # multicast
)
_6TO4, _NAT64 = 0x2002 << 112, 0x64FF9B << 96
DOCUMENTATION = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
"""RFC 5737, RFC 3849 and RFC 9637."""
UNICAST_IP6 = ranges_of((ip_network("2000::/3"),))
"""The part of IPv6 that is handed out (RFC 4291 section 2.4)."""


def is_example(domain: str) -> bool:
    """Whether an audited domain is for documentation and tests, so that the addresses in its audit are examples too.

    By RFC 2606 and RFC 6761, and by registries that keep the word aside below their own names (example.co.jp).
    """
    labels = domain.split(".")
    return "example" in labels or labels[-1] in ("test", "invalid", "localhost")


@cache
def unreachable(*, example: bool) -> Ranges:
    """Addresses from which no mail arrives over the internet, and to which none can be sent.

    The ranges for documentation are among them but in the audit of an `example`: there they stand for real ones.
    """
    networks = [ip_network(each) for each in (*SPECIAL, *(() if example else DOCUMENTATION))]
    return ranges_of((*networks, *(inner for each in networks if each.version == 4 for inner in _carried(each))))


def _carried(network: IPv4Network) -> tuple[Network, ...]:
    """The IPv6 ranges that lead to these addresses, and no further: 6to4 (RFC 3056), NAT64 (RFC 6052 section 3.1)."""
    first, length = int(network.network_address), network.prefixlen
    return IPv6Network((_6TO4 | first << 80, 16 + length)), IPv6Network((_NAT64 | first, 96 + length))


def is_unreachable(network: Network, *, example: bool) -> bool:
    """Whether a whole range is private, local, reserved or (but in an `example`) for documentation."""
    return not ranges_of((network,)) - unreachable(example=example)


def unreachable_among(addresses: Iterable[str], *, example: bool) -> tuple[str, ...]:
    """Those addresses, as DNS gives them, to which nothing can be sent over the internet."""
    return tuple(each for each in addresses if _is_unreachable(each, example))


@lru_cache(maxsize=4096)  # many domains have the same mail servers
def _is_unreachable(address: str, example: bool) -> bool:
    return is_address(address) and is_unreachable(ip_network(address), example=example)
