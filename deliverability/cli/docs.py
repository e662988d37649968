"""`deliv docs`: the rules as a static site, and the JSON Schema of the JSON report."""

from __future__ import annotations

from pathlib import Path

import click

from deliverability.cli.options import plain_errors, rule_folders_option, rule_problems


@click.command("docs")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to write the site into; made where it is missing.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the JSON report instead.")
@rule_folders_option
def command(output: Path | None, schema: bool, rules: tuple[Path, ...]) -> int:
    """Write the rules, receivers and terms as a static site.

    \b
      deliv docs -o site                    a page per rule and receiver, in English and Japanese
      deliv docs -o site --rules DIR        with your own rules
      deliv docs --schema > schema.json     what --format json prints, as JSON Schema
    """
    if schema == (output is not None):
        raise click.UsageError("give -o DIR for the site, or --schema")
    if output is None:
        from deliverability.render.json import SCHEMA

        click.echo(SCHEMA.read_text("utf-8"), nl=False)
        return 0
    with plain_errors():
        from deliverability import __version__
        from deliverability._files import write_whole
        from deliverability._resources import locate
        from deliverability.feedback.catalogue import load_replies
        from deliverability.model.errors import InputError
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
        count = 0
        for name, text in pages(Content(loaded, terms, replies, guide), __version__):
            path = output / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, text)
            except OSError as error:
                raise InputError(f"-o {path}: {error.strerror or error}") from None
            count += path.suffix == ".html"
        click.echo(f"{count} pages written: {output / 'index.html'}")
    return 0
