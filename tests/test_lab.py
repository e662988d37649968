"""The laboratory of domains that benchmarks audit, and the name server that answers for it."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache, partial
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from benchmarks.lab import GONE_VENDORS, Kind, Lab, Truth, write
from benchmarks.nameserver import serving, wire_reply
from deliverability.core.facts.base import FactSet, Unknown, records_of
from deliverability.core.inputs import Subject
from deliverability.core.net.base import Failed, Found
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.names import labels_of
from deliverability.core.net.ports import Ports
from deliverability.core.net.servers import parse_server
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.wire import query, reply
from deliverability.engine.audit import gather_facts
from deliverability.engine.rules import load_rules
from tests.dnsserver import DnsServer
from tests.sampled import some, some_or_every

pytestmark = pytest.mark.long

LAB = Lab(2000, seed=5)


@cache
def truths() -> tuple[Truth, ...]:
    """Of all domains: each is made once."""
    return tuple(map(LAB.truth, range(LAB.domains)))


def of_kind(kind: Kind, count: int = 3) -> list[int]:
    return [number for number, truth in enumerate(truths()) if truth.kind is kind][:count]


async def facts_of(number: int) -> FactSet:
    return (await gather_facts(Subject(LAB.name(number)), Ports(LAB))).facts


def test_the_same_seed_makes_the_same_domains_however_many_and_whatever_was_asked_before():
    more = Lab(5000, seed=5)
    for number in (1999, 0, 700):
        assert (more.truth(number), more.zone(number)) == (LAB.truth(number), LAB.zone(number))
    assert [Lab(2000, seed=6).truth(number) for number in range(5)] != [*truths()[:5]]


def test_domains_have_about_19_records_and_every_kind_occurs():
    sound = [each.records for each in truths() if each.kind is Kind.HEALTHY]
    assert 18 <= sum(sound) / len(sound) <= 20
    kinds = Counter(each.kind for each in truths())
    assert all(kinds[kind] >= 20 for kind in Kind)
    assert 0.1 <= kinds[Kind.LOOKUPS] / LAB.domains <= 0.14
    # Several domains share a vendor that breaks them, or no cause could be told.
    assert min(Counter(each.cause for each in truths() if each.kind is Kind.DANGLING).values()) > 1
    assert len({each.cause for each in truths() if each.kind is Kind.DANGLING}) == GONE_VENDORS


@some_or_every(4, "domain")
async def test_the_audit_finds_of_spf_dmarc_and_dkim_what_is_so(apart):
    selectors = set(load_rules().knowledge.selectors)
    for kind in set(Kind) - {Kind.SILENT, Kind.SERVFAIL}:
        for number in some(of_kind(kind), apart):
            truth, facts = truths()[number], await facts_of(number)
            assert facts.value("spf.lookups") == truth.lookups, truth
            assert facts.value("dmarc.stage") == truth.dmarc, truth
            assert bool(facts.value("tls_rpt.present")) == truth.tls_rpt, truth
            keys = {(str(each["selector"]), each["bits"]) for each in records_of(facts.value("dkim.keys"))}
            assert keys == {(key.selector, key.bits) for key in truth.keys if key.selector in selectors}, truth


@some_or_every(4, "domain")
async def test_each_broken_domain_is_broken_in_its_one_way(apart):
    expected = {
        Kind.HEALTHY: lambda facts, cause: facts.value("spf.valid") is True,
        Kind.PARKED: lambda facts, cause: facts.value("spf.sends_nothing") is True,
        Kind.LOOKUPS: lambda facts, cause: facts.value("spf.lookups") > 10 and _too_many_by(facts, cause),
        Kind.VOID: lambda facts, cause: facts.value("spf.void_lookups") == 3,
        Kind.SYNTAX: lambda facts, cause: len(facts.value("spf.syntax_errors")) == 1,
        Kind.MULTIPLE: lambda facts, cause: facts.value("spf.record_count") == 2,
        Kind.DANGLING: lambda facts, cause: facts.value("spf.broken_includes") == (cause,),
        Kind.NO_SPF: lambda facts, cause: facts.value("spf.present") is False,
    }
    for kind, holds in expected.items():
        for number in some(of_kind(kind), apart):
            assert holds(await facts_of(number), truths()[number].cause), truths()[number]


def _too_many_by(facts: FactSet, vendor: str) -> bool:
    costs = {each["target"]: each["lookups"] for each in records_of(facts.value("spf.include_costs"))}
    return facts.value("spf.lookups") - costs[vendor] <= 10


async def test_silent_and_failing_domains_are_unknown_never_absent():
    for kind, reason in ((Kind.SILENT, "timeout"), (Kind.SERVFAIL, "servfail")):
        value = (await facts_of(of_kind(kind)[0])).value("spf.present")
        assert isinstance(value, Unknown)
        assert value.reason.value == reason


async def test_names_of_mail_hosts_and_of_services_lead_back_to_their_domain():
    for number in range(300):
        for (name, rdtype), values in LAB.zone(number).items():
            answer = await LAB.query(name, rdtype)
            assert isinstance(answer, Found)
            assert answer.values == values


def test_the_truth_is_written_beside_the_list(tmp_path: Path):
    write(Lab(20, seed=5), tmp_path)
    rows = (tmp_path / "domains.csv").read_text().splitlines()
    truths = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert rows[0] == "domain,customer,tier"
    assert [row.split(",")[0] for row in rows[1:]] == [each["domain"] for each in truths]
    assert truths[3]["kind"] == LAB.truth(3).kind


# --- the name server -----------------------------------------------------------------------------------------------

ODD = StaticResolver(
    {
        ("example.com", "SOA"): ["ns1.example.com admin.example.com 1 2 3 4 5"],
        ("example.com", "MX"): ["10 mx.example.com"],
        ("example.com", "AAAA"): ["2001:db8::1"],
        ("example.com", "TLSA"): ["3 1 1 " + "ab" * 32],
        ("long.example.com", "TXT"): [tuple("x" * 250 for _ in range(9))],
        ("alias.example.com", "CNAME"): ["other.example.com"],
        ("other.example.com", "CNAME"): ["example.com"],
        ("failing.example.com", "A"): "servfail",
        ("refusing.example.com", "A"): "refused",
    }
)
ASKED = (
    *(("example.com", rdtype) for rdtype in ("SOA", "MX", "AAAA", "TLSA", "TXT")),
    *(("alias.example.com", "MX"), ("alias.example.com", "TXT"), ("gone.example.com", "A")),
    *(("failing.example.com", "A"), ("refusing.example.com", "A"), ("long.example.com", "TXT")),
)


@pytest.mark.parametrize(("name", "rdtype"), ASKED)
async def test_replies_say_what_the_other_test_server_says(name: str, rdtype: str):
    labels = labels_of(name)
    assert labels is not None
    asked = query(labels, rdtype, edns=True)
    (theirs,) = await DnsServer(ODD)._replies(asked.wire, "udp")
    ours = reply(wire_reply(asked.wire, ODD), asked)
    other = reply(theirs, asked)
    assert ours is not None
    assert other is not None
    assert (ours.rcode, ours.truncated, ours.answers) == (other.rcode, other.truncated, other.answers)


@pytest.mark.parametrize("processes", [1, 2])
async def test_it_answers_over_udp_and_tcp_and_says_what_it_did(processes: int):
    number = of_kind(Kind.HEALTHY)[0]
    with serving(partial(Lab, 2000, 5), delay=0.001, processes=processes) as server:
        resolver = LiveResolver([parse_server(server.resolver)], timeout=60.0)
        for (name, rdtype), values in LAB.zone(number).items():
            answer = await resolver.query(name, rdtype)
            assert isinstance(answer, Found)
            assert sorted(answer.values) == sorted(values)  # the server rotates a record set
        await resolver.close()
        asked = dns.message.make_query(LAB.name(number), "TXT")
        assert dns.query.tcp(asked, "127.0.0.1", port=server.port, timeout=600).answer
        failing = dns.message.make_query(LAB.name(of_kind(Kind.SERVFAIL)[0]), "TXT")
        assert dns.query.udp(failing, "127.0.0.1", port=server.port, timeout=600).rcode() == dns.rcode.SERVFAIL
        load = server.load()
    assert load.questions >= len(LAB.zone(number)) + 2
    assert load.seconds > 0


async def test_a_silent_domain_gets_no_reply():
    labels = labels_of(LAB.name(of_kind(Kind.SILENT)[0]))
    assert labels is not None
    assert wire_reply(query(labels, "TXT", edns=True).wire, LAB) == b""
    assert isinstance(LAB.answer(LAB.name(of_kind(Kind.SILENT)[0]), "A"), Failed)
