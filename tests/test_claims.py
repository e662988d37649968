"""What is said of receivers where it would be easy to say too much: whole mails, judged by the shipped rules."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from deliverability.app import Job, Options, Sample, gather_facts, load_rules, make_report, open_world
from deliverability.judge.engine import Selection
from deliverability.model.facts import Purpose
from deliverability.model.report import Report, Verdict, VerdictKind
from deliverability.ports.clock import FixedClock
from deliverability.ports.static import StaticResolver

BULK = Options(purpose=Purpose.BULK, daily_volume=20_000)
RULES = load_rules()
RECORDS = {
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
def judged(message: bytes, options: Options = BULK, spf: str = "") -> Report:
    records = RECORDS | ({("example.com", "TXT"): [spf]} if spf else {})
    world = replace(
        open_world(offline=True), base=StaticResolver(records), clock=FixedClock(datetime(2026, 11, 25, tzinfo=UTC))
    )
    audited = asyncio.run(gather_facts(Job(None, Sample("mail.eml", data=message), options), world))
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
