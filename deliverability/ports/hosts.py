"""Which address of a host to connect to: the audited DNS chooses it, perhaps to attack us."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from deliverability.model.codes import Code, Detail
from deliverability.model.facts import Reason
from deliverability.ports.base import Failed, Found, Resolver

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
