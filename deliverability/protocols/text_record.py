"""TXT records of ``name=value`` fields: MTA-STS (RFC 8461 section 3.1) and TLS-RPT (RFC 8460 section 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from deliverability.model.codes import Code, Detail

MAX_FIELDS = 1000
"""Fields of one record that are read. Records this long are hostile: two or three are defined."""
MAX_ERRORS = 20

RECORDS_MANY = Code("records-many", ("n",))
VERSION_FIRST = Code("version-first", ("version",))
FIELDS_MANY = Code("fields-many", ("n",))
FIELD_ODD = Code("field-odd", ("text",))
TAG_BETWEEN = Code("tag-between")
TAG_TWICE = Code("tag-twice", ("name",))
TAG_MISSING = Code("tag-missing", ("name",))
TAG_VALUE = Code("tag-value", ("name", "value"))  # a value that the tag cannot have


class TextRecord(Struct, frozen=True):
    """One such record.

    Attributes:
        text: as published.
        fields: the first value by name, without those that cannot be read.
        errors: what is wrong, one each.

    """

    text: str
    fields: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[Detail, ...] = ()


def choose_record(values: Sequence[str], version: str) -> TextRecord | None:
    """The record meant: it begins with the version. Without any, one that was meant to is shown with its error."""
    proper = [value for value in values if re.match(rf"v\s*=\s*{version}\s*(?:;|$)", value)]
    meant = proper or [
        value for value in values if re.match(rf"[\s\"'“”]*v\s*=\s*{version[:-2]}", value, re.IGNORECASE)
    ]
    if not meant:
        return None
    errors = [] if proper else [VERSION_FIRST(version=version)]
    if len(meant) > 1:
        errors.append(RECORDS_MANY(n=len(meant)))
    fields: dict[str, str] = {}
    specs = meant[0].split(";", MAX_FIELDS)
    if len(specs) > MAX_FIELDS and specs.pop().strip():
        errors.append(FIELDS_MANY(n=MAX_FIELDS))
    for position, text in enumerate(specs):
        name, equals, value = (part.strip() for part in text.partition("="))
        if equals and name:
            if name in fields:
                errors.append(TAG_TWICE(name=name[:30]))
            fields.setdefault(name, value)
        elif text.strip():
            errors.append(FIELD_ODD(text=text.strip()[:60]))
        elif position < len(specs) - 1:
            errors.append(TAG_BETWEEN())
    return TextRecord(meant[0], fields, tuple(errors[:MAX_ERRORS]))
