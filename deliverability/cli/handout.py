"""`deliv handout`: the page for a support desk that hears "I get no mail"."""

from __future__ import annotations

from pathlib import Path

import click

from deliverability.cli.command import Command
from deliverability.cli.options import lang_option, plain_errors
from deliverability.cli.types import PathOf
from deliverability.model.codes import Code
from deliverability.model.errors import InputError

NOT_HTML = Code("handout-not-html", ("file",))


@click.command("handout", cls=Command)
@lang_option
@click.option("-o", "--output", type=PathOf("file"), metavar="FILE.html")
def command(lang: str, output: Path | None) -> int:
    """Is it us or them? A page for whoever hears that mail does not arrive."""
    with plain_errors():
        if output is None:
            from deliverability.render.handout import handout_text

            click.echo(handout_text(lang), nl=False)
            return 0
        from deliverability.cli.output import put
        from deliverability.render.html import render_handout

        if output.suffix.lower() not in (".html", ".htm"):
            raise InputError(NOT_HTML(file=str(output)))
        put(render_handout(lang), output)
    return 0
