"""TLS of the hops, MTA-STS, TLS-RPT, DNSSEC and DANE."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.codes import VERBATIM, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.base import Fetched, NoPage, Page, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Permissions, Ports
from deliverability.core.net.static import OFFLINE, StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.protocols import validation
from deliverability.core.protocols.dane import TLSA_UNUSABLE
from deliverability.engine.auditors import envelope, transport
from deliverability.engine.auditors.transport import tls_version
from deliverability.engine.base import gather
from tests.core.protocols.test_dane import Validating
from tests.facts_of import by_fields
from tests.signedzones import Plan, mail_world, moment

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = "https://mta-sts.example.com/.well-known/mta-sts.txt"
STS: dict[tuple[str, str], Any] = {
    ("_mta-sts.example.com", "TXT"): ["v=STSv1; id=20261124"],
    ("mta-sts.example.com", "A"): ["192.0.2.8"],
    ("example.com", "MX"): ["10 mx1.example.com", "20 mx2.example.net"],
}
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"


class Web:
    """A fetcher with one answer; remembers what it was asked for."""

    def __init__(self, answer: Fetched) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        assert redirects == 0, "a sender follows no redirect to a policy (RFC 8461 section 3.3)"
        self.asked.append(url)
        return self.answer


def page(body: bytes = POLICY, status: int = 200, kind: str = "text/plain; charset=utf-8") -> Page:
    return Page(URL, status, kind, body)


async def of(
    records: dict[tuple[str, str], Any] | Resolver,
    *,
    message: bytes | None = None,
    web: Web | None = None,
    now: datetime = NOW,
) -> dict[str, Any]:
    resolver = StaticResolver(records) if isinstance(records, dict) else records
    parsed = read(message) if message is not None else None
    gathered = await gather(
        [envelope.audit, transport.audit, transport.mta_sts_audit, transport.tls_rpt_audit],
        Subject("example.com"),
        Ports(resolver, FixedClock(now), http=web or OFFLINE, permissions=Permissions(fetch=web is not None)),
        parsed,
    )
    assert gathered.crashes == ()
    return {fact.path: by_fields(fact.value) for fact in gathered.facts}


# --- hops ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "version"),
    [
        ("from a (a [192.0.2.1]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))", "TLSv1.3"),
        ("from a by mx.google.com with ESMTPS id x (version=TLS1_2 cipher=ECDHE-RSA-AES128 bits=128/128)", "TLSv1.2"),
        ("from a by b with esmtps (TLS1.2:ECDHE_RSA_AES_256_GCM_SHA384:256)", "TLSv1.2"),
        ("from a by b with esmtps (TLSv1:AES256-SHA:256)", "TLSv1.0"),
        ("from a by b with Microsoft SMTP Server (version=TLS1_1, cipher=TLS_RSA)", "TLSv1.1"),
        ("from a by b (version=SSLv3 cipher=RC4)", "SSLv3"),
        # The old name of a family of ciphers says nothing about the version.
        ("from a by b (version=TLSv1/SSLv3 cipher=RC4-SHA)", None),
        ("from a by b with ESMTPS id 1", None),
        ("from a by b with SMTP (cipher=TLS_AES_128_GCM_SHA256)", None),
    ],
)
def test_tls_version(received: str, version: str | None) -> None:
    assert tls_version(received) == version


async def test_the_hop_that_delivered_counts() -> None:
    message = (
        b"Received: from inner (localhost [127.0.0.1]) by mx (Postfix) with ESMTP id 2\r\n"
        b"Received: from out.example.com (out.example.com [192.0.2.1])\r\n"
        b"\t(using TLSv1.1 with cipher AES) by mx.example.net with ESMTPS id 1\r\n"
        b"Received: from desk (desk [198.51.100.9]) (using TLSv1.3 with cipher X) by out.example.com with ESMTPSA\r\n"
        b"From: a@example.com\r\n\r\nx\r\n"
    )
    facts = await of({}, message=message)
    assert facts["transport.delivery_tls_version"] == "TLSv1.1"
    assert [(hop["from_ip"], hop["tls"], hop["tls_version"]) for hop in facts["transport.hops"]] == [
        ("127.0.0.1", False, None),
        ("192.0.2.1", True, "TLSv1.1"),
        ("198.51.100.9", True, "TLSv1.3"),
    ]


async def test_a_draft_has_no_hops() -> None:
    facts = await of({}, message=b"From: a@example.com\r\n\r\nx\r\n")
    assert (facts["transport.hops"], facts["transport.delivery_tls_version"]) == ((), None)


async def test_tls_rpt_facts() -> None:
    facts = await of({("_smtp._tls.example.com", "TXT"): ["v=TLSRPTv1; rua=mailto:a@example.com"]})
    assert (facts["tls_rpt.present"], facts["tls_rpt.rua"]) == (True, ("mailto:a@example.com",))


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failure_is_never_taken_for_absence(fault: str) -> None:
    """Every question fails in turn: the facts that rest on it are Unknown, and none says "missing"."""
    questions = {
        ("_mta-sts.example.com", "TXT"): ("mta_sts.present", "mta_sts.record", "mta_sts.errors", "mta_sts.mode"),
        ("_smtp._tls.example.com", "TXT"): ("tls_rpt.present", "tls_rpt.errors", "tls_rpt.rua"),
        ("example.com", "MX"): ("dane.hosts", "dane.unchecked_hosts"),
        ("_25._tcp.mx1.example.com", "TLSA"): ("dane.hosts",),
        ("example.com", "SOA"): ("dnssec.signed",),
    }
    for question, paths in questions.items():
        facts = await of(STS | {question: fault})
        for path in paths:
            assert isinstance(facts[path], Unknown), (question, path)
            assert facts[path].reason is Reason(fault)


# --- policy --------------------------------------------------------------------------------------------------------


async def test_without_leave_nothing_is_fetched() -> None:
    facts = await of(STS)
    assert facts["mta_sts.mode"] == Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH))
    assert facts["mta_sts.policy_errors"] == Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH))


async def test_without_a_record_there_is_no_policy_to_fetch() -> None:
    web = Web(page())
    facts = await of({}, web=web)
    assert (web.asked, facts["mta_sts.present"], facts["mta_sts.mode"]) == ([], False, None)


async def test_a_policy_that_fits() -> None:
    web = Web(page())
    facts = await of(STS, web=web)
    assert web.asked == [URL]
    assert {path.partition(".")[2]: facts[path] for path in facts if path.startswith("mta_sts.")} == {
        "present": True,
        "record": "v=STSv1; id=20261124",
        "errors": (),
        "id": "20261124",
        "policy_url": URL,
        "host_found": True,
        "mode": "enforce",
        "policy_mx": ("mx1.example.com", "*.example.net"),
        "max_age": 604800,
        "policy_errors": (),
        "uncovered_mx": (),
        "id_kept": None,
    }


async def test_an_mx_host_that_the_policy_leaves_out() -> None:
    facts = await of(STS, web=Web(page(POLICY.replace(b"*.example.net", b"*.sub.example.net"))))
    assert facts["mta_sts.uncovered_mx"] == ("mx2.example.net",)


async def test_a_site_at_fault_is_an_error_and_a_fetch_that_failed_is_unknown() -> None:
    wrong = await of(
        STS, web=Web(NoPage(URL, Reason.REFUSED, VERBATIM(text="the certificate is not valid"), certain=True))
    )
    assert wrong["mta_sts.policy_errors"] == (VERBATIM(text="the certificate is not valid"),)
    lost = await of(STS, web=Web(NoPage(URL, Reason.TIMEOUT, VERBATIM(text="no answer within 8 s"))))
    assert lost["mta_sts.policy_errors"].reason is Reason.TIMEOUT


# --- DNSSEC and DANE -----------------------------------------------------------------------------------------------

SOA = ["ns.example.com h.example.com 1 2 3 4 5"]
TLSA = "3 1 1 " + "ab" * 32


@pytest.mark.parametrize(
    ("records", "signed"),
    [
        ({("example.com", "SOA"): SOA, ("example.com", "DS"): ["1 13 2 ab"]}, True),
        ({("example.com", "SOA"): SOA}, False),
        ({("example.com", "SOA"): SOA, ("example.com", "DS"): "timeout"}, Unknown),
    ],
)
async def test_a_zone_is_signed_where_its_parent_says_so(records: dict[tuple[str, str], Any], signed: Any) -> None:
    value = (await of(records))["dnssec.signed"]
    assert (type(value) if isinstance(value, Unknown) else value) == signed


async def test_a_zone_file_says_nothing_about_its_parent() -> None:
    """DS lives in the zone above (RFC 4035 section 3.1.4.1): not known, unless that zone is given as well."""
    own = ("example.com.zone", b"$ORIGIN example.com.\n$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ IN NS ns\n")
    digest = b"ab" * 32
    above = b"$ORIGIN com.\n$TTL 60\n@ IN SOA ns h 1 2 3 4 5\nexample IN NS ns.example\nexample IN DS 1 13 2 " + digest
    alone = (await of(ZoneResolver([own])))["dnssec.signed"]
    assert isinstance(alone, Unknown)
    assert alone.reason is Reason.OFFLINE
    assert (await of(ZoneResolver([own, ("com.zone", above)])))["dnssec.signed"] is True


DANE: dict[tuple[str, str], Any] = {
    ("example.com", "MX"): ["10 mx.example.net", "20 plain.example.net"],
    ("_25._tcp.mx.example.net", "TLSA"): [TLSA],
    ("plain.example.net", "A"): ["192.0.2.1"],
    ("example.net", "SOA"): SOA,
}


async def test_tlsa_records_need_a_signed_zone() -> None:
    (host,) = (await of(DANE))["dane.hosts"]
    assert (host["host"], host["records"], host["signed"], host["errors"]) == ("mx.example.net", (TLSA,), False, ())
    assert (host["state"], [each.code for each in host["why"]]) == ("insecure", ["dnssec-no-ds"])
    (host,) = (await of(DANE | {("example.net", "DS"): ["1 13 2 ab"]}))["dane.hosts"]
    assert isinstance(host["signed"], Unknown)  # nobody gives the signatures
    (host,) = (await of(DANE | {("example.net", "DS"): "servfail"}))["dane.hosts"]
    assert isinstance(host["signed"], Unknown)


async def test_a_resolver_that_says_it_validated_is_not_believed() -> None:
    (host,) = (await of(Validating(DANE)))["dane.hosts"]
    assert host["signed"] is False


@pytest.mark.parametrize(
    ("own", "host", "state", "validated"),
    [
        (Plan(), Plan(), "secure", [("MX", "secure"), ("TLSA", "secure")]),
        (Plan(window=(-30, -10)), Plan(), "bogus", [("MX", "bogus"), ("TLSA", "secure")]),
        (Plan(ds="unknown-algorithm"), Plan(), "insecure", [("MX", "insecure"), ("TLSA", "secure")]),
        (Plan(), Plan(ds="wrong"), "secure", [("MX", "secure"), ("TLSA", "bogus")]),
        (Plan(signed=False, ds="none"), Plan(signed=False, ds="none"), "insecure", []),
    ],
)
async def test_what_is_signed_is_validated(
    own: Plan, host: Plan, state: str, validated: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = mail_world(own, host=host)
    monkeypatch.setattr(validation, "root_anchors", lambda: world.anchors)
    facts = await of(world, now=moment())
    assert facts["dnssec.state"] == state
    assert [(each["type"], each["state"]) for each in facts["dnssec.validated"]] == validated
    assert all(bool(each["why"]) == (each["state"] != "secure") for each in facts["dnssec.validated"])
    if not validated:
        assert world.asked == []


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        (Plan(), [("MX", "secure"), ("A", "secure")]),
        (Plan(window=(-30, -10)), [("MX", "secure"), ("A", "bogus")]),
        (Plan(ds="wrong"), [("MX", "secure"), ("A", "bogus")]),
        (Plan(signed=False, ds="none"), [("MX", "secure")]),
    ],
)
async def test_a_host_without_tlsa_is_validated_too(
    host: Plan, listed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Senders that validate do not get there, whether or not the host says anything of its certificate."""
    world = mail_world(Plan(), host=host, dane=False)
    monkeypatch.setattr(validation, "root_anchors", lambda: world.anchors)
    facts = await of(world, now=moment())
    assert facts["dane.hosts"] == ()
    assert [(each["type"], each["state"]) for each in facts["dnssec.validated"]] == listed


async def test_a_chain_that_cannot_be_asked_for_is_open_and_said() -> None:
    facts = await of({("example.com", "SOA"): SOA, ("example.com", "DS"): ["1 13 2 ab"]})
    assert isinstance(facts["dnssec.state"], Unknown)
    (listed,) = facts["dnssec.validated"]
    assert isinstance(listed["state"], Unknown)
    assert len(listed["why"]) == 1


async def test_one_usable_record_is_enough() -> None:
    (host,) = (await of(DANE | {("_25._tcp.mx.example.net", "TLSA"): ["0 0 1 ab", TLSA]}))["dane.hosts"]
    assert host["errors"] == ()
    (host,) = (await of(DANE | {("_25._tcp.mx.example.net", "TLSA"): ["0 0 1 ab"]}))["dane.hosts"]
    assert host["errors"] == (TLSA_UNUSABLE(text="0 0 1 ab"),)


def test_fetching_is_refused_where_nothing_may_be_asked(tmp_path: Path) -> None:
    from deliverability.core.errors import InputError

    zone = tmp_path / "example.com.zone"
    zone.write_text("$ORIGIN example.com.\n@ 60 IN SOA ns h 1 2 3 4 5\n")
    for options in ({"zones": [zone]}, {"offline": True}):
        with pytest.raises(InputError, match=r"use only one of these: fetch, (zones|offline)"):
            open_ports(PortSettings(permissions=Permissions(fetch=True), **options))  # type: ignore[arg-type]
    assert open_ports().http is OFFLINE
    assert open_ports(PortSettings(permissions=Permissions(fetch=True))).http is not OFFLINE


HOST = ("mta-sts.example.com", "A")


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, True),
        ({HOST: None}, False),
        ({HOST: None, ("mta-sts.example.com", "AAAA"): ["2a01:4f8::1"]}, True),
        ({HOST: ["10.0.0.1"]}, False),
        ({HOST: None, ("mta-sts.example.com", "CNAME"): ["sts.example.net"]}, False),
        (
            {HOST: None, ("mta-sts.example.com", "CNAME"): ["sts.example.net"], ("sts.example.net", "A"): ["62.1.2.3"]},
            True,
        ),
        ({("_mta-sts.example.com", "TXT"): None}, None),
    ],
)
async def test_the_host_of_the_policy_is_there(changed: dict[tuple[str, str], Any], found: bool | None) -> None:
    facts = await of({key: value for key, value in {**STS, **changed}.items() if value is not None})
    assert facts["mta_sts.host_found"] is found


@pytest.mark.parametrize("rdtype", ["A", "AAAA"])
async def test_a_host_that_could_not_be_looked_up_is_not_missing(rdtype: str) -> None:
    facts = await of({**STS, HOST: ["10.0.0.1"], ("mta-sts.example.com", rdtype): "servfail"})
    assert facts["mta_sts.host_found"].reason is Reason.SERVFAIL
