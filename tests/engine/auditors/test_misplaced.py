"""Records at wrong names: told with name and record, for three questions at most, and none where all is there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.facts.base import FactSet, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Outcome
from deliverability.core.net.base import Answer
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.base import auditors, catalogue, gather
from deliverability.engine.rules import load_rules

RULES = ("DMARC-028", "SPF-034", "DKIM-034")
Zone = dict[tuple[str, str], Any]

KEY = "v=DKIM1; k=rsa; p=MIGf"
DMARC, SPF = "v=DMARC1; p=reject", "v=spf1 ip4:62.1.2.3 -all"
SENDER: Zone = {
    ("acme.dk", "MX"): ["10 mx.acme.dk"],
    ("mx.acme.dk", "A"): ["62.1.2.3"],
    ("acme.dk", "TXT"): [SPF],
    ("_dmarc.acme.dk", "TXT"): [DMARC],
}


class _Counting:
    def __init__(self, zone: Zone) -> None:
        self.below, self.asked = StaticResolver(zone), set[tuple[str, str]]()

    async def query(self, name: str, rdtype: str) -> Answer:
        self.asked.add((name, rdtype))
        return await self.below.query(name, rdtype)

    async def close(self) -> None:
        return None


async def asked_and_facts(zone: Zone, *, without: str = "") -> tuple[set[tuple[str, str]], FactSet]:
    resolver = _Counting(zone)
    ports = Ports(resolver, FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
    chosen = [each for each in auditors() if each.name != without]
    return resolver.asked, (await gather(chosen, Subject("acme.dk"), ports, None)).facts


def unmet(facts: FactSet) -> list[str]:
    found = judge(facts, load_rules(), catalogue(), Selection(select=RULES))
    return [each.rule for each in found if each.outcome is Outcome.UNMET]


@pytest.mark.parametrize(
    ("kind", "rule", "name", "record"),
    [
        ("dmarc", "DMARC-028", "acme.dk", DMARC),
        ("dmarc", "DMARC-028", "_dmarc.acme.dk.acme.dk", DMARC),
        ("dmarc", "DMARC-028", "dmarc.acme.dk", DMARC),
        ("dmarc", "DMARC-028", "_dmarc._dmarc.acme.dk", DMARC),
        ("spf", "SPF-034", "_spf.acme.dk", SPF),
        ("spf", "SPF-034", "www.acme.dk", SPF),
        ("spf", "SPF-034", "acme.dk.acme.dk", SPF),
        ("spf", "SPF-034", "_dmarc.acme.dk", SPF),
        ("dkim", "DKIM-034", "acme.dk", KEY),
        ("dkim", "DKIM-034", "_domainkey.acme.dk", KEY),
    ],
)
@pytest.mark.long
async def test_a_record_at_a_wrong_name(kind: str, rule: str, name: str, record: str) -> None:
    zone = {**SENDER}
    place = {"dmarc": ("_dmarc.acme.dk", "TXT"), "spf": ("acme.dk", "TXT")}.get(kind)
    if place:
        del zone[place]
    zone[name, "TXT"] = [*zone.get((name, "TXT"), ()), record]
    _, facts = await asked_and_facts(zone)
    assert (facts.value(f"misplaced.{kind}"), facts.value(f"misplaced.{kind}_record")) == ((name,), record)
    assert unmet(facts) == [rule]


@pytest.mark.parametrize(
    "zone",
    [
        SENDER,
        # The name is there for something else: include of others, a web host that sends nothing.
        SENDER | {("_spf.acme.dk", "TXT"): [SPF]},
        {key: value for key, value in SENDER.items() if key != ("acme.dk", "TXT")}
        | {("www.acme.dk", "TXT"): ["v=spf1 -all"]},
        SENDER | {("_domainkey.acme.dk", "TXT"): ["o=~"]},
        SENDER | {("acme.dk", "TXT"): [SPF, "google-site-verification=x"]},
    ],
)
@pytest.mark.long
async def test_what_stands_where_it_belongs_is_not_told(zone: Zone) -> None:
    _, facts = await asked_and_facts(zone)
    assert unmet(facts) == []


@pytest.mark.parametrize(
    ("gone", "most"), [((), 0), (("_dmarc.acme.dk",), 3), (("acme.dk",), 3), (("acme.dk", "_dmarc.acme.dk"), 3)]
)
async def test_three_names_are_asked_for_at_most_and_none_where_nothing_is_missing(
    gone: tuple[str, ...], most: int
) -> None:
    zone = {key: value for key, value in SENDER.items() if not (key[0] in gone and key[1] == "TXT")}
    before, _ = await asked_and_facts(zone, without="misplaced")
    after, _ = await asked_and_facts(zone)
    assert len(after - before) == most, after - before


async def test_a_failed_lookup_is_not_known() -> None:
    zone = {key: value for key, value in SENDER.items() if key != ("_dmarc.acme.dk", "TXT")}
    _, facts = await asked_and_facts({**zone, ("dmarc.acme.dk", "TXT"): "servfail"})
    assert isinstance(facts.value("misplaced.dmarc"), Unknown)
    assert unmet(facts) == []
