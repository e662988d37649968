"""Moments in the reader's zone and language."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from deliverability.core.phrases import phrases
from deliverability.core.words.sentences import day_words, full_day_words, moment_words, row_words, zone_words

EN, JA = phrases("en"), phrases("ja")
AT = "2026-11-25T00:00:00Z"


@pytest.fixture(autouse=True)
def _zone_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    time.tzset()


def in_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()


def test_a_moment_is_told_in_the_zone_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    in_zone(monkeypatch, "Asia/Tokyo")
    assert moment_words(AT, EN) == "25 Nov 2026, 09:00 JST"
    assert moment_words(AT, JA) == "2026年11月25日 9:00（JST）"
    assert row_words(AT, EN) == "25 Nov 2026 09:00"
    assert (day_words(AT, EN), day_words(AT, JA)) == ("25 Nov", "11月25日")
    assert full_day_words(AT, JA) == "2026年11月25日"
    assert (full_day_words("2026-06", EN), full_day_words("2026-06", JA)) == ("Jun 2026", "2026年6月")
    assert (full_day_words("2026", EN), full_day_words("2026", JA)) == ("2026", "2026年")


@pytest.mark.parametrize(
    ("zone", "words"), [("UTC", "UTC"), ("Asia/Kathmandu", "UTC+5:45"), ("America/Sao_Paulo", "UTC-3")]
)
def test_a_zone_without_a_short_name_is_told_by_its_distance(
    monkeypatch: pytest.MonkeyPatch, zone: str, words: str
) -> None:
    in_zone(monkeypatch, zone)
    assert zone_words(AT) == words


def test_a_day_is_that_day_everywhere_and_other_text_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    in_zone(monkeypatch, "America/Los_Angeles")
    assert day_words(AT, EN) == "24 Nov"
    assert day_words("2026-11-25", EN) == "25 Nov"
    assert moment_words("some day", EN) == "some day"
