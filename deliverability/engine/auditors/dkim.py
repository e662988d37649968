"""DKIM: the signatures of the message and the published keys."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from deliverability.core.codes import SELECTOR, Code
from deliverability.core.facts.base import Evidence, EvidenceKind, FactType, KeySeen, Reason, Unknown, Value
from deliverability.core.model.knowledge import Measures
from deliverability.core.names import is_within
from deliverability.core.net.base import Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.dkim.fields import value_on_the_wire
from deliverability.core.protocols.dkim.key import KeyRecord, choose_key
from deliverability.core.protocols.dkim.signature import Signature, parse_signature
from deliverability.core.protocols.dkim.verify import DkimResult, DkimStatus, verify_message
from deliverability.core.protocols.dkim.weak import Weakness, weakness
from deliverability.core.protocols.dmarc.evaluate import Result, discover_homes
from deliverability.engine.auditors.selectors import Asked, ask_keys, name_of, no_such_name
from deliverability.engine.base import Context, auditor, spec

SIGNATURES_FIRST = Code("signatures-first", ("n", "all"))
PROBES_MISSED = Code("selectors", ("n",))
PROBES_FAILED = Code("selectors-failed", ("n", "m", "why"))
NO_NAME_BELOW = Code("selectors-none", ("n", "name"))

MAX_LISTED = 50
"""Signatures listed; those beyond the ones verified are listed as unknown(limit)."""

MAX_REPORTED = 50
"""Selectors that are taken from reports."""

PROVIDES = (
    spec("dkim.signature_count", FactType.INT, "DKIM-Signature fields.", unit="signatures"),
    spec(
        "dkim.result",
        FactType.STR,
        "Best result of all signatures; none without any.",
        values=["pass", "fail", "permerror", "temperror", "none"],
    ),
    spec("dkim.aligned_pass", FactType.BOOL, "A passing signature is aligned with the author domain."),
    spec("dkim.passing_key_types", FactType.LIST_STR, "Key types of the signatures that pass (rsa, ed25519)."),
    spec(
        "dkim.signatures",
        FactType.LIST_RECORD,
        "Every signature, in the order of the message.",
        key=["domain", "selector"],
    ),
    spec("dkim.signatures[].domain", FactType.STR, "Signing domain (d=).", optional=True),
    spec("dkim.signatures[].selector", FactType.STR, "Selector (s=).", optional=True),
    spec("dkim.signatures[].key_name", FactType.STR, "Name of the key record.", optional=True),
    spec("dkim.signatures[].identity", FactType.STR, "Agent or user (i=).", optional=True),
    spec("dkim.signatures[].algorithm", FactType.STR, "a=, for example rsa-sha256.", optional=True),
    spec("dkim.signatures[].canonicalization", FactType.STR, "c=, with its default filled in."),
    spec(
        "dkim.signatures[].key_type",
        FactType.STR,
        "Type of the published key.",
        optional=True,
        values=["rsa", "ed25519"],
    ),
    spec("dkim.signatures[].bits", FactType.INT, "Size of the published key.", unit="bits", optional=True),
    spec(
        "dkim.signatures[].result",
        FactType.STR,
        "Result of verification.",
        values=["pass", "fail", "permerror", "temperror"],
    ),
    spec(
        "dkim.signatures[].reason",
        FactType.STR,
        "Why it does not pass, as a code; of several reasons the one to mend first.",
        optional=True,
        values=[
            "body-changed",
            "header-changed",
            "key-missing",
            "key-revoked",
            "key-invalid",
            "key-multiple",
            "key-too-small",
            "key-mismatch",
            "sha1",
            "expired",
            "from-not-signed",
            "malformed",
            "dns-failure",
        ],
    ),
    spec("dkim.signatures[].reasons", FactType.LIST_STR, "All reasons for which it does not pass, as such codes."),
    spec("dkim.signatures[].errors", FactType.LIST_DETAIL, "All that is wrong with it."),
    spec(
        "dkim.signatures[].changed_headers",
        FactType.LIST_STR,
        "Signed fields that were changed or added after signing, as far as it can be told.",
    ),
    spec(
        "dkim.signatures[].aligned",
        FactType.BOOL,
        "d= shares the organizational domain of the author domain.",
        optional=True,
    ),
    spec("dkim.signatures[].signed_headers", FactType.LIST_STR, "h=, lower case, in order."),
    spec("dkim.signatures[].from_signed", FactType.BOOL, "From is among them."),
    spec(
        "dkim.signatures[].unsigned_headers",
        FactType.LIST_STR,
        "Fields of the message that a signature should cover (rules/measures.yaml) and that are not signed.",
    ),
    spec(
        "dkim.signatures[].unsigned_core",
        FactType.LIST_STR,
        "Of these, the fields without which a signed text can be shown as another mail.",
    ),
    spec(
        "dkim.signatures[].unsigned_list",
        FactType.LIST_STR,
        "Of these, the fields that RFC 8058 requires to be signed for one click.",
    ),
    spec(
        "dkim.signatures[].alias",
        FactType.STR,
        "CNAME target of its key, where a service holds the key.",
        optional=True,
    ),
    spec("dkim.signatures[].from_oversigned", FactType.BOOL, "From is listed more often than it occurs."),
    spec(
        "dkim.signatures[].body_length_limit",
        FactType.INT,
        "l=, octets of the body that are signed.",
        unit="octets",
        optional=True,
    ),
    spec(
        "dkim.signatures[].unsigned_body_octets",
        FactType.INT,
        "Octets of the canonicalized body beyond l=.",
        unit="octets",
        optional=True,
    ),
    spec("dkim.signatures[].timestamp", FactType.INT, "t=, seconds since 1970.", unit="moment", optional=True),
    spec("dkim.signatures[].expires", FactType.INT, "x=, seconds since 1970.", unit="moment", optional=True),
    spec("dkim.signatures[].lifetime_seconds", FactType.INT, "x= minus t=.", unit="seconds", optional=True),
    spec(
        "dkim.signatures[].expired",
        FactType.BOOL,
        "x= was past when the message was received (now, where nothing tells when).",
    ),
    spec("dkim.signatures[].testing", FactType.BOOL, "The key says t=y.", optional=True),
    spec("dkim.signatures[].revoked", FactType.BOOL, "The key is revoked (empty p=).", optional=True),
    spec("dkim.signatures[].key_count", FactType.INT, "TXT records at the key's name.", unit="records", optional=True),
    spec(
        "dkim.signatures[].key_allows",
        FactType.BOOL,
        "The key's h=, s=, k= and t=s tags allow this signature.",
        optional=True,
    ),
    spec(
        "dkim.keys",
        FactType.LIST_RECORD,
        "Published keys found, and named ones that are missing. A probe that missed is not listed: it tells nothing. "
        "Unknown where nothing is to be listed, but a probe failed.",
        key=["domain", "selector"],
    ),
    spec("dkim.keys[].domain", FactType.STR, "Domain."),
    spec("dkim.keys[].selector", FactType.STR, "Selector."),
    spec("dkim.keys[].name", FactType.STR, "Name of the key record."),
    spec("dkim.keys[].found_by", FactType.STR, "How we came to ask.", values=["message", "option", "report", "probe"]),
    spec(
        "dkim.keys[].used",
        FactType.BOOL,
        "A signature of the message names this key; none without a message.",
        optional=True,
    ),
    spec("dkim.keys[].own", FactType.BOOL, "The key stands at the audited domain or at a name above or below it."),
    spec("dkim.keys[].present", FactType.BOOL, "A key record is there."),
    spec("dkim.keys[].record_count", FactType.INT, "TXT records at the name.", unit="records"),
    spec("dkim.keys[].record", FactType.STR, "The key record.", optional=True),
    spec("dkim.keys[].valid", FactType.BOOL, "The key record can be read.", optional=True),
    spec("dkim.keys[].type", FactType.STR, "Key type.", optional=True),
    spec("dkim.keys[].bits", FactType.INT, "Key size.", unit="bits", optional=True),
    spec("dkim.keys[].exponent", FactType.INT, "Public exponent of an RSA key.", optional=True),
    spec(
        "dkim.keys[].breakable",
        FactType.LIST_DETAIL,
        "What lets anybody sign with it, however long it is: the private key can be worked out, or is public.",
    ),
    spec("dkim.keys[].weaknesses", FactType.LIST_DETAIL, "What else is weak or odd about the key itself."),
    spec("dkim.keys[].testing", FactType.BOOL, "t=y.", optional=True),
    spec("dkim.keys[].revoked", FactType.BOOL, "Empty p=.", optional=True),
    spec("dkim.keys[].sha1_only", FactType.BOOL, "h= allows nothing but SHA-1.", optional=True),
    spec("dkim.keys[].errors", FactType.LIST_DETAIL, "What is wrong in the key record."),
    spec("dkim.keys[].alias", FactType.STR, "CNAME target, where the key is hosted by a service.", optional=True),
    spec(
        "dkim.keys[].selector_date",
        FactType.STR,
        "Date that the selector's name carries (20230601, 202306); without a day where the name has none.",
        optional=True,
    ),
    spec(
        "dkim.keys[].selector_age_days",
        FactType.INT,
        "Days since that date; since the end of the month where the name has no day.",
        unit="days",
        optional=True,
    ),
    spec(
        "dkim.keys[].fingerprint",
        FactType.STR,
        "SHA-256 (hex) of the key itself: the same key has the same, wherever it stands.",
        optional=True,
    ),
    spec(
        "dkim.keys[].first_seen",
        FactType.STR,
        "Date of the first weekly run that saw this key under this selector.",
        optional=True,
    ),
    spec(
        "dkim.keys[].known_since",
        FactType.STR,
        "The earlier of selector_date and first_seen: since when the key counts as in use.",
        optional=True,
    ),
    spec("dkim.keys[].age_days", FactType.INT, "Days since known_since.", unit="days", optional=True),
    spec(
        "dkim.keys[].same_as",
        FactType.LIST_STR,
        "Names of other records with the same key, of this domain or, where a history is kept, of any domain in it.",
    ),
    spec(
        "dkim.published",
        FactType.BOOL,
        "A key was found; unknown (never false) where only guessed selectors were asked.",
    ),
    spec(
        "dkim.domainkey_exists",
        FactType.BOOL,
        "DNS does not deny the name _domainkey: something may stand below it. That alone is no key.",
    ),
    spec("dkim.wildcard", FactType.BOOL, "Any name below _domainkey is answered, so probing proves nothing."),
    spec(
        "dkim.guessed",
        FactType.LIST_STR,
        "Guessed selectors that were asked for: common ones and those of services; all that are known only where these "
        "led to no key.",
    ),
    spec(
        "dkim.unpublished",
        FactType.LIST_STR,
        "Names of keys with which mail was signed by what receivers report, and at which none stands now.",
    ),
    spec(
        "dkim.failed_probes",
        FactType.LIST_RECORD,
        "Of these, those that got no answer; the others that are not among the keys hold none.",
        key=["selector"],
    ),
    spec("dkim.failed_probes[].selector", FactType.STR, "Selector."),
    spec("dkim.failed_probes[].reason", FactType.STR, "What went wrong (timeout, servfail ...)."),
)


@auditor("dkim", provides=PROVIDES, needs=["message.from_domain"])
async def audit(ctx: Context) -> None:
    """DKIM: the signatures of the message and the published keys."""
    message = ctx.message
    fields = message.fields("dkim-signature") if message is not None else ()
    signatures = [parse_signature(value_on_the_wire(field)) for field in fields[:MAX_LISTED]]
    author = ctx.value("message.from_domain") if message is not None else None
    signers = list(dict.fromkeys(signature.domain for signature in signatures if signature.domain))
    results, organizations, _ = await asyncio.gather(
        verify_message(message, ctx.ports.dns, ctx.now) if message is not None else _nothing(),
        _organizations(author, signers, ctx.ports.dns),
        _keys(ctx, signatures),
    )
    if message is None:
        missing = Unknown(Reason.NO_MESSAGE)
        ctx.put_all(
            {
                "dkim.signature_count": missing,
                "dkim.result": missing,
                "dkim.aligned_pass": missing,
                "dkim.passing_key_types": missing,
                "dkim.signatures": missing,
            }
        )
        return
    _state_signatures(
        ctx,
        count=len(fields),
        signatures=signatures,
        results=results,
        aligned=[_aligned(signature.domain, author, organizations) for signature in signatures],
    )


async def _nothing() -> list[DkimResult]:
    return []


def _state_signatures(
    ctx: Context,
    count: int,
    signatures: Sequence[Signature],
    results: Sequence[DkimResult],
    aligned: Sequence[bool | Unknown | None],
) -> None:
    cited: list[str] = []
    for result in results:
        cited.append(_cite_header(ctx, result))
        if result.answer is not None:
            cited.append(ctx.cite_answer(result.answer))
    limit = Unknown(Reason.LIMIT, SIGNATURES_FIRST(n=len(results), all=count))
    verified = list(zip(results, aligned, strict=False))
    records = [_verified(result, each, ctx.knowledge.measures) for result, each in verified]
    records += [
        _unverified(signature, each, limit)
        for signature, each in zip(signatures[len(results) :], aligned[len(results) :], strict=True)
    ]
    ctx.put("dkim.signatures", tuple(records), *cited)
    ctx.put("dkim.signature_count", count, *cited)
    ctx.put("dkim.result", _best_result(results, limit if count > len(results) else None), *cited)

    passing = [(result, each) for result, each in verified if result.result is DkimStatus.PASS]
    # Signatures that may pass or not, with the reason: key not looked up, body not there, limit.
    doubts = [(lost, each) for result, each in verified if (lost := result.unsettled)]
    doubts += [(limit, None)] if count > len(results) else []
    types = tuple(dict.fromkeys(result.key.type for result, _ in passing if result.key is not None))
    ctx.put("dkim.passing_key_types", doubts[0][0] if doubts else types, *cited)

    aligned_pass: Value = any(each is True for _, each in passing)
    if not aligned_pass:
        maybe = [each for _, each in passing if isinstance(each, Unknown)]
        maybe += [lost for lost, each in doubts if each is not False]
        aligned_pass = maybe[0] if maybe else False
    ctx.put("dkim.aligned_pass", aligned_pass, *cited)


def _best_result(results: Sequence[DkimResult], limit: Unknown | None) -> str | Unknown:
    """The best result; Unknown where a signature that could not be verified (no key, no body) could be better."""
    statuses = {result.result for result in results}
    best = next((status for status in _BEST_FIRST if status in statuses), None)
    if best is DkimStatus.PASS:
        return best.value
    lost = next((unknown for result in results if (unknown := result.unsettled)), None)
    return limit or lost or (best.value if best else "none")


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


_LOST_WITH_ANSWER = ("key_type", "bits", "testing", "revoked", "key_count", "key_allows", "alias")
_LOST_UNVERIFIED = (
    *_LOST_WITH_ANSWER,
    *("result", "reason", "reasons", "errors", "changed_headers", "expired"),
    *("unsigned_headers", "unsigned_core", "unsigned_list", "from_oversigned", "unsigned_body_octets"),
)


def _verified(result: DkimResult, aligned: Value, measures: Measures) -> dict[str, Value]:
    """One item of dkim.signatures."""
    unsigned = tuple(name for name in measures.signed_fields if name in result.unsigned_headers)
    known: dict[str, Value]
    if isinstance(result.answer, Failed):
        lost = unknown_from(result.answer)
        known = dict.fromkeys(_LOST_WITH_ANSWER, lost)
    else:
        key = result.key
        known = {
            "key_type": _defined_type(key),
            "bits": key.bits if key else None,
            "testing": key.testing if key else None,
            "revoked": key.revoked if key else None,
            "key_count": None if result.answer is None else len(_values(result.answer)),
            "key_allows": result.key_allows,
            "alias": result.answer.chain[0] if result.answer and result.answer.chain else None,
        }
    outcome: dict[str, Value] = {
        "result": result.result.value,
        "reason": result.reason.value if result.reason else None,
        "reasons": tuple(reason.value for reason in result.reasons),
        "errors": result.details,
    }
    without_body = result.unsettled if result.body_missing else None
    if without_body is not None:
        outcome = dict.fromkeys(outcome, without_body)
    return {
        **_tags(result.signature),
        **known,
        **outcome,
        "changed_headers": result.changed_headers,
        "aligned": aligned,
        "from_signed": result.from_signed,
        "unsigned_headers": unsigned,
        "unsigned_core": tuple(name for name in unsigned if name in measures.signed_core),
        "unsigned_list": tuple(name for name in unsigned if name in measures.signed_one_click),
        "from_oversigned": result.from_oversigned,
        "unsigned_body_octets": without_body if without_body is not None else result.unsigned_body_octets,
        "expired": result.expired,
    }


def _unverified(signature: Signature, aligned: Value, limit: Unknown) -> dict[str, Value]:
    """One item of dkim.signatures beyond the number that is verified."""
    return {
        **_tags(signature),
        **dict.fromkeys(_LOST_UNVERIFIED, limit),
        "aligned": aligned,
        "from_signed": "from" in signature.signed_headers,
    }


def _tags(signature: Signature) -> dict[str, Value]:
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


def _values(answer: Answer) -> tuple[str, ...]:
    return answer.values if isinstance(answer, Found) else ()


def _defined_type(key: KeyRecord | None) -> str | None:
    return key.type if key and key.type in ("rsa", "ed25519") else None


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


async def _keys(ctx: Context, signatures: Sequence[Signature]) -> None:
    """Ask for the keys of named and guessed selectors, and state what is published."""
    domain = ctx.subject.domain
    named: dict[tuple[str, str], str] = {}
    for signature in signatures:
        if signature.domain and signature.selector and signature.key_name:
            named.setdefault((signature.domain, signature.selector), "message")
    for selector in ctx.subject.selectors:
        named.setdefault((domain, selector.strip().rstrip(".").lower()), "option")
    for key in _reported(ctx):
        named.setdefault(key, "report")
    found = await ask_keys(ctx, named)
    asked, stray = found.asked, found.stray
    today = ctx.now.astimezone(UTC).date()
    ctx.put(
        "dkim.wildcard",
        unknown_from(stray) if isinstance(stray, Failed) else isinstance(stray, Found),
        ctx.cite_answer(stray),
    )
    parent = found.parent
    exists = unknown_from(parent) if isinstance(parent, Failed) else not no_such_name(parent)
    ctx.put("dkim.domainkey_exists", exists, ctx.cite_answer(parent))
    ctx.put("dkim.guessed", tuple(each.selector for each in found.guesses))
    failures = [
        {"selector": each.selector, "reason": each.answer.reason.value}
        for each in found.guesses
        if isinstance(each.answer, Failed)
    ]
    ctx.put("dkim.failed_probes", tuple(failures))

    gone = [
        each for each in asked if each.found_by == "report" and not (each.present or isinstance(each.answer, Failed))
    ]
    ctx.put("dkim.unpublished", tuple(name_of(each.domain, each.selector) for each in gone))

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
    if keys:
        ctx.put("dkim.keys", _with_twins(keys, seen, lost), *cited)
    else:
        _state_no_keys(ctx, found.guesses, stray)
    _state_published(ctx, found.parent, asked, listed)


def _reported(ctx: Context) -> list[tuple[str, str]]:
    """Domain and selector of signatures that passed for the domain by trusted reports, those of most mail first."""
    domain, counts = ctx.subject.domain, Counter[tuple[str, str]]()
    for row in ctx.subject.observed.rows if ctx.subject.observed else ():
        for each in row.facet.dkim if row.trusted else ():
            if each.result == "pass" and each.selector and _related(each.domain, domain):
                counts[each.domain, each.selector] += row.messages
    return [key for key, _ in counts.most_common(MAX_REPORTED)]


def _state_no_keys(ctx: Context, guesses: Sequence[Asked], stray: Answer) -> None:
    """Nothing is to be listed: that there is no key is proven by the answers to all guesses, and by no less."""
    failed = next(((each.selector, each.answer) for each in guesses if isinstance(each.answer, Failed)), None)
    if failed is None and isinstance(stray, Failed) and any(each.present for each in guesses):
        failed = ("*", stray)  # what was found may be a wildcard's
    if failed is None:
        ctx.put("dkim.keys", ())
        return
    selector, answer = failed
    ctx.put("dkim.keys", Unknown(answer.reason, SELECTOR(name=selector)), ctx.cite_answer(answer))


_LOST_WITH_KEY = (
    *("present", "record_count", "record", "valid", "type", "bits"),
    *("exponent", "breakable", "weaknesses"),
    *("testing", "revoked", "sha1_only", "errors", "alias"),
    *("fingerprint", "first_seen", "known_since", "age_days", "same_as"),
)


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


def _key(asked: Asked, ctx: Context, today: date) -> dict[str, Value]:
    """One item of dkim.keys."""
    answer = asked.answer
    dated = selector_date(asked.selector, today)
    item: dict[str, Value] = {
        "domain": asked.domain,
        "selector": asked.selector,
        "name": name_of(asked.domain, asked.selector),
        "found_by": asked.found_by,
        "used": None if ctx.message is None else asked.found_by == "message",
        "own": _related(asked.domain, ctx.subject.domain),
        "selector_date": dated[0] if dated else None,
        "selector_age_days": dated[1] if dated else None,
    }
    if isinstance(answer, Failed):
        return {**item, **dict.fromkeys(_LOST_WITH_KEY, unknown_from(answer))}
    key = choose_key(asked.values)[0]
    fingerprint = hashlib.sha256(key.material).hexdigest() if key and key.material else None
    this = (asked.domain, asked.selector, fingerprint)
    earlier = [each for each in ctx.subject.keys_seen if (each.domain, each.selector, each.fingerprint) == this]
    first = earlier[0].first_seen[:10] if earlier else None
    known, age = _known_since(dated, first, today)
    weak = weakness(key.type, key.material) if key else Weakness()
    return {
        **item,
        "fingerprint": fingerprint,
        "first_seen": first,
        "known_since": known,
        "age_days": age,
        "present": asked.present,
        "record_count": len(asked.values),
        "record": key.record if key else None,
        "valid": key.valid if key else None,
        "type": key.type if key else None,
        "bits": key.bits if key else None,
        # An exponent beyond what facts hold as a number is told by its length.
        "exponent": weak.exponent if weak.exponent is not None and weak.exponent < 1 << 53 else None,
        "breakable": weak.breakable,
        "weaknesses": weak.others,
        "testing": key.testing if key else None,
        "revoked": key.revoked if key else None,
        "sha1_only": key.sha1_only if key else None,
        "errors": key.errors if key else (),
        "alias": answer.chain[0] if answer.chain else None,
    }


def _known_since(dated: tuple[str, int] | None, first: str | None, today: date) -> tuple[str | None, int | None]:
    """The earlier of the date in the selector's name and the first run that saw the key, and the days since then."""
    seen = (first, max(0, (today - date.fromisoformat(first)).days)) if first else None
    known = max((each for each in (dated, seen) if each), key=lambda each: each[1], default=None)
    return known or (None, None)


def _with_twins(keys: Sequence[dict[str, Value]], seen: Sequence[KeySeen], lost: Unknown | None) -> tuple[Value, ...]:
    """The keys, each with the names under which the very same key stands as well.

    Where a key could not be asked for (`lost`), it may be that of any other: then "nowhere else" is not known.
    """
    places: dict[str, set[str]] = {}
    for key in keys:
        if isinstance(fingerprint := key.get("fingerprint"), str):
            places.setdefault(fingerprint, set()).add(str(key["name"]))
    newest = max((each.last_seen for each in seen), default="")
    for each in seen:
        if each.last_seen == newest:
            places.setdefault(each.fingerprint, set()).add(f"{each.selector}._domainkey.{each.domain}")

    def twins(key: dict[str, Value]) -> Value:
        if isinstance(key.get("fingerprint"), Unknown):
            return key["fingerprint"]
        names = sorted(places.get(str(key.get("fingerprint")), set()) - {str(key["name"])})
        return tuple(names) or lost or ()

    return tuple({**key, "same_as": twins(key)} for key in keys)


def _state_published(ctx: Context, parent: Answer, asked: Sequence[Asked], listed: Sequence[Asked]) -> None:
    """Whether the audited domain publishes a key that receivers can use.

    False only where the selectors that the user or reports named are missing. Guessed selectors that miss prove
    nothing, and neither does NXDOMAIN at _domainkey alone, because some servers say so although names exist below
    (against RFC 8020): it is told in the detail, not taken for an answer.
    """
    domain = ctx.subject.domain
    ours = [each for each in listed if _related(each.domain, domain)]
    cited = [ctx.cite_answer(each.answer) for each in ours]
    if any(each.usable for each in ours):
        ctx.put("dkim.published", True, *(ctx.cite_answer(each.answer) for each in ours if each.usable))
        return
    below = [each.answer for each in asked if each.domain == domain]
    named = [each for each in asked if each.found_by in ("option", "report") and _related(each.domain, domain)]
    failed = [answer for answer in below if isinstance(answer, Failed)]
    lost = next((each.answer for each in ours if isinstance(each.answer, Failed)), None)
    if lost is not None or len(failed) == len(below):
        value: Value = unknown_from(lost or failed[0])
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
    ctx.put("dkim.published", value, *cited)


def _related(domain: str, audited: str) -> bool:
    """Whether one of the names lies below the other: then the key is the sender's own, not a service's."""
    return is_within(domain, audited) or is_within(audited, domain)
