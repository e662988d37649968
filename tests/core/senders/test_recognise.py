"""Sending services: the catalogue, how services are recognised, and what the report says of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.codes import ASKED, SELECTOR
from deliverability.core.facts.base import Fact, FactSet, Reason, Unknown, records_of
from deliverability.core.files import locate
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.model.rules import ServiceStep, Severity
from deliverability.core.model.services import ServiceKind
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import Records, StaticResolver
from deliverability.core.phrases import phrases
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.rules.knowledge import shipped
from deliverability.core.senders.recognise import (
    CatalogueError,
    Key,
    MessageMarks,
    by_key,
    by_message,
    by_mx,
    by_return_mx,
    by_spf,
    load_senders,
)
from deliverability.core.words.sentences import sentences
from deliverability.core.words.services import ServiceSteps, services_of, steps_for
from deliverability.engine.audit import gather_facts
from deliverability.engine.auditors import dkim, envelope, message, mx, senders, spf
from deliverability.engine.base import catalogue, gather
from deliverability.engine.rules import load_rules
from tests.corpus import corpus
from tests.facts_of import value_of
from tests.sampled import examples
from tests.signing import published, rsa_key

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = published(rsa_key(1024))
AUDITORS = [each.audit for each in (message, envelope, mx, spf, dkim, senders)]

# --- the catalogue --------------------------------------------------------------------------------------------------


def test_every_service_can_be_recognised_by_something() -> None:
    blind = [
        each.id
        for each in shipped().services.values()
        if not (each.spf or each.mx or each.dkim.own or each.dkim.targets or each.signs_as or each.headers)
    ]
    assert blind == []


@pytest.mark.parametrize(("find", "patterns"), [(by_spf, "spf"), (by_mx, "mx")])
def test_the_index_finds_what_holding_the_name_against_every_pattern_finds(find: Any, patterns: str) -> None:
    services = list(shipped().services.values())
    every = [(each, service) for service in services for each in getattr(service, patterns)]
    texts = [each.text.replace("#", "7").replace("*", "x") for each, _ in every]
    for name in (*texts, *(f"u1.{text}" for text in texts), *(f"not{text}" for text in texts), "example.com"):
        fitting = [(len(each.text), -services.index(service)) for each, service in every if each.fits(name)]
        wanted = services[-max(fitting)[1]].id if fitting else None
        found = find(name, shipped().services)
        assert (found and found.id) == wanted, name


def test_no_two_services_claim_the_same_mark() -> None:
    for name in ("spf", "mx", "signs_as", "return_path.domains", "headers", "feedback_ids", "helo"):
        claims = [
            (getattr(mark, "text", mark), each.id)
            for each in shipped().services.values()
            for mark in attrgetter(name)(each)
        ]
        marks = [mark for mark, _ in claims]
        assert len(marks) == len(set(marks)), f"{name}: {sorted(mark for mark in marks if marks.count(mark) > 1)}"
    own = [pattern.text for each in shipped().services.values() for pattern in each.dkim.own]
    assert len(own) == len(set(own))


def test_all_selectors_that_say_something_by_their_absence_are_asked_for() -> None:
    for each in shipped().services.values():
        if each.dkim.fixed:
            assert set(each.dkim.names) <= set(shipped().selectors), each.id


def test_a_setting_named_has_a_source_with_a_date() -> None:
    assert [each.id for each in shipped().services.values() if each.console and not each.sources] == []


def test_the_target_of_microsofts_aliases_is_recognised_whatever_its_letter_and_never_predicted() -> None:
    for target in (
        "selector1-a-com._domainkey.a.n-v1.dkim.mail.microsoft",
        "selector1-a-com._domainkey.a.onmicrosoft.com",
    ):
        found = by_key(Key("a.com", "selector1", target), shipped().services)
        assert found is not None
        assert found.id == "microsoft-365"
    assert not any(re.search(r"[a-z]-v\d", str(each.console)) for each in shipped().services.values())


SERVICE = """\
- id: acme
  name: {en: Acme, ja: アクメ}
  kind: newsletter
  confidence: high
  spf: [acme.example]
  dkim: {selectors: [a1, a2], own: [a1], fixed: true, record: cname, targets: [dkim.acme.example]}
  console: {en: Settings, ja: 設定}
  sources: [{url: "https://acme.example/help", checked: "2026-11-24", read_as: archive undated}]
"""


def problems(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "senders" / "a.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    try:
        load_senders([folder])
    except CatalogueError as error:
        return tuple(str(error).splitlines())
    return ()


def test_the_sample_service_is_accepted(tmp_path: Path) -> None:
    """So that each refusal below is caused by its one change."""
    assert problems(tmp_path, SERVICE) == ()
    acme = load_senders([tmp_path])[0]["acme"]
    assert (acme.name["ja"], acme.kind, acme.dkim.names, acme.dkim.fixed) == (
        "アクメ",
        ServiceKind.NEWSLETTER,
        ("a1", "a2"),
        True,
    )
    assert acme.include is None


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("id: acme", "id: Acme Inc", 1, "'Acme Inc' is not allowed here"),
        ("ja: アクメ}", "fr: Acmé}", 2, "ja is missing"),
        ("kind: newsletter", "kind: letters", 3, "'letters' is not one of mailbox, hosting"),
        ("confidence: high", "confidence: sure", 4, "'sure' is not one of high, medium, low"),
        ("spf: [acme.example]", "spf: acme.example", 5, "a list"),
        ("spf: [acme.example]", "spf: [acme]", 5, "'acme' is not allowed here"),
        ("spf: [acme.example]", 'spf: ["acme.example/24"]', 5, "is not allowed here"),
        ("spf: [acme.example]", "spf: [7]", 5, "0.spf.0: a string is needed"),
        ("spf: [acme.example]", "sfp: [acme.example]", 5, "unknown field"),
        ("own: [a1]", "own: [a3]", 6, "a3 is not among selectors and older"),
        ("fixed: true", "fixed: yes", 6, "true or false"),
        ("record: cname", "record: mx", 6, "dkim.record: 'mx' is not one of cname, txt"),
        ("selectors: [a1, a2], own: [a1]", 'selectors: ["a*"]', 6, "fixed needs selectors"),
        ("{selectors: [a1", "{selektors: [a1", 6, "unknown field"),
        ("https://acme", "http://acme", 8, "https://"),
        ('"2026-11-24"', "today", 8, "'today' is not allowed here"),
        ("archive undated", "archive", 8, "'archive' is not allowed here"),
        (", read_as: archive undated", "", 8, "read_as is missing"),
        ("fixed: true", "fixed: true, fixed_fields: some", 6, "true or false"),
        ("  kind: newsletter\n", "", 1, "kind is missing"),
        ("  kind:", "  kind: crm\n  kind:", 4, "appears twice"),
    ],
)
def test_what_the_catalogue_refuses(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in SERVICE
    found = problems(tmp_path, SERVICE.replace(old, new, 1))
    assert any(each.startswith(f"{tmp_path / 'senders' / 'a.yaml'}:{line}:") and words in each for each in found), found


def test_the_example_of_the_documentation_is_accepted(tmp_path: Path) -> None:
    readme = (locate("rules") / "README.md").read_text("utf-8")
    example = readme.partition("## A sending service")[2].partition("```yaml\n")[2].partition("```")[0]
    assert problems(tmp_path, example) == ()
    assert list(load_senders([tmp_path])[0]) == ["acme-mail"]


def test_the_same_service_twice_names_the_first_place(tmp_path: Path) -> None:
    assert "acme is already defined in" in problems(tmp_path, SERVICE + SERVICE)[0]


@pytest.mark.parametrize(
    "text", ["a: 1\n", "- 1\n", "- []\n", "- {id: [x]}\n", "3\n", "- {dkim: {selectors: {a: b}}}\n"]
)
def test_any_other_shape_is_told_and_never_raises_anything_else(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_broken_octets_are_told(tmp_path: Path) -> None:
    (tmp_path / "senders").mkdir()
    (tmp_path / "senders" / "a.yaml").write_bytes(b"\xff\xfe- id: x")
    with pytest.raises(CatalogueError):
        load_senders([tmp_path])


def test_a_later_folder_replaces_a_service_by_its_id(tmp_path: Path) -> None:
    problems(tmp_path / "one", SERVICE)
    problems(tmp_path / "two", SERVICE.replace("acme.example]", "acme.test]", 1))
    found, *_ = load_senders([tmp_path / "one", tmp_path / "two"])
    assert by_spf("acme.example", found) is None
    assert by_spf("acme.test", found) is not None


def test_selectors_are_guessed_as_the_folders_list_them_and_as_services_fix_them(tmp_path: Path) -> None:
    problems(tmp_path, SERVICE)
    (tmp_path / "senders" / "selectors.yaml").write_text('- own\n- "2026"\n', "utf-8")
    (tmp_path / "senders" / "rare-selectors.yaml").write_text("- rare\n- own\n", "utf-8")
    assert load_senders([tmp_path])[1:] == (("own", "2026"), ("own", "2026", "rare", "a1", "a2"))
    (tmp_path / "senders" / "selectors.yaml").write_text("- own\n- no.*\n", "utf-8")
    with pytest.raises(CatalogueError, match=r"selectors\.yaml:2: 1: 'no\.\*' is not allowed here"):
        load_senders([tmp_path])


# --- recognising ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "ident"),
    [
        ("sendgrid.net", "sendgrid"),
        ("U123.wl.SendGrid.net.", "sendgrid"),
        ("notsendgrid.net", None),
        ("sendgrid.net.evil.example", None),
        ("sendgrid", None),
        ("net", None),
        ("", None),
        (".", None),
        ("_spf.google.com", "google-workspace"),
        ("google.com", None),
        ("xspf.protection.outlook.com", None),
        ("spf.protection.outlook.com", "microsoft-365"),
        ("eu.mailgun.org", "mailgun"),
        ("spf-00112233.pphosted.com", "proofpoint"),
        ("12345678.spf03.hubspotemail.net", "hubspot"),
        ("www1234.sakura.ne.jp", "sakura-rental-server"),
        ("www.sakura.ne.jp", None),
        ("www1234.sakura.ne.jp.example", None),
        ("sv1234.xserver.jp", "xserver"),
        ("svc.xserver.jp", None),
        ("fc0012.cuenote.jp", "cuenote"),
        ("fc0012xcuenote.jp", None),
        ("spf.haihaimail.jp", "haihaimail"),
    ],
)
def test_hosts_in_spf(host: str, ident: str | None) -> None:
    found = by_spf(host, shipped().services)
    assert (found.id if found else None) == ident


@pytest.mark.parametrize(
    ("host", "ident"),
    [
        ("alt1.aspmx.l.google.com", "google-workspace"),
        ("example-com.mail.protection.outlook.com", "microsoft-365"),
        ("example-com.r-v1.mx.microsoft", "microsoft-365"),
        ("mx01.mail.icloud.com", "icloud-custom-domain"),
        ("mail0012.conoha.ne.jp", "conoha-wing"),
        ("mail.conoha.ne.jp", None),
        ("aspmx.l.google.com.example", None),
    ],
)
def test_mx_hosts(host: str, ident: str | None) -> None:
    found = by_mx(host, shipped().services)
    assert (found.id if found else None) == ident


def test_the_mx_of_a_return_path_subdomain() -> None:
    ses = shipped().services["amazon-ses"]
    assert by_return_mx("feedback-smtp.eu-west-1.amazonses.com", ses)
    assert not by_return_mx("inbound-smtp.eu-west-1.amazonaws.com", ses)
    assert not by_return_mx("feedback-smtp.a.b.amazonses.com", ses)


@pytest.mark.parametrize(
    ("selector", "alias", "ident"),
    [
        ("s1", "s1.domainkey.u1.wl1.sendgrid.net", "sendgrid"),
        ("s1", None, None),  # many use this name
        ("s1", "s1.notsendgrid.net", None),
        ("brevo1", None, "brevo"),
        ("brevo1", "b1.example.dkim.evil.example", None),
        ("google", None, "google-workspace"),
        ("20230913174421pm", None, "postmark"),
        ("123pm", None, None),
        ("scph0920", None, "sparkpost"),
        ("scphabcd", None, None),
        ("mimecast20240101", None, "mimecast"),
        ("hs1-12345", "12345.hs01a.dkim.hubspotemail.net", "hubspot"),
        ("default", None, None),
        ("6vme3s556zqhosnlbiu452qmnd7g2zi3", "6vme3s556zqhosnlbiu452qmnd7g2zi3.dkim.amazonses.com", "amazon-ses"),
    ],
)
def test_dkim_keys(selector: str, alias: str | None, ident: str | None) -> None:
    found = by_key(Key("example.com", selector, alias), shipped().services)
    assert (found.id if found else None) == ident


OWN = Key("example.com", "s1", "s1.domainkey.u1.wl1.sendgrid.net")


@pytest.mark.parametrize(
    ("marks", "ident"),
    [
        (MessageMarks(), None),
        (MessageMarks(signatures=(OWN,), author_domain="example.com"), "sendgrid"),
        # The signature of somebody else says nothing of who sent the author's mail.
        (MessageMarks(signatures=(OWN,), author_domain="example.net"), None),
        (MessageMarks(return_domain="mail90.suw15.mcsv.net"), "mailchimp"),
        (MessageMarks(return_domain="notmcsv.net"), None),
        (MessageMarks(return_domain="pm-bounces.example.com", author_domain="example.com"), "postmark"),
        (MessageMarks(return_domain="pm-bounces.example.net", author_domain="example.com"), None),
        (MessageMarks(signatures=(Key("amazonses.com", "x"),)), "amazon-ses"),
        (MessageMarks(headers=frozenset({"x-sg-eid"})), "sendgrid"),
        (MessageMarks(feedback_ids=("1.eu-west-1.abc=:AmazonSES",)), "amazon-ses"),
        (MessageMarks(feedback_ids=("27520582:user:proton",)), "proton"),
        (MessageMarks(feedback_ids=("AmazonSES:customer:other",)), None),
        (MessageMarks(helo="o1.em.sendgrid.net"), "sendgrid"),
        # Private mail of gmail.com comes from the same hosts as that of Google Workspace.
        (MessageMarks(helo="mail-wm1-f41.google.com", author_domain="gmail.com"), None),
        (MessageMarks(helo="mail-wm1-f41.google.com", used=frozenset({"google-workspace"})), "google-workspace"),
        # Resend sends through Amazon SES: its own key is the more telling mark.
        (
            MessageMarks(
                signatures=(Key("amazonses.com", "x"), Key("example.com", "resend")),
                author_domain="example.com",
                headers=frozenset({"x-ses-outgoing"}),
            ),
            "resend",
        ),
        # Mail that went through a gateway was sent by somebody else.
        (
            MessageMarks(
                signatures=(Key("example.com", "mimecast20240101"),),
                author_domain="example.com",
                headers=frozenset({"x-sg-eid"}),
            ),
            "sendgrid",
        ),
    ],
)
def test_who_sent_a_message(marks: MessageMarks, ident: str | None) -> None:
    found = by_message(marks, shipped().services)
    assert (found.service.id if found else None) == ident


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_makes_recognition_fail(one: str, two: str) -> None:
    by_spf(one, shipped().services)
    by_mx(one, shipped().services)
    by_key(Key(one, two, one), shipped().services)
    by_message(MessageMarks((Key(one, two),), two, one, two, frozenset({one}), (two,)), shipped().services)


# --- the facts ------------------------------------------------------------------------------------------------------


async def audit(
    records: Mapping[tuple[str, str], Records], eml: bytes | None = None, domain: str = "example.com"
) -> FactSet:
    subject = Subject(domain, Sample("sample.eml", data=eml) if eml else None)
    parsed = read(eml) if eml else None
    gathered = await gather(AUDITORS, subject, Ports(StaticResolver(records), FixedClock(NOW)), parsed)
    assert gathered.crashes == ()
    return gathered.facts


def spf_of(record: str, **more: str) -> dict[tuple[str, str], Records]:
    return {("example.com", "TXT"): [record]} | {(f"{name}.example.com", "TXT"): [text] for name, text in more.items()}


def found(facts: FactSet) -> dict[str, Any]:
    listed = facts.value("senders.services")
    assert isinstance(listed, tuple), listed
    return {str(item["id"]): item for item in records_of(listed)}


async def test_services_are_seen_by_spf_dkim_and_mx() -> None:
    facts = await audit(
        spf_of(
            "v=spf1 include:spf.protection.outlook.com include:sendgrid.net ?include:spf.mailjet.com a:own.example ~all"
        )
        | {
            ("example.com", "MX"): ["0 example-com.mail.protection.outlook.com"],
            ("s1._domainkey.example.com", "CNAME"): ["s1.domainkey.u1.wl1.sendgrid.net"],
            ("s1.domainkey.u1.wl1.sendgrid.net", "TXT"): [KEY],
            ("brevo1._domainkey.example.com", "TXT"): [KEY],
        }
    )
    seen = found(facts)
    assert list(seen) == ["microsoft-365", "sendgrid", "mailjet", "brevo"]
    assert seen["sendgrid"]["seen_by"] == (
        "spf: include:sendgrid.net",
        "dkim: s1 CNAME s1.domainkey.u1.wl1.sendgrid.net",
    )
    assert seen["sendgrid"]["selectors"] == ("s1",)
    assert {ident: item["authorised"] for ident, item in seen.items()} == {
        "microsoft-365": True,
        "sendgrid": True,
        "mailjet": False,  # neutral is no permission
        "brevo": False,
    }
    assert {ident: item["has_key"] for ident, item in seen.items()} == {
        "microsoft-365": False,
        "sendgrid": True,
        "mailjet": False,
        "brevo": True,
    }
    assert seen["microsoft-365"]["receives"] is True
    assert seen["microsoft-365"]["include_needed"] is True
    assert seen["microsoft-365"]["spf_lookups"] == 1
    assert facts.value("senders.complete") is True
    assert facts.value("senders.unknown_includes") == ()
    assert facts.facts["senders.services"].evidence[0] == "dns:TXT:example.com"


async def test_what_a_foreign_record_includes_is_not_used_by_the_domain() -> None:
    facts = await audit(
        spf_of(
            "v=spf1 include:_spf.example.com include:_spf.agency.example ~all",
            _spf="v=spf1 include:mail.zendesk.com ~all",
        )
        | {("_spf.agency.example", "TXT"): ["v=spf1 include:mailgun.org ~all"]}
    )
    assert list(found(facts)) == ["zendesk"]
    assert found(facts)["zendesk"]["seen_by"] == ("spf: include:_spf.example.com → include:mail.zendesk.com",)
    assert facts.value("senders.unknown_includes") == ("_spf.agency.example",)


async def test_dead_terms_and_several_records() -> None:
    assert found(await audit(spf_of("v=spf1 -all include:sendgrid.net"))) == {}
    several = await audit(
        {("example.com", "TXT"): ["v=spf1 include:sendgrid.net ~all", "v=spf1 include:_spf.google.com ~all"]}
    )
    assert list(found(several)) == ["sendgrid", "google-workspace"]
    assert found(several)["sendgrid"]["spf_lookups"] is None


async def test_a_failed_look_up_never_makes_a_service_unused() -> None:
    facts = await audit({("example.com", "TXT"): "servfail", ("example.com", "MX"): ["1 aspmx.l.google.com"]})
    assert list(found(facts)) == ["google-workspace"]
    assert facts.value("senders.complete") is False
    assert isinstance(facts.value("senders.unknown_includes"), Unknown)

    nothing = await audit({("example.com", "TXT"): "timeout", ("example.com", "MX"): "timeout"})
    assert nothing.value("senders.services") == Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="example.com"))

    below = await audit(
        {("example.com", "TXT"): ["v=spf1 include:_spf.example.com ~all"], ("_spf.example.com", "TXT"): "timeout"}
    )
    assert below.value("senders.complete") is False
    assert isinstance(below.value("senders.services"), Unknown)


async def test_a_key_is_only_called_absent_where_dns_says_so() -> None:
    record = spf_of("v=spf1 include:sendgrid.net ~all")

    async def has_key(more: dict[tuple[str, str], Records]) -> Any:
        return found(await audit(record | more))["sendgrid"]["has_key"]

    assert await has_key({}) is False
    assert await has_key({("s2._domainkey.example.com", "TXT"): "servfail"}) == Unknown(
        Reason.SERVFAIL, SELECTOR(name="s2")
    )
    # A name server may resolve the alias itself; then the key may be SendGrid's.
    assert await has_key({("s1._domainkey.example.com", "TXT"): [KEY]}) is True
    # Somebody else's alias at the same name is not its key.
    elsewhere: dict[tuple[str, str], Records] = {
        ("s1._domainkey.example.com", "CNAME"): ["s1.elsewhere.example"],
        ("s1.elsewhere.example", "TXT"): [KEY],
    }
    assert await has_key(elsewhere) is False


async def test_under_a_wildcard_nothing_is_called_absent() -> None:
    class Wild(StaticResolver):
        async def query(self, name: str, rdtype: str) -> Any:
            below = "._domainkey." in name and rdtype == "TXT"
            return await super().query("wild.example.com" if below else name, rdtype)

    records = spf_of("v=spf1 include:sendgrid.net ~all") | {("wild.example.com", "TXT"): [KEY]}
    gathered = await gather(AUDITORS, Subject("example.com"), Ports(Wild(records), FixedClock(NOW)), None)
    item = found(gathered.facts)["sendgrid"]
    assert isinstance(item["has_key"], Unknown)
    assert item["seen_by"] == ("spf: include:sendgrid.net",)


async def test_the_include_of_amazon_ses_counts_at_the_return_path_only() -> None:
    record = spf_of("v=spf1 include:amazonses.com ~all")

    async def needed(more: dict[tuple[str, str], Records]) -> Any:
        return found(await audit(record | more))["amazon-ses"]["include_needed"]

    assert await needed({("example.com", "MX"): ["10 mx.example.com"]}) is False
    assert await needed({("example.com", "MX"): ["10 feedback-smtp.eu-west-1.amazonses.com"]}) is True
    assert isinstance(await needed({("example.com", "MX"): "timeout"}), Unknown)


EML = b"From: a@example.com\r\nTo: b@example.net\r\nX-SG-EID: abc\r\nSubject: x\r\n\r\nHello\r\n"


async def test_the_service_of_the_message() -> None:
    facts = await audit({}, EML)
    assert facts.value("senders.message_service") == "sendgrid"
    assert facts.value("senders.message_service_name") == "SendGrid"
    assert facts.facts["senders.message_service"].evidence == ("header:x-sg-eid:1",)
    assert (await audit({}, EML.replace(b"X-SG-EID", b"X-Other"))).value("senders.message_service") is None
    assert (await audit({})).value("senders.message_service") == Unknown(Reason.NO_MESSAGE)


def signed(*, selector: str, domain: str = "example.com", return_path: str = "a@example.com", more: str = "") -> bytes:
    """A message with a signature of these names; whether it passes plays no part here."""
    return (
        f"Return-Path: <{return_path}>\r\n"
        f"DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s={selector}; h=from:date:subject; bh=AAAA; b=AAAA\r\n"
        f"{more}From: a@example.com\r\nTo: b@example.net\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
        "Subject: x\r\n\r\nHello\r\n"
    ).encode()


def alias_of(selector: str, target: str) -> dict[tuple[str, str], Records]:
    return {(f"{selector}._domainkey.example.com", "CNAME"): [target], (target, "TXT"): [KEY]}


M365 = "selector1-example-com._domainkey.example.r-v1.dkim.mail.microsoft"
SENDGRID_KEY = "s1.domainkey.u1.wl1.sendgrid.net"


@pytest.mark.parametrize(
    ("records", "eml", "fixed"),
    [
        (alias_of("selector1", M365), signed(selector="selector1"), True),
        (alias_of("s1", SENDGRID_KEY), signed(selector="s1", return_path="b@em1.example.com"), True),
        (alias_of("k2", "dkim2.mcsv.net"), signed(selector="k2", return_path="b@mail12.mcsv.net"), True),
        ({("google._domainkey.example.com", "TXT"): [KEY]}, signed(selector="google"), True),
        # Without the CNAME another mark of the message tells whose key it is.
        ({("s1._domainkey.example.com", "TXT"): [KEY]}, signed(selector="s1", more="X-SG-EID: abc\r\n"), True),
        ({("s1._domainkey.example.com", "TXT"): [KEY]}, signed(selector="s1"), False),
        # What the service signs as itself is nothing of the sender's.
        ({}, signed(selector="selector1", domain="example.onmicrosoft.com"), False),
        # One's own mail server behind SendGrid's address signs what one likes.
        ({("mine._domainkey.example.com", "TXT"): [KEY]}, signed(selector="mine", more="X-SG-EID: abc\r\n"), False),
        ({("s1._domainkey.example.com", "TXT"): "timeout"}, signed(selector="s1"), False),
    ],
)
async def test_whether_a_service_decides_which_fields_are_signed(
    records: dict[tuple[str, str], Records], eml: bytes, fixed: bool
) -> None:
    assert (await audit(records, eml)).value("senders.signs_fixed_fields") is fixed


@pytest.mark.parametrize(
    ("records", "eml", "impossible"),
    [
        (alias_of("k2", "dkim2.mcsv.net"), signed(selector="k2", return_path="b@mail12.mcsv.net"), True),
        ({}, signed(selector="x", domain="other.example", return_path="b@mail12.mcsv.net"), True),
        (
            alias_of("brevo1", "b1.example-com.dkim.brevo.com"),
            signed(selector="brevo1", return_path="b@x.sender-sib.com"),
            True,
        ),
        # A dedicated address at Brevo or HubSpot has a Return-Path of the sender's own.
        (
            alias_of("brevo1", "b1.example-com.dkim.brevo.com"),
            signed(selector="brevo1", return_path="b@ip1.example.com"),
            False,
        ),
        (
            alias_of("hs1-1", "x.hs01a.dkim.hubspotemail.net"),
            signed(selector="hs1-1", return_path="b@1.spf01.hubspotemail.net"),
            True,
        ),
        # Amazon SES and SendGrid offer one.
        ({}, signed(selector="x", domain="amazonses.com", return_path="b@eu-west-1.amazonses.com"), False),
        (alias_of("s1", SENDGRID_KEY), signed(selector="s1", return_path="b@u1.ct.sendgrid.net"), False),
        # A header field or a host alone does not tell who signed and where bounces go.
        ({}, signed(selector="x", return_path="b@mailer.example", more="X-MC-User: 1\r\n"), False),
        ({}, signed(selector="x", return_path="b@notmcsv.net"), False),
    ],
)
async def test_whether_a_service_leaves_no_way_to_align_spf(
    records: dict[tuple[str, str], Records], eml: bytes, impossible: bool
) -> None:
    assert (await audit(records, eml)).value("senders.spf_alignment_impossible") is impossible


async def test_habits_of_services_wait_for_a_message() -> None:
    facts = await audit(alias_of("k2", "dkim2.mcsv.net"))
    for name in ("signs_fixed_fields", "spf_alignment_impossible"):
        assert facts.value(f"senders.{name}") == Unknown(Reason.NO_MESSAGE)


@pytest.mark.parametrize(
    ("spf_record", "records", "eml"),
    [
        ("v=spf1 include:spf.protection.outlook.com -all", alias_of("selector1", M365), signed(selector="selector1")),
        (
            "v=spf1 ip4:192.0.2.1 ~all",
            alias_of("s1", SENDGRID_KEY),
            signed(selector="s1", return_path="b@em1.example.com"),
        ),
        (
            "v=spf1 ip4:192.0.2.1 ~all",
            alias_of("k2", "dkim2.mcsv.net"),
            signed(selector="k2", return_path="b@mail12.mcsv.net"),
        ),
        (
            "v=spf1 include:_spf.google.com ~all",
            {("google._domainkey.example.com", "TXT"): [KEY]},
            signed(selector="google"),
        ),
    ],
    ids=["microsoft-365", "sendgrid", "mailchimp", "google-workspace"],
)
async def test_no_rule_asks_a_customer_for_what_only_the_service_can_do(
    spf_record: str, records: dict[tuple[str, str], Records], eml: bytes
) -> None:
    """To, Cc, Reply-To and Message-ID not signed, From signed once, and the short key of this test behind an alias."""
    facts = await audit(spf_of(spf_record) | records, eml)
    wanted = ("DKIM-009", "DKIM-010", "DKIM-013", "DKIM-021", "DKIM-022", "DKIM-030", "ALN-002", "ALN-008")
    held = {
        **facts.facts,
        **{
            path: Fact(path, value_of(path, value))
            for path, value in {
                "alignment.author_domain": "example.com",
                "alignment.mail_from_domain": facts.value("envelope.mail_from_domain"),
                "alignment.spf_pass": not facts.value("senders.spf_alignment_impossible"),
                "alignment.spf": "none" if facts.value("senders.spf_alignment_impossible") else "relaxed",
                "alignment.dkim_pass": True,
            }.items()
        },
    }
    rules = load_rules()
    chosen = replace(rules, rules={ident: rules.rules[ident] for ident in wanted})
    findings = judge(FactSet(held, dict(facts.evidence)), chosen, catalogue(), Selection())
    assert {each.rule for each in findings} == set(wanted)
    assert [(each.rule, each.item) for each in findings if each.outcome is Outcome.UNMET] == []


TERM = st.sampled_from(
    (
        *("include:sendgrid.net", "include:%{d}.sendgrid.net", "include:", "a:sendgrid.net/33", "include:.."),
        *("redirect=_spf.example.com", "include:_spf.example.com", "exists:%{i}.amazonses.com"),
        *("mx:\u3042.example", "\x00", "-all", "x=y"),
    )
)


@examples(60)
@given(st.lists(TERM, max_size=12), st.lists(TERM, max_size=12), st.binary(max_size=300))
def test_no_record_and_no_message_makes_the_auditor_crash(one: list[str], two: list[str], eml: bytes) -> None:
    records = spf_of("v=spf1 " + " ".join(one), _spf="v=spf1 " + " ".join(two))
    asyncio.run(audit(records, b"X-SG-EID: " + eml))


async def test_a_record_of_thousands_of_terms_is_cut_and_said_to_be() -> None:
    facts = await audit(spf_of("v=spf1 " + " ".join(f"ip4:192.0.2.1 a:h{n}.example" for n in range(3000)) + " ~all"))
    assert facts.value("senders.complete") is False


# --- the words ------------------------------------------------------------------------------------------------------


RULES = load_rules()


def finding(rule: str, item: str = "", outcome: Outcome = Outcome.UNMET) -> Finding:
    return Finding(rule, item, outcome, Severity.WARNING, {}, {}, (), ())


def facts_with(*listed: dict[str, Any], sent_by: str | None = None) -> FactSet:
    values = {"senders.services": listed, "senders.message_service": sent_by}
    return FactSet({path: Fact(path, value_of(path, value)) for path, value in values.items()})  # type: ignore[arg-type]


SENDGRID = {
    "id": "sendgrid",
    "name": "SendGrid",
    "authorised": True,
    "has_key": False,
    "selectors": (),
    "spf_lookups": 2,
}
MAILCHIMP = {
    "id": "mailchimp",
    "name": "Mailchimp",
    "authorised": True,
    "has_key": True,
    "selectors": ("k2",),
    "spf_lookups": 1,
}


@pytest.mark.parametrize(
    ("rule", "item", "facts", "where", "words"),
    [
        ("DKIM-001", "", facts_with(sent_by="sendgrid"), "before", "In SendGrid: Settings → Sender Authentication."),
        ("DKIM-001", "", facts_with(sent_by="sendgrid"), "before", "at `s1._domainkey`, `s2._domainkey`"),
        ("DKIM-001", "", facts_with(sent_by="mandrill"), "before", "`mte1._domainkey`, `mte2._domainkey`"),
        ("SND-001", "SendGrid", facts_with(MAILCHIMP, SENDGRID), "before", "In SendGrid: Settings"),
        ("DKIM-026", "", facts_with(MAILCHIMP, SENDGRID), "before", "In SendGrid: Settings"),
        ("ALN-008", "", facts_with(sent_by="postmark"), "after", "Set up a Return-Path (MAIL FROM)"),
        (
            "ALN-008",
            "",
            facts_with(sent_by="mailchimp"),
            "after",
            "In the usual setup, Mailchimp uses a Return-Path in its own domain",
        ),
        ("DKIM-021", "example.com/k2", facts_with(MAILCHIMP), "after", "Mailchimp manages this key"),
        (
            "SPF-001",
            "",
            facts_with({"id": "fastmail", "name": "Fastmail"}),
            "after",
            "`include:spf.messagingengine.com`",
        ),
        ("SPF-003", "", facts_with(MAILCHIMP, SENDGRID), "after", "In SendGrid: Settings"),
        (
            "SPF-003",
            "",
            facts_with(MAILCHIMP, SENDGRID),
            "after",
            "Most receivers don't need the include of Mailchimp",
        ),
    ],
)
def test_steps_name_the_service_and_its_setting(rule: str, item: str, facts: FactSet, where: str, words: str) -> None:
    steps = steps_for(finding(rule, item), RULES, facts, phrases("en"))
    assert words in " ".join(getattr(steps, where)), steps


def test_the_sources_of_what_a_step_says_are_those_of_its_service() -> None:
    told = services_of(finding("SPF-003"), RULES, facts_with(MAILCHIMP, SENDGRID), phrases("en"))
    assert [each.id for each in told] == ["sendgrid", "mailchimp"]
    met = finding("SPF-003", outcome=Outcome.MET)
    assert services_of(met, RULES, facts_with(SENDGRID), phrases("en")) == ()


def test_the_most_expensive_service_comes_first_where_look_ups_are_to_be_saved() -> None:
    steps = steps_for(finding("SPF-003"), RULES, facts_with(MAILCHIMP, SENDGRID), phrases("en"))
    assert [("SendGrid" in each, "Mailchimp" in each) for each in steps.after] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("found", "facts"),
    [
        (finding("DKIM-001", outcome=Outcome.MET), facts_with(sent_by="sendgrid")),
        (finding("DKIM-001"), facts_with(SENDGRID)),  # nothing says that it sent this message
        (finding("DKIM-001"), facts_with(sent_by="no-such-service")),
        (finding("DKIM-021", "example.com/s9"), facts_with(MAILCHIMP)),
        (finding("SIZ-001"), facts_with(SENDGRID, sent_by="sendgrid")),
        (
            finding("SND-001", "SendGrid"),
            FactSet({"senders.services": Fact("senders.services", Unknown(Reason.TIMEOUT))}),
        ),
        (finding("SND-001", "x"), facts_with({"id": 7}, {"name": "x"}, {"id": "no-such-service", "name": "x"})),
    ],
)
def test_no_step_where_no_service_is_known_to_be_concerned(found: Finding, facts: FactSet) -> None:
    assert steps_for(found, RULES, facts, phrases("en")) == ServiceSteps()


def test_steps_are_words_of_the_report_in_both_languages() -> None:
    rules = load_rules()
    for lang, words in (
        ("en", "In SendGrid: Settings → Sender Authentication"),
        ("ja", "SendGridでは、「Settings → Sender Authentication」で"),
    ):
        told = sentences(finding("DKIM-001"), rules, lang, catalogue(), facts_with(sent_by="sendgrid"))
        assert told.fix[0].startswith(words)
        assert len(told.fix) == len(rules.rules["DKIM-001"].text[lang].fix) + 1


def test_every_step_has_words_and_a_rule() -> None:
    from deliverability.core.words.services import _STEPS

    assert set(_STEPS) == set(ServiceStep) == {rule.service for rule in RULES.rules.values() if rule.service}


def test_every_service_can_be_told_in_both_languages() -> None:
    for each in shipped().services.values():
        item = {"id": each.id, "name": each.name["en"], "authorised": True, "has_key": False, "selectors": ("s",)}
        for lang in ("en", "ja"):
            for rule, name in (("SND-001", each.name["en"]), ("SPF-001", ""), ("SPF-003", ""), ("DKIM-021", "a/s")):
                steps = steps_for(finding(rule, name), RULES, facts_with(item), phrases(lang))
                assert all(each.name[lang] in text for text in (*steps.before, *steps.after))


# --- real zones and mails -------------------------------------------------------------------------------------------


async def domain_facts(domain: str) -> FactSet:
    ports = open_ports(PortSettings(zones=(corpus("zones"),)))
    return (await gather_facts(Subject(domain), ports)).facts


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("aalborg.dk", {"microsoft-365": True, "mailchimp": False, "mandrill": False}),
        ("esbjerg.dk", {"microsoft-365": True}),
        ("agarn.ch", {"microsoft-365": False}),
        (
            "hackclub.com",
            {"google-workspace": True, "amazon-ses": None, "sendgrid": True, "mailgun": None, "postmark": None},
        ),
        ("hafnarfjordur.is", {"zendesk": False, "microsoft-365": True}),
        ("cadempino.ch", {}),
    ],
)
async def test_services_of_real_domains(domain: str, expected: dict[str, bool | None]) -> None:
    facts = await domain_facts(domain)
    assert {ident: item["has_key"] for ident, item in found(facts).items()} == expected


@pytest.mark.parametrize(
    ("path", "ident"),
    [
        ("enmime/mail__ctype-bug.raw", "mandrill"),
        ("spamscope/mails__mail_test_13", "mailchimp"),
        ("mailparser/fixtures__delivery-status.eml", "amazon-ses"),
    ],
)
async def test_services_of_real_mails(path: str, ident: str) -> None:
    ports = open_ports(PortSettings(offline=True))
    audited = await gather_facts(Subject(sample=Sample(path, corpus("mails") / path)), ports)
    assert audited.facts.value("senders.message_service") == ident
