"""`deliv docs`: the rules as a static site, and the JSON Schema of the JSON report."""

from __future__ import annotations

from pathlib import Path

import click

from deliverability.cli.command import Command
from deliverability.cli.language import language
from deliverability.cli.options import plain_errors, rule_folders_option, rule_problems, speaking_option
from deliverability.cli.output import wrote
from deliverability.cli.types import PathOf
from deliverability.model.codes import Code
from deliverability.model.errors import InputError, not_written

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
        from deliverability.cli import deliv
        from deliverability.cli.manual import manual

        click.echo(manual(deliv, language().people), nl=False)
        return 0
    if output is None:
        from deliverability.render.json import SCHEMA

        click.echo(SCHEMA.read_text("utf-8"), nl=False)
        return 0
    with plain_errors():
        from deliverability import __version__
        from deliverability._files import write_whole
        from deliverability._resources import locate
        from deliverability.feedback.catalogue import load_replies
        from deliverability.render.guide import guide_pages
        from deliverability.render.site import Content, pages
        from deliverability.runs.rules import load_rules, rule_folders
        from deliverability.words.glossary import load_glossary

        with rule_problems():
            folders = rule_folders(rules)
            loaded, terms = load_rules(rules), load_glossary(folders)
            replies = load_replies(folders, loaded)
        try:
            guide = guide_pages(locate("docs"))
        except ModuleNotFoundError:
            guide = ()
        for name, text in pages(Content(loaded, terms, replies, guide), __version__):
            path = output / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, text)
            except OSError as error:
                raise InputError(not_written(f"-o {path}", error)) from None
        wrote(output / "index.html")
    return 0
