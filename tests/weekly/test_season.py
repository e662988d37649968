"""Eight weeks of two domains: each week something else happens, and the run names the right cause.

The same season runs on SQLite and on PostgreSQL, and both must tell the same.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field
from msgspec.structs import replace
from selectolax.lexbor import LexborHTMLParser

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Purpose, Reason
from deliverability.core.inputs import Subject
from deliverability.core.model.history import Cause, ChangeKind, FindingChange
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.base import Answer, Failed
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.phrases import phrases
from deliverability.core.rules.judge import Selection
from deliverability.core.rules.problems import load_guide
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.engine.stream import only_one
from deliverability.weekly.messages import Picked, WeeklySubject
from deliverability.weekly.pages import HtmlPages
from deliverability.weekly.run import Plan, weekly
from deliverability.weekly.values import Summary
from tests.weekly.test_stories import NoPages

pytestmark = pytest.mark.long

FIRST = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)
KEY = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIuaaaaaaa="
NEXT_KEY = "v=DKIM1; k=ed25519; p=22qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIuaaaaaaa="
MESSAGE = """From: Shop <news@shop.example>
To: you@example.org
Subject: A word
Date: Mon, 5 Oct 2026 05:00:00 +0000
Message-ID: <1@shop.example>
DKIM-Signature: v=1; a=ed25519-sha256; d=shop.example; s=s1; c=relaxed/relaxed; t=1791176400; x={expires};
 h=from:to:subject:date; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA

Hello
"""


class World(Struct):
    """What DNS says, week by week."""

    vendor: str = "v=spf1 a:a.vendor.example a:b.vendor.example -all"
    key: str = KEY
    dmarc: str = "v=DMARC1; p=none; rua=mailto:r@shop.example"
    down: bool = False
    rules: tuple[Path, ...] = ()

    def zones(self, folder: Path) -> list[Path]:
        own = " ".join(f"a:h{number}.shop.example" for number in range(6))
        hosts = "\n".join(f"h{number} 300 IN A 192.0.2.{number}" for number in range(10))
        texts = {
            "shop.example": f'@ 300 IN TXT "v=spf1 mx {own} include:spf.vendor.example -all"\n'
            f"@ 300 IN MX 10 h0\n{hosts}\n"
            f's1._domainkey 300 IN TXT "{self.key}"\n_dmarc 300 IN TXT "{self.dmarc}"',
            "vendor.example": f'spf 300 IN TXT "{self.vendor}"\na 300 IN A 198.51.100.1\nb 300 IN A 198.51.100.2\n'
            "c 300 IN A 198.51.100.3\nd 300 IN A 198.51.100.4",
            "calm.example": '@ 300 IN TXT "v=spf1 -all"\n@ 300 IN MX 0 .\n_dmarc 300 IN TXT "v=DMARC1; p=reject"',
        }
        files = []
        for origin, text in texts.items():
            file = folder / f"{origin}.zone"
            soa = f"@ 300 IN SOA ns.{origin}. h.{origin}. 1 2 3 4 5\n@ 300 IN NS ns.{origin}."
            file.write_text(f"$ORIGIN {origin}.\n{soa}\n{text}\n")
            files.append(file)
        return files


class Down:
    """A resolver on a day when DNS is out."""

    async def query(self, name: str, rdtype: str) -> Answer:
        return Failed(name, rdtype, Reason.SERVFAIL, VERBATIM(text="answer code 2"))

    async def close(self) -> None: ...


class Season(Struct):
    folder: Path
    history: History
    drawn: bool = True
    summaries: list[Summary] = field(default_factory=list)

    async def week(self, world: World, number: int, *, die_after: int | None = None) -> Summary:
        rules = load_rules(world.rules)
        plan = Plan(self.subjects(), self.ports(world, number), rules, Selection(), self.folder / "out", only_new=True)
        done = 0

        def tick(domain: str) -> None:
            nonlocal done
            done += 1
            if done == die_after:
                raise KeyboardInterrupt

        with only_one(plan.output), self.history.held():
            summary = await weekly(plan, self.history, pages(rules) if self.drawn else NoPages(), tick)
        self.summaries.append(summary)
        return summary

    def subjects(self) -> tuple[WeeklySubject, ...]:
        message = MESSAGE.format(expires=int((FIRST + timedelta(weeks=5, days=1)).timestamp()))
        picked = Picked("news.eml", "news.eml", data=message.replace("\n", "\r\n").encode())
        asked = Subject("shop.example", purpose=Purpose.BULK, daily_volume=100, selectors=("s1",))
        return (
            WeeklySubject(Subject("calm.example", purpose=Purpose.PARKED)),
            WeeklySubject(asked, picked),
        )

    def ports(self, world: World, number: int) -> Any:
        zones = self.folder / "zones"
        zones.mkdir(exist_ok=True)
        opened = open_ports(PortSettings(zones=world.zones(zones)))
        clock = FixedClock(FIRST + timedelta(weeks=number - 1))
        if world.down:
            return replace(opened, dns=Down(), zones=None, clock=clock)
        return replace(opened, clock=clock)


def pages(rules: RuleSet) -> HtmlPages:
    return HtmlPages(rules, catalogue(), load_guide(rule_folders()))


def shop(summary: Summary) -> dict[tuple[str, ChangeKind], FindingChange]:
    """What the run tells of the shop, by rule and kind; a rule is judged there at most once a kind."""
    (entry,) = [entry for entry in summary.entries if entry.domain == "shop.example"]
    assert entry.comparison is not None
    return {(change.rule, change.kind): change for change in entry.comparison.changes}


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def season(folder: Path, url: str, own_rules: Path, *, drawn: bool = True) -> Season:
    """The whole story; what each week must tell is asserted on the way. The pages are `drawn`, or stay empty."""
    run = Season(folder, History.open(url), drawn)
    world = World()

    first = await run.week(world, 1)
    assert first.previous == ""
    assert all(entry.news == () for entry in first.entries), "of a first run, nothing is news"
    assert ("SPF-003", ChangeKind.NEW) not in shop(first)

    world.vendor = "v=spf1 a:a.vendor.example a:b.vendor.example a:c.vendor.example a:d.vendor.example -all"
    grown = shop(await run.week(world, 2))[("SPF-003", ChangeKind.NEW)]
    assert grown.causes == (Cause.VENDOR,)
    assert [record.asked for record in grown.records] == ["TXT spf.vendor.example"]
    assert [(each.before, each.after) for each in grown.facts if each.path == "spf.lookups"] == [(10, 12)]
    assert run.summaries[-1].code == 1, "a new error fails a run that asks for news only"

    world.key = NEXT_KEY
    rotated = await run.week(world, 3)
    (entry,) = [entry for entry in rotated.entries if entry.domain == "shop.example"]
    assert entry.comparison is not None
    assert [record.asked for record in entry.comparison.records] == ["TXT s1._domainkey.shop.example"]
    assert shop(rotated)[("SPF-003", ChangeKind.STILL)].since == grown.since
    assert rotated.code == 0, "an old error is no news"

    world.dmarc = "v=DMARC1; p=quarantine; rua=mailto:r@shop.example"
    stepped = await run.week(world, 4)
    of_dmarc = [change for (rule, kind), change in shop(stepped).items() if rule.startswith("DMARC") and change.causes]
    assert of_dmarc
    assert all(change.causes[0] is Cause.OWN_DNS for change in of_dmarc)

    world.down = True
    down = await run.week(world, 5)
    kinds = {kind for _, kind in shop(down)}
    assert kinds & {ChangeKind.NEW, ChangeKind.MENDED, ChangeKind.GONE} == set(), "an outage is no change"
    unchecked = shop(down)[("SPF-003", ChangeKind.UNCHECKED)]
    assert unchecked.checked == stepped.started
    assert down.code == 3

    world.down = False
    with pytest.raises(KeyboardInterrupt):
        await run.week(world, 6, die_after=1)
    left = [each.name for each in (folder / "out").iterdir() if each.name.startswith(".run-")]
    assert len(left) == 1
    latest = json.loads((folder / "out" / "latest" / "summary.json").read_text())
    assert latest["started"] == down.started, "what is published stays whole until the next run is"
    back = await run.week(world, 6)
    assert back.started == "2026-11-09T06:00:00Z"
    assert shop(back)[("SPF-003", ChangeKind.STILL)].since == grown.since, "an outage does not make it new again"
    assert not [change for (_, kind), change in shop(back).items() if kind is ChangeKind.NEW]
    assert not [each for each in (folder / "out").iterdir() if each.name.startswith(".run-")]

    world.rules = (own_rules,)
    ruled = shop(await run.week(world, 7))
    changed = [change for (rule, kind), change in ruled.items() if rule == "SPF-900" and kind is ChangeKind.NEW]
    assert [change.causes for change in changed] == [(Cause.RULES,)]
    expired = ruled[("DKIM-012", ChangeKind.NEW)]
    assert expired.causes == (Cause.CLOCK,)

    world.vendor = "v=spf1 a:a.vendor.example -all"
    shrunk = shop(await run.week(world, 8))[("SPF-003", ChangeKind.MENDED)]
    assert shrunk.causes == (Cause.VENDOR,)

    keys = run.history.keys("shop.example")
    assert [(key.first_seen[:10], key.last_seen[:10]) for key in keys] == [
        ("2026-10-05", "2026-10-12"),
        ("2026-10-19", "2026-11-23"),
    ]
    assert len(run.history.runs()) == 8
    return run


@pytest.fixture
def own_rules(tmp_path: Path) -> Path:
    """A rule that the shop does not meet although nothing about the shop changed."""
    folder = tmp_path / "rules"
    folder.mkdir()
    text = "{title: One MX host, short: several hosts, noun: MX hosts, met: One., unmet: Two., why: So., fix: [Do.]}"
    (folder / "own.yaml").write_text(
        "- id: SPF-900\n  name: own-limit\n  since: '0.1'\n  scope: delivery\n  severity: error\n"
        "  level: heuristic\n  effort: low\n  confidence: high\n"
        "  require: {fact: spf.lookups, le: 1}\n  sources: [{ref: rfc7208}]\n"
        f"  text:\n    en: {text}\n    ja: {text}\n"
    )
    return folder


@pytest.mark.slow
async def test_a_season_on_sqlite(tmp_path: Path, own_rules: Path) -> None:
    run = await season(made(tmp_path / "s"), f"sqlite:///{tmp_path / 'h.db'}", own_rules)
    out = tmp_path / "s" / "out"
    assert sorted(each.name for each in out.iterdir() if each.is_dir() and not each.is_symlink()) == [
        (FIRST + timedelta(weeks=week)).strftime("%Y-%m-%d") for week in range(8)
    ]
    for summary in run.summaries:
        folder = out / summary.folder
        for entry in summary.entries:
            assert all((folder / page).is_file() for page in entry.pages.values())
        assert "<script" not in (folder / "index.html").read_text()
    page = LexborHTMLParser((out / "latest" / "shop.example.html").read_text())
    weeks = [cell.text() for cell in page.css(".w-verdicts thead th")]
    assert (weeks[0], weeks[-1], len(weeks)) == ("5 Oct", "23 Nov", 8)
    (gmail,) = [row for row in page.css(".w-verdicts tbody tr") if row.text().startswith("Gmail")]
    verdicts = [cell.text().strip() for cell in gmail.css("td")]
    assert len(verdicts) == 8
    final = next(each.verdict for each in run.summaries[-1].entries[1].verdicts if each.receiver == "gmail")
    assert verdicts[-1] == phrases("en")(f"verdict.{final.value}")
    run.history.close()


def keyless(history: History) -> list[str]:
    """What a history exports, without the digests that each makes with a key of its own."""
    return [re.sub(r"hmac:[0-9a-f]+", "hmac:", json.dumps(each, sort_keys=True)) for each in history.export()]


@pytest.mark.slow
@pytest.mark.system
async def test_a_season_on_postgresql_tells_the_same(tmp_path: Path, own_rules: Path, database: str) -> None:
    ours = await season(made(tmp_path / "s"), f"sqlite:///{tmp_path / 'h.db'}", own_rules, drawn=False)
    theirs = await season(made(tmp_path / "p"), database, own_rules, drawn=False)
    assert [each.to_json() for each in ours.summaries] == [each.to_json() for each in theirs.summaries]
    assert keyless(ours.history) == keyless(theirs.history)
    ours.history.close()
    theirs.history.close()
