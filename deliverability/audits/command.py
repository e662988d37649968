"""`deliv audit`."""

from __future__ import annotations

from typing import Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import read_inputs
from deliverability.console.judging import Judging, write_reports
from deliverability.console.options import (
    blocklists_option,
    input_options,
    judging_options,
    output_options,
)
from deliverability.features import AUDIENCE_GIVEN, load


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
    inputs = read_inputs(params)
    judging = Judging.of(params, inputs.settings)
    if params["to"] is not None or inputs.settings.to:
        audience = load(AUDIENCE_GIVEN)(params, inputs.settings, judging.rules, judging.folders)
        judging = judging.of_audience(audience)
    outputs = judging.outputs(len(inputs.subjects))
    return write_reports(inputs, judging, outputs, remedies=not no_remedies, second_opinion=second_opinion)
