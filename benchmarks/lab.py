"""A laboratory of sending domains: their DNS is computed from a seed and the name asked for, the truth beside it.

    python benchmarks/lab.py --domains 50000 --out FOLDER      domains.csv and truth.jsonl
    python benchmarks/nameserver.py --domains 50000            a name server for them on loopback

Nothing is kept but what all domains share, so 50,000 domains cost no more memory than 50. About 19 records a domain:
mailbox hosts and sending services of rules/senders by their real names, include trees of realistic shapes, DKIM keys
under selectors that can be guessed and others, DMARC in every stage. Some are broken in one known way: see `Kind`.
The vendors whose includes break others are invented. Addresses are of public ranges that send no mail: those for
documentation would be findings of their own.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import math
import random
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path

from msgspec import Struct, to_builtins

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found
from deliverability.core.net.names import Alias, canonical, chase, impossible, labels_of

DOMAINS = 50_000
MOST = 1 << 24
SEED = 12

Values = tuple[str, ...]
Zone = dict[tuple[str, str], Values]


class Kind(StrEnum):
    """What is the matter with a domain; of each only this one thing.

    HEALTHY: nothing. PARKED: sends nothing, and says so. LOOKUPS: more than ten SPF look-ups, through a vendor whose
    include costs too many. VOID: more than two void look-ups. SYNTAX: a term that cannot be read. MULTIPLE: two SPF
    records. DANGLING: includes a name without a record. NO_SPF: none. SILENT: its servers never answer. SERVFAIL:
    the resolver says so of everything but the delegation (NS).
    """

    HEALTHY = "healthy"
    PARKED = "parked"
    LOOKUPS = "lookups"
    VOID = "void"
    SYNTAX = "syntax"
    MULTIPLE = "multiple"
    DANGLING = "dangling"
    NO_SPF = "no-spf"
    SILENT = "silent"
    SERVFAIL = "servfail"


_MIX = {
    Kind.HEALTHY: 640,
    Kind.PARKED: 40,
    Kind.LOOKUPS: 120,
    Kind.VOID: 25,
    Kind.SYNTAX: 30,
    Kind.MULTIPLE: 20,
    Kind.DANGLING: 40,
    Kind.NO_SPF: 50,
    Kind.SILENT: 20,
    Kind.SERVFAIL: 15,
}
"""How many of a thousand."""

_LOOKUP_LIMIT = 10  # RFC 7208 section 4.6.4
_STAGES = {"absent": 20, "none": 38, "testing": 2, "quarantine": 20, "reject": 20}


class Key(Struct, frozen=True):
    """A DKIM key that a domain publishes: whose it is (an id of rules/senders, or "own"), and its size in bits."""

    selector: str
    service: str
    bits: int


class Truth(Struct, frozen=True):
    """What is so of a domain, by construction.

    Attributes:
        domain: its name.
        kind: see Kind.
        cause: the include or name that breaks it, or the name server that does not answer; empty where it is sound.
        lookups: SPF look-ups of the whole tree; None where there is not exactly one record.
        dmarc: stage, as the fact dmarc.stage.
        services: ids of rules/senders that send or take mail for it.
        keys: DKIM keys.
        mta_sts, tls_rpt, bimi: whether the record is published.
        name_servers: NS.
        records: how many are published at and below its name.

    """

    domain: str
    kind: Kind
    cause: str
    lookups: int | None
    dmarc: str
    services: tuple[str, ...]
    keys: tuple[Key, ...]
    mta_sts: bool
    tls_rpt: bool
    bimi: bool
    name_servers: tuple[str, ...]
    records: int


class _Service(Struct, frozen=True):
    """A real service as its users' DNS shows it.

    `include` may be empty; `tree` are the records below it, each an include of the one above; `cost` is what it adds up
    to, the include itself counted. Selectors with their CNAME target, or "" for a TXT record; ``{}`` in either becomes
    a number of the domain's own. `mx`: hosts.
    """

    id: str
    weight: int
    include: str = ""
    tree: int = 0
    selectors: tuple[tuple[str, str], ...] = ()
    mx: tuple[str, ...] = ()

    @property
    def cost(self) -> int:
        return (1 if self.include else 0) + self.tree


def _numbered(each: Iterable[object], selector: str, target: str) -> tuple[tuple[str, str], ...]:
    """Selectors that differ in one place, with their targets."""
    return tuple((selector.replace("{n}", str(n)), target.replace("{n}", str(n))) for n in each)


_GOOGLE_MX = ("aspmx.l.google.com", *(f"alt{n}.aspmx.l.google.com" for n in (1, 2, 3, 4)))
_OUTLOOK = "lab{}.mail.protection.outlook.com"
_MAILBOXES = (
    _Service("google-workspace", 30, "_spf.google.com", 3, (("google", ""),), _GOOGLE_MX),
    _Service(
        "microsoft-365",
        28,
        "spf.protection.outlook.com",
        0,
        _numbered((1, 2), "selector{n}", "selector{n}-lab{}._domainkey.lab{}.onmicrosoft.com"),
        (_OUTLOOK,),
    ),
    _Service("", 24, selectors=(("mail", ""),)),
    _Service("xserver", 5, "spf.sender.xserver.jp", 0, (("default", ""),)),
    _Service("sakura-rental-server", 4, "_spf.sakura.ne.jp", 0, (("default", ""),)),
    _Service("zoho", 4, "zohomail.com", 1, (("zmail", ""),), ("mx.zoho.com", "mx2.zoho.com", "mx3.zoho.com")),
    _Service(
        "fastmail",
        3,
        "spf.messagingengine.com",
        0,
        _numbered((1, 2, 3), "fm{n}", "fm{n}.lab{}.dkim.fmhosted.com"),
        ("in1-smtp.messagingengine.com", "in2-smtp.messagingengine.com"),
    ),
    _Service(
        "proton",
        2,
        "_spf.protonmail.ch",
        1,
        _numbered(("", 2, 3), "protonmail{n}", "protonmail{n}.domainkey.lab{}.domains.proton.ch"),
        ("mail.protonmail.ch", "mailsec.protonmail.ch"),
    ),
)
_SENDERS = (
    _Service("sendgrid", 18, "sendgrid.net", 1, _numbered((1, 2), "s{n}", "s{n}.domainkey.lab{}.wl.sendgrid.net")),
    _Service("mailchimp", 16, "servers.mcsv.net", 0, _numbered((2, 3), "k{n}", "dkim{n}.lab{}.mcsv.net")),
    # Of the next four, nobody can guess the selectors.
    _Service("amazon-ses", 16, "amazonses.com", 0, _numbered("abc", "{n}xq{}", "{n}xq.lab{}.dkim.amazonses.com")),
    _Service(
        "hubspot",
        9,
        "lab{}.spf01.hubspotemail.net",
        0,
        _numbered((1, 2), "hs{n}-{}", "lab{}.hs{n}.dkim.hubspotemail.net"),
    ),
    _Service("salesforce", 9, "_spf.salesforce.com", 1, (("sf{}", "sf.lab{}.custdkim.salesforce.com"),)),
    _Service("postmark", 5, "spf.mtasv.net", 0, (("20240115093000pm", ""),)),
    _Service("zendesk", 8, "mail.zendesk.com", 1, _numbered((1, 2), "zendesk{n}", "zendesk{n}.lab{}.zendesk.com")),
    _Service("mailgun", 8, "mailgun.org", 2, (("mx", ""),)),
    _Service("brevo", 6, "spf.brevo.com", 0, _numbered((1, 2), "brevo{n}", "b{n}.lab{}.dkim.brevo.com")),
    _Service("mandrill", 5, "spf.mandrillapp.com", 0, _numbered((1, 2), "mte{n}", "dkim{n}.lab{}.mandrillapp.com")),
)
_BY_INCLUDE = {each.include: each for each in (*_MAILBOXES, *_SENDERS) if each.include}
VENDORS = 24
GONE_VENDORS = 8
_HOSTERS = 30
_DEAD_HOSTERS = 4
_REPORT_SERVICES = 6
_CUSTOM_NAME = "lab"  # stands before the number in names that a service makes for its user

_FIRST, _SECOND = (
    words.split()
    for words in (
        "amber birch cedar coral delta ember frost grove harbor iris jade kite lunar maple north ocean pearl quartz",
        "books care dental energy foods garden hotel insure labs legal media motors paper school shop studio tools",
    )
)
_NUMBERED = re.compile(r"(?:^|\.)([a-z]+-[a-z]+)-([0-9]{1,9})\.example$")
_FOR_CUSTOMER = re.compile(rf"(?:^|[.-]){_CUSTOM_NAME}([0-9]{{1,9}})\.")
_OWN_HOSTS = (12, 13)  # first octets of the addresses of mail hosts; the others are the number of the domain
_OF_HOST = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.1[23]\.in-addr\.arpa$")
_REPORTS = re.compile(r"\._report\._dmarc\.reports[0-9]+\.example$")
_SPKI_HEAD = {
    1024: bytes.fromhex("30819f300d06092a864886f70d010101050003818d0030818902818100"),
    2048: bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100"),
}
_SPKI_TAIL = bytes.fromhex("0203010001")  # the exponent, 65537
_TTL = 3600


def _modulus(draw: random.Random, bits: int) -> int:
    """A number that looks like the modulus of a key. One with a small factor would be taken apart, which takes long."""
    while True:
        number = int.from_bytes(draw.randbytes(bits // 8)) | 1 << (bits - 1) | 1
        if all(math.gcd(number, product % number) == 1 for product in _products()):
            return number


@cache
def _products() -> tuple[int, ...]:
    """The products of the odd primes below 1,000, which throw most numbers out, and of those up to 65,537."""
    sieve = bytearray([1]) * 65_538
    for each in range(3, 257, 2):
        sieve[each * each :: each] = bytes(len(range(each * each, len(sieve), each)))
    primes = [each for each in range(3, len(sieve), 2) if sieve[each]]
    return math.prod(each for each in primes if each < 1000), math.prod(primes)


class Lab:
    """A resolver over `domains` domains that `seed` makes; the same seed makes the same, one by one.

    A domain depends on the seed and its own number alone: more of them do not change the first ones.
    """

    def __init__(self, domains: int = DOMAINS, seed: int = SEED) -> None:
        if not 0 < domains <= MOST:
            raise ValueError(f"between 1 and {MOST} domains")
        self.domains = domains
        self.seed = seed
        self._shared: Zone = {}
        self.vendor_costs: Mapping[str, int] = self._vendors()
        self._shared_names = _existing(name for name, _ in self._shared)
        # Questions for one domain come together, and the next ones are for another.
        self._zone: Callable[[int], tuple[Truth, Zone, frozenset[str]]] = lru_cache(maxsize=1000)(self._make)

    def __reduce__(self) -> tuple[type[Lab], tuple[int, int]]:
        return Lab, (self.domains, self.seed)

    def name(self, number: int) -> str:
        """The name of a domain."""
        drawn = zlib.crc32(f"{self.seed}/{number}".encode())
        return f"{_FIRST[drawn % len(_FIRST)]}-{_SECOND[drawn // 64 % len(_SECOND)]}-{number}.example"

    def names(self) -> Iterator[str]:
        """All names, in order."""
        return map(self.name, range(self.domains))

    def truth(self, number: int) -> Truth:
        """What is so of a domain."""
        return self._zone(number)[0]

    def zone(self, number: int) -> Zone:
        """The records that depend on a domain: its own, and those that services hold for it."""
        return self._zone(number)[1]

    async def query(self, name: str, rdtype: str) -> Answer:
        """Answer as the servers of the laboratory do; one that never answers is Failed(timeout)."""
        return self.answer(name, rdtype)

    def answer(self, name: str, rdtype: str) -> Answer:
        """The same, at once."""
        return impossible(name, rdtype) if labels_of(name) is None else chase(canonical(name), rdtype, self._look_up)

    async def close(self) -> None:
        """Nothing to release."""

    def _look_up(self, name: str, rdtype: str) -> Answer | Alias:
        number = self._number(name)
        if number is None:
            zone, names = self._shared, self._shared_names
            if rdtype == "TXT" and _REPORTS.search(name):
                return Found(name, rdtype, ("v=DMARC1",), _TTL, string_octets=((8,),))
        else:
            truth, zone, names = self._zone(number)
            if truth.kind is Kind.SILENT:
                return Failed(name, rdtype, Reason.TIMEOUT)
            if truth.kind is Kind.SERVFAIL and (name, rdtype) != (truth.domain, "NS"):
                return Failed(name, rdtype, Reason.SERVFAIL)
        values = zone.get((name, rdtype))
        if values is None:
            alias = zone.get((name, "CNAME"))
            if alias is not None:
                return Alias(alias[0], _TTL)
            return Absent(name, rdtype, nxdomain=name not in names, ttl=_TTL)
        octets = tuple(_lengths(value) for value in values) if rdtype == "TXT" else ()
        return Found(name, rdtype, values, _TTL, string_octets=octets)

    def _number(self, name: str) -> int | None:
        """The domain that a name depends on; None: it is shared, or nobody's."""
        found = _NUMBERED.search(name)
        if found is None:
            if host := _OF_HOST.match(name):
                number = int(host[1]) + (int(host[2]) << 8) + (int(host[3]) << 16)
            else:
                found = _FOR_CUSTOMER.search(name)
                number = int(found[1]) if found else -1
            return number if 0 <= number < self.domains else None
        number = int(found[2])
        own = number < self.domains and self.name(number) == f"{found[1]}-{number}.example"
        return number if own else None

    # --- what all share -----------------------------------------------------------------------------------------

    def _vendors(self) -> dict[str, int]:
        """Fill in the shared names; returns the include of each vendor with its cost."""
        draw = random.Random(f"{self.seed}/world")
        for service in (*_MAILBOXES, *_SENDERS):
            if service.include and "{}" not in service.include:
                self._tree(draw, service.include, service.tree, deep=service.id == "salesforce")
            for host in service.mx:
                if "{}" not in host:
                    self._host(draw, host)
        costs: dict[str, int] = {}
        for number in range(VENDORS):
            name = f"_spf.vendor{number:02}.example"
            below = draw.choice((2, 3, 4, 5, 5, 6, 6, 7))
            self._tree(draw, name, below, deep=draw.random() < 0.5)
            costs[name] = 1 + below
        for number in range(_HOSTERS):
            for turn in (1, 2, 3, 4):
                self._host(draw, f"ns{turn}.dns{number:02}.example")
        for number in range(_REPORT_SERVICES):
            self._host(draw, f"mx.reports{number}.example")
            self._shared[f"reports{number}.example", "MX"] = (f"10 mx.reports{number}.example",)
        return costs

    def _tree(self, draw: random.Random, name: str, below: int, *, deep: bool) -> None:
        """An SPF record with `below` more look-ups: includes side by side or, `deep`, each in the one before."""
        parts = [f"{part}.{name.lstrip('_')}" for part in range(1, below + 1)]
        for at, part in enumerate([name, *parts]):
            following = (parts if at == 0 else []) if not deep else parts[at : at + 1]
            terms = [f"include:{each}" for each in following]
            if not following or deep:
                terms += [f"ip4:{_ip4(draw)}/{draw.choice((20, 22, 24))}" for _ in range(draw.randint(2, 6))]
            self._shared[part, "TXT"] = (" ".join(["v=spf1", *terms, draw.choice(("~all", "-all", "?all"))]),)

    def _host(self, draw: random.Random, name: str) -> None:
        address = _ip4(draw)
        self._shared[name, "A"] = (address,)
        self._shared[name, "AAAA"] = (_ip6(draw),)
        self._shared[f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa", "PTR"] = (name,)

    # --- one domain ---------------------------------------------------------------------------------------------

    def _make(self, number: int) -> tuple[Truth, Zone, frozenset[str]]:
        domain = self.name(number)
        made = _Domain(self, number, domain)
        zone = made.zone
        own = sum(len(values) for (name, _), values in zone.items() if f".{name}".endswith(f".{domain}"))
        return made.truth(own), zone, _existing(name for name, _ in zone)


class _Domain:
    """Makes one domain: `zone` and `truth`."""

    def __init__(self, lab: Lab, number: int, domain: str) -> None:
        self._lab, self._number, self._domain = lab, number, domain
        self._draw = draw = random.Random(f"{lab.seed}/{number}")
        self.zone: Zone = {}
        self._keys: list[Key] = []
        self._services: list[str] = []
        self._cause = ""
        self._lookups: int | None = None
        self._flags = {"mta_sts": False, "tls_rpt": False, "bimi": False}
        self._stage = "absent"
        self._kind = draw.choices(tuple(_MIX), weights=tuple(_MIX.values()))[0]
        dead = self._kind in (Kind.SILENT, Kind.SERVFAIL)
        hoster = f"dead{draw.randrange(_DEAD_HOSTERS)}" if dead else f"dns{draw.randrange(_HOSTERS):02}"
        self._servers = tuple(f"ns{n}.{hoster}.example" for n in range(1, draw.choice((2, 2, 2, 3, 4)) + 1))
        if dead:
            self._cause = self._servers[0]
            if self._kind is Kind.SERVFAIL:
                self._add(domain, "NS", *self._servers)
            return
        self._frame()
        if self._kind is Kind.PARKED:
            self._park()
            return
        self._mail()
        self._dmarc()
        self._extras()

    def truth(self, records: int) -> Truth:
        return Truth(
            domain=self._domain,
            kind=self._kind,
            cause=self._cause,
            lookups=self._lookups,
            dmarc=self._stage,
            services=tuple(self._services),
            keys=tuple(self._keys),
            name_servers=self._servers,
            records=records,
            **self._flags,
        )

    def _add(self, name: str, rdtype: str, *values: str) -> None:
        self.zone[name, rdtype] = self.zone.get((name, rdtype), ()) + values

    def _frame(self) -> None:
        draw, domain = self._draw, self._domain
        self._add(domain, "NS", *self._servers)
        self._add(domain, "SOA", f"{self._servers[0]} hostmaster.{domain} 2026112401 7200 3600 1209600 {_TTL}")
        self._add(domain, "A", _ip4(draw))
        if draw.random() < 0.4:
            self._add(domain, "AAAA", _ip6(draw))
        self._add(f"www.{domain}", "CNAME", domain)

    def _park(self) -> None:
        domain = self._domain
        self._add(domain, "MX", "0 .")
        self._add(domain, "TXT", "v=spf1 -all")
        self._add(f"_dmarc.{domain}", "TXT", "v=DMARC1; p=reject")
        self._lookups, self._stage = 0, "reject"

    def _mail(self) -> None:
        draw, domain = self._draw, self._domain
        mailbox = draw.choices(_MAILBOXES, weights=[each.weight for each in _MAILBOXES])[0]
        count = draw.choices((0, 1, 2, 3), weights=(25, 40, 25, 10))[0]
        senders: list[_Service] = []
        while len(senders) < count:
            each = draw.choices(_SENDERS, weights=[each.weight for each in _SENDERS])[0]
            if each not in senders:
                senders.append(each)
        terms, cost = [], 0
        if mailbox.mx:
            for turn, host in enumerate(mailbox.mx):
                self._add(domain, "MX", f"{10 * (turn + 1)} {host.format(self._number)}")
            if mailbox.mx == (_OUTLOOK,):
                self._add(_OUTLOOK.format(self._number), "A", _ip4(draw))
        else:
            for turn in range(draw.choice((1, 1, 2))):
                host = f"mail{turn + 1}.{domain}"
                octets = (_OWN_HOSTS[turn], *self._number.to_bytes(3, "big"))
                self._add(domain, "MX", f"{10 * (turn + 1)} {host}")
                self._add(host, "A", ".".join(map(str, octets)))
                self._add(f"{'.'.join(map(str, reversed(octets)))}.in-addr.arpa", "PTR", host)
        if not mailbox.id:
            terms.append("mx")
            cost += 1
        if draw.random() < 0.35:
            terms.append("a")
            cost += 1
        for service in (mailbox, *senders):
            if service.id:
                self._services.append(service.id)
            include = service.include.format(self._number)
            if include and cost + service.cost <= _LOOKUP_LIMIT:
                terms.append(f"include:{include}")
                cost += service.cost
                if include != service.include:  # it has a name for each user
                    self._add(include, "TXT", f"v=spf1 ip4:{_ip4(draw)}/28 ~all")
            for selector, target in service.selectors:
                self._key(selector.format(self._number), target.replace("{}", str(self._number)), service.id or "own")
        for _ in range(draw.choice((0, 1, 1, 2))):
            terms.append(f"ip4:{_ip4(draw)}")
        terms, cost = self._broken(terms, cost)
        record = " ".join(["v=spf1", *terms, draw.choices(("~all", "-all", "?all"), weights=(60, 35, 5))[0]])
        records = [] if self._kind is Kind.NO_SPF else [record]
        if self._kind is Kind.MULTIPLE:
            records.append(f"v=spf1 include:{_SENDERS[0].include} ~all")
        self._lookups = cost if len(records) == 1 else None  # before other texts join them
        others = (
            f"google-site-verification={draw.getrandbits(128):032x}",
            f"MS=ms{draw.randrange(10**8):08}",
            f"apple-domain-verification={draw.getrandbits(64):016x}",
        )
        records += draw.sample(others, draw.choice((0, 1, 2, 3)))
        if records:
            self._add(domain, "TXT", *records)

    def _broken(self, terms: list[str], cost: int) -> tuple[list[str], int]:
        """The terms of the record with what breaks it, and their cost."""
        draw, domain = self._draw, self._domain
        match self._kind:
            case Kind.LOOKUPS:
                costs = self._lab.vendor_costs.items()
                dear = [each for each in costs if cost + each[1] > _LOOKUP_LIMIT]
                vendor, price = draw.choice(dear or [max(costs, key=lambda each: each[1])])
                while cost + price <= _LOOKUP_LIMIT:
                    host = f"out{cost}.{domain}"
                    self._add(host, "A", _ip4(draw))
                    terms.append(f"a:{host}")
                    cost += 1
                self._cause = vendor
                return [*terms, f"include:{vendor}"], cost + price
            case Kind.VOID:
                terms, cost = self._room(terms, cost, 3)
                self._cause = f"old1.{domain}"
                return [*(f"a:old{n}.{domain}" for n in (1, 2, 3)), *terms], cost + 3
            case Kind.SYNTAX:
                self._cause = draw.choice((f"ip4:{_ip4(draw)}/33", "ip4:192.0.2", "include:", "al"))
                return [*terms, self._cause], cost
            case Kind.DANGLING:
                terms, cost = self._room(terms, cost, 1)
                self._cause = f"_spf.gone{draw.randrange(GONE_VENDORS)}.example"
                return [*terms, f"include:{self._cause}"], cost + 1
        if draw.random() < 0.12:  # vendors have sound users as well
            vendor, price = draw.choice(tuple(self._lab.vendor_costs.items()))
            if cost + price <= _LOOKUP_LIMIT:
                return [*terms, f"include:{vendor}"], cost + price
        return terms, cost

    def _room(self, terms: list[str], cost: int, wanted: int) -> tuple[list[str], int]:
        """The terms without so many includes that `wanted` more look-ups fit in."""
        remaining = list(terms)
        while cost + wanted > _LOOKUP_LIMIT:
            dropped = next(term for term in remaining if term.removeprefix("include:") in _BY_INCLUDE)
            remaining.remove(dropped)
            cost -= _BY_INCLUDE[dropped.removeprefix("include:")].cost
        return remaining, cost

    def _key(self, selector: str, target: str, service: str) -> None:
        draw = self._draw
        bits = draw.choices((2048, 1024), weights=(88, 12))[0]
        modulus = _modulus(draw, bits).to_bytes(bits // 8)
        record = "v=DKIM1; k=rsa; p=" + base64.b64encode(_SPKI_HEAD[bits] + modulus + _SPKI_TAIL).decode()
        name = f"{selector}._domainkey.{self._domain}"
        if target:
            self._add(name, "CNAME", target)
        self._add(target or name, "TXT", record)
        self._keys.append(Key(selector, service, bits))

    def _dmarc(self) -> None:
        draw = self._draw
        stage = draw.choices(tuple(_STAGES), weights=tuple(_STAGES.values()))[0]
        self._stage = stage
        if stage == "absent":
            return
        tags = ["v=DMARC1", f"p={'quarantine' if stage == 'testing' else stage}"]
        if stage == "testing":
            tags.append("t=y")
        if draw.random() < 0.8:
            own = draw.random() < 0.4
            host = self._domain if own else f"reports{draw.randrange(_REPORT_SERVICES)}.example"
            tags.append(f"rua=mailto:dmarc@{host}")
        self._add(f"_dmarc.{self._domain}", "TXT", "; ".join(tags))

    def _extras(self) -> None:
        draw, domain = self._draw, self._domain
        if draw.random() < 0.12:
            self._flags["mta_sts"] = True
            self._add(f"_mta-sts.{domain}", "TXT", "v=STSv1; id=20260101T000000")
            self._add(f"mta-sts.{domain}", "A", _ip4(draw))
        if draw.random() < 0.15:
            self._flags["tls_rpt"] = True
            self._add(f"_smtp._tls.{domain}", "TXT", f"v=TLSRPTv1; rua=mailto:tls@{domain}")
        if draw.random() < 0.05:
            self._flags["bimi"] = True
            self._add(f"default._bimi.{domain}", "TXT", f"v=BIMI1; l=https://www.{domain}/logo.svg; a=")
        for host in draw.sample(("shop", "blog", "app", "vpn", "cdn", "api"), draw.randint(1, 4)):
            self._add(f"{host}.{domain}", "A", _ip4(draw))


def _existing(names: Iterable[str]) -> frozenset[str]:
    """These names and all above them."""
    labels = [name.split(".") for name in names]
    return frozenset(".".join(each[start:]) for each in labels for start in range(len(each)))


def _ip4(draw: random.Random) -> str:
    return f"11.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"


def _ip6(draw: random.Random) -> str:
    return f"2a0f:{draw.randrange(1, 0xFFFF):x}:{draw.randrange(1, 0xFFFF):x}::{draw.randrange(1, 0xFFFF):x}"


def _lengths(text: str) -> tuple[int, ...]:
    """The octets of the character-strings that a text in ASCII is published as."""
    full, rest = divmod(len(text), 255)
    return (255,) * full + ((rest,) if rest or not full else ())


# --- as files ------------------------------------------------------------------------------------------------------


def write(lab: Lab, folder: Path) -> None:
    """The list of the domains with labels of a customer base, and the truth of each, one JSON object a line."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "domains.csv").open("w", newline="") as listed, (folder / "truth.jsonl").open("w") as truths:
        rows = csv.writer(listed)
        rows.writerow(("domain", "customer", "tier"))
        for number in range(lab.domains):
            truth = lab.truth(number)
            drawn = zlib.crc32(truth.domain.encode())
            rows.writerow((truth.domain, f"C{drawn % 9973:04}", ("free", "free", "pro", "enterprise")[drawn // 16 % 4]))
            truths.write(json.dumps(to_builtins(truth)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--domains", type=int, default=DOMAINS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    write(Lab(given.domains, given.seed), given.out)


if __name__ == "__main__":
    main()
