"""Typed facts: what the catalogue, evidence and stored values make of the fields of a topic."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import pytest

from deliverability.core.codec import decode, encode
from deliverability.core.codes import ASKED
from deliverability.core.facts.base import Fact as Stated
from deliverability.core.facts.base import FactSet, FactSpec, FactType, Reason, Unknown, plain
from deliverability.core.facts.domain import Mx
from deliverability.core.model.topic import (
    Fact,
    Maybe,
    Octets,
    OddFactError,
    OneOf,
    Record,
    Topic,
    Unit,
    cite,
    if_known,
    specs_of,
    stored,
)

LOST = Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="example.com"))


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Item(Record, frozen=True, kw_only=True, rename={"class_": "class"}):
    name: Annotated[str, Fact("Name.")]
    class_: Annotated[Maybe[Literal["a", "b"] | None], Fact("Class.")]
    size: Annotated[Octets, Fact("Size.")]
    parts: Annotated[tuple[str, ...], Fact("Parts.")]


class Sample(Topic, frozen=True, kw_only=True):
    topic = "sample"
    present: Annotated[Maybe[bool], Fact("It is there.")]
    octets: Annotated[Maybe[Octets | None], Fact("Octets.")]
    ratio: Annotated[Maybe[Annotated[float, Unit("times")]], Fact("Ratio.")]
    colour: Annotated[Maybe[Colour | Literal["none"]], Fact("Colour.")]
    words: Annotated[Maybe[tuple[Annotated[str, OneOf("x y")], ...]], Fact("Words.")]
    items: Annotated[Maybe[tuple[Item, ...]], Fact("Items.", key=("name",))]


ITEM = Item(name="one", class_="a", size=3, parts=("p",))
SAMPLE = Sample(
    present=True,
    octets=None,
    ratio=1.5,
    colour=Colour.RED,
    words=("x",),
    items=(ITEM,),
    evidence=cite("dns:1", "dns:1", items=("dns:1", "dns:2"), present=()),
)


def test_the_catalogue_is_read_from_the_fields() -> None:
    assert specs_of(Sample) == (
        FactSpec("sample.present", FactType.BOOL, "It is there."),
        FactSpec("sample.octets", FactType.INT, "Octets.", "octets", optional=True),
        FactSpec("sample.ratio", FactType.FLOAT, "Ratio.", "times"),
        FactSpec("sample.colour", FactType.STR, "Colour.", values=("red", "blue", "none")),
        FactSpec("sample.words", FactType.LIST_STR, "Words.", values=("x", "y")),
        FactSpec("sample.items", FactType.LIST_RECORD, "Items.", key=("name",)),
        FactSpec("sample.items[].name", FactType.STR, "Name."),
        FactSpec("sample.items[].class", FactType.STR, "Class.", optional=True, values=("a", "b")),
        FactSpec("sample.items[].size", FactType.INT, "Size.", "octets"),
        FactSpec("sample.items[].parts", FactType.LIST_STR, "Parts."),
    )


def test_each_fact_has_its_evidence_once_and_in_order() -> None:
    stated = SAMPLE.stated()
    assert stated["sample.octets"] == Stated("sample.octets", None, ("dns:1",))
    assert stated["sample.items"].evidence == ("dns:1", "dns:2")
    assert stated["sample.present"].evidence == ()


def test_evidence_for_what_is_not_stated_is_refused() -> None:
    with pytest.raises(TypeError, match="evidence for what Sample does not state: itms"):
        Sample(present=True, octets=1, ratio=1.0, colour="none", words=(), items=(), evidence=cite(itms=("dns:1",)))


def test_what_is_lost_is_lost_for_one_reason() -> None:
    lost = Sample.lost(LOST, "dns:1")
    assert {fact.value for fact in lost.stated().values()} == {LOST}
    assert {fact.evidence for fact in lost.stated().values()} == {("dns:1",)}


def test_a_fact_that_cannot_be_unknown_is_no_fact_of_an_auditor() -> None:
    class Sure(Topic, frozen=True, kw_only=True):
        topic = "sure"
        present: Annotated[bool, Fact("It is there.")]

    with pytest.raises(TypeError, match=r"sure\.present cannot be Unknown"):
        specs_of(Sure)


def test_a_fact_has_one_type() -> None:
    class Either(Topic, frozen=True, kw_only=True):
        topic = "either"
        value: Annotated[Maybe[int | str], Fact("Either.")]

    with pytest.raises(TypeError, match="several types"):
        specs_of(Either)


def test_json_names_the_fields_as_rules_do() -> None:
    assert encode(SAMPLE.stated()["sample.items"].value) == [{"name": "one", "class": "a", "size": 3, "parts": ["p"]}]
    assert encode(SAMPLE.colour) == "red"
    assert type(encode(SAMPLE.colour)) is str


def test_stored_items_are_read_in_their_type() -> None:
    items = (ITEM, Item(name="two", class_=LOST, size=0, parts=()))
    assert stored(Sample, "items", decode(encode(items))) == items
    assert stored(Sample, "colour", "red") is Colour.RED
    assert stored(Sample, "colour", "none") == "none"
    assert stored(Sample, "items", LOST) == LOST


def test_what_a_stored_item_lacks_is_not_made_up() -> None:
    (read,) = stored(Sample, "items", ({"name": "one", "size": 1, "parts": ()},))
    assert read.class_ == Unknown(Reason.NOT_CONFIGURED)
    with pytest.raises(OddFactError, match=r"^sample\.items\[1\]\.size: expected a value, found nothing$"):
        stored(Sample, "items", ({"name": "one", "size": 1, "parts": ()}, {"name": "two", "parts": ()}))


def test_what_a_stored_item_has_besides_is_left_out() -> None:
    assert stored(Sample, "items", ({**plain(ITEM), "new": 1},)) == (ITEM,)


def test_only_what_could_be_established_is_known() -> None:
    assert (if_known(LOST), if_known(None), if_known(0), if_known("")) == (None, None, 0, "")


def test_facts_that_nothing_collected_are_unknown() -> None:
    assert isinstance(FactSet().of(Mx).hosts, Unknown)
