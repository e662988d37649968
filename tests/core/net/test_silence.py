"""Domains without a name server that answers: they cost their own time, and nobody else's answers.

The resolver on loopback never replies for them; it is judged by what arrives there and what is found, never by seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.net.base import Answer, Failed, Found
from deliverability.core.net.clock import Budget, FixedClock
from deliverability.core.net.dns import ENOUGH, LiveResolver
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.engine import stream as streaming
from deliverability.engine.audit import gather_facts
from deliverability.engine.stream import stream
from tests.dnsserver import DnsServer

pytestmark = pytest.mark.long

HEALTHY = [f"d{number}.example" for number in range(24)]
SILENT = [f"s{number}.test" for number in range(6)]
CLOCK = FixedClock(datetime(2026, 11, 24, tzinfo=UTC))


class Zones:
    """All domains have the same records; those below .test never answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self._records = StaticResolver(
            {
                key: values
                for name in HEALTHY
                for key, values in {
                    (name, "TXT"): [f"v=spf1 include:_spf.{name} include:_spf.vendor.example -all"],
                    (f"_spf.{name}", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
                    (f"_dmarc.{name}", "TXT"): ["v=DMARC1; p=reject"],
                    (name, "MX"): [f"10 mx.{name}"],
                    (f"mx.{name}", "A"): ["192.0.2.1"],
                }.items()
            }
            | {("_spf.vendor.example", "TXT"): ["v=spf1 ip4:198.51.100.0/24 -all"]}
        )

    async def query(self, name: str, rdtype: str) -> Answer:
        self.asked.append((name, rdtype))
        return await self._records.query(name, rdtype)

    async def close(self) -> None:
        pass


class Quiet(DnsServer):
    """No reply for names below .test, whatever they are."""

    async def _replies(self, wire: bytes, transport: str) -> list[bytes]:
        replies = await super()._replies(wire, transport)
        return [] if self.log[-1][0].endswith(".test") else replies


@pytest.fixture
async def server() -> AsyncIterator[Quiet]:
    async with Quiet(Zones()) as running:
        yield running


def live(server: DnsServer, **options: float) -> LiveResolver:
    return LiveResolver([server.server], clock=CLOCK, **{"timeout": 1.0} | options)  # type: ignore[arg-type]


async def asked_for(resolver: LiveResolver, domain: str, count: int, seconds: float = 15.0) -> list[Answer]:
    subject = resolver.of_subject(domain, Budget(seconds))
    return await asyncio.gather(*(subject.query(f"n{number}.{domain}", "TXT") for number in range(count)))


async def test_of_a_silent_domain_one_question_is_asked_again_for_all(server: Quiet) -> None:
    resolver = live(server)
    answers = await asked_for(resolver, "s0.test", 30)
    later = await asked_for(resolver, "s0.test", 30)  # the same, from what is remembered
    await resolver.close()
    assert all(isinstance(each, Failed) and each.reason is Reason.TIMEOUT for each in answers)
    assert len({each.detail for each in answers if isinstance(each, Failed)}) == 1
    assert later == answers
    assert len(server.log) == 31


async def test_once_a_domain_is_known_to_be_silent_nothing_more_is_asked_of_it(server: Quiet) -> None:
    resolver = live(server)
    subject = resolver.of_subject("s0.test", Budget())
    await asyncio.gather(*(subject.query(f"n{number}.s0.test", "TXT") for number in range(ENOUGH + 1)))
    before = len(server.log)
    answer = await subject.query("later.s0.test", "TXT")
    other = await subject.query("d0.example", "MX")
    await resolver.close()
    assert isinstance(answer, Failed)
    assert answer.reason is Reason.TIMEOUT
    assert isinstance(other, Found), "what is not below the domain is asked for as ever"
    assert len(server.log) == before + 1


async def test_few_questions_are_each_asked_again_as_often_as_ever(server: Quiet) -> None:
    resolver = live(server)
    await asked_for(resolver, "s0.test", 2)
    await resolver.close()
    assert sorted(server.asked(f"n{number}.s0.test") for number in range(2)) == [1, 3]


async def test_a_domain_of_which_anything_was_heard_is_not_silent() -> None:
    """Each of its questions is asked again: one lost reply is made good."""
    names = [f"n{number}.d0.example" for number in range(20)]
    async with DnsServer(Zones(), dict.fromkeys(names, "silent-once")) as server:
        resolver = live(server)
        subject = resolver.of_subject("d0.example", Budget())
        assert isinstance(await subject.query("d0.example", "MX"), Found)
        answers = await asyncio.gather(*(subject.query(name, "TXT") for name in names))
        await resolver.close()
    assert not any(isinstance(each, Failed) for each in answers)


async def test_the_first_reply_has_all_that_was_held_back_asked_again() -> None:
    names = [f"n{number}.d0.example" for number in range(20)]
    async with DnsServer(Zones(), dict.fromkeys(names, "silent-once")) as server:
        resolver = live(server)
        subject = resolver.of_subject("d0.example", Budget())
        answers = await asyncio.gather(*(subject.query(name, "TXT") for name in names))
        await resolver.close()
    assert not any(isinstance(each, Failed) for each in answers)
    assert {server.asked(name) for name in names} == {2}


async def test_a_silent_domain_is_told_by_no_server_before_each_was_asked() -> None:
    async with Quiet(Zones()) as first, Quiet(Zones()) as second, DnsServer(Zones()) as third:
        resolver = LiveResolver([each.server for each in (first, second, third)], timeout=1.0, clock=CLOCK)
        answers = await asked_for(resolver, "s0.test", 20)
        await resolver.close()
    assert not any(isinstance(each, Failed) for each in answers)


async def test_silent_domains_do_not_take_the_places_of_others(server: Quiet) -> None:
    """Ten places, and six silent domains with thirty questions each that come first."""
    resolver = live(server, in_flight=10, timeout=10.0)  # that long the first of the silent ones keep their places
    silent = [asyncio.ensure_future(asked_for(resolver, domain, 30)) for domain in SILENT]
    await asyncio.sleep(0)
    healthy = await asyncio.gather(*(asked_for(resolver, domain, 10) for domain in HEALTHY))
    assert not any(each.done() for each in silent), "the others did not wait for them"
    assert not any(isinstance(each, Failed) for answers in healthy for each in answers)
    for each in silent:
        each.cancel()
    await resolver.close()


async def test_a_question_that_many_ask_does_not_wait_with_those_of_a_crowded_domain(server: Quiet) -> None:
    resolver = live(server, in_flight=1, timeout=5.0)
    crowd, other = (resolver.of_subject(domain, Budget()) for domain in ("d0.example", "d1.example"))
    first = [asyncio.ensure_future(crowd.query(f"n{number}.d0.example", "TXT")) for number in range(20)]
    await asyncio.sleep(0)
    shared = [asyncio.ensure_future(each.query("_spf.vendor.example", "TXT")) for each in (crowd, other)]
    assert all(isinstance(each, Found) for each in await asyncio.gather(*shared))
    assert not first[-1].done()
    await asyncio.gather(*first)
    await resolver.close()


async def test_waiting_for_a_place_costs_a_domain_no_time() -> None:
    """One place and a server that takes its time: both get all answers, though each waits longer than it may ask."""
    async with DnsServer(Zones(), delay=0.1) as server:
        resolver = live(server, in_flight=1, timeout=5.0)
        ports = Ports(resolver, CLOCK, budget=Budget(3.0))
        subjects = {domain: ports.of_subject(domain).dns for domain in HEALTHY[:6]}
        answers = await asyncio.gather(
            *(dns.query(f"n{number}.{domain}", "TXT") for domain, dns in subjects.items() for number in range(6))
        )
        await resolver.close()
    assert not any(isinstance(each, Failed) for each in answers)


async def facts_alone(server: DnsServer, domain: str) -> FactSet:
    resolver = LiveResolver([server.server], clock=CLOCK)
    try:
        return (await gather_facts(Subject(domain), Ports(resolver, CLOCK, sources=("live",)))).facts
    finally:
        await resolver.close()


@pytest.mark.parametrize("ordered", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_no_healthy_domain_is_left_unchecked_beside_silent_ones(
    ordered: bool, server: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The facts of each are those of an audit of it alone."""
    alone = {domain: await facts_alone(server, domain) for domain in HEALTHY}
    monkeypatch.setattr(streaming, "IN_FLIGHT", 4)
    monkeypatch.setattr(streaming, "_UNKNOWN", 0.1)
    monkeypatch.setattr(streaming, "_SHORTEST", 0.1)
    resolver = live(server, timeout=5.0)
    ports = Ports(resolver, CLOCK, sources=("live",))
    jobs = [Subject(domain) for domain in [*SILENT, *HEALTHY]]
    found = {}
    async for job, audited in stream(jobs, lambda job: gather_facts(job, ports), ordered=ordered):
        found[job.domain] = audited.facts
    await resolver.close()
    assert list(found) == [job.domain for job in jobs] if ordered else len(found) == len(jobs)
    assert all(isinstance(found[domain].value("spf.record"), Unknown) for domain in SILENT)
    assert {domain: found[domain] for domain in HEALTHY} == alone
