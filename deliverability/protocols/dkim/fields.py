"""The header fields of a message as DKIM sees them: which are signed, and in which form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deliverability.mail.reader import HeaderField

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
    from deliverability.mail.received import parse_received

    top = next((field for field in fields if field.lower == "received"), None)
    return parse_received(top.value).date if top else None


def _label(field: HeaderField) -> bytes:
    """The octets before the colon, as written."""
    return field.raw.partition(b":")[0]
