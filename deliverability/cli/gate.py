"""`deliv gate`: is the next DMARC policy safe?"""

from __future__ import annotations

from datetime import date
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
from deliverability.cli.types import NumberType, OneOf

_CODES = {"safe": 0, "stay": 0, "hits": 1, "not-yet": 1, "cannot-tell": 3}


@click.command("gate", cls=Command)
@input_options
@click.option("--to", type=OneOf(["quarantine", "reject"]))
@click.option("--days", type=NumberType(int, 1), metavar="N")
@click.option("--history", metavar="URL")
@click.option("--all", "every", is_flag=True)
@rule_folders_option
@text_or_json_option
@lang_option
def command(
    to: str | None, days: int | None, every: bool, rules: tuple[Path, ...], style: str, lang: str, **params: Any
) -> int:
    """Say whether the next DMARC policy is safe, by what receivers reported; else what is missing, and until when."""
    with plain_errors():
        from deliverability.cli.inputs import observed_inputs
        from deliverability.cli.judging import speaker_of
        from deliverability.cli.output import show
        from deliverability.cli.running import run_reports
        from deliverability.judge.engine import Selection
        from deliverability.judge.gate import earliest
        from deliverability.model.facts import FactSet
        from deliverability.model.gate import GateAnswer
        from deliverability.model.report import Report
        from deliverability.render.gate import gate_text, gates_json, gates_text
        from deliverability.render.paper import Paper
        from deliverability.runs.engine import Audited, Extras
        from deliverability.view.gate import GateView, gate_view
        from deliverability.view.report import ReportView

        inputs = observed_inputs(params, days=days, to=to, every=every)
        with rule_problems():
            speaker = speaker_of(rules or inputs.settings.rules, lang)

        def each(_: Audited, report: Report) -> tuple[GateView, GateAnswer | None, FactSet]:
            answer = report.answer.gate
            today = date.fromisoformat(report.run.started[:10])
            day = earliest(answer, report.facts, speaker.rules, today=today) if answer is not None else None
            return gate_view(ReportView(report, speaker), answer, day), answer, report.facts

        answers = run_reports(inputs, speaker.rules, Selection(), each, Extras(remedies=True))
        views = [view for view, _, _ in answers]
        paper = Paper.of_terminal(columns())
        if style == "json":
            show(gates_json(answers))
        elif every:
            show(gates_text(views, paper))
        else:
            show("\n".join(gate_text(view, paper, speaker.say) for view in views))
        codes = {_CODES[view.kind] for view in views} | {inputs.code}
        return next((code for code in (1, 3) if code in codes), 0)
