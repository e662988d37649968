"""A strict YAML reader for rule files: no surprises in types, no repeated keys, lines kept.

`read` takes text; `read_file` and `shaped` are for those who read many files and want to tell all problems at once.

Only `true`, `false`, `null`, decimal integers and decimal fractions are special; `yes`, `on`, `12:30` and dates stay
strings. Anchors, tags and several documents are refused.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    import pydantic

MAX_OCTETS = 4_000_000
MAX_DEPTH = 40

_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+\Z")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}

Path = tuple[str | int, ...]
_Shape = TypeVar("_Shape")


class YamlError(Exception):
    """The text is not strict YAML; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class FilesError(Exception):
    """Files that cannot be used; `problems` are one line each, ``file:line: what``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[type[FilesError], tuple[tuple[str, ...]]]:
        """For a process that tells another."""
        return type(self), (self.problems,)


class Document(Struct, frozen=True):
    """Plain data, the line on which each value begins, by its path of keys and indexes, and the text read."""

    data: Any
    lines: dict[Path, int]
    text: str = ""

    def line(self, path: Path) -> int:
        """The line of the value at `path`, or of its nearest enclosing value."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Read one document. Raises YamlError with the line of the trouble."""
    import yaml

    if len(text) > MAX_OCTETS:
        raise YamlError(1, f"larger than {MAX_OCTETS:,} characters")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    lines: dict[Path, int] = {}
    try:
        events = iter(yaml.parse(text, Loader=loader))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            return Document(None, {}, text)
        data = _build(next(events), events, (), lines)
        next(events)
        trailing = next(events)
        if not isinstance(trailing, yaml.StreamEndEvent):
            raise YamlError(_line(trailing), "more than one document in the file")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, str(error.problem or error.context)) from None
    except yaml.YAMLError as error:
        raise YamlError(1, str(error).splitlines()[0]) from None
    return Document(data, lines, text)


def read_file(path: pathlib.Path, problems: list[str]) -> Document | None:
    """Read a file in UTF-8; where that cannot be done, `problems` gets a line that says why."""
    try:
        if path.stat().st_size > MAX_OCTETS:
            raise ValueError(f"larger than {MAX_OCTETS:,} octets")
        return read(path.read_bytes().decode("utf-8"))
    except YamlError as error:
        problems.append(f"{path}:{error.line}: {error}")
    except (OSError, ValueError) as error:
        problems.append(f"{path}: {error}")
    return None


def shaped(
    document: Document, path: pathlib.Path, shape: pydantic.TypeAdapter[_Shape], problems: list[str]
) -> _Shape | None:
    """The data of `document` in `shape`; where it does not fit, `problems` gets a line for each place."""
    import pydantic

    try:
        return shape.validate_python(document.data)
    except pydantic.ValidationError as error:
        for each in error.errors():
            where = ".".join(str(step) for step in each["loc"])
            problems.append(f"{path}:{document.line(each['loc'])}: {where}: {each['msg']}")
    return None


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _build(event: Any, events: Iterator[Any], path: Path, lines: dict[Path, int]) -> Any:
    import yaml

    line = _line(event)
    lines[path] = line
    if len(path) > MAX_DEPTH:
        raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise YamlError(line, "anchors and aliases are not allowed here")
    if getattr(event, "tag", None):
        raise YamlError(line, f"tags ({event.tag}) are not allowed here")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_build(event, events, (*path, len(items)), lines))
        return items
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key_line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise YamlError(key_line, "a key must be a plain word")
        if event.value in mapping:
            raise YamlError(key_line, f"the key {event.value!r} stands here twice")
        mapping[event.value] = _build(next(events), events, (*path, event.value), lines)
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
