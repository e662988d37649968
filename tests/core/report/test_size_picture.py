"""The size budget of the HTML report: where the octets are, whose limits there are, what still fits."""

from __future__ import annotations

import pytest

from deliverability.core.model.report import Report
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.report.diagrams import BarView, diagrams
from tests.auditing import audit
from tests.files import mail
from tests.speaking import shipped

pytestmark = pytest.mark.long


async def _report(octets: int) -> Report:
    raw = mail(("a.bin", "application/octet-stream", b"x" * octets))
    return await audit(message=raw, ports=Ports(OFFLINE, SystemClock(), sources=("offline",)))


async def _bar(octets: int, lang: str = "en") -> BarView:
    bar = diagrams(await _report(octets), shipped(lang)).size
    assert bar is not None
    return bar


async def test_a_small_message_fills_the_bar_and_has_no_meter() -> None:
    bar = await _bar(20_000)
    assert sum(part.percent for part in bar.parts) == pytest.approx(100, abs=0.5)
    assert bar.marks == ()
    assert bar.total == "The message is 27.6 KB as sent, well below every known limit."
    assert not bar.heavy


async def test_from_half_of_a_limit_on_there_is_a_meter_and_from_a_fifth_on_savings_are_told() -> None:
    half, fifth, light = await _bar(1_200_000), await _bar(500_000), await _bar(60_000)
    assert [(mark.who, mark.over) for mark in half.marks] == [("au mail", False)]
    assert (half.heavy, fifth.heavy, light.heavy) == (True, True, False)
    assert fifth.marks == ()


async def test_a_large_message_is_held_against_the_next_limit() -> None:
    bar = await _bar(10_000_000)
    au, common, icloud = bar.marks[:3]
    assert (au.words, au.over, au.filled, au.room) == ("3 MB", True, 100.0, "over the limit by about 7.8 MB of files")
    assert (common.over, common.filled, common.room) == (True, 100.0, "over the limit by about 2.7 MB of files")
    assert (icloud.over, icloud.percent, icloud.used) == (False, 100.0, "68% used")


async def test_what_is_said_to_fit_fits() -> None:
    bar = await _bar(8_000_000)
    icloud = next(mark for mark in bar.marks if mark.words == "20 MB")
    assert icloud.room == "room for another 6.6 MB of files"
    full = await _bar(14_600_000)
    assert not next(mark for mark in full.marks if mark.words == "20 MB").over


async def test_in_japanese() -> None:
    bar = await _bar(5_000_000, "ja")
    assert "添付ファイル" in {part.label for part in bar.parts}
    assert [mark.who for mark in bar.marks[:2]] == ["auメール", "一般的な上限"]
    assert bar.marks[0].room == "ファイルを約2.8 MB減らす必要があります"
    assert bar.marks[1].room == "ファイルをあと約2.3 MB添付できます"
