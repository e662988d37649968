"""Zones and plans over another resolver: what they hold they answer, the rest is asked there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Answer, Failed, Found
from deliverability.core.net.static import OFFLINE, Records, StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.net.zones.base import Record, UnknownRecord, ZoneInput
from deliverability.core.net.zones.over import laid_over

WHY = Code("terraform-after-apply", ("address",))(address="x.y")
BASE: Mapping[tuple[str, str], Records] = {
    ("example.com", "TXT"): ["v=spf1 -all", "verification"],
    ("example.com", "MX"): ["10 mx.example.com"],
    ("mx.example.com", "A"): ["192.0.2.1"],
    ("old.example.com", "CNAME"): ["there.example.net"],
    ("there.example.net", "A"): ["192.0.2.9"],
    ("there.example.net", "TXT"): ["there"],
    ("into.example.net", "CNAME"): ["mx.example.com"],
}


def record(owner: str, rdtype: str, rdata: str) -> Record:
    return Record(owner, rdtype, rdata, 300)


def plan(
    after: Sequence[Record] = (),
    before: Sequence[Record] = (),
    *,
    replaces: str = "set",
    unknown: Sequence[UnknownRecord] = (),
) -> ZoneInput:
    return ZoneInput(
        "terraform-plan",
        ("example.com",),
        complete=False,
        after=tuple(after),
        before=tuple(before),
        replaces="value" if replaces == "value" else "set",
        unknown=tuple(unknown),
    )


async def ask(found: ZoneInput, name: str, rdtype: str, *, before: bool = False, base: Mapping = BASE) -> Answer:
    resolver = laid_over(StaticResolver(base), [found], "before" if before else "after")
    return await resolver.query(name, rdtype)


def values(answer: Answer) -> list[str] | str:
    if isinstance(answer, Found):
        return sorted(answer.values)
    return answer.reason.value if isinstance(answer, Failed) else "nxdomain" if answer.nxdomain else "nothing"


SPF, NEW = record("example.com", "TXT", '"v=spf1 -all"'), record("example.com", "TXT", '"v=spf1 ~all"')


@pytest.mark.parametrize(
    ("found", "after", "before"),
    [
        (plan([NEW], [SPF]), ["v=spf1 ~all"], ["v=spf1 -all"]),
        (plan([NEW], [SPF], replaces="value"), ["v=spf1 ~all", "verification"], ["v=spf1 -all", "verification"]),
        (plan([], [SPF]), "nothing", ["v=spf1 -all"]),
        (plan([], [SPF], replaces="value"), ["verification"], ["v=spf1 -all", "verification"]),
        (
            plan([NEW], replaces="value"),
            ["v=spf1 -all", "v=spf1 ~all", "verification"],
            ["v=spf1 -all", "verification"],
        ),
        (plan([SPF], [SPF], replaces="value"), ["v=spf1 -all", "verification"], ["v=spf1 -all", "verification"]),
    ],
    ids=["set", "value", "set goes", "value goes", "value comes", "as it was"],
)
async def test_sets_and_values_are_not_mixed_up(found: ZoneInput, after: object, before: object) -> None:
    assert values(await ask(found, "example.com", "TXT")) == after
    assert values(await ask(found, "example.com", "TXT", before=True)) == before
    assert values(await ask(found, "example.com", "MX")) == ["10 mx.example.com"]


class TestAliases:
    async def test_one_that_comes_leads_on(self) -> None:
        found = plan([record("new.example.com", "CNAME", "there.example.net.")])
        answer = await ask(found, "new.example.com", "A")
        assert values(answer) == ["192.0.2.9"]
        assert isinstance(answer, Found)
        assert answer.chain == ("there.example.net",)

    async def test_one_that_goes_leads_nowhere(self) -> None:
        gone = record("old.example.com", "CNAME", "there.example.net.")
        found = plan([record("old.example.com", "TXT", '"here"')], [gone])
        assert values(await ask(found, "old.example.com", "TXT")) == ["here"]
        assert values(await ask(found, "old.example.com", "A")) == "nothing"
        assert values(await ask(found, "old.example.com", "A", before=True)) == ["192.0.2.9"]

    async def test_one_of_others_leads_into_the_plan(self) -> None:
        found = plan([record("mx.example.com", "A", "192.0.2.77")])
        assert values(await ask(found, "into.example.net", "A")) == ["192.0.2.77"]

    async def test_a_loop_is_a_failure(self) -> None:
        found = plan([record("mx.example.com", "CNAME", "into.example.net.")])
        assert values(await ask(found, "into.example.net", "A")) == "alias"


class TestWildcards:
    STAR = record("*.example.com", "TXT", '"v=spf1 -all"')

    async def test_one_that_comes_answers_for_names_that_there_are_not(self) -> None:
        found = plan([self.STAR])
        assert values(await ask(found, "nothing.example.com", "TXT")) == ["v=spf1 -all"]
        assert values(await ask(found, "mx.example.com", "TXT")) == "nothing"
        assert values(await ask(found, "nothing.example.com", "A")) == "nothing"

    async def test_a_name_between_keeps_it_off(self) -> None:
        """RFC 4592 section 3.3.1: at mx.example.com there is something, so below it the wildcard says nothing."""
        found = plan([self.STAR])
        assert values(await ask(found, "below.mx.example.com", "TXT")) == "nxdomain"
        assert values(await ask(found, "below.nothing.example.com", "TXT")) == ["v=spf1 -all"]
        found = plan([self.STAR, record("s1.keys.example.com", "TXT", '"key"')])
        assert values(await ask(found, "s2.keys.example.com", "TXT")) == "nxdomain"

    async def test_one_that_changes_does_so_where_it_answered(self) -> None:
        base = {**BASE, ("any.example.com", "TXT"): ["v=spf1 -all"]}  # as the wildcard answers
        found = plan([record("*.example.com", "TXT", '"v=spf1 ~all"')], [self.STAR])
        assert values(await ask(found, "any.example.com", "TXT", base=base)) == ["v=spf1 ~all"]

    async def test_names_above_new_ones_exist(self) -> None:
        found = plan([record("a.b.example.com", "A", "192.0.2.1")])
        assert values(await ask(found, "b.example.com", "A")) == "nothing"
        assert values(await ask(found, "c.example.com", "A")) == "nxdomain"


class TestUnknown:
    @pytest.mark.parametrize("rdtype", ["TXT", "CNAME", ""])
    async def test_it_is_told_and_never_missing(self, rdtype: str) -> None:
        found = plan(unknown=[UnknownRecord("_dmarc.example.com", rdtype, WHY, "x.y")])
        answer = await ask(found, "_dmarc.example.com", "TXT")
        assert isinstance(answer, Failed)
        assert (answer.reason, answer.detail) == (Reason.UNTOLD, WHY)

    async def test_other_types_at_the_name_are_known(self) -> None:
        found = plan([NEW], unknown=[UnknownRecord("example.com", "A", WHY)])
        assert values(await ask(found, "example.com", "TXT")) == ["v=spf1 ~all"]
        assert values(await ask(found, "example.com", "A")) == "untold"

    async def test_in_a_whole_zone_too(self) -> None:
        zone = ZoneInput(
            "octodns",
            ("example.com",),
            complete=True,
            after=(NEW,),
            unknown=(UnknownRecord("www.example.com", "A", WHY),),
        )
        resolver = ZoneResolver([zone])
        assert values(await resolver.query("www.example.com", "A")) == "untold"
        assert values(await resolver.query("www.example.com", "TXT")) == "nothing"
        assert values(await resolver.query("other.example.com", "A")) == "nxdomain"


class TestOffline:
    """Where nobody is asked about the rest, it is not asked: never missing."""

    async def of(self, found: ZoneInput, name: str, rdtype: str) -> list[str] | str:
        return values(await laid_over(OFFLINE, [found]).query(name, rdtype))

    async def test_what_lies_outside_is_not_asked(self) -> None:
        assert await self.of(plan([NEW]), "_dmarc.example.com", "TXT") == "offline"
        assert await self.of(plan([NEW]), "example.com", "MX") == "offline"

    async def test_a_set_is_known_a_value_may_be_one_of_several(self) -> None:
        word = record("example.com", "TXT", '"verification"')
        assert await self.of(plan([word]), "example.com", "TXT") == ["verification"]
        assert await self.of(plan([word], replaces="value"), "example.com", "TXT") == "offline"
        assert await self.of(plan([NEW], replaces="value"), "example.com", "TXT") == ["v=spf1 ~all"]
        assert await self.of(plan([], [NEW], replaces="value"), "example.com", "TXT") == "offline"


async def test_whole_zones_lie_over_the_rest_and_lead_out_and_back() -> None:
    zone = ZoneInput(
        "octodns",
        ("example.com",),
        complete=True,
        after=(
            record("www.example.com", "CNAME", "there.example.net."),
            record("mx.example.com", "A", "192.0.2.55"),
            record("sub.example.com", "NS", "ns.example.net."),
        ),
    )
    base = {**BASE, ("x.sub.example.com", "A"): ["192.0.2.66"]}
    resolver = laid_over(StaticResolver(base), [zone])
    assert values(await resolver.query("www.example.com", "A")) == ["192.0.2.9"]
    assert values(await resolver.query("into.example.net", "A")) == ["192.0.2.55"]
    assert values(await resolver.query("example.com", "TXT")) == "nothing"
    assert values(await resolver.query("there.example.net", "TXT")) == ["there"]
    # Below a delegation others know.
    assert values(await resolver.query("x.sub.example.com", "A")) == ["192.0.2.66"]
    assert isinstance(await resolver.query("a..b", "A"), Absent)
