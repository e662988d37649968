"""What the last check of the list of recipients found, and its kept sums read again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta, MsgspecError, Struct, json

from deliverability.core.codes import ABOUT, Code, Input, needs
from deliverability.core.errors import FILE_TOO_LARGE, InputError, file_error
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.deliveries import Recipients
from deliverability.core.model.observed import ListSums, Segment
from deliverability.engine.base import Context, auditor


@auditor("recipients", Recipients)
async def audit(ctx: Context) -> Recipients:
    """State the sums; all is Unknown(not-configured) where no check of a list was given."""
    sums = ctx.subject.list_sums
    if sums is None:
        return Recipients.lost(Unknown(Reason.NOT_CONFIGURED, needs(Input.LIST_CHECK)))
    return _facts(sums, ctx.now.astimezone(UTC).date())


def _facts(sums: ListSums, today: date) -> Recipients:
    segments = sums.segments
    day = datetime.fromisoformat(sums.checked).astimezone(UTC).date()
    undeliverable = segments[Segment.SYNTAX] + segments[Segment.TAKES_NO_MAIL]
    looked = sums.inactive_days is not None and bool(sums.columns.get("active"))
    inactive = segments[Segment.INACTIVE]
    return Recipients(
        checked=day.isoformat(),
        checked_days=max(0, (today - day).days),
        entries=sums.lines,
        undeliverable=undeliverable,
        undeliverable_percent=_percent(undeliverable, sums.lines),
        suppressed=segments[Segment.SUPPRESSED] if sums.suppressed_given else None,
        unconfirmed=segments[Segment.UNCONFIRMED] if sums.columns.get("confirmed") else None,
        inactive=inactive if looked else None,
        inactive_percent=_percent(inactive, sums.lines) if looked else None,
        inactive_days=sums.inactive_days if looked else None,
    )


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


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
