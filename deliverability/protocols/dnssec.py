"""Whether a zone is signed with DNSSEC, as far as that shows without checking signatures (RFC 4035)."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from deliverability.model.facts import Unknown
from deliverability.ports.base import Answer, Failed, Found, Resolver, unknown_from

_MAX_ZONES = 4


class ZoneSigning(Struct, frozen=True):
    """Whether the zone of a name is signed.

    Attributes:
        signed: Unknown where an answer that could decide it did not come.
        proof: the answers that decide it.
        answers: everything that was asked.

    """

    signed: bool | Unknown
    proof: tuple[Answer, ...]
    answers: tuple[Answer, ...]


async def zone_signing(name: str, resolver: Resolver) -> ZoneSigning:
    """Whether the zone of a name is signed: its apex, the closest name with a SOA record, has DS in the zone above.

    Signatures are not checked. A resolver that validated the SOA answer (AD) proves as much by itself.
    """
    labels = name.split(".")
    zones = [".".join(labels[start:]) for start in range(len(labels) - 1)][-_MAX_ZONES:] or [name]
    soas, delegations = await asyncio.gather(
        asyncio.gather(*(resolver.query(zone, "SOA") for zone in zones)),
        asyncio.gather(*(resolver.query(zone, "DS") for zone in zones)),
    )
    answers = (*soas, *delegations)
    for soa, ds in zip(soas, delegations, strict=True):
        if isinstance(ds, Found) or (isinstance(soa, Found) and soa.authenticated):
            return ZoneSigning(True, (soa, ds), answers)
        if isinstance(soa, Failed):
            return ZoneSigning(unknown_from(soa), (soa, ds), answers)
        if isinstance(soa, Found) and not soa.chain:
            return ZoneSigning(unknown_from(ds) if isinstance(ds, Failed) else False, (soa, ds), answers)
    # Only a public suffix is left above, or the name does not exist.
    return ZoneSigning(False, tuple(soas), answers)
