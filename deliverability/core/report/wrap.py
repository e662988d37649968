"""Widths of text in a terminal, and line breaking with the rules of Japanese."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto
from functools import cache, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from budoux import Parser

# Kinsoku: characters that may not begin a line, and such that may not end one.
_NO_BEGIN = frozenset(
    "〜、。，．,.!?！？:;：；・)]}）］｝〉》」』】〕”’…‥％%ー々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
)
_TYPEWRITTEN = (
    *(("—", "-"), ("–", "-"), ("·", "-"), ("…", "..."), ("“", '"'), ("”", '"'), ("’", "'")),
    *(("→", "->"), ("⇒", "=>"), ("×", "x")),
)
# Most of what stands in reports beside Japanese; tables of all characters take longer to load than a report to write.
_FIXED = "\u00a0"  # a blank that no line breaks at
_NARROW = frozenset(char for char in map(chr, range(0x20, 0x180)) if char.isprintable()) | frozenset(
    f"{_FIXED}–—‘’“”…→⇒•─✓✗▲▼"
)
_NO_END = frozenset("([{（［｛〈《「『【〔“‘〜")
_BEHIND_BLANKS = re.compile(rf"(?<= )(?![ {re.escape(''.join(sorted(_NO_BEGIN - {'.'})))}]|\Z)")
# A number and its unit, a date and its time.
_TOGETHER = re.compile(
    r"(?<=\d) (?=(?:[KMG]B|bytes?|bits?|m?s|h|days?|JST|UTC)(?![A-Za-z]))"
    r"|(?<=\b\d) (?=(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b)"
    r"|(?<=\d\d) (?=(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b)"
    r"|(?<=Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?=\d{4}\b)"
    r"|(?<=\d{4},) (?=\d\d?:\d\d)|(?<=\d日) (?=\d\d?:\d\d)"
)
_SHARE = 3  # a phrase may take a third of a line
_CLAUSE_END = frozenset("、。，．：；！？ \u3000")


def width_of(text: str) -> int:
    """Columns that `text` takes in a terminal; escape sequences for colour take none."""
    if (text.isascii() and "\x1b" not in text) or _NARROW.issuperset(text):
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
    """`text` in lines of at most `columns` (at least 8), broken at blanks and, in Japanese, between phrases by kinsoku.

    A phrase that takes much of a line is broken between words, and a word that fits no line where it must be; a URL
    never. A number stays with its unit, and a date with its time.
    """
    columns = max(8, columns)
    lines: list[str] = []
    line, used = "", 0
    for unit in _units(_TOGETHER.sub(_FIXED, text), columns // _SHARE):
        size = width_of(unit)
        bare = unit.rstrip(" ")
        if used + width_of(bare) > columns and line.strip():
            lines.append(line.rstrip(" "))
            line, used = "", 0
        while width_of(bare) > columns and "://" not in bare:  # a link that is cut leads nowhere
            head, unit = _cut(unit, columns)
            lines.append(head)
            bare, size = unit.rstrip(" "), width_of(unit)
        line += unit
        used += size
    if line.strip():
        lines.append(line.rstrip(" "))
    return [each.replace(_FIXED, " ") for each in lines]


def typewritten(text: str) -> str:
    """Typographic marks as ASCII, for terminals without them; other scripts stay."""
    for fancy, plain in _TYPEWRITTEN:
        text = text.replace(fancy, plain)
    return text


@lru_cache(maxsize=4096)
def _char_width(char: str) -> int:
    if char in _NARROW:
        return 1
    if char.isascii():
        return int(char.isprintable())
    from wcwidth import wcwidth  # its tables take longer to load than a report in ASCII to print

    return max(0, wcwidth(char))


def _cut(text: str, columns: int) -> tuple[str, str]:
    used = 0
    for index, char in enumerate(text):
        used += _char_width(char)
        if used > columns:
            return text[: max(1, index)], text[max(1, index) :]
    return text, ""


def _units(text: str, most: int) -> Iterator[str]:
    """Pieces that stay together: words with the blanks behind them, Japanese phrases with their punctuation.

    A phrase of more than `most` columns comes in its words.
    """
    if text.isascii() or _NARROW.issuperset(text):  # nothing but blanks parts it
        yield from filter(None, _BEHIND_BLANKS.split(text))
        return
    yield from _phrases(text, most)


@lru_cache(maxsize=1024)
def _phrases(text: str, most: int) -> tuple[str, ...]:
    """The same. Where the script changes, a word may go on (切り替え), and where the model parts, so may a phrase."""
    parted = _parted(text)

    def apart(place: int) -> bool:
        before, after = text[place - 1], text[place]
        return place in parted or before in _CLAUSE_END or _Script.OTHER in (_script(before), _script(after))

    found: list[str] = []
    for phrase, start in _split(text, 0, lambda place: _between_phrases(text[place - 1], text[place]) and apart(place)):
        if width_of(phrase) <= most or phrase.isascii():
            found.append(phrase)
        else:
            found += (piece for piece, _ in _split(phrase, start, parted.__contains__))
    return tuple(found)


def _split(text: str, at: int, may_break: Callable[[int], bool]) -> Iterator[tuple[str, int]]:
    """Pieces with their places; `at`: where in the whole the text begins."""
    start = 0
    for place in range(1, len(text)):
        if _by_kinsoku(text[place - 1], text[place]) and may_break(at + place):
            yield text[start:place], at + start
            start = place
    yield text[start:], at + start


@cache
def _parser() -> Parser:
    """Read once: a report has hundreds of sentences."""
    import budoux  # its model takes longer to load than a report in English to write

    return budoux.load_default_japanese_parser()


def _parted(text: str) -> frozenset[int]:
    """Where the parts of a Japanese sentence begin that are spoken as one (文節)."""
    places = accumulate(map(len, _parser().parse(text)[:-1]))
    return frozenset(each for each in places if _may_part(text[each - 1], text[each]))


def _may_part(before: str, after: str) -> bool:
    """Not within a number or a name, nor behind a number, nor between two hiragana (そろう), where the model errs."""
    if before in " \u3000":
        return True
    if before.isdigit() or (_char_width(before) == 1 and _char_width(after) == 1):
        return False
    return not _script(before) is _script(after) is _Script.HIRAGANA


def _by_kinsoku(before: str, after: str) -> bool:
    if _FIXED in (before, after) or (before in "年月" and after.isdigit()):
        return False
    if after == "." and before in "、： ":  # the dot that begins an ending, as .txt
        return True
    return not (after == " " or after in _NO_BEGIN or before in _NO_END)


def _between_phrases(before: str, after: str) -> bool:
    """A phrase begins behind punctuation, before a bracket, and where hiragana ends: particles stay with their word."""
    if before in _CLAUSE_END or (after in _NO_END and _char_width(after) == 2):
        return True
    script, following = _script(before), _script(after)
    if following is _Script.HIRAGANA:
        return False
    return script is _Script.HIRAGANA or (script is _Script.OTHER and _char_width(before) == 2)


class _Script(Enum):
    """How a character of Japanese is written."""

    HIRAGANA = auto()
    KATAKANA = auto()
    KANJI = auto()
    OTHER = auto()


def _script(char: str) -> _Script:
    if "\u3041" <= char <= "\u309f":
        return _Script.HIRAGANA
    if "\u30a1" <= char <= "\u30ff" and char != "・":
        return _Script.KATAKANA
    return _Script.KANJI if char == "々" or "\u4e00" <= char <= "\u9fff" else _Script.OTHER
