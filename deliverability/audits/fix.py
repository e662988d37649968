"""`deliv fix`: the plan, and the records of it in the forms that people paste."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.audits.fixes import fix_json, fix_text, in_own_zone, left_out_words
from deliverability.console.command import Command
from deliverability.console.inputs import read_inputs
from deliverability.console.judging import Judging
from deliverability.console.language import columns
from deliverability.console.options import (
    file_option,
    input_options,
    judging_options,
    lang_option,
    plain_errors,
    rule_problems,
)
from deliverability.console.output import put
from deliverability.console.running import run_reports
from deliverability.console.types import NumberType, OneOf
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.model.report import Care
from deliverability.core.report import records
from deliverability.core.report.paper import Paper
from deliverability.core.report.report import ReportView
from deliverability.engine.audit import Extras
from deliverability.engine.remedies.records import published

if TYPE_CHECKING:
    from deliverability.core.model.report import Care, RecordEdit, Report
    from deliverability.core.report.report import ReportView
    from deliverability.engine.audit import Audited

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
    with plain_errors():
        inputs = read_inputs(params)
        others = {"style": None, "output": (), "fail_on": None, "trace": False, "whole": False}
        with rule_problems():
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
