"""Reads rules/contacts.yaml: whom a sender can write to at each receiver.

The shape is checked by pydantic, names by the rules. Every problem is told with file and line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from deliverability import _yamlstrict as yamlstrict
from deliverability._yamlstrict import NO_RULE, NO_SOURCE
from deliverability.model.codes import Code, Detail
from deliverability.model.contacts import AskedFor, Contact, ContactChannel
from deliverability.model.rules import Confidence, RuleSet, SourceRef

FILE = "contacts.yaml"

NO_RECEIVER = Code("contact-no-receiver", ("receiver",))
ASKS = Code("contact-asks")
NO_ADDRESS = Code("contact-no-address", ("address", "channel"))


class ContactError(yamlstrict.FilesError):
    """A file of contacts that cannot be used."""


class _Shape(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


_Text = Annotated[str, pydantic.Field(min_length=1)]


class _Words(_Shape):
    en: _Text
    ja: _Text


class _Ref(_Shape):
    ref: str
    section: str = ""


class _ContactShape(_Shape):
    receiver: str = pydantic.Field(pattern=r"^[a-z0-9-]+$")
    channel: ContactChannel
    address: _Text
    language: Literal["en", "ja"]
    asks: tuple[AskedFor, ...] = ()
    conditions: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    note: _Words
    recipients: _Words | None = None
    sources: tuple[_Ref, ...] = pydantic.Field(min_length=1)
    confidence: Confidence = Confidence.HIGH


_FILE = pydantic.TypeAdapter(list[_ContactShape])


def load_contacts(folders: Iterable[Path], rules: RuleSet) -> Mapping[str, Contact]:
    """The contacts of every folder by receiver id; a later one replaces an earlier one.

    Raises ContactError with every problem.
    """
    found: dict[str, Contact] = {}
    problems: list[Detail] = []
    for folder in folders:
        path = folder / FILE
        if not path.is_file():
            continue
        document = yamlstrict.read_file(path, problems)
        shapes = yamlstrict.shaped(document, _FILE, problems) if document else None
        if document is None or shapes is None:
            continue
        for index, each in enumerate(shapes):
            problems.extend(map(document.at(index).problem, _troubles(each, rules)))
            found[each.receiver] = _contact(each)
    if problems:
        raise ContactError(*problems)
    return found


def _troubles(shape: _ContactShape, rules: RuleSet) -> Iterable[Detail]:
    if shape.receiver not in rules.receivers:
        yield NO_RECEIVER(receiver=shape.receiver)
    yield from (NO_RULE(rule=rule) for rule in shape.conditions if rule not in rules.rules)
    yield from (NO_SOURCE(name=each.ref) for each in shape.sources if each.ref not in rules.sources)
    if (shape.channel is ContactChannel.NONE) == bool(shape.asks):
        yield ASKS()
    if (shape.channel is ContactChannel.MAIL) != ("@" in shape.address and "//" not in shape.address):
        yield NO_ADDRESS(address=shape.address, channel=shape.channel.value)


def _contact(shape: _ContactShape) -> Contact:
    return Contact(
        receiver=shape.receiver,
        channel=shape.channel,
        address=shape.address,
        language=shape.language,
        asks=shape.asks,
        conditions=shape.conditions,
        scope=tuple(each.lower() for each in shape.scope),
        note=shape.note.model_dump(),
        recipients=shape.recipients.model_dump() if shape.recipients else {},
        sources=tuple(SourceRef(each.ref, each.section) for each in shape.sources),
        confidence=shape.confidence,
    )
