"""Whether the domain exists and takes mail, and whether MAIL FROM, d= and HELO belong to the author domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from deliverability.core.codec import encode
from deliverability.core.codes import Input, failed_question, needs
from deliverability.core.facts.base import Reason, Unknown, Value, records_of
from deliverability.core.mail.reader import read
from deliverability.core.net.static import StaticResolver
from deliverability.engine.auditors import domain, ownership
from tests.facts_of import by_fields, facts_of

NO_MESSAGE = {"unknown": "no-message"}

# --- domain ------------------------------------------------------------------------------------------------------


async def existence(
    records: Mapping[tuple[str, str], Any], mail_from: Any = None, author: Any = NO_MESSAGE, mail: str = ""
) -> dict[str, Value]:
    given = {"envelope.mail_from_domain": mail_from, "message.from_domain": author}
    message = read(mail.encode()) if mail else None
    facts = await facts_of([domain.audit], StaticResolver(records), given, message=message)
    return {fact.path.removeprefix("domain."): fact.value for fact in facts if fact.path.startswith("domain.")}


async def test_a_name_that_dns_denies_does_not_exist() -> None:
    facts = await existence({})
    assert facts["exists"] is False
    assert facts["mx"] == ()
    assert facts["accepts_mail"] is False


async def test_a_name_without_mail_records_exists() -> None:
    facts = await existence({("example.com", "TXT"): ["x"]})
    assert (facts["exists"], facts["accepts_mail"]) == (True, False)


async def test_a_name_with_names_below_it_exists() -> None:
    assert (await existence({("www.example.com", "A"): ["192.0.2.1"]}))["exists"] is True


@pytest.mark.parametrize("failure", ["timeout", "servfail", "refused"])
async def test_a_failure_never_means_that_the_domain_does_not_exist(failure: str) -> None:
    every = {("example.com", rdtype): failure for rdtype in ("MX", "A", "AAAA", "SOA")}
    facts = await existence(every)
    for path in ("exists", "mx", "null_mx", "accepts_mail"):
        value = facts[path]
        assert isinstance(value, Unknown)
        assert value.reason == Reason(failure)


async def zone_of(records: Mapping[tuple[str, str], Any], **given: Any) -> tuple[Value, Value, Value]:
    known = {"envelope.mail_from_domain": None, "message.from_domain": NO_MESSAGE}
    found = {each.path: each.value for each in await facts_of([domain.audit], StaticResolver(records), known, **given)}
    return found["domain.zone"], found["domain.name_servers"], found["domain.dns_provider"]


NAME_SERVERS = ["kim.ns.cloudflare.com", "bob.ns.cloudflare.com"]


async def test_the_zone_is_the_nearest_name_with_name_servers() -> None:
    own = {("example.com", "NS"): NAME_SERVERS}
    assert await zone_of(own) == ("example.com", tuple(NAME_SERVERS), "cloudflare")
    below = own | {("mail.example.com", "A"): ["192.0.2.1"]}
    assert (await zone_of(below, domain="mail.example.com"))[0] == "example.com"
    apart = below | {("mail.example.com", "NS"): ["ns1.example.net"]}
    assert await zone_of(apart, domain="mail.example.com") == ("mail.example.com", ("ns1.example.net",), None)


async def test_what_the_user_says_of_the_provider_wins() -> None:
    own = {("example.com", "NS"): NAME_SERVERS}
    assert (await zone_of(own, dns_provider="route53"))[2] == "route53"
    assert await zone_of({}, dns_provider="route53") == (None, (), "route53")


async def test_name_servers_that_were_not_told_are_unknown_not_none() -> None:
    lost = {("mail.example.com", "NS"): "timeout", ("example.com", "NS"): NAME_SERVERS}
    zone, servers, provider = await zone_of(lost, domain="mail.example.com")
    for value in (zone, servers, provider):
        assert isinstance(value, Unknown)
        assert value.reason is Reason.TIMEOUT


async def test_one_answer_is_enough_to_exist() -> None:
    facts = await existence({("example.com", "MX"): "timeout", ("example.com", "A"): ["192.0.2.1"]})
    assert facts["exists"] is True
    assert isinstance(facts["accepts_mail"], Unknown), "an MX could be a null MX"


async def test_one_nxdomain_speaks_for_all_types() -> None:
    records = dict.fromkeys((("example.com", rdtype) for rdtype in ("MX", "A", "SOA")), "servfail")
    records["example.com", "AAAA"] = "nxdomain"
    assert (await existence(records))["exists"] is False


async def test_mx_hosts_come_in_order_of_preference() -> None:
    hosts = ["20 b.example", "5 c.example", "10 a.example"]
    facts = await existence({("example.com", "MX"): hosts, ("b.example", "A"): ["192.0.2.1"]})
    assert facts["mx"] == ("c.example", "a.example", "b.example")
    assert (facts["null_mx"], facts["accepts_mail"]) == (False, True)


async def test_a_null_mx_takes_no_mail_whatever_address_there_is() -> None:
    facts = await existence({("example.com", "MX"): ["0 ."], ("example.com", "A"): ["192.0.2.1"]})
    assert (facts["mx"], facts["null_mx"], facts["accepts_mail"]) == ((".",), True, False)


@pytest.mark.parametrize(("rdtype", "address"), [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")])
async def test_without_mx_an_address_takes_mail(rdtype: str, address: str) -> None:
    assert (await existence({("example.com", rdtype): [address]}))["accepts_mail"] is True


async def test_without_mx_a_failed_address_leaves_it_open() -> None:
    facts = await existence({("example.com", "TXT"): ["x"], ("example.com", "AAAA"): "servfail"})
    assert facts["accepts_mail"] == Unknown(Reason.SERVFAIL, failed_question("AAAA", "example.com", None))


async def test_the_mail_from_domain_is_looked_up_as_well() -> None:
    records = {("example.com", "A"): ["192.0.2.1"], ("bounce.example.net", "MX"): ["10 mx.example.net"]}
    assert (await existence(records, "bounce.example.net"))["mail_from_exists"] is True
    assert (await existence(records, "gone.example.org"))["mail_from_exists"] is False
    assert (await existence(records, "example.com"))["mail_from_exists"] is True
    assert (await existence(records, None))["mail_from_exists"] is None
    unknown = Unknown(Reason.NO_MESSAGE)
    assert (await existence(records, {"unknown": "no-message"}))["mail_from_exists"] == unknown


HOST = {("mx.example.com", "A"): ["192.0.2.1"]}
MAIL = {("example.com", "MX"): ["10 mx.example.com"], **HOST}


@pytest.mark.parametrize(
    ("there", "has_records", "accepts"),
    [
        ({("b.example.com", "MX"): ["10 mx.example.com"]}, True, True),
        # Its MX host has no address, or one that nobody can reach.
        ({("b.example.com", "MX"): ["10 gone.example.com"]}, True, False),
        ({("b.example.com", "MX"): ["10 in.example.com"], ("in.example.com", "A"): ["10.0.0.1"]}, True, False),
        ({("b.example.com", "A"): ["192.0.2.1"]}, True, True),
        ({("b.example.com", "AAAA"): ["2001:db8::1"]}, True, True),
        ({("b.example.com", "MX"): ["0 ."], ("b.example.com", "A"): ["192.0.2.1"]}, True, False),
        # What SoftBank is content with, and iCloud is not.
        ({("b.example.com", "TXT"): ["v=spf1 -all"]}, True, False),
        ({("b.example.com", "NS"): ["ns.example.net"]}, True, False),
        ({("b.example.com", "SOA"): ["ns.example.net h.example.net 1 2 3 4 5"]}, True, False),
        ({("b.example.com", "CNAME"): ["gone.example.net"]}, True, False),
        ({("b.example.com", "CNAME"): ["u1.example.net"], ("u1.example.net", "MX"): ["10 mx.example.com"]}, True, True),
        # The name exists, but only because of the name below it.
        ({("s1._domainkey.b.example.com", "TXT"): ["v=DKIM1; p="]}, False, False),
        ({}, False, False),
    ],
)
async def test_a_mail_from_domain_can_have_records_and_still_take_no_mail(
    there: Any, has_records: bool, accepts: bool
) -> None:
    facts = await existence({**MAIL, **there}, "b.example.com")
    assert (facts["mail_from_has_records"], facts["mail_from_accepts"]) == (has_records, accepts)


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failed_look_up_at_the_mail_from_domain_is_no_missing_record(fault: str) -> None:
    alone: dict[tuple[str, str], Any] = {("b.example.com", each): [] for each in ("A", "AAAA", "SOA", "TXT", "NS")}
    facts = await existence({**MAIL, **alone, ("b.example.com", "MX"): fault}, "b.example.com")
    for path in ("mail_from_has_records", "mail_from_accepts"):
        value = facts[path]
        assert isinstance(value, Unknown)
        assert value.reason is Reason(fault)
    seen = await existence(
        {**MAIL, **alone, ("b.example.com", "MX"): fault, ("b.example.com", "TXT"): ["x"]}, "b.example.com"
    )
    assert seen["mail_from_has_records"] is True
    assert isinstance(seen["mail_from_accepts"], Unknown)


async def test_without_a_mail_from_domain_nothing_is_said_of_it() -> None:
    for given, expected in ((None, None), (NO_MESSAGE, Unknown(Reason.NO_MESSAGE))):
        facts = await existence(MAIL, given)
        assert facts["mail_from_has_records"] == facts["mail_from_accepts"] == expected


async def test_the_from_domain_takes_mail_by_itself() -> None:
    there = {**MAIL, ("shop.example.com", "TXT"): ["v=spf1 -all"], ("news.example.com", "A"): ["192.0.2.1"]}
    assert (await existence(there, author="shop.example.com"))["author_accepts_mail"] is False
    assert (await existence(there, author="news.example.com"))["author_accepts_mail"] is True
    assert (await existence(there, author="gone.example.org"))["author_accepts_mail"] is False
    assert (await existence(there, author=None))["author_accepts_mail"] is None
    # Without a message it is the audited domain.
    assert (await existence(there))["author_accepts_mail"] is True
    failing = await existence({**there, ("news.example.com", "MX"): "servfail"}, author="news.example.com")
    assert isinstance(failing["author_accepts_mail"], Unknown)


async def test_each_reply_to_domain_is_looked_at_once() -> None:
    mail = (
        "From: a@example.com\r\nReply-To: Desk <x@desk.example>, y@desk.example, z@EXAMPLE.com,\r\n"
        ' lost@gone.example, broken@slow.example, "no address"\r\n\r\nHello\r\n'
    )
    there = {**MAIL, ("desk.example", "MX"): ["0 ."], ("slow.example", "MX"): "timeout"}
    found = (await existence(there, author="example.com", mail=mail))["reply_to_domains"]
    late = failed_question("MX", "slow.example", None)
    assert [(each["domain"], each["accepts"], each["author"]) for each in records_of(found)] == [
        ("desk.example", False, False),
        ("example.com", True, True),
        ("gone.example", False, False),
        ("slow.example", Unknown(Reason.TIMEOUT, late), False),
    ]


async def test_a_mail_without_reply_to_has_no_such_domains_and_no_mail_says_nothing_of_them() -> None:
    assert (await existence(MAIL, author="example.com", mail="From: a@example.com\r\n\r\nx"))["reply_to_domains"] == ()
    assert (await existence(MAIL))["reply_to_domains"] == Unknown(Reason.NO_MESSAGE)


async def test_of_many_reply_to_domains_only_some_are_asked_about() -> None:
    many = ", ".join(f"a@r{number}.example" for number in range(500))
    found = await existence(MAIL, author="example.com", mail=f"From: a@example.com\r\nReply-To: {many}\r\n\r\nx")
    assert len(records_of(found["reply_to_domains"])) == domain.MAX_REPLY_DOMAINS


# --- alignment ---------------------------------------------------------------------------------------------------

OPEN = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none"]}
STRICT = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; aspf=s; adkim=s"]}
FAILING = {("_dmarc.example.com", "TXT"): "timeout"}


def signature(of: str | None, result: str = "pass", **more: Any) -> dict[str, Any]:
    return {"domain": of, "result": result, "bits": 2048, "key_type": "rsa", **more}


async def aligned(
    records: Mapping[tuple[str, str], Any] = OPEN,
    *,
    author: Any = "example.com",
    mail_from: Any = None,
    mail_from_home: Any = None,
    helo: Any = None,
    helo_home: Any = None,
    spf: Any = None,
    identity: Any = "mailfrom",
    signatures: Any = (),
) -> dict[str, Value]:
    given = {
        "message.from_domain": author,
        "envelope.mail_from_domain": mail_from,
        "envelope.helo": helo,
        "dmarc.mail_from_organizational_domain": mail_from_home,
        "dmarc.helo_organizational_domain": helo_home,
        "spf.result": spf,
        "spf.result_identity": identity,
        "dkim.signatures": list(signatures) if isinstance(signatures, tuple) else signatures,
    }
    needed = {path: value for path, value in given.items() if path in ownership.alignment_audit.needs}
    facts = await facts_of([ownership.alignment_audit], StaticResolver(records), needed)
    return {fact.path: by_fields(fact.value) for fact in facts if fact.path.startswith(("alignment.", "dmarc.result"))}


@pytest.mark.parametrize(
    ("mail_from", "home", "relation"),
    [
        ("example.com", "example.com", "strict"),
        ("EXAMPLE.com", "example.com", "strict"),
        ("bounce.example.com", "example.com", "relaxed"),
        ("example.net", "example.net", "none"),
        ("notexample.com", "notexample.com", "none"),
        (None, None, None),
    ],
)
async def test_names_are_compared_strictly_then_by_organization(mail_from: Any, home: Any, relation: Any) -> None:
    facts = await aligned(mail_from=mail_from, mail_from_home=home, helo=mail_from, helo_home=home)
    assert (facts["alignment.spf"], facts["alignment.helo"]) == (relation, relation)


async def test_spf_of_a_domain_that_stands_in_for_mail_from_is_no_alignment_and_no_lack_of_one() -> None:
    unknown = {"unknown": "not-configured", "detail": encode(needs(Input.MAIL_FROM))}
    facts = await aligned(mail_from=unknown, mail_from_home=unknown, spf="pass", identity="domain")
    assert facts["alignment.spf_pass"] == Unknown(Reason.NOT_CONFIGURED, needs(Input.MAIL_FROM))
    signed = await aligned(mail_from=unknown, spf="pass", identity="domain", signatures=(signature("example.com"),))
    assert (signed["alignment.spf_pass"], signed["alignment.dkim_pass"]) == (facts["alignment.spf_pass"], True)


async def test_a_subdomain_as_author_is_aligned_with_its_organization() -> None:
    facts = await aligned(author="news.example.com", mail_from="example.com", mail_from_home="example.com")
    assert facts["alignment.spf"] == "relaxed"


async def test_the_same_name_needs_no_organizational_domain() -> None:
    facts = await aligned(FAILING, mail_from="example.com", mail_from_home={"unknown": "timeout"})
    assert facts["alignment.spf"] == "strict"


async def test_an_unknown_organization_leaves_the_relation_unknown() -> None:
    mine = await aligned(FAILING, mail_from="b.example.com", mail_from_home="example.com")
    of_theirs = {**OPEN, ("_dmarc.example.net", "TXT"): "servfail"}
    theirs = await aligned(of_theirs, mail_from="b.example.net", mail_from_home={"unknown": "servfail"})
    for facts, reason in ((mine, Reason.TIMEOUT), (theirs, Reason.SERVFAIL)):
        value = facts["alignment.spf"]
        assert isinstance(value, Unknown)
        assert value.reason is reason


async def test_the_closest_passing_signature_counts() -> None:
    facts = await aligned(signatures=(signature("example.net"), signature("mail.example.com")))
    assert (facts["alignment.dkim"], facts["alignment.dkim_pass"]) == ("relaxed", True)
    assert facts["alignment.signing_domains"] == ("example.net", "mail.example.com")


async def test_a_broken_signature_does_not_align_where_another_passes() -> None:
    facts = await aligned(signatures=(signature("example.com", "fail"), signature("example.net")))
    assert (facts["alignment.dkim"], facts["alignment.dkim_pass"]) == ("none", False)
    # Where none passes, the report still shows what would be aligned.
    facts = await aligned(signatures=(signature("example.com", "fail"),))
    assert (facts["alignment.dkim"], facts["alignment.dkim_pass"]) == ("strict", False)


async def test_without_signatures_there_is_no_relation() -> None:
    facts = await aligned()
    assert (facts["alignment.dkim"], facts["alignment.dkim_pass"]) == (None, False)


async def test_strict_mode_takes_the_same_name_only_and_says_what_it_breaks() -> None:
    world: dict[str, Any] = {
        "mail_from": "bounce.example.com",
        "mail_from_home": "example.com",
        "spf": "pass",
        "signatures": (signature("mail.example.com"),),
    }
    relaxed, strict = await aligned(OPEN, **world), await aligned(STRICT, **world)
    assert (relaxed["alignment.spf_pass"], relaxed["alignment.dkim_pass"]) == (True, True)
    assert (strict["alignment.spf_pass"], strict["alignment.dkim_pass"]) == (False, False)
    assert (relaxed["alignment.strict_breaks"], strict["alignment.strict_breaks"]) == ((), ("spf", "dkim"))
    assert (relaxed["dmarc.result"], strict["dmarc.result"]) == ("pass", "fail")


async def test_strict_mode_breaks_nothing_that_failed_anyway() -> None:
    facts = await aligned(STRICT, mail_from="b.example.com", mail_from_home="example.com", spf="fail")
    assert facts["alignment.strict_breaks"] == ()


PASSING_SPF = {"mail_from": "example.com", "mail_from_home": "example.com", "spf": "pass"}
LOST = {"unknown": "timeout"}
LOST_SIGNATURE = signature("example.com", "temperror", bits=LOST, key_type=LOST)


@pytest.mark.parametrize(
    ("world", "result"),
    [
        ({**PASSING_SPF}, "pass"),
        ({"signatures": (signature("example.com"),)}, "pass"),
        ({**PASSING_SPF, "spf": "fail", "signatures": (signature("example.com"),)}, "pass"),
        ({**PASSING_SPF, "spf": "softfail"}, "fail"),
        ({**PASSING_SPF, "mail_from": "example.net", "mail_from_home": "example.net"}, "fail"),
        ({"signatures": (signature("example.net"),)}, "fail"),
        ({}, "fail"),
        # SPF of another identity than MAIL FROM or HELO says nothing of this message.
        ({**PASSING_SPF, "identity": "domain"}, "fail"),
    ],
)
async def test_one_aligned_pass_is_enough_for_dmarc(world: dict[str, Any], result: str) -> None:
    assert (await aligned(**world))["dmarc.result"] == result


@pytest.mark.parametrize(
    ("world", "result"),
    [
        # What passes elsewhere makes the failure irrelevant; what certainly fails does not.
        ({**PASSING_SPF, "signatures": (LOST_SIGNATURE,)}, "pass"),
        ({**PASSING_SPF, "spf": LOST, "signatures": (signature("example.com"),)}, "pass"),
        ({"signatures": (LOST_SIGNATURE,)}, Reason.TIMEOUT),
        ({**PASSING_SPF, "spf": LOST}, Reason.TIMEOUT),
        ({**PASSING_SPF, "spf": LOST, "mail_from": "example.net", "mail_from_home": "example.net"}, "fail"),
        ({"signatures": {"unknown": "limit"}}, Reason.LIMIT),
    ],
)
async def test_a_failed_look_up_is_neither_pass_nor_fail(world: dict[str, Any], result: str | Reason) -> None:
    value = (await aligned(**world))["dmarc.result"]
    assert (value.reason if isinstance(value, Unknown) else value) == result


async def test_a_temporary_error_of_an_unaligned_signature_changes_nothing() -> None:
    facts = await aligned(signatures=(signature("example.net", "temperror", bits=LOST, key_type=LOST),))
    assert (facts["alignment.dkim_pass"], facts["dmarc.result"]) == (False, "fail")


async def test_without_a_record_there_is_no_dmarc_result() -> None:
    assert (await aligned({}, **PASSING_SPF))["dmarc.result"] == "none"


@pytest.mark.parametrize(
    ("author", "mail_from", "relation"),
    [
        ("example.com", "bounce.example.com", "relaxed"),
        ("news.example.com", "bounce.example.com", "relaxed"),
        ("news.example.co.jp", "example.co.jp", "relaxed"),
        ("example.com", "example.com", "strict"),
        ("example.com", "example.net", "none"),
        ("a.co.jp", "b.co.jp", "none"),
        ("shop.github.io", "other.github.io", "none"),
    ],
)
async def test_without_a_record_the_public_suffix_list_tells_who_belongs_together(
    author: str, mail_from: str, relation: str
) -> None:
    world: dict[str, Any] = {"author": author, "mail_from": mail_from, "helo": mail_from, "spf": "pass"}
    facts = await aligned({}, **world, signatures=(signature(mail_from),))
    assert facts["alignment.basis"] == "public-suffix"
    assert (facts["alignment.spf"], facts["alignment.helo"], facts["alignment.dkim"]) == (relation,) * 3
    assert facts["alignment.spf_pass"] is facts["alignment.dkim_pass"] is (relation != "none")
    assert facts["dmarc.result"] == "none"


async def test_a_record_that_receivers_ignore_is_no_basis() -> None:
    ignored = {("_dmarc.bounce.example.com", "TXT"): ["v=DMARC1; p=none"], ("_dmarc.example.com", "TXT"): ["v=DMARC1"]}
    facts = await aligned(ignored, mail_from="bounce.example.com", spf="pass")
    assert (facts["alignment.basis"], facts["alignment.spf"]) == ("public-suffix", "relaxed")


async def test_where_a_record_applies_its_organizational_domains_count() -> None:
    apart = {("_dmarc.a.example.com", "TXT"): ["v=DMARC1; p=none; psd=n"]}
    facts = await aligned(apart, author="a.example.com", mail_from="b.example.com", spf="pass")
    assert (facts["alignment.basis"], facts["alignment.spf"]) == ("policy", "none")


async def test_a_failed_look_up_leaves_the_basis_open() -> None:
    basis = (await aligned(FAILING, **PASSING_SPF))["alignment.basis"]
    assert isinstance(basis, Unknown)
    assert basis.reason is Reason.TIMEOUT
    assert (await aligned(author=None))["alignment.basis"] is None


async def test_a_record_that_could_not_be_looked_up_leaves_the_result_unknown() -> None:
    value = (await aligned(FAILING, **PASSING_SPF))["dmarc.result"]
    assert isinstance(value, Unknown)
    assert value.reason is Reason.TIMEOUT


async def test_a_message_without_a_usable_from_is_a_permerror() -> None:
    facts = await aligned(author=None, mail_from="example.com")
    assert facts["dmarc.result"] == "permerror"
    assert (facts["alignment.spf_pass"], facts["alignment.dkim_pass"]) == (False, False)
    assert facts["alignment.spf"] is None


async def test_without_a_message_the_audited_domain_is_the_author() -> None:
    unknown = {"unknown": "no-message"}
    facts = await aligned(author=unknown, mail_from="example.com", mail_from_home="example.com", signatures=unknown)
    assert (facts["alignment.author_domain"], facts["alignment.spf"]) == ("example.com", "strict")
    assert facts["alignment.dkim"] == Unknown(Reason.NO_MESSAGE)
