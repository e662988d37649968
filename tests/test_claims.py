"""What is said of receivers where it would be easy to say too much: whole mails, judged by the shipped rules."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import cache

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec.structs import replace

from deliverability.core.codes import Input
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.answer import Because
from deliverability.core.model.report import Report, Requirements, Verdict, VerdictKind
from deliverability.core.model.rules import Effect
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.phrases import phrases
from deliverability.core.report.findings import effect_words
from deliverability.core.report.report import ReportView
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import gather_facts, make_report
from deliverability.engine.rules import load_rules
from tests import TESTS
from tests.auditing import audit
from tests.signing import published
from tests.speaking import shipped

SMALL = Subject(purpose=Purpose.USERS, daily_volume=200)
BULK = Subject(purpose=Purpose.BULK, daily_volume=20_000)
RULES = load_rules()
RECORDS = {
    ("_spf.example.com", "TXT"): ["v=spf1 ip4:192.0.2.10 -all"],
    ("example.com", "MX"): ["10 mail.example.com"],
    ("mail.example.com", "A"): ["192.0.2.10"],
    ("10.2.0.192.in-addr.arpa", "PTR"): ["mail.example.com"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:dmarc@example.com"],
}


def mail(author: str = "news@example.com", return_path: str = "") -> bytes:
    lines = [
        *([f"Return-Path: <{return_path}>"] if return_path else []),
        "Received: from mail.example.com (mail.example.com [192.0.2.10])",
        "\tby mx.example.net (Postfix) with ESMTPS id 4F1; Tue, 24 Nov 2026 01:00:02 +0000",
        f"From: News <{author}>",
        "To: bob@example.net",
        "Subject: Hello",
        "Date: Tue, 24 Nov 2026 01:00:00 +0000",
        "Message-ID: <1@example.com>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        "Hello",
        "",
    ]
    return "\r\n".join(lines).encode()


@cache
def judged(message: bytes, options: Subject = BULK, spf: str = "") -> Report:
    records = RECORDS | ({("example.com", "TXT"): [spf]} if spf else {})
    ports = replace(
        open_ports(PortSettings(offline=True)),
        dns=StaticResolver(records),
        clock=FixedClock(datetime(2026, 11, 25, tzinfo=UTC)),
    )
    audited = asyncio.run(gather_facts(replace(options, sample=Sample("mail.eml", data=message)), ports))
    return make_report(audited, RULES, Selection(receivers=tuple(RULES.receivers)))


def verdict(report: Report, receiver: str) -> Verdict:
    return next(each for each in report.verdicts if each.receiver == receiver)


def because(report: Report, receiver: str) -> set[str]:
    return {each.rule for each in verdict(report, receiver).effects}


# A mail that was saved without its Return-Path


def test_without_a_return_path_nobody_refuses_for_spf_of_the_domain_in_from() -> None:
    """The service that sent it may have a Return-Path of its own, which passes."""
    for spf in ("v=spf1 ip4:198.51.100.7 -all", "v=spf1 include:", ""):
        report = judged(mail(), spf=spf)
        for receiver in ("gmail", "icloud", "yahoo", "outlook", "laposte"):
            spoken = because(report, receiver)
            assert not {rule for rule in spoken if rule.startswith(("SPF-", "ALN-", "DMARC-"))}, (receiver, spoken)
        assert verdict(report, "google-workspace").verdict is VerdictKind.CANNOT_TELL


def test_with_a_return_path_the_same_mail_is_refused() -> None:
    report = judged(mail(return_path="news@example.com"), spf="v=spf1 ip4:198.51.100.7 -all")
    assert {"SPF-014", "ALN-001", "ALN-011", "DMARC-025"} <= because(report, "gmail")


# An address of one mailbox provider in From


def test_a_provider_speaks_of_its_own_addresses_only() -> None:
    """Gmail says what it does with mail that poses as @gmail.com, and nothing about @icloud.com."""
    own = {"gmail.com": "gmail", "googlemail.com": "gmail", "me.com": "icloud", "aol.com": "yahoo", "msn.com": ""}
    for domain, receiver in own.items():
        report = judged(mail(f"shop@{domain}", "shop@example.com"), spf="v=spf1 ip4:192.0.2.10 -all")
        assert {each.rule for each in report.findings if each.outcome == "unmet"} >= {"ALN-005"}
        speaking = {each for each in ("gmail", "icloud", "yahoo", "outlook") if "ALN-005" in because(report, each)}
        assert speaking == {receiver} - {""}, domain


# What is counted, and what the counts are called


def counts(met: int, unmet: int, unknown: int) -> Verdict:
    return Verdict("gmail", VerdictKind.ACCEPTED, (), Requirements(met + unmet + unknown, met, unmet, unknown))


def checked(verdict: Verdict) -> str:
    report = replace(judged(mail()), assessment=replace(judged(mail()).assessment, verdicts=(verdict,)))
    return ReportView(report, shipped("en")).receiver_lists[0].count


def test_requirements_that_could_not_be_checked_are_not_counted_among_those_that_could() -> None:
    assert checked(counts(11, 0, 7)) == "11 of 11"
    assert checked(counts(6, 1, 1)) == "6 of 7"
    assert checked(counts(0, 0, 5)) == ""


def test_all_receivers_at_once_are_no_receiver_beside_the_others() -> None:
    view = ReportView(judged(mail(return_path="b@example.net"), SMALL), shipped("en"))
    told = [note for entry in view.todo for note in (*entry.notes, *entry.readings)]
    assert told
    assert not [note for note in told if note.startswith("All at once")]


def test_a_refusal_that_is_certain_leaves_none_that_may_be() -> None:
    effects = [(Effect.REJECT, False), (Effect.REJECT, True), (Effect.SPAM, False)]
    assert effect_words(effects, phrases("en")) == "Rejected or spam folder"
    assert effect_words(effects, phrases("ja")) == "拒否・迷惑メール扱い"
    assert effect_words(effects[1:], phrases("en")) == "May be rejected or spam folder"


def test_what_a_receiver_may_do_is_never_said_as_if_it_did() -> None:
    may = [(Effect.SPAM, True), (Effect.WARN, True)]
    assert effect_words(may, phrases("en")) == "May go to spam or be shown with a warning"
    assert effect_words(may, phrases("ja")) == "迷惑メール扱い・警告表示の可能性"
    three = effect_words([(Effect.REJECT, True), *may], phrases("en"))
    assert three == "May be rejected, go to spam or be shown with a warning"
    assert effect_words([(Effect.SPAM, False), *may], phrases("en")) == "Spam folder or may be shown with a warning"


async def test_who_is_at_risk_at_any_volume_may_still_mend_what_refuses_many_messages() -> None:
    """Gmail: refused from 5,000 a day for want of SPF, and at risk below for want of a reverse name."""
    key = TESTS.joinpath("known_senders/keys/rsa2048.pem").read_bytes()
    signer = load_pem_private_key(key, None)
    assert isinstance(signer, RSAPrivateKey)
    plain = mail(return_path="news@example.com")
    message = dkim.sign(plain, b"s1", b"example.com", key, include_headers=[b"from", b"subject", b"date"]) + plain
    records = {
        ("example.com", "MX"): ["10 mail.example.com"],
        ("mail.example.com", "A"): ["192.0.2.10"],
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:dmarc@example.com"],
        ("s1._domainkey.example.com", "TXT"): [published(signer)],
    }
    ports = replace(open_ports(PortSettings(offline=True)), dns=StaticResolver(records))
    report = await audit(message=message, ports=ports, rules=RULES)
    gmail = verdict(report, "gmail")
    assert gmail.if_small is not None
    assert gmail.if_bulk is not None
    assert (gmail.if_small.verdict, gmail.if_bulk.verdict) == (VerdictKind.AT_RISK, VerdictKind.REJECTED)
    # What helps who sends many is no step down for anybody, and nothing is told as a gain that sounds like one.
    assert "SPF-001" in {each.rule for each in report.remedies}
    gains = [gain for remedy in report.remedies for gain in remedy.gains]
    gains += [gain for finding in report.findings for gain in finding.gains]
    assert gains
    assert all(gain.worth > 0 for gain in gains)


# A domain alone, few or many messages


def domain_view(options: Subject, lang: str = "en") -> ReportView:
    ports = replace(
        open_ports(PortSettings(offline=True)), dns=StaticResolver({("example.com", "MX"): ["10 mail.example.com"]})
    )
    audited = asyncio.run(gather_facts(replace(options, domain="example.com"), ports))
    return ReportView(make_report(audited, RULES, Selection()), shipped(lang))


def test_what_stands_in_the_way_of_bulk_senders_only_is_said_so() -> None:
    def bulk_only(options: Subject) -> dict[str, bool]:
        groups = domain_view(options).report.answer.groups
        return {ident: group.bulk_only for group in groups for ident in group.receivers}

    open_, certain = bulk_only(Subject()), bulk_only(BULK)
    assert (open_["gmail"], open_["icloud"], open_["docomo"]) == (True, True, False)
    assert not certain["gmail"]
    assert "5,000" in domain_view(Subject()).answer.lead or "bulk" in domain_view(Subject()).answer.lead


def test_what_is_assumed_is_what_was_not_given() -> None:
    def assumed(options: Subject) -> dict[Input, object]:
        return {each.input: each.value for each in domain_view(options).report.answer.assumed}

    assert assumed(Subject())[Input.DAILY_VOLUME] == "small-or-bulk"
    # Apple names no number: 200 a day may be a newsletter.
    assert assumed(Subject(daily_volume=200))[Input.DAILY_VOLUME] == "bulk-or-not"
    assert assumed(Subject(purpose=Purpose.USERS, daily_volume=200)) == {}


# What needs no doing


async def test_what_is_for_information_is_not_counted_and_is_no_remedy_of_mail_with_a_fault() -> None:
    async def shown(message: bytes | None) -> ReportView:
        records = RECORDS | {("example.com", "TXT"): ["v=spf1 ip4:192.0.2.10 -all"]}
        ports = replace(open_ports(PortSettings(offline=True)), dns=StaticResolver(records))
        report = await audit(replace(SMALL, domain="example.com"), message=message, ports=ports, rules=RULES)
        return ReportView(report, shipped("en"))

    healthy, unaligned = await shown(None), await shown(mail(return_path="b@example.net"))
    for view in (healthy, unaligned):
        received = {rule for step in view.report.answer.for_received for rule in step.rules}
        assert {"NET-011", "NET-014"} <= received
        assert not {"NET-011", "NET-014"} & {rule for step in view.report.answer.shown for rule in step.rules}
        assert not {"NET-011", "NET-014"} & {each.rule for each in view.todo}


def test_a_step_does_not_wait_for_what_is_only_good_to_know() -> None:
    """SPF passes for the message; whether every include is in use, only all sending addresses would tell."""
    report = judged(mail(return_path="news@example.com"), SMALL, spf="v=spf1 include:_spf.example.com -all")
    view = ReportView(report, shipped("en", guided=True))
    assert next(step.because for step in report.answer.guide if step.key == "G1") is not Because.WAITS
    assert any("--ip" in each for each in view.answer.waits)
