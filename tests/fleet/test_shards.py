"""What a line of a fleet's files looks like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deliverability.fleet.shards import compact


@pytest.mark.parametrize(
    "value",
    [
        {"facts": {"spf.lookups": 3, "dmarc.policy": None}, "evidence": [True, "a"]},
        {"text": 'quotes " and \\ and / and \b\f\n\r\t\x00\x1f'},
        "\x7f",
        "日本語 😀",
        "a lone surrogate: \udc80",
        {"much": 2**70, "half": 0.5, "less": -3},
        ("a", ("b",)),
    ],
)
def test_a_line_is_ascii_as_the_standard_library_writes_it(value: Any) -> None:
    assert compact(value) == json.dumps(value, separators=(",", ":"))
    assert compact(value).isascii()
