"""One domain of a fleet judged to its line of the findings, and its full report made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace

from deliverability import __version__
from deliverability.core.codec import digest, encode, printable
from deliverability.core.codes import Detail
from deliverability.core.facts.base import FactSet, Unknown, is_failure, records_of
from deliverability.core.inputs import Subject
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import RuleSet
from deliverability.core.net.ports import Ports
from deliverability.core.rules.clauses import judge_profiles
from deliverability.core.rules.grade import assess
from deliverability.core.rules.judge import Selection, fingerprint, judge_of
from deliverability.core.store.causes import Owner, changed_records
from deliverability.engine.audit import Audited, Extras, full_report, gather_facts, has_failures
from deliverability.engine.base import catalogue
from deliverability.fleet.shards import FleetFinding, FleetRow, Unchecked

CAUSE_FACTS: Mapping[str, tuple[str, ...]] = {
    "spf.lookups": (),
    "spf.include_costs": ("target", "lookups", "void_lookups"),
    "spf.dead_names": (),
    "spf.broken_includes": (),
    "takeover.names": ("use", "domain", "free", "service"),
    "dmarc.stage": (),
    "dmarc.policy": (),
    "senders.services": ("id", "authorised", "spf_lookups", "spf_terms", "selectors"),
    "dkim.keys": ("domain", "selector", "present", "type", "bits", "alias", "revoked", "testing", "own", "fingerprint"),
    "subject.waivers": ("rule", "item", "until", "expired"),
}
"""Facts that tell causes; of a list of records these fields."""


def judged_by(rules: RuleSet, selection: Selection) -> str:
    """SHA-256 (hex) of what a judgement depends on beside the facts: this program, the rules, and which of them."""
    chosen = [sorted(each) for each in (selection.select, selection.ignore, selection.receivers)]
    chosen += [[name, json.encode(rules.profiles[name]).decode()] for name in sorted(selection.profiles)]
    return digest([__version__, rules.digest, chosen, {path: list(fields) for path, fields in CAUSE_FACTS.items()}])


def row_of(
    domain: str,
    facts: FactSet,
    rules: RuleSet,
    selection: Selection,
    labels: Mapping[str, str],
    name_servers: Sequence[str] | None,
    stale: Sequence[str] = (),
) -> FleetRow:
    """The judgement of one domain."""
    findings = judge_of(rules, catalogue(), selection).bare_findings(facts)
    assessment = assess(findings, selection.receivers or rules.providers, facts, rules, selection)
    return FleetRow(
        domain=domain,
        labels=labels,
        grade=assessment.grade,
        dns=assessment.dns.value if assessment.dns else None,
        parked=assessment.parked,
        verdicts={each.receiver: each.verdict.value for each in assessment.verdicts},
        findings=tuple(_finding(each, facts) for each in findings if _is_shown(each)),
        met=_rules(each for each in findings if each.outcome is Outcome.MET),
        waiting=_rules(each for each in findings if each.outcome is Outcome.UNKNOWN and each.waits_for_input),
        not_applicable=_rules(each for each in findings if each.outcome is Outcome.NOT_APPLICABLE),
        failed=has_failures(facts),
        unchecked=tuple(sorted(_unchecked(facts), key=lambda each: each.asked)),
        name_servers=None if name_servers is None else tuple(name_servers),
        stale=tuple(stale),
        facts={path: _fact(facts, path, fields) for path, fields in CAUSE_FACTS.items()},
        profiles={
            each.profile.id: {clause.clause: clause.state.value for clause in each.clauses}
            for each in judge_profiles(selection.profiles, facts, rules, catalogue())
        },
    )


def _is_shown(finding: Finding) -> bool:
    return finding.outcome is Outcome.UNMET or (finding.outcome is Outcome.UNKNOWN and not finding.waits_for_input)


def _finding(finding: Finding, facts: FactSet) -> FleetFinding:
    return FleetFinding(
        finding.rule,
        printable(finding.item),
        finding.outcome.value,
        finding.severity.value,
        fingerprint(finding.rule, finding.item, facts),
        finding.waiver.reason if finding.waiver else "",
    )


def _rules(findings: Iterator[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.rule for each in findings))


def _fact(facts: FactSet, path: str, fields: Sequence[str]) -> Any:
    value = facts.value(path)
    if not fields or isinstance(value, Unknown):
        return encode(value)
    return [{name: encode(each.get(name)) for name in fields} for each in records_of(value)]


def _unchecked(facts: FactSet) -> Iterator[Unchecked]:
    for item in facts.evidence.values():
        if is_failure(item.got):
            yield Unchecked(printable(item.asked), *_why(item.got[0]))


def _why(line: object) -> tuple[str, str]:
    """The reason of a failure, and the server that it names; empty where it says none."""
    found = {"reason": "", "server": ""}
    waiting = [line]
    while waiting:
        detail = waiting.pop()
        if isinstance(detail, Detail):
            for name, value in detail.args:
                if name in found and isinstance(value, str):
                    found[name] = found[name] or value
                waiting.append(value)
    return found["reason"], found["server"]


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
