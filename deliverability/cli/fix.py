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
    from deliverability.render.fix import Told
    from deliverability.runs.engine import Audited
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
        from deliverability.render.fix import tell_fixes
        from deliverability.runs.engine import Extras
        from deliverability.words.sentences import phrases

        inputs = read_inputs(params)
        others = {"style": None, "output": (), "fail_on": None, "trace": False}
        with rule_problems():
            judging = Judging.of(params | others, inputs.settings)
        speaker = judging.speaker
        failed = False

        def each(_: Audited, report: Report) -> Told:
            nonlocal failed
            failed = failed or bool(report.failures)
            return tell_fixes(report, speaker)

        told = run_reports(inputs, judging.rules, judging.selection, each, Extras(remedies=True))
        least = "last-resort" if style in ("text", "json") else "safe"
        text = _written(style, told, Care(care or least), judging.lang, phrases(judging.lang))
        put(text, output)
        return 3 if failed else inputs.code


def _written(style: str, several: list[Told], care: Care, lang: str, say: Phrases) -> str:
    from dataclasses import replace

    from deliverability.render.fix import fix_json, fix_text, up_to

    chosen = [replace(told, remedies=tuple(up_to(told.remedies, care))) for told in several]
    if style == "json":
        return fix_json(chosen)
    if style == "text":
        width = max(40, min(shutil.get_terminal_size((80, 24)).columns, 100))
        return "\n".join(fix_text(told, lang, width) for told in chosen)
    from deliverability.view import records

    pairs = [
        (remedy, f"{view.title} [{view.rule}]")
        for told in chosen
        for remedy, view in told.remedies
        if _at_home(remedy, told.report)
    ]
    sets = records.record_sets(pairs, _published([told.report for told in chosen]))
    taken = {id(remedy) for remedy, _ in pairs}
    left = [
        say("fix.left-out" if _at_home(remedy, told.report) else "fix.elsewhere", title=view.title)
        for told in several
        for remedy, view in told.remedies
        if id(remedy) not in taken
    ]
    incomplete = any(told.report.failures for told in several)
    domains = " ".join(dict.fromkeys(told.view.domain for told in chosen))
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
