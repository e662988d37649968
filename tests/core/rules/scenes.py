"""Whole domains and mails that profiles are held against: what meets clauses, what does not, and what tells nothing.

Every answer comes from a table: no network is asked.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import FactSet, KeySeen, Purpose, Reason
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.model.deliveries import ValueDay
from deliverability.core.model.observed import Segment
from deliverability.core.net.base import Answer, Failed, Fetched, Found, MailHost, Page, Probed, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.net.static import Records, StaticResolver
from deliverability.engine.audit import gather_facts
from tests.deliveries.test_facts import END, NOTHING, day, rates
from tests.facts_of import NOW
from tests.lists.test_facts import sums
from tests.signing import ed25519_key, published, rsa_key, sign

IP = "192.0.2.25"
Zone = Mapping[tuple[str, str], Records]


@cache
def certificate() -> bytes:
    """A certificate of the mail host, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx.example.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    made = made.not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=365))
    return made.sign(key, SHA256()).public_bytes(Encoding.DER)


FITTING = f"3 0 1 {hashlib.sha256(certificate()).hexdigest()}"
OTHER = f"3 1 1 {'ab' * 32}"

HOSTS: Zone = {
    ("example.com", "SOA"): ["ns1.example.com. hostmaster.example.com. 1 7200 3600 1209600 3600"],
    ("example.com", "NS"): ["ns1.example.com", "ns2.example.com"],
    ("mail.example.com", "A"): [IP],
    ("mx.example.com", "A"): ["192.0.2.26"],
    ("example.com", "MX"): ["10 mx.example.com"],
}
GOOD: Zone = {
    **HOSTS,
    ("example.com", "DS"): ["1 13 2 " + "ab" * 32],
    ("mx.example.com", "AAAA"): ["2001:db8::26"],
    ("example.com", "TXT"): [f"v=spf1 ip4:{IP} -all"],
    ("s1._domainkey.example.com", "TXT"): [published(rsa_key(2048))],
    ("s2._domainkey.example.com", "TXT"): [published(ed25519_key())],
    ("_dmarc.example.com", "TXT"): [
        "v=DMARC1; p=reject; rua=mailto:d@example.com,mailto:reports@dmarc.cyber.dhs.gov; ruf=mailto:f@example.com"
    ],
    ("example.com._report._dmarc.dmarc.cyber.dhs.gov", "TXT"): ["v=DMARC1"],
    ("dmarc.cyber.dhs.gov", "MX"): ["10 mx.dmarc.cyber.dhs.gov"],
    ("_mta-sts.example.com", "TXT"): ["v=STSv1; id=20260101"],
    ("_smtp._tls.example.com", "TXT"): ["v=TLSRPTv1; rua=mailto:t@example.com"],
    ("_25._tcp.mx.example.com", "TLSA"): [FITTING, OTHER],
    ("default._bimi.example.com", "TXT"): ["v=BIMI1; l=https://example.com/logo.svg"],
    ("25.2.0.192.in-addr.arpa", "PTR"): ["mail.example.com"],
}
BAD: Zone = {
    **HOSTS,
    ("example.com", "TXT"): [f"v=spf1 ip4:{IP} include:gone.example.net +all", "v=spf1 -all"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; sp=none; pct=50; rua=d@example.com"],
    ("_25._tcp.mx.example.com", "TLSA"): [OTHER],
}
"""Records that are there and wrong."""
BARE: Zone = HOSTS
"""No record for sending at all."""
PARKED: Zone = {
    **{key: value for key, value in HOSTS.items() if key[1] in ("SOA", "NS")},
    ("example.com", "MX"): ["0 ."],
    ("example.com", "TXT"): ["v=spf1 -all"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@example.net"],
    ("example.com._report._dmarc.example.net", "TXT"): ["v=DMARC1"],
    ("example.net", "MX"): ["10 mx.example.net"],
}
OPEN: Zone = {**HOSTS, ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:d@gone.example.net"]}
"""A parked domain that anybody may pass as."""

HEAD = """X-SG-EID: abc
From: Example Shop <news@example.com>
To: reader@example.net
Subject: October
Date: Tue, 24 Nov 2026 09:00:00 +0000
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: {kind}; charset=utf-8
Content-Transfer-Encoding: 8bit
"""
BULK = """List-Unsubscribe: <https://example.com/u?1>, <mailto:u@example.com>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
"""
RECEIVED = (
    "Return-Path: <bounce@example.com>\r\nReceived: from mail.example.com (mail.example.com [192.0.2.25])"
    " by mx.example.net with ESMTPS (version=TLSv1.3) for <reader@example.net>; Tue, 24 Nov 2026 09:00:01 +0000\r\n"
)
PLAIN_RECEIVED = RECEIVED.replace("ESMTPS (version=TLSv1.3)", "SMTP").replace("192.0.2.25", "192.0.2.99")
FOOT = """<p>Great offers <a href="https://example.com/x">Shop now</a></p>
<p>Example Shop Inc., 345 Park Avenue, San Jose, CA 95110. Phone: +1 408 555 0123. Questions: help@example.com
<a href="https://example.com/u?1">Unsubscribe</a></p>"""
NO_FOOT = "<p>Great offers for every reader of ours in this month, and more of them to come in the next one.</p>"


def mail(body: str, *, kind: str = "text/html", bulk: bool = True, signed: bool = True, head: str = HEAD) -> bytes:
    """A mail as its receiver has it."""
    text = f"{head.format(kind=kind)}{BULK if bulk else ''}\n{body}\n".replace("\r\n", "\n").replace("\n", "\r\n")
    octets = text.encode()
    if not signed:
        return PLAIN_RECEIVED.encode() + octets
    octets = sign(octets, rsa_key(2048), selector="s1")
    octets = sign(octets, ed25519_key(), selector="s2")
    return RECEIVED.encode() + octets


FREE = HEAD.replace("news@example.com", "shop@gmail.com")
NAMELESS = HEAD.replace("Example Shop <news@example.com>", "news@example.com")
TWICE = HEAD.replace("To:", "From: other@example.com\nTo:")


class Scene(Struct, frozen=True):
    """A domain, a mail of it, and what the user allowed and said."""

    zone: Zone
    message: bytes | None = None
    purpose: Purpose | None = None
    tls: str | None = "TLSv1.3"
    policy: str = "enforce"
    rate: float | None = None
    """Spam rate at Gmail and share of complaints at Yahoo, percent; Gmail says of a high one that nobody is let go."""
    undeliverable: int | None = None
    """Entries of the list of recipients that no mail can reach; None: it was never checked."""
    subject: Subject = Subject("example.com")
    allowed: bool = True
    failing: bool = False
    envelope: SmtpEnvelope | None = None
    wildcard: bool = False

    async def facts(self) -> FactSet:
        """All facts of it."""
        dns: Resolver = _Failing() if self.failing else _Wildcard(self.zone, self.wildcard)
        permissions = Permissions(fetch=self.allowed, probe_smtp=self.allowed)
        ports = Ports(dns, FixedClock(NOW), _Web(self.policy), _Hosts(self.tls), permissions)
        sample = None if self.message is None else Sample("mail.eml", data=self.message, envelope=self.envelope)
        subject = replace(self.subject, sample=sample, purpose=self.purpose)
        if self.rate is not None:
            honored = 0.0 if self.rate < 0.3 else 1.0
            told = ValueDay(END, "example.com", "compliance:honor-unsubscribe", honored, honored)
            yahoo = day("yahoo", delivered=10_000, complaints=round(100 * self.rate))
            seen = replace(NOTHING, gmail=(*rates(self.rate), told), days=(yahoo,))
            subject = replace(subject, deliveries=seen)
        if self.undeliverable is not None:
            segments = dict.fromkeys(Segment, 0) | {Segment.GOOD: 100, Segment.TAKES_NO_MAIL: self.undeliverable}
            subject = replace(subject, list_sums=replace(sums(), segments=segments))
        return (await gather_facts(subject, ports)).facts


class _Wildcard(StaticResolver):
    """A zone in which every key is an empty one, where that is wanted."""

    def __init__(self, zone: Zone, wildcard: bool) -> None:
        super().__init__(zone)
        self.wildcard = wildcard

    async def query(self, name: str, rdtype: str) -> Answer:
        if self.wildcard and rdtype == "TXT" and name.endswith("._domainkey.example.com"):
            return Found(name, rdtype, ("v=DKIM1; p=",), 300, server="static")
        return await super().query(name, rdtype)


class _Failing:
    """Name servers that do not answer."""

    async def query(self, name: str, rdtype: str) -> Answer:
        return Failed(name, rdtype, Reason.SERVFAIL, server="static")

    async def close(self) -> None:
        """Nothing to release."""


class _Web(Struct, frozen=True):
    policy: str

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        if "mta-sts" not in url:
            return Page(url, 404, "text/plain", b"")
        text = f"version: STSv1\r\nmode: {self.policy}\r\nmx: mx.example.com\r\nmax_age: 604800\r\n"
        return Page(url, 200, "text/plain", text.encode())

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        raise AssertionError(url)


class _Hosts(Struct, frozen=True):
    tls: str | None

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        if self.tls is None:
            return MailHost(host, "192.0.2.26", reachable=True, greeting="220", starttls=False)
        valid = self.tls != "TLSv1.0"
        return MailHost(
            *(host, "192.0.2.26", True, "220", True, self.tls, "", certificate()),
            certificate_problem="" if valid else "expired",
        )


SOFT: Zone = {**GOOD, ("example.com", "TXT"): [f"v=spf1 ip4:{IP} ~all"]}
HTTPS_REPORTS: Zone = {
    **BAD,
    ("_smtp._tls.example.com", "TXT"): ["v=TLSRPTv1; rua=https://example.com/t"],
    ("example.com", "TXT"): ["v=spf1 ip4:192.0.2.99 ?all"],
    ("s1._domainkey.example.com", "TXT"): [published(rsa_key(768))],
}
ASIDE: Zone = {
    **GOOD,
    ("example.com", "TXT"): ["v=spf1 ip4:192.0.2.7 -all"],
    ("s1._domainkey.example.com", "TXT"): [published(rsa_key(1024))],
    ("s2._domainkey.example.com", "TXT"): ["v=DMARC1; not a key"],
    ("mx.example.com", "AAAA"): ["::ffff:192.0.2.26"],
}
MAIL_CHECK: Zone = {
    **GOOD,
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:dmarc-rua@dmarc.service.gov.uk"],
    ("example.com._report._dmarc.dmarc.service.gov.uk", "TXT"): ["v=DMARC1"],
}


def keys_since(first: str) -> Subject:
    """The domain, whose keys weekly runs have seen from that day on."""
    keys = {"s1": published(rsa_key(2048)), "s2": published(ed25519_key())}
    seen = [
        KeySeen("example.com", name, hashlib.sha256(b64decode(record.split("p=")[1])).hexdigest(), first, first)
        for name, record in keys.items()
    ]
    return Subject("example.com", keys_seen=tuple(seen))


KEYS_OF_AUTUMN, KEYS_OF_LAST_YEAR = keys_since("2026-10-01T00:00:00Z"), keys_since("2025-10-01T00:00:00Z")
SCENES: Mapping[str, Scene] = {
    "good": Scene(GOOD, mail(FOOT), Purpose.BULK, rate=0.02, undeliverable=0, subject=KEYS_OF_AUTUMN),
    "soft": Scene(SOFT, mail(FOOT), Purpose.BULK),
    "bad": Scene(
        *(BAD, mail(NO_FOOT, bulk=False, signed=False, head=FREE), Purpose.BULK, None),
        rate=0.5,
        undeliverable=7,
    ),
    "weak": Scene(HTTPS_REPORTS, mail(NO_FOOT, bulk=False, head=NAMELESS), Purpose.BULK, tls="TLSv1.0", policy="none"),
    "bare": Scene(
        BARE,
        mail('<a href="http://example.com/">x</a>' + NO_FOOT, signed=False),
        Purpose.BULK,
        tls="TLSv1.1",
        subject=Subject("example.com", selectors=("gone",)),
    ),
    "aside": Scene(ASIDE, mail(FOOT), Purpose.BULK, policy="testing"),
    "old-keys": Scene(GOOD, mail(FOOT), Purpose.BULK, subject=KEYS_OF_LAST_YEAR),
    "mail-check": Scene(MAIL_CHECK, mail(FOOT), Purpose.BULK),
    "broken": Scene(GOOD, mail(NO_FOOT, signed=False, head=TWICE), Purpose.BULK),
    "free": Scene(GOOD, mail(NO_FOOT, signed=False, head=FREE), Purpose.BULK),
    "caught": Scene(
        GOOD,
        mail(FOOT),
        Purpose.BULK,
        envelope=SmtpEnvelope(IP, "mail.example.com", "bounce@example.com", ("reader@example.net",), None, public=True),
    ),
    "old-tls": Scene(GOOD, mail(FOOT).replace(b"TLSv1.3", b"TLSv1.0"), Purpose.BULK),
    "parked": Scene(PARKED, purpose=Purpose.PARKED, wildcard=True),
    "open": Scene(OPEN, purpose=Purpose.PARKED),
    "dns-only": Scene(GOOD, allowed=False),
    "failing": Scene({}, mail(FOOT), Purpose.BULK, failing=True, allowed=False),
    "transactional": Scene(GOOD, mail(NO_FOOT, bulk=False), Purpose.TRANSACTIONAL),
}
