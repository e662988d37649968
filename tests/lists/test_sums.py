"""The sums of a checked list, read again: what is taken, and that anything else is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.errors import InputError
from deliverability.core.model.observed import Segment
from deliverability.lists.facts import read_sums

SUMS: dict[str, Any] = {
    "list": "users.csv",
    "checked": "2026-11-29T00:00:00Z",
    "entries": 3,
    "segments": {"good": 2, "typo": 1, "of-a-later-version": 7},
    "domains": 1,
    "domains_not_checked": 0,
    "not_checked": 0,
    "columns": {"address": ["mail"]},
    "inactive_days": None,
    "without_date": 0,
    "suppressed_given": False,
    "of_a_later_version": [1],
}


def test_what_later_versions_say_beside_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(SUMS), "utf-8")
    sums = read_sums(path)
    assert (sums.name, sums.checked, sums.lines) == ("users.csv", "2026-11-29T00:00:00+00:00", 3)
    assert {each: n for each, n in sums.segments.items() if n} == {Segment.GOOD: 2, Segment.TYPO: 1}
    assert sums.columns == {"address": ("mail",)}


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"{",
        b"\xff{}",
        json.dumps(SUMS | {"checked": "2026-11-29T00:00:00"}).encode(),
        json.dumps(SUMS | {"entries": -1}).encode(),
        json.dumps(SUMS | {"entries": "3"}).encode(),
        json.dumps(SUMS | {"inactive_days": 0}).encode(),
        json.dumps({key: value for key, value in SUMS.items() if key != "domains"}).encode(),
        json.dumps(SUMS).replace("[1]", "[" * 100_000 + "]" * 100_000).encode(),
    ],
    ids=["empty", "list", "cut", "no UTF-8", "no zone", "below zero", "text", "no days", "missing", "deep"],
)
def test_what_is_no_sums_is_refused(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(octets)
    with pytest.raises(InputError, match=r"list\.json"):
        read_sums(path)
