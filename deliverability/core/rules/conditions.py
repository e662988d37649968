"""Conditions over facts in three-valued (Kleene) logic, made into functions once and asked for many subjects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Unknown, Value
from deliverability.core.model.rules import All, Any, Compare, Condition, LimitRef, Not, Op

Truth = bool | Unknown
Lookup = Callable[[str], Value]
Limits = Mapping[str, Value]
Test = Callable[[Lookup, Limits], Truth]
"""Whether a condition holds: True, False, or the Unknown that keeps it from being decided."""


def compiled(condition: Condition) -> Test:
    """The condition as a function."""
    match condition:
        case Compare():
            return _comparison(condition)
        case Not():
            return _negation(compiled(condition.of))
        case All():
            return _junction([compiled(each) for each in condition.of], decides=False)
        case Any():
            return _junction([compiled(each) for each in condition.of], decides=True)


def evaluate(condition: Condition, lookup: Lookup, limits: Limits) -> Truth:
    """The same for a condition that is asked once."""
    return compiled(condition)(lookup, limits)


def paths_of(condition: Condition | None) -> Iterator[str]:
    """The fact paths a condition reads, in order."""
    match condition:
        case Compare():
            yield condition.fact
        case Not():
            yield from paths_of(condition.of)
        case All() | Any():
            for each in condition.of:
                yield from paths_of(each)
        case None:
            return


def comparisons_of(condition: Condition | None) -> Iterator[Compare]:
    """The comparisons a condition is made of, in order."""
    match condition:
        case Compare():
            yield condition
        case Not():
            yield from comparisons_of(condition.of)
        case All() | Any():
            for each in condition.of:
                yield from comparisons_of(each)
        case None:
            return


def _negation(inner: Test) -> Test:
    def test(lookup: Lookup, limits: Limits) -> Truth:
        truth = inner(lookup, limits)
        return truth if isinstance(truth, Unknown) else not truth

    return test


def _junction(tests: Sequence[Test], *, decides: bool) -> Test:
    def test(lookup: Lookup, limits: Limits) -> Truth:
        return _join((each(lookup, limits) for each in tests), decides=decides)

    return test


def _join(truths: Iterator[Truth], *, decides: bool) -> Truth:
    unknown: Unknown | None = None
    for truth in truths:
        if truth is decides:
            return decides
        # A look-up that failed says more than an option that was not given.
        if isinstance(truth, Unknown) and (
            unknown is None or (unknown.reason.waits_for_input and not truth.reason.waits_for_input)
        ):
            unknown = truth
    return unknown if unknown is not None else not decides


def _comparison(condition: Compare) -> Test:
    path, operand, compare = condition.fact, condition.operand, _OPERATORS[condition.op]
    absent_too = condition.op in (Op.EXISTS, Op.EMPTY)

    def test(lookup: Lookup, limits: Limits) -> Truth:
        value = lookup(path)
        if isinstance(value, Unknown):
            return value
        if value is None and not absent_too:
            return False
        if isinstance(value, Detail) and not absent_too:
            value = value.code
        return compare(value, limits[operand.name] if isinstance(operand, LimitRef) else operand)

    return test


def _exists(value: Value, operand: Value) -> Truth:
    return (value is not None) is operand


def _empty(value: Value, operand: Value) -> Truth:
    return (value is None or (isinstance(value, (str, tuple, Mapping)) and len(value) == 0)) is operand


def _contains(value: Value, operand: Value) -> Truth:
    """Whether it has the operand, or one of several."""
    wanted = operand if isinstance(operand, tuple) else (operand,)
    if isinstance(value, str):
        return any(isinstance(each, str) and each in value for each in wanted)
    if not isinstance(value, tuple):
        return False
    if any((item.code if isinstance(item, Detail) else item) in wanted for item in value):
        return True
    # An Unknown inside the list keeps the answer from being no.
    return next((item for item in value if isinstance(item, Unknown)), False)


def _lacks(value: Value, operand: Value) -> Truth:
    inner = _contains(value, operand)
    return inner if isinstance(inner, Unknown) else not inner


def _contains_all(value: Value, operand: Value) -> Truth:
    wanted = operand if isinstance(operand, tuple) else (operand,)
    return _join((_contains(value, each) for each in wanted), decides=False)


def _ordered(test: Callable[[float, float], bool]) -> Callable[[Value, Value], Truth]:
    def compare(value: Value, operand: Value) -> Truth:
        return isinstance(value, (int, float)) and isinstance(operand, (int, float)) and test(value, operand)

    return compare


def _in(value: Value, operand: Value) -> Truth:
    return isinstance(operand, tuple) and value in operand


_OPERATORS: Mapping[Op, Callable[[Value, Value], Truth]] = {
    Op.EXISTS: _exists,
    Op.EMPTY: _empty,
    Op.EQ: lambda value, operand: value == operand,
    Op.NE: lambda value, operand: value != operand,
    Op.LT: _ordered(lambda a, b: a < b),
    Op.LE: _ordered(lambda a, b: a <= b),
    Op.GT: _ordered(lambda a, b: a > b),
    Op.GE: _ordered(lambda a, b: a >= b),
    Op.IN: _in,
    Op.NOT_IN: lambda value, operand: not _in(value, operand),
    Op.CONTAINS: _contains,
    Op.LACKS: _lacks,
    Op.CONTAINS_ALL: _contains_all,
    Op.MATCHES: lambda value, operand: (
        isinstance(value, str) and isinstance(operand, str) and re.search(operand, value) is not None
    ),
}
