"""Facts about DKIM signatures, published keys, and the ARC chain."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from deliverability.core.codes import ASKED, Detail
from deliverability.core.facts.base import Reason, Record, Unknown
from deliverability.core.model.topic import (
    Bits,
    Day,
    Days,
    Fact,
    Maybe,
    Moment,
    Octets,
    OneOf,
    Records,
    Seconds,
    Sets,
    Signatures,
    Topic,
)

FoundBy = Literal["message", "option", "report", "probe"]


class DkimStatus(StrEnum):
    """The result of one signature, in the terms of RFC 8601 section 2.7.1."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


class DkimReason(StrEnum):
    """Why a signature does not pass, in the order in which to fix the reasons."""

    MALFORMED = "malformed"
    FROM_NOT_SIGNED = "from-not-signed"
    KEY_MISSING = "key-missing"
    KEY_MULTIPLE = "key-multiple"
    KEY_REVOKED = "key-revoked"
    KEY_INVALID = "key-invalid"
    KEY_MISMATCH = "key-mismatch"
    """The key's tags do not allow this signature, or the signature was made with another key."""
    BODY_CHANGED = "body-changed"
    HEADER_CHANGED = "header-changed"
    KEY_TOO_SMALL = "key-too-small"
    SHA1 = "sha1"
    EXPIRED = "expired"
    DNS_FAILURE = "dns-failure"
    """Last, because the other reasons keep the signature from passing regardless of the key."""


class DkimSignature(Record, frozen=True, kw_only=True):
    """A signature of the message."""

    domain: Annotated[str | None, Fact("Signing domain (d=).")]
    selector: Annotated[str | None, Fact("Selector (s=).")]
    key_name: Annotated[str | None, Fact("Name of the key record.")]
    identity: Annotated[str | None, Fact("Agent or user identifier (i=).")]
    algorithm: Annotated[str | None, Fact("Signing algorithm (a=), for example rsa-sha256.")]
    canonicalization: Annotated[str, Fact("Canonicalization (c=), with defaults filled in.")]
    signed_headers: Annotated[tuple[str, ...], Fact("Signed header fields (h=), in lower case and in order.")]
    body_length_limit: Annotated[
        Octets | None, Fact("Body length limit (l=): number of octets of the body that are signed.")
    ]
    timestamp: Annotated[Moment | None, Fact("Signature timestamp (t=), in seconds since 1970.")]
    expires: Annotated[Moment | None, Fact("Signature expiration (x=), in seconds since 1970.")]
    lifetime_seconds: Annotated[Seconds | None, Fact("Time from t= to x=.")]
    key_type: Annotated[Maybe[Literal["rsa", "ed25519"] | None], Fact("Type of the published key.")]
    bits: Annotated[Maybe[Bits | None], Fact("Size of the published key.")]
    testing: Annotated[Maybe[bool | None], Fact("The key is in testing mode (t=y).")]
    revoked: Annotated[Maybe[bool | None], Fact("The key is revoked (empty p=).")]
    key_count: Annotated[Maybe[Records | None], Fact("Number of TXT records at the key's name.")]
    key_allows: Annotated[Maybe[bool | None], Fact("The key's h=, s=, k= and t=s tags allow this signature.")]
    alias: Annotated[Maybe[str | None], Fact("CNAME target of the key record, if a service hosts the key.")]
    result: Annotated[Maybe[DkimStatus], Fact("Result of verifying the signature.")]
    reason: Annotated[
        Maybe[DkimReason | None],
        Fact("Why the signature does not pass, as a code; if there are several reasons, the one to fix first."),
    ]
    reasons: Annotated[Maybe[tuple[DkimReason, ...]], Fact("All reasons why the signature does not pass, as codes.")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("All errors in the signature.")]
    changed_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Signed header fields that were changed or added after signing, as far as this can be determined."),
    ]
    aligned: Annotated[Maybe[bool | None], Fact("d= has the same organizational domain as the author domain.")]
    from_signed: Annotated[bool, Fact("The signature covers From.")]
    unsigned_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Header fields of the message that a signature should cover (rules/measures.yaml) but this one does not."),
    ]
    unsigned_core: Annotated[
        Maybe[tuple[str, ...]],
        Fact("The fields in `unsigned_headers` without which a signed text can be presented as a different message."),
    ]
    unsigned_list: Annotated[
        Maybe[tuple[str, ...]],
        Fact("The fields in `unsigned_headers` that RFC 8058 requires to be signed for one-click unsubscribe."),
    ]
    from_oversigned: Annotated[Maybe[bool], Fact("h= lists From more often than it occurs in the message.")]
    unsigned_body_octets: Annotated[Maybe[Octets | None], Fact("Length of the canonicalized body beyond l=.")]
    expired: Annotated[
        Maybe[bool], Fact("x= had passed when the message was received (or now, if the time of receipt is not known).")
    ]

    @property
    def settled(self) -> str | Unknown:
        """The result; for a temporary error, which is not a result, why the key could not be looked up."""
        if self.result != "temperror":
            return self.result
        asked = ASKED(type="TXT", name=self.key_name or "")
        return self.bits if isinstance(self.bits, Unknown) else Unknown(Reason.TIMEOUT, asked)


class DkimKey(Record, frozen=True, kw_only=True):
    """A key that was queried."""

    domain: Annotated[str, Fact("Domain of the key.")]
    selector: Annotated[str, Fact("Selector.")]
    name: Annotated[str, Fact("Name of the key record.")]
    found_by: Annotated[FoundBy, Fact("Why the key was queried.")]
    used: Annotated[bool | None, Fact("A signature of the message uses this key; absent without a message.")]
    own: Annotated[bool, Fact("The key is published at the audited domain, or at a name above or below it.")]
    selector_date: Annotated[
        Day | None,
        Fact("Date in the selector's name (20230601, 202306); without a day if the name has none."),
    ]
    selector_age_days: Annotated[
        Days | None, Fact("Days since `selector_date`, or since the end of that month if the name has no day.")
    ]
    fingerprint: Annotated[
        Maybe[str | None],
        Fact("SHA-256 (hex) of the key itself, which is the same wherever the key is published."),
    ]
    first_seen: Annotated[Maybe[Day | None], Fact("Date of the first weekly run that saw this key at this selector.")]
    known_since: Annotated[
        Maybe[Day | None],
        Fact("Date since which the key counts as in use: the earlier of `selector_date` and `first_seen`."),
    ]
    age_days: Annotated[Maybe[Days | None], Fact("Days since `known_since`.")]
    present: Annotated[Maybe[bool], Fact("A key record is published.")]
    record_count: Annotated[Maybe[Records], Fact("Number of TXT records at the name.")]
    record: Annotated[Maybe[str | None], Fact("The key record.")]
    valid: Annotated[Maybe[bool | None], Fact("The key record can be parsed.")]
    type: Annotated[Maybe[str | None], Fact("Key type.")]
    bits: Annotated[Maybe[Bits | None], Fact("Key size.")]
    exponent: Annotated[Maybe[int | None], Fact("Public exponent of an RSA key.")]
    breakable: Annotated[
        Maybe[tuple[Detail, ...]],
        Fact(
            "Why anyone can sign with the key, regardless of its size: the private key can be computed, or is public."
        ),
    ]
    weaknesses: Annotated[Maybe[tuple[Detail, ...]], Fact("Other weaknesses and anomalies of the key itself.")]
    testing: Annotated[Maybe[bool | None], Fact("The key is in testing mode (t=y).")]
    revoked: Annotated[Maybe[bool | None], Fact("The key is revoked (empty p=).")]
    sha1_only: Annotated[Maybe[bool | None], Fact("h= allows only SHA-1.")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("Errors in the key record.")]
    alias: Annotated[Maybe[str | None], Fact("CNAME target of the key record, if a service hosts the key.")]
    same_as: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Names of other records with the same key: of this domain or, if a history is kept, of any domain in "
            "the history."
        ),
    ] = ()

    @property
    def key_name(self) -> str:
        """The name of the key record, under the attribute that signatures have for it."""
        return self.name


class FailedProbe(Record, frozen=True, kw_only=True):
    """A guessed selector whose query failed."""

    selector: Annotated[str, Fact("Selector.")]
    reason: Annotated[str, Fact("Why the query failed (timeout, servfail ...).")]


class Dkim(Topic, frozen=True, kw_only=True):
    """The signatures of the message and the published keys."""

    topic = "dkim"
    signature_count: Annotated[Maybe[Signatures], Fact("Number of DKIM-Signature header fields.")]
    result: Annotated[
        Maybe[DkimStatus | Literal["none"]], Fact("Best result of all signatures; `none` if there are no signatures.")
    ]
    aligned_pass: Annotated[Maybe[bool], Fact("A passing signature is aligned with the author domain.")]
    passing_key_types: Annotated[Maybe[tuple[str, ...]], Fact("Key types of the signatures that pass (rsa, ed25519).")]
    signatures: Annotated[
        Maybe[tuple[DkimSignature, ...]],
        Fact("All signatures, in the order of the message.", key=("domain", "selector")),
    ]
    keys: Annotated[
        Maybe[tuple[DkimKey, ...]],
        Fact(
            "Published keys that were found, and keys that were named but are missing. A guessed selector without a "
            "key is not listed, because it proves nothing. Unknown if there is nothing to list but a query for a "
            "guessed selector failed.",
            key=("domain", "selector"),
        ),
    ]
    published: Annotated[
        Maybe[bool], Fact("At least one key was found; unknown (never false) if only guessed selectors were queried.")
    ]
    domainkey_exists: Annotated[
        Maybe[bool],
        Fact(
            "The name _domainkey exists in DNS, so there may be names below it. This alone does not prove that "
            "there is a key."
        ),
    ]
    dangling: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Key names that are a CNAME to a name that does not exist."),
    ]
    wildcard: Annotated[
        Maybe[bool], Fact("DNS answers for any name below _domainkey, so querying guessed selectors proves nothing.")
    ]
    guessed: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Guessed selectors that were queried: common ones and those of services; all known ones only if these "
            "led to no key."
        ),
    ]
    unpublished: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Names of keys that, according to receivers' reports, signed mail but that are no longer published."),
    ]
    failed_probes: Annotated[
        Maybe[tuple[FailedProbe, ...]],
        Fact(
            "Guessed selectors whose query failed. The other guessed selectors that are not among the keys have no "
            "key.",
            key=("selector",),
        ),
    ]


class ArcSet(Record, frozen=True, kw_only=True):
    """A set of the ARC chain."""

    instance: Annotated[int, Fact("Instance number (i=), counted from 1.")]
    domain: Annotated[str | None, Fact("Domain that sealed the set.")]
    selector: Annotated[str | None, Fact("Selector of the seal.")]
    cv: Annotated[
        Annotated[str, OneOf("none pass fail")] | None, Fact("The sealer's result for the chain before this set (cv=).")
    ]
    seal: Annotated[Maybe[Annotated[str, OneOf("pass fail")]], Fact("Whether the ARC-Seal is valid.")]
    signature: Annotated[Maybe[Annotated[str, OneOf("pass fail")]], Fact("Whether the ARC-Message-Signature is valid.")]
    errors: Annotated[tuple[Detail, ...], Fact("Errors in the set, one item each.")]


class Arc(Topic, frozen=True, kw_only=True):
    """The ARC chain: who forwarded the message."""

    topic = "arc"
    result: Annotated[
        Maybe[Annotated[str, OneOf("none pass fail")]],
        Fact("Whether the ARC chain (RFC 8617) is valid; `none` without ARC header fields."),
    ]
    reason: Annotated[Maybe[Detail | None], Fact("Why the chain is not valid.")]
    set_count: Annotated[Maybe[Sets], Fact("Number of sets in the chain.")]
    sets: Annotated[Maybe[tuple[ArcSet, ...]], Fact("Sets of the chain, the oldest first.", key=("instance", "domain"))]
    oldest_pass: Annotated[
        Maybe[int | None],
        Fact(
            "Instance of the oldest set whose signature, like all later ones, is still valid, 0 if all are; only if "
            "the chain passes."
        ),
    ]
    forwarded: Annotated[
        Maybe[bool],
        Fact(
            "The message shows signs of forwarding: X-Forwarded, Resent or List-Post header fields, or a rewritten "
            "Return-Path."
        ),
    ]
