"""The include tree and what it costs, without a sending address; checked against pyspf and checkdmarc."""

from __future__ import annotations

import asyncio
import json
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deliverability.core.codec import decode, encode, typed
from deliverability.core.codes import ABOUT, ASKED
from deliverability.core.facts.base import Reason, Unknown, Value
from deliverability.core.facts.spf import SpfStatus
from deliverability.core.model.topic import OddFactError
from deliverability.core.net.base import Answer, Failed, Found, Resolver
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.protocols.spf.evaluate import evaluate_spf
from deliverability.core.protocols.spf.record import BAD_PREFIX, MAX_TERMS, NO_MECHANISM_BUT
from deliverability.core.protocols.spf.tree import (
    MAX_QUESTIONS,
    MAX_RECORDS,
    MAX_TERMS_IN_ALL,
    TOO_BIG,
    Tree,
    walk_tree,
)
from tests.corpus import corpus
from tests.sampled import examples

pytestmark = pytest.mark.long

Zone = dict[tuple[str, str], Any]


class Counting:
    """Passes questions on, counts them, and can answer in any order."""

    def __init__(self, inner: Resolver, shuffle: random.Random | None = None) -> None:
        self.inner, self.shuffle = inner, shuffle
        self.asked: list[tuple[str, str]] = []

    async def query(self, name: str, rdtype: str) -> Answer:
        self.asked.append((name, rdtype))
        for _ in range(self.shuffle.randrange(5) if self.shuffle else 0):
            await asyncio.sleep(0)
        return await self.inner.query(name, rdtype)

    async def close(self) -> None: ...


async def walk(zone: Zone, domain: str = "example.com") -> Tree:
    return await walk_tree(domain, StaticResolver(zone))


def spf(**records: str) -> Zone:
    return {(f"{name}.com", "TXT"): [record] for name, record in records.items()}


def statuses(tree: Tree) -> dict[str, str]:
    return {entry.term.text: entry.status for _, entry in tree.entries}


async def test_each_term_has_its_cost_and_that_of_what_is_below_it() -> None:
    tree = await walk(
        spf(
            example="v=spf1 a include:one.com ip4:192.0.2.1 include:two.com -all",
            one="v=spf1 include:two.com mx ~all",
            two="v=spf1 exists:%{i}.list.com ptr ip6:2001:db8::/32 ?all",
        )
    )
    assert tree.lookups == 1 + (1 + (1 + 2) + 1) + (1 + 2)
    assert [(each.text, each.lookups, each.total_lookups) for each in tree.root.tree.terms] == [
        ("a", 1, 1),
        ("include:one.com", 1, 5),
        ("ip4:192.0.2.1", 0, 0),
        ("include:two.com", 1, 3),
        ("-all", 0, 0),
    ]
    assert tree.uses_ptr


async def test_terms_after_all_and_a_redirect_beside_it_cost_nothing_and_are_not_asked() -> None:
    counting = Counting(StaticResolver(spf(example="v=spf1 redirect=r.com -all a include:x.com mx")))
    tree = await walk_tree("example.com", counting)
    assert (tree.lookups, tree.void_lookups(4, 6)) == (0, 0)
    assert counting.asked == [("example.com", "TXT")]
    assert list(statuses(tree).values()) == ["dead", "ok", "dead", "dead", "dead"]


async def test_addresses_of_mx_hosts_do_not_count() -> None:
    tree = await walk(
        spf(example="v=spf1 mx -all") | {("example.com", "MX"): [f"1 mx{n}.example.com" for n in range(9)]}
    )
    assert (tree.lookups, tree.void_lookups(4, 6)) == (1, 0)


async def test_more_than_ten_mx_hosts_are_named() -> None:
    tree = await walk(
        spf(example="v=spf1 mx -all") | {("example.com", "MX"): [f"1 mx{n}.example.com" for n in range(11)]}
    )
    assert tree.targets(SpfStatus.OVERFLOW) == ("example.com",)


async def test_an_a_term_asks_for_the_family_of_the_sending_address_and_may_be_void_for_one_of_them() -> None:
    """RFC 7208 section 4.6.4: a receiver counts the look-up it makes, A for an IPv4 sender and AAAA for an IPv6 one."""
    tree = await walk(
        spf(example="v=spf1 a:four.com a:six.com a:none.com a:four2.com -all")
        | {("four.com", "A"): ["192.0.2.1"], ("four2.com", "A"): ["192.0.2.2"], ("six.com", "AAAA"): ["2001:db8::1"]}
    )
    assert (tree.void_lookups(4), tree.void_lookups(6), tree.void_lookups(4, 6)) == (2, 3, 3)
    assert tree.void_names(4) == ("A six.com", "A/AAAA none.com")
    assert tree.void_names(6) == ("AAAA four.com", "A/AAAA none.com", "AAAA four2.com")
    assert tree.dead_names == ("A/AAAA none.com",)
    assert statuses(tree)["a:four.com"] == "ok"
    assert statuses(tree)["a:none.com"] == "void"


@pytest.mark.parametrize(("ip", "result", "void"), [("192.0.2.9", "pass", 0), ("2001:db8::9", "permerror", 3)])
async def test_void_lookups_are_those_that_a_receiver_counts_for_the_address(ip: str, result: str, void: int) -> None:
    zone = spf(example="v=spf1 a:x.com a:y.com a:z.com ip4:192.0.2.0/24 ip6:2001:db8::/32 -all")
    zone |= {(f"{name}.com", "A"): ["198.51.100.1"] for name in "xyz"}
    evaluation = await evaluate_spf(ip, "joe@example.com", "mail.example.com", StaticResolver(zone))
    assert (evaluation.result, evaluation.void_lookups) == (result, void)
    assert (await walk(zone)).void_lookups(4 if "." in ip else 6) == void


async def test_void_lookups_are_those_of_terms_and_name_what_was_asked() -> None:
    tree = await walk(
        spf(
            example="v=spf1 mx:m.com exists:e.com include:gone.com include:silent.com redirect=lost.com", silent="hello"
        )
    )
    assert tree.void_names(4) == tree.void_names(6) == ("MX m.com", "A e.com", "TXT gone.com", "TXT lost.com")
    assert tree.targets(SpfStatus.BROKEN) == ("gone.com", "silent.com", "lost.com")
    assert (tree.lookups, tree.void_lookups(4), tree.void_lookups(6)) == (5, 4, 4)


async def test_the_list_goes_on_past_the_tenth_lookup() -> None:
    includes = " ".join(f"include:i{n}.com" for n in range(14))
    tree = await walk(spf(example=f"v=spf1 {includes} -all", **{f"i{n}": "v=spf1 a:h.com ~all" for n in range(14)}))
    assert tree.lookups == 28
    assert len(tree.nodes) == 15


@pytest.mark.parametrize("last", ["include:example.com", "redirect=example.com", "include:two.com"])
async def test_loops_are_found_and_not_followed(last: str) -> None:
    tree = await walk(spf(example="v=spf1 include:two.com ?all", two=f"v=spf1 {last}"))
    assert tree.targets(SpfStatus.LOOP) == (last.removeprefix("include:").removeprefix("redirect="),)
    assert tree.lookups == 2


async def test_the_same_target_twice_is_no_loop_and_costs_twice() -> None:
    tree = await walk(
        spf(example="v=spf1 include:one.com include:two.com", one="v=spf1 include:two.com", two="v=spf1 a:x.com")
    )
    assert tree.targets(SpfStatus.LOOP) == ()
    assert tree.lookups == 2 + (1 + 1) + 1


async def test_a_tree_that_never_ends_is_bounded_and_says_so() -> None:
    wide = " ".join(f"include:w{n}.com" for n in range(40)) + " " + " ".join(f"a:a{n}.com" for n in range(300))
    zone = spf(example=f"v=spf1 {wide} -all", **{f"w{n}": f"v=spf1 {wide} -all" for n in range(40)})
    counting = Counting(StaticResolver(zone))
    tree = await walk_tree("example.com", counting)
    assert isinstance(tree.lookups, int)
    assert tree.lookups > MAX_RECORDS
    void = tree.void_lookups(4)
    assert isinstance(void, Unknown)
    assert void.reason is Reason.LIMIT
    assert len([1 for _, rdtype in counting.asked if rdtype == "TXT"]) == MAX_RECORDS
    assert len([1 for _, rdtype in counting.asked if rdtype == "A"]) == MAX_QUESTIONS


async def test_of_a_tree_of_endless_records_some_are_read_and_the_rest_is_not_known() -> None:
    """Records of 64 KB in 50 includes would be a hundred thousand terms."""
    ranges = " ".join(f"ip4:10.0.{n // 256}.{n % 256}" for n in range(900))
    includes = " ".join(f"include:w{n}.com" for n in range(40))
    tree = await walk(spf(example=f"v=spf1 {includes} -all", **{f"w{n}": f"v=spf1 {ranges} -all" for n in range(40)}))
    assert MAX_TERMS_IN_ALL <= len(tree.entries) < MAX_TERMS_IN_ALL + MAX_TERMS
    assert tree.gap == Unknown(Reason.LIMIT, TOO_BIG(n=50, depth=20, terms=5000))
    assert tree.lookups == 40
    assert "w39.com" in tree.targets(SpfStatus.LIMIT)


async def test_a_long_chain_is_bounded() -> None:
    tree = await walk(
        spf(example="v=spf1 include:c0.com", **{f"c{n}": f"v=spf1 include:c{n + 1}.com" for n in range(60)})
    )
    assert tree.lookups == 21
    assert isinstance(tree.void_lookups(4), Unknown)


async def test_macros_that_need_a_mail_are_counted_and_not_followed() -> None:
    tree = await walk(spf(example="v=spf1 include:%{i}.x.com exists:%{l}._spf.%{d} a:%{d2} include:_inc.%{d} ~all"))
    assert statuses(tree) == {
        "include:%{i}.x.com": "macro",
        "exists:%{l}._spf.%{d}": "macro",
        "a:%{d2}": "void",
        "include:_inc.%{d}": "broken",
        "~all": "ok",
    }
    assert tree.lookups == 4
    assert tree.targets(SpfStatus.BROKEN) == ("_inc.example.com",)


async def test_d_is_the_domain_of_the_record_and_o_that_of_the_sender() -> None:
    tree = await walk(spf(example="v=spf1 include:one.com", one="v=spf1 a:d.%{d} a:o.%{o}"))
    assert tree.targets(SpfStatus.VOID) == ("d.one.com", "o.example.com")


@pytest.mark.parametrize("failure", ["timeout", "servfail", "refused"])
async def test_a_failing_include_makes_the_counts_unknown_and_keeps_the_rest(failure: str) -> None:
    zone = spf(example="v=spf1 include:lost.com include:one.com -all", one="v=spf1 a:gone.com")
    tree = await walk(zone | {("lost.com", "TXT"): failure})
    lost = Unknown(Reason(failure), ASKED(type="TXT", name="lost.com"))
    assert tree.lookups == lost
    assert isinstance(tree.void_lookups(4), Unknown)
    assert (tree.lookups_at_least, tree.void_at_least(4)) == (3, 1)
    term = tree.root.tree.terms[0]
    assert (term.status, term.problem) == (SpfStatus.FAILED, lost)
    assert tree.targets(SpfStatus.BROKEN) == ()


async def test_a_failing_address_leaves_the_lookup_count_known_but_not_the_void_count_of_its_family() -> None:
    tree = await walk(spf(example="v=spf1 a:x.com -all") | {("x.com", "AAAA"): "timeout"})
    assert (tree.lookups, tree.void_lookups(4)) == (1, 1)
    assert isinstance(tree.void_lookups(6), Unknown)
    assert tree.dead_names == ()
    assert tree.terms_gap == tree.void_lookups(6)


async def test_one_family_that_answers_is_enough_to_know_that_a_name_is_not_dead() -> None:
    tree = await walk(
        spf(example="v=spf1 a:x.com -all") | {("x.com", "A"): ["192.0.2.1"], ("x.com", "AAAA"): "timeout"}
    )
    assert tree.void_lookups(4) == 0
    assert isinstance(tree.void_lookups(6), Unknown)
    assert (tree.terms_gap, tree.dead_names) == (None, ())


async def test_syntax_errors_of_the_whole_tree_are_listed_with_their_domain() -> None:
    tree = await walk(spf(example="v=spf1 ipv4:192.0.2.1 include:one.com -all", one="v=spf1 mx/99 ~all"))
    assert tree.syntax_errors == (
        ABOUT(what="ipv4:192.0.2.1", detail=NO_MECHANISM_BUT(name="ipv4", near="ip4")),
        ABOUT(what="one.com", detail=ABOUT(what="mx/99", detail=BAD_PREFIX(n="99"))),
    )


class Rounds:
    """Answers only once nobody asks anything more: every release is one round trip that had to be waited for."""

    def __init__(self, inner: Resolver) -> None:
        self.inner, self.count = inner, 0
        self.waiting: list[asyncio.Event] = []

    async def query(self, name: str, rdtype: str) -> Answer:
        event = asyncio.Event()
        self.waiting.append(event)
        await event.wait()
        return await self.inner.query(name, rdtype)

    async def close(self) -> None: ...

    async def release(self) -> None:
        while True:
            for _ in range(10):
                await asyncio.sleep(0)
            self.count += bool(self.waiting)
            for event in self.waiting:
                event.set()
            self.waiting = []


async def test_a_tree_costs_its_longest_chain_of_questions() -> None:
    rounds = Rounds(
        StaticResolver(
            spf(
                example="v=spf1 include:one.com include:two.com a mx a:x.com -all",
                one="v=spf1 include:three.com a mx ~all",
                two="v=spf1 a mx exists:e.com ~all",
                three="v=spf1 a mx ~all",
            )
        )
    )
    releasing = asyncio.create_task(rounds.release())
    await walk_tree("example.com", rounds)
    releasing.cancel()
    assert rounds.count == 4  # example.com, one.com, three.com, addresses of three.com


@given(st.integers(0, 2**32))
@examples(25)
async def test_the_tree_does_not_depend_on_which_answer_comes_first(seed: int) -> None:
    zone = ring_zone(random.Random(seed), loops=True)
    unshuffled = await walk_tree("d0.com", StaticResolver(zone))
    shuffled = await walk_tree("d0.com", Counting(StaticResolver(zone), random.Random(seed + 1)))
    assert shuffled.root.tree == unshuffled.root.tree


# ---------------------------------------------------------------------------------------------------------------
# The corpus: real records. What the zones' own description says about them.


@pytest.fixture(scope="module")
def zones() -> ZoneResolver:
    return ZoneResolver.load([corpus("zones")])


@pytest.mark.parametrize(
    ("domain", "lookups"),
    [
        ("akaa.fi", 12),
        ("frederiksberg.dk", 12),
        ("erschwil.ch", 14),
        ("kajaani.fi", 15),
        ("bs.ch", 11),
        ("hackclub.com", 11),
        ("helsingor.dk", 10),
    ],
)
async def test_lookups_of_real_domains(zones: ZoneResolver, domain: str, lookups: int) -> None:
    assert (await walk_tree(domain, zones)).lookups == lookups


@pytest.mark.parametrize(
    "domain",
    ["avry.ch", "ahtari.fi", "cadempino.ch", "kaavi.fi", "nesseby.kommune.no", "stansstad.ch", "frauenfeld.ch"],
)
async def test_syntax_errors_of_real_domains(zones: ZoneResolver, domain: str) -> None:
    tree = await walk_tree(domain, zones)
    assert tree.root.status == "syntax-error"
    assert tree.syntax_errors


async def test_a_doubled_version_is_an_ignored_modifier(zones: ZoneResolver) -> None:
    tree = await walk_tree("agarn.ch", zones)  # "v=spf1 v=spf1 a mx ...": section 6 allows any name=value
    assert tree.syntax_errors == ()
    assert statuses(tree)["v=spf1"] == "ignored"


async def test_all_and_ptr_of_real_domains(zones: ZoneResolver) -> None:
    async def end(domain: str) -> str | None:
        node = (await walk_tree(domain, zones)).end
        return node.record.all.qualifier if node and node.record and node.record.all else None

    assert (await end("ballens.ch"), await end("chamoson.net"), await end("duggingen.ch")) == ("?", "?", None)
    assert (await walk_tree("bellinzona.ch", zones)).uses_ptr


@pytest.mark.parametrize("domain", ["bellinzona.ch", "chamoson.net"])
async def test_an_include_outside_the_given_zones_is_unknown_and_not_missing(zones: ZoneResolver, domain: str) -> None:
    tree = await walk_tree(domain, zones)
    assert isinstance(tree.lookups, Unknown)
    assert tree.lookups.reason is Reason.OFFLINE
    assert tree.targets(SpfStatus.BROKEN) == ()


# ---------------------------------------------------------------------------------------------------------------
# pyspf


def ring_zone(choose: random.Random, *, loops: bool = False) -> Zone:
    """Random records at d0.com to d7.com that include or redirect to later ones (to any, with `loops`).

    Every name exists, for pyspf gives up after two void look-ups; no term matches 203.0.113.9.
    """
    count = choose.randint(2, 8)
    zone: Zone = {}
    for number in range(count):
        later = [f"d{n}.com" for n in (range(count) if loops else range(number + 1, count))]
        terms = ["a", "mx", "a:host.com/28", "mx:host.com", "ptr", "ip4:192.0.2.0/24"]
        chosen = [
            choose.choice(["", "+", "-", "~", "?"]) + term for term in choose.choices(terms, k=choose.randint(0, 4))
        ]
        chosen += [f"include:{choose.choice(later)}" for _ in range(choose.randint(0, 2)) if later]
        choose.shuffle(chosen)
        ending = choose.choice(["all", "redirect", "nothing"])
        if ending == "redirect" and later:
            chosen.append(f"redirect={choose.choice(later)}")
        elif ending == "all":
            chosen.append(choose.choice(["-all", "~all", "?all"]))
        zone[f"d{number}.com", "TXT"] = ["v=spf1 " + " ".join(chosen)]
        zone[f"d{number}.com", "A"] = ["198.51.100.1"]
        zone[f"d{number}.com", "MX"] = ["10 host.com"]
    zone["host.com", "A"] = ["198.51.100.2"]
    zone["host.com", "MX"] = ["10 host.com"]
    for reverse in ("9.113.0.203", "1.100.51.198", "5.2.0.192"):
        zone[f"{reverse}.in-addr.arpa", "PTR"] = ["host.com"]
    return zone


def pyspf_query(zone: Zone, monkeypatch: pytest.MonkeyPatch, ip: str = "203.0.113.9") -> Any:
    with warnings.catch_warnings(action="ignore"):  # of its docstrings, where no bytecode was written yet
        import spf as pyspf

    def lookup(name: str, rdtype: str, *_: Any) -> Iterator[Any]:
        for value in zone.get((name.rstrip(".").lower(), rdtype), []):
            if rdtype == "MX":
                preference, host = value.split()
                yield (name, rdtype), (int(preference), host)
            else:
                yield (name, rdtype), ((value.encode(),) if rdtype == "TXT" else value)

    monkeypatch.setattr(pyspf, "DNSLookup", lookup)
    return pyspf.query(ip, "joe@d0.com", "mail.d0.com", strict=True)


@given(st.integers(0, 2**32))
@examples(300)
def test_lookup_count_and_result_are_those_of_pyspf(seed: int) -> None:
    """pyspf stops at the eleventh look-up, so beyond ten only that it is more is compared."""
    zone = ring_zone(random.Random(seed))
    with pytest.MonkeyPatch.context() as monkeypatch:
        query = pyspf_query(zone, monkeypatch)
        result = query.check()[0]
    resolver = StaticResolver(zone)
    tree = asyncio.run(walk_tree("d0.com", resolver))
    evaluation = asyncio.run(evaluate_spf("203.0.113.9", "joe@d0.com", "mail.d0.com", resolver))
    assert isinstance(tree.lookups, int)
    assert min(tree.lookups, 11) == query.lookups
    assert evaluation.result == result
    assert evaluation.lookups == min(tree.lookups, 11)


@given(st.integers(0, 2**32), st.sampled_from(["198.51.100.1", "192.0.2.5"]))
@examples(300)
def test_result_where_terms_match_is_that_of_pyspf(seed: int, ip: str) -> None:
    """pyspf counts a redirect before it is reached, so trees past the limit are left out."""
    zone = ring_zone(random.Random(seed))
    resolver = StaticResolver(zone)
    tree = asyncio.run(walk_tree("d0.com", resolver))
    assume(isinstance(tree.lookups, int) and tree.lookups <= 10)
    with pytest.MonkeyPatch.context() as monkeypatch:
        result = pyspf_query(zone, monkeypatch, ip).check()[0]
    assert asyncio.run(evaluate_spf(ip, "joe@d0.com", "mail.d0.com", resolver)).result == result


# ---------------------------------------------------------------------------------------------------------------
# checkdmarc


def dnspython_resolver(ours: ZoneResolver) -> Any:
    """A dnspython resolver that answers from ours, for checkdmarc's parser."""
    import dns.message
    import dns.rdataclass
    import dns.rdatatype
    import dns.resolver
    import dns.rrset

    class Injected(dns.resolver.Resolver):
        def __init__(self) -> None:
            super().__init__(configure=False)
            self.lifetime = 5.0
            self.failed: set[str] = set()

        def resolve(self, qname: Any, rdtype: Any = "A", *_: Any, **__: Any) -> Any:
            name = dns.name.from_text(str(qname))
            kind = dns.rdatatype.RdataType.make(rdtype)
            answer = asyncio.run(ours.query(name.to_text(True), kind.name))
            response = dns.message.make_response(dns.message.make_query(name, kind))
            response.index = None
            if isinstance(answer, Failed):
                self.failed.add(answer.name)
                raise dns.resolver.LifetimeTimeout(timeout=1, errors=[])
            if isinstance(answer, Found):
                values = [quoted(v) if kind == dns.rdatatype.TXT else v for v in answer.values]
                values = [f"{v}." if kind in (dns.rdatatype.MX, dns.rdatatype.PTR) else v for v in values]
                response.answer = [dns.rrset.from_text(name, 60, "IN", kind.name, *values)]
            elif answer.nxdomain:
                raise dns.resolver.NXDOMAIN(qnames=[name], responses={name: response})
            return dns.resolver.Answer(name, kind, dns.rdataclass.IN, response)

    def quoted(value: str) -> str:
        pieces = [value[start : start + 250] for start in range(0, len(value), 250)]
        return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)

    return Injected()


def test_counts_are_those_of_checkdmarc(zones: ZoneResolver) -> None:
    """checkdmarc stops at the first term of the top record that takes it past ten; up to there the counts agree."""
    import checkdmarc.spf
    import checkdmarc.utils

    index = corpus("zones", "index.tsv").read_text("utf-8").splitlines()[1:]
    senders = [line.split("\t")[0].removesuffix(".zone") for line in index if line.split("\t")[1] == "sender"]
    within = beyond = 0
    for domain in senders:
        tree = asyncio.run(walk_tree(domain, zones))
        if tree.root.record is None or isinstance(tree.lookups, Unknown) or tree.syntax_errors:
            continue
        checkdmarc.utils.DNS_CACHE.clear()  # it is kept by name and type, whichever resolver answered
        theirs = checkdmarc.spf.parse_spf_record(
            tree.root.record.text, domain, resolver=dnspython_resolver(zones), ignore_too_many_lookups=True
        )
        if tree.lookups <= 10:
            void = sum(
                entry.void == {4, 6} for _, entry in tree.entries
            )  # it counts what finds nothing in either family
            assert (theirs["dns_lookups"], theirs["void_dns_lookups"]) == (tree.lookups, void), domain
            within += 1
        else:
            assert 10 < theirs["dns_lookups"] <= tree.lookups, domain
            beyond += 1
    assert (within, beyond) == (38, 8)


async def test_a_tree_is_read_back_as_it_was() -> None:
    zone = spf(example="v=spf1 a mx/99 include:one.com include:lost.com x=y -all", one="v=spf1 redirect=one.com")
    tree = (await walk(zone | {("lost.com", "TXT"): "timeout"})).root.tree
    assert {each.status for each in tree.terms} > {SpfStatus.SYNTAX_ERROR, SpfStatus.FAILED, SpfStatus.IGNORED}
    assert typed("spf.tree", decode(json.loads(json.dumps(encode(tree))))) == tree


@pytest.mark.parametrize("value", ["tree", (), {"terms": ()}, {"domain": "a", "status": "odd"}])
def test_what_is_no_tree_is_told_with_its_path(value: Value) -> None:
    with pytest.raises(OddFactError, match=r"^spf\.tree(\.domain|\.status)?: expected "):
        typed("spf.tree", value)


def test_a_tree_without_end_is_not_read() -> None:
    tree: Value = None
    for _ in range(300):
        tree = {"domain": "example.com", "terms": ({"text": "include:example.com", "tree": tree},)}
    with pytest.raises(OddFactError, match=r"^spf\.tree: expected a tree of a hundred records at most"):
        typed("spf.tree", tree)
