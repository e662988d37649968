"""A sample of a table is the same in each run and has one case of each so many; the rest is slow, and none is lost."""

from __future__ import annotations

import hypothesis
import pytest

from tests.sampled import WHOLE, examples, sampled, some


@pytest.mark.parametrize("count", [0, 1, 7, 8, 100])
@pytest.mark.parametrize("apart", [1, 4, 7])
def test_there_is_one_of_each_so_many_that_follow_one_another(count: int, apart: int) -> None:
    kept = some(range(count), apart)
    assert [number // apart for number in kept] == list(range(-(-count // apart)))
    assert kept == some(range(count), apart)


def test_the_rest_is_slow_and_none_is_lost() -> None:
    cases = [(number, f"case {number}") for number in range(20)]
    params = sampled(cases, 6)
    assert [each.values for each in params] == cases
    assert [each.values for each in params if not each.marks] == some(cases, 6)
    assert {mark.name for each in params for mark in each.marks} == {"slow"}
    assert [each.values for each in sampled([("demo", "--all")], 1)] == [("demo", "--all")]


def test_a_property_has_the_share_of_its_examples_that_the_profile_takes() -> None:
    share = hypothesis.settings().max_examples / WHOLE
    assert examples(400).max_examples == 400 * share
    assert examples(10).max_examples >= 10, "few are not made fewer"
    assert hypothesis.HealthCheck.too_slow in examples(10).suppress_health_check
