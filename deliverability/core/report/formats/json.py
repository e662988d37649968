"""Reports as JSON: the stable, language-free shape that other tools read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from deliverability.core.codec import (
    JsonPieces,
    encode,
    encode_evidence,
    encode_fields,
    encode_texts,
    json_text,
    printable,
)
from deliverability.core.facts.base import Unknown, Value
from deliverability.core.files import PACKAGE
from deliverability.core.model.answer import PlanStep, ReceiverGroup, ReportAnswer, Tile
from deliverability.core.model.claims import Lack
from deliverability.core.model.deliveries import Audience, Part
from deliverability.core.model.report import (
    Case,
    Consequence,
    FactChange,
    Finding,
    Judgement,
    Outcome,
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
        **encode_fields(answer, "reach", "unanswered", "assumed"),
        "mail": {
            **encode_fields(answer.mail, "purpose", "basis", "signs"),
            "as_bulk": None if answer.mail.as_bulk is None else [_group(each) for each in answer.mail.as_bulk],
        },
        "groups": [_group(each) for each in answer.groups],
        "tiles": [_tile(each) for each in answer.tiles],
        "plan": [step_json(each) for each in answer.plan],
        "policy_waits": encode(answer.policy_waits),
        "guide": [_with_unknown(encode_fields(each, *_GUIDE), each.unknown) for each in answer.guide],
        "waits": [
            {"input": each.input.value if each.input else "message", "findings": each.findings} for each in answer.waits
        ],
        "sends_nothing": answer.sends_nothing,
        "earned": [*sorted(answer.earned)],
    }


_GUIDE = ("key", "state", "because", "steps", "findings")


def step_json(step: PlanStep) -> dict[str, Json]:
    """A step of the plan."""
    return {
        "number": step.number,
        **encode_texts(step, "task", "remedy"),
        "place": step.place.value,
        **encode_texts(step, "at"),
        "services": list(step.services),
        "settles": encode(step.findings),
        "values": encode(in_order(step.values)),
        **encode_fields(step, "edits", "gains"),
        "changes": _changes(step.changes),
        "care": step.care.value,
        **encode_texts(step, "condition"),
        **encode_fields(step, "follows", "scope", "severity", "beside"),
        **encode_texts(step, "checked_at"),
        "folded": step.folded,
    }


def _changes(changes: Iterable[FactChange]) -> Json:
    return [{"fact": each.path, **encode_fields(each, "before", "after")} for each in changes]


def _group(group: ReceiverGroup) -> Json:
    shape: dict[str, Json] = {
        **encode_fields(group, "kind", "effects", "receivers", "deciding", "codes", "steps", "same_cause", "bulk_only"),
        "requirements": encode_fields(group, "checked", "met", "remarks"),
        "lacks": [lack_json(each) for each in group.lacks],
    }
    if group.small is not None and group.bulk is not None:
        shape |= encode_fields(group, "small", "bulk", "bulk_from")
    return shape


def _tile(tile: Tile) -> Json:
    shape: dict[str, Json] = {
        **encode_fields(tile, "topic", "state"),
        "facts": encode(in_order(tile.facts)),
        **encode_fields(tile, "services", "findings", "step", "inbound"),
    }
    if tile.lack is not None:
        shape["lack"] = lack_json(tile.lack)
    return shape | {"why": encode(tile.why)} if tile.why is not None else shape


def lack_json(lack: Lack) -> Json:
    """What keeps a good statement from being made."""
    return _with_unknown(encode_fields(lack, "claim", "requirement", "rules"), lack.unknown)


def _with_unknown(shape: dict[str, Json], unknown: Unknown | None) -> dict[str, Json]:
    return shape if unknown is None else shape | {"unknown": encode(unknown)}


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
        "run": encode_fields(report.run, "version", "started", "sources"),
    }


def _opinion(opinion: SecondOpinion) -> Json:
    return {
        "compared": opinion.compared,
        "differences": encode(opinion.differences),
        "unheard": encode(opinion.unheard),
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
            **encode_fields(report.selection, "select", "ignore", "receivers"),
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
        **encode_fields(verdict, "receiver", "verdict"),
        "effects": _consequences(verdict.effects),
        "requirements": encode(verdict.requirements),
        "remarks": _consequences(verdict.remarks),
        "open": _consequences(verdict.open),
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
    return {"verdict": case.verdict.value, "effects": _consequences(case.effects)}


def _consequences(several: Iterable[Consequence]) -> Json:
    return [encode_fields(each, "rule", "item", "effect", "codes", "contested") for each in several]


_LEADING = ("rule", "name", "topic", "item", "outcome", "severity", "scope", "used", "guide")


def _finding(finding: Finding) -> Json:
    if finding.outcome in (Outcome.MET, Outcome.NOT_APPLICABLE) or finding.waits_for_input:
        return _in_short(finding)
    shape = _with_unknown(
        {
            **encode_fields(finding, *_LEADING),
            "observed": encode(in_order(finding.observed)),
            "limits": encode(in_order(finding.limits)),
            "evidence": encode(finding.evidence),
            "judgements": [_judgement(each) for each in finding.judgements],
        },
        finding.unknown,
    )
    shape["fingerprint"] = finding.fingerprint
    if finding.waiver is not None:
        shape["waiver"] = encode_fields(finding.waiver, "reason", "note") | encode_texts(finding.waiver, "until")
    return shape | {"gains": encode(finding.gains)}


def _in_short(finding: Finding) -> Json:
    """What nobody has to mend: the receivers that ask for it, and what it waits for."""
    # Most findings are told so: what is text already is taken as it is.
    shape: dict[str, Json] = {"rule": finding.rule, "item": printable(finding.item), "outcome": finding.outcome}
    shape["receivers"] = list(dict.fromkeys(each.receiver for each in finding.judgements))
    return _with_unknown(shape, finding.unknown)


def _remedy(remedy: Remedy) -> Json:
    return {
        **encode_fields(remedy, "rule", "item", "code"),
        "values": encode(in_order(remedy.values)),
        **encode_fields(remedy, "care", "edits", "mends", "opens"),
        "changes": _changes(remedy.changes),
        "gains": encode(remedy.gains),
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
