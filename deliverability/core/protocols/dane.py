"""DANE for SMTP (RFC 7672): TLSA records (RFC 6698) of the MX hosts, and whether a certificate fits them."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.dnssec import Verdict, ZoneSigning, protection, zone_signing
from deliverability.core.protocols.mx import MAX_HOSTS, is_literal, mx_names
from deliverability.core.protocols.psl import known_registered_domain

MAX_ERRORS = 20
MAX_REACHED = 4
"""MX hosts whose addresses are validated."""

TLSA_ODD = Code("tlsa-odd", ("text",))
TLSA_UNUSABLE = Code("tlsa-unusable", ("text",))
TLSA_USAGE = Code("tlsa-usage")


class TlsaRecord(Struct, frozen=True):
    """One TLSA record (RFC 6698 section 2.1).

    Attributes:
        text: as published.
        usage: certificate usage; senders of mail take DANE-TA(2) and DANE-EE(3) (RFC 7672 section 3.1).
        selector: 0 for the certificate, 1 for its public key.
        matching: 0 for the octets themselves, 1 for their SHA-256, 2 for SHA-512.
        data: what is compared, in hexadecimal digits, lower case.
        problem: why senders of mail cannot use it; None where they can. Where the text is no TLSA record, the numbers
            are None as well.

    """

    text: str
    usage: int | None = None
    selector: int | None = None
    matching: int | None = None
    data: str = ""
    problem: Detail | None = None


class DaneHost(Struct, frozen=True):
    """An MX host with TLSA records for port 25.

    Attributes:
        host: its name.
        name: name of the TLSA records.
        records: all of them.
        zone: whether the host's zone is signed.
        verdict: what the validation of the records comes to.

    """

    host: str
    name: str
    records: tuple[TlsaRecord, ...]
    zone: ZoneSigning
    verdict: Verdict

    @property
    def signed(self) -> bool | Unknown:
        """DNSSEC protects the records; senders ignore them otherwise (RFC 7672 section 2.2)."""
        return self.verdict.protects

    @property
    def errors(self) -> tuple[Detail, ...]:
        """Why senders can use none of the records; empty with one that they can (RFC 7672 section 3.1.3)."""
        problems = tuple(each.problem for each in self.records if each.problem is not None)
        return problems[:MAX_ERRORS] if len(problems) == len(self.records) else ()

    @property
    def rollover(self) -> bool:
        """A change of certificates leaves no gap: two records for keys, or one for the key and one for its issuer."""
        usages = [each.usage for each in self.records if each.problem is None]
        return usages.count(3) > 1 or {2, 3} <= set(usages)


class Reached(Struct, frozen=True):
    """An MX host in a signed zone.

    Attributes:
        host: its name.
        rdtype: the type of the addresses that were validated.
        zone: what is known of its zone.
        verdict: what the validation comes to.

    """

    host: str
    rdtype: str
    zone: ZoneSigning
    verdict: Verdict


class DaneDiscovery(Struct, frozen=True):
    """What the MX hosts of a domain publish for DANE.

    Attributes:
        domain: A-label, lower case.
        hosts: those with TLSA records, most preferred first; Unknown where none were found and a look-up failed.
        uncovered: MX hosts without a usable one; Unknown where that could not be looked up for all.
        unchecked: MX hosts whose TLSA records could not be looked up; Unknown where the MX hosts could not.
        answers: the DNS answers for the MX hosts, then for the TLSA records of each.

    """

    domain: str
    hosts: tuple[DaneHost, ...] | Unknown
    uncovered: tuple[str, ...] | Unknown
    unchecked: tuple[str, ...] | Unknown
    answers: tuple[Answer, ...]


async def discover_dane(domain: str, resolver: Resolver, now: datetime | None = None) -> DaneDiscovery:
    """Find the TLSA records for mail to a domain (an A-label) and validate them. Never raises for what DNS can hold.

    Args:
        domain: the domain.
        resolver: answers, and gives the signatures where it can.
        now: the moment at which signatures must be valid; None: this one.

    """
    now = now or datetime.now(UTC)
    domain = domain.rstrip(".").lower()
    mx = await resolver.query(domain, "MX")
    if isinstance(mx, Failed):
        lost = unknown_from(mx)
        return DaneDiscovery(domain, lost, lost, lost, (mx,))
    names = [host for host in mx_names(mx) if not is_literal(host)][:MAX_HOSTS]
    # Where there is no TLSA record, `reached` asks for the delegation next: at once, it takes no round trip of its own.
    apexes = dict.fromkeys(known_registered_domain(host) for host in names[:MAX_REACHED] if not is_within(host, domain))
    answers, _ = await asyncio.gather(
        asyncio.gather(*(resolver.query(f"_25._tcp.{host}", "TLSA") for host in names)),
        asyncio.gather(*(resolver.query(apex, "DS") for apex in apexes if apex)),
    )
    asked = list(zip(names, answers, strict=True))
    hosts = await asyncio.gather(
        *(_host(host, answer, resolver, now) for host, answer in asked if isinstance(answer, Found))
    )
    failed = next((answer for answer in answers if isinstance(answer, Failed)), None)
    return DaneDiscovery(
        domain,
        unknown_from(failed) if failed and not hosts else tuple(hosts),
        _uncovered(asked, hosts),
        tuple(host for host, answer in asked if isinstance(answer, Failed)),
        (mx, *answers),
    )


def _uncovered(asked: Sequence[tuple[str, Answer]], hosts: Sequence[DaneHost]) -> tuple[str, ...] | Unknown:
    """The hosts that no usable, signed record covers; Unknown where that could not be looked up for each of them."""
    covered = {each.host: each.signed if not each.errors else False for each in hosts}
    bare = tuple(name for name, answer in asked if not isinstance(answer, Failed) and covered.get(name, False) is False)
    lost = next((unknown_from(answer) for _, answer in asked if isinstance(answer, Failed)), None)
    lost = lost or next((signed for signed in covered.values() if isinstance(signed, Unknown)), None)
    return lost or bare


async def reached(found: DaneDiscovery, own: ZoneSigning, resolver: Resolver, now: datetime) -> tuple[Reached, ...]:
    """Validate the addresses of the MX hosts without TLSA records: no sender that validates gets there without them.

    That a zone is signed shows at its registered domain, one question for hosts of another owner. A zone below one that
    is not signed has no chain, whatever it says.

    Args:
        found: what the MX hosts publish for DANE.
        own: what is known of the zone of the domain.
        resolver: answers, and gives the signatures.
        now: the moment at which signatures must be valid.

    """
    covered = () if isinstance(found.hosts, Unknown) else {each.host for each in found.hosts}
    hosts = [each for each in mx_names(found.answers[0]) if not is_literal(each) and each not in covered]
    checked = await asyncio.gather(*(_reach(host, found.domain, own, resolver, now) for host in hosts[:MAX_REACHED]))
    return tuple(each for each in checked if each is not None)


async def _reach(host: str, domain: str, own: ZoneSigning, resolver: Resolver, now: datetime) -> Reached | None:
    """None where nothing is signed, or nobody could tell."""
    zone = own
    if not is_within(host, domain):
        apex = known_registered_domain(host)
        delegation = await resolver.query(apex, "DS") if apex else None
        if not isinstance(delegation, Found):
            return None
        zone = ZoneSigning(True, (delegation,), (delegation,))
    if zone.signed is not True:
        return None
    answer = await resolver.query(host, "A")
    rdtype = "AAAA" if isinstance(answer, Absent) else "A"
    return Reached(host, rdtype, zone, await protection(host, rdtype, zone, resolver, now))


async def _host(host: str, answer: Found, resolver: Resolver, now: datetime) -> DaneHost:
    zone = await zone_signing(host, resolver)
    verdict = await protection(answer.name, "TLSA", zone, resolver, now)
    return DaneHost(host, answer.name, tuple(map(parse_tlsa, answer.values)), zone, verdict)


def parse_tlsa(text: str) -> TlsaRecord:
    """Read a TLSA record. Never raises."""
    parts = text.split()
    if len(parts) < 4 or not all(re.fullmatch("[0-9]{1,3}", part) for part in parts[:3]):
        return TlsaRecord(text, problem=TLSA_ODD(text=text[:60]))
    usage, selector, matching = (int(part) for part in parts[:3])
    data = "".join(parts[3:]).lower()
    expected = {1: 32, 2: 64}.get(matching, len(data) // 2)
    usable = usage in (2, 3) and selector in (0, 1) and matching in (0, 1, 2) and expected == len(data) // 2
    problem = None if usable else TLSA_UNUSABLE(text=" ".join(parts)[:60])
    return TlsaRecord(text, usage, selector, matching, data, problem)


def verify_dane(certificate: bytes, records: Iterable[TlsaRecord]) -> bool | Unknown:
    """Whether one of the TLSA records fits a server's own certificate in DER (RFC 7672 section 3.1). Never raises.

    DANE-EE(3) is compared with it. DANE-TA(2) may mean an authority above it, which is not at hand: Unknown.
    """
    above = False
    for record in records:
        if record.usage not in (2, 3):
            continue
        octets = _selected(certificate, record.selector)
        digest = _matched(octets, record.matching) if octets is not None else None
        if digest is None:
            continue
        if digest.hex() == record.data:
            return True
        above = above or record.usage == 2
    if above:
        return Unknown(Reason.LIMIT, TLSA_USAGE())
    return False


def _selected(certificate: bytes, selector: int | None) -> bytes | None:
    """What a record is about: the certificate or its SubjectPublicKeyInfo (RFC 6698 section 2.1.2)."""
    if selector == 0:
        return certificate
    return _public_key(certificate) if selector == 1 else None


def _matched(octets: bytes, matching: int | None) -> bytes | None:
    """What a record holds of it (RFC 6698 section 2.1.3)."""
    if matching == 0:
        return octets
    name = {1: "sha256", 2: "sha512"}.get(matching or 0)
    return hashlib.new(name, octets).digest() if name else None


def _public_key(certificate: bytes) -> bytes | None:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None
