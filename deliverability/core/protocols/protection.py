"""Whether DNSSEC protects an answer: nobody is asked for a signature where the zone is not signed."""

from __future__ import annotations

from datetime import datetime

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Resolver, SigningResolver
from deliverability.core.protocols.dnssec import DELEGATED, State, Verdict, ZoneSigning

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
