"""A strict YAML reader for rule files: no surprises in types, no repeated keys, lines kept.

`read` takes text; `read_file` and `read_shape` are for those who read many files and want to tell all problems at once.

Only `true`, `false`, `null`, decimal integers and decimal fractions are special; `yes`, `on`, `12:30` and dates stay
strings. Anchors, tags and several documents are refused.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeVar, get_origin

from msgspec import Struct, convert
from msgspec.structs import replace

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import AT_LINE, NO_UTF8, InputError, file_error
from deliverability.core.files import PACKAGE, octets_of
from deliverability.core.model.schema import Misfit, Misfits, What, nearest, read_as

MAX_OCTETS = 1_000_000
MAX_DEPTH = 40

_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+\Z")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}

NO_YAML = Code("yaml-syntax", ("text",))
TOO_LONG = Code("yaml-too-long", ("n",))
TOO_MANY_DOCUMENTS = Code("yaml-documents")
TOO_DEEP = Code("yaml-too-deep", ("n",))
NO_ANCHORS = Code("yaml-anchors")
NO_TAGS = Code("yaml-tags", ("tag",))
PLAIN_KEYS = Code("yaml-plain-keys")
KEY_TWICE = Code("yaml-key-twice", ("key",))
# What several readers say of their files.
MISSING = Code("field-missing", ("name",))
NO_SUCH_FIELD = Code("field-unknown")
NOT_ONE_OF = Code("value-not-one-of", ("value", "values"))
NOT_ALLOWED = Code("value-cannot-stand", ("value",))
FIELDS = Code("value-fields")
LIST = Code("value-list")
TEXT = Code("value-text")
NUMBER = Code("value-number")
TRUE_OR_FALSE = Code("value-true-or-false")
EMPTY = Code("value-empty")
AT_LEAST = Code("value-at-least", ("n",))
AT_MOST = Code("value-at-most", ("n",))
MORE_THAN = Code("value-more-than", ("n",))
DEFINED = Code("already-defined", ("name", "place"))
TWICE = Code("there-twice", ("name",))
NO_RULE = Code("no-such-rule", ("rule",))
NO_SOURCE = Code("no-such-source", ("name",))
STEPS_DIFFER = Code("steps-differ", ("en", "ja"))

Path = tuple[str | int, ...]
_Shape = TypeVar("_Shape")


class YamlError(InputError):
    """The text is not strict YAML; `line` counts from 1."""

    def __init__(self, line: int, detail: Detail) -> None:
        super().__init__(detail)
        self.line = line


class FileLine(NamedTuple):
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        """As tools that jump to a line write it."""
        return f"{self.file}:{self.line}"

    def problem(self, detail: Detail, about: str = "") -> Detail:
        """What is wrong there; `about`: with which value."""
        described = ABOUT(what=about, detail=detail) if about else detail
        return AT_LINE(file=self.file, line=self.line, detail=described)


class Document(Struct, frozen=True):
    """Plain data, the line on which each value begins, by its path of keys and indexes, the text read, and its file."""

    data: Any
    lines: dict[Path, int]
    text: str = ""
    file: str = ""

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of its nearest enclosing value."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, *path: str | int) -> FileLine:
        """The same, with the file."""
        return FileLine(self.file, self.line(path))


def shipped(name: str, kind: type[_Shape]) -> _Shape:
    """A table of this program, of the folder `data`."""
    return convert(read((PACKAGE / "data" / name).read_text("utf-8")).data, kind)


def read(text: str) -> Document:
    """Read one document. Raises YamlError with the line of the trouble."""
    import yaml  # which most runs are spared: they find their rules and words in the cache

    if len(text) > MAX_OCTETS:
        raise YamlError(1, TOO_LONG(n=MAX_OCTETS))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    lines: dict[Path, int] = {}
    try:
        events = iter(yaml.parse(text, Loader=loader))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            return Document(None, {}, text)
        data = _build(yaml, next(events), events, (), lines)
        next(events)
        trailing = next(events)
        if not isinstance(trailing, yaml.StreamEndEvent):
            raise YamlError(_line(trailing), TOO_MANY_DOCUMENTS())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, NO_YAML(text=str(error.problem or error.context))) from None
    except yaml.YAMLError as error:
        raise YamlError(1, NO_YAML(text=str(error).splitlines()[0])) from None
    return Document(data, lines, text)


def read_file(path: pathlib.Path, problems: list[Detail]) -> Document | None:
    """Read a file in UTF-8; where that cannot be done, `problems` gets what says why."""
    try:
        octets = octets_of(path, MAX_OCTETS)
        if len(octets) > MAX_OCTETS:
            raise YamlError(1, TOO_LONG(n=MAX_OCTETS))
        return replace(read(octets.decode("utf-8")), file=str(path))
    except YamlError as error:
        problems.append(FileLine(str(path), error.line).problem(error.detail))
    except UnicodeDecodeError:
        problems.append(ABOUT(what=str(path), detail=NO_UTF8()))
    except OSError as error:
        problems.append(file_error(path, error))
    return None


def read_shape(document: Document, kind: type[_Shape], problems: list[Detail], *place: str | int) -> _Shape | None:
    """What stands at that place, as `kind`; where it does not fit, `problems` gets what is wrong at each place."""
    misfits: Misfits = []
    data = document.data
    for key in place:
        data = data[key]
    found = read_as(kind, data, misfits, place)
    for each in misfits:
        at = each.place[:-1] if each.what is What.MISSING else each.place
        problems += [document.at(*at).problem(detail, ".".join(map(str, at))) for detail in _details(each)]
    return None if misfits else found


_KINDS: Mapping[Any, Code] = {str: TEXT, int: NUMBER, float: NUMBER, bool: TRUE_OR_FALSE}


def _details(misfit: Misfit) -> tuple[Detail, ...]:
    match misfit.what:
        case What.RULE:
            return tuple(misfit.wanted)
        case What.MISSING:
            return (MISSING(name=str(misfit.place[-1])),)
        case What.UNKNOWN:
            return (nearest(NO_SUCH_FIELD(), misfit.given, misfit.wanted),)
        case What.ONE_OF:
            return (NOT_ONE_OF(value=str(misfit.given), values=misfit.wanted),)
        case What.PATTERN:
            return (NOT_ALLOWED(value=str(misfit.given)),)
        case What.EMPTY:
            return (EMPTY(),)
        case What.ABOVE:
            return (MORE_THAN(n=misfit.wanted),)
        case What.RANGE:
            least, most = misfit.wanted
            return (AT_MOST(n=most) if most is not None and misfit.given > most else AT_LEAST(n=least),)
    listed = get_origin(misfit.wanted) in (tuple, frozenset)
    return (LIST() if listed else _KINDS.get(misfit.wanted, FIELDS)(),)


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _build(yaml: ModuleType, event: Any, events: Iterator[Any], path: Path, lines: dict[Path, int]) -> Any:
    line = _line(event)
    lines[path] = line
    if len(path) > MAX_DEPTH:
        raise YamlError(line, TOO_DEEP(n=MAX_DEPTH))
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise YamlError(line, NO_ANCHORS())
    if getattr(event, "tag", None):
        raise YamlError(line, NO_TAGS(tag=str(event.tag)))
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_build(yaml, event, events, (*path, len(items)), lines))
        return items
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key_line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise YamlError(key_line, PLAIN_KEYS())
        if event.value in mapping:
            raise YamlError(key_line, KEY_TWICE(key=event.value))
        mapping[event.value] = _build(yaml, next(events), events, (*path, event.value), lines)
        lines[(*path, event.value)] = key_line
    return mapping


def _scalar(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
