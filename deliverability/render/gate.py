"""`deliv gate` as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deliverability.model.codec import encode, json_text
from deliverability.model.facts import FactSet
from deliverability.model.gate import GateAnswer
from deliverability.render.answer import Json
from deliverability.render.paper import Paper
from deliverability.render.steps import record_lines
from deliverability.view.gate import GateView
from deliverability.words.phrases import Phrases

SCHEMA_VERSION = "1.0"
_COUNTS = (
    *("begin", "end", "days", "span_days", "reports", "messages", "yours", "would_fail"),
    *("forwarded", "altered", "unclaimed", "forged"),
    *("own.messages", "own.aligned", "own.aligned_percent", "own.aligned_low", "own.dkim_low"),
)


def gate_text(view: GateView, paper: Paper, say: Phrases) -> str:
    """One domain: the answer, what the policy would have done, what is missing and what to do, or the record."""
    lines = [*paper.hang(view.headline, f"{paper.symbol(view.tone)} ")]
    if view.would:
        lines += ["", *paper.paragraph(view.would, 2)]
    if view.conditions:
        lines += paper.heading(say("gate.missing"))
    for each in view.conditions:
        lines += [*paper.hang(f"{each.text} [{each.rule}]", f"{paper.symbol(each.tone)} ")]
        for step in each.do:
            lines += [*paper.step(step.replace("`", ""), f"  {paper.symbol('to')} ")]
    if view.earliest:
        lines += ["", *paper.paragraph(view.earliest, 2)]
    if view.step is not None:
        lines += paper.heading(say("gate.publish"))
        for record in view.step.records:
            lines += record_lines(record, 2, paper, say)
    return paper.text(lines)


def gates_text(views: Iterable[GateView], paper: Paper) -> str:
    """Many domains, a line each."""
    return paper.text(line for view in views for line in paper.hang(view.headline, f"{paper.symbol(view.tone)} "))


def gates_json(several: Sequence[tuple[GateView, GateAnswer | None, FactSet]]) -> str:
    """The answers with their numbers, codes and words."""
    shape: dict[str, Json] = {"schema_version": SCHEMA_VERSION, "gates": [_gate(*each) for each in several]}
    return json_text(shape, indent=2) + "\n"


def _gate(view: GateView, answer: GateAnswer | None, facts: FactSet) -> Json:
    findings = (*answer.missing, *answer.open) if answer is not None else ()
    return {
        "domain": view.domain,
        "to": view.to or None,
        "answer": view.kind or None,
        "text": view.headline,
        "would": view.would or None,
        "earliest": view.earliest_day.isoformat() if view.earliest_day else None,
        "traffic": {name: encode(facts.at(f"traffic.{name}")) for name in _COUNTS},
        "missing": [
            {
                "rule": each.rule,
                "item": each.item or None,
                "outcome": each.outcome.value,
                "observed": {path: encode(value) for path, value in each.observed.items()},
                "limits": {name: encode(value) for name, value in each.limits.items()},
                "unknown": encode(each.unknown) if each.unknown is not None else None,
            }
            for each in findings
        ],
        "words": [{"rule": each.rule, "text": each.text, "do": list(each.do)} for each in view.conditions],
        "records": [
            {"name": record.name, "type": record.type, "values": list(record.new), "replaces": list(record.old)}
            for record in (view.step.records if view.step is not None else ())
        ],
    }
