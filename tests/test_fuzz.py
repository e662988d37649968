"""A short pass of `make fuzz`: mutated inputs for every reader of outside octets. It may refuse, never crash."""

from __future__ import annotations

import contextlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import targets

pytestmark = pytest.mark.long

TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(random=st.integers(min_value=0, max_value=2**32).map(Random))
def test_mutated_inputs_are_read_or_refused(name: str, random: Random) -> None:
    target = TARGETS[name]
    with contextlib.suppress(*target.may_raise):
        target.run(mutated(target.seeds, random))


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.made is not None])
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(random=st.integers(min_value=0, max_value=2**32).map(Random))
def test_texts_of_a_grammar_are_read_or_refused(name: str, random: Random) -> None:
    target = TARGETS[name]
    assert target.made is not None
    with contextlib.suppress(*target.may_raise):
        target.run(target.made(random))


@pytest.mark.parametrize("name", ["DKIM key", "Received", "reply", "DNS reply", "zone file", "file"])
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(octets=st.binary(max_size=300))
def test_any_octets_are_read_or_refused(name: str, octets: bytes) -> None:
    target = TARGETS[name]
    with contextlib.suppress(*target.may_raise):
        target.run(octets)
