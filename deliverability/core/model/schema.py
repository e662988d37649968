"""Files as Structs: TOML, YAML and JSON read into the types of a Struct, with all that does not fit told at once.

The Struct is the schema. What types cannot say, its fields say with `Field`, and the Struct itself in `__post_init__`,
which raises InputError.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from enum import Enum, StrEnum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

from deliverability.core.codes import Code, Detail
from deliverability.core.errors import InputError

T = TypeVar("T")
Place = tuple[str | int, ...]
"""Where something stands: keys of tables and numbers in lists."""

DID_YOU_MEAN = Code("did-you-mean", ("detail", "near"))


class What(StrEnum):
    """What is wrong with a value. The reader of each kind of file has its words for it."""

    MISSING = "missing"
    UNKNOWN = "unknown"  # wanted: the keys that may still be given
    KIND = "kind"  # wanted: the type
    ONE_OF = "one-of"  # wanted: the values
    PATTERN = "pattern"
    EMPTY = "empty"
    RANGE = "range"  # wanted: least, most
    ABOVE = "above"  # wanted: the number
    RULE = "rule"  # wanted: what the Struct or the field says, as details


class Misfit(NamedTuple):
    """One value that does not fit."""

    place: Place
    what: What
    given: Any = None
    wanted: Any = None


Misfits = list[Misfit]


class Field(Struct, frozen=True):
    """What the type of a field cannot say.

    Attributes:
        doc: its meaning, for the docs and the JSON Schema.
        least, most: range of a number.
        above: a number has to be larger.
        pattern: what a text has to match as a whole.
        filled: a text or list cannot be empty.
        keys: a mapping has all of these, and no other.
        needed: the file has to say it, though the Struct has a default.
        written: the type that the file has where it is not that of the value, which `after` makes of it.
        before: what is done to the value first: one item stands for a list of one.
        check: what else is wrong with a value that fits.
        after: what is made of a value that fits: names in lower case.
        read: reads a value that has a language of its own, instead of the type.
        outside: it is not of the file; the reader fills it in.

    """

    doc: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    pattern: str = ""
    filled: bool = False
    keys: tuple[str, ...] = ()
    needed: bool = False
    written: Any = None
    before: Callable[[Any], Any] | None = None
    check: Callable[[Any], Detail | None] | None = None
    after: Callable[[Any], Any] | None = None
    read: Callable[[Any, Place, Misfits], Any] | None = None
    outside: bool = False


OUTSIDE = Field(outside=True)
Text = Annotated[str, Field(filled=True)]
Words = Annotated[Mapping[str, Text], Field(keys=("en", "ja"))]
"""Language -> text."""


def lower(names: Iterable[str]) -> tuple[str, ...]:
    """The names as they are compared."""
    return tuple(name.lower() for name in names)


def both(given: Any) -> Any:
    """One text stands for both languages."""
    return {"en": given, "ja": given} if isinstance(given, str) else given


Either = Annotated[Mapping[str, Text], Field(keys=("en", "ja"), before=both)]
"""The same, where one text may stand for both languages."""
FAILED: Any = object()
"""What a reader of a field gives for a value that does not fit."""
Reader = Callable[[Any, Place, Misfits], Any]


def read_as(kind: type[T], data: Any, misfits: Misfits, place: Place = ()) -> T | None:
    """The data as `kind`; `misfits` gets all that is wrong. A field that does not fit has its default, where it has
    one, so that what is wrong beside it can still be seen; None where it cannot be built.
    """
    hint: Any = kind
    found = _reader(hint)(data, place, misfits)
    return None if found is FAILED else found


def nearest(detail: Detail, word: str, known: Iterable[str]) -> Detail:
    """What is wrong with a word, and which known one may be meant."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return DID_YOU_MEAN(detail=detail, near=near[0]) if near else detail


def _reader(hint: Any) -> Reader:
    """What reads a value of that type. Those of Structs are made once, and with them those of their fields.

    (Not of all types: two sets of words are equal as types where only their order differs.)
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda data, place, misfits: data
    if origin is Annotated:
        return _limited(hint)
    if origin in (Union, UnionType):
        return _union(parts)
    if origin is Literal or _is(hint, Enum):
        return _words(parts or tuple(each.value for each in hint), str if parts else hint)
    if origin in (tuple, frozenset):
        return _checked(hint, _list(_reader(parts[0]), origin))
    if origin is not None:
        return _checked(hint, _mapping(parts[0], _reader(parts[1])))
    if _is(hint, Struct):
        return _checked(hint, _struct(hint))
    if hint is date:
        return _checked(hint, lambda data, place, misfits: _date(data))
    if hint in (Path, float):
        return _checked(hint, lambda data, place, misfits: hint(data))
    return _checked(hint, lambda data, place, misfits: data)


def _accepts(hint: Any) -> Callable[[Any], bool]:
    """Whether data is of the outer form of the type."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _accepts(hint.__origin__)
    if origin in (Union, UnionType):
        several = [_accepts(each) for each in get_args(hint)]
        return lambda data: any(each(data) for each in several)
    if hint is date:
        return lambda data: _date(data) is not None
    if hint in (int, float):
        return lambda data: type(data) is int or (hint is float and type(data) is float)
    kinds: tuple[type, ...]
    if origin is Literal or hint is Path or _is(hint, Enum):
        kinds = (str,)
    elif origin in (tuple, frozenset):
        kinds = (list, tuple)
    elif origin is not None:
        kinds = (dict,)
    elif _is(hint, Struct):
        kinds = (dict, hint)
    else:
        kinds = (hint,)
    return lambda data: isinstance(data, kinds)


def _checked(hint: Any, read: Reader) -> Reader:
    accepts = _accepts(hint)

    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        if accepts(data):
            return read(data, place, misfits)
        misfits.append(Misfit(place, What.KIND, data, hint))
        return FAILED

    return reader


def _union(parts: tuple[Any, ...]) -> Reader:
    """The first alternative of the same form; where there is none, the first says what is wanted.

    Structs with a tag are told apart by it.
    """
    if all(_is(each, Struct) and each.__struct_config__.tag is not None for each in parts):
        return _tagged(parts)
    several = [(_accepts(each), _reader(each)) for each in parts]
    first = next(_reader(each) for each in parts if each is not NoneType)

    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        return next((read for accepts, read in several if accepts(data)), first)(data, place, misfits)

    return reader


def _tagged(parts: tuple[Any, ...]) -> Reader:
    field = parts[0].__struct_config__.tag_field
    kinds = {each.__struct_config__.tag: _reader(each) for each in parts}
    tag_of = _words(tuple(kinds), str)

    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        if not isinstance(data, dict):
            misfits.append(Misfit(place, What.KIND, data, parts[0]))
            return FAILED
        if field not in data:
            misfits.append(Misfit((*place, field), What.MISSING))
            return FAILED
        tag = tag_of(data[field], (*place, field), misfits)
        rest = {name: each for name, each in data.items() if name != field}
        return FAILED if tag is FAILED else kinds[tag](rest, place, misfits)

    return reader


def _words(values: tuple[Any, ...], made: Callable[[str], Any]) -> Reader:
    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        if isinstance(data, str) and data in values:
            return made(data)
        misfits.append(Misfit(place, What.ONE_OF, data, values))
        return FAILED

    return reader


def _list(inner: Reader, made: Callable[[list[Any]], Any]) -> Reader:
    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        items = [inner(each, (*place, n), misfits) for n, each in enumerate(data)]
        return FAILED if any(each is FAILED for each in items) else made(items)

    return reader


def _mapping(keys: Any, inner: Reader) -> Reader:
    """Keys are texts; one of a closed set that is not known is told as any unknown key."""
    key_of = _reader(keys)
    known = get_args(keys) if get_origin(keys) is Literal else ()

    def key(name: str, place: Place, misfits: Misfits) -> Any:
        if known and name not in known:
            misfits.append(Misfit(place, What.UNKNOWN, name, known))
            return FAILED
        return key_of(int(name) if keys is int and name.isdecimal() else name, place, misfits)

    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        found = {
            key(name, (*place, name), misfits): inner(each, (*place, name), misfits) for name, each in data.items()
        }
        return FAILED if FAILED in found or any(each is FAILED for each in found.values()) else found

    return reader


def _limited(hint: Any) -> Reader:
    field = next((each for each in hint.__metadata__ if isinstance(each, Field)), Field())
    if field.read is not None:
        return field.read
    inner, least, most = _reader(field.written or hint.__origin__), field.least, field.most
    pattern = re.compile(field.pattern) if field.pattern else None

    def wrong(value: Any, place: Place) -> Misfit | None:
        if field.filled and not value:
            return Misfit(place, What.EMPTY)
        if pattern and not pattern.fullmatch(value):
            return Misfit(place, What.PATTERN, value)
        if (least is not None or most is not None) and not (
            math.isfinite(value) and (least is None or value >= least) and (most is None or value <= most)
        ):
            return Misfit(place, What.RANGE, value, (least, most))
        if field.above is not None and not (math.isfinite(value) and value > field.above):
            return Misfit(place, What.ABOVE, value, field.above)
        detail = field.check(value) if field.check else None
        return None if detail is None else Misfit(place, What.RULE, value, (detail,))

    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        data = field.before(data) if field.before else data
        complete = not field.keys or _has_keys(data, field.keys, place, misfits)
        before = len(misfits)
        value = inner(data, place, misfits)
        if value is FAILED or not complete:
            return FAILED
        if value is None or len(misfits) > before:  # a default may stand in it, which is not to be found fault with
            return value
        if (misfit := wrong(value, place)) is not None:
            misfits.append(misfit)
            return FAILED
        return field.after(value) if field.after else value

    return reader


def _has_keys(data: Any, keys: Collection[str], place: Place, misfits: Misfits) -> bool:
    if not isinstance(data, Mapping):
        return True  # of another kind, which is told anyway
    wrong = [Misfit((*place, name), What.MISSING) for name in keys if name not in data]
    wrong += [Misfit((*place, name), What.UNKNOWN, name, keys) for name in data if name not in keys]
    misfits += wrong
    return not wrong


def field_of(hint: Any) -> Field | None:
    """What a field says of itself beside its type."""
    said = hint.__metadata__ if get_origin(hint) is Annotated else ()
    return next((each for each in said if isinstance(each, Field)), None)


@cache
def fields_of(kind: type[Struct]) -> Mapping[str, tuple[FieldInfo, Any]]:
    """The fields of a table of the file, by the names written there."""
    hints = get_type_hints(kind, include_extras=True)
    known = {each.encode_name: (each, hints[each.name]) for each in fields(kind)}
    return {name: found for name, found in known.items() if not ((said := field_of(found[1])) and said.outside)}


@cache
def _struct(kind: type[Struct]) -> Reader:
    def described(each: FieldInfo, hint: Any) -> tuple[str, Reader, bool, bool]:
        said = field_of(hint)
        bare = each.default is NODEFAULT and each.default_factory is NODEFAULT
        return each.name, _reader(hint), bare, bare or bool(said and said.needed)

    # Its fields are looked at when the first is read: a Struct may hold itself.
    known = cache(lambda: {name: described(*found) for name, found in fields_of(kind).items()})

    def reader(data: Any, place: Place, misfits: Misfits) -> Any:
        if isinstance(data, kind):
            return data
        before = len(misfits)
        values: dict[str, Any] = {}
        failed = False
        if not data.keys() <= known().keys():
            open_ones = tuple(name for name in known() if name not in data)
            misfits += [Misfit((*place, each), What.UNKNOWN, each, open_ones) for each in data if each not in known()]
        for name, (field, read, bare, needed) in known().items():
            if name in data:
                value = read(data[name], (*place, name), misfits)
                if value is not FAILED:
                    values[field] = value
                    continue
            elif needed:
                misfits.append(Misfit((*place, name), What.MISSING))
            failed = failed or bare
        if failed:
            return FAILED
        try:
            return kind(**values)
        except InputError as error:
            if len(misfits) == before:  # else it may be a default that it finds fault with
                misfits.append(Misfit(place, What.RULE, wanted=error.details))
            return FAILED

    return reader


def _is(hint: Any, kind: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, kind)


def _date(data: Any) -> date | None:
    try:
        return data if type(data) is date else date.fromisoformat(data)
    except (TypeError, ValueError):
        return None
