"""Which address of a host to connect to: public ones only, for the audited DNS chooses it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason
from deliverability.core.names import DOCUMENTATION, SPECIAL
from deliverability.core.net.base import Failed, Found, Resolver

LISTED = "2025-10-09"
"""Date of IANA's registries of special-purpose addresses (RFC 6890, RFC 8190) that the list follows."""

# Every block of the IPv4 registry that is not globally reachable as the destination of a request for a page or a mail;
# also the anycast blocks for relays and for DNS servers of private addresses, where no such server can be.
_IPV4_SPECIAL = tuple(
    ipaddress.IPv4Network(text)
    # The last three: AS112, automatic multicast tunnelling, and AS112 again.
    for text in (*SPECIAL, *DOCUMENTATION, "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24")
    if ":" not in text
)
# All that IANA hands out to networks; whatever lies outside is local, special or not in use, such as ::1, compatible
# IPv4, 100::/64, 5f00::/16, fc00::/7, fe80::/10, fec0::/10.
_IPV6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_IPV6_SPECIAL = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: benchmarks, ORCHID, DRIP and more
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)


class CloudAddress(Struct, frozen=True):
    """What a cloud answers at only to the machines inside it, with what they may do and know.

    Attributes:
        network: the addresses.
        what: whose they are and what for.
        source: where the cloud says so.

    """

    network: str
    what: str
    source: str


CLOUDS = (
    # Of these, the registries would let pass.
    CloudAddress(
        "168.63.129.16/32",
        "Azure: platform, DNS, health probes",
        "https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
    ),
    CloudAddress(
        "161.26.0.0/16",
        "IBM Cloud: DNS, time, mirrors",
        "https://cloud.ibm.com/docs/vpc?topic=vpc-service-endpoints-for-vpc",
    ),
    CloudAddress(
        "166.8.0.0/14",
        "IBM Cloud: private endpoints of services",
        "https://cloud.ibm.com/docs/vpc?topic=vpc-service-endpoints-for-vpc",
    ),
    # These lie in blocks that are refused anyway, and stay refused whatever becomes of the blocks.
    CloudAddress(
        "169.254.169.254/32",
        "metadata: AWS, Azure, Google, Oracle, OpenStack and others",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html",
    ),
    CloudAddress(
        "fd00:ec2::/32",
        "AWS: metadata, DNS, time, credentials of pods",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html",
    ),
    CloudAddress(
        "169.254.170.0/23",
        "AWS: credentials of containers and pods",
        "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html",
    ),
    CloudAddress(
        "fd20:ce::254/128",
        "Google: metadata (metadata.google.internal)",
        "https://cloud.google.com/compute/docs/metadata/querying-metadata",
    ),
    CloudAddress(
        "100.100.100.200/32",
        "Alibaba Cloud: metadata",
        "https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata",
    ),
    CloudAddress(
        "192.0.0.192/32",
        "Oracle Cloud Classic: metadata",
        "https://docs.oracle.com/en/cloud/iaas/compute-iaas-cloud/stcsg/retrieving-instance-metadata.html",
    ),
    CloudAddress(
        "169.254.0.23/32",
        "Tencent Cloud: metadata",
        "https://www.tencentcloud.com/document/product/213/4934",
    ),
    CloudAddress(
        "fd00:42::42/128",
        "Scaleway: metadata",
        "https://www.scaleway.com/en/docs/instances/api-cli/using-instance-metadata/",
    ),
)
_CLOUD_NETWORKS = tuple(ipaddress.ip_network(each.network) for each in CLOUDS)

# Addresses that hold those of IPv4: whether a connection leads into a private network, these decide.
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: what DNS64 makes of every host that has IPv4 only
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215
_6TO4 = ipaddress.IPv6Network("2002::/16")
_TEREDO = ipaddress.IPv6Network("2001::/32")
_ISATAP = (0x00005EFE, 0x02005EFE)  # begin of an interface identifier that ends in an IPv4 address (RFC 5214)


def is_public(address: str) -> bool:
    """Whether the text is an address of the public internet; False for what is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return _is_public_ipv4(ip)
    if ip.scope_id is not None or any(ip in network for network in _CLOUD_NETWORKS if network.version == 6):
        return False
    inner = [*_held(ip)]
    if any(ip in network for network in (_MAPPED, _NAT64, _NAT64_LOCAL, _6TO4, _TEREDO)):
        return bool(inner) and all(map(_is_public_ipv4, inner))
    outside = ip in _IPV6_GLOBAL and not any(ip in network for network in _IPV6_SPECIAL)
    return outside and all(map(_is_public_ipv4, inner))


def _is_public_ipv4(ip: IPv4Address) -> bool:
    networks = (*_IPV4_SPECIAL, *(each for each in _CLOUD_NETWORKS if each.version == 4))
    return not any(ip in network for network in networks)


def _held(ip: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address holds; where it can be read in several ways, each of them."""
    value = int(ip)
    last = IPv4Address(value & 0xFFFFFFFF)
    if ip in _MAPPED or ip in _NAT64:
        yield last
    elif ip in _NAT64_LOCAL:
        yield from (each for each in _translated(value, last) if int(each))
    elif ip in _6TO4:
        yield IPv4Address(value >> 80 & 0xFFFFFFFF)
    elif ip in _TEREDO:
        # The server, and the client with its bits inverted (RFC 4380 section 4).
        yield from (IPv4Address(value >> 64 & 0xFFFFFFFF), IPv4Address(int(last) ^ 0xFFFFFFFF))
    elif value >> 32 & 0xFFFFFFFF in _ISATAP:
        yield last


def _translated(value: int, last: IPv4Address) -> Iterator[IPv4Address]:
    """What stands in an address for each length of a network's own prefix (RFC 6052 section 2.2)."""
    yield last  # a prefix of 96 bits
    if value >> 56 & 0xFF:
        return  # these octets are zero in all others
    octets = value.to_bytes(16)
    for length in (48, 56, 64):
        # The address goes around octet 8, and zeros follow it.
        held = (octets[length // 8 : 8] + octets[9:])[:4]
        rest = (octets[length // 8 : 8] + octets[9:])[4:]
        if not any(rest):
            yield IPv4Address(held)


LATE = Code("server-late", ("server", "n"))  # seconds
UNREACHABLE = Code("unreachable", ("server", "why"))
NO_USE = Code("unreachable-name", ("host", "why"))  # no usable answer
NO_ADDRESS = Code("no-address", ("host",))
NOT_PUBLIC = Code("not-public", ("host", "address"))


class NoAnswerError(Exception):
    """Nothing came of asking a server; carries what is answered instead."""

    def __init__(self, reason: Reason, detail: Detail, *, certain: bool = False) -> None:
        super().__init__(detail.code)
        self.reason = reason
        self.detail = detail
        self.certain = certain


def has_route(address: str) -> bool:
    """Whether this machine knows a way to an address of its kind. Nothing is sent: to connect UDP only looks it up."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 443))
        except OSError:
            return False
    return True


async def address_of(
    host: str, resolver: Resolver, allowed: Callable[[str], bool], routed: Callable[[str], bool] = has_route
) -> str:
    """The address, IPv4 first. One that is not allowed refuses the host, whatever its other addresses are.

    Where there are both kinds, it is one that this machine has a route to: behind DNS64, IPv4 leads nowhere.

    Raises:
        NoAnswerError: there is none to connect to.

    """
    answers = await asyncio.gather(*(resolver.query(host, rdtype) for rdtype in ("A", "AAAA")))
    addresses = [value for answer in answers if isinstance(answer, Found) for value in answer.values]
    forbidden = next((address for address in addresses if not allowed(address)), None)
    if forbidden is not None:
        raise NoAnswerError(Reason.REFUSED, NOT_PUBLIC(host=host, address=forbidden), certain=True)
    if addresses:
        kinds = {":" in address for address in addresses}
        return next((each for each in addresses if len(kinds) == 2 and routed(each)), addresses[0])
    failed = next((answer for answer in answers if isinstance(answer, Failed)), None)
    if failed is not None:
        raise NoAnswerError(failed.reason, failed.question)
    raise NoAnswerError(Reason.REFUSED, NO_ADDRESS(host=host), certain=True)
