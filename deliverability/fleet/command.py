"""`deliv fleet`: many domains at once, kept in a folder; a command for each thing to do with it."""

from __future__ import annotations

import click

from deliverability.console.command import Lazy
from deliverability.console.options import speaking_option

COMMANDS = {name: f"fleet.{name}_command:command" for name in ("run", "status", "report", "query", "open")}


@click.group("fleet", cls=Lazy, table=COMMANDS)
@speaking_option
def command() -> None:
    """Audit a fleet of domains, and look at what was found."""
