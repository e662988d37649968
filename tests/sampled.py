"""What is too much for `make test`: a sample of it there, the same in each run; all of it in `make test-slow`."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck

T = TypeVar("T")
WHOLE = 100  # examples of a property that says no number, where all are tried


def sampled(cases: Sequence[Any], apart: int) -> list[Any]:
    """For `parametrize`: one case by chance of each so many that follow one another; the others are slow.

    A tuple is a case of as many arguments.
    """
    kept = _one_of_each(len(cases), apart)
    return [
        pytest.param(*(case if type(case) is tuple else (case,)), marks=() if number in kept else (pytest.mark.slow,))
        for number, case in enumerate(cases)
    ]


def some_or_every(apart: int, what: str = "step") -> pytest.MarkDecorator:
    """The test is handed `apart`, for `some`: so many in `make test`, and 1 in `make test-slow`."""
    every = pytest.param(1, marks=pytest.mark.slow, id=f"every {what}")
    return pytest.mark.parametrize("apart", [pytest.param(apart, id=f"some {what}s"), every])


def some(cases: Sequence[T], apart: int) -> list[T]:
    """One case by chance of each so many that follow one another."""
    kept = _one_of_each(len(cases), apart)
    return [case for number, case in enumerate(cases) if number in kept]


def _one_of_each(count: int, apart: int) -> set[int]:
    chance = random.Random(apart)
    return {start + chance.randrange(min(apart, count - start)) for start in range(0, count, apart)}


def examples(
    most: int,
    base: hypothesis.settings | None = None,
    suppress_health_check: Collection[HealthCheck] = (),
) -> hypothesis.settings:
    """A property's own number of examples; `make test` takes the same part of all, at least ten."""
    share = hypothesis.settings().max_examples / WHOLE
    without = {HealthCheck.too_slow, *suppress_health_check, *(base.suppress_health_check if base else ())}
    number = max(round(most * share), min(most, 10))
    return hypothesis.settings(base, max_examples=number, suppress_health_check=list(without))
