"""Widths of characters."""

from __future__ import annotations

import pytest
from wcwidth import wcwidth

from deliverability.render import wrap
from deliverability.render.paper import _SYMBOLS


@pytest.mark.parametrize("char", sorted(wrap._NARROW))
def test_what_is_taken_for_narrow_is(char: str) -> None:
    assert wcwidth(char) == 1


def test_no_symbol_of_a_report_needs_the_tables() -> None:
    assert {char for symbols in _SYMBOLS.values() for symbol in symbols for char in symbol} <= wrap._NARROW
