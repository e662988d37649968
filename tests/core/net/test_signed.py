"""Replies with signatures: from live DNS, from recordings and from master files, and nobody asked twice."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path

import pytest

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Failed, Signed
from deliverability.core.net.clock import Budget, FixedClock
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.ports import Journal, Ports
from deliverability.core.net.recording import replaying, write_recording
from deliverability.core.net.servers import Server
from deliverability.core.net.static import OFFLINE, StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.protocols.dnssec import State
from deliverability.core.protocols.validation import Validator
from tests.signedzones import Plan, Serving, World, Zone, moment


@functools.cache
def world() -> World:
    unsigned = Plan(signed=False, ds="none", records=("host A 192.0.2.9",))
    zones = [Zone(".", usual=False), Zone("example", usual=False)]
    for name, plan in {
        "good-nsec.example": Plan(),
        "hashed.example": Plan(deny="nsec3"),
        "late.example": Plan(window=(-30, -10)),
        "unsigned.example": Plan(signed=False, ds="none"),
    }.items():
        zones += [Zone(name, plan), Zone(f"sub.{name}", unsigned, usual=False)]
    return World(zones)


CASES = [
    ("good-nsec.example", "MX", State.SECURE),
    ("good-nsec.example", "TXT", State.SECURE),
    ("_25._tcp.mail.good-nsec.example", "TLSA", State.SECURE),
    ("www.good-nsec.example", "A", State.SECURE),
    ("missing.good-nsec.example", "A", State.SECURE),
    ("mail.good-nsec.example", "TXT", State.SECURE),
    ("ent.good-nsec.example", "A", State.SECURE),
    ("x.wild.good-nsec.example", "TXT", State.SECURE),
    ("x.wild.good-nsec.example", "A", State.SECURE),
    ("host.sub.good-nsec.example", "A", State.INSECURE),
    ("hashed.example", "MX", State.SECURE),
    ("missing.hashed.example", "A", State.SECURE),
    ("mail.hashed.example", "TXT", State.SECURE),
    ("x.wild.hashed.example", "TXT", State.SECURE),
    ("host.sub.hashed.example", "A", State.INSECURE),
    ("to-other.hashed.example", "A", State.SECURE),
    ("late.example", "MX", State.BOGUS),
    ("unsigned.example", "MX", State.INSECURE),
]


@pytest.fixture(scope="module")
def files() -> ZoneResolver:
    return ZoneResolver(world().files())


@pytest.mark.parametrize(("name", "rdtype", "state"), CASES)
@pytest.mark.long
async def test_from_master_files(files: ZoneResolver, name: str, rdtype: str, state: State) -> None:
    found = await Validator(files.signed, moment(), world().anchors).verdict(name, rdtype)
    assert found.state is state, found.why


async def test_a_zone_file_without_those_above_it_leaves_it_open() -> None:
    own = [each for each in world().files() if each[0] == "good-nsec.example.zone"]
    found = await Validator(ZoneResolver(own).signed, moment(), world().anchors).verdict("good-nsec.example", "MX")
    assert (found.state, found.reason) == (State.INDETERMINATE, Reason.OFFLINE)


async def test_from_live_dns_and_from_its_recording(tmp_path: Path) -> None:
    with Serving(world()) as serving:
        resolver = LiveResolver([Server("udp", "127.0.0.1", serving.port)])
        ports = Ports(resolver, FixedClock(moment()), journal=Journal())
        subject = ports.of_subject("good-nsec.example")
        for name, rdtype, state in CASES:
            found = await Validator(subject.dns.signed, moment(), world().anchors).verdict(name, rdtype)  # type: ignore[attr-defined]
            assert found.state is state, (name, found.why)
        await ports.close()
    write_recording(tmp_path / "run.json", subject, "test")
    again = replaying(tmp_path / "run.json")
    for name, rdtype, state in CASES:
        found = await Validator(again.dns.signed, moment(), world().anchors).verdict(name, rdtype)  # type: ignore[attr-defined]
        assert found.state is state, (name, found.why)
    missing = await again.dns.signed("elsewhere.example", "MX")  # type: ignore[attr-defined]
    assert isinstance(missing, Failed)


async def test_the_keys_of_the_zones_above_are_asked_for_once_in_a_run() -> None:
    with Serving(world()) as serving:
        resolver = LiveResolver([Server("udp", "127.0.0.1", serving.port)])
        await asyncio.gather(*(resolver.signed("example", "DNSKEY") for _ in range(20)))
        assert resolver.knows("example", "DNSKEY+RRSIG")
        assert not resolver.knows("example", "DNSKEY")
        share = resolver.of_subject("good-nsec.example", Budget())
        answer = await share.signed("example", "DNSKEY")
        await resolver.close()
    assert isinstance(answer, Signed)
    assert serving.count == 1


async def test_where_nobody_can_be_asked() -> None:
    for dns in (OFFLINE, Ports(StaticResolver({})).of_subject("example").dns):
        answer = await dns.signed("example", "DNSKEY")  # type: ignore[union-attr]
        assert isinstance(answer, Failed)
        assert answer.reason is Reason.OFFLINE


async def test_a_server_that_is_not_there() -> None:
    resolver = LiveResolver([Server("udp", "127.0.0.1", 1)], timeout=0.5)
    answer = await resolver.signed("example", "DNSKEY")
    await resolver.close()
    assert isinstance(answer, Failed)
