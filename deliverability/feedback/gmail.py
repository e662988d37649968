"""Postmaster Tools of Gmail: the spam rate by day and the state of each requirement, from JSON or a CSV export."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from deliverability.feedback.values import word
from deliverability.mail.addresses import to_a_label
from deliverability.model.deliveries import DeliveryOrigin, PublishedValue

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


def _date(cell: str) -> date | None:
    for form in _FORMS:
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
