"""What every reader of rule files raises, and the guide (guide.yaml), which is read as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deliverability import _yamlstrict as yamlstrict
from deliverability._cache import cached
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
        if document is None:
            raise RuleError(*problems)
        return tuple(document.data)
    return ()


def _guides(folders: Sequence[Path]) -> list[Path]:
    """The last first."""
    return [path for folder in reversed(folders) if (path := folder / "guide.yaml").is_file()]
