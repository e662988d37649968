"""`deliv init`: a first settings file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from deliverability.cli.command import Command
from deliverability.cli.options import lang_option, plain_errors, port_options
from deliverability.cli.output import wrote
from deliverability.cli.types import DEFAULT_FILE, PathOf
from deliverability.model.codes import Code
from deliverability.model.errors import InputError, not_written

SETTINGS_THERE = Code("settings-there", ("file",))


@click.command("init", cls=Command)
@click.argument("domains", metavar="DOMAIN...", nargs=-1, required=True)
@port_options
@lang_option
@click.option("-o", "--output", type=PathOf("file"), default=Path(DEFAULT_FILE), show_default=True, metavar="FILE|-")
@click.option("--force", is_flag=True)
def command(domains: tuple[str, ...], lang: str, output: Path, force: bool, **params: Any) -> int:
    """Write a commented settings file, from what DNS tells of the domains."""
    import asyncio

    from deliverability.cli.inputs import ports_of, set_apart
    from deliverability.config import Settings
    from deliverability.inputs import Subject, parse_domain

    with plain_errors():
        from deliverability._files import write_whole
        from deliverability.runs.engine import gather_facts
        from deliverability.runs.stream import stream
        from deliverability.runs.weekly.init import Known, known, settings_file

        names = list(dict.fromkeys(parse_domain(name) for name in domains))
        to_stdout = str(output) == "-"
        if not to_stdout and output.exists() and not force:
            raise InputError(SETTINGS_THERE(file=str(output)))
        ports = ports_of(params, Settings())
        subjects = [Subject(name) for name in names]
        unread: list[str] = []

        def lost(subject: Subject, error: Exception) -> None:
            """One of several cannot be looked at: the settings are written for the others."""
            if len(subjects) == 1:
                raise error
            unread.append(set_apart(subject.domain, error))

        async def ask() -> list[Known]:
            try:
                found = stream(subjects, lambda subject: gather_facts(subject, ports), lost=lost)
                return [known(each.subject.domain, each.facts, lang) async for _, each in found]
            finally:
                await ports.close()

        text = settings_file(asyncio.run(ask()), lang, datetime.now(UTC).date())
        if to_stdout:
            click.echo(text, nl=False)
            return 3 if unread else 0
        try:
            write_whole(output, text, replace=force)
        except OSError as error:
            raise InputError(not_written(f"-o {output}", error)) from None
        from deliverability.words.sentences import phrases

        wrote(output)
        click.echo(phrases(lang)("init.next"))
    return 3 if unread else 0
