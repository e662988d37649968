"""MX hosts: whether mail can be sent to the addresses that they have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, Value, records_of
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Outcome
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.auditors import domain, mx
from deliverability.engine.base import Context, catalogue
from deliverability.engine.rules import load_rules

pytestmark = pytest.mark.long

Zone = Mapping[tuple[str, str], Any]
NOWHERE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.0.0.0"),
    *("240.0.0.1", "224.0.0.1", "255.255.255.255"),
    *("::1", "fc00::1", "fd12::1", "fe80::1", "::ffff:10.0.0.1", "ff02::1"),
]


async def audit(zone: Zone, name: str = "acme.dk") -> FactSet:
    """The facts of both auditors about a domain without a message."""
    known = {path: Fact(path, Unknown(Reason.NO_MESSAGE)) for path in (*domain.audit.needs, *mx.audit.needs)}
    ports = Ports(StaticResolver(dict(zone)), FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
    facts: dict[str, Fact] = {}
    for module in (domain, mx):
        context = Context(Subject(name), ports, None, known)
        await module.audit.run(context)
        facts |= context.stated
    return FactSet(facts, {})


def host(*addresses: str, name: str = "mx.acme.dk") -> dict[tuple[str, str], Any]:
    four = [each for each in addresses if ":" not in each]
    six = [each for each in addresses if ":" in each]
    return {(name, kind): values for kind, values in (("A", four), ("AAAA", six)) if values}


def verdict(facts: FactSet, rule: str = "NET-009") -> list[Outcome]:
    beside: dict[str, Value] = {"subject.parked": False, "identity.sends_nothing": False}
    whole = FactSet(dict(facts.facts) | {path: Fact(path, value) for path, value in beside.items()}, {})
    return [each.outcome for each in judge(whole, load_rules(), catalogue(), Selection(select=(rule,)))]


def accepts(facts: FactSet) -> Value:
    assert facts.value("domain.author_accepts_mail") == facts.value("domain.accepts_mail")
    return facts.value("domain.accepts_mail")


@pytest.mark.parametrize("address", NOWHERE)
async def test_mail_cannot_be_sent_to_such_an_address(address: str) -> None:
    facts = await audit({("acme.dk", "MX"): ["10 mx.acme.dk"]} | host(address))
    (item,) = records_of(facts.value("mx.hosts"))
    assert (item["unreachable"], item["public"], item["has_address"]) == ((address,), False, True)
    assert accepts(facts) is False
    assert facts.value("domain.author_names_server") is True
    assert verdict(facts) == [Outcome.UNMET]
    assert verdict(facts, "NET-018") == [Outcome.UNMET]


@pytest.mark.parametrize("address", NOWHERE)
async def test_one_among_good_ones_is_told_and_mail_still_arrives(address: str) -> None:
    facts = await audit({("acme.dk", "MX"): ["10 mx.acme.dk"]} | host("62.1.2.3", address))
    (item,) = records_of(facts.value("mx.hosts"))
    assert (item["unreachable"], item["public"]) == ((address,), True)
    assert accepts(facts) is True
    assert verdict(facts) == [Outcome.UNMET]
    assert verdict(facts, "NET-018") == [Outcome.MET]


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"])
async def test_an_address_for_documentation_is_told_and_costs_no_grade(address: str) -> None:
    facts = await audit({("acme.dk", "MX"): ["10 mx.acme.dk"]} | host(address))
    (item,) = records_of(facts.value("mx.hosts"))
    assert (item["unreachable"], item["public"], accepts(facts)) == ((address,), True, True)
    assert verdict(facts) == [Outcome.UNMET]
    assert verdict(facts, "NET-018") == [Outcome.MET]


async def test_a_host_among_good_ones() -> None:
    zone = {("acme.dk", "MX"): ["10 mx.acme.dk", "20 old.acme.dk"]} | host("62.1.2.3")
    facts = await audit(zone | host("127.0.0.1", name="old.acme.dk"))
    assert accepts(facts) is True
    assert verdict(facts) == [Outcome.MET, Outcome.UNMET]


@pytest.mark.parametrize(
    ("zone", "takes"),
    [
        # An address in the place of a name, a name without an address, a null MX, none of anything.
        ({("acme.dk", "MX"): ["10 62.1.2.3"]}, False),
        ({("acme.dk", "MX"): ["10 mx.acme.dk"]}, False),
        ({("acme.dk", "MX"): ["0 ."]}, False),
        ({}, False),
        # Without any MX mail goes to the domain's own address.
        ({("acme.dk", "A"): ["62.1.2.3"]}, True),
        ({("acme.dk", "AAAA"): ["2a00:1::1"]}, True),
        ({("acme.dk", "A"): ["127.0.0.1"]}, False),
        # A null MX beside a host: the host is tried.
        ({("acme.dk", "MX"): ["0 .", "10 mx.acme.dk"]} | host("62.1.2.3"), True),
        ({("acme.dk", "MX"): ["10 mx.acme.dk"], ("acme.dk", "A"): ["62.1.2.3"]}, False),
    ],
)
async def test_where_mail_goes(zone: Zone, takes: bool) -> None:
    assert accepts(await audit(zone)) is takes


async def test_a_look_up_that_failed_is_neither_yes_nor_no() -> None:
    zone = {("acme.dk", "MX"): ["10 mx.acme.dk"], ("mx.acme.dk", "A"): "timeout"}
    assert isinstance(accepts(await audit(zone)), Unknown)
    # One that answers is enough.
    assert accepts(await audit(zone | {("mx.acme.dk", "AAAA"): ["2a00:1::1"]})) is True


@pytest.mark.parametrize("name", ["acme.example", "example.com", "example.co.jp", "mail.example.org", "acme.test"])
async def test_in_the_audit_of_an_example_addresses_for_documentation_are_real(name: str) -> None:
    facts = await audit({(name, "MX"): ["10 mx.provider.dk"]} | host("192.0.2.1", name="mx.provider.dk"), name)
    assert accepts(facts) is True
    assert verdict(facts) == [Outcome.MET]
