"""What the receiving system recorded of SPF, DKIM and DMARC, beside our own results.

A contradiction is no fault by itself: the receiver judged the message and the DNS as they were then.
RFC 8601, RFC 7208 section 9.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import DmarcVerdict
from deliverability.core.facts.envelope import ContraryResult, Envelope, Recorded
from deliverability.core.facts.message import Message as MessageFacts
from deliverability.core.facts.spf import SpfVerdict
from deliverability.core.mail.addresses import to_a_label
from deliverability.core.mail.hop import AuthenticationField, delivery
from deliverability.core.mail.parts import header_evidence
from deliverability.core.mail.received import AuthenticationResults, AuthResult, ReceivedSpf
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.base import Context, auditor

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField, Message


# Results that say the same have one word. Others, like temperror, tell nothing of the message and contradict nothing;
# neutral must be treated like none (RFC 7208 section 2.6.2).
_CLASSES: Mapping[str, Mapping[str, str]] = {
    "spf": {
        "pass": "pass",
        "fail": "fail",
        "hardfail": "fail",
        "softfail": "softfail",
        "neutral": "none",
        "none": "none",
        "permerror": "permerror",
    },
    "dkim": {
        "pass": "pass",
        "fail": "fail",
        "hardfail": "fail",
        "neutral": "fail",
        "policy": "fail",
        "permerror": "fail",
        "none": "none",
    },
    "dmarc": {"pass": "pass", "fail": "fail", "none": "none", "bestguesspass": "none"},
}
_ALTERED = {"body-changed", "header-changed"}
_OTHER_KEY = {"key-missing", "key-revoked", "key-invalid", "key-multiple", "key-too-small", "key-mismatch"}
_SPF_NAMES = ("smtp.mailfrom", "smtp.mail", "smtp.mfrom", "smtp.helo")


class RecordedResult(Struct, frozen=True):
    """One result that the receiver recorded.

    Attributes:
        result: in lower case, as recorded.
        field: where.
        domain: the domain it was got for, as A-label: of MAIL FROM or HELO, of the signature, of From.
        guessed: it was not got from a published record.

    """

    result: str
    field: HeaderField
    domain: str | None = None
    guessed: bool = False


class RecordedResults(Struct, frozen=True):
    """What the receiver recorded: who, the client address with its field, and the results by method."""

    by: str | None
    ip: str | None
    fields: tuple[HeaderField, ...]
    results: Mapping[str, RecordedResult]


@auditor("recorded", Recorded, needs=(MessageFacts, Envelope, SpfVerdict, Dkim, DmarcVerdict), of_message=True)
async def audit(ctx: Context) -> Recorded:
    """State what the receiver recorded, and where our results differ."""
    # What came to our own server has been at no receiver; what it bears of that kind is of another journey.
    found = RecordedResults(None, None, (), {}) if ctx.subject.envelope else read_recorded(ctx.the_message)
    ids = {field: ctx.cite(header_evidence(field)) for field in found.fields}
    results = {method: each.result for method, each in found.results.items()}
    spf = found.results.get("spf")
    of_method = {method: (ids[each.field],) for method, each in found.results.items()}
    return Recorded(
        by=found.by,
        spf=results.get("spf"),
        dkim=results.get("dkim"),
        dmarc=results.get("dmarc"),
        compauth=results.get("compauth"),
        spf_domain=spf.domain if spf else None,
        ip=found.ip,
        differences=_differences(ctx, found),
        evidence=cite(*ids.values(), **of_method, **({"spf_domain": of_method["spf"]} if spf else {})),
    )


def read_recorded(message: Message) -> RecordedResults:
    """What the last receiver of a message recorded in Authentication-Results and Received-SPF."""
    came = delivery(message.headers, known_registrable_domain)
    stated = [(each, each.content) for each in came.records if isinstance(each.content, AuthenticationResults)]
    first = stated[0][0].by if stated else ""
    results = [
        (result, record.field)
        for record, authentication in stated
        if _same_owner(record.by, first)
        for result in authentication.results
    ]
    of_spf = [each for each in came.records if isinstance(each.content, ReceivedSpf)]
    server = came.hop[1].by if came.hop else None
    by = next((name for name in (first, *(each.by for each in of_spf), server) if name), None)
    by_method: dict[str, RecordedResult] = {}
    for method, best in (("spf", _best_spf), ("dkim", _best_dkim), ("dmarc", _first), ("compauth", _first)):
        every = [(result, field) for result, field in results if result.method == method]
        # Of several fields that tell a method the first: what follows may have come with the mail.
        candidates = [(result, field) for result, field in every if field is every[0][1]]
        if candidates:
            by_method[method] = best(candidates)
    if of_spf:
        by_method.setdefault("spf", _of_received_spf(of_spf))
    return RecordedResults(
        by if came.records else None,
        came.recorded.ip if came.recorded else None,
        tuple(each.field for each in came.records),
        by_method,
    )


def meaning(method: str, result: str) -> str | None:
    """What a result says of the message, in one word for all spellings; None where it says nothing, as temperror."""
    return _CLASSES[method].get(result)


def _same_owner(name: str, other: str) -> bool:
    """Some, like iCloud, have one authserv-id a method; others write all fields under one."""
    return name == other or (
        (owner := known_registrable_domain(name)) is not None and owner == known_registrable_domain(other)
    )


def _first(candidates: list[tuple[AuthResult, HeaderField]]) -> RecordedResult:
    result, field = candidates[0]
    return RecordedResult(result.result, field, _domain(result, ("header.from",)))


def _best_dkim(candidates: list[tuple[AuthResult, HeaderField]]) -> RecordedResult:
    result, field = next((each for each in candidates if each[0].result == "pass"), candidates[0])
    return RecordedResult(result.result, field, _domain(result, ("header.d", "header.i")))


def _best_spf(candidates: list[tuple[AuthResult, HeaderField]]) -> RecordedResult:
    """The result for MAIL FROM, where there are several."""
    result, field = next((each for each in candidates if "smtp.mailfrom" in each[0].properties), candidates[0])
    return RecordedResult(result.result, field, _domain(result, _SPF_NAMES), "best guess" in result.comment.lower())


def _of_received_spf(records: list[AuthenticationField]) -> RecordedResult:
    """The field for MAIL FROM; others are for HELO."""
    read = [(each.content, each.field) for each in records if isinstance(each.content, ReceivedSpf)]
    received_spf, field = next(
        (each for each in read if each[0].pairs.get("identity", "mailfrom") in ("mailfrom", "mfrom")), read[0]
    )
    names = (received_spf.pairs.get("envelope-from"), received_spf.pairs.get("helo"))
    return RecordedResult(
        received_spf.result, field, next((domain for name in names if (domain := _domain_of(name))), None)
    )


def _domain(result: AuthResult, names: tuple[str, ...]) -> str | None:
    return next((domain for name in names if (domain := _domain_of(result.properties.get(name)))), None)


def _domain_of(address: str | None) -> str | None:
    return to_a_label(address.strip("<>").rpartition("@")[2]) if address else None


def _differences(ctx: Context, found: RecordedResults) -> Maybe[tuple[ContraryResult, ...]]:
    """The contradictions; Unknown where there is none and a result of ours that could be one is unknown."""
    reasons: dict[str, str] = {}
    differences: list[ContraryResult] = []
    lost: Unknown | None = None
    for method in _CLASSES:
        result = found.results.get(method)
        theirs = meaning(method, "none" if result.guessed else result.result) if result else None
        if result is None or theirs is None:
            continue
        ours = _ours(ctx, method, found.ip)
        if isinstance(ours, Unknown):
            lost = lost or ours
        elif (own := meaning(method, ours)) is not None and own != theirs:
            reasons[method] = _reason(ctx, found, method, result, own, theirs, reasons)
            differences.append(ContraryResult(method=method, recorded=result.result, ours=ours, reason=reasons[method]))
    return lost if lost and not differences else tuple(differences)


def _ours(ctx: Context, method: str, ip: str | None) -> Maybe[str]:
    """Our result; of SPF that for the recorded address where it is among several given, else the one that stands."""
    if method == "dkim":
        return ctx.of(Dkim).result
    if method == "dmarc":
        return ctx.of(DmarcVerdict).result
    spf = ctx.of(SpfVerdict)
    return next((each.result for each in if_known(spf.results) or () if each.ip == ip), spf.result)


def _reason(
    ctx: Context,
    found: RecordedResults,
    method: str,
    seen: RecordedResult,
    ours: str,
    theirs: str,
    others: Mapping[str, str],
) -> str:
    """The likely reason of a contradiction; `others` are those of the methods before it."""
    if method == "spf":
        spf = ctx.of(SpfVerdict)
        addresses = [each.ip for each in if_known(spf.results) or ()]
        if found.ip is not None and found.ip not in (if_known(ctx.of(Envelope).ip), *addresses):
            return "other-identity"
        if seen.domain is None:
            return "unknown"
        return "record-changed" if seen.domain == spf.result_domain else "other-identity"
    if method == "dkim":
        return _reason_of_dkim(ctx, seen, ours, theirs)
    if seen.domain is not None and seen.domain != ctx.of(MessageFacts).from_domain:
        return "other-identity"
    if "none" in (ours, theirs):
        return "record-changed"
    return others.get("dkim", others.get("spf", "unknown"))


def _reason_of_dkim(ctx: Context, seen: RecordedResult, ours: str, theirs: str) -> str:
    signatures = if_known(ctx.of(Dkim).signatures) or ()
    same = [each for each in signatures if each.domain == seen.domain]
    if theirs == "fail" and ours == "pass":
        return "key-rotated" if same or seen.domain is None else "other-identity"
    if theirs != "pass":
        return "unknown"
    if ours == "none" or (seen.domain is not None and not same):
        return "forwarded"  # a list or a forwarder dropped the signature
    problems = {
        problem for each in same or signatures for problem in (each.reasons if isinstance(each.reasons, tuple) else ())
    }
    if problems & _ALTERED:
        return "forwarded"
    return "key-rotated" if problems & _OTHER_KEY else "unknown"
