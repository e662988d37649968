"""Style sheets read as far as an audit needs them: rules, declarations, at-rules.

In the spirit of CSS Syntax Level 3, any text is a style sheet; reading takes one pass and linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

_PIECE = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*(?:"|\Z|(?=\n))|'(?:[^'\\\n]|\\.)*(?:'|\Z|(?=\n))|url\([^)]*(?:\)|\Z)""",
    re.DOTALL | re.IGNORECASE,
)
_MARK = re.compile(r"[{};]")
_MARKS_IN_STRINGS = str.maketrans("{};", "___")
_CONDITIONAL = ("@media", "@supports", "@container")


class Declaration(Struct, frozen=True):
    """``name: value`` in a rule or style attribute; the name in lower case.

    Attributes:
        conditional: it counts only under a condition (@media, @supports, a selector with a state is not looked at).
        block: what the rule applies to: its selector, or the at-rule it stands in directly.

    """

    name: str
    value: str
    conditional: bool = False
    block: str = ""


class Prelude(Struct, frozen=True):
    """What stands before a block (a selector or an at-rule), or an at-rule without block such as @import."""

    text: str
    conditional: bool
    nested: bool  # a style rule inside a style rule


def read_sheet(css: str) -> Iterator[Declaration | Prelude]:
    """The rules of a style sheet, in order: each prelude, then its declarations."""
    text = _PIECE.sub(_tame, css)
    stack: list[str] = []
    conditions = 0
    position = 0
    for mark in _MARK.finditer(text):
        chunk = text[position : mark.start()].strip().removeprefix("<!--").removeprefix("-->").strip()
        position = mark.end()
        if mark[0] == "{":
            nested = bool(stack) and not stack[-1].startswith("@") and not chunk.startswith("@")
            yield Prelude(chunk, conditions > 0, nested)
            stack.append(chunk)
            conditions += chunk.lower().startswith(_CONDITIONAL)
            continue
        if chunk.startswith("@"):
            yield Prelude(chunk, conditions > 0, nested=False)
        elif chunk and stack:
            declaration = _declaration(chunk, conditions > 0, stack[-1])
            if declaration:
                yield declaration
        if mark[0] == "}" and stack:
            conditions -= stack.pop().lower().startswith(_CONDITIONAL)


def read_attribute(style: str) -> Iterator[Declaration]:
    """The declarations of a style attribute (character references decoded)."""
    for chunk in _PIECE.sub(_tame, style).split(";"):
        declaration = _declaration(chunk.strip(), conditional=False, block="")
        if declaration:
            yield declaration


def _tame(match: re.Match[str]) -> str:
    """A comment as a blank; a string or address without the characters that part rules."""
    return " " if match[0].startswith("/*") else match[0].translate(_MARKS_IN_STRINGS)


def _declaration(chunk: str, conditional: bool, block: str) -> Declaration | None:
    name, colon, value = chunk.partition(":")
    if not colon or not name.strip():
        return None
    return Declaration(name.strip().lower(), value.strip(), conditional, block)
