"""What an SPF tree lets pass: addresses, widths, overlaps, spare terms, and includes no given address needs."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.spf.coverage import MAX_RANGES, Coverage, measure
from deliverability.core.protocols.spf.tree import walk_tree
from tests.engine.auditors.test_spf import audit, facts, spf_at


async def cover(record: str, **more: Any) -> Coverage:
    resolver = StaticResolver(spf_at(record, **{k: v for k, v in more.items() if isinstance(v, str)}) | ADDRESSES)
    return await measure(await walk_tree("example.com", resolver), resolver)


ADDRESSES: dict[tuple[str, str], Any] = {
    ("example.com", "A"): ["192.0.2.1"],
    ("example.com", "AAAA"): ["2001:db8::1"],
    ("example.com", "MX"): ["10 mx.example.com", "20 lost.example.com"],
    ("mx.example.com", "A"): ["192.0.2.1", "198.51.100.9"],
}


@pytest.mark.parametrize(
    ("record", "addresses"),
    [
        ("v=spf1 -all", 0),
        ("v=spf1 ip4:192.0.2.0/24 -all", 256),
        ("v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.7 -all", 256),
        ("v=spf1 a mx -all", 2),
        ("v=spf1 a/24 -all", 256),
        ("v=spf1 -ip4:192.0.2.0/24 ~ip4:198.51.100.0/24 -all", 0),
        ("v=spf1 include:one.com -all", 4),
        ("v=spf1 ?include:one.com -all", 0),
        ("v=spf1 redirect=one.com", 4),
        ("v=spf1 -all include:one.com", 0),
        ("v=spf1 +all", 2**32),
    ],
)
async def test_addresses_are_counted_once_over_the_whole_tree(record: str, addresses: int) -> None:
    assert (await cover(record, one="v=spf1 ip4:203.0.113.0/30 -ip4:203.0.113.64/28 ~all")).ip4_addresses == addresses


async def test_wide_ranges_anywhere_are_named_with_their_record() -> None:
    coverage = await cover(
        "v=spf1 ip4:10.0.0.0/16 include:one.com -all", one="v=spf1 ip4:10.64.0.0/15 ip6:2001::/31 ~all"
    )
    assert coverage.wide(16, 32) == ("one.com: 10.64.0.0/15", "one.com: 2001::/31")
    assert coverage.widest_ip6 == 31


async def test_includes_that_let_the_same_ranges_pass() -> None:
    coverage = await cover(
        "v=spf1 include:one.com ip4:192.0.2.5 include:two.com -all",
        one="v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/25 ~all",
        two="v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.1 ~all",
    )
    assert [(each.first, each.second, each.range, each.count) for each in coverage.overlaps()] == [
        ("include:one.com", "ip4:192.0.2.5", "192.0.2.5/32", 1),
        ("include:one.com", "include:two.com", "198.51.100.0/25", 1),
    ]
    assert coverage.spare() == (), "each of the two includes lets something pass that the other does not"


@pytest.mark.parametrize(
    ("record", "spare"),
    [
        ("v=spf1 include:one.com include:two.com -all", ("include:two.com",)),
        ("v=spf1 include:two.com ip4:192.0.2.0/24 -all", ("include:two.com",)),
        # Two halves make the whole.
        ("v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 include:one.com -all", ("include:one.com",)),
        ("v=spf1 include:one.com include:one.com -all", ("include:one.com",)),
        ("v=spf1 include:half.com include:two.com -all", ("include:half.com",)),
        ("v=spf1 ip4:192.0.2.0/25 include:two.com -all", ()),
        # What depends on the mail may let more pass.
        ("v=spf1 include:one.com include:open.com -all", ()),
        ("v=spf1 include:two.com +all", ()),
    ],
)
async def test_terms_that_can_go(record: str, spare: tuple[str, ...]) -> None:
    coverage = await cover(
        record,
        one="v=spf1 ip4:192.0.2.0/24 ~all",
        two="v=spf1 ip4:192.0.2.0/24 ~all",
        half="v=spf1 ip4:192.0.2.0/25 ~all",
        open="v=spf1 ip4:192.0.2.1 exists:%{i}.list.example ~all",
    )
    assert coverage.spare() == spare


async def test_each_include_has_its_cost_and_the_reserve_is_told() -> None:
    context = await audit(
        spf_at("v=spf1 include:one.com include:two.com -all", one="v=spf1 include:two.com a ~all", two="v=spf1 mx ~all")
    )
    costs, left = facts(context, "include_costs", "lookups_left")
    assert costs == (
        {"target": "one.com", "lookups": 4, "void_lookups": 2},
        {"target": "two.com", "lookups": 2, "void_lookups": 1},
    )
    assert left == 4


INCLUDES = {
    "used": "v=spf1 ip4:192.0.2.0/24 ~all",
    "idle": "v=spf1 ip4:198.51.100.0/24 ~all",
    "open": "v=spf1 exists:%{i}.list.example ~all",
}


@pytest.mark.parametrize(
    ("record", "idle"),
    [
        ("v=spf1 include:used.com include:idle.com -all", ("include:idle.com",)),
        ("v=spf1 include:idle.com include:used.com -all", ("include:idle.com",)),
        # Not reached, and what it lets pass depends on the mail: nobody knows.
        ("v=spf1 include:used.com include:open.com -all", ()),
        # Reached, and it did not match.
        ("v=spf1 include:open.com include:used.com -all", ("include:open.com",)),
    ],
)
async def test_includes_that_no_given_address_needs(record: str, idle: tuple[str, ...]) -> None:
    context = await audit(spf_at(record, **INCLUDES), ips=("192.0.2.7", "192.0.2.8"))
    assert facts(context, "unmatched_includes") == [idle]


async def test_without_addresses_nobody_knows_which_includes_are_idle() -> None:
    context = await audit(spf_at("v=spf1 include:used.com -all", **INCLUDES))
    assert facts(context, "unmatched_includes") == [Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IP))]


async def test_a_failing_include_leaves_the_sums_unknown_and_keeps_what_is_certain() -> None:
    context = await audit(
        spf_at("v=spf1 include:used.com include:used.com include:lost.com -all", **INCLUDES)
        | {("lost.com", "TXT"): "timeout"},
        ips=("192.0.2.7",),
    )
    authorised, overlaps, left, idle, wide = facts(
        context, "authorised_ip4", "overlaps", "lookups_left", "unmatched_includes", "wide_ranges_in_tree"
    )
    assert all(isinstance(each, Unknown) and each.reason is Reason.TIMEOUT for each in (authorised, left, idle, wide))
    assert isinstance(overlaps, tuple)
    assert len(overlaps) == 1


async def test_a_failing_mx_host_is_not_a_host_without_addresses() -> None:
    zone = spf_at("v=spf1 mx -all") | ADDRESSES | {("lost.example.com", "A"): "servfail"}
    assert [each.reason for each in facts(await audit(zone), "authorised_ip4") if isinstance(each, Unknown)] == [
        Reason.SERVFAIL
    ]


async def test_ranges_beyond_the_bound_make_the_sum_unknown() -> None:
    terms = " ".join(f"ip4:10.{n >> 8}.{n & 255}.0/24" for n in range(900))
    records = {f"n{n}": f"v=spf1 {terms} ~all" for n in range(5)}
    coverage = await cover(f"v=spf1 {' '.join(f'include:{name}.com' for name in records)} -all", **records)
    assert coverage.gap is not None
    assert coverage.gap.reason is Reason.LIMIT
    assert len(coverage.ranges) == MAX_RANGES
