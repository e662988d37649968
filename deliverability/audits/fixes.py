"""Which steps of a plan `deliv fix` writes, why the others are left out, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from deliverability.core.codec import json_text
from deliverability.core.facts.dmarc import DmarcDiscovery
from deliverability.core.model.answer import PlanStep
from deliverability.core.model.report import Care, RecordEdit, Report
from deliverability.core.model.topic import if_known
from deliverability.core.names import is_within
from deliverability.core.report.formats.json import Json, step_json
from deliverability.core.report.formats.text import FULL, step_lines
from deliverability.core.report.paper import Paper
from deliverability.core.report.records import with_value
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.steps import step_words

NEW_KEY = "new-key"
"""The task of making and publishing a new DKIM key."""


class Left(StrEnum):
    """Why a step is not among the records that are written."""

    NO_RECORD = "no-record"
    CARE = "care"
    ELSEWHERE = "elsewhere"


def up_to(plan: Iterable[PlanStep], care: Care) -> tuple[PlanStep, ...]:
    """The steps that need no more care than that, and continue the record of none that does; their numbers stay."""
    order = tuple(Care)
    left: set[int] = set()
    chosen = []
    for step in plan:
        if order.index(step.care) > order.index(care) or not left.isdisjoint(step.follows):
            left.add(step.number)
        else:
            chosen.append(step)
    return tuple(chosen)


def in_own_zone(report: Report, care: Care) -> tuple[PlanStep, ...]:
    """The steps that edit records in zones of the domain, and need no more care than that."""
    return tuple(step for step in up_to(report.answer.plan, care) if step.edits and _at_home(step, report))


def left_out(report: Report, chosen: Sequence[PlanStep]) -> Mapping[Left, tuple[int, ...]]:
    """The numbers of the other steps, by the reason."""
    numbers = {step.number for step in chosen}
    found: dict[Left, list[int]] = {}
    for step in report.answer.plan:
        if step.number not in numbers:
            reason = Left.NO_RECORD if not step.edits else Left.CARE if _at_home(step, report) else Left.ELSEWHERE
            found.setdefault(reason, []).append(step.number)
    return {reason: tuple(steps) for reason, steps in found.items()}


def _at_home(step: PlanStep, report: Report) -> bool:
    """Whether all of it stands in zones of the domain: the consent of a report host and PTR records do not."""
    home = if_known(report.facts.of(DmarcDiscovery).organizational_domain_psl) or ""
    return bool(home) and all(is_within(edit.name, home) for edit in step.edits)


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
