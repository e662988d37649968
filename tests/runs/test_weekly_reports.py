"""Weeks in which reports of receivers arrive: what the run tells of them, what it names as the cause, and what it costs.

The domain is shop.example; its hosts are MAIN and BESIDE in one range, BILLING and SHOP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from deliverability.auditors import catalogue
from deliverability.history.store import History
from deliverability.model.gate import GateKind
from deliverability.model.history import Cause, ChangeKind
from deliverability.model.traffic import GateWeek, TrafficWeek
from deliverability.model.weekly import Summary, WeeklyEntry, from_json, to_json
from deliverability.view.weekly import run_view
from deliverability.words.sentences import phrases
from tests.feedback.reports import metadata, record, report
from tests.runs.test_weekly_stories import FIRST, Life, changes, shipped

DOMAIN = "shop.example"
SPF = "v=spf1 mx ip4:192.0.2.9 ip4:203.0.113.5 ip6:2001:db8::6 include:spf.vendor.example -all"
POLICY = f"<policy_published><domain>{DOMAIN}</domain><p>none</p></policy_published>"
EPOCH = date(1970, 1, 1)
MAIN, BESIDE, BILLING, SHOP = "192.0.2.1", "192.0.2.9", "203.0.113.5", "2001:db8::6"
GOOGLE, OUTLOOK, YAHOO = "google.com", "Outlook.com", "Yahoo"


def signed(ip: str, count: int) -> str:
    signature = f"<dkim><domain>{DOMAIN}</domain><selector>s1</selector><result>pass</result></dkim>"
    return record(ip=ip, count=count, author=DOMAIN, results=signature)


def unsigned(ip: str, count: int) -> str:
    evaluated = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"
    nothing = "<spf><domain>host.invalid</domain><result>none</result></spf>"
    return record(ip=ip, count=count, author=DOMAIN, evaluated=evaluated, results=nothing)


def arrive(folder: Path, days: Sequence[date], reporters: Sequence[str], *rows: str) -> None:
    """A report of each reporter on each day."""
    folder.mkdir(exist_ok=True)
    for day in days:
        begin = (day - EPOCH).days * 86_400
        for name in reporters:
            head = metadata(f"{name}-{day}", reporter=name, begin=begin, end=begin + 86_399)
            (folder / f"{name}-{day}-{len(list(folder.iterdir()))}.xml").write_bytes(
                report(*rows, head=head, policy=POLICY)
            )


def until(day: date, number: int = 7) -> list[date]:
    """So many days before that one, oldest first."""
    return [day - timedelta(days=back) for back in range(number, 0, -1)]


def week_before(number: int) -> list[date]:
    """The seven days before the run of that week."""
    return until((FIRST + timedelta(weeks=number - 1)).date())


def opened(folder: Path, url: str = "", **how: Any) -> Life:
    folder.mkdir(exist_ok=True)
    life = Life(folder, History.open(url or f"sqlite:///{folder / 'h.db'}"), **how)
    life.spf, life.dmarc = SPF, f"v=DMARC1; p=none; rua=mailto:r@{DOMAIN}"
    life.options = replace(life.options, rare=())
    life.reports = folder / "reports"
    life.reports.mkdir(exist_ok=True)
    return life


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    made = opened(tmp_path)
    yield made
    made.history.close()


def entry_of(summary: Summary, domain: str = DOMAIN) -> WeeklyEntry:
    (entry,) = [each for each in summary.entries if each.domain == domain]
    assert from_json(to_json(entry)) == entry, "it is read as it was written"
    return entry


def told(summary: Summary) -> tuple[TrafficWeek, GateWeek]:
    entry = entry_of(summary)
    assert entry.traffic is not None
    assert entry.gate is not None
    return entry.traffic, entry.gate


def sources(summary: Summary) -> list[tuple[str, str]]:
    return [(each.change.value, each.name) for each in told(summary)[0].changes if each.change]


def sentences(summary: Summary, lang: str = "en") -> list[str]:
    view = run_view(summary, phrases(lang), shipped(), catalogue())
    return [each.sentence for each in view.news.sentences]


def causes(summary: Summary, rule: str, kind: ChangeKind) -> tuple[Cause, ...]:
    (change,) = [each for each in changes(summary) if (each.rule, each.kind) == (rule, kind)]
    return change.causes


# --- A season ---


async def season(life: Life) -> list[Summary]:
    """Eight weeks; what each must tell is asserted on the way."""
    folder = life.reports
    assert folder is not None
    week: list[Summary] = []

    arrive(folder, until(FIRST.date(), 21), (GOOGLE, OUTLOOK, YAHOO), signed(MAIN, 100))
    week.append(await life.week())
    traffic, gate = told(week[0])
    assert (traffic.own, traffic.aligned, traffic.reports) == (6300, 6300, 63)
    assert (traffic.begin, traffic.end) == ("2026-09-07", "2026-10-04")
    assert [(each.aligned, each.unaligned) for each in traffic.days][6:8] == [(0, 0), (300, 0)]
    assert not traffic.has_news, "of a first run, nothing is news"
    assert (gate.to, gate.kind, gate.before) == ("quarantine", GateKind.NOT_YET, None)
    assert "GATE-001" in gate.missing
    assert gate.earliest == "2026-10-11"

    arrive(folder, week_before(2), (GOOGLE, OUTLOOK), signed(MAIN, 100))
    week.append(await life.week())
    _, gate = told(week[1])
    assert (gate.kind, gate.before, gate.missing) == (GateKind.SAFE, GateKind.NOT_YET, ())
    assert sentences(week[1]) == ["shop.example: p=quarantine is safe now"]
    assert not [each for each in changes(week[1]) if each.rule.startswith("GATE")], "the gate is told by its answer"

    arrive(folder, week_before(3), (GOOGLE, OUTLOOK), signed(MAIN, 100), unsigned(BILLING, 40))
    week.append(await life.week())
    traffic, gate = told(week[2])
    assert sources(week[2]) == [("opened", BILLING)]
    assert (traffic.changes[0].messages, traffic.changes[0].unaligned) == (560, 560)
    assert (gate.kind, gate.before) == (GateKind.NOT_YET, GateKind.SAFE)
    assert causes(week[2], "RPT-001", ChangeKind.NEW) == (Cause.TRAFFIC,)
    (sentence,) = sentences(week[2])
    assert sentence == f"shop.example: p=quarantine is not safe any more ({BILLING} sends as you without passing DMARC)"

    arrive(folder, week_before(4), (GOOGLE, OUTLOOK), signed(MAIN, 100), signed(BILLING, 40))
    week.append(await life.week())
    assert sources(week[3]) == []
    assert [each.name for each in told(week[3])[0].gaps] == [BILLING], "it was mended, and the window does not show yet"

    arrive(folder, week_before(5), (GOOGLE, OUTLOOK), signed(MAIN, 100), signed(BILLING, 40), signed(SHOP, 30))
    week.append(await life.week())
    traffic, _ = told(week[4])
    assert sources(week[4]) == [("new", SHOP)]
    assert causes(week[4], "RPT-008", ChangeKind.NEW) == (Cause.TRAFFIC,)
    assert dict(traffic.silent) == {"Yahoo": "2026-10-04"}, "it was in the window before, and is not in this one"
    assert traffic.silent_since == ""

    for number in (6, 7):
        arrive(folder, week_before(number), (GOOGLE, OUTLOOK), signed(MAIN, 100), signed(BILLING, 40), signed(SHOP, 30))
        week.append(await life.week())
    assert not told(week[5])[0].silent, "that was told a week ago"
    traffic, gate = told(week[6])
    assert sources(week[6]) == [("closed", BILLING)]
    assert causes(week[6], "RPT-001", ChangeKind.MENDED) == (Cause.TRAFFIC,)
    assert (gate.kind, gate.before) == (GateKind.SAFE, GateKind.NOT_YET)

    week.append(await life.week())
    traffic, gate = told(week[7])
    assert traffic.silent_since == "2026-11-15"
    assert causes(week[7], "RPT-006", ChangeKind.NEW) == (Cause.TRAFFIC,)
    assert 3 not in {each.code for each in week}
    return week
