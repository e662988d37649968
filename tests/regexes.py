"""Finds regular expressions whose time grows with the square of the text or worse, without running them.

Two repeats without an upper bound that stand next to each other (or with nothing but optional things between them), and
that can both take the same character, divide a run of it in every possible way before they give up. The same goes for a
repeat inside a repeat. Repeats that give nothing back (``*+``, ``(?>...)``) divide it in one way only.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from re import _constants as c
from re import _parser as parser
from typing import Any

from msgspec import Struct

from tests.parsed import PACKAGE, trees

Characters = frozenset[int]

# What patterns can tell apart: all of Latin-1, and a few that are blanks, digits or letters beyond it.
ALPHABET = (*range(256), 0x17F, 0x660, 0x2028, 0x200B, 0x201C, 0x212A, 0x3000, 0x4E00)
EVERY: Characters = frozenset(ALPHABET)
UNBOUNDED = 256  # repeats that may go on for longer than this count as without a bound
ANYHOW = "finditer"  # where nobody can say: from each place on, over the whole text
METHODS = ("compile", "match", "search", "fullmatch", "findall", "finditer", "sub", "subn", "split")
CALLS = frozenset(f"re.{each}" for each in METHODS)
CATEGORIES = {
    c.CATEGORY_DIGIT: r"\d",
    c.CATEGORY_NOT_DIGIT: r"\D",
    c.CATEGORY_SPACE: r"\s",
    c.CATEGORY_NOT_SPACE: r"\S",
    c.CATEGORY_WORD: r"\w",
    c.CATEGORY_NOT_WORD: r"\W",
}


class Expression(Struct, frozen=True):
    """A regular expression of the package: the line where it stands, its text, its flags, and how it is used."""

    place: str
    text: str | bytes
    flags: int
    methods: tuple[str, ...] = ()


def expressions() -> tuple[list[Expression], list[str]]:
    """Those that are handed to `re` in the package, and the lines where one is made at run time."""
    found: list[Expression] = []
    unread: list[str] = []
    used = uses({_module(path): tree for path, tree in trees().items()})
    for path, tree in trees().items():
        name = _module(path)
        named = {
            id(node.value): node.targets[0].id
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func) in CALLS):
                continue
            names = vars(importlib.import_module(name))
            text = value(call.args[0], names)
            others = [value(each, names) for each in (*call.args[1:], *(keyword.value for keyword in call.keywords))]
            flags = sum({int(each) for each in others if isinstance(each, re.RegexFlag)})
            if isinstance(text, str | bytes):
                method = ast.unparse(call.func).rpartition(".")[2]
                methods = {method}
                if method in ("compile", "regex"):
                    methods = used.get((name, named.get(id(call), "")), {ANYHOW})
                place = f"{path.relative_to(PACKAGE)}:{call.lineno}"
                found.append(Expression(place, text, flags, tuple(sorted(methods))))
            else:
                unread.append(f"{path.relative_to(PACKAGE)}: {ast.unparse(call.args[0])}"[:45])
    return found, unread


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def uses(trees: Mapping[str, ast.Module]) -> dict[tuple[str, str], set[str]]:
    """Which methods of the names of a module are called, there or where they are imported; ANYHOW: who knows."""
    found: dict[tuple[str, str], set[str]] = {}
    for module, tree in trees.items():
        origin = {
            alias.asname or alias.name: (str(node.module), alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        called = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                called[id(node.value)] = node.attr
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                method = called.get(id(node), ANYHOW)
                if method not in ("pattern", "flags", "groups"):
                    found.setdefault(origin.get(node.id, (module, node.id)), set()).add(method)
    return found


def value(node: ast.expr, names: dict[str, Any]) -> Any:
    """What an expression of the source says; in an f-string a letter for what only a call would know; None: unknown."""
    if isinstance(node, ast.JoinedStr):
        pieces = [each.value if isinstance(each, ast.Constant) else value(each, names) for each in node.values]
        return "".join("x" if piece is None else str(piece) for piece in pieces)
    if isinstance(node, ast.FormattedValue):
        node = node.value
    try:
        return eval(compile(ast.Expression(node), "", "eval"), dict(names))
    except NameError:
        return None


def divided(expression: Expression) -> list[str]:
    """Characters that neighbouring repeats of the expression divide among them in every way, one text a place."""
    tree = parser.parse(expression.text, expression.flags)
    faults: list[Characters] = []
    flags = tree.state.flags | (re.ASCII if isinstance(expression.text, bytes) else 0)
    _tails(list(tree), flags, [], faults)
    return ["".join(map(chr, sorted(each)[:8])) for each in faults]


def _tails(sequence: Sequence[Any], flags: int, before: list[Characters], faults: list[Characters]) -> list[Characters]:
    """What the repeats take that end at the end of the sequence, where those of `before` end at its beginning."""
    for operation, argument in sequence:
        optional = _optional((operation, argument))
        if chars_of(operation, argument, flags) is not None:
            before = []
        elif operation is c.SUBPATTERN:
            _, added, removed, inner = argument
            before = _tails(list(inner), (flags | added) & ~removed, before, faults)
        elif operation is c.BRANCH:
            before = [tail for each in argument[1] for tail in _tails(list(each), flags, list(before), faults)]
        elif operation is c.MAX_REPEAT or operation is c.MIN_REPEAT:
            _, most, inner = argument
            body = list(inner)
            endless = most > UNBOUNDED
            if endless:
                faults += [tail & _heads(body, flags) for tail in before if tail & _heads(body, flags)]
            inside = _tails(body, flags, list(before), faults)
            if most > 1:
                inside += _tails(body, flags, list(inside), faults)
            before = [*(before if optional else []), *inside, *([_heads(body, flags)] if endless else [])]
        elif operation in (c.POSSESSIVE_REPEAT, c.ATOMIC_GROUP):
            # It gives nothing back itself, but what stands before it makes it start over again.
            body = list(argument[2] if operation is c.POSSESSIVE_REPEAT else argument)
            if operation is c.ATOMIC_GROUP or argument[1] > UNBOUNDED:
                faults += [tail & _heads(body, flags) for tail in before if tail & _heads(body, flags)]
            _tails(body, flags, [], faults)
            before = before if optional else []
        elif operation in (c.ASSERT, c.ASSERT_NOT):
            _tails(list(argument[1]), flags, list(before), faults)
        elif operation is not c.AT:
            raise NotImplementedError(f"{operation}: teach this lint what it does")
        before = list(dict.fromkeys(before))
    return before


def _optional(item: Any) -> bool:
    """Whether it may match nothing."""
    operation, argument = item
    if operation in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
        return argument[0] == 0 or all(map(_optional, argument[2]))
    if operation is c.SUBPATTERN:
        return all(map(_optional, argument[3]))
    if operation is c.ATOMIC_GROUP:
        return all(map(_optional, argument))
    if operation is c.BRANCH:
        return any(all(map(_optional, each)) for each in argument[1])
    return operation in (c.ASSERT, c.ASSERT_NOT, c.AT)


def _heads(sequence: Sequence[Any], flags: int) -> Characters:
    """The characters that a match of the sequence may begin with."""
    heads: Characters = frozenset()
    for operation, argument in sequence:
        own = chars_of(operation, argument, flags)
        if own is not None:
            return heads | own
        if operation in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            heads |= _heads(list(argument[2]), flags)
        elif operation is c.SUBPATTERN:
            heads |= _heads(list(argument[3]), (flags | argument[1]) & ~argument[2])
        elif operation is c.ATOMIC_GROUP:
            heads |= _heads(list(argument), flags)
        elif operation is c.BRANCH:
            heads = heads.union(*(_heads(list(each), flags) for each in argument[1]))
        if not _optional((operation, argument)):
            break
    return heads


def chars_of(operation: Any, argument: Any, flags: int) -> Characters | None:
    """The characters of an item that takes exactly one; None for other items."""
    if operation is c.LITERAL:
        return _either_case(frozenset({argument}), flags)
    if operation is c.NOT_LITERAL:
        return EVERY - _either_case(frozenset({argument}), flags)
    if operation is c.ANY:
        return EVERY if flags & re.DOTALL else EVERY - {10}
    if operation is not c.IN:
        return None
    members: set[int] = set()
    for kind, each in argument:
        if kind is c.LITERAL:
            members.add(each)
        elif kind is c.RANGE:
            members |= {each[0], *(code for code in ALPHABET if each[0] <= code <= each[1])}
        elif kind is c.CATEGORY:
            members |= _category(each, flags & re.ASCII)
    found = _either_case(frozenset(members), flags)
    return EVERY - found if argument[0][0] is c.NEGATE else found


@lru_cache
def _category(category: Any, flags: int) -> Characters:
    pattern = re.compile(CATEGORIES[category], flags)
    return frozenset(code for code in ALPHABET if pattern.match(chr(code)))


@lru_cache
def _either_case(codes: Characters, flags: int) -> Characters:
    if not flags & re.IGNORECASE:
        return frozenset(codes)
    both = {code: {chr(code).lower(), chr(code).upper()} for code in codes}
    return frozenset(codes).union(ord(each) for pair in both.values() for each in pair if len(each) == 1)
