"""Text for terminals: paragraphs, records, tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from deliverability.core.phrases import Phrases
from deliverability.core.report.parts import laid_out
from deliverability.core.report.wrap import pad, typewritten, width_of, wrap

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
        for kind, piece in laid_out(step, _SHORT):
            if kind != "block":
                marked = f"`{piece}`"  # a command stands out from its sentence
                text += marked if kind == "code" and marked in step else piece
                continue
            if text.strip():
                yield from self.paragraph(" ".join(text.split()), indent, lead)
                lead = " " * indent
            yield lead + self.ink(piece, "code")
            lead, text = " " * indent, ""
        if text.endswith("`") and step.endswith((".", "。")):  # marked as it is, nobody copies it along
            text += step[-1]
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
    """A table: what it is of, the zone of its moments, the heads, the rows; newest first.

    `moments`: the first column has times, which stand below each other. `note`: a sentence below the table.
    """

    title: str
    zone: str
    heads: tuple[str, ...]
    rows: tuple[tuple[HistoryCellView, ...], ...]
    keys: tuple[tuple[str, str], ...] = ()
    moments: bool = True
    note: str = ""


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
    if table.note:
        lines += ["", *paper.paragraph(table.note)]
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
    for row in rows if table.moments else ():
        row[0] = " " * (widths[0] - width_of(row[0])) + row[0]
    yield paper.ink(_line(table.heads, widths), "dim")
    for row in rows:
        lead = _line(row[:-1], widths) + " " * _GAP
        yield from paper.hang(row[-1], lead) if row[-1] else [lead]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(pad(text, width) for text, width in zip(cells, widths, strict=False))


def _stacked(table: TableView, rows: Sequence[Sequence[str]], paper: Paper) -> Iterator[str]:
    for row in rows:
        yield row[0]
        # A full-width bracket brings its own space.
        named = zip(table.heads[1:], row[1:], strict=True)
        *cells, last = [f"{head}{'' if text[:1] == '（' else ' '}{text}" if text else "" for head, text in named]
        yield from paper.paragraph("  ".join(filter(None, cells)), 2)
        if last:
            yield from paper.paragraph(last, 2)


def _cell(cell: HistoryCellView, paper: Paper) -> str:
    if not cell.trend:
        return cell.text
    return f"{cell.text} {paper.ink(paper.symbol(cell.trend), _TREND_COLOURS[cell.trend])}"
