"""Text for terminals: line breaking with the widths and rules of Japanese, ASCII marks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

# Kinsoku: characters that may not begin a line, and such that may not end one.
_NO_BEGIN = frozenset(
    "、。，．,.!?！？:;：；・)]}）］｝〉》」』】〕”’…‥％%ー々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
)
_TYPEWRITTEN = (
    *(("—", "-"), ("–", "-"), ("·", "-"), ("…", "..."), ("“", '"'), ("”", '"'), ("’", "'")),
    *(("→", "->"), ("⇒", "=>"), ("×", "x")),
)
# Most of what stands in reports beside Japanese; tables of all characters take longer to load than a report to write.
_NARROW = frozenset(char for char in map(chr, range(0x20, 0x180)) if char.isprintable()) | frozenset("–—‘’“”…→⇒•─✓✗▲▼")
_NO_END = frozenset("([{（［｛〈《「『【〔“‘")


def width_of(text: str) -> int:
    """Columns that `text` takes in a terminal; escape sequences for colour take none."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    columns = 0
    colour = False
    for char in text:
        if colour:
            colour = char != "m"
        elif char == "\x1b":
            colour = True
        else:
            columns += _char_width(char)
    return columns


def pad(text: str, columns: int) -> str:
    """`text` filled with blanks to `columns`."""
    return text + " " * max(0, columns - width_of(text))


def wrap(text: str, columns: int) -> list[str]:
    """`text` in lines of at most `columns` (at least 8), broken at blanks and between CJK characters by kinsoku.

    A word that fits no line is cut where it must be.
    """
    columns = max(8, columns)
    lines: list[str] = []
    line, used = "", 0
    for unit in _units(text):
        size = width_of(unit)
        bare = unit.rstrip(" ")
        if used + width_of(bare) > columns and line.strip():
            lines.append(line.rstrip(" "))
            line, used = "", 0
        while width_of(bare) > columns:
            head, unit = _cut(unit, columns)
            lines.append(head)
            bare, size = unit.rstrip(" "), width_of(unit)
        line += unit
        used += size
    if line.strip():
        lines.append(line.rstrip(" "))
    return lines


def typewritten(text: str) -> str:
    """Typographic marks as ASCII, for terminals without them; other scripts stay."""
    for fancy, plain in _TYPEWRITTEN:
        text = text.replace(fancy, plain)
    return text


@lru_cache(maxsize=4096)
def _char_width(char: str) -> int:
    if char in _NARROW:
        return 1
    from wcwidth import wcwidth

    return max(0, wcwidth(char))


def _cut(text: str, columns: int) -> tuple[str, str]:
    used = 0
    for index, char in enumerate(text):
        used += _char_width(char)
        if used > columns:
            return text[: max(1, index)], text[max(1, index) :]
    return text, ""


def _units(text: str) -> Iterator[str]:
    """Pieces that stay together: words with the blanks behind them, single CJK characters with their punctuation."""
    unit = ""
    for char in text:
        if unit and _may_break(unit[-1], char):
            yield unit
            unit = ""
        unit += char
    if unit:
        yield unit


def _may_break(before: str, after: str) -> bool:
    if after == " " or after in _NO_BEGIN or before in _NO_END:
        return False
    return before in " \u3000" or _char_width(before) == 2 or _char_width(after) == 2
