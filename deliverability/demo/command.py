"""`deliv demo`: an embedded domain and message, audited offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from deliverability.console.command import Command
from deliverability.console.inputs import Inputs
from deliverability.console.judging import Judging, write_reports
from deliverability.console.language import language
from deliverability.console.options import judging_options, shown_options
from deliverability.console.output import wrote
from deliverability.console.settings import Settings
from deliverability.console.types import PathOf
from deliverability.core.errors import InputError, file_error
from deliverability.core.facts.base import Purpose
from deliverability.core.files import PACKAGE, write_whole
from deliverability.core.inputs import Sample, Subject
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports

ARRIVED = datetime(2026, 11, 25, 0, 0, 4, tzinfo=UTC)
DOMAIN, ZONE, MESSAGE = "sakura-shop.example", "example.zone", "newsletter.eml"
PURPOSE, VOLUME = "bulk", 20_000
COMMAND = f"deliv audit {DOMAIN} --zone {ZONE} --eml {MESSAGE} --purpose {PURPOSE} --daily-volume {VOLUME}"


@click.command("demo", cls=Command)
@click.option("--save", type=PathOf("folder", exists=True), metavar="DIR")
@judging_options
@shown_options
def command(save: Path | None, **params: Any) -> int:
    """Audit an embedded domain and message offline; findings don't affect the exit code."""
    folder = PACKAGE / "demo"
    say = language().say
    if save is not None:
        for name in (ZONE, MESSAGE):
            _copy(folder / name, save / name)
            wrote(save / name)
        click.echo(say("demo.try", command=COMMAND))
        return 0
    judging = Judging.of(params | {"fail_on": None}, Settings())
    sample = Sample(MESSAGE, path=folder / MESSAGE)
    subject = Subject(DOMAIN, sample, purpose=Purpose(PURPOSE), daily_volume=VOLUME)
    # The demo stands still at the time its message arrived, so that it always says the same.
    ports = replace(open_ports(PortSettings(zones=[folder / ZONE], keep_zones=True)), clock=FixedClock(ARRIVED))
    inputs = Inputs([subject], ports, Settings())
    outputs = judging.outputs(1)
    click.echo(say("demo.assumes", n=f"{VOLUME:,}", zone=ZONE, message=MESSAGE), err=True)
    write_reports(inputs, judging, outputs)
    return 0


def _copy(source: Path, target: Path) -> None:
    """Write a file of the demo where there is none yet, or the same. Raises InputError."""
    try:
        if not (target.is_file() and target.read_bytes() == source.read_bytes()):
            write_whole(target, source.read_bytes(), replace=False)
    except OSError as error:
        raise InputError(file_error(f"--save {target}", error)) from None
