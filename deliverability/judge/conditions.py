"""Conditions over facts in three-valued (Kleene) logic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from deliverability.model.codes import Detail
from deliverability.model.facts import Unknown, Value
from deliverability.model.rules import All, Any, Compare, Condition, LimitRef, Not, Op

Truth = bool | Unknown
Lookup = Callable[[str], Value]


def evaluate(condition: Condition, lookup: Lookup, limits: Mapping[str, Value]) -> Truth:
    """True, False, or the Unknown that keeps it from being decided."""
    match condition:
        case Compare():
            return _compare(condition, lookup, limits)
        case Not():
            inner = evaluate(condition.of, lookup, limits)
            return inner if isinstance(inner, Unknown) else not inner
        case All():
            return _join((evaluate(each, lookup, limits) for each in condition.of), decides=False)
        case Any():
            return _join((evaluate(each, lookup, limits) for each in condition.of), decides=True)


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


def _join(truths: Iterator[Truth], *, decides: bool) -> Truth:
    unknown: Unknown | None = None
    for truth in truths:
        if isinstance(truth, Unknown):
            # A look-up that failed says more than an option that was not given.
            if unknown is None or (unknown.reason.waits_for_input and not truth.reason.waits_for_input):
                unknown = truth
        elif truth is decides:
            return decides
    return unknown if unknown is not None else not decides


def _compare(condition: Compare, lookup: Lookup, limits: Mapping[str, Value]) -> Truth:
    value = lookup(condition.fact)
    operand = limits[condition.operand.name] if isinstance(condition.operand, LimitRef) else condition.operand
    if isinstance(value, Unknown):
        return value
    if condition.op is Op.EXISTS:
        return (value is not None) is operand
    if condition.op is Op.EMPTY:
        return (value is None or (isinstance(value, (str, tuple, Mapping)) and len(value) == 0)) is operand
    if value is None:
        return False
    if isinstance(value, Detail):
        value = value.code
    return _OPERATORS[condition.op](value, operand)


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
