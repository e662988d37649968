"""From rows to causes: exact where it is arithmetic, and right about a laboratory whose truth is known."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from benchmarks.lab import Kind, Lab
from deliverability.core.model.rules import RuleSet
from deliverability.core.protocols.spf.tree import walk_tree
from deliverability.core.words.speaker import Speaker
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from deliverability.fleet.causes import causes
from deliverability.fleet.folder_commands import report_table
from deliverability.fleet.shards import FleetFinding, FleetRow, Unchecked
from deliverability.fleet.tally import WORST, CauseKind, FleetCauses, Tally
from deliverability.fleet.view import fleet_view
from tests.fleet.rows import row

pytestmark = pytest.mark.long

DAY = "2026-11-26"


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load_rules()


def found(rows: Iterable[FleetRow], rules: RuleSet, older: Iterable[FleetRow] | None = None) -> FleetCauses:
    return causes(rows, rules, DAY, older)


# --- more than ten look-ups ---


@pytest.mark.slow
async def test_it_names_the_vendor_that_the_laboratory_broke_domains_by(rules: RuleSet) -> None:
    """Of the domains that are seeded with a vendor or a dead include, at least 99 in 100 are put down to it."""
    lab = Lab(1500, seed=7)
    seeded: Counter[str] = Counter()
    rows = []
    for number in range(lab.domains):
        truth = lab.truth(number)
        if truth.kind in (Kind.SILENT, Kind.SERVFAIL):
            continue
        tree = await walk_tree(truth.domain, lab)
        costs = {
            entry.found.target: entry.total_lookups
            for node, entry in tree.entries
            if node is tree.root and entry.found.target and entry.found.mechanism == "include"
        }
        dead = [truth.cause] if truth.kind is Kind.DANGLING else []
        facts = {"spf.broken_includes": dead}
        rows.append(row(truth.domain, includes=costs, lookups=truth.lookups or 0, facts=facts))
        if truth.kind in (Kind.LOOKUPS, Kind.DANGLING):
            seeded[truth.cause] += 1
    result = found(rows, rules)
    named = {each.target: each.caused for each in result.lookups.includes} | dict(result.dead)
    right = sum(min(count, named.get(cause, 0)) for cause, count in seeded.items())
    assert sum(seeded.values()) > 180
    assert right >= 0.99 * sum(seeded.values())
    assert result.lookups.broken == sum(count for cause, count in seeded.items() if "vendor" in cause)


def test_what_a_smaller_include_would_mend_is_counted_exactly(rules: RuleSet) -> None:
    shared = {"_spf.vendor.example": 6}
    rows = [
        *(row(f"one{n}.example", includes={**shared, "_spf.mail.example": 5}) for n in range(5)),  # 11
        *(row(f"two{n}.example", includes={**shared, "_spf.mail.example": 5, "s.example": 1}) for n in range(3)),  # 12
        row("far.example", includes=shared, lookups=20),  # nothing is enough
        *(row(f"fine{n}.example", includes={"_spf.mail.example": 5, "s.example": 1}) for n in range(40)),
    ]
    result = found(rows, rules).lookups
    assert (result.known, result.broken, result.own) == (49, 9, 1)
    vendor = result.includes[0]
    assert (vendor.target, vendor.lookups, vendor.users, vendor.broken) == ("_spf.vendor.example", 6, 9, 9)
    assert vendor.caused == 8
    assert vendor.mends == (5, 8, 8, 8, 8, 8)


def test_every_domain_counts_once_and_for_what_breaks_others_too(rules: RuleSet) -> None:
    """Most of those broken include the mailbox host as well; but so do many that are sound."""
    mail, small, big = "_spf.mail.example", "_spf.small.example", "_spf.big.example"
    rows = [
        *(row(f"fine{n}.example", includes={mail: 4, "a.example": 5}) for n in range(300)),
        *(row(f"big{n}.example", includes={mail: 4, big: 8}) for n in range(60)),
        *(row(f"small{n}.example", includes={mail: 4, "a.example": 4, small: 3}) for n in range(4)),
        *(row(f"sound{n}.example", includes={small: 3}) for n in range(6)),
    ]
    result = found(rows, rules).lookups
    assert {each.target: each.caused for each in result.includes if each.caused} == {big: 60, small: 4}
    assert sum(each.caused for each in result.includes) + result.own == result.broken == 64


def test_names_made_for_one_customer_each_are_their_vendors(rules: RuleSet) -> None:
    rows = [row(f"d{n}.example", includes={f"u{n}.vendor.example": 8, "_spf.mail.example": 4}) for n in range(20)]
    includes = found(rows, rules).lookups.includes
    assert {each.target for each in includes} == {"*.vendor.example", "_spf.mail.example"}
    assert next(each.users for each in includes if each.target == "*.vendor.example") == 20


def test_an_include_of_the_domain_itself_is_no_vendor(rules: RuleSet) -> None:
    result = found([row("a.example", includes={"_spf.a.example": 12, "b.example": 1})], rules).lookups
    assert (result.own, [each.target for each in result.includes]) == (1, ["*.b.example"])


# --- groups ---


def members(service: str, count: int, broken: int, rule: str) -> list[FleetRow]:
    terms = [f"include:_spf.{service}.example"]
    return [
        row(
            f"{service}{n}.example",
            unmet=[rule] if n < broken else [],
            includes={f"_spf.{service}.example": 1},
            services={service: terms},
            name_servers=(f"ns1.dns{n % 7}.example",),
        )
        for n in range(count)
    ]


def test_a_service_whose_users_break_a_rule_more_often_is_told_once(rules: RuleSet) -> None:
    """Its include is the same thing; the name servers, which all share, are nothing to it."""
    rows = [*members("sendgrid", 100, 60, "DKIM-021"), *members("mailchimp", 400, 20, "DKIM-021")]
    (group,) = found(rows, rules).groups
    assert (group.rule, group.kind, group.name) == ("DKIM-021", CauseKind.SERVICE, "sendgrid")
    assert (group.users, group.unmet, group.elsewhere, group.others) == (100, 60, 20, 400)


def test_chance_makes_no_group(rules: RuleSet) -> None:
    draw = random.Random(3)
    rows = [
        row(
            f"d{n}.example",
            unmet=["DKIM-021"] if draw.random() < 0.1 else [],
            includes={f"i{draw.randrange(60)}.example": 1},
            name_servers=(f"ns1.dns{draw.randrange(60)}.example",),
        )
        for n in range(4000)
    ]
    assert found(rows, rules).groups == ()


def test_what_is_good_to_know_makes_no_group(rules: RuleSet) -> None:
    rule = next(ident for ident, each in rules.rules.items() if each.information)
    rows = [*members("sendgrid", 100, 90, rule), *members("mailchimp", 400, 0, rule)]
    assert found(rows, rules).groups == ()


# --- the rest ---


def test_rules_count_domains_not_items_and_no_waived_ones(rules: RuleSet) -> None:
    twice = row("a.example", unmet=["SPF-001", "SPF-001"], met=["SPF-001", "SPF-002"])
    waived = FleetRow("b.example", findings=(FleetFinding("SPF-001", "", "unmet", "error", "f", "accepted-risk"),))
    lost = row("c.example", lost=["SPF-001"])
    first, *_ = found([twice, waived, lost], rules).rules
    assert (first.rule, first.severity, first.unmet, first.met, first.unchecked) == ("SPF-001", "error", 1, 0, 1)


def test_who_fails_is_told_by_name_servers_by_vendor_or_not_at_all(rules: RuleSet) -> None:
    rows = [
        FleetRow("a.example", failed=True, unchecked=(Unchecked("TXT a.example", "servfail"),) * 2,
                 name_servers=("ns1.dns.example", "ns2.dns.example")),
        FleetRow("b.example", failed=True, unchecked=(Unchecked("MX b.example", "servfail"),),
                 name_servers=("ns1.dns.example",)),
        FleetRow("c.example", failed=True, unchecked=(Unchecked("TXT _spf.vendor.example", "timeout"),)),
        FleetRow("d.example", failed=True, unchecked=(Unchecked("TXT _dmarc.d.example", "timeout"),)),
    ]  # fmt: skip
    result = found(rows, rules)
    assert result.failed == 4
    told = [(each.name, each.reason, each.domains, each.servers) for each in result.silences]
    assert told == [
        ("dns.example", "servfail", 2, ("ns1.dns.example", "ns2.dns.example")),
        ("", "timeout", 1, ()),
        ("vendor.example", "timeout", 1, ()),
    ]


def test_short_keys_belong_to_the_service_whose_selector_it_is(rules: RuleSet) -> None:
    def key(selector: str, bits: int, **more: object) -> dict[str, object]:
        return {"selector": selector, "bits": bits, "present": True, "type": "rsa", **more}

    keys = [key("se", 1024), key("se", 1024), key("mail", 2048), key("gone", 512, present=False)]
    others = [key("ed", 256, type="ed25519"), key("se", 2048)]
    rows = [
        row("a.example", services={"sendgrid": ()}, facts={"dkim.keys": keys}),
        row("b.example", services={"sendgrid": ()}, facts={"dkim.keys": others}),
    ]
    told = [(each.service, each.keys, each.short, each.domains) for each in found(rows, rules).keys]
    assert told == [("sendgrid", 3, 2, 1), ("", 1, 0, 0)]


def test_waivers_are_told_that_end_within_a_month(rules: RuleSet) -> None:
    def until(day: str | None, *, expired: bool = False) -> dict[str, object]:
        return {"rule": "SPF-001", "item": None, "until": day, "expired": expired}

    waivers = [until("2026-12-20"), until("2026-12-28"), until("2026-11-01", expired=True), until(None)]
    (ending,) = found([row("a.example", facts={"subject.waivers": waivers})], rules).expiring
    assert (ending.domain, ending.rule, ending.until) == ("a.example", "SPF-001", "2026-12-20")


def test_the_worst_come_first_and_are_so_many_at_most(rules: RuleSet) -> None:
    rows = [
        row(f"d{n}.example", unmet=[f"X-{k}" for k in range(n % 5)], grade="ABCDF"[n % 5], labels={"customer": f"C{n}"})
        for n in range(500)
    ]
    result = found(rows, rules)
    assert len(result.worst) == WORST
    assert {(each.grade, each.errors) for each in result.worst} == {("F", 4)}
    assert result.worst[0].domain == "d4.example"
    (table,) = result.labels
    assert (table.label, table.values, len(table.worst)) == ("customer", 500, WORST)
    assert table.worst[0].grades == {"B": 1}


def test_unknown_values_are_no_numbers(rules: RuleSet) -> None:
    lost = {"unknown": "timeout"}
    facts = dict.fromkeys(("spf.lookups", "spf.include_costs", "spf.broken_includes", "dkim.keys", "dmarc.stage"), lost)
    result = found([FleetRow("a.example", facts=facts)], rules)
    assert (result.lookups.known, result.stages, result.keys, dict(result.dead)) == (0, {"": 1}, (), {})


def test_an_empty_run_has_no_causes(rules: RuleSet) -> None:
    assert causes([], rules, "", []).domains == 0


# --- against an older run ---


def test_what_came_and_what_was_mended_by_rule_and_by_include(rules: RuleSet) -> None:
    def run(vendor: int, *, broken: str, stage: str) -> list[FleetRow]:
        includes = {"_spf.vendor.example": vendor, "_spf.mail.example": 6}
        return [
            *(row(f"v{n}.example", includes=includes, facts={"dmarc.stage": stage}) for n in range(4)),
            row("new.example" if broken == "later" else "old.example"),
            row("x.example", unmet=["SPF-001"] if broken == "before" else [], met=["SPF-001"]),
            row("y.example", unmet=["SPF-001"] if broken == "later" else [], met=["SPF-001"]),
        ]

    before = run(4, broken="before", stage="none")
    trend = found(run(6, broken="later", stage="reject"), rules, before).trend
    assert trend is not None
    assert (trend.both, trend.added, trend.gone) == (6, 1, 1)
    assert [(each.rule, each.new, each.mended) for each in trend.rules] == [("SPF-001", 1, 1)]
    (moved,) = trend.includes
    assert (moved.target, moved.new, moved.mended, moved.before, moved.now) == ("_spf.vendor.example", 4, 0, 4, 6)
    assert dict(trend.stages) == {("none", "reject"): 4}


def test_what_could_not_be_checked_is_neither_new_nor_mended(rules: RuleSet) -> None:
    unmet, lost = row("a.example", unmet=["SPF-001"]), row("a.example", lost=["SPF-001"], lookups=-1)
    for now, before in ((unmet, lost), (lost, unmet)):
        trend = found([now], rules, [before]).trend
        assert trend is not None
        assert trend.rules == ()


def test_a_comparison_is_kept_only_where_it_is_wanted() -> None:
    tally = Tally()
    tally.add(row("a.example", includes={"b.example": 12}))
    assert (tally.domains, tally.signature_of, list(tally.lookups_of)) == ([], {}, [])


def test_names_that_several_customers_rest_on_stand_first(rules: RuleSet) -> None:
    """What anybody could register, by how many domains; a name used twice by a domain counts once."""

    def free(domain: str, *uses: str, known: bool = True, service: str | None = None) -> list[dict[str, Any]]:
        return [{"use": use, "domain": domain, "free": known, "service": service} for use in uses]

    rows = [
        row("a.example", facts={"takeover.names": free("alone.com", "spf")}),
        row("b.example", facts={"takeover.names": free("shared.com", "spf", "dkim")}),
        row("c.example", facts={"takeover.names": free("shared.com", "mx") + free("had.com", "spf", known=False)}),
        row("d.example", facts={"takeover.names": {"unknown": "timeout"}}),
    ]
    result = found(rows, rules)
    assert [(each.name, each.uses, each.domains) for each in result.takeover] == [
        ("shared.com", ("dkim", "mx", "spf"), 2),
        ("alone.com", ("spf",), 1),
    ]
    for lang, heading in (("en", "Names that anyone could register"), ("ja", "誰でも登録できる名前")):
        view = fleet_view(result, Speaker(rules, catalogue(), lang))
        assert view.sections[0].heading == heading
        assert "shared.com" in view.lead[0]
        assert ["shared.com" in each.what for each in view.actions[:2]] == [True, False]
    assert (
        report_table(result, Speaker(rules, catalogue(), "en"))
        .splitlines()[1]
        .startswith("takeover,,name,shared.com,2,4")
    )


def test_one_key_at_several_owners_is_told(rules: RuleSet) -> None:
    """Not where one owner has it twice, a service holds it, or it is revoked."""

    def key(domain: str, fingerprint: str, **fields: Any) -> dict[str, Any]:
        return {
            "domain": domain,
            "selector": "s1",
            "present": True,
            "own": True,
            "fingerprint": fingerprint * 16,
        } | fields

    domains = ("a.example", "b.example", "c.example", "mail.c.example")
    rows = [
        row(
            domain,
            facts={
                "dkim.keys": [
                    key(domain, "1" if domain != "a.example" else "2"),
                    key(domain, "3", alias="s1.vendor.example"),
                    key(domain, "4", revoked=True),
                    key(domain, "5", own=False),
                ]
            },
        )
        for domain in domains
    ]
    result = found(rows, rules)
    assert [(each.name, each.domains) for each in result.shared_keys] == [("s1._domainkey.b.example", 3)]
    own = [row(domain, facts={"dkim.keys": [key(domain, "6")]}) for domain in ("c.example", "mail.c.example")]
    assert found(own, rules).shared_keys == ()
    for lang, heading in (("en", "One DKIM key at several owners"), ("ja", "複数の所有者に共通のDKIM鍵")):
        assert heading in [each.heading for each in fleet_view(result, Speaker(rules, catalogue(), lang)).sections]
    lines = report_table(result, Speaker(rules, catalogue(), "en")).splitlines()
    assert "shared-keys,,key,s1._domainkey.b.example,3,4," in lines


def test_the_report_leads_with_the_problem_of_the_most_domains(rules: RuleSet) -> None:
    ten = {"spf.lookups": 12, "dmarc.stage": "reject"}
    rows = [
        row("a.example", facts=ten, unmet=["SPF-003"]),
        *(row(f"{n}.example", facts={"dmarc.stage": "none"}) for n in range(3)),
    ]
    rows += [row(f"late{n}.example", failed=True, unchecked=(Unchecked("TXT x.example", "timeout"),)) for n in range(2)]
    lead = fleet_view(found(rows, rules), Speaker(rules, catalogue(), "en")).lead
    assert lead[0].startswith("No DMARC policy, or p=none: 3 domains")
    assert [each.partition(":")[0] for each in lead].index("Not checked completely") == 1
