"""Text for terminals: widths and line breaking with the rules of Japanese, paragraphs, records, tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto
from functools import lru_cache

from msgspec import Struct

from deliverability.core.phrases import Phrases
from deliverability.core.report.parts import segments

# Kinsoku: characters that may not begin a line, and such that may not end one.
_NO_BEGIN = frozenset(
    "、。，．,.!?！？:;：；・)]}）］｝〉》」』】〕”’…‥％%ー々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
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
_NO_END = frozenset("([{（［｛〈《「『【〔“‘")
_BEHIND_BLANKS = re.compile(rf"(?<= )(?![ {re.escape(''.join(sorted(_NO_BEGIN)))}]|\Z)")
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

    A phrase that takes much of a line is broken between words, and a word that fits no line where it must be. A number
    stays with its unit, and a date with its time.
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
        while width_of(bare) > columns:
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
    for phrase in _split(text, _between_phrases):
        if width_of(phrase) <= most or phrase.isascii():
            yield phrase
        else:
            yield from _split(phrase, _between_words)


def _split(text: str, may_break: Callable[[str, str], bool]) -> Iterator[str]:
    unit = ""
    for char in text:
        if unit and _by_kinsoku(unit[-1], char) and may_break(unit[-1], char):
            yield unit
            unit = ""
        unit += char
    if unit:
        yield unit


def _by_kinsoku(before: str, after: str) -> bool:
    if _FIXED in (before, after) or (before in "年月" and after.isdigit()):
        return False
    if after == "." and before in "、：":  # the dot that begins an ending, as .txt
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


def _between_words(before: str, after: str) -> bool:
    """Not within a run of katakana or kanji, nor between a number and what it counts."""
    if before in " \u3000":
        return True
    if _char_width(before) == 1 and _char_width(after) == 1:
        return False
    script, following = _script(before), _script(after)
    return not (before.isdigit() and _char_width(after) == 2) and (
        script is not following or script in (_Script.HIRAGANA, _Script.OTHER)
    )


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


MIN_WIDTH, MAX_WIDTH = 40, 100
_SHORT = 24  # a record that is no longer stays in its line

_COLOURS = {
    "rejected": "31",
    "error": "31",
    "at-risk": "33",
    "warning": "33",
    "accepted": "32",
    "met": "32",
    "depends": "33",
    "dns-not-ready": "31",
    "dns-partly": "36",
    "dns-ready": "32",
    "cannot-tell": "36",
    "unknown": "36",
    "info": "34",
    "bold": "1",
    "dim": "2",
    "code": "36",
    "bad": "31",
    "risk": "33",
    "good": "32",
}
_SYMBOLS = {
    "accepted": ("✓", "+"),
    "at-risk": ("▲", "!"),
    "rejected": ("✗", "x"),
    "depends": ("▲", "!"),
    "dns-not-ready": ("✗", "x"),
    "dns-partly": ("?", "?"),
    "dns-ready": ("✓", "+"),
    "cannot-tell": ("?", "?"),
    "rule": ("─", "-"),
    "bullet": ("•", "-"),
    "met": ("✓", "+"),
    "unmet": ("✗", "x"),
    "unknown": ("?", "?"),
    "not-applicable": ("–", "-"),
    "bad": ("✗", "x"),
    "risk": ("▲", "!"),
    "good": ("✓", "+"),
    "none": ("–", "-"),
    "so": ("⇒", "=>"),
    "to": ("→", "->"),
    "worse": ("▲", "^"),
    "better": ("▼", "v"),
}


class Paper(Struct, frozen=True):
    """How to write: width, colour, and symbols or ASCII."""

    width: int
    color: bool = False
    unicode: bool = True

    @classmethod
    def of_terminal(cls, width: int, *, color: bool = False, unicode: bool = True) -> Paper:
        """A page as wide as the terminal, between 40 and 100 columns."""
        return cls(max(MIN_WIDTH, min(width, MAX_WIDTH)), color, unicode)

    def ink(self, text: str, style: str) -> str:
        """`text` in a colour."""
        code = _COLOURS.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code else text

    def symbol(self, name: str) -> str:
        """The sign for a verdict, an outcome or a piece of layout."""
        return _SYMBOLS[name][0 if self.unicode else 1]

    def paragraph(self, text: str, indent: int = 0, first: str = "", style: str = "") -> list[str]:
        """`text` wrapped behind `indent` columns; `first` (already part of the indent) opens the first line."""
        pieces = wrap(text, self.width - indent) or [""]
        lead = first + " " * (indent - width_of(first))
        return [
            (lead if index == 0 else " " * indent) + (self.ink(piece, style) if style else piece)
            for index, piece in enumerate(pieces)
        ]

    def hang(self, text: str, lead: str) -> list[str]:
        """`text` wrapped behind the width of `lead`, which opens the first line."""
        return self.paragraph(text, width_of(lead), lead)

    def step(self, step: str, lead: str) -> Iterator[str]:
        """A step; a record in it has a line of its own and is never broken, so that it can be copied as it is."""
        indent = width_of(lead)
        text = ""
        for code, piece in segments(step):
            if not code or len(piece) <= _SHORT or " " not in piece:
                text += piece
                continue
            if text.strip():
                yield from self.paragraph(" ".join(text.split()), indent, lead)
                lead = " " * indent
            yield lead + self.ink(piece, "code")
            lead, text = " " * indent, ""
        if text.strip():
            yield from self.paragraph(" ".join(text.split()), indent, lead)

    def heading(self, text: str) -> list[str]:
        """A heading with a line behind it."""
        line = self.symbol("rule") * (self.width - width_of(text) - 1)
        return ["", " ".join([self.ink(text, "bold"), *([self.ink(line, "dim")] if line else [])]), ""]

    def text(self, lines: Iterable[str]) -> str:
        """The lines as a text that ends with a line end."""
        text = "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"
        return text if self.unicode else typewritten(text)


class HistoryCellView(Struct, frozen=True):
    """A value, and whether it is ``worse`` or ``better`` than in the run before; empty: neither."""

    text: str
    trend: str = ""


class TableView(Struct, frozen=True):
    """A table: what it is of, the zone of its moments, the heads, the rows; newest first."""

    title: str
    zone: str
    heads: tuple[str, ...]
    rows: tuple[tuple[HistoryCellView, ...], ...]
    keys: tuple[tuple[str, str], ...] = ()


_GAP = 2
_LAST = 18  # columns that the last column needs
_TREND_COLOURS = {"worse": "error", "better": "met"}


def history_text(table: TableView, paper: Paper, say: Phrases) -> str:
    """One table, with the keys below it."""
    lines = [_spread(paper.ink(table.title, "bold"), table.zone, paper), *_table(table, paper)]
    if table.keys:
        lines.append("")
        names = max(width_of(name) for name, _ in table.keys)
        lead = say("history.keys")
        for number, (name, words) in enumerate(table.keys):
            start = lead if number == 0 else " " * width_of(lead)
            lines += paper.hang(words, f"{start}  {pad(name, names)}  ")
    return paper.text(lines)


def _spread(left: str, right: str, paper: Paper) -> str:
    room = paper.width - width_of(left) - width_of(right)
    return f"{left}{' ' * room}{right}" if room >= _GAP else f"{left}\n{right}"


def _table(table: TableView, paper: Paper) -> Iterator[str]:
    rows = [[_cell(each, paper) for each in row] for row in table.rows]
    widths = [max(width_of(text) for text in column) for column in zip(table.heads, *rows, strict=True)]
    before = sum(widths[:-1]) + _GAP * (len(widths) - 1)
    if before + _LAST > paper.width:
        yield from _stacked(table, rows, paper)
        return
    for row in rows:
        row[0] = " " * (widths[0] - width_of(row[0])) + row[0]  # the times below each other
    yield paper.ink(_line(table.heads, widths), "dim")
    for row in rows:
        lead = _line(row[:-1], widths) + " " * _GAP
        yield from paper.hang(row[-1], lead) if row[-1] else [lead]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(pad(text, width) for text, width in zip(cells, widths, strict=False))


def _stacked(table: TableView, rows: Sequence[Sequence[str]], paper: Paper) -> Iterator[str]:
    for row in rows:
        yield row[0]
        cells = [f"{head} {text}" for head, text in zip(table.heads[1:-1], row[1:-1], strict=True) if text]
        yield from paper.paragraph("  ".join(cells), 2)
        if row[-1]:
            yield from paper.paragraph(row[-1], 2)


def _cell(cell: HistoryCellView, paper: Paper) -> str:
    if not cell.trend:
        return cell.text
    return f"{cell.text} {paper.ink(paper.symbol(cell.trend), _TREND_COLOURS[cell.trend])}"
