"""The tree walk, the organizational domain and the policy that counts (RFC 9989 section 4.10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.dmarc.record import VALUE, discover_dmarc, organizational_domain, parse, walk_names
from deliverability.core.protocols.psl import is_public_suffix, registrable_domain
from deliverability.engine.auditors import dmarc, ownership
from tests.corpus import suite
from tests.facts_of import by_fields, facts_of


def dns(**records: Any) -> StaticResolver:
    """TXT records at _dmarc names, written with __ for the dots."""
    return StaticResolver({(f"_dmarc.{name.replace('__', '.')}", "TXT"): text for name, text in records.items()})


def txt(mapping: dict[str, Any]) -> StaticResolver:
    return StaticResolver({(name, "TXT"): value for name, value in mapping.items()})


def test_a_walk_asks_at_most_eight_names() -> None:
    assert walk_names("a.example.com") == ("a.example.com", "example.com", "com")
    deep = walk_names("a.b.c.d.e.f.g.h.i.j.example.com")
    assert deep == (
        "a.b.c.d.e.f.g.h.i.j.example.com",
        "f.g.h.i.j.example.com",
        "g.h.i.j.example.com",
        "h.i.j.example.com",
        "i.j.example.com",
        "j.example.com",
        "example.com",
        "com",
    )
    assert len(walk_names("a.b.c.d.e.f.example.com")) == 8


@pytest.mark.parametrize(
    ("records", "domain", "expected"),
    [
        ({"_dmarc.example.com": ["v=DMARC1; p=none"]}, "a.b.example.com", "example.com"),
        ({"_dmarc.b.example.com": ["v=DMARC1"], "_dmarc.example.com": ["v=DMARC1"]}, "a.b.example.com", "example.com"),
        (
            {"_dmarc.b.example.com": ["v=DMARC1; psd=n"], "_dmarc.example.com": ["v=DMARC1"]},
            "a.b.example.com",
            "b.example.com",
        ),
        ({"_dmarc.com": ["v=DMARC1; psd=y"]}, "a.b.example.com", "example.com"),
        ({"_dmarc.co.example": ["v=DMARC1; psd=y"]}, "co.example", "co.example"),
        ({}, "a.b.example.com", "a.b.example.com"),
        # Several records at one name are all discarded.
        ({"_dmarc.example.com": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, "b.example.com", "b.example.com"),
    ],
)
async def test_organizational_domain(records: dict[str, list[str]], domain: str, expected: str) -> None:
    assert await organizational_domain(domain, txt(dict(records))) == expected


@pytest.mark.parametrize(
    ("record", "domain", "tag", "policy"),
    [
        ("v=DMARC1; p=reject", "example.com", "p", "reject"),
        ("v=DMARC1; p=reject; sp=none", "example.com", "p", "reject"),
        ("v=DMARC1; p=reject; sp=none", "mail.example.com", "sp", "none"),
        ("v=DMARC1; p=reject", "mail.example.com", "p", "reject"),
        ("v=DMARC1; p=none; np=reject", "mail.example.com", "p", "none"),
        ("v=DMARC1; p=none; sp=quarantine; np=reject", "ghost.example.com", "np", "reject"),
        ("v=DMARC1; p=reject; t=y", "example.com", "p", "quarantine"),
        ("v=DMARC1; p=quarantine; t=y", "example.com", "p", "none"),
        ("v=DMARC1; p=none; t=y", "example.com", "p", "none"),
        ("v=DMARC1; p=oops; sp=reject; rua=mailto:a@example.com", "mail.example.com", "p", "none"),
    ],
)
async def test_policy_for_an_author_domain(record: str, domain: str, tag: str, policy: str) -> None:
    resolver = StaticResolver({("_dmarc.example.com", "TXT"): [record], ("mail.example.com", "A"): ["192.0.2.1"]})
    found = await discover_dmarc(domain, resolver)
    assert (found.location, found.tag, found.policy) == ("example.com", tag, policy)


NP = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; sp=none; np=reject"]}


@pytest.mark.parametrize(
    ("there", "policy"),
    [
        ({}, "reject"),
        ({("sub.example.com", "TXT"): ["v=spf1 -all"]}, "none"),
        ({("s1._domainkey.sub.example.com", "TXT"): ["v=DKIM1; p="]}, "none"),
        ({("www.sub.example.com", "A"): ["192.0.2.1"]}, "none"),
        ({("sub.example.com", "CNAME"): ["gone.example.net"]}, "none"),
        ({("sub.example.com", "MX"): ["10 mx.example.net"]}, "none"),
    ],
)
async def test_np_is_for_names_that_do_not_exist_at_all(there: dict[Any, Any], policy: str) -> None:
    """NXDOMAIN only (RFC 9989 section 3.2.13, RFC 8020): a name with a TXT record, or names below it, exists."""
    found = await discover_dmarc("sub.example.com", StaticResolver({**NP, **there}))
    assert found.policy == policy
    assert found.tag == ("np" if policy == "reject" else "sp")


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused"])
async def test_a_failed_look_up_of_the_name_leaves_np_open_where_it_decides(fault: str) -> None:
    failing: dict[tuple[str, str], Any] = {("sub.example.com", rdtype): fault for rdtype in ("A", "AAAA", "MX")}
    found = await discover_dmarc("sub.example.com", StaticResolver({**NP, **failing}))
    assert isinstance(found.policy, Unknown)
    assert found.policy.reason is Reason(fault)
    # One answer is enough, and where sp and np say the same none is needed.
    one = await discover_dmarc("sub.example.com", StaticResolver({**NP, **failing, ("sub.example.com", "MX"): []}))
    assert one.policy == "none"
    same = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; sp=reject; np=reject"]}
    assert (await discover_dmarc("sub.example.com", StaticResolver({**same, **failing}))).policy == "reject"


async def test_old_receivers_read_pct_and_ignore_t() -> None:
    both = await discover_dmarc("example.com", txt({"_dmarc.example.com": ["v=DMARC1; p=reject; t=y"]}))
    assert (both.policy, both.legacy_policy) == ("quarantine", "reject")
    pct = await discover_dmarc("example.com", txt({"_dmarc.example.com": ["v=DMARC1; p=reject; pct=0"]}))
    assert (pct.policy, pct.legacy_policy) == ("reject", "quarantine")


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused"])
async def test_a_failure_is_never_taken_for_absence(fault: str) -> None:
    """Each name of the walk fails in turn; what it could have changed is Unknown, the rest stays known."""
    good = ["v=DMARC1; p=reject"]
    own = await discover_dmarc("mail.example.com", txt({"_dmarc.mail.example.com": fault, "_dmarc.example.com": good}))
    assert isinstance(own.location, Unknown)
    assert own.location.reason is Reason(fault)
    org = await discover_dmarc("mail.example.com", txt({"_dmarc.mail.example.com": good, "_dmarc.example.com": fault}))
    assert (org.location, org.policy) == ("mail.example.com", "reject")
    assert isinstance(org.organizational_domain, Unknown)
    # A public suffix can only name the domain below it, which has a record already.
    top = await discover_dmarc("example.com", txt({"_dmarc.example.com": good, "_dmarc.com": fault}))
    assert top.organizational_domain == "example.com"
    # Without any record below, the suffix might hold one: not known.
    none = await discover_dmarc("example.com", txt({"_dmarc.com": fault}))
    assert isinstance(none.location, Unknown)


async def test_a_broken_own_record_stops_the_search() -> None:
    """A receiver does not fall back to the parent where the author domain's own record is unusable."""
    found = await discover_dmarc(
        "mail.example.com",
        txt({"_dmarc.mail.example.com": ["v=DMARC1; p=oops"], "_dmarc.example.com": ["v=DMARC1; p=reject"]}),
    )
    assert (found.location, found.record) == (None, None)
    assert found.ignored is not None
    assert found.ignored.domain == "mail.example.com"


async def test_a_record_without_policy_and_reports_is_no_record() -> None:
    """RFC 9989 section 4.10.1; the same for receivers of the old standard."""
    none = await discover_dmarc("example.com", txt({"_dmarc.example.com": ["v=DMARC1; ruf=mailto:d@example.com"]}))
    assert (none.location, none.record, none.policy, none.legacy_policy) == (None, None, None, None)
    some = await discover_dmarc("example.com", txt({"_dmarc.example.com": ["v=DMARC1; rua=mailto:d@example.com"]}))
    assert (some.location, some.policy, some.legacy_policy) == ("example.com", "none", "none")
    assert some.ignored is None


async def test_the_record_of_the_organization_may_be_the_one_without_policy() -> None:
    records = {("_dmarc.example.com", "TXT"): ["v=DMARC1"], ("news.example.com", "A"): ["192.0.2.1"]}
    found = await facts(records, "news.example.com")
    assert (found["dmarc.present"], found["dmarc.stage"], found["dmarc.effective_policy"]) == (False, "absent", None)
    assert (found["dmarc.ignored_at"], found["dmarc.record"]) == ("example.com", "v=DMARC1")
    assert (found["dmarc.policy_published"], found["dmarc.location"]) == (False, None)


async def facts(records: dict[tuple[str, str], Any], author: str = "example.com", **given_: Any) -> dict[str, Any]:
    known = await facts_of([dmarc.audit], StaticResolver(records), {"message.from_domain": author, **given_}, author)
    return {fact.path: by_fields(fact.value) for fact in known}


async def test_external_report_addresses_need_consent() -> None:
    """RFC 9990 section 4; wildcards, the own organization and sub-hosts need none."""
    record = (
        "v=DMARC1; p=none; rua=mailto:a@rep.example,mailto:b@wild.example,mailto:c@no.example,mailto:d@sub.example.com"
    )
    found = await facts(
        {
            ("_dmarc.example.com", "TXT"): [record],
            ("example.com._report._dmarc.rep.example", "TXT"): ["v=DMARC1"],
            ("example.com._report._dmarc.wild.example", "TXT"): ["v=DMARC1;"],
            ("example.com._report._dmarc.lost.example", "TXT"): "servfail",
            ("rep.example", "MX"): ["10 mx.rep.example"],
            ("wild.example", "A"): ["192.0.2.1"],
            ("no.example", "MX"): ["0 ."],
        }
    )
    assert [(each["host"], each["authorised"]) for each in found["dmarc.external_reports"]] == [
        ("rep.example", True),
        ("wild.example", True),
        ("no.example", False),
    ]
    assert found["dmarc.rua_without_mx"] == ("no.example", "sub.example.com")


async def test_a_parent_that_only_the_public_suffix_list_calls_our_own_is_marked() -> None:
    """Only the subdomain has a record: under RFC 9989 the parent is another organization, under RFC 7489 our own."""
    found = await facts(
        {
            ("_dmarc.news.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:a@example.com,mailto:b@reports.example"],
            ("example.com", "MX"): ["10 mx.example.com"],
        },
        "news.example.com",
    )
    assert [
        (each["host"], each["authorised"], each["same_organization_psl"]) for each in found["dmarc.external_reports"]
    ] == [("example.com", False, True), ("reports.example", False, False)]


async def test_of_many_report_domains_the_first_are_looked_at_and_the_rest_counted() -> None:
    """3,500 addresses fit into one answer; nobody needs them, and each costs questions."""
    many = ",".join(f"mailto:a@r{number}.example" for number in range(3500))
    asked: list[str] = []

    class Counting(StaticResolver):
        async def query(self, name: str, rdtype: str) -> Any:
            asked.append(name)
            return await super().query(name, rdtype)

    resolver = Counting({("_dmarc.example.com", "TXT"): [f"v=DMARC1; p=none; rua={many}"]})
    parse.cache_clear()
    known = await facts_of([dmarc.audit], resolver, {"message.from_domain": "example.com"})
    assert parse.cache_info().misses == 1, "a record of 64 KB is read once"
    assert len(known.value("dmarc.rua")) == 3500  # type: ignore[arg-type]
    assert known.value("dmarc.report_domains_skipped") == 3500 - dmarc.MAX_REPORT_DOMAINS
    assert len(known.value("dmarc.external_reports")) == dmarc.MAX_REPORT_DOMAINS  # type: ignore[arg-type]
    assert len(asked) < 20 * dmarc.MAX_REPORT_DOMAINS


async def test_domains_that_were_not_looked_at_are_not_said_to_take_mail() -> None:
    hosts = [f"r{number}.example" for number in range(dmarc.MAX_REPORT_DOMAINS + 1)]
    rua = ",".join(f"mailto:a@{host}" for host in hosts)
    good = {(host, "MX"): [f"10 mx.{host}"] for host in hosts}
    found = await facts({("_dmarc.example.com", "TXT"): [f"v=DMARC1; p=none; rua={rua}"], **good})
    assert found["dmarc.rua_without_mx"] == Unknown(Reason.LIMIT, dmarc.REPORT_DOMAINS(n=20, all=21))
    dead = {key: value for key, value in good.items() if key[0] != hosts[3]}
    found = await facts({("_dmarc.example.com", "TXT"): [f"v=DMARC1; p=none; rua={rua}"], **dead})
    assert found["dmarc.rua_without_mx"] == (hosts[3],)


async def test_a_failed_consent_lookup_is_unknown_for_that_host_only() -> None:
    found = await facts(
        {
            ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:a@lost.example"],
            ("example.com._report._dmarc.lost.example", "TXT"): "timeout",
        }
    )
    (host,) = found["dmarc.external_reports"]
    assert isinstance(host["authorised"], Unknown)


@pytest.mark.parametrize(
    ("record", "stage"),
    [
        (None, "absent"),
        ("v=DMARC1; p=none", "none"),
        ("v=DMARC1; rua=mailto:d@example.com", "none"),
        ("v=DMARC1; p=quarantine; t=y", "testing"),
        ("v=DMARC1; p=quarantine", "quarantine"),
        ("v=DMARC1; p=reject", "reject"),
    ],
)
async def test_stage(record: str | None, stage: str) -> None:
    found = await facts({("_dmarc.example.com", "TXT"): [record]} if record else {})
    assert found["dmarc.stage"] == stage
    assert found["dmarc.present"] is (record is not None)


async def test_an_absent_policy_counts_as_none_and_a_broken_one_as_nothing_published() -> None:
    absent = await facts({("_dmarc.example.com", "TXT"): ["v=DMARC1; rua=mailto:d@example.com; fo=7"]})
    assert (absent["dmarc.policy"], absent["dmarc.policy_published"], absent["dmarc.effective_policy"]) == (
        "none",
        False,
        "none",
    )
    broken = await facts({("_dmarc.example.com", "TXT"): ["v=DMARC1; p=rejct; rua=mailto:d@example.com"]})
    assert (broken["dmarc.policy"], broken["dmarc.effective_policy"], broken["dmarc.ignored_at"]) == (
        None,
        "none",
        None,
    )


async def test_an_unusable_record_is_shown_with_its_errors() -> None:
    found = await facts({("_dmarc.example.com", "TXT"): ["v=DMARC1; p=rejct"]})
    assert found["dmarc.present"] is False
    assert found["dmarc.record"] == "v=DMARC1; p=rejct"
    assert found["dmarc.errors"] == (VALUE(text="p=rejct"),)


# --- vectors that others wrote -----------------------------------------------------------------------------------


def vectors() -> list[Any]:
    data = json.loads(suite("dmarc", "mailauth", "dmarc-verify-vectors.json").read_text("utf-8"))
    return [pytest.param(each, id=each["name"]) for each in data]


FAULTS = {"ENOTFOUND": "nxdomain", "ETIMEOUT": "timeout"}
# Expectations about mailauth's own output format; we have no such field.
FOREIGN_FIELDS = {
    "result.status.comment": "the ARC comment of its Authentication-Results line",
    "result.info": "its Authentication-Results line",
    "result.alignment.dkim.underSized": "passed through from its DKIM verifier (ours: unsigned_body_octets)",
    "result.error": "its wording of a time-out (ours: Unknown with the reason timeout)",
    "result": "refusing several From addresses is done by its caller interface (ours: rule MSG-002)",
}


@pytest.mark.parametrize("vector", vectors())
async def test_mailauth_vector(vector: dict[str, Any]) -> None:
    """Each expectation that is about DMARC holds; the few about mailauth's output format are named above."""
    resolver = StaticResolver(
        {
            (name, rdtype): [tuple(strings) for strings in value]
            for name, answers in vector["dns"].items()
            for rdtype, value in answers.items()
            if rdtype != "error"
        }
        | {(name, "TXT"): FAULTS[answers["error"]] for name, answers in vector["dns"].items() if "error" in answers}
    )
    call = vector["calls"][0][0]
    header_from = call["headerFrom"][0] if isinstance(call["headerFrom"], list) else call["headerFrom"]
    author = header_from.rpartition("@")[2]
    signatures = [
        {"domain": each if isinstance(each, str) else each["domain"], "result": "pass", "bits": 2048, "key_type": "rsa"}
        for each in call["dkimDomains"]
    ]
    spf = [each["domain"] for each in call["spfDomains"]]
    found = await facts_of(
        [dmarc.audit, ownership.alignment_audit],
        resolver,
        {
            "message.from_domain": author,
            "envelope.mail_from_domain": spf[0] if spf else None,
            "envelope.helo": None,
            "spf.result": "pass" if spf else "none",
            "spf.result_identity": "mail-from",
            "dkim.signatures": signatures,
        },
        author,
    )
    value = {fact.path: by_fields(fact.value) for fact in found}
    result = value["dmarc.result"]
    ours = {
        "result.status.result": "temperror" if isinstance(result, Unknown) else result,
        "result.policy": value["dmarc.effective_policy"],
        "result.p": value["dmarc.policy"],
        "result.sp": value["dmarc.subdomain_policy"],
        "result.pct": value["dmarc.pct"],
        "result.rr": value["dmarc.record"],
        "result.domain": value["dmarc.location"],
        "result.status.header.from": value["dmarc.author_domain"],
        "result.status.header.d": value["dmarc.location"],
        "result.alignment.dkim.strict": value["dmarc.adkim"] == "s",
        "result.alignment.spf.strict": value["dmarc.aspf"] == "s",
        "result.alignment.spf.result": spf[0] if value["alignment.spf_pass"] is True else None,
        "result.alignment.dkim.result": signatures[0]["domain"] if value["alignment.dkim_pass"] is True else None,
    }
    checked = 0
    for expectation in vector["expect"]:
        if expectation["value"] in FOREIGN_FIELDS:
            continue
        mine = ours[expectation["value"]]
        wanted = {"to.be.true": True, "to.be.false": False, "to.not.be.ok": None, "to.be.undefined": None}.get(
            expectation["assert"], (expectation.get("args") or [None])[0]
        )
        assert mine == wanted, expectation
        checked += 1
    assert checked or all(each["value"] in FOREIGN_FIELDS for each in vector["expect"])


def test_public_suffix_vectors() -> None:
    """The list's own vectors. Names with a leading dot are no names; we give them back as they are."""
    count = 0
    for line in suite("psl", "test_psl.txt").read_text("utf-8").splitlines():
        if not line.startswith("checkPublicSuffix("):
            continue
        name, expected = (word.strip(" ')") for word in line[len("checkPublicSuffix(") : -2].split(","))
        if name == "null" or name.startswith("."):
            continue
        count += 1
        mine = "null" if is_public_suffix(name) else registrable_domain(name)
        assert mine == expected, name
    assert count > 70
