"""The command line."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click
from click.shell_completion import get_completion_class

from deliverability import __version__
from deliverability.console.command import Command, Lazy
from deliverability.console.ending import DEBUG, ended
from deliverability.console.options import speaking_option
from deliverability.console.types import OneOf

GROUPS: dict[str, dict[str, str]] = {
    "audit": {
        "demo": "demo.command:command",
        "audit": "audits.command:command",
        "facts": "audits.saved:facts",
        "judge": "audits.saved:judge",
        "diff": "differences.command:command",
    },
    "fix": {
        "fix": "audits.fix:command",
        "dkim-keygen": "keys:command",
        "slim": "slim.command:command",
        "watch": "watch:command",
    },
    "weekly": {
        "weekly": "weekly.command:command",
        "history": "weekly.history:command",
        "schedule": "weekly.schedule:command",
    },
    "reports": {
        "intake": "intake.command:command",
        "sources": "dmarc_reports.sources:command",
        "gate": "dmarc_reports.gate:command",
        "show-report": "intake.command:show_report_command",
    },
    "bounces": {
        "explain": "explanations.command:command",
        "contact": "contact.command:command",
        "handout": "audits.handout:command",
        "list-check": "lists.command:command",
        "suppress": "suppress:command",
        "blocklists": "blocklists.command:command",
        "warm-up": "warm_up.command:command",
    },
    "tests": {
        "listen": "listen.command:command",
        "seeds": "seeds.command:command",
    },
    "fleets": {
        "fleet": "fleet.command:command",
    },
    "set-up": {
        "init": "weekly.config:init_command",
        "config": "weekly.config:config_command",
        "doctor": "doctor:command",
        "rules": "rulebook:command",
        "docs": "site.command:command",
        "mcp": "mcp.command:command",
        "completion": "cli:completion",
    },
}
"""Commands by what they are for, as `page.group.*` of the help texts heads them: name -> `module:attribute`."""

SHELLS = ("bash", "zsh", "fish")
COMMANDS = {name: place for group in GROUPS.values() for name, place in group.items()}


@click.group(
    cls=Lazy,
    table=COMMANDS,
    groups={name: tuple(group) for name, group in GROUPS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="deliv")
@click.option(DEBUG, is_flag=True, expose_value=False)
@speaking_option
def deliv() -> None:
    """Audit a sending domain and a real message against what each receiver asks for."""


@click.command("completion", cls=Command)
@click.argument("shell", type=OneOf(SHELLS), metavar="bash|zsh|fish")
@speaking_option
def completion(shell: str) -> int:
    """Print the completion script of a shell: what makes it complete commands, options and their values."""
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - one of those that click knows
    click.echo(made(deliv, {}, "deliv", "_DELIV_COMPLETE").source(), nl=False)
    return 0


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with the exit code of the design."""

    def run(words: list[str]) -> Any:
        return deliv.main(args=words, prog_name="deliv", standalone_mode=False)

    ended(run, sys.argv[1:] if args is None else list(args))
