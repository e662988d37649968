"""`deliv fix`: just the records to publish."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.cli.options import (
    file_option,
    input_options,
    judging_options,
    plain_errors,
    rule_problems,
    settings_lang_option,
)

if TYPE_CHECKING:
    from deliverability.model.report import Care, Remedy, Report
    from deliverability.runs.engine import Audited
    from deliverability.view.fixes import FixView
    from deliverability.words.sentences import Phrases

_CARES = ("safe", "careful", "last-resort")


@click.command("fix")
@input_options
@judging_options
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "zone", "terraform", "route53", "cloudflare"]),
    default="text",
    show_default=True,
    help="How to write the records.",
)
@click.option(
    "--care",
    type=click.Choice(_CARES),
    help="Up to which care remedies are written [default: all; safe in the formats that are made to be applied].",
)
@file_option
@settings_lang_option
def command(style: str, care: str | None, output: Path | None, **params: Any) -> int:
    """Print the exact records that correct what is wrong, in the order in which to publish them.

    Each was audited as if it were published: it corrects its finding and makes nothing worse for any receiver.

    \b
      deliv fix example.com
      deliv fix example.com --eml message.eml
      deliv fix example.com --format zone
      deliv fix example.com --format route53 --care careful -o batch.json

    Exit codes: 0 also where there is something to fix, 3 if a lookup failed, so that something may be missing.
    """
    with plain_errors():
        from deliverability.cli.inputs import read_inputs
        from deliverability.cli.judging import Judging
        from deliverability.cli.output import put
        from deliverability.cli.running import run_reports
        from deliverability.model.report import Care
        from deliverability.runs.engine import Extras
        from deliverability.view.fixes import fix_view
        from deliverability.view.report import ReportView

        inputs = read_inputs(params)
        others = {"style": None, "output": (), "fail_on": None, "trace": False}
        with rule_problems():
            judging = Judging.of(params | others, inputs.settings)
        speaker = judging.speaker
        failed = False

        def each(_: Audited, report: Report) -> FixView:
            nonlocal failed
            failed = failed or bool(report.failures)
            return fix_view(ReportView(report, speaker))

        fixes = run_reports(inputs, judging.rules, judging.selection, each, Extras(remedies=True))
        least = "last-resort" if style in ("text", "json") else "safe"
        text = _written(style, fixes, Care(care or least), speaker.say)
        put(text, output)
        return 3 if failed else inputs.code


def _written(style: str, several: list[FixView], care: Care, say: Phrases) -> str:
    from deliverability.render.fix import fix_json, fix_text
    from deliverability.render.paper import Paper

    if style == "json":
        return fix_json(several, care)
    chosen = [fixes.up_to(care) for fixes in several]
    if style == "text":
        paper = Paper.of_terminal(shutil.get_terminal_size((80, 24)).columns)
        return "\n".join(fix_text(fixes, paper) for fixes in chosen)
    from deliverability.view import records

    pairs = [
        (each.remedy, f"{each.title} [{each.rule}]")
        for fixes in chosen
        for each in fixes.remedies
        if _at_home(each.remedy, fixes.view.report)
    ]
    sets = records.record_sets(pairs, _published([fixes.view.report for fixes in chosen]))
    taken = {id(remedy) for remedy, _ in pairs}
    left = [
        say("fix.left-out" if _at_home(each.remedy, fixes.view.report) else "fix.elsewhere", title=each.title)
        for fixes in several
        for each in fixes.remedies
        if id(each.remedy) not in taken
    ]
    incomplete = any(fixes.view.report.failures for fixes in several)
    domains = " ".join(dict.fromkeys(fixes.view.domain for fixes in chosen))
    empty = [] if sets else [say("fix.nothing-incomplete" if incomplete else "fix.none-here")]
    heading = [f"deliv fix {domains}", *empty, *left]
    if style == "route53":
        return records.route53(sets, heading[0])
    if style == "terraform":
        return records.terraform(sets, heading)
    return records.cloudflare(sets, heading) if style == "cloudflare" else records.zone_lines(sets, heading)


def _at_home(remedy: Remedy, report: Report) -> bool:
    """Whether all of it stands in zones of the domain: the consent of a report host and PTR records do not."""
    home = report.facts.value("dmarc.organizational_domain_psl")
    return isinstance(home, str) and all(edit.name == home or edit.name.endswith(f".{home}") for edit in remedy.edits)


def _published(reports: list[Report]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What stands now at the places of all remedies, as far as the audits saw it."""
    from deliverability.remedy.records import published

    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for report in reports:
        for edit in (edit for remedy in report.remedies for edit in remedy.edits):
            place = published(report.facts, edit.name, edit.type)
            if place is not None and place.name == edit.name:
                found[edit.name, edit.type] = place.values
    return found
