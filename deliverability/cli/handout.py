"""`deliv handout`: the page for a support desk that hears "I get no mail"."""

from __future__ import annotations

from pathlib import Path

import click

from deliverability.cli.options import lang_option, plain_errors


@click.command("handout")
@lang_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write an HTML page to print, instead of text.",
)
def command(lang: str, output: Path | None) -> int:
    """Is it us or them? A page for whoever hears "I get no mail".

    \b
      deliv handout
      deliv handout --lang ja -o handout.html
    """
    with plain_errors():
        if output is None:
            from deliverability.render.handout import handout_text

            click.echo(handout_text(lang), nl=False)
            return 0
        from deliverability.cli.output import put
        from deliverability.model.errors import InputError
        from deliverability.render.html import render_handout

        if output.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"-o {output}: the hand-out is an HTML page; use the ending .html")
        put(render_handout(lang), output)
        click.echo(f"Hand-out written: {output}")
    return 0
