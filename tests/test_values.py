"""`_values.dataclass` makes what the standard library's makes; it is held against it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

from deliverability import _values
from deliverability.model.codes import Detail

DECORATORS = {"ours": _values.dataclass, "the library's": dataclasses.dataclass}


def frozen(dataclass: Any) -> Any:
    @dataclass(frozen=True, slots=True)
    class Point:
        """A point."""

        __shared__: ClassVar[int] = 3

        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list)
        note: str = field(default="", repr=False, compare=False)

        @property
        def both(self) -> int:
            return self.x + self.y

    return Point


def mutable(dataclass: Any) -> Any:
    @dataclass(slots=True)
    class Counter:
        """Counts."""

        start: int
        now: int = field(init=False)

        def __post_init__(self) -> None:
            self.now = self.start

    return Counter


@pytest.fixture(params=DECORATORS.values(), ids=list(DECORATORS))
def dataclass(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_values_by_position_name_and_default(dataclass: Any) -> None:
    point = frozen(dataclass)
    made = point(1, note="n")
    assert (made.x, made.y, made.tags, made.note, made.both) == (1, 2, [], "n", 3)
    assert point(1).tags is not point(1).tags
    assert repr(made).endswith("Point(x=1, y=2, tags=[])")
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize("wrong", [lambda of: of(), lambda of: of(1, 2, [], "", 5), lambda of: of(1, z=2)])
def test_wrong_arguments_are_a_type_error(dataclass: Any, wrong: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="__init__"):
        wrong(frozen(dataclass))


def test_equality_and_hash_are_of_the_fields_that_count(dataclass: Any) -> None:
    point = frozen(dataclass)
    assert point(1, note="a") == point(1, note="b")
    assert point(1) != point(2)
    assert point(1).__eq__((1, 2, [], "")) is NotImplemented
    assert hash(point(1, 2, ())) == hash(point(1, 2, (), "other"))
    assert len({point(1, 2, ()), point(1, 2, ()), point(2, 2, ())}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(point(1))
    with pytest.raises(TypeError, match="unhashable"):
        hash(mutable(dataclass)(1))


def test_frozen_values_stay(dataclass: Any) -> None:
    made = frozen(dataclass)(1)
    with pytest.raises(FrozenInstanceError, match="'x'"):
        made.x = 2
    with pytest.raises(FrozenInstanceError, match="'x'"):
        del made.x


def test_mutable_values_change_and_have_no_further_attributes(dataclass: Any) -> None:
    made = mutable(dataclass)(5)
    made.now += 1
    assert (made.start, made.now) == (5, 6)
    with pytest.raises(AttributeError):
        made.other = 1


def test_the_library_knows_their_fields(dataclass: Any) -> None:
    point = frozen(dataclass)
    assert is_dataclass(point)
    assert [(each.name, each.type, each.repr) for each in fields(point)] == [
        ("x", "int", True),
        ("y", "int", True),
        ("tags", "list[str]", True),
        ("note", "str", False),
    ]
    assert replace(point(1), y=5) == point(1, 5)
    assert point.__match_args__ == ("x", "y", "tags", "note")
    match point(1):
        case point(x, y):
            assert (x, y) == (1, 2)


def test_a_class_may_have_a_base_and_methods_of_its_own(dataclass: Any) -> None:
    @dataclass(slots=True)
    class Base:
        """Has a field."""

        x: int
        y: int = 1

    @dataclass(slots=True)
    class Derived(Base):
        """Has another, and a default of its own."""

        z: int = 3
        y: int = 2

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

    assert (Derived(1).x, Derived(1).y, Derived(1).z, Base(1).y) == (1, 2, 3, 1)
    assert [each.name for each in fields(Derived)] == ["x", "y", "z"]
    assert repr(Derived(1)) == "mine"
    assert Derived(1) == Derived(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Derived(1))


def test_an_own_hash_stays(dataclass: Any) -> None:
    @dataclass(frozen=True, slots=True)
    class Own:
        """Has its own hash."""

        x: int

        def __hash__(self) -> int:
            return 7

    assert hash(Own(1)) == 7


def test_without_equality_each_is_one(dataclass: Any) -> None:
    @dataclass(slots=True, eq=False)
    class One:
        """Each is itself."""

        x: int

    assert One(1) != One(1)
    assert len({One(1), One(1)}) == 2


def test_values_can_be_pickled_and_copied() -> None:
    detail = Detail("a", (("n", 1), ("inner", Detail("b"))))
    assert pickle.loads(pickle.dumps(detail)) == detail
    assert copy.copy(detail) == detail == copy.deepcopy(detail)


def test_a_default_that_can_change_is_refused(dataclass: Any) -> None:
    with pytest.raises(ValueError, match="default_factory"):

        @dataclass(slots=True)
        class Wrong:
            """Shares a list."""

            x: list[int] = []  # noqa: RUF012


def test_an_inherited_method_is_compiled_where_it_stands() -> None:
    """A class below is made first: the base gets its own `__init__`, not that of the class below."""

    @_values.dataclass(slots=True)
    class Base:
        """Has a field."""

        x: int

    class Below(Base):
        """No fields."""

    assert Below(1).x == Base(1).x == 1
    assert "__init__" not in Below.__dict__
    assert Below(1) == Below(1)
