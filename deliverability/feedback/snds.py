"""SNDS of Outlook.com: what it says of addresses by day, from its two tables (CSV without a header)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from ipaddress import ip_address

from deliverability.model.deliveries import DeliveryOrigin, PublishedValue

RECIPIENTS, RESULT, COMPLAINTS, TRAPS, BLOCKED = "recipients", "result", "complaints", "traps", "blocked"
"""Metrics: messages; filter result (0 green, 1 yellow, 2 red); complaint rate in percent; hits; 1: it is blocked."""

_EPOCH = date(1970, 1, 1)
_RESULTS = {"GREEN": 0.0, "YELLOW": 1.0, "RED": 2.0}
_DATA, _STATUS = 14, 4
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,6})?")
_FORMS = ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%Y-%m-%d")
_HEAD_ROWS = 3


def snds_values(rows: Iterator[list[str]]) -> list[PublishedValue] | None:
    """What a table says; None where none of its first rows is one of SNDS."""
    found: list[PublishedValue] = []
    known = False
    for number, row in enumerate(rows):
        subject = _address(row[0]) if row else ""
        if subject and len(row) == _DATA:
            known = True
            found += _data(subject, row)
        elif subject and len(row) == _STATUS and row[2].lower() in ("yes", "no") and _address(row[1]):
            known = True
            value = float(row[2].lower() == "yes")
            found.append(PublishedValue(subject, None, DeliveryOrigin.SNDS, BLOCKED, value, value))
        elif not known and number >= _HEAD_ROWS:
            return None
    return found if known else None


def _data(subject: str, row: list[str]) -> Iterator[PublishedValue]:
    """One address on one day; a sample HELO and MAIL FROM stand in the row, too, and are left there."""
    day = _day(row[1])
    if day is None:
        return
    values = (
        (RECIPIENTS, _count(row[5])),
        (RESULT, _RESULTS.get(row[6].upper())),
        (TRAPS, _count(row[10])),
    )
    for metric, value in values:
        if value is not None:
            yield PublishedValue(subject, day, DeliveryOrigin.SNDS, metric, value, value)
    if (rate := _rate(row[7])) is not None:
        yield PublishedValue(subject, day, DeliveryOrigin.SNDS, COMPLAINTS, *rate)


def _rate(cell: str) -> tuple[float, float] | None:
    """A rate in percent, from and to: ``< 0.1%``, ``0.3%``, ``1.0 - 1.5%``."""
    numbers = [min(float(each), 100.0) for each in _NUMBER.findall(cell[:40])]
    if not numbers:
        return None
    if "<" in cell:
        return 0.0, numbers[-1]
    return (numbers[0], 100.0) if ">" in cell else (min(numbers), max(numbers))


def _count(cell: str) -> float | None:
    text = cell.replace(",", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _day(cell: str) -> int | None:
    for form in _FORMS:
        try:
            found = datetime.strptime(cell[:40], form).date()
        except ValueError:
            continue
        return (found - _EPOCH).days if 2011 <= found.year <= 2100 else None
    return None


def _address(cell: str) -> str:
    try:
        return str(ip_address(cell[:45]))
    except ValueError:
        return ""
