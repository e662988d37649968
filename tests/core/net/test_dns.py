"""Live DNS against real sockets on loopback: what an answer is, and what only is a failure to get one."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ipaddress
import itertools
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.facts.base import Reason
from deliverability.core.net import transports, wire
from deliverability.core.net.base import Absent, Answer, Failed, Found
from deliverability.core.net.clock import Budget, FixedClock
from deliverability.core.net.dns import LiveResolver, _read
from deliverability.core.net.ports import Ports
from deliverability.core.net.servers import Server, parse_server, system_servers
from deliverability.core.net.static import NOT_ASKED, OFFLINE, StaticResolver
from deliverability.core.net.transports import SOCKETS
from tests.dnsserver import DnsServer
from tests.sampled import examples
from tests.speaking import english

pytestmark = pytest.mark.long

LONG_TXT = ("v=DKIM1; k=rsa; p=" + "A" * 237, "B" * 255, "C" * 255, "D" * 255, "E" * 255, "F" * 255)

WORLD = StaticResolver(
    {
        ("example.com", "A"): ["192.0.2.1", "192.0.2.2"],
        ("example.com", "MX"): ["10 mx1.example.com", "20 mx2.example.com"],
        ("example.com", "TXT"): [("v=spf1 ", "-all"), "grüße"],
        ("null.example", "MX"): ["0 ."],
        ("a.chain.example", "CNAME"): ["b.chain.example"],
        ("b.chain.example", "CNAME"): ["c.chain.example"],
        ("c.chain.example", "TXT"): ["at the end"],
        ("dangling.example", "CNAME"): ["nowhere.example"],
        ("big.example", "TXT"): [LONG_TXT],
        ("one.loop.example", "CNAME"): ["two.loop.example"],
        ("two.loop.example", "CNAME"): ["one.loop.example"],
        **{(f"{n}.long.example", "CNAME"): [f"{n + 1}.long.example"] for n in range(20)},
        ("20.long.example", "A"): ["192.0.2.3"],
        **{(f"host{n}.example", "A"): [f"192.0.2.{n}"] for n in range(50)},
    }
)


def live(*servers: DnsServer, **options: object) -> LiveResolver:
    options = {"timeout": 5.0, "clock": FixedClock(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))} | options
    return LiveResolver([server.server for server in servers], **options)  # type: ignore[arg-type]


async def ask(script: dict[str, str], name: str, rdtype: str, **options: object) -> tuple[Answer, DnsServer]:
    async with DnsServer(WORLD, script) as server:
        resolver = live(server, **options)
        try:
            return await resolver.query(name, rdtype), server
        finally:
            await resolver.close()


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with DnsServer(WORLD) as running:
        yield running


@pytest.fixture
async def resolver(server: DnsServer) -> AsyncIterator[LiveResolver]:
    resolver = live(server)
    yield resolver
    await resolver.close()


# --- answers ---


async def test_an_answer_carries_plain_values_with_time_and_server(resolver: LiveResolver, server: DnsServer) -> None:
    answer = await resolver.query("Example.COM.", "mx")
    assert answer == Found(
        name="example.com",
        rdtype="MX",
        values=("10 mx1.example.com", "20 mx2.example.com"),
        ttl=3600,
        at="2026-01-02T03:04:05Z",
        server=f"127.0.0.1:{server.port}",
    )


async def test_the_strings_of_a_txt_record_are_joined_and_counted(resolver: LiveResolver) -> None:
    answer = await resolver.query("example.com", "TXT")
    assert isinstance(answer, Found)
    assert answer.values == ("grüße", "v=spf1 -all")
    assert answer.string_octets == ((7,), (7, 4))


async def test_the_null_mx_names_the_root(resolver: LiveResolver) -> None:
    answer = await resolver.query("null.example", "MX")
    assert isinstance(answer, Found)
    assert answer.values == ("0 .",)


async def test_nxdomain_and_nodata_are_two_kinds_of_absence(resolver: LiveResolver) -> None:
    missing = await resolver.query("missing.example", "A")
    other_type = await resolver.query("example.com", "AAAA")
    assert isinstance(missing, Absent)
    assert missing.nxdomain
    assert isinstance(other_type, Absent)
    assert not other_type.nxdomain


@pytest.mark.parametrize(
    "name",
    ["a..b", ".example.com", "x" * 64 + ".example", ".".join(["x" * 50] * 6), "\udcff.example", "x." * 100_000],
)
async def test_an_impossible_name_is_absent_without_asking(
    name: str, resolver: LiveResolver, server: DnsServer
) -> None:
    answer = await resolver.query(name, "TXT")
    assert isinstance(answer, Absent)
    assert answer.nxdomain
    assert server.log == []


@pytest.mark.parametrize(
    "name", ["a\\.b.example", "with space.example", '"quoted".example', "\\000.example", "*.example"]
)
async def test_odd_octets_in_a_name_are_asked_literally(name: str, resolver: LiveResolver) -> None:
    assert isinstance(await resolver.query(name, "TXT"), Absent)


async def test_edns_is_offered_with_a_safe_size(resolver: LiveResolver, server: DnsServer) -> None:
    await resolver.query("example.com", "A")
    assert (server.edns, server.payloads) == ([0], [1232])


# --- CNAME ---


@pytest.mark.parametrize("behaviour", ["", "cname-only"])
async def test_a_cname_chain_is_followed_within_and_across_replies(behaviour: str) -> None:
    script = {"a.chain.example": behaviour, "b.chain.example": behaviour} if behaviour else {}
    answer, server = await ask(script, "a.chain.example", "TXT")
    assert isinstance(answer, Found)
    assert (answer.name, answer.values) == ("a.chain.example", ("at the end",))
    assert answer.chain == ("b.chain.example", "c.chain.example")
    assert len(server.log) == (3 if behaviour else 1)


async def test_a_cname_to_nowhere_is_absent_with_its_chain(resolver: LiveResolver) -> None:
    answer = await resolver.query("dangling.example", "TXT")
    assert isinstance(answer, Absent)
    assert answer.nxdomain
    assert answer.chain == ("nowhere.example",)


async def test_a_question_for_the_cname_itself_is_not_followed(resolver: LiveResolver) -> None:
    answer = await resolver.query("a.chain.example", "CNAME")
    assert isinstance(answer, Found)
    assert answer.values == ("b.chain.example",)


@pytest.mark.parametrize("name", ["one.loop.example", "0.long.example"])
async def test_a_cname_loop_or_an_endless_chain_is_a_failure(name: str) -> None:
    script = {"one.loop.example": "cname-only", "two.loop.example": "cname-only"}
    script |= {f"{n}.long.example": "cname-only" for n in range(20)}

    class Links:
        """The single links: asked for the whole chain, the source would itself refuse it."""

        async def query(self, name: str, rdtype: str) -> Answer:
            link = await WORLD.query(name, "CNAME")
            assert isinstance(link, Found)
            return Absent(name, rdtype, nxdomain=False, ttl=60, chain=link.values)

        async def close(self) -> None:
            return None

    async with DnsServer(Links(), script) as server:
        resolver = live(server)
        answer = await resolver.query(name, "A")
        await resolver.close()
    assert isinstance(answer, Failed)
    assert answer.reason is Reason.ALIAS
    assert "CNAME" in english(answer.detail)
    assert len(server.log) <= 10


async def test_a_cname_target_that_cannot_be_spelt_is_a_failure() -> None:
    class Odd:
        async def query(self, name: str, rdtype: str) -> Answer:
            return Absent(name, rdtype, nxdomain=False, ttl=60, chain=("a\\.b.example",))

        async def close(self) -> None:
            return None

    async with DnsServer(Odd(), {"odd.example": "cname-only"}) as server:
        resolver = live(server)
        answer = await resolver.query("odd.example", "A")
        await resolver.close()
    assert isinstance(answer, Failed)
    assert "a\\x2eb.example" in english(answer.detail)
    assert len(server.log) == 1


# --- failures are never absence ---


@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        ("servfail", Reason.SERVFAIL, "answered SERVFAIL"),
        ("refused", Reason.REFUSED, "answered REFUSED"),
        ("silent", Reason.TIMEOUT, "did not answer within 0.5 s"),
        ("garbage", Reason.TIMEOUT, "malformed"),
        ("truncated-no-tcp", Reason.SERVFAIL, "none over TCP"),
        ("referral", Reason.REFUSED, "not a resolver"),
    ],
)
async def test_what_nobody_answers_is_failed_with_its_reason(behaviour: str, reason: Reason, said: str) -> None:
    answer, _ = await ask({"example.com": behaviour}, "example.com", "MX", timeout=0.5 if reason == "timeout" else 5.0)
    assert isinstance(answer, Failed)
    assert answer.reason is reason
    assert said in english(answer.detail)


async def test_silence_is_asked_again_but_a_refusal_is_not() -> None:
    _, silent = await ask({"example.com": "silent"}, "example.com", "A", timeout=0.05, retries=3)
    _, refused = await ask({"example.com": "refused"}, "example.com", "A", retries=3)
    assert (silent.asked("example.com"), refused.asked("example.com")) == (4, 1)


async def test_a_lost_reply_is_made_good_by_the_retry() -> None:
    answer, server = await ask({"example.com": "silent-once"}, "example.com", "A", timeout=1.0)
    assert isinstance(answer, Found)
    assert server.asked("example.com") == 2


@pytest.mark.parametrize("behaviour", ["servfail", "refused", "silent", "garbage", "referral"])
async def test_the_next_server_answers_where_the_first_fails(behaviour: str) -> None:
    async with DnsServer(WORLD, {"example.com": behaviour}) as bad, DnsServer(WORLD) as good:
        resolver = live(bad, good, timeout=1.0)
        answer = await resolver.query("example.com", "A")
        await resolver.close()
    assert isinstance(answer, Found)
    assert answer.server.endswith(str(good.port))
    assert bad.asked("example.com") == 1


async def test_every_server_is_asked_before_one_is_asked_again() -> None:
    async with (
        DnsServer(WORLD, {"example.com": "silent"}) as first,
        DnsServer(WORLD, {"example.com": "servfail"}) as second,
        DnsServer(WORLD) as third,
    ):
        resolver = live(first, second, third, timeout=1.0, retries=0)
        answer = await resolver.query("example.com", "A")
        await resolver.close()
    assert isinstance(answer, Found)


async def test_a_server_that_kept_silent_is_asked_last_for_a_while() -> None:
    now = 0.0
    silent = {f"host{n}.example": "silent" for n in range(3)}
    async with DnsServer(WORLD, silent) as dead, DnsServer(WORLD) as good:
        resolver = live(dead, good, timeout=1.0, monotonic=lambda: now)
        for name in ("host0.example", "host1.example"):
            assert isinstance(await resolver.query(name, "A"), Found)
        assert [name for name, _, _ in dead.log] == ["host0.example"]
        now = 31.0
        assert isinstance(await resolver.query("host2.example", "A"), Found)
        assert [name for name, _, _ in dead.log] == ["host0.example", "host2.example"]
        await resolver.close()


async def test_nobody_listening_is_said() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    resolver = LiveResolver([Server("udp", "127.0.0.1", port)], timeout=5.0)
    answer = await resolver.query("example.com", "A")
    await resolver.close()
    assert isinstance(answer, Failed)
    assert answer.reason is Reason.REFUSED
    assert "cannot be reached" in english(answer.detail)


async def test_without_any_server_the_way_out_is_named() -> None:
    answer = await LiveResolver([]).query("example.com", "A")
    assert isinstance(answer, Failed)
    assert "--resolver" in english(answer.detail)


# --- hostile and old servers ---


@pytest.mark.parametrize("behaviour", ["garbage-first", "forged-first"])
async def test_a_forged_or_broken_datagram_does_not_end_the_wait(behaviour: str) -> None:
    answer, server = await ask({"example.com": behaviour}, "example.com", "A")
    assert isinstance(answer, Found)
    assert answer.values == ("192.0.2.1", "192.0.2.2")
    assert server.asked("example.com") == 1


class Beaten(asyncio.DatagramProtocol):
    """Answers 192.0.2.1, after a forger who knows port, id and question sent a denial from a port of his own."""

    def __init__(self, forger: socket.socket) -> None:
        self._forger = forger
        self.ports: list[int] = []
        self.ids: list[int] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        import dns.message
        import dns.rcode
        import dns.rrset

        question = dns.message.from_wire(data)
        self.ports.append(addr[1])
        self.ids.append(question.id)
        denial, answer = (dns.message.make_response(question) for _ in range(2))
        denial.set_rcode(dns.rcode.NXDOMAIN)
        self._forger.sendto(denial.to_wire(), addr)
        answer.answer.append(dns.rrset.from_text(answer.question[0].name, 60, "IN", "A", "192.0.2.1"))
        self._transport.sendto(answer.to_wire(), addr)


async def asked_while_forged(count: int) -> Beaten:
    """So many questions, each answered with what the server says."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.bind(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(lambda: Beaten(forger), local_addr=("127.0.0.1", 0))
        resolver = LiveResolver([Server("udp", "127.0.0.1", transport.get_extra_info("sockname")[1])], timeout=5.0)
        answers = await asyncio.gather(*(resolver.query(f"host{n}.example", "A") for n in range(count)))
        await resolver.close()
        transport.close()
    assert all(isinstance(answer, Found) for answer in answers)
    return server


async def test_replies_that_came_while_this_process_computed_are_no_silence() -> None:
    import dns.message
    import dns.rrset

    count, timeout = 20 * SOCKETS, 1.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(timeout)
        resolver = LiveResolver([Server("udp", "127.0.0.1", server.getsockname()[1])], timeout=timeout, in_flight=count)
        names = [f"host{n}.example" for n in range(count)]
        asked = [asyncio.ensure_future(resolver.query(name, "A")) for name in names]
        answered = 0
        while answered < count:
            await asyncio.sleep(0.01)
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, where = server.recvfrom(512)
                    answer = dns.message.make_response(dns.message.from_wire(data))
                    answer.answer.append(dns.rrset.from_text(answer.question[0].name, 60, "IN", "A", "192.0.2.1"))
                    server.sendto(answer.to_wire(), where)
                    answered += 1
            if answered > count - 10 * SOCKETS:  # the last ones wait to be read until it is too late for them
                time.sleep(1.5 * timeout)  # noqa: ASYNC251 (as if it computed)
        answers = await asyncio.gather(*asked)
        await resolver.close()
        with pytest.raises(BlockingIOError):
            server.recvfrom(512)
    assert all(isinstance(answer, Found) for answer in answers)


async def test_only_the_server_asked_is_heard_and_questions_are_spread_over_ports_and_ids() -> None:
    server = await asked_while_forged(100)
    assert len(set(server.ports)) == SOCKETS
    assert len(set(server.ids)) > 90


async def test_ports_change_with_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "MOST_ASKED", 3)
    server = await asked_while_forged(90)
    assert len(set(server.ports)) >= 30
    assert max(server.ports.count(port) for port in server.ports) <= 3


async def test_ids_on_their_way_through_one_socket_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the random numbers repeat."""
    numbers = itertools.cycle([7, 7, 7, 8, 9])
    monkeypatch.setattr(transports, "SOCKETS", 1)
    monkeypatch.setattr(transports.UdpServer, "number", lambda _: next(numbers))
    async with DnsServer(WORLD, delay=0.02) as server:
        resolver = live(server)
        answers = await asyncio.gather(*(resolver.query(f"host{n}.example", "A") for n in range(3)))
        await resolver.close()
    assert [answer.values for answer in answers if isinstance(answer, Found)] == [
        ("192.0.2.0",), ("192.0.2.1",), ("192.0.2.2",)
    ]  # fmt: skip


async def test_a_flood_of_junk_does_not_hold_up_the_others_or_the_time_limit(server: DnsServer) -> None:
    """From the address and port of the server itself, so that every datagram is looked at."""

    class Junk(asyncio.DatagramProtocol):
        sent = 0

        def connection_made(self, transport: Any) -> None:
            self._transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.again(addr)

        def again(self, addr: Any) -> None:
            if not self._transport.is_closing():
                for _ in range(20):
                    self._transport.sendto(b"junk", addr)
                self.sent += 20
                asyncio.get_running_loop().call_soon(self.again, addr)

    loop = asyncio.get_running_loop()
    transport, junk = await loop.create_datagram_endpoint(Junk, local_addr=("127.0.0.1", 0))
    flooded = Server("udp", "127.0.0.1", transport.get_extra_info("sockname")[1])
    resolver = LiveResolver([flooded, server.server], timeout=1.0, retries=0)
    answer = await resolver.query("example.com", "A")
    alone = LiveResolver([flooded], timeout=1.0, retries=0)
    failed = await alone.query("example.com", "A")
    transport.close()
    await resolver.close()
    await alone.close()
    assert isinstance(answer, Found)
    assert isinstance(failed, Failed)
    assert failed.reason is Reason.TIMEOUT
    assert "malformed" in english(failed.detail)
    assert junk.sent > 1000


async def test_a_port_that_somebody_sends_junk_to_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "MOST_NOISE", 3)
    monkeypatch.setattr(transports, "SOCKETS", 1)
    async with DnsServer(WORLD, {f"host{n}.example": "garbage-first" for n in range(10)}) as server:
        resolver = live(server)
        for n in range(10):
            assert isinstance(await resolver.query(f"host{n}.example", "A"), Found)
        await resolver.close()
    assert len(set(server.peers)) >= 4, "each gives two that are junk before the answer"


async def test_a_reply_that_comes_too_late_is_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never the answer to another question, even where that one got the same id."""
    monkeypatch.setattr(transports, "SOCKETS", 1)
    monkeypatch.setattr(transports.UdpServer, "number", itertools.count(1).__next__)
    async with DnsServer(WORLD, delay=1.0) as server:
        resolver = live(server, timeout=0.6, retries=1)
        first = await resolver.query("host1.example", "A")
        await resolver.close()
    assert isinstance(first, Failed)
    assert english(first.detail).endswith("did not answer within 0.6 s")


@pytest.mark.parametrize(("name", "script"), [("big.example", {}), ("example.com", {"example.com": "truncated"})])
async def test_a_truncated_answer_is_fetched_over_tcp(name: str, script: dict[str, str]) -> None:
    answer, server = await ask(script, name, "TXT")
    assert isinstance(answer, Found)
    assert [transport for _, _, transport in server.log] == ["udp", "tcp"]
    if name == "big.example":
        assert answer.values == ("".join(LONG_TXT),)
        assert answer.string_octets == ((255,) * 6,)


async def test_a_server_without_edns_is_asked_without() -> None:
    answer, server = await ask({"example.com": "no-edns"}, "example.com", "A")
    assert isinstance(answer, Found)
    assert server.edns == [0, -1]


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, 200),
    changes=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 255)), max_size=8),
    rdtype=st.sampled_from(["TXT", "MX", "CNAME", "SOA", "A", "TLSA"]),
)
def test_no_octets_raise(cut: int, changes: list[tuple[int, int]], rdtype: str) -> None:
    import dns.message
    import dns.rrset

    query = wire.query((b"example", b"com"), rdtype, edns=True)
    response = dns.message.make_response(dns.message.from_wire(query.wire))
    response.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "CNAME", "target.example."))
    response.answer.append(dns.rrset.from_text("target.example.", 60, "IN", "MX", "10 mx.example."))
    response.answer.append(dns.rrset.from_text("target.example.", 60, "IN", "TXT", '"v=spf1 -all" "x"'))
    response.authority.append(dns.rrset.from_text("example.", 60, "IN", "SOA", "a. b. 1 2 3 4 5"))
    octets = bytearray(response.to_wire())
    for position, octet in changes:
        if position < len(octets) and position >= 2:
            octets[position] = octet
    reply = wire.reply(bytes(octets[: len(octets) - cut] if cut else octets), query)
    if reply is not None:
        _read(reply, "example.com", rdtype)


# --- economy ---


async def test_a_question_many_wait_for_goes_out_once() -> None:
    async with DnsServer(WORLD, delay=0.02) as server:
        resolver = live(server)
        answers = await asyncio.gather(*(resolver.query(name, "A") for name in ["example.com", "EXAMPLE.com."] * 50))
        await resolver.close()
    assert len(set(answers)) == 1
    assert server.asked("example.com") == 1


async def test_a_waiter_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    async with DnsServer(WORLD, delay=0.05) as server:
        resolver = live(server)
        impatient = asyncio.create_task(resolver.query("example.com", "A"))
        patient = asyncio.create_task(resolver.query("example.com", "A"))
        await asyncio.sleep(0.01)
        impatient.cancel()
        assert isinstance(await patient, Found)
        await resolver.close()
    assert server.asked("example.com") == 1


@pytest.mark.parametrize(
    ("name", "kept_for"),
    [("example.com", 3600), ("broken.example", 5)],
)
async def test_answers_are_kept_for_their_ttl_and_failures_for_seconds(name: str, kept_for: int) -> None:
    now = 1000.0
    async with DnsServer(WORLD, {"broken.example": "servfail"}) as server:
        resolver = live(server, monotonic=lambda: now)
        first = await resolver.query(name, "A")
        now += kept_for - 1
        assert await resolver.query(name, "A") == first
        assert server.asked(name) == 1
        now += 1
        await resolver.query(name, "A")
        assert server.asked(name) == 2
        await resolver.close()


async def test_absence_is_kept_for_the_soa_minimum() -> None:
    now = 0.0

    class Nothing:
        async def query(self, name: str, rdtype: str) -> Answer:
            return Absent(name, rdtype, nxdomain=True, ttl=300)

        async def close(self) -> None:
            return None

    async with DnsServer(Nothing()) as server:
        resolver = live(server, monotonic=lambda: now)
        answer = await resolver.query("gone.example", "A")
        assert isinstance(answer, Absent)
        assert answer.ttl == 300
        now = 299.0
        await resolver.query("gone.example", "A")
        assert server.asked("gone.example") == 1
        now = 300.0
        await resolver.query("gone.example", "A")
        assert server.asked("gone.example") == 2
        await resolver.close()


async def test_the_cache_is_bounded_and_drops_what_was_not_used() -> None:
    async with DnsServer(WORLD) as server:
        resolver = live(server, cache_size=2)
        for name in ("host1.example", "host2.example", "host1.example", "host3.example", "host1.example"):
            await resolver.query(name, "A")
        assert server.asked("host1.example") == 1
        await resolver.query("host2.example", "A")
        assert server.asked("host2.example") == 2
        await resolver.close()


async def test_questions_on_the_wire_are_capped() -> None:
    async with DnsServer(WORLD, delay=0.01) as server:
        resolver = live(server, in_flight=7)
        answers = await asyncio.gather(*(resolver.query(f"host{n}.example", "A") for n in range(50)))
        await resolver.close()
    assert all(isinstance(answer, Found) for answer in answers)
    assert server.most_open == 7


# --- time budget, offline, servers ---


async def test_when_the_budget_is_used_up_every_question_is_a_timeout() -> None:
    async with DnsServer(WORLD, {"slow.example": "silent"}) as server:
        base = live(server)
        budget = Ports(base).under(Budget(0.1)).dns
        assert isinstance(await budget.query("example.com", "A"), Found)
        pending = await budget.query("slow.example", "A")
        later = await budget.query("host1.example", "A")
        for answer in (pending, later):
            assert isinstance(answer, Failed)
            assert answer.reason is Reason.TIMEOUT
            assert english(answer.detail) == "time budget of 0.1 s used up"
        assert isinstance(await base.query("host1.example", "A"), Found), "the shared base goes on"
        await base.close()


async def test_offline_nothing_is_ever_missing() -> None:
    answer = await OFFLINE.query("Example.com.", "txt")
    assert answer == Failed("example.com", "TXT", Reason.OFFLINE, NOT_ASKED())


@pytest.mark.parametrize(
    ("text", "server", "shown"),
    [
        ("192.0.2.53", Server("udp", "192.0.2.53", 53), "192.0.2.53"),
        ("192.0.2.53:5353", Server("udp", "192.0.2.53", 5353), "192.0.2.53:5353"),
        ("2001:db8::53", Server("udp", "2001:db8::53", 53), "2001:db8::53"),
        ("[2001:db8::53]", Server("udp", "2001:db8::53", 53), "2001:db8::53"),
        ("[2001:db8::53]:5353", Server("udp", "2001:db8::53", 5353), "[2001:db8::53]:5353"),
        ("tls://192.0.2.53", Server("tls", "192.0.2.53", 853), "tls://192.0.2.53"),
        (
            "tls://[2001:db8::53]:8853#dns.example",
            Server("tls", "2001:db8::53", 8853, tls_name="dns.example"),
            "tls://[2001:db8::53]:8853#dns.example",
        ),
        (
            "https://dns.example/dns-query",
            Server("https", "dns.example", 443, url="https://dns.example/dns-query"),
            "https://dns.example/dns-query",
        ),
    ],
)
def test_the_forms_of_a_resolver(text: str, server: Server, shown: str) -> None:
    assert parse_server(text) == server
    assert str(server) == shown


@pytest.mark.parametrize(
    "text",
    ["", "dns.example", "192.0.2.53:0", "192.0.2.53:99999", "192.0.2.53:x", "[2001:db8::53", "[::1]x", "tls://dns.example",
     "https://", "https://[::1", "https://user:secret@dns.example/", "http://192.0.2.53/", "1.2.3"],
)  # fmt: skip
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a resolver|no usable port|not a usable URL"):
        parse_server(text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps its resolvers in the registry")
def test_the_resolvers_of_the_system_come_from_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    import dns.resolver

    read = dns.resolver.Resolver.read_resolv_conf
    text = "search example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", lambda self, _: read(self, io.StringIO(text)))
    assert system_servers() == (Server("udp", "192.0.2.53", 53), Server("udp", "2001:db8::53", 53))
    text = ""
    assert system_servers() == ()


# --- over TLS and HTTPS ---


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server certificate for 127.0.0.1 and dns.example, which this process trusts."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dns.example")])
    names = [x509.DNSName("dns.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    start = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.mark.parametrize("transport", ["tls", "tls-named", "https"])
async def test_questions_go_over_tls_and_https_on_kept_connections(transport: str, certified: ssl.SSLContext) -> None:
    async with DnsServer(WORLD, tls=certified) as server:
        asked = server.https_server if transport == "https" else server.tls_server
        if transport == "tls-named":
            asked = replace(asked, tls_name="dns.example")
        resolver = LiveResolver([asked], timeout=5.0)
        answers = [await resolver.query(f"host{n}.example", "A") for n in range(3)]
        await resolver.close()
    assert [answer.values for answer in answers if isinstance(answer, Found)] == [
        ("192.0.2.0",), ("192.0.2.1",), ("192.0.2.2",)
    ]  # fmt: skip
    assert server.connections == 1


async def test_a_certificate_for_another_name_is_not_accepted(certified: ssl.SSLContext) -> None:
    async with DnsServer(WORLD, tls=certified) as server:
        resolver = LiveResolver([replace(server.tls_server, tls_name="other.example")], timeout=5.0)
        answer = await resolver.query("example.com", "A")
        await resolver.close()
    assert isinstance(answer, Failed)
    assert answer.reason is Reason.REFUSED
    assert "CERTIFICATE" in english(answer.detail)
    assert server.log == []


async def test_an_http_error_is_a_failure(certified: ssl.SSLContext) -> None:
    async with DnsServer(WORLD, {"example.com": "silent"}, tls=certified) as server:
        resolver = LiveResolver([server.https_server], timeout=5.0)
        answer = await resolver.query("example.com", "A")
        await resolver.close()
    assert isinstance(answer, Failed)
    assert "HTTP status 502" in english(answer.detail)


# --- a real server ---

ZONE = """\
$ORIGIN example.com.
$TTL 300
@ SOA ns hostmaster 1 7200 3600 1209600 60
@ NS ns
ns A 127.0.0.1
@ MX 10 mail
mail A 192.0.2.25
@ TXT "v=spf1 " "mx -all"
alias CNAME mail
away CNAME sel.example.net.
*.wild TXT "from the wildcard"
below.ent A 192.0.2.7
big TXT {big}
"""
ELSEWHERE = """\
$ORIGIN example.net.
$TTL 300
@ SOA ns.example.com. hostmaster 1 7200 3600 1209600 60
@ NS ns.example.com.
sel TXT "v=DKIM1; p="
"""


@pytest.fixture(scope="module")
def nsd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """NSD, serving two zones on a free port."""
    binary = shutil.which("nsd") or shutil.which("nsd", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        if os.environ.get("DELIV_REQUIRE_SYSTEM") == "1":
            pytest.fail("nsd is not installed, and DELIV_REQUIRE_SYSTEM=1 demands it (Debian: apt-get install nsd)")
        pytest.skip("nsd is not installed (Debian: apt-get install nsd)")
    folder = tmp_path_factory.mktemp("nsd")
    big = " ".join(f'"{letter * 250}"' for letter in "ABCDEFGH")
    (folder / "example.com.zone").write_text(ZONE.replace("{big}", big))
    (folder / "example.net.zone").write_text(ELSEWHERE)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "nsd.conf"
    config.write_text(
        f"""
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  logfile: "{folder}/nsd.log"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: example.com
  zonefile: example.com.zone
zone:
  name: example.net
  zonefile: example.net.zone
"""
    )
    process = subprocess.Popen([binary, "-d", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server("udp", "127.0.0.1", port)
    try:
        if not asyncio.run(_answers(server)):
            log = Path(folder / "nsd.log")
            pytest.fail(f"nsd did not come up: {log.read_text() if log.exists() else 'no log'}")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=600)


async def _answers(server: Server) -> bool:
    for _ in range(6000):
        resolver = LiveResolver([server], timeout=0.5, retries=0)
        answer = await resolver.query("example.com", "SOA")
        await resolver.close()
        if isinstance(answer, Found):
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("example.com", "SOA", ("ns.example.com hostmaster.example.com 1 7200 3600 1209600 60",)),
        ("example.com", "MX", ("10 mail.example.com",)),
        ("example.com", "TXT", ("v=spf1 mx -all",)),
        ("ALIAS.example.com", "A", ("192.0.2.25",)),
        ("away.example.com", "TXT", ("v=DKIM1; p=",)),
        ("any.wild.example.com", "TXT", ("from the wildcard",)),
        ("big.example.com", "TXT", ("".join(letter * 250 for letter in "ABCDEFGH"),)),
        ("example.com", "AAAA", "nodata"),
        ("ent.example.com", "A", "nodata"),
        ("missing.example.com", "A", "nxdomain"),
        ("elsewhere.example", "A", Reason.REFUSED),
    ],
)
async def test_a_real_server_is_understood(nsd: Server, name: str, rdtype: str, expected: object) -> None:
    resolver = LiveResolver([nsd], timeout=5.0)
    answer = await resolver.query(name, rdtype)
    await resolver.close()
    match answer:
        case Found():
            assert answer.values == expected
        case Absent():
            assert ("nxdomain" if answer.nxdomain else "nodata") == expected
        case Failed():
            assert answer.reason == expected
