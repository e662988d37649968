"""`deliv fleet`: many domains at once, kept in a folder; a command for each thing to do with it."""

from __future__ import annotations

import click

from deliverability.console.command import Lazy
from deliverability.console.options import speaking_option

COMMANDS = {
    "run": "fleet.run_command:command",
    "status": "fleet.folder_commands:status_command",
    "report": "fleet.folder_commands:report_command",
    "query": "fleet.folder_commands:query_command",
    "open": "fleet.folder_commands:open_command",
}


@click.group("fleet", cls=Lazy, table=COMMANDS)
@speaking_option
def command() -> None:
    """Audit a fleet of domains, and look at what was found."""
