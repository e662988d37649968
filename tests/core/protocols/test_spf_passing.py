"""Who passes by an SPF tree: everybody, far too many, nobody; by any term, anywhere in the tree."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.names import ranges_of
from deliverability.core.net.base import Answer, Failed, Found
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.protocols.spf import passing
from deliverability.core.protocols.spf.passing import Allowed, describe_passing, who_passes
from deliverability.core.protocols.spf.tree import walk_tree
from deliverability.core.rules.knowledge import shipped
from tests.corpus import corpus
from tests.sampled import some, some_or_every

EVERYBODY = 2**31
EVERYBODY_IP6 = 4
MANY = 2**24
RENTED_RANGES = {name: ranges_of(map(ip_network, each)) for name, each in shipped().measures.rented_ranges.items()}
EXCHANGE_ONLINE = ranges_of(map(ip_network, shipped().measures.sending_ranges))

# What the names of the records below lead to. *.open answers whatever is asked.
NAMES = """
$ORIGIN acme.dk.
@ IN SOA ns h 1 7200 3600 1209600 300
@ IN A 62.1.2.3
@ IN MX 10 mx1
@ IN MX 20 mx2
mx1 IN A 62.1.2.4
mx1 IN AAAA 2a00:1::4
mx2 IN A 193.1.2.4
there IN A 127.0.0.2
*.open IN A 127.0.0.2
*.tropen IN TXT "v=spf1 +all"
62.1.2.3.some IN A 127.0.0.2
one IN A 62.1.2.5
one IN MX 10 mx1
two IN A 62.1.2.6
two IN MX 10 mx1
empty IN TXT "v=spf1 -all"
private IN TXT "v=spf1 ip4:10.0.0.0/8 ip6:fd00::/8 -all"
dead IN TXT "v=spf1 a:gone.acme.dk -all"
many IN TXT "v=spf1 ip4:62.0.0.0/8 -all"
"""

OPEN = [
    "+all",
    "all",
    "ip4:62.1.2.3 all",
    "ip4:0.0.0.0/0 -all",
    "ip4:0.0.0.0/1 -all",
    "ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all",
    " ".join(f"ip4:{n}.0.0.0/4" for n in range(0, 256, 16)) + " ~all",
    " ".join(f"ip4:{n}.0.0.0/8" for n in range(1, 130)) + " -all",
    "ip6:::/0 -all",
    "ip6:2000::/3 -all",
    "ip6:2000::/4 -all",
    "ip6:::/1 ip6:8000::/1 -all",
    "a/0 -all",
    "a:acme.dk/1 -all",
    "mx//0 -all",
    "mx/0 -all",
    "a:mx1.acme.dk//3 -all",
    "exists:there.acme.dk -all",
    "exists:%{d}.open.acme.dk -all",
    "exists:%{i}.open.acme.dk -all",
    "exists:%{ir}.%{l1r+-}.open.acme.dk ~all",
    "exists:%{h}.open.acme.dk ?all",
    "include:%{i}.tropen.acme.dk -all",
    "redirect=%{ir}.tropen.acme.dk",
    "-ip4:62.1.2.3 +all",
]
NOT_OPEN = [
    "-all",
    "?all",
    "~all",
    "?ip4:0.0.0.0/0 -all",
    "~include:everybody.acme.dk -all",
    "-ip4:0.0.0.0/0 -ip6:::/0 +all",
    "-all +all",
    "ip4:62.0.0.0/8 -all",
    "mx/3 -all",
    "ip6:fc00::/6 -all",
    "exists:gone.acme.dk -all",
    "exists:%{i}.some.acme.dk -all",
    "-exists:%{i}.open.acme.dk ip4:62.1.2.3 -all",
]
PLACES: dict[str, Callable[[str], dict[str, str]]] = {
    "own": lambda terms: {"@": terms},
    "include": lambda terms: {"@": "ip4:62.1.2.9 include:one.acme.dk -all", "one": terms},
    "redirect": lambda terms: {"@": "ip4:62.1.2.9 redirect=one.acme.dk", "one": terms},
    "nested": lambda terms: {"@": "include:one.acme.dk ~all", "one": "include:two.acme.dk ?all", "two": terms},
}


async def passes(tmp_path: Path, records: dict[str, str]) -> Allowed:
    zone = NAMES + 'everybody IN TXT "v=spf1 +all"\n'
    for name, terms in records.items():
        text = f"v=spf1 {terms}"
        zone += f"{name} IN TXT " + " ".join(f'"{text[i : i + 200]}"' for i in range(0, len(text), 200)) + "\n"
    file = tmp_path / "acme.dk.zone"
    file.write_text(zone)
    resolver = ZoneResolver.load([file])
    return await who_passes(await walk_tree("acme.dk", resolver), resolver, example=False)


def is_open(found: Allowed) -> bool:
    return found.ip4 >= EVERYBODY or (found.ip6_prefix is not None and found.ip6_prefix <= EVERYBODY_IP6)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("terms", OPEN, ids=lambda terms: terms[:40])
async def test_everybody_passes(tmp_path: Path, terms: str, place: str) -> None:
    found = await passes(tmp_path, PLACES[place](terms))
    assert is_open(found)
    assert found.nobody is False
    assert found.gap is None
    widest = found.widest[0]
    where = {"own": "acme.dk", "nested": "two.acme.dk"}.get(place, "one.acme.dk")
    own = {"own": widest.term, "redirect": "redirect=one.acme.dk"}.get(place, "include:one.acme.dk")
    assert (widest.domain, widest.via) == (where, own)
    assert widest.term in terms


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("terms", NOT_OPEN, ids=lambda terms: terms[:40])
async def test_not_everybody_passes(tmp_path: Path, terms: str, place: str) -> None:
    assert not is_open(await passes(tmp_path, PLACES[place](terms)))


async def test_ranges_are_counted_once_and_those_of_all_records_together(tmp_path: Path) -> None:
    halves = {"@": "include:one.acme.dk include:two.acme.dk -all", "one": "ip4:0.0.0.0/2 -all", "two": "ip4:0.0.0.0/2"}
    assert (await passes(tmp_path, halves)).ip4 == 2**30
    assert (await passes(tmp_path, halves | {"two": "ip4:64.0.0.0/2"})).ip4 == EVERYBODY


async def test_what_is_denied_before_does_not_count(tmp_path: Path) -> None:
    assert (await passes(tmp_path, {"@": "-ip4:62.0.0.0/9 ip4:62.0.0.0/8 -all"})).ip4 == 2**23
    # An include that denies lets its own record go on, not the one that includes it.
    inner = {"@": "include:one.acme.dk ip4:62.0.0.0/24 -all", "one": "-ip4:62.0.0.0/25 ip4:62.0.0.0/24 -all"}
    assert (await passes(tmp_path, inner)).ip4 == 256
    assert (await passes(tmp_path, inner | {"@": "-include:one.acme.dk ip4:62.0.0.0/24 -all"})).ip4 == 128


async def test_hosts_of_mx_count_each(tmp_path: Path) -> None:
    assert (await passes(tmp_path, {"@": "mx/2 -all"})).ip4 == 2**31  # two hosts, in two quarters of the internet


@pytest.mark.parametrize(
    "terms",
    [
        "-all",
        "~all",
        "?all",
        "",
        "ip4:10.0.0.1 ip4:192.168.0.0/16 -all",
        "ip4:127.0.0.1 ip6:::1 ip6:fe80::1 ~all",
        "ip4:192.0.2.1 ip4:198.51.100.0/24 ip4:203.0.113.7 ip6:2001:db8::1 -all",
        "ip4:240.0.0.1 ip4:100.64.0.1 ip4:169.254.1.1 ip4:224.0.0.1 -all",
        "a:gone.acme.dk mx:gone.acme.dk -all",
        "include:empty.acme.dk -all",
        "include:private.acme.dk include:dead.acme.dk ~all",
        "redirect=empty.acme.dk",
        "?ip4:62.1.2.3 -all",
        "-all ip4:62.1.2.3",
    ],
)
async def test_nobody_passes(tmp_path: Path, terms: str) -> None:
    assert (await passes(tmp_path, {"@": terms})).nobody is True


@pytest.mark.parametrize(
    "terms",
    [
        "ip4:62.1.2.3 -all",
        "ip4:10.0.0.1 ip4:62.1.2.3 -all",
        "ip6:2a00:1::/48 -all",
        "a -all",
        "mx ~all",
        "include:many.acme.dk -all",
        "redirect=many.acme.dk",
        # Whoever passes depends on the mail.
        "exists:%{i}.some.acme.dk -all",
        "include:%{d}.%{i}.acme.dk -all",
        "ptr -all",
    ],
)
async def test_somebody_passes_or_may(tmp_path: Path, terms: str) -> None:
    assert (await passes(tmp_path, {"@": terms})).nobody is False


async def test_a_failed_look_up_is_neither_nobody_nor_everybody() -> None:
    zone = {("acme.dk", "TXT"): ["v=spf1 include:one.dk -all"], ("one.dk", "TXT"): "timeout"}
    resolver = StaticResolver(zone)
    found = await who_passes(await walk_tree("acme.dk", resolver), resolver, example=False)
    assert isinstance(found.nobody, Unknown)
    assert found.nobody.reason is Reason.TIMEOUT
    # What is certain is said all the same.
    zone[("acme.dk", "TXT")] = ["v=spf1 include:one.dk +all"]
    resolver = StaticResolver(zone)
    found = await who_passes(await walk_tree("acme.dk", resolver), resolver, example=False)
    assert (found.nobody, is_open(found)) == (False, True)


async def test_in_the_audit_of_an_example_addresses_for_documentation_are_real() -> None:
    resolver = StaticResolver({("example.jp", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"]})
    tree = await walk_tree("example.jp", resolver)
    assert (await who_passes(tree, resolver, example=True)).nobody is False
    assert (await who_passes(tree, resolver, example=False)).nobody is True


async def test_ipv6_behind_the_third_void_lookup_is_lost(tmp_path: Path) -> None:
    voids = "a:mx2.acme.dk a:there.acme.dk a:mx2.acme.dk"
    assert (await passes(tmp_path, {"@": f"{voids} ip6:2a00:1::/48 -all"})).late_ip6 is True
    assert (await passes(tmp_path, {"@": f"ip6:2a00:1::/48 {voids} -all"})).late_ip6 is False
    assert (await passes(tmp_path, {"@": f"{voids} ip4:62.1.2.3 -all"})).late_ip6 is False
    behind = {"@": f"{voids} include:one.acme.dk -all", "one": "ip6:2a00:1::/48 -all"}
    assert (await passes(tmp_path, behind)).late_ip6 is True


async def test_a_tree_that_is_too_big_is_not_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "MAX_TERMS", 3)
    found = await passes(tmp_path, {"@": "ip4:62.1.2.1 ip4:62.1.2.3 ip4:62.1.2.5 ip4:62.1.2.7 -all"})
    assert found.ip4 == 3
    assert isinstance(found.gap, Unknown)
    monkeypatch.setattr(passing, "MAX_DENIALS", 1)
    found = await passes(tmp_path, {"@": "-ip4:62.1.2.1 -ip4:62.1.2.2 +all"})
    assert isinstance(found.gap, Unknown)


# What the new rules say of the real zones: the domain, and why a postmaster agrees.
NOBODY = {
    **dict.fromkeys(
        ("cjsonline.gov.uk", "trackmycrime.com", "sifocc.org"), "v=spf1 -all and p=reject: closed on purpose"
    ),
    **dict.fromkeys(("dca.gov.uk", "judiciary.org.uk", "rpts.gov.uk"), "v=spf1 -all and a null MX: closed on purpose"),
    **dict.fromkeys(("exghost.com", "telecomservices.ch"), "lists an address for documentation only, has no MX"),
    "frauenfeld.ch": "redirect: is a syntax error, and said as that",
}

LATE_IP6 = {
    "kajaani.fi": "seven names without an AAAA record come before Microsoft 365, whose IPv6 senders do not pass",
    "stadtaffoltern.ch": "three names without an AAAA record come before its own ip6 term and Microsoft 365",
}


async def test_real_zones_let_somebody_pass_and_nobody_lets_all() -> None:
    zones = ZoneResolver.load([corpus("zones")])
    rows = (line.split("\t") for line in corpus("zones", "index.tsv").read_text("utf-8").splitlines())
    nobody = set()
    count = 0
    for name in (row[0] for row in rows):
        tree = await walk_tree(name, zones)
        if tree.root.record is None:
            continue
        count += 1
        found = await who_passes(tree, zones, example=False)
        assert found.ip4 < MANY, name
        assert (found.ip6_prefix or 128) > 16, name
        assert (found.late_ip6 is True) is (name in LATE_IP6), name
        if found.nobody is True:
            nobody.add(name)
    assert count > 70
    assert nobody == set(NOBODY)


class Listed:
    """The records of the corpus, with what they include as far as it was recorded; everything else fails."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        for file, column in (("spf.tsv", 2), ("spf-dmarc-moj.tsv", 2), ("spf-includes.tsv", 1)):
            rows = (line.split("\t") for line in corpus("dns-records", file).read_text("utf-8").splitlines()[1:])
            self.records |= {row[0].lower(): row[column] for row in rows if row[column]}

    async def query(self, name: str, rdtype: str) -> Answer:
        if rdtype == "TXT" and name in self.records:
            return Found(name, rdtype, (self.records[name],))
        return Failed(name, rdtype, Reason.OFFLINE)

    async def close(self) -> None:
        """Nothing is open."""


# All that Microsoft has below 2603:1000::/24, Azure among it: six municipalities include that.
WIDE = {"_spf.regiondata.no"}
# Six whole /16 of Amazon's region in Stockholm: whoever rents a server there passes as the town.
RENTED = {"_spf06.sarpsborg.com", "_spf.regiondata.no"}
# A syntax error, which is told as one; and a private address in a name that a flattening service makes.
BY_MISTAKE = {"frauenfeld.ch", "_s3.nuutftrbd5.powerspf.com"}


@pytest.mark.long
@some_or_every(12, "record")
async def test_no_record_of_the_corpus_is_called_open_or_wide_and_those_that_let_nobody_send_mean_it(
    apart: int,
) -> None:
    listed = Listed()
    assert len(listed.records) > 4_000
    nobody = set()
    rented: set[str] = set()
    wide: set[str] = set()
    for name in {*some([*listed.records], apart), *WIDE, *RENTED, *BY_MISTAKE}:
        record = listed.records[name]
        tree = await walk_tree(name, listed)
        found = await who_passes(tree, listed, example=False)
        assert found.ip4 < MANY, name
        assert (found.ip6_prefix or 128) > 16, name
        described = describe_passing(found, 16, EXCHANGE_ONLINE, lambda _: False, RENTED_RANGES)
        below, lent = described["wide_ranges_below"], described["rented_terms"]
        rented |= set() if isinstance(lent, Unknown) else {str(dict(each.args)["domain"]) for each in lent}
        wide |= set() if isinstance(below, Unknown) else set(below)
        if found.nobody is True and record.lower() != "v=spf1 -all":
            nobody.add(name)
    assert wide == {f"{name}: ip6:2603:1000::/24" for name in WIDE}
    assert rented == RENTED
    assert nobody == BY_MISTAKE
