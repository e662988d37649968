"""DNSSEC is validated, not believed: the states of zones with all kinds of faults, with unbound as the measure."""

from __future__ import annotations

import functools
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.codes import ASKED, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Failed, Signed
from deliverability.core.protocols.dnssec import DELEGATED, State, Verdict
from deliverability.core.protocols.validation import (
    EXPIRED,
    NO_KEY,
    NO_PROOF,
    NOT_YET,
    UNKNOWN_ALGORITHM,
    UNSIGNED,
    WRONG,
    Validator,
    root_anchors,
)
from tests.browser import require
from tests.sampled import sampled
from tests.signedzones import Plan, Serving, World, Zone, moment

pytestmark = pytest.mark.long

TABLE = yaml.safe_load((Path(__file__).parent / "validation.yaml").read_text("utf-8"))
QUESTIONS: dict[str, tuple[str, str]] = {key: tuple(value) for key, value in TABLE["questions"].items()}
ZONES: dict[str, dict[str, Any]] = TABLE["zones"]


def name_of(zone: str) -> str:
    return f"{zone}.{name_of(ZONES[zone]['below']) if 'below' in ZONES[zone] else 'example'}"


def planned(given: dict[str, Any]) -> Plan:
    """A plan of the table: lists are tuples in it."""

    def fixed(value: Any) -> Any:
        return tuple(map(fixed, value)) if isinstance(value, list) else value

    return Plan(**{key: fixed(value) for key, value in given.items()})


@functools.cache
def world() -> World:
    zones = [Zone(".", usual=False), Zone("example", usual=False)]
    for key, row in ZONES.items():
        zones.append(Zone(name_of(key), planned(row["plan"])))
        unsigned = Plan(signed=False, ds="none", records=("host A 192.0.2.9",))
        zones.append(Zone(f"sub.{name_of(key)}", unsigned, usual=False))
    return World(zones)


CASES = [
    (zone, question, State(row.get(question, row["all"]))) for zone, row in ZONES.items() for question in QUESTIONS
]


def asked(zone: str, question: str) -> tuple[str, str]:
    label, rdtype = QUESTIONS[question]
    return f"{label}.{name_of(zone)}".lstrip("."), rdtype


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 200
    assert {state for _, _, state in CASES} == {State.SECURE, State.INSECURE, State.BOGUS}


@pytest.mark.parametrize("zone", sampled([*ZONES], 5))
async def test_states(zone: str) -> None:
    for _, question, state in (each for each in CASES if each[0] == zone):
        found = await Validator(world().signed, moment(), world().anchors).verdict(*asked(zone, question))
        assert found.state is state, (question, found.why)
        assert (found.why is None) == (state is State.SECURE)


# --- other things that happen --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing",
    [(".", "DNSKEY"), ("example", "DS"), ("good-nsec.example", "DNSKEY"), ("good-nsec.example", "MX")],
)
async def test_a_question_that_nobody_answers_leaves_it_open(failing: tuple[str, str]) -> None:
    async def ask(name: str, rdtype: str) -> Signed | Failed:
        if (name, rdtype) == failing:
            return Failed(name, rdtype, Reason.TIMEOUT)
        return await world().signed(name, rdtype)

    found = await Validator(ask, moment(), world().anchors).verdict("good-nsec.example", "MX")
    assert found.state is State.INDETERMINATE
    assert found.why == ASKED(type=failing[1], name=failing[0])
    assert found.protects == Unknown(Reason.TIMEOUT, found.why)


@pytest.mark.parametrize("octets", [b"", b"\0" * 11, b"\xff" * 40])
async def test_octets_that_are_no_reply_leave_it_open(octets: bytes) -> None:
    async def ask(name: str, rdtype: str) -> Signed | Failed:
        return Signed(name, rdtype, octets)

    found = await Validator(ask, moment(), world().anchors).verdict("good-nsec.example", "MX")
    assert found.state is State.INDETERMINATE


@given(st.integers(0, 10_000), st.integers(0, 255))
async def test_no_damaged_reply_is_secure_for_the_wrong_reason_or_raises(place: int, octet: int) -> None:
    """Whatever octet of the reply with the records is another, they are not secure unless they are the same."""
    whole = (await world().signed("good-nsec.example", "MX")).octets  # type: ignore[union-attr]
    damaged = bytearray(whole)
    damaged[place % len(whole)] = octet

    async def ask(name: str, rdtype: str) -> Signed | Failed:
        return Signed(name, rdtype, bytes(damaged)) if rdtype == "MX" else await world().signed(name, rdtype)

    found = await Validator(ask, moment(), world().anchors).verdict("good-nsec.example", "MX")
    if found.state is State.SECURE:
        (there,) = (
            each
            for each in dns.message.from_wire(bytes(damaged), ignore_trailing=True).answer
            if each.rdtype == dns.rdatatype.MX
        )
        (real,) = (each for each in dns.message.from_wire(whole).answer if each.rdtype == dns.rdatatype.MX)
        assert there == real


async def test_the_clock_decides() -> None:
    brief = World([Zone(".", Plan(window=(-99, 99)), usual=False), Zone("example", Plan(window=(-10, 20)))])
    for days, state in ((0, State.SECURE), (21, State.BOGUS), (-11, State.BOGUS)):
        found = await Validator(brief.signed, moment(days), brief.anchors).verdict("example", "MX")
        assert found.state is state


async def test_what_is_wrong_is_told_with_name_type_and_day() -> None:
    async def why(zone: str, question: str) -> Detail | None:
        return (await Validator(world().signed, moment(), world().anchors).verdict(*asked(zone, question))).why

    assert await why("late", "mx") == EXPIRED(name="late.example", type="DNSKEY", day=moment(-10).date().isoformat())
    assert await why("early", "mx") == NOT_YET(name="early.example", type="DNSKEY", day=moment(5).date().isoformat())
    assert await why("ds-wrong", "mx") == NO_KEY(zone="ds-wrong.example")
    assert await why("mx-damaged", "mx") == WRONG(name="mx-damaged.example", type="MX")
    assert await why("mx-unsigned", "mx") == UNSIGNED(name="mx-unsigned.example", type="MX")
    assert await why("no-denial", "nodata") == UNSIGNED(name="mail.no-denial.example", type="DS")
    assert await why("denial-of-other", "nodata") == NO_PROOF(name="mail.denial-of-other.example", type="TXT")
    assert await why("unknown-algorithm", "mx") == UNKNOWN_ALGORITHM(zone="unknown-algorithm.example")
    assert await why("unsigned", "mx") == DELEGATED(zone="unsigned.example")


async def test_a_root_with_other_keys_than_ours_accuses_nobody() -> None:
    """Our file may be old, or somebody runs a root of his own."""
    found = await Validator(world().signed, moment()).verdict("good-nsec.example", "MX")
    assert found == Verdict(State.INDETERMINATE, NO_KEY(zone="."), Reason.SERVFAIL)


async def test_a_resolver_that_hands_out_no_signatures_accuses_nobody() -> None:
    async def ask(name: str, rdtype: str) -> Signed | Failed:
        reply = world().reply(dns.message.make_query(name, rdtype))
        reply.answer = [each for each in reply.answer if each.rdtype != dns.rdatatype.RRSIG]
        reply.authority = [each for each in reply.authority if each.rdtype == dns.rdatatype.SOA]
        return Signed(name, rdtype, reply.to_wire())

    for zone in ("good-nsec", "unsigned"):
        found = await Validator(ask, moment(), world().anchors).verdict(f"{zone}.example", "MX")
        assert found == Verdict(State.INDETERMINATE, UNSIGNED(name=".", type="DNSKEY"), Reason.SERVFAIL)


async def test_a_wrong_clock_of_ours_accuses_nobody() -> None:
    found = await Validator(world().signed, moment(-4000), world().anchors).verdict("good-nsec.example", "MX")
    assert found.state is State.INDETERMINATE


def test_both_keys_of_the_root_are_anchors() -> None:
    assert sorted(each.key_tag for each in root_anchors()) == [20326, 38696]


async def test_a_zone_with_very_many_signatures_costs_no_more_than_any() -> None:
    """CVE-2023-50387: many keys of one tag times many signatures."""
    asked_for = await world().signed("good-nsec.example", "MX")
    assert isinstance(asked_for, Signed)
    message = dns.message.from_wire(asked_for.octets)
    signatures = next(each for each in message.answer if each.rdtype == dns.rdatatype.RRSIG)
    good = signatures[0]
    signatures.clear()
    for number in range(400):
        signatures.add(good.replace(signature=number.to_bytes(64)))

    async def ask(name: str, rdtype: str) -> Signed | Failed:
        octets = message.to_wire(max_size=65535) if rdtype == "MX" else None
        return Signed(name, rdtype, octets) if octets else await world().signed(name, rdtype)

    checked = 0
    real = dns.dnssec.validate_rrsig

    def counted(*args: Any, **named: Any) -> None:
        nonlocal checked
        checked += 1
        real(*args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dns.dnssec, "validate_rrsig", counted)
        found = await Validator(ask, moment(), world().anchors).verdict("good-nsec.example", "MX")
    assert found.state in (State.BOGUS, State.INDETERMINATE)
    assert checked < 20


# --- unbound as the measure ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """unbound on loopback, which asks our server and trusts our root; its port."""
    found = shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin")
    program = require(found, "unbound (Debian: apt-get install unbound)")
    folder = tmp_path_factory.mktemp("unbound")
    with Serving(world()) as serving, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        anchors = "".join(f'    trust-anchor: ". DS {ds.to_text()}"\n' for ds in world().anchors)
        (folder / "unbound.conf").write_text(
            f"""server:
    interface: 127.0.0.1
    port: {port}
    directory: "{folder}"
    pidfile: "{folder}/pid"
    chroot: ""
    username: ""
    use-syslog: no
    logfile: ""
    do-daemonize: no
    do-ip6: no
    do-not-query-localhost: no
    module-config: "validator iterator"
    qname-minimisation: no
    aggressive-nsec: no
    minimal-responses: no
    outbound-msg-retry: 3
{anchors}
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{serving.port}
"""
        )
        process = subprocess.Popen([program, "-c", str(folder / "unbound.conf")], stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(600)


def _wait_for(port: int) -> None:
    for _ in range(6000):
        try:
            dns.query.udp(dns.message.make_query("example", "SOA"), "127.0.0.1", timeout=0.5, port=port)
        except (dns.exception.Timeout, OSError):
            time.sleep(0.1)
        else:
            return
    pytest.fail("unbound does not answer")


def by_unbound(port: int, name: str, rdtype: str) -> State:
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    reply, _ = dns.query.udp_with_fallback(query, "127.0.0.1", timeout=60, port=port)
    if reply.rcode() == dns.rcode.SERVFAIL:
        unchecked = dns.message.make_query(name, rdtype, want_dnssec=True)
        unchecked.flags |= dns.flags.CD
        reply, _ = dns.query.udp_with_fallback(unchecked, "127.0.0.1", timeout=60, port=port)
        assert reply.rcode() != dns.rcode.SERVFAIL, "our server failed, not validation"
        return State.BOGUS
    return State.SECURE if reply.flags & dns.flags.AD else State.INSECURE


OTHERWISE = {
    # RFC 4509 section 3: SHA-1 should not count beside SHA-256; unbound takes whatever fits.
    "ds-sha1-of-no-use": QUESTIONS,
    # Asked for the keys themselves, unbound lets a revoked key sign itself; with all else it agrees.
    "revoked": ("keys",),
}
"""Cases that unbound sees otherwise."""


@pytest.mark.system
@pytest.mark.slow
def test_unbound_comes_to_the_same_states(unbound: int) -> None:
    found = {
        (zone, question): (state, theirs)
        for zone, question, state in CASES
        if question not in OTHERWISE.get(zone, ()) and (theirs := by_unbound(unbound, *asked(zone, question))) != state
    }
    assert found == {}
