"""The trace in words: what a reader sees of how SPF and DKIM came to their results."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability import StaticResolver
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Report
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.ports import Ports
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import gather_facts, make_report
from deliverability.engine.rules import load_rules
from tests.speaking import shipped, written

pytestmark = pytest.mark.long

ZONE: dict[tuple[str, str], Any] = {
    ("example.com", "TXT"): ["v=spf1 include:one.com a:www.example.com -ip4:192.0.2.66 ~all exp=why.example.com"],
    ("one.com", "TXT"): ["v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 -all"],
    ("www.example.com", "A"): ["192.0.2.1"],
}
MAIL = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=gone; c=relaxed/relaxed; h=from:subject;\r\n"
    b" bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA\r\n"
    b"From: a@example.com\r\nSubject: x\r\nDate: Wed, 25 Nov 2026 00:00:00 +0000\r\n\r\nx\r\n"
)


async def report_for(ip: str, zone: dict[tuple[str, str], Any] = ZONE, data: bytes | None = None) -> Report:
    ports = Ports(StaticResolver(zone), SystemClock(), sources=("zone",))
    sample = Sample("x.eml", data=data) if data else None
    audited = await gather_facts(Subject("example.com", sample, sending_ips=(ip,)), ports)
    return make_report(audited, load_rules(), Selection())


def text_of(report: Report, **options: Any) -> str:
    return written("text", report, shipped("en"), width=100, whole=True, **options)


async def test_an_address_that_does_not_pass_is_explained_term_by_term() -> None:
    text = text_of(await report_for("192.0.2.77"))
    for line in (
        "How SPF was evaluated for 192.0.2.77",
        "include:one.com: one.com returns fail, so the include does not match · 1 DNS lookup",
        "a:www.example.com: does not match 192.0.2.77 (A www.example.com: 192.0.2.1) · 1 DNS lookup",
        "-ip4:192.0.2.66: does not match 192.0.2.77",
        "~all: matches every remaining address: softfail",
        "Result: softfail (2 DNS lookups). Decided by ~all at example.com",
    ):
        assert line in text
    assert "203.0.113.0/24" not in text, "the inside of an include that does not match is only for --trace"


async def test_what_was_never_reached_says_so() -> None:
    text = text_of(await report_for("192.0.2.1"), trace=True)
    assert "-ip4:192.0.2.66 ~all: not reached, because the result was already decided" in text
    assert "203.0.113.0/24: 2 terms that do not match 192.0.2.1" in text


async def test_a_pass_is_explained_only_where_that_is_wanted() -> None:
    report = await report_for("192.0.2.1")
    assert "How SPF was evaluated" not in text_of(report)
    assert "How SPF was evaluated for 192.0.2.1" in text_of(report, trace=True)


async def test_an_error_names_where_the_check_ended() -> None:
    zone = ZONE | {("one.com", "TXT"): "nxdomain"}
    assert "include:one.com: ends the check: one.com does not exist" in text_of(await report_for("192.0.2.77", zone))


@pytest.mark.parametrize("lang", ["en", "ja"])
async def test_the_page_has_the_whole_trace_folded(lang: str) -> None:
    html = written("html", await report_for("192.0.2.77"), shipped(lang))
    assert '<ol class="trace">' in html
    assert "ip4:198.51.100.0/24 ip4:203.0.113.0/24" in html


async def test_a_signature_that_does_not_pass_is_explained() -> None:
    report = await report_for("192.0.2.1", data=MAIL)
    text = text_of(report)
    assert "Signature of example.com, selector gone: " in text
    assert "There is no key record at the selector's name, so receivers can't verify the signature." in text
    assert "Signature of example.com, selector gone" in written("html", report, shipped("en"))


async def test_hostile_records_stay_text() -> None:
    zone = ZONE | {("example.com", "TXT"): ["v=spf1 include:<script>.com exists:%{i}.\x1b[31m.com ~all"]}
    report = await report_for("192.0.2.77", zone)
    assert "<script>.com" not in written("html", report, shipped("en"))
    assert "\x1b" not in text_of(report)
