"""Typed facts: a Struct a topic. The catalogue, JSON, the docs and the check of rule paths are read from its fields."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import (
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

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from deliverability.core.codes import Detail
from deliverability.core.facts import base as model
from deliverability.core.facts.base import DIGEST, FactSpec, FactType, Reason, Record, Unknown, Value

T = TypeVar("T")
Maybe: TypeAlias = T | Unknown
"""A value, or why it could not be established. "Looked, and there is none" is ``Maybe[T | None]``."""


def if_known(value: T | Unknown | None) -> T | None:
    """The value where it could be established; None where not."""
    return None if isinstance(value, Unknown) else value


class Unit(Struct, frozen=True):
    """What a number counts or a text is. It decides how the value is written out; names and forms decide nothing."""

    name: str


class OneOf(Struct, frozen=True):
    """The words of a closed set, between spaces: where they come from tables, not from Literals or enumerations."""

    words: str


Seconds = Annotated[int, Unit("seconds")]  # a span
Day = Annotated[str, Unit("date")]  # ISO 8601: a day, or the month or year where no more is known
Time = Annotated[str, Unit("time")]  # ISO 8601: a day and a time with its zone
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
        own = self.evidence.own
        if own and (odd := own.keys() - set(self.__struct_fields__)):
            raise TypeError(f"evidence for what {type(self).__name__} does not state: {', '.join(sorted(odd))}")

    @classmethod
    def lost(cls, why: Unknown, *evidence: str) -> Self:
        """Nothing of it could be established."""
        return cls(**dict.fromkeys(paths_of(cls), why), evidence=Cited(evidence))

    def stated(self) -> dict[str, model.Fact]:
        """By path, for a FactSet."""
        cited = self.evidence
        most = Cited(cited.most).of("")
        return {
            path: model.Fact(path, getattr(self, name), cited.of(name) if name in cited.own else most)
            for name, path in paths_of(type(self)).items()
        }

    @classmethod
    def read(cls, value: Callable[[str], Value]) -> Self:
        """The facts as the function gives them by path."""
        read: dict[str, Any] = {name: value(path) for name, path in paths_of(cls).items()}
        return cls(**read)


@cache
def facts_in(kind: type[Struct]) -> Mapping[str, tuple[Any, Fact]]:
    """The fields that are facts: the type of each, and what it says."""
    found = {}
    hints = get_type_hints(kind, include_extras=True)
    for name in kind.__struct_fields__:
        hint = hints[name]
        if get_origin(hint) is Annotated and (said := [each for each in hint.__metadata__ if isinstance(each, Fact)]):
            found[name] = (_without_fact(hint), said[0])
    return found


@cache
def paths_of(topic: type[Topic]) -> Mapping[str, str]:
    """The path of each fact, by the name of its field: all but the evidence are facts (checked as said above).

    The types of the fields are not looked at, which would take a tenth of an audit.
    """
    written = zip(topic.__struct_fields__, topic.__struct_encode_fields__, strict=True)
    return {name: sys.intern(f"{topic.topic}.{each}") for name, each in written if name != "evidence"}


def path_of(topic: type[Topic], field: str) -> str:
    """The path of one of them, for what names facts as data: `KeyError` where the module is imported if it is none."""
    return paths_of(topic)[field]


@cache
def specs_of(*topics: type[Topic]) -> tuple[FactSpec, ...]:
    """Their part of the catalogue. Raises TypeError where a field is no fact."""
    for each in topics:
        if odd := paths_of(each).keys() - facts_in(each).keys():
            raise TypeError(f"no facts: {', '.join(sorted(odd))} of {each.__name__}")
    return tuple(spec for each in topics for spec in _specs(each, each.topic, must_admit_unknown=True))


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


def _without_fact(hint: Any) -> Any:
    """The type of a field, without what says that it is a fact."""
    if get_origin(hint) is not Annotated:
        return hint
    others = tuple(each for each in hint.__metadata__ if not isinstance(each, Fact))
    return Annotated[(hint.__origin__, *others)] if others else hint.__origin__


def _alternatives(hint: Any) -> Iterator[Any]:
    """Those of a union, of a fact's or a bare one."""
    hint = _without_fact(hint)
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


# --- stored facts ---------------------------------------------------------------------------------------------------

_Place = tuple[str | int, ...]
_Reader = Callable[[Value, _Place], Any]
_DEEPEST = 300
"""Names and numbers that lead to a value: a tree of a hundred records. An audit follows 20."""


class OddFactError(ValueError):
    """A stored fact of another form than its type. Its text names the path."""


def stored(topic: type[Topic], name: str, value: Value) -> Any:
    """A stored value, of plain mappings, in the type of that fact. Raises OddFactError."""
    hint, _ = facts_in(topic)[name]
    return _reader(hint)(value, (paths_of(topic)[name],))


def _odd(place: _Place, wanted: str, given: object) -> OddFactError:
    path = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in place)[1:]
    shown = "nothing" if given is None else _shown_odd(given)
    return OddFactError(f"{path}: expected {wanted}, found {shown}")


def _shown_odd(given: object) -> str:
    match given:
        case Unknown(reason):
            return f"unknown ({reason.value})"
        case Detail(code):
            return f"the code {code}"
        case tuple():
            return "a list"
        case Mapping():
            return "an object"
    return json.dumps(given)[:60]


@cache
def _reader(hint: Any) -> _Reader:
    """What reads a value of that type."""
    several = tuple(dict.fromkeys(_alternatives(hint)))
    readers = [_one_of(each) for each in several if each not in (Unknown, NoneType)]
    none_too, unknown_too = NoneType in several, Unknown in several

    def read(value: Value, place: _Place) -> Any:
        if (value is None and none_too) or (unknown_too and isinstance(value, Unknown)):
            return value
        odd: OddFactError | None = None
        for each in readers:
            try:
                return each(value, place)
            except OddFactError as error:
                odd = odd or error
        raise odd or _odd(place, "nothing", value)

    return read


def _one_of(hint: Any) -> _Reader:
    """What reads a value of one of the alternatives of a type."""
    origin = get_origin(hint)
    if origin is Annotated:
        words = next((each.words.split() for each in hint.__metadata__ if isinstance(each, OneOf)), None)
        return _words(tuple(words), str) if words else _reader(hint.__origin__)
    if origin is Literal:
        return _words(get_args(hint), str)
    if origin is tuple:
        return _list(_reader(get_args(hint)[0]))
    if issubclass(hint, Enum):
        return _words(tuple(each.value for each in hint), hint)
    return _record(hint) if issubclass(hint, Record) else _plain(hint)


_WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Detail: "a code"}


def _plain(kind: type) -> _Reader:
    kinds = (int, float) if kind is float else (kind,)

    def read(value: Value, place: _Place) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
            raise _odd(place, _WANTED[kind], value)
        return value

    return read


def _words(words: tuple[str, ...], made: Callable[[str], Any]) -> _Reader:
    def read(value: Value, place: _Place) -> Any:
        if isinstance(value, str) and value in words:
            return made(value)
        if isinstance(value, str) and value.startswith(DIGEST):
            return value
        raise _odd(place, f"one of {', '.join(words)}", value)

    return read


def _list(item: _Reader) -> _Reader:
    def read(value: Value, place: _Place) -> Any:
        if not isinstance(value, tuple):
            raise _odd(place, "a list", value)
        return tuple(item(each, (*place, number)) for number, each in enumerate(value))

    return read


def _record(kind: type[Record]) -> _Reader:
    """What a stored record lacks is Unknown, or has the default of its field; what it has besides is left out."""
    # Its fields are looked at when the first is read: a tree holds itself.
    known = cache(lambda: _fields(kind))

    def read(value: Value, place: _Place) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise _odd(place, "an object", value)
        if len(place) > _DEEPEST:
            raise _odd(place[:1], "a tree of a hundred records at most", value)
        read: dict[str, Any] = {}
        for name, written, reader, may_lack in known():
            if written in value:
                read[name] = reader(value[written], (*place, written))
            elif may_lack is _NEVER:
                raise _odd((*place, written), "a value", None)
            elif may_lack is not _DEFAULT:
                read[name] = may_lack
        return kind(**read)

    return read


_NEVER, _DEFAULT = object(), object()
_LACKING = Unknown(Reason.NOT_CONFIGURED)


def _fields(kind: type[Record]) -> tuple[tuple[str, str, _Reader, object], ...]:
    """The fields of a record: name, written name, reader, and what stands for one that is not there."""
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for each in fields(kind):
        parts = set(_alternatives(hints[each.name]))
        lacking: object = _LACKING if Unknown in parts else None if NoneType in parts else _NEVER
        lacking = _DEFAULT if each.default is not NODEFAULT else lacking
        found.append((each.name, each.encode_name, _reader(hints[each.name]), lacking))
    return tuple(found)
