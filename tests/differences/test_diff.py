"""What a change does to mail: the same in every format, worse or not, only where it can touch mail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deliverability import InputError, Session, diff, diff_async
from deliverability.core.facts.base import Reason
from deliverability.core.model.report import VerdictKind
from deliverability.core.net.base import Answer, Failed
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE, StaticResolver
from deliverability.core.net.zones.base import Reading
from deliverability.core.net.zones.over import read_zone
from deliverability.core.rules.judge import Selection
from deliverability.differences.run import Diff, differences
from deliverability.differences.sides import of_inputs, of_paths
from deliverability.engine.rules import load_rules
from tests.core.net.zones import writing
from tests.core.net.zones.writing import Row
from tests.sampled import sampled

KEY = (
    "v=DKIM1; k=rsa; p="
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArxF9ELEKRze22X9DwRVDrXjTK1+7tyHxnWVLx84JlVIcLbceyU/6rKui"
    "wLRFuFdQeoFz2LEDPrQ1Z+k8BG6IExrO90zvePjW+EL/qF/y1vV8JGl+ebSHDzTKfFFTl19n12+kHQnp0TVFNkwkjXZJMe3M73X+"
    "jfgeWLjg0P9P2ssJXaFRvNaPe35rw3WXHctwV1mDVNaHSlGRwmHmy9AFx78LSUQdqDmMrwKRpDF9UnMOgYc8aKAeZ0kNP2Ayf+HH"
    "qA+e3PuLqYD63IeWPI994XpfGZlmSPx7ZRxd2jwfM+sEKKllhq/IfXRXvpjIc+Gbjeq1pCH8FKfM2zu3y6fnswIDAQAB"
)
NEXT_KEY = (
    "v=DKIM1; k=rsa; p="
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAp4alzE4ojiJarrb6aW3BW8FCmKe6gK7tWCSJs225X0S1hSehovsDQ8iQ"
    "LuCmcfiziz2iMI26gvCY7pWJBwjDNgLhadB1jMDEiteILIDkqLdrfj1Knwix3GZUUkXrrG/TMNf127zVqJ75FQ9QHNyc9wMzOi2D"
    "boYjFeTKKH3S9zSsOw+6UCR7dvhgTmhlF6EKpvJp56kOA5khrH7/Bz/ACDs1hBBzkfjILh3v6N4t0YNIEbq5P80M2LKb+/wOajvU"
    "5C9hlT9Pu6jeJIl+L+qF3HK5tJzxpity4FJYG1aqlk/hSB5VOhRQvNXDpU36QSM45qqijL0YsmckztfbGvfnewIDAQAB"
)
ZONE: list[Row] = [
    ("", "TXT", "v=spf1 ip4:192.0.2.1 include:_spf.example.net ~all"),
    ("", "TXT", "google-site-verification=abc"),
    ("", "MX", "10 mx1.example.com."),
    ("", "MX", "20 mx2.example.com."),
    ("", "A", "192.0.2.10"),
    ("mx1", "A", "192.0.2.1"),
    ("mx2", "A", "192.0.2.2"),
    ("_dmarc", "TXT", "v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com"),
    ("s1._domainkey", "TXT", KEY),
    ("_smtp._tls", "TXT", "v=TLSRPTv1; rua=mailto:tls@example.com"),
    ("www", "A", "192.0.2.10"),
]
OUTSIDE = {
    ("_spf.example.net", "TXT"): ["v=spf1 ip4:198.51.100.0/24 -all"],
    ("many.example.net", "TXT"): ["v=spf1 " + " ".join(f"a:h{n}.example.net" for n in range(11)) + " -all"],
    **{(f"h{n}.example.net", "A"): [f"198.51.100.{n}"] for n in range(11)},
}


def changed(*swaps: tuple[Row | None, Row | None]) -> list[Row]:
    """The zone with these rows taken out and put in."""
    rows = list(ZONE)
    for old, new in swaps:
        if old is None:
            assert new is not None
            rows.append(new)
        elif new is None:
            rows.remove(old)
        else:
            rows[rows.index(old)] = new
    return rows


def spf(text: str) -> tuple[Row, Row]:
    return ZONE[0], ("", "TXT", text)


def dmarc(text: str) -> tuple[Row, Row]:
    return ZONE[7], ("_dmarc", "TXT", text)


CHANGES: dict[str, list[Row]] = {
    "an include more": changed(spf("v=spf1 ip4:192.0.2.1 include:_spf.example.net include:x.example.net ~all")),
    "an include less": changed(spf("v=spf1 ip4:192.0.2.1 ~all")),
    "too many look-ups": changed(spf("v=spf1 include:many.example.net ~all")),
    "hard fail": changed(spf("v=spf1 ip4:192.0.2.1 include:_spf.example.net -all")),
    "everybody may": changed(spf("v=spf1 +all")),
    "no SPF": changed((ZONE[0], None)),
    "two SPF records": changed((None, ("", "TXT", "v=spf1 mx -all"))),
    "SPF that calls itself": changed(spf("v=spf1 include:example.com ~all")),
    "a verification less": changed((ZONE[1], None)),
    "a verification more": changed((None, ("", "TXT", "ms=ms123"))),
    "reject": changed(dmarc("v=DMARC1; p=reject; rua=mailto:dmarc@example.com")),
    "no policy": changed(dmarc("v=DMARC1; p=none; rua=mailto:dmarc@example.com")),
    "a misspelt policy": changed(dmarc("v=DMARC1; p=rejct")),
    "no DMARC": changed((ZONE[7], None)),
    "an MX less": changed((ZONE[2], None)),
    "no MX": changed((ZONE[2], None), (ZONE[3], None)),
    "an MX more": changed((None, ("", "MX", "30 mx3.example.net."))),
    "another key": changed((ZONE[8], ("s1._domainkey", "TXT", NEXT_KEY))),
    "a key elsewhere": changed((ZONE[8], ("s1._domainkey", "CNAME", "s1.keys.example.net."))),
    "no TLS reports": changed((ZONE[9], None)),
    "a wildcard": changed((None, ("*", "TXT", "v=spf1 -all"))),
    "a null MX": changed((ZONE[2], ("", "MX", "0 .")), (ZONE[3], None)),
    "a record of many strings": changed(spf(f"v=spf1 {' '.join(f'ip4:192.0.2.{n}' for n in range(40))} -all")),
    "a policy of a subdomain": changed((None, ("_dmarc.news", "TXT", "v=DMARC1; p=none"))),
    "a delegation": changed((None, ("news", "NS", "ns1.example.net."))),
}


@pytest.fixture(scope="module")
def rules() -> Any:
    return load_rules()


async def compared(old: Any, new: Any, rules: Any, base: Any = None, accepted: Sequence[str] = ()) -> Diff:
    """Both given as texts; a plan alone lies over the old zone."""
    origin = "example.com"
    first = read_zone(old, origin=origin)
    sides = of_inputs(first, None if new is None else read_zone(new, origin=origin))
    outside = base or StaticResolver(OUTSIDE)
    return await differences(sides, Ports(outside), rules, Selection(), accepted=accepted)


class Below:
    """The old zone as it is published, and what is outside of it."""

    def __init__(self, rows: Sequence[Row]) -> None:
        from deliverability.core.net.zone import ZoneResolver
        from deliverability.core.net.zones.over import LaidOver, WholeZones

        zone = ZoneResolver([read_zone(writing.bind(rows), origin="example.com")])
        self._all = LaidOver(StaticResolver(OUTSIDE), WholeZones(zone))

    async def query(self, name: str, rdtype: str) -> Answer:
        return await self._all.query(name, rdtype)

    async def close(self) -> None:
        return None


def without_places(found: Diff) -> str:
    domains = found.to_dict()["domains"]
    for domain in domains:
        for each in domain["changes"]:
            del each["place"]
    return json.dumps(domains, indent=1)


@pytest.mark.long
@pytest.mark.parametrize("name", sampled([*CHANGES], 6))
async def test_the_same_change_is_the_same_in_every_format(name: str, rules: Any) -> None:
    new = CHANGES[name]
    zone = without_places(await compared(writing.bind(ZONE), writing.bind(new), rules))
    pairs: dict[str, tuple[str, str | None]] = {
        "octodns": (writing.octodns(ZONE), writing.octodns(new)),
        "dnscontrol": (writing.dnscontrol(ZONE), writing.dnscontrol(new)),
        "route53": (writing.route53(ZONE), writing.route53(new)),
        "cloudflare": (writing.cloudflare(ZONE), writing.cloudflare(new)),
        "octodns-plan": (writing.octodns_plan(ZONE, new), None),
        "route53 batch": (writing.route53_batch(ZONE, new), None),
        "terraform set": (writing.terraform("aws_route53_record", ZONE, new), None),
        "terraform value": (writing.terraform("cloudflare_dns_record", ZONE, new), None),
    }
    for form, (one, other) in pairs.items():
        found = await compared(one, other, rules, None if other is not None else Below(ZONE))
        assert without_places(found) == zone, form


WORSE = {
    "too many look-ups",
    "everybody may",
    "no SPF",
    "two SPF records",
    "SPF that calls itself",
    "a misspelt policy",
    "no DMARC",
}
FINE = {"a verification less", "a verification more", "an MX more"}


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(WORSE | FINE))
async def test_what_is_worse(name: str, rules: Any) -> None:
    found = await compared(writing.bind(ZONE), writing.bind(CHANGES[name]), rules)
    assert [each.name for each in found.domains] == ["example.com"]
    assert found.worse is (name in WORSE), found.to_json()
    if name in WORSE:
        assert found.exit_code() == 1
        assert any(each.worse and each.rules for each in found.domains[0].verdicts) or found.domains[0].new
    else:
        assert found.exit_code("never") == 0


async def test_what_a_plan_leaves_open_is_neither_missing_nor_worse(rules: Any) -> None:
    own = "cloudflare_dns_record"
    old = writing.resource(own, ("_dmarc", "TXT"), [ZONE[7][2]])
    open_ = writing.change(own, "dmarc", ["update"], old, {**old, "content": None}, {"content": True})
    found = await compared(writing.plan([open_]), None, rules, Below(ZONE))
    domain = found.domains[0]
    assert [(each.owner, each.type) for each in domain.unknown] == [("_dmarc.example.com", "TXT")]
    assert found.exit_code() == 3
    assert not domain.worse
    assert all(each.after is not VerdictKind.DNS_NOT_READY for each in domain.verdicts if each.before.rank < 3)
    text = found.to_json()
    assert "known only after apply (cloudflare_dns_record.dmarc)" in text
    assert not domain.new


async def test_each_question_is_asked_once_for_both_sides(rules: Any) -> None:
    class Counting(StaticResolver):
        asked: list[tuple[str, str]]

        async def query(self, name: str, rdtype: str) -> Answer:
            self.asked.append((name, rdtype))
            return await super().query(name, rdtype)

    outside = Counting(OUTSIDE)
    outside.asked = []
    await compared(writing.bind(ZONE), writing.bind(CHANGES["hard fail"]), rules, outside)
    assert len(outside.asked) == len(set(outside.asked))
    assert ("_spf.example.net", "TXT") in outside.asked


# --- which domains ----------------------------------------------------------------------------------------------------


def folder(path: Path, zones: dict[str, Sequence[Row]], write: Callable[..., str] = writing.bind) -> Path:
    path.mkdir()
    for name, rows in zones.items():
        (path / f"{name}.zone").write_text(write(rows, name))
    return path


async def domains_of(tmp_path: Path, old: dict[str, Sequence[Row]], new: dict[str, Sequence[Row]], rules: Any) -> Diff:
    sides = of_paths(folder(tmp_path / "old", old), folder(tmp_path / "new", new), Reading())
    return await differences(sides, Ports(OFFLINE), rules, Selection())


PLAIN: list[Row] = [("", "TXT", "v=spf1 -all"), ("", "MX", "0 .")]


@pytest.mark.long
async def test_only_domains_that_the_change_can_touch_are_audited(tmp_path: Path, rules: Any) -> None:
    old: dict[str, Sequence[Row]] = {f"z{n}.example": PLAIN for n in range(30)}
    old["shared.example"] = [*PLAIN, ("_spf", "TXT", "v=spf1 ip4:192.0.2.1 -all"), ("www", "A", "192.0.2.3")]
    old["user.example"] = [("", "TXT", "v=spf1 include:_spf.shared.example -all")]
    old["host.example"] = [("", "MX", "10 www.shared.example."), ("s1._domainkey", "CNAME", "k.z1.example.")]
    new = dict(old)
    new["z3.example"] = [("", "TXT", "v=spf1 ~all"), ("", "MX", "0 .")]
    new["shared.example"] = [
        *PLAIN,
        ("_spf", "TXT", "v=spf1 ip4:192.0.2.2 -all"),
        ("www", "A", "192.0.2.4"),
        ("blog", "A", "192.0.2.4"),
    ]
    found = await domains_of(tmp_path, old, new, rules)
    assert [each.name for each in found.domains] == ["host.example", "user.example", "z3.example"]
    assert [each.owner for each in found.others] == ["blog.shared.example"]


async def test_a_policy_reaches_the_domains_below_that_have_none(tmp_path: Path, rules: Any) -> None:
    rows: list[Row] = [
        *PLAIN,
        ("_dmarc", "TXT", "v=DMARC1; p=reject"),
        ("a", "MX", "10 mx.example.net."),
        ("b", "MX", "10 mx.example.net."),
        ("_dmarc.b", "TXT", "v=DMARC1; p=none"),
    ]
    new = [each if each[0] != "_dmarc" else ("_dmarc", "TXT", "v=DMARC1; p=none") for each in rows]
    found = await domains_of(tmp_path, {"example.com": rows}, {"example.com": new}, rules)
    assert [each.name for each in found.domains] == ["example.com", "a.example.com"]


@pytest.mark.long
@pytest.mark.parametrize("write", [writing.octodns_plan, writing.route53_batch])
def test_below_a_plan_the_base_tells_who_else_uses_what_changes(tmp_path: Path, write: Any) -> None:
    """Plans of changed records alone do not hold the subdomain that includes the SPF record."""
    rows = [*ZONE, ("news", "MX", "10 mx1.example.com."), ("news", "TXT", "v=spf1 include:example.com -all")]
    new = [("", "TXT", "v=spf1 +all") if each == ZONE[0] else each for each in rows]
    base, other, plan = (tmp_path / name for name in ("example.com.zone", "new.zone", "plan.json"))
    base.write_text(writing.bind(rows))
    other.write_text(writing.bind(new))
    plan.write_text(write(rows, new))
    found = diff(plan, base=base)
    assert [each.name for each in found.domains] == ["example.com", "news.example.com"]
    assert without_places(found) == without_places(diff(base, other, base="offline"))


async def test_a_zone_that_is_new_and_one_that_is_gone(tmp_path: Path, rules: Any) -> None:
    found = await domains_of(
        tmp_path, {"a.example": PLAIN, "gone.example": PLAIN}, {"a.example": PLAIN, "new.example": PLAIN}, rules
    )
    assert [each.name for each in found.domains] == ["new.example"]
    assert [each.code for each in found.remarks] == ["diff-zone-removed"]


async def test_nothing_that_changes(tmp_path: Path, rules: Any) -> None:
    found = await domains_of(tmp_path, {"a.example": PLAIN}, {"a.example": PLAIN}, rules)
    assert (found.domains, found.others, found.exit_code()) == ((), (), 0)


# --- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_for_programs(tmp_path: Path) -> None:
    old = tmp_path / "example.com.zone"
    old.write_text(writing.bind(ZONE))
    (tmp_path / "example.com.yaml").write_text(writing.octodns(CHANGES["a misspelt policy"]))
    for given in (str(tmp_path / "example.com.yaml"), read_zone(tmp_path / "example.com.yaml")):
        found = diff(old, given, base="offline")
        assert found.worse
        assert [each.owner for each in found.domains[0].changes] == ["_dmarc.example.com"]
    found = diff(old, tmp_path / "example.com.yaml", base="offline", domains=["www.example.com"])
    assert [each.name for each in found.domains] == ["www.example.com"]


async def test_within_a_loop_the_other_one_is_used(tmp_path: Path) -> None:
    old = tmp_path / "example.com.zone"
    old.write_text(writing.bind(ZONE))
    with pytest.raises(InputError, match="diff_async"):
        diff(old, old, base="offline")
    assert (await diff_async(old, old, base="offline")).domains == ()


@pytest.mark.parametrize("given", [3, None, b"x", ["a"], "nowhere.zone", Path("nowhere"), "a\0b"])
def test_what_cannot_be_used_is_an_input_error(given: Any) -> None:
    with pytest.raises(InputError):
        diff(given, base="offline")


def test_a_whole_zone_has_one_side_only(tmp_path: Path) -> None:
    zone = tmp_path / "example.com.zone"
    zone.write_text(writing.bind(ZONE))
    with pytest.raises(InputError, match="deliv diff OLD NEW"):
        diff(zone, base="offline")


def test_a_session_gives_rules_and_dns(tmp_path: Path) -> None:
    """What lies outside of both sides is asked of the session."""
    old, new = tmp_path / "example.com.zone", tmp_path / "new.zone"
    old.write_text(writing.bind(ZONE))
    new.write_text("$ORIGIN example.com.\n" + writing.bind(CHANGES["too many look-ups"]))
    with Session(resolver=StaticResolver(OUTSIDE)) as session:
        found = session.diff(old, new)
        assert found.to_dict() == diff(old, new, session=session).to_dict()
    assert found.worse
    with pytest.raises(InputError, match="session"):
        diff(old, new, session=3)  # type: ignore[arg-type]


WRONG: dict[str, list[Any]] = {
    "old": [None, 3, b"x", [], {}, "", "a\0b", "nowhere", object()],
    "new": [3, b"x", [], {}, "", "a\0b", "nowhere", object()],
    "base": [None, 3, b"x", [], "", "a\0b", "nowhere", object()],
    "domains": [3, b"x", ["a b"], [3], "not a domain", object(), [""]],
    "message": [3, [], "", b"", "nowhere", object()],
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.long
def test_whatever_is_given_only_input_errors_come_out(tmp_path: Path, name: str) -> None:
    old = tmp_path / "example.com.zone"
    old.write_text(writing.bind(ZONE))
    good: dict[str, Any] = {"old": old, "new": old, "base": "offline"}
    for value in WRONG[name]:
        with pytest.raises(InputError):
            diff(**{**good, name: value})


# --- ways -------------------------------------------------------------------------------------------------------------

ED25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
SENDGRID: Row = ("s2._domainkey", "CNAME", "s2.domainkey.u1.wl.sendgrid.net.")
DKIM: Row = ZONE[8]


NAME_SERVER: Row = ("", "NS", "ns1.example.net.")


def key(text: str) -> tuple[Row, Row]:
    return DKIM, ("s1._domainkey", "TXT", text)


WAYS: dict[str, tuple[list[Row], set[tuple[str, str]]]] = {
    "an include less": (CHANGES["an include less"], {("spf-lost", "include:_spf.example.net")}),
    "an own address less": (changed(spf("v=spf1 include:_spf.example.net ~all")), {("spf-lost", "ip4:192.0.2.1")}),
    "an own address denied": (
        changed(spf("v=spf1 -ip4:192.0.2.1 ip4:192.0.2.1 include:_spf.example.net ~all")),
        {("spf-lost", "ip4:192.0.2.1")},
    ),
    "an include narrowed": (
        changed(spf("v=spf1 ip4:192.0.2.1 ip4:198.51.100.0/25 ~all")),
        {("spf-fewer", "include:_spf.example.net")},
    ),
    "nobody": (changed(spf("v=spf1 -all")), {("sends-nothing", "-all")}),
    "no SPF": (CHANGES["no SPF"], {("spf-lost", "ip4:192.0.2.1"), ("spf-lost", "include:_spf.example.net")}),
    "everybody": (changed(spf("v=spf1 ip4:192.0.2.1 include:_spf.example.net +all")), {("spf-anyone", "+all")}),
    "no key": (changed((DKIM, None)), {("key-lost", "s1._domainkey.example.com")}),
    "a key revoked": (changed(key("v=DKIM1; p=")), {("key-revoked", "s1._domainkey.example.com")}),
    "a key cut": (changed(key(KEY[:60])), {("key-damaged", "s1._domainkey.example.com")}),
    "a key for nothing but SHA-1": (
        changed(key(KEY.replace("k=rsa", "h=sha1; k=rsa"))),
        {("key-damaged", "s1._domainkey.example.com")},
    ),
    "another key": (CHANGES["another key"], {("key-other", "s1._domainkey.example.com")}),
    "a key of another type": (changed(key(ED25519)), {("key-other", "s1._domainkey.example.com")}),
    "a key at another selector": (
        changed((DKIM, ("s2._domainkey", "TXT", KEY))),
        {("key-lost", "s1._domainkey.example.com")},
    ),
    "a key elsewhere": (CHANGES["a key elsewhere"], {("key-lost", "s1._domainkey.example.com")}),
    "a key for d= only": (
        changed(key(KEY.replace("k=rsa", "t=s; k=rsa"))),
        {("key-strict", "s1._domainkey.example.com")},
    ),
    "reject": (CHANGES["reject"], {("policy-stricter", "p=reject")}),
    "below it reject": (
        changed(dmarc("v=DMARC1; p=quarantine; sp=reject; rua=mailto:dmarc@example.com")),
        {("policy-stricter", "sp=reject")},
    ),
    "names that are not there reject": (
        changed(dmarc("v=DMARC1; p=quarantine; np=reject; rua=mailto:dmarc@example.com")),
        {("policy-stricter", "np=reject")},
    ),
    "DKIM aligned strictly": (
        changed(dmarc("v=DMARC1; p=quarantine; adkim=s; rua=mailto:dmarc@example.com")),
        {("alignment-strict", "adkim=s")},
    ),
    "SPF aligned strictly": (
        changed(dmarc("v=DMARC1; p=quarantine; aspf=s; rua=mailto:dmarc@example.com")),
        {("alignment-strict", "aspf=s")},
    ),
    "all of the mail that fails": (
        changed(dmarc("v=DMARC1; p=quarantine; pct=100; rua=mailto:dmarc@example.com")),
        {("policy-stricter", "pct=100")},
    ),
    "name servers of others": (
        [*ZONE, ("", "NS", "ns1.example.org.")],
        {("name-servers", "ns")},
    ),
    "a null MX": (CHANGES["a null MX"], {("no-mail", "mx")}),
    "no MX": (CHANGES["no MX"], {("no-mx", "mx")}),
}


OLD = {
    "all of the mail that fails": changed(dmarc("v=DMARC1; p=quarantine; pct=0; rua=mailto:dmarc@example.com")),
    "name servers of others": [*ZONE, NAME_SERVER],
}


@pytest.mark.long
@pytest.mark.parametrize("name", WAYS)
async def test_a_way_that_is_lost_or_weaker_is_named_and_worse(name: str, rules: Any) -> None:
    rows, expected = WAYS[name]
    old = OLD.get(name, ZONE)
    found = await compared(writing.bind(old), writing.bind(rows), rules)
    domain = found.domains[0]
    assert {(each.kind, each.way) for each in domain.ways if each.worse} == expected
    assert (domain.worse, domain.failing, found.exit_code(), found.exit_code("error")) == (True, True, 1, 1)
    meant = await compared(writing.bind(old), writing.bind(rows), rules, accepted=[way for _, way in expected])
    assert {(each.kind, each.way) for each in meant.domains[0].ways if each.accepted} == expected
    assert not any(each.worse for each in meant.domains[0].ways)


SAME = {
    "flattened": changed(spf("v=spf1 ip4:192.0.2.1 ip4:198.51.100.0/24 ~all")),
    "in another order": changed(spf("v=spf1 include:_spf.example.net ip4:192.0.2.1 ~all")),
    "by another name": changed(spf("v=spf1 a:mx1.example.com include:_spf.example.net ~all")),
    "in a wider range": changed(spf("v=spf1 ip4:192.0.2.0/28 include:_spf.example.net ~all")),
    "a key beside": changed((None, ("s2._domainkey", "TXT", NEXT_KEY))),
    "the key written otherwise": changed(key(KEY.replace("v=DKIM1; k=rsa; ", ""))),
    "a verification less": CHANGES["a verification less"],
    "a policy written otherwise": changed(dmarc("v=DMARC1; p=quarantine; sp=quarantine; rua=mailto:dmarc@example.com")),
    "an MX less": CHANGES["an MX less"],
    "a weaker policy": CHANGES["no policy"],
    "a sender more": changed(spf("v=spf1 ip4:192.0.2.1 ip4:203.0.113.9 include:_spf.example.net ~all")),
}


TOLD = {
    "in a wider range": {"spf-gained"},
    "a key beside": {"key-gained"},
    "a weaker policy": {"policy-weaker"},
    "a sender more": {"spf-gained"},
}


@pytest.mark.long
@pytest.mark.parametrize("name", SAME)
async def test_who_may_send_all_the_same_loses_nothing(name: str, rules: Any) -> None:
    found = await compared(writing.bind(ZONE), writing.bind(SAME[name]), rules)
    assert {each.kind for each in found.domains[0].ways} == TOLD.get(name, set())
    assert not any(each.worse or each.unknown for each in found.domains[0].ways)
    assert found.exit_code() == 0


@pytest.mark.long
@pytest.mark.parametrize("wide", ["v=spf1 ip4:192.0.2.1 +all", "v=spf1 ip4:192.0.2.1 ip4:192.0.0.0/2 ~all"])
async def test_to_narrow_what_lets_the_world_pass_loses_nothing(wide: str, rules: Any) -> None:
    old = changed(spf(wide))
    found = await compared(writing.bind(old), writing.bind(changed(spf("v=spf1 ip4:192.0.2.1 ~all"))), rules)
    assert not found.worse


async def test_a_key_in_test_mode_is_told_and_loses_no_way(rules: Any) -> None:
    found = await compared(writing.bind(ZONE), writing.bind(changed(key(KEY.replace("k=rsa", "t=y; k=rsa")))), rules)
    assert [(each.kind, each.worse) for each in found.domains[0].ways] == [("key-testing", False)]


class Silent(StaticResolver):
    """The world outside, with names that nobody answers for."""

    async def query(self, name: str, rdtype: str) -> Answer:
        if name.endswith("example.org"):
            return Failed(name, rdtype, Reason.TIMEOUT)
        return await super().query(name, rdtype)


@pytest.mark.long
async def test_what_nobody_can_say_on_either_side_is_no_change(rules: Any) -> None:
    old = changed(
        spf("v=spf1 ip4:192.0.2.1 include:a.example.org ~all"), (None, ("s2._domainkey", "CNAME", "k.example.org."))
    )
    new = [*old, ("", "TXT", "ms=ms123")]
    found = await compared(writing.bind(old), writing.bind(new), rules, Silent(OUTSIDE))
    assert (found.domains[0].ways, found.exit_code()) == ((), 0)
    assert found.domains[0].untold


UNREAD: dict[str, tuple[list[Row], list[Row], set[tuple[str, str, bool]]]] = {
    "an include that cannot be read, gone": (
        changed(spf("v=spf1 ip4:192.0.2.1 include:a.example.org ~all")),
        changed(spf("v=spf1 ip4:192.0.2.1 ~all")),
        {("spf-lost", "include:a.example.org", True)},
    ),
    "a key whose target cannot be read, gone": (
        changed((None, ("s2._domainkey", "CNAME", "k.example.org."))),
        ZONE,
        {("key-lost", "s2._domainkey.example.com", True)},
    ),
    "a key that leads to where nobody answers": (
        ZONE,
        changed((DKIM, ("s1._domainkey", "CNAME", "k.example.org."))),
        {("key-unknown", "s1._domainkey.example.com", False)},
    ),
    "an include of which nothing can be read": (
        ZONE,
        changed(spf("v=spf1 ip4:192.0.2.1 include:a.example.org ~all")),
        {("spf-unknown", "include:_spf.example.net", False)},
    ),
    "a record that nobody answers for": (
        ZONE,
        changed(spf("v=spf1 redirect=a.example.org")),
        {("spf-unknown", "ip4:192.0.2.1", False), ("spf-unknown", "include:_spf.example.net", False)},
    ),
    "a policy that leads to where nobody answers": (
        ZONE,
        changed((ZONE[7], ("_dmarc", "CNAME", "d.example.org."))),
        {("policy-unknown", "_dmarc", False)},
    ),
    "known at last": (
        changed((ZONE[7], ("_dmarc", "CNAME", "d.example.org."))),
        ZONE,
        set(),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", UNREAD)
async def test_what_is_not_known_any_more_is_neither_lost_nor_the_same(name: str, rules: Any) -> None:
    old, new, expected = UNREAD[name]
    found = await compared(writing.bind(old), writing.bind(new), rules, Silent(OUTSIDE))
    ways = found.domains[0].ways
    assert {(each.kind, each.way, each.worse) for each in ways if each.worse or each.unknown} == expected
    worse, unknown = any(each.worse for each in ways), any(each.unknown for each in ways)
    assert found.exit_code() == (1 if worse else 3 if unknown else 0)


@pytest.mark.long
async def test_a_record_that_changes_is_not_the_same_where_neither_side_can_be_told(rules: Any) -> None:
    sides = [changed((ZONE[7], ("_dmarc", "CNAME", f"{name}.example.org."))) for name in ("a", "b")]
    found = await compared(writing.bind(sides[0]), writing.bind(sides[1]), rules, Silent(OUTSIDE))
    assert (found.domains[0].untold, found.exit_code()) == (0, 3)


async def test_a_service_is_accepted_by_its_name_and_needs_no_include_where_it_says_so(rules: Any) -> None:
    old = changed((None, SENDGRID))
    outside = StaticResolver({**OUTSIDE, ("s2.domainkey.u1.wl.sendgrid.net", "TXT"): [NEXT_KEY]})
    found = await compared(writing.bind(old), writing.bind(ZONE), rules, outside)
    assert [(each.kind, each.service, each.worse) for each in found.domains[0].ways] == [("key-lost", "sendgrid", True)]
    meant = await compared(writing.bind(old), writing.bind(ZONE), rules, outside, accepted=["SendGrid"])
    assert not meant.domains[0].ways[0].worse
