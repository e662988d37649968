"""What hostile and broken name servers answer is "could not be checked" or right, never "there is none"."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.ports import Journal, Ports
from deliverability.core.net.recording import replaying, write_recording
from deliverability.core.net.servers import Server
from deliverability.core.net.static import StaticResolver
from tests.core.net.test_dns import certified  # noqa: F401
from tests.dnsserver import DnsServer, Reply
from tests.hostiledns import HOSTILE, SOA
from tests.speaking import english

pytestmark = pytest.mark.long

WORLD = StaticResolver(
    {
        ("a.example", "TXT"): ["v=spf1 -all", "another"],
        ("a.example", "MX"): ["10 mx.example"],
        ("a.example", "A"): ["192.0.2.1"],
        ("www.example", "CNAME"): ["a.example"],
    }
)
QUESTIONS = [(name, rdtype) for name in ("a.example", "www.example") for rdtype in ("TXT", "MX", "A")]


async def asked(
    servers: list[Server], questions: list[tuple[str, str]], *, patience: float = 5.0, retries: int = 0
) -> list[Answer]:
    resolver = LiveResolver(servers, timeout=patience, retries=retries)
    try:
        return await asyncio.gather(*(resolver.query(*each) for each in questions))
    finally:
        await resolver.close()


def words(answer: Answer) -> str:
    assert isinstance(answer, Failed)
    return english(answer.detail)


@pytest.mark.parametrize("behaviour", HOSTILE)
async def test_what_is_there_is_never_missing(behaviour: str) -> None:
    async with DnsServer(WORLD, {"*": HOSTILE[behaviour]}) as server:
        answers = await asked([server.server], QUESTIONS, patience=0.15)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        honest = await WORLD.query(*question)
        assert isinstance(honest, Found)
        assert isinstance(answer, Failed) or (isinstance(answer, Found) and answer.values == honest.values), question
    assert all(english(answer.detail) for answer in answers if isinstance(answer, Failed))


@pytest.mark.parametrize("behaviour", HOSTILE)
async def test_what_is_not_there_is_never_found(behaviour: str) -> None:
    questions = [("missing.example", "TXT"), ("a.example", "PTR"), ("www.example", "NS")]
    async with DnsServer(WORLD, {"*": HOSTILE[behaviour]}) as server:
        answers = await asked([server.server], questions, patience=0.15)
    assert not [answer for answer in answers if isinstance(answer, Found)]


@pytest.mark.parametrize("transport", ["tls", "https"])
@pytest.mark.parametrize("behaviour", HOSTILE)
async def test_nor_over_tls_and_https(behaviour: str, transport: str, certified: ssl.SSLContext) -> None:  # noqa: F811
    async with DnsServer(WORLD, {"*": HOSTILE[behaviour]}, tls=certified) as server:
        over = server.https_server if transport == "https" else server.tls_server
        answers = await asked([over], QUESTIONS[:3])
    assert not [answer for answer in answers if isinstance(answer, Absent)]


async def test_a_recording_keeps_that_nobody_could_say(tmp_path: Path) -> None:
    names = {f"{n}.example": reply for n, reply in enumerate(HOSTILE.values())}
    world = StaticResolver({(name, "TXT"): ["v=spf1 -all"] for name in names})
    journal = Journal()
    async with DnsServer(world, names) as server:
        live = LiveResolver([server.server], timeout=0.15, retries=0)
        ports = Ports(live, SystemClock(), sources=("live",), journal=journal).under(journal)
        given = await asyncio.gather(*(ports.dns.query(name, "TXT") for name in names))
        write_recording(tmp_path / "run.json", ports, "1")
        await live.close()
    replayed = replaying(tmp_path / "run.json")
    again = [await replayed.dns.query(name, "TXT") for name in names]
    assert [words(each) for each in again] == [words(each) for each in given]


@pytest.mark.parametrize("behaviour", HOSTILE)
async def test_an_honest_server_behind_a_hostile_one_is_asked(behaviour: str) -> None:
    async with DnsServer(WORLD, {"*": HOSTILE[behaviour]}) as hostile, DnsServer(WORLD) as honest:
        servers = [hostile.server, honest.server]
        (answer,) = await asked(servers, [("a.example", "TXT")], patience=0.3, retries=30)
    # Aliases that lead nowhere are an answer, and a wrong one.
    assert isinstance(answer, Found) or "CNAME" in words(answer)


@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        ("TC everywhere", Reason.SERVFAIL, "truncated"),
        ("A record of the name", Reason.SERVFAIL, "another name or type"),
        ("SOA of another zone", Reason.SERVFAIL, "isn't from the zone"),
        ("empty, neither RA nor AA", Reason.SERVFAIL, "isn't from the zone"),
        ("NXDOMAIN with records", Reason.SERVFAIL, "contradicts itself"),
        ("two aliases of one name", Reason.SERVFAIL, "contradicts itself"),
        ("referral to the root", Reason.REFUSED, "only refers"),
        ("extended error 15", Reason.REFUSED, "extended error 15"),
    ],
)
async def test_the_reason_is_said(behaviour: str, reason: Reason, said: str) -> None:
    async with DnsServer(WORLD, {"*": HOSTILE[behaviour]}) as server:
        (answer,) = await asked([server.server], [("a.example", "MX")])
    assert isinstance(answer, Failed)
    assert (answer.reason, said in words(answer)) == (reason, True)


# --- what healthy resolvers answer where there is nothing ---


def absence(rcode: str = "NOERROR", *, soa: str = "", flags: int = dns.flags.RA, alias: str = "") -> Reply:
    def reply(query: dns.message.Message, honest: dns.message.Message, transport: str) -> list[bytes]:
        message = dns.message.make_response(query)
        message.flags |= flags
        message.set_rcode(dns.rcode.from_text(rcode))
        name = query.question[0].name.to_text()
        if alias and name != alias:
            message.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", alias))
        if soa:
            message.authority.append(dns.rrset.from_text(soa, 60, "IN", "SOA", SOA))
        return [message.to_wire()]

    return reply


@pytest.mark.parametrize(
    ("reply", "nxdomain"),
    [
        pytest.param(absence(soa="example."), False, id="NODATA of unbound and BIND"),
        pytest.param(absence("NXDOMAIN", soa="example."), True, id="NXDOMAIN of unbound and BIND"),
        pytest.param(absence("NXDOMAIN", soa="."), True, id="NXDOMAIN of the root"),
        pytest.param(absence(soa="missing.example."), False, id="NODATA at the name of the zone"),
        pytest.param(absence(), False, id="NODATA of dnsmasq's cache: without SOA"),
        pytest.param(absence("NXDOMAIN"), True, id="NXDOMAIN of dnsmasq's cache: without SOA"),
        pytest.param(absence(flags=dns.flags.AA, soa="example."), False, id="NODATA of the zone's own server"),
        pytest.param(absence(flags=dns.flags.AA), False, id="NODATA of the zone's own server, without SOA"),
        pytest.param(absence(flags=0, soa="example."), False, id="NODATA of a cache that does not resolve"),
        pytest.param(absence(alias="other.test.", soa="test."), False, id="NODATA behind an alias"),
        pytest.param(absence("NXDOMAIN", alias="other.test.", soa="test."), True, id="NXDOMAIN behind an alias"),
    ],
)
async def test_what_is_missing_is_missing(reply: Reply, nxdomain: bool) -> None:
    async with DnsServer(WORLD, {"*": reply}) as server:
        (answer,) = await asked([server.server], [("missing.example", "TXT")])
        assert len(server.log) == 1
    assert isinstance(answer, Absent)
    assert answer.nxdomain is nxdomain


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(absence(alias="a.example."), id="nothing on the target"),
        pytest.param(absence("NXDOMAIN", alias="a.example."), id="NXDOMAIN without SOA"),
        pytest.param(absence("NXDOMAIN", alias="a.example.", soa="test."), id="NXDOMAIN of the alias' own zone"),
        pytest.param(absence(alias="a.example.", soa="test."), id="NODATA of the alias' own zone"),
        pytest.param(absence(alias="a.example.", flags=0), id="a server that does not resolve"),
    ],
)
async def test_behind_an_alias_the_target_is_asked_where_its_own_zone_does_not_say(reply: Reply) -> None:
    """Servers of the alias' zone do not know what the target has, and some say that it does not exist."""
    async with DnsServer(WORLD, {"alias.test": reply}) as server:
        (answer,) = await asked([server.server], [("alias.test", "TXT")])
    assert isinstance(answer, Found)
    assert (answer.values, answer.chain) == (("another", "v=spf1 -all"), ("a.example",))
    assert [name for name, _, _ in server.log] == ["alias.test", "a.example"]


async def test_another_case_in_the_answer_is_the_same_name() -> None:
    """As servers answer that keep the case of the question (draft-vixie-dnsext-dns0x20), and such that do not."""

    def reply(query: dns.message.Message, honest: dns.message.Message, transport: str) -> list[bytes]:
        return [honest.to_wire().replace(b"\x01a\x07example", b"\x01A\x07eXAMPle")]

    async with DnsServer(WORLD, {"*": reply}) as server:
        (answer,) = await asked([server.server], [("A.Example", "TXT")])
    assert isinstance(answer, Found)


@pytest.mark.parametrize("error", [1, 3, 19, 22])
async def test_extended_errors_of_an_answer_as_it_stands_change_nothing(error: int) -> None:
    def reply(query: dns.message.Message, honest: dns.message.Message, transport: str) -> list[bytes]:
        honest.use_edns(0, payload=1232, options=[dns.edns.EDEOption(error)])
        return [honest.to_wire()]

    async with DnsServer(WORLD, {"*": reply}) as server:
        found, missing = await asked([server.server], [("a.example", "TXT"), ("missing.example", "TXT")])
    assert isinstance(found, Found)
    assert isinstance(missing, Absent)
