"""Reports as JSON: the stable, language-free shape that other tools read.

What is unmet, and what failed to be checked, is there in full; what is met, does not apply or waits for an input in a
few fields, for that is most of what was judged, and the facts are in `deliv facts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deliverability.model.codec import JsonPieces, encode, encode_evidence, json_text, printable
from deliverability.model.opinion import SecondOpinion
from deliverability.model.report import (
    Case,
    Consequence,
    Finding,
    Gain,
    Judgement,
    Outcome,
    Remedy,
    Report,
    Verdict,
)
from deliverability.render.answer import Json, answer_json, edit_json, in_order, lack_json
from deliverability.render.formats import WriterOptions
from deliverability.view.report import ReportView
from deliverability.words.speaker import Speaker

# The shape of these reports as JSON Schema (draft 2020-12).
SCHEMA = Path(__file__).resolve().parent.parent / "data" / "report-4.schema.json"


def render_json(reports: Report | Sequence[Report]) -> str:
    """One object for one subject, an array for several; ends with a line end. Equal reports give equal bytes."""
    several = (reports,) if isinstance(reports, Report) else tuple(reports)
    writer = JsonWriter(len(several))
    return "".join(writer.write(each) for each in several) + writer.end()


def writer(speaker: Speaker, options: WriterOptions) -> JsonWriter:
    """The writer of this format."""
    return JsonWriter(options.subjects)


class JsonWriter:
    """An object for one subject, an array for several; what was written is not kept."""

    def __init__(self, subjects: int) -> None:
        self._pieces = JsonPieces(subjects, lambda value: _laid_out(value, 3))

    def report(self, view: ReportView) -> str:
        """The next report."""
        return self.write(view.report)

    def write(self, report: Report) -> str:
        """The same, without words."""
        return self._pieces.item(_report(report))

    def end(self) -> str:
        """What closes the document."""
        return self._pieces.end()


def _laid_out(value: Json, depth: int, indent: str = "") -> str:
    """JSON with a line for each part of what is not deeper than `depth`: each finding and each step has one."""
    more = indent + "  "
    match value:
        case dict() if value and depth and not all(map(_is_plain, value.values())):
            parts = [f"{json_text(key)}: {_laid_out(each, depth - 1, more)}" for key, each in value.items()]
        case list() if depth and not all(map(_is_plain, value)):
            parts = [json_text(each, compact=True) for each in value]
        case _:
            return json_text(value, compact=True)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{more}" + f",\n{more}".join(parts) + f"\n{indent}{closing}"


def _is_plain(value: Json) -> bool:
    return not isinstance(value, (dict, list))


def _report(report: Report) -> Json:
    subject: dict[str, Json] = {"domain": printable(report.domain), "message": printable(report.message) or None}
    subject |= {key: encode(report.inputs[key]) for key in sorted(report.inputs) if key not in subject}
    opinion = {"second_opinion": _opinion(report.second_opinion)} if report.second_opinion else {}
    return {
        "schema_version": report.schema_version,
        "subject": subject,
        **_answer(report),
        "answer": answer_json(report.answer),
        "findings": [_finding(each) for each in report.findings],
        "remedies": [_remedy(each) for each in report.remedies],
        "evidence": [encode_evidence(report.facts.evidence[ident]) for ident in sorted(report.facts.evidence)],
        "notes": [{"code": note.code, "values": encode(in_order(note.values))} for note in report.notes],
        **opinion,
        "facts_digest": report.facts_digest,
        "rules_digest": report.rules_digest,
        "run": {
            "version": report.run.version,
            "started": report.run.started,
            "sources": [printable(source) for source in report.run.sources],
        },
    }


def _opinion(opinion: SecondOpinion) -> Json:
    return {
        "compared": opinion.compared,
        "differences": [
            {
                "topic": each.topic,
                "subject": printable(each.subject),
                "aspect": each.aspect,
                "ours": encode(each.ours),
                "theirs": encode(each.theirs),
                "reason": each.reason,
                "said": printable(each.words),
            }
            for each in opinion.differences
        ],
        "unheard": [
            {"topic": each.topic, "subject": printable(each.subject), "why": each.why} for each in opinion.unheard
        ],
    }


def _answer(report: Report) -> dict[str, Json]:
    """The grade and the verdicts; or for a parked domain whether it is closed."""
    found = report.assessment
    shape: dict[str, Json] = {
        "grade": found.grade or None,
        "grade_open": found.open,
        "ungraded": None if found.ungraded is None else lack_json(found.ungraded),
        "judged": {
            "select": list(report.selection.select),
            "ignore": list(report.selection.ignore),
            "receivers": list(report.selection.receivers),
        },
    }
    if found.parked:
        return shape | {"closed": found.closed, "open": list(found.ways)}
    if found.dns is not None:
        shape["dns"] = found.dns.value
    return shape | {"verdicts": [_verdict(each, message=found.dns is None) for each in report.verdicts]}


def _verdict(verdict: Verdict, *, message: bool) -> Json:
    shape: dict[str, Json] = {
        "receiver": verdict.receiver,
        "verdict": verdict.verdict.value,
        "effects": [_consequence(each) for each in verdict.effects],
        "requirements": {
            "named": verdict.requirements.named,
            "met": verdict.requirements.met,
            "unmet": verdict.requirements.unmet,
            "open": verdict.requirements.open,
        },
        "remarks": [_consequence(each) for each in verdict.remarks],
        "open": [_consequence(each) for each in verdict.open],
        "codes": list(verdict.codes),
        "lacks": [lack_json(each) for each in verdict.lacks],
    }
    if verdict.if_small is not None and verdict.if_bulk is not None:
        shape |= {"if_small": _case(verdict.if_small), "if_bulk": _case(verdict.if_bulk)}
    if not message:
        broken = dict.fromkeys(each.rule for each in verdict.effects)
        shape["dns"] = {"rules": list(broken), "missing": list(verdict.missing)}
    return shape


def _case(case: Case) -> Json:
    return {"verdict": case.verdict.value, "effects": [_consequence(each) for each in case.effects]}


def _consequence(consequence: Consequence) -> Json:
    return {
        "rule": consequence.rule,
        "item": printable(consequence.item),
        "effect": consequence.effect.value,
        "codes": list(consequence.codes),
        "contested": consequence.contested,
    }


def _finding(finding: Finding) -> Json:
    if finding.outcome in (Outcome.MET, Outcome.NOT_APPLICABLE) or finding.waits_for_input:
        return _in_short(finding)
    shape: dict[str, Json] = {
        "rule": finding.rule,
        "name": finding.name,
        "topic": finding.topic,
        "item": printable(finding.item),
        "outcome": finding.outcome.value,
        "severity": finding.severity.value,
        "scope": finding.scope.value,
        "used": finding.used,
        "guide": list(finding.guide),
        "observed": encode(in_order(finding.observed)),
        "limits": encode(in_order(finding.limits)),
        "evidence": [printable(ident) for ident in finding.evidence],
        "judgements": [_judgement(each) for each in finding.judgements],
    }
    if finding.unknown is not None:
        shape["unknown"] = encode(finding.unknown)
    shape["fingerprint"] = finding.fingerprint
    if finding.waiver is not None:
        shape["waiver"] = {
            "reason": finding.waiver.reason,
            "note": printable(finding.waiver.note),
            "until": finding.waiver.until or None,
        }
    shape["gains"] = [_gain(each) for each in finding.gains]
    return shape


def _in_short(finding: Finding) -> Json:
    """What nobody has to mend: the receivers that ask for it, and what it waits for."""
    shape: dict[str, Json] = {
        "rule": finding.rule,
        "item": printable(finding.item),
        "outcome": finding.outcome.value,
        "receivers": list(dict.fromkeys(each.receiver for each in finding.judgements)),
    }
    if finding.unknown is not None:
        shape["unknown"] = encode(finding.unknown)
    return shape


def _gain(gain: Gain) -> Json:
    """What changes for one receiver."""
    return {
        "receiver": gain.receiver,
        "before": gain.before.value,
        "after": gain.after.value,
    }


def _remedy(remedy: Remedy) -> Json:
    return {
        "rule": remedy.rule,
        "item": printable(remedy.item),
        "code": remedy.code,
        "values": encode(in_order(remedy.values)),
        "care": remedy.care.value,
        "edits": [edit_json(each) for each in remedy.edits],
        "mends": list(remedy.mends),
        "opens": list(remedy.opens),
        "changes": [
            {"fact": each.path, "before": encode(each.before), "after": encode(each.after)} for each in remedy.changes
        ],
        "gains": [_gain(each) for each in remedy.gains],
    }


def _judgement(judgement: Judgement) -> Json:
    # By far the most numerous of all: its words are text already, to take their values would only take time.
    return {
        "receiver": judgement.receiver,
        "outcome": judgement.outcome,
        "severity": judgement.severity,
        "effect": judgement.effect,
        "codes": list(judgement.codes),
        "contested": judgement.contested,
        "volume": judgement.volume,
    }
