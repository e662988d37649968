"""Moments as people read them: in their own time zone, in the order and with the signs of the language."""

from __future__ import annotations

import re
from datetime import datetime

from deliverability.core.phrases import Phrases

_LESS_EXACT = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2]))?")


def moment_words(at: str, say: Phrases) -> str:
    """An ISO 8601 moment: ``25 Nov 2026, 9:00 JST``. Anything else stands as it is."""
    local = _local(at)
    return say("date.moment", **_parts(local, say), zone=zone_words(at)) if local else at


def row_words(at: str, say: Phrases) -> str:
    """The same for a column of a table, whose head names the zone: ``25 Nov 2026 09:00``."""
    local = _local(at)
    return say("date.row", **_parts(local, say) | {"time": f"{local:%H:%M}"}) if local else at


def day_words(at: str, say: Phrases) -> str:
    """The day of a moment, or a day: ``25 Nov``."""
    local = _local(at)
    return say("date.day", **_parts(local, say)) if local else at


def full_day_words(at: str, say: Phrases) -> str:
    """The day with its year: ``25 Nov 2026``; of what is dated less exactly, the month or the year."""
    local = _local(at)
    if local:
        return say("date.full-day", **_parts(local, say))
    if read := _LESS_EXACT.fullmatch(at):
        year, month = read[1], read[2]
        if not month:
            return say("date.year", year=year)
        return say("date.year-month", year=year, month=say(f"date.month.{int(month)}"))
    return at


def zone_words(at: str) -> str:
    """The reader's time zone at that moment: its short name, or ``UTC+9``."""
    local = _local(at)
    name = (local.tzname() or "") if local else ""
    if local is None or name.isalpha():
        return name
    minutes = int((local.utcoffset() or local - local).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


def _parts(local: datetime, say: Phrases) -> dict[str, str]:
    return {
        "year": str(local.year),
        "month": say(f"date.month.{local.month}"),
        "day": str(local.day),
        "time": f"{local.hour}:{local:%M}",
    }


def _local(at: str) -> datetime | None:
    """In the reader's zone; a day without a time is that day everywhere."""
    try:
        read = datetime.fromisoformat(at)
    except ValueError:
        return None
    return read.astimezone() if read.tzinfo else read
