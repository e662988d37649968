"""`deliv sources`: who sends as you."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deliverability.cli.command import Command
from deliverability.cli.options import (
    input_options,
    lang_option,
    plain_errors,
    rule_folders_option,
    rule_problems,
    text_or_json_option,
)
from deliverability.cli.terminal import columns
from deliverability.cli.types import NumberType


@click.command("sources", cls=Command)
@input_options
@click.option("--days", type=NumberType(int, 1), metavar="N")
@click.option("--history", metavar="URL")
@rule_folders_option
@text_or_json_option
@lang_option
def command(days: int | None, rules: tuple[Path, ...], style: str, lang: str, **params: Any) -> int:
    """List who sends as your domain by what receivers reported, what each is, and what to do about it."""
    with plain_errors():
        from deliverability.cli.inputs import observed_inputs
        from deliverability.cli.judging import speaker_of
        from deliverability.cli.output import show
        from deliverability.cli.running import run_reports
        from deliverability.judge.engine import Selection
        from deliverability.model.facts import FactSet, Unknown
        from deliverability.model.report import Report
        from deliverability.render.paper import Paper
        from deliverability.render.sources import sources_json, sources_text
        from deliverability.runs.engine import Audited, Extras
        from deliverability.view.report import ReportView
        from deliverability.view.sources import SourceRow, source_rows, sources_summary

        inputs = observed_inputs(params, days=days)
        with rule_problems():
            speaker = speaker_of(rules or inputs.settings.rules, lang)

        def each(_: Audited, report: Report) -> tuple[str, FactSet, tuple[SourceRow, ...]]:
            return report.domain, report.facts, source_rows(ReportView(report, speaker))

        found = run_reports(inputs, speaker.rules, Selection(select=("RPT",)), each, Extras())
        if style == "json":
            show(sources_json(found))
        else:
            paper = Paper.of_terminal(columns())
            texts = (
                sources_text(domain, rows, sources_summary(facts, speaker.say), paper, speaker.say)
                for domain, facts, rows in found
            )
            show("\n".join(texts))
        lost = any(isinstance(facts.value("traffic.sources"), Unknown) for _, facts, _ in found)
        return 3 if lost else inputs.code
