"""Counts the steps that a backtracking engine takes for a regular expression: the same number on every machine.

It goes through the tree that Python's own parser makes of the expression, as Python's engine does, one character or one
choice a step. Repeats with an upper bound are cut to a few: a bound makes time linear however large it is, and a large
one would hide that in short texts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from re import _constants as c
from re import _parser as parser
from typing import Any

from tests.regexes import ALPHABET, EVERY, UNBOUNDED, Characters, Expression, chars_of

FEW = 3
SIZE = 24  # repetitions of a text that is to keep the engine busy; then twice as many
GROWTH = 2.3
DEEP = 50_000  # calls of Python: each character of a text takes several
MOST_STEPS = 60_000  # no more are counted: what takes them over so short a text grows too fast
_SINGLE = 8
_PUMPS = 40
Then = Callable[[int], bool]
_BEGINS = (c.AT_BEGINNING, c.AT_BEGINNING_STRING)
_WORD = frozenset(code for code in ALPHABET if re.match(r"\w", chr(code)))


class Engine:
    """One expression over texts; `steps` counts."""

    def __init__(self, expression: Expression) -> None:
        tree = parser.parse(expression.text, expression.flags)
        self.flags = tree.state.flags | (re.ASCII if isinstance(expression.text, bytes) else 0)
        self.tree = tree  # its nodes are known by their place in memory
        self.nodes = tree.data
        self.text: Sequence[int] = ()
        self.steps = 0
        self._chars: dict[tuple[int, int], Characters | None] = {}

    def _of(self, node: Any, flags: int) -> Characters | None:
        """As `chars_of`, once for each node of the tree, which lives as long as this does."""
        key = id(node), flags
        if key not in self._chars:
            self._chars[key] = chars_of(*node, flags)
        return self._chars[key]

    def used(self, method: str, text: str) -> int:
        """The steps of one call of a method of the pattern: of all its matches, or until the first, or at the start."""
        self.text = [ord(each) for each in text]
        self.steps = 0
        place = 0
        while place <= len(self.text) and self.steps < MOST_STEPS:
            end = self._end(place)
            if method in ("match", "fullmatch") or (method == "search" and end is not None):
                break
            place = place + 1 if end is None or end == place else end
        return self.steps

    def _end(self, place: int) -> int | None:
        ends: list[int] = []
        return ends[0] if self._match(self.nodes, 0, place, self.flags, lambda end: not ends.append(end)) else None

    def _match(self, nodes: Sequence[Any], at: int, place: int, flags: int, then: Then) -> bool:
        self.steps += 1
        if self.steps >= MOST_STEPS:
            return False
        if at == len(nodes):
            return then(place)
        node = nodes[at]
        operation, argument = node

        def on(end: int) -> bool:
            return self._match(nodes, at + 1, end, flags, then)

        chars = self._of(node, flags)
        if chars is not None:
            return place < len(self.text) and self.text[place] in chars and on(place + 1)
        if operation is c.SUBPATTERN:
            _, added, removed, inner = argument
            return self._match(inner.data, 0, place, (flags | added) & ~removed, on)
        if operation is c.BRANCH:
            return any(self._match(each.data, 0, place, flags, on) for each in argument[1])
        if operation in (c.MAX_REPEAT, c.MIN_REPEAT):
            return self._repeat(argument, place, flags, on, greedy=operation is c.MAX_REPEAT)
        if operation is c.POSSESSIVE_REPEAT:
            end = self._first(lambda done: self._repeat(argument, place, flags, done, greedy=True))
            return end is not None and on(end)
        if operation is c.ATOMIC_GROUP:
            end = self._first(lambda done: self._match(argument.data, 0, place, flags, done))
            return end is not None and on(end)
        if operation in (c.ASSERT, c.ASSERT_NOT):
            direction, inner = argument
            begin = place if direction > 0 else place - inner.getwidth()[0]
            found = begin >= 0 and self._match(inner.data, 0, begin, flags, lambda end: direction > 0 or end == place)
            return found is (operation is c.ASSERT) and on(place)
        if operation is c.AT:
            return self._is_at(argument, place, flags) and on(place)
        raise NotImplementedError(f"{operation}: teach this lint what it does")

    @staticmethod
    def _first(run: Callable[[Then], bool]) -> int | None:
        ends: list[int] = []
        return ends[0] if run(lambda end: not ends.append(end)) else None

    def _repeat(self, argument: Any, place: int, flags: int, on: Then, *, greedy: bool) -> bool:
        least, most, body = argument
        least, most = min(least, FEW), len(self.text) + 1 if most > UNBOUNDED else min(most, FEW)
        chars = self._of(body.data[0], flags) if len(body) == 1 else None
        if chars is not None:  # a loop in the engine, too
            return self._loop(chars, least, most, place, on, greedy=greedy)

        def again(done: int, begin: int) -> bool:
            def more() -> bool:
                return done < most and self._match(
                    body.data, 0, begin, flags, lambda end: (end > begin or done < least) and again(done + 1, end)
                )

            if greedy:
                return more() or (done >= least and on(begin))
            return (done >= least and on(begin)) or more()

        return again(0, place)

    def _loop(self, chars: Characters, least: int, most: int, place: int, on: Then, *, greedy: bool) -> bool:
        end = place
        if greedy:
            while end - place < most and end < len(self.text) and self.text[end] in chars:
                end += 1
                self.steps += 1
            return any(on(each) for each in range(end, place + least - 1, -1))
        while True:
            if end - place >= least and on(end):
                return True
            if end - place >= most or end >= len(self.text) or self.text[end] not in chars:
                return False
            end += 1
            self.steps += 1

    def _is_at(self, where: Any, place: int, flags: int) -> bool:
        text, size = self.text, len(self.text)
        if where in _BEGINS:
            lines = where is c.AT_BEGINNING and flags & re.MULTILINE
            return place == 0 or bool(lines and text[place - 1] == 10)
        if where in (c.AT_END, c.AT_END_STRING):
            if place == size or where is c.AT_END_STRING:
                return place == size
            return text[place] == 10 and (place == size - 1 or bool(flags & re.MULTILINE))
        inside = [0 <= each < size and text[each] in _WORD for each in (place - 1, place)]
        return (inside[0] != inside[1]) is (where is c.AT_BOUNDARY)


def slowest(expression: Expression, methods: Sequence[str]) -> tuple[float, str]:
    """How the steps grow at worst where a text is doubled, and what it is a repetition of."""
    sys.setrecursionlimit(max(DEEP, sys.getrecursionlimit()))
    engine = Engine(expression)
    worst = 0.0, ""
    for method in methods:
        for head, pump, tail in texts(engine):
            once, twice = (engine.used(method, head + pump * size + tail) for size in (SIZE, 2 * SIZE))
            growth = twice / once if twice < MOST_STEPS else float("inf")
            worst = max(worst, (growth, f"{method}: {head!r} + n * {pump!r} + {tail!r}"))
            if worst[0] > GROWTH:
                return worst
    return worst


def texts(engine: Engine) -> Iterator[tuple[str, str, str]]:
    """Beginnings, what to repeat after them, and ends, that may keep the engine busy.

    Repeated are characters that endless repeats take, one for each kind that the expression tells apart, and what leads
    to such a repeat, so that it begins at each of many places. An end is a character that the repeat does not take.
    """
    repeats = list(_endless(engine.nodes, engine.flags, ""))
    sets = list(_sets(engine.nodes, engine.flags))
    pumps: dict[tuple[str, str], None] = {}
    for lead, chars, body in repeats:
        tail = "".join(_one_of_each(EVERY - chars, ())[:1])
        for each in _one_of_each(chars, sets):
            pumps |= dict.fromkeys(((each, ""), (each, tail)))
            if lead:
                pumps[lead + each, tail] = None
        pumps |= dict.fromkeys((each, end) for each in (lead, body) if each for end in ("", tail))
    first = next((lead for lead, *_ in repeats if lead), "")
    yield from ((head, pump, tail) for pump, tail in [*pumps][:_PUMPS] for head in dict.fromkeys(("", first)))


def _one_of_each(chars: Characters, sets: Sequence[Characters]) -> list[str]:
    kinds: dict[tuple[bool, ...], int] = {}
    for code in sorted(chars, key=lambda code: (not 33 <= code < 127, code)):
        kinds.setdefault(tuple(code in each for each in sets), code)
    return [chr(code) for code in kinds.values()][:_SINGLE]


def _sets(nodes: Sequence[Any], flags: int) -> Iterator[Characters]:
    for operation, argument in nodes:
        own = chars_of(operation, argument, flags)
        if own is not None:
            yield own
        for inner, inner_flags in _inside(operation, argument, flags):
            yield from _sets(inner, inner_flags)


def _inside(operation: Any, argument: Any, flags: int) -> Iterator[tuple[Sequence[Any], int]]:
    if operation is c.SUBPATTERN:
        yield argument[3], (flags | argument[1]) & ~argument[2]
    elif operation is c.BRANCH:
        yield from ((each, flags) for each in argument[1])
    elif operation in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
        yield argument[2], flags
    elif operation is c.ATOMIC_GROUP:
        yield argument, flags
    elif operation in (c.ASSERT, c.ASSERT_NOT):
        yield argument[1], flags


def _endless(nodes: Sequence[Any], flags: int, lead: str) -> Iterator[tuple[str, Characters, str]]:
    """Each repeat without an end: a text that leads to it, the characters of its body, and a text that this takes."""
    for operation, argument in nodes:
        repeats = operation in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT)
        if repeats and argument[1] > UNBOUNDED:
            yield lead, frozenset().union(*_sets(argument[2], flags)), _word(argument[2], flags)
        for inner, inner_flags in _inside(operation, argument, flags):
            yield from _endless(inner, inner_flags, lead)
        lead += _word([(operation, argument)], flags)


def _word(nodes: Sequence[Any], flags: int) -> str:
    """A short text that matches, as far as that can be seen without looking around."""
    word = ""
    for operation, argument in nodes:
        chars = chars_of(operation, argument, flags)
        if chars is not None:
            word += _one_of_each(chars, ())[0] if chars else ""
        elif operation in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            word += _word(argument[2], flags) * min(argument[0], FEW)
        elif operation not in (c.ASSERT, c.ASSERT_NOT, c.AT):
            inner, inner_flags = next(_inside(operation, argument, flags))
            word += _word(inner, inner_flags)
    return word
