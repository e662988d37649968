"""Steps from the volume that a domain sends today to the volume that it wants, each small enough by the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from statistics import median

from deliverability.core.model.warm_up import WarmUpNumbers, WarmUpPlan, WarmUpStep

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
