"""check_host() beyond the suites: limits, failures, identities, the trace (RFC 7208)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.codec import decode, encode, typed
from deliverability.core.codes import ABOUT, ASKED
from deliverability.core.facts.base import NO_NAME, Reason, Value
from deliverability.core.facts.spf import SPF_AT, SpfResult, StepOutcome, decided_by
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.spf.evaluate import (
    FOUND,
    NO_DOMAIN,
    OF_HOST,
    TOO_MANY_LOOKUPS,
    SpfEvaluation,
    evaluate_spf,
)
from tests.sampled import examples

Zone = dict[tuple[str, str], Any]


async def evaluate(
    zone: Zone, ip: str = "192.0.2.1", mail_from: str = "joe@example.com", helo: str = "mail.example.com"
) -> SpfEvaluation:
    return await evaluate_spf(ip, mail_from, helo, StaticResolver(zone), receiver="mx.example.org", timestamp=1000)


def txt(**records: str) -> Zone:
    """``txt(example="v=spf1 ...")`` publishes at example.com."""
    return {(f"{name}.com", "TXT"): [record] for name, record in records.items()}


async def test_ten_lookups_are_allowed_and_eleven_are_not() -> None:
    hosts: Zone = {(f"h{n}.example.com", "A"): ["198.51.100.1"] for n in range(11)}
    ten = " ".join(f"a:h{n}.example.com" for n in range(10))
    at_limit = await evaluate(hosts | txt(example=f"v=spf1 {ten} -all"))
    over = await evaluate(hosts | txt(example=f"v=spf1 {ten} a:h10.example.com -all"))
    assert (at_limit.result, at_limit.lookups) == ("fail", 10)
    assert over.result == "permerror"
    assert over.reason == ABOUT(
        what=SPF_AT(term="a:h10.example.com", domain="example.com"), detail=TOO_MANY_LOOKUPS(n=10)
    )


async def test_a_match_before_the_eleventh_lookup_counts() -> None:
    hosts: Zone = {(f"h{n}.example.com", "A"): ["198.51.100.1"] for n in range(11)}
    eleven = " ".join(f"a:h{n}.example.com" for n in range(11))
    assert (await evaluate(hosts | txt(example=f"v=spf1 ip4:192.0.2.1 {eleven} -all"))).result == "pass"


async def test_two_void_lookups_are_allowed_and_three_are_not() -> None:
    two = await evaluate(txt(example="v=spf1 a:x.example.com mx:y.example.com -all"))
    three = await evaluate(txt(example="v=spf1 a:x.example.com mx:y.example.com exists:z.example.com -all"))
    assert (two.result, two.void_lookups) == ("fail", 2)
    assert (three.result, three.void_lookups) == ("permerror", 3)


async def test_mx_hosts_without_address_are_not_void_lookups_of_the_term() -> None:
    zone = txt(example="v=spf1 mx -all") | {("example.com", "MX"): [f"10 mx{n}.example.com" for n in range(5)]}
    got = await evaluate(zone)
    assert (got.result, got.lookups, got.void_lookups) == ("fail", 1, 0)


async def test_an_eleventh_mx_host_is_permerror_only_if_ten_do_not_match() -> None:
    zone: Zone = {("example.com", "MX"): [f"{n} mx{n}.example.com" for n in range(11, 0, -1)]}
    zone |= {(f"mx{n}.example.com", "A"): [f"203.0.113.{n}"] for n in range(1, 12)}
    zone |= txt(example="v=spf1 mx -all")
    assert (await evaluate(zone, "203.0.113.10")).result == "pass"
    assert (await evaluate(zone, "203.0.113.11")).result == "permerror"


@pytest.mark.parametrize("failure", ["timeout", "servfail", "refused"])
@pytest.mark.parametrize(
    ("record", "question"),
    [
        ("v=spf1 -all", ("example.com", "TXT")),
        ("v=spf1 include:x.example.com -all", ("x.example.com", "TXT")),
        ("v=spf1 redirect=x.example.com", ("x.example.com", "TXT")),
        ("v=spf1 a:x.example.com -all", ("x.example.com", "A")),
        ("v=spf1 mx:x.example.com -all", ("x.example.com", "MX")),
        ("v=spf1 exists:x.example.com -all", ("x.example.com", "A")),
    ],
)
async def test_a_failing_question_is_temperror_and_named(record: str, question: tuple[str, str], failure: str) -> None:
    got = await evaluate(txt(example=record) | {question: failure})
    assert got.result == "temperror"
    assert got.failure is not None
    assert (got.failure.name, got.failure.rdtype, got.failure.reason) == (*question, Reason(failure))


async def test_a_failing_mx_host_is_temperror_unless_an_earlier_one_matches() -> None:
    zone = txt(example="v=spf1 mx -all") | {
        ("example.com", "MX"): ["10 good.example.com", "20 bad.example.com"],
        ("good.example.com", "A"): ["203.0.113.1"],
        ("bad.example.com", "A"): "timeout",
    }
    assert (await evaluate(zone, "203.0.113.1")).result == "pass"
    assert (await evaluate(zone, "203.0.113.2")).result == "temperror"


@pytest.mark.parametrize(
    ("record", "result", "certain"),
    [
        ("v=spf1 ptr -all", "fail", False),
        ("v=spf1 ptr ip4:192.0.2.1 -all", "pass", True),
        ("v=spf1 -ptr ip4:192.0.2.1 -all", "pass", False),
        ("v=spf1 -ptr -all", "fail", True),
        ("v=spf1 exists:%{p}.example.org -all", "fail", False),
        # An include turns the match of its ptr into its own.
        ("v=spf1 include:_ptr.example.com ip4:192.0.2.1 -all", "pass", True),
        ("v=spf1 -include:_ptr.example.com ip4:192.0.2.1 -all", "pass", False),
        ("v=spf1 include:_ptr.example.com -all", "fail", False),
        ("v=spf1 ptr bogus:x", "permerror", True),
        ("v=spf1 ip4:192.0.2.1 ptr -all", "pass", True),
    ],
)
async def test_failing_ptr_does_not_match_and_what_it_would_change_is_told(
    record: str, result: str, certain: bool
) -> None:
    zone = txt(example=record) | {("1.2.0.192.in-addr.arpa", "PTR"): "timeout"}
    found = await evaluate(zone | {("_ptr.example.com", "TXT"): ["v=spf1 ptr -all"]})
    assert found.result == result
    assert (found.failure is None) is certain


@pytest.mark.parametrize(("name", "certain"), [("host.example.com", False), ("host.example.org", True)])
async def test_a_failed_lookup_of_a_name_counts_where_the_name_could_match(name: str, certain: bool) -> None:
    zone = txt(example="v=spf1 ptr -all") | {("1.2.0.192.in-addr.arpa", "PTR"): [name], (name, "A"): "servfail"}
    found = await evaluate(zone)
    assert found.result == "fail"
    assert (found.failure is None) is certain


async def test_only_ten_ptr_names_are_looked_at() -> None:
    zone = txt(example="v=spf1 ptr -all") | {
        ("1.2.0.192.in-addr.arpa", "PTR"): [*(f"other{n}.example.org" for n in range(10)), "host.example.com"],
        ("host.example.com", "A"): ["192.0.2.1"],
    }
    assert (await evaluate(zone)).result == "fail"


@pytest.mark.parametrize("term", ["include:other.com", "redirect=other.com"])
@pytest.mark.parametrize("other", [None, ["no spf here"], ["v=spf1 -all", "v=spf1 -all"], ["v=spf1 bogus"]])
async def test_targets_without_one_good_record_are_permerror(term: str, other: list[str] | None) -> None:
    zone = txt(example=f"v=spf1 {term}") | ({("other.com", "TXT"): other} if other else {})
    assert (await evaluate(zone)).result == "permerror"


@pytest.mark.parametrize("term", ["include:example.com", "redirect=example.com", "include:%{o}"])
async def test_loops_end_in_permerror(term: str) -> None:
    assert (await evaluate(txt(example=f"v=spf1 {term}"))).result == "permerror"


@pytest.mark.parametrize(
    "sender",
    [
        "joe@localhost",
        "joe@[192.0.2.1]",
        "joe@a..example.com",
        f"joe@{'a' * 64}.com",
        "joe@" + "a." * 130 + "com",
        "joe@",
    ],
)
async def test_domains_that_cannot_be_checked_are_none(sender: str) -> None:
    assert (await evaluate({}, mail_from=sender)).result == "none"


async def test_a_domain_that_does_not_exist_is_none() -> None:
    got = await evaluate({})
    assert (got.result, got.reason) == ("none", NO_DOMAIN(domain="example.com"))


async def test_the_null_reverse_path_is_checked_as_postmaster_at_helo() -> None:
    zone: Zone = {
        ("mail.example.com", "TXT"): ["v=spf1 -all exp=why.example.com"],
        ("why.example.com", "TXT"): ["%{s} from %{c} at %{r}, %{t}"],
    }
    got = await evaluate(zone, mail_from="")
    assert (got.identity, got.domain, got.result) == ("helo", "mail.example.com", "fail")
    assert got.explanation == "postmaster@mail.example.com from 192.0.2.1 at mx.example.org, 1000"


async def test_mapped_addresses_are_ipv4_addresses() -> None:
    assert (await evaluate(txt(example="v=spf1 ip4:192.0.2.1 -all"), "::ffff:192.0.2.1")).result == "pass"
    assert (await evaluate(txt(example="v=spf1 ip6:::ffff:192.0.2.1 -all"), "192.0.2.1")).result == "fail"


async def test_u_labels_are_looked_up_as_a_labels() -> None:
    zone: Zone = {("xn--bcher-kva.example", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"]}
    got = await evaluate(zone, mail_from="joe@Bücher.example")
    assert (got.result, got.domain) == ("pass", "xn--bcher-kva.example")


async def test_a_record_in_several_strings_is_joined_without_blanks() -> None:
    zone: Zone = {("example.com", "TXT"): [["v=spf1 ip4:192.0", ".2.1 -a", "ll"]]}
    assert (await evaluate(zone)).result == "pass"
    assert (await evaluate(zone, "192.0.2.2")).result == "fail"


@pytest.mark.parametrize(
    "published",
    [["one", "two"], ["caf\u00e9"], ["bad %{z}"], ["\\xff"], "timeout", "nxdomain", ["line\nbreak"]],
)
async def test_an_unusable_explanation_leaves_the_fail_as_it_is(published: Any) -> None:
    zone = txt(example="v=spf1 -all exp=why.example.com") | {("why.example.com", "TXT"): published}
    got = await evaluate(zone)
    assert (got.result, got.explanation) == ("fail", None)


async def test_an_explanation_never_carries_control_characters_of_the_mail() -> None:
    zone = txt(example="v=spf1 -all exp=why.example.com") | {("why.example.com", "TXT"): ["you said %{h}"]}
    assert (await evaluate(zone, helo="mail\r\n250 ok")).explanation is None


@pytest.mark.parametrize(
    ("names", "validated"),
    [
        (["other.org", "mail.example.com", "example.com"], "example.com"),
        (["other.org", "mail.example.com"], "mail.example.com"),
        (["other.org"], "other.org"),
        (["forged.org"], "unknown"),
    ],
)
async def test_macro_p_prefers_the_domain_then_names_below_it(names: list[str], validated: str) -> None:
    zone = txt(example="v=spf1 -all exp=why.example.com") | {
        ("why.example.com", "TXT"): ["%{p}"],
        ("1.2.0.192.in-addr.arpa", "PTR"): names,
        ("forged.org", "A"): ["198.51.100.1"],
    }
    zone |= {(name, "A"): ["192.0.2.1"] for name in ("other.org", "mail.example.com", "example.com")}
    assert (await evaluate(zone)).explanation == validated


async def test_only_a_fail_is_explained() -> None:
    zone = txt(example="v=spf1 ~all exp=why.example.com") | {("why.example.com", "TXT"): ["because"]}
    assert (await evaluate(zone)).explanation is None


async def test_the_trace_tells_what_matched_and_what_was_never_reached() -> None:
    zone = txt(
        example="v=spf1 a:gone.example.com include:other.com mx ?all include:dead.com x=y",
        other="v=spf1 ip4:192.0.2.0/24 -all",
    )
    got = await evaluate(zone)
    assert got.reason == SPF_AT(term="include:other.com", domain="example.com")
    steps = got.trace.steps
    assert [(step.term, step.outcome) for step in steps] == [
        ("a:gone.example.com", StepOutcome.NO_MATCH),
        ("include:other.com", StepOutcome.MATCH),
        ("mx", StepOutcome.NOT_REACHED),
        ("?all", StepOutcome.NOT_REACHED),
        ("include:dead.com", StepOutcome.DEAD),
        ("x=y", StepOutcome.IGNORED),
    ]
    assert [(step.lookups, step.void_lookups) for step in steps[:2]] == [(1, 1), (1, 0)]
    assert steps[1].nested is not None
    assert steps[1].nested.result is SpfResult.PASS


async def test_a_bad_address_is_refused() -> None:
    with pytest.raises(ValueError, match="not-an-address"):
        await evaluate({}, "not-an-address")


async def test_macros_do_not_multiply_without_bound() -> None:
    zone: Zone = {
        ("example.com", "TXT"): ["v=spf1 exists:" + "%{h}" * 10_000 + " -all exp=why.example.com"],
        ("why.example.com", "TXT"): ["%{h}" * 10_000],
    }
    got = await evaluate(zone, helo="h" * 100_000)
    assert got.explanation == "h" * 1000


senders = st.text(st.one_of(st.characters(), st.sampled_from("@.%\ud800\x00 ")), max_size=20)


@examples(200)
@given(record=st.text(alphabet="aeimnrxpt lodcf:=/%{}.-+?~0149@\x00é", max_size=60), sender=senders)
async def test_hostile_records_and_senders_only_give_results(record: str, sender: str) -> None:
    zone: Zone = {("example.com", "TXT"): ["v=spf1 " + record]}
    for mail_from in (f"{sender}@example.com", sender):
        got = await evaluate(zone, mail_from=mail_from, helo=sender)
        assert got.result in SpfResult


async def test_a_step_holds_what_was_asked_and_found() -> None:
    zone = txt(example="v=spf1 a:gone.com a:www.com mx:mail.com exists:x.com ip4:192.0.2.9 ?all") | {
        ("www.com", "A"): ["198.51.100.1", "198.51.100.2"],
        ("mail.com", "MX"): ["10 mx.mail.com"],
        ("mx.mail.com", "A"): ["192.0.2.1"],
    }
    asked = {step.term: step.detail for step in (await evaluate(zone)).trace.steps}
    hosts = FOUND(question=ASKED(type="MX", name="mail.com"), values=("10 mx.mail.com",))
    address = FOUND(question=ASKED(type="A", name="mx.mail.com"), values=("192.0.2.1",))
    assert asked == {
        "a:gone.com": ABOUT(what=ASKED(type="A", name="gone.com"), detail=NO_NAME()),
        "a:www.com": FOUND(question=ASKED(type="A", name="www.com"), values=("198.51.100.1", "198.51.100.2")),
        "mx:mail.com": OF_HOST(hosts=hosts, addresses=address),
        "exists:x.com": None,
        "ip4:192.0.2.9": None,
        "?all": None,
    }


async def test_a_trace_is_read_back_as_it_was() -> None:
    zone = txt(example="v=spf1 a:lost.com -all", inner="v=spf1 redirect=example.com") | {("lost.com", "A"): "timeout"}
    trace = (await evaluate(zone | txt(outer="v=spf1 include:inner.com ~all"), mail_from="joe@outer.com")).trace
    assert trace.steps[0].nested is not None
    assert typed("spf.trace", decode(json.loads(json.dumps(encode(trace))))) == trace
    assert decided_by(trace.reason) == "include:inner.com"


@pytest.mark.parametrize(
    "reason",
    [None, "~all at example.com", NO_DOMAIN(domain="a.com"), ABOUT(what="a", detail=NO_DOMAIN(domain="a.com"))],
)
def test_no_term_decided(reason: Value) -> None:
    assert decided_by(reason) == ""
