"""Header fields as DKIM sees them, and which one was changed after signing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from deliverability.core.mail.received import parse_received
from deliverability.core.protocols.dkim.key import Check, KeyRecord, check
from deliverability.core.protocols.text_record import without_white_space

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField
    from deliverability.core.protocols.dkim.signature import Signature

_LINE_END = re.compile(rb"\r?\n")
_BLANKS = re.compile(rb"[\t ]+")


def value_on_the_wire(field: HeaderField) -> bytes:
    """The octets after the colon, folding kept, every line end as CRLF, the last one included."""
    value = field.raw.partition(b":")[2].replace(b"\r\n", b"\n").removesuffix(b"\n")
    return value.replace(b"\n", b"\r\n") + b"\r\n"


def select_fields(fields: Sequence[HeaderField], names: Iterable[str], without: int) -> list[HeaderField]:
    """The fields that h= names, each name taking the next instance from the bottom up (RFC 6376 section 5.4.2).

    A name with no instance left stands for an empty field and gives nothing. `without` is the index of the
    signature's own field, which h= never means.
    """
    remaining: dict[str, list[HeaderField]] = {}
    for index, field in enumerate(fields):
        if index != without:
            remaining.setdefault(field.lower, []).append(field)
    return [instances.pop() for name in names if (instances := remaining.get(name))]


def signed_data(fields: Sequence[HeaderField], names: Iterable[str], signature: int, relaxed: bool) -> bytes:
    """What a signature signs: the fields of h= and the signature's own field with b= empty (section 3.7)."""
    pairs = [(_label(field), value_on_the_wire(field)) for field in select_fields(fields, names, signature)]
    own = fields[signature]
    pairs.append((_label(own), empty_b(value_on_the_wire(own))))
    if relaxed:
        pairs = [relaxed_field(label, value) for label, value in pairs]
    return b"".join(label + b":" + value for label, value in pairs).removesuffix(b"\r\n")


def relaxed_field(label: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A field in the relaxed form (section 3.4.2): name in lower case, one line, runs of blanks as one space.

    As dkimpy has it, whose package loads a whole DNS client.
    """
    return label.lower().rstrip(), _BLANKS.sub(b" ", _LINE_END.sub(b"", value)).strip() + b"\r\n"


def empty_b(value: bytes) -> bytes:
    """A DKIM-Signature value with the value of b= removed, surrounding white space included."""
    specs = value.split(b";")
    for index, spec in enumerate(specs):
        name, equals, _ = spec.partition(b"=")
        if equals and name.strip() == b"b":
            specs[index] = name + equals
            break
    return b";".join(specs)


def received_at(fields: Iterable[HeaderField]) -> datetime | None:
    """When the last hop took the message, by the topmost Received field; None where it does not tell."""
    top = next((field for field in fields if field.lower == "received"), None)
    return parse_received(top.value).date if top else None


def _label(field: HeaderField) -> bytes:
    """The octets before the colon, as written."""
    return field.raw.partition(b":")[0]


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
