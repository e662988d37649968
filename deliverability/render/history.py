"""What earlier runs saw, as aligned tables for a terminal; stacked where the width does not hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deliverability.render.paper import Paper
from deliverability.render.wrap import pad, width_of
from deliverability.view.tables import HistoryCellView, TableView
from deliverability.words.phrases import Phrases

_GAP = 2
_LAST = 18  # columns that the last column needs
_COLOURS = {"worse": "error", "better": "met"}


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
    return f"{cell.text} {paper.ink(paper.symbol(cell.trend), _COLOURS[cell.trend])}"
