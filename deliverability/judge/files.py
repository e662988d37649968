"""What every reader of rule files raises, and the guide (guide.yaml), which is read as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deliverability import _yamlstrict as yamlstrict
from deliverability._cache import cached
from deliverability.model.codes import Detail

if TYPE_CHECKING:
    import pydantic


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
        if document is None or yamlstrict.shaped(document, _steps(), problems) is None:
            raise RuleError(*problems)
        return tuple(document.data)
    return ()


@cache
def _steps() -> pydantic.TypeAdapter[Any]:
    """The shape of a guide."""
    import pydantic

    class Step(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(strict=True, extra="forbid")
        key: str
        checklist: str = ""
        step: dict[str, str]
        effect: dict[str, str] = {}
        correction: dict[str, str] = {}
        rules: list[str] = []
        shown_by: list[str] = []
        shown_with: dict[str, str] = {}

    return pydantic.TypeAdapter(list[Step])


def _guides(folders: Sequence[Path]) -> list[Path]:
    """The last first."""
    return [path for folder in reversed(folders) if (path := folder / "guide.yaml").is_file()]
