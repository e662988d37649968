"""What every reader of rule files raises, and the guide (guide.yaml), which is read as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from deliverability import _yamlstrict as yamlstrict
from deliverability._cache import cached
from deliverability._yamlstrict import TWICE, read_shape
from deliverability.model.codes import Detail


class RuleError(yamlstrict.FilesError):
    """Rule files that cannot be used."""


def load_guide(folders: Sequence[Path]) -> tuple[Mapping[str, Any], ...]:
    """As `read_guide`, which is done once for each state of the file."""
    return cached("guide", _guides(folders), lambda: read_guide(folders))


def read_guide(folders: Sequence[Path]) -> tuple[Mapping[str, Any], ...]:
    """The user's guide (guide.yaml) of the last folder that has one; empty without one. Raises RuleError."""
    for path in _guides(folders):
        problems: list[Detail] = []
        document = yamlstrict.read_file(path, problems)
        if document is None or read_shape(document, tuple[_Step, ...], problems) is None:
            raise RuleError(*problems)
        keys = [step["key"] for step in document.data]
        if twice := [n for n, key in enumerate(keys) if key in keys[:n]]:
            raise RuleError(*(document.at(n).problem(TWICE(name=keys[n])) for n in twice))
        return tuple(document.data)
    return ()


class _Step(Struct, frozen=True, kw_only=True):
    """The shape of a step."""

    key: str
    checklist: str = ""
    step: Mapping[str, str]
    effect: Mapping[str, str] = field(default_factory=dict)
    correction: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    shown_by: tuple[str, ...] = ()
    shown_with: Mapping[str, str] = field(default_factory=dict)


def _guides(folders: Sequence[Path]) -> list[Path]:
    """The last first."""
    return [path for folder in reversed(folders) if (path := folder / "guide.yaml").is_file()]
