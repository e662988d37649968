"""What `deliv sources` leaves out where it has no room for all of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from deliverability.core.phrases import phrases
from deliverability.core.report.paper import Paper
from deliverability.core.report.sources import SourcesView, SourceView
from deliverability.dmarc_reports.sources import MAX_LINES, sources_text

ASKED = SourceView(
    *("", "forged", "forged or yours", "risk", "answer"),
    asks=True,
    messages=300,
    aligned=0,
    share=0.0,
    passing="0 of 300 messages pass",
    reasons=("nothing links it to you",),
    addresses="203.0.113.77",
    since="28 Oct 2026",
    last="1 Dec 2026",
    marks=(),
    advice=" ".join(["Find out whose it is."] * 20),
    paste=("[[source]]", 'match = ["ptr:isp.example"]', 'is = "ours"'),
)


@pytest.mark.parametrize(("number", "placed"), [(1, 1), (4, 4), (5, 3), (30, 3)])
def test_where_a_source_sends_from_is_told_if_there_is_room_for_all(number: int, placed: int) -> None:
    """Three are told in full."""
    sources = tuple(replace(ASKED, name=f"isp-{each}.example") for each in range(number))
    words = ("", "none", "")
    view = SourcesView("a.example", True, "", "", sources, {}, None, *words, 0, (0, 0), phrases("en"))
    text = sources_text(view, Paper(80))
    assert text.count("sent from 203.0.113.77") == placed
    assert len(text.splitlines()) <= MAX_LINES
