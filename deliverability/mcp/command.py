"""`deliv mcp`: the tools for assistants, on standard input and output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deliverability.api.session import Session
from deliverability.console.command import Command
from deliverability.console.inputs import read_settings
from deliverability.console.language import language
from deliverability.console.options import (
    config_option,
    lang_option,
    offline_option,
    resolver_option,
    rule_folders_option,
)
from deliverability.console.types import PathOf, settings_folder
from deliverability.engine.rules import load_rules
from deliverability.mcp.server import serve
from deliverability.mcp.tools import Toolbox


@click.command("mcp", cls=Command)
@click.option("--root", type=PathOf("folder"), metavar="DIR")
@click.option("--zone", multiple=True, type=PathOf("either", exists=True), metavar="FILE|DIR")
@resolver_option
@offline_option
@rule_folders_option
@click.option("--history", "url", metavar="URL")
@config_option
@lang_option
def command(
    root: Path | None,
    zone: tuple[Path, ...],
    resolver: tuple[str, ...],
    offline: bool,
    rules: tuple[Path, ...],
    url: str | None,
    config: Path | None,
    lang: str,
) -> int:
    """Answer an assistant's questions."""
    settings = read_settings(config)
    folders = rules or settings.rules
    load_rules(folders)
    servers = resolver or (() if zone or offline else settings.resolvers)

    def make(records: Sequence[str] = ()) -> Session:
        return Session(zones=zone, records=records, resolver=servers or None, rules=folders, offline=offline, lang=lang)

    session = make()
    box = Toolbox(
        session,
        make,
        folders,
        root=root,
        history=url or settings.history,
        folder=settings_folder(config),
        offline=offline,
        lang=lang,
    )
    with session:
        serve(box.tools, language().say("mcp.late"))
    return 0
