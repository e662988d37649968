"""Which kinds of mail the sample messages are, and whether newsletters and transactional mail share what sends them.

Asks nothing. Messages do not prove that nothing else is shared, only that these two kinds of mail were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, FactType, Purpose, Reason, SampleSeen, Unknown, Value
from deliverability.core.names import is_within
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor, spec

_KINDS = (Purpose.USERS, Purpose.BULK, Purpose.TRANSACTIONAL)

PROVIDES = (
    spec(
        "streams.samples",
        FactType.LIST_RECORD,
        "The messages of the domain in this run, where there are several.",
        key=["name"],
    ),
    spec("streams.samples[].name", FactType.STR, "The message, as the report or the settings name it."),
    spec(
        "streams.samples[].purpose",
        FactType.STR,
        "What kind of mail it is; none where nobody said so and its marks do not tell.",
        optional=True,
        values=[each.value for each in _KINDS],
    ),
    spec(
        "streams.samples[].basis",
        FactType.STR,
        "Whether the user says so (declared) or its marks show it (inferred); none where neither does.",
        optional=True,
        values=["declared", "inferred"],
    ),
    spec(
        "streams.samples[].signs",
        FactType.LIST_STR,
        "Those marks. Bulk: list-unsubscribe, list-id, precedence-bulk, feedback-id; transactional: auto-generated.",
    ),
    spec(
        "streams.samples[].address",
        FactType.STR,
        "Address that its receiver took it from; none where it does not tell.",
        optional=True,
    ),
    spec("streams.samples[].signers", FactType.LIST_STR, "Domains of its signatures (d=)."),
    spec("streams.bulk", FactType.LIST_STR, "Those that are bulk mail, by name."),
    spec("streams.transactional", FactType.LIST_STR, "Those that are transactional mail, by name."),
    spec(
        "streams.shared_addresses",
        FactType.LIST_STR,
        "Addresses that sent both bulk and transactional mail; unknown without a message of each that tells its own.",
    ),
    spec(
        "streams.shared_signers",
        FactType.LIST_STR,
        "Domains of the domain's own organization that signed both bulk and transactional mail; unknown without a "
        "message of each.",
    ),
)
_PATHS = tuple(each.path for each in PROVIDES if "[]" not in each.path)
_NO_SAMPLES = Unknown(Reason.NOT_CONFIGURED, needs(Input.SAMPLES))


@auditor("streams", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """State what the samples tell; without one of each kind, what is shared waits for them."""
    samples = ctx.subject.samples
    if not samples:
        ctx.put_all(dict.fromkeys(_PATHS, Unknown(Reason.NO_MESSAGE) if ctx.message is None else _NO_SAMPLES))
        return
    cited = [ctx.cite(_evidence(each)) for each in samples]
    ctx.put("streams.samples", tuple(map(_record, samples)), *cited)
    for kind in (Purpose.BULK, Purpose.TRANSACTIONAL):
        names = tuple(each.name for each in samples if each.purpose is kind)
        ctx.put(f"streams.{kind.value}", names, *cited)
    home = registrable_domain(ctx.subject.domain)
    addresses = ([each.address] if each.address else [] for each in samples)
    signers = ([name for name in each.signers if is_within(name, home)] for each in samples)
    ctx.put("streams.shared_addresses", _shared(samples, addresses, needed=True), *cited)
    ctx.put("streams.shared_signers", _shared(samples, signers, needed=False), *cited)


def _record(sample: SampleSeen) -> Value:
    return {
        "name": sample.name,
        "purpose": sample.purpose.value if sample.purpose else None,
        "basis": ("declared" if sample.by_user else "inferred") if sample.purpose else None,
        "signs": sample.signs,
        "address": sample.address or None,
        "signers": sample.signers,
    }


def _shared(samples: Iterable[SampleSeen], values: Iterable[list[str]], *, needed: bool) -> Value:
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
