"""Typed facts: a Struct a topic. The catalogue, JSON, the docs and the check of rule paths are read from its fields."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Set
from enum import Enum
from functools import cache, partial
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from msgspec import Struct
from msgspec.structs import astuple

from deliverability.core.codes import Detail
from deliverability.core.facts import base as model
from deliverability.core.facts.base import FactSpec, FactType, Reason, Unknown, Value

T = TypeVar("T")
Maybe: TypeAlias = T | Unknown
"""A value, or why it could not be established. "Looked, and there is none" is ``Maybe[T | None]``."""


def if_known(value: T | Unknown | None) -> T | None:
    """The value where it could be established; None where not."""
    return None if isinstance(value, Unknown) else value


class Unit(Struct, frozen=True):
    """What a number counts. It decides how the number is written out; names and texts decide nothing."""

    name: str


class OneOf(Struct, frozen=True):
    """The words of a closed set, between spaces: where they come from tables, not from Literals or enumerations."""

    words: str


Seconds = Annotated[int, Unit("seconds")]  # a span
Moment = Annotated[int, Unit("moment")]  # seconds since 1970
Percent = Annotated[float, Unit("percent")]
Addresses = Annotated[int, Unit("addresses")]
Bits = Annotated[int, Unit("bits")]
Connections = Annotated[int, Unit("connections")]
Days = Annotated[int, Unit("days")]
Domains = Annotated[int, Unit("domains")]
Fields = Annotated[int, Unit("fields")]
Hours = Annotated[int, Unit("hours")]
Images = Annotated[int, Unit("images")]
Labels = Annotated[int, Unit("labels")]
Levels = Annotated[int, Unit("levels")]
Links = Annotated[int, Unit("links")]
Lists = Annotated[int, Unit("lists")]
Lookups = Annotated[int, Unit("lookups")]
Messages = Annotated[int, Unit("messages")]
Occurrences = Annotated[int, Unit("occurrences")]
Octets = Annotated[int, Unit("octets")]
Pixels = Annotated[int, Unit("pixels")]
Programs = Annotated[int, Unit("programs")]
Ranges = Annotated[int, Unit("ranges")]
Records = Annotated[int, Unit("records")]
Reporters = Annotated[int, Unit("reporters")]
Reports = Annotated[int, Unit("reports")]
Sets = Annotated[int, Unit("sets")]
Signatures = Annotated[int, Unit("signatures")]
Sources = Annotated[int, Unit("sources")]
Subjects = Annotated[int, Unit("subjects")]
Times = Annotated[int, Unit("times")]
Words = Annotated[int, Unit("words")]


class Fact(Struct, frozen=True):
    """Marks a field as a public fact. `key`: of a list of records, the fields that name an item."""

    doc: str
    key: tuple[str, ...] = ()


class Record(Struct, frozen=True, kw_only=True):
    """An item of a list fact, or a node of a tree. Every field has to be given: mypy sees one that is forgotten."""

    @classmethod
    def read(cls, value: Value) -> Self | None:
        """A stored tree, which is made of plain mappings, in its type; None where it is none."""
        return None

    if not TYPE_CHECKING:  # mypy names the readers that are left
        # The bridge: a mapping too, for readers that have not been converted yet. Goes with the last of them.
        def __getitem__(self, name: str) -> Any:
            try:
                return plain(self)[name]
            except KeyError:
                raise KeyError(name) from None

        def __iter__(self) -> Iterator[str]:
            return iter(self.__struct_encode_fields__)

        def __len__(self) -> int:
            return len(self.__struct_encode_fields__)

        def __contains__(self, name: object) -> bool:
            return name in self.__struct_encode_fields__

        def get(self, name: str, default: Any = None) -> Any:  # noqa: D102
            return plain(self).get(name, default)

        def keys(self) -> tuple[str, ...]:  # noqa: D102
            return self.__struct_encode_fields__

        def values(self) -> tuple[Any, ...]:  # noqa: D102
            return astuple(self)

        def items(self) -> list[tuple[str, Any]]:  # noqa: D102
            return list(plain(self).items())


Mapping.register(Record)


def plain(record: Record) -> dict[str, Any]:
    """Its fields by the names that rules and JSON know."""
    return dict(zip(record.__struct_encode_fields__, astuple(record), strict=True))


class Cited(Struct, frozen=True):
    """The evidence of a topic: ids that most facts rest on, and those of single facts."""

    most: tuple[str, ...] = ()
    own: Mapping[str, tuple[str, ...]] = {}

    def of(self, name: str) -> tuple[str, ...]:
        """The ids of one fact, in a stable order, without repeats."""
        return tuple(dict.fromkeys(self.own.get(name, self.most)))


def cite(*most: str, **own: tuple[str, ...]) -> Cited:
    """``cite(mx_id, hosts=(mx_id, a_id))``: the evidence of each fact, `most` where it is not named."""
    return Cited(most, own)


class Topic(Struct, frozen=True, kw_only=True):
    """Facts that an auditor establishes together. Each may be Unknown (checked where the catalogue is made).

    Attributes:
        topic: what the paths of its facts begin with.
        evidence: what they rest on.

    """

    topic: ClassVar[str]
    evidence: Cited = Cited()

    def __post_init__(self) -> None:
        if odd := self.evidence.own.keys() - set(self.__struct_fields__):
            raise TypeError(f"evidence for what {type(self).__name__} does not state: {', '.join(sorted(odd))}")

    @classmethod
    def lost(cls, why: Unknown, *evidence: str) -> Self:
        """Nothing of it could be established."""
        return cls(**dict.fromkeys(facts_in(cls), why), evidence=Cited(evidence))

    def stated(self) -> dict[str, model.Fact]:
        """By path, for a FactSet."""
        return {
            path: model.Fact(path, getattr(self, name), self.evidence.of(name))
            for name, path in paths_of(type(self)).items()
        }

    @classmethod
    def read(cls, value: Callable[[str], Value]) -> Self:
        """The facts as the function gives them by path; items of stored facts, which are mappings, in their type."""
        read: dict[str, Any] = {name: value(path) for name, path in paths_of(cls).items()}
        for name, typed in _readers_of(cls).items():
            read[name] = typed(read[name])
        return cls(**read)


R = TypeVar("R", bound=Record)


def records(value: Value, kind: type[R]) -> tuple[R, ...] | Unknown | None:
    """The items of a list fact in their type; of stored facts they are plain mappings."""
    if isinstance(value, Unknown) or value is None:
        return value
    if not isinstance(value, tuple):
        return ()
    return tuple(_record(each, kind) for each in value if isinstance(each, Mapping))


def _tree(value: Value, kind: type[R]) -> R | Unknown | None:
    return value if isinstance(value, kind | Unknown) else kind.read(value)


def _record(item: Any, kind: type[R]) -> R:
    if isinstance(item, kind):
        return item
    return kind(
        **{
            name: item[written] if written in item else _absent(kind)[name]
            for name, written in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
        }
    )


@cache
def _absent(kind: type[Record]) -> Mapping[str, Any]:
    """What stands for a field that a stored item lacks."""
    found = {}
    for name, (hint, _) in facts_in(kind).items():
        parts = set(_alternatives(hint))
        lists = any(get_origin(each) is tuple for each in parts)
        found[name] = None if NoneType in parts else () if lists else Unknown(Reason.NOT_CONFIGURED)
    return found


@cache
def facts_in(kind: type[Struct]) -> Mapping[str, tuple[Any, Fact]]:
    """The fields that are facts: the type of each, and what it says."""
    found = {}
    hints = get_type_hints(kind, include_extras=True)
    for name in kind.__struct_fields__:
        hint = hints[name]
        if get_origin(hint) is Annotated and (said := [each for each in hint.__metadata__ if isinstance(each, Fact)]):
            others = tuple(each for each in hint.__metadata__ if not isinstance(each, Fact))
            found[name] = (Annotated[(hint.__origin__, *others)] if others else hint.__origin__, said[0])
    return found


@cache
def paths_of(topic: type[Topic]) -> Mapping[str, str]:
    """The path of each fact, by the name of its field."""
    written = dict(zip(topic.__struct_fields__, topic.__struct_encode_fields__, strict=True))
    return {name: sys.intern(f"{topic.topic}.{written[name]}") for name in facts_in(topic)}


@cache
def specs_of(*topics: type[Topic]) -> tuple[FactSpec, ...]:
    """Their part of the catalogue."""
    return tuple(spec for each in topics for spec in _specs(each, each.topic, must_admit_unknown=True))


@cache
def _readers_of(topic: type[Topic]) -> Mapping[str, Callable[[Value], Any]]:
    """The fields that hold records or trees, and what puts stored ones into their type."""
    found: dict[str, Callable[[Value], Any]] = {}
    for name, (hint, _) in facts_in(topic).items():
        parts = set(_alternatives(hint)) - {Unknown, NoneType}
        kind, *_, item = _kind_of(parts)
        if kind is FactType.LIST_RECORD and item is not None:
            found[name] = partial(records, kind=item)
        elif kind is FactType.TREE:
            found[name] = partial(_tree, kind=parts.pop())
    return found


def _specs(kind: type[Struct], at: str, *, must_admit_unknown: bool = False) -> Iterator[FactSpec]:
    written = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    for name, (hint, fact) in facts_in(kind).items():
        path, parts = f"{at}.{written[name]}", set(_alternatives(hint))
        if must_admit_unknown and Unknown not in parts:
            raise TypeError(f"{path} cannot be Unknown, and any fact of an auditor that crashed is")
        found, values, unit, item = _kind_of(parts - {Unknown, NoneType})
        yield FactSpec(path, found, fact.doc, unit, NoneType in parts, values, fact.key)
        if item is not None:
            yield from _specs(item, f"{path}[]" if found is FactType.LIST_RECORD else path)


def _alternatives(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, UnionType):
        for each in get_args(hint):
            yield from _alternatives(each)
    else:
        yield hint


_PLAIN = {bool: FactType.BOOL, int: FactType.INT, float: FactType.FLOAT, str: FactType.STR, Detail: FactType.DETAIL}
_LISTS = {FactType.STR: FactType.LIST_STR, FactType.INT: FactType.LIST_INT, FactType.DETAIL: FactType.LIST_DETAIL}


def _kind_of(parts: Set[Any]) -> tuple[FactType, tuple[str, ...], str, type[Record] | None]:
    """Of several alternatives only closed sets of words fit together."""
    if len(parts) == 1:
        return _kind(next(iter(parts)))
    kinds = [_kind(each) for each in sorted(parts, key=str)]
    if not all(found is FactType.STR and values for found, values, *_ in kinds):
        raise TypeError(f"a fact of several types: {parts}")
    return FactType.STR, tuple(word for _, values, *_ in kinds for word in values), "", None


def _kind(hint: Any) -> tuple[FactType, tuple[str, ...], str, type[Record] | None]:
    """Type, closed set of values, unit, and the Struct of the records in it."""
    if get_origin(hint) is Annotated:
        unit = next((each.name for each in hint.__metadata__ if isinstance(each, Unit)), "")
        found, values, _, item = _kind(hint.__origin__)
        values = next((tuple(each.words.split()) for each in hint.__metadata__ if isinstance(each, OneOf)), values)
        return found, values, unit, item
    if get_origin(hint) is Literal:
        return FactType.STR, get_args(hint), "", None
    if get_origin(hint) is tuple:
        found, values, unit, item = _kind_of(set(_alternatives(get_args(hint)[0])) - {Unknown})
        return (FactType.LIST_RECORD if found is FactType.RECORD else _LISTS[found]), values, unit, item
    if hint in _PLAIN:
        return _PLAIN[hint], (), "", None
    if issubclass(hint, Enum):
        return FactType.STR, tuple(each.value for each in hint), "", None
    if issubclass(hint, Record):  # fields that are no facts of their own: a tree, which rules cannot look into
        return (FactType.RECORD, (), "", hint) if facts_in(hint) else (FactType.TREE, (), "", None)
    raise TypeError(f"no type of a fact: {hint}")
