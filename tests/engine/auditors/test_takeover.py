"""Takeover: which name that mail rests on anybody could register, and what is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.facts.base import FactSet, Reason, Unknown, Value, records_of, texts_of
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import Message, read
from deliverability.core.model.report import Outcome
from deliverability.core.net.base import Answer
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.base import auditors, catalogue, gather
from deliverability.engine.rules import load_rules
from tests.sampled import sampled

pytestmark = pytest.mark.long

Zone = dict[tuple[str, str], Any]
RULES = ("SEC-001", "SEC-002", "SEC-003", "SEC-004", "SEC-005", "SEC-006", "SEC-007", "SEC-008")

WORLD: Zone = {
    **{(name, "NS"): [f"ns.{name}"] for name in ("com", "net", "org", "dk", "co.uk", "uk", "azurewebsites.net")},
    **{(name, "NS"): [f"ns.{name}"] for name in ("acme.dk", "vendor.com", "cloudapp.net", "azure.com", "uk.com")},
    ("windows.net", "NS"): ["ns.windows.net"],
    ("acme.dk", "SOA"): ["ns.acme.dk. h.acme.dk. 1 1 1 1 1"],
    ("acme.dk", "MX"): ["10 mx.acme.dk"],
    ("mx.acme.dk", "A"): ["62.1.2.3"],
    ("acme.dk", "TXT"): ["v=spf1 ip4:62.1.2.3 -all"],
    ("_dmarc.acme.dk", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@acme.dk"],
}
"""A sender in good order below registries that answer."""


async def facts_of(changed: Mapping[tuple[str, str], Any], message: Message | None = None) -> FactSet:
    zone = {key: value for key, value in {**WORLD, **changed}.items() if value is not None}
    ports = Ports(StaticResolver(zone), FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
    return (await gather(auditors(), Subject("acme.dk"), ports, message)).facts


def names(facts: FactSet) -> list[Mapping[str, Value]]:
    return list(records_of(facts.value("takeover.names")))


def unmet(facts: FactSet) -> list[str]:
    found = judge(facts, load_rules(), catalogue(), Selection(select=RULES))
    return [each.rule for each in found if each.outcome is Outcome.UNMET]


def spf(terms: str) -> Zone:
    return {("acme.dk", "TXT"): [f"v=spf1 {terms} -all"]}


def alias(name: str, target: str, rdtype: str = "TXT") -> Zone:
    return {(name, "CNAME"): [target]}


DEAD = [
    (spf("include:spf.dead.com"), "SEC-001", "spf", "dead.com"),
    (spf("a:dead.com"), "SEC-001", "spf", "dead.com"),
    (spf("mx:mail.dead.com"), "SEC-001", "spf", "dead.com"),
    (spf("exists:spf.dead.com"), "SEC-001", "spf", "dead.com"),
    (spf("exists:%{i}._spf.dead.com"), "SEC-001", "spf", "dead.com"),
    (spf("include:%{d}.spf.dead.com"), "SEC-001", "spf", "dead.com"),
    (spf("mx:vendor.com") | {("vendor.com", "MX"): ["10 mx.dead.com"]}, "SEC-001", "spf", "dead.com"),
    ({("acme.dk", "TXT"): ["v=spf1 redirect=_spf.dead.com"]}, "SEC-001", "spf", "dead.com"),
    (
        spf("include:vendor.com") | {("vendor.com", "TXT"): ["v=spf1 include:spf.dead.co.uk -all"]},
        "SEC-001",
        "spf",
        "dead.co.uk",
    ),
    (spf("include:spf.acme.dk") | alias("spf.acme.dk", "x.dead.com"), "SEC-001", "spf", "dead.com"),
    # A registry below somebody else's domain.
    (spf("include:spf.dead.uk.com"), "SEC-008", "spf", "dead.uk.com"),
    (alias("default._domainkey.acme.dk", "acme.dkim.dead.com"), "SEC-002", "dkim", "dead.com"),
    ({("acme.dk", "MX"): ["10 mx.acme.dk", "20 mx.dead.net"]}, "SEC-003", "mx", "dead.net"),
    (alias("mx.acme.dk", "mail.dead.net") | {("mx.acme.dk", "A"): None}, "SEC-003", "mx", "dead.net"),
    (alias("_dmarc.acme.dk", "x.dead.org") | {("_dmarc.acme.dk", "TXT"): None}, "SEC-005", "dmarc-policy", "dead.org"),
    (
        {("_dmarc.acme.dk", "TXT"): ["v=DMARC1; p=none; rua=mailto:a@dead.com!10m"]},
        "SEC-006",
        "dmarc-reports",
        "dead.com",
    ),
    (
        {("_dmarc.acme.dk", "TXT"): ["v=DMARC1; p=none; ruf=mailto:a@r.dead.com"]},
        "SEC-006",
        "dmarc-reports",
        "dead.com",
    ),
    (
        {("_smtp._tls.acme.dk", "TXT"): ["v=TLSRPTv1; rua=mailto:t@dead.com"]},
        "SEC-006",
        "tls-reports",
        "dead.com",
    ),
    (
        {("_smtp._tls.acme.dk", "TXT"): ["v=TLSRPTv1; rua=https://tls.dead.com/v1"]},
        "SEC-006",
        "tls-reports",
        "dead.com",
    ),
    (
        {("_mta-sts.acme.dk", "TXT"): ["v=STSv1; id=1"]} | alias("mta-sts.acme.dk", "sts.dead.com"),
        "SEC-007",
        "mta-sts",
        "dead.com",
    ),
    (alias("_mta-sts.acme.dk", "sts.dead.com"), "SEC-007", "mta-sts", "dead.com"),
    (
        {("default._bimi.acme.dk", "TXT"): ["v=BIMI1; l=https://logo.dead.com/l.svg"]},
        "SEC-007",
        "bimi",
        "dead.com",
    ),
    (
        {("_mta-sts.acme.dk", "TXT"): ["v=STSv1; id=1"]} | alias("mta-sts.acme.dk", "acme.azurewebsites.net"),
        "SEC-008",
        "mta-sts",
        "acme.azurewebsites.net",
    ),
    # Name servers of the zones that hold the keys and the policy; where the zone answers, nobody asks.
    ({("_domainkey.acme.dk", "NS"): ["ns.acme.dk", "ns1.dead.com"]}, "SEC-002", "dkim", "dead.com"),
    (
        {("_dmarc.acme.dk", "NS"): ["ns1.dead.org"], ("_dmarc.acme.dk", "TXT"): "servfail"},
        "SEC-005",
        "dmarc-policy",
        "dead.org",
    ),
    # The host that takes the mail of the domain with the address.
    (
        {
            ("_dmarc.acme.dk", "TXT"): ["v=DMARC1; p=none; rua=mailto:a@r.acme.dk"],
            ("r.acme.dk", "MX"): ["10 mx.dead.net"],
        },
        "SEC-006",
        "dmarc-reports",
        "dead.net",
    ),
    # Whoever has the domain gives a name below it to an address of theirs.
    (spf("ptr:dead.com"), "SEC-001", "spf", "dead.com"),
    (alias("default._bimi.acme.dk", "bimi.dead.com"), "SEC-007", "bimi", "dead.com"),
    (
        {("default._bimi.acme.dk", "TXT"): ["v=BIMI1; l=https://acme.blob.core.windows.net/l.svg"]},
        "SEC-008",
        "bimi",
        "acme.blob.core.windows.net",
    ),
    (
        alias("mx.acme.dk", "mx.westeurope.cloudapp.azure.com") | {("mx.acme.dk", "A"): None},
        "SEC-008",
        "mx",
        "mx.westeurope.cloudapp.azure.com",
    ),
]


@pytest.mark.parametrize(("zone", "rule", "use", "domain"), DEAD)
async def test_a_domain_that_nobody_has_is_told(zone: Zone, rule: str, use: str, domain: str) -> None:
    facts = await facts_of(zone)
    (item,) = names(facts)
    assert (item["use"], item["domain"], item["free"]) == (use, domain, True)
    assert unmet(facts) == [rule]


@pytest.mark.parametrize(("zone", "rule", "use", "domain"), DEAD)
@pytest.mark.parametrize("answer", sampled(["servfail", "timeout", "refused"], 3))
async def test_a_failed_lookup_is_never_a_takeover(zone: Zone, rule: str, use: str, domain: str, answer: str) -> None:
    """Neither of the domain itself nor of the zone above it."""
    both = {(domain, "NS"): answer, (domain, "SOA"): answer}
    for lost in (both, {(domain, "SOA"): answer}, {(domain.partition(".")[2], "NS"): answer}):
        facts = await facts_of({**zone, **lost})
        assert unmet(facts) == []
        assert not any(each["free"] is True for each in names(facts))


@pytest.mark.parametrize("answer", ["servfail", "timeout", "refused"])
async def test_name_servers_that_could_not_be_looked_up_are_not_called_none(answer: str) -> None:
    assert names(await facts_of({})) == []
    found = (await facts_of({("_domainkey.acme.dk", "NS"): answer})).value("takeover.names")
    assert isinstance(found, Unknown)


@pytest.mark.parametrize(("zone", "rule", "use", "domain"), DEAD)
async def test_a_domain_that_somebody_has_is_none(zone: Zone, rule: str, use: str, domain: str) -> None:
    for there in ({(domain, "NS"): ["ns.example.net"]}, {(domain, "SOA"): ["a. b. 1 1 1 1 1"]}):
        assert unmet(await facts_of({**zone, **there})) == []


@pytest.mark.parametrize(("zone", "rule", "use", "domain"), DEAD)
async def test_who_denies_the_registry_too_proves_nothing(zone: Zone, rule: str, use: str, domain: str) -> None:
    above = {("azurewebsites.net", "NS"): None, ("azure.com", "NS"): None, ("uk.com", "NS"): None}
    above |= {("windows.net", "NS"): None}
    registries = {(name, "NS"): None for name in ("com", "net", "org", "co.uk", "uk")}
    assert unmet(await facts_of({**zone, **above, **registries})) == []


@pytest.mark.parametrize(
    "zone",
    [
        {},
        # Below no registry, or at one: nobody can register it.
        spf("include:spf.corp.local"),
        spf("include:spf.dead.example"),
        spf("a:co.uk"),
        # No registry gives these out: a typing error is no takeover.
        spf("include:=dead.com include:https://dead.com include:me@dead.com"),
        spf("include:_spf_.com a:-dead.com include:dead-.com exists:dead_.com"),
        {("_dmarc.acme.dk", "TXT"): ["v=DMARC1; p=none; rua=mailto:a@de_ad.com"]},
        # The service makes up a part of these, and gives that to nobody else.
        spf("a:acme.eba-1x2y.eu-west-1.elasticbeanstalk.com a:acme.westeurope-01.azurewebsites.net")
        | {("elasticbeanstalk.com", "NS"): ["ns.elasticbeanstalk.com"]},
        # The owner's own names.
        spf("include:_spf.acme.dk a:old.acme.dk"),
        # Who matches these does not pass.
        spf("-include:spf.dead.com ?a:dead.com ~exists:dead.com"),
        # Never evaluated.
        {("acme.dk", "TXT"): ["v=spf1 ip4:62.1.2.3 -all include:spf.dead.com"]},
        # Names at a service that are not given to anybody who asks.
        spf("a:ec2-1-2-3-4.compute-1.amazonaws.com") | {("amazonaws.com", "NS"): ["ns.amazonaws.com"]},
        # A name that is there and has no such record.
        spf("include:vendor.com"),
        # The customer's policy host is used.
        {
            ("_mta-sts.acme.dk", "TXT"): ["v=STSv1; id=1"],
            ("acme.azurewebsites.net", "A"): ["20.1.2.3"],
            **alias("mta-sts.acme.dk", "acme.azurewebsites.net"),
        },
    ],
)
async def test_what_is_no_takeover(zone: Zone) -> None:
    assert unmet(await facts_of(zone)) == []


async def test_one_domain_is_one_finding_whatever_leads_there() -> None:
    facts = await facts_of(spf("include:a.dead.com include:b.dead.com a:c.dead.com"))
    (item,) = names(facts)
    assert item["names"] == ("a.dead.com", "b.dead.com", "c.dead.com")
    assert item["by"] == ("include:a.dead.com (acme.dk)", "include:b.dead.com (acme.dk)", "a:c.dead.com (acme.dk)")
    assert item["own"] is True


async def test_what_a_vendors_record_rests_on_is_not_the_owners_own() -> None:
    vendor: Zone = {("vendor.com", "TXT"): ["v=spf1 a:mail.dead.com -all"]}
    (item,) = names(await facts_of(spf("include:vendor.com") | vendor))
    assert (item["own"], item["by"]) == (False, ("a:mail.dead.com (vendor.com)",))


async def test_the_return_path_of_a_message() -> None:
    message = read(b"Return-Path: <b@bounce.acme.dk>\r\nFrom: a@acme.dk\r\n\r\nhi\r\n")
    facts = await facts_of(alias("bounce.acme.dk", "b.dead.com"), message)
    assert [(each["use"], each["domain"]) for each in names(facts)] == [("return-path", "dead.com")]
    assert unmet(facts) == ["SEC-004"]


ZONES = {
    "acme.dk": """$ORIGIN acme.dk.
@ 3600 IN SOA ns h 1 1 1 1 1
@ 3600 IN NS ns.example.net.
@ 3600 IN TXT "v=spf1 include:spf.dead.com -all"
*._domainkey 3600 IN CNAME acme.dkim.dead.com.
""",
    "com": """$ORIGIN com.
@ 3600 IN SOA ns h 1 1 1 1 1
@ 3600 IN NS ns.example.net.
""",
}


async def test_zone_files_say_it_where_they_hold_the_registry() -> None:
    """Of a wildcard one name is enough; without the zone of the registry nobody can say, and that is said."""
    files = [(name, text.encode()) for name, text in ZONES.items()]
    for given, free in ((files, [True, True]), (files[:1], [Reason.OFFLINE])):
        ports = Ports(ZoneResolver(given), FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
        facts = (await gather(auditors(), Subject("acme.dk"), ports, None)).facts
        found = [each["free"] for each in names(facts)]
        assert [each.reason if isinstance(each, Unknown) else each for each in found] == free
        assert {each["use"] for each in names(facts)} == {"spf", "dkim"} if len(given) > 1 else {"spf"}
        assert [len(texts_of(each["by"])) for each in names(facts)] == [1] * len(free)
        assert unmet(facts) == (["SEC-001", "SEC-002"] if len(given) > 1 else [])


async def test_what_could_not_be_looked_up_leaves_its_own_domain_open() -> None:
    facts = await facts_of(spf("include:spf.lost.com a:gone.dead.com") | {("spf.lost.com", "TXT"): "servfail"})
    assert [(each["domain"], each["free"] is True) for each in names(facts)] == [
        ("lost.com", False),
        ("dead.com", True),
    ]
    found = judge(facts, load_rules(), catalogue(), Selection(select=("SEC-001",)))
    assert [each.outcome for each in found] == [Outcome.UNKNOWN, Outcome.UNMET]


class _Counting:
    """Counts each question once, as a resolver with a cache asks it."""

    def __init__(self, below: StaticResolver) -> None:
        self.below, self.asked = below, set[tuple[str, str]]()

    async def query(self, name: str, rdtype: str) -> Answer:
        self.asked.add((name, rdtype))
        return await self.below.query(name, rdtype)

    async def close(self) -> None:
        return None


MODEST: Zone = spf("include:vendor.com a mx:vendor.com") | {
    ("vendor.com", "TXT"): ["v=spf1 ip4:62.1.2.0/24 -all"],
    ("vendor.com", "MX"): ["10 mx.vendor.com"],
    ("mx.vendor.com", "A"): ["62.1.2.9"],
    ("acme.dk", "A"): ["62.1.2.3"],
    ("default._domainkey.acme.dk", "CNAME"): ["acme.dkim.vendor.com"],
    ("acme.dkim.vendor.com", "TXT"): ["v=DKIM1; p="],
    ("_dmarc.acme.dk", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@reports.net; ruf=mailto:d@reports.net"],
    ("reports.net", "MX"): ["10 mx.reports.net"],
}
FULL: Zone = MODEST | {
    ("_smtp._tls.acme.dk", "TXT"): ["v=TLSRPTv1; rua=mailto:t@reports.net"],
    ("_mta-sts.acme.dk", "TXT"): ["v=STSv1; id=1"],
    ("mta-sts.acme.dk", "CNAME"): ["sts.vendor.com"],
    ("sts.vendor.com", "A"): ["62.1.2.10"],
    ("default._bimi.acme.dk", "TXT"): ["v=BIMI1; l=https://logos.org/l.svg; a=https://logos.org/c.pem"],
    ("logos.org", "NS"): ["ns.logos.org"],
}


@pytest.mark.parametrize(("zone", "most"), [({}, 0), (MODEST, 0), (FULL, 2)])
async def test_a_healthy_domain_costs_two_questions_more_at_most(zone: Zone, most: int) -> None:
    """The host of MTA-STS and the domain of the BIMI logo; a name that does not exist has no name servers."""
    asked = []
    for without in (("takeover",), ()):
        resolver = _Counting(StaticResolver({**WORLD, **zone}))
        ports = Ports(resolver, FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
        chosen = [each for each in auditors() if each.name not in without]
        await gather(chosen, Subject("acme.dk"), ports, None)
        asked.append(resolver.asked)
    # The host of MTA-STS is asked for by the auditor of transport as well.
    more = asked[1] - (asked[0] - {("mta-sts.acme.dk", "A"), ("mta-sts.acme.dk", "AAAA")})
    assert len(more) == most, more
