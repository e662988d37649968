"""What was sent against the plan of `deliv warm-up`, and that plan read again."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from deliverability.core.codes import Code, Input, needs
from deliverability.core.errors import FILE_TOO_LARGE, InputError, file_error
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.deliveries import WarmUp
from deliverability.core.model.deliveries import Deliveries
from deliverability.engine.base import Context, auditor

DAYS = 7
"""Full days that are looked at, and for so long after its last step the plan still counts."""


@auditor("warm_up", WarmUp)
async def audit(ctx: Context) -> WarmUp:
    """State plan and fact; Unknown(not-configured) where there is no plan, or it is not known what was sent."""
    plan, deliveries = ctx.subject.warm_up, ctx.subject.deliveries
    missing = Input.WARM_UP_PLAN if not plan else Input.DELIVERED if not _sent(deliveries) else None
    if missing is not None or deliveries is None:
        return WarmUp.lost(Unknown(Reason.NOT_CONFIGURED, needs(missing or Input.DELIVERED)))
    return _facts(plan, _sent(deliveries), deliveries.end)


def _sent(deliveries: Deliveries | None) -> Counter[date]:
    """Messages by day, of the days that logs and events tell of."""
    found: Counter[date] = Counter()
    for each in deliveries.days if deliveries is not None else ():
        found[each.day] += each.sent
    return +found


def _facts(plan: Sequence[tuple[date, int]], sent: Counter[date], end: date) -> WarmUp:
    steps = sorted(plan)
    last = steps[-1][0]
    worst: tuple[float, date, int] | None = None
    for back in range(DAYS):
        day = end - timedelta(days=back)
        planned = next((messages for begins, messages in reversed(steps) if begins <= day), None)
        if planned is None or day > last + timedelta(days=DAYS):
            continue
        percent = round(100 * sent[day] / planned, 1)
        if worst is None or percent > worst[0]:
            worst = percent, day, planned
    return WarmUp(
        day=worst[1].isoformat() if worst else None,
        planned=worst[2] if worst else None,
        sent=sent[worst[1]] if worst else None,
        percent=worst[0] if worst else None,
        last_day=last.isoformat(),
    )


MAX_OCTETS = 1_000_000
NO_PLAN = Code("warm-up-no-plan", ("file", "line"))


def read_plan(path: Path) -> tuple[tuple[date, int], ...]:
    """Each step's day and messages. Raises InputError where that is no plan, with the line."""
    try:
        if path.stat().st_size > MAX_OCTETS:
            raise InputError(FILE_TOO_LARGE(file=str(path), n=MAX_OCTETS // 1_000_000))
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(file_error(path, error)) from None
    steps = []
    rows = csv.DictReader(text.splitlines())
    for number, row in enumerate(rows, 2):
        try:
            day, messages = date.fromisoformat(row["day"]), int(row["messages"])
        except (KeyError, TypeError, ValueError):
            raise InputError(NO_PLAN(file=str(path), line=number)) from None
        if messages < 1:
            raise InputError(NO_PLAN(file=str(path), line=number))
        steps.append((day, messages))
    if not steps:
        raise InputError(NO_PLAN(file=str(path), line=1))
    return tuple(steps)
