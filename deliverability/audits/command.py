"""`deliv audit` and `deliv facts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import read_inputs
from deliverability.console.judging import Judging
from deliverability.console.options import (
    blocklists_option,
    file_option,
    input_options,
    judging_options,
    output_options,
    plain_errors,
    rule_problems,
    speaking_option,
)
from deliverability.console.output import writing
from deliverability.console.running import run, write_reports
from deliverability.core.codec import JsonPieces
from deliverability.core.rules.knowledge import load_knowledge
from deliverability.engine.audit import document_of, has_failures
from deliverability.engine.rules import rule_folders
from deliverability.lists.audience import audience_given

if TYPE_CHECKING:
    from deliverability.engine.audit import Audited


@click.command("audit", cls=Command)
@input_options
@judging_options
@output_options
@blocklists_option
@click.option("--to", metavar="FILE|DOMAIN,...")
@click.option("--no-remedies", is_flag=True)
@click.option("--second-opinion", is_flag=True)
def command(no_remedies: bool, second_opinion: bool, **params: Any) -> int:
    """Audit domains, messages, or both together."""
    with plain_errors():
        with rule_problems():
            inputs = read_inputs(params)
            judging = Judging.of(params, inputs.settings)
            audience = audience_given(params, inputs.settings, judging.rules, judging.folders)
            if audience is not None:
                judging = judging.of_audience(audience)
        outputs = judging.outputs(len(inputs.subjects))
        return write_reports(inputs, judging, outputs, remedies=not no_remedies, second_opinion=second_opinion)


@click.command("facts", cls=Command)
@input_options
@blocklists_option
@file_option
@speaking_option
def facts_command(output: Path | None, **params: Any) -> int:
    """Collect the facts and their evidence as JSON, without judging."""
    with plain_errors():
        with rule_problems():
            inputs = read_inputs(params)
            knowledge = load_knowledge(rule_folders(inputs.settings.rules))
        pieces = JsonPieces(len(inputs.subjects))
        with writing(output) as write:

            def each(audited: Audited) -> bool:
                write(pieces.item(document_of(audited)))
                return has_failures(audited.facts)

            failed = run(inputs, knowledge, each)
            write(pieces.end())
        return 3 if any(failed) else inputs.code
