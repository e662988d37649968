"""Reads the sums of a checked list again: the JSON that `deliv list-check` wrote."""

from __future__ import annotations

from pathlib import Path

import pydantic

from deliverability.model.codes import ABOUT, Code
from deliverability.model.errors import FILE_TOO_LARGE, InputError, file_error
from deliverability.model.lists import ListSums, Segment

NO_LIST_SUMS = Code("list-no-sums")
_MAX_OCTETS = 1_000_000


class _Shape(pydantic.BaseModel):
    """What is read of the file; later versions may say more."""

    list: str
    checked: pydantic.AwareDatetime
    entries: pydantic.NonNegativeInt
    segments: dict[str, pydantic.NonNegativeInt]
    domains: pydantic.NonNegativeInt
    domains_not_checked: pydantic.NonNegativeInt
    not_checked: pydantic.NonNegativeInt
    columns: dict[str, tuple[str, ...]]
    inactive_days: pydantic.PositiveInt | None
    without_date: pydantic.NonNegativeInt
    suppressed_given: bool


def read_sums(path: Path) -> ListSums:
    """Raises InputError where there is no such file, or where it is something else."""
    try:
        if path.stat().st_size > _MAX_OCTETS:
            raise InputError(FILE_TOO_LARGE(file=str(path), n=_MAX_OCTETS // 1_000_000))
        found = _Shape.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(file_error(path, error)) from None
    except pydantic.ValidationError:
        raise InputError(ABOUT(what=str(path), detail=NO_LIST_SUMS())) from None
    return ListSums(
        name=found.list,
        checked=found.checked.isoformat(),
        lines=found.entries,
        segments={segment: found.segments.get(segment.value, 0) for segment in Segment},
        domains=found.domains,
        domains_not_checked=found.domains_not_checked,
        not_checked=found.not_checked,
        columns=found.columns,
        inactive_days=found.inactive_days,
        without_date=found.without_date,
        suppressed_given=found.suppressed_given,
    )
