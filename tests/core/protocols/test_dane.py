"""DANE for SMTP (RFC 7672) by itself: TLSA records, the zones they stand in, and certificates."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deliverability import discover_dane, verify_dane
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Answer, Found
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols import validation
from deliverability.core.protocols.dane import TLSA_ODD, TLSA_UNUSABLE, TLSA_USAGE, parse_tlsa
from deliverability.core.protocols.dnssec import State, zone_signing
from tests.signedzones import Plan, mail_world, moment

SOA = ["ns.example.com h.example.com 1 2 3 4 5"]
TLSA = "3 1 1 " + "ab" * 32
ZONE: dict[tuple[str, str], Any] = {
    ("example.com", "MX"): ["10 mx.example.net", "20 plain.example.net", "30 192.0.2.7"],
    ("_25._tcp.mx.example.net", "TLSA"): [TLSA],
    ("plain.example.net", "A"): ["192.0.2.1"],
    ("example.net", "SOA"): SOA,
    ("example.net", "DS"): ["1 13 2 ab"],
}


@pytest.fixture(scope="module")
def certificate() -> tuple[bytes, bytes]:
    """A certificate and its public key, both as DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.example.net")])
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(begin).not_valid_after(begin + timedelta(days=30))
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER), spki


# --- from a program's view -----------------------------------------------------------------------------------------


async def test_hosts_with_tlsa_records_in_a_signed_zone(
    certificate: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    der, spki = certificate
    record = f"3 1 1 {hashlib.sha256(spki).hexdigest()}"
    world = mail_world(
        Plan(records=("@ MX 20 plain.example.net.",)), host=Plan(records=(f"_25._tcp.mx TLSA {record}",))
    )
    monkeypatch.setattr(validation, "root_anchors", lambda: world.anchors)
    found = await discover_dane("Example.COM.", world, moment())
    assert (found.domain, found.unchecked) == ("example.com", ())
    assert not isinstance(found.hosts, Unknown)
    (host,) = found.hosts
    assert (host.host, host.name, host.signed, host.errors) == ("mx.example.net", "_25._tcp.mx.example.net", True, ())
    assert verify_dane(der, host.records) is True
    assert [(answer.rdtype, answer.name) for answer in found.answers] == [
        ("MX", "example.com"),
        ("TLSA", "_25._tcp.mx.example.net"),
        ("TLSA", "_25._tcp.plain.example.net"),
    ]


async def test_a_domain_without_dane() -> None:
    found = await discover_dane("example.com", StaticResolver({("example.com", "MX"): ["0 ."]}))
    assert (found.hosts, found.unchecked) == ((), ())


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failed_look_up_is_never_taken_for_absence(fault: str) -> None:
    lost = await discover_dane("example.com", StaticResolver({("example.com", "MX"): fault}))
    assert isinstance(lost.hosts, Unknown)
    assert isinstance(lost.unchecked, Unknown)
    lost = await discover_dane("example.com", StaticResolver(ZONE | {("_25._tcp.mx.example.net", "TLSA"): fault}))
    assert isinstance(lost.hosts, Unknown)
    assert lost.hosts.reason is Reason(fault)
    assert lost.unchecked == ("mx.example.net",)
    found = await discover_dane("example.com", StaticResolver(ZONE | {("_25._tcp.plain.example.net", "TLSA"): fault}))
    assert not isinstance(found.hosts, Unknown)
    assert ([each.host for each in found.hosts], found.unchecked) == (["mx.example.net"], ("plain.example.net",))


class Validating(StaticResolver):
    async def query(self, name: str, rdtype: str) -> Answer:
        answer = await super().query(name, rdtype)
        if isinstance(answer, Found) and rdtype == "TLSA":
            return Found(answer.name, rdtype, answer.values, authenticated=True)
        return answer


async def test_a_resolver_that_says_it_validated_is_not_believed() -> None:
    found = await discover_dane("example.com", Validating(ZONE | {("example.net", "DS"): []}))
    assert not isinstance(found.hosts, Unknown)
    assert [(host.signed, host.verdict.state) for host in found.hosts] == [(False, State.INSECURE)]


async def test_without_signatures_at_hand_it_is_open_whether_they_protect() -> None:
    found = await discover_dane("example.com", StaticResolver(ZONE))
    assert not isinstance(found.hosts, Unknown)
    assert [host.verdict.state for host in found.hosts] == [State.INDETERMINATE]
    assert isinstance(found.hosts[0].signed, Unknown)


@pytest.mark.parametrize(
    ("host", "state"),
    [
        (Plan(), State.SECURE),
        (Plan(deny="nsec3"), State.SECURE),
        (Plan(ds="none"), State.INSECURE),
        (Plan(signed=False, ds="none"), State.INSECURE),
        (Plan(ds="unknown-algorithm"), State.INSECURE),
        (Plan(ds="wrong"), State.BOGUS),
        (Plan(window=(-30, -10)), State.BOGUS),
        (Plan(corrupt=(("_25._tcp.mx", "TLSA"),)), State.BOGUS),
        (Plan(strip=(("_25._tcp.mx", "TLSA"),)), State.BOGUS),
    ],
)
@pytest.mark.long
async def test_tlsa_records_count_where_their_signatures_are_valid_from_the_root_on(
    host: Plan, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = mail_world(Plan(), host=host)
    monkeypatch.setattr(validation, "root_anchors", lambda: world.anchors)
    found = await discover_dane("example.com", world, moment())
    assert not isinstance(found.hosts, Unknown)
    assert [(each.verdict.state, each.signed) for each in found.hosts] == [(state, state is State.SECURE)]


async def test_nobody_asks_for_signatures_where_nothing_is_signed() -> None:
    world = mail_world(Plan(signed=False, ds="none"), host=Plan(signed=False, ds="none"))
    found = await discover_dane("example.com", world, moment())
    assert not isinstance(found.hosts, Unknown)
    assert world.asked == []


# --- zones ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "signed", "proof"),
    [
        ({("example.com", "SOA"): SOA, ("example.com", "DS"): ["1 13 2 ab"]}, True, "example.com"),
        ({("example.com", "SOA"): SOA}, False, "example.com"),
        ({("example.com", "SOA"): SOA, ("example.com", "DS"): "timeout"}, Unknown, "example.com"),
        ({("mx.example.com", "SOA"): "servfail", ("example.com", "DS"): ["1 13 2 ab"]}, Unknown, "mx.example.com"),
        ({}, False, "mx.example.com"),
    ],
)
async def test_a_zone_is_signed_where_its_parent_says_so(
    records: dict[tuple[str, str], Any], signed: Any, proof: str
) -> None:
    zone = await zone_signing("mx.example.com", StaticResolver(records))
    assert (type(zone.signed) if isinstance(zone.signed, Unknown) else zone.signed) == signed
    assert zone.proof[0].name == proof
    assert set(zone.proof) <= set(zone.answers)


# --- records and certificates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "usable"),
    [
        (TLSA, True),
        ("2 0 2 " + "ab" * 64, True),
        ("3 1 0 abcdef", True),
        ("3 1 1 " + "ab" * 20 + " " + "ab" * 12, True),
        # Certificate usages of the web do not count for mail (RFC 7672 section 3.1.3).
        ("1 1 1 " + "ab" * 32, False),
        ("3 1 1 abcd", False),
        ("3 2 1 " + "ab" * 32, False),
    ],
)
def test_records(record: str, usable: bool) -> None:
    found = parse_tlsa(record)
    assert found.problem == (None if usable else TLSA_UNUSABLE(text=record[:60]))
    assert (found.usage, found.selector, found.matching) == tuple(map(int, record.split()[:3]))


@pytest.mark.parametrize("record", ["nonsense", "", "3 1 " + "1" * 5000 + " " + "ab" * 32, "a b c d"])
def test_what_is_no_tlsa_record(record: str) -> None:
    found = parse_tlsa(record)
    assert found.problem == TLSA_ODD(text=record[:60])
    assert (found.usage, found.selector, found.matching, found.data) == (None, None, None, "")


@pytest.mark.parametrize(
    ("records", "errors"), [([TLSA, "0 0 1 ab"], ()), (["0 0 1 ab"], (TLSA_UNUSABLE(text="0 0 1 ab"),))]
)
async def test_one_usable_record_is_enough(records: list[str], errors: tuple[Any, ...]) -> None:
    found = await discover_dane("example.com", StaticResolver(ZONE | {("_25._tcp.mx.example.net", "TLSA"): records}))
    assert not isinstance(found.hosts, Unknown)
    assert [host.errors for host in found.hosts] == [errors]


def test_a_certificate_against_records(certificate: tuple[bytes, bytes]) -> None:
    der, spki = certificate

    def verified(*records: str) -> bool | Unknown:
        return verify_dane(der, map(parse_tlsa, records))

    assert verified(f"3 1 1 {hashlib.sha256(spki).hexdigest().upper()}") is True
    assert verified(f"3 1 2 {hashlib.sha512(spki).hexdigest()}") is True
    assert verified(f"3 0 0 {der.hex()}") is True
    assert verified("3 1 1 " + "00" * 32) is False
    assert verified("3 1 1 " + "00" * 32, f"3 0 1 {hashlib.sha256(der).hexdigest()}") is True
    assert verified("2 1 1 " + "00" * 32) == Unknown(Reason.LIMIT, TLSA_USAGE()), "it may be an authority above"
    assert verified("", "a b c d", "3 9 9 00", "1 1 1 00") is False
    assert verified() is False


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x00" * 1000])
def test_certificates_that_cannot_be_read_fit_nothing(der: bytes) -> None:
    assert verify_dane(der, [parse_tlsa("3 1 1 " + "00" * 32)]) is False
