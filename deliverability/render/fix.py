"""`deliv fix`: the plans of reports as plain text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deliverability.model.answer import PlanStep
from deliverability.model.codec import json_text
from deliverability.model.report import Care, RecordEdit
from deliverability.render.answer import Json, step_json
from deliverability.render.paper import Paper
from deliverability.render.steps import FULL, step_lines
from deliverability.view.fixes import NEW_KEY, left_out, up_to
from deliverability.view.records import with_value
from deliverability.view.report import ReportView
from deliverability.words.sentences import visible
from deliverability.words.steps import step_words

SCHEMA_VERSION = "2.0"


def fix_text(view: ReportView, care: Care, paper: Paper) -> str:
    """The plan: every step by its number, those for mail that the domain receives last."""
    say, plan = view.speaker.say, view.report.answer.plan
    chosen = {step.number for step in up_to(plan, care)}
    lines = [view.subject]
    for heading, steps in (
        ("", (*view.plan.steps, *view.plan.folded)),
        (view.plan.received_heading, view.plan.received),
    ):
        shown = [step for step in steps if step.number in chosen]
        lines += ["", paper.heading(heading)[1]] if heading and shown else []
        for step in shown:
            lines += ["", *step_lines(step, FULL, paper, say)]
    if not chosen:
        lines += ["", *paper.paragraph(say("fix.left-for-care") if plan else view.plan.heading)]
    if any(step.task == NEW_KEY for step in plan):
        lines += ["", *paper.paragraph(say("fix.new-key", command=f"deliv dkim-keygen {view.domain}"))]
    return paper.text(lines)


def left_out_words(view: ReportView, chosen: Sequence[PlanStep]) -> str:
    """Which steps are not written, and why; empty: all are."""
    say = view.speaker.say
    left = left_out(view.report, chosen)
    reasons = [
        say(f"fix.left.{reason.value}", steps=say("value.separator").join(map(str, numbers)))
        for reason, numbers in left.items()
    ]
    return say("fix.left-out", domain=view.domain, steps=say("punctuation.clauses").join(reasons)) if reasons else ""


def fix_json(several: Sequence[ReportView], care: Care) -> str:
    """The plan of each report with its words, and one final record for each name that its steps edit."""
    document: dict[str, Json] = {"schema_version": SCHEMA_VERSION, "plan": [], "records": []}
    plan: list[Json] = []
    records: list[Json] = []
    for view in several:
        report, speaker = view.report, view.speaker
        chosen = up_to(report.answer.plan, care)
        subject: dict[str, Json] = {
            "domain": visible(report.domain),
            "message": visible(report.message) or None,
        }
        for step in chosen:
            words = step_words(step, report, speaker)
            shape: dict[str, Json] = {
                "what": words.what,
                "where": words.where,
                "how": list(words.how),
                "entry": list(words.entry),
                "fields": list(words.fields),
                "files": ["\n".join(lines) + "\n" for lines in words.files],
                "hand_over": list(words.hand_over),
            }
            plan.append(subject | step_json(step) | shape)
        records += (subject | each for each in _final_records(chosen))
    document |= {"plan": plan, "records": records}
    return json_text(document, indent=2) + "\n"


def _final_records(plan: Iterable[PlanStep]) -> Iterator[dict[str, Json]]:
    """What stands at each name once all steps are done, and what stands there now."""
    edits: dict[tuple[str, str], list[tuple[int, RecordEdit]]] = {}
    for step in plan:
        for edit in step.edits:
            edits.setdefault((edit.name, edit.type), []).append((step.number, edit))
    for (name, rdtype), steps in edits.items():
        yield {
            "name": name,
            "type": rdtype,
            "values": [with_value(rdtype, value) for value in steps[-1][1].new],
            "replaces": list(steps[0][1].old),
            "steps": [number for number, _ in steps],
        }
