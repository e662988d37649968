"""Everything that may send today still may: SPF remedies one after the other, for IPv4 and IPv6 senders.

Held against a reading of SPF of this file's own, which knows nothing of the program's: a set of terms is walked for one
address, whatever the limits of receivers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.facts.base import Value, texts_of
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Remedy
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.remedies.records import Situation
from deliverability.engine.remedies.spf import drafts
from deliverability.engine.remedies.spf_facts import joined, minus
from deliverability.engine.remedies.spf_passing import Earlier, lost
from tests.engine.remedies.test_spf import DOMAIN, Audited, Zone, after, audit, hash_of, lookups, shown, spf
from tests.engine.test_rehearse import audited as reported
from tests.engine.test_rehearse import senders, with_it, zones
from tests.sampled import examples, sampled

pytestmark = pytest.mark.long

OUTLOOK = "include:spf.protection.outlook.com"
ADDRESSES = ("192.0.2.1", "192.0.2.77", "198.51.100.9", "203.0.113.5", "2001:db8::1", "2001:db8:1::9", "192.0.2.80")


# -- an independent reading -------------------------------------------------------------------------------------------


def passes(ip: str, words: Iterable[str], zone: Zone, seen: tuple[str, ...] = (DOMAIN,)) -> bool:
    """Whether the first of the terms that matches the address lets it pass; broken terms match nobody."""
    address = ip_address(ip)
    texts = [each.split(":", 1) if ":" in each else [each, seen[-1]] for each in words if "=" not in each]
    for (name, target), qualifier in (((n.lstrip("+-~?"), t), n[0]) for n, t in texts):
        if name == "all":
            matches = True
        elif name in ("ip4", "ip6"):
            matches = address in ip_network(target)
        elif name == "include":
            records = zone.get((target, "TXT"), ())
            loop = target in seen
            matches = len(records) == 1 and not loop and passes(ip, records[0].split()[1:], zone, (*seen, target))
        else:
            hosts = [target]
            if name == "mx":
                hosts = [each.split()[1] for each in zone.get((target, "MX"), ())]
            found = [each for host in hosts for rdtype in ("A", "AAAA") for each in zone.get((host, rdtype), ())]
            matches = any(address == ip_address(each) for each in found)
        if matches:
            return qualifier not in "-~?"
    redirects = [each.partition("=")[2] for each in words if each.startswith("redirect=")]
    ended = any(name.lstrip("+-~?") == "all" for name, _ in texts)
    if redirects and not ended and redirects[0] not in seen and (record := zone.get((redirects[0], "TXT"))):
        return passes(ip, record[0].split()[1:], zone, (*seen, redirects[0]))
    return False


def taken_by(remedies: Sequence[Remedy]) -> set[str]:
    return {term for each in remedies for term in texts_of(each.values.get("taken"))}


async def chained(zone: Zone, **more: Any) -> tuple[Audited, list[tuple[Audited, tuple[Remedy, ...]]]]:
    """Remedies published one after the other, each drafted anew from what the one before leads to."""
    first = now = await audit(zone, **more)
    kept: tuple[Remedy, ...] = ()
    steps: list[tuple[Audited, tuple[Remedy, ...]]] = []
    while len(kept) < 8:
        fresh = drafts(Situation(now.facts, now.findings, shipped().services, Earlier(first.facts, kept)))
        if not fresh:
            break
        kept = (*kept, fresh[0])
        now = await after(now, fresh[0], **more)
        steps.append((now, kept))
    return first, steps


def words_of(audited: Audited) -> list[str]:
    (record,) = texts_of(audited.facts.value("spf.records"))
    return record.split()[1:]


# -- the checker ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 -all", {4: 0, 6: 0}),
        ("v=spf1 ip4:192.0.2.0/24 -all", "v=spf1 ip4:192.0.2.0/25 -all", {4: 1, 6: 0}),
        ("v=spf1 a -all", "v=spf1 ip4:192.0.2.80 -all", {4: 0, 6: 1}),
        ("v=spf1 a -all", "v=spf1 ip4:192.0.2.80 ip6:2001:db8::80 -all", {4: 0, 6: 0}),
        ("v=spf1 a -all", "v=spf1 ip6:2001:db8::/32 -all", {4: 1, 6: 0}),
        ("v=spf1 include:one.example -all", "v=spf1 include:two.example -all", {4: 0, 6: 0}),
        ("v=spf1 include:two.example -all", "v=spf1 include:one.example -all", {4: 0, 6: 1}),
        ("v=spf1 ip4:192.0.2.0/24 ~all", "v=spf1 -ip4:192.0.2.7 ip4:192.0.2.0/24 ~all", {4: 1, 6: 0}),
        ("v=spf1 -ip4:192.0.2.7 ip4:192.0.2.0/24 ~all", "v=spf1 ip4:192.0.2.0/24 ~all", {4: 0, 6: 0}),
        ("v=spf1 ip4:192.0.2.1 -all ip4:192.0.2.2", "v=spf1 ip4:192.0.2.1 -all", {4: 0, 6: 0}),
        ("v=spf1 ip4:192.0.2.1 -all", "v=spf1 +all", {4: 0, 6: 0}),
        ("v=spf1 +all", "v=spf1 ip4:192.0.2.1 ~all", {4: 2, 6: 1}),
        ("v=spf1 a -a ip4:192.0.2.0/24 +all", "v=spf1 -a ip4:192.0.2.0/24 +all", {4: 1, 6: 1}),
    ],
)  # fmt: skip
async def test_who_is_lost_is_told_for_each_address_family(old: str, new: str, gone: dict[int, int]) -> None:
    """One address, one lost range: `a` has an IPv4 and an IPv6 address."""
    beside: Zone = {(DOMAIN, "AAAA"): ["2001:db8::80"]} | {
        ("one.example", "TXT"): ["v=spf1 ip4:203.0.113.1 -all"],
        ("two.example", "TXT"): ["v=spf1 include:one.example ip6:2001:db8:7::1 -all"],
    }
    before, behind = await audit(spf(old) | beside), await audit(spf(new) | beside)
    found = lost(before.facts, behind.facts, ())
    assert {version: [each[0] for each in found.ranges].count(version) for version in (4, 6)} == gone
    assert not found.names


async def test_what_depends_on_the_mail_is_lost_with_its_term() -> None:
    with_it, without = await audit(spf("v=spf1 exists:%{i}.x.example a -all")), await audit(spf("v=spf1 a -all"))
    assert lost(with_it.facts, without.facts, ())
    assert not lost(without.facts, with_it.facts, ())
    unreadable: Zone = {("one.example", "TXT"): "timeout"}
    failed = await audit(spf("v=spf1 include:one.example a -all") | unreadable)
    assert lost(failed.facts, without.facts, ()), "nobody knows whom it lets pass"


async def test_a_term_that_nobody_passes_by_is_no_loss() -> None:
    broken = await audit(spf("v=spf1 include:none.example a:gone.example include:example.com a -all"))
    assert not lost(broken.facts, (await audit(spf("v=spf1 a -all"))).facts, ())


SPANS = st.lists(st.tuples(st.sampled_from([4, 6]), st.integers(0, 30), st.integers(0, 8)), max_size=8)


@given(SPANS, SPANS)
def test_spans_are_subtracted_address_by_address(
    first: list[tuple[int, int, int]], other: list[tuple[int, int, int]]
) -> None:
    def each(spans: Iterable[tuple[int, int, int]]) -> set[tuple[int, int]]:
        return {(version, number) for version, low, high in spans for number in range(low, high + 1)}

    one, two = ([(version, low, low + more) for version, low, more in spans] for spans in (first, other))
    rest = minus(one, two)
    assert each(rest) == each(one) - each(two)
    assert rest == sorted(rest)
    assert each(joined(one)) == each(one)


# -- chains of remedies -----------------------------------------------------------------------------------------------


async def test_a_term_that_justified_an_earlier_drop_stays() -> None:
    """`a` goes because a service lists its address; the service then must not go as one that SPF need not list."""
    zone = spf("v=spf1 a include:wide.example include:big.example -all")
    zone |= {("wide.example", "TXT"): ["v=spf1 ip4:192.0.2.0/24 a:x1.example a:x2.example -all"]}
    zone |= {(f"x{n}.example", "A"): ["203.0.113.1"] for n in (1, 2)} | lookups("big", 8)
    services: Value = ({"id": "wide", "include_needed": False, "spf_terms": ("include:wide.example",)},)
    first, steps = await chained(zone, senders__services=services)
    assert "192.0.2.80" in {ip for ip in ADDRESSES if passes(ip, words_of(first), zone)}
    assert "a" not in words_of(steps[0][0])
    for audited, _ in steps:
        assert passes("192.0.2.80", words_of(audited), zone), words_of(audited)
    for draft in first.drafts:
        assert passes("192.0.2.80", draft.edits[-1].new[0].split()[1:], zone), draft.edits[-1].new


async def test_a_service_whose_ranges_stand_in_for_another_is_not_moved_to_a_subdomain() -> None:
    zone = spf("v=spf1 include:small.example include:cover.example include:big.example -all")
    zone |= lookups("small", 1, "ip4:203.0.113.7") | lookups("big", 8)
    zone |= {("cover.example", "TXT"): ["v=spf1 ip4:203.0.113.0/24 a:host.small.example a:y.example -all"]}
    small = zone["small.example", "TXT"][0]
    zone |= {(name, "A"): ["203.0.113.7"] for name in ("host.small.example", "y.example")}
    listed = [word.partition(":")[2] for word in small.split() if word.startswith("a:")]
    zone |= {(name, "A"): ["203.0.113.7"] for name in listed}
    first, steps = await chained(zone)
    assert steps, "more than ten look-ups: something is drafted"
    steps += [(await after(first, each), (each,)) for each in first.drafts]
    for audited, remedies in steps:
        if "include:small.example" not in taken_by(remedies):
            assert passes("203.0.113.7", words_of(audited), zone), words_of(audited)
        assert not lost(first.facts, audited.facts, remedies)


INNER = st.lists(
    st.sampled_from(
        ["ip4:192.0.2.0/24", "ip4:192.0.2.77", "ip4:198.51.100.0/24", "ip4:203.0.113.5", "ip6:2001:db8::/48",
         "ip6:2001:db8:1::9", "a:h4.example", "a:h6.example", "a:both.example", "mx:both.example", "-ip4:192.0.2.77",
         "include:deep.example", "include:other.example", "?ip6:2001:db8::1", "a:gone.example"]
    ),
    max_size=5,
)  # fmt: skip
OUTER = st.lists(
    st.sampled_from(
        ["a", "mx", "a:h4.example", "a:both.example", "mx:both.example", "ip4:192.0.2.0/24", "ip4:192.0.0.0/8",
         "ip6:2001:db8::/32", "ip6:2001:db8::1", "include:one.example", "include:two.example", "include:three.example",
         "include:deep.example", "include:other.example", "include:big.example", "include:none.example",
         "-ip4:192.0.2.1", "-a", "include:one.example", "include:two.example", "include:big.example", "ip4:203.0.113.5"]
    ),
    min_size=2, max_size=9,
)  # fmt: skip


@given(
    OUTER, st.sampled_from(["-all", "~all", "+all", "?all", ""]), INNER, INNER, INNER, INNER,
    st.sets(st.sampled_from(["one", "two", "three", "big"])), st.integers(4, 10),
)  # fmt: skip
@example(["a", "-a", "ip4:192.0.2.0/24"], "+all", [], [], [], [], set(), 4)
@example(
    ["include:one.example", "-ip4:192.0.2.1", "include:three.example"],
    *("-all", ["ip4:192.0.2.0/24", "?ip6:2001:db8::1"], [], [], [], set(), 4),
)
@examples(150, suppress_health_check=[HealthCheck.filter_too_much])
async def test_who_may_send_first_may_send_last_but_by_the_terms_taken_away(
    outer: list[str],
    end: str,
    one: list[str],
    two: list[str],
    three: list[str],
    deep: list[str],
    unneeded: set[str],
    cost: int,
) -> None:
    record = " ".join(["v=spf1", *outer, end]).strip()
    zone = spf(
        record,
        one=" ".join(["v=spf1", *one, "-all"]),
        two=" ".join(["v=spf1", *two, "~all"]),
        three=" ".join(["v=spf1", *three, "include:one.example", "-all"]),
        deep=" ".join(["v=spf1", *(each for each in deep if "include" not in each), "-all"]),
        other="v=spf1 ip4:198.51.100.0/24 ip6:2001:db8::/64 a:h4.example -all",
    ) | {
        (DOMAIN, "MX"): ["10 both.example"],
        ("both.example", "MX"): ["10 both.example"],
        ("both.example", "A"): ["192.0.2.77"],
        ("both.example", "AAAA"): ["2001:db8::1"],
        ("h4.example", "A"): ["192.0.2.1"],
        ("h6.example", "AAAA"): ["2001:db8:1::9"],
    } | lookups("big", cost, "ip4:203.0.113.0/24")  # fmt: skip
    services: Value = tuple(
        {"id": name, "include_needed": False, "spf_terms": (f"include:{name}.example",)} for name in sorted(unneeded)
    )
    first, steps = await chained(zone, senders__services=services)
    for number in range(len(first.drafts)):  # the chain of one run: each holds what those before it do
        until = first.drafts[: number + 1]
        steps.append((await after(first, until[-1], senders__services=services), until))
    for audited, remedies in steps:
        taken = taken_by(remedies)
        owed = [word for word in words_of(first) if word not in taken]
        for ip in ADDRESSES:
            if passes(ip, owed, zone):
                told = [(each.code, each.edits[-1].new) for each in remedies]
                assert passes(ip, words_of(audited), zone), (ip, words_of(first), told)
        assert not lost(first.facts, audited.facts, remedies)


# -- the include of whoever hosts the mailboxes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "mx",
    [
        "example-com.mail.protection.outlook.com",
        "example-com.a-v1.mx.microsoft",
        "eu-smtp-inbound-1.mimecast.com",
        "mx0a-00000001.pphosted.com",
        "in.gateway-that-nobody-knows.example",
        "",
    ],
)
@pytest.mark.parametrize("ips", [(), (f"198.51.{hash_of('big')}.1",)])
@pytest.mark.parametrize("covered", [True, False])
async def test_the_include_of_the_mailboxes_stays_whatever_the_mx_is_called(
    mx: str, ips: tuple[str, ...], covered: bool
) -> None:
    """More than ten look-ups, and the mailbox host is the easiest to move, drop or write out."""
    zone = spf(f"v=spf1 {OUTLOOK} include:news.example include:big.example -all")
    zone |= {("spf.protection.outlook.com", "TXT"): ["v=spf1 ip4:203.0.113.0/24 include:more.example -all"]}
    zone |= {("more.example", "TXT"): ["v=spf1 ip6:2001:db8:5::/48 a:x1.example a:x2.example -all"]}
    zone |= {(f"x{n}.example", "A"): ["203.0.113.9"] for n in (1, 2)}
    # Covered for today: all that Microsoft lists stands in the newsletter's record too.
    same = "ip4:203.0.113.0/24 ip6:2001:db8:5::/48" if covered else ""
    zone |= {("news.example", "TXT"): [f"v=spf1 ip4:192.0.2.200 {same} a:x1.example -all"]}
    zone |= lookups("big", 7)
    zone |= {(DOMAIN, "MX"): [f"10 {mx}"]} if mx else {}
    audited = await audit(zone, ips=ips)
    assert "SPF-003" in audited.unmet
    assert audited.drafts, "the others can go, or move"
    for draft in audited.drafts:
        (own,) = [edit for edit in draft.edits if edit.name == DOMAIN]
        assert OUTLOOK in own.new[0].split(), shown(audited)
        assert all(OUTLOOK not in edit.new[0] for edit in draft.edits if edit.name != DOMAIN)


async def test_a_filter_that_sends_the_users_mail_on_is_not_moved_either() -> None:
    zone = spf("v=spf1 include:_netblocks.mimecast.com include:news.example include:big.example -all")
    zone |= lookups("_netblocks.mimecast.com".removesuffix(".example"), 2) | lookups("news", 3) | lookups("big", 7)
    zone |= {("_netblocks.mimecast.com", "TXT"): zone.pop(("_netblocks.mimecast.com.example", "TXT"))}
    for draft in (await audit(zone)).drafts:
        assert "include:_netblocks.mimecast.com" in draft.edits[-1].new[0].split()


async def test_an_include_of_ones_own_that_leads_to_the_mailboxes_stays() -> None:
    zone = spf("v=spf1 include:_spf.example.com include:big.example -all") | lookups("big", 9)
    zone |= {("_spf.example.com", "TXT"): [f"v=spf1 {OUTLOOK} -all"]}
    zone |= {("spf.protection.outlook.com", "TXT"): ["v=spf1 ip4:203.0.113.0/24 -all"]}
    audited = await audit(zone, ips=("198.51.100.200",))
    assert "SPF-003" in audited.unmet
    assert all("include:_spf.example.com" in each.edits[-1].new[0] for each in audited.drafts)


async def test_of_the_same_include_twice_one_stays() -> None:
    zone = spf(f"v=spf1 {OUTLOOK} a {OUTLOOK} include:big.example -all") | lookups("big", 8)
    zone |= {("spf.protection.outlook.com", "TXT"): ["v=spf1 ip4:203.0.113.0/24 -all"]}
    audited = await audit(zone)
    assert audited.drafts[0].edits[0].new[0].split().count(OUTLOOK) == 1


# -- what users are shown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", sampled(senders(), 3))
async def test_the_remedies_shown_for_real_zones_lose_nobody(domain: str) -> None:
    """As rehearsed, one published after the other: from the first record to the last."""
    _, report = await reported(Subject(domain), zones())
    shown = [each for each in report.remedies if any(edit.name == domain for edit in each.edits) and "spf" in each.code]
    for number in range(len(shown)):
        edits = {(edit.name, edit.type): edit for each in shown[: number + 1] for edit in each.edits}
        last = replace(shown[number], edits=tuple(edits.values()))
        _, again = await reported(Subject(domain), with_it(zones(), last))
        assert not lost(report.facts, again.facts, shown[: number + 1])
