"""Conditions in three-valued logic: unknown wins unless the other branch decides."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability.core.codes import ASKED
from deliverability.core.facts.base import Reason, Unknown, Value
from deliverability.core.model.rules import All, Compare, Condition, LimitRef, Not, Op
from deliverability.core.model.rules import Any as AnyOf
from deliverability.core.rules.conditions import evaluate

TIMEOUT = Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="example.com"))
WAITING = Unknown(Reason.NO_MESSAGE)
FACTS: dict[str, Value] = {
    "yes": True,
    "no": False,
    "ten": 10,
    "none": None,
    "word": "abc",
    "list": ("a", "b"),
    "lost": TIMEOUT,
    "waits": WAITING,
    "gappy": ("a", TIMEOUT),
    "empty": (),
}


def truth(condition: Condition, limits: dict[str, Value] | None = None) -> Any:
    return evaluate(condition, FACTS.__getitem__, limits or {})


YES = Compare("yes", Op.EQ, True)
NO = Compare("no", Op.EQ, True)
LOST = Compare("lost", Op.EQ, True)
WAITS = Compare("waits", Op.EQ, True)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (All((YES, YES)), True),
        (All((YES, NO)), False),
        (All((NO, LOST)), False),
        (All((LOST, NO)), False),
        (All((YES, LOST)), TIMEOUT),
        (AnyOf((NO, NO)), False),
        (AnyOf((LOST, YES)), True),
        (AnyOf((NO, LOST)), TIMEOUT),
        (Not(NO), True),
        (Not(LOST), TIMEOUT),
        # A failed look-up says more than an input that was not given.
        (All((WAITS, LOST)), TIMEOUT),
        (AnyOf((WAITS, LOST)), TIMEOUT),
        (All((WAITS, YES)), WAITING),
    ],
)
def test_kleene_logic(condition: Condition, expected: Any) -> None:
    assert truth(condition) == expected


@pytest.mark.parametrize(
    ("fact", "op", "operand", "expected"),
    [
        ("ten", Op.LE, 10, True),
        ("ten", Op.LT, 10, False),
        ("ten", Op.GE, 11, False),
        ("ten", Op.GT, 9, True),
        ("ten", Op.NE, 10, False),
        ("word", Op.IN, ("abc", "def"), True),
        ("word", Op.NOT_IN, ("abc", "def"), False),
        ("word", Op.CONTAINS, "b", True),
        ("word", Op.MATCHES, "^a.c$", True),
        ("list", Op.CONTAINS, "a", True),
        ("list", Op.LACKS, "a", False),
        ("list", Op.CONTAINS_ALL, ("a", "b"), True),
        ("list", Op.CONTAINS_ALL, ("a", "c"), False),
        ("list", Op.EMPTY, False, True),
        ("empty", Op.EMPTY, True, True),
        ("none", Op.EMPTY, True, True),
        ("none", Op.EXISTS, False, True),
        ("ten", Op.EXISTS, True, True),
        # An Unknown inside a list decides nothing unless the wanted value is there anyway.
        ("gappy", Op.CONTAINS, "a", True),
        ("gappy", Op.CONTAINS, "z", TIMEOUT),
        ("gappy", Op.LACKS, "z", TIMEOUT),
        ("lost", Op.EXISTS, True, TIMEOUT),
    ],
)
def test_operators(fact: str, op: Op, operand: Value, expected: Any) -> None:
    assert truth(Compare(fact, op, operand)) == expected


@pytest.mark.parametrize("op", [Op.EQ, Op.NE, Op.LT, Op.GE, Op.IN, Op.NOT_IN, Op.CONTAINS, Op.LACKS])
def test_an_absent_fact_makes_every_comparison_false(op: Op) -> None:
    assert truth(Compare("none", op, ("x",))) is False


def test_limits_are_looked_up_by_name() -> None:
    assert truth(Compare("ten", Op.LE, LimitRef("most")), {"most": 9}) is False
