"""Changes from one week to the next, one story each: what is told, and the cause that is named.

The domain is small, and pages are not drawn; the season in test_weekly_season.py has them.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Purpose, Reason, Unknown, Waiver, records_of
from deliverability.core.files import HALF_WRITTEN
from deliverability.core.inputs import Subject
from deliverability.core.model.history import Cause, ChangeKind, Comparison, FindingChange, VerdictChange
from deliverability.core.model.observed import SourceWord
from deliverability.core.model.report import Outcome, VerdictKind
from deliverability.core.model.rules import RuleSet, Severity
from deliverability.core.net.base import Answer, Failed, HttpFetcher, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.phrases import phrases
from deliverability.core.rules.judge import Selection
from deliverability.core.store.store import History
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.engine.stream import only_one
from deliverability.intake.run import IntakePlan
from deliverability.observing import Observing
from deliverability.weekly import run as weekly_run
from deliverability.weekly.messages import Picked, WeeklySubject
from deliverability.weekly.run import Plan, weekly
from deliverability.weekly.values import Summary, WeeklyEntry
from deliverability.weekly.view import entry_view, run_view
from tests.sampled import sampled

pytestmark = pytest.mark.long

FIRST = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)
KEY = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIuaaaaaaa="
NEXT_KEY = "v=DKIM1; k=ed25519; p=22qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIuaaaaaaa="
NEW, MENDED, GONE, STILL, UNCHECKED = (
    ChangeKind.NEW,
    ChangeKind.MENDED,
    ChangeKind.GONE,
    ChangeKind.STILL,
    ChangeKind.UNCHECKED,
)


class NoPages:
    """Pages that cost nothing."""

    def subject(self, report: Any, entry: Any, history: Any, lang: str) -> str:
        return entry.domain

    def start(self, summary: Any, history: Any, lang: str) -> str:
        return summary.started


class Failing(Struct):
    """A resolver that cannot answer some questions (``TXT example.com``), or any below a name (``*.example.com``)."""

    base: Resolver
    questions: tuple[str, ...]
    reason: Reason = Reason.SERVFAIL

    async def query(self, name: str, rdtype: str) -> Answer:
        asked = f"{rdtype} {name.rstrip('.').lower()}"
        for each in self.questions:
            below = each.removeprefix("*.")
            if asked == each or (each != below and f".{asked.split()[1]}".endswith(f".{below}")):
                return Failed(name, rdtype, self.reason, VERBATIM(text="by the test"))
        return await self.base.query(name, rdtype)

    async def close(self) -> None:
        await self.base.close()


@functools.cache
def shipped() -> RuleSet:
    return load_rules()


class Life(Struct):
    """A machine with a history that runs once a week; what DNS and the settings say may change in between."""

    folder: Path
    history: History
    spf: str = "v=spf1 mx include:spf.vendor.example -all"
    vendor: str = "v=spf1 ip4:198.51.100.0/24 -all"
    dmarc: str = "v=DMARC1; p=reject; rua=mailto:r@shop.example"
    keys: dict[str, str] = field(default_factory=lambda: {"s1": KEY})
    other_key: str = NEXT_KEY
    domains: tuple[str, ...] = ("shop.example",)
    options: Subject = field(default_factory=lambda: Subject(purpose=Purpose.USERS, selectors=("s1",)))
    message: bytes | None = None
    selection: Selection = field(default_factory=Selection)
    rules: tuple[Path, ...] = ()
    failing: tuple[str, ...] = ()
    reason: Reason = Reason.SERVFAIL
    unreadable: bool = False
    vanished: bool = False
    pages: Any = field(default_factory=NoPages)
    notify: Callable[[Summary], None] = lambda summary: None
    number: int = 0
    public: bool = False
    reports: Path | None = None
    words: tuple[SourceWord, ...] = ()
    more: str = ""
    """Further lines of the zone of shop.example."""
    web: HttpFetcher | None = None

    async def week(self, at: datetime | None = None) -> Summary:
        self.number += 1
        clock = FixedClock(at or FIRST + timedelta(weeks=self.number - 1))
        ports = replace(open_ports(PortSettings(zones=self._zones())), clock=clock)
        if self.web is not None:
            ports = replace(ports, http=self.web, permissions=Permissions(fetch=True))
        if self.failing:
            ports = replace(ports, dns=Failing(ports.dns, self.failing, self.reason))
        plan = Plan(
            tuple(self._subject(domain) for domain in self.domains),
            ports,
            load_rules(self.rules) if self.rules else shipped(),
            self.selection,
            self.folder / "out",
            public=self.public,
            intake=self._intake(ports),
            observing=Observing("", None, 28, "verified", self.words) if self.reports else None,
        )
        with only_one(plan.output, public=self.public), self.history.held():
            return await weekly(plan, self.history, self.pages, lambda domain: None, self.notify)

    def _intake(self, ports: Ports) -> IntakePlan | None:
        """The reports in the folder are vouched for, where there is one."""
        if self.reports is None:
            return None
        return IntakePlan(ports, [str(self.reports)], reporters=shipped().knowledge.reporters, vouched=True)

    def _subject(self, domain: str) -> WeeklySubject:
        picked = Picked("Maildir", f"Maildir/{self.number}", data=self.message) if self.message else None
        if picked and self.unreadable:
            picked = replace(picked, data=None, path=self.folder / "is not there")
        return WeeklySubject(replace(self.options, domain=domain), picked)

    def _zones(self) -> list[Path]:
        selectors = "\n".join(f'{name}._domainkey 300 IN TXT "{key}"' for name, key in self.keys.items())
        hosts = "mx 300 IN A 192.0.2.1\n@ 300 IN MX 10 mx"
        spf = " ".join(f'"{self.spf[start : start + 250]}"' for start in range(0, len(self.spf), 250))
        shop = f"@ 300 IN TXT {spf}\n"
        shop += f'_dmarc 300 IN TXT "{self.dmarc}"\n{hosts}\n{selectors}\n{self.more}'
        texts = {
            "shop.example": "" if self.vanished else shop,
            "vendor.example": f'spf 300 IN TXT "{self.vendor}"',
            "other.example": f'@ 300 IN TXT "v=spf1 mx -all"\n{hosts}\ns1._domainkey 300 IN TXT "{self.other_key}"',
        }
        folder = self.folder / "zones"
        folder.mkdir(exist_ok=True)
        for origin, text in texts.items():
            soa = f"@ 300 IN SOA ns.{origin}. h.{origin}. 1 2 3 4 5\n@ 300 IN NS ns.{origin}."
            (folder / f"{origin}.zone").write_text(f"$ORIGIN {origin}.\n{soa}\n{text}\n")
        return sorted(folder.iterdir())


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield Life(tmp_path, history)
    history.close()


def changes(summary: Summary, domain: str = "shop.example") -> list[FindingChange]:
    (entry,) = [entry for entry in summary.entries if entry.domain == domain]
    assert entry.comparison is not None
    return list(entry.comparison.changes)


def news(summary: Summary, domain: str = "shop.example") -> dict[tuple[str, ChangeKind], FindingChange]:
    """What is new, mended or gone, by rule and kind."""
    return {(each.rule, each.kind): each for each in changes(summary, domain) if each.kind in (NEW, MENDED, GONE)}


def gains(summary: Summary) -> list[str]:
    return [
        f"{gain.receiver} {gain.before.value} -> {gain.after.value}"
        for entry in summary.entries
        if entry.comparison
        for gain in entry.comparison.verdicts
    ]


# --- Nothing happens ---


async def test_a_quiet_week_has_no_news(life: Life) -> None:
    await life.week()
    quiet = await life.week()
    assert news(quiet) == {}
    assert gains(quiet) == []
    (entry,) = quiet.entries
    assert entry.comparison is not None
    assert entry.comparison.records == ()


async def test_two_runs_on_one_day_and_a_clock_that_goes_backwards(life: Life) -> None:
    await life.week(FIRST)
    life.spf = "v=spf1 mx +all"
    second = await life.week(FIRST + timedelta(hours=1))
    assert news(second)
    assert second.folder == "2026-10-05-2"
    back = await life.week(FIRST - timedelta(days=30))
    assert (back.folder, news(back)) == ("2026-09-05", {})
    assert (life.folder / "out" / "latest").resolve().name == "2026-09-05"
    assert len(life.history.runs()) == 3


# --- Outages ---


@pytest.mark.parametrize(
    "failing",
    sampled(
        [
            ["TXT shop.example"],
            ["TXT _dmarc.shop.example"],
            ["TXT s1._domainkey.shop.example"],
            ["MX shop.example"],
            ["TXT spf.vendor.example"],
            ["*.shop.example"],
            ["*.vendor.example"],
        ],
        3,
    ),
)
async def test_an_outage_is_no_change_and_neither_is_its_end(life: Life, failing: list[str]) -> None:
    life.keys = {"s1": "v=DKIM1; p=AAAA"}
    life.spf += " +all"
    life.dmarc = "v=DMARC1; p=none"
    before = await life.week()
    life.failing = tuple(failing)
    for _ in range(2):
        down = await life.week()
        assert news(down) == {}
        assert gains(down) == [], "a verdict that is only incomplete is no change"
        unchecked = [each for each in changes(down) if each.kind is UNCHECKED]
        assert unchecked
        assert {each.checked for each in unchecked} == {before.started}
        (entry,) = [each for each in run_view(down, phrases("en"), shipped(), catalogue()).entries if each.unchecked]
        alike = dict(entry.unchecked_alike)
        assert set(alike) <= {f"{was} (last checked on 5 Oct 2026)" for was in ("Met", "Not met", "Does not apply")}
        assert sum(map(len, alike.values())) == len(entry.unchecked)
        assert [entry.failures > 0 for entry in down.entries] == [True]
    life.failing = ()
    back = await life.week()
    assert news(back) == {}
    assert gains(back) == []
    assert {each.since for each in changes(back)} == {before.started}


async def test_what_changed_while_it_could_not_be_seen_is_told_afterwards(life: Life) -> None:
    await life.week()
    life.failing = ("TXT spf.vendor.example",)
    life.vendor = f"v=spf1 {' '.join(f'a:n{number}.vendor.example' for number in range(11))} -all"
    assert news(await life.week()) == {}
    life.failing = ()
    told = news(await life.week())
    found = {rule: each.causes for (rule, kind), each in told.items() if kind is NEW and rule.startswith("SPF")}
    assert found
    assert set(found.values()) == {(Cause.VENDOR,)}
    assert {record.asked for each in told.values() for record in each.records} == {"TXT spf.vendor.example"}


async def test_a_real_change_is_told_once_although_something_else_fails_for_weeks(life: Life) -> None:
    await life.week()
    life.failing = ("MX shop.example",)
    await life.week()
    life.dmarc = "v=DMARC1; p=none"
    changed = await life.week()
    assert {each.causes for each in news(changed).values()} == {(Cause.OWN_DNS,)}
    later = await life.week()
    assert news(later) == {}
    assert gains(later) == []
    (entry,) = later.entries
    assert entry.comparison is not None
    assert entry.comparison.records == ()


async def test_a_verdict_that_is_worse_for_certain_is_told_although_something_fails(life: Life) -> None:
    await life.week()
    life.failing = ("TXT s1._domainkey.shop.example",)
    life.spf = "v=spf1 +all"
    assert gains(await life.week())
    assert gains(await life.week()) == [], "once"


async def test_a_domain_that_vanishes_is_a_change_and_no_outage(life: Life) -> None:
    await life.week()
    life.vanished = True
    gone = await life.week()
    told = news(gone)
    assert told
    assert {each.causes[0] for each in told.values()} == {Cause.OWN_DNS}
    assert not [each for each in changes(gone) if each.kind is UNCHECKED]


@pytest.mark.parametrize(
    "reason", sampled([each for each in Reason if not each.waits_for_input and each is not Reason.BUG], 3)
)
@pytest.mark.parametrize("named", [True, False])
async def test_when_dns_is_out_nothing_is_gone_and_keys_are_unknown(life: Life, reason: Reason, *, named: bool) -> None:
    life.keys = {"s1": "v=DKIM1; p=AAAA"}
    life.dmarc = "v=DMARC1; p=none; rua=mailto:r@vendor.example"
    life.spf = "v=spf1 mx include:spf.vendor.example +all"
    life.options = replace(life.options, selectors=("s1",) if named else ())
    before = await life.week()
    bad = {(each.rule, each.item) for each in changes(before) if each.kind is NEW}
    assert {"DKIM-024", "DMARC-013", "SPF-006"} <= {rule for rule, _ in bad}
    life.failing, life.reason = ("*.example",), reason
    down = await life.week()
    assert news(down) == {}
    assert gains(down) == []
    told = {(each.rule, each.item): each for each in changes(down)}
    assert bad <= told.keys(), "what could not be checked is told as such, or stands"
    assert {told[each].kind for each in bad if each[0].startswith(("DKIM", "DMARC", "SPF"))} == {UNCHECKED}
    _, kept = next(iter(life.history.snapshots("shop.example")))
    keys = kept.facts.value("dkim.keys")
    assert keys != ()
    assert isinstance(keys, Unknown) or all(isinstance(each["present"], Unknown) for each in records_of(keys))
    life.failing = ()
    back = await life.week()
    assert (news(back), gains(back)) == ({}, [])


async def test_a_message_that_cannot_be_read_is_no_change(life: Life) -> None:
    life.message = mail(1).replace(b"Message-ID: <1@shop.example>\r\n", b"")
    before = await life.week()
    life.unreadable = True
    lost = await life.week()
    (entry,) = lost.entries
    assert entry.problems
    assert (news(lost), gains(lost)) == ({}, [])
    unchecked = {each.rule for each in changes(lost) if each.kind is UNCHECKED}
    assert "MSG-004" in unchecked
    life.unreadable = False
    back = await life.week()
    assert (news(back), gains(back)) == ({}, [])
    assert {each.since for each in changes(back)} == {before.started}


# --- Removed records ---


REMOVED = {
    "dmarc": ({"dmarc": "some words"}, "DMARC-001", "The DMARC record at _dmarc.shop.example was removed."),
    "spf": ({"spf": "some words"}, "SPF-001", "The SPF record at shop.example was removed."),
    "key": ({"keys": {}}, "DKIM-003", "The DKIM key at s1._domainkey.shop.example was removed."),
}


@pytest.mark.parametrize("kind", REMOVED)
async def test_a_removed_record_is_named_as_the_cause_of_all_that_follows(life: Life, kind: str) -> None:
    there, rule, sentence = REMOVED[kind]
    life.dmarc = "v=DMARC1; p=reject; rua=mailto:r@vendor.example"
    await life.week()
    for name, value in there.items():
        setattr(life, name, value)
    gone = await life.week()
    assert news(gone)[(rule, NEW)].records[0].removed == kind
    (entry,) = gone.entries
    view = entry_view(entry, phrases("en"), shipped(), catalogue())
    first, *rest = view.groups
    assert first.cause == sentence
    assert rule in {each.rule for each in first.new}
    assert {cause for each in (*first.new, *first.gone, *first.verdicts) for cause in each.causes} == set()
    assert rest == [], "all of it follows from that"
    assert len(view.verdicts) == bool(gains(gone)), "and so do the verdicts"
    if kind == "dmarc":
        assert "DMARC-013" in {each.rule for each in first.covered}, "what the record led to is not looked up any more"
    japanese = entry_view(entry, phrases("ja"), shipped(), catalogue()).groups[0].cause
    assert japanese.startswith(sentence.split()[4])


async def test_a_record_that_was_spoilt_is_not_told_as_removed(life: Life) -> None:
    await life.week()
    life.dmarc = "v=DMARC 1; p=reject"
    assert {each.removed for change in news(await life.week()).values() for each in change.records} == {None}


# --- What the user changes ---


async def test_an_added_and_a_removed_domain(life: Life) -> None:
    await life.week()
    life.domains = ("shop.example", "other.example")
    added = await life.week()
    assert news(added) == {}
    (entry,) = [entry for entry in added.entries if entry.domain == "other.example"]
    assert entry.comparison is not None
    assert entry.comparison.previous == "", "nothing to compare with"
    assert entry.news == ()
    life.domains = ("other.example",)
    removed = await life.week()
    assert removed.removed == ("shop.example",)
    assert (await life.week()).removed == ()


async def test_another_purpose_is_the_settings(life: Life) -> None:
    await life.week()
    life.options = replace(life.options, purpose=Purpose.PARKED)
    told = news(await life.week())
    assert told
    assert {each.causes for each in told.values()} == {(Cause.SETTINGS,)}


SETTINGS: dict[str, Callable[[Life], None]] = {
    "daily_volume": lambda life: setattr(life, "options", replace(life.options, daily_volume=10_000)),
    "purpose": lambda life: setattr(life, "options", replace(life.options, purpose=Purpose.USERS)),
    "waivers": lambda life: setattr(
        life,
        "options",
        replace(life.options, waivers=tuple(Waiver(rule, "false-positive") for rule in ("DKIM-001", "UNS-005"))),
    ),
    "ignore": lambda life: setattr(life, "selection", Selection(ignore=("DKIM-001", "UNS"))),
    "receivers": lambda life: setattr(life, "selection", Selection(receivers=("gmail", "yahoo"))),
}


@pytest.mark.parametrize("setting", sampled([*SETTINGS], 2))
async def test_what_follows_from_the_settings_is_not_told_as_a_change_of_the_domain(life: Life, setting: str) -> None:
    life.message = mail(1)
    life.dmarc = "v=DMARC1; p=none"
    life.options = replace(life.options, purpose=Purpose.BULK, daily_volume=100, sending_ips=("192.0.2.1",))
    await life.week()
    SETTINGS[setting](life)
    changed = await life.week()
    (entry,) = changed.entries
    assert entry.comparison is not None
    assert entry.comparison.settings == (setting,)
    told = [each for each in changes(changed) if each.causes]
    assert {each.causes for each in (*told, *entry.comparison.verdicts)} <= {(Cause.SETTINGS,)}
    # What is left out or set aside makes no verdict better, so there is no other one.
    assert entry.comparison.verdicts or setting in ("receivers", "waivers", "ignore")
    if setting == "purpose":
        assert [(each.rule, each.was, each.severity) for each in told if each.kind is ChangeKind.RATED] == [
            ("DKIM-001", Severity.ERROR, Severity.WARNING)
        ]
    later = await life.week()
    assert (news(later), gains(later)) == ({}, []), "once"


async def test_a_setting_and_a_record_that_change_in_one_week_each_get_their_own(life: Life) -> None:
    life.message = mail(1)
    await life.week()
    life.selection = Selection(ignore=("MSG",))
    life.dmarc = "v=DMARC1; p=none"
    told = news(await life.week())
    assert told[("DMARC-006", NEW)].causes == (Cause.OWN_DNS,)
    assert all(each.causes == (Cause.SETTINGS,) for (rule, _), each in told.items() if rule.startswith("MSG"))


async def test_another_selector_is_the_settings(life: Life) -> None:
    life.keys["weak"] = "v=DKIM1; k=rsa; p=AAAA"
    await life.week()
    life.options = replace(life.options, selectors=("s1", "weak"))
    told = [each for each in news(await life.week()).values() if each.kind is NEW and "weak" in each.item]
    assert told
    assert {each.causes for each in told} == {(Cause.SETTINGS,)}
    life.options = replace(life.options, selectors=("s1",))
    gone = [each for each in news(await life.week()).values() if "weak" in each.item]
    assert {each.kind for each in gone} == {GONE}
    assert {each.causes for each in gone} == {(Cause.SETTINGS,)}
    life.options = replace(life.options, selectors=("s1", "weak"))
    assert [each for each in news(await life.week()).values() if each.kind is NEW and "weak" in each.item], "back again"


async def test_a_rule_that_is_left_out_and_comes_back_is_the_settings(life: Life) -> None:
    life.dmarc = "v=DMARC1; p=none"
    first = await life.week()
    rule = next(each.rule for each in changes(first) if each.rule.startswith("DMARC"))
    life.selection = Selection(ignore=(rule,))
    assert news(await life.week())[(rule, GONE)].causes == (Cause.SETTINGS,)
    life.selection = Selection()
    assert news(await life.week())[(rule, NEW)].causes == (Cause.SETTINGS,)


async def test_fewer_receivers_are_no_news_of_the_others(life: Life) -> None:
    life.dmarc = "v=DMARC1; p=none"
    await life.week()
    life.selection = Selection(receivers=("icloud",))
    fewer = await life.week()
    assert gains(fewer) == []
    assert {each.causes for each in news(fewer).values()} <= {(Cause.SETTINGS,)}


# --- Rules ---


def own_rule(folder: Path, most: int) -> Path:
    folder.mkdir(exist_ok=True)
    text = (
        "{title: Few look-ups, short: too many look-ups, noun: look-ups, met: Few., unmet: Many., why: So., fix: [Do.]}"
    )
    (folder / "own.yaml").write_text(
        "- id: SPF-900\n  name: own-limit\n  since: '0.1'\n  scope: delivery\n  severity: error\n"
        "  level: heuristic\n  effort: low\n  confidence: high\n"
        f"  require: {{fact: spf.lookups, le: {most}}}\n  sources: [{{ref: rfc7208}}]\n"
        f"  text:\n    en: {text}\n    ja: {text}\n"
    )
    return folder


async def test_rules_come_change_and_go(life: Life) -> None:
    await life.week()
    life.rules = (own_rule(life.folder / "rules", 0),)
    assert news(await life.week()) == {("SPF-900", NEW): changes_of(life, "SPF-900", NEW)}
    own_rule(life.folder / "rules", 9)
    assert news(await life.week())[("SPF-900", MENDED)].causes == (Cause.RULES,)
    own_rule(life.folder / "rules", 0)
    assert news(await life.week())[("SPF-900", NEW)].causes == (Cause.RULES,)
    life.rules = ()
    assert news(await life.week())[("SPF-900", GONE)].causes == (Cause.RULES,)


@pytest.mark.slow
async def test_another_severity_is_told_with_who_gave_it(life: Life) -> None:
    life.rules = (own_rule(life.folder / "rules", 0),)
    await life.week()
    file = life.folder / "rules" / "own.yaml"
    file.write_text(file.read_text().replace("severity: error", "severity: warning"))
    rated = await life.week()
    (change,) = [each for each in changes(rated) if each.kind is ChangeKind.RATED]
    assert (change.rule, change.was, change.severity) == ("SPF-900", Severity.ERROR, Severity.WARNING)
    assert change.causes == (Cause.RULES,)
    (entry,) = rated.entries
    (view,) = entry_view(entry, phrases("en"), load_rules(life.rules), catalogue()).rated
    assert view.message == "Severity: Required → Recommended. Many."
    assert view.causes == ("Your own rule SPF-900 changed.",)
    assert [each for each in changes(await life.week()) if each.kind is ChangeKind.RATED] == [], "once"


def changes_of(life: Life, rule: str, kind: ChangeKind) -> FindingChange:
    """As the newest run tells it, with the rules as its only cause."""
    summary = weekly_run.read_summary(life.folder / "out" / "latest" / "summary.json")
    return replace(news(summary)[(rule, kind)], causes=(Cause.RULES,))


# --- Keys ---


async def test_a_rotated_key_is_seen_and_the_same_key_elsewhere_too(life: Life) -> None:
    life.domains = ("shop.example", "other.example")
    await life.week()
    life.keys = {"s1": life.other_key}
    rotated = await life.week()
    (entry,) = [entry for entry in rotated.entries if entry.domain == "shop.example"]
    assert entry.comparison is not None
    assert [record.asked for record in entry.comparison.records] == ["TXT s1._domainkey.shop.example"]
    assert news(rotated)[("DKIM-029", NEW)].causes == (Cause.OWN_DNS,)
    later = await life.week()
    assert news(later, "other.example")[("DKIM-029", NEW)].causes == (Cause.OWN_DNS,), "it was audited before"
    life.failing = ("*.other.example",)
    assert news(await life.week()) == {}
    life.failing = ()
    assert news(await life.week()) == {}, "that the other key could not be looked up does not make it one of a kind"
    seen_keys = life.history.keys(None)
    seen = {(key.domain, key.first_seen[:10]) for key in seen_keys}
    assert seen == {
        ("shop.example", "2026-10-05"),
        ("shop.example", "2026-10-12"),
        ("other.example", "2026-10-05"),
    }


# --- Messages ---


def mail(number: int, extra: str = "") -> bytes:
    text = (
        f"From: Shop <news@shop.example>\nTo: you@example.org\nSubject: Week {number}\n"
        f"Date: Mon, 5 Oct 2026 05:00:0{number} +0000\nMessage-ID: <{number}@shop.example>\n{extra}\nHello {number}\n"
    )
    return text.replace("\n", "\r\n").encode()


async def test_a_new_message_each_week_is_no_news_until_it_lacks_something(life: Life) -> None:
    life.message = mail(1)
    await life.week()
    life.message = mail(2)
    assert news(await life.week()) == {}
    life.message = mail(3).replace(b"Message-ID: <3@shop.example>\r\n", b"")
    told = news(await life.week())
    assert told
    assert {each.causes for each in told.values()} == {(Cause.MAIL,)}
    life.message = mail(4)
    assert {(each.kind, each.causes) for each in news(await life.week()).values()} <= {
        (MENDED, (Cause.MAIL,)),
        (GONE, (Cause.MAIL,)),
    }


# --- Waivers ---


async def test_a_waiver_comes_runs_out_and_goes(life: Life) -> None:
    life.dmarc = "v=DMARC1; p=none"
    first = await life.week()
    rule = next(each.rule for each in changes(first) if each.rule.startswith("DMARC") and not each.item)
    until = (FIRST + timedelta(weeks=2)).date().isoformat()
    life.options = replace(life.options, waivers=(Waiver(rule, "accepted-risk", until=until),))
    covered = await life.week()
    assert not [key for key in news(covered) if key[0] == rule], "accepted is neither mended nor new"
    assert [each.waived for each in changes(covered) if each.rule == rule] == [True]
    await life.week()
    ended = await life.week()
    assert news(ended)[("WAI-001", NEW)].causes == (Cause.CLOCK,)
    (still,) = [each for each in changes(ended) if each.rule == rule]
    assert (still.kind, still.waived, still.since) == (STILL, False, first.started)
    life.options = replace(life.options, waivers=())
    assert news(await life.week())[("WAI-001", GONE)].causes == (Cause.SETTINGS,)


async def test_a_waiver_that_covers_nothing_is_the_settings_doing(life: Life) -> None:
    await life.week()
    life.options = replace(life.options, waivers=(Waiver("SPF-001", "false-positive"),))
    assert news(await life.week())[("WAI-002", NEW)].causes == (Cause.SETTINGS,)


# --- Killed ---


class Killed(BaseException):
    """As if the process ended here."""


STEPS = [
    ("subject", 1, False),
    ("subject", 4, True),
    ("_write_entry", 1, True),
    ("record", 1, True),
    ("_write_entry", 2, True),
    ("record", 2, True),
    ("start", 1, True),
    ("start", 2, True),
    ("_publish", 1, False),
    ("_publish", 1, True),
    ("_point_latest", 1, True),
    ("notify", 1, True),
    ("finish", 1, True),
    ("_tidy", 1, True),
]


@pytest.mark.parametrize(("step", "turn", "after"), sampled(STEPS, 5))
async def test_killed_at_any_step_the_next_run_ends_the_same(
    life: Life, monkeypatch: pytest.MonkeyPatch, step: str, turn: int, *, after: bool
) -> None:
    life.domains = ("shop.example", "other.example")
    first = await life.week()
    life.spf = "v=spf1 +all"
    written: dict[str, Summary] = {}
    life.notify = lambda summary: written.__setitem__(summary.started, summary)
    place: Any = {"subject": life.pages, "start": life.pages, "record": life.history, "finish": life.history}.get(
        step, life if step == "notify" else weekly_run
    )
    real = getattr(place, step)
    count = 0

    def killed(*args: Any) -> Any:
        nonlocal count
        count += 1
        if count == turn and not after:
            raise Killed
        result = real(*args)
        if count == turn:
            raise Killed
        return result

    monkeypatch.setattr(place, step, killed)
    moment = FIRST + timedelta(weeks=1)
    with pytest.raises(Killed):
        await life.week(moment)
    monkeypatch.setattr(place, step, real)
    out = life.folder / "out"
    latest = weekly_run.read_summary(out / "latest" / "summary.json")
    assert latest.started in (first.started, "2026-10-12T06:00:00Z")
    assert len(latest.entries) == 2
    finished = life.history.runs()[-1].finished
    done = latest if finished else await life.week(moment + timedelta(minutes=5))
    assert done.started == "2026-10-12T06:00:00Z"
    assert news(done), "what was new when it was killed is told"
    assert list(written) == ["2026-10-12T06:00:00Z"]
    assert [run.started for run in life.history.runs()] == [first.started, "2026-10-12T06:00:00Z"]
    assert all(run.finished for run in life.history.runs())
    assert len(list(life.history.export())) == 4
    assert not list(out.rglob(HALF_WRITTEN))
    assert {each.name for each in out.iterdir()} == {".lock", "latest", "2026-10-05", "2026-10-12"}
    quiet = await life.week(FIRST + timedelta(weeks=2))
    assert news(quiet) == {}
    assert quiet.previous == "2026-10-12T06:00:00Z"


async def test_a_run_that_was_killed_last_week_begins_anew_and_tells_what_nobody_was_told(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    await life.week()
    life.spf = "v=spf1 +all"

    def killed(*args: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(weekly_run, "_publish", killed)
        with pytest.raises(Killed):
            await life.week()
    life.dmarc = "v=DMARC1; p=none"
    told = await life.week()
    assert told.started == "2026-10-19T06:00:00Z"
    assert told.folder == "2026-10-19"
    rules = {rule for rule, kind in news(told) if kind is NEW}
    assert any(rule.startswith("SPF") for rule in rules), "seen by the run that was killed"
    assert any(rule.startswith("DMARC") for rule in rules), "since then"
    assert {each.since for each in news(told).values()} == {told.started}
    assert len(life.history.runs()) == 2


async def test_an_entry_that_another_version_wrote_before_the_kill_is_written_anew(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(weekly_run, "_publish", killed)
        with pytest.raises(Killed):
            await life.week()
    (entry,) = (life.folder / "out").glob(".run-*/shop.example.json")
    entry.write_text('{"domain": "shop.example", "verdicts": [{"receiver": "gmail", "grade": "A"}]}')
    summary = await life.week(FIRST + timedelta(minutes=1))
    assert [each.domain for each in summary.entries] == ["shop.example"]


async def test_pages_that_were_out_when_it_was_killed_are_told_before_the_next_run(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    life.notify = lambda summary: told.append(summary.started)

    def killed(*args: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(weekly_run, "_point_latest", killed)
        with pytest.raises(Killed):
            await life.week()
    await life.week()
    assert told == ["2026-10-05T06:00:00Z", "2026-10-12T06:00:00Z"]
    assert [run.started for run in life.history.runs()] == told


async def test_the_outcome_of_a_snapshot_is_kept(life: Life) -> None:
    """What was met, unmet and unknown is there to read again, without the text of the message."""
    life.message = mail(1, "X-Secret: swordfish\n")
    await life.week()
    ((_, kept),) = life.history.snapshots("shop.example")
    assert {each.outcome for each in kept.findings} >= {Outcome.MET, Outcome.UNMET}
    assert "swordfish" not in str(list(life.history.export()))


# --- A crash in the middle of a file ---


async def test_half_written_files_are_not_published(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def killed(self: Path, target: Any) -> Any:
        if str(target).endswith("shop.example.ja.html"):
            (self.parent / ".left.0123abcd.part").write_text("half a pa")  # what SIGKILL leaves behind
            raise Killed
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            await life.week()
    summary = await life.week(FIRST + timedelta(minutes=1))
    folder = life.folder / "out" / summary.folder
    assert sorted(each.name for each in folder.iterdir() if each.name.startswith(".")) == [".run"]


# --- Side by side ---


async def test_look_ups_go_on_while_pages_are_written(life: Life) -> None:
    """Else those of the next domains would seem to have timed out."""
    loop = asyncio.get_running_loop()
    alive: list[bool] = []

    class Slow(NoPages):
        def subject(self, report: Any, entry: Any, history: Any, lang: str) -> str:
            turned = threading.Event()
            loop.call_soon_threadsafe(turned.set)
            alive.append(turned.wait(600))
            return ""

    life.pages = Slow()
    await life.week()
    assert alive == [True, True]


# --- In words ---


def test_receivers_that_changed_alike_are_told_in_one_sentence() -> None:
    say = phrases("en")
    worse = ("accepted", "at-risk")
    entry = WeeklyEntry(
        "shop.example",
        "",
        "",
        comparison=Comparison(
            "shop.example",
            "",
            "2026-10-05T06:00:00Z",
            (),
            tuple(
                VerdictChange(receiver, VerdictKind(old), VerdictKind(new))
                for receiver, (old, new) in (
                    ("gmail", worse),
                    ("icloud", worse),
                    ("yahoo", ("accepted", "rejected")),
                )
            ),
        ),
        counts={"error": 0, "warning": 0, "info": 0},
    )
    view = entry_view(entry, say, shipped(), catalogue())
    assert tuple(each.words for each in view.verdicts) == (
        "Gmail, iCloud: No known obstacle → At risk",
        "Yahoo: No known obstacle → Rejected",
    )
