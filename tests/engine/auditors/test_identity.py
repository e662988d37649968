"""Reverse DNS, HELO, MX hosts and who is who."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.static import StaticResolver
from deliverability.engine.auditors import identity, mx, ownership
from deliverability.engine.auditors.identity import looks_generic
from tests.facts_of import by_fields, facts_of

IP, REVERSE = "192.0.2.7", "7.2.0.192.in-addr.arpa"
IP6 = "2001:db8::7"
REVERSE6 = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
GOOD: dict[tuple[str, str], Any] = {
    (REVERSE, "PTR"): ["mail.example.com."],
    ("mail.example.com", "A"): [IP],
    ("mail.example.com", "AAAA"): [IP6],
    (REVERSE6, "PTR"): ["mail.example.com."],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject"],
}


async def of(records: dict[tuple[str, str], Any], **given: Any) -> dict[str, Any]:
    stated = {"message.from_domain": "example.com", "envelope.ip": IP, "envelope.helo": None}
    stated |= {name.replace("__", "."): value for name, value in given.items()}
    found = await facts_of([identity.audit], StaticResolver(records), stated)
    return {fact.path: by_fields(fact.value) for fact in found}


async def test_confirmed_reverse_dns() -> None:
    facts = await of(GOOD, envelope__helo="mail.example.com")
    (host,) = facts["identity.ips"]
    assert {**host, "evidence": ()} == {
        "ip": IP,
        "version": 4,
        "reverse_name": REVERSE,
        "ptr": ("mail.example.com",),
        "name": "mail.example.com",
        "confirmed": True,
        "generic": False,
        "dynamic": False,
        "helo_matches": True,
        "aligned": "relaxed",
        "evidence": (),
    }
    assert facts["identity.helo_resolves"] is True


async def test_ipv6_is_confirmed_by_its_own_record_type() -> None:
    (host,) = (await of(GOOD, envelope__ip=IP6))["identity.ips"]
    assert (host["version"], host["confirmed"]) == (6, True)
    (host,) = (await of(GOOD | {("mail.example.com", "AAAA"): ["2001:db8::8"]}, envelope__ip=IP6))["identity.ips"]
    assert host["confirmed"] is False


async def test_an_address_without_a_name() -> None:
    (host,) = (await of({("other.example", "A"): [IP]}))["identity.ips"]
    assert (host["ptr"], host["name"], host["confirmed"]) == ((), None, False)
    assert host["aligned"] is None


async def test_the_name_that_leads_back_counts_among_several() -> None:
    records = GOOD | {
        (REVERSE, "PTR"): ["web.example.net", "mail.example.com"],
        ("web.example.net", "A"): ["192.0.2.9"],
    }
    (host,) = (await of(records))["identity.ips"]
    assert (host["name"], host["confirmed"]) == ("mail.example.com", True)


async def test_only_ten_names_are_looked_up() -> None:
    """Beyond ten it is not known whether one leads back; that is not "none does"."""
    records = {(REVERSE, "PTR"): [f"host{number}.example.net" for number in range(12)]}
    (host,) = (await of(records))["identity.ips"]
    assert isinstance(host["confirmed"], Unknown)
    assert host["confirmed"].reason is Reason.LIMIT


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failure_is_never_taken_for_absence(fault: str) -> None:
    reason = Reason(fault)
    (host,) = (await of(GOOD | {(REVERSE, "PTR"): fault}))["identity.ips"]
    for field in ("ptr", "name", "confirmed", "generic", "dynamic", "aligned"):
        assert isinstance(host[field], Unknown), field
        assert host[field].reason is reason
    (host,) = (await of(GOOD | {("mail.example.com", "A"): fault}, envelope__helo="mail.example.com"))["identity.ips"]
    assert host["ptr"] == ("mail.example.com",)
    assert isinstance(host["confirmed"], Unknown)
    assert isinstance(host["helo_matches"], Unknown)
    (host,) = (await of(GOOD | {("_dmarc.example.com", "TXT"): fault}))["identity.ips"]
    assert host["confirmed"] is True
    assert isinstance(host["aligned"], Unknown)


@pytest.mark.parametrize(
    ("helo", "resolves", "matches"),
    [
        ("mail.example.com", True, True),
        ("other.example.com", False, False),
        ("elsewhere.example.net", True, False),
        (f"[{IP}]", None, True),
        ("[192.0.2.99]", None, False),
        (None, None, None),
        # No host name of DNS: ALN-006 says so, and asking a resolver for it shows nothing.
        ("unknown", None, None),
        ("LAPTOP-7", None, None),
        ("unknown.", None, None),
        ("192.0.2.300", None, None),
    ],
)
async def test_helo(helo: str | None, resolves: bool | None, matches: bool | None) -> None:
    records = GOOD | {("elsewhere.example.net", "A"): ["192.0.2.50"], ("x.other.example.com", "A"): ["192.0.2.51"]}
    facts = await of(records, envelope__helo=helo)
    assert facts["identity.helo_resolves"] is resolves
    assert facts["identity.ips"][0]["helo_matches"] is matches


async def test_without_an_address_there_is_nothing_to_judge() -> None:
    facts = await of(GOOD, envelope__ip={"unknown": "no-message"}, envelope__helo={"unknown": "no-message"})
    assert facts["identity.ips"].reason is Reason.NOT_CONFIGURED
    assert facts["identity.helo_resolves"].reason is Reason.NO_MESSAGE


@pytest.mark.parametrize(
    ("name", "ip", "generic", "dynamic"),
    [
        ("mail.example.com", IP, False, False),
        ("mx-7.example.com", IP, False, False),
        ("mail-sor-f41.google.com", "209.85.220.41", False, False),
        ("a8-29.smtp-out.amazonses.com", "54.240.8.29", False, False),
        ("mail-db5eur01on2082.outbound.protection.outlook.com", "40.107.14.82", False, False),
        ("mail-oln040092074029.outbound.protection.outlook.com", "40.92.74.29", False, False),
        # The registered name may hold any word.
        ("mail.cable.example", IP, False, False),
        ("192-0-2-7.isp.example.net", IP, True, False),
        ("7.2.0.192.isp.example.net", IP, True, False),
        ("host-192-0-2.isp.example.net", IP, True, False),
        ("c0000207.isp.example.net", IP, True, False),
        ("192000002007.isp.example.net", IP, True, False),
        ("static.isp.example.net", IP, True, False),
        ("customer12.isp.example.net", IP, True, False),
        ("pool-12.isp.example.net", IP, True, True),
        ("dyn-7.dsl.isp.example.net", IP, True, True),
        # Default names of hosting companies, though they lie below a suffix of the private part of the list.
        ("ec2-192-0-2-7.ap-northeast-1.compute.amazonaws.com", IP, True, False),
        ("192-0-2-7.ip.linodeusercontent.com", IP, True, False),
        ("mail.ap-northeast-1.compute.amazonaws.com", IP, False, False),
        # Japanese access lines.
        ("p1234-ipngn100101tokaisakaetozai.aichi.ocn.ne.jp", IP, True, True),
        ("p7838222-ipoefx.ipoe.ocn.ne.jp", "123.225.39.221", True, True),
        ("i118-19-13-241.s42.a014.ap.plala.or.jp", "118.19.13.241", True, False),
        ("p784a5642.tkyea130.ap.so-net.ne.jp", "120.74.86.66", True, False),
        ("softbank126090202047.bbtec.net", "126.90.202.47", True, False),
        ("fl1-119-244-79-106.tky.mesh.ad.jp", "119.244.79.106", True, False),
        ("fpd11144dd.ap.nuro.jp", "209.17.68.221", True, False),
        ("zaq31fa9922.rev.zaq.ne.jp", "49.250.153.34", True, False),
        ("mail.p1234-shop.ne.jp", IP, False, False),
        ("p5b0a1c2d.dip0.t-ipconnect.de", "91.10.28.45", True, True),
        ("2001-0db8-1234-5678-abcd.v6.isp.example.net", "2001:db8:1234:5678:abcd::7", True, False),
    ],
)
def test_names_that_nobody_chose(name: str, ip: str, generic: bool, dynamic: bool) -> None:
    assert looks_generic(name, ip) == (generic, dynamic)


# --- who is who ----------------------------------------------------------------------------------------------------

CHAIN = {
    "alignment.author_domain": "example.com",
    "alignment.spf": "relaxed",
    "alignment.helo": "none",
    "envelope.helo": "out.sender.example",
    "envelope.mail_from_domain": "bounce.example.com",
    "dkim.signatures": [
        {"domain": "example.com", "aligned": True, "result": "pass"},
        {"domain": "mail.example.com", "aligned": True, "result": "fail"},
        {"domain": "sender.example", "aligned": False, "result": "pass"},
    ],
    "spf.result": "softfail",
    "spf.result_identity": "mail-from",
    "spf.sends_nothing": False,
    "dmarc.result": "pass",
    "dmarc.effective_policy": "none",
    "domain.null_mx": False,
    "identity.ips": [
        {"ip": IP, "name": "out.sender.example", "confirmed": True, "helo_matches": True, "aligned": "none"}
    ],
}


async def chained(**given: Any) -> dict[str, Any]:
    stated = CHAIN | {name.replace("__", "."): value for name, value in given.items()}
    found = await facts_of([ownership.chain_audit], StaticResolver({}), stated)
    return {fact.path: by_fields(fact.value) for fact in found}


async def test_the_identities_stand_side_by_side() -> None:
    entries = (await chained())["identity.chain"]
    assert [tuple(entry.values()) for entry in entries] == [
        ("author-domain", "example.com", None, "pass", "dmarc"),
        ("mail-from", "bounce.example.com", "relaxed", "softfail", "spf"),
        ("helo", "out.sender.example", "none", "pass", "dns"),
        ("dkim", "example.com", "strict", "pass", "dkim"),
        ("dkim", "mail.example.com", "relaxed", "fail", "dkim"),
        ("dkim", "sender.example", "none", "pass", "dkim"),
        ("ptr", "out.sender.example", "none", "pass", "dns"),
    ]


async def test_what_nobody_told_is_no_link_and_what_failed_stays_unknown() -> None:
    none = {"unknown": "no-message"}
    entries = (
        await chained(
            envelope__helo=none,
            envelope__mail_from_domain=none,
            dkim__signatures=none,
            identity__ips={"unknown": "not-configured"},
            dmarc__result={"unknown": "timeout"},
        )
    )["identity.chain"]
    assert [entry["role"] for entry in entries] == ["author-domain"]
    assert isinstance(entries[0]["authenticated"], Unknown)


@pytest.mark.parametrize(
    ("spf", "null_mx", "policy", "expected"),
    [
        (True, True, None, True),
        (True, False, "reject", True),
        # -all alone may be a mistake.
        (True, False, "none", False),
        (False, True, "reject", False),
        (False, {"unknown": "timeout"}, {"unknown": "timeout"}, False),
        (True, True, {"unknown": "timeout"}, True),
        (True, False, {"unknown": "timeout"}, "unknown"),
        ({"unknown": "servfail"}, True, "reject", "unknown"),
        # Whatever SPF says, nothing else says so.
        ({"unknown": "servfail"}, False, "none", False),
    ],
)
async def test_a_domain_that_says_twice_that_it_sends_nothing(
    spf: Any, null_mx: Any, policy: Any, expected: Any
) -> None:
    facts = await chained(spf__sends_nothing=spf, domain__null_mx=null_mx, dmarc__effective_policy=policy)
    value = facts["identity.sends_nothing"]
    assert ("unknown" if isinstance(value, Unknown) else value) == expected


# --- MX hosts ------------------------------------------------------------------------------------------------------


async def mx_of(records: dict[tuple[str, str], Any]) -> dict[str, Any]:
    found = await facts_of([mx.audit], StaticResolver(records), {})
    return {fact.path: by_fields(fact.value) for fact in found}


async def test_mx_hosts_with_their_addresses() -> None:
    facts = await mx_of(
        {
            ("example.com", "MX"): ["20 b.example.com", "10 a.example.com", "30 alias.example.com", "40 192.0.2.1",
                                    "50 ghost.example.com", "60 a.example.com"],
            ("a.example.com", "A"): [IP],
            ("b.example.com", "AAAA"): [IP6],
            ("alias.example.com", "CNAME"): ["a.example.com"],
        }
    )  # fmt: skip
    assert [
        (each["host"], each["preference"], each["addresses"], each["alias"], each["literal"], each["has_address"])
        for each in facts["mx.hosts"]
    ] == [
        ("a.example.com", 10, (IP,), None, False, True),
        ("b.example.com", 20, (IP6,), None, False, True),
        ("alias.example.com", 30, (IP,), "a.example.com", False, True),
        ("192.0.2.1", 40, (), None, True, False),
        ("ghost.example.com", 50, (), None, False, False),
    ]
    assert facts["mx.duplicates"] == ("a.example.com",)
    assert facts["mx.null_beside_others"] is False


async def test_a_null_mx_names_no_host() -> None:
    assert (await mx_of({("example.com", "MX"): ["0 ."]}))["mx.hosts"] == ()
    both = await mx_of({("example.com", "MX"): ["0 .", "10 a.example.com"], ("a.example.com", "A"): [IP]})
    assert both["mx.null_beside_others"] is True
    assert [each["host"] for each in both["mx.hosts"]] == ["a.example.com"]


async def test_a_failed_look_up_of_an_mx_host_is_not_a_missing_address() -> None:
    records: dict[tuple[str, str], Any] = {
        ("example.com", "MX"): ["10 a.example.com"],
        ("a.example.com", "A"): "timeout",
    }
    (host,) = (await mx_of(records))["mx.hosts"]
    assert isinstance(host["has_address"], Unknown)
    assert host["alias"] is None  # the other type answered, and an alias would hold for both
    (host,) = (await mx_of(records | {("a.example.com", "AAAA"): [IP6]}))["mx.hosts"]
    assert host["has_address"] is True
    lost = await mx_of({("example.com", "MX"): "servfail"})
    assert all(isinstance(value, Unknown) for value in lost.values())
