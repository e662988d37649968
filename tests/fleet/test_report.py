"""The page of a fleet: small however many domains, on a phone, accessible, the same in both languages."""

from __future__ import annotations

import re
from itertools import product

import pytest

from deliverability.core.model.report import GRADES, VerdictKind
from deliverability.core.model.rules import RuleSet
from deliverability.core.words.speaker import Speaker
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.fleet.causes import causes
from deliverability.fleet.folder_commands import FORMATS, report_page
from deliverability.fleet.shards import FleetRow, Unchecked
from deliverability.fleet.tally import FleetCauses
from tests.devtools import DESKTOP, PHONE, Tab, measured, violations
from tests.fleet.rows import row

pytestmark = pytest.mark.long

MOST = 2_000_000  # octets


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rules()


@pytest.fixture(scope="module")
def full(rules: RuleSet) -> FleetCauses:
    """A fleet in which everything goes wrong, by far more names than any table lists."""
    ids = list(rules.rules)
    kinds = list(VerdictKind)

    def made(n: int, cost: int) -> FleetRow:
        vendor, long = f"_spf.vendor{n % 300}.example", f"{'x' * 60}.{'y' * 60}.{n % 50}.example"
        day = {"rule": ids[n % 50], "until": "2026-12-01", "item": None, "expired": False}
        key = {"selector": "se", "bits": 1024, "present": True, "type": "rsa"}
        return (
            row(
                f"domain-{n}.example",
                unmet=[ids[(n + k) % len(ids)] for k in range(20)],
                includes={vendor: cost, long: 3, "_spf.mail.example": 5},
                services={"sendgrid": ["include:sendgrid.net"]} if n % 3 else {"mailchimp": []},
                facts={
                    "spf.broken_includes": [f"_spf.gone{n % 400}.example"],
                    "dmarc.stage": ("absent", "none", "reject")[n % 3 if cost < 9 else 2],
                    "dkim.keys": [key],
                    "subject.waivers": [day],
                },
                grade=GRADES[n % 5],
                failed=True,
                unchecked=(Unchecked(f"TXT domain-{n}.example", "timeout"),),
                name_servers=(f"ns1.dns{n % 500}.example",),
                verdicts={receiver: kinds[n % len(kinds)].value for receiver in rules.providers},
                labels={f"label {k}": f"value {n}-{k}" for k in range(4)},
            )
            if n
            else FleetRow("domain-0.example", failed=True, unchecked=(Unchecked("TXT x.example", "servfail"),))
        )

    rows = [made(n, 4) for n in range(3000)]
    changed = [made(n, 1 if n % 2 else 9) for n in range(1000, 3500)]
    return causes(changed, rules, "2026-11-26", rows)


def speaker(rules: RuleSet, lang: str) -> Speaker:
    return Speaker(rules, catalogue(), lang)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_page_stays_small_and_says_all_there_is(full: FleetCauses, rules: RuleSet, lang: str) -> None:
    page = report_page(full, speaker(rules, lang))
    assert len(page.encode()) < MOST
    sections = re.findall(r'<section aria-labelledby="([\w-]+)"', page)
    assert set(sections) >= {"actions", "trend", "lookups", "dead", "stages", "receivers", "keys", "silences"}
    assert set(sections) >= {"expiring", "label-0", "label-3", "worst", "rules"}
    assert sorted(re.findall(r'<li><a href="#([\w-]+)"', page)) == sorted(set(sections) - {"actions"})


def test_both_languages_have_the_same_tables(full: FleetCauses, rules: RuleSet) -> None:
    en, ja = (report_page(full, speaker(rules, lang)) for lang in ("en", "ja"))
    for tag in ("<tr>", "<table", "<th ", "<h2 "):
        assert en.count(tag) == ja.count(tag)


@pytest.mark.parametrize("ending", [".html", ".json", ".csv"])
def test_a_fleet_of_nothing_is_written(rules: RuleSet, ending: str) -> None:
    for rows in ([], [FleetRow("a.example", grade="A")]):
        assert FORMATS[ending](causes(rows, rules, "2026-11-26"), speaker(rules, "en"))


@pytest.mark.system
def test_nothing_runs_over_the_edge(full: FleetCauses, rules: RuleSet, tab: Tab) -> None:
    for lang, width in product(("en", "ja"), (DESKTOP, PHONE)):
        found = measured(tab, report_page(full, speaker(rules, lang)), width)
        assert found["overflow"] <= 0, (width, found["outside"])


@pytest.mark.system
@pytest.mark.parametrize(("lang", "scheme"), [("en", "light"), ("ja", "dark")])
def test_axe_finds_nothing(full: FleetCauses, rules: RuleSet, tab: Tab, axe: str, lang: str, scheme: str) -> None:
    assert violations(tab, axe, report_page(full, speaker(rules, lang)), dark=scheme == "dark") == []
