"""What is wrong with the mail records of a zone, by that zone alone: for those who check it before it is published."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from msgspec import Struct

from deliverability.core.facts.base import EvidenceKind, texts
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Outcome, Report, VerdictKind
from deliverability.core.model.rules import Severity
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.overlay import kind_of_text
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.net.zones.base import ZoneInput, answer_text
from deliverability.core.net.zones.over import LaidOver, WholeZones
from deliverability.core.report.findings import finding_views
from deliverability.core.rules.judge import Selection
from deliverability.core.words.speaker import Speaker
from deliverability.differences.changes import mail_domain
from deliverability.engine.audit import report_on
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules

_BAD = frozenset({VerdictKind.REJECTED, VerdictKind.DNS_NOT_READY})


class Broken(Struct, frozen=True):
    """A record that is there and wrong.

    Attributes:
        domain: whose mail it is about.
        rule: the rule that says so.
        message: what is wrong, in a sentence.
        owners: the names of the records behind it.
        receivers: those that do not take mail of the domain as they would otherwise.

    """

    domain: str
    rule: str
    message: str
    owners: tuple[str, ...]
    receivers: tuple[str, ...] = ()


def broken_records(zone: ZoneInput, *, receivers: Sequence[str] = (), lang: str = "en") -> tuple[Broken, ...]:
    """Errors in the SPF, DMARC, DKIM and MX records of a zone that it shows by itself; nobody is asked.

    What is missing is none of them, nor is what only others could tell. Raises InputError.
    """
    return asyncio.run(broken_records_async(zone, receivers=receivers, lang=lang))


async def broken_records_async(
    zone: ZoneInput, *, receivers: Sequence[str] = (), lang: str = "en"
) -> tuple[Broken, ...]:
    """The same within an event loop."""
    rules = await asyncio.to_thread(load_rules)
    speaker = Speaker(rules, catalogue(), lang)
    selection = Selection(receivers=tuple(receivers))
    ports = Ports(LaidOver(OFFLINE, WholeZones(ZoneResolver([zone]))), SystemClock(), sources=("zone",))
    owners = {
        each.owner
        for each in zone.after
        if each.type == "MX" or (each.type == "TXT" and kind_of_text(answer_text(each)[0]))
    }
    names = sorted({mail_domain(owner) for owner in owners if not owner.startswith("*")})
    found: list[Broken] = []
    for domain in names:
        reported = await report_on(Subject(domain), ports, rules, selection)
        found += _of(reported.report, speaker)
    return tuple(found)


def _of(report: Report, speaker: Speaker) -> Iterator[Broken]:
    refusing: dict[tuple[str, str], dict[str, None]] = {}
    for verdict in report.verdicts:
        for each in verdict.deciding if verdict.verdict in _BAD else ():
            refusing.setdefault((each.rule, each.item), {})[verdict.receiver] = None
    for view in finding_views(report, speaker):
        finding = view.finding
        if finding.outcome is not Outcome.UNMET or finding.severity is not Severity.ERROR or finding.waiver is not None:
            continue
        there = tuple(dict.fromkeys(_owners(report, finding.evidence)))
        if there:
            by = refusing.get((finding.rule, finding.item), {})
            yield Broken(report.domain, finding.rule, view.words.message, there, tuple(by))


def _owners(report: Report, evidence: Sequence[str]) -> Iterator[str]:
    """The names of mail records that are there, behind a finding."""
    for ident in evidence:
        item = report.facts.evidence.get(ident)
        if item is None or item.kind is not EvidenceKind.DNS:
            continue
        rdtype, _, owner = item.asked.partition(" ")
        values = texts(item.got)
        if (rdtype == "MX" and values) or (rdtype == "TXT" and any(map(kind_of_text, values))):
            yield owner.rstrip(".").lower()
