"""What every command of ours does alike: mistakes in how it is called, and its help, in the language of the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from deliverability.cli.language import Language, language
from deliverability.cli.options import plain_errors, rule_problems
from deliverability.cli.types import called
from deliverability.model.codes import Code
from deliverability.model.errors import InputError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NO_OPTION = Code("no-such-option", ("option", "command"))
NO_OPTION_NEAR = Code("no-such-option-near", ("option", "command", "near"))
NEEDS_VALUE = Code("option-needs-value", ("option", "command"))
TAKES_NO_VALUE = Code("option-takes-no-value", ("option", "command"))
MISSING = Code("argument-missing", ("name", "command"))
TOO_MANY = Code("arguments-too-many", ("text", "command"))


class WithHelp(click.Command):
    """A command, or a group of them, whose help is in reports/help.*.yaml; no other is imported for it."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """What it does, in one line: shells show it where they complete commands."""
        from deliverability.words.phrases import help_words

        return help_words(language().people)(f"{self.name}.short")

    def get_help(self, ctx: click.Context) -> str:
        """The help text for a terminal."""
        from deliverability.cli.helping import help_text, page_of

        return help_text(page_of(ctx))


class Command(WithHelp):
    """A command whose help stands in reports/help.*.yaml, under its name."""

    allow_extra_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click does; mistakes in the arguments are told in the words of the run."""
        if parent is None:
            extra.setdefault("obj", Language(args))
        with plain_errors():
            return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does. Raises InputError where it does not know how to go on."""
        with usage_errors(ctx):
            rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise InputError(TOO_MANY(text=" ".join(rest), command=ctx.command_path))
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; what the user can mend is told in the words of the run."""
        with plain_errors(), rule_problems():
            return super().invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click does, with what each option means."""
        from deliverability.cli.helping import meanings

        items, means = super().shell_complete(ctx, incomplete), meanings(ctx)
        for item in items:
            item.help = means.get(str(item.value), item.help)
        return items


@contextmanager
def usage_errors(ctx: click.Context) -> Iterator[None]:
    """Turn what click says of the arguments into InputError."""
    command = ctx.command_path
    try:
        yield
    except click.NoSuchOption as error:
        name = error.option_name
        if error.possibilities:
            raise InputError(NO_OPTION_NEAR(option=name, command=command, near=error.possibilities[0])) from None
        raise InputError(NO_OPTION(option=name, command=command)) from None
    except click.BadOptionUsage as error:
        option = next((each for each in ctx.command.params if error.option_name in each.opts), None)
        flag = isinstance(option, click.Option) and option.is_flag
        raise InputError((TAKES_NO_VALUE if flag else NEEDS_VALUE)(option=error.option_name, command=command)) from None
    except click.MissingParameter as error:
        raise InputError(MISSING(name=called(error.param), command=command)) from None
