"""`deliv docs`: the site, the JSON Schema of the JSON report, and the manual page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from deliverability import __version__
from deliverability.console.command import Command, HelpPage, flowed, page_of
from deliverability.console.language import language
from deliverability.console.options import rule_folders_option, speaking_option
from deliverability.console.output import wrote
from deliverability.console.types import PathOf
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, not_written
from deliverability.core.files import locate, write_whole
from deliverability.core.phrases import LANGUAGES, Phrases, help_words
from deliverability.core.replies.match import load_replies
from deliverability.core.report.formats.json import SCHEMA
from deliverability.core.report.templates import load_glossary
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.site.pages import Content, guide_pages, pages


def manual(program: click.Command, lang: str) -> str:
    """The page deliv(1) in a language; without a date, so that the same words give the same page."""
    words = help_words(lang)
    context = click.Context(program, info_name=program.name, **program.context_settings)
    first = page_of(context, lang)
    lines = [
        '.\\" Made by `deliv docs --man`; edit reports/help.*.yaml instead.',
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
    assert isinstance(program, click.Group)  # noqa: S101 - the command over all commands
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
            yield _text(flowed(part))


def _options(page: HelpPage) -> Iterator[str]:
    for spelling, meaning in (row for group in page.options for row in group.rows):
        yield from (".TP", f"\\fB{_text(spelling)}\\fR", _text(meaning))


def _text(text: str) -> str:
    """Text as roff takes it: no character at the beginning of a line, and none inside, is a command."""
    shown = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("`", "\\(ga")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", shown)


NOTHING_TO_WRITE = Code("docs-nothing-to-write")


@click.command("docs", cls=Command)
@click.option("-o", "--output", type=PathOf("folder"), metavar="DIR")
@click.option("--schema", is_flag=True)
@click.option("--man", is_flag=True)
@rule_folders_option
@speaking_option
def command(output: Path | None, schema: bool, man: bool, rules: tuple[Path, ...]) -> int:
    """Write the rules, receivers and terms as a static site."""
    if [schema, man, output is not None].count(True) != 1:
        raise InputError(NOTHING_TO_WRITE())
    if man:
        click.echo(manual(click.get_current_context().find_root().command, language().people), nl=False)
        return 0
    if output is None:
        click.echo(SCHEMA.read_text("utf-8"), nl=False)
        return 0
    folders = rule_folders(rules)
    loaded, terms = load_rules(rules), load_glossary(folders)
    replies = load_replies(folders, loaded)
    try:
        guide = {lang: guide_pages(locate("docs"), lang) for lang in LANGUAGES}
    except ModuleNotFoundError:
        guide = {}
    for name, text in pages(Content(loaded, terms, replies, guide), __version__, datetime.now(UTC).date()):
        path = output / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
        except OSError as error:
            raise InputError(not_written(f"-o {path}", error)) from None
    wrote(output / "index.html")
    return 0
