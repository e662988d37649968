"""What the domain sends: as the user said, else as the message or the domain's own records show.

Asks nothing of DNS itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Purpose, Reason, Unknown
from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.facts.domain import Domain, Sending
from deliverability.core.facts.envelope import Envelope, Forwarding, Identities
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import Spf
from deliverability.core.mail.marks import bulk_signs
from deliverability.core.mail.parts import header_evidence
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_within
from deliverability.engine.base import Context, auditor

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField


@auditor("purpose", Sending, needs=(Message, Forwarding, Envelope, Identities, Spf, Domain, Dmarc))
async def audit(ctx: Context) -> Sending:
    """State the purpose, on what it rests, and what follows from it."""
    declared = ctx.subject.purpose
    says_it_sends = bool(ctx.subject.daily_volume) or bool(ctx.subject.sending_ips)
    bulk = _bulk_signs(ctx)
    if declared is not None:
        return _sending(declared, "declared", sends=declared is not Purpose.PARKED)
    if bulk:
        cited = tuple(ctx.cite(header_evidence(each)) for each in bulk.values())
        return _sending(Purpose.BULK, "inferred", tuple(bulk), cited)
    if says_it_sends or _sent_from_it(ctx):
        return _sending(None, None, sends=says_it_sends)
    return _parked(ctx)


def _sending(
    purpose: Purpose | None,
    basis: Literal["declared", "inferred"] | None,
    signs: Maybe[tuple[str, ...]] = (),
    evidence: tuple[str, ...] = (),
    *,
    sends: bool | None = None,
) -> Sending:
    return Sending(
        purpose=purpose or Unknown(Reason.NOT_CONFIGURED, needs(Input.PURPOSE)),
        purpose_basis=basis,
        purpose_signs=signs,
        parked=purpose is Purpose.PARKED,
        sends=purpose not in (None, Purpose.PARKED) if sends is None else sends,
        evidence=cite(*evidence),
    )


def _bulk_signs(ctx: Context) -> dict[str, HeaderField]:
    """Marks of mail to many by code; a post to a list carries those of the list, which say nothing here."""
    message = ctx.message
    if message is None or ctx.of(Forwarding).discussion is not False:
        return {}
    own_list = ctx.of(Forwarding).list_owner == "own"

    return bulk_signs(message, own_list=own_list, automatic=ctx.of(Message).auto_submitted is not False)


def _sent_from_it(ctx: Context) -> bool:
    """Mail of the domain, or of a name below it, is at hand or its envelope was given: then it sends."""
    names = (ctx.of(Message).from_domain, ctx.of(Envelope).mail_from_domain)
    return any(isinstance(name, str) and is_within(name, ctx.subject.domain) for name in names)


def _parked(ctx: Context) -> Sending:
    """Parked where the domain's records say so twice; what could not be looked up leaves it open."""
    parked = ctx.of(Identities).sends_nothing
    evidence = (
        *ctx.evidence_of(Spf, "sends_nothing"),
        *ctx.evidence_of(Domain, "null_mx"),
        *ctx.evidence_of(Dmarc, "effective_policy"),
    )
    if isinstance(parked, Unknown):
        return Sending(
            purpose=parked,
            purpose_basis=parked,
            purpose_signs=parked,
            parked=parked,
            sends=False,
            evidence=cite(*evidence, sends=()),
        )
    if parked is not True:
        return _sending(None, None)
    spf, null_mx = ctx.of(Spf).sends_nothing, ctx.of(Domain).null_mx
    policy = ctx.of(Dmarc).effective_policy
    shown = {"spf-all-fails": spf is True, "null-mx": null_mx is True, "dmarc-reject": policy == "reject"}
    lost = next((each for each in (spf, null_mx, policy) if isinstance(each, Unknown)), None)
    signs = tuple(sign for sign, holds in shown.items() if holds)
    return _sending(Purpose.PARKED, "inferred", lost or signs, evidence)
