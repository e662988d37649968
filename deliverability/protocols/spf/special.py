"""Addresses from which no mail can arrive over the internet (RFC 6890 and what it updates)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

# Of the special-purpose registries those that are not globally reachable, and multicast (RFC 5771, RFC 4291). The
# ranges for documentation (RFC 5737, RFC 3849) are left out: in examples and tests they stand for real addresses.
_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared by carriers (RFC 6598)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link local
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # protocol assignments
        "192.168.0.0/16",  # private use
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved
    )
)
_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "::/128",  # unspecified
        "::1/128",  # loopback
        "::ffff:0:0/96",  # mapped IPv4: such a sender counts as IPv4 (RFC 7208 section 5)
        "100::/64",  # discard only
        "2001:2::/48",  # benchmarks
        "fc00::/7",  # unique local
        "fe80::/10",  # link local
        "ff00::/8",  # multicast
    )
)


def is_special(network: IPv4Network | IPv6Network) -> bool:
    """Whether the whole range is private, local or reserved, so that no receiver ever sees mail from it."""
    if isinstance(network, IPv4Network):
        return any(network.subnet_of(each) for each in _IPV4)
    return any(network.subnet_of(each) for each in _IPV6)
