"""Records that somebody wrote to keep a reader busy: twice the length takes twice the time, up to 64 KB of DNS answer.

Time itself is never looked at, only how it grows, in processor time and the best of several runs.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deliverability.core.net.base import Found
from deliverability.core.protocols.dmarc.record import Step, parse, split
from deliverability.engine.remedies.dmarc import recognised, repaired, usable_uris
from tests.growth import assert_linear, repeated

HOSTILE = {
    "spaces": repeated(" "),
    "spaces before a quote": repeated(" ", tail='"'),
    "spaces after v": repeated(" ", head="v", tail="x"),
    "spaces after v=": repeated(" ", head=" v =", tail="dmarx"),
    "line ends": repeated("\n\r\t"),
    "no-break spaces": repeated("\u00a0"),
    "spaces in the version": repeated(" ", head="v=DMARC1", tail="x"),
    "semicolons": repeated(";", head="v=DMARC1"),
    "tags": repeated(";a=b", head="v=DMARC1"),
    "a long tag name": repeated("a", head="v=DMARC1;", tail="=x"),
    "broken policies": repeated(";p=x", head="v=DMARC1"),
    "equals signs": repeated("=", head="v=DMARC1;"),
    "addresses": repeated("mailto:a@b.c,", head="v=DMARC1;p=none;rua=", tail="mailto:a@b.c"),
    "commas": repeated(",", head="v=DMARC1;p=none;rua="),
    "a long scheme": repeated("a", head="v=DMARC1;p=none;rua="),
    "a long address": repeated("a", head="v=DMARC1;p=none;rua=mailto:"),
    "at signs": repeated("@", head="v=DMARC1;p=none;rua=mailto:a"),
    "dots in a host": repeated("a.", head="v=DMARC1;p=none;rua=mailto:a@", tail="/"),
    "hyphens in a host": repeated("-", head="v=DMARC1;p=none;rua=mailto:a@b", tail="/"),
    "question marks": repeated("?", head="v=DMARC1;p=none;rua=mailto:a@b.c", tail="\n"),
    "a long size": repeated("1", head="v=DMARC1;p=none;rua=mailto:a@b.c!", tail="x"),
    "failure options": repeated("1:", head="v=DMARC1;fo=", tail="x"),
    "spaced failure options": repeated("1 : ", head="v=DMARC1;fo=", tail="x"),
    "a long percentage": repeated("1", head="v=DMARC1;pct="),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.long
def test_reading_a_record_takes_time_in_proportion(text: Callable[[int], str]) -> None:
    assert_linear(lambda record: (split([record]), parse(record)), text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.long
def test_mending_a_record_takes_time_in_proportion(text: Callable[[int], str]) -> None:
    assert_linear(lambda record: repaired(record, "none"), text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_mending_what_was_meant_as_a_record_takes_time_in_proportion(text: Callable[[int], str]) -> None:
    assert_linear(lambda record: (recognised(record), usable_uris(record)), text)


def test_many_records_at_one_name_take_time_in_proportion() -> None:
    def step(text: str) -> Step:
        return Step.of("example.com", Found("_dmarc.example.com", "TXT", tuple(text.split("|"))))

    assert_linear(step, repeated("v=DMARC1;p=none| v=DMARC1|"))
