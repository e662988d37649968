"""Audits of a small mail and a few zones from end to end, for tests of what is said about whose mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from deliverability.core.facts.base import Value
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Outcome, Report
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, full_report, gather_facts
from deliverability.engine.rules import load_rules
from tests.speaking import shipped, written

RULES = load_rules()
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BODY = """\
To: reader@receiver.example
Subject: Question
Date: Tue, 24 Nov 2026 01:00:00 +0000
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Hello
"""


def mail(*header: str, body: str = BODY) -> bytes:
    """A mail with these header fields, from the top."""
    return "\n".join((*header, body)).encode().replace(b"\n", b"\r\n")


def zones(texts: Mapping[str, str]) -> ZoneResolver:
    """Zones by name; what lies outside of them nobody was asked about."""
    start = "@ 3600 IN SOA ns h 1 7200 3600 1209600 300\n"
    return ZoneResolver(
        [(f"{name}.zone", f"$ORIGIN {name}.\n{start}{text}\n".encode()) for name, text in texts.items()]
    )


class Audit:
    """A report with its plan, and short ways to ask it."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def value(self, path: Any) -> Value:
        return self.report.facts.value(path)

    @property
    def unmet(self) -> set[str]:
        return {each.rule for each in self.report.findings if each.outcome is Outcome.UNMET}

    @property
    def verdicts(self) -> dict[str, str]:
        return {each.receiver: each.verdict.value for each in self.report.verdicts}

    @property
    def steps(self) -> list[str]:
        """The plan in codes, but for what concerns mail received."""
        answer = self.report.answer
        assert answer is not None
        return [each.code for each in answer.plan if not each.inbound]

    def text(self, lang: str = "en") -> str:
        """The whole report as it is printed."""
        return written("text", self.report, shipped(lang), whole=True)


async def audit(
    domain: str | None, message: bytes | None, records: Mapping[str, str], *, ips: Sequence[str] = (), **options: Any
) -> Audit:
    """The report with rehearsed remedies."""
    ports = replace(open_ports(PortSettings(offline=True)), dns=zones(records), clock=FixedClock(NOW))
    sample = Sample("mail.eml", data=message) if message is not None else None
    job = Subject(domain or "", sample, sending_ips=tuple(ips), **options)
    got = await gather_facts(job, ports, Extras(remedies=True))
    assert got.crashes == ()
    report = (await full_report(got, RULES, Selection())).report
    assert report.bugs == ()
    return Audit(report)
