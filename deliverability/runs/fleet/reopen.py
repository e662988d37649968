"""The full report of one domain of a fleet, from the facts that were kept."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from deliverability.history.records import Owner, changed_records
from deliverability.inputs import Subject
from deliverability.judge.engine import Selection
from deliverability.model.report import Report
from deliverability.model.rules import RuleSet
from deliverability.ports.ports import Ports
from deliverability.runs.engine import Audited, Extras, full_report, gather_facts


class Reopened(Struct, frozen=True):
    """The report, and how many DNS answers are not what they were when the facts were gathered.

    Remedies are rehearsed on the answers of now, and therefore left out where these differ; `changed` is None where
    nobody was asked.
    """

    report: Report
    changed: int | None


async def reopened(
    stored: Audited, subject: Subject, ports: Ports | None, rules: RuleSet, selection: Selection
) -> Reopened:
    """Judge kept facts; where there are ports, with remedies."""
    changed, audited = None, stored
    if ports is not None:
        now = await gather_facts(subject, ports, Extras(remedies=True), rules.knowledge)
        changed = len(changed_records(stored.facts, now.facts, Owner(stored.subject.domain, stored.facts)))
        if not changed:
            audited = replace(stored, subject=now.subject, basis=now.basis)
    reported = await full_report(audited, rules, selection)
    return Reopened(reported.report, changed)
