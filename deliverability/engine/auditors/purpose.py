"""What the user said about the domain, what it sends, and whether its kinds of mail share what sends them.

What it sends is as the user said, else as the message or the domain's own records show. Which kind each sample message
is shows whether newsletters and transactional mail share what sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, Purpose, Reason, SampleSeen, Unknown, Waiver
from deliverability.core.facts.dmarc import Dmarc
from deliverability.core.facts.domain import AcceptedFinding, Declared, Domain, Sending
from deliverability.core.facts.envelope import Envelope, Forwarding, Identities, Kind, Streams, StreamSample
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import Spf
from deliverability.core.mail.marks import bulk_signs
from deliverability.core.mail.parts import header_evidence
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_within
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField


@auditor("subject", Declared)
async def subject_audit(ctx: Context) -> Declared:
    """State the subject's own fields; what was not given is Unknown(not-configured)."""
    subject = ctx.subject
    today = ctx.now.date().isoformat()
    volume = subject.daily_volume
    return Declared(
        domain=subject.domain,
        daily_volume=Unknown(Reason.NOT_CONFIGURED, needs(Input.DAILY_VOLUME)) if volume is None else volume,
        waivers=tuple(_accepted(each, today) for each in subject.waivers if each.domain in ("", subject.domain)),
    )


def _accepted(waiver: Waiver, today: str) -> AcceptedFinding:
    return AcceptedFinding(
        rule=waiver.rule,
        item=waiver.item or None,
        reason=waiver.reason,
        note=waiver.note or None,
        until=waiver.until or None,
        expired=bool(waiver.until) and waiver.until < today,
        used=None,
    )


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


_KINDS: Mapping[Purpose, Kind] = {
    Purpose.USERS: "users",
    Purpose.BULK: "bulk",
    Purpose.TRANSACTIONAL: "transactional",
}
_NO_SAMPLES = Unknown(Reason.NOT_CONFIGURED, needs(Input.SAMPLES))


@auditor("streams", Streams)
async def streams_audit(ctx: Context) -> Streams:
    """State what the samples tell; without one of each kind, what is shared waits for them."""
    samples = ctx.subject.samples
    if not samples:
        return Streams.lost(Unknown(Reason.NO_MESSAGE) if ctx.message is None else _NO_SAMPLES)
    home = registrable_domain(ctx.subject.domain)
    addresses = ([each.address] if each.address else [] for each in samples)
    signers = ([name for name in each.signers if is_within(name, home)] for each in samples)
    return Streams(
        samples=tuple(map(_record, samples)),
        bulk=tuple(each.name for each in samples if each.purpose is Purpose.BULK),
        transactional=tuple(each.name for each in samples if each.purpose is Purpose.TRANSACTIONAL),
        shared_addresses=_shared(samples, addresses, needed=True),
        shared_signers=_shared(samples, signers, needed=False),
        evidence=cite(*[ctx.cite(_evidence(each)) for each in samples]),
    )


def _record(sample: SampleSeen) -> StreamSample:
    return StreamSample(
        name=sample.name,
        purpose=_KINDS[sample.purpose] if sample.purpose else None,
        basis=("declared" if sample.by_user else "inferred") if sample.purpose else None,
        signs=sample.signs,
        address=sample.address or None,
        signers=sample.signers,
    )


def _shared(samples: Iterable[SampleSeen], values: Iterable[list[str]], *, needed: bool) -> Maybe[tuple[str, ...]]:
    """What bulk and transactional messages have in common; `needed`: a message without a value tells nothing."""
    found: dict[Purpose, dict[str, None]] = {}
    for sample, own in zip(samples, values, strict=True):
        if sample.purpose is not None and (own or not needed):
            found.setdefault(sample.purpose, {}).update(dict.fromkeys(own))
    bulk, transactional = found.get(Purpose.BULK), found.get(Purpose.TRANSACTIONAL)
    if bulk is None or transactional is None:
        return _NO_SAMPLES
    return tuple(each for each in bulk if each in transactional)


def _evidence(sample: SampleSeen) -> Evidence:
    """What of its header counts here: the address, and who signed; the subject's own header is cited elsewhere."""
    return Evidence(f"sample:{sample.name}", EvidenceKind.HEADER, sample.name, tuple(_lines(sample)))


def _lines(sample: SampleSeen) -> Iterator[str]:
    if sample.address:
        yield sample.address
    yield from (f"d={each}" for each in sample.signers)
