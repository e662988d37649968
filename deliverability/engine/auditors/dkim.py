"""DKIM: the signatures of the message and the published keys."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypedDict

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import SELECTOR, Code
from deliverability.core.facts.base import Evidence, EvidenceKind, KeySeen, Reason, Unknown, Value
from deliverability.core.facts.dkim import Dkim, DkimKey, DkimSignature, DkimStatus, FailedProbe, FoundBy
from deliverability.core.facts.message import Message
from deliverability.core.model.knowledge import Measures
from deliverability.core.model.topic import Maybe, cite
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.dkim.canonical import value_on_the_wire
from deliverability.core.protocols.dkim.key import KeyRecord, choose_key
from deliverability.core.protocols.dkim.signature import Signature, parse_signature
from deliverability.core.protocols.dkim.verify import DkimResult, verify_message
from deliverability.core.protocols.dkim.weak import Weakness, weakness
from deliverability.core.protocols.dmarc.evaluate import Result, discover_homes
from deliverability.engine.auditors.selectors import Asked, Keys, ask_keys, leads_nowhere, name_of, no_such_name
from deliverability.engine.base import Context, auditor

SIGNATURES_FIRST = Code("signatures-first", ("n", "all"))
PROBES_MISSED = Code("selectors", ("n",))
PROBES_FAILED = Code("selectors-failed", ("n", "m", "why"))
NO_NAME_BELOW = Code("selectors-none", ("n", "name"))

MAX_LISTED = 50
"""Signatures listed; those beyond the ones verified are listed as unknown(limit)."""

MAX_REPORTED = 50
"""Selectors that are taken from reports."""


@auditor("dkim", Dkim, needs=(Message,))
async def audit(ctx: Context) -> Dkim:
    """DKIM: the signatures of the message and the published keys."""
    message = ctx.message
    fields = message.fields("dkim-signature") if message is not None else ()
    signatures = [parse_signature(value_on_the_wire(field)) for field in fields[:MAX_LISTED]]
    author = ctx.of(Message).from_domain if message is not None else None
    signers = list(dict.fromkeys(signature.domain for signature in signatures if signature.domain))
    results, organizations, keys = await asyncio.gather(
        verify_message(message, ctx.ports.dns, ctx.now) if message is not None else _nothing(),
        _organizations(author, signers, ctx.ports.dns),
        ask_keys(ctx, _named(ctx, signatures)),
    )
    verified = _Verified.lost(Unknown(Reason.NO_MESSAGE))
    if message is not None:
        aligned = [_aligned(signature.domain, author, organizations) for signature in signatures]
        verified = _verified(ctx, len(fields), signatures, results, aligned)
    return _stated(ctx, verified, keys)


class _Verified(Struct, frozen=True):
    """What is stated of the signatures."""

    count: Maybe[int]
    result: Maybe[DkimStatus | Literal["none"]]
    aligned_pass: Maybe[bool]
    passing_key_types: Maybe[tuple[str, ...]]
    signatures: Maybe[tuple[DkimSignature, ...]]
    evidence: tuple[str, ...] = ()

    @classmethod
    def lost(cls, why: Unknown) -> _Verified:
        return cls(why, why, why, why, why)


async def _nothing() -> list[DkimResult]:
    return []


def _verified(
    ctx: Context,
    count: int,
    signatures: Sequence[Signature],
    results: Sequence[DkimResult],
    aligned: Sequence[bool | Unknown | None],
) -> _Verified:
    cited: list[str] = []
    for result in results:
        cited.append(_cite_header(ctx, result))
        if result.answer is not None:
            cited.append(ctx.cite_answer(result.answer))
    limit = Unknown(Reason.LIMIT, SIGNATURES_FIRST(n=len(results), all=count))
    verified = list(zip(results, aligned, strict=False))
    items = [_signature(result, each, ctx.knowledge.measures) for result, each in verified]
    items += [
        _unverified(signature, each, limit)
        for signature, each in zip(signatures[len(results) :], aligned[len(results) :], strict=True)
    ]
    passing = [(result, each) for result, each in verified if result.result is DkimStatus.PASS]
    # Signatures that may pass or not, with the reason: key not looked up, body not there, limit.
    doubts = [(lost, each) for result, each in verified if (lost := result.unsettled)]
    doubts += [(limit, None)] if count > len(results) else []
    types = tuple(dict.fromkeys(result.key.type for result, _ in passing if result.key is not None))
    aligned_pass: Maybe[bool] = any(each is True for _, each in passing)
    if not aligned_pass:
        maybe = [each for _, each in passing if isinstance(each, Unknown)]
        maybe += [lost for lost, each in doubts if each is not False]
        aligned_pass = maybe[0] if maybe else False
    return _Verified(
        count=count,
        result=_best_result(results, limit if count > len(results) else None),
        aligned_pass=aligned_pass,
        passing_key_types=doubts[0][0] if doubts else types,
        signatures=tuple(items),
        evidence=tuple(cited),
    )


def _best_result(results: Sequence[DkimResult], limit: Unknown | None) -> Maybe[DkimStatus | Literal["none"]]:
    """The best result; Unknown where a signature that could not be verified (no key, no body) could be better."""
    statuses = {result.result for result in results}
    best = next((status for status in _BEST_FIRST if status in statuses), None)
    if best is DkimStatus.PASS:
        return best
    lost = next((unknown for result in results if (unknown := result.unsettled)), None)
    return limit or lost or best or "none"


_BEST_FIRST = (DkimStatus.PASS, DkimStatus.TEMPERROR, DkimStatus.FAIL, DkimStatus.PERMERROR)


def _cite_header(ctx: Context, result: DkimResult) -> str:
    name = ctx.subject.message_name or "the message"
    return ctx.cite(
        Evidence(
            f"header:dkim-signature:{result.index}",
            EvidenceKind.HEADER,
            f"DKIM-Signature {result.index} of {name}",
            tuple(f"DKIM-Signature:{result.field}".rstrip("\r\n").split("\r\n")),
        )
    )


def _signature(result: DkimResult, aligned: bool | Unknown | None, measures: Measures) -> DkimSignature:
    unsigned = tuple(name for name in measures.signed_fields if name in result.unsigned_headers)
    answer, key = result.answer, result.key
    lost = unknown_from(answer) if isinstance(answer, Failed) else None
    # Without the body nothing can be said of the result.
    bodiless = result.unsettled if result.body_missing else None
    return DkimSignature(
        **_tags(result.signature),
        key_type=lost or _defined_type(key),
        bits=lost or (key.bits if key else None),
        testing=lost or (key.testing if key else None),
        revoked=lost or (key.revoked if key else None),
        key_count=lost or (None if answer is None else len(_values(answer))),
        key_allows=lost or result.key_allows,
        alias=lost or _alias(answer),
        result=bodiless or result.result,
        reason=bodiless or result.reason,
        reasons=bodiless or result.reasons,
        errors=bodiless or result.details,
        changed_headers=result.changed_headers,
        aligned=aligned,
        from_signed=result.from_signed,
        unsigned_headers=unsigned,
        unsigned_core=tuple(name for name in unsigned if name in measures.signed_core),
        unsigned_list=tuple(name for name in unsigned if name in measures.signed_one_click),
        from_oversigned=result.from_oversigned,
        unsigned_body_octets=bodiless or result.unsigned_body_octets,
        expired=result.expired,
    )


def _unverified(signature: Signature, aligned: bool | Unknown | None, limit: Unknown) -> DkimSignature:
    """One beyond the number that is verified."""
    signed = "from" in signature.signed_headers
    return DkimSignature.lost(limit, **_tags(signature), aligned=aligned, from_signed=signed)


class _Tags(TypedDict):
    domain: str | None
    selector: str | None
    key_name: str | None
    identity: str | None
    algorithm: str | None
    canonicalization: str
    signed_headers: tuple[str, ...]
    body_length_limit: int | None
    timestamp: int | None
    expires: int | None
    lifetime_seconds: int | None


def _tags(signature: Signature) -> _Tags:
    """What the field itself says."""
    lifetime = None
    if signature.timestamp is not None and signature.expires is not None:
        lifetime = signature.expires - signature.timestamp
    return {
        "domain": signature.domain,
        "selector": signature.selector,
        "key_name": signature.key_name,
        "identity": signature.identity,
        "algorithm": signature.algorithm,
        "canonicalization": signature.canonicalization,
        "signed_headers": signature.signed_headers,
        "body_length_limit": signature.body_length,
        "timestamp": signature.timestamp,
        "expires": signature.expires,
        "lifetime_seconds": lifetime,
    }


def _alias(answer: Answer | None) -> str | None:
    return answer.chain[0] if isinstance(answer, Found | Absent) and answer.chain else None


def _values(answer: Answer) -> tuple[str, ...]:
    return answer.values if isinstance(answer, Found) else ()


def _defined_type(key: KeyRecord | None) -> Literal["rsa", "ed25519"] | None:
    match key.type if key else None:
        case "rsa" | "ed25519" as known:
            return known
    return None


async def _organizations(author: Value, signers: Sequence[str], resolver: Resolver) -> dict[str, Result]:
    """The organizational domain of the author domain and of every signing domain that differs from it."""
    domains = [signer for signer in signers if signer != author]
    if not isinstance(author, str) or not domains:
        return {}
    _, ours, theirs = await discover_homes(author, domains, resolver)
    return {author: ours, **dict(zip(domains, theirs, strict=True))}


def _aligned(signer: str | None, author: Value, organizations: Mapping[str, Result]) -> bool | Unknown | None:
    """Relaxed alignment (RFC 9989 section 4.4); None where either domain is missing."""
    if isinstance(author, Unknown):
        return author
    if not isinstance(author, str) or signer is None:
        return None
    if signer == author:
        return True
    ours, theirs = organizations[author], organizations[signer]
    if isinstance(ours, Unknown):
        return ours
    return theirs if isinstance(theirs, Unknown) else ours == theirs


def _named(ctx: Context, signatures: Sequence[Signature]) -> dict[tuple[str, str], FoundBy]:
    """Domain and selector of the keys that are named, with what names them first."""
    domain = ctx.subject.domain
    named: dict[tuple[str, str], FoundBy] = {}
    for signature in signatures:
        if signature.domain and signature.selector and signature.key_name:
            named.setdefault((signature.domain, signature.selector), "message")
    for selector in ctx.subject.selectors:
        named.setdefault((domain, selector.strip().rstrip(".").lower()), "option")
    for key in _reported(ctx):
        named.setdefault(key, "report")
    return named


def _stated(ctx: Context, verified: _Verified, found: Keys) -> Dkim:
    """What is stated of the signatures, and of the keys of named and guessed selectors."""
    asked, stray = found.asked, found.stray
    today = ctx.now.astimezone(UTC).date()
    gone = [
        each for each in asked if each.found_by == "report" and not (each.present or isinstance(each.answer, Failed))
    ]
    # A guess that could not be asked for is listed where an earlier run found a key there: it may still be there. A key
    # that signed some time ago may have been taken away since, as it should be.
    seen = ctx.subject.keys_seen
    known = {(each.domain, each.selector) for each in seen}
    listed = [
        each
        for each in asked
        if each not in gone
        and (
            each.found_by != "probe"
            or (isinstance(each.answer, Failed) and (each.domain, each.selector) in known)
            or found.is_distinct(each)
        )
    ]
    cited = [ctx.cite_answer(each.answer) for each in listed]
    keys = [_key(each, ctx, today) for each in listed]
    lost = next((unknown_from(each.answer) for each in asked if isinstance(each.answer, Failed)), None)
    found_keys, keys_evidence = (
        (_with_twins(keys, seen, lost), tuple(cited)) if keys else _no_keys(ctx, found.guesses, stray)
    )
    parent = found.parent
    dangling = _dangling(found, ctx.subject.domain)
    published, published_evidence = _published(ctx, parent, asked, listed)
    return Dkim(
        signature_count=verified.count,
        result=verified.result,
        aligned_pass=verified.aligned_pass,
        passing_key_types=verified.passing_key_types,
        signatures=verified.signatures,
        keys=found_keys,
        published=published,
        domainkey_exists=unknown_from(parent) if isinstance(parent, Failed) else not no_such_name(parent),
        dangling=tuple(each.name for each in dangling),
        wildcard=unknown_from(stray) if isinstance(stray, Failed) else isinstance(stray, Found),
        guessed=tuple(each.selector for each in found.guesses),
        unpublished=tuple(name_of(each.domain, each.selector) for each in gone),
        failed_probes=tuple(
            FailedProbe(selector=each.selector, reason=each.answer.reason.value)
            for each in found.guesses
            if isinstance(each.answer, Failed)
        ),
        evidence=cite(
            *verified.evidence,
            keys=keys_evidence,
            published=published_evidence,
            domainkey_exists=(ctx.cite_answer(parent),),
            dangling=tuple(ctx.cite_answer(each) for each in dangling),
            wildcard=(ctx.cite_answer(stray),),
            guessed=(),
            unpublished=(),
            failed_probes=(),
        ),
    )


def _dangling(found: Keys, domain: str) -> list[Answer]:
    """Answers for names of keys that are a CNAME to a name that does not exist; of a wildcard the first one."""
    every = [each.answer for each in found.asked if leads_nowhere(each.answer) and _related(each.domain, domain)]
    return every[:1] if leads_nowhere(found.stray) else every


def _reported(ctx: Context) -> list[tuple[str, str]]:
    """Domain and selector of signatures that passed for the domain by trusted reports, those of most mail first."""
    domain, counts = ctx.subject.domain, Counter[tuple[str, str]]()
    for facet, messages in ctx.subject.observed.rows.by_facet().items() if ctx.subject.observed else ():
        for each in facet.dkim:
            if each.result == "pass" and each.selector and _related(each.domain, domain):
                counts[each.domain, each.selector] += messages
    return [key for key, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MAX_REPORTED]]


def _no_keys(
    ctx: Context, guesses: Sequence[Asked], stray: Answer
) -> tuple[Maybe[tuple[DkimKey, ...]], tuple[str, ...]]:
    """Nothing is to be listed: that there is no key is proven by the answers to all guesses, and by no less."""
    failed = next(((each.selector, each.answer) for each in guesses if isinstance(each.answer, Failed)), None)
    if failed is None and isinstance(stray, Failed) and any(each.present for each in guesses):
        failed = ("*", stray)  # what was found may be a wildcard's
    if failed is None:
        return (), ()
    selector, answer = failed
    return Unknown(answer.reason, SELECTOR(name=selector)), (ctx.cite_answer(answer),)


_FIRST_YEAR = 2005
"""DomainKeys, the forerunner, was deployed from then on."""

# A word of a selector that is nothing but a date with letters around it; other digits are numbers.
_DATE = re.compile(r"[a-z]{0,20}([0-9]{8}|[0-9]{6}|[0-9]{14})[a-z]{0,20}")
# Month and year; four digits elsewhere are as often a size (s1024).
_SPARKPOST = re.compile(r"scph([0-9]{2})([0-9]{2})")


def selector_date(selector: str, today: date) -> tuple[str, int] | None:
    """The date that a selector's name carries, and its age in days; None where it carries none for certain.

    Known are YYYYMMDD (``20230601``, ``s20150108``), YYYYMM (``202306``), YYYYMMDDhhmmss (``20230913174421pm`` of
    Postmark) and the MMYY of SparkPost (``scph0920``), from 2005 to today. Without a day the date is ``YYYY-MM`` and
    the age counts from the end of that month, so that it is never overstated.
    """
    words = re.split(r"[._-]", selector.lower())
    found = {dated for word in words if (dated := _dated(word, today)) is not None}
    return found.pop() if len(found) == 1 else None


def _dated(word: str, today: date) -> tuple[str, int] | None:
    sparkpost, plain = _SPARKPOST.fullmatch(word), _DATE.fullmatch(word)
    digits = f"20{sparkpost[2]}{sparkpost[1]}" if sparkpost else plain[1] if plain else ""
    try:
        if len(digits) == 6:
            first = date(int(digits[:4]), int(digits[4:]), 1)
        elif len(digits) == 14:
            first = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).date()
        else:
            first = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    if first.year < _FIRST_YEAR or first > today:
        return None
    if len(digits) != 6:
        return first.isoformat(), (today - first).days
    if not sparkpost and first.year <= 2012:
        return None  # 200608 may be August 2006 as well as 8 June 2020
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first.isoformat()[:7], max(0, (today - last).days)


def _key(asked: Asked, ctx: Context, today: date) -> DkimKey:
    answer = asked.answer
    lost = unknown_from(answer) if isinstance(answer, Failed) else None
    dated = selector_date(asked.selector, today)
    key = choose_key(asked.values)[0]
    fingerprint = hashlib.sha256(key.material).hexdigest() if key and key.material else None
    this = (asked.domain, asked.selector, fingerprint)
    earlier = [each for each in ctx.subject.keys_seen if (each.domain, each.selector, each.fingerprint) == this]
    first = earlier[0].first_seen[:10] if earlier else None
    known, age = _known_since(dated, first, today)
    weak = weakness(key.type, key.material) if key else Weakness()
    # An exponent beyond what facts hold as a number is told by its length.
    exponent = weak.exponent if weak.exponent is not None and weak.exponent < 1 << 53 else None
    return DkimKey(
        domain=asked.domain,
        selector=asked.selector,
        name=name_of(asked.domain, asked.selector),
        found_by=asked.found_by,
        used=None if ctx.message is None else asked.found_by == "message",
        own=_related(asked.domain, ctx.subject.domain),
        selector_date=dated[0] if dated else None,
        selector_age_days=dated[1] if dated else None,
        fingerprint=lost or fingerprint,
        first_seen=lost or first,
        known_since=lost or known,
        age_days=lost or age,
        present=lost or asked.present,
        record_count=lost or len(asked.values),
        record=lost or (key.record if key else None),
        valid=lost or (key.valid if key else None),
        type=lost or (key.type if key else None),
        bits=lost or (key.bits if key else None),
        exponent=lost or exponent,
        breakable=lost or weak.breakable,
        weaknesses=lost or weak.others,
        testing=lost or (key.testing if key else None),
        revoked=lost or (key.revoked if key else None),
        sha1_only=lost or (key.sha1_only if key else None),
        errors=lost or (key.errors if key else ()),
        alias=lost or _alias(answer),
        same_as=lost or (),
    )


def _known_since(dated: tuple[str, int] | None, first: str | None, today: date) -> tuple[str | None, int | None]:
    """The earlier of the date in the selector's name and the first run that saw the key, and the days since then."""
    seen = (first, max(0, (today - date.fromisoformat(first)).days)) if first else None
    known = max((each for each in (dated, seen) if each), key=lambda each: each[1], default=None)
    return known or (None, None)


def _with_twins(keys: Sequence[DkimKey], seen: Sequence[KeySeen], lost: Unknown | None) -> tuple[DkimKey, ...]:
    """The keys, each with the names under which the very same key stands as well.

    Where a key could not be asked for (`lost`), it may be that of any other: then "nowhere else" is not known.
    """
    places: dict[str, set[str]] = {}
    for key in keys:
        if isinstance(key.fingerprint, str):
            places.setdefault(key.fingerprint, set()).add(key.name)
    newest = max((each.last_seen for each in seen), default="")
    for each in seen:
        if each.last_seen == newest:
            places.setdefault(each.fingerprint, set()).add(f"{each.selector}._domainkey.{each.domain}")

    def twins(key: DkimKey) -> Maybe[tuple[str, ...]]:
        if isinstance(key.fingerprint, Unknown):
            return key.fingerprint
        names = sorted(places.get(key.fingerprint or "", set()) - {key.name})
        return tuple(names) or lost or ()

    return tuple(replace(key, same_as=twins(key)) for key in keys)


def _published(
    ctx: Context, parent: Answer, asked: Sequence[Asked], listed: Sequence[Asked]
) -> tuple[Maybe[bool], tuple[str, ...]]:
    """Whether the audited domain publishes a key that receivers can use.

    False only where the selectors that the user or reports named are missing. Guessed selectors that miss prove
    nothing, and neither does NXDOMAIN at _domainkey alone, because some servers say so although names exist below
    (against RFC 8020): it is told in the detail, not taken for an answer.
    """
    domain = ctx.subject.domain
    ours = [each for each in listed if _related(each.domain, domain)]
    cited = [ctx.cite_answer(each.answer) for each in ours]
    if any(each.usable for each in ours):
        return True, tuple(ctx.cite_answer(each.answer) for each in ours if each.usable)
    below = [each.answer for each in asked if each.domain == domain]
    named = [each for each in asked if each.found_by in ("option", "report") and _related(each.domain, domain)]
    failed = [answer for answer in below if isinstance(answer, Failed)]
    lost = next((each.answer for each in ours if isinstance(each.answer, Failed)), None)
    if lost is not None or len(failed) == len(below):
        value: Maybe[bool] = unknown_from(lost or failed[0])
        cited.append(ctx.cite_answer(lost or failed[0]))
    elif named:
        value = False
    else:
        guessed = sum(each.found_by == "probe" for each in asked)
        detail = PROBES_MISSED(n=guessed)
        if failed:
            cited.append(ctx.cite_answer(failed[0]))
            detail = PROBES_FAILED(n=guessed, m=len(failed), why=failed[0].reason.value)
        elif no_such_name(parent) and all(no_such_name(answer) for answer in below):
            cited.append(ctx.cite_answer(parent))
            detail = NO_NAME_BELOW(n=guessed, name=f"_domainkey.{domain}")
        value = Unknown(Reason.NOT_FOUND, detail)
    return value, tuple(cited)


def _related(domain: str, audited: str) -> bool:
    """Whether one of the names lies below the other: then the key is the sender's own, not a service's."""
    return is_within(domain, audited) or is_within(audited, domain)
