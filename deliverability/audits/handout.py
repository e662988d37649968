"""`deliv handout`."""

from __future__ import annotations

from pathlib import Path

import click

from deliverability.console.command import Command
from deliverability.console.options import lang_option
from deliverability.console.output import put
from deliverability.console.types import OneOf, PathOf
from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.inputs import parse_domain
from deliverability.core.report.formats.html import render_handout
from deliverability.core.report.handout import ICLOUD, RECEIVERS, handout_text, load_handout
from deliverability.engine.rules import load_rules

NOT_HTML = Code("handout-not-html", ("file",))


@click.command("handout", cls=Command)
@click.argument("domain", required=False, metavar="[DOMAIN]")
@click.option("--receiver", type=OneOf(RECEIVERS), default=ICLOUD)
@lang_option
@click.option("-o", "--output", type=PathOf("file"), metavar="FILE.html")
def command(domain: str | None, receiver: str, lang: str, output: Path | None) -> int:
    """Is it us or them? A page for whoever hears that mail does not arrive."""
    name = load_rules().receivers[receiver].name[lang]
    handout = load_handout(lang, receiver, name, parse_domain(domain) if domain else "")
    if output is None:
        click.echo(handout_text(handout, lang), nl=False)
        return 0
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(NOT_HTML(file=str(output)))
    put(render_handout(handout, lang), output)
    return 0
