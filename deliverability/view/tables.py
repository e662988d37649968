"""A table as plain values in words: cells, heads and the keys below it."""

from __future__ import annotations

from msgspec import Struct


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
