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
    """The result of one signature, in the words of RFC 8601 section 2.7.1."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


class DkimReason(StrEnum):
    """Why a signature does not pass, the one to mend first first."""

    MALFORMED = "malformed"
    FROM_NOT_SIGNED = "from-not-signed"
    KEY_MISSING = "key-missing"
    KEY_MULTIPLE = "key-multiple"
    KEY_REVOKED = "key-revoked"
    KEY_INVALID = "key-invalid"
    KEY_MISMATCH = "key-mismatch"
    """The key's tags forbid this signature, or it is another key than the one that signed."""
    BODY_CHANGED = "body-changed"
    HEADER_CHANGED = "header-changed"
    KEY_TOO_SMALL = "key-too-small"
    SHA1 = "sha1"
    EXPIRED = "expired"
    DNS_FAILURE = "dns-failure"
    """Last, because the others keep the signature from passing whatever the key is."""


class DkimSignature(Record, frozen=True, kw_only=True):
    """A signature of the message."""

    domain: Annotated[str | None, Fact("Signing domain (d=).")]
    selector: Annotated[str | None, Fact("Selector (s=).")]
    key_name: Annotated[str | None, Fact("Name of the key record.")]
    identity: Annotated[str | None, Fact("Agent or user (i=).")]
    algorithm: Annotated[str | None, Fact("a=, for example rsa-sha256.")]
    canonicalization: Annotated[str, Fact("c=, with its default filled in.")]
    signed_headers: Annotated[tuple[str, ...], Fact("h=, lower case, in order.")]
    body_length_limit: Annotated[Octets | None, Fact("l=, octets of the body that are signed.")]
    timestamp: Annotated[Moment | None, Fact("t=, seconds since 1970.")]
    expires: Annotated[Moment | None, Fact("x=, seconds since 1970.")]
    lifetime_seconds: Annotated[Seconds | None, Fact("x= minus t=.")]
    key_type: Annotated[Maybe[Literal["rsa", "ed25519"] | None], Fact("Type of the published key.")]
    bits: Annotated[Maybe[Bits | None], Fact("Size of the published key.")]
    testing: Annotated[Maybe[bool | None], Fact("The key says t=y.")]
    revoked: Annotated[Maybe[bool | None], Fact("The key is revoked (empty p=).")]
    key_count: Annotated[Maybe[Records | None], Fact("TXT records at the key's name.")]
    key_allows: Annotated[Maybe[bool | None], Fact("The key's h=, s=, k= and t=s tags allow this signature.")]
    alias: Annotated[Maybe[str | None], Fact("CNAME target of its key, where a service holds the key.")]
    result: Annotated[Maybe[DkimStatus], Fact("Result of verification.")]
    reason: Annotated[
        Maybe[DkimReason | None],
        Fact("Why it does not pass, as a code; of several reasons the one to mend first."),
    ]
    reasons: Annotated[Maybe[tuple[DkimReason, ...]], Fact("All reasons for which it does not pass, as such codes.")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("All that is wrong with it.")]
    changed_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Signed fields that were changed or added after signing, as far as it can be told."),
    ]
    aligned: Annotated[Maybe[bool | None], Fact("d= shares the organizational domain of the author domain.")]
    from_signed: Annotated[bool, Fact("From is among them.")]
    unsigned_headers: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Fields of the message that a signature should cover (rules/measures.yaml) and that are not signed."),
    ]
    unsigned_core: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Of these, the fields without which a signed text can be shown as another mail."),
    ]
    unsigned_list: Annotated[
        Maybe[tuple[str, ...]], Fact("Of these, the fields that RFC 8058 requires to be signed for one click.")
    ]
    from_oversigned: Annotated[Maybe[bool], Fact("From is listed more often than it occurs.")]
    unsigned_body_octets: Annotated[Maybe[Octets | None], Fact("Octets of the canonicalized body beyond l=.")]
    expired: Annotated[Maybe[bool], Fact("x= was past when the message was received (now, where nothing tells when).")]

    @property
    def settled(self) -> str | Unknown:
        """The result; for a temporary error, which is none, why the key could not be looked up."""
        if self.result != "temperror":
            return self.result
        asked = ASKED(type="TXT", name=self.key_name or "")
        return self.bits if isinstance(self.bits, Unknown) else Unknown(Reason.TIMEOUT, asked)


class DkimKey(Record, frozen=True, kw_only=True):
    """A key that was asked for."""

    domain: Annotated[str, Fact("Domain.")]
    selector: Annotated[str, Fact("Selector.")]
    name: Annotated[str, Fact("Name of the key record.")]
    found_by: Annotated[FoundBy, Fact("How we came to ask.")]
    used: Annotated[bool | None, Fact("A signature of the message names this key; none without a message.")]
    own: Annotated[bool, Fact("The key stands at the audited domain or at a name above or below it.")]
    selector_date: Annotated[
        Day | None,
        Fact("Date that the selector's name carries (20230601, 202306); without a day where the name has none."),
    ]
    selector_age_days: Annotated[
        Days | None, Fact("Days since that date; since the end of the month where the name has no day.")
    ]
    fingerprint: Annotated[
        Maybe[str | None],
        Fact("SHA-256 (hex) of the key itself: the same key has the same, wherever it stands."),
    ]
    first_seen: Annotated[
        Maybe[Day | None], Fact("Date of the first weekly run that saw this key under this selector.")
    ]
    known_since: Annotated[
        Maybe[Day | None],
        Fact("The earlier of selector_date and first_seen: since when the key counts as in use."),
    ]
    age_days: Annotated[Maybe[Days | None], Fact("Days since known_since.")]
    present: Annotated[Maybe[bool], Fact("A key record is there.")]
    record_count: Annotated[Maybe[Records], Fact("TXT records at the name.")]
    record: Annotated[Maybe[str | None], Fact("The key record.")]
    valid: Annotated[Maybe[bool | None], Fact("The key record can be read.")]
    type: Annotated[Maybe[str | None], Fact("Key type.")]
    bits: Annotated[Maybe[Bits | None], Fact("Key size.")]
    exponent: Annotated[Maybe[int | None], Fact("Public exponent of an RSA key.")]
    breakable: Annotated[
        Maybe[tuple[Detail, ...]],
        Fact("What lets anybody sign with it, however long it is: the private key can be worked out, or is public."),
    ]
    weaknesses: Annotated[Maybe[tuple[Detail, ...]], Fact("What else is weak or odd about the key itself.")]
    testing: Annotated[Maybe[bool | None], Fact("t=y.")]
    revoked: Annotated[Maybe[bool | None], Fact("Empty p=.")]
    sha1_only: Annotated[Maybe[bool | None], Fact("h= allows nothing but SHA-1.")]
    errors: Annotated[Maybe[tuple[Detail, ...]], Fact("What is wrong in the key record.")]
    alias: Annotated[Maybe[str | None], Fact("CNAME target, where the key is hosted by a service.")]
    same_as: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Names of other records with the same key, of this domain or, where a history is kept, of any domain in it."
        ),
    ] = ()

    @property
    def key_name(self) -> str:
        """Its name, as a signature calls it."""
        return self.name


class FailedProbe(Record, frozen=True, kw_only=True):
    """A guessed selector that got no answer."""

    selector: Annotated[str, Fact("Selector.")]
    reason: Annotated[str, Fact("What went wrong (timeout, servfail ...).")]


class Dkim(Topic, frozen=True, kw_only=True):
    """The signatures of the message and the published keys."""

    topic = "dkim"
    signature_count: Annotated[Maybe[Signatures], Fact("DKIM-Signature fields.")]
    result: Annotated[Maybe[DkimStatus | Literal["none"]], Fact("Best result of all signatures; none without any.")]
    aligned_pass: Annotated[Maybe[bool], Fact("A passing signature is aligned with the author domain.")]
    passing_key_types: Annotated[Maybe[tuple[str, ...]], Fact("Key types of the signatures that pass (rsa, ed25519).")]
    signatures: Annotated[
        Maybe[tuple[DkimSignature, ...]],
        Fact("Every signature, in the order of the message.", key=("domain", "selector")),
    ]
    keys: Annotated[
        Maybe[tuple[DkimKey, ...]],
        Fact(
            "Published keys found, and named ones that are missing. A probe that missed is not listed: it tells "
            "nothing. Unknown where nothing is to be listed, but a probe failed.",
            key=("domain", "selector"),
        ),
    ]
    published: Annotated[
        Maybe[bool], Fact("A key was found; unknown (never false) where only guessed selectors were asked.")
    ]
    domainkey_exists: Annotated[
        Maybe[bool],
        Fact("DNS does not deny the name _domainkey: something may stand below it. That alone is no key."),
    ]
    dangling: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Names of keys that are an alias (CNAME) of a name that does not exist."),
    ]
    wildcard: Annotated[Maybe[bool], Fact("Any name below _domainkey is answered, so probing proves nothing.")]
    guessed: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Guessed selectors that were asked for: common ones and those of services; all that are known only where "
            "these led to no key."
        ),
    ]
    unpublished: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Names of keys with which mail was signed by what receivers report, and at which none stands now."),
    ]
    failed_probes: Annotated[
        Maybe[tuple[FailedProbe, ...]],
        Fact(
            "Of these, those that got no answer; the others that are not among the keys hold none.", key=("selector",)
        ),
    ]


class ArcSet(Record, frozen=True, kw_only=True):
    """A set of the chain."""

    instance: Annotated[int, Fact("i=, counted from 1.")]
    domain: Annotated[str | None, Fact("Domain that sealed it.")]
    selector: Annotated[str | None, Fact("Selector of the seal.")]
    cv: Annotated[Annotated[str, OneOf("none pass fail")] | None, Fact("What the sealer said of the chain below.")]
    seal: Annotated[Maybe[Annotated[str, OneOf("pass fail")]], Fact("Whether its ARC-Seal holds.")]
    signature: Annotated[Maybe[Annotated[str, OneOf("pass fail")]], Fact("Whether its ARC-Message-Signature holds.")]
    errors: Annotated[tuple[Detail, ...], Fact("What is wrong with it, one each.")]


class Arc(Topic, frozen=True, kw_only=True):
    """The chain of those who passed the message on."""

    topic = "arc"
    result: Annotated[
        Maybe[Annotated[str, OneOf("none pass fail")]],
        Fact("Whether the ARC chain (RFC 8617) holds; none without ARC fields."),
    ]
    reason: Annotated[Maybe[Detail | None], Fact("Why the chain does not hold.")]
    set_count: Annotated[Maybe[Sets], Fact("Sets that make up the chain.")]
    sets: Annotated[
        Maybe[tuple[ArcSet, ...]], Fact("The sets of the chain, the oldest first.", key=("instance", "domain"))
    ]
    oldest_pass: Annotated[
        Maybe[int | None],
        Fact(
            "Oldest set whose signature still holds with all after it, 0 where all hold; only where the chain passes."
        ),
    ]
    forwarded: Annotated[
        Maybe[bool],
        Fact(
            "The message shows that it was passed on: X-Forwarded, Resent or List-Post fields, or a rewritten "
            "Return-Path."
        ),
    ]
