"""DKIM as it travels from auditor to remedy and view: the signatures of a message, the published keys.

Both are lists of plain records among the facts (``dkim.signatures``, ``dkim.keys``), for rules and for JSON. The
auditor states them; everybody else reads them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec import Struct

from deliverability.core.codes import ASKED, Detail, details_in
from deliverability.core.facts.base import Reason, Unknown, Value, records_of, text_of, texts_of

T = TypeVar("T")


class DkimSignature(Struct, frozen=True):
    """What is known of a signature; an Unknown where it could not be told.

    Attributes:
        domain: d=, or None.
        selector: s=, or None.
        key_name: where its key is published; None where it names none.
        result: pass, fail, permerror or temperror.
        reason: of several the one to mend first, as a code; empty where it passes.
        reasons: all of them.
        errors: what is wrong with it.
        signed: h=, lower case.
        changed: signed fields that were changed or added after signing, as far as it can be told.
        aligned: whether d= belongs to the author domain; None where there is none.
        bits: size of the key; None where there is no key.
        key_type: its type; None where there is none that is defined.
        key_allows: its tags allow this signature; None without a key.
        body_length: l=, or None.
        expires: x=, or None.

    """

    domain: str | None
    selector: str | None
    key_name: str | None
    result: str | Unknown
    reason: str
    reasons: tuple[str, ...]
    errors: tuple[Detail, ...]
    signed: tuple[str, ...]
    changed: tuple[str, ...]
    aligned: bool | Unknown | None
    bits: int | Unknown | None
    key_type: str | Unknown | None
    key_allows: bool | Unknown | None
    body_length: int | None
    expires: int | None

    @property
    def settled(self) -> str | Unknown:
        """The result; for a temporary error, which is none, why the key could not be looked up."""
        if self.result != "temperror":
            return self.result
        asked = ASKED(type="TXT", name=self.key_name or "")
        return self.bits if isinstance(self.bits, Unknown) else Unknown(Reason.TIMEOUT, asked)


class DkimKey(Struct, frozen=True):
    """What is known of a key that was asked for.

    Attributes:
        domain: the domain that it is of.
        selector: its selector.
        key_name: where it is published.
        own: it stands at the audited domain or at a name above or below it.
        present: a key record is there; Unknown where it could not be asked for.
        record: the record, or empty.
        alias: CNAME target where a service holds it, or empty.
        fingerprint: SHA-256 (hex) of the key itself, or empty.

    """

    domain: str
    selector: str
    key_name: str
    own: bool
    present: bool | Unknown
    record: str
    alias: str
    fingerprint: str


def signatures_of(value: Value) -> tuple[DkimSignature, ...]:
    """The signatures that the value of ``dkim.signatures`` holds; empty where it is unknown."""
    return tuple(map(_signature, records_of(value)))


def keys_of(value: Value) -> tuple[DkimKey, ...]:
    """The keys that the value of ``dkim.keys`` holds; empty where it is unknown."""
    return tuple(map(_key, records_of(value)))


def _signature(record: Mapping[str, Value]) -> DkimSignature:
    get = record.get
    result = _text(get("result"))
    return DkimSignature(
        domain=_known(_text(get("domain"))),
        selector=_known(_text(get("selector"))),
        key_name=_known(_text(get("key_name"))),
        result=Unknown(Reason.NOT_CONFIGURED) if result is None else result,
        reason=text_of(get("reason")),
        reasons=texts_of(get("reasons")),
        errors=details_in(get("errors")),
        signed=texts_of(get("signed_headers")),
        changed=texts_of(get("changed_headers")),
        aligned=_truth(get("aligned")),
        bits=_number(get("bits")),
        key_type=_text(get("key_type")),
        key_allows=_truth(get("key_allows")),
        body_length=_known(_number(get("body_length_limit"))),
        expires=_known(_number(get("expires"))),
    )


def _key(record: Mapping[str, Value]) -> DkimKey:
    get = record.get
    return DkimKey(
        domain=text_of(get("domain")),
        selector=text_of(get("selector")),
        key_name=text_of(get("name")),
        own=get("own") is True,
        present=_truth(get("present")) or False,
        record=text_of(get("record")),
        alias=text_of(get("alias")),
        fingerprint=text_of(get("fingerprint")),
    )


def _text(value: Value) -> str | Unknown | None:
    return value if isinstance(value, str | Unknown) else None


def _number(value: Value) -> int | Unknown | None:
    return value if isinstance(value, int | Unknown) else None


def _truth(value: Value) -> bool | Unknown | None:
    return value if isinstance(value, bool | Unknown) else None


def _known(value: T | Unknown | None) -> T | None:
    return None if isinstance(value, Unknown) else value
