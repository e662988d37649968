"""`deliv demo`: an embedded domain and message, audited offline."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from deliverability.cli.command import Command
from deliverability.cli.options import judging_options, output_options, plain_errors, rule_problems

ARRIVED = datetime(2026, 11, 25, 0, 0, 4, tzinfo=UTC)


@click.command("demo", cls=Command)
@judging_options
@output_options
def command(**params: Any) -> int:
    """Audit an embedded domain and message offline; the exit code is always 0."""
    import deliverability.demo
    from deliverability.cli.inputs import Inputs
    from deliverability.cli.judging import Judging
    from deliverability.cli.running import run_reports
    from deliverability.config import Settings

    folder = Path(deliverability.demo.__file__).parent
    with plain_errors():
        from deliverability.model.facts import Purpose
        from deliverability.ports.clock import FixedClock
        from deliverability.ports.open import PortSettings, open_ports
        from deliverability.runs.engine import Extras
        from deliverability.runs.job import Job, Options, Sample

        with rule_problems():
            judging = Judging.of(params, Settings())
        sample = Sample("newsletter.eml", path=folder / "newsletter.eml")
        job = Job("sakura-shop.example", sample, Options(purpose=Purpose.BULK, daily_volume=20_000))
        # The demo stands still at the time its message arrived, so that it always says the same.
        ports = replace(open_ports(PortSettings(zones=[folder / "example.zone"])), clock=FixedClock(ARRIVED))
        inputs = Inputs([job], ports, Settings())
        outputs = judging.outputs(1)
        run_reports(
            inputs,
            judging.rules,
            judging.selection,
            lambda audited, report: judging.write(audited, report, outputs),
            Extras(remedies=True, html=outputs.previews),
        )
        outputs.end()
    return 0
