"""The command line."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from deliverability import __version__
from deliverability.console.command import Lazy
from deliverability.console.ending import DEBUG, ended
from deliverability.console.options import speaking_option

COMMANDS: dict[str, str] = {
    "demo": "demo.command:command",
    "audit": "audit.command:command",
    "fix": "audit.fix:command",
    "sources": "dmarc_reports.sources:command",
    "gate": "dmarc_reports.gate:command",
    "blocklists": "blocklists.command:command",
    "explain": "explain.command:command",
    "contact": "contact.command:command",
    "handout": "audit.handout:command",
    "warm-up": "warm_up.command:command",
    "slim": "slim.command:command",
    "listen": "listen.command:command",
    "dkim-keygen": "keys:command",
    "init": "weekly.init:command",
    "config": "weekly.check:command",
    "weekly": "weekly.command:command",
    "fleet": "fleet.command:command",
    "schedule": "weekly.schedule:command",
    "watch": "watch:command",
    "history": "weekly.history:command",
    "intake": "intake.command:command",
    "show-report": "intake.show_report:command",
    "suppress": "suppress.command:command",
    "list-check": "lists.command:command",
    "rules": "rulebook:command",
    "docs": "site.command:command",
    "completion": "cli.completion:command",
    "facts": "audit.command:facts_command",
    "judge": "audit.judge:command",
    "doctor": "doctor:command",
}
"""Name -> `module:attribute`, in the order of a newcomer's needs."""


@click.group(cls=Lazy, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deliv")
@click.option(DEBUG, is_flag=True, expose_value=False)
@speaking_option
def deliv() -> None:
    """Audit a sending domain and a real message against what each receiver asks for."""


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with the exit code of the design."""

    def run(words: list[str]) -> Any:
        return deliv.main(args=words, prog_name="deliv", standalone_mode=False)

    ended(run, sys.argv[1:] if args is None else list(args))
