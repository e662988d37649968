"""Plans of Terraform and OpenTofu: every resource type in every action, names, secrets, limits."""

from __future__ import annotations

import json
import resource as limits
from typing import Any

import pytest

from deliverability.core.errors import InputError
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Failed, Found
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.net.zones.base import Reading, Source, ZoneInput
from deliverability.core.net.zones.over import Changes, LaidOver, read_zone
from deliverability.core.net.zones.read import look
from deliverability.core.net.zones.terraform import AFTER_APPLY, SENSITIVE, table
from tests.core.net.zones.writing import KINDS, SINGLE, VALUE, bind, change, plan, resource, terraform
from tests.together import together

OLD, NEW, OTHER = "v=spf1 include:old.example ~all", "v=spf1 include:new.example -all", "google-site-verification=abc"
ACTIONS = ("create", "update", "delete", "replace", "no-op", "forget", "unknown")


def kind_of(kind: str, rdtype: str = "txt") -> str:
    return kind.format(type=rdtype)


def inputs(text: str, **reading: Any) -> list[ZoneInput]:
    return list(look(Source("plan.json", text.encode()), Reading(**reading)).read())


async def texts(found: list[ZoneInput], base: str, name: str = "example.com") -> Any:
    resolver = LaidOver(ZoneResolver([("example.com.zone", base.encode())]), Changes(found))
    answer = await resolver.query(name, "TXT")
    return sorted(answer.values) if isinstance(answer, Found) else answer


def one_of(kind: str, action: str) -> str:
    """A plan that does one thing to the SPF record at the top of the zone, beside another text there."""
    own = kind_of(kind)
    beside = [] if own in SINGLE else [OTHER]
    old = resource(own, ("", "TXT"), [OLD, *beside])
    new = resource(own, ("", "TXT"), [NEW, *beside])
    unknown = {**new, VALUE[own]: None}
    both = {
        "create": (["create"], None, new, {}),
        "update": (["update"], old, new, {}),
        "delete": (["delete"], old, None, {}),
        "replace": (["delete", "create"], old, new, {}),
        "no-op": (["no-op"], old, old, {}),
        "forget": (["forget"], old, None, {}),
        "unknown": (["update"], old, unknown, {VALUE[own]: True}),
    }
    actions, before, after, marks = both[action]
    return plan([change(own, "spf", actions, before, after, marks)])


@pytest.mark.parametrize("action", ACTIONS)
async def test_every_resource_type_in_every_action(action: str) -> None:
    """Of several texts at one name, all those that the plan does not touch stay."""
    base = bind([] if action == "create" else [("", "TXT", OLD), ("", "TXT", OTHER)])
    if action == "create":
        base = bind([("", "TXT", OTHER)])
    with together() as case:
        for kind in (*KINDS, "sakuracloud_dns"):
            with case(f"{kind} {action}"):
                found = await texts(inputs(one_of(kind, action)), base)
                if action == "unknown":
                    assert isinstance(found, Failed)
                    assert found.reason is Reason.UNTOLD
                    assert AFTER_APPLY.matches(found.detail)
                elif action == "delete":
                    # A set goes as a whole, single values one by one.
                    assert found == [OTHER] if kind in SINGLE else not isinstance(found, list | Failed)
                else:
                    wanted = OLD if action in ("no-op", "forget") else NEW
                    assert found == sorted([wanted, OTHER])


async def test_every_row_of_the_table_has_a_case() -> None:
    """A new provider is a row, and a case in `writing`; these are tried elsewhere in this file."""
    tried = {kind_of(kind, rdtype) for kind in KINDS for rdtype in ("txt", "mx", "a", "aaaa", "cname", "ns")}
    apart = {
        "azurerm_dns_ptr_record",
        "azurerm_dns_caa_record",
        "azurerm_dns_srv_record",
        "sakuracloud_dns",
        "ovh_domain_zone_import",
    }
    assert len(KINDS) * len(ACTIONS) + len(ACTIONS) >= 70
    assert {row.resource for row in table().resources} == tried & {row.resource for row in table().resources} | apart


ROWS = [
    ("", "TXT", "v=spf1 ip4:192.0.2.1 -all"),
    ("", "MX", "10 mx1.example.com."),
    ("", "MX", "20 mx2.example.net."),
    ("_dmarc", "TXT", 'v=DMARC1; p=none; rua=mailto:"x"@example.com'),
    ("s1._domainkey", "TXT", "v=DKIM1; k=rsa; p=" + "A" * 500),
    ("www", "CNAME", "web.example.net."),
    ("mx1", "A", "192.0.2.7"),
    ("mx1", "AAAA", "2001:db8::7"),
    ("sub", "NS", "ns1.example.net."),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_type_of_record_is_the_same_as_in_a_zone_file(kind: str) -> None:
    made = LaidOver(ZoneResolver([("example.com.zone", bind([]).encode())]), Changes(inputs(terraform(kind, [], ROWS))))
    zone = ZoneResolver([("example.com.zone", bind(ROWS).encode())])
    with together() as case:
        for owner, rdtype, _ in ROWS:
            name = f"{owner}.example.com".removeprefix(".")
            with case(f"{name} {rdtype}"):
                found, wanted = await made.query(name, rdtype), await zone.query(name, rdtype)
                if owner == "sub":
                    assert isinstance(found, Found)  # from the plan: a zone file answers nothing below a delegation
                    continue
                assert isinstance(found, Found)
                assert isinstance(wanted, Found)
                assert sorted(found.values) == sorted(wanted.values)
                assert sorted(found.string_octets) == sorted(wanted.string_octets)


def records(found: list[ZoneInput]) -> list[tuple[str, str, str]]:
    return [(each.owner, each.type, each.rdata) for side in found for each in side.after]


@pytest.mark.parametrize(
    ("kind", "values", "owner"),
    [
        ("cloudflare_dns_record", {"name": "example.com", "zone_id": "?"}, "example.com"),
        ("cloudflare_dns_record", {"name": "@"}, "example.com"),
        ("cloudflare_dns_record", {"name": "s1._domainkey"}, "s1._domainkey.example.com"),
        ("cloudflare_dns_record", {"name": "_dmarc.example.com"}, "_dmarc.example.com"),
        ("cloudflare_record", {"name": "_dmarc", "hostname": None}, "_dmarc.example.com"),
        ("cloudflare_record", {"name": "_dmarc.example.com", "hostname": None}, "_dmarc.example.com"),
        ("cloudflare_record", {"name": "x", "hostname": "x.other.example", "zone_id": "?"}, "x.other.example"),
        ("aws_route53_record", {"name": "_DMARC", "fqdn": None}, "_dmarc.example.com"),
        ("aws_route53_record", {"name": "", "fqdn": None}, "example.com"),
        ("aws_route53_record", {"name": "example.com", "fqdn": None}, "example.com"),
        ("aws_route53_record", {"name": "x.example.net.", "fqdn": None, "zone_id": "?"}, "x.example.net"),
        ("aws_route53_record", {"name": "\\052.a", "fqdn": None}, "*.a.example.com"),
    ],
)
def test_whose_name_it_is(kind: str, values: dict[str, Any], owner: str) -> None:
    given = {**resource(kind, ("", "TXT"), [NEW]), **values}
    assert records(inputs(plan([change(kind, "x", ["create"], None, given)])))[0][0] == owner


def test_a_name_without_its_zone_asks_for_it() -> None:
    given = {**resource("aws_route53_record", ("", "TXT"), [NEW]), "name": "_dmarc", "fqdn": None, "zone_id": "?"}
    text = plan([change("aws_route53_record", "x", ["create"], None, given)])
    with pytest.raises(InputError, match=r"aws_route53_record\.x is named '_dmarc'.*--origin ZONE"):
        inputs(text)
    assert records(inputs(text, origins=("example.org",)))[0][0] == "_dmarc.example.org"


def test_a_zone_that_the_same_plan_makes_is_known() -> None:
    zone = change("aws_route53_zone", "z", ["create"], None, {"name": "new.example"}, {"zone_id": True})
    given = {**resource("aws_route53_record", ("", "TXT"), [NEW]), "name": "_dmarc", "fqdn": None, "zone_id": None}
    made = change("aws_route53_record", "x", ["create"], None, given, {"fqdn": True, "zone_id": True})
    assert records(inputs(plan([zone, made])))[0][0] == "_dmarc.new.example"


def test_blocks_of_records_inside_a_zone() -> None:
    blocks = [
        {"name": "@", "type": "TXT", "value": NEW, "ttl": 300, "priority": 0},
        {"name": "@", "type": "MX", "value": "mx.example.net.", "ttl": 300, "priority": 10},
    ]
    made = change("sakuracloud_dns", "z", ["create"], None, {"zone": "example.com", "record": blocks})
    assert records(inputs(plan([made]))) == [
        ("example.com", "TXT", f'"{NEW}"'),
        ("example.com", "MX", "10 mx.example.net."),
    ]


def test_a_zone_file_inside_a_resource() -> None:
    given = {"zone_name": "example.com", "zone_file": bind([("", "TXT", NEW)])}
    found = inputs(plan([change("ovh_domain_zone_import", "z", ["create"], None, given)]))
    assert ("example.com", "TXT", f'"{NEW}"') in records(found)


def test_types_of_a_provider_that_are_texts() -> None:
    given = {"subdomain": "_dmarc", "zone": "example.com", "fieldtype": "DMARC", "target": "v=DMARC1; p=none"}
    found = inputs(plan([change("ovh_domain_zone_record", "d", ["create"], None, given)]))
    assert records(found) == [("_dmarc.example.com", "TXT", '"v=DMARC1; p=none"')]


def test_text_that_google_parts_at_blanks_is_read_so_and_told() -> None:
    given = {**resource("google_dns_record_set", ("", "TXT"), [NEW]), "rrdatas": [NEW]}
    found = inputs(plan([change("google_dns_record_set", "x", ["create"], None, given)]))
    assert records(found) == [("example.com", "TXT", '"v=spf1" "include:new.example" "-all"')]
    assert "splits it at every space" in str(InputError(*found[0].remarks))


@pytest.mark.parametrize(
    ("kind", "values", "types"),
    [
        ("aws_route53_record", {"alias": [{"name": "x"}], "records": None}, ["TXT"]),
        ("aws_route53_record", {"set_identifier": "blue"}, ["TXT"]),
        ("google_dns_record_set", {"routing_policy": [{"wrr": []}]}, ["TXT"]),
        ("cloudflare_dns_record", {"type": "CNAME", "content": "x.example", "proxied": True}, ["A", "AAAA"]),
    ],
)
def test_what_providers_answer_by_themselves_is_unknown(kind: str, values: dict[str, Any], types: list[str]) -> None:
    given = {**resource(kind, ("www", "TXT"), [NEW]), **values}
    found = inputs(plan([change(kind, "x", ["create"], None, given)]))
    assert [(each.owner, each.type) for side in found for each in side.unknown] == [
        ("www.example.com", each) for each in types
    ]
    assert records(found) == []


SECRET = "hunter2-TOPSECRET"


def with_secrets() -> str:
    """A plan as they are: secrets in plain text in every corner that holds no DNS record."""
    own = "cloudflare_dns_record"
    spf = change(own, "spf", ["create"], None, resource(own, ("", "TXT"), [NEW]))
    marked = change(
        own, "token", ["create"], None, resource(own, ("x", "TXT"), [SECRET]), after_sensitive={"content": True}
    )
    password = change("random_password", "p", ["create"], None, {"result": SECRET}, after_sensitive={"result": True})
    return plan(
        [spf, marked, password],
        variables={"token": {"value": SECRET}},
        outputs={"o": {"value": SECRET}},
        configuration={"provider_config": {"cloudflare": {"expressions": {"api_token": {"constant_value": SECRET}}}}},
        planned_values={"outputs": {"o": {"sensitive": True, "value": SECRET}}, "root_module": {"resources": []}},
    )


@pytest.mark.parametrize(
    ("kind", "given", "marks"),
    [
        ("cloudflare_dns_record", resource("cloudflare_dns_record", (SECRET, "TXT"), ["x"]), {"name": True}),
        ("cloudflare_dns_record", resource("cloudflare_dns_record", ("a", "TXT"), [SECRET]), True),
        ("aws_route53_record", resource("aws_route53_record", ("a", "TXT"), [SECRET, "x"]), {"records": [True, False]}),
        ("azurerm_dns_txt_record", resource("azurerm_dns_txt_record", ("a", "TXT"), [SECRET]), {"record": True}),
        ("sakuracloud_dns", resource("sakuracloud_dns", ("a", "TXT"), [SECRET]), {"record": True}),
        ("sakuracloud_dns", resource("sakuracloud_dns", (SECRET, "TXT"), ["x"]), {"record": [{"name": True}]}),
        ("ovh_domain_zone_import", {"zone_name": "example.com", "zone_file": f"a TXT {SECRET}"}, {"zone_file": True}),
    ],
)
def test_what_is_marked_is_not_read_wherever_it_stands(kind: str, given: dict[str, Any], marks: Any) -> None:
    found = inputs(plan([change(kind, "z", ["create"], None, given, after_sensitive=marks)]))
    assert SECRET.lower() not in repr(found).lower()
    assert "terraform-sensitive" in repr(found)


def test_secrets_are_not_read() -> None:
    found = inputs(with_secrets())
    assert SECRET not in repr(found)
    assert [SENSITIVE.matches(each.why) for each in found[0].unknown] == [True]


@pytest.mark.parametrize("cut", [10, 200, 900])
def test_errors_quote_nothing_of_a_plan(cut: int) -> None:
    text = with_secrets()
    other = text.replace('"actions": ["create"]', f'"actions": "{SECRET}"')
    for broken in (text[:-cut], other, text.replace("1.2", "9")):
        with pytest.raises(InputError) as caught:
            inputs(broken)
        assert SECRET not in str(caught.value)


def test_an_action_that_only_reads_manages_nothing() -> None:
    own = "cloudflare_dns_record"
    found = change(own, "x", ["read"], None, resource(own, ("", "TXT"), [NEW]))
    with pytest.raises(InputError, match="a plan without DNS records"):
        inputs(plan([found]))


def test_what_is_put_off_is_told() -> None:
    own = "cloudflare_dns_record"
    made = change(own, "x", ["create"], None, resource(own, ("", "TXT"), [NEW]))
    assert [each.code for each in inputs(plan([made], complete=False))[0].remarks] == ["terraform-deferred"]
    assert inputs(plan([made], complete=True))[0].remarks == ()


@pytest.mark.long
def test_a_large_plan_stays_within_its_memory() -> None:
    """10 MB, most of it what is no DNS record, as plans are."""
    own = "cloudflare_dns_record"
    many = [change(own, f"r{n}", ["no-op"], *[resource(own, (f"h{n}", "A"), ["192.0.2.1"])] * 2) for n in range(6000)]
    text = plan(many, configuration={"root_module": {"x": "y" * 7_000_000}})
    assert len(text) > 9_500_000
    before = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss
    assert len(read_zone(text).after) == 6000
    assert limits.getrusage(limits.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_the_public_form_has_both_sides() -> None:
    found = read_zone(one_of("aws_route53_record", "update"))
    assert (found.format, found.origins, found.complete, found.replaces) == (
        "terraform-plan",
        ("example.com",),
        False,
        "set",
    )
    assert [each.rdata for each in found.before or ()] == [f'"{OLD}"', f'"{OTHER}"']
    assert [each.place for each in found.after] == ["aws_route53_record.spf"] * 2


def test_opentofu_and_old_versions_are_read() -> None:
    text = json.loads(one_of("aws_route53_record", "update"))
    for version in ("0.1", "0.2", "1.0", "1.9"):
        assert read_zone(json.dumps({**text, "format_version": version})).after
