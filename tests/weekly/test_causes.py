"""Two records change in one week: the one that is named as the cause is the one that was proved to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deliverability.core.model.history import Cause, FindingChange, RecordChange
from deliverability.core.phrases import phrases
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.weekly.values import Summary
from deliverability.weekly.view import run_view
from tests.weekly.test_stories import KEY, MENDED, NEXT_KEY, Life, gains, mail, news, shipped

pytestmark = pytest.mark.long

REPORTED = "v=DMARC1; p=reject; rua=mailto:r@shop.example"
ELSEWHERE = "v=DMARC1; p=reject; rua=mailto:other@shop.example"
SOUND = "v=spf1 mx include:spf.vendor.example -all"
SPF, DMARC, VENDOR = "TXT shop.example", "TXT _dmarc.shop.example", "TXT spf.vendor.example"


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield Life(tmp_path, history)
    history.close()


def headline(summary: Summary, lang: str = "en") -> str:
    return run_view(summary, phrases(lang), shipped(), catalogue()).news.sentences[0].sentence


def behind_verdicts(summary: Summary) -> set[str]:
    (entry,) = summary.entries
    assert entry.comparison is not None
    return {record.asked for each in entry.comparison.verdicts for record in each.records}


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("v=spf1 mx include:spf.vendor.example include:gone.vendor.example -all", SOUND),
        ("v=spf1 +all", SOUND),
        ("v=spf1 mx include:spf.vendor.example include:spf.vendor.example a:x y -all", SOUND),
    ],
)
async def test_spf_is_mended_in_the_week_in_which_rua_changes(life: Life, broken: str, mended: str) -> None:
    life.spf = broken
    await life.week()
    life.spf, life.dmarc = mended, ELSEWHERE
    changed = await life.week()
    told = [each for (_, kind), each in news(changed).items() if kind is MENDED]
    assert told
    assert {record.asked for each in told for record in each.records} == {SPF}
    assert {each.causes for each in told} == {(Cause.OWN_DNS,)}
    assert gains(changed)
    assert behind_verdicts(changed) == {SPF}
    assert "rua" not in headline(changed)
    assert "other@" not in headline(changed)


async def test_a_mail_passes_again_by_spf_in_the_week_in_which_rua_changes(life: Life) -> None:
    """That DMARC fails rests on both records, and only one of them made it so."""
    life.message = received(1)
    life.spf = "v=spf1 ip4:203.0.113.9 -all"
    await life.week()
    life.spf, life.dmarc, life.message = SOUND, ELSEWHERE, received(2)
    changed = await life.week()
    assert gains(changed)
    assert behind_verdicts(changed) == {SPF}
    told = [each for (_, kind), each in news(changed).items() if kind is MENDED]
    assert told
    assert {record.asked for each in told for record in each.records} == {SPF}
    assert "rua" not in headline(changed)


def received(number: int) -> bytes:
    """A message that the MX of the domain handed to its receiver."""
    trace = (
        b"Return-Path: <news@shop.example>\r\n"
        b"Received: from mx.shop.example (mx.shop.example [192.0.2.1]) by mx.example.org with ESMTPS id 1\r\n"
        b" for <you@example.org>; Mon, 5 Oct 2026 05:00:01 +0000\r\n"
    )
    return trace + mail(number)


async def test_a_vendor_spoils_spf_in_the_week_in_which_the_key_changes(life: Life) -> None:
    await life.week()
    life.vendor, life.keys = "v=spf1 ip4:198.51.100.0/24 ip4: -all", {"s1": NEXT_KEY}
    changed = await life.week()
    assert {record.asked for each in _of_spf(changed) for record in each.records} == {VENDOR}
    assert {each.causes for each in _of_spf(changed)} == {(Cause.VENDOR,)}


async def test_records_that_matter_only_together_are_named_together(life: Life) -> None:
    """Eleven lookups: four more of the domain's own and five of the vendor's; neither alone goes over ten."""
    await life.week()
    own = " ".join(f"a:n{number}.shop.example" for number in range(4))
    life.spf = f"v=spf1 mx {own} include:spf.vendor.example -all"
    life.vendor = f"v=spf1 {' '.join(f'a:n{number}.vendor.example' for number in range(5))} -all"
    changed = await life.week()
    found = [each for each in _of_spf(changed) if set(each.causes) == {Cause.OWN_DNS, Cause.VENDOR}]
    assert found
    assert {record.asked for record in found[0].records} == {SPF, VENDOR}


async def test_either_of_two_is_enough_and_both_are_named(life: Life) -> None:
    await life.week()
    life.spf = "v=spf1 mx include:spf.vendor.example +all"
    life.vendor = "v=spf1 +all"
    told = [each for each in _of_spf(await life.week()) if len(each.records) > 1]
    assert {record.asked for each in told for record in each.records} <= {SPF, VENDOR}


async def test_a_lowered_policy_is_the_first_news_whatever_else_happened(life: Life) -> None:
    await life.week()
    life.dmarc = REPORTED.replace("reject", "none")
    life.spf = "v=spf1 +all"
    changed = await life.week()
    assert headline(changed) == "shop.example: the DMARC policy was lowered from p=reject to p=none"
    assert headline(changed, "ja").startswith("shop.example：DMARCポリシーがp=rejectからp=noneに")
    life.dmarc = REPORTED
    assert "lowered" not in headline(await life.week())


async def test_a_raised_policy_and_one_that_cannot_be_seen_are_not_lowered(life: Life) -> None:
    life.dmarc = REPORTED.replace("reject", "none")
    await life.week()
    life.dmarc = REPORTED
    assert "lowered" not in headline(await life.week())
    life.failing = ("TXT _dmarc.shop.example",)
    assert "lowered" not in headline(await life.week())


async def test_the_same_key_again_and_other_reports_are_nobodys_cause(life: Life) -> None:
    """What made no difference is told as a change of the record, and is the cause of nothing."""
    await life.week()
    life.dmarc, life.keys = ELSEWHERE, {"s1": KEY}
    changed = await life.week()
    assert gains(changed) == []
    (entry,) = changed.entries
    assert entry.comparison is not None
    assert [each.asked for each in entry.comparison.records] == [DMARC]
    assert all(not each.causes or each.records for each in entry.comparison.changes)


def _of_spf(summary: Summary) -> list[FindingChange]:
    found = [each for (rule, _), each in news(summary).items() if rule.startswith("SPF")]
    assert found
    assert all(isinstance(record, RecordChange) for each in found for record in each.records)
    return found
