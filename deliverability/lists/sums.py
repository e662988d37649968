"""Reads the sums of a checked list again: the JSON that `deliv list-check` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta, MsgspecError, Struct, json

from deliverability.model.codes import ABOUT, Code
from deliverability.model.errors import FILE_TOO_LARGE, InputError, file_error
from deliverability.model.lists import ListSums, Segment

NO_LIST_SUMS = Code("list-no-sums")
_MAX_OCTETS = 1_000_000


_Count = Annotated[int, Meta(ge=0)]


class _Sums(Struct, frozen=True):
    """What is read of the file; later versions may say more."""

    list: str
    checked: Annotated[datetime, Meta(tz=True)]
    entries: _Count
    segments: Mapping[str, _Count]
    domains: _Count
    domains_not_checked: _Count
    not_checked: _Count
    columns: Mapping[str, tuple[str, ...]]
    inactive_days: Annotated[int, Meta(ge=1)] | None
    without_date: _Count
    suppressed_given: bool


def read_sums(path: Path) -> ListSums:
    """Raises InputError where there is no such file, or where it is something else."""
    try:
        if path.stat().st_size > _MAX_OCTETS:
            raise InputError(FILE_TOO_LARGE(file=str(path), n=_MAX_OCTETS // 1_000_000))
        found = json.decode(path.read_bytes(), type=_Sums)
    except OSError as error:
        raise InputError(file_error(path, error)) from None
    except (MsgspecError, UnicodeDecodeError, RecursionError):
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
