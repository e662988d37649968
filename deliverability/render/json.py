"""Reports as JSON: the stable, language-free shape that other tools read. May import model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from deliverability.model.facts import Evidence, Unknown, Value
from deliverability.model.report import Finding, Judgement, Report, Verdict

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def render_json(reports: Report | Sequence[Report]) -> str:
    """One object for one subject, an array for several; ends with a line end. Equal reports give equal bytes."""
    several = (reports,) if isinstance(reports, Report) else tuple(reports)
    document: Json = _report(several[0]) if len(several) == 1 else [_report(each) for each in several]
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def value_json(value: Value) -> Json:
    """A fact's value; one that could not be established becomes ``{"unknown": reason, "detail": text}``."""
    match value:
        case Unknown():
            return {"unknown": value.reason.value, "detail": _text(value.detail)}
        case str():
            return _text(value)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {_text(key): value_json(item) for key, item in value.items()}
        case _:
            return [value_json(item) for item in value]


def evidence_json(evidence: Evidence) -> Json:
    """One raw observation."""
    return {
        "id": _text(evidence.id),
        "kind": evidence.kind.value,
        "asked": _text(evidence.asked),
        "got": [_text(line) for line in evidence.got],
        "at": evidence.at,
        "ttl": evidence.ttl,
    }


def _report(report: Report) -> Json:
    subject: dict[str, Json] = {"domain": _text(report.domain), "message": _text(report.message) or None}
    subject |= {key: value_json(report.inputs[key]) for key in sorted(report.inputs) if key not in subject}
    return {
        "schema_version": report.schema_version,
        "subject": subject,
        "verdicts": [_verdict(each) for each in report.verdicts],
        "findings": [_finding(each, report) for each in report.findings],
        "evidence": [evidence_json(report.facts.evidence[ident]) for ident in sorted(report.facts.evidence)],
        "notes": [{"code": note.code, "values": value_json(_sorted(note.values))} for note in report.notes],
        "facts_digest": report.facts_digest,
        "rules_digest": report.rules.digest,
        "run": {
            "version": report.run.version,
            "started": report.run.started,
            "sources": [_text(source) for source in report.run.sources],
        },
    }


def _verdict(verdict: Verdict) -> Json:
    return {
        "receiver": verdict.receiver,
        "verdict": verdict.verdict.value,
        "grade": verdict.grade,
        "complete": verdict.complete,
        "caps": [
            {"grade": cap.grade, "rule": cap.rule, "item": _text(cap.item), "outcome": cap.outcome.value}
            for cap in verdict.caps
        ],
        "unknown": list(verdict.unknown),
        "waiting": list(verdict.waiting),
    }


def _finding(finding: Finding, report: Report) -> Json:
    rule = report.rules.rules.get(finding.rule)
    shape: dict[str, Json] = {
        "rule": finding.rule,
        "name": rule.name if rule else "",
        "topic": rule.topic if rule else "",
        "item": _text(finding.item),
        "outcome": finding.outcome.value,
        "severity": finding.severity.value,
        "observed": value_json(_sorted(finding.observed)),
        "limits": value_json(_sorted(finding.limits)),
        "evidence": [_text(ident) for ident in finding.evidence],
        "judgements": [_judgement(each) for each in finding.judgements],
    }
    if finding.unknown is not None:
        shape["unknown"] = value_json(finding.unknown)
    shape["fingerprint"] = finding.fingerprint
    return shape


def _judgement(judgement: Judgement) -> Json:
    return {
        "receiver": judgement.receiver,
        "outcome": judgement.outcome.value,
        "severity": judgement.severity.value,
        "effect": judgement.effect.value,
        "codes": list(judgement.codes),
        "waits_for": judgement.waits_for,
    }


def _sorted(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {key: values[key] for key in sorted(values)}


def _text(text: str) -> str:
    """Text that UTF-8 can carry: lone surrogates (undecodable octets of a message) are written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
