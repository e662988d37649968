"""The manual page of all commands in roff, made from the same words as their help."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from deliverability import __version__
from deliverability.cli.helping import HelpPage, page_of
from deliverability.words.phrases import Phrases, help_words


def manual(program: click.Group, lang: str) -> str:
    """The page deliv(1) in a language; without a date, so that the same words give the same page."""
    words = help_words(lang)
    context = click.Context(program, info_name=program.name, **program.context_settings)
    first = page_of(context, lang)
    lines = [
        '.\\" Made by `deliv docs --man`; changes belong into the help texts.',
        f'.TH DELIV 1 "" "deliv {__version__}" "{words("page.manual")}"',
        ".ad l",
        f".SH {words('page.name')}",
        f"deliv \\- {_text(first.short)}",
        f".SH {words('page.synopsis')}",
        f".B {_text(first.name)}",
        _text(first.usage),
        f".SH {words('page.description')}",
        *_paragraphs(first),
        f".SH {_heading(words, 'options')}",
        *_options(first),
        f".SH {_heading(words, 'commands')}",
    ]
    lines += _commands(program, context, lang)
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context, lang: str) -> Iterator[str]:
    """The commands of a group, and of those that are groups themselves."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        page = page_of(inner, lang)
        yield from (f'.SS "{_text(page.name)} {_text(page.usage)}"', *_paragraphs(page), *_options(page))
        if isinstance(command, click.Group):
            yield from _commands(command, inner, lang)


def _heading(words: Phrases, name: str) -> str:
    return words(f"page.{name}").rstrip(":：")


def _paragraphs(page: HelpPage) -> Iterator[str]:
    for part in page.paragraphs:
        yield ".PP"
        if part.startswith(" "):
            yield from (".nf", *(_text(line) for line in part.splitlines()), ".fi")
        else:
            yield _text(" ".join(part.split()))


def _options(page: HelpPage) -> Iterator[str]:
    for spelling, meaning in page.options:
        yield from (".TP", f"\\fB{_text(spelling)}\\fR", _text(meaning))


def _text(text: str) -> str:
    """Text as roff takes it: no character at the beginning of a line, and none inside, is a command."""
    shown = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("`", "\\(ga")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", shown)
