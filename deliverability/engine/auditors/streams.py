"""Which kinds of mail the sample messages are, and whether newsletters and transactional mail share what sends them.

Asks nothing. Messages do not prove that nothing else is shared, only that these two kinds of mail were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, Purpose, Reason, SampleSeen, Unknown
from deliverability.core.facts.envelope import Kind, Streams, StreamSample
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_within
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor

_KINDS: Mapping[Purpose, Kind] = {
    Purpose.USERS: "users",
    Purpose.BULK: "bulk",
    Purpose.TRANSACTIONAL: "transactional",
}
_NO_SAMPLES = Unknown(Reason.NOT_CONFIGURED, needs(Input.SAMPLES))


@auditor("streams", Streams)
async def audit(ctx: Context) -> Streams:
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
