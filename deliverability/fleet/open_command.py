"""`deliv fleet open`: the full report of one domain of a fleet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, read_settings
from deliverability.console.judging import Judging
from deliverability.console.language import language
from deliverability.console.options import dns_options, judging_options, output_options, plain_errors, rule_problems
from deliverability.console.types import PathOf
from deliverability.core.inputs import parse_domain
from deliverability.engine.audit import audited_of
from deliverability.fleet.folder import opened
from deliverability.fleet.judging import reopened
from deliverability.fleet.run_command import subject_of

if TYPE_CHECKING:
    from deliverability.console.judging import Judging
    from deliverability.console.settings import Settings
    from deliverability.core.net.ports import Ports
    from deliverability.fleet.folder import FleetFolder
    from deliverability.fleet.judging import Reopened


@click.command("fleet-open", cls=Command)
@click.argument("folder", metavar="DIR", type=PathOf("folder", exists=True))
@click.argument("domain", metavar="DOMAIN")
@dns_options
@judging_options
@output_options
def command(folder: Path, domain: str, **params: Any) -> int:
    """Write the full report of one domain of a fleet."""
    with plain_errors():
        settings = read_settings(params["config"])
        with rule_problems():
            judging = Judging.of(params, settings)
        with opened(folder) as fleet:
            audited = audited_of(fleet.facts_of(parse_domain(domain)))
            outputs = judging.outputs(1)
            found = _reopened(fleet, audited, settings, judging, params)
        code = judging.write(audited, found.report, outputs)
        outputs.end()
    if found.changed:
        click.echo(language().say.count("cli.fleet-changed", found.changed), err=True)
    return code


def _reopened(
    fleet: FleetFolder, audited: Any, settings: Settings, judging: Judging, params: dict[str, Any]
) -> Reopened:
    subject = subject_of(fleet.subject(audited.subject.domain), settings)
    ports = _ports(fleet, settings, params)

    async def work() -> Reopened:
        try:
            return await reopened(audited, subject, ports, judging.rules, judging.selection)
        finally:
            if ports is not None:
                await ports.close()

    return asyncio.run(work())


def _ports(fleet: FleetFolder, settings: Settings, params: dict[str, Any]) -> Ports | None:
    """Whom to ask for remedies: nobody where the run asked no live DNS and nothing else is named now."""
    live = not any(fleet.settings.get(each) for each in ("--zone", "--offline"))
    if params["offline"] or not (live or params["zone"] or params["resolver"]):
        return None
    return ports_of(params, settings)
