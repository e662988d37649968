"""Zone files, the static resolver and proposed records: what is there, what is not, and what nobody looked at."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found
from deliverability.core.net.names import canonical, labels_of
from deliverability.core.net.overlay import OverlayResolver, Proposal, parse_proposal
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneError, ZoneResolver
from tests import TESTS
from tests.corpus import corpus
from tests.sampled import examples
from tests.speaking import english

ZONES = TESTS / "zones"


@pytest.fixture
def zones() -> ZoneResolver:
    return ZoneResolver.load([ZONES])


def zone(text: str, label: str = "example.com.zone") -> ZoneResolver:
    return ZoneResolver([(label, text.encode())])


def shape(answer: Answer) -> object:
    """The values, "nxdomain", "nodata" or the reason of a failure."""
    match answer:
        case Found():
            return answer.values
        case Absent():
            return "nxdomain" if answer.nxdomain else "nodata"
        case Failed():
            return answer.reason


# --- zone files: RFC 1034 and 4592 ---


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("example.com", "MX", ("10 mail.example.com", "20 backup.example.net")),
        ("EXAMPLE.com.", "mx", ("10 mail.example.com", "20 backup.example.net")),
        ("example.com", "SOA", ("ns1.example.com hostmaster.example.com 2026010101 7200 3600 1209600 300",)),
        ("example.com", "CAA", ('0 issue "ca.example.net"',)),
        ("example.com", "AAAA", "nodata"),
        ("missing.example.com", "TXT", "nxdomain"),
        # empty non-terminals exist
        ("_domainkey.example.com", "TXT", "nodata"),
        ("ent.example.com", "A", "nodata"),
        ("no.ent.example.com", "A", "nxdomain"),
        # wildcards answer for what does not exist, at any depth, and for nothing else
        ("any.wild.example.com", "TXT", ("from the wildcard",)),
        ("a.b.wild.example.com", "TXT", ("from the wildcard",)),
        ("any.wild.example.com", "A", "nodata"),
        ("wild.example.com", "TXT", "nodata"),
        ("named.wild.example.com", "TXT", "nodata"),
        ("below.named.wild.example.com", "TXT", "nxdomain"),
        ("*.wild.example.com", "TXT", ("from the wildcard",)),
        # CNAME and DNAME lead on, within the zone and into the other
        ("alias.example.com", "A", ("192.0.2.25",)),
        ("alias.example.com", "CNAME", ("mail.example.com",)),
        ("sel._domainkey.example.com", "TXT", ("v=DKIM1; p=",)),
        ("broken.example.com", "A", "nxdomain"),
        ("x.old.example.com", "A", ("192.0.2.99",)),
        ("loop1.example.com", "A", Reason.ALIAS),
        # where nobody looked
        ("host.sub.example.com", "A", Reason.OFFLINE),
        ("sub.example.com", "NS", Reason.OFFLINE),
        ("outside.example.com", "TXT", Reason.OFFLINE),
        ("example.org", "A", Reason.OFFLINE),
        ("com", "A", Reason.OFFLINE),
        # the zone below the cut that is given answers for itself
        ("host.given.example.com", "A", ("192.0.2.44",)),
        ("other.given.example.com", "A", "nxdomain"),
        # names nobody can publish
        ("a..example.com", "A", "nxdomain"),
        ("x" * 64 + ".example.com", "A", "nxdomain"),
    ],
)
async def test_what_a_zone_answers(zones: ZoneResolver, name: str, rdtype: str, expected: object) -> None:
    assert shape(await zones.query(name, rdtype)) == expected


async def test_the_chain_ttl_and_strings_of_an_answer(zones: ZoneResolver) -> None:
    answer = await zones.query("sel._domainkey.example.com", "TXT")
    assert answer == Found(
        name="sel._domainkey.example.com",
        rdtype="TXT",
        values=("v=DKIM1; p=",),
        ttl=60,
        chain=("sel.dkim.example.net",),
        string_octets=((9, 2),),
        server="example.net.zone",
        place=f"{ZONES / 'example.net.zone'}:4",
    )


async def test_an_absence_carries_the_chain_and_the_negative_ttl(zones: ZoneResolver) -> None:
    answer = await zones.query("broken.example.com", "A")
    assert isinstance(answer, Absent)
    assert answer.chain == ("nowhere.example.net",)
    assert (await zones.query("missing.example.com", "A")).ttl == 300  # type: ignore[union-attr]


def test_an_interrupt_while_a_file_is_parsed_is_no_mistake_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """dnspython makes a syntax error of whatever stops it within a record."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dns.rdtypes.ANY.TXT.TXT.from_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        zone('@ IN TXT "v=spf1 -all"\n').look_up("example.com", "TXT")


async def test_a_failure_says_what_is_not_among_the_zones(zones: ZoneResolver) -> None:
    outside = await zones.query("outside.example.com", "TXT")
    below = await zones.query("host.sub.example.com", "A")
    assert isinstance(outside, Failed)
    assert outside.name == "outside.example.com"
    assert english(outside.detail) == "target.example.org isn't in your zone files"
    assert isinstance(below, Failed)
    assert english(below.detail) == "sub.example.com is delegated, and its zone is not among the given zones"


async def test_octets_outside_utf8_are_shown_and_counted() -> None:
    resolver = ZoneResolver([("example.com.zone", b'@ TXT "caf\xe9"\nu TXT "gr\xc3\xbc\xc3\x9fe" "\\233"\n')])
    latin = await resolver.query("example.com", "TXT")
    mixed = await resolver.query("u.example.com", "TXT")
    assert isinstance(latin, Found)
    assert (latin.values, latin.string_octets) == (("caf\\xe9",), ((4,),))
    assert isinstance(mixed, Found)
    assert (mixed.values, mixed.string_octets) == (("grüße\\xe9",), ((7, 1),))


async def test_line_ends_and_a_byte_order_mark_of_windows_do_no_harm() -> None:
    resolver = ZoneResolver(
        [("any.txt", b"\xef\xbb\xbf$ORIGIN example.com.\r\n$TTL 60\r\n@ A 192.0.2.1\r\nw FROB\r\n")]
    )
    with pytest.raises(ZoneError, match=r"any\.txt:4: .*FROB"):
        resolver.check(["example.com"])


@pytest.mark.parametrize("name", ["a\\.b.example.com", "with space.example.com", "\\000.example.com", "ü.example.com"])
async def test_odd_names_are_taken_literally(zones: ZoneResolver, name: str) -> None:
    assert shape(await zones.query(name, "A")) == "nxdomain"


@given(st.text(max_size=300))
@examples(300)
def test_any_text_has_one_spelling_or_is_impossible(text: str) -> None:
    labels = labels_of(text)
    if labels is not None:
        assert labels_of(canonical(text)) is not None or "\\x" in canonical(text)
        assert canonical(canonical(text)) == canonical(text)
    canonical(text).encode()  # never a lone surrogate


# --- zone files: where a zone is anchored ---


@pytest.mark.parametrize(
    ("label", "text", "origins"),
    [
        ("example.net.zone", "@ 60 A 192.0.2.1\n", ("example.net",)),
        ("example.net.db", "www 60 A 192.0.2.1\n", ("example.net",)),
        ("any.txt", "$ORIGIN example.net.\n@ 60 A 192.0.2.1\n", ("example.net",)),
        ("any", "example.net. 60 IN SOA a. b. 1 2 3 4 5\n", ("example.net",)),
        ("any", "$ORIGIN .\n$TTL 60\nexample.net IN SOA a. b. (\n 1 2 3 4 5 )\n A 192.0.2.1\n", ("example.net",)),
        ("any", "$TTL 60\n$ORIGIN net.\nexample 1h IN SOA a. b. 1 2 3 4 5\n", ("example.net",)),
        ("two", "example.net. 60 SOA a. b. 1 2 3 4 5\nexample.org. 60 SOA a. b. 1 2 3 4 5\n",
         ("example.net", "example.org")),
        ("any.zone", '$ORIGIN example.net.\n@ 60 TXT "SOA SOA"\nnot TXT ( "a"\n"b" ) ; SOA\n', ("example.net",)),
    ],
)  # fmt: skip
async def test_the_apex_is_the_soa_owner_else_the_origin_else_the_file_name(
    label: str, text: str, origins: tuple[str, ...]
) -> None:
    resolver = zone(text, label)
    resolver.check(origins)
    assert resolver.origins == origins


async def test_a_file_without_soa_ns_and_ttl_works() -> None:
    resolver = zone('@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=none"\n')
    resolver.check(["example.com"])
    assert shape(await resolver.query("_dmarc.example.com", "TXT")) == ("v=DMARC1; p=none",)
    assert shape(await resolver.query("www.example.com", "A")) == "nxdomain"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$TTL 60\n@ A 192.0.2.1\n@ A not-an-address\n", r"example\.com\.zone:3: "),
        ("$TTL 60\n@ FROB x\n", r"example\.com\.zone:2: .*FROB"),
        ('$TTL 60\n@ TXT "open\n', r"example\.com\.zone:"),
        ("$TTL 60\n@ CNAME a.example.net.\n@ MX 10 mx\n", r"\.zone:3: example\.com has a CNAME and other records"),
        ("$TTL 60\nw CNAME a\nw CNAME b\n", r"example\.com\.zone:3: w\.example\.com has more than one CNAME"),
        ("$TTL 60\n$INCLUDE /etc/passwd\n", r"example\.com\.zone:2: .*\$INCLUDE"),
        ("$TTL 60\nexample.org. A 192.0.2.1\n", r"example\.org is outside the zone example\.com"),
        ("$TTL 60\n@ A 192.0.2.1 )\n", r"example\.com\.zone:2"),
        ("$TTL 60\n@ SOA a. b. ( 1 2\n 3 4 )\n", r"example\.com\.zone:3"),
        ("\0\1\2", r"example\.com\.zone:1"),
    ],
)  # fmt: skip
async def test_a_mistake_is_told_with_file_and_line_before_the_audit(text: str, said: str) -> None:
    with pytest.raises(ZoneError, match=said) as caught:
        zone(text).check(["www.example.com"])
    assert "\n" not in str(caught.value)


async def test_a_mistake_in_a_zone_met_on_the_way_is_a_failure_not_an_absence() -> None:
    resolver = ZoneResolver(
        [("example.com.zone", b"$TTL 60\nw CNAME w.example.net.\n"), ("example.net.zone", b"$TTL 60\nw FROB\n")]
    )
    resolver.check(["example.com"])
    answer = await resolver.query("w.example.com", "A")
    assert isinstance(answer, Failed)
    assert answer.reason is Reason.OFFLINE
    assert "example.net.zone:2" in english(answer.detail)


async def test_what_is_to_be_kept_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "example.com.zone"
    file.write_text("@ A 192.0.2.1\n")
    first = await ZoneResolver.load([file], keep=True).query("example.com", "A")
    monkeypatch.setattr("deliverability.core.net.zone.parse", None)
    assert await ZoneResolver.load([file], keep=True).query("example.com", "A") == first
    monkeypatch.undo()
    file.write_text("@ A 192.0.2.2\n")
    assert await ZoneResolver.load([file], keep=True).query("example.com", "A") != first


def test_a_zone_given_twice_is_refused() -> None:
    with pytest.raises(
        ZoneError, match=r"example\.com is specified twice: in a/example\.com\.zone and in b/example\.com\.db"
    ):
        ZoneResolver([("a/example.com.zone", b""), ("b/example.com.db", b"")])


def test_paths_that_give_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZoneError, match="no such file"):
        ZoneResolver.load([tmp_path / "missing.zone"])
    with pytest.raises(ZoneError, match="contains no zone file"):
        ZoneResolver.load([tmp_path])


@examples(150)
@given(st.binary(max_size=200))
def test_any_octets_make_a_zone_or_a_zone_error(data: bytes) -> None:
    with contextlib.suppress(ZoneError):
        ZoneResolver([("example.com.zone", data)]).check(["example.com"])


async def test_every_zone_of_the_corpus_answers_its_soa() -> None:
    resolver = ZoneResolver.load([corpus("zones")])
    assert len(resolver.origins) == len(list(corpus("zones").glob("*.zone")))
    resolver.check(resolver.origins)
    for origin in resolver.origins:
        answer = await resolver.query(origin, "SOA")
        assert isinstance(answer, Found), answer


# --- the static resolver ---


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("Example.com", "txt", ("v=spf1 -all", "other")),
        ("example.com", "A", "nodata"),
        ("com", "A", "nodata"),
        ("example.org", "A", "nxdomain"),
        ("alias.example.com", "TXT", ("v=spf1 -all", "other")),
        ("loop.example.com", "A", Reason.ALIAS),
        ("slow.example.com", "A", Reason.TIMEOUT),
        ("broken.example.com", "A", Reason.SERVFAIL),
        ("refused.example.com", "A", Reason.REFUSED),
        ("gone.example.com", "A", "nxdomain"),
        ("mx.example.com", "MX", ("10 host.example.net",)),
        ("a..b", "A", "nxdomain"),
    ],
)
async def test_what_the_static_resolver_answers(name: str, rdtype: str, expected: object) -> None:
    resolver = StaticResolver(
        {
            ("example.com", "TXT"): [("v=spf1 ", "-all"), "other"],
            ("alias.example.com", "CNAME"): ["EXAMPLE.com."],
            ("loop.example.com", "CNAME"): ["loop.example.com"],
            ("slow.example.com", "A"): "timeout",
            ("broken.example.com", "A"): "servfail",
            ("refused.example.com", "A"): "refused",
            ("gone.example.com", "A"): "nxdomain",
            ("mx.example.com", "MX"): ["10 Host.Example.NET."],
        }
    )
    answer = await resolver.query(name, rdtype)
    assert shape(answer) == expected
    if isinstance(answer, Found) and answer.rdtype == "TXT":
        assert answer.string_octets == ((7, 4), (5,))


def test_a_misspelt_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a list of records"):
        StaticResolver({("example.com", "TXT"): "v=spf1 -all"})


# --- proposals ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.com. TXT v=spf1 -all", Proposal("example.com", "TXT", "v=spf1 -all", (11,))),
        ('example.com txt "v=spf1 " "-all"', Proposal("example.com", "TXT", "v=spf1 -all", (7, 4))),
        ('example.com TXT ( "a\\"b" "\\065\\\\" )', Proposal("example.com", "TXT", 'a"bA\\', (3, 2))),
        ('example.com 3600 IN TXT "x"', Proposal("example.com", "TXT", "x", (1,))),
        ("example.com TXT " + "x" * 300, Proposal("example.com", "TXT", "x" * 300, (255, 45))),
        ('example.com TXT ""', Proposal("example.com", "TXT", "", (0,))),
        ("example.com MX 10 MX.example.net.", Proposal("example.com", "MX", "10 mx.example.net")),
        ("example.com.\tIN\tMX\t10\tmx.example.net.", Proposal("example.com", "MX", "10 mx.example.net")),
        ("example.com MX 0 .", Proposal("example.com", "MX", "0 .")),
        ("example.com AAAA 2001:DB8:0::1", Proposal("example.com", "AAAA", "2001:db8::1")),
        ("www.example.com CNAME Host.example.", Proposal("www.example.com", "CNAME", "host.example")),
        ("bücher.example A 192.0.2.1", Proposal("xn--bcher-kva.example", "A", "192.0.2.1")),
    ],
)
def test_how_a_proposal_is_written(text: str, expected: Proposal) -> None:
    assert parse_proposal(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write NAME TYPE VALUE"),
        ("example.com", "write NAME TYPE VALUE"),
        ("example.com TXT", "write NAME TYPE VALUE"),
        ("a..b TXT x", "not a domain name"),
        ("example.com FROB x", "type FROB are not known here"),
        ("example.com A 2001:db8::1", "not an IPv4 address"),
        ("example.com AAAA 192.0.2.1", "not an IPv6 address"),
        ("example.com MX mx.example.com", "preference and a host"),
        ("example.com MX 70000 mx.example.com", "preference and a host"),
        ("example.com CNAME two words", "not a domain name"),
        ('example.com TXT "open', "not closed"),
        ('example.com TXT "a" b', "outside quotes"),
        ('example.com TXT "' + "x" * 256 + '"', "at most 255 bytes"),
        ('example.com TXT "\\999"', "not a valid byte"),
    ],
)
def test_what_is_no_proposal_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_proposal(text)


BASE = StaticResolver(
    {
        ("example.com", "TXT"): ['"V=SPF1 a -all', "v=spf1 mx -all", "site-verification=1"],
        ("example.com", "MX"): ["10 old.example.com"],
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none", "stray"],
        ("sel._domainkey.example.com", "CNAME"): ["sel.esp.example"],
        ("sel.esp.example", "TXT"): "servfail",
        ("www.example.com", "CNAME"): ["host.example.net"],
        ("host.example.net", "A"): ["192.0.2.1"],
        ("host.example.net", "TXT"): ["of the target"],
        ("fails.example.com", "TXT"): "timeout",
    }
)


async def proposed(name: str, rdtype: str, *texts: str) -> Answer:
    return await OverlayResolver(BASE, [parse_proposal(text) for text in texts]).query(name, rdtype)


@pytest.mark.parametrize(
    ("name", "rdtype", "texts", "expected"),
    [
        # an SPF proposal replaces everything meant as SPF and keeps the rest
        ("example.com", "TXT", ["example.com TXT v=spf1 ip4:192.0.2.1 -all"],
         ("site-verification=1", "v=spf1 ip4:192.0.2.1 -all")),
        # other text is added, once
        ("example.com", "TXT", ["example.com TXT new=1"],
         ('"V=SPF1 a -all', "v=spf1 mx -all", "site-verification=1", "new=1")),
        ("example.com", "TXT", ["example.com TXT site-verification=1"],
         ('"V=SPF1 a -all', "v=spf1 mx -all", "site-verification=1")),
        # names of one protocol are replaced whole
        ("_dmarc.example.com", "TXT", ["_dmarc.example.com TXT v=DMARC1; p=reject"], ("v=DMARC1; p=reject",)),
        ("sel._domainkey.example.com", "TXT", ["sel._domainkey.example.com TXT v=DKIM1; p=x"], ("v=DKIM1; p=x",)),
        ("_smtp._tls.example.com", "TXT", ["_smtp._tls.example.com TXT v=TLSRPTv1; rua=x"], ("v=TLSRPTv1; rua=x",)),
        # several proposals of one type add up and replace the set
        ("example.com", "MX", ["example.com MX 10 a.example", "example.com MX 20 b.example"],
         ("10 a.example", "20 b.example")),
        # a proposal hides a CNAME for its type only
        ("www.example.com", "TXT", ["www.example.com TXT mine"], ("mine",)),
        ("www.example.com", "A", ["www.example.com TXT mine"], ("192.0.2.1",)),
        # what lies behind a CNAME may be proposed, and a CNAME itself
        ("sel._domainkey.example.com", "TXT", ["sel.esp.example TXT v=DKIM1; p=x"], ("v=DKIM1; p=x",)),
        ("www.example.com", "A", ["host.example.net A 192.0.2.9"], ("192.0.2.9",)),
        ("new.example.com", "A", ["new.example.com CNAME www.example.com"], ("192.0.2.1",)),
        ("loop.example.com", "A", ["loop.example.com CNAME loop.example.com"], Reason.ALIAS),
        # a failed base gives way at the name, and only there
        ("fails.example.com", "TXT", ["fails.example.com TXT x"], ("x",)),
        ("fails.example.com", "TXT", ["example.com TXT x"], Reason.TIMEOUT),
        # a name with a proposal exists, and so do the names above it
        ("a.b.example.com", "A", ["a.b.example.com TXT x"], "nodata"),
        ("b.example.com", "A", ["a.b.example.com TXT x"], "nodata"),
        ("c.example.com", "A", ["a.b.example.com TXT x"], "nxdomain"),
        ("a..b", "A", ["a.b.example.com TXT x"], "nxdomain"),
    ],
)  # fmt: skip
async def test_the_world_with_the_proposals(name: str, rdtype: str, texts: list[str], expected: object) -> None:
    assert shape(await proposed(name, rdtype, *texts)) == expected


async def test_the_chain_leads_through_proposals() -> None:
    answer = await proposed("new.example.com", "A", "new.example.com CNAME www.example.com")
    assert isinstance(answer, Found)
    assert answer.chain == ("www.example.com", "host.example.net")
