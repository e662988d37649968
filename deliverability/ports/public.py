"""Which IP addresses belong to the public internet, so that a connection cannot reach a private network.

Our own list and not that of Python, whose content depends on its version.
"""

from __future__ import annotations

import ipaddress

LISTED = "2025-10-09"
"""Date of IANA's registries of special-purpose addresses (RFC 6890, RFC 8190) that the list follows."""

# Every block of the IPv4 registry that is not globally reachable as the destination of a request for a page or a mail;
# also the anycast blocks for relays and for DNS servers of private addresses, where no such server can be.
_IPV4_SPECIAL = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link local
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # automatic multicast tunnelling
        "192.88.99.0/24",  # relays of 6to4, deprecated, and of 6a44
        "192.168.0.0/16",  # private use
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and limited broadcast
    )
)
# All that IANA hands out to networks; whatever lies outside is local, special or not in use, such as ::1, mapped and
# compatible IPv4, 64:ff9b::/96 and 64:ff9b:1::/48 (translation), 100::/64, 5f00::/16, fc00::/7, fe80::/10, fec0::/10.
_IPV6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_IPV6_SPECIAL = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID, DRIP and more
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # begin of an interface identifier that ends in an IPv4 address (RFC 5214)


def is_public(address: str) -> bool:
    """Whether the text is an address of the public internet; False for what is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _IPV4_SPECIAL)
    if ip.scope_id is not None or int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
        return False
    return ip in _IPV6_GLOBAL and not any(ip in network for network in _IPV6_SPECIAL)
