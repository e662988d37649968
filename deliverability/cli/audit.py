"""`deliv audit`: the main command."""

from __future__ import annotations

from typing import Any

import click

from deliverability.cli.options import input_options, judging_options, output_options, plain_errors, rule_problems


@click.command("audit")
@input_options
@judging_options
@output_options
@click.option("--no-remedies", is_flag=True, help="Only findings: leave out the records that would correct them.")
@click.option(
    "--second-opinion",
    is_flag=True,
    help="Also list where checkdmarc and dkimpy say something else on the same answers and octets.",
)
def command(no_remedies: bool, second_opinion: bool, **params: Any) -> int:
    """Audit domains, messages, or both together.

    DOMAIN may be an address or an internationalized name; without DOMAIN the author domain of the message is
    audited. `-` reads domains from standard input.

    \b
      deliv audit example.com
      deliv audit example.com --eml message.eml -o report.html
      deliv audit example.com --with 'example.com TXT "v=spf1 mx -all"'
      deliv audit - --format json < domains.txt
    """
    with plain_errors():
        from deliverability.cli.inputs import read_inputs
        from deliverability.cli.judging import Judging
        from deliverability.cli.running import run_reports
        from deliverability.runs.engine import Extras
        from deliverability.runs.exit import worst_exit_code

        inputs = read_inputs(params)
        with rule_problems():
            judging = Judging.of(params, inputs.settings)
        outputs = judging.outputs(len(inputs.jobs))
        codes = run_reports(
            inputs,
            judging.rules,
            judging.selection,
            lambda audited, report: judging.write(audited, report, outputs),
            Extras(not no_remedies, second_opinion, outputs.previews),
        )
        outputs.end()
        return worst_exit_code((*codes, inputs.code))
