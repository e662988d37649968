"""The command line."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

from deliverability import __version__
from deliverability.cli.ending import DEBUG, ended, forget_output

COMMANDS = {
    "demo": "Audit an embedded domain and message offline: a first look.",
    "audit": "Audit domains, messages, or both together.",
    "fix": "Print the records that correct what is wrong.",
    "explain": "Explain a receiver's reply or a bounce: what it means, what to do now.",
    "handout": 'Is it us or them? A page for whoever hears "I get no mail".',
    "slim": "Make a message's images and HTML smaller, or say what that saves.",
    "dkim-keygen": "Make a DKIM key pair and its record.",
    "init": "Write a first settings file from what DNS tells.",
    "config": "Check the settings file, or print its JSON Schema.",
    "weekly": "Audit all domains of the settings and say what changed since the last run.",
    "schedule": "Print or install what runs the weekly audit: crontab, systemd, GitHub.",
    "watch": "Wait until a record that you published is visible.",
    "history": "Show what earlier weekly runs saw.",
    "rules": "List the rules, explain one, or check rule files.",
    "docs": "Write the rules and receivers as a static site.",
    "facts": "Collect the facts and their evidence as JSON, without judging.",
    "judge": "Judge saved facts again, offline.",
    "doctor": "Check whether this machine can audit: DNS, port 25, clock, and more.",
}


class Lazy(click.Group):
    """Commands by name, imported only when one is run or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of a newcomer's needs."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"deliverability.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, but a reader that has seen enough (`| head`) is no error; click would leave with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            forget_output()
            return 0

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command named where there is none."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            if "." in args[0]:
                hint = f" To audit a domain: deliv audit {args[0]}"
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deliv")
@click.option(DEBUG, is_flag=True, expose_value=False, help="With an error, also show where in deliv it came about.")
def deliv() -> None:
    """Why does your mail not arrive?

    deliv audits a sending domain and a real message against what each receiver asks for, and says what to do.

    \b
      deliv demo                            a first look, offline
      deliv audit example.com               a domain's DNS
      deliv audit example.com --eml x.eml   the domain and a message it sent

    Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 usage or file error, 3 could not be checked completely.
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with the exit code of the design."""

    def run(words: list[str]) -> Any:
        return deliv.main(args=words, prog_name="deliv", standalone_mode=False)

    ended(run, sys.argv[1:] if args is None else list(args))
