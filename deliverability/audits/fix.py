"""`deliv fix`: the plan, and the records of it in the forms that people paste."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import read_inputs
from deliverability.console.judging import Judging, run_reports
from deliverability.console.language import columns
from deliverability.console.options import (
    file_option,
    input_options,
    judging_options,
    lang_option,
)
from deliverability.console.output import put
from deliverability.console.types import NumberType, OneOf
from deliverability.core.codec import json_text
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.facts.dmarc import DmarcDiscovery
from deliverability.core.model.answer import PlanStep
from deliverability.core.model.report import Care, RecordEdit, Report
from deliverability.core.model.topic import if_known
from deliverability.core.names import is_within
from deliverability.core.report import records
from deliverability.core.report.formats.json import Json, step_json
from deliverability.core.report.formats.text import FULL, step_lines
from deliverability.core.report.paper import Paper
from deliverability.core.report.records import with_value
from deliverability.core.report.report import ReportView
from deliverability.core.words.sentences import visible
from deliverability.core.words.steps import step_words
from deliverability.engine.audit import Audited, Extras
from deliverability.engine.remedies.records import published

ONE_DOMAIN = Code("hand-over-one-domain")
NO_STEP = Code("hand-over-no-step", ("n", "last"))
EMPTY_PLAN = Code("hand-over-empty-plan")
OWN_STEP = Code("hand-over-own-step", ("n",))
_CARES = ("safe", "careful", "last-resort")


@click.command("fix", cls=Command)
@input_options
@judging_options
@click.option(
    "--format",
    "style",
    type=OneOf(["text", "json", "zone", "terraform", "route53", "cloudflare"]),
    default="text",
    show_default=True,
)
@click.option("--care", type=OneOf(_CARES))
@click.option("--hand-over", type=NumberType(int, 1), metavar="N")
@file_option
@lang_option
def command(style: str, care: str | None, hand_over: int | None, output: Path | None, **params: Any) -> int:
    """Print the plan of the report: what to do, where, and the exact records, with the same numbers."""
    inputs = read_inputs(params)
    others = {"style": None, "output": (), "fail_on": None, "trace": False, "whole": False}
    judging = Judging.of(params | others, inputs.settings)
    speaker = judging.speaker

    def each(_: Audited, report: Report) -> ReportView:
        return ReportView(report, speaker)

    views = run_reports(inputs, judging.rules, judging.selection, each, Extras(remedies=True))
    least = "last-resort" if style in ("text", "json") else "safe"
    text = _hand_over_text(views, hand_over) if hand_over else _written(style, views, Care(care or least))
    put(text, output)
    return 3 if any(view.report.failures for view in views) else inputs.code


def _hand_over_text(views: list[ReportView], number: int) -> str:
    """The text to send about one step. Raises InputError where there is none."""
    if len(views) != 1:
        raise InputError(ONE_DOMAIN())
    steps = {step.number: step for step in views[0].plan.all}
    if number not in steps:
        raise InputError(NO_STEP(n=number, last=len(steps)) if steps else EMPTY_PLAN())
    if not steps[number].hand_over:
        raise InputError(OWN_STEP(n=number))
    return "\n".join(steps[number].hand_over) + "\n"


def _written(style: str, views: list[ReportView], care: Care) -> str:
    if style == "json":
        return fix_json(views, care)
    if style == "text":
        paper = Paper.of_terminal(columns())
        return "\n".join(fix_text(view, care, paper) for view in views)
    return _records(style, views, care)


def _records(style: str, views: list[ReportView], care: Care) -> str:
    """One final record a name; on standard error which steps were left out."""
    steps: dict[tuple[RecordEdit, ...], str] = {}
    for view in views:
        chosen = in_own_zone(view.report, care)
        gap = view.speaker.say("punctuation.gap")
        titles = {step.number: gap.join(filter(None, (step.what, step.condition))) for step in view.plan.all}
        for step in chosen:
            steps.setdefault(step.edits, f"{step.number} {titles[step.number]}")
        if words := left_out_words(view, chosen):
            click.echo(words, err=True)
    sets = records.record_sets(steps.items(), _published([view.report for view in views]))
    say = views[0].speaker.say
    incomplete = any(view.report.failures for view in views)
    domains = " ".join(dict.fromkeys(view.domain for view in views))
    empty = [] if sets else [say("fix.nothing-incomplete" if incomplete else "fix.none-here")]
    heading = [f"deliv fix {domains}", *empty]
    if style == "route53":
        return records.route53(sets, heading[0])
    if style == "terraform":
        return records.terraform(sets, heading)
    return records.cloudflare(sets, heading) if style == "cloudflare" else records.zone_lines(sets, heading)


def _published(reports: list[Report]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What stands now at the places of all steps, as far as the audits saw it."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for report in reports:
        for edit in (edit for step in report.answer.plan for edit in step.edits):
            place = published(report.facts, edit.name, edit.type)
            if place is not None and place.name == edit.name:
                found[edit.name, edit.type] = place.values
    return found


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
