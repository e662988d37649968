"""Drafts of SPF records: what is drafted for which fault, and what holds for every draft over all real records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, Value, records_of
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Care, Finding, Outcome, Remedy
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.base import Answer, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.overlay import OverlayResolver, parse_proposal
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.phrases import phrases
from deliverability.core.protocols.spf.coverage import Coverage, measure
from deliverability.core.protocols.spf.record import parse, select
from deliverability.core.protocols.spf.repair import repair
from deliverability.core.protocols.spf.tree import Tree, walk_tree
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.auditors import spf as auditor
from deliverability.engine.base import Context, catalogue
from deliverability.engine.remedies.records import Situation
from deliverability.engine.remedies.spf import drafts
from deliverability.engine.rules import load_rules
from tests import test_golden
from tests.corpus import NO_CORPUS, corpus, corpus_root
from tests.facts_of import value_of
from tests.sampled import examples, some, some_or_every

Zone = dict[tuple[str, str], Any]
DOMAIN = "example.com"

ADDS_SENDERS = {
    "spf-move-dead", "spf-fix-syntax", "spf-merge", "spf-recognise", "spf-drop-unreadable", "spf-add-sender",
    "spf-publish", "spf-add-service",
}  # fmt: skip
TAKES_SENDERS = {
    "spf-close-open", "spf-drop-ptr", "spf-replace-ptr", "spf-narrow", "spf-drop-unmatched", "spf-subdomain",
    "spf-drop-faulty", "spf-drop-unreadable", "spf-park", "spf-park-unused", "spf-drop-unneeded",
}  # fmt: skip


@cache
def rules() -> RuleSet:
    every = load_rules()
    return replace(every, rules={ident: rule for ident, rule in every.rules.items() if ident.startswith("SPF-")})


class Audited(Struct, frozen=True):
    """What drafting is given, and the tree that it came from."""

    resolver: Resolver
    domain: str
    facts: FactSet
    findings: tuple[Finding, ...]
    drafts: tuple[Remedy, ...]

    @property
    def unmet(self) -> set[str]:
        return {finding.rule for finding in self.findings if finding.outcome is Outcome.UNMET}

    async def measured(self) -> tuple[Tree, Coverage]:
        tree = await walk_tree(self.domain, self.resolver)
        return tree, await measure(tree, self.resolver)


async def audit(source: Zone | Resolver, *, domain: str = DOMAIN, ips: tuple[str, ...] = (), **more: Value) -> Audited:
    """Facts of the SPF auditor and what the rules ask for besides, judged by the SPF rules, and the drafts for them."""
    resolver = StaticResolver(source) if isinstance(source, dict) else source
    missing = Unknown(Reason.NO_MESSAGE)
    known = {path: Fact(path, missing) for path in auditor.audit.needs}
    context = Context(
        Subject(domain, sending_ips=ips), Ports(resolver, FixedClock(datetime(2026, 1, 1, tzinfo=UTC))), None, known
    )
    await auditor.audit.run(context)
    mx = await resolver.query(domain, "MX")
    hosts = tuple(value.partition(" ")[2] for value in getattr(mx, "values", ()))
    for host in hosts:  # as the auditor of MX does
        await context.query(host, "A")
        await context.query(host, "AAAA")
    beside: dict[str, Value] = {
        "subject.parked": False,
        "subject.sends": False,
        "message.present": False,
        "domain.mx": hosts,
        "domain.accepts_mail": True,
        "envelope.ip_source": "option" if ips else missing,
        "ownership.addresses": ips,
    } | {path.replace("__", "."): value for path, value in more.items()}
    facts = {path: Fact(path, value_of(path, value)) for path, value in beside.items()} | dict(context.stated)
    found = FactSet(facts, dict(context.evidence))
    findings = judge(found, rules(), catalogue(), Selection())
    return Audited(resolver, domain, found, findings, drafts(Situation(found, findings, shipped().services)))


async def after(audited: Audited, remedy: Remedy, **more: Any) -> Audited:
    """The audit once the records of the remedy are published."""
    proposals = [
        parse_proposal(f"{edit.name} {edit.type} {strings(value)}") for edit in remedy.edits for value in edit.new
    ]
    return await audit(OverlayResolver(audited.resolver, proposals), domain=audited.domain, **more)


def strings(value: str) -> str:
    """A TXT value as quoted strings of at most 255 octets."""
    pieces = [value[start : start + 255] for start in range(0, len(value), 255)]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)


def spf(*records: str, **more: str) -> Zone:
    zone: Zone = {
        (DOMAIN, "TXT"): [[record[start : start + 255] for start in range(0, len(record), 255)] for record in records],
        (DOMAIN, "A"): ["192.0.2.80"],
        (DOMAIN, "MX"): ["10 mx.example.com"],
        ("mx.example.com", "A"): ["192.0.2.25"],
    }
    return zone | {(f"{name}.example", "TXT"): [value] for name, value in more.items()}


def lookups(name: str, count: int, ranges: str = "") -> Zone:
    """A service that costs `count` look-ups, its own include counted."""
    below = {(f"{name}{n}.example", "TXT"): [f"v=spf1 ip4:198.51.{hash_of(name)}.{n} -all"] for n in range(1, count)}
    includes = " ".join(f"include:{name}{n}.example" for n in range(1, count))
    return below | {(f"{name}.example", "TXT"): [f"v=spf1 {includes} {ranges} -all"]}


def hash_of(name: str) -> int:
    return sum(map(ord, name)) % 250


def shown(audited: Audited) -> list[tuple[str, str, str]]:
    """Code, care and the last new value of each draft."""
    return [(each.code, each.care.value, each.edits[-1].new[0]) for each in audited.drafts]


# -- one fault each ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "code", "care"),
    [
        ("v=spf1 ip:192.0.2.1 -all", "v=spf1 ip4:192.0.2.1 -all", "spf-fix-syntax", "safe"),
        ("v=spf1 a mx -all include:one.example", "v=spf1 a mx -all", "spf-drop-dead", "safe"),
        ("v=spf1 a redirect=one.example ~all", "v=spf1 a ~all", "spf-drop-dead", "safe"),
        ("v=spf1 a include:none.example ~all", "v=spf1 a ~all", "spf-drop-broken", "safe"),
        ("v=spf1 a include:example.com ~all", "v=spf1 a ~all", "spf-drop-loop", "safe"),
        ("v=spf1 a a:gone.example ~all", "v=spf1 a ~all", "spf-drop-void", "safe"),
        ("v=spf1 A a include:one.example ~all", "v=spf1 A include:one.example ~all", "spf-drop-spare", "safe"),
        ("v=spf1 ip4:192.0.2.0/24 a -all", "v=spf1 ip4:192.0.2.0/24 -all", "spf-drop-spare", "safe"),
        ("v=spf1 a ?all", "v=spf1 a ~all", "spf-add-all", "careful"),
        ("v=spf1 a", "v=spf1 a ~all", "spf-add-all", "careful"),
        ("v=spf1 a exp=x.example", "v=spf1 a ~all exp=x.example", "spf-add-all", "careful"),
        ("v=spf1 a +all", "v=spf1 a ~all", "spf-close-open", "careful"),
        ("v=spf1 a ptr -all", "v=spf1 a -all", "spf-drop-ptr", "careful"),
        ("v=spf1 a foo:bar -all", "v=spf1 a -all", "spf-drop-unreadable", "careful"),
        ("v=spf1 a include:bad.example -all", "v=spf1 a -all", "spf-drop-faulty", "careful"),
    ],
)  # fmt: skip
async def test_one_fault(old: str, new: str, code: str, care: str) -> None:
    audited = await audit(spf(old, one="v=spf1 ip4:203.0.113.1 -all", bad="v=spf1 ip4:x -all"))
    assert (code, care, new) in shown(audited)
    draft = next(each for each in audited.drafts if each.code == code)
    assert draft.rule in audited.unmet
    assert draft.edits[-1].old == (old,)
    assert draft.rule not in (await after(audited, draft)).unmet


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 a mx -all",
        "v=spf1 redirect=one.example",
        "v=spf1 include:one.example ~all",
        "v=spf1 ip4:192.0.2.1 -all",
    ],
)
async def test_a_record_in_order_gets_no_draft(record: str) -> None:
    zone = spf(record, one="v=spf1 ip4:203.0.113.1 -all")
    assert shown(await audit(zone)) == []


async def test_a_record_that_could_not_be_looked_up_gets_no_draft() -> None:
    assert shown(await audit({(DOMAIN, "TXT"): "timeout"})) == []


async def test_several_faults_give_one_safe_record() -> None:
    audited = await audit(spf("v=spf1 a ipv4:192.0.2.1 a:gone.example ~all include:one.example"))
    safe = [each for each in audited.drafts if each.care is Care.SAFE]
    assert [(each.code, each.edits[0].new) for each in safe] == [("spf-tidy", ("v=spf1 a ip4:192.0.2.1 ~all",))]
    assert safe[0].values["terms"] == ("ipv4:192.0.2.1", "include:one.example", "a:gone.example")
    assert safe[0].rule == "SPF-011"


async def test_careful_drafts_hold_what_the_safe_one_does() -> None:
    audited = await audit(spf("v=spf1 a:gone.example ptr a ?all"))
    assert shown(audited) == [
        ("spf-drop-void", "safe", "v=spf1 ptr a ?all"),
        ("spf-drop-ptr", "careful", "v=spf1 a ?all"),
        ("spf-add-all", "careful", "v=spf1 a ~all"),
        # In case the record without ptr doesn't stand its rehearsal.
        ("spf-add-all", "careful", "v=spf1 ptr a ~all"),
    ]


def test_the_end_is_set_last_and_also_where_an_earlier_step_is_refused() -> None:
    codes = {subject: [each.code for each in test_golden.audited(subject).remedies] for subject in ("faulty", "broken")}
    assert codes["faulty"].index("spf-drop-ptr") < codes["faulty"].index("spf-add-all")
    assert "spf-drop-ptr" not in codes["broken"]
    assert "spf-add-all" in codes["broken"]


async def test_senders_behind_all_can_be_moved_in_front_of_it() -> None:
    audited = await audit(spf("v=spf1 a -all include:one.example redirect=two.example"))
    assert shown(audited)[-1] == ("spf-move-dead", "careful", "v=spf1 a include:one.example include:two.example -all")


async def test_nothing_is_drafted_that_allows_nobody() -> None:
    assert shown(await audit(spf("v=spf1 include:none.example ~all"))) == []
    assert shown(await audit(spf("v=spf1 redirect=none.example"))) == []
    assert shown(await audit(spf("v=spf1 ptr -all"))) == []


# -- several records, none, lookalikes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "merged"),
    [
        (["v=spf1 a -all", "v=spf1 mx A -all"], "v=spf1 a mx -all"),
        (["v=spf1 a -all", "v=spf1 mx ~all"], "v=spf1 a mx ~all"),
        (["v=spf1 a +all", "v=spf1 mx"], "v=spf1 a mx ~all"),
        (["v=spf1 a -all", "v=spf1 redirect=one.example"], "v=spf1 a include:one.example ~all"),
        (["v=spf1 a redirect=one.example", "v=spf1 redirect=one.example"], "v=spf1 a redirect=one.example"),
        (["v=spf1 a ~all", "v=spf1 ipv4:192.0.2.1 ~all"], "v=spf1 a ip4:192.0.2.1 ~all"),
        (["v=spf1 a ~all exp=x.example", "v=spf1 a ~all"], "v=spf1 a ~all exp=x.example"),
    ],
)
async def test_several_records_become_one(records: list[str], merged: str) -> None:
    audited = await audit(spf(*records))
    first = audited.drafts[0]
    assert (first.rule, first.code, first.edits[0].old, first.edits[0].new) == (
        "SPF-002", "spf-merge", tuple(records), (merged,),
    )  # fmt: skip
    assert "SPF-002" not in (await after(audited, first)).unmet


async def test_records_whose_order_matters_are_not_merged() -> None:
    assert shown(await audit(spf("v=spf1 -ip4:192.0.2.1 a -all", "v=spf1 ip4:192.0.2.0/24 -all"))) == []


@pytest.mark.parametrize(
    "text", [" v=spf1 a -all", "v=spf1; a; -all", "“v=spf1 a -all”", "spf1 a -all", "v = spf1 a -all", "v=spf1\ta -all"]
)
async def test_a_record_that_is_not_recognised(text: str) -> None:
    audited = await audit(spf(text))
    assert shown(audited)[0] == ("spf-recognise", "careful", "v=spf1 a -all")
    assert audited.drafts[0].edits[0].old == (text,)


async def test_sender_id_is_not_taken_for_spf() -> None:
    assert "spf-recognise" not in {code for code, _, _ in shown(await audit(spf("spf2.0/pra a -all")))}


async def test_a_first_record_names_what_is_known_to_send() -> None:
    named = {(DOMAIN, "MX"): ["10 mx.example.com"]}
    assert "spf-publish" not in {code for code, _, _ in shown(await audit(named, domain__accepts_mail=False))}, (
        "a host without an address sends nothing"
    )
    own = named | {("mx.example.com", "A"): ["192.0.2.25"]}
    assert shown(await audit(own)) == [("spf-publish", "careful", "v=spf1 mx ~all")]
    assert shown(await audit(own, ips=("192.0.2.1", "2001:db8::1"))) == [
        ("spf-publish", "careful", "v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1 ~all")
    ]
    hosted = {(DOMAIN, "MX"): ["10 mx.provider.example"]}
    assert shown(await audit(hosted)) == [], "hosts that take mail for others do not send it"


async def test_a_domain_that_sends_nothing() -> None:
    closed = "v=spf1 -all"
    assert shown(await audit({}, subject__parked=True)) == [("spf-park", "safe", closed)]
    parked = await audit(spf("v=spf1 a mx ~all", "v=spf1 a"), subject__parked=True)
    assert shown(parked) == [("spf-park", "safe", closed)]
    assert parked.drafts[0].edits[0].old == ("v=spf1 a mx ~all", "v=spf1 a")
    assert shown(await audit(spf(closed), subject__parked=True)) == []
    assert shown(await audit({}, domain__accepts_mail=False)) == [("spf-park-unused", "careful", closed)]
    assert shown(await audit({}, domain__accepts_mail=False, subject__sends=True)) == []
    used = await audit(spf("v=spf1 ip4:192.0.2.1 -all"), domain__accepts_mail=False)
    assert shown(used) == [], "a record that names a sender is in use"


async def test_nothing_is_published_beside_an_alias() -> None:
    alias: Zone = {(DOMAIN, "CNAME"): ["other.example"], ("other.example", "TXT"): ["v=spf1 mx ptr ip4:999.1.1.1 ?all"]}
    assert (await audit(alias)).findings
    assert shown(await audit(alias)) == []


# -- sending addresses ------------------------------------------------------------------------------------------------


async def test_a_sending_address_that_is_not_covered() -> None:
    audited = await audit(spf("v=spf1 a ~all exp=x.example"), ips=("198.51.100.7", "2001:db8::1", "192.0.2.80"))
    assert shown(audited) == [
        ("spf-add-sender", "safe", "v=spf1 a ip4:198.51.100.7 ip6:2001:db8::1 ~all exp=x.example")
    ]
    assert "SPF-014" not in (await after(audited, audited.drafts[0], ips=("198.51.100.7", "2001:db8::1"))).unmet


async def test_an_address_read_from_a_message_is_added_with_care_only() -> None:
    audited = await audit(spf("v=spf1 a ~all"), ips=("198.51.100.7",), envelope__ip_source="received")
    assert shown(audited) == [("spf-add-sender", "careful", "v=spf1 a ip4:198.51.100.7 ~all")]


async def test_an_address_that_only_stands_in_a_header_is_not_added() -> None:
    """It may be the recipient's gateway. What the user named, or DNS says is the organization's, is added."""
    seen = {"ips": ("198.51.100.7", "198.51.100.8"), "envelope__ip_source": "received"}
    assert shown(await audit(spf("v=spf1 a ~all"), **seen, ownership__addresses=())) == []
    audited = await audit(spf("v=spf1 a ~all"), **seen, ownership__addresses=("198.51.100.8",))
    assert shown(audited) == [("spf-add-sender", "careful", "v=spf1 a ip4:198.51.100.8 ~all")]


async def test_an_address_that_is_denied_on_purpose_is_not_added() -> None:
    assert shown(await audit(spf("v=spf1 -ip4:198.51.100.7 a ~all"), ips=("198.51.100.7",))) == []


async def test_an_address_that_a_corrected_term_names_is_not_added_again() -> None:
    audited = await audit(spf("v=spf1 ip4=198.51.100.7 ~all"), ips=("198.51.100.7",))
    assert shown(audited) == [("spf-fix-syntax", "safe", "v=spf1 ip4:198.51.100.7 ~all")]


async def test_before_a_redirect() -> None:
    audited = await audit(spf("v=spf1 redirect=one.example", one="v=spf1 a -all"), ips=("198.51.100.7",))
    assert shown(audited) == [("spf-add-sender", "safe", "v=spf1 ip4:198.51.100.7 redirect=one.example")]


async def test_ptr_gives_way_to_the_addresses_that_it_matched() -> None:
    zone = spf("v=spf1 ptr a -all") | {
        ("7.100.51.198.in-addr.arpa", "PTR"): ["mail.example.com"],
        ("mail.example.com", "A"): ["198.51.100.7"],
    }
    assert shown(await audit(zone, ips=("198.51.100.7",)))[-1] == (
        "spf-replace-ptr", "careful", "v=spf1 ip4:198.51.100.7 a -all",
    )  # fmt: skip


OPEN = ("all", "ip4:0.0.0.0/0 -all", "ip4:0.0.0.0/1 ip4:128.0.0.0/1 ?all", "exists:there.example -all", "ip6:::/0 all")


@pytest.mark.parametrize("terms", OPEN)
async def test_what_allows_everybody_gives_way_to_the_senders_that_are_known(terms: str) -> None:
    names = {("there.example", "A"): ["127.0.0.2"], ("one.example", "TXT"): ["v=spf1 ip4:198.51.100.0/24 -all"]}

    async def closed(record: str, ips: tuple[str, ...] = ()) -> list[str]:
        audited = await audit({(DOMAIN, "TXT"): [record]} | names, ips=ips)
        assert "SPF-006" in audited.unmet
        return [text for code, care, text in shown(audited) if (code, care) == ("spf-close-open", "careful")]

    # Those that the record lists beside it, else those that are known. Without any there is no record: ~all alone, or
    # beside addresses that nobody sends from, would let nobody send.
    assert await closed(f"v=spf1 include:one.example {terms}") == ["v=spf1 include:one.example ~all"]
    assert await closed(f"v=spf1 {terms}", ips=("192.0.2.9",)) == ["v=spf1 ip4:192.0.2.9 ~all"]
    assert await closed(f"v=spf1 {terms}") == []
    assert await closed(f"v=spf1 ip4:10.0.0.1 a:gone.example {terms}") == []


async def test_a_range_around_a_host_shrinks_to_the_host() -> None:
    audited = await audit(spf("v=spf1 a/0 -all"))
    assert shown(audited) == [("spf-close-open", "careful", "v=spf1 a ~all")]
    assert "SPF-006" not in (await after(audited, audited.drafts[0])).unmet


async def test_an_include_that_allows_everybody_is_not_just_dropped() -> None:
    audited = await audit(spf("v=spf1 a include:open.example -all", open="v=spf1 +all"))
    assert "SPF-031" in audited.unmet
    assert shown(audited) == [], "the service that is behind it would lose its mail"


async def test_a_record_that_lets_nobody_send_gets_the_senders_that_are_known() -> None:
    for record in ("v=spf1 -all", "v=spf1 ip4:10.0.0.1 -all"):
        closed = {(DOMAIN, "TXT"): [record], (DOMAIN, "MX"): ["10 mx.provider.example"]}
        assert "SPF-030" in (await audit(closed)).unmet
        assert shown(await audit(closed)) == []
        (draft,) = shown(await audit(closed, ips=("192.0.2.9",)))
        assert draft == ("spf-name-senders", "careful", record.replace("v=spf1", "v=spf1 ip4:192.0.2.9"))


async def test_wide_ranges_are_narrowed_to_given_addresses_only() -> None:
    record = "v=spf1 ip4:20.0.0.0/8 -all"
    assert shown(await audit(spf(record))) == []
    assert shown(await audit(spf(record), ips=("20.1.2.3",))) == [("spf-narrow", "careful", "v=spf1 ip4:20.1.2.3 -all")]


# -- too many look-ups ------------------------------------------------------------------------------------------------


async def test_an_include_inside_another_of_the_same_owner_goes() -> None:
    zone = spf("v=spf1 include:a.one.example include:b.one.example include:big.example -all") | lookups("big", 8)
    zone |= {
        ("a.one.example", "TXT"): ["v=spf1 ip4:203.0.113.1 -all"],
        ("b.one.example", "TXT"): ["v=spf1 include:a.one.example -all"],
    }
    assert shown(await audit(zone)) == [
        ("spf-drop-spare", "safe", "v=spf1 include:b.one.example include:big.example -all")
    ]


async def test_an_include_inside_that_of_somebody_else_goes_with_care() -> None:
    zone = spf("v=spf1 include:one.example include:two.example include:big.example -all") | lookups("big", 7)
    zone |= {
        ("one.example", "TXT"): ["v=spf1 exists:%{i}.one.example -all"],
        ("two.example", "TXT"): ["v=spf1 include:one.example -all"],
    }
    audited = await audit(zone)
    assert shown(audited) == [("spf-drop-covered", "careful", "v=spf1 include:two.example include:big.example -all")]


async def test_a_and_mx_become_addresses_as_far_as_needed() -> None:
    zone = spf("v=spf1 a mx include:big.example -all") | lookups("big", 9) | {
        (DOMAIN, "MX"): ["10 m1.example.com", "20 m2.example.com"],
        ("m1.example.com", "A"): ["203.0.113.4"],
        ("m2.example.com", "A"): ["203.0.113.5"],
        ("m2.example.com", "AAAA"): ["2001:db8::5"],
    }  # fmt: skip
    audited = await audit(zone)
    assert shown(audited) == [("spf-addresses", "careful", "v=spf1 ip4:192.0.2.80 mx include:big.example -all")]
    assert "SPF-003" not in (await after(audited, audited.drafts[0])).unmet


async def test_an_mx_with_too_many_hosts() -> None:
    hosts = {(f"m{n}.example.com", "A"): [f"203.0.113.{n}"] for n in range(16)}
    zone = spf("v=spf1 mx -all") | hosts | {(DOMAIN, "MX"): [f"10 m{n}.example.com" for n in range(16)]}
    audited = await audit(zone)
    assert shown(audited) == [("spf-addresses", "careful", "v=spf1 ip4:203.0.113.0/28 -all")]
    assert "SPF-005" not in (await after(audited, audited.drafts[0])).unmet


async def test_hosts_whose_addresses_are_not_known_stay() -> None:
    zone = spf("v=spf1 mx include:big.example -all") | lookups("big", 10) | {
        (DOMAIN, "MX"): ["10 m1.example.com"],
        ("m1.example.com", "A"): "timeout",
        ("m1.example.com", "AAAA"): ["2001:db8::5"],
    }  # fmt: skip
    assert all("ip6:" not in new for _, _, new in shown(await audit(zone)))


async def test_a_service_moves_to_a_subdomain_with_both_its_includes() -> None:
    zone = spf("v=spf1 include:box.example include:a.news.example include:b.news.example -all")
    zone |= lookups("box", 6) | {(DOMAIN, "MX"): ["10 mx.box.example"]}
    zone |= {("a.news.example", "TXT"): ["v=spf1 a:x1.example a:x2.example a:x3.example -all"]}
    zone |= {("b.news.example", "TXT"): ["v=spf1 a:x4.example -all"]}
    zone |= {(f"x{n}.example", "A"): [f"203.0.113.{n}"] for n in range(1, 5)}
    audited = await audit(zone)
    draft = audited.drafts[-1]
    assert [(edit.name, edit.new) for edit in draft.edits] == [
        ("news.example.com", ("v=spf1 include:a.news.example include:b.news.example ~all",)),
        ("example.com", ("v=spf1 include:box.example -all",)),
    ]
    assert (draft.code, draft.care) == ("spf-subdomain", Care.CAREFUL)


async def test_flattening_comes_last_and_says_what_and_when() -> None:
    """The only service that could move is the one that the given address needs."""
    zone = spf("v=spf1 include:big.example a:one.example a:two.example -all") | lookups("big", 9, "ip4:203.0.113.0/25")
    zone |= {(f"{name}.example", "A"): ["203.0.113.200"] for name in ("one", "two")}
    zone |= {(f"{name}.example", "AAAA"): "timeout" for name in ("one", "two")}
    audited = await audit(zone, ips=("203.0.113.9",))
    draft = audited.drafts[-1]
    assert (draft.code, draft.care, draft.values["terms"]) == (
        "spf-flatten", Care.LAST_RESORT, ("include:big.example",),
    )  # fmt: skip
    assert "include:big.example" not in draft.edits[0].new[0]
    assert draft.values["ranges"] == draft.edits[0].new[0].count("ip4:")
    assert "SPF-003" not in (await after(audited, draft)).unmet


async def test_services_that_no_given_address_needs_go_before_anything_is_moved() -> None:
    zone = spf("v=spf1 include:big.example include:other.example -all") | lookups("big", 7) | lookups("other", 5)
    audited = await audit(zone, ips=(f"198.51.{hash_of('big')}.1",))
    assert shown(audited) == [("spf-drop-unmatched", "careful", "v=spf1 include:big.example -all")]


async def test_near_the_limit_only_what_is_spare_goes() -> None:
    zone = spf("v=spf1 a ip4:192.0.2.80 include:big.example -all") | lookups("big", 8)
    assert shown(await audit(zone)) == [("spf-drop-spare", "safe", "v=spf1 ip4:192.0.2.80 include:big.example -all")]
    zone = spf("v=spf1 a include:big.example -all") | lookups("big", 8)
    assert shown(await audit(zone)) == []


# -- services that are known ------------------------------------------------------------------------------------------


async def test_a_first_record_includes_the_service_that_takes_the_mail() -> None:
    hosted: Zone = {(DOMAIN, "MX"): ["1 aspmx.l.google.com"]}
    google: Value = ({"id": "google-workspace", "receives": True},)
    assert shown(await audit(hosted, senders__services=google)) == [
        ("spf-publish", "careful", "v=spf1 include:_spf.google.com ~all")
    ]
    unsure: Value = ({"id": "zoho", "receives": True}, {"id": "no-such", "receives": True})
    assert shown(await audit(hosted, senders__services=unsure)) == [], "which of its hosts, only Zoho can say"


async def test_a_message_from_a_known_service_gets_its_include() -> None:
    known: dict[str, Value] = {
        "senders__message_service": "zendesk",
        "senders__message_service_name": "Zendesk",
        "envelope__ip_source": "received",
    }
    audited = await audit(spf("v=spf1 a ~all"), ips=("198.51.100.7",), **known)
    assert shown(audited) == [("spf-add-service", "careful", "v=spf1 a include:mail.zendesk.com ~all")]
    assert audited.drafts[0].values["service"] == "Zendesk"
    listed = await audit(spf("v=spf1 a +include:MAIL.zendesk.com ~all"), ips=("198.51.100.7",), **known)
    assert "spf-add-service" not in {each.code for each in listed.drafts}
    at_return_path = await audit(
        spf("v=spf1 a ~all"), ips=("198.51.100.7",), **known | {"senders__message_service": "amazon-ses"}
    )
    assert [each.code for each in at_return_path.drafts] == ["spf-add-sender"]


async def test_a_service_that_spf_need_not_list_goes_first() -> None:
    zone = spf("v=spf1 a include:big.example include:spare.example include:kept.example -all")
    zone |= lookups("big", 8) | lookups("spare", 1, "ip4:203.0.113.1") | lookups("kept", 1, "ip4:203.0.113.2")
    services: Value = tuple(
        {"id": name, "include_needed": needed, "spf_terms": (f"include:{name}.example",)}
        for name, needed in (("spare", False), ("kept", None), ("big", True))
    )
    assert shown(await audit(zone, senders__services=services)) == [
        ("spf-drop-unneeded", "careful", "v=spf1 a include:big.example include:kept.example -all")
    ]
    in_use = await audit(zone, ips=("203.0.113.1", "203.0.113.2", "192.0.2.80"), senders__services=services)
    assert all(each.code != "spf-drop-unneeded" for each in in_use.drafts)


# -- size -------------------------------------------------------------------------------------------------------------


async def test_ranges_are_merged_where_that_brings_the_answer_below_the_limit() -> None:
    ranges = " ".join(f"ip4:198.51.100.{n}" for n in range(64))
    short = await audit(spf(f"v=spf1 ip4:192.0.2.1 {ranges} a -all"))
    assert "spf-shorten" not in {each.code for each in short.drafts}, "1,232 octets reach every receiver in one packet"
    ranges = " ".join(f"ip4:198.51.100.{n}" for n in range(128))
    audited = await audit(spf(f"v=spf1 ip4:192.0.2.1 {ranges} a -all"))
    assert shown(audited)[0] == ("spf-shorten", "safe", "v=spf1 ip4:192.0.2.1 ip4:198.51.100.0/25 a -all")


async def test_ranges_stay_where_the_record_stays_too_long_or_a_term_denies() -> None:
    apart = " ".join(f"ip4:198.51.{n}.0/24" for n in range(0, 160, 2))
    assert shown(await audit(spf(f"v=spf1 {apart} ip4:192.0.2.0/25 ip4:192.0.2.128/25 -all"))) == []
    ranges = " ".join(f"ip4:198.51.100.{n}" for n in range(128))
    assert shown(await audit(spf(f"v=spf1 -ip4:198.51.100.3 {ranges} -all"))) == []


async def test_a_string_that_is_too_long_is_published_in_shorter_ones() -> None:
    text = "v=spf1 " + " ".join(f"ip4:198.51.{n}.1" for n in range(0, 40, 2)) + " -all"
    facts = (await audit(spf(text))).facts
    (identity,) = records_of(facts.value("spf.identities"))
    one_string = ({**identity, "longest_string_octets": 300},)
    longer = FactSet(
        facts.facts | {"spf.identities": Fact("spf.identities", value_of("spf.identities", one_string))}, {}
    )
    findings = judge(longer, rules(), catalogue(), Selection())
    found = drafts(Situation(longer, findings, shipped().services))
    assert [(each.code, each.edits[0].new) for each in found] == [("spf-split", (text,))]


# -- hostile and odd input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", ["v=spf1 " + "a " * 30_000, "v=spf1 \x00 -all", "v=spf1 \u3042 a -all"])
async def test_hostile_records_get_no_draft_that_cannot_be_published(record: str) -> None:
    for draft in (await audit(spf(record))).drafts:
        assert draft.edits[0].new[0].isascii()


async def test_a_tree_far_too_big_is_left_alone() -> None:
    names = [f"i{n}.example" for n in range(60)]
    zone = spf(" ".join(["v=spf1", *(f"include:{name}" for name in names), "-all"]))
    for n, name in enumerate(names):
        ranges = " ".join(f"ip4:10.{m // 250}.{m % 250}.{n}" for m in range(490))
        zone[name, "TXT"] = [f"v=spf1 {ranges} -all"]
    assert shown(await audit(zone)) == []


TERMS = st.sampled_from(
    ["a", "mx", "ptr", "-all", "~all", "?all", "+all", "all", "include:one.example", "include:none.example", "a:gone.x",
     "include:example.com", "redirect=one.example", "ip4:192.0.2.0/24", "ip4:192.0.2.1", "ipv4:192.0.2.9", "foo:bar",
     "v=spf1", "ip4=1.2.3.4", "include:", "one.example", "-ip4:192.0.2.7", "ip6:2001:db8::/32", "exists:%{i}.x.example",
     "include:two.example", ",", "a:198.51.100.1", "~", "exp=x.example", "IP4:10.0.0.0/7", "“a”", "include:bad.example"]
)  # fmt: skip


@given(st.lists(st.lists(TERMS, max_size=9), min_size=1, max_size=2), st.booleans())
@examples(150)
async def test_whatever_the_record_drafts_can_be_read_and_keep_who_sends(records: list[list[str]], ip: bool) -> None:
    zone = spf(
        *(" ".join(["v=spf1", *words]) for words in records),
        one="v=spf1 ip4:203.0.113.1 include:two.example -all",
        two="v=spf1 a:host.example -all",
        bad="v=spf1 ip4:1 -all",
    ) | {("host.example", "A"): ["203.0.113.77"], (DOMAIN, "MX"): ["10 host.example"]}
    await check(await audit(zone, ips=("192.0.2.200",) if ip else ()))


@given(st.text(max_size=60))
@examples(300)
def test_repair_never_raises_and_is_stable(text: str) -> None:
    for value in (text, f"v=spf1 {text}"):
        repaired = repair(value)
        if repaired is not None:
            again = repair(" ".join((repaired.version, *repaired.words)))
            assert again is not None
            assert repaired.unreadable or (again.words, again.fixed) == (repaired.words, ())


# -- over all real records --------------------------------------------------------------------------------------------


async def check(audited: Audited) -> int:
    """What holds for every draft. Gives their number."""
    old_tree, old = await audited.measured()
    codes: set[str] = set()
    seen: set[tuple[tuple[str, tuple[str, ...]], ...]] = set()
    for draft in audited.drafts:
        codes.add(draft.code)
        assert draft.rule in audited.unmet
        assert (draft.mends, draft.changes, draft.gains) == ((), (), ())
        published = tuple((edit.name, edit.new) for edit in draft.edits)
        assert published not in seen, "two drafts of the same records"
        seen.add(published)
        for edit in draft.edits:
            assert len(edit.new) == 1
            assert select(edit.new) == edit.new
            assert not parse(edit.new[0]).errors, edit.new
        again = await after(audited, draft)
        new_tree, new = await again.measured()
        text = f"{draft.code}: {draft.edits[-1].old} -> {draft.edits[-1].new}"
        if not (codes & ADDS_SENDERS or "SPF-011" in audited.unmet):  # a corrected term may cost what it should
            assert new_tree.root.lookups <= old_tree.root.lookups or not old_tree.root.record, text
        if not codes & TAKES_SENDERS and len(old_tree.root.records) == 1:
            assert covers(new, old), text
        same = [each for each in again.drafts if (each.rule, each.code) == (draft.rule, draft.code)]
        assert not same, f"{text} -> {same[0].edits[-1].new}"
    return len(audited.drafts)


def covers(new: Coverage, old: Coverage) -> bool:
    """Every address that passed before passes now."""
    from deliverability.core.protocols.spf.coverage import _all_within, _span

    before = [_span(each) for _, each in old.ranges if each.prefixlen]
    return _all_within(before, [_span(each) for _, each in new.ranges])


@pytest.mark.long
async def test_every_draft_over_the_zones() -> None:
    resolver = ZoneResolver.load([corpus("zones")])
    count = 0
    for name in resolver.origins:
        count += await check(await audit(resolver, domain=name))
    assert count > 20


class Table:
    """Answers TXT from the tables of real records; everything else of known names has no answer."""

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        zone: Zone = {(name, "TXT"): list(values) for name, values in texts.items()}
        self._inner = StaticResolver(zone)

    async def query(self, name: str, rdtype: str) -> Answer:
        return await self._inner.query(name, rdtype)

    async def close(self) -> None:
        """Nothing is open."""


def table() -> tuple[Resolver, list[str]]:
    texts: dict[str, list[str]] = {}
    for file, column in (("spf-includes.tsv", 1), ("spf.tsv", 2), ("spf-dmarc-moj.tsv", 2)):
        for line in corpus("dns-records", file).read_text("utf-8", "replace").splitlines()[1:]:
            fields = line.split("\t")
            if len(fields) > column and fields[column]:
                texts[fields[0]] = fields[column].split(" || ")
    return Table(texts), list(texts)


async def drafted(resolver: Resolver, names: Sequence[str]) -> AsyncIterator[Audited]:
    for name in names:
        audited = await audit(resolver, domain=name)
        if audited.drafts:
            yield audited


@pytest.mark.long
@pytest.mark.skipif(corpus_root() is None, reason=NO_CORPUS)
@some_or_every(8, "name")
async def test_every_draft_over_the_tables(apart: int) -> None:
    """Of the 4,300 names every third: a and mx find nothing there, so that most records have something to mend."""
    resolver, names = table()
    count = 0
    async for audited in drafted(resolver, some(names[::3], apart)):
        count += await check(audited)
    assert count > 500 / apart


# -- words ------------------------------------------------------------------------------------------------------------


def test_every_code_has_words_in_both_languages() -> None:
    import re
    from pathlib import Path

    import deliverability.engine.remedies as package

    modules = Path(package.__path__[0]).glob("spf*.py")
    codes = {code for each in modules for code in re.findall(r'"(spf-[a-z-]+)"', each.read_text("utf-8"))}
    assert len(codes) > 25
    for lang in ("en", "ja"):
        say = phrases(lang)
        written = {key.split(".")[1] for key in say.texts if key.startswith("remedies.spf-")}
        assert written == codes
        assert all(f"remedies.{code}.title" in say for code in codes)
        assert all(f"remedies.{code}.note" in say or f"remedies.{code}.condition" in say for code in codes)
