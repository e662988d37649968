"""The loader: data read into Structs, with all that does not fit told at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Struct, field

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.model.schema import OUTSIDE, Field, Misfit, Misfits, Place, What, fields_of, nearest, read_as

ODD = Code("odd")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def _even(value: int) -> Detail | None:
    return ODD() if value % 2 else None


def _reversed(data: Any, place: Place, misfits: Misfits) -> str:
    return str(data)[::-1]


class Leaf(Struct, frozen=True, rename={"owner": "is"}):
    name: Annotated[str, Field(pattern="[a-z]+")]
    owner: Literal["ours", "theirs"] | None = None
    file: Annotated[str, OUTSIDE] = ""


class Tree(Struct, frozen=True, kw_only=True):
    leaves: Annotated[tuple[Leaf, ...], Field(filled=True)] = ()
    below: Tree | None = None
    size: Annotated[int, Field(least=1, most=9)] = 1
    share: Annotated[float, Field(above=0)] = 0.5
    even: Annotated[int, Field(check=_even)] = 0
    colour: Colour = Colour.RED
    day: date | None = None
    place: Path | None = None
    words: Annotated[Mapping[str, Annotated[str, Field(filled=True)]], Field(keys=("en", "ja"))] = field(
        default_factory=dict
    )
    bits: Mapping[int, str] = field(default_factory=dict)
    kinds: Mapping[Literal["day", "week"], float] = field(default_factory=dict)
    lower: Annotated[frozenset[str], Field(after=lambda names: frozenset(map(str.lower, names)))] = frozenset()
    several: Literal["all"] | tuple[str, ...] = ()
    listed: Annotated[tuple[str, ...], Field(before=lambda data: data if isinstance(data, list) else [data])] = ()
    own: Annotated[str, Field(read=_reversed)] = ""
    given: Annotated[int, Field(needed=True)] = 0

    def __post_init__(self) -> None:
        if self.size == 7:
            raise InputError(ODD())


class Roles(Struct, frozen=True, tag_field="kind", tag="roles"):
    names: tuple[str, ...]


class Columns(Struct, frozen=True, tag_field="kind", tag="columns"):
    heads: tuple[str, ...] = ()


def test_data_that_fits_becomes_the_struct() -> None:
    misfits: Misfits = []
    data = {
        "leaves": [{"name": "a", "is": "ours"}, {"name": "b"}],
        "below": {"given": 1, "size": 9},
        "share": 1,
        "even": 2,
        "colour": "blue",
        "day": "2026-11-29",
        "place": "a/b",
        "words": {"en": "a", "ja": "b"},
        "bits": {"1": "one"},
        "kinds": {"week": 2},
        "lower": ["A", "b"],
        "several": "all",
        "listed": "one",
        "own": "abc",
        "given": 3,
    }
    assert read_as(Tree, data, misfits) == Tree(
        leaves=(Leaf("a", "ours"), Leaf("b")),
        below=Tree(given=1, size=9),
        share=1.0,
        even=2,
        colour=Colour.BLUE,
        day=date(2026, 11, 29),
        place=Path("a/b"),
        words={"en": "a", "ja": "b"},
        bits={1: "one"},
        kinds={"week": 2.0},
        lower=frozenset("ab"),
        several="all",
        listed=("one",),
        own="cba",
        given=3,
    )
    assert misfits == []


@pytest.mark.parametrize(
    ("data", "misfit"),
    [
        ({"leaves": []}, Misfit(("leaves",), What.EMPTY)),
        ({"leaves": {"name": "a"}}, Misfit(("leaves",), What.KIND, {"name": "a"}, tuple[Leaf, ...])),
        ({"leaves": [{}]}, Misfit(("leaves", 0, "name"), What.MISSING)),
        ({"leaves": [3]}, Misfit(("leaves", 0), What.KIND, 3, Leaf)),
        ({"leaves": [{"name": "A"}]}, Misfit(("leaves", 0, "name"), What.PATTERN, "A")),
        (
            {"leaves": [{"name": "a", "is": "x"}]},
            Misfit(("leaves", 0, "is"), What.ONE_OF, "x", ("ours", "theirs")),
        ),
        (
            {"leaves": [{"name": "a", "owner": "ours"}]},
            Misfit(("leaves", 0, "owner"), What.UNKNOWN, "owner", ("is",)),
        ),
        ({"leaves": [{"name": "a", "file": "x"}]}, Misfit(("leaves", 0, "file"), What.UNKNOWN, "file", ("is",))),
        ({"below": {"below": {"given": 1, "size": 0}, "given": 1}}, Misfit(("below", "below", "size"), What.RANGE, 0)),
        ({"size": 10}, Misfit(("size",), What.RANGE, 10, (1, 9))),
        ({"size": True}, Misfit(("size",), What.KIND, True, int)),
        ({"size": 1.0}, Misfit(("size",), What.KIND, 1.0, int)),
        ({"size": "1"}, Misfit(("size",), What.KIND, "1", int)),
        ({"size": 7}, Misfit((), What.RULE, None, (ODD(),))),
        ({"share": 0}, Misfit(("share",), What.ABOVE, 0.0, 0)),
        ({"share": float("inf")}, Misfit(("share",), What.ABOVE, float("inf"), 0)),
        ({"even": 3}, Misfit(("even",), What.RULE, 3, (ODD(),))),
        ({"colour": "grey"}, Misfit(("colour",), What.ONE_OF, "grey", ("red", "blue"))),
        ({"colour": None}, Misfit(("colour",), What.ONE_OF, None, ("red", "blue"))),
        ({"day": "soon"}, Misfit(("day",), What.KIND, "soon", date)),
        ({"place": 5}, Misfit(("place",), What.KIND, 5, Path)),
        ({"words": {"en": "a"}}, Misfit(("words", "ja"), What.MISSING)),
        ({"words": {"en": "a", "ja": ""}}, Misfit(("words", "ja"), What.EMPTY)),
        (
            {"words": {"en": "a", "ja": "b", "de": "c"}},
            Misfit(("words", "de"), What.UNKNOWN, "de", ("en", "ja")),
        ),
        ({"words": "a"}, Misfit(("words",), What.KIND, "a")),
        ({"bits": {"x": "one"}}, Misfit(("bits", "x"), What.KIND, "x", int)),
        ({"kinds": {"year": 2}}, Misfit(("kinds", "year"), What.UNKNOWN, "year", ("day", "week"))),
        ({"several": 5}, Misfit(("several",), What.ONE_OF, 5, ("all",))),
        ({"listed": [1]}, Misfit(("listed", 0), What.KIND, 1, str)),
        ({"siz": 5}, Misfit(("siz",), What.UNKNOWN, "siz", tuple(name for name in fields_of(Tree) if name != "given"))),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(data: dict[str, Any], misfit: Misfit) -> None:
    misfits: Misfits = []
    read_as(Tree, {"given": 1, **data}, misfits)
    (told,) = misfits
    assert told[:3] == misfit[:3]
    assert misfit.wanted is None or told.wanted == misfit.wanted


def test_all_that_is_wrong_is_told_at_once_and_the_rest_is_built() -> None:
    misfits: Misfits = []
    found = read_as(
        Tree, {"leaves": [{"name": "A"}, {"is": "x"}, {"name": "b"}], "size": 0, "even": 4, "x": 1}, misfits
    )
    assert {each.place for each in misfits} == {
        ("leaves", 0, "name"),
        ("leaves", 1, "name"),
        ("leaves", 1, "is"),
        ("size",),
        ("x",),
        ("given",),
    }
    assert found == Tree(even=4), "what does not fit has its default"


def test_a_default_in_the_place_of_a_misfit_is_not_held_against_the_struct() -> None:
    class Pair(Struct, frozen=True):
        one: int = 0
        other: int = 0

        def __post_init__(self) -> None:
            if not self.one and self.other:
                raise InputError(ODD())

    misfits: Misfits = []
    assert read_as(Pair, {"one": "x", "other": 1}, misfits) is None
    assert misfits == [Misfit(("one",), What.KIND, "x", int)]


def test_what_is_no_table_at_all_is_told() -> None:
    misfits: Misfits = []
    assert read_as(Tree, [1], misfits, ("a",)) is None
    assert misfits == [Misfit(("a",), What.KIND, [1], Tree)]


def test_kinds_of_files_are_told_apart_by_their_tag() -> None:
    kind: Any = Roles | Columns
    misfits: Misfits = []
    assert read_as(kind, {"kind": "roles", "names": ["a"]}, misfits) == Roles(("a",))
    assert read_as(kind, {"kind": "columns"}, misfits) == Columns()
    assert misfits == []
    for data in ([], {}, {"kind": "rolls"}, {"kind": "roles", "heads": []}):
        assert read_as(kind, data, misfits) is None
    assert [(each.place, each.what) for each in misfits] == [
        ((), What.KIND),
        (("kind",), What.MISSING),
        (("kind",), What.ONE_OF),
        (("heads",), What.UNKNOWN),
        (("names",), What.MISSING),
    ]


def test_the_order_of_words_is_that_of_their_own_field() -> None:
    """Two sets of the same words are the same type to Python."""

    class Both(Struct, frozen=True):
        one: Literal["a", "b"] = "a"
        other: Literal["b", "a"] = "a"

    misfits: Misfits = []
    read_as(Both, {"one": "x", "other": "x"}, misfits)
    assert [each.wanted for each in misfits] == [("a", "b"), ("b", "a")]


def test_the_nearest_name_is_offered_where_one_is_near() -> None:
    assert nearest(ODD(), "selectrs", ["helo", "selectors"]).arg("near") == "selectors"
    assert nearest(ODD(), "zzz", ["helo"]) == ODD()
