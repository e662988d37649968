"""MX records as they are read, from whoever wrote them."""

from __future__ import annotations

import pytest

from deliverability.core.net.base import Found
from deliverability.core.protocols.mx import mx_entries


@pytest.mark.parametrize(
    ("values", "entries"),
    [
        (("20 b.example", "10 a.example"), [(10, "a.example"), (20, "b.example")]),
        (("10 b.example", "10 a.example"), [(10, "a.example"), (10, "b.example")]),
        (("x a.example", "10 b.example"), [(10, "b.example"), (None, "a.example")]),
        (("1" * 5000 + " a.example",), [(None, "a.example")]),
        (("",), [(None, "")]),
    ],
)
def test_entries(values: tuple[str, ...], entries: list[tuple[int | None, str]]) -> None:
    assert mx_entries(Found("example.com", "MX", values)) == entries
