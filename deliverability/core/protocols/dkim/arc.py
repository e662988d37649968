"""Validation of the ARC chain of a message (RFC 8617 section 5.2), on the DKIM core.

All keys are asked for at once. Each ARC-Seal signs everything below it, so the hash of the chain grows seal by seal
and is never computed anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import DkimStatus
from deliverability.core.mail.reader import Head, HeaderField, read_head
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.dkim.canonical import (
    BodyHash,
    empty_b,
    hash_body,
    received_at,
    relaxed_field,
    value_on_the_wire,
)
from deliverability.core.protocols.dkim.key import MINIMUM_RSA_BITS, Check, KeyRecord, check_digest, choose_key
from deliverability.core.protocols.dkim.signature import Signature, odd_value, parse_signature
from deliverability.core.protocols.dkim.verify import judge_signature
from deliverability.core.protocols.text_record import TAG_MISSING, TAG_VALUE, TagList, parse_tags

MAX_SETS = 50
"""Sets a chain may have (RFC 8617 section 4.2.1); a longer one has failed."""

NO_INSTANCE = Code("arc-no-instance", ("field",))
INSTANCE = Code("arc-instance", ("n", "field"))
INSTANCE_TWICE = Code("arc-instance-twice", ("n", "field"))
INSTANCE_MISSING = Code("arc-instance-missing", ("n", "field"))
IN_SET = Code("arc-set", ("n", "detail"))
BROKEN = Code("arc-broken")
CV_UNREADABLE = Code("arc-cv-unreadable")
NO_FIT = Code("arc-no-fit")
KEY_MISSING = Code("arc-key-missing", ("name",))
KEY_UNNAMED = Code("arc-key-unnamed")
KEY_UNUSABLE = Code("arc-key-unusable", ("name",))
KEY_OTHER = Code("arc-key-other", ("name", "algorithm"))
KEY_WEAK = Code("arc-key-weak", ("algorithm", "bits"))
BODIES = Code("bodies", ("n",))
STRAY_TAG = Code("arc-stray-tag", ("tag", "field"))
SEAL_SIGNED = Code("arc-seal-signed")

_MAX_BODIES = 4  # different ways to hash the body in one chain; each is a pass over the body
_MAX_OCTETS = 1 << 16
_NAMES = ("arc-authentication-results", "arc-message-signature", "arc-seal")
_SEAL_TAGS = ("i", "a", "b", "cv", "d", "s")
_INSTANCE = re.compile(r"\s*i\s*=\s*([0-9]{1,3})\s*(?:;|$)")


class ArcSet(Struct, frozen=True):
    """One set of the chain.

    Attributes:
        instance: i=.
        domain: d= of the seal.
        selector: s= of the seal.
        cv: what the sealer said of the chain below: none, pass or fail; None where it cannot be read.
        seal: pass, fail, or Unknown where the key could not be looked up.
        signature: the same for the ARC-Message-Signature.
        seal_errors: what is wrong with the seal, one each.
        signature_errors: what is wrong with the ARC-Message-Signature, one each.

    """

    instance: int
    domain: str | None
    selector: str | None
    cv: str | None
    seal: str | Unknown
    signature: str | Unknown
    seal_errors: tuple[Detail, ...] = ()
    signature_errors: tuple[Detail, ...] = ()

    @property
    def errors(self) -> tuple[Detail, ...]:
        """All that is wrong with the set, each with the field that it is about."""
        of_seal = (ABOUT(what="ARC-Seal", detail=each) for each in self.seal_errors)
        return (*of_seal, *(ABOUT(what="ARC-Message-Signature", detail=each) for each in self.signature_errors))


class ArcResult(Struct, frozen=True):
    """What became of the chain.

    Attributes:
        result: none without any ARC field, pass, fail; Unknown where a key could not be looked up and nothing else
            has made the chain fail.
        reason: why it failed; None where it did not.
        sets: from the oldest on; empty where the fields do not make up sets.
        oldest_pass: the oldest set whose ARC-Message-Signature still holds with all after it, 0 where all hold; None
            where the chain does not pass.
        answers: DNS answers for the keys.

    """

    result: str | Unknown
    reason: Detail | None = None
    sets: tuple[ArcSet, ...] = ()
    oldest_pass: int | None = None
    answers: tuple[Answer, ...] = ()


async def verify_arc(message: bytes, resolver: Resolver, now: datetime | None = None) -> ArcResult:
    """Validate the chain of a message as received. Never raises for what a message or DNS can hold."""
    return await verify_chain(read_head(message), resolver, now or datetime.now(UTC))


async def verify_chain(message: Head, resolver: Resolver, now: datetime) -> ArcResult:
    """As `verify_arc`, for a message that is read already."""
    fields = message.headers
    positions = [index for index, field in enumerate(fields) if field.lower in _NAMES]
    if not positions:
        return ArcResult("none")
    grouped, wrong = _group(fields, positions)
    if wrong:
        return ArcResult("fail", wrong)
    links = [_Link.of(fields, *places) for places in grouped]
    names = {name for link in links for name in (link.seal.key_name, link.signature.key_name) if name}
    asked = sorted(names)
    found = await asyncio.gather(*(resolver.query(name, "TXT") for name in asked))
    answers = dict(zip(asked, found, strict=True))
    when = received_at(fields) or now
    bodies: dict[tuple[str, str, int | None], BodyHash] = {}
    seals = _verify_seals(fields, links, answers)
    sets = []
    for number, (link, (seal, seal_errors)) in enumerate(zip(links, seals, strict=True), 1):
        signature, errors = _verify_signature(message, link, number, answers, bodies, when)
        found_cv = link.tags.get("cv")
        cv = found_cv if found_cv in ("none", "pass", "fail") else None
        sets.append(ArcSet(number, link.seal.domain, link.seal.selector, cv, seal, signature, seal_errors, errors))
    result, reason = _chain_result(sets)
    oldest = _oldest(sets) if result == "pass" else None
    return ArcResult(result, reason, tuple(sets), oldest, tuple(found))


class _Link(Struct, frozen=True):
    """The three fields of one set: their positions, and what seal and signature say."""

    results: int
    message_signature: int
    seal_field: int
    tags: TagList
    seal: Signature
    signature: Signature

    @classmethod
    def of(cls, fields: Sequence[HeaderField], results: int, message_signature: int, seal_field: int) -> _Link:
        text = _text(fields[seal_field])
        tags = parse_tags(text)
        return cls(
            results,
            message_signature,
            seal_field,
            tags,
            _seal(tags),
            _message_signature(_text(fields[message_signature])),
        )


def _group(fields: Sequence[HeaderField], positions: Sequence[int]) -> tuple[list[tuple[int, int, int]], Detail | None]:
    """Positions of the three fields of each set, oldest first, or why they make up no chain (section 5.2 step 3)."""
    sets: dict[int, dict[str, int]] = {}
    for position in positions:
        field = fields[position]
        instance = _instance(field)
        if instance is None:
            return [], NO_INSTANCE(field=field.name)
        if not 1 <= instance <= MAX_SETS:
            return [], INSTANCE(n=instance, field=field.name)
        names = sets.setdefault(instance, {})
        if field.lower in names:
            return [], INSTANCE_TWICE(n=instance, field=field.name)
        names[field.lower] = position
    for instance in range(1, len(sets) + 1):
        missing = next((name for name in _NAMES if name not in sets.get(instance, {})), None)
        if missing:
            return [], INSTANCE_MISSING(n=instance, field=missing)
    results, signature, seal = _NAMES
    ordered = (sets[number] for number in range(1, len(sets) + 1))
    return [(each[results], each[signature], each[seal]) for each in ordered], None


def _text(field: HeaderField) -> str:
    return value_on_the_wire(field)[:_MAX_OCTETS].decode("utf-8", "backslashreplace")


def _instance(field: HeaderField) -> int | None:
    """i=, which ARC-Authentication-Results has in front and the others anywhere (section 4.1)."""
    if field.lower == "arc-authentication-results":
        match = _INSTANCE.match(field.value[:1000])
        return int(match[1]) if match else None
    text = parse_tags(_text(field)).get("i") or ""
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else None


def _message_signature(text: str) -> Signature:
    """An ARC-Message-Signature is a DKIM-Signature without v=, whose i= is the instance (section 4.1.2)."""
    tags = parse_tags(text)
    pairs = "; ".join(f"{name}={value}" for name, value in tags.tags.items() if name not in ("i", "v"))
    signature = parse_signature(f"v=1; {pairs}")
    errors = list(tags.errors)
    if "v" in tags.tags:
        errors.append(STRAY_TAG(tag="v", field="ARC-Message-Signature"))
    if "arc-seal" in signature.signed_headers:
        errors.append(SEAL_SIGNED())
    return replace(signature, errors=(*errors, *signature.errors))


def _seal(tags: TagList) -> Signature:
    """What an ARC-Seal says, in the form of a signature (section 4.1.3); it has no h=, and covers fixed fields."""
    errors = list(tags.errors)
    errors += [TAG_MISSING(name=name) for name in _SEAL_TAGS if tags.get(name) is None]
    if "h" in tags.tags:
        errors.append(STRAY_TAG(tag="h", field="ARC-Seal"))
    if tags.get("cv") not in (None, "none", "pass", "fail"):
        errors.append(odd_value(tags, "cv"))
    pairs = "; ".join(f"{name}={tags.tags[name]}" for name in ("a", "b", "d", "s", "t") if name in tags.tags)
    # h= and bh= are filled in, because the reader of signatures asks for them.
    read_as = parse_signature(f"v=1; h=from; bh=AA==; {pairs}")
    missing = {TAG_MISSING(name=name) for name in _SEAL_TAGS}
    return replace(read_as, errors=(*errors, *(error for error in read_as.errors if error not in missing)))


def _verify_seals(
    fields: Sequence[HeaderField], links: Sequence[_Link], answers: dict[str, Answer]
) -> list[tuple[str | Unknown, tuple[Detail, ...]]]:
    """Check every seal over the sets up to its own (section 5.1.1), each field canonicalized relaxed.

    A seal that marks the chain as broken covers its own set only (section 5.1.2).
    """
    so_far = _hashes()
    verdicts: list[tuple[str | Unknown, tuple[Detail, ...]]] = []
    for link in links:
        own = [_relaxed(fields[position]) for position in (link.results, link.message_signature)]
        for data in own:
            _feed(so_far, data)
        scope = so_far
        if link.tags.get("cv") == "fail":
            scope = _hashes()
            for data in own:
                _feed(scope, data)
        digest = b""
        if link.seal.hash_name in scope:
            hashing = scope[link.seal.hash_name].copy()
            hashing.update(_relaxed(fields[link.seal_field], without_b=True).removesuffix(b"\r\n"))
            digest = hashing.digest()
        verdicts.append(_verify_seal(link.seal, answers.get(link.seal.key_name or ""), digest))
        _feed(so_far, _relaxed(fields[link.seal_field]))
    return verdicts


def _hashes() -> dict[str, hashlib._Hash]:
    return {name: hashlib.new(name, usedforsecurity=False) for name in ("sha1", "sha256")}


def _feed(hashes: dict[str, hashlib._Hash], data: bytes) -> None:
    for each in hashes.values():
        each.update(data)


def _relaxed(field: HeaderField, *, without_b: bool = False) -> bytes:
    value = value_on_the_wire(field)
    label = field.raw.partition(b":")[0]
    return b":".join(relaxed_field(label, empty_b(value) if without_b else value))


def _verify_seal(seal: Signature, answer: Answer | None, digest: bytes) -> tuple[str | Unknown, tuple[Detail, ...]]:
    if seal.errors:
        return "fail", seal.errors
    if isinstance(answer, Failed):
        return unknown_from(answer), ()
    key = _key(seal, answer)
    if isinstance(key, Detail):
        return "fail", (key,)
    if check_digest(key, seal.hash_name, seal.value, digest) is not Check.GOOD:
        return "fail", (NO_FIT(),)
    return "pass", ()


def _key(seal: Signature, answer: Answer | None) -> KeyRecord | Detail:
    """The key of a seal, or why there is none that counts."""
    if not isinstance(answer, Found):
        return KEY_MISSING(name=answer.name) if isinstance(answer, Absent) else KEY_UNNAMED()
    key, count = choose_key(answer.values)
    if key is None or not key.usable or count > 1:
        return KEY_UNUSABLE(name=answer.name)
    algorithm = seal.algorithm or ""
    if key.type != seal.key_type or (key.hashes is not None and seal.hash_name not in key.hashes):
        return KEY_OTHER(name=answer.name, algorithm=algorithm)
    if seal.hash_name == "sha1" or (key.type == "rsa" and (key.bits or 0) < MINIMUM_RSA_BITS):
        return KEY_WEAK(algorithm=algorithm, bits=key.bits or 0)
    return key


def _verify_signature(
    message: Head,
    link: _Link,
    number: int,
    answers: dict[str, Answer],
    bodies: dict[tuple[str, str, int | None], BodyHash],
    when: datetime,
) -> tuple[str | Unknown, tuple[Detail, ...]]:
    """Check an ARC-Message-Signature as a DKIM signature."""
    signature = link.signature
    body = None
    if not signature.errors:
        want = (signature.body_canonicalization, signature.hash_name, signature.body_length)
        if want not in bodies and len(bodies) == _MAX_BODIES:
            return Unknown(Reason.LIMIT, BODIES(n=_MAX_BODIES)), ()
        if want not in bodies:
            bodies[want] = hash_body(message.raw, message.body_offset, *want, odd_line_ends=message.odd_line_ends)
        body = bodies[want]
    answer = answers.get(signature.key_name or "")
    has_body = message.body_offset < len(message.raw)
    result = judge_signature(
        number, message.headers, link.message_signature, signature, answer, body, has_body, when, diagnose=False
    )
    if result.result is DkimStatus.PASS or result.unsettled:
        return result.unsettled or "pass", ()
    return "fail", result.details


def _chain_result(sets: Sequence[ArcSet]) -> tuple[str | Unknown, Detail | None]:
    """The chain passes where every seal and the newest signature do, and each sealer found the chain below intact."""
    unknown: Unknown | None = None
    newest = sets[-1]
    if newest.cv == "fail":
        return "fail", IN_SET(n=newest.instance, detail=BROKEN())
    for each in sets:
        if each.cv != ("none" if each.instance == 1 else "pass"):
            wrong = TAG_VALUE(name="cv", value=each.cv) if each.cv else CV_UNREADABLE()
            return "fail", IN_SET(n=each.instance, detail=wrong)
    if newest.signature == "fail":
        return "fail", IN_SET(n=newest.instance, detail=newest.errors[0])
    if isinstance(newest.signature, Unknown):
        unknown = newest.signature
    for each in reversed(sets):
        if each.seal == "fail":
            return "fail", IN_SET(n=each.instance, detail=each.errors[0])
        if isinstance(each.seal, Unknown):
            unknown = unknown or each.seal
    return (unknown, None) if unknown else ("pass", None)


def _oldest(sets: Sequence[ArcSet]) -> int:
    """See ArcResult.oldest_pass (section 5.2 step 5). What could not be checked does not count as holding."""
    broken = next((each.instance for each in reversed(sets) if each.signature != "pass"), 0)
    return broken + 1 if broken else 0
