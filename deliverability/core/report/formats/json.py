"""Reports as JSON: the stable, language-free shape that other tools read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from deliverability.core.codec import JsonPieces, encode, encode_evidence, json_text, printable
from deliverability.core.facts.base import Value
from deliverability.core.files import PACKAGE
from deliverability.core.model.answer import (
    FindingId,
    GuideStep,
    PlanStep,
    ReceiverEffect,
    ReceiverGroup,
    ReportAnswer,
    Tile,
)
from deliverability.core.model.claims import Lack
from deliverability.core.model.deliveries import Audience, Part
from deliverability.core.model.report import (
    Case,
    Consequence,
    Finding,
    Gain,
    Judgement,
    Outcome,
    RecordEdit,
    Remedy,
    Report,
    SecondOpinion,
    Verdict,
)
from deliverability.core.report.formats.table import WriterOptions
from deliverability.core.report.profiles import profile_json
from deliverability.core.report.report import ReportView
from deliverability.core.words.speaker import Speaker

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def answer_json(answer: ReportAnswer) -> Json:
    """The answer in the shape of the report's schema."""
    return {
        "reach": answer.reach.value,
        "unanswered": [
            {"type": each.type, "name": printable(each.name), "unknown": encode(each.unknown)}
            for each in answer.unanswered
        ],
        "assumed": [
            {"input": each.input.value, "value": encode(each.value), "because": list(each.because)}
            for each in answer.assumed
        ],
        "groups": [_group(each) for each in answer.groups],
        "tiles": [_tile(each) for each in answer.tiles],
        "plan": [step_json(each) for each in answer.plan],
        "policy_waits": [each.value for each in answer.policy_waits],
        "guide": [_guide(each) for each in answer.guide],
        "waits": [
            {"input": each.input.value if each.input else "message", "findings": each.findings} for each in answer.waits
        ],
        "sends_nothing": answer.sends_nothing,
        "earned": [*sorted(answer.earned)],
    }


def step_json(step: PlanStep) -> dict[str, Json]:
    """A step of the plan."""
    return {
        "number": step.number,
        "task": step.task or None,
        "remedy": step.remedy or None,
        "place": step.place.value,
        "at": printable(step.at) or None,
        "services": list(step.services),
        "settles": _findings(step.findings),
        "values": encode(in_order(step.values)),
        "edits": [edit_json(each) for each in step.edits],
        "gains": [
            {
                "receivers": list(each.receivers),
                "before": each.before.value,
                "effects": _effects(each.effects),
                "after": each.after.value if each.after else None,
                "after_effects": _effects(each.after_effects),
                "with_steps": list(each.with_steps),
            }
            for each in step.gains
        ],
        "changes": [
            {"fact": each.path, "before": encode(each.before), "after": encode(each.after)} for each in step.changes
        ],
        "care": step.care.value,
        "condition": step.condition or None,
        "follows": list(step.follows),
        "scope": step.scope.value,
        "severity": step.severity.value,
        "beside": step.beside,
        "checked_at": printable(step.checked_at) or None,
        "folded": step.folded,
    }


def edit_json(edit: RecordEdit) -> Json:
    """A record set before and after."""
    return {
        "name": printable(edit.name),
        "type": edit.type,
        "old": [printable(value) for value in edit.old],
        "new": [printable(value) for value in edit.new],
    }


def _group(group: ReceiverGroup) -> Json:
    shape: dict[str, Json] = {
        "kind": group.kind.value,
        "effects": _effects(group.effects),
        "receivers": list(group.receivers),
        "deciding": _findings(group.deciding),
        "codes": list(group.codes),
        "step": group.step,
        "same_cause": group.same_cause,
        "bulk_only": group.bulk_only,
        "requirements": {"checked": group.checked, "met": group.met, "remarks": group.remarks},
        "lacks": [lack_json(each) for each in group.lacks],
    }
    if group.small is not None and group.bulk is not None:
        shape |= {"small": group.small.value, "bulk": group.bulk.value, "bulk_from": group.bulk_from}
    return shape


def _tile(tile: Tile) -> Json:
    shape: dict[str, Json] = {
        "topic": tile.topic.value,
        "state": tile.state.value,
        "facts": encode(in_order(tile.facts)),
        "services": list(tile.services),
        "findings": _findings(tile.findings),
        "step": tile.step,
        "inbound": tile.inbound,
    }
    if tile.lack is not None:
        shape["lack"] = lack_json(tile.lack)
    return shape | {"why": encode(tile.why)} if tile.why is not None else shape


def lack_json(lack: Lack) -> Json:
    """What keeps a good statement from being made."""
    shape: dict[str, Json] = {"claim": lack.claim, "requirement": lack.requirement, "rules": list(lack.rules)}
    return shape | {"unknown": encode(lack.unknown)} if lack.unknown is not None else shape


def _guide(step: GuideStep) -> Json:
    shape: dict[str, Json] = {
        "key": step.key,
        "state": step.state.value,
        "because": step.because.value,
        "steps": list(step.steps),
        "findings": _findings(step.findings),
    }
    return shape | {"unknown": encode(step.unknown)} if step.unknown is not None else shape


def _findings(findings: Iterable[FindingId]) -> list[Json]:
    return [{"rule": each.rule, "item": printable(each.item)} for each in findings]


def _effects(effects: Iterable[ReceiverEffect]) -> list[Json]:
    return [{"effect": each.effect.value, "contested": each.contested} for each in effects]


def in_order(values: Mapping[str, Value]) -> Mapping[str, Value]:
    """The same, sorted by name."""
    return {key: values[key] for key in sorted(values)}


# The shape of these reports as JSON Schema (draft 2020-12).
SCHEMA = PACKAGE / "data" / "report-4.schema.json"


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
        self._pieces = JsonPieces(subjects, laid_out)

    def report(self, view: ReportView) -> str:
        """The next report."""
        return self.write(view.report)

    def write(self, report: Report) -> str:
        """The same, without words."""
        return self._pieces.item(report_json(report))

    def end(self) -> str:
        """What closes the document."""
        return self._pieces.end()


def laid_out(report: Json) -> str:
    """A report as JSON text, without the line end."""
    return _laid_out(report, 3)


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


def report_json(report: Report) -> dict[str, Json]:
    """A report in the shape of its schema."""
    subject: dict[str, Json] = {"domain": printable(report.domain), "message": printable(report.message) or None}
    subject |= {key: encode(report.inputs[key]) for key in sorted(report.inputs) if key not in subject}
    opinion = {"second_opinion": _opinion(report.second_opinion)} if report.second_opinion else {}
    return {
        "schema_version": report.schema_version,
        "subject": subject,
        **_answer(report),
        "answer": answer_json(report.answer),
        **({"audience": _audience(report.audience)} if report.audience is not None else {}),
        "findings": [_finding(each) for each in report.findings],
        "remedies": [_remedy(each) for each in report.remedies],
        "evidence": [encode_evidence(report.facts.evidence[ident]) for ident in sorted(report.facts.evidence)],
        "notes": [{"code": note.code, "values": encode(in_order(note.values))} for note in report.notes],
        **opinion,
        **({"profiles": [profile_json(each) for each in report.profiles]} if report.profiles else {}),
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


def _audience(audience: Audience) -> Json:
    def part(found: Part) -> dict[str, Json]:
        return {"recipients": found.recipients if audience.counted else None, "domains": found.domains}

    return {
        **part(audience.all),
        "receivers": [{"receiver": ident, **part(found)} for ident, found in audience.receivers.items()],
        "elsewhere": part(audience.elsewhere),
        "no_mail": part(audience.no_mail),
        "failed": part(audience.failed),
        "not_asked": part(audience.not_asked),
        "unreadable": audience.unreadable,
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
            "default": not report.selection.receivers,
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
