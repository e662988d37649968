"""The domains by which SPF of a mail is checked: the facts on each, and what the rules on records say of them.

Sending addresses here are documentation addresses; `found` are the outcomes of the SPF rules by rule and domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Input, failed_question, needs
from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, Value, records_of, texts_of
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import Effect, Receiver, RuleSet, Severity, Statement
from deliverability.core.names import is_unreachable
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.spf.record import Mechanism, parse
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.words.sentences import sentences
from deliverability.engine.auditors import spf
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests.facts_of import facts_of

Zone = dict[tuple[str, str], Any]
SENDER = "192.0.2.10"


@cache
def rules() -> RuleSet:
    """The shipped rules, under a receiver that checks SPF of the author domain too."""
    said = Statement(Severity.WARNING, Effect.NOTE, ())
    name = {"en": "Carrier", "ja": "Carrier"}
    return replace(load_rules(), receivers={"carrier": Receiver("carrier", name, (), (), {"SPF-026": (said,)})})


class Checked(Struct, frozen=True):
    facts: FactSet
    findings: tuple[Finding, ...]

    def value(self, name: str) -> Value:
        return self.facts.value(f"spf.{name}")

    @property
    def identities(self) -> dict[str, Mapping[str, Value]]:
        return {str(item["domain"]): item for item in records_of(self.value("identities"))}

    def roles(self) -> list[tuple[Value, Value, Value, Value]]:
        return [(item["domain"], item["role"], item["used"], item["own"]) for item in self.identities.values()]

    def outcome(self, rule: str, item: str = "") -> str:
        return next(each.outcome.value for each in self.findings if (each.rule, each.item) == (rule, item))

    def unmet(self) -> set[tuple[str, str]]:
        return {(each.rule, each.item) for each in self.findings if each.outcome is Outcome.UNMET}

    def says(self, rule: str, item: str = "", lang: str = "en") -> str:
        """The message of the finding and why it matters."""
        finding = next(each for each in self.findings if (each.rule, each.item) == (rule, item))
        words = sentences(finding, rules(), lang, catalogue(), self.facts)
        return f"{words.message} {words.why}"


async def check(zone: Zone, domain: str = "example.jp", **given: Any) -> Checked:
    """Audit SPF; what is not given is unknown for want of a message. `from_domain` makes it a mail."""
    paths = {"from_domain": "message.from_domain", "addresses": "message.from_addresses"}
    known = {paths.get(name, f"envelope.{name}"): value for name, value in given.items()}
    if "mail_from" in given and "mail_from_domain" not in given:
        known["envelope.mail_from_domain"] = given["mail_from"].rpartition("@")[2] or given.get("helo")
    gathered = await facts_of([spf.audit], StaticResolver(zone), known, domain)
    context = {
        "message.present": "from_domain" in given,
        "subject.parked": False,
        "alignment.author_domain": given.get("from_domain", domain),
    }
    facts = replace(gathered, facts={**gathered.facts, **{path: Fact(path, v) for path, v in context.items()}})
    return Checked(facts, judge(facts, rules(), catalogue(), Selection(select=("SPF-",))))


def txt(**records: str) -> Zone:
    """SPF records by name, ``__`` for a dot."""
    return {(name.replace("__", "."), "TXT"): [record] for name, record in records.items()}


async def mail(zone: Zone, mail_from: str, *, from_domain: str = "example.jp", ip: str = SENDER) -> Checked:
    return await check(zone, mail_from=mail_from, helo="out.mailer.example", ip=ip, from_domain=from_domain)


# Which domains, and in which role


async def test_one_domain_for_mail_from_and_from_is_one_identity() -> None:
    checked = await mail(txt(example__jp="v=spf1 ip4:192.0.2.10 ~all"), "news@example.jp")
    assert checked.roles() == [("example.jp", "mail-from", True, True)]
    assert checked.value("author_differs") is False
    assert checked.value("author_result") == checked.value("result") == "pass"
    assert checked.unmet() == set()


async def test_mail_from_author_and_audited_domain_are_three_identities() -> None:
    checked = await mail({}, "b@bounce.mailer.example", from_domain="news.example.jp")
    assert checked.roles() == [
        ("bounce.mailer.example", "mail-from", True, False),
        ("news.example.jp", "author", False, True),
        ("example.jp", "domain", False, True),
    ]


async def test_the_null_reverse_path_is_checked_by_helo() -> None:
    checked = await check(
        txt(mail__example__jp="v=spf1 ip4:192.0.2.10 -all"), mail_from="", helo="mail.example.jp", ip=SENDER,
        from_domain="example.jp",
    )  # fmt: skip
    assert checked.roles() == [("mail.example.jp", "helo", True, True), ("example.jp", "author", False, True)]
    assert checked.identities["mail.example.jp"]["result"] == "pass"
    assert checked.value("author_differs") is True


async def test_without_a_message_the_audited_domain_is_the_author_and_nothing_is_used() -> None:
    checked = await check({})
    assert checked.roles() == [("example.jp", "author", None, True)]
    assert isinstance(checked.value("author_differs"), Unknown)
    assert isinstance(checked.identities["example.jp"]["result"], Unknown)
    assert checked.outcome("SPF-001", "example.jp") == "unmet"


@pytest.mark.parametrize(
    ("record", "result"),
    [("v=spf1 -all", Unknown(Reason.NOT_CONFIGURED, needs(Input.MAIL_FROM))), ("v=spf1 ip4:192.0.2.10 -all", "pass")],
)
async def test_of_a_mail_whose_envelope_is_not_told_it_is_not_known_what_is_used(
    record: str, result: str | Unknown
) -> None:
    """It may have another Return-Path, so that only a pass tells something about the mail."""
    checked = await check(txt(example__jp=record), from_domain="example.jp", ip=SENDER)
    assert checked.roles() == [("example.jp", "author", None, True)]
    assert checked.identities["example.jp"]["result"] == checked.value("result") == result


async def test_a_mail_from_that_is_no_domain_is_no_identity_and_its_result_is_told() -> None:
    checked = await check(
        {}, mail_from="nobody", mail_from_domain=None, helo="h.example", ip=SENDER, from_domain="example.jp"
    )
    assert checked.roles() == [("example.jp", "author", False, True)]
    assert checked.value("author_differs") is True
    assert checked.outcome("SPF-014", SENDER) == "unmet"


async def test_a_message_without_author_has_no_author_result() -> None:
    checked = await check(
        txt(example__jp="v=spf1 ip4:192.0.2.10 -all"), mail_from="a@example.jp", helo="h.example", ip=SENDER,
        from_domain=None,
    )  # fmt: skip
    assert (checked.value("author_differs"), checked.value("author_result")) == (None, None)
    assert checked.outcome("SPF-026") == "not-applicable"


async def test_the_author_domain_is_evaluated_for_the_author_address() -> None:
    """Macros see the sender; the domain's own record is what some receivers check From against."""
    zone = txt(example__jp="v=spf1 exists:%{l}.users.example.jp -all")
    zone["taro.users.example.jp", "A"] = ["127.0.0.2"]
    checked = await check(
        zone, mail_from="b@bounce.mailer.example", helo="h.example", ip=SENDER, from_domain="example.jp",
        addresses=["taro@example.jp"],
    )  # fmt: skip
    assert checked.value("author_result") == "pass"


async def test_an_identity_has_every_field_of_the_catalogue_and_its_own_evidence() -> None:
    zone = txt(example__jp="v=spf1 a -all", bounce__mailer__example="v=spf1 include:esp.example -all")
    zone |= txt(esp__example="v=spf1 ip4:192.0.2.0/24 -all")
    checked = await mail(zone, "b@bounce.mailer.example")
    fields = {path.partition("[].")[2] for path in catalogue() if path.startswith("spf.identities[].")}
    for item in checked.identities.values():
        assert set(item) == fields
        assert set(texts_of(item["evidence"])) <= set(checked.facts.evidence)
    sender, author = (texts_of(item["evidence"]) for item in checked.identities.values())
    assert sender == ("dns:TXT:bounce.mailer.example", "dns:TXT:esp.example")
    assert "dns:TXT:esp.example" not in author


async def test_no_failing_question_makes_an_identity_say_that_something_is_missing() -> None:
    zone = txt(example__jp="v=spf1 ~all") | {("bounce.example.jp", "TXT"): "timeout"}
    checked = await mail(zone, "b@bounce.example.jp")
    item = checked.identities["bounce.example.jp"]
    assert {item[name] for name in ("present", "lookups", "lookups_at_least", "void_lookups", "sends_nothing")} == {
        Unknown(Reason.TIMEOUT, failed_question("TXT", "bounce.example.jp", None))
    }
    assert checked.outcome("SPF-001", "bounce.example.jp") == "unknown"
    assert checked.outcome("SPF-001", "example.jp") == "not-applicable"


# Issue rows 1 and 2: a Return-Path of its own


async def test_a_service_with_its_own_return_path_needs_no_record_at_the_author_domain() -> None:
    """Row 1, Amazon SES as its manual says: only who asks for SPF of the author domain has an objection."""
    zone = txt(
        bounce__news__example__jp="v=spf1 include:amazonses.example ~all",
        amazonses__example="v=spf1 ip4:192.0.2.0/24 -all",
    )
    zone["s1._domainkey.news.example.jp", "TXT"] = ["v=DKIM1; p=AAAA"]
    checked = await mail(zone, "x@bounce.news.example.jp", from_domain="news.example.jp")
    assert checked.value("result") == "pass"
    assert checked.value("author_result") == "none"
    assert checked.unmet() == {("SPF-026", "")}
    assert "doesn't pass news.example.jp's SPF record" in checked.says("SPF-026")


async def test_faults_of_the_author_domain_are_not_those_of_the_domain_that_the_mail_uses() -> None:
    """Row 2: the finding names the domain that has the fault, and its identity says that this mail does not use it."""
    zone = txt(
        example__jp="v=spf1 include:_spf.dead.example include:a.example.jp ~all",
        a__example__jp="v=spf1 ip4:198.51.100.0/24 ~all",
        bounce__mailer__example="v=spf1 ip4:192.0.2.0/24 -all",
    )
    checked = await mail(zone, "b@bounce.mailer.example")
    used = {domain: item["used"] for domain, item in checked.identities.items()}
    assert used == {"bounce.mailer.example": True, "example.jp": False}
    assert {("SPF-010", "example.jp"), ("SPF-017", "example.jp"), ("SPF-026", "")} == checked.unmet()
    assert checked.outcome("SPF-010", "bounce.mailer.example") == "not-applicable"
    assert "example.jp" in checked.says("SPF-010", "example.jp")
    assert checked.value("author_result") == "permerror"


async def test_the_same_faults_count_for_a_mail_that_uses_the_record() -> None:
    checked = await mail(txt(example__jp="v=spf1 include:_spf.dead.example ~all"), "news@example.jp")
    assert checked.identities["example.jp"]["used"] is True
    assert ("SPF-010", "example.jp") in checked.unmet()
    assert checked.outcome("SPF-014", SENDER) == "not-applicable", "the record's own rule says why it is permerror"


async def test_a_mail_from_domain_without_a_record_cannot_pass() -> None:
    checked = await mail(txt(example__jp="v=spf1 ip4:192.0.2.10 -all"), "b@bounce.mailer.example")
    assert ("SPF-001", "bounce.mailer.example") in checked.unmet()
    assert "MAIL FROM (Return-Path)" in checked.says("SPF-001", "bounce.mailer.example")
    assert "MAIL FROM（Return-Path）" in checked.says("SPF-001", "bounce.mailer.example", "ja")
    assert checked.outcome("SPF-014", SENDER) == "not-applicable"
    assert checked.outcome("SPF-026") == "met"


async def test_nobody_is_told_to_better_the_record_of_somebody_else() -> None:
    """Good practice is judged for domains of one owner; what makes mail fail is told of every domain."""
    record = "v=spf1 ptr ip4:192.0.0.0/12 ip4:10.0.0.1 a:gone.example ?all ip4:192.0.2.1"
    theirs = await mail(
        txt(example__jp="v=spf1 -ip4:198.51.100.1 ~all", bounce__mailer__example=record), "b@bounce.mailer.example"
    )
    assert {rule for rule, item in theirs.unmet() if item == "bounce.mailer.example"} == set()
    ours = await mail(txt(bounce__example__jp=record), "b@bounce.example.jp")
    assert {rule for rule, item in ours.unmet() if item == "bounce.example.jp"} == {
        "SPF-007", "SPF-008", "SPF-009", "SPF-017", "SPF-021", "SPF-027",
    }  # fmt: skip


# Row 10 (case 10 of the facts): the author domain lists somebody else


async def test_the_author_domain_is_checked_beside_mail_from() -> None:
    zone = txt(example__jp="v=spf1 ip4:198.51.100.7 ~all", bounce__mailer__example="v=spf1 ip4:192.0.2.10 -all")
    checked = await mail(zone, "b@bounce.mailer.example")
    assert (checked.value("result"), checked.value("author_result")) == ("pass", "softfail")
    assert checked.unmet() == {("SPF-026", "")}
    assert "The result is softfail" in checked.says("SPF-026")


async def test_without_a_sending_address_the_author_result_is_not_known() -> None:
    checked = await check(
        txt(example__jp="v=spf1 -all"), mail_from="b@bounce.mailer.example", helo="h.example", from_domain="example.jp"
    )
    assert isinstance(checked.value("author_result"), Unknown)
    assert checked.outcome("SPF-026") == "unknown"


async def test_a_failing_look_up_at_the_author_domain_is_no_result() -> None:
    zone = txt(bounce__mailer__example="v=spf1 ip4:192.0.2.10 -all") | {("example.jp", "TXT"): "servfail"}
    checked = await mail(zone, "b@bounce.mailer.example")
    result = checked.value("author_result")
    assert isinstance(result, Unknown)
    assert result.reason is Reason.SERVFAIL
    assert checked.outcome("SPF-026") == "unknown"


# Row 18: void look-ups by address family


VOID_FOR_IPV6 = txt(
    example__jp="v=spf1 a:x.example.jp a:y.example.jp a:z.example.jp ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"
)
VOID_FOR_IPV6 |= {(f"{name}.example.jp", "A"): [f"198.51.100.{n}"] for n, name in enumerate("xyz")}


async def test_an_ipv4_sender_is_not_told_that_its_mail_fails() -> None:
    checked = await mail(VOID_FOR_IPV6, "news@example.jp")
    item = checked.identities["example.jp"]
    assert [item[name] for name in ("void_lookups", "void_lookups_ip4", "void_lookups_ip6", "valid", "result")] == [
        0, 0, 3, True, "pass",
    ]  # fmt: skip
    assert checked.value("void_lookups") == 3, "of the two families the worse"
    assert checked.unmet() == {("SPF-032", "example.jp")}
    assert "IPv4 senders aren't affected" in checked.says("SPF-032", "example.jp")
    assert "AAAA x.example.jp" in checked.says("SPF-032", "example.jp", "ja")


async def test_an_ipv6_sender_gets_permerror_and_is_told_why() -> None:
    checked = await mail(VOID_FOR_IPV6, "news@example.jp", ip="2001:db8::10")
    item = checked.identities["example.jp"]
    assert [item[name] for name in ("void_lookups", "void_lookups_ip4", "valid", "result")] == [
        3,
        0,
        False,
        "permerror",
    ]
    assert checked.unmet() == {("SPF-004", "example.jp")}
    assert "AAAA x.example.jp" in checked.says("SPF-004", "example.jp")
    assert "IPv6" in checked.says("SPF-004", "example.jp")


async def test_a_domain_whose_senders_are_not_known_is_judged_as_for_ipv4_and_warned_of_ipv6() -> None:
    checked = await check(VOID_FOR_IPV6)
    assert checked.unmet() == {("SPF-032", "example.jp")}
    assert rules().rules["SPF-029"].severity is Severity.INFO


async def test_names_that_nobody_finds_are_an_error_for_everybody() -> None:
    checked = await check(txt(example__jp="v=spf1 a:x.example a:y.example a:z.example -all"))
    assert ("SPF-004", "example.jp") in checked.unmet()
    assert checked.outcome("SPF-029", "example.jp") == "not-applicable"
    assert checked.outcome("SPF-017", "example.jp") == "not-applicable"


async def test_a_name_with_addresses_of_one_family_is_not_called_missing() -> None:
    zone = txt(example__jp="v=spf1 a:x.example.jp a:gone.example.jp -all") | {("x.example.jp", "A"): ["192.0.2.1"]}
    checked = await check(zone)
    assert checked.identities["example.jp"]["dead_names"] == ("A/AAAA gone.example.jp",)
    assert "x.example.jp" not in checked.says("SPF-017", "example.jp")


# Row 19: certain although a part could not be read


def many(count: int) -> Zone:
    """`count` look-ups that are known, one of them an include that cannot be read."""
    hosts = [f"h{n}.example.jp" for n in range(count - 1)]
    zone: Zone = {
        (host, rdtype): [address] for host in hosts for rdtype, address in (("A", "192.0.2.1"), ("AAAA", "2001:db8::1"))
    }
    return zone | {
        ("example.jp", "TXT"): [f"v=spf1 {' '.join(f'a:{host}' for host in hosts)} include:lost.example -all"],
        ("lost.example", "TXT"): "timeout",
    }


async def test_more_than_ten_lookups_are_too_many_whatever_an_unreadable_include_holds() -> None:
    checked = await check(many(13))
    item = checked.identities["example.jp"]
    assert isinstance(item["lookups"], Unknown)
    assert item["lookups_at_least"] == checked.value("lookups_at_least") == 13
    assert checked.value("valid") is False
    assert checked.outcome("SPF-003", "example.jp") == "unmet"
    assert checked.outcome("SPF-016", "example.jp") == "not-applicable"
    assert "needs at least 13 DNS lookups. The limit is 10." in checked.says("SPF-003", "example.jp")


async def test_up_to_ten_known_lookups_leave_it_open() -> None:
    checked = await check(many(10))
    assert checked.outcome("SPF-003", "example.jp") == "unknown"
    assert checked.outcome("SPF-016", "example.jp") == "unknown"


async def test_more_than_two_void_lookups_are_too_many_whatever_an_unreadable_include_holds() -> None:
    zone = txt(example__jp="v=spf1 a:x.example a:y.example mx:z.example include:lost.example -all")
    checked = await check(zone | {("lost.example", "TXT"): "timeout"})
    item = checked.identities["example.jp"]
    assert isinstance(item["void_lookups"], Unknown)
    assert item["void_at_least"] == 3
    assert checked.outcome("SPF-004", "example.jp") == "unmet"


# Domains that say they send nothing, and addresses that nobody sends from


@pytest.mark.parametrize(
    ("mail_from", "closed"),
    [
        ("news@example.jp", "example.jp"),
        ("b@bounce.mailer.example", "example.jp"),
        ("b@closed.example", "closed.example"),
    ],
)
async def test_a_domain_that_sends_nothing_sends_this_mail(mail_from: str, closed: str) -> None:
    zone = txt(bounce__mailer__example="v=spf1 ip4:192.0.2.0/24 -all", example__jp="v=spf1 ip4:192.0.2.0/24 -all")
    checked = await mail(zone | txt(**{closed.replace(".", "__"): "v=spf1 -all"}), mail_from)
    assert checked.outcome("SPF-028") == "unmet"
    assert checked.value("closed_domains") == (closed,)
    assert closed in checked.says("SPF-028")
    alone = await check(txt(example__jp="v=spf1 -all"))
    assert alone.outcome("SPF-028") == "not-applicable"


async def test_private_addresses_are_named() -> None:
    """Case 23 of the facts: beside the right address."""
    record = "v=spf1 ip4:10.0.0.5 ip4:127.0.0.1 ip4:192.168.1.0/24 ip4:192.0.2.10 -ip4:10.0.0.6 ~all ip4:10.0.0.7"
    checked = await mail(txt(example__jp=record), "news@example.jp")
    assert checked.identities["example.jp"]["private_ranges"] == ("ip4:10.0.0.5", "ip4:127.0.0.1", "ip4:192.168.1.0/24")
    assert ("SPF-027", "example.jp") in checked.unmet()


@pytest.mark.parametrize(
    ("term", "special"),
    [
        ("ip4:172.16.0.0/12", True),
        ("ip4:172.15.0.0/16", False),
        ("ip4:172.0.0.0/8", False),
        ("ip4:100.64.1.1", True),
        ("ip4:169.254.0.1", True),
        ("ip4:0.0.0.0/0", False),
        ("ip4:255.255.255.255", True),
        ("ip4:198.51.100.0/24", False),
        ("ip6:fd00::1", True),
        ("ip6:fe80::/64", True),
        ("ip6:::1", True),
        ("ip6:::ffff:192.0.2.1", True),
        ("ip6:2001:db8::/32", False),
        ("ip6:2a00::/12", False),
    ],
)
def test_a_range_is_special_where_all_of_it_is(term: str, special: bool) -> None:
    (mechanism,) = parse(f"v=spf1 {term}").terms
    assert isinstance(mechanism, Mechanism)
    assert mechanism.network is not None
    assert is_unreachable(mechanism.network, example=True) is special


def test_every_rule_of_the_file_has_a_scope_and_errors_are_about_delivery() -> None:
    from deliverability.core import yaml as _yamlstrict
    from deliverability.core.files import locate

    written = _yamlstrict.read((locate("rules") / "spf.yaml").read_text("utf-8")).data
    scopes = {rule["id"]: rule.get("scope") for rule in written}
    assert set(scopes.values()) == {"delivery", "hygiene", "security"}
    assert [rule["id"] for rule in written if rule["severity"] == "error" and rule["scope"] != "delivery"] == []
