"""Postmaster Tools of Gmail and SNDS of Outlook.com, from their exports."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from ipaddress import ip_address
from typing import Any

from deliverability.core.mail.addresses import to_a_label
from deliverability.core.mail.words import decode_octets
from deliverability.core.model.deliveries import DeliveryOrigin, PublishedValue
from deliverability.core.replies.limits import lines_of, word

SPAM_RATE = "spam-rate"
"""Percent of the mail to active users that they marked as spam."""
COMPLIANCE = "compliance:"
"""Followed by the requirement: 0 compliant, 1 needs work."""

_EPOCH = date(1970, 1, 1)
_NAME = re.compile(r"domains/([^/]{1,253})")
_STATES = {"compliant": 0.0, "needs_work": 1.0}
_VERDICTS = {
    "oneClickUnsubscribeVerdict": "one-click-unsubscribe",
    "honorUnsubscribeVerdict": "honor-unsubscribe",
}
_MAX_ENTRIES = 100_000
_DATE_HEADS = frozenset({"date", "day", "日付"})
_SPAM_HEADS = ("spam rate", "spam_rate", "spamrate", "迷惑メール率", "迷惑メールの割合")
_FORMS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%m/%d/%Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y")


def postmaster_values(document: Any) -> list[PublishedValue] | None:
    """What an answer of the interface (version 2) says; None where a JSON value is none."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("domainStats"), list):
        return [made for each in document["domainStats"][:_MAX_ENTRIES] if (made := _stat(each)) is not None]
    if "complianceData" in document or "subdomainComplianceData" in document:
        return list(_compliance(document))
    return None


def _stat(given: Any) -> PublishedValue | None:
    """One value; metrics have the name that the query gave them, so one about spam is the rate."""
    if not isinstance(given, dict) or "spam" not in _text(given, "metric").lower():
        return None
    day, value = given.get("date"), given.get("value")
    if not isinstance(day, dict) or not isinstance(value, dict):
        return None
    number = next((value[key] for key in ("doubleValue", "floatValue", "intValue") if key in value), None)
    rate = _ratio(number)
    try:
        moment = date(*(int(day[part]) for part in ("year", "month", "day")))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return None if rate is None else _value(_domain(_text(given, "name")), moment, SPAM_RATE, rate)


def _compliance(document: dict[str, Any]) -> Iterator[PublishedValue]:
    name = _domain(_text(document, "name"))
    for key in ("complianceData", "subdomainComplianceData"):
        data = document.get(key)
        if not isinstance(data, dict):
            continue
        domain = to_a_label(_text(data, "domainId")) or name
        rows = data.get("rowData")
        states = [
            (_text(row, "requirement"), row.get("status"))
            for row in (rows[:100] if isinstance(rows, list) else ())
            if isinstance(row, dict)
        ]
        for verdict, requirement in _VERDICTS.items():
            answer = data.get(verdict)
            if isinstance(answer, dict):
                states.append((requirement, answer.get("status")))
        for requirement, status in states:
            state = _STATES.get(_text(status, "status").lower() if isinstance(status, dict) else str(status).lower())
            named = word(requirement).replace("_", "-")
            if state is not None and named:
                yield _value(domain, None, COMPLIANCE + named, state)


def csv_values(rows: Iterator[list[str]]) -> list[PublishedValue] | None:
    """What a CSV export of the spam rate says; None where the first row is not the header of one."""
    head = [cell.lower() for cell in next(rows, [])]
    dated = next((place for place, cell in enumerate(head) if cell in _DATE_HEADS), None)
    rated = next((place for place, cell in enumerate(head) if any(each in cell for each in _SPAM_HEADS)), None)
    if dated is None or rated is None:
        return None
    named = next((place for place, cell in enumerate(head) if cell in ("domain", "ドメイン")), None)
    in_percent = "%" in head[rated]
    found = []
    for row in rows:
        if len(row) <= max(dated, rated):
            continue
        moment, cell = _date(row[dated]), row[rated]
        number = _number(cell)
        rate = number if in_percent or "%" in cell else _ratio(number)
        if moment is not None and rate is not None and 0 <= rate <= 100:
            domain = to_a_label(row[named]) or "" if named is not None and named < len(row) else ""
            found.append(_value(domain, moment, SPAM_RATE, rate))
    return found


def _value(domain: str, moment: date | None, metric: str, value: float) -> PublishedValue:
    day = None if moment is None else (moment - _EPOCH).days
    return PublishedValue(domain, day, DeliveryOrigin.GMAIL, metric, value, value)


def _ratio(number: Any) -> float | None:
    """A share from 0 to 1, in percent."""
    try:
        value = float(number)
    except (TypeError, ValueError, OverflowError):
        return None
    return round(value * 100, 6) if 0 <= value <= 1 else None


def _number(cell: str) -> float | None:
    try:
        return float(cell.removesuffix("%").strip())
    except ValueError:
        return None


def _date(cell: str, forms: Iterable[str] = _FORMS) -> date | None:
    for form in forms:
        try:
            found = datetime.strptime(cell[:40], form).date()
        except ValueError:
            continue
        return found if 2011 <= found.year <= 2100 else None
    return None


def _domain(name: str) -> str:
    match = _NAME.match(name)
    return (to_a_label(match[1]) or "") if match else ""


def _text(keys: Any, name: str) -> str:
    value = keys.get(name) if isinstance(keys, dict) else None
    return value[:500] if isinstance(value, str) else ""


RECIPIENTS, RESULT, COMPLAINTS, TRAPS, BLOCKED = "recipients", "result", "complaints", "traps", "blocked"
"""Metrics: messages; filter result (0 green, 1 yellow, 2 red); complaint rate in percent; hits; 1: it is blocked."""

_RESULTS = {"GREEN": 0.0, "YELLOW": 1.0, "RED": 2.0}
_DATA, _STATUS = 14, 4
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,6})?")
_SNDS_FORMS = ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%Y-%m-%d")
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
    moment = _date(row[1], _SNDS_FORMS)
    if moment is None:
        return
    day = (moment - _EPOCH).days
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


def _address(cell: str) -> str:
    try:
        return str(ip_address(cell[:45]))
    except ValueError:
        return ""


MAX_ROWS = 200_000
_MAX_LINE = 20_000
_MAX_CELLS = 100


def rows_of(pieces: Iterator[bytes]) -> Iterator[list[str]]:
    """The rows, each cell without white space around it. Raises NotReadError where the stream does."""
    for number, line in enumerate(lines_of(pieces, _MAX_LINE)):
        if number >= MAX_ROWS:
            return
        text = decode_octets(line, None).text.removeprefix("\ufeff")
        try:
            cells = next(csv.reader([text], delimiter="\t" if "\t" in text and "," not in text else ","), [])
        except csv.Error:
            continue
        yield [cell.strip() for cell in cells[:_MAX_CELLS]]
