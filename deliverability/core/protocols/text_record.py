"""Records of fields: ``name=value`` (RFC 8461, RFC 8460) and tag lists (RFC 6376 section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from deliverability.core.codes import Code, Detail

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
    proper = [value for value in values if re.match(rf"v={version}\s*(?:;|$)", value)]
    meant = proper or [
        value for value in values if re.search(rf"(?:^|;)[\s\"'“”]*v\s*=\s*{version[:-2]}", value, re.IGNORECASE)
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


FOLDING_WHITE_SPACE = " \t\r\n"
MAX_TAGS = 1000
"""Tags of one list that are read. Lists this long are hostile: a dozen are defined."""

_TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

TAG_ODD = Code("tag-odd", ("text",))
TAG_BASE64 = Code("tag-base64", ("name",))
TAGS_MANY = Code("tags-many", ("n",))


class TagList(Struct, frozen=True):
    """The tags of a list in their order, and what is wrong with its syntax.

    Attributes:
        tags: value by name; both keep their case, outer white space is removed, inner white space is kept.
            Of a repeated tag the first value is kept.
        errors: with any, RFC 6376 has the whole list ignored.

    """

    tags: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[Detail, ...] = ()

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of a tag, or `default` where the list does not have it."""
        return self.tags.get(name, default)


def parse_tags(text: str) -> TagList:
    """Read a tag list. Never raises; a final semicolon is allowed, an empty tag elsewhere is an error."""
    specs = text.split(";", MAX_TAGS)
    rest = specs.pop() if len(specs) > MAX_TAGS else ""
    if not rest and not specs[-1].strip(FOLDING_WHITE_SPACE):
        specs.pop()
    tags: dict[str, str] = {}
    errors: list[Detail] = []
    for spec in specs:
        name, equals, value = (part.strip(FOLDING_WHITE_SPACE) for part in spec.partition("="))
        if not equals or not _TAG_NAME.fullmatch(name):
            text = spec.strip(FOLDING_WHITE_SPACE)
            errors.append(TAG_ODD(text=shorten(text)) if text else TAG_BETWEEN())
        elif name in tags:
            errors.append(TAG_TWICE(name=shorten(name)))
        else:
            tags[name] = value
    if rest.strip(FOLDING_WHITE_SPACE):
        errors[_MAX_ERRORS - 1 :] = [TAGS_MANY(n=MAX_TAGS)]
    return TagList(tags, tuple(errors[:_MAX_ERRORS]))


def without_white_space(value: str) -> str:
    """A value with all its white space removed, as base64 and colon lists allow it inside."""
    return "".join(value.split())


def colon_list(value: str) -> tuple[str, ...]:
    """The elements of a colon-separated value, white space around them removed, empty ones dropped."""
    return tuple(element for part in value.split(":") if (element := part.strip(FOLDING_WHITE_SPACE)))


def shorten(value: str) -> str:
    """A value short enough to be quoted in an error."""
    return value if len(value) <= _QUOTED else value[:_QUOTED] + "..."


_QUOTED = 60
_MAX_ERRORS = 20
