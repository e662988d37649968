"""The help of a command as a page of words (reports/help.*.yaml), and that page for a terminal.

A command below another one is called after both: the words of `deliv fleet run` stand under ``fleet-run``.
"""

from __future__ import annotations

from collections.abc import Mapping

import click
from msgspec import Struct

from deliverability.cli.language import language
from deliverability.cli.terminal import columns
from deliverability.cli.types import called
from deliverability.model.placeholders import fill
from deliverability.render.formats import ENDINGS
from deliverability.render.wrap import pad, width_of, wrap
from deliverability.words.phrases import Phrases, help_words

_LEFT = 30


class HelpPage(Struct, frozen=True):
    """The help of one command.

    Attributes:
        name: as it is typed, with `deliv` before it.
        usage: what may follow the name.
        short: what it does, in one line.
        paragraphs: of its text; one that is indented is to be shown as it is.
        commands: name and meaning of each command below it.
        options: spelling and meaning of each option.

    """

    name: str
    usage: str
    short: str
    paragraphs: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]


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
        commands=commands_of(ctx, lang),
        options=tuple(
            (_spelling(each, ctx), _meaning(each, key, words))
            for each in command.get_params(ctx)
            if isinstance(each, click.Option)
        ),
    )


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


_VALUES: Mapping[str, str] = {"endings": ", ".join(ENDINGS)}


def _meaning(option: click.Option, command: str, words: Phrases) -> str:
    """Under ``COMMAND.options.NAME``, else ``common.NAME``."""
    name = called(option).removeprefix("--")
    own = f"{command}.options.{name}"
    text = fill(words(own if own in words else f"common.{name}"), _VALUES)
    if option.show_default:
        text += words("page.default", value=str(option.default))
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
            lines += [f"  {line}" for line in wrap(" ".join(part.split()), width - 2)]
    for heading, rows in (("commands", page.commands), ("options", page.options)):
        if rows:
            lines += ["", words(f"page.{heading}")]
            left = min(_LEFT, 2 + max(width_of(term) for term, _ in rows))
            for term, meaning in rows:
                lines += _row(term, meaning, left, width - 2)
    return "\n".join(lines)


def _row(term: str, meaning: str, left: int, width: int) -> list[str]:
    """A term and what it means beside it, or below it where it is too long."""
    words = wrap(meaning, width - left)
    head = [f"  {term}"] if width_of(term) + 2 > left else []
    beside = words if head else words[1:]
    first = [] if head else [f"  {pad(term, left)}{words[0]}"]
    return [*head, *first, *(f"  {' ' * left}{line}" for line in beside)]
