"""Values to and from JSON: any Struct is written by its fields, and read back as what it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

import pytest
from msgspec import Struct, field

from deliverability.core.codec import decode_as, encode, encode_fields, encode_texts
from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import EvidenceLine, Reason, Unknown, Value

LOST = Code("lost", ("name",))


class Tone(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Inner(Struct, frozen=True):
    name: str
    tone: Tone = Tone.GOOD


class Outer(Struct, frozen=True):
    kind: Tone = field(name="answer")
    inner: Inner | None
    several: tuple[Inner, ...]
    by_name: Mapping[str, Inner]
    value: Value
    line: EvidenceLine
    why: Detail | None
    number: int | float | None


FULL = Outer(
    Tone.BAD,
    Inner("one"),
    (Inner("two", Tone.BAD), Inner("three")),
    {"unknown": Inner("a name, and no word of ours"), "code": Inner("likewise")},
    (1, Unknown(Reason.TIMEOUT, LOST(name="x")), {"deep": (LOST(name="y"),)}),
    LOST(name="z"),
    LOST(name="w"),
    1.5,
)
BARE = Outer(Tone.GOOD, None, (), {}, None, "as seen", None, None)


@pytest.mark.parametrize("value", [FULL, BARE])
def test_a_struct_is_read_as_it_was_written(value: Outer) -> None:
    assert decode_as(Outer, json.loads(json.dumps(encode(value)))) == value


def test_fields_stand_in_their_order_under_their_written_names() -> None:
    assert list(encode(BARE)) == ["answer", "inner", "several", "by_name", "value", "line", "why", "number"]
    assert encode(FULL)["several"] == [{"name": "two", "tone": "bad"}, {"name": "three", "tone": "good"}]


@pytest.mark.parametrize(
    "changes", [{"answer": "neither"}, {"inner": {"name": "x", "tone": "no"}}, {"several": 7}, {"by_name": []}]
)
def test_what_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode_as(Outer, encode(FULL) | changes)


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(KeyError):
        decode_as(Inner, {"name": "x"})


def test_some_fields_and_texts_that_may_be_empty() -> None:
    assert encode_fields(Inner("x\udc80"), "tone", "name") == {"tone": "good", "name": "x\\udc80"}
    assert encode_texts(Inner(""), "name") == {"name": None}
