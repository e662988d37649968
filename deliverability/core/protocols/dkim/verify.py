"""Verification of every DKIM signature of a message (RFC 6376 section 6, RFC 8301, RFC 8463).

All keys are asked for at once through our resolver; the body is hashed in one linear pass (see `body`); RSA and Ed25519
are cryptography's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import DkimReason, DkimStatus
from deliverability.core.mail.reader import read_head
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.dkim.canonical import (
    changed_fields,
    hash_body,
    received_at,
    signed_data,
    value_on_the_wire,
)
from deliverability.core.protocols.dkim.key import MINIMUM_RSA_BITS, Check, KeyRecord, check, choose_key
from deliverability.core.protocols.dkim.signature import Signature, parse_signature
from deliverability.core.protocols.text_record import TAG_VALUE

if TYPE_CHECKING:
    from deliverability.core.mail.reader import Head, HeaderField
    from deliverability.core.protocols.dkim.canonical import BodyHash

MAX_SIGNATURES = 20
"""Signatures verified, from the top; each costs a DNS question and a pass over the body."""

_LONGEST_SHOWN = 8192

NO_FROM = Code("dkim-from")
LENGTH = Code("dkim-length", ("length", "size"))
BODY = Code("dkim-body")
HEADER = Code("dkim-header")
OTHER_B = Code("dkim-b")
FROMS = Code("dkim-froms", ("n", "m"))
HEADER_ONLY = Code("header-only")  # so that nobody can say whether the body was changed
SMALL_KEY = Code("dkim-bits", ("bits",))
NO_KEY = Code("dkim-no-key", ("name",))
KEYS = Code("dkim-keys", ("n", "name"))
REVOKED = Code("dkim-revoked", ("name",))
KEY_FOR = Code("dkim-with", ("tag", "other"))  # a tag of the key that keeps the signature's from counting


class DkimResult(Struct, frozen=True):
    """What became of one signature.

    Attributes:
        index: position among the DKIM-Signature fields, from 1 at the top.
        signature: the field, read.
        field: its value as in the message, folding included, cut where it is absurdly long.
        result: see DkimStatus.
        reason: why it does not pass; None where it does. Of several reasons the first in the order of DkimReason,
            because mending a later one alone would not help.
        reasons: all reasons, in that order.
        details: what is wrong, in that order.
        answer: the DNS answer for the key; None where the signature names no key that could be asked for.
        key: the key record; None without one.
        key_count: key records at the name; None where the look-up failed.
        key_allows: h=, s=, k= and t=s of the key allow this signature; None without a usable key.
        body_matches: bh= is the hash of the body; None where it could not be computed.
        body_missing: the file has no body and bh= is of another one: the body was probably not saved. That it was
            changed, or that anything else is wrong with it, cannot be concluded.
        headers_match: b= fits the header fields; None where no usable key was there.
        changed_headers: signed fields that were changed or added after signing, as far as that can be proven.
        body_octets: length of the canonicalized body; None where it was not needed.
        expired: x= was past when the message was received.
        from_signed: From is in h=.
        from_oversigned: h= lists From more often than the message has it.
        unsigned_headers: fields that the message has more often than h= lists them, in lower case.

    """

    index: int
    signature: Signature
    field: str
    result: DkimStatus
    reason: DkimReason | None
    reasons: tuple[DkimReason, ...]
    details: tuple[Detail, ...]
    answer: Answer | None
    key: KeyRecord | None
    key_count: int | None
    key_allows: bool | None
    body_matches: bool | None
    body_missing: bool
    headers_match: bool | None
    changed_headers: tuple[str, ...]
    body_octets: int | None
    expired: bool
    from_signed: bool
    from_oversigned: bool
    unsigned_headers: tuple[str, ...]

    @property
    def unsettled(self) -> Unknown | None:
        """Why nobody can say whether the signature passes, or None where it is settled."""
        if self.result is DkimStatus.TEMPERROR and isinstance(self.answer, Failed):
            return unknown_from(self.answer)
        if self.body_missing and self.reason is DkimReason.BODY_CHANGED:
            return Unknown(Reason.NO_MESSAGE, HEADER_ONLY())
        return None

    @property
    def unsigned_body_octets(self) -> int | None:
        """Octets of the canonicalized body beyond l=; None without l=."""
        if self.signature.body_length is None or self.body_octets is None:
            return None
        return max(0, self.body_octets - self.signature.body_length)


async def verify_dkim(message: bytes, resolver: Resolver, now: datetime | None = None) -> list[DkimResult]:
    """Verify the signatures of a message, the first MAX_SIGNATURES from the top, in the order of the message.

    `message` is the mail as received; lone LF counts as CRLF. `now` (default: the time of day) decides whether a
    signature has expired only where no Received field tells when the message arrived. Never raises for what a
    message or DNS can hold; a look-up that fails gives temperror, never a missing key.
    """
    return await verify_message(read_head(message), resolver, now or datetime.now(UTC))


async def verify_message(message: Head, resolver: Resolver, now: datetime) -> list[DkimResult]:
    """As `verify_dkim`, for a message that is read already."""
    fields = message.headers
    when = received_at(fields) or now
    positions = [index for index, field in enumerate(fields) if field.lower == "dkim-signature"][:MAX_SIGNATURES]
    signatures = [parse_signature(value_on_the_wire(fields[position])) for position in positions]
    names = list(dict.fromkeys(name for signature in signatures if (name := signature.key_name)))
    answers = dict(zip(names, await asyncio.gather(*(resolver.query(name, "TXT") for name in names)), strict=True))
    bodies: dict[tuple[str, str, int | None], BodyHash] = {}
    results: list[DkimResult] = []
    for number, (position, signature) in enumerate(zip(positions, signatures, strict=True), 1):
        body = None
        if not signature.errors:
            want = (signature.body_canonicalization, signature.hash_name, signature.body_length)
            if want not in bodies:
                bodies[want] = hash_body(message.raw, message.body_offset, *want, odd_line_ends=message.odd_line_ends)
            body = bodies[want]
        answer = answers.get(signature.key_name or "")
        has_body = message.body_offset < len(message.raw)
        results.append(judge_signature(number, fields, position, signature, answer, body, has_body, when))
    return results


def judge_signature(
    number: int,
    fields: Sequence[HeaderField],
    position: int,
    signature: Signature,
    answer: Answer | None,
    body: BodyHash | None,
    has_body: bool,
    when: datetime,
    *,
    diagnose: bool = True,
) -> DkimResult:
    """Put together what is known of one signature, and find the first reason for which it does not pass.

    `diagnose` False leaves out the search for changed fields, which costs some verifications more.
    """
    found: dict[DkimReason, tuple[Detail, ...]] = {}
    if signature.errors:
        found[DkimReason.MALFORMED] = signature.errors
    if signature.signed_headers and "from" not in signature.signed_headers:
        found[DkimReason.FROM_NOT_SIGNED] = (NO_FROM(),)

    key, key_count = _key_of(answer)
    found |= _key_reasons(answer, key, key_count)
    mismatches = _mismatches(key, signature) if key and key.usable and not signature.errors else ()
    if mismatches:
        found[DkimReason.KEY_MISMATCH] = mismatches

    body_matches = None if body is None else body.digest == signature.body_hash
    if body is not None and body_matches and (signature.body_length or 0) > body.octets:
        # Section 3.5: l= must not exceed the body; what bh= covers is then not what l= says.
        found[DkimReason.MALFORMED] = (LENGTH(length=signature.body_length or 0, size=body.octets),)
    elif body_matches is False:
        found[DkimReason.BODY_CHANGED] = (BODY(),)

    occurs = Counter(field.lower for field in fields)
    listed = Counter(signature.signed_headers)
    headers_match: bool | None = None
    changed: tuple[str, ...] = ()
    if key and key.usable and key_count == 1 and not signature.errors and key.type == signature.key_type:
        data = signed_data(fields, signature.signed_headers, position, signature.header_canonicalization == "relaxed")
        verdict = check(key, signature.hash_name, signature.value, data)
        headers_match = verdict is Check.GOOD
        if verdict is Check.OTHER_KEY:
            found.setdefault(DkimReason.KEY_MISMATCH, (OTHER_B(),))
        elif verdict is not Check.GOOD:
            found[DkimReason.HEADER_CHANGED] = (HEADER(),)
            changed = _changed(fields, position, signature, key) if diagnose else ()
        elif 0 < listed["from"] < occurs["from"]:
            # A From field added on top is the one people see (section 8.15); dkimpy fails such a message, too.
            found[DkimReason.HEADER_CHANGED] = (FROMS(n=occurs["from"], m=listed["from"]),)
            changed = ("from",)
    if key and key.usable and key.type == "rsa" and key.bits is not None and key.bits < MINIMUM_RSA_BITS:
        found[DkimReason.KEY_TOO_SMALL] = (SMALL_KEY(bits=key.bits),)
    if signature.hash_name == "sha1":
        found[DkimReason.SHA1] = (_tag("a", signature.algorithm),)
    expired = signature.expires is not None and when.timestamp() > signature.expires
    if expired:
        found[DkimReason.EXPIRED] = (_tag("x", signature.expires),)

    reason = next((each for each in DkimReason if each in found), None)
    if reason is DkimReason.KEY_MISMATCH and not mismatches and DkimReason.BODY_CHANGED in found:
        # Of a message whose body was changed nothing more than that can be told with confidence.
        reason = DkimReason.BODY_CHANGED
    body_missing = body_matches is False and not has_body
    if body_missing and DkimReason.HEADER_CHANGED in found:
        reason = DkimReason.HEADER_CHANGED
    return DkimResult(
        index=number,
        signature=signature,
        field=value_on_the_wire(fields[position])[:_LONGEST_SHOWN].decode("utf-8", "backslashreplace"),
        result=_status(reason, bool(mismatches)),
        reason=reason,
        reasons=tuple(each for each in DkimReason if each in found),
        details=tuple(detail for each in DkimReason for detail in found.get(each, ())),
        answer=answer,
        key=key,
        key_count=key_count,
        key_allows=None if key is None or not key.usable or signature.errors else not mismatches,
        body_matches=body_matches,
        body_missing=body_missing,
        headers_match=headers_match,
        changed_headers=changed,
        body_octets=body.octets if body else None,
        expired=expired,
        from_signed="from" in listed,
        from_oversigned=0 < occurs["from"] < listed["from"],
        unsigned_headers=tuple(name for name, count in occurs.items() if count > listed[name]),
    )


def _changed(fields: Sequence[HeaderField], position: int, signature: Signature, key: KeyRecord) -> tuple[str, ...]:
    return changed_fields(fields, position, signature, key)


def _status(reason: DkimReason | None, forbidden: bool) -> DkimStatus:
    """Failed checks are fail; what keeps a receiver from checking at all is permerror (RFC 6376 section 6.1)."""
    match reason:
        case None:
            return DkimStatus.PASS
        case DkimReason.DNS_FAILURE:
            return DkimStatus.TEMPERROR
        case (
            DkimReason.BODY_CHANGED
            | DkimReason.HEADER_CHANGED
            | DkimReason.KEY_TOO_SMALL
            | DkimReason.SHA1
            | DkimReason.EXPIRED
        ):
            return DkimStatus.FAIL
        case DkimReason.KEY_MISMATCH if not forbidden:
            return DkimStatus.FAIL
        case _:
            return DkimStatus.PERMERROR


def _key_of(answer: Answer | None) -> tuple[KeyRecord | None, int | None]:
    match answer:
        case Found():
            return choose_key(answer.values)
        case Absent():
            return None, 0
        case _:
            return None, None


def _key_reasons(
    answer: Answer | None, key: KeyRecord | None, key_count: int | None
) -> dict[DkimReason, tuple[Detail, ...]]:
    if isinstance(answer, Failed):
        return {DkimReason.DNS_FAILURE: (answer.question,)}
    if answer is None:
        return {}
    if key is None:
        return {DkimReason.KEY_MISSING: (NO_KEY(name=answer.name),)}
    if key_count is not None and key_count > 1:
        # Section 3.6.2.2 leaves it undefined which one counts.
        return {DkimReason.KEY_MULTIPLE: (KEYS(n=key_count, name=answer.name),)}
    if not key.valid:
        return {DkimReason.KEY_INVALID: key.errors}
    if key.revoked:
        return {DkimReason.KEY_REVOKED: (REVOKED(name=answer.name),)}
    return {}


def _mismatches(key: KeyRecord, signature: Signature) -> tuple[Detail, ...]:
    """Which tags of the key forbid the signature (section 6.1.2)."""
    made = _tag("a", signature.algorithm)
    problems = []
    if key.type != signature.key_type:
        problems.append(KEY_FOR(tag=_tag("k", key.type), other=made))
    if key.hashes is not None and signature.hash_name not in key.hashes:
        problems.append(KEY_FOR(tag=_tag("h", ":".join(key.hashes)), other=made))
    if "*" not in key.services and "email" not in key.services:
        problems.append(_tag("s", ":".join(key.services)))
    if key.strict and signature.identity_domain != signature.domain:
        problems.append(KEY_FOR(tag=_tag("t", "s"), other=_tag("i", signature.identity)))
    return tuple(problems)


def _tag(name: str, value: str | int | None) -> Detail:
    return TAG_VALUE(name=name, value=str(value))
