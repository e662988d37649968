"""TLS of the hops, MTA-STS, TLS-RPT, DNSSEC and DANE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability.auditors import transport
from deliverability.auditors.base import gather
from deliverability.auditors.transport import (
    fits,
    parse_mta_sts,
    parse_policy,
    parse_tls_rpt,
    tls_version,
    tlsa_problem,
)
from deliverability.mail.reader import read
from deliverability.model.facts import Reason, Subject, Unknown
from deliverability.ports.base import Answer, Fetched, Found, NoPage, Page, Resolver
from deliverability.ports.static import StaticResolver
from deliverability.ports.zone import ZoneResolver

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = "https://mta-sts.example.com/.well-known/mta-sts.txt"
STS: dict[tuple[str, str], Any] = {
    ("_mta-sts.example.com", "TXT"): ["v=STSv1; id=20261124"],
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
    records: dict[tuple[str, str], Any] | Resolver, *, message: bytes | None = None, web: Web | None = None
) -> dict[str, Any]:
    resolver = StaticResolver(records) if isinstance(records, dict) else records
    parsed = read(message) if message is not None else None
    gathered = await gather([transport.audit], Subject("example.com"), resolver, parsed, NOW, web)
    assert gathered.crashes == ()
    return {fact.path: fact.value for fact in gathered.facts}


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


# --- records -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "present", "errors"),
    [
        ([], False, ()),
        (["v=spf1 -all"], False, ()),
        (["v=STSv1; id=20261124T12"], True, ()),
        (["v=STSv1;id=1;"], True, ()),
        (["v=STSv1; id=1; extra=x"], True, ()),
        (["unrelated", "v=STSv1; id=1"], True, ()),
        (["v=STSv1"], True, ("no id=",)),
        (["v=STSv1; id=2026-11-24"], True, ("id=2026-11-24",)),
        (["v=STSv1; id=" + "a" * 33], True, ("id=" + "a" * 33,)),
        (["v=STSv1; id=1; id=2"], True, ("id= twice",)),
        (["v=STSv1; id=1; oops"], True, ("not a field: oops",)),
        (["v=stsv1; id=1"], True, ("it does not begin with v=STSv1;",)),
        (["v=STSv1; id=1", "v=STSv1; id=2"], True, ("2 records; there may be one only",)),
    ],
)
def test_mta_sts_record(records: list[str], present: bool, errors: tuple[str, ...]) -> None:
    found = parse_mta_sts(records)
    assert (found.record is not None, found.errors) == (present, errors)


@pytest.mark.parametrize(
    ("record", "errors"),
    [
        ("v=TLSRPTv1; rua=mailto:a@example.com", ()),
        ("v=TLSRPTv1;rua=mailto:a@example.com,https://r.example/x", ()),
        ("v=TLSRPTv1", ("no rua=",)),
        ("v=TLSRPTv1; rua=a@example.com", ("rua=a@example.com",)),
        ("v=TLSRPTv1; rua=http://r.example/x", ("rua=http://r.example/x",)),
        ("v=tlsrptv1; rua=mailto:a@example.com", ("it does not begin with v=TLSRPTv1;",)),
    ],
)
def test_tls_rpt_record(record: str, errors: tuple[str, ...]) -> None:
    assert parse_tls_rpt([record]).errors == errors


def test_hostile_records_are_read_in_time_and_bounded() -> None:
    for record in ("v=STSv1;" * 20_000, "v=STSv1; " + "=" * 65_000, "v=STSv1;" + " " * 65_000, "v=STSv1; \udcff=\x00"):
        assert len(parse_mta_sts([record]).errors) <= 21
        parse_tls_rpt([record.replace("STSv1", "TLSRPTv1")])


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
    assert facts["mta_sts.mode"] == Unknown(Reason.NOT_CONFIGURED, "--fetch")
    assert facts["mta_sts.policy_errors"] == Unknown(Reason.NOT_CONFIGURED, "--fetch")


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
        "mode": "enforce",
        "policy_mx": ("mx1.example.com", "*.example.net"),
        "max_age": 604800,
        "policy_errors": (),
        "uncovered_mx": (),
    }


async def test_an_mx_host_that_the_policy_leaves_out() -> None:
    facts = await of(STS, web=Web(page(POLICY.replace(b"*.example.net", b"*.sub.example.net"))))
    assert facts["mta_sts.uncovered_mx"] == ("mx2.example.net",)


async def test_a_site_at_fault_is_an_error_and_a_fetch_that_failed_is_unknown() -> None:
    wrong = await of(STS, web=Web(NoPage(URL, Reason.REFUSED, "the certificate is not valid", certain=True)))
    assert wrong["mta_sts.policy_errors"] == ("the certificate is not valid",)
    lost = await of(STS, web=Web(NoPage(URL, Reason.TIMEOUT, "no answer within 8 s")))
    assert lost["mta_sts.policy_errors"].reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        (page(status=404), ("HTTP status 404 instead of 200",)),
        (page(status=301), ("HTTP status 301 instead of 200",)),
        (page(kind="text/html"), ("type text/html instead of text/plain",)),
        (page(POLICY.replace(b"STSv1", b"STSv2")), ("no version: STSv1",)),
        (page(POLICY.replace(b"enforce", b"strict")), ("mode: strict",)),
        (page(POLICY.replace(b"604800", b"31557600")), ()),
        (page(POLICY.replace(b"604800", b"31557601")), ("max_age: 31557601",)),
        (page(POLICY.replace(b"604800", b"-1")), ("max_age: -1",)),
        (page(b"version: STSv1\nmode: testing\nmax_age: 86400\n"), ("no mx",)),
        (page(b"version: STSv1\nmode: none\nmax_age: 86400\n"), ()),
        (page(POLICY.replace(b"*.example.net", b"mx.*.net")), ("mx: mx.*.net",)),
        (page(b"<html>\xff\x00"), ("not a field: <html>\ufffd\x00", "no version: STSv1", "no mode", "no max_age")),
    ],
)
def test_policy(answer: Page, errors: tuple[str, ...]) -> None:
    assert parse_policy(answer).errors == errors


def test_hostile_policies_are_read_in_time_and_bounded() -> None:
    for body in (b"mx: " + b"a." * 32_000, b"mx: a.b\n" * 8000, b":" * 65_000, b"mx: " + b"a-" * 32_000 + b"."):
        policy = parse_policy(page(body))
        assert len(policy.errors) <= 20
        assert len(policy.mx) <= 100


@pytest.mark.parametrize(
    ("host", "fit"),
    [
        ("mx1.example.com", True),
        ("a.example.net", True),
        # A star stands for one label only.
        ("a.b.example.net", False),
        ("example.net", False),
        ("mx2.example.com", False),
    ],
)
def test_patterns(host: str, fit: bool) -> None:
    assert fits(host, ("mx1.example.com", "*.example.net")) is fit


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
    (host,) = (await of(DANE | {("example.net", "DS"): ["1 13 2 ab"]}))["dane.hosts"]
    assert host["signed"] is True
    (host,) = (await of(DANE | {("example.net", "DS"): "servfail"}))["dane.hosts"]
    assert isinstance(host["signed"], Unknown)


async def test_a_resolver_that_validated_the_answer_is_believed() -> None:
    class Validating(StaticResolver):
        async def query(self, name: str, rdtype: str) -> Answer:
            answer = await super().query(name, rdtype)
            if isinstance(answer, Found) and rdtype == "TLSA":
                return Found(answer.name, rdtype, answer.values, authenticated=True)
            return answer

    (host,) = (await of(Validating(DANE)))["dane.hosts"]
    assert host["signed"] is True


@pytest.mark.parametrize(
    ("record", "usable"),
    [
        (TLSA, True),
        ("2 0 2 " + "ab" * 64, True),
        ("3 1 0 abcdef", True),
        ("3 1 1 " + "ab" * 20 + " " + "ab" * 12, True),
        # Certificate usages of the web do not count for mail (RFC 7672 section 3.1.3).
        ("1 1 1 " + "ab" * 32, False),
        ("3 1 1 abcd", False),
        ("3 2 1 " + "ab" * 32, False),
        ("nonsense", False),
        ("", False),
        ("3 1 " + "1" * 5000 + " " + "ab" * 32, False),
    ],
)
def test_tlsa(record: str, usable: bool) -> None:
    assert (tlsa_problem(record) is None) is usable


async def test_one_usable_record_is_enough() -> None:
    (host,) = (await of(DANE | {("_25._tcp.mx.example.net", "TLSA"): ["0 0 1 ab", TLSA]}))["dane.hosts"]
    assert host["errors"] == ()
    (host,) = (await of(DANE | {("_25._tcp.mx.example.net", "TLSA"): ["0 0 1 ab"]}))["dane.hosts"]
    assert host["errors"] == ("0 0 1 ab",)


def test_fetching_is_refused_where_nothing_may_be_asked(tmp_path: Path) -> None:
    from deliverability.inputs import InputError
    from deliverability.runs.engine import open_world

    zone = tmp_path / "example.com.zone"
    zone.write_text("$ORIGIN example.com.\n@ 60 IN SOA ns h 1 2 3 4 5\n")
    for options in ({"zones": [zone]}, {"offline": True}):
        with pytest.raises(InputError, match="--fetch and --"):
            open_world(fetch=True, **options)  # type: ignore[arg-type]
    assert open_world().http is None
    assert open_world(fetch=True).http is not None


@pytest.mark.parametrize(("parse", "version"), [(parse_mta_sts, "STSv1"), (parse_tls_rpt, "TLSRPTv1")])
def test_of_endless_fields_the_first_are_read_and_the_rest_is_said(
    parse: Callable[[Sequence[str]], transport.TextRecord], version: str
) -> None:
    found = parse([f"v={version};" + "".join(f"a{number}=b;" for number in range(5000))])
    assert len(found.fields) == transport.MAX_FIELDS
    assert f"more than {transport.MAX_FIELDS} fields, the rest is not read" in found.errors
