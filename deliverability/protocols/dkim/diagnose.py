"""Which header field was changed after signing, where that can be proven.

A signature only says that something changed. The copied fields of z= tell what, and so does a guess that makes the
signature good again: that a field was added, or that a mailing list put its name before the Subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from deliverability.protocols.dkim.fields import signed_data
from deliverability.protocols.dkim.key import Check, KeyRecord, check
from deliverability.protocols.dkim.tags import without_white_space

if TYPE_CHECKING:
    from deliverability.mail.reader import HeaderField
    from deliverability.protocols.dkim.signature import Signature

_MAX_GUESSES = 20
_MAX_FIELDS = 500
_MAX_OCTETS = 100_000
_SUBJECT_PREFIX = re.compile(rb"(?<=:)[ \t]*(?:\r?\n[ \t]+)?\[[^\]\r\n]{1,80}\](?=[ \t\r\n])")


def changed_fields(
    fields: Sequence[HeaderField], position: int, signature: Signature, key: KeyRecord
) -> tuple[str, ...]:
    """Names (lower case) of signed fields that were changed or added after signing; empty where nobody can tell.

    `position` is the index of the signature's own field. Huge headers are left alone.
    """
    if len(fields) > _MAX_FIELDS or sum(len(field.raw) for field in fields) > _MAX_OCTETS:
        return ()
    copied = _differing_copies(fields, signature)
    if copied:
        return copied
    relaxed = signature.header_canonicalization == "relaxed"
    for name, guess in _guesses(fields, position, signature):
        data = signed_data(guess, signature.signed_headers, position, relaxed)
        if check(key, signature.hash_name, signature.value, data) is Check.GOOD:
            return (name,)
    return ()


def _differing_copies(fields: Sequence[HeaderField], signature: Signature) -> tuple[str, ...]:
    """Fields whose value in z= is no longer in the message, white space aside."""
    present: dict[str, set[str]] = {}
    for field in fields:
        present.setdefault(field.lower, set()).add(without_white_space(field.value))
    return tuple(
        dict.fromkeys(
            name
            for name, value in signature.copied
            if name in signature.signed_headers and without_white_space(value) not in present.get(name, ())
        )
    )


def _guesses(
    fields: Sequence[HeaderField], position: int, signature: Signature
) -> Iterator[tuple[str, list[HeaderField]]]:
    """Headers as they may have been when they were signed, with the name of the field that differs."""
    tried = 0
    for index, field in enumerate(fields):
        if index == position or field.lower not in signature.signed_headers:
            continue
        if field.lower == "subject" and (shorter := _SUBJECT_PREFIX.sub(b"", field.raw, count=1)) != field.raw:
            yield field.lower, [*fields[:index], replace(field, raw=shorter), *fields[index + 1 :]]
        if tried < _MAX_GUESSES:
            tried += 1
            yield field.lower, [*fields[:index], replace(field, lower=""), *fields[index + 1 :]]
