"""The plan of `deliv warm-up`: its steps, that plan read again, and what was sent against it.

Steps lead from the volume that a domain sends today to the volume that it wants, each small enough by the numbers.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from deliverability.core.codes import Code, Input, needs
from deliverability.core.errors import FILE_TOO_LARGE, InputError, file_error
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.deliveries import WarmUp
from deliverability.core.model.deliveries import Deliveries
from deliverability.core.model.warm_up import WarmUpNumbers, WarmUpPlan, WarmUpStep
from deliverability.engine.base import Context, auditor

_DAYS = {"day": 1, "week": 7}


def warm_up_plan(
    domain: str,
    volumes: Mapping[date, Mapping[str, int]],
    target: int,
    *,
    start: date,
    every: str,
    numbers: WarmUpNumbers,
    stream: str = "",
    origin: str = "",
) -> WarmUpPlan:
    """The plan from messages by day and receiver to `target` messages a sending. `volumes`: of the last full days."""
    sent = {day: sum(each.values()) for day, each in volumes.items()}
    days = {day: messages for day, messages in sent.items() if messages}
    middle = int(median(days.values())) if days else 0
    shares: Counter[str] = Counter()
    for day in days:
        shares.update(volumes[day])
    return WarmUpPlan(
        domain=domain,
        stream=stream,
        target=target,
        every=every,
        origin=origin if days else "",
        median=middle,
        highest=max(days.values(), default=0),
        days=len(days),
        steps=tuple(_steps(days, shares, middle, target, start, every, numbers)),
        numbers=numbers,
    )


def _steps(
    days: Mapping[date, int],
    shares: Mapping[str, int],
    middle: int,
    target: int,
    start: date,
    every: str,
    numbers: WarmUpNumbers,
) -> Iterator[WarmUpStep]:
    known = dict(days)
    factor = numbers.factors[every]
    day, messages = start, min(target, max(numbers.least, middle))
    while True:
        highest = max((n for each, n in known.items() if each >= day - timedelta(days=numbers.days)), default=0)
        if highest:
            messages = min(messages, max(numbers.least, int(highest * numbers.most)))
        yield WarmUpStep(day, messages, _shared(messages, shares))
        if messages >= target:
            return
        known[day] = messages
        day += timedelta(days=_DAYS[every])
        messages = min(target, max(messages + 1, int(messages * factor)))


def _shared(messages: int, shares: Mapping[str, int]) -> Mapping[str, int]:
    """The messages of a step by receiver, in whole numbers that add up, the largest remainders first."""
    whole = sum(shares.values())
    if not whole:
        return {}
    parts = {name: divmod(messages * count, whole) for name, count in shares.items()}
    left = messages - sum(part for part, _ in parts.values())
    first = sorted(parts, key=lambda name: (-parts[name][1], name))[:left]
    ordered = sorted(parts, key=lambda name: (-parts[name][0], name))
    return {name: parts[name][0] + (name in first) for name in ordered}


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
