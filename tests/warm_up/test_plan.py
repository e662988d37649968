"""Warm-up plans: no step is larger than the numbers allow, and the last one reaches the target."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.model.warm_up import WarmUpNumbers, WarmUpPlan
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.rules import load_rules
from deliverability.warm_up.facts import warm_up_plan

START = date(2026, 12, 1)


def numbers() -> WarmUpNumbers:
    found = shipped().warm_up
    assert found is not None
    return found


def plan(volumes: dict[int, dict[str, int]], target: int, every: str = "day") -> WarmUpPlan:
    """The plan of who sent that much so many days before the start."""
    days = {START - timedelta(days=back): counts for back, counts in volumes.items()}
    return warm_up_plan("example.com", days, target, start=START, every=every, numbers=numbers(), origin="deliveries")


@pytest.mark.parametrize(
    ("volumes", "target", "every", "steps"),
    [
        ({}, 200, "day", [50, 75, 112, 168, 200]),
        ({}, 40, "day", [40]),
        ({}, 100, "week", [50, 65, 84, 100]),
        ({1: {"gmail": 1000}, 2: {"gmail": 600}, 3: {"gmail": 800}}, 2000, "day", [800, 1200, 1800, 2000]),
        ({1: {"gmail": 1000}}, 900, "day", [900]),
        (
            {2: {"gmail": 0}, 3: {"gmail": 10}},
            100,
            "day",
            [50, 75, 100],
        ),  # hardly anything
    ],
)
def test_the_steps(volumes: dict[int, dict[str, int]], target: int, every: str, steps: list[int]) -> None:
    assert [each.messages for each in plan(volumes, target, every).steps] == steps


def test_a_step_a_week_is_seven_days_after_the_one_before() -> None:
    assert [each.day for each in plan({}, 84, "week").steps] == [START, START + timedelta(7), START + timedelta(14)]


def test_each_receiver_has_its_share_and_nothing_is_lost_in_rounding() -> None:
    made = plan({1: {"gmail": 2, "icloud": 1}, 2: {"gmail": 2, "docomo": 1}}, 100)
    assert made.steps[0].receivers == {"gmail": 33, "docomo": 9, "icloud": 8}
    assert made.steps[-1].receivers == {"gmail": 67, "docomo": 17, "icloud": 16}


RECEIVERS = st.sampled_from(["gmail", "icloud", "", "au"])
VOLUMES = st.dictionaries(
    st.integers(1, 60),
    st.dictionaries(RECEIVERS, st.integers(0, 10**7)),
    max_size=30,
)


@given(VOLUMES, st.integers(1, 10**9), st.sampled_from(["day", "week"]))
def test_no_step_is_larger_than_the_numbers_allow(volumes: dict[int, dict[str, int]], target: int, every: str) -> None:
    made, limits = plan(volumes, target, every), numbers()
    steps = [each.messages for each in made.steps]
    assert steps[-1] == target
    assert steps == sorted(steps)
    assert steps[0] <= max(limits.least, made.median)
    if made.highest:
        assert steps[0] <= max(limits.least, limits.most * made.highest)
    for before, after in itertools.pairwise(steps):
        assert before < after <= max(before + 1, before * limits.factors[every])
    for step in made.steps:
        assert not step.receivers or sum(step.receivers.values()) == step.messages


def test_what_the_numbers_rest_on_is_a_source_of_the_rules() -> None:
    assert all(each.ref in load_rules().sources for each in numbers().sources)
