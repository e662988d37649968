"""Dates of header fields (RFC 5322 sections 3.3 and 4.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONES = {"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7}  # others: UTC
_DATE = re.compile(
    r"(?:[A-Za-z]{3,9}\s*+,?\s*+)?(\d{1,2})\s+([A-Za-z]{3})[a-z]{0,6}\s+(\d{2,4})\s+"
    r"(\d{1,2})\s*:\s*(\d{2})(?:\s*:\s*(\d{2}))?\s*+(?:([+-])\s?(\d{2}):?(\d{2})|([A-Za-z]{1,5}))?\s*+"
)
_COMMENT = re.compile(r"\([^()]*\)")
_MAX_LENGTH = 200


def parse_date(value: str) -> datetime | None:
    """The moment a Date or Received field names, with its zone; None where it cannot be read.

    Two- and three-digit years and zone names are read as RFC 5322 section 4.3 says; a missing or unknown zone is UTC.
    """
    match = _DATE.fullmatch(_COMMENT.sub(" ", value[:_MAX_LENGTH]).strip())
    if match is None or match[2].lower() not in _MONTHS:
        return None
    year = int(match[3])
    if len(match[3]) == 2:
        year += 2000 if year < 50 else 1900
    elif len(match[3]) == 3:
        year += 1900
    if match[7]:
        minutes = int(match[8]) * 60 + int(match[9])
        offset = timedelta(minutes=-minutes if match[7] == "-" else minutes)
    else:
        offset = timedelta(hours=_ZONES.get((match[10] or "").lower(), 0))
    if abs(offset) >= timedelta(hours=24):
        return None
    zone = timezone(offset) if offset else UTC
    second = min(int(match[6] or 0), 59)  # a leap second is written 60
    if int(match[6] or 0) > 60:
        return None
    try:
        month = _MONTHS.index(match[2].lower()) + 1
        return datetime(year, month, int(match[1]), int(match[4]), int(match[5]), second, tzinfo=zone)
    except ValueError:
        return None
