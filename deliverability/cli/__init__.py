"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from deliverability import __version__
from deliverability.console.command import WithHelp, commands_of, usage_errors
from deliverability.console.ending import DEBUG, ended, forget_output
from deliverability.console.language import Language
from deliverability.console.options import speaking_option
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.features import load

COMMANDS: dict[str, str] = {
    "demo": "demo.command:command",
    "audit": "audit.command:command",
    "fix": "audit.fix:command",
    "sources": "dmarc_reports.sources:command",
    "gate": "dmarc_reports.gate:command",
    "blocklists": "blocklists.command:command",
    "explain": "explain.command:command",
    "contact": "contact.command:command",
    "handout": "audit.command:handout_command",
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

NO_COMMAND = Code("no-such-command", ("text",))
NO_COMMAND_NEAR = Code("no-such-command-near", ("text", "near"))
NO_COMMAND_DOMAIN = Code("no-such-command-domain", ("text",))


class Lazy(WithHelp, click.Group):
    """Commands by name, imported only when one is run or asked for its help.

    Args:
        table: name of a command -> ``module:attribute``, see `COMMANDS`.

    """

    def __init__(self, *args: Any, table: Mapping[str, str] = COMMANDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in their order."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None where there is none of this name."""
        if cmd_name not in self._table:
            return None
        command: click.Command = load(self._table[cmd_name])
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click does, but from the words of the help: click imports every command for its one line."""
        items = [CompletionItem(name, help=short) for name, short in commands_of(ctx) if name.startswith(incomplete)]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, but a reader that has seen enough (`| head`) is no error; click would leave with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            forget_output()
            return 0

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click does, with the language of the run for it and its commands."""
        if parent is None:
            extra = {"obj": Language(args), **extra}
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does. Raises InputError where it does not know how to go on."""
        with usage_errors(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does. Raises InputError, with the nearest command named, where there is none of that name."""
        if args and args[0] not in self._table and not args[0].startswith("-"):
            if "." in args[0] and ctx.parent is None:
                raise InputError(NO_COMMAND_DOMAIN(text=args[0]))
            import difflib

            near = difflib.get_close_matches(args[0], self._table, n=1)
            raise InputError(NO_COMMAND_NEAR(text=args[0], near=near[0]) if near else NO_COMMAND(text=args[0]))
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
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
