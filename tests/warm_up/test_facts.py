"""What was sent against a warm-up plan: the worst of the last days, and nothing where something is not known."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from deliverability.core.codes import NEEDS
from deliverability.core.facts.base import Reason, Unknown, Value
from deliverability.core.inputs import Subject
from deliverability.core.model.deliveries import Deliveries, DeliveryDay, DeliveryOrigin
from deliverability.core.net.ports import Ports
from deliverability.engine.base import gather
from deliverability.warm_up import facts as warm_up
from tests.engine.auditors.test_message import DeadResolver

END = date(2026, 11, 24)
PLAN = ((END - timedelta(2), 100), (END - timedelta(1), 150), (END, 225), (END + timedelta(1), 300))


def sent(*by_day: tuple[int, int], delivered: bool = True) -> Deliveries:
    """So many messages so many days before the end; without `delivered` all of them bounced."""
    days = [
        DeliveryDay(END - timedelta(back), "gmail", "example.com", DeliveryOrigin.LOG, **{kind: count})
        for back, count in by_day
        for kind in ("delivered" if delivered else "hard",)
    ]
    return Deliveries(END - timedelta(27), END, tuple(days))


async def told(plan: tuple[tuple[date, int], ...], deliveries: Deliveries | None) -> dict[str, Value]:
    subject = Subject("example.com", warm_up=plan, deliveries=deliveries)
    gathered = await gather([warm_up.audit], subject, Ports(DeadResolver()), None)
    assert gathered.crashes == ()
    return {each.path.removeprefix("warm_up."): gathered.facts.value(each.path) for each in warm_up.audit.provides}


@pytest.mark.parametrize(
    ("days", "day", "planned", "count", "percent"),
    [
        (((2, 100), (1, 150), (0, 225)), END, 225, 225, 100.0),  # the newest of those that are alike
        (((2, 100), (1, 450), (0, 225)), END - timedelta(1), 150, 450, 300.0),
        (((0, 10),), END, 225, 10, 4.4),
        (((9, 5000),), END, 225, 0, 0.0),  # before the plan
    ],
)
async def test_the_worst_day_of_the_plan_is_told(
    days: tuple[tuple[int, int], ...], day: date, planned: int, count: int, percent: float
) -> None:
    found = await told(PLAN, sent(*days))
    assert found == {
        "day": day.isoformat(),
        "planned": planned,
        "sent": count,
        "percent": percent,
        "last_day": (END + timedelta(1)).isoformat(),
    }


@pytest.mark.parametrize("begins", [1, 30], ids=["to come", "in a month"])
async def test_a_plan_that_has_not_begun_compares_nothing(begins: int) -> None:
    found = await told(((END + timedelta(begins), 100),), sent((0, 500)))
    assert (found["day"], found["percent"]) == (None, None)


async def test_a_plan_that_ended_long_ago_compares_nothing() -> None:
    assert (await told(((END - timedelta(20), 100),), sent((0, 500))))["day"] is None


@pytest.mark.parametrize(
    ("plan", "deliveries", "needed"),
    [
        ((), sent((0, 1)), "warm-up-plan"),
        (PLAN, None, "delivered"),
        (PLAN, sent((0, 40), delivered=False), "delivered"),
    ],
)
async def test_what_is_needed_is_said(
    plan: tuple[tuple[date, int], ...], deliveries: Deliveries | None, needed: str
) -> None:
    for value in (await told(plan, deliveries)).values():
        assert isinstance(value, Unknown)
        assert value.reason is Reason.NOT_CONFIGURED
        assert value.detail is not None
        assert NEEDS.matches(value.detail)
        assert value.detail.arg("input") == needed
