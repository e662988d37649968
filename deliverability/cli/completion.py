"""`deliv completion`: what makes a shell complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from deliverability.cli import deliv
from deliverability.console.command import Command
from deliverability.console.options import speaking_option
from deliverability.console.types import OneOf

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command)
@click.argument("shell", type=OneOf(SHELLS), metavar="bash|zsh|fish")
@speaking_option
def command(shell: str) -> int:
    """Print the completion script of a shell."""
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - one of those that click knows
    click.echo(made(deliv, {}, "deliv", "_DELIV_COMPLETE").source(), nl=False)
    return 0
