"""`deliv init`: a first settings file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from deliverability.cli.options import lang_option, plain_errors, port_options
from deliverability.config import DEFAULT_FILE


@click.command("init")
@click.argument("domains", metavar="DOMAIN...", nargs=-1, required=True)
@port_options
@lang_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(DEFAULT_FILE),
    show_default=True,
    metavar="FILE|-",
    help="The file to write; - is standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def command(domains: tuple[str, ...], lang: str, output: Path, force: bool, **params: Any) -> int:
    """Write a commented settings file for your domains, from what DNS tells of them.

    \b
      deliv init example.com example.jp
      deliv init example.com --lang ja
    """
    import asyncio

    from deliverability.cli.inputs import ports_of
    from deliverability.config import Settings
    from deliverability.inputs import parse_domain

    with plain_errors():
        from deliverability._files import write_whole
        from deliverability.model.errors import InputError
        from deliverability.runs.engine import gather_facts
        from deliverability.runs.job import Job, Options
        from deliverability.runs.stream import stream
        from deliverability.runs.weekly.init import Known, known, settings_file

        names = list(dict.fromkeys(parse_domain(name) for name in domains))
        to_stdout = str(output) == "-"
        if not to_stdout and output.exists() and not force:
            raise InputError(f"{output} is there already; --force overwrites it, -o names another file")
        ports = ports_of(params, Settings())

        async def ask() -> list[Known]:
            jobs = [Job(name, None, Options()) for name in names]
            try:
                found = stream(jobs, lambda job: gather_facts(job, ports))
                return [known(each.subject.domain, each.facts, lang) async for _, each in found]
            finally:
                await ports.close()

        text = settings_file(asyncio.run(ask()), lang, datetime.now(UTC).date())
        if to_stdout:
            click.echo(text, nl=False)
            return 0
        try:
            write_whole(output, text, replace=force)
        except OSError as error:
            raise InputError(f"{output}: {error.strerror or error}") from None
        from deliverability.words.sentences import phrases

        click.echo(phrases(lang)("init.written", file=str(output)))
    return 0
