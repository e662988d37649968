"""What DNSSEC comes to (RFC 4033 section 5), and whether a zone is signed at all, which shows without any signature."""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Answer, Failed, Found, Resolver, SigningResolver, unknown_from

DELEGATED = Code("dnssec-no-ds", ("zone",))

_MAX_ZONES = 4


class State(StrEnum):
    """What validation comes to."""

    SECURE = "secure"
    INSECURE = "insecure"
    """There is no chain of trust: nothing is signed, or not in a way that anybody could check."""
    BOGUS = "bogus"
    """There should be a valid signature, and there is none: validating resolvers answer SERVFAIL."""
    INDETERMINATE = "indeterminate"
    """Something that decides it could not be asked for."""


class Verdict(Struct, frozen=True):
    """The state of an answer; why it is not secure, and of an indeterminate one how the question failed."""

    state: State
    why: Detail | None = None
    reason: Reason | None = None

    @property
    def protects(self) -> bool | Unknown:
        """Whether DNSSEC protects the answer."""
        if self.state is State.INDETERMINATE:
            return Unknown(self.reason or Reason.SERVFAIL, self.why)
        return self.state is State.SECURE


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

    Signatures are not checked, and what a resolver says of its own checks (AD) counts for nothing.
    """
    labels = name.split(".")
    zones = [".".join(labels[start:]) for start in range(len(labels) - 1)][-_MAX_ZONES:] or [name]
    soas, delegations = await asyncio.gather(
        asyncio.gather(*(resolver.query(zone, "SOA") for zone in zones)),
        asyncio.gather(*(resolver.query(zone, "DS") for zone in zones)),
    )
    answers = (*soas, *delegations)
    for soa, ds in zip(soas, delegations, strict=True):
        if isinstance(ds, Found):
            return ZoneSigning(True, (soa, ds), answers)
        if isinstance(soa, Failed):
            return ZoneSigning(unknown_from(soa), (soa, ds), answers)
        if isinstance(soa, Found) and not soa.chain:
            return ZoneSigning(unknown_from(ds) if isinstance(ds, Failed) else False, (soa, ds), answers)
    # Only a public suffix is left above, or the name does not exist.
    return ZoneSigning(False, tuple(soas), answers)


NO_SIGNATURES = Code("dnssec-no-signatures")


async def protection(name: str, rdtype: str, zone: ZoneSigning, resolver: Resolver, now: datetime) -> Verdict:
    """Validate what stands under a name where its zone is said to be signed; else that there is no chain to it.

    Args:
        name: the name.
        rdtype: the type.
        zone: what is known of its zone.
        resolver: gives the signatures.
        now: the moment at which they must be valid.

    """
    if isinstance(zone.signed, Unknown):
        return Verdict(State.INDETERMINATE, zone.signed.detail, zone.signed.reason)
    if not zone.signed:
        return Verdict(State.INSECURE, DELEGATED(zone=zone.proof[0].name if zone.proof else name))
    if not isinstance(resolver, SigningResolver):
        return Verdict(State.INDETERMINATE, NO_SIGNATURES(), Reason.OFFLINE)
    # Loads dnspython and cryptography, which most audits need for nothing else.
    from deliverability.core.protocols.validation import Validator

    return await Validator(resolver.signed, now).verdict(name, rdtype)
