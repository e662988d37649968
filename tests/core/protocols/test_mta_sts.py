"""MTA-STS (RFC 8461) by itself: record, policy, and which MX hosts the policy covers."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability import discover_mta_sts
from deliverability.core.codes import ABOUT, VERBATIM, Detail, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Fetched, NoPage, Page, Resolver
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.mta_sts import (
    CONTENT_TYPE,
    CONTENT_TYPE_MISSING,
    FIELD_VALUE,
    NO_MAX_AGE,
    NO_MODE,
    NO_MX,
    NO_VERSION,
    NOT_200,
    MtaStsPolicy,
    MtaStsRecord,
    covers,
    parse_mta_sts,
    parse_mta_sts_policy,
)
from deliverability.core.protocols.text_record import (
    FIELD_ODD,
    FIELDS_MANY,
    MAX_FIELDS,
    RECORDS_MANY,
    TAG_BETWEEN,
    TAG_MISSING,
    TAG_TWICE,
    TAG_VALUE,
    VERSION_FIRST,
    choose_record,
)

URL = "https://mta-sts.example.com/.well-known/mta-sts.txt"
RECORD = "v=STSv1; id=20261124"
ZONE: dict[tuple[str, str], Any] = {
    ("_mta-sts.example.com", "TXT"): [RECORD],
    ("example.com", "MX"): ["10 mx1.example.com", "20 mx2.example.net"],
}
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"


class Web:
    """A fetcher with one answer, as a program may bring its own."""

    def __init__(self, answer: Fetched) -> None:
        self.answer = answer

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        assert (url, redirects) == (URL, 0), "a sender follows no redirect to a policy (RFC 8461 section 3.3)"
        return self.answer


def page(body: bytes = POLICY, status: int = 200, kind: str = "text/plain; charset=utf-8") -> Page:
    return Page(URL, status, kind, body)


# --- from a program's view -----------------------------------------------------------------------------------------


async def test_a_domain_with_a_policy() -> None:
    found = await discover_mta_sts("Example.COM.", StaticResolver(ZONE), Web(page()))
    assert (found.domain, found.policy_url) == ("example.com", URL)
    assert found.record == MtaStsRecord(RECORD, "20261124")
    assert found.policy == MtaStsPolicy("enforce", ("mx1.example.com", "*.example.net"), 604800)
    assert found.uncovered_mx == ()
    assert [(answer.rdtype, answer.name) for answer in found.answers] == [
        ("TXT", "_mta-sts.example.com"),
        ("MX", "example.com"),
    ]


async def test_without_a_fetcher_only_dns_is_asked() -> None:
    found = await discover_mta_sts("example.com", StaticResolver(ZONE))
    assert isinstance(found.record, MtaStsRecord)
    waiting = Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_FETCH))
    assert (found.policy, found.uncovered_mx, found.page) == (waiting, waiting, None)


async def test_a_domain_without_mta_sts() -> None:
    found = await discover_mta_sts("example.com", StaticResolver({}), Web(page()))
    assert (found.record, found.policy, found.uncovered_mx, found.page) == (None, None, (), None)


async def test_an_mx_host_that_the_policy_leaves_out() -> None:
    policy = page(POLICY.replace(b"*.example.net", b"*.sub.example.net"))
    found = await discover_mta_sts("example.com", StaticResolver(ZONE), Web(policy))
    assert found.uncovered_mx == ("mx2.example.net",)


@pytest.mark.parametrize("mode", [b"none", b"strict"])
async def test_a_policy_that_asks_for_nothing_leaves_nobody_out(mode: bytes) -> None:
    policy = page(POLICY.replace(b"enforce", mode).replace(b"*.example.net", b"mx.example.org"))
    found = await discover_mta_sts("example.com", StaticResolver(ZONE), Web(policy))
    assert found.uncovered_mx == ()


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failed_look_up_is_unknown(fault: str) -> None:
    lost = await discover_mta_sts("example.com", StaticResolver(ZONE | {("_mta-sts.example.com", "TXT"): fault}))
    for value in (lost.record, lost.policy, lost.uncovered_mx):
        assert isinstance(value, Unknown)
        assert value.reason is Reason(fault)
    zone = ZONE | {("example.com", "MX"): fault}
    found = await discover_mta_sts("example.com", StaticResolver(zone), Web(page()))
    assert isinstance(found.policy, MtaStsPolicy)
    assert isinstance(found.uncovered_mx, Unknown)


async def test_a_site_at_fault_is_an_error_and_a_fetch_that_failed_is_unknown() -> None:
    resolver = StaticResolver(ZONE)
    wrong = NoPage(URL, Reason.REFUSED, VERBATIM(text="the certificate is not valid"), certain=True)
    found = await discover_mta_sts("example.com", resolver, Web(wrong))
    assert found.policy == MtaStsPolicy(errors=(VERBATIM(text="the certificate is not valid"),))
    late = NoPage(URL, Reason.TIMEOUT, VERBATIM(text="no answer within 8 s"))
    found = await discover_mta_sts("example.com", resolver, Web(late))
    assert found.policy == Unknown(Reason.TIMEOUT, ABOUT(what=URL, detail=VERBATIM(text="no answer within 8 s")))


# --- the record ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "present", "errors"),
    [
        ([], False, ()),
        (["v=spf1 -all"], False, ()),
        (["v=STSv1; id=20261124T12"], True, ()),
        (["v=STSv1;id=1;"], True, ()),
        (["v=STSv1; id=1; extra=x"], True, ()),
        (["unrelated", "v=STSv1; id=1"], True, ()),
        (["v=STSv1"], True, (TAG_MISSING(name="id"),)),
        (["v=STSv1; id=2026-11-24"], True, (TAG_VALUE(name="id", value="2026-11-24"),)),
        (["v=STSv1; id=" + "a" * 33], True, (TAG_VALUE(name="id", value="a" * 33),)),
        (["v=STSv1; id=1; id=2"], True, (TAG_TWICE(name="id"),)),
        (["v=STSv1; id=1; oops"], True, (FIELD_ODD(text="oops"),)),
        (["v=STSv1; ; id=1"], True, (TAG_BETWEEN(),)),
        (["v=stsv1; id=1"], True, (VERSION_FIRST(version="STSv1"),)),
        (["v=STSv1; id=1", "v=STSv1; id=2"], True, (RECORDS_MANY(n=2),)),
    ],
)
def test_records(records: list[str], present: bool, errors: tuple[Detail, ...]) -> None:
    found = parse_mta_sts(records)
    assert (found is not None) is present
    assert (found.errors if found else ()) == errors


@pytest.mark.parametrize("record", ["v=STSv1;" * 20_000, "v=STSv1; " + "=" * 65_000, "v=STSv1;" + " " * 65_000])
def test_hostile_records_are_read_in_time_and_bounded(record: str) -> None:
    found = parse_mta_sts([record])
    assert found is not None
    assert len(found.errors) <= 21


def test_of_endless_fields_the_first_are_read_and_the_rest_is_said() -> None:
    found = choose_record(["v=STSv1;" + "".join(f"a{number}=b;" for number in range(5000))], "STSv1")
    assert found is not None
    assert len(found.fields) == MAX_FIELDS
    assert FIELDS_MANY(n=MAX_FIELDS) in found.errors


# --- the policy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        (page(status=404), (NOT_200(n=404),)),
        (page(status=301), (NOT_200(n=301),)),
        (page(kind="text/html"), (CONTENT_TYPE(type="text/html"),)),
        (page(kind=""), (CONTENT_TYPE_MISSING(),)),
        (page(POLICY.replace(b"STSv1", b"STSv2")), (NO_VERSION(),)),
        (page(POLICY.replace(b"enforce", b"strict")), (FIELD_VALUE(name="mode", value="strict"),)),
        (page(POLICY.replace(b"604800", b"31557600")), ()),
        (page(POLICY.replace(b"604800", b"31557601")), (FIELD_VALUE(name="max_age", value="31557601"),)),
        (page(POLICY.replace(b"604800", b"-1")), (FIELD_VALUE(name="max_age", value="-1"),)),
        (page(b"version: STSv1\nmode: testing\nmax_age: 86400\n"), (NO_MX(),)),
        (page(b"version: STSv1\nmode: none\nmax_age: 86400\n"), ()),
        (page(POLICY.replace(b"*.example.net", b"mx.*.net")), (FIELD_VALUE(name="mx", value="mx.*.net"),)),
        (page(b"<html>\xff\x00"), (FIELD_ODD(text="<html>\ufffd\x00"), NO_VERSION(), NO_MODE(), NO_MAX_AGE())),
    ],
)
def test_policies(answer: Page, errors: tuple[Detail, ...]) -> None:
    assert parse_mta_sts_policy(answer).errors == errors


def test_what_only_the_letter_of_the_grammar_refuses_is_told_in_the_parser_s_words() -> None:
    (error,) = parse_mta_sts_policy(page(POLICY.replace(b"max_age", b"a b: c\r\nmax_age"))).errors
    assert VERBATIM.matches(error)


@pytest.mark.parametrize(
    "body", [b"mx: " + b"a." * 32_000, b"mx: a.b\n" * 8000, b":" * 65_000, b"mx: " + b"a-" * 32_000]
)
def test_hostile_policies_are_read_in_time_and_bounded(body: bytes) -> None:
    policy = parse_mta_sts_policy(page(body))
    assert len(policy.errors) <= 20
    assert len(policy.mx) <= 100


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("mx1.example.com", True),
        ("a.example.net", True),
        # A star stands for one label only.
        ("a.b.example.net", False),
        ("example.net", False),
        ("mx2.example.com", False),
    ],
)
def test_patterns(host: str, covered: bool) -> None:
    assert covers(("mx1.example.com", "*.example.net"), host) is covered
