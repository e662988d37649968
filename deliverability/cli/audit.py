"""`deliv audit`: the main command."""

from __future__ import annotations

from typing import Any

import click

from deliverability.cli.command import Command
from deliverability.cli.options import (
    blocklists_option,
    input_options,
    judging_options,
    output_options,
    plain_errors,
    rule_problems,
)


@click.command("audit", cls=Command)
@input_options
@judging_options
@output_options
@blocklists_option
@click.option("--no-remedies", is_flag=True)
@click.option("--second-opinion", is_flag=True)
def command(no_remedies: bool, second_opinion: bool, **params: Any) -> int:
    """Audit domains, messages, or both together."""
    with plain_errors():
        from deliverability.cli.inputs import read_inputs
        from deliverability.cli.judging import Judging
        from deliverability.cli.running import write_reports

        with rule_problems():
            inputs = read_inputs(params)
            judging = Judging.of(params, inputs.settings)
        outputs = judging.outputs(len(inputs.subjects))
        return write_reports(inputs, judging, outputs, remedies=not no_remedies, second_opinion=second_opinion)
