"""What every command does alike: mistakes in how it is called, and its help, in the language of the run."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from deliverability.console.ending import forget_output
from deliverability.console.language import BOTH, Language, columns, language
from deliverability.console.options import OPTION_GROUPS, plain_errors, rule_problems
from deliverability.console.types import OneOf, called
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.phrases import Phrases, fill, help_words
from deliverability.core.report.formats.table import ENDINGS
from deliverability.core.report.wrap import pad, width_of, wrap
from deliverability.features import load

NO_COMMAND = Code("no-such-command", ("text",))
NO_COMMAND_NEAR = Code("no-such-command-near", ("text", "near"))
NO_COMMAND_DOMAIN = Code("no-such-command-domain", ("text",))
_LEFT = 30
_FEW_OPTIONS = 12
_JAPANESE = "\u3000"  # its characters begin here


class Rows(Struct, frozen=True):
    """Commands or options under one heading, each with what it means."""

    heading: str
    rows: tuple[tuple[str, str], ...]


class HelpPage(Struct, frozen=True):
    """The help of one command.

    Attributes:
        name: as it is typed, with `deliv` before it.
        usage: what may follow the name.
        short: what it does, in one line.
        paragraphs: of its text; one that is indented is to be shown as it is.
        commands: groups of commands below it, each with its heading; name and meaning of each command.
        options: groups of options, each with its heading; spelling and meaning of each option.

    """

    name: str
    usage: str
    short: str
    paragraphs: tuple[str, ...]
    commands: tuple[Rows, ...]
    options: tuple[Rows, ...]


def page_of(ctx: click.Context, lang: str | None = None) -> HelpPage:
    """The help of the command of a context."""
    command = ctx.command
    words = help_words(lang or language().people)
    key = command.name or ""
    return HelpPage(
        name=ctx.command_path,
        usage=" ".join(command.collect_usage_pieces(ctx)),
        short=words(f"{key}.short"),
        paragraphs=tuple(part.rstrip("\n") for part in words(f"{key}.text").strip("\n").split("\n\n")),
        commands=_command_groups(ctx, words, lang),
        options=tuple(_option_groups(ctx, words)),
    )


def _command_groups(ctx: click.Context, words: Phrases, lang: str | None) -> tuple[Rows, ...]:
    rows = commands_of(ctx, lang)
    groups = ctx.command.groups if isinstance(ctx.command, Lazy) else {}
    if not groups:
        return (Rows(words("page.commands"), rows),) if rows else ()
    meaning = dict(rows)
    return tuple(
        Rows(words(f"page.group.{group}"), tuple((name, meaning[name]) for name in names))
        for group, names in groups.items()
    )


def _option_groups(ctx: click.Context, words: Phrases) -> Iterator[Rows]:
    """The options of a command: those that only it has first; a few are not divided."""
    key = ctx.command.name or ""
    options = [each for each in ctx.command.get_params(ctx) if isinstance(each, click.Option)]
    groups: dict[str, list[tuple[str, str]]] = {"options": [], **{group: [] for group in OPTION_GROUPS}}
    for each in options:
        name = called(each).removeprefix("--")
        shared = f"{key}.options.{name}" not in words or name in OPTION_GROUPS["output-options"]
        group = next((group for group, names in OPTION_GROUPS.items() if shared and name in names), "options")
        groups["options" if len(options) <= _FEW_OPTIONS else group].append(
            (_spelling(each, ctx), _meaning(each, key, words))
        )
    yield from (Rows(words(f"page.{group}"), tuple(rows)) for group, rows in groups.items() if rows)


def commands_of(ctx: click.Context, lang: str | None = None) -> tuple[tuple[str, str], ...]:
    """Name and meaning of each command below that of a context; none of them is imported."""
    if not isinstance(ctx.command, click.Group):
        return ()
    words = help_words(lang or language().people)
    above = f"{ctx.command.name}-" if ctx.parent is not None else ""
    return tuple((name, words(f"{above}{name}.short")) for name in ctx.command.list_commands(ctx))


def meanings(ctx: click.Context) -> dict[str, str]:
    """What each option of a command means, by each of its names."""
    key, words = ctx.command.name or "", help_words(language().people)
    options = [each for each in ctx.command.get_params(ctx) if isinstance(each, click.Option)]
    return {name: _meaning(each, key, words) for each in options for name in each.opts}


def _spelling(option: click.Option, ctx: click.Context) -> str:
    if option.name == "help":
        return "-h, --help"
    flag = option.is_flag or option.count
    names = sorted(option.opts, key=lambda each: each.startswith("--"))
    return ", ".join(names) + ("" if flag else f" {option.make_metavar(ctx)}")


def _meaning(option: click.Option, command: str, words: Phrases) -> str:
    """Under ``COMMAND.options.NAME``, else ``common.NAME``."""
    name = called(option).removeprefix("--")
    own = f"{command}.options.{name}"
    text = fill(words(own if own in words else f"common.{name}"), {"endings": words("page.list").join(ENDINGS)})
    if isinstance(option.type, OneOf) and BOTH in option.type.choices:
        text += words("page.both")
    if option.show_default:
        stop = "." if text.endswith(".") else ""
        text = text.removesuffix(".") + words("page.default", value=str(option.default)) + stop
    return text


def help_text(page: HelpPage) -> str:
    """A page of help for a terminal."""
    words = help_words(language().people)
    width = max(40, min(columns(), 100))
    lines = [f"{words('page.usage')}{page.name} {page.usage}"]
    for part in page.paragraphs:
        lines.append("")
        if part.startswith(" "):
            lines += [f"  {line}" for line in part.splitlines()]
        else:
            lines += [f"  {line}" for line in wrap(flowed(part), width - 2)]
    for groups in (page.commands, page.options):
        terms = [width_of(term) for group in groups for term, _ in group.rows]
        left = min(_LEFT, 2 + max(terms, default=0))
        for group in groups:
            lines += ["", group.heading]
            for term, meaning in group.rows:
                lines += _row(term, meaning, left, width - 2)
    return "\n".join(lines)


def flowed(paragraph: str) -> str:
    """A paragraph on one line: a line break is a blank, but none beside Japanese."""
    text, *lines = paragraph.split("\n")
    for line in lines:
        blank = "" if any(each >= _JAPANESE for each in text[-1:] + line[:1]) else " "
        text = f"{text}{blank}{line}"
    return " ".join(text.split())


def _row(term: str, meaning: str, left: int, width: int) -> list[str]:
    """A term and what it means beside it, or below it where it is too long."""
    words = wrap(meaning, width - left)
    head = [f"  {term}"] if width_of(term) + 2 > left else []
    beside = words if head else words[1:]
    first = [] if head else [f"  {pad(term, left)}{words[0]}"]
    return [*head, *first, *(f"  {' ' * left}{line}" for line in beside)]


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
        return help_words(language().people)(f"{self.name}.short")

    def get_help(self, ctx: click.Context) -> str:
        """The help text for a terminal."""
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


class Lazy(WithHelp, click.Group):
    """Commands by name, imported only when one is run or asked for its help.

    Args:
        table: name of a command -> ``module:attribute``.
        groups: what the help puts under one heading: ``page.group.NAME`` -> names of commands; none: it has one list.

    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, str],
        groups: Mapping[str, tuple[str, ...]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self.groups = groups or {}

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
            near = difflib.get_close_matches(args[0], self._table, n=1)
            raise InputError(NO_COMMAND_NEAR(text=args[0], near=near[0]) if near else NO_COMMAND(text=args[0]))
        return super().resolve_command(ctx, args)
