"""The facts under ``spf.``: stated for every domain, Unknown where DNS failed, with the answers they rest on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.codec import typed
from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import NO_NAME, Fact, Reason, Unknown, Value, records_of
from deliverability.core.facts.spf import SPF_AT
from deliverability.core.inputs import Subject
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.engine.auditors import spf
from deliverability.engine.base import Context
from tests.corpus import corpus
from tests.facts_of import by_fields
from tests.sampled import examples

Zone = dict[tuple[str, str], Any]
NO_MESSAGE = Unknown(Reason.NO_MESSAGE)


async def audit(zone: Zone, *, ips: tuple[str, ...] = (), **envelope: Value) -> Context:
    """Audit example.com. What the envelope does not tell here is Unknown, as without a message."""
    known = {path: Fact(path, envelope.get(path.removeprefix("envelope."), NO_MESSAGE)) for path in spf.audit.needs}
    subject = Subject("example.com", sending_ips=ips)
    context = Context(subject, Ports(StaticResolver(zone), FixedClock(datetime(2026, 1, 1, tzinfo=UTC))), None, known)
    await spf.audit.run(context)
    assert set(context.stated) == set(spf.audit.promised)
    for fact in context.stated.values():
        assert set(fact.evidence) <= set(context.evidence), fact.path
    return context


def facts(context: Context, *names: str) -> list[Value]:
    return [by_fields(context.stated[f"spf.{name}"].value) for name in names]


def spf_at(record: Any, **more: Any) -> Zone:
    zone: Zone = {("example.com", "TXT"): record if isinstance(record, list) else [record]}
    return zone | {(f"{name}.com", "TXT"): [value] for name, value in more.items()}


async def test_a_domain_without_spf() -> None:
    context = await audit(spf_at(["hello", " v=spf1 -all"]))
    assert facts(context, "present", "record_count", "record", "valid", "tree", "lookups", "all") == [
        False, 0, None, None, None, None, None,
    ]  # fmt: skip
    assert facts(context, "lookalikes") == [(" v=spf1 -all",)]


async def test_a_domain_that_does_not_exist() -> None:
    context = await audit({})
    assert facts(context, "present", "lookups", "uses_ptr", "sends_nothing") == [False, None, False, False]
    assert context.evidence["dns:TXT:example.com"].got == (NO_NAME(),)


async def test_two_records_are_invalid_and_neither_is_the_record() -> None:
    context = await audit(spf_at(["v=spf1 -all", "v=spf1 ~all"]), ips=("192.0.2.1",))
    assert facts(context, "present", "record_count", "record", "valid", "lookups") == [True, 2, None, False, None]
    assert facts(context, "result") == ["permerror"]


async def test_an_ordinary_record() -> None:
    context = await audit(
        spf_at(
            "v=spf1 ip4:10.0.0.0/8 a mx/12 include:one.com ~all redirect=x.com x=y", one="v=spf1 ip4:192.0.2.0/24 -all"
        )
        | {("example.com", "A"): ["192.0.2.9"], ("example.com", "MX"): ["10 mail.example.com"]}
    )
    assert facts(context, "valid", "lookups", "all") == [True, 3, "~"]
    # `a` finds an IPv4 address only: nothing where an IPv6 address sends. spf.void_lookups is the larger number.
    assert facts(context, "void_lookups_ip4", "void_lookups_ip6", "void_lookups") == [0, 1, 1]
    assert facts(context, "void_names", "dead_names") == [("AAAA example.com",), ()]
    assert facts(context, "includes", "redirect", "dead_terms", "unknown_modifiers") == [
        ("one.com",), None, ("redirect=x.com",), ("x=y",),
    ]  # fmt: skip
    assert facts(context, "wide_ranges", "widest_ip4_prefix") == [("ip4:10.0.0.0/8", "mx/12"), 8]
    assert facts(context, "sends_nothing", "uses_ptr", "private_ranges") == [False, False, ("ip4:10.0.0.0/8",)]
    assert context.stated["spf.lookups"].evidence == (
        "dns:TXT:example.com", "dns:A:example.com", "dns:AAAA:example.com", "dns:MX:example.com", "dns:TXT:one.com",
    )  # fmt: skip


async def test_sizes_are_octets() -> None:
    context = await audit({("example.com", "TXT"): [["v=spf1 ip4:192.0.2.1", " -all"], "hello"]})
    assert facts(context, "record_octets", "longest_string_octets", "answer_octets") == [25, 20, 11 + 25 + 5]


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ("v=spf1 -all", True),
        ("v=spf1 -ip4:192.0.2.1 -all", True),
        ("v=spf1 redirect=none.com", True),
        ("v=spf1 ~all", False),
        ("v=spf1", False),
        ("v=spf1 a -all", False),
    ],
)
async def test_sends_nothing(record: str, value: bool) -> None:
    assert facts(await audit(spf_at(record, none="v=spf1 -all")), "sends_nothing") == [value]


async def test_all_is_that_of_the_redirect_target() -> None:
    context = await audit(spf_at("v=spf1 redirect=one.com", one="v=spf1 redirect=two.com", two="v=spf1 mx ?all"))
    assert facts(context, "all", "redirect") == ["?", "one.com"]
    assert facts(await audit(spf_at("v=spf1 a")), "all") == [None]


@pytest.mark.parametrize(
    ("record", "fact"),
    [
        ("v=spf1 ipv4:192.0.2.1 -all", "syntax_errors"),
        ("v=spf1 include:gone.com -all", "broken_includes"),
        ("v=spf1 include:example.com -all", "loops"),
        ("v=spf1 mx:many.com -all", "mx_overflow"),
        ("v=spf1 a:a.com a:b.com a:c.com -all", "void_names"),
    ],
)
async def test_faults_are_listed_and_make_the_record_invalid(record: str, fact: str) -> None:
    context = await audit(spf_at(record) | {("many.com", "MX"): [f"1 mx{n}.many.com" for n in range(11)]})
    (value, valid) = facts(context, fact, "valid")
    assert value
    assert valid is False


async def test_eleven_lookups_are_invalid() -> None:
    hosts: Zone = {(f"h{n}.com", "A"): ["192.0.2.1"] for n in range(11)}
    context = await audit(spf_at("v=spf1 " + " ".join(f"a:h{n}.com" for n in range(11)) + " -all") | hosts)
    assert facts(context, "lookups", "valid") == [11, False]


@pytest.mark.parametrize("failure", ["timeout", "servfail", "refused", "offline"])
async def test_when_the_record_cannot_be_asked_for_nothing_is_missing(failure: str) -> None:
    context = await audit({("example.com", "TXT"): failure}, ips=("192.0.2.1",))
    for path, fact in context.stated.items():
        if path in ("spf.domain", "spf.results") or (path.startswith("spf.result_") and path != "spf.result_explained"):
            continue
        if path in ("spf.explanation", "spf.trace", "spf.author_differs"):
            continue
        if path == "spf.used_tree":  # no domain but the audited one is used
            assert fact.value is None
            continue
        if path == "spf.identities":
            (item,) = records_of(fact.value)
            known = {name for name, value in item.items() if not isinstance(value, Unknown)}
            assert known == {"domain", "role", "used", "own", "reason", "evidence"}
            continue
        assert isinstance(fact.value, Unknown), path
        assert fact.value.reason is Reason(failure), path


@pytest.mark.parametrize(
    "question",
    [("one.com", "TXT"), ("a.com", "A"), ("m.com", "MX"), ("e.com", "A"), ("r.com", "TXT"), ("i.com", "TXT")],
)
async def test_no_failing_question_turns_anything_into_missing(question: tuple[str, str]) -> None:
    zone = spf_at(
        "v=spf1 include:one.com a:a.com mx:m.com exists:e.com redirect=r.com",
        one="v=spf1 include:i.com",
        i="v=spf1 ip4:192.0.2.0/24",
        r="v=spf1 -all",
    ) | {("a.com", "A"): ["192.0.2.1"], ("m.com", "MX"): ["1 m.com"], ("e.com", "A"): ["127.0.0.1"]}
    whole = await audit(zone)
    holed = await audit(zone | {question: "timeout"})
    for path, fact in holed.stated.items():
        if path in ("spf.tree", "spf.identities", "spf.lookups_at_least"):
            continue
        if fact.value != whole.stated[path].value:
            # A list of what was found says with an Unknown of its own that there may be more.
            missing = fact.value[-1] if isinstance(fact.value, tuple) else fact.value
            assert isinstance(missing, Unknown), path
            assert missing.reason is Reason.TIMEOUT, path
    assert facts(whole, "valid") == [True]
    assert isinstance(facts(holed, "valid")[0], Unknown)


async def test_a_certain_fault_stays_certain_beside_a_failure() -> None:
    zone = spf_at("v=spf1 ipv4:192.0.2.1 include:lost.com -all") | {("lost.com", "TXT"): "timeout"}
    assert facts(await audit(zone), "valid") == [False]


# Results of sending addresses


async def test_without_an_address_there_is_no_result() -> None:
    context = await audit(spf_at("v=spf1 -all"))
    (result,) = facts(context, "result")
    assert isinstance(result, Unknown)
    assert result == Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IP))


async def test_the_address_of_the_message_is_used_where_none_is_given() -> None:
    zone = spf_at("v=spf1 ip4:192.0.2.1 -all")
    seen = await audit(zone, ip="192.0.2.1", mail_from="joe@example.com", mail_from_domain="example.com", helo=None)
    given = await audit(zone, ips=("192.0.2.2",), ip="192.0.2.1", mail_from=None, mail_from_domain=None, helo=None)
    assert facts(seen, "result", "result_identity", "result_reason") == [
        "pass", "mail-from", SPF_AT(term="ip4:192.0.2.1", domain="example.com"),
    ]  # fmt: skip
    assert facts(given, "result", "result_identity", "result_domain") == ["fail", "domain", "example.com"]


async def test_of_a_mail_whose_mail_from_nobody_recorded_only_a_pass_is_told() -> None:
    """The domain in From may not be the one that receivers checked: its record refuses nobody's mail."""
    given: dict[str, Any] = {"mail_from": None, "mail_from_domain": None, "helo": None}
    given["message.from_domain"] = "example.com"
    passing = await audit(spf_at("v=spf1 ip4:192.0.2.1 -all"), ip="192.0.2.1", **given)
    assert facts(passing, "result", "result_identity") == ["pass", "domain"]
    for record in ("v=spf1 -all", "v=spf1 include:", "v=other"):
        context = await audit(spf_at(record), ip="192.0.2.1", **given)
        result, failing = facts(context, "result", "failing_ips")
        assert result == failing == Unknown(Reason.NOT_CONFIGURED, needs(Input.MAIL_FROM))
        # What the author domain itself says of the address is known all the same: docomo asks for that.
        assert facts(context, "author_result")[0] in ("fail", "permerror", "none")


async def test_mail_from_of_another_domain_is_evaluated_there() -> None:
    zone = spf_at("v=spf1 -all", bounce="v=spf1 include:esp.com -all", esp="v=spf1 ip4:192.0.2.1 ~all")
    context = await audit(zone, ips=("192.0.2.1",), mail_from="x@bounce.com", mail_from_domain="bounce.com", helo=None)
    assert facts(context, "domain", "record", "result", "result_domain") == [
        "example.com", "v=spf1 -all", "pass", "bounce.com",
    ]  # fmt: skip
    assert context.stated["spf.result"].evidence == ("dns:TXT:bounce.com", "dns:TXT:esp.com")


async def test_the_null_reverse_path_needs_a_helo_name() -> None:
    zone: Zone = {("mail.example.com", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"]}
    context = await audit(zone, ips=("192.0.2.1",), mail_from="", mail_from_domain=None, helo="mail.example.com")
    assert facts(context, "result", "result_identity", "result_domain") == ["pass", "helo", "mail.example.com"]
    context = await audit(zone, ips=("192.0.2.1",), mail_from="", mail_from_domain=None, helo=None)
    (result,) = facts(context, "result")
    assert isinstance(result, Unknown)
    assert result.detail == needs(Input.HELO)


async def test_the_worst_address_stands_for_all() -> None:
    zone = spf_at("v=spf1 ip4:192.0.2.1 ?ip4:192.0.2.2 ~ip4:192.0.2.3 -all")
    addresses = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.4")
    context = await audit(zone, ips=addresses)
    assert facts(context, "result", "failing_ips") == ["fail", addresses[1:4]]
    results = facts(context, "results")[0]
    assert [(item["ip"], item["result"]) for item in results] == [  # type: ignore[index,call-overload,union-attr]
        ("192.0.2.1", "pass"), ("192.0.2.2", "neutral"), ("192.0.2.3", "softfail"), ("192.0.2.4", "fail"),
    ]  # fmt: skip
    assert facts(await audit(zone, ips=addresses[:3]), "result") == ["softfail"]


async def test_a_failing_look_up_is_no_verdict_but_a_certain_fail_stays_one() -> None:
    zone = spf_at("v=spf1 ip4:192.0.2.1 -ip4:192.0.2.2 include:lost.com -all") | {("lost.com", "TXT"): "servfail"}
    unknown = await audit(zone, ips=("192.0.2.1", "192.0.2.3"))
    (result, failing) = facts(unknown, "result", "failing_ips")
    assert isinstance(result, Unknown)
    assert isinstance(failing, Unknown)
    assert result.reason is Reason.SERVFAIL
    assert facts(await audit(zone, ips=("192.0.2.3", "192.0.2.2")), "result") == ["fail"]
    zone["example.com", "TXT"] = ["v=spf1 ~ip4:192.0.2.2 include:lost.com -all"]
    for addresses in (("192.0.2.2", "192.0.2.3"), ("192.0.2.3", "192.0.2.2")):
        assert isinstance(facts(await audit(zone, ips=addresses), "result")[0], Unknown)


async def test_the_trace_and_the_explanation_are_facts() -> None:
    context = await audit(spf_at("v=spf1 -all exp=why.com", why="%{i} is not ours"), ips=("192.0.2.1",))
    explanation, trace = facts(context, "explanation", "trace")
    assert explanation == "192.0.2.1 is not ours"
    assert trace["steps"][0]["outcome"] == "match"  # type: ignore[index,call-overload]


@pytest.mark.parametrize("helo", ["", "[192.0.2.1]", "\ud800\x00", "a" * 5000])
@pytest.mark.parametrize("mail_from", ["@", "a@b@c", "\ud800@\ud800", "x@" + "é" * 5000, "no-at-sign"])
async def test_hostile_envelopes_only_give_results(mail_from: str, helo: str) -> None:
    context = await audit(
        spf_at("v=spf1 exists:%{L}.%{S}.%{H}.%{d} -all"),
        ips=("192.0.2.1",),
        mail_from=mail_from,
        mail_from_domain=mail_from.rpartition("@")[2],
        helo=helo,
    )
    assert facts(context, "result")[0] in ("none", "fail", "neutral")


# Any DNS content, and the corpus: every fact has the type that the catalogue promises


def check_types(context: Context) -> None:
    for path in spf.audit.promised:
        value = context.stated[path].value
        assert typed(path, by_fields(value)) == value, path


names = st.sampled_from(
    ["example.com", "a.com", "b.com", "%{d}", "%{i}.x.com", "x..com", "c." * 120 + "com", "com", ""]
)
terms = st.one_of(
    st.builds("{}{}:{}{}".format, st.sampled_from(["", "-", "?", "~", "+", "!"]),
              st.sampled_from(["a", "mx", "ptr", "include", "exists", "ip4", "ip6", "ALL"]), names,
              st.sampled_from(["", "/24", "//64", "/0"])),
    st.builds("{}={}".format, st.sampled_from(["redirect", "exp", "x"]), names),
    st.sampled_from(["all", "-all", "a", "mx", "ptr", "v=spf1", "ip4:192.0.2.0/24", "ip6:2001:db8::/20", "é", "%"]),
)  # fmt: skip
txt = st.lists(st.lists(terms, max_size=6).map(lambda words: " ".join(["v=spf1", *words])), min_size=1, max_size=2)
failures = st.sampled_from(["timeout", "servfail", "nxdomain"])
zones = st.fixed_dictionaries(
    {("example.com", "TXT"): txt},
    optional={
        ("a.com", "TXT"): txt | failures,
        ("b.com", "TXT"): txt | failures,
        ("example.com", "A"): st.just(["192.0.2.1"]) | failures,
        ("a.com", "AAAA"): st.just(["2001:db8::1", "nonsense"]) | failures,
        ("example.com", "MX"): st.sampled_from([["0 ."], ["1 a.com", "x"], [f"{n} m.com" for n in range(12)]])
        | failures,
        ("1.2.0.192.in-addr.arpa", "PTR"): st.just(["a.com", "example.com"]) | failures,
    },
)


@given(zones)
@examples(300)
@pytest.mark.long
async def test_any_dns_content_gives_facts_of_the_promised_types(zone: Zone) -> None:
    check_types(await audit(zone, ips=("192.0.2.1", "2001:db8::1")))


async def test_every_sender_of_the_corpus_is_audited() -> None:
    resolver = ZoneResolver.load([corpus("zones")])
    index = corpus("zones", "index.tsv").read_text("utf-8").splitlines()[1:]
    senders = [line.split("\t")[0].removesuffix(".zone") for line in index if line.split("\t")[1] == "sender"]
    known = {path: Fact(path, NO_MESSAGE) for path in spf.audit.needs}
    for domain in senders:
        subject = Subject(domain, sending_ips=("192.0.2.8", "40.92.0.1"))
        context = Context(subject, Ports(resolver, FixedClock(datetime(2026, 1, 1, tzinfo=UTC))), None, known)
        await spf.audit.run(context)
        check_types(context)
    assert len(senders) == 58


@pytest.mark.parametrize(
    ("record", "mistyped"),
    [
        ("v=spf1 include=one.com -all", [("include=one.com", "include:one.com")]),
        ("v=spf1 Include=one.com ~all", [("Include=one.com", "include:one.com")]),
        ("v=spf1 ip4=192.0.2.0/24 -all", [("ip4=192.0.2.0/24", "ip4:192.0.2.0/24")]),
        ("v=spf1 ip6=2001:db8::1 -all", [("ip6=2001:db8::1", "ip6:2001:db8::1")]),
        ("v=spf1 ip=192.0.2.1 -all", [("ip=192.0.2.1", "ip4:192.0.2.1")]),
        ("v=spf1 ipv4=192.0.2.2 -all", [("ipv4=192.0.2.2", "ip4:192.0.2.2")]),
        ("v=spf1 a=one.com mx=one.com -all", [("a=one.com", "a:one.com"), ("mx=one.com", "mx:one.com")]),
        ("v=spf1 a=192.0.2.1 -all", [("a=192.0.2.1", "ip4:192.0.2.1")]),
        ("v=spf1 a all=-", [("all=-", "-all")]),
        ("v=spf1 ip4=one -all", [("ip4=one", None)]),
        # No mistakes: the two modifiers that are known, those of others, and a version that stands there twice.
        ("v=spf1 a redirect=one.com", []),
        ("v=spf1 a exp=one.com ra=postmaster rp=100 -all", []),
        ("v=spf1 v=spf1 a -all", []),
    ],
)  # fmt: skip
async def test_modifiers_that_were_meant_as_mechanisms(record: str, mistyped: list[tuple[str, str | None]]) -> None:
    (found,) = facts(await audit(spf_at(record)), "mistyped")
    assert [(each.arg("term"), each.arg("meant") if each.code == "spf-meant" else None) for each in found] == mistyped
